//! What is compared: the differences of all cases, as units.
//!
//! For the population as estimand a unit is a case, or a cluster of cases. For the dataset as estimand the cases are given,
//! and only answers are drawn: a unit is one repeat of a case, answered by both arms.

use super::repeats::Repeats;
use crate::domain::{Case, Clusters, Comparison, Design, Estimand, Unit, Units};

/// Units of all cases so far. Memory: about 40 bytes a kind of difference, and 100 bytes a cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct UnitSums {
    design: Design,
    pairs: Pairs,
    passes_missing_against: UnitSet,
    passes_missing_for: UnitSet,
    /// The greatest common divisor of all weights; 0 without cases.
    common: u64,
    clustered: bool,
}

/// Differences of cases in both arms.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    pub(super) missing_against: UnitSet,
    pub(super) missing_for: UnitSet,
    observed: UnitSet,
}

#[derive(Clone, Debug, Default)]
pub(super) struct UnitSet {
    alone: Units,
    clusters: Clusters,
}

impl UnitSet {
    fn add(&mut self, cluster: Option<&str>, unit: Unit) {
        match cluster {
            Some(cluster) => self.clusters.add(cluster, unit),
            None => self.alone.add(unit, 1),
        }
    }

    /// The units, with sizes in parts of `common`.
    pub(super) fn units(mut self, common: u64) -> Units {
        self.alone.merge(&self.clusters.units());
        self.alone.in_parts_of(common)
    }
}

impl Pairs {
    pub(super) fn add(&mut self, design: &Design, case: &Case, baseline: &Repeats, candidate: &Repeats) {
        let whole = i64::from(design.metric.whole());
        let cluster = case.cluster.as_deref();
        let unit = |difference| Unit::case(case.weight, difference);
        match design.estimand {
            Estimand::Population => {
                let (baseline_missing, candidate_missing) =
                    (whole * i64::from(baseline.missing), whole * i64::from(candidate.missing));
                self.missing_against.add(cluster, unit(candidate.sum - baseline.sum - baseline_missing));
                self.missing_for.add(cluster, unit(candidate.sum + candidate_missing - baseline.sum));
                if baseline.missing == 0 && candidate.missing == 0 && design.repeats > 0 {
                    self.observed.add(cluster, unit(candidate.sum - baseline.sum));
                }
            }
            Estimand::Dataset => {
                for (baseline, candidate) in baseline.scores.iter().zip(&candidate.scores) {
                    self.missing_against.add(None, unit(candidate.unwrap_or(0) - baseline.unwrap_or(whole)));
                    self.missing_for.add(None, unit(candidate.unwrap_or(whole) - baseline.unwrap_or(0)));
                    if let (Some(candidate), Some(baseline)) = (candidate, baseline) {
                        self.observed.add(None, unit(candidate - baseline));
                    }
                }
            }
        }
    }
}

impl UnitSums {
    pub(super) fn new(design: Design) -> UnitSums {
        UnitSums { design, ..UnitSums::default() }
    }

    pub(super) fn pair(&mut self, case: &Case, baseline: &Repeats, candidate: &Repeats) {
        self.note(case);
        self.pairs.add(&self.design, case, baseline, candidate);
        self.passes(case, candidate);
    }

    pub(super) fn alone(&mut self, case: &Case, candidate: &Repeats) {
        self.note(case);
        self.passes(case, candidate);
    }

    fn passes(&mut self, case: &Case, candidate: &Repeats) {
        let cluster = case.cluster.as_deref();
        let unit = |passes: u32| Unit::case(case.weight, passes.into());
        self.passes_missing_against.add(cluster, unit(candidate.passed));
        self.passes_missing_for.add(cluster, unit(candidate.passed + candidate.missing));
    }

    fn note(&mut self, case: &Case) {
        self.common = greatest_common_divisor(self.common, case.weight.into());
        self.clustered |= case.cluster.is_some();
    }

    pub(super) fn common(&self) -> u64 {
        self.common
    }

    pub(super) fn finish(self, comparison: &mut Comparison) {
        let UnitSums { design, pairs, common, .. } = self;
        comparison.clustered = self.clustered && design.estimand == Estimand::Population;
        comparison.parts = u64::from(design.metric.whole())
            * match design.estimand {
                Estimand::Population => u64::from(design.repeats),
                Estimand::Dataset => 1,
            };
        comparison.missing_against = pairs.missing_against.units(common);
        comparison.missing_for = pairs.missing_for.units(common);
        comparison.observed = pairs.observed.units(common);
        comparison.passes_missing_against = self.passes_missing_against.units(common);
        comparison.passes_missing_for = self.passes_missing_for.units(common);
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
