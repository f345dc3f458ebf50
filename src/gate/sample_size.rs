//! What would settle a verdict that is still open.
//!
//! The formulas are those of [`crate::stats::planning`], with the variation that the data show.

use super::statistics::differences;
use crate::domain::{Comparison, Estimand, Policy, SampleSize};
use crate::stats::normal::critical;
use crate::stats::planning::{POWER, TYPICAL, Variation, cases_to_show, fewest};
use crate::stats::proportions::conservative;

/// Beyond this many repeats more cases are the better buy.
const MAX_REPEATS: f64 = 100.0;
/// Beyond this many cases the advice would be none.
const MAX_CASES: f64 = 1e9;

impl Variation {
    /// Estimates it from the cases scored in both arms. With a single repeat only the sum is known; then the part
    /// between cases is taken to be small, as it is where most cases come out alike.
    pub fn estimate(comparison: &Comparison) -> Variation {
        let observed = differences(comparison, &comparison.observed);
        let k = f64::from(comparison.repeats);
        let Some(variance) = observed.variance() else {
            return TYPICAL;
        };
        if comparison.estimand == Estimand::Dataset {
            // The cases are given: what varies are the answers, and a unit is one of them in each arm.
            return Variation { between: 0.0, within: variance };
        }
        if comparison.repeats < 2 {
            let between = variance.min(TYPICAL.between);
            return Variation { between, within: variance - between };
        }
        let (baseline, candidate) = comparison.within;
        let whole = f64::from(comparison.metric.whole()).powi(2);
        let cases = comparison.paired.n as f64;
        let answer = (baseline as f64 + candidate as f64) / (whole * k * (k - 1.0) * cases.max(1.0));
        // The noise of a cluster's cases averages out.
        let within = answer * observed.n() / cases.max(observed.n());
        Variation { between: (variance - within / k).max(0.0), within }
    }
}

/// What would settle an open comparison of two arms. `None` when nothing affordable would: the difference seen lies too
/// close to the point where promoting and blocking meet.
///
/// It is the advice for the nearer of the two decisions, if the true difference is the observed one; an advantage of the
/// candidate is not counted on. `errors` are those of promoting and of blocking that
/// the look which is to settle it may use.
pub fn to_compare(policy: &Policy, errors: (f64, f64), comparison: &Comparison) -> Option<SampleSize> {
    let observed = differences(comparison, &comparison.observed);
    let units = differences(comparison, &comparison.missing_against).n();
    let planned = comparison.counts.cases as f64;
    let k = f64::from(comparison.repeats.max(1));
    // Units of a case: one, less in clusters, and each repeat where the cases are given.
    let per_case = if units > 0.0 && planned > 0.0 { units / planned } else { 1.0 };
    let mean = observed.mean().unwrap_or(0.0);
    let to_promote = policy.margin + mean.min(0.0);
    let to_block = -policy.tolerance - mean;
    let (distance, mu0, floor, alpha) = if to_promote >= to_block {
        let variance = observed.unevenness() * policy.margin * (1.0 - policy.margin);
        (to_promote, -policy.margin, fewest(policy.margin, variance, critical(errors.0)), errors.0)
    } else {
        (to_block, -policy.tolerance, 0.0, errors.1)
    };
    if distance <= 0.0 {
        return None;
    }

    let z_alpha = critical(alpha);
    let z = z_alpha + critical(1.0 - POWER);
    let variation = Variation::estimate(comparison);
    let of_unit = match comparison.estimand {
        Estimand::Population => variation.of_case(k),
        Estimand::Dataset => variation.within,
    };
    // The same picture with more units must decide, too: where few differ, the variance of the test is larger than that of
    // the data.
    let same_picture = match observed.mean() {
        Some(mean) => fewest((mean - mu0).abs(), observed.null_variance(mu0), z_alpha),
        None => 0.0,
    };
    let needed_units = cases_to_show(distance, of_unit, z).ceil().max(same_picture).max(floor);
    let cases = (needed_units / per_case).ceil().max(planned + 1.0);
    if cases.is_nan() || cases > MAX_CASES {
        return None;
    }

    let repeats = match comparison.estimand {
        Estimand::Population => {
            let room = units * (distance / z).powi(2) - variation.between;
            (room > 0.0 && units >= floor).then(|| (variation.within / room).ceil())
        }
        Estimand::Dataset => (planned > 0.0).then(|| (needed_units / planned).ceil().max(k + 1.0)),
    };
    let helps = |repeats: &f64| *repeats > f64::from(comparison.repeats) && *repeats <= MAX_REPEATS;
    Some(SampleSize { cases: cases as u64, repeats: repeats.filter(helps).map(|repeats| repeats as u32) })
}

/// What would settle whether a single arm's rate exceeds `required`, if its true rate is `rate`, seen on `n` cases.
/// `None` when they are equal, or too close. Only more cases count: a case is the unit.
pub fn to_exceed(required: f64, rate: f64, n: u64, alpha: f64) -> Option<SampleSize> {
    let (z_alpha, z_beta) = (critical(alpha), critical(1.0 - POWER));
    let spread = z_alpha * (required * (1.0 - required)).sqrt() + z_beta * (rate * (1.0 - rate)).max(0.0).sqrt();
    let planned = (spread / (rate - required)).powi(2).ceil();
    // The same rate of more cases must decide, too.
    let decides = |n: f64| {
        let (low, high) = conservative(rate, n as u64, alpha);
        low >= required || high < required
    };
    let cases = first_from(planned.max(n as f64 + 1.0), &decides)?;
    Some(SampleSize { cases: cases as u64, repeats: None })
}

/// The fewest cases that show a rate of `required` if every one of them passes; `None` where nothing affordable does.
pub(super) fn all_pass(required: f64, alpha: f64) -> Option<u64> {
    first_from(1.0, &|n| conservative(1.0, n as u64, alpha).0 >= required).map(|n| n as u64)
}

/// The first whole number from `least` on that is enough, where all larger ones are, too; `None` beyond [`MAX_CASES`].
fn first_from(least: f64, enough: &dyn Fn(f64) -> bool) -> Option<f64> {
    if least.is_nan() || least > MAX_CASES {
        return None;
    }
    if enough(least) {
        return Some(least);
    }
    let (mut few, mut many) = (least, 2.0 * least);
    while !enough(many) {
        (few, many) = (many, 2.0 * many);
        if many > MAX_CASES {
            return None;
        }
    }
    Some(first_whole(few, many, enough))
}

/// The first whole number above `below` that is enough, where `at` is taken to be.
pub(super) fn first_whole(mut below: f64, mut at: f64, enough: &dyn Fn(f64) -> bool) -> f64 {
    while at - below > 1.0 {
        let middle = ((below + at) / 2.0).floor();
        if enough(middle) {
            at = middle;
        } else {
            below = middle;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{compared, policy};
    use super::*;

    #[test]
    fn variation_splits_into_within_and_between() {
        // Three repeats; candidate passes 3, 2, 0, 2, 3, 1 times, the baseline always: differences 0, -1, -3, -1, 0, -2.
        let mut comparison = compared(&[(0, 2), (-1, 2), (-2, 1), (-3, 1)], 3);
        comparison.within = (0, 2 + 2 + 2);
        let variation = Variation::estimate(&comparison);
        assert!((variation.within - 1.0 / 6.0).abs() < 1e-15);
        assert!((variation.between - 0.096_296_296_296_296_32).abs() < 1e-15);
        assert!((variation.of_case(3.0) - 6.0 * 0.159_086_900_703_070_6_f64.powi(2)).abs() < 1e-15);
    }

    #[test]
    fn a_single_repeat_and_no_data_use_priors() {
        let close = |got: Variation, between: f64, within: f64| {
            assert!((got.between - between).abs() < 1e-15 && (got.within - within).abs() < 1e-15, "{got:?}");
        };
        close(Variation::estimate(&compared(&[], 3)), 0.01, 0.09);
        close(Variation::estimate(&compared(&[(0, 1)], 3)), 0.01, 0.09);
        close(Variation::estimate(&compared(&[(0, 50)], 1)), 0.0, 0.0);
        // 5 losses and 5 wins of 100: variance 10/99.
        close(Variation::estimate(&compared(&[(-1, 5), (0, 90), (1, 5)], 1)), 0.01, 10.0 / 99.0 - 0.01);
    }

    #[test]
    fn advice_for_a_single_rate_exceeds_the_present_and_meets_the_bound() {
        let cases = |required, rate, n| to_exceed(required, rate, n, 0.05).map(|needed| needed.cases);
        // All pass: .05^(1/29) = .9019 is the first over .9.
        assert_eq!(cases(0.9, 1.0, 10), Some(29));
        assert_eq!(all_pass(0.9, 0.05), Some(29));
        assert_eq!((all_pass(0.5, 0.05), all_pass(1.0, 0.05)), (Some(5), None));
        assert_eq!(cases(0.9, 0.95, 20), Some(184));
        assert_eq!(cases(0.9, 0.95, 500), Some(501));
        // None passes: less than 1 - .05^(1/2) = .78 do.
        assert_eq!(cases(0.9, 0.0, 0), Some(2));
        assert_eq!(cases(0.9, 0.9, 50), None);
        assert_eq!(cases(0.9, 0.9 + 1e-9, 50), None);
    }

    #[test]
    fn a_difference_where_promoting_and_blocking_meet_has_no_advice() {
        let policy = Policy { tolerance: 0.05, ..policy() };
        assert_eq!(to_compare(&policy, (0.05, 0.05), &compared(&[(-1, 5), (0, 95)], 1)), None);
    }
}
