//! Units of comparison: what is drawn independently, and so counts once. A case is one, or a cluster of cases that stand
//! or fall together (paraphrases of one question, questions about one document).
//!
//! All sums are integers, so that folding in any order, in parts and by any number of threads gives the same units.

use std::collections::BTreeMap;

/// Ticks of a whole score. A score in 0..=1 is rounded to this grid, which moves it by at most half a tick, 5e-7, and the
/// mean difference of a case by at most a tick, 1e-6. Passing and failing are on the grid, so that nothing moves.
pub const SCORE_TICKS: u32 = 1_000_000;

/// The score in ticks; `None` for what is no number in 0..=1, which is no score.
pub fn score_ticks(score: f64) -> Option<i64> {
    (0.0..=1.0).contains(&score).then(|| (score * f64::from(SCORE_TICKS)).round() as i64)
}

/// What the cases of one unit add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// Sum of the weights; without weights the number of cases.
    pub size: u64,
    /// Sum over its cases of weight x difference (candidate - baseline), in parts of a whole score. With k repeats a
    /// difference of the arms' sums, in ticks, has `k x SCORE_TICKS` parts; passes alone have k.
    pub sum: i128,
}

impl Unit {
    /// A unit of one case. Weights are whole; decimal ones are taken in a common part, like thousandths: only their
    /// proportions matter. 1 without weights.
    pub fn case(weight: u32, difference: i64) -> Unit {
        Unit { size: u64::from(weight), sum: i128::from(weight) * i128::from(difference) }
    }

    /// Adds the cases of another part of the same unit.
    pub fn add(&mut self, other: Unit) {
        self.size = self.size.saturating_add(other.size);
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// Units as a histogram: how many are alike. Bounded by the number of units; of passes and failures there are few kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Units(BTreeMap<Unit, u64>);

impl Units {
    /// Counts `count` units more. Those without size weigh nothing, and are none.
    pub fn add(&mut self, unit: Unit, count: u64) {
        if unit.size > 0 && count > 0 {
            let bin = self.0.entry(unit).or_default();
            *bin = bin.saturating_add(count);
        }
    }

    /// Counts the units of another part. A cluster must not be in both.
    pub fn merge(&mut self, other: &Units) {
        for (unit, count) in &other.0 {
            self.add(*unit, *count);
        }
    }

    /// The same with sizes in parts of `common`, by which every weight must be divisible.
    pub fn in_parts_of(&self, common: u64) -> Units {
        let mut units = Units::default();
        for (Unit { size, sum }, count) in self.iter() {
            let unit = Unit { size: size / common.max(1), sum: sum / i128::from(common.max(1)) };
            units.add(unit, count);
        }
        units
    }

    #[cfg(test)]
    pub fn count(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Every kind of unit, and how many there are of it, by size and sum.
    pub fn iter(&self) -> impl Iterator<Item = (Unit, u64)> + '_ {
        self.0.iter().map(|(unit, count)| (*unit, *count))
    }
}

/// Clusters by name, while their cases arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clusters(BTreeMap<Box<str>, Unit>);

impl Clusters {
    /// Adds a case, or a part, to a cluster.
    pub fn add(&mut self, cluster: &str, part: Unit) {
        match self.0.get_mut(cluster) {
            Some(unit) => unit.add(part),
            None => {
                self.0.insert(cluster.into(), part);
            }
        }
    }

    /// Each cluster is a unit.
    pub fn units(&self) -> Units {
        let mut units = Units::default();
        self.0.values().for_each(|unit| units.add(*unit, 1));
        units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_go_to_the_nearest_tick_and_nothing_else_is_a_score() {
        assert_eq!((score_ticks(0.0), score_ticks(1.0)), (Some(0), Some(1_000_000)));
        assert_eq!(score_ticks(2.0 / 3.0), Some(666_667));
        for none in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(score_ticks(none), None);
        }
    }

    #[test]
    fn clusters_gather_their_cases_in_any_order() {
        let cases = [("a", 1, -3), ("b", 2, 1), ("a", 3, 2), ("c", 0, 7), ("b", 1, 0)];
        let fold = |cases: &[(&str, u32, i64)]| {
            let mut clusters = Clusters::default();
            for (cluster, weight, difference) in cases {
                clusters.add(cluster, Unit::case(*weight, *difference));
            }
            clusters
        };
        let whole = fold(&cases);
        let mut reversed = cases;
        reversed.reverse();
        assert_eq!(fold(&reversed), whole);
        // Cluster c has no weight.
        let units: Vec<(Unit, u64)> = whole.units().iter().collect();
        assert_eq!(units, [(Unit { size: 3, sum: 2 }, 1), (Unit { size: 4, sum: 3 }, 1)]);
    }

    #[test]
    fn histograms_merge_to_the_histogram_of_all() {
        let (mut first, mut second, mut all) = (Units::default(), Units::default(), Units::default());
        for (i, unit) in
            [Unit::case(1, 0), Unit::case(1, -1), Unit::case(1, 0), Unit::case(2, 0)].into_iter().enumerate()
        {
            let part = if i % 2 == 0 { &mut first } else { &mut second };
            part.add(unit, 1);
            all.add(unit, 1);
        }
        first.merge(&second);
        assert_eq!((first.iter().count(), &first), (3, &all));
    }
}
