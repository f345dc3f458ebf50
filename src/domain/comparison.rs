//! Blue and green side by side: the numbers a verdict is made of.

use super::answer::Usage;
use super::case_id::CaseId;
use super::guards::GuardSums;
use super::look::EarlyStop;
use super::outcome::Counts;
use super::policy::{Estimand, Metric};
use super::quarantine::QuarantineSums;
use super::row::ArmRow;
use super::slices::TagSums;
use super::units::Units;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Cases scored in both arms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCounts {
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers planned, without those left out because both arms send the same request.
    pub planned: u64,
    pub scored: u64,
    pub passed: u64,
    /// Planned and not judged for any reason but an identical request; counts against promoting.
    pub missing: u64,
    /// Missing because the service refused the request itself.
    pub refused: u64,
    pub cached: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Design {
    pub repeats: u32,
    pub baseline: bool,
    pub identical: bool,
    pub metric: Metric,
    /// What is drawn.
    pub estimand: Estimand,
}

/// Pass rate of an arm in the making: sums over the cases that are fully judged in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSums {
    /// Sum of weight x passing repeats.
    pub passes: u64,
    /// Sum of the weights; without weights the number of cases.
    pub size: u64,
    /// Sum of the squared weights.
    pub squares: u128,
}

/// The pass rate of an arm over cases, with a two-sided Wilson interval of confidence 1 - 2 alpha.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmRate {
    /// Mean over cases of the share of passing repeats.
    pub pass: f64,
    pub low: f64,
    pub high: f64,
}

/// How a must-pass case fared in the candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempts {
    /// Answers planned, those that were to confirm a failure included.
    pub planned: u32,
    pub scored: u32,
    pub failed: u32,
}

impl Attempts {
    /// Of a case's answers in an arm, of which so many were planned.
    pub fn of(arm: &ArmRow, planned: u32) -> Attempts {
        let scores = || arm.repeats.iter().filter_map(|judged| judged.outcome.score());
        Attempts {
            planned: planned.max(arm.repeats.len() as u32),
            scored: scores().count() as u32,
            failed: scores().filter(|score| !score.pass).count() as u32,
        }
    }
}

/// Must-pass cases that fared alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MustPassGroup {
    pub cases: u64,
    pub ids: Vec<CaseId>,
}

/// Milliseconds that the successful attempts of one arm took, those of stored answers included; 0 without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    pub p50: u64,
    pub p95: u64,
    pub p99: u64,
}

/// Milliseconds that the answers a run asked for waited before their successful attempts, or for those that failed, their
/// last ones: for their turn, and for earlier attempts and the pauses after them. They wait side by side, so the total may
/// be longer than the run. 0 without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitTimes {
    pub p50: u64,
    pub p95: u64,
    pub max: u64,
    pub total: u64,
}

/// Blue and green over the whole run. Sums of repeats are kept as integers, so that the order of cases and the number of
/// threads can't change a digit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    pub repeats: u32,
    pub has_baseline: bool,
    pub counts: Counts,
    /// Cases scored in both arms.
    pub paired: PairCounts,
    /// What an answer scores, and what a difference is about.
    pub metric: Metric,
    pub estimand: Estimand,
    /// Some cases stand in clusters, which are the units.
    pub clustered: bool,
    /// Parts of a whole score in the sums of the units of `missing_against`, `missing_for` and `observed`.
    pub parts: u64,
    /// Candidate minus baseline per unit, when every missing answer is worst for the candidate (missing candidate = 0,
    /// missing baseline = 1). A unit is a case or a cluster, for the dataset as estimand a repeat of a case.
    pub missing_against: Units,
    /// The same with every missing answer best for the candidate.
    pub missing_for: Units,
    /// The same over what is scored in both arms, for the reported estimate.
    pub observed: Units,
    /// Passing repeats of the candidate per case or cluster, missing counted as fail; `repeats` parts are a whole. For the
    /// rate without a baseline.
    pub passes_missing_against: Units,
    /// The same, missing counted as pass.
    pub passes_missing_for: Units,
    pub baseline: Tally,
    pub candidate: Tally,
    /// Over fully scored baseline cases.
    pub baseline_rate: RateSums,
    /// Over fully scored candidate cases.
    pub candidate_rate: RateSums,
    /// Variation of the answers within a case, baseline and candidate: sum over the cases scored in both arms of
    /// repeats x sum of squares - square of the sum of its scores; a score of 1 has [`Metric::whole`] ticks.
    pub within: (u128, u128),
    /// The must-pass cases, by how they fared.
    pub must_pass: BTreeMap<Attempts, MustPassGroup>,
    /// Some ids of regressed cases, in plan order, for messages.
    pub regressed: Vec<CaseId>,
    /// Some ids of cases with missing answers, in plan order, for messages.
    pub missing: Vec<CaseId>,
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
    pub retries: u64,
    pub waited_ms: WaitTimes,
    /// Answers by the time they took when they were asked for, those from the store included; baseline and candidate.
    pub latency_ms: (Latency, Latency),
    pub baseline_served: Vec<String>,
    pub candidate_served: Vec<String>,
    pub identical: bool,
    /// Answers not asked because the budget was spent.
    pub over_budget: u64,
    /// Answers not asked because the run was interrupted or stopped.
    pub not_asked: u64,
    /// Codes and messages of errors, most frequent first, a few.
    pub errors: Vec<(String, String, u64)>,
    /// Numbers per tag, by name; the first few hundred tags, and those that were asked for.
    pub slices: Vec<TagSums>,
    /// There are more tags than `slices` has.
    pub tags_left_out: bool,
    pub guards: GuardSums,
    /// Cases that are counted, and enter nothing else that decides.
    pub quarantine: QuarantineSums,
    /// Cases of later looks, of which only must-pass ones were asked; all else here is without them, but for the counts, the
    /// must-pass cases, and what answers used, cost and took.
    pub unlooked: EarlyStop,
    /// The same over the cases of the policy base, as they count there; `None` if there are none.
    pub at_base: Option<Box<Comparison>>,
}
