//! One SQLite file, `.promptgate/store.sqlite`: every answer is written once, as it arrives. Cache, resume and reports are
//! queries on it.
//!
//! - `mod.rs` opens the file, and answers queries on a connection of its own.
//! - [`Writer`] owns the second connection on a thread of its own and commits arrivals in groups: whatever has queued up
//!   while the last transaction ran goes into the next one.
//! - `batches.rs` notes the batch jobs that wait at the service.
//! - `record.rs` reads and writes answers as they travel between stores.
//! - `history.rs` remembers what runs were and came to, `outcomes.rs` how each of their answers was judged.
//! - `looks.rs` notes the looks that count, `sightings.rs` which answers somebody could see.
//!
//! Every method fails where the file can't be read or written, or holds what this version can't read.
//!
//! The journal is a write-ahead log with `synchronous = NORMAL`: a committed answer survives a kill of the process at any
//! point. Two processes may use the file at once; each write waits up to `BUSY` for the other.

mod batches;
mod history;
mod looks;
mod open;
mod outcomes;
mod record;
mod sightings;
mod writer;

pub use batches::{RunInUse, WaitingBatch};
pub use history::Subject;
pub use looks::Series;
pub use open::StoreError;
pub use outcomes::{CaseDifferences, CaseSample, Noise};
pub use record::{ImportOutcome, Record};
pub use sightings::Questions;
use writer::Part;
pub use writer::Writer;

use crate::domain::{Answer, Failure, Job, Source, Words};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, Row, Transaction, params};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub struct Store {
    connection: Connection,
    folder: PathBuf,
    path: PathBuf,
}

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
pub struct RunPlan {
    pub plan: [u8; 32],
    pub candidate: String,
    pub baseline: Option<String>,
    pub target: String,
    pub answers: u64,
}

/// How a run ended, for the run's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStatus {
    /// Every planned answer is there.
    Complete,
    /// Some answers are missing; `--resume` asks for them.
    Incomplete,
}

/// A run that this process works on. No other process can resume it meanwhile.
#[derive(Debug)]
pub struct OpenRun {
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
pub struct CachedAnswer {
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

impl CachedAnswer {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<CachedAnswer> {
        Ok(CachedAnswer { answer: row.get(0)?, created_at: row.get(1)? })
    }
}

impl Store {
    /// Opens the store in `folder`, creating both as needed.
    ///
    /// # Errors
    /// The folder or file can't be written, the file is no store, is damaged, is of a newer version, or another process
    /// holds it for longer than `BUSY`.
    pub fn open(folder: &Path) -> Result<Store, StoreError> {
        let path = folder.join("store.sqlite");
        let connection = open::open(folder, &path)?;
        Ok(Store { connection, folder: folder.to_owned(), path })
    }

    /// Opens the store in `folder` if there is one; creates nothing.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_existing(folder: &Path) -> Result<Option<Store>, StoreError> {
        if folder.join("store.sqlite").exists() { Store::open(folder).map(Some) } else { Ok(None) }
    }

    pub fn begin(&self, planned: &RunPlan) -> Result<OpenRun, StoreError> {
        let RunPlan { plan, candidate, baseline, target, answers } = planned;
        let id = self.row(
            "start a run",
            "INSERT INTO runs (plan, candidate, baseline, target, planned, started_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id",
            params![plan, candidate, baseline, target, *answers as i64, now()],
            |row| row.get(0),
        )?;
        self.lock(RunId(id), 0)?.ok_or_else(|| StoreError::new(&self.path, "a new run is locked already"))
    }

    /// Continues the newest run of the same plan, if it is unfinished and no other process works on it.
    pub fn resume(&self, plan: &[u8; 32]) -> Result<Option<OpenRun>, StoreError> {
        let run = self.optional_row(
            "look for a run to resume",
            "SELECT id, ended, (SELECT count(*) FROM results WHERE run = runs.id AND answer IS NOT NULL)
             FROM runs WHERE plan = ?1 ORDER BY id DESC LIMIT 1",
            [plan],
            |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?, count(row, 2)?)),
        )?;
        match run {
            Some((id, ended, resumed)) if ended.as_deref() != Some("complete") => self.lock(RunId(id), resumed),
            Some(_) | None => Ok(None),
        }
    }

    fn lock(&self, id: RunId, resumed: u64) -> Result<Option<OpenRun>, StoreError> {
        let lock_path = self.folder.join(format!("run-{}.lock", id.0));
        let lock = File::create(&lock_path)
            .map_err(|error| StoreError::new(&lock_path, format!("can't be created: {error}")))?;
        Ok(lock.try_lock().is_ok().then_some(OpenRun { id, resumed, lock, lock_path }))
    }

    pub fn end(&self, run: &OpenRun, ended: RunStatus) -> Result<(), StoreError> {
        let word = match ended {
            RunStatus::Complete => "complete",
            RunStatus::Incomplete => "incomplete",
        };
        let sql = "UPDATE runs SET ended = ?2, ended_at = ?3 WHERE id = ?1";
        self.execute("end a run", sql, params![run.id.0, word, now()])
    }

    /// The newest reusable answer with the identity of a job; one of this store's own before an imported one. An imported
    /// row must also say openly what it answers: case and model of the job. An answer that came within a [`DAY`] of an earlier
    /// one does not replace it, or a baseline could be requested under throwaway candidates until it looks weak.
    pub fn cached(&self, job: &Job) -> Result<Option<CachedAnswer>, StoreError> {
        self.optional_row(
            "look up an answer",
            "SELECT id, created_at FROM answers WHERE key = ?1 AND reusable AND case_id = ?2 AND model = ?3
               AND NOT EXISTS (SELECT 1 FROM answers earlier WHERE earlier.key = ?1 AND earlier.reusable
                 AND earlier.imported = answers.imported AND earlier.case_id = ?2 AND earlier.model = ?3
                 AND earlier.id < answers.id AND earlier.created_at >= answers.created_at - ?4)
             ORDER BY imported, id DESC LIMIT 1",
            params![job.key, job.case.as_str(), job.request.model, DAY],
            CachedAnswer::from_row,
        )
    }

    /// The newest answer there is; 0 without any. Answers that come later have greater numbers.
    pub fn newest_answer(&self) -> Result<i64, StoreError> {
        self.row("look up the newest answer", "SELECT coalesce(max(id), 0) FROM answers", [], |row| row.get(0))
    }

    /// The answer that the run has at this position already, if it came from the target of that identity.
    pub fn answered(&self, run: i64, seq: u64, target: &str) -> Result<Option<CachedAnswer>, StoreError> {
        self.optional_row(
            "look up a result",
            "SELECT answers.id, answers.created_at FROM results JOIN answers ON answers.id = results.answer
             WHERE run = ?1 AND seq = ?2 AND answers.target = ?3",
            params![run, seq as i64, target],
            CachedAnswer::from_row,
        )
    }

    /// The results of a run at positions `from..to`, in order; positions without a result are left out. The caller bounds
    /// the memory by the length of the range.
    pub fn results(&self, run: RunId, from: u64, to: u64) -> Result<Vec<StoredResult>, StoreError> {
        self.rows(
            "read results",
            "SELECT seq, results.source, CASE results.source WHEN 'cache' THEN answers.attempts ELSE results.attempts END,
                    failure, answers.answer, answers.created_at, answers.imported,
                    CASE results.source WHEN 'cache' THEN answers.waited_ms ELSE results.waited_ms END
             FROM results LEFT JOIN answers ON answers.id = results.answer
             WHERE run = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq",
            params![run.0, from as i64, to as i64],
            |row| {
                let result = match row.get::<_, Option<Json<Answer>>>(4)? {
                    Some(answer) => Ok(answer.0),
                    None => Err(row.get::<_, Json<Failure>>(3)?.0),
                };
                Ok(StoredResult {
                    seq: count(row, 0)?,
                    result,
                    source: row.get::<_, Word<Source>>(1)?.0,
                    // A cache miss that failed sent nothing.
                    attempts: row.get::<_, Option<u32>>(2)?.unwrap_or(0),
                    asked_at: row.get(5)?,
                    imported: row.get::<_, Option<bool>>(6)?.unwrap_or(false),
                    waited_ms: row.get::<_, Option<i64>>(7)?.map(i64::unsigned_abs),
                })
            },
        )
    }

    /// Mean output tokens, thinking included, of the newest answers that a target's model gave to a prompt of this name, and how
    /// many those are; `None` without any.
    pub fn mean_output(&self, prompt: &str, model: &str, target: &str) -> Result<Option<(f64, u64)>, StoreError> {
        let newest = "(SELECT id, candidate, baseline FROM runs
                       WHERE (candidate = ?1 OR baseline = ?1) AND target = ?3 ORDER BY id DESC LIMIT 20) AS newest
                      JOIN results ON results.run = newest.id
                        AND CASE results.arm WHEN 'baseline' THEN newest.baseline ELSE newest.candidate END = ?1
                      JOIN answers ON answers.id = results.answer";
        self.mean_tokens(newest, [prompt, model, target])
    }

    /// Mean output tokens, thinking included, of a judge's newest replies that runs went by, and how many those are; `None`
    /// without any. `prompt` is the name of the judge's prompt.
    pub fn mean_reply(&self, prompt: &str, model: &str, target: &str) -> Result<Option<(f64, u64)>, StoreError> {
        let replies = "replies JOIN answers ON answers.id = replies.answer AND replies.prompt = ?1";
        self.mean_tokens(replies, [prompt, model, target])
    }

    fn mean_tokens(&self, from: &str, parameters: [&str; 3]) -> Result<Option<(f64, u64)>, StoreError> {
        let (mean, answers): (Option<f64>, u64) = self.row(
            "look up earlier answers",
            &format!(
                "SELECT avg(tokens), count(tokens) FROM (
                   SELECT DISTINCT answers.id, json_extract(answers.answer, '$.usage.output')
                                             + json_extract(answers.answer, '$.usage.thinking') AS tokens
                   FROM {from} WHERE answers.model = ?2 AND answers.target = ?3
                   ORDER BY answers.id DESC LIMIT 5000)"
            ),
            parameters,
            |row| Ok((row.get(0)?, count(row, 1)?)),
        )?;
        Ok(mean.map(|mean| (mean, answers)))
    }

    /// Notes which cases of the candidate a run judged and did not pass, each with `fail` or `error`; forgets what was noted
    /// of them before.
    pub fn note_not_passed<'a>(
        &self,
        run: RunId,
        judged: impl IntoIterator<Item = (&'a str, Option<&'static str>)>,
    ) -> Result<(), StoreError> {
        self.transact("note outcomes", |transaction| {
            let mut note = transaction
                .prepare_cached("INSERT OR REPLACE INTO not_passed (run, case_id, outcome) VALUES (?1, ?2, ?3)")?;
            let mut forget = transaction.prepare_cached("DELETE FROM not_passed WHERE run = ?1 AND case_id = ?2")?;
            for (case, outcome) in judged {
                match outcome {
                    Some(outcome) => note.execute(params![run.0, case, outcome])?,
                    None => forget.execute(params![run.0, case])?,
                };
            }
            Ok(())
        })
    }

    /// The cases that did not pass in a run: the one with this number, else the newest of this candidate that was judged.
    /// `None` without such a run.
    pub fn not_passed(&self, candidate: &str, number: Option<i64>) -> Result<Option<(i64, Vec<String>)>, StoreError> {
        let run = self.optional_row(
            "look up the cases that failed",
            "SELECT id FROM runs WHERE iif(?2 IS NULL, candidate = ?1, id = ?2) AND ended IS NOT NULL
             ORDER BY id DESC LIMIT 1",
            params![candidate, number],
            |row| row.get(0),
        )?;
        let Some(run) = run else { return Ok(None) };
        let sql = "SELECT case_id FROM not_passed WHERE run = ?1 ORDER BY case_id";
        Ok(Some((run, self.rows("look up the cases that failed", sql, [run], |row| row.get(0))?)))
    }

    /// A writer with its own connection and thread. `targets` are the identities of what answers in the baseline and in the
    /// candidate; `reusable` describes all answers of this run.
    pub fn writer(&self, run: RunId, targets: [&str; 2], reusable: bool) -> Result<Writer, StoreError> {
        self.start_writer(Part::Results(run), targets, reusable)
    }

    /// A writer of replies of judges, which a run goes by and which are kept for whoever asks the same. `prompt` is the name
    /// of the judge's prompt.
    pub fn replies(&self, run: RunId, prompt: &str, target: &str, reusable: bool) -> Result<Writer, StoreError> {
        self.start_writer(Part::Replies(run, prompt.to_owned()), [target; 2], reusable)
    }

    fn start_writer(&self, part: Part, targets: [&str; 2], reusable: bool) -> Result<Writer, StoreError> {
        let connection = open::connect(&self.path)?;
        Writer::start(connection, part, targets.map(str::to_owned), reusable)
            .map_err(|error| StoreError::new(&self.path, format!("its writer can't start: {error}")))
    }

    /// A judge's stored reply to a job, see [`Store::cached`], noted as one that the run goes by; and whether it was imported.
    /// `prompt` is the name of the judge's prompt.
    pub fn reply(&self, run: RunId, prompt: &str, job: &Job) -> Result<Option<(Answer, bool)>, StoreError> {
        let Some(cached) = self.cached(job)? else {
            return Ok(None);
        };
        let sql = "SELECT answer, imported FROM answers WHERE id = ?1";
        let read = |row: &Row<'_>| Ok((row.get::<_, Json<Answer>>(0)?, row.get(1)?));
        let (answer, imported) = self.row("read an answer", sql, [cached.answer], read)?;
        self.execute("note a reply", NOTE_REPLY, params![run.0, cached.answer, prompt, job.repeat])?;
        Ok(Some((answer.0, imported)))
    }

    fn rows<T>(
        &self,
        doing: &str,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(parameters, read)?.collect())
            .map_err(|error| self.failed(doing, error))
    }

    /// The first row of a query, if there is one.
    fn optional_row<T>(
        &self,
        doing: &str,
        sql: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(parameters, read).optional())
            .map_err(|error| self.failed(doing, error))
    }

    /// The row of a query that always has one.
    fn row<T>(
        &self,
        doing: &str,
        sql: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.optional_row(doing, sql, parameters, read)?
            .ok_or_else(|| self.failed(doing, rusqlite::Error::QueryReturnedNoRows))
    }

    fn execute(&self, doing: &str, sql: &str, parameters: impl Params) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(parameters))
            .map(|_| ())
            .map_err(|error| self.failed(doing, error))
    }

    fn transact(
        &self,
        doing: &str,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let transaction = self.connection.unchecked_transaction().map_err(|error| self.failed(doing, error))?;
        write(&transaction).and_then(|()| transaction.commit()).map_err(|error| self.failed(doing, error))
    }

    fn failed(&self, doing: &str, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, doing, &error)
    }
}

/// Notes a reply that a run goes by.
/// Seconds that two answers of a pair may lie apart; more would charge the service's drift to the candidate. An answer stands as
/// long, whatever comes after it.
pub const DAY: i64 = 86_400;

const NOTE_REPLY: &str = "INSERT OR IGNORE INTO replies (run, answer, prompt, vote) VALUES (?1, ?2, ?3, ?4)";

struct Json<T>(T);

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Json<T>> {
        serde_json::from_str(value.as_str()?).map(Json).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// A column that holds a word of an enum.
struct Word<T>(T);

impl<T: Words> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Word<T>> {
        let word = value.as_str()?;
        let found = T::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, value)| Word(*value)).ok_or(FromSqlError::InvalidType)
    }
}

/// A column that holds no negative number.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

/// SQLite's integers are signed.
fn milliseconds(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod tests;
