//! The numbers that reasons are taken from, computed once.

use super::statistics::score_test::{CORRECTION, Differences};
use super::statistics::{normal, proportions};
use super::words;
use crate::model::{ArmRate, Comparison, Difference, Policy, ZScores};
use std::collections::BTreeMap;

/// Everything the reasons are taken from.
pub(super) struct Evidence {
    pub(super) critical: f64,
    pub(super) worst: Differences,
    pub(super) best: Differences,
    pub(super) observed: Differences,
    pub(super) difference: Option<Difference>,
    pub(super) z: Option<ZScores>,
    pub(super) baseline_rate: Option<ArmRate>,
    pub(super) candidate_rate: Option<ArmRate>,
}

impl Evidence {
    pub(super) fn of(policy: &Policy, comparison: &Comparison) -> Evidence {
        let critical = normal::critical(policy.alpha);
        let differences = |histogram: &BTreeMap<i64, u64>| Differences::new(histogram, comparison.repeats);
        let (worst, best, observed) = (
            differences(&comparison.worst),
            differences(&comparison.best),
            differences(&comparison.observed),
        );
        let rate = |(sum, cases): (f64, u64)| {
            (cases > 0).then(|| {
                let pass = (sum / cases as f64).clamp(0.0, 1.0);
                let (low, high) = proportions::wilson(pass, cases, critical);
                ArmRate { pass, low, high }
            })
        };
        let difference = observed.mean().map(|estimate| Difference {
            estimate,
            // The ends come from all cases, the estimate from those scored in both arms; the interval never excludes it.
            low: worst.interval(critical, CORRECTION).0.min(estimate),
            high: best.interval(critical, CORRECTION).1.max(estimate),
            confidence: 1.0 - 2.0 * policy.alpha,
            method: "generalised Tango score, continuity correction 1/2",
        });
        Evidence {
            critical,
            difference: difference.filter(|_| comparison.has_baseline),
            z: (comparison.has_baseline && worst.n() > 0.0).then(|| ZScores {
                promote: worst.z(-policy.margin, CORRECTION),
                block: best.z(-policy.tolerance, CORRECTION),
            }),
            baseline_rate: rate(comparison.baseline_rate).filter(|_| comparison.has_baseline),
            candidate_rate: rate(comparison.candidate_rate),
            worst,
            best,
            observed,
        }
    }

    pub(super) fn numbers(&self, comparison: &Comparison) -> String {
        words::numbers(
            comparison,
            self.difference.as_ref(),
            self.baseline_rate.as_ref(),
            self.candidate_rate.as_ref(),
        )
    }
}
