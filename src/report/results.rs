//! results.jsonl: one row per (case, arm, repeat), in plan order; the lossless form of everything else.

use super::output::Output;
use super::text::json_safe;
use super::{CallReport, Context, Format, ReportError, Reporter};
use crate::domain::{
    Answer, Arm, Case, CaseRow, CheckResult, Details, Failure, FailureKind, Outcome, OutcomeKind, PromptInfo,
    ResultsFile, RunInfo, ScoredSample, Skip, Source, ToolCall, Usage, Verdict, WEIGHT, answers_for, hex,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub(super) const FILE: &str = "results.jsonl";

pub(super) const FORMAT: Format = Format {
    file: FILE,
    purpose: "everything else: one line per case, arm and repeat",
    call: CallReport::CopyRows,
    open,
};

fn open(folder: &Path, context: &Context) -> Result<Box<dyn Reporter>, ReportError> {
    Ok(Box::new(Results {
        output: Output::create(folder, FILE)?,
        sha256: Sha256::new(),
        rows: 0,
        written: Arc::clone(&context.results),
        simulated: false,
        baseline: Prompt::default(),
        candidate: Prompt::default(),
    }))
}

struct Results {
    output: Output,
    /// Of what was written so far.
    sha256: Sha256,
    rows: u64,
    /// Filled when the file is in place.
    written: Arc<OnceLock<ResultsFile>>,
    simulated: bool,
    baseline: Prompt,
    candidate: Prompt,
}

/// What each row tells of its prompt.
#[derive(Default)]
struct Prompt {
    name: String,
    model: String,
}

impl Prompt {
    fn of(prompt: &PromptInfo) -> Prompt {
        Prompt { name: prompt.name.clone(), model: prompt.model.clone() }
    }
}

impl Reporter for Results {
    fn begin(&mut self, run: &RunInfo) -> Result<(), ReportError> {
        self.simulated = run.simulated;
        self.candidate = Prompt::of(&run.candidate);
        self.baseline = run.baseline.as_ref().map(Prompt::of).unwrap_or_default();
        Ok(())
    }

    fn case(&mut self, row: &CaseRow) -> Result<(), ReportError> {
        self.rows(row).map_err(|cause| self.output.error(cause))
    }

    fn finish(self: Box<Self>, _: &Verdict) -> Result<(), ReportError> {
        let Results { output, sha256, rows, written, .. } = *self;
        output.publish()?;
        let sha256 = hex(sha256.finalize());
        // It is set once: a report finishes once.
        let _ = written.set(ResultsFile { file: FILE.to_owned(), sha256, rows });
        Ok(())
    }
}

impl Results {
    /// Plan order within a case: by repeat, baseline before candidate.
    fn rows(&mut self, row: &CaseRow) -> io::Result<()> {
        let (baseline, candidate) = (row.repeats(Arm::Baseline), row.repeats(Arm::Candidate));
        for i in 0..baseline.len().max(candidate.len()) {
            for (arm, prompt, repeats) in
                [(Arm::Baseline, &self.baseline, baseline), (Arm::Candidate, &self.candidate, candidate)]
            {
                if let Some(judged) = repeats.get(i) {
                    let mut result = result(&row.case, arm, prompt, judged);
                    result.simulated |= self.simulated;
                    let line = format!("{}\n", json_safe(&serde_json::to_string(&result)?));
                    self.sha256.update(line.as_bytes());
                    self.rows += 1;
                    self.output.write_all(line.as_bytes())?;
                }
            }
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ResultRow<'a> {
    pub(super) case: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) critical: bool,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub(super) tags: Cow<'a, [String]>,
    /// In thousandths; absent if it is 1000, that of a case that sets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) weight: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cluster: Option<Cow<'a, str>>,
    pub(super) arm: Arm,
    pub(super) prompt: Cow<'a, str>,
    pub(super) repeat: u32,
    pub(super) outcome: OutcomeKind,
    pub(super) score: Option<f64>,
    pub(super) answer: Option<AnswerRecord<'a>>,
    pub(super) checks: Cow<'a, [CheckResult]>,
    pub(super) latency_ms: Option<u64>,
    /// Before the last attempt, and no part of the latency.
    pub(super) waited_ms: Option<u64>,
    /// Only of streamed answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first_token_ms: Option<u64>,
    pub(super) usage: Option<Usage>,
    pub(super) cost_usd: Option<f64>,
    pub(super) attempts: u32,
    pub(super) source: Option<Source>,
    pub(super) error: Option<ErrorRecord<'a>>,
    /// Why it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) skip: Option<Skip>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) warning: Option<String>,
    /// The model of an answer that is not shown, because it could not be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) served: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) batched: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) simulated: bool,
    /// Whether it counts as a refusal; absent where a check of the case decides that, and where there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<bool>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct AnswerRecord<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) tool_calls: Cow<'a, [ToolCall]>,
    pub(super) finish_reason: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) block_reason: Option<Cow<'a, str>>,
    pub(super) model_version: Option<Cow<'a, str>>,
    /// Further fields, those that are there.
    #[serde(flatten)]
    pub(super) details: Option<Cow<'a, Details>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ErrorRecord<'a> {
    pub(super) code: Cow<'a, str>,
    pub(super) message: Cow<'a, str>,
    pub(super) kind: FailureKind,
}

fn result<'a>(case: &'a Case, arm: Arm, prompt: &'a Prompt, judged: &'a ScoredSample) -> ResultRow<'a> {
    let ScoredSample { repeat, outcome, answer, checks, refused, cost_usd, attempts, waited_ms, source } = judged;
    let (score, shown, error, skip) = match outcome {
        Outcome::Scored(score) => (Some(score.value()), answer.as_ref().map(record), None, None),
        Outcome::Errored(Failure { kind, code, message }) => {
            let kind = *kind;
            (None, None, Some(ErrorRecord { code: code.into(), message: message.into(), kind }), None)
        }
        Outcome::Skipped(skip) => (None, None, None, Some(*skip)),
    };
    let unshown = answer.as_ref().filter(|_| shown.is_none());
    ResultRow {
        case: case.id.as_str().into(),
        critical: case.critical,
        tags: Cow::Borrowed(&case.tags),
        weight: (case.weight != WEIGHT).then_some(case.weight),
        cluster: case.cluster.as_deref().map(Cow::Borrowed),
        arm,
        prompt: Cow::Borrowed(&prompt.name),
        repeat: *repeat,
        outcome: outcome.kind(),
        score,
        answer: shown,
        checks: Cow::Borrowed(checks),
        latency_ms: answer.as_ref().filter(|answer| !answer.batched).map(|answer| answer.latency_ms),
        waited_ms: *waited_ms,
        first_token_ms: answer.as_ref().and_then(|answer| answer.first_token_ms),
        usage: answer.as_ref().map(|answer| answer.usage),
        cost_usd: *cost_usd,
        attempts: *attempts,
        source: *source,
        error,
        skip,
        warning: answer.as_ref().and_then(|answer| other_model(&prompt.model, answer)),
        served: unshown.and_then(|answer| borrowed(&answer.model_version)),
        ended: unshown.and_then(|answer| answer.finish_word().map(Cow::Borrowed)),
        batched: answer.as_ref().is_some_and(|answer| answer.batched),
        simulated: answer.as_ref().is_some_and(|answer| answer.simulated),
        refused: *refused,
    }
}

/// A sentence where the model that served is not the one that was asked for.
fn other_model(requested: &str, answer: &Answer) -> Option<String> {
    let served = answer.model_version.as_deref()?;
    (!answers_for(requested, served)).then(|| format!("requested {requested}, but {served} served"))
}

fn record(answer: &Answer) -> AnswerRecord<'_> {
    let Answer {
        text,
        tool_calls,
        finish_reason: _,
        finish: _,
        block_reason,
        model_version,
        usage: _,
        latency_ms: _,
        first_token_ms: _,
        details,
        batched: _,
        simulated: _,
    } = answer;
    AnswerRecord {
        text: text.into(),
        tool_calls: Cow::Borrowed(tool_calls),
        finish_reason: answer.finish_word().map(Cow::Borrowed),
        block_reason: borrowed(block_reason),
        model_version: borrowed(model_version),
        details: details.as_deref().map(Cow::Borrowed),
    }
}

fn borrowed(text: &Option<String>) -> Option<Cow<'_, str>> {
    text.as_deref().map(Cow::Borrowed)
}
