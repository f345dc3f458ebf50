//! Answers from files: JSONL rows that someone recorded earlier, with this tool or another.
//!
//! All files are read and checked once, up front. Kept in memory is an index only (a digest of case, prompt and repeat to
//! the place of the row, about 48 bytes a row); the row itself is read when its job asks for it, and must not have
//! changed by then.

mod definition;

pub(crate) use definition::PROVIDER;

use super::api::{BoxFuture, Provider, ProviderError, Retry};
use crate::domain::{
    Answer, Arm, FailureKind, Finish, Job, Place, Problem, Problems, Source, ToolCall, Usage, digest, hex,
};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of one row at most.
const LONGEST_ROW: usize = 32 << 20;

/// The names under which an arm's rows may stand, most specific first: the prompt as typed, its file's stem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArmNames {
    /// Empty without a baseline.
    pub baseline: Vec<String>,
    pub candidate: Vec<String>,
}

impl ArmNames {
    fn of(&self, arm: Arm) -> &[String] {
        match arm {
            Arm::Baseline => &self.baseline,
            Arm::Candidate => &self.candidate,
        }
    }

    /// Drops stems that mean both arms (`git:main:v2` and `v2` are both `v2`): else one arm's answers would stand in for
    /// the other's. What was typed stays, also when it is the same prompt twice.
    fn unambiguous(self) -> ArmNames {
        let without = |names: &[String], others: &[String]| {
            let own = |(at, name): &(usize, &String)| *at == 0 || !others.contains(name);
            names.iter().enumerate().filter(own).map(|(_, name)| name.clone()).collect()
        };
        ArmNames {
            baseline: without(&self.baseline, &self.candidate),
            candidate: without(&self.candidate, &self.baseline),
        }
    }

    fn contain(&self, prompt: &str) -> bool {
        self.baseline.iter().chain(&self.candidate).any(|name| name == prompt)
    }
}

/// Recorded answers of the two arms.
#[derive(Debug)]
pub(crate) struct Recorded {
    names: ArmNames,
    files: Vec<Recording>,
    index: HashMap<RowKey, RowPlace>,
    sha256: String,
}

#[derive(Debug)]
struct Recording {
    name: Arc<str>,
    file: Mutex<File>,
}

/// Half a digest: enough that no two of a billion rows meet.
type RowKey = [u8; 16];

/// Where a row stands, and what its bytes were.
#[derive(Debug)]
struct RowPlace {
    offset: u64,
    hash: u64,
    length: u32,
    file: u16,
    /// Saturates; for messages only.
    line: u32,
}

/// One row as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    #[serde(borrow)]
    case: RowId<'a>,
    #[serde(borrow)]
    prompt: Cow<'a, str>,
    repeat: Option<u32>,
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(default)]
    tool_calls: Vec<ToolCall>,
    /// Without one the answer is complete; an explicit null says that the service gave none.
    #[serde(default, deserialize_with = "given")]
    finish_reason: Option<Option<String>>,
    #[serde(default)]
    latency_ms: u64,
    #[serde(default)]
    usage: Usage,
}

/// Tells null from absent.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// Ids are texts or integers in golden data, so they are here.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`case` is neither a text nor an integer")]
enum RowId<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Integer(i64),
}

impl RowId<'_> {
    fn as_text(&self) -> Cow<'_, str> {
        match self {
            RowId::Text(text) => Cow::Borrowed(text),
            RowId::Integer(integer) => Cow::Owned(integer.to_string()),
        }
    }
}

impl Recorded {
    /// Reads and checks all files. Rows of other prompts are checked too, but not kept.
    ///
    /// # Errors
    /// Every mistake with file, line and column: unreadable files, rows that are not JSON objects, unknown keys, wrong
    /// types, two rows for the same case, prompt and repeat.
    pub(crate) fn open(files: &[PathBuf], names: ArmNames) -> Result<Recorded, Problems> {
        let mut reader = Reader {
            names: names.unambiguous(),
            index: HashMap::new(),
            counted: HashMap::new(),
            digest: Sha256::new(),
            problems: Problems::default(),
        };
        let mut recordings: Vec<Recording> = Vec::new();
        for path in files {
            let name: Arc<str> = path.display().to_string().into();
            match u16::try_from(recordings.len()) {
                Ok(number) => match reader.read(path, &name, number, &recordings) {
                    Ok(file) => recordings.push(Recording { name, file: Mutex::new(file) }),
                    Err(cause) => reader
                        .problems
                        .push(Problem::at(Place::file(name), format!("recorded answers can't be read: {cause}"))),
                },
                Err(_) => reader.problems.push(Problem::new("more than 65536 files of recorded answers")),
            }
        }
        reader.problems.or(Recorded {
            sha256: hex(reader.digest.finalize()),
            names: reader.names,
            files: recordings,
            index: reader.index,
        })
    }

    /// SHA-256 over the rows of all files, in order, as hexadecimal digits.
    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }

    fn look_up(&self, job: &Job) -> Result<Answer, ProviderError> {
        let names = self.names.of(job.arm);
        let place = names
            .iter()
            .find_map(|name| self.index.get(&row_key(job.case.as_str(), name, job.repeat)))
            .ok_or_else(|| missing(job, names))?;
        self.row_at(place).map_err(|message| {
            ProviderError::new(FailureKind::Missing, "recorded_answer_changed", message, Retry::Never)
        })
    }

    /// Reads a row again. Rows are small and were just read, so the file's pages are in memory, and a blocking read is
    /// cheaper than handing it to another thread.
    fn row_at(&self, place: &RowPlace) -> Result<Answer, String> {
        let Some(recording) = self.files.get(usize::from(place.file)) else {
            return Err("the recorded answer's file is not open".to_owned());
        };
        let at = format!("{}:{}", recording.name, place.line);
        let mut bytes = vec![0; place.length as usize];
        let read = {
            let mut file = recording.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(place.offset)).and_then(|_| file.read_exact(&mut bytes))
        };
        read.map_err(|cause| format!("{at}: the recorded answer can't be read any more: {cause}"))?;
        if hash_of(&bytes) != place.hash {
            return Err(format!("{at}: the recorded answer changed after it was checked"));
        }
        let row: Row<'_> = serde_json::from_slice(&bytes).map_err(|cause| format!("{at}: {cause}"))?;
        Ok(row.into_answer())
    }
}

impl Provider for Recorded {
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async { self.look_up(job) })
    }

    fn source(&self) -> Source {
        Source::Recorded
    }
}

impl Row<'_> {
    fn into_answer(self) -> Answer {
        Answer {
            text: self.text.into_owned(),
            tool_calls: self.tool_calls,
            finish: self.finish_reason.is_none().then_some(Finish::Complete),
            finish_reason: self.finish_reason.flatten(),
            block_reason: None,
            model_version: None,
            usage: self.usage,
            latency_ms: self.latency_ms,
            first_token_ms: None,
            details: None,
            batched: false,
            simulated: false,
        }
    }
}

/// Reads files into an index.
struct Reader {
    names: ArmNames,
    index: HashMap<RowKey, RowPlace>,
    /// Rows without `repeat` seen so far, by case and prompt.
    counted: HashMap<RowKey, u32>,
    digest: Sha256,
    problems: Problems,
}

impl Reader {
    fn read(&mut self, path: &Path, name: &Arc<str>, number: u16, earlier: &[Recording]) -> std::io::Result<File> {
        // Anything else, a pipe say, could block for ever, and could not be read a second time.
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("it is not a regular file"));
        }
        let file = File::open(path)?;
        let mut lines = BufReader::with_capacity(1 << 16, file);
        let mut bytes = Vec::new();
        let mut offset = 0;
        let mut line = 0;
        loop {
            bytes.clear();
            let length = (&mut lines).take(LONGEST_ROW as u64 + 1).read_until(b'\n', &mut bytes)?;
            if length == 0 {
                return Ok(lines.into_inner());
            }
            if length > LONGEST_ROW {
                let message = format!("a row is longer than {} MiB", LONGEST_ROW >> 20);
                self.problems.push(Problem::at(Place::at(name.clone(), line + 1, 0), message));
                return Ok(lines.into_inner());
            }
            line = line.saturating_add(1);
            // Editors on Windows put a byte order mark in front of a file.
            let mark = if line == 1 && bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
            let row = bytes[mark..].trim_ascii_end();
            if !row.trim_ascii_start().is_empty() {
                let place = RowPlace {
                    offset: offset + mark as u64,
                    hash: hash_of(row),
                    length: row.len() as u32,
                    file: number,
                    line,
                };
                self.digest.update((row.len() as u64).to_le_bytes());
                self.digest.update(row);
                if let Err(problem) = self.row(row, name, place, earlier) {
                    self.problems.push(problem);
                }
            }
            offset += length as u64;
        }
    }

    /// Checks one row and notes its place.
    fn row(&mut self, bytes: &[u8], name: &Arc<str>, place: RowPlace, earlier: &[Recording]) -> Result<(), Problem> {
        let line = place.line;
        let at = |column: usize| {
            let before = &bytes[..column.saturating_sub(1).min(bytes.len())];
            let characters = String::from_utf8_lossy(before).chars().count();
            Place::at(name.clone(), line, characters as u32 + 1)
        };
        let row = checked(bytes).map_err(|(column, message)| {
            Problem::at(at(column), message).expected(
                "{\"case\": .., \"prompt\": .., \"text\": ..} and optional repeat, tool_calls, finish_reason, latency_ms, usage",
            )
        })?;
        let (case, prompt) = (row.case.as_text(), row.prompt.as_ref());
        if !self.names.contain(prompt) {
            return Ok(());
        }
        let repeat = match row.repeat {
            Some(repeat) => repeat,
            None => {
                let counted = self.counted.entry(row_key(&case, prompt, 0)).or_default();
                *counted += 1;
                *counted
            }
        };
        match self.index.entry(row_key(&case, prompt, repeat)) {
            Entry::Vacant(free) => {
                free.insert(place);
                Ok(())
            }
            Entry::Occupied(taken) => {
                let first = taken.get();
                let file = earlier.get(usize::from(first.file)).map_or(name, |recording| &recording.name);
                Err(Problem::at(
                    at(1),
                    format!("a second answer for case `{case}`, prompt `{prompt}`, repeat {repeat}"),
                )
                .hint(format!("the first one stands in {file}:{}", first.line)))
            }
        }
    }
}

/// Reads a row strictly. The error has the column in bytes, from 1.
fn checked(bytes: &[u8]) -> Result<Row<'_>, (usize, String)> {
    // A derived reader would also take an array for an object, field by field.
    let blank = bytes.len() - bytes.trim_ascii_start().len();
    if bytes.get(blank) != Some(&b'{') {
        return Err((blank + 1, "the row is not a json object".to_owned()));
    }
    let row: Row<'_> = serde_json::from_slice(bytes).map_err(|cause| {
        let message = cause.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
        (cause.column().max(1), message.to_owned())
    })?;
    if row.repeat == Some(0) {
        return Err((blank + 1, "`repeat` is 0; repeats count from 1".to_owned()));
    }
    Ok(row)
}

fn missing(job: &Job, names: &[String]) -> ProviderError {
    let message =
        format!("no recorded answer for case `{}`, prompt `{}`, repeat {}", job.case, names.join("` or `"), job.repeat);
    ProviderError::new(FailureKind::Missing, "no_recorded_answer", message, Retry::Never)
}

fn row_key(case: &str, prompt: &str, repeat: u32) -> RowKey {
    let whole = digest([case.as_bytes(), prompt.as_bytes(), &repeat.to_le_bytes()]);
    let mut half = RowKey::default();
    half.copy_from_slice(&whole[..16]);
    half
}

/// Tells changed bytes from unchanged ones within one run; not a defence against someone who wants to deceive.
fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
