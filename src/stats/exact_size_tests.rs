//! How often the rule is wrong at worst, counted and not simulated: each of `n` cases is asked once, and all splits of n into
//! losses, ties and wins are gone through.
//!
//! What else a candidate is like beside its true difference matters, too: how many cases differ at all. So the chance of a
//! wrong decision is computed for many such shares, and the largest counts.

use super::normal::critical;
use super::rule::Rule;
use super::score_test::{CORRECTION, Differences};
use crate::domain::Policy;
use statrs::function::factorial::ln_factorial;
use std::collections::BTreeMap;

/// Rates of wins of the published worst cases.
const WIN_RATES: [f64; 13] = [0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4];

/// Shares of differing cases that [`size`] goes through, from the fewest that the true difference allows to all.
const SHARES: u32 = 100;

/// The largest chance, over [`WIN_RATES`], to promote a candidate that is worse by just the margin, when each of `n` cases
/// is asked once: meant for n up to a few hundred.
pub(crate) fn worst_promotion(n: u32, margin: f64, alpha: f64) -> f64 {
    let z = critical(alpha);
    Splits { n }.worst(margin, |differences| differences.z(-margin, CORRECTION) >= z)
}

/// The same for blocking a candidate that is worse by just the tolerance.
fn worst_block(n: u32, tolerance: f64, alpha: f64) -> f64 {
    let z = critical(alpha);
    Splits { n }.worst(tolerance, |differences| differences.z(-tolerance, CORRECTION) <= -z)
}

/// A split of the cases, and the logarithm of the number of ways to it.
#[derive(Clone, Copy, Debug)]
struct Split {
    losses: u32,
    wins: u32,
    ways: f64,
}

struct Splits {
    n: u32,
}

impl Splits {
    /// Those of which the rule says so.
    fn those(&self, says: impl Fn(&Differences) -> bool) -> Vec<Split> {
        let n = self.n;
        let factorial = |count: u32| ln_factorial(u64::from(count));
        let mut those = Vec::new();
        for losses in 0..=n {
            for wins in 0..=n - losses {
                let ties = n - losses - wins;
                let split = BTreeMap::from([(-1, u64::from(losses)), (0, u64::from(ties)), (1, u64::from(wins))]);
                if says(&Differences::new(&split, 1)) {
                    let ways = factorial(n) - factorial(losses) - factorial(ties) - factorial(wins);
                    those.push(Split { losses, wins, ways });
                }
            }
        }
        those
    }

    /// The chance of one of these splits if a case is lost and won with these chances; 0 if there are no such chances.
    fn chance(&self, those: &[Split], loss: f64, win: f64) -> f64 {
        let tie = 1.0 - loss - win;
        // What is left of 1 may be rounding.
        let tie = if tie.abs() < 1e-12 { 0.0 } else { tie };
        if tie < 0.0 {
            return 0.0;
        }
        let [loss, tie, win] = [loss, tie, win].map(f64::ln);
        let power = |ln: f64, count: u32| if count == 0 { 0.0 } else { f64::from(count) * ln };
        those
            .iter()
            .map(|&Split { losses, wins, ways }| {
                let ties = self.n - losses - wins;
                (ways + power(loss, losses) + power(tie, ties) + power(win, wins)).exp()
            })
            .sum()
    }

    /// The largest chance over the published rates of wins, if the candidate is worse by `loss`.
    fn worst(&self, loss: f64, says: impl Fn(&Differences) -> bool) -> f64 {
        let those = self.those(says);
        WIN_RATES.into_iter().map(|win| self.chance(&those, win + loss, win)).fold(0.0, f64::max)
    }
}

/// How often a test is wrong at worst, at the border of what it tests.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Size {
    n: u32,
    worst: f64,
    /// Where it is: the share of cases that differ.
    differing: f64,
}

/// The exact size of a test for `n` cases that are asked once and a candidate that is worse by just `loss`: `says` of losses
/// and wins. `counted` are the wins that a block may have at most, or the losses of a promotion.
///
/// Where d cases differ, the test says so for up to `most[d]` of the counted ones: one more differing case allows for none
/// or one more. So each share of differing cases takes one walk along d, on which the binomial chance of up to `most[d]` of d
/// follows from the one before.
fn size(n: u32, loss: f64, counted: Counted, says: impl Fn(&Differences) -> bool) -> Size {
    let differences = |differing: u32, count: u32| {
        let other = differing - count;
        let (losses, wins) = if counted == Counted::Wins { (other, count) } else { (count, other) };
        let ties = n - differing;
        let split = [(-1, losses), (0, ties), (1, wins)].map(|(difference, cases)| (difference, u64::from(cases)));
        Differences::new(&BTreeMap::from(split), 1)
    };
    // One more than the most; 0 where there is none.
    let mut most = Vec::new();
    let mut bound = 0;
    for differing in 0..=n {
        bound += u32::from(bound <= differing && says(&differences(differing, bound)));
        most.push(bound);
    }
    let ln_factorials: Vec<f64> = (0..=n).map(|i| ln_factorial(u64::from(i))).collect();
    let mut worst = Size { n, worst: 0.0, differing: loss };
    for step in 0..=SHARES {
        // Closer to each other where few cases differ, because there the chance changes fastest.
        let differing = loss + (1.0 - loss) * (f64::from(step) / f64::from(SHARES)).powi(2);
        let win = (differing - loss) / 2.0;
        let q = if counted == Counted::Wins { win } else { win + loss } / differing;
        let chance = chance_of(&most, &ln_factorials, differing, q);
        if chance > worst.worst {
            worst = Size { worst: chance, differing, ..worst };
        }
    }
    worst
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    Wins,
    Losses,
}

/// P(fewer than `most[D]` of D), where D of n cases differ with chance `differing` each, and of these a share `q` is counted.
fn chance_of(most: &[u32], ln_factorials: &[f64], differing: f64, q: f64) -> f64 {
    let n = most.len() - 1;
    let (mean, spread) = (n as f64 * differing, (n as f64 * differing * (1.0 - differing)).sqrt());
    // For d cases: the chance of fewer than `below`, and that of just `below`.
    let (mut fewer, mut just, mut below) = (0.0, 1.0, 0u32);
    let mut sum = 0.0;
    for (d, bound) in most.iter().enumerate() {
        if d > 0 {
            // One case more: of those with just below - 1 a share q leaves.
            let at_last = if below == 0 { 0.0 } else { binomial(ln_factorials, d - 1, below - 1, q) };
            fewer -= q * at_last;
            just = binomial(ln_factorials, d, below, q);
        }
        if *bound > below {
            fewer += just;
            below += 1;
        }
        if (d as f64 - mean).abs() <= 9.0 * spread + 1.0 {
            sum += binomial(ln_factorials, n, d as u32, differing) * fewer;
        }
    }
    sum
}

fn binomial(ln_factorials: &[f64], n: usize, count: u32, p: f64) -> f64 {
    let count = count as usize;
    if count > n {
        return 0.0;
    }
    let power = |ln: f64, count: usize| if count == 0 { 0.0 } else { count as f64 * ln };
    let ways = ln_factorials[n] - ln_factorials[count] - ln_factorials[n - count];
    (ways + power(p.ln(), count) + power((1.0 - p).max(0.0).ln(), n - count)).exp()
}

#[test]
fn twenty_cases_promote_a_loss_of_five_points_in_less_than_four_percent() {
    assert!((worst_promotion(20, 0.05, 0.05) - 0.036_478_844_132_956_47).abs() < 1e-6);
    assert_eq!(worst_promotion(0, 0.05, 0.05), 0.0);
}

#[test]
fn chances_of_all_splits_add_up_to_one() {
    let splits = Splits { n: 12 };
    let all = splits.those(|_| true);
    assert_eq!(all.len(), 13 * 14 / 2);
    for (loss, win) in [(0.05, 0.0), (0.3, 0.2), (0.6, 0.4), (1.0, 0.0)] {
        assert!((splits.chance(&all, loss, win) - 1.0).abs() < 1e-9, "{loss} {win}");
    }
    assert_eq!(splits.chance(&all, 0.7, 0.4), 0.0);
}

/// A test that always says so is wrong every time, wherever one looks, and one that never does is never wrong.
#[test]
fn walks_along_differing_cases_sum_all_splits() {
    for counted in [Counted::Wins, Counted::Losses] {
        assert!((size(5, 0.05, counted, |_| true).worst - 1.0).abs() < 1e-9);
        assert_eq!(size(5, 0.05, counted, |_| false).worst, 0.0);
    }
    let rule = Rule { margin: 0.2, tolerance: 0.1, alpha: 0.05, block_alpha: 0.05 };
    let splits = Splits { n: 20 };
    for (counted, loss, says) in [
        (Counted::Wins, 0.1, &(|d: &Differences| rule.blocks(d)) as &dyn Fn(&Differences) -> bool),
        (Counted::Losses, 0.2, &|d: &Differences| rule.promotes_at(d, critical(0.05))),
    ] {
        let Size { worst, differing, .. } = size(20, loss, counted, says);
        let win = (differing - loss) / 2.0;
        let want = splits.chance(&splits.those(says), win + loss, win);
        assert!((worst - want).abs() < 1e-9, "{counted:?}: {worst} {want}");
    }
}

/// On the published grid neither test errs more often than it may: 5% to promote, 5.5% to block.
#[test]
fn on_the_published_grid_the_sizes_hold() {
    for n in [20, 60, 100, 150] {
        for margin in [0.03, 0.05, 0.1] {
            let worst = worst_promotion(n, margin, 0.05);
            assert!(worst > 0.03 && worst <= 0.05, "{n} {margin}: {worst}");
        }
        let worst = worst_block(n, 0.01, 0.05);
        assert!(worst > 0.03 && worst <= 0.055, "{n}: {worst}");
    }
}

/// Every n from 20 to 500, as docs/statistics.md says.
#[test]
fn sizes_are_the_documented_ones() {
    let policy = Policy::default();
    let rule = Rule::of(&policy);
    let worst = |loss: f64, counted: Counted, says: &dyn Fn(&Differences) -> bool| {
        let sizes = (20..=500u32).map(|n| size(n, loss, counted, says));
        sizes.max_by(|a, b| a.worst.total_cmp(&b.worst)).unwrap()
    };
    let z = critical(rule.alpha);
    let (promoting, blocking) = std::thread::scope(|scope| {
        let promotes = |margin: f64| move |d: &Differences| d.z(-margin, CORRECTION) >= z;
        let promoting =
            [0.03, 0.05, 0.1].map(|margin| scope.spawn(move || worst(margin, Counted::Losses, &promotes(margin))));
        let blocking = worst(rule.tolerance, Counted::Wins, &|d| rule.blocks(d));
        (promoting.map(|size| size.join().unwrap()), blocking)
    });
    for (size, n, chance) in [(promoting[0], 33, 0.058), (promoting[1], 21, 0.061), (promoting[2], 22, 0.062)] {
        assert!(size.n == n && (size.worst - chance).abs() < 5e-4 && size.differing > 0.99, "{size:?}");
    }
    assert!(blocking.n == 428 && (blocking.worst - 0.0178).abs() < 5e-5, "{blocking:?}");
}
