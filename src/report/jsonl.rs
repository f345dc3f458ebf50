//! results.jsonl: one row per (case, arm, repeat), in plan order; the lossless form of everything else.

use super::output::Output;
use super::text::json_safe;
use super::why::skip_word;
use super::{Context, ReportError, Reporter};
use crate::model::{
    Answer, Arm, CaseId, CaseRow, CheckResult, Details, Failure, Judged, Outcome, PromptInfo, RunInfo, Source,
    ToolCall, Usage, Verdict, answers_for,
};
use serde::Serialize;
use std::io::{self, Write as _};
use std::path::Path;

pub(super) const FILE: &str = "results.jsonl";

pub(super) fn open(folder: &Path, _: &Context) -> Result<Box<dyn Reporter>, ReportError> {
    Ok(Box::new(Results {
        output: Output::create(folder, FILE)?,
        simulated: false,
        baseline: Prompt::default(),
        candidate: Prompt::default(),
    }))
}

struct Results {
    output: Output,
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
        self.output.publish()
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
                    let mut result = result(&row.case.id, arm, prompt, judged);
                    result.simulated |= self.simulated;
                    let json = serde_json::to_string(&result)?;
                    writeln!(self.output, "{}", json_safe(&json))?;
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
    arm: Arm,
    prompt: &'a str,
    repeat: u32,
    outcome: &'static str,
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
    skip: Option<&'static str>,
    /// Another model than the one asked for answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    /// The built-in simulator answered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    simulated: bool,
    /// It is counted as a refusal; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    refused: bool,
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
}

fn result<'a>(case: &'a CaseId, arm: Arm, prompt: &'a Prompt, judged: &'a Judged) -> Row<'a> {
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
        Outcome::Errored(Failure { kind: _, code, message }) => (None, None, Some(ErrorRecord { code, message }), None),
        Outcome::Skipped(skip) => (None, None, None, Some(skip_word(*skip))),
    };
    Row {
        case,
        arm,
        prompt: &prompt.name,
        repeat: *repeat,
        outcome: outcome.as_str(),
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
        simulated: answer.as_ref().is_some_and(|answer| answer.simulated),
        refused: *refused == Some(true),
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
