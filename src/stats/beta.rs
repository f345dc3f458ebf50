//! The beta distribution: exact binomial limits and Student's t both come from it.
//!
//! The regularised incomplete beta function is computed from its continued fraction (NIST Digital Library of Mathematical
//! Functions, 8.17.22) by the method of Lentz. The fraction needs some √max(a, b) terms, so that a fixed small number of
//! them, as libraries have it, is wrong for large counts.

use super::bisect;
use statrs::function::gamma::ln_gamma;

/// Terms of the continued fraction; enough for parameters up to 10⁹.
const TERMS: u32 = 100_000;
/// Halvings of an interval until doubles end.
const STEPS: u32 = 200;
/// Keeps denominators from 0.
const TINY: f64 = 1e-300;

/// P(X <= x) for X of a beta distribution with parameters `a` and `b`, both above 0.
pub(crate) fn below(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    let p = if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, x) / a
    } else {
        1.0 - front * fraction(b, a, 1.0 - x) / b
    };
    p.clamp(0.0, 1.0)
}

/// The x with P(X <= x) = `p`.
pub(crate) fn quantile(a: f64, b: f64, p: f64) -> f64 {
    bisect((0.0, 1.0), STEPS, |x| below(a, b, x) < p)
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..=TERMS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            change = c * d;
            value *= change;
        }
        if (change - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms_hold() {
        for x in [0.001, 0.2, 0.5, 0.77, 0.999] {
            assert!((below(1.0, 1.0, x) - x).abs() < 1e-14);
            assert!((below(3.0, 1.0, x) - x.powi(3)).abs() < 1e-14);
            assert!((below(1.0, 4.0, x) - (1.0 - (1.0 - x).powi(4))).abs() < 1e-14);
            // The arcsine distribution.
            let arcsine = 2.0 / std::f64::consts::PI * x.sqrt().asin();
            assert!((below(0.5, 0.5, x) - arcsine).abs() < 1e-13);
        }
        assert_eq!((below(2.0, 3.0, 0.0), below(2.0, 3.0, 1.0)), (0.0, 1.0));
    }

    #[test]
    fn large_parameters_keep_their_digits() {
        // Symmetric: half of it is below the middle.
        assert!((below(1e6, 1e6, 0.5) - 0.5).abs() < 1e-7);
        // Mean ± 1.96 standard deviations, nearly normal.
        let sd = (0.25f64 / 2e6).sqrt();
        assert!((below(1e6, 1e6, 0.5 + 1.959_964 * sd) - 0.975).abs() < 1e-6);
        assert!((quantile(1e6, 1e6, 0.975) - (0.5 + 1.959_964 * sd)).abs() < 1e-9);
    }
}
