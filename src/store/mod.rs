//! One SQLite file, `.promptgate/store.sqlite`: every answer is written once, as it arrives. Cache, resume and reports are
//! queries on it.
//!
//! - `mod.rs` opens the file, and answers queries on a connection of its own.
//! - [`Writer`] owns the second connection on a thread of its own and commits arrivals in groups: whatever has queued up
//!   while the last transaction ran goes into the next one.
//! - `batches.rs` notes the batch jobs that wait at the service.
//! - `record.rs` reads and writes answers as they travel between stores.
//! - `history.rs` remembers what runs were and came to, `outcomes.rs` how each of their answers was judged.
//!
//! The journal is a write-ahead log with `synchronous = NORMAL`: a committed answer survives a kill of the process at any
//! point. Two processes may use the file at once; each write waits up to [`BUSY`] for the other.

mod batches;
mod history;
mod looks;
mod open;
mod outcomes;
mod record;
mod writer;

pub use batches::{Batches, InUse, WaitingBatch};
pub use history::Subject;
pub use looks::Series;
pub use open::{BUSY, StoreError};
pub use outcomes::{Apart, Noise, SomeCases};
pub use record::{Added, Importing, Record, RunLine};
use writer::Part;
pub use writer::Writer;

use crate::domain::{Answer, Failure, Job, Source};
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The store of a project.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    folder: PathBuf,
    path: PathBuf,
}

/// A run in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId(i64);

impl RunId {
    /// Of what was asked outside of any run; their numbers begin at 1.
    pub const NONE: RunId = RunId(0);

    /// As people see it.
    pub fn number(self) -> i64 {
        self.0
    }
}

/// What is planned, for the run's row.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Digest of the plan.
    pub plan: [u8; 32],
    /// Candidate's name.
    pub candidate: String,
    /// Baseline's name.
    pub baseline: Option<String>,
    /// Target's identity.
    pub target: String,
    /// Answers planned.
    pub answers: u64,
}

/// How a run ended, for the run's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnded {
    /// Every planned answer is there.
    Complete,
    /// Some answers are missing; `--resume` asks for them.
    Incomplete,
}

/// A run that this process works on. No other process can resume it meanwhile.
#[derive(Debug)]
pub struct OpenRun {
    /// The run.
    pub id: RunId,
    /// Answers that an earlier process had already.
    pub resumed: u64,
    lock: File,
    lock_path: PathBuf,
}

impl Drop for OpenRun {
    fn drop(&mut self) {
        // A lock file that can't be removed only stays behind as an empty file.
        // It goes while it is still locked: whoever opens the name afterwards gets a file, and a lock, of its own.
        let _ = std::fs::remove_file(&self.lock_path);
        let _ = self.lock.unlock();
    }
}

/// A reusable answer that was found by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Row of the answer.
    pub answer: i64,
    /// Seconds since 1970.
    pub created_at: i64,
}

/// What a planned answer came to.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResult {
    /// Position in plan order.
    pub seq: u64,
    /// The answer, or why there is none.
    pub result: Result<Answer, Failure>,
    /// Where it came from.
    pub source: Source,
    /// Attempts it took, by this run or the one that asked for it.
    pub attempts: u32,
    /// Milliseconds waited before the last of them, by this run or the one that asked for it; `None` when nothing was sent or
    /// it is not known.
    pub waited_ms: Option<u64>,
    /// When the answer was asked for, in seconds since 1970; `None` for a failure.
    pub asked_at: Option<i64>,
    /// The answer comes from another store.
    pub imported: bool,
}

impl Store {
    /// Opens the store in `folder`, creating both as needed.
    ///
    /// # Errors
    /// The folder or file can't be written, the file is no store, is damaged, is of a newer version, or another process
    /// holds it for longer than [`BUSY`].
    pub fn open(folder: &Path) -> Result<Store, StoreError> {
        let path = folder.join("store.sqlite");
        let connection = open::open(folder, &path)?;
        Ok(Store {
            connection,
            folder: folder.to_owned(),
            path,
        })
    }

    /// Opens the store in `folder` if there is one; creates nothing.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_existing(folder: &Path) -> Result<Option<Store>, StoreError> {
        if folder.join("store.sqlite").exists() {
            Store::open(folder).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Starts a run.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn begin(&self, planned: &Planned) -> Result<OpenRun, StoreError> {
        let id = self
            .connection
            .query_row(
                "INSERT INTO runs (plan, candidate, baseline, target, planned, started_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id",
                params![
                    planned.plan,
                    planned.candidate,
                    planned.baseline,
                    planned.target,
                    planned.answers as i64,
                    now()
                ],
                |row| row.get(0),
            )
            .map_err(|error| self.failed("start a run", error))?;
        self.lock(RunId(id), 0)?
            .ok_or_else(|| StoreError::new(&self.path, "a new run is locked already"))
    }

    /// Continues the newest run of the same plan, if it is unfinished and no other process works on it.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn resume(&self, plan: &[u8; 32]) -> Result<Option<OpenRun>, StoreError> {
        let run: Option<(i64, Option<String>)> = self
            .connection
            .query_row(
                "SELECT id, ended FROM runs WHERE plan = ?1 ORDER BY id DESC LIMIT 1",
                [plan],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(|error| self.failed("look for a run to resume", error))?;
        let Some((id, ended)) = run else { return Ok(None) };
        if ended.as_deref() == Some("complete") {
            return Ok(None);
        }
        let resumed: i64 = self
            .connection
            .query_row(
                "SELECT count(*) FROM results WHERE run = ?1 AND answer IS NOT NULL",
                [id],
                |row| row.get(0),
            )
            .map_err(|error| self.failed("count the answers of a run", error))?;
        self.lock(RunId(id), resumed as u64)
    }

    fn lock(&self, id: RunId, resumed: u64) -> Result<Option<OpenRun>, StoreError> {
        let lock_path = self.folder.join(format!("run-{}.lock", id.0));
        let lock = File::create(&lock_path)
            .map_err(|error| StoreError::new(&lock_path, format!("can't be created: {error}")))?;
        Ok(lock.try_lock().is_ok().then_some(OpenRun {
            id,
            resumed,
            lock,
            lock_path,
        }))
    }

    /// Notes how a run ended.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn end(&self, run: &OpenRun, ended: RunEnded) -> Result<(), StoreError> {
        let word = match ended {
            RunEnded::Complete => "complete",
            RunEnded::Incomplete => "incomplete",
        };
        self.connection
            .execute(
                "UPDATE runs SET ended = ?2, ended_at = ?3 WHERE id = ?1",
                params![run.id.0, word, now()],
            )
            .map(|_| ())
            .map_err(|error| self.failed("end a run", error))
    }

    /// The newest reusable answer with the identity of a job; one of this store's own before an imported one. An imported
    /// row must also say openly what it answers: case and model of the job.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn cached(&self, job: &Job) -> Result<Option<Cached>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT id, created_at FROM answers WHERE key = ?1 AND reusable AND case_id = ?2 AND model = ?3
                 ORDER BY imported, id DESC LIMIT 1",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(params![job.key, job.case.as_str(), job.request.model], |row| {
                        Ok(Cached {
                            answer: row.get(0)?,
                            created_at: row.get(1)?,
                        })
                    })
                    .optional()
            })
            .map_err(|error| self.failed("look up an answer", error))
    }

    /// The newest answer there is; 0 without any. Answers that come later have greater numbers.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn newest_answer(&self) -> Result<i64, StoreError> {
        self.connection
            .query_row("SELECT coalesce(max(id), 0) FROM answers", [], |row| row.get(0))
            .map_err(|error| self.failed("look up the newest answer", error))
    }

    /// The answer that the run has at this position already, if it came from the target of that identity.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn answered(&self, run: i64, seq: u64, target: &str) -> Result<Option<Cached>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT answers.id, answers.created_at FROM results JOIN answers ON answers.id = results.answer
                 WHERE run = ?1 AND seq = ?2 AND answers.target = ?3",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(params![run, seq as i64, target], |row| {
                        Ok(Cached {
                            answer: row.get(0)?,
                            created_at: row.get(1)?,
                        })
                    })
                    .optional()
            })
            .map_err(|error| self.failed("look up a result", error))
    }

    /// The results of a run at positions `from..to`, in order; positions without a result are left out. The caller bounds
    /// the memory by the length of the range.
    ///
    /// # Errors
    /// The store can't be read, or holds something this version can't read.
    pub fn results(&self, run: RunId, from: u64, to: u64) -> Result<Vec<StoredResult>, StoreError> {
        let failed = |error| self.failed("read results", error);
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT seq, results.source, CASE results.source WHEN 'cache' THEN answers.attempts ELSE results.attempts END,
                        failure, answers.answer, answers.created_at, answers.imported,
                        CASE results.source WHEN 'cache' THEN answers.waited_ms ELSE results.waited_ms END
                 FROM results LEFT JOIN answers ON answers.id = results.answer
                 WHERE run = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq",
            )
            .map_err(failed)?;
        let mut rows = statement
            .query(params![run.0, from as i64, to as i64])
            .map_err(failed)?;
        let mut results = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            results.push(self.result(row)?);
        }
        Ok(results)
    }

    fn result(&self, row: &rusqlite::Row<'_>) -> Result<StoredResult, StoreError> {
        let failed = |error| self.failed("read a result", error);
        let unreadable =
            |error: serde_json::Error| StoreError::new(&self.path, format!("holds an unreadable result: {error}"));
        let seq: i64 = row.get(0).map_err(failed)?;
        let source = row.get_ref(1).and_then(|value| Ok(value.as_str()?)).map_err(failed)?;
        let attempts: Option<u32> = row.get(2).map_err(failed)?;
        let asked_at: Option<i64> = row.get(5).map_err(failed)?;
        let imported: Option<bool> = row.get(6).map_err(failed)?;
        let waited_ms: Option<i64> = row.get(7).map_err(failed)?;
        let answer = row
            .get_ref(4)
            .and_then(|value| Ok(value.as_str_or_null()?))
            .map_err(failed)?;
        let result = match answer {
            Some(answer) => Ok(serde_json::from_str(answer).map_err(unreadable)?),
            None => {
                let failure = row.get_ref(3).and_then(|value| Ok(value.as_str()?)).map_err(failed)?;
                Err(serde_json::from_str(failure).map_err(unreadable)?)
            }
        };
        let source = source_from(source)
            .ok_or_else(|| StoreError::new(&self.path, format!("holds an answer of the unknown source `{source}`")))?;
        Ok(StoredResult {
            seq: seq as u64,
            result,
            source,
            // A failure that was found in no cache has made none.
            attempts: attempts.unwrap_or(0),
            waited_ms: waited_ms.and_then(|waited_ms| u64::try_from(waited_ms).ok()),
            asked_at,
            imported: imported.unwrap_or(false),
        })
    }

    /// The mean number of output tokens, thinking included, of the newest answers that a target's model gave to a prompt of
    /// this name, and how many those are; `None` without any.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn mean_output(&self, prompt: &str, model: &str, target: &str) -> Result<Option<(f64, u64)>, StoreError> {
        let (mean, answers): (Option<f64>, i64) = self
            .connection
            .query_row(
                "SELECT avg(tokens), count(tokens) FROM (
                   SELECT DISTINCT answers.id, json_extract(answers.answer, '$.usage.output')
                                             + json_extract(answers.answer, '$.usage.thinking') AS tokens
                   FROM (SELECT id, candidate, baseline FROM runs
                         WHERE (candidate = ?1 OR baseline = ?1) AND target = ?3 ORDER BY id DESC LIMIT 20) AS newest
                   JOIN results ON results.run = newest.id
                   JOIN answers ON answers.id = results.answer
                   WHERE answers.model = ?2 AND answers.target = ?3
                     AND CASE results.arm WHEN 'baseline' THEN newest.baseline ELSE newest.candidate END = ?1
                   ORDER BY answers.id DESC LIMIT 5000)",
                params![prompt, model, target],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(|error| self.failed("look up earlier answers", error))?;
        Ok(mean.map(|mean| (mean, answers.unsigned_abs())))
    }

    /// Mean output tokens, thinking included, of a judge's newest replies that runs went by, and how many those are; `None` if
    /// there are none. `prompt` is the name of the judge's prompt.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn mean_reply(&self, prompt: &str, model: &str, target: &str) -> Result<Option<(f64, u64)>, StoreError> {
        let (mean, replies): (Option<f64>, i64) = self
            .connection
            .query_row(
                "SELECT avg(tokens), count(tokens) FROM (
                   SELECT DISTINCT answers.id, json_extract(answers.answer, '$.usage.output')
                                             + json_extract(answers.answer, '$.usage.thinking') AS tokens
                   FROM replies JOIN answers ON answers.id = replies.answer
                   WHERE replies.prompt = ?1 AND answers.model = ?2 AND answers.target = ?3
                   ORDER BY answers.id DESC LIMIT 5000)",
                params![prompt, model, target],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(|error| self.failed("look up earlier replies", error))?;
        Ok(mean.map(|mean| (mean, replies.unsigned_abs())))
    }

    /// Notes which cases of the candidate a run judged and did not pass, each with `fail` or `error`; forgets what was noted
    /// of them before.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn note_not_passed<'a>(
        &self,
        run: RunId,
        judged: impl IntoIterator<Item = (&'a str, Option<&'static str>)>,
    ) -> Result<(), StoreError> {
        let failed = |error| self.failed("note outcomes", error);
        let transaction = self.connection.unchecked_transaction().map_err(failed)?;
        {
            let mut note = transaction
                .prepare_cached("INSERT OR REPLACE INTO not_passed (run, case_id, outcome) VALUES (?1, ?2, ?3)")
                .map_err(failed)?;
            let mut forget = transaction
                .prepare_cached("DELETE FROM not_passed WHERE run = ?1 AND case_id = ?2")
                .map_err(failed)?;
            for (case, outcome) in judged {
                match outcome {
                    Some(outcome) => note.execute(params![run.0, case, outcome]),
                    None => forget.execute(params![run.0, case]),
                }
                .map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)
    }

    /// The cases that did not pass in a run: the one with this number, else the newest of this candidate that was judged.
    /// `None` without such a run.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn not_passed(&self, candidate: &str, number: Option<i64>) -> Result<Option<(i64, Vec<String>)>, StoreError> {
        let failed = |error| self.failed("look up the cases that failed", error);
        let run: Option<i64> = match number {
            Some(number) => self
                .connection
                .query_row(
                    "SELECT id FROM runs WHERE id = ?1 AND ended IS NOT NULL",
                    [number],
                    |row| row.get(0),
                )
                .optional(),
            None => self
                .connection
                .query_row(
                    "SELECT id FROM runs WHERE candidate = ?1 AND ended IS NOT NULL ORDER BY id DESC LIMIT 1",
                    [candidate],
                    |row| row.get(0),
                )
                .optional(),
        }
        .map_err(failed)?;
        let Some(run) = run else { return Ok(None) };
        let mut statement = self
            .connection
            .prepare("SELECT case_id FROM not_passed WHERE run = ?1 ORDER BY case_id")
            .map_err(failed)?;
        let cases = statement
            .query_map([run], |row| row.get(0))
            .and_then(Iterator::collect)
            .map_err(failed)?;
        Ok(Some((run, cases)))
    }

    /// A writer with its own connection and thread. `target` and `reusable` describe all answers of this run.
    ///
    /// # Errors
    /// The store can't be opened a second time.
    pub fn writer(&self, run: RunId, target: &str, reusable: bool) -> Result<Writer, StoreError> {
        let connection = open::connect(&self.path)?;
        Writer::start(connection, Part::Results(run), target.to_owned(), reusable)
            .map_err(|error| StoreError::new(&self.path, format!("its writer can't start: {error}")))
    }

    /// A writer of replies of judges, which a run goes by and which are kept for whoever asks the same. `prompt` is the name
    /// of the judge's prompt.
    ///
    /// # Errors
    /// The store can't be opened a second time.
    pub fn replies(&self, run: RunId, prompt: &str, target: &str, reusable: bool) -> Result<Writer, StoreError> {
        let connection = open::connect(&self.path)?;
        Writer::start(
            connection,
            Part::Replies(run, prompt.to_owned()),
            target.to_owned(),
            reusable,
        )
        .map_err(|error| StoreError::new(&self.path, format!("its writer can't start: {error}")))
    }

    /// A judge's stored reply to a job, see [`Store::cached`], noted as one that the run goes by; and whether it was imported.
    /// `prompt` is the name of the judge's prompt.
    ///
    /// # Errors
    /// The store can't be read or written, or holds something this version can't read.
    pub fn reply(&self, run: RunId, prompt: &str, job: &Job) -> Result<Option<(Answer, bool)>, StoreError> {
        let Some(cached) = self.cached(job)? else {
            return Ok(None);
        };
        let (text, imported): (String, bool) = self
            .connection
            .prepare_cached("SELECT answer, imported FROM answers WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([cached.answer], |row| Ok((row.get(0)?, row.get(1)?))))
            .map_err(|error| self.failed("read an answer", error))?;
        self.connection
            .prepare_cached(NOTE_REPLY)
            .and_then(|mut statement| statement.execute(params![run.0, cached.answer, prompt, job.repeat]))
            .map_err(|error| self.failed("note a reply", error))?;
        serde_json::from_str(&text)
            .map(|answer| Some((answer, imported)))
            .map_err(|error| StoreError::new(&self.path, format!("holds an unreadable answer: {error}")))
    }

    fn failed(&self, doing: &str, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, doing, &error)
    }
}

/// Notes a reply that a run goes by.
const NOTE_REPLY: &str = "INSERT OR IGNORE INTO replies (run, answer, prompt, vote) VALUES (?1, ?2, ?3, ?4)";

fn source_name(source: Source) -> &'static str {
    match source {
        Source::Live => "live",
        Source::Cache => "cache",
        Source::Recorded => "recorded",
    }
}

fn source_from(name: &str) -> Option<Source> {
    [Source::Live, Source::Cache, Source::Recorded]
        .into_iter()
        .find(|source| source_name(*source) == name)
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod tests;
