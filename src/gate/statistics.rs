//! The numbers that reasons are taken from, computed once.

use super::looks::Levels;
use super::phrases;
use crate::domain::{ArmRate, Comparison, Difference, Method, Policy, RateSums, Units, ZScores};
use crate::stats::score_test::{CORRECTION, Differences, UnitKind};
use crate::stats::{normal, proportions};

pub(super) struct Statistics {
    pub(super) missing_against: Differences,
    pub(super) missing_for: Differences,
    pub(super) observed: Differences,
    pub(super) difference: Option<Difference>,
    pub(super) z: Option<ZScores>,
    pub(super) baseline_rate: Option<ArmRate>,
    pub(super) candidate_rate: Option<ArmRate>,
}

pub(super) fn differences(comparison: &Comparison, units: &Units) -> Differences {
    let kind = if comparison.clustered { UnitKind::Cluster } else { UnitKind::Case };
    Differences::of_units(units, comparison.parts, kind)
}

/// The number of equally heavy units that tell as much as units of so much size in all, with the given sum of squared sizes
/// (L. Kish, Survey Sampling, 1965); rounded down.
pub(super) fn effective(size: u64, squares: u128) -> u64 {
    match squares {
        0 => 0,
        squares => (u128::from(size).pow(2) / squares) as u64,
    }
}

/// The pass rate of an arm, and the number of equally heavy cases that tell as much; `None` without cases.
pub(super) fn share(sums: RateSums, repeats: u32) -> Option<(f64, u64)> {
    let cases = effective(sums.size, sums.squares);
    let whole = sums.size as f64 * f64::from(repeats.max(1));
    (cases > 0).then(|| ((sums.passes as f64 / whole).clamp(0.0, 1.0), cases))
}

impl Statistics {
    pub(super) fn of(policy: &Policy, levels: &Levels, comparison: &Comparison) -> Statistics {
        let differences = |units: &Units| differences(comparison, units);
        let (missing_against, missing_for, observed) = (
            differences(&comparison.missing_against),
            differences(&comparison.missing_for),
            differences(&comparison.observed),
        );
        let rate = |sums: RateSums| {
            let (pass, cases) = share(sums, comparison.repeats)?;
            let (low, high) = proportions::wilson(pass, cases, normal::critical(policy.alpha));
            Some(ArmRate { pass, low, high })
        };
        let difference = observed.mean().map(|estimate| Difference {
            estimate,
            // The ends come from all cases, the estimate from those scored in both arms; the interval never excludes it.
            low: missing_against.interval(missing_against.critical(levels.promote), CORRECTION).0.min(estimate),
            high: missing_for.interval(missing_for.critical(levels.alpha), CORRECTION).1.max(estimate),
            confidence: 1.0 - (levels.promote + levels.alpha),
            method: Method::Score,
        });
        Statistics {
            difference: difference.filter(|_| comparison.has_baseline),
            z: (comparison.has_baseline && missing_against.n() > 0.0).then(|| ZScores {
                promote: missing_against.z(-policy.margin, CORRECTION),
                block: missing_for.z(-policy.tolerance, CORRECTION),
            }),
            baseline_rate: rate(comparison.baseline_rate).filter(|_| comparison.has_baseline),
            candidate_rate: rate(comparison.candidate_rate),
            missing_against,
            missing_for,
            observed,
        }
    }

    pub(super) fn numbers(&self, comparison: &Comparison) -> String {
        phrases::numbers(
            comparison,
            self.difference.as_ref(),
            self.baseline_rate.as_ref(),
            self.candidate_rate.as_ref(),
        )
    }
}

/// Mean over cases of the share of passing repeats, and the number of cases; 0 without cases. Where cases have weights or
/// stand in clusters, it is the number of equally heavy cases that would tell as much, taking all of a cluster for one.
pub(super) fn mean_rate(passes: &Units, repeats: u32) -> (f64, u64) {
    let (mut size, mut squares, mut passed) = (0u64, 0u128, 0.0);
    for (unit, count) in passes.iter() {
        let whole = i128::from(unit.size) * i128::from(repeats);
        size += unit.size * count;
        squares += u128::from(unit.size).pow(2) * u128::from(count);
        passed += unit.sum.clamp(0, whole) as f64 * count as f64;
    }
    let rate = passed / (f64::from(repeats.max(1)) * size.max(1) as f64);
    (rate, effective(size, squares))
}
