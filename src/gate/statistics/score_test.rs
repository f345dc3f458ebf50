//! The test behind the verdict: a score test for the mean of paired differences.
//!
//! For pass/fail answers asked once it is the test of T. Tango, "Equivalence test and confidence interval for the
//! difference in proportions for the paired-sample design", Statistics in Medicine 17 (1998), 891-908. For k repeats,
//! where a case's difference d is one of -1, -1+1/k, …, 1, it is generalised the way empirical likelihood does it: the
//! variance of d is taken under the distribution that fits the data best among those with mean `mu0`, where mass may
//! also sit on -1 and 1 although no case was seen there. So a candidate that answered like the baseline everywhere still
//! has a variance, and a handful of cases proves nothing.
//!
//! Let `tot = Σ (d - mu0)`, positive for the moment (else mirror everything), `X = d - mu0`, and `far = mu0 + 1` the
//! distance from `mu0` to the end opposite to the data. The fitted weights are `p = 1 / (n (1 + t X))` with
//! `Σ p X = 0`; if no `t` in `0..1/far` solves that, `t = 1/far` and the missing mass sits on the far end. Then
//!
//! ```text
//! V = Σ p X² + rest far²        Z(mu0) = (|tot| - cc) / √(n V), with the sign of tot; 0 when |tot| <= cc
//! ```
//!
//! `cc` = 1/2 keeps the chance of a wrong promotion under its nominal 5% also for small n, where it would reach 5.9%
//! without it.

use std::collections::BTreeMap;

/// The continuity correction of the gate, on the scale of a sum of differences.
pub const CORRECTION: f64 = 0.5;

/// The bisections end when doubles do; this only bounds them.
const STEPS: usize = 200;

/// Differences of cases, as a histogram: how many cases have which difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Differences {
    /// (difference x repeats, cases), without empty bins.
    bins: Vec<(i64, f64)>,
    repeats: f64,
    n: f64,
    sum: f64,
}

impl Differences {
    /// Takes cases by passes(candidate) - passes(baseline), which lies in `-repeats..=repeats`; what lies outside is
    /// moved to the nearer end. Without repeats there are no cases.
    pub fn new(histogram: &BTreeMap<i64, u64>, repeats: u32) -> Differences {
        let k = i64::from(repeats);
        let bins: Vec<(i64, f64)> = histogram
            .iter()
            .filter(|(_, cases)| **cases > 0 && k > 0)
            .map(|(difference, cases)| ((*difference).clamp(-k, k), *cases as f64))
            .collect();
        Differences {
            repeats: f64::from(repeats),
            n: bins.iter().map(|(_, cases)| cases).sum(),
            sum: bins
                .iter()
                .map(|(difference, cases)| *difference as f64 * cases)
                .sum::<f64>()
                / f64::from(repeats.max(1)),
            bins,
        }
    }

    /// Number of cases.
    pub fn n(&self) -> f64 {
        self.n
    }

    /// Mean difference, in -1..=1; `None` without cases.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0.0).then(|| self.sum / self.n)
    }

    /// Sample variance (divisor n - 1) of a case's difference; `None` below two cases.
    pub fn variance(&self) -> Option<f64> {
        let mean = self.mean()?;
        let squares: f64 = self
            .bins
            .iter()
            .map(|(d, cases)| cases * (*d as f64 / self.repeats - mean).powi(2))
            .sum();
        (self.n > 1.0).then(|| squares / (self.n - 1.0))
    }

    /// Z(mu0): how far the data stand above (positive) or below (negative) a true mean of `mu0`, in standard errors, with
    /// continuity correction `cc` (see [`CORRECTION`]). Falls as `mu0` grows.
    ///
    /// Never NaN. 0 without cases and for a `mu0` that is no number in -1..=1. Infinite only at `mu0` = ±1, which data
    /// not all at that end exclude outright.
    pub fn z(&self, mu0: f64, cc: f64) -> f64 {
        if self.n == 0.0 || !(-1.0..=1.0).contains(&mu0) {
            return 0.0;
        }
        let total = self.sum - self.n * mu0;
        let distance = total.abs() - cc;
        if distance.is_nan() || distance <= 0.0 {
            return 0.0;
        }
        (distance / (self.n * self.null_variance(mu0)).sqrt()).copysign(total)
    }

    /// V: the variance of one case's difference under the best fitting distribution with mean `mu0`, for `mu0` in
    /// -1..=1. 0 without cases, and at an end.
    pub fn null_variance(&self, mu0: f64) -> f64 {
        let above = self.sum >= self.n * mu0;
        let far = if above { 1.0 + mu0 } else { 1.0 - mu0 };
        if self.n == 0.0 || far <= 0.0 {
            return 0.0;
        }
        // Per bin: cases, and the distance `gap` from the far end, so that X = gap - far exactly where it matters. With
        // s = 1 - t far, 1 + t X = (gap (1 - s) + far s) / far: no digits are lost when t comes near to 1/far.
        let bins = || {
            self.bins.iter().map(|(d, cases)| {
                let d = if above { *d as f64 } else { -*d as f64 };
                (*cases, (d + self.repeats) / self.repeats)
            })
        };
        let slope = |s: f64| -> f64 {
            bins()
                .map(|(cases, gap)| cases * (gap - far) / (gap * (1.0 - s) + far * s))
                .sum()
        };

        // The slope grows with s, is >= 0 at s = 1 and, with a case at the far end, minus infinity at s = 0.
        let mut low = 0.0;
        if bins().any(|(_, gap)| gap == 0.0) || slope(0.0) < 0.0 {
            let mut high = 1.0;
            for _ in 0..STEPS {
                let middle = 0.5 * (low + high);
                if middle <= low || middle >= high {
                    break;
                }
                if slope(middle) < 0.0 {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            low = high;
        }
        let (mut variance, mut mass) = (0.0, 0.0);
        for (cases, gap) in bins() {
            let p = cases * far / (self.n * (gap * (1.0 - low) + far * low));
            variance += p * (gap - far).powi(2);
            mass += p;
        }
        variance + (1.0 - mass).max(0.0) * far * far
    }

    /// The interval of the `mu0` that the data do not exclude at critical value `z`: the lower end is where Z falls to
    /// `z`, the upper end where it falls to `-z`. -1..1 without cases.
    pub fn interval(&self, z: f64, cc: f64) -> (f64, f64) {
        let Some(mean) = self.mean() else {
            return (-1.0, 1.0);
        };
        let low = edge(-1.0, mean, |mu0| self.z(mu0, cc) >= z);
        let high = edge(1.0, mean, |mu0| self.z(mu0, cc) <= -z);
        (low, high)
    }
}

/// The last point on the way from `outside` to `inside` that is excluded; `outside` itself if not even that one is.
fn edge(outside: f64, inside: f64, excluded: impl Fn(f64) -> bool) -> f64 {
    let (mut outside, mut inside) = (outside, inside);
    if !excluded(outside) {
        return outside;
    }
    for _ in 0..STEPS {
        let middle = 0.5 * (outside + inside);
        if middle == outside || middle == inside {
            break;
        }
        if excluded(middle) {
            outside = middle;
        } else {
            inside = middle;
        }
    }
    outside
}

#[cfg(test)]
mod tests {
    use super::super::normal::critical;
    use super::*;
    use proptest::prelude::*;

    fn pairs(losses: u64, wins: u64, n: u64) -> Differences {
        Differences::new(&BTreeMap::from([(-1, losses), (0, n - losses - wins), (1, wins)]), 1)
    }

    fn close(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() <= tolerance, "got {got}, want {want}");
    }

    /// Tango 1998 in closed form, for k = 1.
    fn tango(losses: u64, wins: u64, n: u64, mu0: f64, cc: f64) -> f64 {
        let (l, w, n) = (losses as f64, wins as f64, n as f64);
        let a = 2.0 * n;
        let b = -w - l + (2.0 * n - w + l) * mu0;
        let c = -l * mu0 * (1.0 - mu0);
        let q = ((b * b - 4.0 * a * c).max(0.0).sqrt() - b) / (2.0 * a);
        let v = n * (2.0 * q + mu0 * (1.0 - mu0));
        let total = w - l - n * mu0;
        total.signum() * (total.abs() - cc).max(0.0) / v.sqrt()
    }

    /// 95% intervals: Cavo et al. and Bentur et al. as in Fagerland et al. 2014, the example of R's PropCIs, and three
    /// wins of three; without correction.
    #[test]
    fn intervals_are_the_published_ones() {
        for (losses, wins, n, low, high) in [
            (16, 6, 161, -0.124_023_432_464_069, -0.005_433_395_731_677_088),
            (7, 1, 21, -0.517_232_276_421_377_5, -0.026_003_032_480_868_604),
            (20, 40, 160, 0.030_864_533_133_087_35, 0.218_064_244_166_820_55),
            (0, 3, 3, -0.122_994_063_510_090_53, 1.0),
        ] {
            let (l, h) = pairs(losses, wins, n).interval(critical(0.025), 0.0);
            close(l, low, 1e-9);
            close(h, high, 1e-9);
        }
    }

    #[test]
    fn no_difference_seen_is_not_no_difference() {
        let (low, high) = pairs(0, 0, 60).interval(critical(0.05), 0.0);
        close(low, -0.043_146_798_593_284_16, 1e-9);
        close(high, -low, 1e-12);
    }

    #[test]
    fn repeats_give_the_reference_numbers() {
        let d = Differences::new(
            &BTreeMap::from([(-3, 4), (-2, 4), (-1, 8), (0, 170), (1, 9), (2, 3), (3, 2)]),
            3,
        );
        close(d.mean().unwrap(), -0.011_666_666_666_666_665, 1e-15);
        close(d.z(-0.05, CORRECTION), 1.889_973_751_141_416_5, 1e-9);
        assert_eq!(d.z(-0.01, CORRECTION), 0.0);
        let (low, high) = d.interval(critical(0.05), CORRECTION);
        close(low, -0.044_643_176_859_432_49, 1e-8);
        close(high, 0.019_184_389_063_477_584, 1e-8);
    }

    #[test]
    fn degenerate_data_give_defined_numbers() {
        let none = Differences::new(&BTreeMap::new(), 3);
        assert_eq!((none.z(-0.05, 0.5), none.null_variance(-0.05)), (0.0, 0.0));
        assert_eq!(
            (none.mean(), none.variance(), none.interval(1.6, 0.5)),
            (None, None, (-1.0, 1.0))
        );
        assert_eq!(
            Differences::new(&BTreeMap::from([(1, 5)]), 0),
            Differences::new(&BTreeMap::new(), 0)
        );
        let lost = pairs(9, 0, 9);
        assert_eq!(lost.z(-1.0, 0.5), 0.0);
        assert_eq!(lost.z(1.0, 0.5), f64::NEG_INFINITY);
        assert_eq!(pairs(0, 9, 9).z(-1.0, 0.5), f64::INFINITY);
        assert_eq!(lost.interval(1.6, 0.5).0, -1.0);
        assert_eq!(
            (lost.z(f64::NAN, 0.5), lost.z(0.0, f64::NAN), lost.z(2.0, 0.5)),
            (0.0, 0.0, 0.0)
        );
        // A single case, and a mean that equals mu0.
        assert!(pairs(0, 0, 1).z(-0.05, 0.0) > 0.0);
        assert_eq!(pairs(1, 1, 10).z(0.0, 0.0), 0.0);
        // Keys beyond the ends count as the ends.
        assert_eq!(
            Differences::new(&BTreeMap::from([(-7, 2)]), 1),
            Differences::new(&BTreeMap::from([(-1, 2)]), 1)
        );
    }

    #[test]
    fn a_million_cases_with_few_losses_keep_their_digits() {
        for (losses, wins, mu0) in [(1, 0, -0.05), (3, 999_000, -0.01), (1, 1, -0.5)] {
            let want = tango(losses, wins, 1_000_000, mu0, 0.5);
            close(pairs(losses, wins, 1_000_000).z(mu0, 0.5) / want, 1.0, 1e-9);
        }
    }

    fn histogram() -> impl Strategy<Value = (BTreeMap<i64, u64>, u32)> {
        (1u32..=5).prop_flat_map(|k| {
            let k64 = i64::from(k);
            (prop::collection::btree_map(-k64..=k64, 0u64..40, 1..8), Just(k))
        })
    }

    proptest! {
        #[test]
        fn one_repeat_is_tango(losses in 0u64..60, wins in 0u64..60, ties in 1u64..200, mu0 in -0.9f64..0.9, cc in 0.0f64..1.0) {
            let n = losses + wins + ties;
            let got = pairs(losses, wins, n).z(mu0, cc);
            prop_assert!((got - tango(losses, wins, n, mu0, cc)).abs() < 1e-8);
        }

        #[test]
        fn z_falls_as_the_hypothesis_rises((histogram, k) in histogram(), a in -1.0f64..=1.0, b in -1.0f64..=1.0) {
            let d = Differences::new(&histogram, k);
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(!d.z(low, 0.5).is_nan() && !d.z(high, 0.5).is_nan());
            prop_assert!(d.z(low, 0.5) >= d.z(high, 0.5) - 1e-9);
        }

        #[test]
        fn swapped_arms_mirror_z((histogram, k) in histogram(), mu0 in -0.99f64..0.99) {
            let swapped = histogram.iter().map(|(d, cases)| (-d, *cases)).collect();
            let (d, swapped) = (Differences::new(&histogram, k), Differences::new(&swapped, k));
            prop_assert!((d.z(0.0, 0.5) + swapped.z(0.0, 0.5)).abs() < 1e-9);
            prop_assert!((d.z(mu0, 0.5) + swapped.z(-mu0, 0.5)).abs() < 1e-9);
        }

        /// One repeat more that passes never lowers z, so that an answer counted as failed never helps.
        #[test]
        fn a_pass_more_never_lowers_z((histogram, k) in histogram(), mu0 in -0.9f64..0.5, which in 0usize..8) {
            let movable: Vec<i64> =
                histogram.iter().filter(|(d, cases)| **cases > 0 && **d < i64::from(k)).map(|(d, _)| *d).collect();
            prop_assume!(!movable.is_empty());
            let from = movable[which % movable.len()];
            let mut raised = histogram.clone();
            *raised.get_mut(&from).unwrap() -= 1;
            *raised.entry(from + 1).or_default() += 1;
            let (before, after) = (Differences::new(&histogram, k), Differences::new(&raised, k));
            prop_assert!(after.z(mu0, 0.5) >= before.z(mu0, 0.5) - 1e-9);
        }

        #[test]
        fn the_interval_holds_the_mean_and_agrees_with_z((histogram, k) in histogram()) {
            let d = Differences::new(&histogram, k);
            let z = critical(0.05);
            let (low, high) = d.interval(z, CORRECTION);
            prop_assert!((-1.0..=1.0).contains(&low) && (-1.0..=1.0).contains(&high));
            if let Some(mean) = d.mean() {
                prop_assert!(low <= mean && mean <= high);
                prop_assert_eq!(d.z(-0.05, CORRECTION) >= z, low >= -0.05);
                prop_assert_eq!(d.z(-0.01, CORRECTION) <= -z, high <= -0.01);
            }
        }
    }
}
