//! Policies and comparisons for the tests of this room.

use super::RunContext;
use crate::domain::{
    Calibration, Changes, Comparison, Completion, Counts, DecidingJudge, DecidingJudges, Estimand, JudgeUse, Look,
    LooksBefore, Metric, PairCounts, Policy, PolicyBase, PolicyChange, RateSums, Slice, StateDiff, TagSums, Tally,
    Unit, Units,
};
use std::collections::BTreeMap;

/// A gated run that is complete, at its only look.
pub(super) const WHOLE: RunContext<'static> = RunContext {
    models: (Some("m"), "m"),
    judges: None,
    gated: true,
    whole_run: Completion::Complete,
    confirms: false,
    changes: &Changes::NONE,
    look: &Look::ONLY,
    withheld: None,
    before: &LooksBefore::Clear,
};

pub(super) fn policy() -> Policy {
    Policy {
        margin: 0.05,
        tolerance: 0.01,
        alpha: 0.05,
        estimand: Estimand::Population,
        metric: Metric::Pass,
        ..Policy::default()
    }
}

/// A complete comparison with the given histogram of differences, where the better arm of a case passes every repeat.
pub(super) fn compared(histogram: &[(i64, u64)], repeats: u32) -> Comparison {
    let histogram: BTreeMap<i64, u64> = histogram.iter().copied().collect();
    let cases: u64 = histogram.values().sum();
    let answers = cases * u64::from(repeats);
    let sum = |wanted: fn(i64) -> bool| -> u64 {
        histogram.iter().filter(|(d, _)| wanted(**d)).map(|(d, cases)| d.unsigned_abs() * cases).sum()
    };
    let count =
        |wanted: fn(i64) -> bool| -> u64 { histogram.iter().filter(|(d, _)| wanted(**d)).map(|(_, n)| n).sum() };
    let tally = |passed: u64| Tally { planned: answers, scored: answers, passed, ..Tally::default() };
    let (baseline, candidate) = (tally(answers - sum(|d| d > 0)), tally(answers - sum(|d| d < 0)));
    let rate = |tally: Tally| rate(tally.passed, cases);
    Comparison {
        repeats,
        has_baseline: true,
        counts: Counts { cases, pass: cases - count(|d| d < 0), fail: count(|d| d < 0), ..Counts::default() },
        paired: PairCounts {
            n: cases,
            both_pass: count(|d| d == 0),
            regressed: count(|d| d < 0),
            improved: count(|d| d > 0),
            both_fail: 0,
        },
        parts: repeats.into(),
        missing_against: units(&histogram),
        missing_for: units(&histogram),
        observed: units(&histogram),
        baseline,
        candidate,
        baseline_rate: rate(baseline),
        candidate_rate: rate(candidate),
        ..Comparison::default()
    }
}

/// A tag whose cases have these differences, in repeats.
pub(super) fn tag(name: &str, histogram: &[(i64, u64)]) -> TagSums {
    let differences = units(&histogram.iter().copied().collect());
    TagSums {
        slice: Slice { tag: name.to_owned(), n: differences.count(), ..Slice::default() },
        missing_against: differences.clone(),
        missing_for: differences,
    }
}

/// A comparison by tags alone.
pub(super) fn compared_tags(repeats: u32, slices: Vec<TagSums>) -> Comparison {
    Comparison { repeats, parts: repeats.into(), has_baseline: true, slices, ..Comparison::default() }
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
        counts: Counts { cases, ..Counts::default() },
        parts: repeats.into(),
        passes_missing_against: passing(&passes),
        passes_missing_for: passing(&passes),
        candidate: Tally { planned: answers, scored: answers, passed, ..Tally::default() },
        candidate_rate: rate(passed, cases),
        ..Comparison::default()
    }
}

fn rate(passes: u64, cases: u64) -> RateSums {
    RateSums { passes, size: cases, squares: cases.into() }
}

pub(super) fn units(histogram: &BTreeMap<i64, u64>) -> Units {
    let mut units = Units::default();
    histogram.iter().for_each(|(d, cases)| units.add(Unit::case(1, *d), *cases));
    units
}

pub(super) fn passing(passes: &BTreeMap<u32, u64>) -> Units {
    units(&passes.iter().map(|(passes, cases)| (i64::from(*passes), *cases)).collect())
}

/// Has so many cases another sum.
pub(super) fn change(all: &mut Units, from: i64, to: Option<i64>, cases: u64) {
    let mut histogram: BTreeMap<i64, u64> = all.iter().map(|(unit, count)| (unit.sum as i64, count)).collect();
    *histogram.get_mut(&from).unwrap() -= cases;
    if let Some(to) = to {
        *histogram.entry(to).or_default() += cases;
    }
    *all = units(&histogram);
}

/// A case of the policy base is gone.
pub(super) fn weaker_changes() -> Changes {
    let (kind, what) = ("case-deleted".to_owned(), "c1".to_owned());
    let rows = vec![PolicyChange { kind, what, before: None, after: None, weaker: true }];
    let base = PolicyBase { rev: "main".to_owned(), commit: "c".to_owned() };
    Changes::of(base, StateDiff { rows, ..StateDiff::default() })
}

pub(super) fn judge(name: &str, calibration: Calibration) -> DecidingJudge {
    DecidingJudge {
        judge_use: JudgeUse { judge: name.to_owned(), votes: 1, rule: "majority".to_owned() },
        model: "m".to_owned(),
        prompt_sha256: "aa".to_owned(),
        calibration,
        other_labels: false,
    }
}

/// One judge that decides every case.
pub(super) fn one_judge(calibration: Calibration) -> DecidingJudges {
    DecidingJudges { judges: vec![judge("default", calibration)], together: vec![vec![0]], alone: true }
}

/// The mean of [`draw_rate`].
pub(super) const MEAN_RATE: f64 = 0.75 * 0.99 + 0.15 * 4.0 / 6.0 + 0.10 * 0.05;

/// The pass rate of a case: three in four nearly always pass, 15% are flaky, 10% nearly always fail.
pub(super) fn draw_rate(random: &mut fastrand::Rng) -> f64 {
    match random.f64() {
        ..0.75 => 0.99,
        ..0.90 => {
            // Beta(4, 2) is the fourth smallest of five uniform numbers.
            let mut five: [f64; 5] = std::array::from_fn(|_| random.f64());
            five.sort_by(f64::total_cmp);
            five[3]
        }
        _ => 0.05,
    }
}

pub(super) fn draw_passes(rate: f64, repeats: u32, random: &mut fastrand::Rng) -> i64 {
    (0..repeats).filter(|_| random.f64() < rate).count() as i64
}

/// The pass rate of the candidate on a case: 6% are drawn anew, and as many break as lose it `loss` on average.
pub(super) fn draw_candidate(baseline: f64, loss: f64, random: &mut fastrand::Rng) -> f64 {
    let candidate = if random.f64() < 0.06 { draw_rate(random) } else { baseline };
    if random.f64() < loss / (MEAN_RATE - 0.02) { 0.02 } else { candidate }
}

/// The differences of so many cases.
pub(super) fn draw_differences(cases: u32, repeats: u32, loss: f64, random: &mut fastrand::Rng) -> Vec<(i64, u64)> {
    let mut histogram: BTreeMap<i64, u64> = BTreeMap::new();
    for _ in 0..cases {
        let baseline = draw_rate(random);
        let candidate = draw_candidate(baseline, loss, random);
        let passes = draw_passes(candidate, repeats, random);
        *histogram.entry(passes - draw_passes(baseline, repeats, random)).or_default() += 1;
    }
    histogram.into_iter().collect()
}
