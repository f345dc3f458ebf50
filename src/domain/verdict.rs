//! The verdict and its evidence, as verdict.json has it.

use super::answer::Usage;
use super::candidate::CandidateLine;
use super::comparison::{ArmRate, Latency, Paired, Waited};
use super::decision::{Decision, Reason, Warning};
use super::evidence::Completion;
use super::guards::Guardrail;
use super::look::Unlooked;
use super::outcome::Counts;
use super::quarantine::Quarantined;
use super::slices::Slice;
use serde::Serialize;
use std::fmt;

/// A prompt in verdict.json.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromptRecord {
    /// As typed.
    pub name: String,
    /// Digest of source and partials.
    pub sha256: String,
    /// Where it was read from.
    pub path: String,
    /// Digest of the file's bytes alone.
    pub file_sha256: String,
    /// Model asked for, and the models that served.
    pub model: ModelRecord,
}

/// Models of an arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelRecord {
    /// Asked for.
    pub requested: String,
    /// Served, sorted.
    pub served: Vec<String>,
}

/// Candidate minus baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Mean over cases scored in both arms.
    pub estimate: f64,
    /// Lower end; missing answers are worst for the candidate.
    pub low: f64,
    /// Upper end; missing answers are best for the candidate.
    pub high: f64,
    /// Two-sided confidence, 1 - 2 alpha.
    pub confidence: f64,
    /// How it was computed.
    pub method: &'static str,
}

/// The two test statistics.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ZScores {
    /// Against "worse by the margin"; promotes at or above the critical value.
    pub promote: f64,
    /// Against "worse by the tolerance"; blocks at or below the negative critical value.
    pub block: f64,
}

/// What would settle an inconclusive verdict, if the candidate is as good as it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// Cases in all, with the present number of repeats.
    pub cases: u64,
    /// Repeats in all, with the present cases; `None` if only more cases help.
    pub repeats: Option<u32>,
}

/// Where prices come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PriceList {
    /// The day on which the built-in table was checked, like `2026-11-22`.
    pub as_of: &'static str,
    /// Models that have prices of the user's own.
    pub own: usize,
}

impl fmt::Display for PriceList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prices as of {}", self.as_of)?;
        match self.own {
            0 => Ok(()),
            1 => f.write_str(", 1 model as set in promptgate.toml"),
            models => write!(f, ", {models} models as set in promptgate.toml"),
        }
    }
}

/// The verdict with all its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// May it go live?
    pub decision: Decision,
    /// What it means, for people: one plain sentence.
    pub sentence: String,
    /// The process's exit code.
    pub exit_code: u8,
    /// Promote, gated, whole dataset, neither simulated nor replayed.
    pub promotable: bool,
    /// The first is the most important.
    pub reasons: Vec<Reason>,
    /// What a reader has to know besides.
    pub warnings: Vec<Warning>,
    /// Answers were replayed (recorded, imported, or from the cache only).
    pub replayed: bool,
    /// Cases that were not looked at, because the run was decided before.
    pub unlooked: Unlooked,
    /// Digest of the policy.
    pub policy_sha256: String,
    /// How the run ended.
    pub completion: Completion,
    /// Green.
    pub candidate: PromptRecord,
    /// Blue.
    pub baseline: Option<PromptRecord>,
    /// Candidate arm, per case.
    pub counts: Counts,
    /// Of these, the cases in quarantine; `None` where no tag is.
    pub quarantined: Option<Quarantined>,
    /// Cases scored in both arms.
    pub paired: Paired,
    /// Baseline pass rate.
    pub baseline_rate: Option<ArmRate>,
    /// Candidate pass rate.
    pub candidate_rate: Option<ArmRate>,
    /// Candidate minus baseline.
    pub difference: Option<Difference>,
    /// The two test statistics.
    pub z: Option<ZScores>,
    /// What would settle it.
    pub needed: Option<Needed>,
    /// Tags.
    pub slices: Vec<Slice>,
    /// Declared guardrails.
    pub guardrails: Vec<Guardrail>,
    /// Tokens of all answers.
    pub usage: Usage,
    /// Cost of this run's own requests in US dollars; `None` when a price is unknown.
    pub cost_usd: Option<f64>,
    /// What asking judges took; part of `requests` and `cost_usd`.
    pub judges: JudgesAsked,
    /// What all answers cost when they were asked for, those from the store included; `None` when a price is unknown.
    pub answers_cost_usd: Option<f64>,
    /// Where the prices come from.
    pub prices: PriceList,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Answers from the cache: baseline, candidate.
    pub cached: (u64, u64),
    /// Of these, answers that were imported into the store.
    pub imported: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// How long what this run asked for waited.
    pub waited_ms: Waited,
    /// Baseline, candidate.
    pub latency_ms: (Latency, Latency),
    /// RFC 3339, seconds, UTC.
    pub finished_at: String,
    /// All candidates of the call, as typed; empty unless there were several, and this is the verdict of the call.
    pub candidates: Vec<CandidateLine>,
}

/// What asking judges took, and what is known of those that decide.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JudgesAsked {
    /// Requests sent.
    pub requests: u64,
    /// Replies that were stored already.
    pub stored: u64,
    /// US dollars; `None` when a price is not known.
    pub cost_usd: Option<f64>,
    /// The judges that decide.
    #[serde(flatten)]
    pub found: JudgesFound,
}

/// The judges that decide cases, and what their errors do to the verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JudgesFound {
    /// Each of them, and each way of asking it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deciding: Vec<JudgeRecord>,
    /// The margins on the judges' scale; absent where no judge's errors are known, or they are too many.
    #[serde(flatten)]
    pub scale: Option<JudgeScale>,
    /// The pass rates, corrected for the judge's errors; only where one judge alone decides every case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected: Option<CorrectedRates>,
}

/// A judge that decides cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JudgeRecord {
    /// Its name in the settings.
    pub name: String,
    /// The model asked for.
    pub model: String,
    /// Digest of its prompt.
    pub prompt_sha256: String,
    /// How often it is asked.
    pub votes: u32,
    /// What the votes must come to.
    pub rule: String,
    /// Its errors are known.
    pub calibrated: bool,
    /// Labelled answers that it was asked about; like the numbers below `None` where it is not calibrated.
    pub labels: Option<u64>,
    /// Share of good answers that it lets pass.
    pub sensitivity: Option<f64>,
    /// Share of bad answers that it does not.
    pub specificity: Option<f64>,
    /// sensitivity + specificity - 1.
    pub youden: Option<f64>,
    /// Lower confidence bound of it, of error alpha.
    pub youden_low: Option<f64>,
}

/// The margins on the scale of the judges that decide.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct JudgeScale {
    /// The smallest J of any kind of case.
    pub youden: f64,
    /// The smallest lower bound of it.
    pub youden_low: f64,
    /// The policy's margin times the bound.
    pub margin_scaled: f64,
    /// The policy's tolerance times the estimate.
    pub tolerance_scaled: f64,
}

/// Pass rates without the judge's errors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CorrectedRates {
    /// Of the baseline.
    pub baseline: Option<CorrectedRate>,
    /// Of the candidate.
    pub candidate: Option<CorrectedRate>,
}

/// A pass rate without the judge's errors, by Rogan and Gladen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CorrectedRate {
    /// The rate; 0..=1.
    pub pass: f64,
    /// Its standard error, that of the judge's own shares included.
    pub standard_error: f64,
}
