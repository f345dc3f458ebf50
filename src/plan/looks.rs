//! Which case is asked at which look, where a run may be decided before its end.
//!
//! The looks are nested samples of the dataset, so their order must be random, and each has to be like the whole. What is
//! assigned is the unit of the statistics, a case or a whole cluster. Units with the same tags make a stratum; they are
//! shuffled within it, and dealt out to the looks in turn, so that each look has its share of every stratum, and sizes of
//! looks differ by one unit at most. The order comes from digests alone: it is the same wherever and however often it is
//! computed, and nobody can choose it.

use crate::model::{Case, digest};
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
    asked: Vec<u64>,
}

impl Schedule {
    /// The look at which the case counts, from 0; the last one for a case that is not known.
    pub fn look(&self, case_index: u64) -> usize {
        let look = usize::try_from(case_index)
            .ok()
            .and_then(|index| self.of_case.get(index));
        look.map_or(self.looks().saturating_sub(1), |look| usize::from(*look))
    }

    /// The number of looks.
    pub fn looks(&self) -> usize {
        self.shares.len()
    }

    /// The shares of so many first looks.
    pub fn shares(&self, looks: usize) -> &[f64] {
        &self.shares[..looks.min(self.shares.len())]
    }

    /// Cases that are asked in so many first looks.
    pub fn asked(&self, looks: usize) -> u64 {
        self.asked.iter().take(looks).sum()
    }
}

/// Selected cases while they are gathered. About 30 bytes a case, 150 a cluster and 16 for each of its tags, and when they
/// are dealt out 30 more a unit.
#[derive(Debug, Default)]
pub struct Spreading {
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

impl Spreading {
    /// Takes the next selected case.
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
                    self.units.push(Unit {
                        name: short([b"cluster", cluster.as_bytes()]),
                        stratum: 0,
                    });
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
        let mut asked = vec![0u64; looks];
        let of_case: Vec<u8> = self.cases.iter().map(|(unit, _)| of_unit[*unit as usize]).collect();
        for (look, (_, critical)) in of_case.iter().zip(&self.cases) {
            asked[if *critical { 0 } else { usize::from(*look) }] += 1;
        }
        Schedule { of_case, shares, asked }
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
