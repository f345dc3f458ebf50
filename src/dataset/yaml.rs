//! YAML: one list of cases. The text is held whole, the cases are not: each is
//! handed over as soon as it is read.
//!
//! Values are those of the YAML 1.2 core schema (`no`, `on`, `012` and `1_000` are texts). Aliases and merge keys work,
//! within the parser's budget; a tag that it does not know, a document of its own after the first, `.inf` and `.nan` are
//! refused.

use super::json_text::duplicate_key;
use super::row::{Locate, Part, Row, Rows, Spot};
use super::source::{MAX_YAML, text};
use crate::domain::{Problem, Step};
use crate::yaml::{Node, Places, Position};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, Error, MessageFormatter, Options, Spanned, UserMessageFormatter};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead, Read};

/// How deep lists and maps may be nested. A level takes some 40 KiB of stack in a debug build, and a thread may have no
/// more than 2 MiB.
const MAX_DEPTH: usize = 32;

/// Hands over every case of `source`. An empty file has none.
///
/// # Errors
/// Those of the source.
pub(super) fn read(mut source: &mut dyn BufRead, rows: &mut dyn Rows) -> io::Result<()> {
    let mut bytes = Vec::new();
    Read::take(&mut source, MAX_YAML as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_YAML {
        let problem = Problem::new("the file is larger than 64 MiB, which YAML files may not be");
        rows.problem(Spot::START, problem.hint("write large datasets as JSONL or CSV"));
        return Ok(());
    }
    let text = match text(&bytes, Spot::START) {
        Ok(text) => text,
        Err((at, problem)) => {
            rows.problem(at, problem);
            return Ok(());
        }
    };
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |root| {
        root.deserialize_any(Root { rows: &mut *rows })
    });
    if let Err(error) = read {
        let at = error.location().map_or(Spot::START, spot);
        rows.problem(at, describe(&error));
    }
    Ok(())
}

/// The parser's error in our words, where they are better than its own.
fn describe(error: &Error) -> Problem {
    let problem = if let Error::Budget { breach, .. } = error {
        if let BudgetBreach::Depth { .. } = breach {
            Problem::new(format!("nested too deeply for a YAML file: more than {MAX_DEPTH} lists and maps"))
        } else {
            Problem::new("too many values or aliases for a YAML file")
                .expected("aliases that are not nested in aliases")
        }
    } else if let Error::MultipleDocuments { .. } = error {
        Problem::new("a second YAML document").expected("one list of cases, in one document")
    } else if let Error::UnknownAnchor { .. } = error {
        Problem::new("an alias to an anchor that is not above it").hint("put a text that begins with `*` in quotes")
    } else {
        let message = UserMessageFormatter.format_message(error);
        Problem::new(format!("not readable as YAML: {message}"))
    };
    match problem.hint {
        Some(_) => problem,
        None => problem.hint("what follows in this file is not checked yet"),
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        // Enough for large files; all of them may be in one case. The limits on anchors and aliases stay the crate's.
        budget: serde_saphyr::budget! {
            max_events: 24_000_000,
            max_nodes: 8_000_000,
            max_depth: MAX_DEPTH,
        },
        // Noticed here instead, so that all of them are listed, with both places.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn spot(at: impl Into<Position>) -> Spot {
    let Position { line, column } = at.into();
    Spot { line, column }
}

/// The document: hands its elements over while they are read.
struct Root<'a> {
    rows: &'a mut dyn Rows,
}

impl Root<'_> {
    fn refuse(self) {
        let problem = Problem::new("the file is not a list of cases").expected("a list: every case begins with `- `");
        self.rows.problem(Spot::START, problem);
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of cases")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(case) = list.next_element::<Spanned<Node>>()? {
            let start = spot(case.referenced);
            let Node { value, places } = case.value;
            let duplicates = duplicates(&places);
            for (key, first, second) in &duplicates {
                self.rows.problem(*second, duplicate_key(key, *first));
            }
            self.rows.row(Row { written: value, flawed: !duplicates.is_empty(), at: &Case { start, places } });
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<Spanned<String>, Spanned<Node>>()?.is_some() {}
        self.refuse();
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.refuse();
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.refuse();
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.refuse();
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.refuse();
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.refuse();
        Ok(())
    }
}

/// The places of one case.
struct Case {
    start: Spot,
    places: Places,
}

impl Locate for Case {
    fn start(&self) -> Spot {
        self.start
    }

    fn find(&self, path: &[Step], part: Part) -> Spot {
        let mut places = &self.places;
        let (mut key_at, mut value_at) = (self.start, self.start);
        for step in path {
            match (step, places) {
                (Step::Key(key), Places::Map(entries)) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *key) else {
                        break;
                    };
                    (key_at, value_at, places) = (spot(entry.key_at), spot(entry.value_at), &entry.inside);
                }
                (Step::Index(index), Places::List(items)) => {
                    let Some((at, inside)) = items.get(*index) else { break };
                    (key_at, value_at, places) = (spot(*at), spot(*at), inside);
                }
                (Step::Key(_), Places::List(_) | Places::Leaf) | (Step::Index(_), Places::Map(_) | Places::Leaf) => {
                    key_at = value_at;
                    break;
                }
            }
        }
        match part {
            Part::Key => key_at,
            Part::Value => value_at,
        }
    }
}

/// Every key that its map already has: the key, its first place, its second one.
fn duplicates(places: &Places) -> Vec<(String, Spot, Spot)> {
    let mut found = Vec::new();
    let mut open = vec![places];
    while let Some(places) = open.pop() {
        match places {
            Places::Leaf => {}
            Places::List(items) => open.extend(items.iter().rev().map(|(_, inside)| inside)),
            Places::Map(entries) => {
                let mut seen = HashMap::with_capacity(entries.len());
                for entry in entries {
                    match seen.get(entry.key.as_str()) {
                        Some(first) => found.push((entry.key.clone(), spot(*first), spot(entry.key_at))),
                        None => drop(seen.insert(entry.key.as_str(), entry.key_at)),
                    }
                }
                open.extend(entries.iter().rev().map(|entry| &entry.inside));
            }
        }
    }
    found.sort_by_key(|(_, _, second)| (second.line, second.column));
    found
}
