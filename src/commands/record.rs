//! Answers out of the store and into another one: `record export` and `record import`.

use super::files;
use crate::domain::{Place, Problem, Problems, RunRecord};
use crate::error::Error;
use crate::eval::store_folder::store_folder;
use crate::provider::is_replay;
use crate::report::{Redactor, text};
use crate::store::{ImportOutcome, Record, Store, StoreError};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use time::OffsetDateTime;

/// Bytes of one row at most.
const LONGEST_ROW: usize = 32 << 20;

const RUNS_LISTED: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportSummary {
    pub run: i64,
    pub answers: u64,
    pub replies: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    pub new: u64,
    pub known: u64,
    /// Answers of which the store has its own.
    pub own: u64,
}

/// Writes the answers of a run as JSONL, sorted by case, arm and repeat, and the replies of judges that it went by, without
/// secrets. The file appears whole or not
/// at all. Without a number: the newest finished run of `candidate`, or of any candidate if none is configured.
pub fn export(
    root: &Path,
    redactor: &Redactor,
    number: Option<i64>,
    candidate: Option<&str>,
    to: &Path,
) -> Result<ExportSummary, Error> {
    let nothing = || Problem::new("there is no store yet, so there are no answers").hint("run `promptgate eval` first");
    let store = Store::open_existing(&store_folder(root)?)?.ok_or_else(nothing)?;
    let run = chosen(&store, number, candidate)?;
    if is_replay(&run.target) {
        return Err(Problem::new(format!("run {} judged recorded answers, which are files already", run.run)).into());
    }
    if run.answers == 0 {
        return Err(none(&store, format!("run {} has no answers", run.run))?.into());
    }
    let failed =
        |error: &dyn std::fmt::Display| Problem::at(Place::file(shown(to)), format!("can't be written: {error}"));
    let mut file = BufWriter::new(files::beside(to).map_err(|error| failed(&error))?);
    let (mut answers, mut replies) = (0, 0);
    store.records::<Error>(run.run, &mut |record| {
        let mut row = record.to_json().map_err(|error| failed(&error))?;
        redactor.json(&mut row);
        let row = row.to_string();
        writeln!(file, "{}", text::json_safe(&row)).map_err(|error| failed(&error))?;
        *if record.reply { &mut replies } else { &mut answers } += 1;
        Ok(())
    })?;
    let file = file.into_inner().map_err(|error| failed(&error))?;
    files::publish(file, to).map_err(|error| failed(&error))?;
    Ok(ExportSummary { run: run.run, answers, replies })
}

fn chosen(store: &Store, number: Option<i64>, candidate: Option<&str>) -> Result<RunRecord, Error> {
    if let Some(number) = number {
        return match store.recall(number)? {
            Some(run) => Ok(run),
            None => Err(none(store, format!("the store has no run {number}"))?.into()),
        };
    }
    match (store.newest_finished(candidate)?, candidate) {
        (Some(run), _) => Ok(run),
        (None, Some(name)) => Err(none(store, format!("the store has no finished run of `{name}`"))?.into()),
        (None, None) => Err(none(store, "the store has no finished run".to_owned())?.into()),
    }
}

/// A problem that lists the runs there are.
fn none(store: &Store, message: String) -> Result<Problem, Error> {
    let runs: Vec<String> = store.history(RUNS_LISTED)?.iter().map(describe).collect();
    Ok(Problem::new(message).hint(if runs.is_empty() {
        "run `promptgate eval` first".to_owned()
    } else {
        format!("the newest runs are: {}", runs.join("; "))
    }))
}

fn describe(run: &RunRecord) -> String {
    let RunRecord { run: number, candidate, baseline, target, answers, started_at, ended, .. } = run;
    let baseline = baseline.as_ref().map_or_else(String::new, |name| format!(" against {name}"));
    let day = OffsetDateTime::from_unix_timestamp(*started_at)
        .map_or_else(|_| String::new(), |at| format!(", {}", at.date()));
    let unfinished = if ended.is_some() { "" } else { ", unfinished" };
    format!("{number} ({candidate}{baseline}, target {target}, {answers} answers{day}{unfinished})")
}

/// Reads files of exported answers into the store: all of them, or none if there is a mistake.
pub fn import(root: &Path, files: &[PathBuf]) -> Result<ImportSummary, Error> {
    let store = Store::open(&store_folder(root)?)?;
    let importing = store.importing()?;
    let mut reader = RowReader { seen: HashMap::new(), problems: Problems::default() };
    let mut imported = ImportSummary::default();
    for path in files {
        let rows = reader.file(path, &mut |record| {
            match importing.add(record)? {
                ImportOutcome::New => imported.new += 1,
                ImportOutcome::Known => imported.known += 1,
                ImportOutcome::Own => imported.own += 1,
            }
            Ok(())
        })?;
        if rows == Some(0) {
            let problem = Problem::at(Place::file(shown(path)), "there is no answer in this file");
            reader.problems.push(problem.hint("write one with `promptgate record export --to FILE`"));
        }
    }
    reader.problems.or(())?;
    importing.commit()?;
    Ok(imported)
}

/// Reads rows and gathers what is wrong with them.
struct RowReader {
    /// Where each identity stands, and what it answers.
    seen: HashMap<[u8; 32], (Place, [u8; 32])>,
    problems: Problems,
}

impl RowReader {
    /// Reads a file; returns how many rows it has, right or wrong, or `None` if it can't be read.
    fn file(
        &mut self,
        path: &Path,
        add: &mut dyn FnMut(&Record) -> Result<(), StoreError>,
    ) -> Result<Option<u64>, Error> {
        let name: Arc<str> = shown(path).into();
        let unreadable =
            |error: std::io::Error| Problem::at(Place::file(Arc::clone(&name)), format!("can't be read: {error}"));
        let mut lines = match File::open(path) {
            Ok(file) => BufReader::new(file),
            Err(error) => {
                self.problems.push(unreadable(error));
                return Ok(None);
            }
        };
        let mut bytes = Vec::new();
        let (mut line, mut rows) = (0u32, 0);
        loop {
            bytes.clear();
            let read = (&mut lines).take(LONGEST_ROW as u64 + 1).read_until(b'\n', &mut bytes);
            let length = match read {
                Ok(length) => length,
                Err(error) => {
                    self.problems.push(unreadable(error));
                    return Ok(None);
                }
            };
            if length == 0 {
                return Ok(Some(rows));
            }
            line = line.saturating_add(1);
            let place = || Place::at(Arc::clone(&name), line, 0);
            if length > LONGEST_ROW {
                let message = format!("a row is longer than {} MiB", LONGEST_ROW >> 20);
                self.problems.push(Problem::at(place(), message));
                return Ok(None);
            }
            // Editors on Windows put a byte order mark in front of a file.
            let row = bytes.strip_prefix(b"\xef\xbb\xbf").filter(|_| line == 1).unwrap_or(&bytes);
            let row = row.trim_ascii();
            if row.is_empty() {
                continue;
            }
            rows += 1;
            match Record::from_json(row) {
                Ok(record) if is_replay(&record.target) => {
                    let problem = Problem::at(place(), "answers that were read from files never enter a store");
                    self.problems.push(problem.hint("give the files to `promptgate eval --target recorded --answers`"));
                }
                Ok(record) => {
                    if self.first(&record, place()) {
                        add(&record)?;
                    }
                }
                Err(mistakes) => self.problems.extend(mistakes.into_iter().map(|mistake| {
                    let specific = mistake.contains("expected");
                    let problem = Problem::at(place(), mistake);
                    if specific { problem } else { problem.hint(format!("a row has {}", Record::FIELDS)) }
                })),
            }
        }
    }

    /// The identity was not seen before. Two different answers of one identity are a mistake; the same one twice is not,
    /// since exports of two runs may share stored answers.
    fn first(&mut self, record: &Record, place: Place) -> bool {
        let content = crate::domain::digest([
            &record.created_at.to_le_bytes()[..],
            record.case.as_bytes(),
            record.model.as_bytes(),
            &serde_json::to_vec(&record.answer).unwrap_or_default(),
        ]);
        match self.seen.entry(record.key) {
            Entry::Vacant(free) => {
                free.insert((place, content));
                true
            }
            Entry::Occupied(taken) => {
                let (first, known) = taken.get();
                if *known != content {
                    let message = format!("a second answer with the same `key`, for case `{}`", record.case);
                    self.problems.push(Problem::at(place, message).hint(format!("the first one stands in {first}")));
                }
                false
            }
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
