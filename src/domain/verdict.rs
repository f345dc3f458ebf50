//! The verdict and its evidence, as verdict.json has it.

use super::answer::Usage;
use super::candidate::CandidateLine;
use super::case::CaseId;
use super::comparison::{ArmRate, Counts, Estimand, Latency, Metric, Paired, Waited};
use super::evidence::Completion;
use super::guards::{Guardrail, Guardrails};
use super::look::{Sequential, Unlooked};
use super::quarantine::Quarantined;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// May it go live?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Yes.
    Promote,
    /// No.
    Block,
    /// Not enough is known.
    Inconclusive,
}

impl Decision {
    /// The word in verdict.json.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Promote => "promote",
            Decision::Block => "block",
            Decision::Inconclusive => "inconclusive",
        }
    }
}

/// Why, as a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// Promote: worse by the margin or more is excluded.
    NotWorse,
    /// Promote: both arms send the same requests.
    Identical,
    /// Promote: the pass rate is above the required one.
    PassRate,
    /// Block: a must-pass case failed.
    Critical,
    /// Block: worse by more than the tolerance is demonstrated.
    Regression,
    /// Block: the pass rate is below the required one.
    PassRateLow,
    /// Block: the service refuses the candidate's requests.
    CandidateErrors,
    /// Block: worse by more than a guardrail allows is demonstrated.
    Guardrail,
    /// Block: the cases of a tag are demonstrated to be worse.
    Slice,
    /// Inconclusive: a must-pass case has too few judged repeats.
    CriticalUnscored,
    /// Inconclusive: too many answers are missing.
    Errors,
    /// Inconclusive: neither promoting nor blocking is supported.
    TooFew,
    /// Inconclusive: worse by more than a guardrail allows is likely, or can't be judged.
    GuardrailOpen,
    /// Inconclusive: the cases of a tag are likely worse, or it is not excluded for a critical tag.
    SliceOpen,
    /// Inconclusive: the budget was spent.
    Budget,
    /// Inconclusive: the run was interrupted or stopped.
    Stopped,
    /// Inconclusive: one shard alone can't decide.
    Shard,
    /// Inconclusive: nothing was judged.
    NothingScored,
    /// Inconclusive: another model served than the one asked for, and the policy is strict.
    ServedModel,
    /// Inconclusive: the arms asked for the same model, and different ones served them.
    MixedModels,
    /// Inconclusive: not one answer of the candidate passes, so two equal prompts may be equally broken.
    NothingPassed,
    /// Inconclusive: the judges that decide err too often, or are known too little.
    JudgeWeak,
    /// Inconclusive: a judge decides that is not the one that was calibrated.
    JudgeStale,
    /// Inconclusive: the pass rate is above the required one, but the judge lets too many bad answers pass for that.
    JudgeLenient,
    /// Inconclusive: the store failed midway.
    Store,
    /// Inconclusive: golden data, checks or policy ask for less than at the policy base, and no one accepted it.
    Weakened,
    /// Inconclusive: the first look at the same was no promote, and other answers can't make it one.
    EarlierLook,
    /// Inconclusive: there were attempts before, and their answers are not here.
    AttemptsLost,
    /// `--no-gate`: no decision was asked for.
    NotGated,
}

impl ReasonCode {
    /// The word in verdict.json.
    pub fn as_str(self) -> &'static str {
        match self {
            ReasonCode::NotWorse => "not_worse",
            ReasonCode::Identical => "identical",
            ReasonCode::PassRate => "pass_rate",
            ReasonCode::Critical => "critical",
            ReasonCode::Regression => "regression",
            ReasonCode::PassRateLow => "pass_rate_low",
            ReasonCode::CandidateErrors => "candidate_errors",
            ReasonCode::Guardrail => "guardrail",
            ReasonCode::Slice => "slice",
            ReasonCode::CriticalUnscored => "critical_unscored",
            ReasonCode::Errors => "errors",
            ReasonCode::TooFew => "too_few",
            ReasonCode::GuardrailOpen => "guardrail_open",
            ReasonCode::SliceOpen => "slice_open",
            ReasonCode::Budget => "budget",
            ReasonCode::Stopped => "stopped",
            ReasonCode::Shard => "shard",
            ReasonCode::NothingScored => "nothing_scored",
            ReasonCode::ServedModel => "served_model",
            ReasonCode::MixedModels => "mixed_models",
            ReasonCode::NothingPassed => "nothing_passed",
            ReasonCode::JudgeWeak => "judge_weak",
            ReasonCode::JudgeStale => "judge_stale",
            ReasonCode::JudgeLenient => "judge_lenient",
            ReasonCode::Store => "store",
            ReasonCode::Weakened => "weakened",
            ReasonCode::EarlierLook => "earlier_look",
            ReasonCode::AttemptsLost => "attempts_lost",
            ReasonCode::NotGated => "not_gated",
        }
    }
}

/// One reason of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Stable code.
    pub code: ReasonCode,
    /// One plain sentence.
    pub message: String,
    /// Cases it is about, some of them.
    pub cases: Vec<CaseId>,
}

/// What a warning is about, as a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// Another model served than the one asked for.
    ServedModel,
    /// Several models served one arm.
    SeveralModels,
    /// A must-pass case passes, but not always.
    FlakyCritical,
    /// A judge decides whose errors are not known.
    JudgeUncalibrated,
    /// A judge decides that is not the one that was calibrated.
    JudgeStale,
    /// A judge decides that was calibrated with other labels than the golden files hold.
    JudgeLabels,
    /// There are more tags than the gate looks at.
    TagsLeftOut,
    /// The cases of a tag don't decide.
    Quarantined,
    /// A quarantine is over, so that the cases of its tag decide again.
    QuarantineExpired,
    /// A must-pass case has a tag in quarantine, and decides all the same.
    QuarantineCritical,
}

/// Something that a reader of a verdict has to know, and that decides nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Stable code.
    pub code: WarningCode,
    /// One plain sentence.
    pub message: String,
}

/// The evidence by which a run with `anytime` is decided: e-values, 1/alpha or more decides. At most 1e300.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EValues {
    /// Against being worse by the margin or more.
    pub promote: f64,
    /// Against being worse by no more than the tolerance.
    pub block: f64,
}

/// The rules a verdict follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Promoting requires that being worse by this much or more is excluded; share of cases, 0..=0.5.
    pub margin: f64,
    /// Blocking requires that being worse by more than this is demonstrated; 0..=margin.
    pub tolerance: f64,
    /// Chance of each wrong decision; 0..=0.2.
    pub alpha: f64,
    /// What the difference is about.
    pub estimand: Estimand,
    /// What an answer scores. Absent from the serialized policy, and so from its digest, unless it is the score.
    #[serde(skip_serializing_if = "is_default")]
    pub metric: Metric,
    /// Without a baseline: the pass rate that must be exceeded.
    pub min_pass_rate: Option<f64>,
    /// Share of missing answers per arm above which nothing is decided.
    pub max_missing: f64,
    /// Looks at the same that are planned before the first, each with more repeats; 1..=10. Absent from the serialized
    /// policy, and so from its digest, where it is 1.
    #[serde(skip_serializing_if = "is_one")]
    pub attempts: u32,
    /// Whether a run may be decided before all its cases were asked. Absent from the serialized policy, and so from its
    /// digest, where it may not.
    #[serde(skip_serializing_if = "is_default")]
    pub sequential: Sequential,
    /// Another model than the one asked for makes the run inconclusive; otherwise it is a warning. Absent from the
    /// serialized policy, and so from its digest, unless it is set.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict_model: bool,
    /// The cases of a tag block, or hold a promotion, only if they lost at least this share; 0..=1.
    pub slice_margin: f64,
    /// Blocked tags that are blocked wrongly, as a share, on average (false discovery rate); 0..=0.2.
    pub slice_q: f64,
    /// Tags for which promoting requires that being worse by `critical_margin` is excluded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub critical_tags: Vec<String>,
    /// 0..=0.5; only with `critical_tags`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical_margin: Option<f64>,
    /// How much worse the candidate may be beside its score.
    #[serde(skip_serializing_if = "Guardrails::is_empty")]
    pub guardrails: Guardrails,
    /// Tags whose cases don't decide, each with the last day on which they don't, like `2026-12-31`. Absent from the
    /// serialized policy, and so from its digest, unless there are any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub quarantine: BTreeMap<String, String>,
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Policy {
    /// What holds without any setting.
    fn default() -> Policy {
        Policy {
            margin: 0.05,
            tolerance: 0.01,
            alpha: 0.05,
            estimand: Estimand::Population,
            metric: Metric::Pass,
            min_pass_rate: None,
            max_missing: 0.05,
            attempts: 1,
            sequential: Sequential::Off,
            strict_model: false,
            slice_margin: 0.10,
            slice_q: 0.05,
            critical_tags: Vec::new(),
            critical_margin: None,
            guardrails: Guardrails::default(),
            quarantine: BTreeMap::new(),
        }
    }
}

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

/// One tag's numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Slice {
    /// The tag.
    pub tag: String,
    /// Cases scored in both arms; without a baseline, in the candidate.
    pub n: u64,
    /// Baseline pass rate.
    pub baseline: Option<f64>,
    /// Candidate pass rate.
    pub candidate: Option<f64>,
    /// Candidate minus baseline.
    pub difference: Option<f64>,
    /// `better`, `same`, `worse`, or `unknown` when there is no difference; informative.
    pub status: &'static str,
    /// What the gate says.
    pub gate: SliceGate,
    /// The chance of such a loss, or a larger one, if the tag's cases are no worse with the candidate; missing answers are
    /// best for it. `None` where nothing was tested.
    pub p: Option<f64>,
}

/// What the gate says of one tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SliceGate {
    /// Nothing speaks against it.
    Ok,
    /// Likely worse, or a critical tag whose loss is not excluded: no promotion.
    Hold,
    /// Demonstrated to be worse: block.
    Block,
    /// Too few cases for a decision of its own.
    Unpowered,
    /// Not looked at: there is no difference, or nothing was decided by differences.
    #[default]
    Unknown,
}

impl SliceGate {
    /// The word in verdict.json.
    pub fn as_str(self) -> &'static str {
        match self {
            SliceGate::Ok => "ok",
            SliceGate::Hold => "hold",
            SliceGate::Block => "block",
            SliceGate::Unpowered => "unpowered",
            SliceGate::Unknown => "unknown",
        }
    }
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

/// Prefixes of requests that a run had the service keep, and what they used beside the answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PrefixCaches {
    /// Caches that were made.
    pub created: u64,
    /// Their input tokens, each cache counted once.
    pub tokens: u64,
    /// US dollars for making and keeping them; `None` when a price is unknown.
    pub cost_usd: Option<f64>,
}

impl Default for PrefixCaches {
    /// None, for nothing.
    fn default() -> PrefixCaches {
        PrefixCaches {
            created: 0,
            tokens: 0,
            cost_usd: Some(0.0),
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
    /// `None` unless the run is decided by evidence.
    pub e_value: Option<EValues>,
    /// What would settle it.
    pub needed: Option<Needed>,
    /// Tags.
    pub slices: Vec<Slice>,
    /// Declared guardrails.
    pub guardrails: Vec<Guardrail>,
    /// Tokens of all answers.
    pub usage: Usage,
    /// Cost of this run's own requests in US dollars, cached prefixes included; `None` when a price is unknown.
    pub cost_usd: Option<f64>,
    /// Cached prefixes, part of the cost.
    pub prefix_caches: PrefixCaches,
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
