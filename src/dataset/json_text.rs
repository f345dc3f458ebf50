//! One JSON text: read without duplicate keys, and walked again when a place in it is asked for.

use super::row::{Locate, Part, Row, Rows, Spot};
use super::source::shorten;
use crate::domain::{Problem, Step};
use crate::json;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;

pub(super) struct JsonText<'a> {
    pub(super) text: &'a str,
    pub(super) start: Spot,
}

/// A value, and whether one of its maps has a key twice (the first one counts).
pub(super) struct ParsedText {
    pub(super) value: Value,
    pub(super) has_duplicates: bool,
}

/// Where a JSON text stops being JSON.
pub(super) struct Flaw {
    /// Byte offset of the culprit.
    pub(super) offset: usize,
    /// What is wrong there.
    pub(super) message: String,
    /// The text ends too early.
    pub(super) at_end: bool,
}

/// Reads one JSON value.
///
/// # Errors
/// Where it is not JSON, too deeply nested, or followed by something else.
pub(super) fn parse(text: &str) -> Result<ParsedText, Flaw> {
    let has_duplicates = Cell::new(false);
    let on_duplicate = |_: &str| {
        has_duplicates.set(true);
        Ok(())
    };
    let value = json::parse(text, &on_duplicate).map_err(|error| Flaw::of(text, &error))?;
    Ok(ParsedText { value, has_duplicates: has_duplicates.get() })
}

impl Flaw {
    fn of(text: &str, error: &serde_json::Error) -> Flaw {
        let line_start = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
        let mut offset = (line_start + error.column().saturating_sub(1)).min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let mut message = error.to_string();
        if let Some(end) = message.rfind(" at line ") {
            message.truncate(end);
        }
        Flaw {
            offset,
            // The parser's name for a literal such as `true`.
            message: message.replace("expected ident", "expected a value"),
            at_end: error.classify() == Category::Eof,
        }
    }
}

impl JsonText<'_> {
    /// Hands the row over, or reports why it is none. `false` where the text is not JSON, so that what follows it may
    /// be out of step.
    pub(super) fn hand_to(&self, rows: &mut dyn Rows) -> bool {
        match parse(self.text) {
            Err(flaw) => {
                self.report(&flaw, rows);
                false
            }
            Ok(parsed) => {
                if parsed.has_duplicates {
                    for (key, first, second) in self.duplicates() {
                        let spot = |offset| if rows.is_full() { self.start } else { self.spot(offset) };
                        let problem = duplicate_key(&key, spot(first));
                        rows.problem(spot(second), problem);
                    }
                }
                rows.row(Row { written: parsed.value, flawed: parsed.has_duplicates, at: self });
                true
            }
        }
    }

    fn report(&self, flaw: &Flaw, rows: &mut dyn Rows) {
        if flaw.at_end {
            let problem = Problem::new(format!("the case that begins here never ends: {}", flaw.message))
                .hint("close its last quote, bracket or brace");
            rows.problem(self.start, problem);
        } else {
            let mut problem =
                Problem::new(format!("not JSON: {}", flaw.message)).expected("one JSON object for each case");
            if flaw.message.starts_with("control character") {
                problem = problem.hint("close the quote before it, or write a line break in a text as `\\n`");
            }
            rows.problem(self.spot(flaw.offset), problem);
        }
    }

    pub(super) fn spot(&self, offset: usize) -> Spot {
        self.start.after(&self.text.as_bytes()[..offset])
    }

    /// Every key that its map already has: the key, its first offset, its second one.
    pub(super) fn duplicates(&self) -> Vec<(String, usize, usize)> {
        let mut found = Vec::new();
        let mut open = vec![self.text];
        while let Some(text) = open.pop() {
            match Level::of(text) {
                Level::Leaf => {}
                Level::List(items) => open.extend(items.iter().rev().map(|item| item.get())),
                Level::Map(entries) => {
                    let mut seen = HashMap::new();
                    for (written, _) in &entries {
                        let Some(key) = key_of(written) else { continue };
                        let offset = self.offset_of(written.get());
                        match seen.get(&key) {
                            Some(first) => found.push((key, *first, offset)),
                            None => drop(seen.insert(key, offset)),
                        }
                    }
                    open.extend(entries.iter().rev().map(|(_, value)| value.get()));
                }
            }
        }
        found.sort_by_key(|(_, _, second)| *second);
        found
    }

    /// The offset of a slice of this text.
    fn offset_of(&self, inner: &str) -> usize {
        (inner.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len())
    }
}

impl Locate for JsonText<'_> {
    fn start(&self) -> Spot {
        self.start
    }

    fn find(&self, path: &[Step], part: Part) -> Spot {
        let mut here = self.text;
        let mut key_at = None;
        for step in path {
            key_at = None;
            match (step, Level::of(here)) {
                (Step::Key(key), Level::Map(entries)) => {
                    let Some((written, value)) =
                        entries.into_iter().find(|(written, _)| key_of(written).as_deref() == Some(key))
                    else {
                        break;
                    };
                    key_at = Some(written.get());
                    here = value.get();
                }
                (Step::Index(index), Level::List(items)) => {
                    let Some(item) = items.get(*index) else { break };
                    here = item.get();
                }
                (Step::Key(_), Level::List(_) | Level::Leaf) | (Step::Index(_), Level::Map(_) | Level::Leaf) => break,
            }
        }
        let culprit = match part {
            Part::Key => key_at.unwrap_or(here),
            Part::Value => here,
        };
        self.spot(self.offset_of(culprit))
    }
}

/// A key that its map already has.
pub(super) fn duplicate_key(key: &str, first: Spot) -> Problem {
    let key = shorten(key);
    Problem::new(format!("duplicate key `{key}`"))
        .expected("every key once")
        .hint(format!("the first `{key}` is at line {}, column {}", first.line, first.column))
}

fn key_of(written: &RawValue) -> Option<String> {
    serde_json::from_str(written.get()).ok()
}

/// One level of a JSON text that is known to be valid. The pieces are slices of it, so their addresses are their
/// offsets.
enum Level<'a> {
    Leaf,
    List(Vec<&'a RawValue>),
    Map(Vec<(&'a RawValue, &'a RawValue)>),
}

impl<'a> Level<'a> {
    fn of(text: &'a str) -> Level<'a> {
        match text.trim_start().as_bytes().first() {
            Some(b'{') => {
                serde_json::from_str::<Entries<'a>>(text).map_or(Level::Leaf, |entries| Level::Map(entries.0))
            }
            Some(b'[') => serde_json::from_str(text).map_or(Level::Leaf, Level::List),
            _ => Level::Leaf,
        }
    }
}

struct Entries<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries<'a>, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
