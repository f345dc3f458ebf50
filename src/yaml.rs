//! YAML values that know where they stand.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::{Location, Spanned};
use std::fmt;

/// Line and column, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl From<Location> for Position {
    fn from(location: Location) -> Position {
        let clamp = |count: u64| u32::try_from(count).unwrap_or(u32::MAX).max(1);
        Position { line: clamp(location.line()), column: clamp(location.column()) }
    }
}

/// Any value, with the places of what is inside. Of a key that stands twice the first value counts.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) places: Places,
}

/// The places inside a value.
#[derive(Clone, Debug)]
pub(crate) enum Places {
    Leaf,
    List(Vec<(Position, Places)>),
    /// All entries as they were written, also those whose key stands twice.
    Map(Vec<Entry>),
}

/// An entry of a map.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Position,
    pub(crate) value_at: Position,
    pub(crate) inside: Places,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

fn leaf<E>(value: impl Into<Value>) -> Result<Node, E> {
    Ok(Node { value: value.into(), places: Places::Leaf })
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        leaf(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        leaf(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        leaf(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        leaf(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        leaf(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        match value.is_finite() {
            true => leaf(value),
            false => Err(E::custom("a number that is not finite")),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        leaf(value)
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        leaf(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let (mut values, mut places) = (Vec::new(), Vec::new());
        while let Some(item) = list.next_element::<Spanned<Node>>()? {
            places.push((item.referenced.into(), item.value.places));
            values.push(item.value.value);
        }
        Ok(Node { value: Value::Array(values), places: Places::List(places) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let (mut values, mut places) = (Map::new(), Vec::new());
        while let Some((key, item)) = map.next_entry::<Spanned<String>, Spanned<Node>>()? {
            places.push(Entry {
                key: key.value.clone(),
                key_at: key.referenced.into(),
                value_at: item.referenced.into(),
                inside: item.value.places,
            });
            values.entry(key.value).or_insert(item.value.value);
        }
        Ok(Node { value: Value::Object(values), places: Places::Map(places) })
    }
}
