//! Intervals for a single rate.
//!
//! - Wilson: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212:
//!   `(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)`. The gate shows it.
//! - Clopper-Pearson: C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
//!   binomial", Biometrika 26 (1934), 404-413. Never short of its confidence, so the one for claims like "fails less than
//!   1 in 100". The gate decides by it and Wilson's together, see [`conservative`].
//!
//! Where nothing is known (`n = 0`, or a number that is none) every interval is 0..1.

use super::beta;
use super::normal::critical;

/// Both ends of Wilson's interval, each in 0..=1.
///
/// `rate` is the mean over `n` independent units. With `z = critical(alpha)` each end is a one-sided bound of error
/// `alpha`, and both together have confidence `1 - 2 alpha`. Units that are shares between 0 and 1 vary less than
/// pass/fail units of the same mean, so that the interval is then wider than needed, never narrower.
///
/// Nothing known (`n = 0`, or a rate or z that is no finite number) gives 0..1.
pub fn wilson(rate: f64, n: u64, z: f64) -> (f64, f64) {
    if n == 0 || !rate.is_finite() || !z.is_finite() {
        return (0.0, 1.0);
    }
    let rate = rate.clamp(0.0, 1.0);
    let n = n as f64;
    let z2 = z * z;
    let scale = 1.0 + z2 / n;
    let centre = rate + z2 / (2.0 * n);
    let half = z.abs() * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    (((centre - half) / scale).clamp(0.0, rate), ((centre + half) / scale).clamp(rate, 1.0))
}

/// The ends by which the gate decides: of Wilson's interval and that of Clopper and Pearson, the lower lower end and the higher
/// higher one. Wilson's alone shows too much where there are few units: 3 passes of 3 would be "at least 50%" with 5% error,
/// and half as good a candidate has them with a chance of 12.5%.
///
/// `rate` is the mean over `n` independent units that are shares between 0 and 1. Where all are 0 or 1, which is when they vary
/// most, each end is wrong with a chance of at most `alpha` (0 < alpha < 1/2); a fraction of a pass counts as the beta quantiles
/// between the whole ones. Nothing known gives 0..1.
pub fn conservative(rate: f64, n: u64, alpha: f64) -> (f64, f64) {
    let (low, high) = wilson(rate, n, critical(alpha));
    if n == 0 || !rate.is_finite() || !(alpha > 0.0 && alpha < 0.5) {
        return (0.0, 1.0);
    }
    let passes = rate.clamp(0.0, 1.0) * n as f64;
    let (exact_low, exact_high) = clopper_pearson(passes, n as f64 - passes, alpha);
    (low.min(exact_low), high.max(exact_high))
}

/// Both ends of the Clopper-Pearson interval; each is wrong with a chance of at most `alpha` (0 < alpha < 1/2), whatever the
/// true rate.
pub fn clopper_pearson(passes: f64, failures: f64, alpha: f64) -> (f64, f64) {
    let low = if passes <= 0.0 { 0.0 } else { beta::quantile(passes, failures + 1.0, alpha) };
    let high = if failures <= 0.0 { 1.0 } else { beta::quantile(passes + 1.0, failures, 1.0 - alpha) };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 95% intervals; 81 of 263 is in Newcombe 1998, table I, the others are of statsmodels.
    #[test]
    fn ends_are_the_published_ones() {
        for (passes, n, low, high) in [
            (81u32, 263u64, 0.255_288_519_878_274_2, 0.366_209_576_982_800_04),
            (0, 10, 0.0, 0.277_532_799_862_889_26),
            (10, 10, 0.722_467_200_137_110_6, 1.0),
            (999, 1000, 0.994_357_441_402_042_1, 0.999_823_453_629_373_9),
        ] {
            let (l, h) = wilson(f64::from(passes) / n as f64, n, critical(0.025));
            assert!((l - low).abs() < 1e-9 && (h - high).abs() < 1e-9, "{passes}/{n}: {l} {h}");
        }
    }

    #[test]
    fn nothing_known_excludes_nothing() {
        for (rate, n, z) in [(0.5, 0, 1.6), (f64::NAN, 9, 1.6), (0.5, 9, f64::INFINITY), (0.5, 9, f64::NAN)] {
            assert_eq!(wilson(rate, n, z), (0.0, 1.0));
        }
        assert_eq!(wilson(7.0, 10, 0.0), (1.0, 1.0));
    }

    /// At the very rate that is excluded, as many passes or more come with a chance of at most alpha, whatever n.
    #[test]
    fn the_surest_end_is_wrong_with_a_chance_of_at_most_alpha() {
        for alpha in [0.01, 0.05, 0.1] {
            for n in [1u64, 2, 3, 5, 8, 13, 21, 40] {
                for passes in 1..=n {
                    let (low, high) = conservative(passes as f64 / n as f64, n, alpha);
                    // P(X >= passes) where the rate is just the bound.
                    let chance = beta::below(passes as f64, (n - passes) as f64 + 1.0, low);
                    assert!(chance <= alpha + 1e-9, "{passes}/{n}: {low} {chance}");
                    assert!(low <= wilson(passes as f64 / n as f64, n, critical(alpha)).0 && high <= 1.0);
                    // The mirror image.
                    let (other, _) = conservative((n - passes) as f64 / n as f64, n, alpha);
                    assert!((conservative(passes as f64 / n as f64, n, alpha).1 - (1.0 - other)).abs() < 1e-9);
                }
            }
        }
        // 3 of 3: Wilson says 52.6%.
        assert!((conservative(1.0, 3, 0.05).0 - 0.05f64.powf(1.0 / 3.0)).abs() < 1e-12);
        assert!(wilson(1.0, 3, critical(0.05)).0 > 0.5);
        // Fractions lie between.
        let low = |passes: f64| conservative(passes / 10.0, 10, 0.05).0;
        assert!(low(8.0) < low(8.4) && low(8.4) < low(9.0));
        for nothing in [conservative(0.5, 0, 0.05), conservative(f64::NAN, 9, 0.05), conservative(0.5, 9, 0.7)] {
            assert_eq!(nothing, (0.0, 1.0));
        }
    }
}
