//! What the gate looks at beside the score as a whole: tags, and guardrails on speed, cost, length, refusals.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How much worse than the baseline the candidate may be beside its score; what is not declared is not looked at. Relative
/// worsenings are shares of the baseline's value (0.2: a fifth more), absolute ones shares of answers. The fields stand in
/// the order of their names, as in the policy's digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guardrails {
    /// Cost of a case, relative; 0..=5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// 95th percentile of the latency, relative; 0..=5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p95: Option<f64>,
    /// Output tokens of a case, thinking included, relative; 0..=5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<f64>,
    /// Share of refusals, absolute; 0..=0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal_rate: Option<f64>,
    /// Share of answers that are cut off, absolute; 0..=0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncation_rate: Option<f64>,
}

impl Guardrails {
    /// Those that are declared, with what they allow.
    pub fn declared(&self) -> Vec<(GuardMetric, f64)> {
        let Guardrails { cost, latency_p95, output_tokens, refusal_rate, truncation_rate } = *self;
        [
            (GuardMetric::LatencyP95, latency_p95),
            (GuardMetric::Cost, cost),
            (GuardMetric::OutputTokens, output_tokens),
            (GuardMetric::RefusalRate, refusal_rate),
            (GuardMetric::TruncationRate, truncation_rate),
        ]
        .into_iter()
        .filter_map(|(metric, allowed)| Some((metric, allowed?)))
        .collect()
    }

    pub fn is_empty(&self) -> bool {
        *self == Guardrails::default()
    }
}

string_enum! {
    pub enum GuardMetric {
        /// 95th percentile of the latency, in milliseconds.
        LatencyP95 = "latency_p95",
        /// US dollars for a case asked once.
        Cost = "cost",
        /// Output tokens of a case asked once, thinking included.
        OutputTokens = "output_tokens",
        /// Share of answers that refuse.
        RefusalRate = "refusal_rate",
        /// Share of answers that are cut off.
        TruncationRate = "truncation_rate",
    }
}

impl GuardMetric {
    /// Bounds of what may be allowed, as a share of the baseline's and in points.
    pub const MAX_SHARE: f64 = 5.0;
    pub const MAX_POINTS: f64 = 0.5;

    /// The allowed worsening is a share of the baseline's value, not a difference.
    pub fn is_relative(self) -> bool {
        match self {
            GuardMetric::LatencyP95 | GuardMetric::Cost | GuardMetric::OutputTokens => true,
            GuardMetric::RefusalRate | GuardMetric::TruncationRate => false,
        }
    }
}

string_enum! {
    /// What the gate says of one guardrail.
    pub enum GuardStatus {
        /// Nothing speaks against it.
        Ok = "ok",
        /// Worse, and probably by more than is allowed: no promotion.
        Hold = "hold",
        /// Demonstrated to be worse by more than is allowed: block.
        Block = "block",
        /// Not to be judged: no promotion.
        Unknown = "unknown",
    }
}

/// A guardrail and what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guardrail {
    /// What it is about; the unit of `baseline` and `candidate`.
    pub metric: GuardMetric,
    /// Cases that were looked at.
    pub n: u64,
    pub baseline: Option<f64>,
    pub candidate: Option<f64>,
    /// How much worse the candidate is; relative or absolute, as the metric has it. Negative if it is better.
    pub change: Option<f64>,
    pub allowed: f64,
    /// The chance to see such a worsening, or a larger one, if the true one is just the allowed one.
    pub p: Option<f64>,
    /// The same if there is none at all.
    pub p_any: Option<f64>,
    pub status: GuardStatus,
    /// Why it can't be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What guardrails are judged by. Integers, so that the order of cases can't change a digit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardSums {
    /// Refusals. Cases that have a check for them are left out: it says whether a refusal is right.
    pub refusals: GuardRates,
    /// Answers that are cut off.
    pub truncations: GuardRates,
    /// Output tokens, thinking included.
    pub output_tokens: PairSums,
    /// Cost, in billionths of a US dollar.
    pub cost: PairSums,
    pub latency: LatencySums,
}

/// How often something bad happens, per case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardRates {
    /// Cases by how often it happens in the baseline less how often it does in the candidate, when every missing answer
    /// is worst for the candidate. Key in -k..=k; negative is worse.
    pub missing_against: BTreeMap<i64, u64>,
    /// The same with every missing answer best for the candidate.
    pub missing_for: BTreeMap<i64, u64>,
    /// Cases with all answers in both arms.
    pub cases: u64,
    /// How often it happens in them: baseline, candidate.
    pub happened: (u64, u64),
}

/// Sums over the cases with all answers in both arms of what their answers took: g in the candidate, b in the baseline, each
/// over all repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairSums {
    /// Cases whose values are known.
    pub cases: u64,
    /// Cases with all answers whose values are not.
    pub unknown: u64,
    /// Σg, Σb.
    pub first: [i128; 2],
    /// Σg², Σgb, Σb².
    pub second: [i128; 3],
    /// Σg³, Σg²b, Σgb², Σb³.
    pub third: [i128; 4],
    /// A sum does not fit: nothing can be said.
    pub overflow: bool,
}

/// Latencies of cases of which this run asked for every answer, one by one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatencySums {
    /// Such cases.
    pub cases: u64,
    /// Cases with all answers of which some came from the store, a recording or a batch.
    pub cold: u64,
    /// 95th percentiles over these cases, in milliseconds: baseline, candidate.
    pub p95: (u64, u64),
    /// Cases by how many answers of the baseline, made longer by the allowed share, take longer than the 95th percentile
    /// of both arms together, less how many of the candidate do. Key in -k..=k; negative is worse.
    pub beyond: BTreeMap<i64, u64>,
    /// The same without making them longer.
    pub beyond_any: BTreeMap<i64, u64>,
}
