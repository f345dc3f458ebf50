//! Pass rates per tag.

use crate::model::Slice;
use std::collections::{BTreeMap, BTreeSet};

/// Tags are free text of the golden data, and there may be one a case: only so many get numbers.
pub(super) const KEPT: usize = 500;

/// Cases and passing repeats per tag. Integers, so that the order of cases can't change a digit.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags {
    counts: BTreeMap<String, Count>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    cases: u64,
    baseline: u64,
    candidate: u64,
}

impl Tags {
    /// Adds a case: its passing repeats in each arm; a tag written twice counts once.
    pub(super) fn add(&mut self, tags: &[String], baseline: u32, candidate: u32) {
        for tag in tags.iter().map(String::as_str).collect::<BTreeSet<_>>() {
            if !self.counts.contains_key(tag) {
                // The first tags by name stay. A dropped one has 500 smaller ones before it for good, so what stays is
                // complete and does not depend on the order of cases.
                if self.counts.len() == KEPT {
                    if self
                        .counts
                        .last_key_value()
                        .is_some_and(|(last, _)| tag > last.as_str())
                    {
                        continue;
                    }
                    self.counts.pop_last();
                }
                self.counts.insert(tag.to_owned(), Count::default());
            }
            if let Some(count) = self.counts.get_mut(tag) {
                count.cases += 1;
                count.baseline += u64::from(baseline);
                count.candidate += u64::from(candidate);
            }
        }
    }

    /// Rates per tag, by name.
    pub(super) fn slices(self, repeats: u32, has_baseline: bool) -> Vec<Slice> {
        self.counts
            .into_iter()
            .map(|(tag, count)| {
                let answers = (count.cases * u64::from(repeats)) as f64;
                Slice {
                    tag,
                    n: count.cases,
                    baseline: has_baseline.then(|| count.baseline as f64 / answers),
                    candidate: Some(count.candidate as f64 / answers),
                    difference: has_baseline.then(|| (count.candidate as f64 - count.baseline as f64) / answers),
                    status: match count.candidate.cmp(&count.baseline) {
                        _ if !has_baseline => "unknown",
                        std::cmp::Ordering::Less => "worse",
                        std::cmp::Ordering::Equal => "same",
                        std::cmp::Ordering::Greater => "better",
                    },
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_case_counts_once_in_each_of_its_tags() {
        let mut all = Tags::default();
        all.add(&tags(&["b", "a", "b"]), 3, 1);
        all.add(&tags(&["a"]), 0, 3);
        all.add(&[], 3, 3);
        let slices = all.slices(3, true);
        let shown: Vec<_> = slices
            .iter()
            .map(|s| (s.tag.as_str(), s.n, s.baseline, s.candidate, s.status))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", 2, Some(0.5), Some(4.0 / 6.0), "better"),
                ("b", 1, Some(1.0), Some(1.0 / 3.0), "worse")
            ]
        );
    }

    #[test]
    fn without_a_baseline_there_is_no_difference() {
        let mut all = Tags::default();
        all.add(&tags(&["a"]), 0, 2);
        let slice = all.slices(2, false).remove(0);
        assert_eq!(
            (slice.baseline, slice.candidate, slice.difference, slice.status),
            (None, Some(1.0), None, "unknown")
        );
    }

    #[test]
    fn the_number_of_tags_is_bounded_and_the_order_of_cases_does_not_matter() {
        let names: Vec<String> = (0..2000).map(|i| format!("{:04}", i * 7919 % 2000)).collect();
        let run = |order: &mut dyn Iterator<Item = &String>| {
            let mut all = Tags::default();
            order.for_each(|name| all.add(&[name.clone(), "0001".to_owned()], 1, 1));
            all.slices(1, true)
        };
        let forward = run(&mut names.iter());
        assert_eq!(forward, run(&mut names.iter().rev()));
        assert_eq!(
            (forward.len(), forward[1].n, forward[499].tag.as_str()),
            (KEPT, 2000, "0499")
        );
    }
}
