//! The standard normal distribution: how large a z is large enough, and how likely one as small.

use statrs::function::erf;
use std::f64::consts::SQRT_2;

/// The critical value of a one-sided test: the z that a standard normal variable exceeds with probability `alpha`.
///
/// An `alpha` that is no probability between 0 and 1 gives infinity, which no finite z reaches.
pub fn critical(alpha: f64) -> f64 {
    if alpha > 0.0 && alpha < 1.0 { SQRT_2 * erf::erfc_inv(2.0 * alpha) } else { f64::INFINITY }
}

/// The probability that a standard normal variable is at most `z`.
pub fn below(z: f64) -> f64 {
    0.5 * erf::erfc(-z / SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_invert_critical_values() {
        for alpha in [0.4, 0.05, 0.001, 1e-8] {
            assert!((below(-critical(alpha)) / alpha - 1.0).abs() < 1e-10);
        }
        assert_eq!(below(0.0), 0.5);
    }

    /// Quantiles as tables print them, to double precision.
    #[test]
    fn critical_values_are_those_of_the_tables() {
        for (alpha, z) in [
            (0.5, 0.0),
            (0.2, 0.841_621_233_572_914_2),
            (0.1, 1.281_551_565_544_600_4),
            (0.05, 1.644_853_626_951_472_2),
            (0.025, 1.959_963_984_540_054),
            (0.01, 2.326_347_874_040_840_8),
            (0.001, 3.090_232_306_167_813_5),
        ] {
            assert!((critical(alpha) - z).abs() < 1e-12, "{alpha}: {}", critical(alpha));
        }
    }

    #[test]
    fn an_impossible_alpha_can_never_be_met() {
        for alpha in [0.0, -0.1, 1.0, 2.0, f64::NAN, f64::INFINITY] {
            assert_eq!(critical(alpha), f64::INFINITY);
        }
    }
}
