//! Differences and pass rates per tag.

use super::Repeats;
use crate::model::{Slice, SliceGate, TagSums};
use std::collections::{BTreeMap, BTreeSet};

/// Tags are free text of the golden data, and there may be one a case: only so many get numbers.
pub(super) const KEPT: usize = 500;

/// Cases and passing repeats per tag. Integers, so that the order of cases can't change a digit. Besides the [`KEPT`] tags
/// there are those that were asked for by name; each has at most 2k + 1 differences in each of its histograms.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags {
    /// Those that were asked for, whether a case has them or not.
    wanted: BTreeMap<String, Count>,
    others: BTreeMap<String, Count>,
    left_out: bool,
}

#[derive(Clone, Debug, Default)]
struct Count {
    /// Judged completely, in both arms if there are two.
    cases: u64,
    baseline: u64,
    candidate: u64,
    worst: BTreeMap<i64, u64>,
    best: BTreeMap<i64, u64>,
}

impl Tags {
    /// Keeps these tags whatever others there are.
    pub(super) fn want(&mut self, tags: &[String]) {
        for tag in tags {
            self.wanted.entry(tag.clone()).or_default();
        }
    }

    /// Adds a case: its repeats in each arm, the baseline's if there is one; a tag written twice counts once.
    pub(super) fn add(&mut self, tags: &[String], blue: Option<&Repeats>, green: &Repeats) {
        for tag in tags.iter().map(String::as_str).collect::<BTreeSet<_>>() {
            if let Some(count) = self.count(tag) {
                count.add(blue, green);
            }
        }
    }

    fn count(&mut self, tag: &str) -> Option<&mut Count> {
        if self.wanted.contains_key(tag) {
            return self.wanted.get_mut(tag);
        }
        if !self.others.contains_key(tag) {
            // The first tags by name stay. A dropped one has 500 smaller ones before it for good, so what stays is
            // complete and does not depend on the order of cases.
            if self.others.len() == KEPT {
                self.left_out = true;
                if self
                    .others
                    .last_key_value()
                    .is_some_and(|(last, _)| tag > last.as_str())
                {
                    return None;
                }
                self.others.pop_last();
            }
            self.others.insert(tag.to_owned(), Count::default());
        }
        self.others.get_mut(tag)
    }

    /// Whether there were more tags than are kept.
    pub(super) fn left_out(&self) -> bool {
        self.left_out
    }

    /// Numbers per tag, by name.
    pub(super) fn slices(self, repeats: u32, has_baseline: bool) -> Vec<TagSums> {
        let mut all = self.others;
        all.extend(self.wanted);
        all.into_iter()
            .map(|(tag, count)| {
                let answers = (count.cases * u64::from(repeats)) as f64;
                let rate = |passes: u64| (answers > 0.0).then(|| passes as f64 / answers);
                let (baseline, candidate) = (rate(count.baseline).filter(|_| has_baseline), rate(count.candidate));
                let slice = Slice {
                    tag,
                    n: count.cases,
                    baseline,
                    candidate,
                    difference: baseline.map(|_| (count.candidate as f64 - count.baseline as f64) / answers),
                    status: match count.candidate.cmp(&count.baseline) {
                        _ if baseline.is_none() => "unknown",
                        std::cmp::Ordering::Less => "worse",
                        std::cmp::Ordering::Equal => "same",
                        std::cmp::Ordering::Greater => "better",
                    },
                    gate: SliceGate::Unknown,
                    p: None,
                };
                TagSums {
                    slice,
                    worst: count.worst,
                    best: count.best,
                }
            })
            .collect()
    }
}

impl Count {
    fn add(&mut self, blue: Option<&Repeats>, green: &Repeats) {
        if let Some(blue) = blue {
            let difference = |green: u32, blue: u32| i64::from(green) - i64::from(blue);
            let worst = difference(green.passed, blue.passed + blue.missing);
            let best = difference(green.passed + green.missing, blue.passed);
            *self.worst.entry(worst).or_default() += 1;
            *self.best.entry(best).or_default() += 1;
        }
        if green.missing == 0 && blue.is_none_or(|blue| blue.missing == 0) {
            self.cases += 1;
            self.baseline += blue.map_or(0, |blue| u64::from(blue.passed));
            self.candidate += u64::from(green.passed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn repeats(passed: u32, missing: u32) -> Repeats {
        Repeats {
            passed,
            missing,
            ..Repeats::default()
        }
    }

    #[test]
    fn a_case_counts_once_in_each_of_its_tags() {
        let mut all = Tags::default();
        all.add(&tags(&["b", "a", "b"]), Some(&repeats(3, 0)), &repeats(1, 0));
        all.add(&tags(&["a"]), Some(&repeats(0, 0)), &repeats(3, 0));
        all.add(&[], Some(&repeats(3, 0)), &repeats(3, 0));
        let slices = all.slices(3, true);
        let shown: Vec<_> = slices
            .iter()
            .map(|TagSums { slice: s, worst, .. }| {
                (s.tag.as_str(), s.n, s.baseline, s.candidate, s.status, worst.clone())
            })
            .collect();
        assert_eq!(
            shown,
            [
                (
                    "a",
                    2,
                    Some(0.5),
                    Some(4.0 / 6.0),
                    "better",
                    BTreeMap::from([(-2, 1), (3, 1)])
                ),
                ("b", 1, Some(1.0), Some(1.0 / 3.0), "worse", BTreeMap::from([(-2, 1)]))
            ]
        );
        assert!(slices.iter().all(|sums| sums.worst == sums.best));
    }

    #[test]
    fn a_missing_answer_counts_twice_over_and_leaves_the_rates_alone() {
        let mut all = Tags::default();
        all.add(&tags(&["a"]), Some(&repeats(1, 1)), &repeats(1, 2));
        let sums = all.slices(3, true).remove(0);
        assert_eq!(
            (sums.worst, sums.best),
            (BTreeMap::from([(-1, 1)]), BTreeMap::from([(2, 1)]))
        );
        let Slice {
            n,
            baseline,
            candidate,
            difference,
            status,
            ..
        } = sums.slice;
        assert_eq!(
            (n, baseline, candidate, difference, status),
            (0, None, None, None, "unknown")
        );
    }

    #[test]
    fn without_a_baseline_there_is_no_difference() {
        let mut all = Tags::default();
        all.add(&tags(&["a"]), None, &repeats(2, 0));
        let TagSums { slice, worst, best } = all.slices(2, false).remove(0);
        assert_eq!(
            (slice.baseline, slice.candidate, slice.difference, slice.status),
            (None, Some(1.0), None, "unknown")
        );
        assert!(worst.is_empty() && best.is_empty());
    }

    #[test]
    fn the_number_of_tags_is_bounded_and_the_order_of_cases_does_not_matter() {
        let names: Vec<String> = (0..2000).map(|i| format!("{:04}", i * 7919 % 2000)).collect();
        let run = |order: &mut dyn Iterator<Item = &String>| {
            let mut all = Tags::default();
            all.want(&tags(&["1999", "nowhere"]));
            order.for_each(|name| {
                all.add(&[name.clone(), "0001".to_owned()], Some(&repeats(1, 0)), &repeats(1, 0));
            });
            assert!(all.left_out());
            all.slices(1, true)
        };
        let forward = run(&mut names.iter());
        assert_eq!(forward, run(&mut names.iter().rev()));
        let named = |i: usize| (forward[i].slice.tag.as_str(), forward[i].slice.n);
        assert_eq!(forward.len(), KEPT + 2);
        assert_eq!(
            [named(1), named(499), named(500), named(501)],
            [("0001", 2000), ("0499", 1), ("1999", 1), ("nowhere", 0)]
        );
    }

    #[test]
    fn as_many_tags_as_are_kept_leave_none_out() {
        let mut all = Tags::default();
        for i in 0..KEPT {
            all.add(&[i.to_string()], None, &repeats(1, 0));
        }
        assert!(!all.left_out());
    }
}
