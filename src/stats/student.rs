//! Student's t: critical values and tails where there are few units.
//!
//! Student, "The probable error of a mean", Biometrika 6 (1908), 1-25. With ν degrees of freedom
//! `P(|T| >= t) = I(ν/(ν + t²); ν/2, 1/2)`, the regularised incomplete beta function.

use super::beta;

/// The t that a variable with `freedom` degrees of freedom exceeds with probability `alpha` (0 < alpha < 1/2 or more, then
/// it is negative).
///
/// Without a degree of freedom, or for an `alpha` that is no probability between 0 and 1, infinity, which nothing reaches.
pub fn critical(alpha: f64, freedom: f64) -> f64 {
    if !(alpha > 0.0 && alpha < 1.0 && freedom > 0.0) {
        return f64::INFINITY;
    }
    if alpha > 0.5 {
        return -critical(1.0 - alpha, freedom);
    }
    let x = beta::quantile(freedom / 2.0, 0.5, 2.0 * alpha);
    (freedom * (1.0 - x) / x).sqrt()
}

/// P(T >= t) with `freedom` degrees of freedom; 1 without a degree of freedom or a number.
pub fn above(t: f64, freedom: f64) -> f64 {
    if t.is_nan() || freedom.is_nan() || freedom <= 0.0 {
        return 1.0;
    }
    let both = beta::below(freedom / 2.0, 0.5, freedom / (freedom + t * t));
    if t >= 0.0 { both / 2.0 } else { 1.0 - both / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As scipy 1.17 prints them: t.sf.
    #[test]
    fn upper_tails_are_those_of_scipy() {
        for (t, freedom, p) in [
            (0.0, 5.0, 0.5),
            (1.729_132_811_521_367, 19.0, 0.05),
            (-1.729_132_811_521_367, 19.0, 0.95),
            (12.706_204_736_432_095, 1.0, 0.025),
            (2.364_624_251_592_784_4, 7.0, 0.025),
        ] {
            assert!((above(t, freedom) / p - 1.0).abs() < 1e-9, "{t}");
        }
        assert_eq!((above(f64::INFINITY, 3.0), above(f64::NEG_INFINITY, 3.0)), (0.0, 1.0));
        for (t, freedom) in [(f64::NAN, 3.0), (2.0, 0.0), (2.0, f64::NAN)] {
            assert_eq!(above(t, freedom), 1.0);
        }
    }

    #[test]
    fn critical_values_are_those_of_the_tables() {
        for (alpha, freedom, t) in [
            (0.05, 1.0, 6.313_751_514_675_043),
            (0.05, 9.0, 1.833_112_932_656_237_3),
            (0.05, 39.0, 1.684_875_121_711_225_4),
            (0.025, 3.0, 3.182_446_305_284_263_7),
            (0.95, 9.0, -1.833_112_932_656_237_3),
            (0.5, 9.0, 0.0),
        ] {
            let got = critical(alpha, freedom);
            assert!((got - t).abs() < 1e-9, "{alpha} {freedom}: {got}");
        }
        assert_eq!(critical(0.05, 0.0), f64::INFINITY);
        assert_eq!(critical(f64::NAN, 5.0), f64::INFINITY);
    }

    #[test]
    fn p_values_invert_critical_values() {
        for freedom in [1.0, 4.0, 30.0] {
            assert!((above(critical(0.025, freedom), freedom) - 0.025).abs() < 1e-12);
        }
    }
}
