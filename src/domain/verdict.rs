//! The verdict and its evidence: verdict.json, written by `eval` and read back by `verify`, `promote` and others.

use super::answer::Usage;
use super::arm::Arms;
use super::candidate::CandidateLine;
use super::comparison::{ArmRate, Latency, PairCounts, WaitTimes};
use super::decision::{Decision, Reason, Warning};
use super::difference::{Difference, ZScores};
use super::evidence::{Completion, InputDigests, PolicyBase, PolicyChange};
use super::guards::Guardrail;
use super::look::{EarlyStop, FreshKey, Look, Tries};
use super::outcome::Counts;
use super::policy::Policy;
use super::promotion::BaselinePromotion;
use super::quarantine::QuarantineRecord;
use super::slices::Slice;
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptRecord {
    pub name: String,
    /// Digest of source and partials.
    pub sha256: String,
    pub path: String,
    /// Digest of the file's bytes alone.
    pub file_sha256: String,
    /// Model asked for, and the models that served.
    pub model: ModelRecord,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRecord {
    pub requested: String,
    /// Served, sorted.
    pub served: Vec<String>,
}

/// What would settle an inconclusive verdict, if the candidate is as good as it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleSize {
    /// Cases in all, with the present number of repeats.
    pub cases: u64,
    /// Repeats in all, with the present cases; `None` if only more cases help.
    pub repeats: Option<u32>,
}

/// Where prices come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceList {
    /// The day on which the built-in table was checked, like `2026-11-22`.
    pub as_of: String,
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

/// verdict.json: the decision with all its evidence. Its fields and their order are a contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub schema: String,
    pub decision: Decision,
    /// What it means, for people: one plain sentence. `verify` accepts a file without.
    #[serde(default)]
    pub sentence: String,
    pub exit_code: u8,
    /// Promote, gated, whole dataset, neither simulated, replayed nor rehearsed.
    pub promotable: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rehearsal: bool,
    /// The first is the most important.
    pub reasons: Vec<Reason>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    pub simulated: bool,
    /// Answers were replayed (recorded, imported, or from the cache only).
    pub replayed: bool,
    pub gated: bool,
    /// Identity of what is tested.
    pub key: String,
    #[serde(default)]
    pub look: Look,
    /// Absent where no earlier looks were left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_key: Option<FreshKey>,
    /// Absent where there were no others, and nobody can ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<Tries>,
    pub policy: Policy,
    pub policy_sha256: String,
    /// What golden data, checks and policy were compared with.
    pub policy_base: Option<PolicyBase>,
    pub changed: Vec<PolicyChange>,
    /// Names all that is weaker; `None` if nothing is.
    pub weaker_digest: Option<String>,
    /// Why someone accepts just that.
    pub accepted_weaker: Option<String>,
    pub candidate: PromptRecord,
    pub baseline: Option<PromptRecord>,
    /// Absent where promptgate.lock does not know the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<BaselinePromotion>,
    pub dataset: DatasetRecord,
    /// Per case and arm.
    pub repeats: u32,
    pub tested: InputDigests,
    pub completion: Completion,
    /// `None` if it could not be written.
    pub results: Option<ResultsFile>,
    /// All candidates of the call; empty for a single one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<CandidateLine>,
    pub target: String,
    pub counts: Counts,
    /// Of these, the cases in quarantine; absent where no tag is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<QuarantineRecord>,
    /// Cases left out because the run was decided before their look; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlooked: Option<EarlyStop>,
    pub paired: PairCounts,
    pub rates: Arms<Option<ArmRate>>,
    /// Candidate minus baseline.
    pub difference: Option<Difference>,
    pub z: Option<ZScores>,
    pub needed: Option<SampleSize>,
    pub slices: Vec<Slice>,
    /// Absent where none is declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Guardrail>,
    pub usage: Usage,
    /// US dollars for this run's own requests; `None` when a price is unknown.
    pub cost_usd: Option<f64>,
    /// Part of `requests` and `cost_usd`; absent where no judge was asked, and none decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judges: Option<JudgesRecord>,
    /// US dollars for all answers when they were asked for, those from the store included; `None` when a price is unknown.
    pub answers_cost_usd: Option<f64>,
    pub prices: PriceList,
    /// Requests sent, retries included.
    pub requests: u64,
    pub cached: Arms<u64>,
    /// Of these, answers that were imported into the store.
    pub imported: u64,
    pub retries: u64,
    pub waited_ms: WaitTimes,
    pub latency_ms: Arms<Latency>,
    /// RFC 3339, seconds, UTC; its day decides what was in quarantine.
    pub started_at: String,
    /// RFC 3339, seconds, UTC.
    pub finished_at: String,
    pub tool: ToolInfo,
}

impl Verdict {
    /// Changes when a field changes its meaning or goes; new fields may come.
    pub const SCHEMA: &str = "promptgate.verdict/1";
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetRecord {
    pub sha256: String,
    pub cases: u64,
    pub total: u64,
}

/// results.jsonl as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultsFile {
    pub file: String,
    pub sha256: String,
    pub rows: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolInfo {
    pub name: String,
    pub version: String,
}

impl Default for ToolInfo {
    fn default() -> ToolInfo {
        ToolInfo { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// What asking judges took, and what is known of those that decide.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgesRecord {
    pub requests: u64,
    /// Replies that were stored already.
    pub stored: u64,
    /// US dollars; `None` when a price is not known.
    pub cost_usd: Option<f64>,
    #[serde(flatten)]
    pub found: JudgeEvidence,
}

/// The judges that decide cases, and what their errors do to the verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgeEvidence {
    /// Each of them, and each way of asking it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deciding: Vec<JudgeRecord>,
    /// The margins on the judges' scale; absent where no judge's errors are known, or they are too many.
    #[serde(flatten)]
    pub scale: Option<JudgeScale>,
    /// The pass rates, corrected for the judge's errors; only where one judge alone decides every case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected: Option<CorrectedRates>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeRecord {
    /// Its name in the settings.
    pub name: String,
    pub model: String,
    pub prompt_sha256: String,
    pub votes: u32,
    pub rule: String,
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrectedRates {
    pub baseline: Option<CorrectedRate>,
    pub candidate: Option<CorrectedRate>,
}

/// A pass rate without the judge's errors, by Rogan and Gladen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrectedRate {
    /// The rate; 0..=1.
    pub pass: f64,
    /// Its standard error, that of the judge's own shares included.
    pub standard_error: f64,
}
