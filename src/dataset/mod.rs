//! Golden cases from CSV, JSONL, JSON and YAML.
//!
//! ```text
//! paths ─ find ─▶ files ─▶ csv | jsonl | json | yaml ─ row ─▶ case ─▶ identity ─▶ visit
//!                   └ source: digest, bounds                    └ checks, history
//! ```
//!
//! Every format cuts its file into rows and hands each over as the JSON object it stands for (`row::Row`), together
//! with a way back to the places in the file. `case` turns a row into a case and knows no format. Places are looked up
//! only for mistakes.
//!
//! The files are read twice. [`survey`] validates and digests them and lists every mistake; [`Dataset::stream`] hands out
//! the cases and refuses bytes that changed in between. Neither holds more than one case, besides the table of ids (and
//! the text of a YAML file). [`GoldenRevision`] has the files of a git revision.

pub mod calibration;
mod case;
mod checks;
mod csv;
mod digest;
mod find;
mod history;
mod identity;
mod json;
mod json_text;
mod jsonl;
mod labels;
mod mistake;
mod revision;
mod row;
mod schema;
mod snapshots;
mod source;
#[cfg(test)]
mod tests;
mod yaml;

pub use snapshots::unreferenced_snapshots;

use crate::domain::{Case, CaseId, CheckRules, Place, Problem, Problems, WEIGHT};
use case::Draft;
use digest::IncludedFiles;
use find::GoldenPath;
use identity::{Ids, Origin};
use mistake::Mistake;
use row::{Locate, Row, Rows, Spot};
use source::{Source, shorten};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use revision::GoldenRevision;
pub use schema::schema;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header and one case a record.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// One list of JSON objects, or one object.
    Json,
    /// One list of maps.
    Yaml,
}

impl Format {
    /// The format of a file name's extension, in any case of letters.
    fn of_extension(extension: &str) -> Option<Format> {
        match extension.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "jsonl" => Some(Format::Jsonl),
            "json" => Some(Format::Json),
            "yaml" | "yml" => Some(Format::Yaml),
            _ => None,
        }
    }

    fn read(self, source: &mut Source, rules: &dyn CheckRules, rows: &mut dyn Rows) -> io::Result<()> {
        match self {
            Format::Csv => csv::read(source.reader(), rules, rows),
            Format::Jsonl => jsonl::read(source.reader(), rows),
            Format::Json => json::read(source.reader(), rows),
            Format::Yaml => yaml::read(source.reader(), rows),
        }
    }
}

/// A golden file as it was surveyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldenFile {
    pub path: PathBuf,
    /// The same as the user would type it.
    pub shown: Arc<str>,
    /// The stem of its name; the suite of its cases.
    pub suite: Arc<str>,
    pub format: Format,
    pub sha256: [u8; 32],
    pub bytes: u64,
}

/// Golden files that were read once and found valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The files, in the order of their cases.
    pub files: Vec<GoldenFile>,
    /// SHA-256 over the digests of the files in order, as lowercase hexadecimal digits. It also covers what checks took
    /// in from other files (JSON schemas), but no names: see `digest::dataset`.
    pub sha256: String,
    /// How many cases the files have; 0 is not a mistake here.
    pub total: u64,
    /// For each file, the digest of what its checks took in.
    included: Vec<Option<[u8; 32]>>,
}

/// First pass: finds, reads, validates and digests all files. `visit` sees every valid case in order, also when others are
/// broken, and may add problems (templates, variables). `paths` are files, or folders with all golden files below them but
/// for those in folders named `snapshots`, README files, and what is hidden by a leading dot.
///
/// # Errors
/// Every mistake of every file, as far as a file can be followed behind its first one.
pub fn survey(
    paths: &[PathBuf],
    rules: &dyn CheckRules,
    visit: &mut dyn FnMut(&Case, &mut Problems),
) -> Result<Dataset, Problems> {
    let mut problems = Problems::default();
    let found = find::files(paths, &mut problems);
    let shown: Vec<Arc<str>> = found.iter().map(|file| file.shown.clone()).collect();
    let mut ids = Ids::default();
    let mut total = 0;
    let mut files = Vec::with_capacity(found.len());
    let mut included = Vec::with_capacity(found.len());
    for (index, file) in found.into_iter().enumerate() {
        let mut pass = SurveyPass {
            file: &file,
            index: u32::try_from(index).unwrap_or(u32::MAX),
            shown: &shown,
            rules,
            visit,
            ids: &mut ids,
            problems: &mut problems,
            included: IncludedFiles::default(),
            total: &mut total,
        };
        let digest = read(&file.path, file.format, rules, &mut pass);
        included.push(pass.included.finish());
        match digest {
            Ok((sha256, bytes)) => files.push(GoldenFile {
                path: file.path,
                shown: file.shown,
                suite: file.suite,
                format: file.format,
                sha256,
                bytes,
            }),
            Err(error) => problems.push(Problem::at(Place::file(file.shown), format!("can't be read: {error}"))),
        }
    }
    let digests: Vec<[u8; 32]> = files.iter().map(|file| file.sha256).collect();
    problems.or(Dataset { sha256: digest::dataset(&digests, &included), files, total, included })
}

impl Dataset {
    /// Second pass: streams the cases again, one at a time, in the same order. After `each` breaks, no further case is
    /// handed out, but the file is still read to its end, because only then it is known to be the one that was surveyed.
    ///
    /// # Errors
    /// A file can't be read any more, or its bytes, or those that its checks take in, are not those that were surveyed.
    /// Cases may have been handed out by then: what was done with them must not count.
    pub fn stream(&self, rules: &dyn CheckRules, each: &mut dyn FnMut(Case) -> ControlFlow<()>) -> Result<(), Problem> {
        for (file, surveyed) in self.files.iter().zip(&self.included) {
            let place = || Place::file(file.shown.clone());
            let unreadable = |error: io::Error| Problem::at(place(), format!("can't be read any more: {error}"));
            let changed = || {
                Problem::at(place(), "the file, or one that its checks name, changed while it was in use")
                    .hint("run again")
            };
            if std::fs::metadata(&file.path).map_err(unreadable)?.len() != file.bytes {
                return Err(changed());
            }
            let mut pass = StreamPass {
                file,
                rules,
                each,
                included: IncludedFiles::default(),
                is_broken: false,
                is_stopped: false,
            };
            let (sha256, _) = read(&file.path, file.format, rules, &mut pass).map_err(unreadable)?;
            let StreamPass { included, is_broken, is_stopped, .. } = pass;
            if is_broken || sha256 != file.sha256 || included.finish() != *surveyed {
                return Err(changed());
            }
            if is_stopped {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
thread_local! {
    static READS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How often this thread has read a golden file.
#[cfg(test)]
pub(crate) fn counted_reads() -> u64 {
    READS.with(std::cell::Cell::get)
}

/// Reads a whole file; its digest and size.
fn read(path: &Path, format: Format, rules: &dyn CheckRules, rows: &mut dyn Rows) -> io::Result<([u8; 32], u64)> {
    #[cfg(test)]
    READS.with(|reads| reads.set(reads.get() + 1));
    let mut source = Source::open(path)?;
    format.read(&mut source, rules, rows)?;
    source.finish()
}

struct SurveyPass<'a> {
    file: &'a GoldenPath,
    index: u32,
    shown: &'a [Arc<str>],
    rules: &'a dyn CheckRules,
    visit: &'a mut dyn FnMut(&Case, &mut Problems),
    ids: &'a mut Ids,
    problems: &'a mut Problems,
    included: IncludedFiles,
    total: &'a mut u64,
}

impl Rows for SurveyPass<'_> {
    fn row(&mut self, row: Row<'_>) {
        let mut draft = case::read(row.written, row.flawed, self.rules, &mut self.included);
        let mut is_valid = !row.flawed && draft.mistakes.is_empty();
        for Mistake { path, part, problem } in draft.mistakes.take() {
            let at = match self.is_full() {
                true => row.at.start(),
                false => row.at.find(&path, part),
            };
            self.problem(at, problem);
        }
        let Some((id, origin)) = draft.id.take() else { return };
        if let Err((at, problem)) = self.take_id(&id, origin, row.at) {
            self.problem(at, problem);
            is_valid = false;
        }
        if is_valid {
            let case = case_of(id, draft, &self.file.suite, self.place(row.at.start()));
            (self.visit)(&case, self.problems);
            *self.total += 1;
        }
    }

    fn problem(&mut self, at: Spot, problem: Problem) {
        let place = self.place(at);
        self.problems.push(Problem { place: Some(place), ..problem });
    }

    fn is_full(&self) -> bool {
        self.problems.count() >= Problems::KEPT as u64
    }
}

impl SurveyPass<'_> {
    fn place(&self, at: Spot) -> Place {
        Place::in_file(self.file.shown.clone(), at)
    }

    /// Takes the id of a case, or says who has it.
    fn take_id(&mut self, id: &CaseId, origin: Origin, at: &dyn Locate) -> Result<(), (Spot, Problem)> {
        let start = at.start();
        let Err(first) = self.ids.take(id, origin, self.index, start) else {
            return Ok(());
        };
        let place = first.place(self.shown);
        if origin == Origin::Derived && first.origin == Origin::Derived {
            let problem = Problem::new(format!("a case without `id` has the same vars and history as that at {place}"))
                .expected("cases that differ in vars or history, or an `id` for each")
                .hint("remove one of them, or give both an `id`");
            return Err((start, problem));
        }
        let problem = Problem::new(format!("duplicate id `{}`: the first is at {place}", shorten(id.as_str())))
            .expected("an id that is unique over all golden files");
        Err((at.find(&[crate::domain::Step::key("id")], row::Part::Value), problem))
    }
}

struct StreamPass<'a> {
    file: &'a GoldenFile,
    rules: &'a dyn CheckRules,
    each: &'a mut dyn FnMut(Case) -> ControlFlow<()>,
    included: IncludedFiles,
    /// A mistake that the first pass would have seen.
    is_broken: bool,
    is_stopped: bool,
}

impl Rows for StreamPass<'_> {
    fn row(&mut self, row: Row<'_>) {
        let mut draft = case::read(row.written, row.flawed, self.rules, &mut self.included);
        let id = draft.id.take().filter(|_| !row.flawed && draft.mistakes.is_empty());
        let Some((id, _)) = id else {
            self.is_broken = true;
            return;
        };
        if !self.is_broken && !self.is_stopped {
            let place = Place::in_file(self.file.shown.clone(), row.at.start());
            self.is_stopped = (self.each)(case_of(id, draft, &self.file.suite, place)).is_break();
        }
    }

    fn problem(&mut self, _: Spot, _: Problem) {
        self.is_broken = true;
    }

    fn is_full(&self) -> bool {
        true
    }
}

fn case_of(id: CaseId, draft: Draft, suite: &Arc<str>, place: Place) -> Case {
    let Draft { id: _, tags, critical, weight, cluster, vars, history, checks, labels, notes, mistakes: _ } = draft;
    Case {
        id,
        suite: suite.clone(),
        place,
        tags,
        critical,
        weight: weight.unwrap_or(WEIGHT),
        cluster,
        vars,
        history,
        checks,
        labels,
        notes,
    }
}
