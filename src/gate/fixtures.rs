//! Policies and comparisons for the tests of this room.

use crate::model::{Comparison, Counts, Paired, Policy, Tally};
use std::collections::BTreeMap;

/// The default policy.
pub(super) fn policy() -> Policy {
    Policy {
        margin: 0.05,
        tolerance: 0.01,
        alpha: 0.05,
        estimand: "population",
        ..Policy::default()
    }
}

/// A complete comparison with the given histogram of differences, where the better arm of a case passes every repeat.
pub(super) fn compared(histogram: &[(i64, u64)], repeats: u32) -> Comparison {
    let histogram: BTreeMap<i64, u64> = histogram.iter().copied().collect();
    let cases: u64 = histogram.values().sum();
    let answers = cases * u64::from(repeats);
    let sum = |wanted: fn(i64) -> bool| -> u64 {
        histogram
            .iter()
            .filter(|(d, _)| wanted(**d))
            .map(|(d, cases)| d.unsigned_abs() * cases)
            .sum()
    };
    let count =
        |wanted: fn(i64) -> bool| -> u64 { histogram.iter().filter(|(d, _)| wanted(**d)).map(|(_, n)| n).sum() };
    let tally = |passed: u64| Tally {
        planned: answers,
        scored: answers,
        passed,
        ..Tally::default()
    };
    let (baseline, candidate) = (tally(answers - sum(|d| d > 0)), tally(answers - sum(|d| d < 0)));
    let rate = |tally: Tally| (tally.passed as f64 / f64::from(repeats.max(1)), cases);
    Comparison {
        repeats,
        has_baseline: true,
        counts: Counts {
            cases,
            pass: cases - count(|d| d < 0),
            fail: count(|d| d < 0),
            ..Counts::default()
        },
        paired: Paired {
            n: cases,
            both_pass: count(|d| d == 0),
            regressed: count(|d| d < 0),
            improved: count(|d| d > 0),
            both_fail: 0,
        },
        worst: histogram.clone(),
        best: histogram.clone(),
        observed: histogram,
        baseline,
        candidate,
        baseline_rate: rate(baseline),
        candidate_rate: rate(candidate),
        ..Comparison::default()
    }
}

/// A complete run without a baseline: cases by passing repeats.
pub(super) fn alone(passes: &[(u32, u64)], repeats: u32) -> Comparison {
    let passes: BTreeMap<u32, u64> = passes.iter().copied().collect();
    let cases: u64 = passes.values().sum();
    let passed: u64 = passes.iter().map(|(passes, cases)| u64::from(*passes) * cases).sum();
    let answers = cases * u64::from(repeats);
    Comparison {
        repeats,
        has_baseline: false,
        counts: Counts {
            cases,
            ..Counts::default()
        },
        candidate_passes_worst: passes.clone(),
        candidate_passes_best: passes,
        candidate: Tally {
            planned: answers,
            scored: answers,
            passed,
            ..Tally::default()
        },
        candidate_rate: (passed as f64 / f64::from(repeats), cases),
        ..Comparison::default()
    }
}
