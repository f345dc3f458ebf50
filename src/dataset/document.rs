//! Documents that are no golden files (those of other tools), read by the same readers, with the same places.

use super::csv::{self, TableRow};
use super::json_text::{self, JsonText, duplicate_key};
use super::row::{Locate, Part, Spot};
use super::yaml;
use crate::domain::{Place, Problem, Step};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

/// A value and the places of everything in it.
pub(crate) struct Document {
    /// What the document holds.
    pub(crate) value: Value,
    shown: Arc<str>,
    at: Box<dyn Locate>,
}

/// A table: its header, and each further record as a map from the header's names to texts.
pub(crate) struct Table {
    /// The names of the columns, without white space around them.
    pub(crate) columns: Vec<String>,
    /// The rows.
    pub(crate) rows: Vec<Document>,
}

/// How often a place is looked up in one JSON text: finding one takes time in proportion to the text. Later ones are the
/// place of the text itself.
const MAX_ASKED: u32 = 500;

impl Document {
    /// Reads YAML, of which there is one document.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub(crate) fn yaml(shown: &Arc<str>, text: &str) -> Result<Document, Problem> {
        match yaml::document(text) {
            Ok((value, at)) => Ok(Document::new(shown, value, at)),
            Err((at, problem)) => Err(placed(shown, at, problem)),
        }
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub(crate) fn json(shown: &Arc<str>, text: &str) -> Result<Document, Problem> {
        Document::json_from(shown, text, Spot::START)
    }

    /// Reads JSONL: a document for each line that is not blank.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub(crate) fn json_lines(shown: &Arc<str>, text: &str) -> Result<Vec<Document>, Problem> {
        let mut documents = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            if !text.trim().is_empty() {
                documents.push(Document::json_from(shown, text, Spot { line, column: 1 })?);
            }
        }
        Ok(documents)
    }

    fn json_from(shown: &Arc<str>, text: &str, start: Spot) -> Result<Document, Problem> {
        let here = JsonText { text, start };
        let parsed = json_text::parse(text).map_err(|flaw| {
            let problem = Problem::new(format!("not JSON: {}", flaw.message)).expected("JSON");
            placed(shown, here.spot(flaw.offset), problem)
        })?;
        if parsed.has_duplicates
            && let Some((key, first, second)) = here.duplicates().first()
        {
            let problem = duplicate_key(key, here.spot(*first));
            return Err(placed(shown, here.spot(*second), problem));
        }
        let at = Json {
            text: text.to_owned(),
            start,
            asked: Cell::new(0),
        };
        Ok(Document::new(shown, parsed.value, Box::new(at)))
    }

    fn new(shown: &Arc<str>, value: Value, at: Box<dyn Locate>) -> Document {
        Document {
            value,
            shown: shown.clone(),
            at,
        }
    }

    /// Where `path` leads: at the key, if it ends with one.
    pub(crate) fn place(&self, path: &[Step]) -> Place {
        let Spot { line, column } = self.at.find(path, Part::Key);
        Place::at(self.shown.clone(), line, column)
    }
}

impl Table {
    /// Reads CSV.
    ///
    /// # Errors
    /// The first mistake: in the quoting or encoding, a column without a name or with one that is taken, a row that does
    /// not have as many cells as the header.
    pub(crate) fn csv(shown: &Arc<str>, text: &str) -> Result<Table, Problem> {
        let read = csv::table(&mut text.as_bytes())
            .map_err(|error| Problem::at(Place::file(shown.clone()), format!("can't be read: {error}")))?;
        let mut rows = read.map_err(|(at, problem)| placed(shown, at, problem))?.into_iter();
        let Some(header) = rows.next() else {
            return Ok(Table {
                columns: Vec::new(),
                rows: Vec::new(),
            });
        };
        let columns: Rc<[String]> = header.cells.iter().map(|name| name.trim().to_owned()).collect();
        let mut seen = HashSet::new();
        for (index, name) in columns.iter().enumerate() {
            let problem = match name.is_empty() {
                true => Problem::new("a column has no name"),
                false if !seen.insert(name) => Problem::new("a column's name is taken already"),
                false => continue,
            };
            return Err(placed(
                shown,
                header.spot(index),
                problem.expected("a name of its own for every column"),
            ));
        }
        let documents = rows.map(|row| {
            if row.cells.len() != columns.len() {
                let problem = Problem::new(format!(
                    "the row has {} cells, and the header {}",
                    row.cells.len(),
                    columns.len()
                ));
                let at = row.spot(columns.len().min(row.cells.len()));
                return Err(placed(
                    shown,
                    at,
                    problem.expected("as many cells as the header has, separated by commas"),
                ));
            }
            let cells: Map<String, Value> = columns
                .iter()
                .cloned()
                .zip(row.cells.iter().map(|cell| cell.clone().into()))
                .collect();
            let columns = columns.clone();
            Ok(Document::new(
                shown,
                Value::Object(cells),
                Box::new(TablePlaces { columns, row }),
            ))
        });
        Ok(Table {
            rows: documents.collect::<Result<_, _>>()?,
            columns: columns.to_vec(),
        })
    }
}

fn placed(shown: &Arc<str>, at: Spot, problem: Problem) -> Problem {
    Problem {
        place: Some(Place::at(shown.clone(), at.line, at.column)),
        ..problem
    }
}

struct Json {
    text: String,
    start: Spot,
    asked: Cell<u32>,
}

impl Locate for Json {
    fn start(&self) -> Spot {
        self.start
    }

    fn find(&self, path: &[Step], part: Part) -> Spot {
        let asked = self.asked.get();
        if asked >= MAX_ASKED {
            return self.start;
        }
        self.asked.set(asked + 1);
        let text = JsonText {
            text: &self.text,
            start: self.start,
        };
        text.find(path, part)
    }
}

struct TablePlaces {
    columns: Rc<[String]>,
    row: TableRow,
}

impl Locate for TablePlaces {
    fn start(&self) -> Spot {
        self.row.spot(0)
    }

    fn find(&self, path: &[Step], _: Part) -> Spot {
        let named = |name: &String| self.columns.iter().position(|column| column == name);
        match path.first() {
            Some(Step::Key(name)) => named(name).map_or(self.start(), |column| self.row.spot(column)),
            Some(Step::Index(_)) | None => self.start(),
        }
    }
}
