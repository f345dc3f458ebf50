//! Projections of a run: every file and line that people and machines read afterwards.
//!
//! ```text
//!                    ┌─▶ junit.rs        junit.xml
//! run ──┐            ├─▶ diff.rs         diff.md
//! rows ─┼─▶ Reports ─┼─▶ summary.rs      summary.md
//! verdict            ├─▶ results.rs      results.jsonl
//!                    ├─▶ attestation.rs  verdict.intoto.json
//!                    └─▶ verdict.rs      verdict.json, last
//! verdicts ─▶ candidates.rs  all of these again in the folder above, for the one that was chosen among several
//! rows ───▶ console.rs   the end of a run on the terminal
//! events ─▶ progress.rs  the run while it goes on
//! rows ───▶ pending.rs   proposals for approved answers, in golden/snapshots/
//! store ──▶ runs.rs      runs that are over
//! ```
//!
//! A `OutputDir` is claimed first: it is locked, and what an earlier run left there is removed, so that no stale verdict
//! survives a run that ends badly. `Reports` then hands every row, in plan order and without secrets (`redactor.rs`), to every
//! format of `FORMATS`. Reports stream: each holds one case, or a bounded number of them; what has to wait for the end of the run
//! waits in temporary files. A format that fails never stops the others.
//!
//! All text from outside goes through `text` on its way out. `why.rs` says why a case did not pass, `highlights.rs` picks
//! the few cases that a short report names, `numbers.rs` writes numbers, `output.rs` writes files whole or not at all.
//!
//! A new report is one file and one line in `FORMATS`.

mod attestation;
mod candidates;
pub mod console;
mod diff;
mod excerpt;
mod highlights;
mod judges;
mod junit;
mod numbers;
mod output;
mod pending;
pub mod progress;
mod redactor;
mod results;
mod results_reader;
pub mod runs;
mod summary;
pub mod text;
mod verdict;
mod why;

pub use candidates::{candidates_table, publish};
pub use excerpt::source_diff;
pub use pending::{Proposal, propose, withdraw};
pub use redactor::Redactor;
pub use results_reader::ResultsReader;
pub use verdict::read_verdict;

use crate::domain::{CaseRow, Counts, Problem, ResultsFile, RunInfo, Verdict};
use crate::exit;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Locks the folder; stays there, because removing a lock file that another process waits for would split the lock.
const LOCK: &str = ".promptgate.lock";
/// Stands in the folder of one of several candidates: whoever claims the folder above removes its outputs, too.
const PART: &str = ".promptgate.candidate";
const TEMP_PREFIX: &str = ".promptgate-";
const TEMP_SUFFIX: &str = ".tmp";

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The output folder can't be used; nothing was sent.
    #[error("{0}")]
    OutputDir(Problem),
    #[error("can't write the report {}: {cause}", path.display())]
    Write { path: PathBuf, cause: io::Error },
    /// The verdict does not count the cases that the reports were given: a bug, and never a promote.
    #[error(
        "the reports saw {saw:?}, but the verdict counts {counted:?}; this is a bug in promptgate, and verdict.json is not \
         promotable"
    )]
    Disagreement { saw: Counts, counted: Counts },
}

impl From<ReportError> for Problem {
    fn from(error: ReportError) -> Problem {
        match error {
            ReportError::OutputDir(problem) => problem,
            ReportError::Write { .. } | ReportError::Disagreement { .. } => Problem::new(error.to_string()),
        }
    }
}

/// Writes one report. Called from one thread: `begin`, then `case` for every case in plan order, then `finish`; after the
/// first error it is not called again. Dropped without `finish`, it leaves nothing behind.
pub trait Reporter: Send {
    fn begin(&mut self, _: &RunInfo) -> Result<(), ReportError> {
        Ok(())
    }

    /// The next case, all its repeats judged.
    fn case(&mut self, _: &CaseRow) -> Result<(), ReportError> {
        Ok(())
    }

    /// All cases were given. The file appears under its name.
    fn finish(self: Box<Self>, verdict: &Verdict) -> Result<(), ReportError>;
}

#[derive(Clone, Debug)]
pub struct Context {
    /// At most so many cases are shown in full in diff.md.
    pub diff_cases: usize,
    /// At most so many bytes of cases are shown in diff.md.
    pub diff_bytes: u64,
    /// Filled when results.jsonl is in place; the reports after it name its digest.
    pub results: Arc<OnceLock<ResultsFile>>,
}

impl Default for Context {
    fn default() -> Context {
        Context { diff_cases: 500, diff_bytes: 8 * 1024 * 1024, results: Arc::default() }
    }
}

/// A kind of report: all that others have to know of it.
#[derive(Debug)]
pub struct Format {
    /// Its file in the output folder.
    pub file: &'static str,
    /// Whom it serves, for the documentation.
    pub purpose: &'static str,
    pub open: Open,
    /// How the folder of a call with several candidates gets it.
    pub call: CallReport,
}

pub type Open = fn(&Path, &Context) -> Result<Box<dyn Reporter>, ReportError>;

/// How the folder of a call with several candidates gets a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallReport {
    /// It says nothing of other candidates: that of the chosen one is copied.
    Copy,
    /// Copied, and has to have the digest that the verdict names.
    CopyRows,
    /// A table of all candidates stands before that of the chosen one.
    Page,
    /// It needs no rows: written anew from the verdict of the call.
    Rewrite,
}

/// Every report, in the order in which they are finished: verdict.json is the last, so that whoever sees it can rely on
/// the others.
pub const FORMATS: &[Format] =
    &[results::FORMAT, junit::FORMAT, diff::FORMAT, summary::FORMAT, attestation::FORMAT, verdict::FORMAT];

/// An output folder that belongs to this process, without any earlier output.
#[derive(Debug)]
pub struct OutputDir {
    path: PathBuf,
    /// Held until the reports are done; the system frees it with the process.
    _lock: File,
}

impl OutputDir {
    /// Creates the folder if need be, locks it, and removes the outputs of an earlier run. Other files stay.
    pub fn claim(dir: &Path) -> Result<OutputDir, ReportError> {
        if dir.as_os_str().is_empty() {
            return Err(ReportError::OutputDir(
                Problem::new("the output folder has no name").hint("give `--out DIR`, or nothing for the default"),
            ));
        }
        let unusable = |what: &str, cause: io::Error| {
            ReportError::OutputDir(
                Problem::new(format!("can't use the output folder {}: {what}: {cause}", dir.display()))
                    .hint("name a folder that can be written, with `--out DIR`"),
            )
        };
        fs::create_dir_all(dir).map_err(|cause| unusable("can't create it", cause))?;
        if let Some(file) = foreign_output(dir) {
            return Err(ReportError::OutputDir(
                Problem::new(format!(
                    "the output folder {} holds a {file} that promptgate did not write, and would replace",
                    dir.display()
                ))
                .hint("name another folder with `--out DIR`, or move the file away"),
            ));
        }
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join(LOCK))
            .map_err(|cause| unusable("can't create a file in it", cause))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ReportError::OutputDir(
                    Problem::new(format!("another promptgate is writing into the output folder {}", dir.display()))
                        .hint("wait until it ends, or name another folder with `--out DIR`"),
                ));
            }
            Err(TryLockError::Error(cause)) => return Err(unusable("can't lock it", cause)),
        }
        remove_outputs(dir)
            .and_then(|()| remove_parts(dir))
            .map_err(|cause| unusable("can't remove an earlier output", cause))?;
        Ok(OutputDir { path: dir.to_owned(), _lock: lock })
    }

    /// Claims the folder of one of several candidates below this one. It is empty of outputs, and belongs to this one until it is
    /// claimed by itself.
    pub fn part(&self, name: &str) -> Result<OutputDir, ReportError> {
        let part = OutputDir::claim(&self.path.join(name))?;
        match File::create(part.path.join(PART)) {
            Ok(_) => Ok(part),
            Err(cause) => Err(ReportError::Write { path: part.path.join(PART), cause }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A file under the name of a report in a folder that promptgate never wrote into: one without its lock, and without a
/// verdict of its own.
fn foreign_output(dir: &Path) -> Option<&'static str> {
    let ours = dir.join(LOCK).exists()
        || fs::read_to_string(dir.join(verdict::FILE)).is_ok_and(|text| text.contains(Verdict::SCHEMA));
    let mut files = FORMATS.iter().map(|format| format.file);
    if ours { None } else { files.find(|file| dir.join(file).exists()) }
}

/// Removes the files that [`FORMATS`] names, verdict.json first, and what a killed run left of them.
fn remove_outputs(dir: &Path) -> io::Result<()> {
    for format in FORMATS.iter().rev() {
        match fs::remove_file(dir.join(format.file)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", format.file))),
        }
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMP_PREFIX) && name.ends_with(TEMP_SUFFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes what candidates of an earlier call left below a folder; and the folder is no such part itself any more. Folders
/// without the mark of a part are those of other calls.
fn remove_parts(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(PART)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.join(PART).is_file() {
            remove_outputs(&path)?;
        }
    }
    Ok(())
}

/// All reports of a run. Dropped without [`Reports::finish`], it leaves no output.
pub struct Reports {
    /// One for each format; `None` once it failed.
    reporters: Vec<Option<Box<dyn Reporter>>>,
    errors: Vec<ReportError>,
    redactor: Redactor,
    seen: Counts,
    folder: OutputDir,
    results: Arc<OnceLock<ResultsFile>>,
}

impl Reports {
    /// Opens every format in the folder. What can't be opened is reported by [`Reports::finish`].
    pub fn open(folder: OutputDir, redactor: Redactor) -> Reports {
        let context = Context::default();
        let mut errors = Vec::new();
        let reporters = FORMATS
            .iter()
            .map(|format| (format.open)(folder.path(), &context).map_err(|error| errors.push(error)).ok())
            .collect();
        Reports { reporters, errors, redactor, seen: Counts::default(), folder, results: context.results }
    }

    /// Where [`Reports::finish`] says what results.jsonl came to.
    pub fn results(&self) -> Arc<OnceLock<ResultsFile>> {
        Arc::clone(&self.results)
    }

    pub fn begin(&mut self, run: &RunInfo) {
        let run = self.redactor.run(run);
        each(&mut self.reporters, &mut self.errors, |reporter| reporter.begin(&run));
    }

    pub fn case(&mut self, row: &CaseRow) {
        self.seen.add(row.candidate.outcome());
        let row = self.redactor.row(row);
        each(&mut self.reporters, &mut self.errors, |reporter| reporter.case(&row));
    }

    /// Finishes every report, verdict.json last, and returns all failures since the start. Once one has failed, the exit
    /// code in verdict.json is 12 where it would have been 0, as the process's is to be. A verdict that does not count the
    /// cases it was given is not promotable.
    pub fn finish(mut self, verdict: &Verdict) -> Vec<ReportError> {
        let mut verdict = self.redactor.verdict(verdict);
        if self.seen != verdict.counts {
            verdict.promotable = false;
            self.errors.push(ReportError::Disagreement { saw: self.seen, counted: verdict.counts });
        }
        for reporter in self.reporters.into_iter().flatten() {
            if !self.errors.is_empty() && verdict.exit_code == 0 {
                verdict.exit_code = exit::REPORT;
                // The check is red, so no deploy step may go on.
                verdict.promotable = false;
            }
            if let Err(error) = reporter.finish(&verdict) {
                self.errors.push(error);
            }
        }
        attestation::remove_orphan(self.folder.path());
        self.errors
    }
}

/// Calls every reporter that still works; one that fails is dropped, and so is its unfinished file.
fn each(
    reporters: &mut [Option<Box<dyn Reporter>>],
    errors: &mut Vec<ReportError>,
    mut call: impl FnMut(&mut dyn Reporter) -> Result<(), ReportError>,
) {
    for slot in reporters {
        if let Some(reporter) = slot
            && let Err(error) = call(reporter.as_mut())
        {
            errors.push(error);
            *slot = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_distinct_and_the_verdict_is_last() {
        let mut files: Vec<_> = FORMATS.iter().map(|format| format.file).collect();
        assert_eq!(files.last(), Some(&"verdict.json"));
        files.sort_unstable();
        files.dedup();
        assert_eq!(files.len(), FORMATS.len());
    }

    #[test]
    fn claiming_removes_earlier_outputs_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["verdict.json", "junit.xml", ".promptgate-x1.tmp", "README.md", "notes.tmp"] {
            fs::write(dir.path().join(name), "old").unwrap();
        }
        let problem = OutputDir::claim(dir.path()).unwrap_err().to_string();
        assert!(problem.contains("junit.xml that promptgate did not write"), "{problem}");
        assert!(dir.path().join("junit.xml").exists(), "files of others stay");
        fs::write(dir.path().join("verdict.json"), "{\"schema\": \"promptgate.verdict/1\"}").unwrap();
        let folder = OutputDir::claim(dir.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [LOCK, "README.md", "notes.tmp"]);
    }

    #[test]
    fn a_claimed_folder_is_refused_until_it_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er");
        let first = OutputDir::claim(&path).unwrap();
        let second = OutputDir::claim(&path).unwrap_err().to_string();
        assert!(second.starts_with("another promptgate is writing into the output folder"), "{second}");
        assert!(second.contains("--out DIR"), "{second}");
        drop(first);
        OutputDir::claim(&path).unwrap();
    }

    #[test]
    fn a_folder_that_is_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let error = OutputDir::claim(&path).unwrap_err();
        assert!(matches!(error, ReportError::OutputDir(_)), "{error}");
        assert!(error.to_string().contains("can't use the output folder"), "{error}");
    }
}
