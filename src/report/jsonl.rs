//! results.jsonl: one row per (case, arm, repeat), in plan order; the lossless form of everything else.

use super::output::Output;
use super::text::json_safe;
use super::{Context, ReportError, Reporter, ResultsWritten};
use crate::domain::{
    Answer, Arm, Case, CaseId, CaseRow, CheckResult, Details, Failure, FailureKind, Judged, Outcome, OutcomeKind,
    PromptInfo, RunInfo, Skip, Source, ToolCall, Usage, Verdict, WEIGHT, answers_for,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub(super) const FILE: &str = "results.jsonl";

pub(super) fn open(folder: &Path, context: &Context) -> Result<Box<dyn Reporter>, ReportError> {
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
    written: Arc<OnceLock<ResultsWritten>>,
    simulated: bool,
    baseline: Prompt,
    candidate: Prompt,
}

/// What each row tells of its prompt.
#[derive(Default)]
struct Prompt {
    name: String,
    /// The model that it asks for.
    model: String,
}

impl Prompt {
    fn of(prompt: &PromptInfo) -> Prompt {
        Prompt {
            name: prompt.name.clone(),
            model: prompt.model.clone(),
        }
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

    fn finish(self: Box<Self>, _: &RunInfo, _: &Verdict) -> Result<(), ReportError> {
        let Results {
            output,
            sha256,
            rows,
            written,
            ..
        } = *self;
        output.publish()?;
        let sha256 = sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        // It is set once: a report finishes once.
        let _ = written.set(ResultsWritten {
            file: FILE,
            sha256,
            rows,
        });
        Ok(())
    }
}

impl Results {
    /// Plan order within a case: by repeat, baseline before candidate.
    fn rows(&mut self, row: &CaseRow) -> io::Result<()> {
        let repeats = |arm| row.arm(arm).map_or(&[][..], |arm| &arm.repeats);
        let (blue, green) = (repeats(Arm::Baseline), repeats(Arm::Candidate));
        for i in 0..blue.len().max(green.len()) {
            for (arm, judged) in [(Arm::Baseline, blue.get(i)), (Arm::Candidate, green.get(i))] {
                if let Some(judged) = judged {
                    let prompt = match arm {
                        Arm::Baseline => &self.baseline,
                        Arm::Candidate => &self.candidate,
                    };
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

/// One row of the file.
#[derive(Serialize)]
struct Row<'a> {
    case: &'a CaseId,
    /// Must pass.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    critical: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    /// In thousandths; absent if it is 1000, that of a case that says nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    arm: Arm,
    prompt: &'a str,
    repeat: u32,
    outcome: OutcomeKind,
    score: Option<f64>,
    answer: Option<AnswerRecord<'a>>,
    checks: &'a [CheckResult],
    latency_ms: Option<u64>,
    /// Before the last attempt, and no part of the latency.
    waited_ms: Option<u64>,
    /// Only of streamed answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<u64>,
    usage: Option<&'a Usage>,
    cost_usd: Option<f64>,
    attempts: u32,
    source: Option<Source>,
    error: Option<ErrorRecord<'a>>,
    /// Why it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    skip: Option<Skip>,
    /// Another model than the one asked for answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    /// The model of an answer that is not shown, because it could not be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    served: Option<&'a str>,
    /// How such an answer ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<&'a str>,
    /// The answer came through a batch job.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    batched: bool,
    /// The built-in simulator answered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    simulated: bool,
    /// Whether it is counted as a refusal; absent where a check of the case judges that, and where there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<bool>,
}

#[derive(Serialize)]
struct AnswerRecord<'a> {
    text: &'a str,
    tool_calls: &'a [ToolCall],
    finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_reason: Option<&'a str>,
    model_version: Option<&'a str>,
    /// Further fields, those that are there.
    #[serde(flatten)]
    details: Option<&'a Details>,
}

#[derive(Serialize)]
struct ErrorRecord<'a> {
    code: &'a str,
    message: &'a str,
    kind: FailureKind,
}

fn result<'a>(case: &'a Case, arm: Arm, prompt: &'a Prompt, judged: &'a Judged) -> Row<'a> {
    let Judged {
        repeat,
        outcome,
        answer,
        checks,
        refused,
        cost_usd,
        attempts,
        waited_ms,
        source,
    } = judged;
    let (score, shown, error, skip) = match outcome {
        Outcome::Scored(score) => (Some(score.value()), answer.as_ref().map(record), None, None),
        Outcome::Errored(Failure { kind, code, message }) => {
            let kind = *kind;
            (None, None, Some(ErrorRecord { code, message, kind }), None)
        }
        Outcome::Skipped(skip) => (None, None, None, Some(*skip)),
    };
    let unshown = answer.as_ref().filter(|_| shown.is_none());
    Row {
        case: &case.id,
        critical: case.critical,
        tags: &case.tags,
        weight: (case.weight != WEIGHT).then_some(case.weight),
        cluster: case.cluster.as_deref(),
        arm,
        prompt: &prompt.name,
        repeat: *repeat,
        outcome: outcome.kind(),
        score,
        answer: shown,
        checks,
        latency_ms: answer
            .as_ref()
            .filter(|answer| !answer.batched)
            .map(|answer| answer.latency_ms),
        waited_ms: *waited_ms,
        first_token_ms: answer.as_ref().and_then(|answer| answer.first_token_ms),
        usage: answer.as_ref().map(|answer| &answer.usage),
        cost_usd: *cost_usd,
        attempts: *attempts,
        source: *source,
        error,
        skip,
        warning: answer.as_ref().and_then(|answer| other_model(&prompt.model, answer)),
        served: unshown.and_then(|answer| answer.model_version.as_deref()),
        ended: unshown.and_then(|answer| answer.finish_reason.as_deref()),
        batched: answer.as_ref().is_some_and(|answer| answer.batched),
        simulated: answer.as_ref().is_some_and(|answer| answer.simulated),
        refused: *refused,
    }
}

/// A sentence where the model that served is not the one that was asked for.
fn other_model(requested: &str, answer: &Answer) -> Option<String> {
    let served = answer.model_version.as_deref()?;
    (!answers_for(requested, served)).then(|| format!("asked for {requested}, and {served} served"))
}

fn record(answer: &Answer) -> AnswerRecord<'_> {
    let Answer {
        text,
        tool_calls,
        finish_reason,
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
        text,
        tool_calls,
        finish_reason: finish_reason.as_deref(),
        block_reason: block_reason.as_deref(),
        model_version: model_version.as_deref(),
        details: details.as_deref(),
    }
}
