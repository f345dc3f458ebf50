//! Blue and green side by side: the numbers a verdict is made of.

use super::answer::Usage;
use super::case::CaseId;
use super::verdict::Slice;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Cases by outcome, in one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All cases of the run.
    pub cases: u64,
    /// Every repeat passed.
    pub pass: u64,
    /// A repeat failed.
    pub fail: u64,
    /// None failed, one could not be judged.
    pub error: u64,
    /// Not asked.
    pub skipped: u64,
}

/// Cases scored in both arms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Paired {
    /// All of them.
    pub n: u64,
    /// Every repeat passes in both arms.
    pub both_pass: u64,
    /// d < 0.
    pub regressed: u64,
    /// d > 0.
    pub improved: u64,
    /// Any other tie.
    pub both_fail: u64,
}

/// Answers of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers planned, without those left out because both arms send the same request.
    pub planned: u64,
    /// Answers judged.
    pub scored: u64,
    /// Judged answers that pass.
    pub passed: u64,
    /// Planned and not judged for any reason but an identical request; counts against promoting.
    pub missing: u64,
    /// Missing because the service refused the request itself.
    pub refused: u64,
    /// Answers taken from the store's cache.
    pub cached: u64,
}

/// The pass rate of an arm over cases, with a two-sided Wilson interval of confidence 1 - 2 alpha.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ArmRate {
    /// Mean over cases of the share of passing repeats.
    pub pass: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A must-pass case, in the candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriticalCase {
    /// Which.
    pub id: CaseId,
    /// Repeats planned.
    pub planned: u32,
    /// Repeats judged.
    pub scored: u32,
    /// Judged repeats that fail.
    pub failed: u32,
}

/// Milliseconds that the successful attempts of one arm took, those of stored answers included; 0 without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
}

/// Milliseconds that the answers a run asked for waited before their successful attempts, or for those that failed, their
/// last ones: for their turn, and for earlier attempts and the pauses after them. They wait side by side, so the total may
/// be longer than the run. 0 without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waited {
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
    /// The longest.
    pub max: u64,
    /// All together.
    pub total: u64,
}

/// Blue and green over the whole run. Sums of repeats are kept as integers, so that the order of cases and the number of
/// threads can't change a digit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Repeats per case and arm.
    pub repeats: u32,
    /// There is a baseline to compare with.
    pub has_baseline: bool,
    /// Candidate arm, per case.
    pub counts: Counts,
    /// Cases scored in both arms.
    pub paired: Paired,
    /// Per case: passes(candidate) - passes(baseline), when every missing answer is worst for the candidate
    /// (missing candidate = fail, missing baseline = pass). Key in -k..=k, value = number of cases.
    pub worst: BTreeMap<i64, u64>,
    /// The same with every missing answer best for the candidate.
    pub best: BTreeMap<i64, u64>,
    /// The same over the cases scored in both arms, for the reported estimate.
    pub observed: BTreeMap<i64, u64>,
    /// Candidate: cases by number of passing repeats, missing counted as fail. For the rate without a baseline.
    pub candidate_passes_worst: BTreeMap<u32, u64>,
    /// Candidate: cases by number of passing repeats, missing counted as pass.
    pub candidate_passes_best: BTreeMap<u32, u64>,
    /// Answers of the baseline.
    pub baseline: Tally,
    /// Answers of the candidate.
    pub candidate: Tally,
    /// Sum over fully scored baseline cases of the share of passing repeats, and how many cases.
    pub baseline_rate: (f64, u64),
    /// The same for the candidate.
    pub candidate_rate: (f64, u64),
    /// Variation of the answers within a case, baseline and candidate: sum over the cases scored in both arms of
    /// passes x (repeats - passes). Integers; the variance estimate divides them.
    pub within: (u64, u64),
    /// Some must-pass cases that did not simply pass, in plan order: failed, or not fully scored. Never empty of a kind
    /// whose count below is not 0.
    pub critical_trouble: Vec<CriticalCase>,
    /// Must-pass cases with a failed repeat.
    pub critical_failed: u64,
    /// Must-pass cases without a failed repeat, but with one that was not judged.
    pub critical_unscored: u64,
    /// All must-pass cases.
    pub critical: u64,
    /// Some ids of regressed cases, in plan order, for messages.
    pub regressed: Vec<CaseId>,
    /// Some ids of cases with missing answers, in plan order, for messages.
    pub missing: Vec<CaseId>,
    /// Tokens of all answers.
    pub usage: Usage,
    /// Cost of the answers that this run asked for, in US dollars; `None` when a price is unknown.
    pub cost_usd: Option<f64>,
    /// What all answers cost when they were asked for, in US dollars, those from the store included; `None` when a price is
    /// unknown, as for recorded answers.
    pub answers_cost_usd: Option<f64>,
    /// Answers from the store that were imported into it.
    pub imported: u64,
    /// Requests sent by this run, retries included.
    pub requests: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// How long what this run asked for waited.
    pub waited_ms: Waited,
    /// Answers by the time they took when they were asked for, those from the store included; baseline and candidate.
    pub latency_ms: (Latency, Latency),
    /// Models that served the baseline, sorted.
    pub baseline_served: Vec<String>,
    /// Models that served the candidate, sorted.
    pub candidate_served: Vec<String>,
    /// Both arms render the same requests.
    pub identical: bool,
    /// Answers not asked because the budget was spent.
    pub over_budget: u64,
    /// Answers not asked because the run was interrupted or stopped.
    pub not_asked: u64,
    /// Codes and messages of errors, most frequent first, a few.
    pub errors: Vec<(String, String, u64)>,
    /// Numbers per tag, by name; the first few hundred tags.
    pub slices: Vec<Slice>,
}
