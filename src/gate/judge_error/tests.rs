use super::super::fixtures::{WHOLE, alone, compared, judge, one_judge, policy};
use super::super::{GateDecision, RunContext, decide};
use super::*;
use crate::domain::{Attempts, Decision};
use proptest::prelude::*;

fn counts(true_pass: u64, false_fail: u64, true_fail: u64, false_pass: u64) -> Agreement {
    Agreement { true_pass, false_fail, true_fail, false_pass, errors: 0 }
}

fn decided(policy: &Policy, comparison: &Comparison, judges: &DecidingJudges) -> GateDecision {
    let models = (comparison.has_baseline.then_some("m"), "m");
    let facts = RunContext { models, judges: Some(judges), ..WHOLE };
    decide(policy, comparison, &facts)
}

#[test]
fn the_bound_of_j_is_that_of_a_difference_of_proportions() {
    // Newcombe 1998, table II (a): 56 of 70 less 48 of 80, method 10, 95%: 0.0524 to 0.3339.
    let low = youden_low(&counts(56, 14, 32, 48), critical(0.025));
    assert!((low - 0.0524).abs() < 5e-5, "{low}");
    // Perfect agreement on few labels is not certainty, and more labels bring more of it.
    let perfect = |n| youden_low(&counts(n, 0, n, 0), critical(0.05));
    assert!(perfect(10) > 0.69 && perfect(10) < 0.71, "{}", perfect(10));
    assert!(perfect(1_000) > 0.99 && perfect(1_000) < 1.0);
    // Nothing known, nothing shown.
    assert!(youden_low(&Agreement::default(), 1.6) <= -1.0 + 1e-9);
    assert!(youden_low(&counts(0, 9, 0, 9), 1.6) >= -1.0);
}

/// 100 cases that come out alike are enough for a margin of 5 points, but not for one of 3.
#[test]
fn a_calibrated_judge_scales_the_margins() {
    let comparison = compared(&[(0, 100)], 1);
    let plain = decided(&policy(), &comparison, &DecidingJudges::default());
    assert_eq!((plain.decision, &plain.judges), (Decision::Promote, &JudgeEvidence::default()));

    let good = decided(&policy(), &comparison, &one_judge(Calibration::Known(counts(95, 5, 96, 4))));
    assert_eq!(good.decision, Decision::Promote);
    assert_eq!(good.warnings, []);
    let scale = good.judges.scale.unwrap();
    assert!((scale.youden - 0.91).abs() < 1e-12 && scale.youden_low < 0.88 && scale.youden_low > 0.84);
    assert!((scale.margin_scaled - 0.05 * scale.youden_low).abs() < 1e-15);
    assert!((scale.tolerance_scaled - 0.0091).abs() < 1e-12);
    let message = &good.reasons[0].message;
    assert!(message.contains("shows 91% of a true difference"), "{message}");

    let fair = decided(&policy(), &comparison, &one_judge(Calibration::Known(counts(160, 40, 160, 40))));
    assert_eq!(fair.decision, Decision::Inconclusive);
    assert_eq!(fair.reasons[0].code, ReasonCode::TooFew);
    assert!(fair.needed.unwrap().cases > 100);
    // The statistics are those of the scaled margins.
    assert!(fair.z.unwrap().promote < plain.z.unwrap().promote);
}

#[test]
fn a_smaller_tolerance_blocks_earlier() {
    // 8 losses of 200: not shown to be worse than 2 points, but worse than 1.1.
    let comparison = compared(&[(-1, 8), (0, 192)], 1);
    let strict = Policy { tolerance: 0.02, ..policy() };
    let plain = decided(&strict, &comparison, &DecidingJudges::default());
    let judged = decided(&strict, &comparison, &one_judge(Calibration::Known(counts(600, 200, 800, 200))));
    assert_eq!(
        (plain.decision, judged.decision),
        (Decision::Inconclusive, Decision::Block),
        "{:?} {:?}",
        plain.reasons,
        judged.reasons
    );
}

#[test]
fn a_weak_judge_decides_nothing_and_excuses_nothing() {
    let comparison = compared(&[(0, 1000)], 1);
    let weak = decided(&policy(), &comparison, &one_judge(Calibration::Known(counts(70, 30, 70, 30))));
    assert_eq!((weak.decision, weak.reasons[0].code), (Decision::Inconclusive, ReasonCode::JudgeWeak));
    assert!(weak.reasons[0].message.contains("errs too often"), "{}", weak.reasons[0].message);
    assert_eq!(weak.judges.scale, None);
    // Good by the estimate, but on so few labels that it may be weak.
    let few = decided(&policy(), &comparison, &one_judge(Calibration::Known(counts(8, 2, 9, 1))));
    assert_eq!(few.reasons[0].code, ReasonCode::JudgeWeak);
    assert!(few.reasons[0].message.contains("label more answers"), "{}", few.reasons[0].message);
    // What is lost for certain stays lost.
    let mut critical = comparison.clone();
    let attempts = Attempts { planned: 3, scored: 3, failed: 3 };
    critical.must_pass.entry(attempts).or_default().cases = 1;
    let blocked = decided(&policy(), &critical, &one_judge(Calibration::Known(counts(70, 30, 70, 30))));
    assert_eq!((blocked.decision, blocked.reasons[0].code), (Decision::Block, ReasonCode::Critical));
    // Every difference, good or bad, is beyond such a judge.
    let lost = decided(
        &policy(),
        &compared(&[(-1, 900), (0, 100)], 1),
        &one_judge(Calibration::Known(counts(70, 30, 70, 30))),
    );
    assert_eq!(lost.decision, Decision::Inconclusive);
}

#[test]
fn judges_without_a_calibration_are_warned_of_and_others_than_the_calibrated_decide_nothing() {
    let comparison = compared(&[(0, 100)], 1);
    let plain = decided(&policy(), &comparison, &DecidingJudges::default());
    let found = decided(&policy(), &comparison, &one_judge(Calibration::None));
    assert_eq!((found.decision, found.z), (plain.decision, plain.z));
    let warned = |found: &GateDecision, code| {
        assert_eq!(found.warnings.len(), 1);
        assert_eq!(found.warnings[0].code, code);
        assert!(found.warnings[0].message.starts_with("judge not calibrated: "));
        let [record] = found.judges.deciding.as_slice() else {
            panic!("{:?}", found.judges);
        };
        assert_eq!((record.calibrated, record.youden, &found.judges.scale), (false, None, &None));
    };
    warned(&found, WarningCode::JudgeUncalibrated);
    // Another judge than the calibrated one decides nothing: it must not count for more than one that is known to err.
    let stale = one_judge(Calibration::Stale("its prompt was another one".to_owned()));
    let found = decided(&policy(), &comparison, &stale);
    assert_eq!((found.decision, found.reasons[0].code), (Decision::Inconclusive, ReasonCode::JudgeStale));
    warned(&found, WarningCode::JudgeStale);
    let mut other = one_judge(Calibration::Known(counts(95, 5, 95, 5)));
    other.judges[0].other_labels = true;
    let found = decided(&policy(), &comparison, &other);
    assert_eq!(found.warnings[0].code, WarningCode::JudgeLabels);
}

#[test]
fn the_weakest_kind_of_case_rules_and_judges_of_one_case_multiply() {
    let comparison = compared(&[(0, 1000)], 1);
    let known = |counts| Calibration::Known(counts);
    let of = |together: Vec<Vec<usize>>| DecidingJudges {
        judges: vec![
            judge("good", known(counts(950, 50, 950, 50))),
            judge("fair", known(counts(850, 150, 850, 150))),
            judge("new", Calibration::None),
        ],
        together,
        alone: false,
    };
    let youden = |together| {
        let found = decided(&policy(), &comparison, &of(together));
        (found.judges.scale.map(|scale| (scale.youden * 1000.0).round()), found.reasons[0].code)
    };
    assert_eq!(youden(vec![vec![0]]), (Some(900.0), ReasonCode::NotWorse));
    assert_eq!(youden(vec![vec![0], vec![1]]), (Some(700.0), ReasonCode::NotWorse));
    assert_eq!(youden(vec![vec![0, 1], vec![1]]), (Some(630.0), ReasonCode::NotWorse));
    assert_eq!(youden(vec![vec![0, 2], vec![2]]), (Some(900.0), ReasonCode::NotWorse));
    assert_eq!(youden(vec![vec![2]]), (None, ReasonCode::NotWorse));
    // Twice through the fair judge, less than half of a difference is left.
    assert_eq!(youden(vec![vec![0], vec![1, 1]]), (None, ReasonCode::JudgeWeak));
    let found = decided(&policy(), &comparison, &of(vec![vec![0], vec![1, 1]]));
    assert!(found.reasons[0].message.contains("together the judges `fair` err"), "{}", found.reasons[0].message);
}

#[test]
fn a_lenient_judge_does_not_lift_a_rate_above_the_required_one() {
    let required = Policy { min_pass_rate: Some(0.6), ..policy() };
    // 680 of 1000 seem to pass; of a judge that lets a third of the bad ones pass, that is less than 60% good ones.
    let comparison = alone(&[(0, 320), (1, 680)], 1);
    let plain = decided(&required, &comparison, &DecidingJudges::default());
    assert_eq!((plain.decision, plain.reasons[0].code), (Decision::Promote, ReasonCode::PassRate));
    let lenient = one_judge(Calibration::Known(counts(490, 10, 330, 170)));
    let found = decided(&required, &comparison, &lenient);
    assert_eq!((found.decision, found.reasons[0].code), (Decision::Inconclusive, ReasonCode::JudgeLenient));
    let corrected = found.judges.corrected.unwrap();
    assert_eq!(corrected.baseline, None);
    assert!(corrected.candidate.unwrap().pass < 0.6, "{corrected:?}");
    // A strict one takes nothing from anybody here.
    let strict = one_judge(Calibration::Known(counts(900, 100, 999, 1)));
    assert_eq!(decided(&required, &comparison, &strict).decision, Decision::Promote);
}

#[test]
fn many_judges_make_one_warning() {
    let judges = DecidingJudges {
        judges: (0..50).map(|n| judge(&format!("j{n:02}"), Calibration::None)).collect(),
        together: (0..50).map(|n| vec![n]).collect(),
        alone: false,
    };
    let found = decided(&policy(), &compared(&[(0, 100)], 1), &judges);
    assert_eq!(found.warnings.len(), 1);
    assert!(found.warnings[0].message.contains("`j04` and 45 more"), "{}", found.warnings[0].message);
    assert_eq!(found.judges.deciding.len(), 50);
}

proptest! {
    /// Whatever the labels say, a calibration never promotes what would not be promoted without one, and keeps every number
    /// finite.
    #[test]
    fn a_calibration_never_makes_promoting_easier(
        labels in prop::array::uniform4(0u64..200),
        losses in 0u64..20, ties in 1u64..400, wins in 0u64..20,
    ) {
        let [true_pass, false_fail, true_fail, false_pass] = labels;
        let known = one_judge(Calibration::Known(counts(true_pass, false_fail, true_fail, false_pass)));
        let comparison = compared(&[(-1, losses), (0, ties), (1, wins)], 1);
        let plain = decided(&policy(), &comparison, &DecidingJudges::default());
        let judged = decided(&policy(), &comparison, &known);
        if judged.decision == Decision::Promote {
            prop_assert_eq!(plain.decision, Decision::Promote);
        }
        // A weak judge decides nothing; any other one blocks what would be blocked without it.
        if plain.decision == Decision::Block {
            prop_assert_ne!(judged.decision, Decision::Promote);
        }
        if let Some(scale) = judged.judges.scale {
            prop_assert!(scale.youden_low >= LEAST_YOUDEN && scale.youden_low <= scale.youden && scale.youden <= 1.0);
        }
        let z = judged.z.unwrap();
        prop_assert!(z.promote.is_finite() && z.block.is_finite());
    }
}
