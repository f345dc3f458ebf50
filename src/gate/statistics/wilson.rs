//! Wilson's score interval for a single rate.
//!
//! E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212:
//! `(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)`.

/// Both ends of the interval, each in 0..=1.
///
/// `rate` is the mean over `n` independent units. With `z = critical(alpha)` each end is a one-sided bound of error
/// `alpha`, and both together have confidence `1 - 2 alpha`. Units that are shares between 0 and 1 vary less than
/// pass/fail units of the same mean, so that the interval is then wider than needed, never narrower.
///
/// Nothing known (`n = 0`, or a rate or z that is no finite number) gives 0..1.
pub fn interval(rate: f64, n: u64, z: f64) -> (f64, f64) {
    if n == 0 || !rate.is_finite() || !z.is_finite() {
        return (0.0, 1.0);
    }
    let rate = rate.clamp(0.0, 1.0);
    let n = n as f64;
    let z2 = z * z;
    let scale = 1.0 + z2 / n;
    let centre = rate + z2 / (2.0 * n);
    let half = z.abs() * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    (
        ((centre - half) / scale).clamp(0.0, rate),
        ((centre + half) / scale).clamp(rate, 1.0),
    )
}

#[cfg(test)]
mod tests {
    use super::super::normal::critical;
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
            let (l, h) = interval(f64::from(passes) / n as f64, n, critical(0.025));
            assert!(
                (l - low).abs() < 1e-9 && (h - high).abs() < 1e-9,
                "{passes}/{n}: {l} {h}"
            );
        }
    }

    #[test]
    fn nothing_known_excludes_nothing() {
        for (rate, n, z) in [
            (0.5, 0, 1.6),
            (f64::NAN, 9, 1.6),
            (0.5, 9, f64::INFINITY),
            (0.5, 9, f64::NAN),
        ] {
            assert_eq!(interval(rate, n, z), (0.0, 1.0));
        }
        assert_eq!(interval(7.0, 10, 0.0), (1.0, 1.0));
    }
}
