//! Looking more than once: bounds that stay valid.
//!
//! - Group-sequential bounds of P. C. O'Brien and T. R. Fleming, Biometrics 35 (1979), 549-556: at look j of K equal steps
//!   `z_j = C √(K/j)`; the spending function of K. K. G. Lan and D. L. DeMets, Biometrika 70 (1983), 659-663 for looks that are
//!   not equally spaced: by the share t of the data `2 - 2 Φ(z_{alpha/2} / √t)` of alpha may have been used up. Chances of
//!   crossing come from recursive integration (P. Armitage, C. K. McPherson, B. C. Rowe, JRSS A 132 (1969), 235-244).

use super::bisect;
use super::normal::{below, critical};
use std::f64::consts::PI;

/// At most this many looks.
pub const MAX_LOOKS: usize = 100;
/// Looks are at least this share of all data apart; closer ones would need a finer grid than the integration has.
pub const MIN_STEP: f64 = 0.001;

/// Beyond this many standard deviations nothing is left to integrate.
const REACH: f64 = 8.5;
/// Points of the grid per standard deviation of a step.
const FINENESS: f64 = 8.0;
/// Halvings when a bound is looked for.
const STEPS: u32 = 60;
/// The same for the constant of O'Brien and Fleming, which takes a whole walk each: to less than 1e-9.
const CONSTANT_STEPS: u32 = 32;
/// A bound beyond this is never reached by a chance that doubles can tell from 0.
const NEVER: f64 = 8.0;

/// The bounds of O'Brien and Fleming for `looks` equally spaced looks, one-sided error `alpha` in all: |Z| has to reach
/// the j-th at look j. For three looks and 5% they are 2.961, 2.094, 1.710.
///
/// `None` for no look or more than [`MAX_LOOKS`], or an `alpha` that is not between 0 and 1/2.
pub fn obrien_fleming(looks: usize, alpha: f64) -> Option<Vec<f64>> {
    if looks == 0 || looks > MAX_LOOKS || !(alpha > 0.0 && alpha < 0.5) {
        return None;
    }
    let bounds = |constant: f64| -> Vec<f64> {
        (1..=looks).map(|look| constant * (looks as f64 / look as f64).sqrt()).collect()
    };
    let crossing = |constant: f64| {
        let mut walk = Walk::new();
        for (look, bound) in (1..=looks).zip(bounds(constant)) {
            walk.step(look as f64 / looks as f64, bound);
        }
        walk.crossed
    };
    let ends = (critical(alpha), critical(alpha / looks as f64) + 0.1);
    let constant = bisect(ends, CONSTANT_STEPS, |constant| crossing(constant) > alpha);
    // With one look there is nothing to share alpha between.
    Some(bounds(if looks == 1 { critical(alpha) } else { constant }))
}

/// The bounds of Lan and DeMets' spending function of the O'Brien-Fleming kind: `shares` are the parts of all data at each
/// look, increasing up to 1. Each bound depends only on the looks up to it, so later ones need not be known. Infinite
/// where next to nothing of alpha may be spent.
///
/// `None` for no look or more than [`MAX_LOOKS`], shares out of 0..=1 or less than [`MIN_STEP`] apart, or an `alpha` that is
/// not between 0 and 1/2.
pub fn lan_demets(shares: &[f64], alpha: f64) -> Option<Vec<f64>> {
    if shares.is_empty() || shares.len() > MAX_LOOKS || !(alpha > 0.0 && alpha < 0.5) {
        return None;
    }
    let mut walk = Walk::new();
    let mut bounds = Vec::with_capacity(shares.len());
    for share in shares {
        // Written so that no number passes as one.
        if !(*share - walk.time >= MIN_STEP * (1.0 - 1e-9) && *share <= 1.0) {
            return None;
        }
        let spent = spent(*share, alpha);
        let bound = walk.bound(*share, spent);
        walk.step(*share, bound);
        bounds.push(bound);
    }
    Some(bounds)
}

/// How much of `alpha` may be used up with a share `t` of the data: `2 - 2 Φ(z_{alpha/2} / √t)`.
pub fn spent(t: f64, alpha: f64) -> f64 {
    2.0 * below(-critical(alpha / 2.0) / t.sqrt())
}

/// A Brownian motion that has not crossed any bound so far: its density at the time of the last look.
struct Walk {
    time: f64,
    /// (place, density x width); before the first look all of it is at 0.
    mass: Vec<(f64, f64)>,
    crossed: f64,
}

impl Walk {
    fn new() -> Walk {
        Walk { time: 0.0, mass: vec![(0.0, 1.0)], crossed: 0.0 }
    }

    /// The chance to be above `place` at `time`, not having crossed before.
    fn above(&self, time: f64, place: f64) -> f64 {
        let deviation = (time - self.time).sqrt();
        self.mass.iter().map(|(from, mass)| mass * below((from - place) / deviation)).sum()
    }

    /// The bound on z at `time` with which the chance to have crossed in all is `spent`.
    fn bound(&self, time: f64, spent: f64) -> f64 {
        let crossed = |z: f64| self.crossed + self.above(time, z * time.sqrt());
        if crossed(NEVER) >= spent {
            return f64::INFINITY;
        }
        bisect((0.0, NEVER), STEPS, |z| crossed(z) > spent)
    }

    /// Goes on to `time`, where what is above the bound has crossed.
    fn step(&mut self, time: f64, bound: f64) {
        let width = time.sqrt();
        let top = (bound.min(REACH)) * width;
        if bound.is_finite() {
            self.crossed += self.above(time, bound * width);
        }
        let deviation = (time - self.time).sqrt();
        let bottom = -REACH * width;
        // Simpson's rule wants an even number of intervals.
        let intervals = 2 * ((top - bottom) / deviation * FINENESS / 2.0).ceil().max(32.0) as usize;
        let step = (top - bottom) / intervals as f64;
        let density = |place: f64| -> f64 {
            self.mass.iter().map(|(from, mass)| mass * (-((place - from) / deviation).powi(2) / 2.0).exp()).sum::<f64>()
                / (deviation * (2.0 * PI).sqrt())
        };
        self.mass = (0..=intervals)
            .map(|at| {
                let place = bottom + step * at as f64;
                let share = match at {
                    _ if at == 0 || at == intervals => 1.0,
                    _ if at % 2 == 1 => 4.0,
                    _ => 2.0,
                };
                (place, density(place) * share * step / 3.0)
            })
            .collect();
        self.time = time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() <= tolerance, "got {got}, want {want}");
    }

    /// C. Jennison, B. W. Turnbull, "Group sequential methods" (2000), table 2.3.
    #[test]
    fn constants_are_the_published_ones() {
        for (looks, of_five, of_two_and_a_half) in
            [(1, 1.645, 1.960), (2, 1.678, 1.977), (3, 1.710, 2.004), (5, 1.751, 2.040)]
        {
            close(*obrien_fleming(looks, 0.05).unwrap().last().unwrap(), of_five, 0.001);
            close(*obrien_fleming(looks, 0.025).unwrap().last().unwrap(), of_two_and_a_half, 0.001);
        }
        let three = obrien_fleming(3, 0.05).unwrap();
        for (got, want) in three.iter().zip([2.961, 2.094, 1.710]) {
            close(*got, want, 0.001);
        }
    }

    /// As the program of Reboussin, DeMets, Kim and Lan tables them for five equal looks, one-sided 2.5%.
    #[test]
    fn equal_looks_spend_as_published() {
        let bounds = lan_demets(&[0.2, 0.4, 0.6, 0.8, 1.0], 0.025).unwrap();
        for (got, want) in bounds.iter().zip([4.8769, 3.3569, 2.6803, 2.2898, 2.0310]) {
            close(*got, want, 0.001);
        }
        assert_eq!(lan_demets(&[1.0], 0.05).map(|bounds| (bounds[0] - critical(0.05)).abs() < 1e-9), Some(true));
    }

    #[test]
    fn any_looks_use_up_alpha_and_no_more() {
        for shares in [&[0.1, 0.11, 0.5, 1.0][..], &[0.3, 0.999, 1.0], &[0.001, 0.002, 1.0]] {
            let bounds = lan_demets(shares, 0.05).unwrap();
            let mut walk = Walk::new();
            for (share, bound) in shares.iter().zip(&bounds) {
                walk.step(*share, *bound);
            }
            close(walk.crossed, 0.05, 1e-6);
        }
        // The tiniest part of the data never decides.
        assert_eq!(lan_demets(&[0.001, 1.0], 0.05).unwrap()[0], f64::INFINITY);
    }

    #[test]
    fn impossible_looks_have_no_bounds() {
        for shares in [&[][..], &[0.0], &[0.5, 0.5], &[0.7, 0.4], &[1.1], &[f64::NAN], &[0.5, 0.5001]] {
            assert_eq!(lan_demets(shares, 0.05), None, "{shares:?}");
        }
        assert_eq!((lan_demets(&[1.0], 0.5), obrien_fleming(0, 0.05)), (None, None));
        assert_eq!((obrien_fleming(3, f64::NAN), obrien_fleming(101, 0.05)), (None, None));
    }
}
