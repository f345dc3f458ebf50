//! Which case is asked at which look, where a run may be decided before its end.
//!
//! The looks are nested samples of the dataset, so their order must be random, and each has to be like the whole. What is
//! assigned is the unit of the statistics, a case or a whole cluster. Units with the same tags make a stratum; they are
//! shuffled within it, and dealt out to the looks in turn, so that each look has its share of every stratum, and sizes of
//! looks differ by one unit at most. The order comes from digests alone: it is the same wherever and however often it is
//! computed, and nobody can choose it.

use crate::domain::{Case, digest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Looks at a run, the last one at its end.
pub const LOOKS: usize = 3;

/// The looks of all selected cases. One byte a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// By index among the selected cases, from 0.
    of_case: Vec<u8>,
    /// Shares of the units up to each look; the last is 1.
    shares: Vec<f64>,
    /// Cases of each look that are not asked before it; must-pass cases are asked at the first, wherever they count.
    cases: Vec<u64>,
}

impl Schedule {
    /// The look at which the case counts, from 0; the last one for a case that is not known.
    pub fn look(&self, case_index: u64) -> usize {
        let look = usize::try_from(case_index).ok().and_then(|index| self.of_case.get(index));
        look.map_or(self.looks().saturating_sub(1), |look| usize::from(*look))
    }

    pub fn looks(&self) -> usize {
        self.shares.len()
    }

    /// The shares of so many first looks.
    pub fn shares(&self, looks: usize) -> &[f64] {
        &self.shares[..looks.min(self.shares.len())]
    }

    /// Cases that are asked in so many first looks.
    pub fn cases_up_to(&self, looks: usize) -> u64 {
        self.cases.iter().take(looks).sum()
    }
}

/// Selected cases while they are gathered. About 30 bytes a case, 150 a cluster and 16 for each of its tags, and when they
/// are dealt out 30 more a unit.
#[derive(Debug, Default)]
pub struct ScheduleBuilder {
    /// Of each case its unit, and whether it must pass.
    cases: Vec<(u32, bool)>,
    units: Vec<Unit>,
    /// The unit of a cluster, and the tags of its cases.
    clusters: BTreeMap<Arc<str>, (u32, BTreeSet<u64>)>,
}

#[derive(Clone, Copy, Debug)]
struct Unit {
    name: u64,
    stratum: u64,
}

impl ScheduleBuilder {
    pub fn case(&mut self, case: &Case) {
        let next = self.units.len() as u32;
        let tags = case.tags.iter().map(|tag| short([b"tag", tag.as_bytes()]));
        let unit = match &case.cluster {
            None => {
                self.units.push(Unit {
                    name: short([b"case", case.id.as_str().as_bytes()]),
                    stratum: stratum(&tags.collect()),
                });
                next
            }
            Some(cluster) => {
                let (unit, all) = self.clusters.entry(Arc::clone(cluster)).or_insert_with(|| {
                    self.units.push(Unit { name: short([b"cluster", cluster.as_bytes()]), stratum: 0 });
                    (next, BTreeSet::new())
                });
                all.extend(tags);
                *unit
            }
        };
        self.cases.push((unit, case.critical));
    }

    /// Deals the cases out. There are fewer looks than [`LOOKS`] only if there are fewer units.
    pub fn schedule(mut self, seed: &[u8; 32]) -> Schedule {
        for (unit, tags) in self.clusters.values() {
            self.units[*unit as usize].stratum = stratum(tags);
        }
        let mut order: Vec<(u64, u64, u32)> = (0u32..)
            .zip(&self.units)
            .map(|(unit, Unit { name, stratum })| {
                let place = |kind: &[u8], what: u64| short([seed.as_slice(), kind, &what.to_le_bytes()]);
                (place(b"stratum", *stratum), place(b"unit", *name), unit)
            })
            .collect();
        order.sort_unstable();
        let looks = LOOKS.min(order.len()).max(1);
        let mut of_unit = vec![0u8; order.len()];
        let mut sizes = vec![0u64; looks];
        for (turn, (_, _, unit)) in order.into_iter().enumerate() {
            of_unit[unit as usize] = (turn % looks) as u8;
            sizes[turn % looks] += 1;
        }
        let all: u64 = sizes.iter().sum();
        let mut so_far = 0;
        let shares = sizes.iter().map(|size| {
            so_far += size;
            if so_far == all { 1.0 } else { so_far as f64 / all as f64 }
        });
        let shares = shares.collect();
        let mut cases = vec![0u64; looks];
        let of_case: Vec<u8> = self.cases.iter().map(|(unit, _)| of_unit[*unit as usize]).collect();
        for (look, (_, critical)) in of_case.iter().zip(&self.cases) {
            cases[if *critical { 0 } else { usize::from(*look) }] += 1;
        }
        Schedule { of_case, shares, cases }
    }
}

/// Of cases with the same tags, in whichever order.
fn stratum(tags: &BTreeSet<u64>) -> u64 {
    let pieces: Vec<[u8; 8]> = tags.iter().map(|tag| tag.to_le_bytes()).collect();
    short(pieces.iter().map(<[u8; 8]>::as_slice))
}

/// The start of a digest.
fn short<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = digest(pieces);
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Place;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn case(id: usize, tags: &[String], cluster: Option<&str>, critical: bool) -> Case {
        Case {
            suite: "a".into(),
            place: Place::file("golden/a.jsonl"),
            tags: tags.to_vec(),
            critical,
            cluster: cluster.map(Arc::from),
            ..Case::new(id.to_string())
        }
    }

    fn schedule(cases: &[Case], seed: u8) -> Schedule {
        let mut spreading = ScheduleBuilder::default();
        cases.iter().for_each(|case| spreading.case(case));
        spreading.schedule(&[seed; 32])
    }

    fn looks(schedule: &Schedule, cases: &[Case]) -> HashMap<String, usize> {
        (0..).zip(cases).map(|(index, case)| (case.id.as_str().to_owned(), schedule.look(index))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_look_has_its_share_of_every_stratum(
            tags in prop::collection::vec(prop::collection::vec(0u8..3, 0..3), 1..200),
            critical in prop::collection::vec(any::<bool>(), 200),
            seed: u8,
        ) {
            let cases: Vec<Case> = tags
                .iter()
                .enumerate()
                .map(|(i, tags)| {
                    let tags: Vec<String> = tags.iter().map(u8::to_string).collect();
                    case(i, &tags, None, critical[i])
                })
                .collect();
            let schedule = schedule(&cases, seed);
            let n = cases.len();
            prop_assert_eq!(schedule.looks(), n.min(LOOKS));
            prop_assert_eq!(schedule.shares(LOOKS).last(), Some(&1.0));
            prop_assert!(schedule.shares(LOOKS).windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(schedule.cases_up_to(LOOKS), n as u64);
            let mut of_stratum: HashMap<BTreeSet<u8>, [u64; LOOKS]> = HashMap::new();
            let mut of_look = [0u64; LOOKS];
            for (i, tags) in tags.iter().enumerate() {
                let look = schedule.look(i as u64);
                of_stratum.entry(tags.iter().copied().collect()).or_default()[look] += 1;
                of_look[look] += 1;
            }
            for sizes in of_stratum.values().chain([&of_look]) {
                let used = &sizes[..schedule.looks()];
                prop_assert!(used.iter().max().unwrap() - used.iter().min().unwrap() <= 1, "{:?}", sizes);
            }
            for look in 1..=schedule.looks() {
                let share = of_look[..look].iter().sum::<u64>() as f64 / n as f64;
                prop_assert!((schedule.shares(look)[look - 1] - share).abs() < 1e-12);
                let asked = (0..n).filter(|i| critical[*i] || schedule.look(*i as u64) < look).count();
                prop_assert_eq!(schedule.cases_up_to(look), asked as u64);
            }
            // Neither how often it is computed nor the order of the cases matters.
            let mut turned = cases.clone();
            turned.reverse();
            prop_assert_eq!(looks(&schedule, &cases), looks(&self::schedule(&turned, seed), &turned));
        }

        #[test]
        fn clusters_stay_whole(of in prop::collection::vec(0u8..20, 1..100)) {
            let cases: Vec<Case> = of
                .iter()
                .enumerate()
                .map(|(i, cluster)| case(i, &[(i % 2).to_string()], Some(&cluster.to_string()), false))
                .collect();
            let schedule = schedule(&cases, 7);
            let mut of_cluster: HashMap<u8, BTreeSet<usize>> = HashMap::new();
            for (i, cluster) in of.iter().enumerate() {
                of_cluster.entry(*cluster).or_default().insert(schedule.look(i as u64));
            }
            prop_assert!(of_cluster.values().all(|looks| looks.len() == 1));
            // Shares are those of clusters, which are the units.
            let first = of_cluster.values().filter(|looks| looks.contains(&0)).count() as f64;
            prop_assert!((schedule.shares(1)[0] - first / of_cluster.len() as f64).abs() < 1e-12);
        }
    }

    #[test]
    fn another_seed_is_another_order() {
        let cases: Vec<Case> = (0..60).map(|i| case(i, &[], None, false)).collect();
        let (one, other) = (schedule(&cases, 1), schedule(&cases, 2));
        assert_eq!(one.shares, other.shares);
        assert_ne!(one.of_case, other.of_case);
    }

    #[test]
    fn a_case_that_is_not_known_counts_last() {
        assert_eq!(schedule(&[case(0, &[], None, false)], 0).look(9), 0);
        let cases: Vec<Case> = (0..6).map(|i| case(i, &[], None, false)).collect();
        assert_eq!(schedule(&cases, 0).look(9), 2);
        assert_eq!(schedule(&[], 0).shares, [1.0]);
    }
}
