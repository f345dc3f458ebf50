//! How many cases and repeats a comparison needs, and what a given size can show.
//!
//! The formulas are those of E. Miller, "Adding error bars to evals" (arXiv:2411.00640, 2024): with variance omega² between
//! cases and sigma² within a case (both arms together), k repeats, and a distance to show with error alpha and power
//! 1 - beta, `n = ((z_alpha + z_beta) / distance)² (omega² + sigma²/k)`; solved for the distance, or for k.

use super::normal::{below, critical};
use super::score_test::CORRECTION;

/// Where the variance of a case's difference comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variation {
    /// omega²: variance over cases of the true difference.
    pub between: f64,
    /// sigma²: mean variance of a single answer's score within a case, both arms added up.
    pub within: f64,
}

impl Variation {
    /// Variance of one case's difference with `k` repeats.
    pub fn of_case(&self, k: f64) -> f64 {
        self.between + self.within / k
    }

    /// Repeats with which `cases` show a distance with the two-error sum `z` = z_alpha + z_beta; `None` where no number of
    /// repeats would, and only more cases help.
    pub fn repeats_to_show(&self, distance: f64, cases: f64, z: f64) -> Option<f64> {
        let room = cases * (distance / z).powi(2) - self.between;
        (room > 0.0).then(|| self.within / room)
    }
}

/// Cases needed to show a distance with the two-error sum `z` = z_alpha + z_beta, where a case's difference has this
/// variance.
pub fn cases_to_show(distance: f64, variance: f64, z: f64) -> f64 {
    (z / distance).powi(2) * variance
}

/// The distance that `cases` show with the two-error sum `z`: the smallest detectable difference.
pub fn detectable(cases: f64, variance: f64, z: f64) -> f64 {
    z * (variance / cases).sqrt()
}

/// The chance that a candidate is promoted whose true difference is `truth`: about
/// `Φ((truth + margin - 1/(2n)) / √(variance/n) - z_alpha)`. Two to six points too high where few cases differ, because
/// the variance that the test uses is then larger than that of the data. 0 without cases.
pub fn chance_to_promote(truth: f64, margin: f64, cases: f64, variance: f64, alpha: f64) -> f64 {
    if cases.is_nan() || cases <= 0.0 {
        return 0.0;
    }
    let distance = truth + margin - CORRECTION / cases;
    let standard_error = (variance.max(0.0) / cases).sqrt();
    if standard_error == 0.0 {
        return if distance > 0.0 { 1.0 } else { 0.0 };
    }
    below(distance / standard_error - critical(alpha))
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

    /// That of all scenarios that the gate's tables are made of.
    const USUAL: Variation = Variation {
        between: 0.0104,
        within: 0.0815,
    };

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
        let noisy = Variation {
            between: 1.0 / 9.0,
            within: 2.0 / 6.0,
        };
        assert!((detectable(198.0, noisy.of_case(1.0), z) - 0.132_733_327_873_994_2).abs() < 1e-12);
        assert!((detectable(198.0, noisy.of_case(10.0), z) - 0.075_669_639_266_777_3).abs() < 1e-12);
        // All three say the same.
        let repeats = noisy.repeats_to_show(0.075_669_639_266_777_3, 198.0, z).unwrap();
        assert!((repeats - 10.0).abs() < 1e-9);
        assert_eq!(noisy.repeats_to_show(0.01, 198.0, z), None);
    }

    #[test]
    fn the_chance_to_promote_an_equal_candidate() {
        for (n, k, want) in [
            (200.0, 1.0, 0.716_017_096_227_173),
            (200.0, 3.0, 0.965_694_788_000_083_3),
            (1000.0, 1.0, 0.999_783_154_467_573_9),
        ] {
            let got = chance_to_promote(0.0, 0.05, n, USUAL.of_case(k), 0.05);
            assert!((got - want).abs() < 1e-9, "{got}");
        }
        assert_eq!(chance_to_promote(0.0, 0.05, 0.0, 0.1, 0.05), 0.0);
        assert_eq!(chance_to_promote(0.0, 0.05, 9.0, 0.0, 0.05), 0.0);
        assert_eq!(chance_to_promote(0.0, 0.05, 11.0, 0.0, 0.05), 1.0);
    }
}
