//! How many cases a comparison needs.
//!
//! The formulas are those of E. Miller, "Adding error bars to evals" (arXiv:2411.00640, 2024): with variance omega² between
//! cases and sigma² within a case (both arms together), k repeats, and a distance to show with error alpha and power
//! 1 - beta, `n = ((z_alpha + z_beta) / distance)² (omega² + sigma²/k)`; solved for the distance, or for k.

use super::normal::critical;
use super::score_test::CORRECTION;

/// Where the variance of a case's difference comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variation {
    /// omega²: variance over cases of the true difference.
    pub between: f64,
    /// sigma²: mean variance of a single answer's score within a case, both arms added up.
    pub within: f64,
}

/// Chance with which what a plan or an advice promises comes true.
pub const POWER: f64 = 0.8;

/// Where nothing is known: one answer in ten differs between the arms, and a tenth of that is a lasting difference of the case.
pub const TYPICAL: Variation = Variation { between: 0.01, within: 0.09 };

impl Variation {
    /// Variance of one case's difference with `k` repeats.
    pub fn of_case(&self, k: f64) -> f64 {
        self.between + self.within / k
    }
}

/// Cases needed to show a distance with the two-error sum `z` = z_alpha + z_beta, where a case's difference has this
/// variance.
pub fn cases_to_show(distance: f64, variance: f64, z: f64) -> f64 {
    (z / distance).powi(2) * variance
}

/// The fewest cases with which a candidate that answers exactly like the baseline can be promoted; with a margin of 5
/// points and 5% error these are 70. Solves `(n m - 1/2) / √(n m (1 - m)) >= z`.
pub fn fewest_cases(margin: f64, alpha: f64) -> u64 {
    fewest(margin, margin * (1.0 - margin), critical(alpha)) as u64
}

/// The smallest n with `(n distance - cc) / √(n variance) >= z`.
pub(crate) fn fewest(distance: f64, variance: f64, z: f64) -> f64 {
    let b = z * variance.sqrt();
    let root = (b + (b * b + 4.0 * distance * CORRECTION).sqrt()) / (2.0 * distance);
    let enough = |n: f64| n * distance - CORRECTION >= z * (n * variance).sqrt();
    // The closed form may be off by a rounding at a whole number.
    let n = (root * root).ceil();
    if n > 1.0 && enough(n - 1.0) {
        n - 1.0
    } else if enough(n) {
        n
    } else {
        n + 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identical_output_needs_the_published_number_of_cases() {
        for (margin, cases) in [(0.01, 361), (0.02, 180), (0.03, 119), (0.05, 70), (0.10, 34)] {
            assert_eq!(fewest_cases(margin, 0.05), cases, "{margin}");
        }
    }

    #[test]
    fn the_planning_formula_gives_the_published_examples() {
        let z = critical(0.025) + critical(0.2);
        assert!((cases_to_show(0.03, 1.0 / 9.0, z) - 968.997_498_067_788_6).abs() < 1e-9);
    }
}
