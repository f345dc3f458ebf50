//! The rules that a verdict follows.

use super::guards::Guardrails;
use super::look::Sequential;
use super::units::SCORE_TICKS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Promoting requires that being worse by this much or more is excluded; share of cases, 0..=0.5.
    pub margin: f64,
    /// Blocking requires that being worse by more than this is demonstrated; 0..=margin.
    pub tolerance: f64,
    /// Chance to promote wrongly; 0..=0.2. A promotion is also held where a loss beyond the tolerance is shown with this error.
    pub alpha: f64,
    /// Chance to block wrongly for a loss beyond the tolerance; 0..=0.2.
    pub block_alpha: f64,
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

/// Bounds of the rules. Each share is more than 0.
impl Policy {
    /// Of margins and the tolerance.
    pub const MAX_LOSS: f64 = 0.5;
    /// Of the margin of tags, which may be lost as a whole.
    pub const MAX_SLICE_LOSS: f64 = 1.0;
    /// Of the chance of a wrong decision.
    pub const MAX_ERROR: f64 = 0.2;
    /// Critical tags, and those in quarantine, are kept in memory and in the policy.
    pub const MAX_TAGS: usize = 100;
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
            block_alpha: 0.015,
            estimand: Estimand::Population,
            metric: Metric::Pass,
            min_pass_rate: None,
            max_missing: 0.05,
            attempts: 1,
            sequential: Sequential::Off,
            strict_model: false,
            slice_margin: 0.10,
            slice_q: 0.015,
            critical_tags: Vec::new(),
            critical_margin: None,
            guardrails: Guardrails::default(),
            quarantine: BTreeMap::new(),
        }
    }
}

string_enum! {
    /// What the gate score of an answer is.
    #[derive(Default)]
    pub enum Metric {
        /// 1 for a pass, 0 for a fail.
        #[default]
        Pass = "pass",
        /// The score of its checks, 0 to 1.
        Score = "score",
    }
}

string_enum! {
    #[derive(Default)]
    pub enum Estimand {
        /// Cases like these: a case, or a cluster of them, is drawn from many.
        #[default]
        Population = "population",
        /// Exactly these cases: only the answers are drawn. Says nothing about others.
        Dataset = "dataset",
    }
}

impl Metric {
    /// Ticks of a score of 1.
    pub fn whole(self) -> u32 {
        match self {
            Metric::Pass => 1,
            Metric::Score => SCORE_TICKS,
        }
    }
}
