//! YAML values of the 1.2 core schema (`no`, `on`, `012` and `1_000` are texts) that know where they stand.

use super::{Problem, Spot, Step};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, MessageFormatter, Options, Spanned, UserMessageFormatter};
use std::collections::HashMap;
use std::fmt;

/// How deep lists and maps may be nested. A level takes some 40 KiB of stack in a debug build, and a thread may have no
/// more than 2 MiB.
const MAX_DEPTH: usize = 32;

/// For documents from outside: aliases and merge keys work within a budget, unknown tags are refused. Keys that stand twice
/// are accepted; see [`Places::duplicates`].
pub fn options() -> Options {
    serde_saphyr::options! {
        // Enough for large files; all of them may be in one value. The limits on anchors and aliases stay the crate's.
        budget: serde_saphyr::budget! {
            max_events: 24_000_000,
            max_nodes: 8_000_000,
            max_depth: MAX_DEPTH,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// Reads one document.
///
/// # Errors
/// The first mistake but for keys that stand twice.
pub fn read(text: &str) -> Result<(Spot, Node), (Spot, Problem)> {
    serde_saphyr::with_deserializer_from_str_with_options(text, options(), |root| Spanned::<Node>::deserialize(root))
        .map(|root| (spot(root.referenced), root.value))
        .map_err(|error| describe(&error))
}

/// The parser's error in our words, where they are better than its own.
pub fn describe(error: &Error) -> (Spot, Problem) {
    let at = error.location().map_or(Spot::START, spot);
    if let Error::UnknownAnchor { .. } = error {
        let problem = Problem::new("an alias to an anchor that is not above it");
        return (at, problem.hint("put a text that begins with `*` in quotes"));
    }
    let problem = if let Error::Budget { breach: BudgetBreach::Depth { .. }, .. } = error {
        Problem::new(format!("nested too deeply for a YAML file: more than {MAX_DEPTH} lists and maps"))
    } else if let Error::Budget { .. } = error {
        Problem::new("too many values or aliases for a YAML file").expected("aliases that are not nested in aliases")
    } else if let Error::MultipleDocuments { .. } = error {
        Problem::new("a second YAML document").expected("one document")
    } else {
        Problem::new(format!("not readable as YAML: {}", UserMessageFormatter.format_message(error)))
    };
    (at, problem.hint("what follows in this file is not checked yet"))
}

/// The parser's location; both counts from 1.
pub fn spot(location: Location) -> Spot {
    let clamp = |count: u64| u32::try_from(count).unwrap_or(u32::MAX).max(1);
    Spot { line: clamp(location.line()), column: clamp(location.column()) }
}

/// Any value, with the places of what is inside. Of a key that stands twice the first value counts.
#[derive(Clone, Debug)]
pub struct Node {
    pub value: Value,
    pub places: Places,
}

#[derive(Clone, Debug)]
pub enum Places {
    Leaf,
    List(Vec<(Spot, Places)>),
    /// All entries as they were written, also those whose key stands twice.
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub key_at: Spot,
    pub value_at: Spot,
    pub inside: Places,
}

impl Places {
    /// Where the key and the value at the end of `path` stand, for a value that begins at `start`; an element stands where
    /// its value does. Where the path leads nowhere, the deepest place on the way.
    pub fn find(&self, start: Spot, path: &[Step]) -> (Spot, Spot) {
        let (mut places, mut key_at, mut value_at) = (self, start, start);
        for step in path {
            match (step, places) {
                (Step::Key(key), Places::Map(entries)) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *key) else { break };
                    (key_at, value_at, places) = (entry.key_at, entry.value_at, &entry.inside);
                }
                (Step::Index(index), Places::List(items)) => {
                    let Some((at, inside)) = items.get(*index) else { break };
                    (key_at, value_at, places) = (*at, *at, inside);
                }
                (Step::Key(_), Places::List(_) | Places::Leaf) | (Step::Index(_), Places::Map(_) | Places::Leaf) => {
                    return (value_at, value_at);
                }
            }
        }
        (key_at, value_at)
    }

    /// Every key that its map already has: the key, its first place, its second one.
    pub fn duplicates(&self) -> Vec<(&str, Spot, Spot)> {
        let mut found = Vec::new();
        let mut open = vec![self];
        while let Some(places) = open.pop() {
            match places {
                Places::Leaf => {}
                Places::List(items) => open.extend(items.iter().rev().map(|(_, inside)| inside)),
                Places::Map(entries) => {
                    let mut seen = HashMap::with_capacity(entries.len());
                    for entry in entries {
                        match seen.get(entry.key.as_str()) {
                            Some(first) => found.push((entry.key.as_str(), *first, entry.key_at)),
                            None => drop(seen.insert(entry.key.as_str(), entry.key_at)),
                        }
                    }
                    open.extend(entries.iter().rev().map(|entry| &entry.inside));
                }
            }
        }
        found.sort_by_key(|(_, _, second)| *second);
        found
    }
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let (mut values, mut places) = (Vec::new(), Vec::new());
        while let Some(item) = list.next_element::<Spanned<Node>>()? {
            places.push((spot(item.referenced), item.value.places));
            values.push(item.value.value);
        }
        Ok(Node { value: Value::Array(values), places: Places::List(places) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let (mut values, mut places) = (Map::new(), Vec::new());
        while let Some((key, item)) = map.next_entry::<Spanned<String>, Spanned<Node>>()? {
            places.push(Entry {
                key: key.value.clone(),
                key_at: spot(key.referenced),
                value_at: spot(item.referenced),
                inside: item.value.places,
            });
            values.entry(key.value).or_insert(item.value.value);
        }
        Ok(Node { value: Value::Object(values), places: Places::Map(places) })
    }
}
