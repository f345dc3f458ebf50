//! CSV: a header, then one case a record.
//!
//! `record` cuts the file into records and checks their quoting, `header` says what the columns are, and this file
//! turns the cells of a record into what a JSON object of the same case would hold.

mod header;
mod record;

use super::json_text;
use super::row::{Locate, Part, Row, Rows, Spot};
use super::source::{shorten, text};
use crate::domain::{CheckRules, Problem, Step};
use ::csv::{Reader, ReaderBuilder, StringRecord};
use header::Column;
use record::{Cut, Records, cell_offset};
use serde_json::{Map, Value};
use std::io::{self, BufRead, Read};

/// Hands over every record of `source` after the header. An empty file has none.
pub(super) fn read(source: &mut dyn BufRead, rules: &dyn CheckRules, rows: &mut dyn Rows) -> io::Result<()> {
    let mut records = Records::new(source);
    let mut cells = Cells::new();
    let mut header: Option<Header> = None;
    loop {
        let record = match records.cut()? {
            Cut::End => return Ok(()),
            Cut::Flawed(at, problem) => Err((at, problem)),
            Cut::Record(start) => text(&records.bytes, start).map(|text| (start, text)),
        };
        let (start, text) = match record {
            Ok(record) => record,
            Err((at, problem)) => {
                rows.problem(at, problem);
                if header.is_none() {
                    return Ok(());
                }
                continue;
            }
        };
        let cells = cells.of(text)?;
        match &header {
            None => header = Some(Header::read(cells, text, start, rules, rows)),
            Some(header) => Record { header, text, start }.hand_to(cells, rules, rows),
        }
    }
}

/// The CSV crate's reader, fed with one record at a time.
struct Cells {
    reader: Reader<Feed>,
    cells: StringRecord,
}

impl Cells {
    fn new() -> Cells {
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(Feed::default());
        Cells { reader, cells: StringRecord::new() }
    }

    fn of(&mut self, record: &str) -> io::Result<&StringRecord> {
        self.reader.get_mut().fill(record);
        self.reader.read_record(&mut self.cells)?;
        Ok(&self.cells)
    }
}

/// The bytes of one record and a line break. The reader stops at that, so it never sees an end and asks for more only
/// when the next record is there.
#[derive(Default)]
struct Feed {
    bytes: Vec<u8>,
    position: usize,
}

impl Feed {
    fn fill(&mut self, record: &str) {
        self.bytes.clear();
        self.bytes.extend_from_slice(record.as_bytes());
        self.bytes.push(b'\n');
        self.position = 0;
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&self.bytes[self.position..]).read(buffer)?;
        self.position += count;
        Ok(count)
    }
}

struct Header {
    columns: Vec<Column>,
    names: Vec<String>,
    is_wrong: bool,
}

impl Header {
    fn read(cells: &StringRecord, text: &str, start: Spot, rules: &dyn CheckRules, rows: &mut dyn Rows) -> Header {
        let names: Vec<&str> = cells.iter().collect();
        let mut is_wrong = false;
        let columns = header::read(&names, rules, |column, problem| {
            is_wrong = true;
            let at = spot(text, start, column, rows);
            rows.problem(at, problem);
        });
        Header { columns, names: names.iter().map(|name| name.trim().to_owned()).collect(), is_wrong }
    }
}

/// One record and what is needed to find its cells.
struct Record<'a> {
    header: &'a Header,
    text: &'a str,
    start: Spot,
}

impl Record<'_> {
    fn hand_to(&self, cells: &StringRecord, rules: &dyn CheckRules, rows: &mut dyn Rows) {
        if cells.len() != self.header.names.len() {
            return self.report_length(cells.len(), rows);
        }
        let mut filled = RowBuilder {
            record: self,
            cells,
            rules,
            rows: &mut *rows,
            flawed: self.header.is_wrong,
            written: Map::new(),
            vars: Map::new(),
            checks: Vec::new(),
            check_columns: Vec::new(),
        };
        filled.read();
        let RowBuilder { mut written, vars, checks, check_columns, flawed, .. } = filled;
        written.insert("vars".to_owned(), Value::Object(vars));
        if !checks.is_empty() {
            written.insert("expect".to_owned(), Value::Array(checks));
        }
        rows.row(Row { written: Value::Object(written), flawed, at: &Places { record: self, check_columns } });
    }

    fn report_length(&self, found: usize, rows: &mut dyn Rows) {
        let wanted = self.header.names.len();
        // The first cell that is too much, or the place where the missing ones should be.
        let problem = Problem::new(format!("the row's cells don't match the header's: {found} instead of {wanted}"))
            .expected("as many cells as the header has")
            .hint("put a cell that holds a comma or a line break in quotes");
        let at = spot(self.text, self.start, wanted.min(found), rows);
        rows.problem(at, problem);
    }
}

/// Where a cell of the record `text` begins; its end where it has fewer.
fn spot(text: &str, start: Spot, column: usize, rows: &dyn Rows) -> Spot {
    if rows.is_full() { start } else { cell_spot(text, start, column) }
}

fn cell_spot(text: &str, start: Spot, column: usize) -> Spot {
    start.after(&text.as_bytes()[..cell_offset(text.as_bytes(), column)])
}

struct RowBuilder<'a> {
    record: &'a Record<'a>,
    cells: &'a StringRecord,
    rules: &'a dyn CheckRules,
    rows: &'a mut dyn Rows,
    flawed: bool,
    written: Map<String, Value>,
    vars: Map<String, Value>,
    checks: Vec<Value>,
    check_columns: Vec<usize>,
}

impl RowBuilder<'_> {
    fn read(&mut self) {
        for (index, (column, cell)) in self.record.header.columns.iter().zip(self.cells).enumerate() {
            match column {
                Column::Var(name) => {
                    self.vars.insert(name.clone(), cell.into());
                }
                Column::Wrong | Column::Matcher => {}
                Column::Expected => self.read_expected(index, cell),
                Column::Text(_) | Column::Json(_) | Column::Tags | Column::Critical | Column::Expect { .. }
                    if cell.is_empty() => {}
                Column::Text(key) => self.put(key, cell.into()),
                Column::Json(key) => {
                    if let Some(value) = self.read_json(index, cell, key) {
                        self.put(key, value);
                    }
                }
                Column::Tags => {
                    let tags = cell.split(';').map(str::trim).filter(|tag| !tag.is_empty());
                    self.put("tags", tags.collect());
                }
                Column::Critical => self.read_critical(index, cell),
                Column::Expect { matcher, is_text } => self.read_check(index, matcher, *is_text, cell),
            }
        }
    }

    fn put(&mut self, key: &str, value: Value) {
        self.written.insert(key.to_owned(), value);
    }

    fn read_critical(&mut self, index: usize, cell: &str) {
        let critical = match cell.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => true,
            "false" | "no" | "0" | "" => false,
            _ => {
                let problem = Problem::new(format!("`critical` is `{}`", shorten(cell)));
                return self.report(index, problem.expected("true, false, yes, no, 1, 0, or an empty cell"));
            }
        };
        self.put("critical", critical.into());
    }

    /// The cell of `expected`, read as the matcher wants it that the cell of `matcher` names.
    fn read_expected(&mut self, index: usize, cell: &str) {
        let named = self.record.header.columns.iter().position(|column| *column == Column::Matcher);
        let matcher =
            named.and_then(|column| self.cells.get(column)).map(str::trim).filter(|matcher| !matcher.is_empty());
        let is_named = matcher.is_some();
        let matcher = matcher.unwrap_or("equals");
        match self.rules.takes_text(matcher) {
            None => self.report(named.unwrap_or(index), header::unknown_matcher(matcher, self.rules)),
            Some(is_text) if !cell.is_empty() => self.read_check(index, matcher, is_text, cell),
            // Nothing is expected.
            Some(_) if !is_named => {}
            Some(is_text) => {
                let problem = Problem::new(format!("the matcher `{matcher}` is named, but `expected` is empty"));
                let wanted = if is_text { "a text" } else { "its arguments as JSON" };
                self.report(index, problem.expected(format!("{wanted}, or nothing in `matcher` either")));
            }
        }
    }

    fn read_check(&mut self, index: usize, matcher: &str, is_text: bool, cell: &str) {
        let args = if is_text {
            cell.into()
        } else {
            match self.read_json(index, cell, matcher) {
                Some(args) => args,
                None => return,
            }
        };
        let check = Map::from_iter([(matcher.to_owned(), args)]);
        self.checks.push(Value::Object(check));
        self.check_columns.push(index);
    }

    fn read_json(&mut self, index: usize, cell: &str, what: &str) -> Option<Value> {
        match json_text::parse(cell) {
            Ok(parsed) if !parsed.has_duplicates => return Some(parsed.value),
            Ok(_) => {
                let problem = Problem::new(format!("the JSON in the cell of `{what}` has a key twice"));
                self.report(index, problem.expected("every key once"));
            }
            Err(flaw) => {
                let position = cell[..flaw.offset].chars().count() + 1;
                let message = format!("the cell of `{what}` is not JSON: {} at character {position}", flaw.message);
                let problem = Problem::new(message).expected("JSON, like 18, true or [\"a\", \"b\"]");
                self.report(index, problem.hint("in CSV a quote inside a quoted cell is written twice: `\"\"`"));
            }
        }
        None
    }

    fn report(&mut self, column: usize, problem: Problem) {
        self.flawed = true;
        let at = spot(self.record.text, self.record.start, column, self.rows);
        self.rows.problem(at, problem);
    }
}

/// Where the parts of a row stand: paths lead to cells.
struct Places<'a> {
    record: &'a Record<'a>,
    check_columns: Vec<usize>,
}

impl Locate for Places<'_> {
    fn start(&self) -> Spot {
        self.record.start
    }

    fn find(&self, path: &[Step], _: Part) -> Spot {
        let named = |name: &str| self.record.header.names.iter().position(|known| known == name);
        let column = match path {
            [Step::Key(key), Step::Index(index), ..] if key == "expect" => self.check_columns.get(*index).copied(),
            [Step::Key(key), Step::Key(name), ..] if key == "vars" => named(name),
            [Step::Key(key), ..] => named(key),
            [] | [Step::Index(_), ..] => None,
        };
        let Record { text, start, .. } = self.record;
        column.map_or(*start, |column| cell_spot(text, *start, column))
    }
}
