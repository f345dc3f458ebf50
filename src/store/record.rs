//! Stored answers as they travel from one store to another: one JSON object a line, for people to review and for a check
//! without a key to replay.
//!
//! A row shows openly what it answers (case, arm, prompt, repeat, target, model) beside the identity that decides where it
//! is used. What comes in is data from anyone: each row is read strictly and within bounds, and marked as imported for good.

use super::writer::json;
use super::{Json, Store, StoreError, Word, milliseconds, now};
use crate::domain::{Answer, Arm, hex, unhex};
use rusqlite::{OptionalExtension, Transaction, params};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Bytes of a name in a row.
const LONGEST_NAME: usize = 4_096;
/// Repeats, and attempts, that a row may tell of.
const MOST_REPEATS: u32 = 1_000;
/// A clock may be wrong by this much, in seconds.
const CLOCK: i64 = 86_400;
/// 2020-01-01: no answer of this tool is older.
const EARLIEST: i64 = 1_577_836_800;

/// A stored answer on its own. Written as a JSON object with its keys in this order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    pub case: String,
    /// The arm it was in.
    pub arm: Arm,
    /// The prompt's name in that run.
    pub prompt: String,
    /// Which repeat, from 1.
    pub repeat: u32,
    pub target: String,
    pub model: String,
    /// Identity of the answer.
    #[serde(serialize_with = "digits")]
    pub key: [u8; 32],
    /// SHA-256 of the body as it was sent.
    #[serde(serialize_with = "digits")]
    pub request: [u8; 32],
    pub attempts: u32,
    /// Milliseconds waited before the successful one; `None` when it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<u64>,
    /// When it was asked for, in seconds since 1970.
    #[serde(serialize_with = "stamp")]
    pub created_at: i64,
    /// It is a judge's reply: `case` is always the same and `arm` says nothing, `prompt` is the judge's, and `repeat` which of
    /// several votes on the same it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reply: bool,
    pub answer: Answer,
}

fn digits<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(bytes))
}

fn stamp<S: Serializer>(seconds: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    let time = OffsetDateTime::from_unix_timestamp(*seconds).map_err(S::Error::custom)?;
    serializer.serialize_str(&time.format(&Rfc3339).map_err(S::Error::custom)?)
}

/// The row as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    case: String,
    arm: Arm,
    prompt: String,
    repeat: u32,
    target: String,
    model: String,
    key: String,
    request: String,
    attempts: u32,
    waited_ms: Option<u64>,
    created_at: String,
    #[serde(default)]
    reply: bool,
    answer: Value,
}

impl Record {
    /// The fields of a row, for messages.
    pub const FIELDS: &'static str =
        "case, arm, prompt, repeat, target, model, key, request, attempts, waited_ms, created_at, reply and answer";

    /// The row.
    ///
    /// # Errors
    /// A sentence why it can't be written; a bug.
    pub fn to_json(&self) -> Result<Value, String> {
        serde_json::to_value(self).map_err(|error| error.to_string())
    }

    /// Reads a row strictly.
    ///
    /// # Errors
    /// Every mistake of the row, in a sentence each.
    pub fn from_json(bytes: &[u8]) -> Result<Record, Vec<String>> {
        // A derived reader would also take an array for an object, field by field.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(vec!["the row is not a json object".to_owned()]);
        }
        let row: Row = serde_json::from_slice(bytes).map_err(|error| vec![plain(&error)])?;
        let mut mistakes = Vec::new();
        for (field, text) in
            [("case", &row.case), ("prompt", &row.prompt), ("target", &row.target), ("model", &row.model)]
        {
            if text.is_empty() || text.len() > LONGEST_NAME {
                mistakes.push(format!("`{field}` is empty or longer than {LONGEST_NAME} bytes"));
            }
        }
        for (field, number) in [("repeat", row.repeat), ("attempts", row.attempts)] {
            if !(1..=MOST_REPEATS).contains(&number) {
                mistakes.push(format!("`{field}` is not a number from 1 to {MOST_REPEATS}"));
            }
        }
        let mut digest = |field: &str, text: &str| {
            unhex(text).unwrap_or_else(|| {
                mistakes.push(format!("`{field}` is not a digest of 64 lower-case hexadecimal digits"));
                [0; 32]
            })
        };
        let (key, request) = (digest("key", &row.key), digest("request", &row.request));
        let created_at = OffsetDateTime::parse(&row.created_at, &Rfc3339).map_or(0, OffsetDateTime::unix_timestamp);
        if !(EARLIEST..=now().saturating_add(CLOCK)).contains(&created_at) {
            mistakes.push("`created_at` is not a time between 2020 and now, like 2026-11-22T10:00:00Z".to_owned());
        }
        let answer = answer(row.answer).unwrap_or_else(|mistake| {
            mistakes.push(mistake);
            Answer::default()
        });
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Record {
            key,
            case: row.case,
            arm: row.arm,
            prompt: row.prompt,
            repeat: row.repeat,
            target: row.target,
            model: row.model,
            request,
            attempts: row.attempts,
            waited_ms: row.waited_ms,
            created_at,
            reply: row.reply,
            answer,
        })
    }
}

/// Reads an answer without ignoring anything: what is written again must hold all that was read.
fn answer(written: Value) -> Result<Answer, String> {
    if !written.is_object() {
        return Err("`answer` is not an object".to_owned());
    }
    let answer: Answer =
        serde_json::from_value(written.clone()).map_err(|error| format!("`answer`: {}", plain(&error)))?;
    let read = serde_json::to_value(&answer).map_err(|error| error.to_string())?;
    match lost(&written, &read) {
        Some(field) => Err(format!("`answer`: unknown field `{field}`")),
        None => Ok(answer),
    }
}

/// A key of the first value that the second one does not have.
fn lost(written: &Value, read: &Value) -> Option<String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            written.iter().find_map(|(key, value)| match (value, read.get(key)) {
                (_, Some(read)) => lost(value, read),
                (Value::Null, None) => None,
                (_, None) => Some(key.clone()),
            })
        }
        (Value::Array(written), Value::Array(read)) => {
            written.iter().zip(read).find_map(|(written, read)| lost(written, read))
        }
        _ => None,
    }
}

/// serde_json's message without its place, which would count from the start of a row.
fn plain(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what).to_owned()
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It is in the store now.
    New,
    /// The very same one was imported before.
    Known,
    /// The store has an answer of its own, which stays in use.
    Own,
}

/// An import that is going on; dropped without [`AnswerImport::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct AnswerImport<'a> {
    store: &'a Store,
    transaction: Transaction<'a>,
}

impl Store {
    /// Hands out the answers of a run by case, arm and repeat, and then the replies of judges that it goes by; an order that
    /// depends on nothing else.
    ///
    /// # Errors
    /// The store can't be read, or holds something this version can't read; the error of `each`.
    pub fn records<E: From<StoreError>>(
        &self,
        run: i64,
        each: &mut dyn FnMut(Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error| self.failed("read answers", error);
        let mut statement = self
            .connection
            .prepare(
                "SELECT answers.key, case_id, arm, CASE arm WHEN 'baseline' THEN runs.baseline ELSE runs.candidate END,
                        repeat, answers.target, model, request, answers.attempts, created_at, answers.answer,
                        answers.waited_ms, 0 AS reply
                 FROM results JOIN answers ON answers.id = results.answer JOIN runs ON runs.id = results.run
                 WHERE results.run = ?1
                 UNION ALL
                 SELECT answers.key, case_id, 'candidate', prompt, vote, answers.target, model, request, answers.attempts,
                        created_at, answers.answer, answers.waited_ms, 1
                 FROM replies JOIN answers ON answers.id = replies.answer
                 WHERE replies.run = ?1
                 ORDER BY reply, case_id, arm, repeat, key",
            )
            .map_err(failed)?;
        let mut rows = statement.query([run]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            each(record(row).map_err(failed)?)?;
        }
        Ok(())
    }

    pub fn importing(&self) -> Result<AnswerImport<'_>, StoreError> {
        let transaction =
            self.connection.unchecked_transaction().map_err(|error| self.failed("import answers", error))?;
        Ok(AnswerImport { store: self, transaction })
    }
}

fn record(row: &rusqlite::Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        key: row.get(0)?,
        case: row.get(1)?,
        arm: row.get::<_, Word<Arm>>(2)?.0,
        prompt: row.get(3)?,
        repeat: row.get(4)?,
        target: row.get(5)?,
        model: row.get(6)?,
        request: row.get(7)?,
        attempts: row.get(8)?,
        created_at: row.get(9)?,
        answer: row.get::<_, Json<Answer>>(10)?.0,
        waited_ms: row.get::<_, Option<i64>>(11)?.map(i64::unsigned_abs),
        reply: row.get(12)?,
    })
}

impl AnswerImport<'_> {
    /// Adds an answer, unless it is there. An answer of the store's own is neither replaced nor hidden.
    pub fn add(&self, record: &Record) -> Result<ImportOutcome, StoreError> {
        self.insert(record).map_err(|error| self.store.failed("import an answer", error))
    }

    fn insert(&self, record: &Record) -> rusqlite::Result<ImportOutcome> {
        let answer = json(&record.answer)?;
        let own = self
            .transaction
            .prepare_cached("SELECT 1 FROM answers WHERE key = ?1 AND reusable AND NOT imported")?
            .exists([record.key])?;
        if own {
            return Ok(ImportOutcome::Own);
        }
        let is_newest = self
            .transaction
            .prepare_cached(
                "SELECT answer = ?2 AND created_at = ?3 AND case_id = ?4 AND model = ?5 FROM answers
                 WHERE key = ?1 AND reusable AND imported ORDER BY id DESC LIMIT 1",
            )?
            .query_row(params![record.key, answer, record.created_at, record.case, record.model], |row| row.get(0))
            .optional()?;
        if is_newest == Some(true) {
            return Ok(ImportOutcome::Known);
        }
        self.transaction
            .prepare_cached(
                "INSERT INTO answers (key, request, case_id, target, model, served, latency_ms, attempts, answer, reusable,
                                      created_at, imported, waited_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10, 1, ?11)",
            )?
            .execute(params![
                record.key,
                record.request,
                record.case,
                record.target,
                record.model,
                record.answer.model_version,
                milliseconds(record.answer.latency_ms),
                record.attempts,
                answer,
                record.created_at,
                record.waited_ms.map(milliseconds),
            ])?;
        Ok(ImportOutcome::New)
    }

    /// Keeps what was added.
    pub fn commit(self) -> Result<(), StoreError> {
        let AnswerImport { store, transaction } = self;
        transaction.commit().map_err(|error| store.failed("import answers", error))
    }
}
