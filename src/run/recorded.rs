//! Answers from files: JSONL rows that someone recorded earlier, with this tool or another.
//!
//! All files are read and checked once, up front. Kept in memory is an index only (a digest of case, prompt and repeat to
//! the place of the row, about 48 bytes a row); the row itself is read when its job asks for it, and must not have
//! changed by then.

use super::target::{Retry, Target, TargetError};
use crate::model::{Answer, Arm, FailureKind, Job, Place, Problem, Problems, Source, ToolCall, Usage, digest};
use serde::Deserialize;
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
    /// Blue; empty without a baseline.
    pub baseline: Vec<String>,
    /// Green.
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
            names
                .iter()
                .enumerate()
                .filter(own)
                .map(|(_, name)| name.clone())
                .collect()
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
pub struct Recorded {
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
    #[serde(default = "complete")]
    finish_reason: Option<String>,
    #[serde(default)]
    latency_ms: u64,
    #[serde(default)]
    usage: Usage,
}

fn complete() -> Option<String> {
    Some("STOP".to_owned())
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
    pub fn open(files: &[PathBuf], names: ArmNames) -> Result<Recorded, Problems> {
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
                    Ok(file) => recordings.push(Recording {
                        name,
                        file: Mutex::new(file),
                    }),
                    Err(cause) => reader.problems.push(Problem::at(
                        Place::file(name),
                        format!("recorded answers can't be read: {cause}"),
                    )),
                },
                Err(_) => reader
                    .problems
                    .push(Problem::new("more than 65536 files of recorded answers")),
            }
        }
        reader.problems.or(Recorded {
            sha256: reader
                .digest
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            names: reader.names,
            files: recordings,
            index: reader.index,
        })
    }

    /// SHA-256 over the rows of all files, in order, as hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// How many answers of the two arms there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// There is no answer of either arm.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn look_up(&self, job: &Job) -> Result<Answer, TargetError> {
        let names = self.names.of(job.arm);
        let place = names
            .iter()
            .find_map(|name| self.index.get(&row_key(job.case.as_str(), name, job.repeat)))
            .ok_or_else(|| missing(job, names))?;
        self.row_at(place)
            .map_err(|message| TargetError::new(FailureKind::Missing, "recorded_answer_changed", message, Retry::Never))
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
            file.seek(SeekFrom::Start(place.offset))
                .and_then(|_| file.read_exact(&mut bytes))
        };
        read.map_err(|cause| format!("{at}: the recorded answer can't be read any more: {cause}"))?;
        if hash_of(&bytes) != place.hash {
            return Err(format!("{at}: the recorded answer changed after it was checked"));
        }
        let row: Row<'_> = serde_json::from_slice(&bytes).map_err(|cause| format!("{at}: {cause}"))?;
        Ok(row.into_answer())
    }
}

impl Target for Recorded {
    async fn answer(&self, job: &Job) -> Result<Answer, TargetError> {
        self.look_up(job)
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
            finish_reason: self.finish_reason,
            block_reason: None,
            model_version: None,
            usage: self.usage,
            latency_ms: self.latency_ms,
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
        let file = File::open(path)?;
        let mut lines = BufReader::with_capacity(1 << 16, file);
        let mut bytes = Vec::new();
        let mut offset = 0;
        let mut line = 0;
        loop {
            bytes.clear();
            let length = (&mut lines)
                .take(LONGEST_ROW as u64 + 1)
                .read_until(b'\n', &mut bytes)?;
            if length == 0 {
                return Ok(lines.into_inner());
            }
            if length > LONGEST_ROW {
                let message = format!("a row is longer than {} MiB", LONGEST_ROW >> 20);
                self.problems
                    .push(Problem::at(Place::at(name.clone(), line + 1, 0), message));
                return Ok(lines.into_inner());
            }
            line = line.saturating_add(1);
            // Editors on Windows put a byte order mark in front of a file.
            let mark = if line == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
                3
            } else {
                0
            };
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
                let file = earlier
                    .get(usize::from(first.file))
                    .map_or(name, |recording| &recording.name);
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
        let message = message
            .rsplit_once(" at line ")
            .map_or(message.as_str(), |(what, _)| what);
        (cause.column().max(1), message.to_owned())
    })?;
    if row.repeat == Some(0) {
        return Err((blank + 1, "`repeat` is 0; repeats count from 1".to_owned()));
    }
    Ok(row)
}

fn missing(job: &Job, names: &[String]) -> TargetError {
    let message = format!(
        "no recorded answer for case `{}`, prompt `{}`, repeat {}",
        job.case,
        names.join("` or `"),
        job.repeat
    );
    TargetError::new(FailureKind::Missing, "no_recorded_answer", message, Retry::Never)
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
mod tests {
    use super::*;
    use crate::model::{CaseId, Request};
    use serde_json::Map;
    use std::fs;

    fn names(baseline: &[&str], candidate: &[&str]) -> ArmNames {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ArmNames {
            baseline: owned(baseline),
            candidate: owned(candidate),
        }
    }

    /// Writes files `0.jsonl`, `1.jsonl`, .. and opens them.
    fn open(folder: &tempfile::TempDir, files: &[&[u8]], names: ArmNames) -> Result<Recorded, String> {
        let paths: Vec<PathBuf> = files
            .iter()
            .enumerate()
            .map(|(number, bytes)| {
                let path = folder.path().join(format!("{number}.jsonl"));
                fs::write(&path, bytes).unwrap();
                path
            })
            .collect();
        let prefix = format!("{}/", folder.path().display());
        Recorded::open(&paths, names).map_err(|problems| problems.to_string().replace(&prefix, ""))
    }

    fn opened(text: &str, names: ArmNames) -> Result<Recorded, String> {
        open(&tempfile::tempdir().unwrap(), &[text.as_bytes()], names)
    }

    fn job(case: &str, arm: Arm, repeat: u32) -> Job {
        let request = Request {
            model: "m".to_owned(),
            system: Vec::new(),
            contents: Vec::new(),
            config: Map::new(),
            json_output: false,
            output_schema: None,
            tools: Vec::new(),
        };
        Job {
            seq: 0,
            case: CaseId::new(case),
            arm,
            repeat,
            request: Arc::new(request),
            body: Arc::from([]),
            key: [0; 32],
        }
    }

    /// The answer's text, or the failure's code.
    fn text(recorded: &Recorded, case: &str, arm: Arm, repeat: u32) -> String {
        match recorded.look_up(&job(case, arm, repeat)) {
            Ok(answer) => answer.text,
            Err(error) => error.failure().code,
        }
    }

    #[test]
    fn rows_are_found_by_case_prompt_and_repeat() {
        let rows = concat!(
            "\u{feff}{\"case\":\"a\",\"prompt\":\"v2\",\"text\":\"first\"}\r\n",
            "\n",
            "  {\"case\":\"a\",\"prompt\":\"v1\",\"text\":\"blue\"}\n",
            "{\"case\":\"a\",\"prompt\":\"v2\",\"text\":\"second\"}\n",
            "{\"case\":\"a\",\"prompt\":\"v2\",\"repeat\":7,\"text\":\"\\u00e9 seventh\"}\n",
            "{\"case\":18,\"prompt\":\"v2\",\"text\":\"an integer\"}\n",
            "{\"case\":\"a\",\"prompt\":\"v3\",\"text\":\"nobody's\"}"
        );
        let recorded = opened(rows, names(&["v1"], &["prompts/v2.prompt", "v2"])).unwrap();
        assert_eq!(recorded.len(), 5);
        assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "first");
        assert_eq!(text(&recorded, "a", Arm::Candidate, 2), "second");
        assert_eq!(text(&recorded, "a", Arm::Candidate, 7), "é seventh");
        assert_eq!(text(&recorded, "18", Arm::Candidate, 1), "an integer");
        assert_eq!(text(&recorded, "a", Arm::Baseline, 1), "blue");
        assert_eq!(text(&recorded, "a", Arm::Baseline, 2), "no_recorded_answer");
        assert_eq!(text(&recorded, "b", Arm::Candidate, 1), "no_recorded_answer");
    }

    #[test]
    fn a_missing_answer_says_what_was_looked_for() {
        let recorded = opened("", names(&[], &["prompts/v2.prompt", "v2"])).unwrap();
        assert!(recorded.is_empty());
        let error = recorded.look_up(&job("a", Arm::Candidate, 3)).unwrap_err();
        assert_eq!(error.retry(), Retry::Never);
        assert_eq!(error.failure().kind, FailureKind::Missing);
        assert_eq!(
            error.failure().message,
            "no recorded answer for case `a`, prompt `prompts/v2.prompt` or `v2`, repeat 3"
        );
    }

    #[test]
    fn all_fields_of_a_row_reach_the_answer() {
        let row = r#"{"case":"a","prompt":"v","text":"","tool_calls":[{"name":"f","args":{"x":1}}],"finish_reason":"MAX_TOKENS","latency_ms":12,"usage":{"prompt":1,"cached":2,"output":3,"thinking":4,"total":8}}"#;
        let recorded = opened(row, names(&[], &["v"])).unwrap();
        let answer = recorded.look_up(&job("a", Arm::Candidate, 1)).unwrap();
        assert_eq!(answer.tool_calls.len(), 1);
        assert_eq!(answer.finish_reason.as_deref(), Some("MAX_TOKENS"));
        assert_eq!((answer.latency_ms, answer.usage.prompt, answer.usage.total), (12, 1, 8));
    }

    #[test]
    fn a_finish_reason_is_complete_when_absent_and_unknown_when_null() {
        let reason = |field: &str| {
            let row = format!(r#"{{"case":"a","prompt":"v","text":"t"{field}}}"#);
            let recorded = opened(&row, names(&[], &["v"])).unwrap();
            recorded.look_up(&job("a", Arm::Candidate, 1)).unwrap().finish_reason
        };
        assert_eq!(reason("").as_deref(), Some("STOP"));
        assert_eq!(reason(r#","finish_reason":null"#), None);
    }

    #[test]
    fn one_arm_never_answers_for_the_other() {
        let rows = r#"{"case":"a","prompt":"v2","text":"green"}"#;
        let recorded = opened(rows, names(&["git:main:v2", "v2"], &["v2"])).unwrap();
        assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "green");
        assert_eq!(text(&recorded, "a", Arm::Baseline, 1), "no_recorded_answer");
        let recorded = opened(rows, names(&["old/v2.prompt", "v2"], &["new/v2.prompt", "v2"])).unwrap();
        assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "no_recorded_answer");
        assert_eq!(text(&recorded, "a", Arm::Baseline, 1), "no_recorded_answer");
        let same_prompt_twice = opened(rows, names(&["v2"], &["v2"])).unwrap();
        assert_eq!(text(&same_prompt_twice, "a", Arm::Baseline, 1), "green");
    }

    #[test]
    fn mistakes_are_all_told_with_their_places() {
        let rows = concat!(
            "{\"case\":\"a\",\"prompt\":\"v\",\"text\":\"ok\",\"repeat\":1}\n",
            "{\"case\":\"a\",\"prompt\":\"v\",\"text\":\"again\"}\n",
            "{\"case\":\"ü\",\"promt\":\"v\",\"text\":\"x\"}\n",
            "{\"case\":\"a\",\"prompt\":\"other\",\"text\":5}\n",
            "[\"a\",\"v\",1,\"x\"]\n",
            "{\"case\":\"a\",\"prompt\":\"v\",\"text\":\"x\",\"repeat\":0}\n",
            "{\"case\":\"a\",\"prompt\":\"v\"}\n",
            "{\"case\":true,\"prompt\":\"v\",\"text\":\"x\"}\n",
            "{\"case\":\"a\",\"prompt\":\"v\",\"text\":\"x\",\"text\":\"y\"}\n",
            "{\"case\":\"a\",\"prompt\":\"v\",\"text\":\"x\"} {}\n",
            "{\"case\":\"a\",\"prompt\":\"v\",\"te"
        );
        let problems = opened(rows, names(&[], &["v"])).unwrap_err();
        let without_form: Vec<&str> = problems.lines().filter(|line| !line.contains("expected: {")).collect();
        insta::assert_snapshot!(without_form.join("\n"));
    }

    #[test]
    fn bytes_that_are_no_text_and_files_that_are_not_there_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let problems = open(
            &folder,
            &[b"{\"case\":\"\xff\",\"prompt\":\"v\",\"text\":\"\"}"],
            names(&[], &["v"]),
        );
        assert!(problems.unwrap_err().starts_with("0.jsonl:1:"));
        let problems = Recorded::open(&[folder.path().join("none.jsonl")], ArmNames::default()).unwrap_err();
        assert!(
            problems
                .to_string()
                .contains("none.jsonl: recorded answers can't be read"),
            "{problems}"
        );
    }

    #[test]
    fn the_same_answer_in_two_files_is_a_mistake() {
        let row: &[u8] = br#"{"case":"a","prompt":"v","repeat":1,"text":"x"}"#;
        let problems = open(&tempfile::tempdir().unwrap(), &[row, row], names(&[], &["v"])).unwrap_err();
        insta::assert_snapshot!(problems, @r"
        1.jsonl:1:1: a second answer for case `a`, prompt `v`, repeat 1
          help: the first one stands in 0.jsonl:1
        ");
    }

    #[test]
    fn rows_without_repeat_count_on_over_files() {
        let row = |text: &str| format!(r#"{{"case":"a","prompt":"v","text":"{text}"}}"#).into_bytes();
        let folder = tempfile::tempdir().unwrap();
        let recorded = open(&folder, &[&row("one"), &row("two")], names(&[], &["v"])).unwrap();
        assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "one");
        assert_eq!(text(&recorded, "a", Arm::Candidate, 2), "two");
    }

    #[test]
    fn bytes_that_changed_after_the_check_are_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let row: &[u8] = br#"{"case":"a","prompt":"v","text":"good"}"#;
        let path = folder.path().join("0.jsonl");
        let recorded = open(&folder, &[row], names(&[], &["v"])).unwrap();
        fs::write(&path, String::from_utf8_lossy(row).replace("good", "evil")).unwrap();
        assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "recorded_answer_changed");
        fs::write(&path, "").unwrap();
        assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "recorded_answer_changed");
        fs::write(&path, row).unwrap();
        assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "good");
    }

    #[test]
    fn an_index_entry_stays_small() {
        assert!(size_of::<(RowKey, RowPlace)>() <= 48);
    }
}
