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
use diagnostics::yaml::{self, Node, Places};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;
use std::io::{self, BufRead, Read};

/// Hands over every case of `source`. An empty file has none.
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
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, yaml::options(), |root| {
        root.deserialize_any(Root { rows: &mut *rows })
    });
    if let Err(error) = read {
        let (at, problem) = yaml::describe(&error);
        rows.problem(at, problem);
    }
    Ok(())
}

/// The document: hands its elements over while they are read.
struct Root<'a> {
    rows: &'a mut dyn Rows,
}

impl Root<'_> {
    fn refuse<E>(self) -> Result<(), E> {
        let problem = Problem::new("the file is not a list of cases").expected("a list: every case begins with `- `");
        self.rows.problem(Spot::START, problem);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of cases")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(case) = list.next_element::<Spanned<Node>>()? {
            let start = yaml::spot(case.referenced);
            let Node { value, places } = case.value;
            let duplicates = places.duplicates();
            let flawed = !duplicates.is_empty();
            for (key, first, second) in duplicates {
                self.rows.problem(second, duplicate_key(key, first));
            }
            self.rows.row(Row { written: value, flawed, at: &Case { start, places } });
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<String, Node>()?.is_some() {}
        self.refuse()
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.refuse()
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.refuse()
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.refuse()
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.refuse()
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.refuse()
    }
}

struct Case {
    start: Spot,
    places: Places,
}

impl Locate for Case {
    fn start(&self) -> Spot {
        self.start
    }

    fn find(&self, path: &[Step], part: Part) -> Spot {
        let (key_at, value_at) = self.places.find(self.start, path);
        match part {
            Part::Key => key_at,
            Part::Value => value_at,
        }
    }
}
