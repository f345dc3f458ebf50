//! What an earlier run left: verdict.json and results.jsonl, read back. Anyone may have written or edited them, so nothing
//! in them is believed here; `verify` computes it all again.

use crate::domain::{
    Answer, Arm, ArmRow, Case, CaseId, CaseRow, Changed, Completion, Decision, Failure, FailureKind, Judged, Look,
    Outcome, Place, Policy, PolicyBase, Problem, Score, Skip, Source, Tested, Usage, WEIGHT,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// The format that is understood.
pub const SCHEMA: &str = "promptgate.verdict/1";

/// Bytes of the largest verdict.json, and of the longest row of results.jsonl.
const MAX_VERDICT: u64 = 64 << 20;
const MAX_ROW: u64 = 256 << 20;

/// Answers to a must-pass case, those that confirm a failure included.
const MOST_REPEATS: u32 = 1_000;

/// verdict.json, as it stands there.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// What was decided.
    pub decision: Decision,
    /// The exit code of the run.
    pub exit_code: u8,
    /// What deploy steps read.
    pub promotable: bool,
    /// Why.
    pub reasons: Vec<RecordedReason>,
    /// A simulator answered.
    pub simulated: bool,
    /// Answers were replayed.
    pub replayed: bool,
    /// A decision was asked for.
    pub gated: bool,
    /// The rules.
    pub policy: Policy,
    /// Their digest.
    pub policy_sha256: String,
    /// What golden data, checks and policy were compared with.
    pub policy_base: Option<PolicyBase>,
    /// What had changed since.
    pub changed: Vec<Changed>,
    /// Why weaker checks were accepted.
    pub accepted_weaker: Option<String>,
    /// Green.
    pub candidate: RecordedPrompt,
    /// Blue.
    pub baseline: Option<RecordedPrompt>,
    /// The golden data.
    pub dataset: RecordedDataset,
    /// Repeats per case and arm.
    pub repeats: u32,
    /// Which look at the answers it is.
    #[serde(default)]
    pub look: Look,
    /// Candidates of the call; empty for a single one.
    #[serde(default)]
    pub candidates: Vec<RecordedCandidate>,
    /// Digests of what else decides.
    pub tested: Tested,
    /// How the run ended.
    pub completion: Completion,
    /// The rows that belong to it; `None` if they could not be written.
    pub results: Option<RecordedResults>,
    /// The judges that decided; `None` where no model judged.
    #[serde(default)]
    pub judges: Option<RecordedJudges>,
    /// What answered.
    pub target: String,
    /// RFC 3339; its day decides what was in quarantine.
    pub started_at: String,
    /// RFC 3339.
    pub finished_at: String,
    /// The whole document.
    #[serde(skip)]
    pub json: Value,
}

/// A reason, of which only the code decides.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedReason {
    /// Its stable code.
    pub code: String,
    /// Its sentence.
    pub message: String,
}

/// One of several candidates, as the verdict of their call lists them.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedCandidate {
    /// As typed.
    pub name: String,
    /// `None` if it was not run.
    pub decision: Option<Decision>,
    /// The verdict is this one's.
    pub chosen: bool,
}

/// A prompt of a verdict.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedPrompt {
    /// As typed.
    pub name: String,
    /// Digest of source and partials.
    pub sha256: String,
    /// Its models.
    pub model: RecordedModel,
}

/// The models of an arm.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedModel {
    /// Asked for.
    pub requested: String,
}

/// The dataset of a verdict.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedDataset {
    /// Its digest.
    pub sha256: String,
    /// Cases run.
    pub cases: u64,
    /// Cases in the files.
    pub total: u64,
}

/// The judges of a verdict.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RecordedJudges {
    /// Those that decided.
    #[serde(default)]
    pub deciding: Vec<RecordedJudge>,
}

/// A judge of a verdict.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedJudge {
    /// Its name in the settings.
    pub name: String,
    /// The model asked for.
    pub model: String,
    /// Digest of its prompt.
    pub prompt_sha256: String,
}

/// results.jsonl, as verdict.json knows it.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedResults {
    /// Digest of its bytes.
    pub sha256: String,
    /// Its lines.
    pub rows: u64,
}

impl Recorded {
    /// Reads verdict.json.
    ///
    /// # Errors
    /// It can't be read, is no verdict, or has another schema.
    pub fn read(path: &Path) -> Result<Recorded, Problem> {
        let shown = path.to_string_lossy().into_owned();
        let place = || Place::file(shown.as_str());
        let unreadable = |error: io::Error| {
            Problem::at(place(), format!("the verdict can't be read: {error}"))
                .hint("run `promptgate eval`, or name the file: promptgate verify DIR/verdict.json")
        };
        let mut text = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_VERDICT + 1).read_to_end(&mut text).map_err(unreadable)?;
        if text.len() as u64 > MAX_VERDICT {
            let message = format!("the file is larger than {} MiB", MAX_VERDICT >> 20);
            return Err(Problem::at(place(), message).expected("a verdict.json"));
        }
        let no_verdict = |what: String| {
            Problem::at(place(), what).expected(format!("the verdict.json of `promptgate eval`, schema {SCHEMA}"))
        };
        let json: Value =
            serde_json::from_slice(&text).map_err(|error| no_verdict(format!("this is not JSON: {error}")))?;
        match json.get("schema").and_then(Value::as_str) {
            Some(SCHEMA) => {}
            Some(other) => {
                let other: String = other.chars().take(100).collect();
                return Err(no_verdict(format!("the schema is `{other}`")).hint("use the promptgate that wrote it"));
            }
            None => return Err(no_verdict("this is not a verdict: it names no schema".to_owned())),
        }
        let recorded = Recorded::deserialize(&json).map_err(|error| {
            no_verdict(format!("the verdict is not complete: {error}"))
                .hint("another version of promptgate may have written it; run `promptgate eval` again")
        })?;
        Ok(Recorded { json, ..recorded })
    }
}

/// results.jsonl, read case by case.
#[derive(Debug)]
pub struct RecordedRows {
    lines: BufReader<File>,
    /// A row that was read to see whether it still belongs to the case before it.
    ahead: Option<Row>,
    shown: Arc<str>,
    line: u32,
    repeats: u32,
    arms: &'static [Arm],
    /// SHA-256 of the bytes, in hex.
    pub sha256: String,
}

impl RecordedRows {
    /// Opens the file and digests it. There are `repeats` rows per case and arm.
    ///
    /// # Errors
    /// It can't be read.
    pub fn open(path: &Path, repeats: u32, has_baseline: bool) -> Result<RecordedRows, Problem> {
        let shown = path.to_string_lossy().into_owned();
        let unreadable = |error: io::Error| {
            Problem::at(
                Place::file(shown.as_str()),
                format!("the rows of the verdict can't be read: {error}"),
            )
            .expected("results.jsonl beside verdict.json, as `promptgate eval` writes both")
            .hint("keep the whole output folder together")
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut hash = Sha256::new();
        let mut chunk = vec![0; 1 << 16];
        loop {
            match file.read(&mut chunk).map_err(unreadable)? {
                0 => break,
                read => hash.update(&chunk[..read]),
            }
        }
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        Ok(RecordedRows {
            lines: BufReader::new(file),
            ahead: None,
            line: 0,
            repeats,
            arms: if has_baseline {
                &[Arm::Baseline, Arm::Candidate]
            } else {
                &[Arm::Candidate]
            },
            sha256: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            shown: shown.into(),
        })
    }

    /// The next case with all its repeats; `None` at the end.
    ///
    /// # Errors
    /// A line is no row, or not the one that has to stand there.
    pub fn next_case(&mut self) -> Result<Option<CaseRow>, Problem> {
        let mut case: Option<Case> = None;
        let mut baseline = ArmRow { repeats: Vec::new() };
        let mut candidate = ArmRow { repeats: Vec::new() };
        for repeat in 1..=self.repeats {
            for arm in self.arms {
                let Some(row) = self.next_row()? else {
                    return match &case {
                        None => Ok(None),
                        Some(case) => Err(self.wrong("the file ends", case.id.as_str(), *arm, repeat)),
                    };
                };
                let id = case.as_ref().map_or(row.case.as_str(), |case| case.id.as_str());
                if row.case != id || row.arm != *arm || row.repeat != repeat {
                    let found = format!(
                        "there stands repeat {} of the {} of `{}`",
                        row.repeat,
                        row.arm.as_str(),
                        shorten(&row.case)
                    );
                    return Err(self.wrong(&found, id, *arm, repeat));
                }
                if case.is_none() {
                    case = Some(row.case(self.place()));
                }
                let judged = row.judged().map_err(|message| Problem::at(self.place(), message))?;
                match arm {
                    Arm::Baseline => baseline.repeats.push(judged),
                    Arm::Candidate => candidate.repeats.push(judged),
                }
            }
        }
        if let Some(case) = case.as_ref().filter(|case| case.critical) {
            self.beyond(case.id.as_str(), &mut candidate)?;
        }
        Ok(case.map(|case| CaseRow {
            case,
            baseline: (self.arms.len() > 1).then_some(baseline),
            candidate,
        }))
    }

    /// Further answers of the candidate to a must-pass case, which confirm a failure.
    fn beyond(&mut self, case: &str, candidate: &mut ArmRow) -> Result<(), Problem> {
        for repeat in self.repeats.saturating_add(1)..=MOST_REPEATS.max(self.repeats) {
            let Some(row) = self.next_row()? else { break };
            if (row.case.as_str(), row.arm, row.repeat) != (case, Arm::Candidate, repeat) {
                self.ahead = Some(row);
                break;
            }
            let judged = row.judged().map_err(|message| Problem::at(self.place(), message))?;
            candidate.repeats.push(judged);
        }
        Ok(())
    }

    fn place(&self) -> Place {
        Place::at(Arc::clone(&self.shown), self.line, 0)
    }

    fn wrong(&self, found: &str, case: &str, arm: Arm, repeat: u32) -> Problem {
        Problem::at(self.place(), found).expected(format!(
            "repeat {repeat} of the {} of `{}`, one row for each, in the order of the plan",
            arm.as_str(),
            shorten(case)
        ))
    }

    fn next_row(&mut self) -> Result<Option<Row>, Problem> {
        if let Some(row) = self.ahead.take() {
            return Ok(Some(row));
        }
        let mut line = Vec::new();
        let read = self.lines.by_ref().take(MAX_ROW + 1).read_until(b'\n', &mut line);
        self.line = self.line.saturating_add(1);
        match read {
            Ok(0) => Ok(None),
            Ok(read) if read as u64 > MAX_ROW => {
                let message = format!("the row is longer than {} MiB", MAX_ROW >> 20);
                Err(Problem::at(self.place(), message))
            }
            Ok(_) => serde_json::from_slice(&line)
                .map(Some)
                .map_err(|error| Problem::at(self.place(), format!("this is not a row of results: {error}"))),
            Err(error) => Err(Problem::at(self.place(), format!("can't be read: {error}"))),
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

/// One row, as far as it counts.
#[derive(Debug, Deserialize)]
struct Row {
    case: String,
    #[serde(default)]
    critical: bool,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default = "weight")]
    weight: u32,
    #[serde(default)]
    cluster: Option<String>,
    arm: Arm,
    repeat: u32,
    outcome: String,
    score: Option<f64>,
    answer: Option<AnswerRow>,
    latency_ms: Option<u64>,
    waited_ms: Option<u64>,
    usage: Option<Usage>,
    cost_usd: Option<f64>,
    attempts: u32,
    source: Option<Source>,
    error: Option<ErrorRow>,
    #[serde(default)]
    skip: Option<Skip>,
    #[serde(default)]
    served: Option<String>,
    #[serde(default)]
    ended: Option<String>,
    #[serde(default)]
    refused: Option<bool>,
    #[serde(default)]
    batched: bool,
    #[serde(default)]
    simulated: bool,
}

#[derive(Debug, Deserialize)]
struct AnswerRow {
    model_version: Option<String>,
    finish_reason: Option<String>,
}

/// Of rows that tell none.
fn weight() -> u32 {
    WEIGHT
}

#[derive(Debug, Deserialize)]
struct ErrorRow {
    code: String,
    message: String,
    kind: FailureKind,
}

impl Row {
    /// The case, as far as a row tells it.
    fn case(&self, place: Place) -> Case {
        Case {
            id: CaseId::new(self.case.as_str()),
            suite: Arc::from(""),
            place,
            tags: self.tags.clone(),
            critical: self.critical,
            weight: self.weight,
            cluster: self.cluster.as_deref().map(Arc::from),
            vars: Map::new(),
            history: Vec::new(),
            checks: Vec::new(),
            labels: Vec::new(),
            notes: None,
        }
    }

    fn judged(self) -> Result<Judged, String> {
        let outcome = match (self.outcome.as_str(), self.score, self.error, self.skip) {
            (pass @ ("pass" | "fail"), Some(score), None, None) => {
                Outcome::Scored(Score::new(score, pass == "pass", ""))
            }
            ("error", None, Some(ErrorRow { code, message, kind }), None) => {
                Outcome::Errored(Failure { kind, code, message })
            }
            ("skipped", None, None, Some(skip)) => Outcome::Skipped(skip),
            (other, ..) => {
                return Err(format!(
                    "the outcome `{}` does not fit the row's score, error and skip",
                    shorten(other)
                ));
            }
        };
        let (model_version, finish_reason) = match self.answer {
            Some(answer) => (answer.model_version, answer.finish_reason),
            None => (self.served, self.ended),
        };
        let answer = self.usage.map(|usage| Answer {
            model_version,
            finish_reason,
            usage,
            latency_ms: self.latency_ms.unwrap_or(0),
            batched: self.batched,
            simulated: self.simulated,
            ..Answer::default()
        });
        Ok(Judged {
            repeat: self.repeat,
            outcome,
            answer,
            checks: Vec::new(),
            refused: self.refused,
            cost_usd: self.cost_usd,
            attempts: self.attempts,
            waited_ms: self.waited_ms,
            source: self.source,
        })
    }
}
