//! What is compared: the differences of all cases, as units.
//!
//! For the population as estimand a unit is a case, or a cluster of cases. For the dataset as estimand the cases are given,
//! and only answers are drawn: a unit is one repeat of a case, answered by both arms.

use super::repeats::Repeats;
use crate::domain::{Case, Clusters, Comparison, Design, Estimand, Unit, Units};

/// Units of all cases so far. Memory: about 40 bytes a kind of difference, and 100 bytes a cluster.
#[derive(Debug)]
pub(super) struct Compared {
    design: Design,
    pairs: Pairs,
    passes_worst: Side,
    passes_best: Side,
    /// The greatest common divisor of all weights; 0 without cases.
    common: u64,
    clustered: bool,
}

/// Differences of cases in both arms.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    pub(super) worst: Side,
    pub(super) best: Side,
    observed: Side,
}

/// Cases that stand alone, and clusters.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    alone: Units,
    clusters: Clusters,
}

impl Side {
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
    /// Enters a case in both arms.
    pub(super) fn add(&mut self, design: &Design, case: &Case, blue: &Repeats, green: &Repeats) {
        let whole = i64::from(design.metric.whole());
        let cluster = case.cluster.as_deref();
        let unit = |difference| Unit::case(case.weight, difference);
        match design.estimand {
            Estimand::Population => {
                let (blue_missing, green_missing) = (whole * i64::from(blue.missing), whole * i64::from(green.missing));
                self.worst.add(cluster, unit(green.sum - blue.sum - blue_missing));
                self.best.add(cluster, unit(green.sum + green_missing - blue.sum));
                if blue.missing == 0 && green.missing == 0 && design.repeats > 0 {
                    self.observed.add(cluster, unit(green.sum - blue.sum));
                }
            }
            Estimand::Dataset => {
                for (blue, green) in blue.scores.iter().zip(&green.scores) {
                    self.worst.add(None, unit(green.unwrap_or(0) - blue.unwrap_or(whole)));
                    self.best.add(None, unit(green.unwrap_or(whole) - blue.unwrap_or(0)));
                    if let (Some(green), Some(blue)) = (green, blue) {
                        self.observed.add(None, unit(green - blue));
                    }
                }
            }
        }
    }
}

impl Compared {
    pub(super) fn new(design: Design) -> Compared {
        Compared {
            design,
            pairs: Pairs::default(),
            passes_worst: Side::default(),
            passes_best: Side::default(),
            common: 0,
            clustered: false,
        }
    }

    /// Enters a case in both arms.
    pub(super) fn pair(&mut self, case: &Case, blue: &Repeats, green: &Repeats) {
        self.note(case);
        self.pairs.add(&self.design, case, blue, green);
        self.passes(case, green);
    }

    /// Enters a case when there is no baseline.
    pub(super) fn alone(&mut self, case: &Case, green: &Repeats) {
        self.note(case);
        self.passes(case, green);
    }

    fn passes(&mut self, case: &Case, green: &Repeats) {
        let cluster = case.cluster.as_deref();
        let unit = |passes: u32| Unit::case(case.weight, passes.into());
        self.passes_worst.add(cluster, unit(green.passed));
        self.passes_best.add(cluster, unit(green.passed + green.missing));
    }

    /// Takes note of a case's weight, and of its cluster.
    fn note(&mut self, case: &Case) {
        self.common = greatest_common_divisor(self.common, case.weight.into());
        self.clustered |= case.cluster.is_some();
    }

    /// The greatest common divisor of all weights.
    pub(super) fn common(&self) -> u64 {
        self.common
    }

    /// Puts the units into the comparison.
    pub(super) fn finish(self, comparison: &mut Comparison) {
        let Compared {
            design,
            pairs: Pairs { worst, best, observed },
            passes_worst,
            passes_best,
            common,
            clustered,
        } = self;
        comparison.clustered = clustered && design.estimand == Estimand::Population;
        comparison.parts = u64::from(design.metric.whole())
            * match design.estimand {
                Estimand::Population => u64::from(design.repeats),
                Estimand::Dataset => 1,
            };
        comparison.worst = worst.units(common);
        comparison.best = best.units(common);
        comparison.observed = observed.units(common);
        comparison.passes_worst = passes_worst.units(common);
        comparison.passes_best = passes_best.units(common);
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
