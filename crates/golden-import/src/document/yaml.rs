//! YAML: values of the 1.2 core schema (`no`, `on`, `012` and `1_000` are texts). Aliases and merge keys work, within a
//! budget; unknown tags and a second document are refused.

use super::super::problem::Problem;
use super::{Spot, Spots, Tree, unique_keys};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, MessageFormatter, Spanned, UserMessageFormatter};
use std::fmt;

pub(super) fn read(text: &str) -> Result<Tree, (Spot, Problem)> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 24_000_000,
            max_nodes: 8_000_000,
            // A level takes some 40 KiB of stack in a debug build.
            max_depth: 32,
        },
        // Noticed below, with both places.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |root| {
        Spanned::<Branch>::deserialize(root)
    });
    let root = read.map_err(|error| {
        let at = error.location().map_or(Spot { line: 1, column: 1 }, spot);
        (at, describe(&error))
    })?;
    let at = spot(root.referenced);
    let Branch { value, keys, inside } = root.value;
    check_keys(&keys, &inside)?;
    Ok(Tree { value, spots: spots(at, inside) })
}

/// The parser's error in our words, where they are better than its own.
fn describe(error: &Error) -> Problem {
    if let Error::UnknownAnchor { .. } = error {
        return Problem::new("an alias to an anchor that is not above it")
            .hint("put a text that begins with `*` in quotes");
    }
    let problem = if let Error::MultipleDocuments { .. } = error {
        Problem::new("a second YAML document").expected("one document")
    } else {
        Problem::new(format!("not readable as YAML: {}", UserMessageFormatter.format_message(error)))
    };
    problem.hint("what follows in this file is not checked yet")
}

fn spot(location: Location) -> Spot {
    let clamp = |count: u64| u32::try_from(count).unwrap_or(u32::MAX).max(1);
    Spot { line: clamp(location.line()), column: clamp(location.column()) }
}

fn check_keys(keys: &[String], inside: &[(Spot, Branch)]) -> Result<(), (Spot, Problem)> {
    unique_keys(keys.iter().map(String::as_str).zip(inside.iter().map(|(at, _)| *at)))?;
    inside.iter().try_for_each(|(_, branch)| check_keys(&branch.keys, &branch.inside))
}

fn spots(at: Spot, inside: Vec<(Spot, Branch)>) -> Spots {
    let inside = inside.into_iter().map(|(at, branch)| spots(at, branch.inside)).collect();
    Spots { at, inside }
}

/// A value; the keys of a map, and the places and values inside.
struct Branch {
    value: Value,
    keys: Vec<String>,
    inside: Vec<(Spot, Branch)>,
}

impl<'de> Deserialize<'de> for Branch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Branch, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

fn leaf<E>(value: impl Into<Value>) -> Result<Branch, E> {
    Ok(Branch { value: value.into(), keys: Vec::new(), inside: Vec::new() })
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Branch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Branch, E> {
        leaf(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Branch, E> {
        leaf(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Branch, E> {
        leaf(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Branch, E> {
        leaf(value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Branch, E> {
        leaf(value)
    }

    fn visit_str<E>(self, value: &str) -> Result<Branch, E> {
        leaf(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Branch, A::Error> {
        let mut inside = Vec::new();
        let mut items = Vec::new();
        while let Some(mut item) = list.next_element::<Spanned<Branch>>()? {
            items.push(item.value.value.take());
            inside.push((spot(item.referenced), item.value));
        }
        Ok(Branch { value: items.into(), keys: Vec::new(), inside })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Branch, A::Error> {
        let (mut keys, mut inside, mut values) = (Vec::new(), Vec::new(), Map::new());
        while let Some((key, mut item)) = map.next_entry::<Spanned<String>, Spanned<Branch>>()? {
            values.insert(key.value.clone(), item.value.value.take());
            keys.push(key.value);
            inside.push((spot(key.referenced), item.value));
        }
        Ok(Branch { value: values.into(), keys, inside })
    }
}
