//! Differences and pass rates per tag.

use super::repeats::Repeats;
use super::units::Pairs;
use crate::domain::{Case, Design, Slice, SliceGate, SliceStatus, TagSums};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Tags are free text of the golden data, and there may be one a case: only so many get numbers.
pub(super) const MAX_TAGS: usize = 500;

/// Cases and passing repeats per tag. Integers, so that the order of cases can't change a digit. Besides the [`MAX_TAGS`] tags
/// there are those that were asked for by name. Each has units of its own, as many as the whole has at most.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags {
    design: Design,
    /// Those that were asked for, whether a case has them or not.
    required: BTreeMap<String, Count>,
    others: BTreeMap<String, Count>,
    left_out: bool,
}

#[derive(Clone, Debug, Default)]
struct Count {
    /// Judged completely, in both arms if there are two.
    cases: u64,
    /// Their weights.
    size: u64,
    /// Weight x passing repeats.
    baseline: u64,
    candidate: u64,
    /// Weight x difference of the scores.
    difference: i128,
    pairs: Pairs,
}

impl Tags {
    pub(super) fn new(design: Design) -> Tags {
        Tags { design, ..Tags::default() }
    }

    /// Keeps these tags whatever others there are.
    pub(super) fn require(&mut self, tags: &[String]) {
        for tag in tags {
            self.required.entry(tag.clone()).or_default();
        }
    }

    /// Adds a case: its repeats in each arm, the baseline's if there is one; a tag written twice counts once.
    pub(super) fn add(&mut self, case: &Case, baseline: Option<&Repeats>, candidate: &Repeats) {
        let design = self.design;
        for tag in case.tags.iter().map(String::as_str).collect::<BTreeSet<_>>() {
            if let Some(count) = self.count(tag) {
                count.add(&design, case, baseline, candidate);
            }
        }
    }

    fn count(&mut self, tag: &str) -> Option<&mut Count> {
        if self.required.contains_key(tag) {
            return self.required.get_mut(tag);
        }
        if !self.others.contains_key(tag) {
            // The first tags by name stay. A dropped one has 500 smaller ones before it for good, so what stays is
            // complete and does not depend on the order of cases.
            if self.others.len() == MAX_TAGS {
                self.left_out = true;
                if self.others.last_key_value().is_some_and(|(last, _)| tag > last.as_str()) {
                    return None;
                }
                self.others.pop_last();
            }
            self.others.insert(tag.to_owned(), Count::default());
        }
        self.others.get_mut(tag)
    }

    pub(super) fn left_out(&self) -> bool {
        self.left_out
    }

    /// Numbers per tag, by name, with sizes of units in parts of `common`.
    pub(super) fn slices(self, common: u64) -> Vec<TagSums> {
        let design = self.design;
        let mut all = self.others;
        all.extend(self.required);
        all.into_iter().map(|(tag, count)| count.sums(tag, &design, common)).collect()
    }
}

impl Count {
    fn add(&mut self, design: &Design, case: &Case, baseline: Option<&Repeats>, candidate: &Repeats) {
        if let Some(baseline) = baseline {
            self.pairs.add(design, case, baseline, candidate);
        }
        if candidate.missing == 0 && baseline.is_none_or(|baseline| baseline.missing == 0) {
            let weight = u64::from(case.weight);
            self.cases += 1;
            self.size += weight;
            self.baseline += weight * baseline.map_or(0, |baseline| u64::from(baseline.passed));
            self.candidate += weight * u64::from(candidate.passed);
            self.difference +=
                i128::from(weight) * i128::from(candidate.sum - baseline.map_or(0, |baseline| baseline.sum));
        }
    }

    fn sums(self, tag: String, design: &Design, common: u64) -> TagSums {
        let answers = (self.size * u64::from(design.repeats)) as f64;
        let rate = |passes: u64| (answers > 0.0).then(|| passes as f64 / answers);
        let (baseline, candidate) = (rate(self.baseline).filter(|_| design.baseline), rate(self.candidate));
        let whole = answers * f64::from(design.metric.whole());
        let slice = Slice {
            tag,
            n: self.cases,
            baseline,
            candidate,
            difference: baseline.map(|_| self.difference as f64 / whole),
            status: match self.difference.cmp(&0) {
                _ if baseline.is_none() => SliceStatus::Unknown,
                Ordering::Less => SliceStatus::Worse,
                Ordering::Equal => SliceStatus::Same,
                Ordering::Greater => SliceStatus::Better,
            },
            gate: SliceGate::Unknown,
            p: None,
        };
        TagSums {
            slice,
            missing_against: self.pairs.missing_against.units(common),
            missing_for: self.pairs.missing_for.units(common),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::domain::{Unit, Units, WEIGHT};

    fn tagged(names: &[&str]) -> Case {
        Case { tags: names.iter().map(|name| (*name).to_owned()).collect(), ..Case::new("c") }
    }

    fn all(repeats: u32, baseline: bool) -> Tags {
        Tags::new(Design { repeats, baseline, ..Design::default() })
    }

    fn repeats(passed: u32, missing: u32) -> Repeats {
        Repeats { sum: passed.into(), passed, missing, ..Repeats::default() }
    }

    fn units(differences: &[i64]) -> Units {
        let mut units = Units::default();
        differences.iter().for_each(|d| units.add(Unit::case(1, *d), 1));
        units
    }

    #[test]
    fn a_case_counts_once_in_each_of_its_tags() {
        let mut all = all(3, true);
        all.add(&tagged(&["b", "a", "b"]), Some(&repeats(3, 0)), &repeats(1, 0));
        all.add(&tagged(&["a"]), Some(&repeats(0, 0)), &repeats(3, 0));
        all.add(&tagged(&[]), Some(&repeats(3, 0)), &repeats(3, 0));
        let slices = all.slices(WEIGHT.into());
        let shown: Vec<_> = slices
            .iter()
            .map(|TagSums { slice: s, missing_against, .. }| {
                (s.tag.as_str(), s.n, s.baseline, s.candidate, s.status, missing_against.clone())
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("a", 2, Some(0.5), Some(4.0 / 6.0), SliceStatus::Better, units(&[-2, 3])),
                ("b", 1, Some(1.0), Some(1.0 / 3.0), SliceStatus::Worse, units(&[-2]))
            ]
        );
        assert!(slices.iter().all(|sums| sums.missing_against == sums.missing_for));
    }

    #[test]
    fn a_missing_answer_counts_twice_over_and_leaves_the_rates_alone() {
        let mut all = all(3, true);
        all.add(&tagged(&["a"]), Some(&repeats(1, 1)), &repeats(1, 2));
        let sums = all.slices(WEIGHT.into()).remove(0);
        assert_eq!((sums.missing_against, sums.missing_for), (units(&[-1]), units(&[2])));
        let Slice { n, baseline, candidate, difference, status, .. } = sums.slice;
        assert_eq!((n, baseline, candidate, difference, status), (0, None, None, None, SliceStatus::Unknown));
    }

    #[test]
    fn without_a_baseline_there_is_no_difference() {
        let mut all = all(2, false);
        all.add(&tagged(&["a"]), None, &repeats(2, 0));
        let TagSums { slice, missing_against, missing_for } = all.slices(WEIGHT.into()).remove(0);
        assert_eq!(
            (slice.baseline, slice.candidate, slice.difference, slice.status),
            (None, Some(1.0), None, SliceStatus::Unknown)
        );
        assert!(missing_against.count() == 0 && missing_for.count() == 0);
    }

    #[test]
    fn the_number_of_tags_is_bounded_and_the_order_of_cases_does_not_matter() {
        let names: Vec<String> = (0..2000).map(|i| format!("{:04}", i * 7919 % 2000)).collect();
        let run = |order: &mut dyn Iterator<Item = &String>| {
            let mut all = all(1, true);
            all.require(&["1999", "nowhere"].map(str::to_owned));
            order.for_each(|name| {
                all.add(&tagged(&[name, "0001"]), Some(&repeats(1, 0)), &repeats(1, 0));
            });
            assert!(all.left_out());
            all.slices(WEIGHT.into())
        };
        let forward = run(&mut names.iter());
        assert_eq!(forward, run(&mut names.iter().rev()));
        let named = |i: usize| (forward[i].slice.tag.as_str(), forward[i].slice.n);
        assert_eq!(forward.len(), MAX_TAGS + 2);
        assert_eq!(
            [named(1), named(499), named(500), named(501)],
            [("0001", 2000), ("0499", 1), ("1999", 1), ("nowhere", 0)]
        );
    }

    #[test]
    fn as_many_tags_as_are_kept_leave_none_out() {
        let mut all = Tags::default();
        for i in 0..MAX_TAGS {
            all.add(&tagged(&[&i.to_string()]), None, &repeats(1, 0));
        }
        assert!(!all.left_out());
    }
}
