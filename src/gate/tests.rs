//! The decision: tables, properties, and how often it errs.

mod oracles;
mod properties;

use super::fixtures::{
    WHOLE, alone, change, compared, draw_candidate, draw_differences, draw_passes, draw_rate, passing, policy, units,
    weaker_changes,
};
use super::*;
use crate::domain::{Attempts, CaseId, SliceGate, TagSums};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn decided(comparison: &Comparison) -> GateDecision {
    decide(&policy(), comparison, &WHOLE)
}

fn codes(decided: &GateDecision) -> Vec<&'static str> {
    decided.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

/// Cases by losses, wins and all, one repeat.
fn pairs(losses: u64, wins: u64, n: u64) -> Comparison {
    compared(&[(-1, losses), (0, n - losses - wins), (1, wins)], 1)
}

/// Good enough for promotion by far.
fn good() -> Comparison {
    pairs(3, 3, 200)
}

/// Bad enough for a block by far.
fn bad() -> Comparison {
    pairs(18, 2, 200)
}

/// A must-pass case.
type MustPass = (CaseId, Attempts);

fn critical(id: &str, planned: u32, scored: u32, failed: u32) -> MustPass {
    let attempts = Attempts { planned, scored, failed };
    (CaseId::new(id), attempts)
}

fn with_must_pass(mut comparison: Comparison, cases: &[MustPass]) -> Comparison {
    for (id, attempts) in cases {
        let alike = comparison.must_pass.entry(*attempts).or_default();
        alike.cases += 1;
        alike.ids.push(id.clone());
    }
    comparison
}

/// Takes away answers of both arms, from cases without a difference, one a case; `refused` of the candidate's were refused.
fn missing(mut comparison: Comparison, baseline: u64, candidate: u64, refused: u64) -> Comparison {
    let n = baseline + candidate;
    change(&mut comparison.observed, 0, None, n);
    change(&mut comparison.missing_against, 0, Some(-1), candidate);
    // The baseline's missing answers were passes, so that best for the candidate is one it fails.
    change(&mut comparison.missing_for, 0, Some(1), baseline);
    for (tally, lost) in [(&mut comparison.baseline, baseline), (&mut comparison.candidate, candidate)] {
        tally.missing += lost;
        tally.scored -= lost;
        tally.passed -= lost;
    }
    comparison.candidate.refused += refused;
    comparison.missing = vec![CaseId::new("m-1")];
    comparison.errors = vec![("http_503".to_owned(), "the service is overloaded".to_owned(), n)];
    comparison
}

#[test]
fn verdicts_are_those_of_the_reference_table() {
    for (losses, wins, n, decision, promote, block) in [
        (0, 0, 20, Decision::Inconclusive, 0.512_989_176_042_577_1, 0.0),
        (0, 0, 69, Decision::Inconclusive, 1.629_486_121_165_017_3, 0.229_885_436_069_532_18),
        (0, 0, 70, Decision::Promote, 1.645_225_491_321_245_2, 0.240_249_990_052_149_11),
        (10, 10, 200, Decision::Promote, 1.968_767_154_600_566_3, 0.334_089_739_583_801_2),
        (14, 6, 200, Decision::Inconclusive, 0.332_277_048_215_870_6, -1.247_996_417_610_098_8),
        (18, 2, 200, Decision::Block, -1.371_687_171_549_298_9, -3.128_885_868_126_028),
        // Within the margin for certain, and beyond the tolerance likely, or for certain: block wins.
        (560, 400, 10_000, Decision::Inconclusive, 10.351_528_637_661_191, -1.927_083_940_637_650_8),
        (650, 400, 10_000, Decision::Block, 7.443_673_225_029_037, -4.644_687_432_413_241_4),
    ] {
        let decided = decided(&pairs(losses, wins, n));
        assert_eq!(decided.decision, decision, "{losses} {wins} {n}");
        let z = decided.z.unwrap();
        assert!((z.promote - promote).abs() < 1e-9 && (z.block - block).abs() < 1e-9, "{losses} {wins} {n}: {z:?}");
    }
}

#[test]
fn an_unfinished_run_waits_but_a_certain_block_stays() {
    for (whole_run, code) in [
        (Completion::Shard, "shard"),
        (Completion::Budget, "budget"),
        (Completion::Interrupted, "stopped"),
        (Completion::Stopped, "stopped"),
        (Completion::StoreFailed, "store"),
    ] {
        let facts = RunContext { whole_run, ..WHOLE };
        let of = |comparison: &Comparison| decide(&policy(), comparison, &facts);
        assert_eq!((of(&good()).decision, codes(&of(&good()))), (Decision::Inconclusive, vec![code]));
        // The run has to be finished first: no advice on more cases.
        assert_eq!((codes(&of(&pairs(0, 0, 20))), of(&pairs(0, 0, 20)).needed), (vec![code], None));
        assert_eq!((of(&bad()).decision, codes(&of(&bad()))), (Decision::Block, vec!["regression", code]));
        let failed = with_must_pass(good(), &[critical("c", 3, 1, 1)]);
        assert_eq!(codes(&of(&failed)), ["critical", code]);
        let identical = Comparison { identical: true, ..good() };
        assert_eq!(codes(&of(&identical)), [code]);
    }
    // Answers that were not asked give a run away that calls itself complete.
    let over = Comparison { over_budget: 1, ..good() };
    let not_asked = Comparison { not_asked: 1, ..good() };
    assert_eq!((codes(&decided(&over)), codes(&decided(&not_asked))), (vec!["budget"], vec!["stopped"]));
}

#[test]
fn must_pass_cases_have_the_first_word() {
    let of = |comparison, must_pass: &[MustPass]| {
        let decided = decided(&with_must_pass(comparison, must_pass));
        (decided.decision, codes(&decided))
    };
    let (failed, unscored) = (critical("f", 3, 3, 1), critical("u", 3, 2, 0));
    assert_eq!(of(good(), &[]), (Decision::Promote, vec!["not_worse"]));
    assert_eq!(of(good(), std::slice::from_ref(&failed)), (Decision::Block, vec!["critical"]));
    assert_eq!(of(good(), std::slice::from_ref(&unscored)), (Decision::Inconclusive, vec!["critical_unscored"]));
    assert_eq!(
        of(good(), &[unscored.clone(), failed.clone()]),
        (Decision::Block, vec!["critical", "critical_unscored"])
    );
    assert_eq!(of(bad(), std::slice::from_ref(&unscored)), (Decision::Block, vec!["regression", "critical_unscored"]));
    assert_eq!(of(bad(), &[failed]), (Decision::Block, vec!["critical", "regression"]));
    assert_eq!(of(pairs(0, 0, 20), &[unscored]), (Decision::Inconclusive, vec!["critical_unscored", "too_few"]));
    // A count without ids blocks all the same.
    let mut unlisted = with_must_pass(good(), &[critical("f", 3, 3, 1)]);
    unlisted.must_pass.values_mut().for_each(|alike| alike.ids.clear());
    assert_eq!(decided(&unlisted).decision, Decision::Block);
}

#[test]
fn a_must_pass_case_that_was_asked_again_blocks_by_two_of_ten() {
    let confirms = RunContext { confirms: true, ..WHOLE };
    for (attempts, expected, reasons) in [
        ((3, 3, 0), Decision::Promote, vec!["not_worse"]),
        ((3, 3, 1), Decision::Inconclusive, vec!["critical_unscored"]),
        ((10, 10, 1), Decision::Promote, vec!["not_worse"]),
        ((10, 8, 1), Decision::Inconclusive, vec!["critical_unscored"]),
        ((10, 10, 2), Decision::Block, vec!["critical"]),
        ((3, 3, 3), Decision::Block, vec!["critical"]),
    ] {
        let (planned, scored, failed) = attempts;
        let comparison = with_must_pass(good(), &[critical("c", planned, scored, failed)]);
        let decided = decide(&policy(), &comparison, &confirms);
        assert_eq!((decided.decision, codes(&decided)), (expected, reasons), "{attempts:?}");
        let flaky: Vec<_> = decided.warnings.iter().map(|warning| warning.message.as_str()).collect();
        if attempts == (10, 10, 1) {
            assert_eq!(flaky, ["1 must-pass case fails sometimes: c (1 of 10 answers failed)"]);
        } else {
            assert!(flaky.is_empty());
        }
    }
}

#[test]
fn missing_answers_only_ever_hold_a_verdict_back() {
    let of = |comparison: Comparison| {
        let decided = decided(&comparison);
        (decided.decision, codes(&decided))
    };
    // Few, and it would stand with all of them wrong.
    assert_eq!(of(missing(good(), 0, 1, 0)), (Decision::Promote, vec!["not_worse"]));
    // Few, but the decision hangs on them.
    assert_eq!(of(missing(good(), 0, 8, 0)), (Decision::Inconclusive, vec!["errors"]));
    // Exactly 5% is allowed, more is not, in either arm.
    let large = || pairs(10, 10, 4000);
    assert_eq!(of(missing(large(), 0, 40, 0)).0, Decision::Promote);
    assert_eq!(of(missing(large(), 201, 0, 0)), (Decision::Inconclusive, vec!["errors"]));
    assert_eq!(of(missing(large(), 0, 201, 0)), (Decision::Inconclusive, vec!["errors"]));
    // A block that holds with every missing answer in the candidate's favour stays one.
    assert_eq!(of(missing(pairs(400, 0, 1000), 0, 100, 0)), (Decision::Block, vec!["regression", "errors"]));
}

#[test]
fn a_block_is_never_lifted_by_missing_answers() {
    // Promoting and blocking both hold, so it blocks.
    let proven = pairs(650, 400, 10_000);
    assert_eq!(codes(&decided(&proven)), ["regression"]);
    // 400 of the lost answers can't be judged: with them in the candidate's favour there is no proof of a loss any more,
    // while a loss of the margin is still excluded with all of them against it.
    let mut held = proven;
    let lost = 400;
    change(&mut held.observed, -1, None, lost);
    change(&mut held.missing_for, -1, Some(0), lost);
    held.candidate.missing = lost;
    held.candidate.scored -= lost;
    assert_eq!(decided(&held).decision, Decision::Inconclusive);
}

#[test]
fn only_refused_requests_blame_the_candidate() {
    let of = |comparison: Comparison| codes(&decided(&comparison));
    // 30 of 400 against 0 of 400.
    let large = || pairs(5, 5, 400);
    assert_eq!(of(missing(large(), 0, 30, 30)), ["candidate_errors"]);
    assert_eq!(of(missing(large(), 0, 30, 0)), ["errors"]);
    // Refused, but not more than allowed.
    assert_eq!(of(missing(pairs(5, 5, 4000), 0, 20, 20)), ["not_worse"]);
    // Both are refused alike.
    let mut both = missing(large(), 30, 30, 30);
    both.baseline.refused = 30;
    assert_eq!(of(both), ["errors"]);
    // Refused altogether: nothing of the candidate was judged, and that is its own fault.
    let refused = |mut comparison: Comparison| {
        comparison.candidate.scored = 0;
        comparison.candidate.missing = comparison.candidate.planned;
        comparison.candidate.refused = comparison.candidate.planned;
        comparison
    };
    assert_eq!(of(refused(large()))[0], "candidate_errors");
    // But not when the baseline never reached the service, or met the same.
    let mut unreached = refused(large());
    unreached.baseline.scored = 0;
    unreached.baseline.missing = unreached.baseline.planned;
    assert_eq!(of(unreached.clone()), ["nothing_scored"]);
    unreached.baseline.refused = unreached.baseline.planned;
    assert_eq!(of(unreached), ["nothing_scored"]);
    // Few refused among many other failures: no proof.
    assert_eq!(of(missing(large(), 0, 30, 4)), ["errors"]);
}

#[test]
fn nothing_judged_is_never_a_promotion() {
    let nothing = Comparison { repeats: 3, has_baseline: true, ..Comparison::default() };
    assert_eq!(codes(&decided(&nothing)), ["nothing_scored"]);
    let unasked_baseline = Comparison { baseline: Default::default(), ..good() };
    assert_eq!(codes(&decided(&unasked_baseline)), ["nothing_scored"]);
    let alone = Comparison { has_baseline: false, ..nothing };
    let policy = Policy { min_pass_rate: Some(0.001), ..policy() };
    assert_eq!(codes(&decide(&policy, &alone, &WHOLE)), ["nothing_scored"]);
    // Not a case: even if both arms send the same.
    let empty = Comparison { identical: true, has_baseline: true, ..Comparison::default() };
    assert_eq!(codes(&decided(&empty)), ["nothing_scored"]);
}

#[test]
fn identical_requests_are_unchanged_unless_a_must_pass_case_is_in_trouble() {
    let identical = || {
        let mut comparison = compared(&[], 3);
        comparison.identical = true;
        comparison.counts.cases = 200;
        comparison.counts.skipped = 200;
        comparison
    };
    let of = |must_pass: &[MustPass]| {
        let decided = decided(&with_must_pass(identical(), must_pass));
        (decided.decision, codes(&decided))
    };
    assert_eq!(of(&[]), (Decision::Unchanged, vec!["identical"]));
    assert_eq!(of(&[critical("c", 3, 3, 1)]), (Decision::Block, vec!["critical"]));
    assert_eq!(of(&[critical("c", 3, 0, 0)]), (Decision::Inconclusive, vec!["critical_unscored"]));
    // Without a baseline there is nothing to be identical to.
    let alone = Comparison { has_baseline: false, ..identical() };
    assert_eq!(decided(&alone).decision, Decision::Inconclusive);
}

#[test]
fn without_a_baseline_the_pass_rate_decides() {
    let policy = |rate| Policy { min_pass_rate: rate, ..policy() };
    let of = |required, comparison: &Comparison| {
        let decided = decide(&policy(required), comparison, &WHOLE);
        assert_eq!((decided.z, decided.difference, decided.baseline_rate), (None, None, None));
        (decided.decision, codes(&decided), decided.needed.map(|needed| needed.cases))
    };
    let most = alone(&[(3, 180), (0, 20)], 3);
    assert_eq!(of(Some(0.85), &most), (Decision::Promote, vec!["pass_rate"], None));
    assert_eq!(of(Some(0.95), &most), (Decision::Block, vec!["pass_rate_low"], None));
    assert_eq!(of(Some(0.89), &most), (Decision::Inconclusive, vec!["too_few"], Some(5886)));
    assert_eq!(of(Some(0.90), &most), (Decision::Inconclusive, vec!["too_few"], None));
    assert_eq!(of(None, &most), (Decision::Inconclusive, vec!["not_gated"], None));
    // Where all pass the bound is .05^(1/n), which exceeds 90% from 29 cases on. Wilson's alone would from 25 on.
    assert_eq!(of(Some(0.9), &alone(&[(3, 28)], 3)).0, Decision::Inconclusive);
    assert_eq!(of(Some(0.9), &alone(&[(3, 29)], 3)).0, Decision::Promote);
    // Half as good a candidate passes 3 of 3 with a chance of 12.5%.
    assert_eq!(of(Some(0.5), &alone(&[(1, 3)], 1)).0, Decision::Inconclusive);
    assert_eq!(of(Some(0.5), &alone(&[(1, 5)], 1)).0, Decision::Promote);
    assert_eq!(of(Some(0.5), &alone(&[(0, 3)], 1)).0, Decision::Inconclusive);
    assert_eq!(of(Some(0.5), &alone(&[(0, 5)], 1)).0, Decision::Block);
    // The unit is the case: more repeats of the same cases do not help.
    assert_eq!(of(Some(0.9), &alone(&[(100, 28)], 100)).0, Decision::Inconclusive);

    let failed = with_must_pass(most.clone(), &[critical("c", 3, 3, 1)]);
    assert_eq!(of(Some(0.85), &failed).1, ["critical"]);

    // A few missing answers count as failed for promoting, and as passed for blocking.
    let mut some = most;
    some.passes_missing_against = passing(&BTreeMap::from([(3, 177), (2, 3), (0, 20)]));
    some.candidate.missing = 3;
    assert_eq!(of(Some(0.85), &some), (Decision::Promote, vec!["pass_rate"], None));
    some.passes_missing_against = passing(&BTreeMap::from([(3, 172), (0, 28)]));
    some.candidate.missing = 24;
    assert_eq!(of(Some(0.85), &some), (Decision::Inconclusive, vec!["errors"], None));
}

#[test]
fn without_a_gate_nothing_is_promoted_and_the_numbers_stay() {
    let facts = RunContext { gated: false, ..WHOLE };
    for comparison in [good(), bad(), pairs(0, 0, 20)] {
        let open = decide(&policy(), &comparison, &facts);
        assert_eq!((open.decision, codes(&open)), (Decision::Inconclusive, vec!["not_gated"]));
        let gated = decided(&comparison);
        assert_eq!((open.z, open.difference, open.needed), (gated.z, gated.difference, gated.needed));
        assert!(open.reasons[0].message.contains(gated.decision.as_str()));
    }
}

#[test]
fn a_policy_out_of_range_decides_nothing() {
    for broken in [
        Policy { margin: f64::NAN, ..policy() },
        Policy { margin: 1.0, ..policy() },
        Policy { alpha: 0.9, ..policy() },
        Policy { tolerance: 0.2, ..policy() },
    ] {
        let decided = decide(&broken, &good(), &WHOLE);
        assert_eq!((decided.decision, codes(&decided)), (Decision::Inconclusive, vec!["not_gated"]));
    }
}

#[test]
fn advice_asks_for_more_than_there_is() {
    // Identical output: n0.
    assert_eq!(decided(&pairs(0, 0, 20)).needed, Some(SampleSize { cases: 70, repeats: None }));
    // Much noise within the cases: repeats help.
    let mut noisy = compared(&[(-2, 8), (-1, 14), (0, 56), (1, 14), (2, 8)], 3);
    noisy.within = (60, 60);
    let needed = decided(&noisy).needed.unwrap();
    assert!(needed.cases > 100 && needed.repeats.is_some_and(|repeats| repeats > 3), "{needed:?}");
    // Noise between the cases: only more cases help.
    let mut uneven = compared(&[(-3, 10), (0, 80), (3, 10)], 3);
    uneven.within = (0, 0);
    assert_eq!(decided(&uneven).needed.unwrap().repeats, None);
}

#[test]
fn messages_say_what_it_means_and_then_the_numbers() {
    let mut regressed = missing(pairs(60, 2, 400), 0, 3, 0);
    regressed.regressed = vec![CaseId::new("r-1"), CaseId::new("r-2")];
    let many: Vec<_> = (0..5).map(|i| critical(&format!("case-{i}"), 3, 3, 2)).collect();
    let absolute = Policy { min_pass_rate: Some(0.9), ..policy() };
    let mut nothing = pairs(0, 0, 20);
    nothing.candidate.scored = 0;
    nothing.errors = vec![("http_401".to_owned(), "the key was refused".to_owned(), 20)];
    let at = |whole_run| RunContext { whole_run, ..WHOLE };
    let mut noisy = compared(&[(-2, 8), (-1, 14), (0, 56), (1, 14), (2, 8)], 3);
    noisy.within = (60, 60);
    let mut over = good();
    over.over_budget = 1;
    let mut same = compared(&[], 3);
    same.identical = true;
    same.counts.cases = 200;
    same = with_must_pass(same, &["a", "b", "c", "d"].map(|id| critical(id, 3, 3, 0)));

    let mut told = String::new();
    for decided in [
        decided(&good()),
        decided(&regressed),
        decided(&pairs(14, 6, 200)),
        decided(&pairs(0, 0, 1)),
        decided(&noisy),
        decided(&missing(good(), 0, 8, 0)),
        decided(&missing(good(), 12, 2, 0)),
        decided(&missing(pairs(5, 5, 400), 0, 30, 30)),
        decided(&nothing),
        decided(&same),
        decided(&with_must_pass(good(), &many)),
        decided(&with_must_pass(good(), &[critical("case-1", 3, 3, 1)])),
        decided(&with_must_pass(good(), &[critical("case-1", 3, 1, 0)])),
        decide(&policy(), &over, &WHOLE),
        decide(&policy(), &good(), &at(Completion::Budget)),
        decide(&policy(), &good(), &at(Completion::Interrupted)),
        decide(&policy(), &good(), &at(Completion::Shard)),
        decide(&policy(), &good(), &at(Completion::StoreFailed)),
        decide(&absolute, &alone(&[(3, 196), (0, 4)], 3), &WHOLE),
        decide(&absolute, &alone(&[(3, 100), (0, 100)], 3), &WHOLE),
        decide(&absolute, &alone(&[(3, 184), (0, 16)], 3), &WHOLE),
        decide(&policy(), &alone(&[(3, 184), (0, 16)], 3), &WHOLE),
        decide(&policy(), &good(), &RunContext { gated: false, ..WHOLE }),
        decide(&Policy { alpha: 0.5, ..policy() }, &good(), &WHOLE),
    ] {
        for reason in &decided.reasons {
            let _ = writeln!(told, "{} [{}] {}", decided.decision.as_str(), reason.code.as_str(), reason.message);
        }
    }
    insta::assert_snapshot!(told);
}

/// How often any of four candidates is promoted that are all worse by 5 points, the margin, over one baseline: 200 cases of
/// [`draw_rate`], 3 repeats, seeded. With and without the correction for picking the best, by the same answers.
fn promoted_among_four(runs: u32) -> (f64, f64) {
    const REPEATS: u32 = 3;
    let among = |candidates: u32| Look { candidates, ..Look::ONLY };
    let (alone, four) = (among(1), among(4));
    let mut random = fastrand::Rng::with_seed(20_260_404);
    let (mut corrected, mut uncorrected) = (0u32, 0u32);
    for _ in 0..runs {
        let mut histograms = [const { BTreeMap::new() }; 4];
        for _ in 0..200 {
            let rate = draw_rate(&mut random);
            let baseline = draw_passes(rate, REPEATS, &mut random);
            for histogram in &mut histograms {
                let candidate = draw_candidate(rate, 0.05, &mut random);
                *histogram.entry(draw_passes(candidate, REPEATS, &mut random) - baseline).or_default() += 1;
            }
        }
        let comparisons =
            histograms.map(|histogram| compared(&histogram.into_iter().collect::<Vec<(i64, u64)>>(), REPEATS));
        let any = |look: &Look| {
            comparisons.iter().any(|comparison| {
                let facts = RunContext { look, ..WHOLE };
                decide(&policy(), comparison, &facts).decision == Decision::Promote
            })
        };
        corrected += u32::from(any(&four));
        uncorrected += u32::from(any(&alone));
    }
    (f64::from(corrected) / f64::from(runs), f64::from(uncorrected) / f64::from(runs))
}

#[test]
fn the_best_of_four_that_are_all_worse_is_hardly_ever_promoted() {
    let (corrected, uncorrected) = promoted_among_four(200);
    // 5%, and two standard errors of the simulation; without the correction it is far more.
    assert!(corrected <= 0.05 + 0.031 && uncorrected > 0.09, "{corrected} {uncorrected}");
}

/// How often the gate errs on simulated runs of 200 cases and 3 repeats, seeded.
fn simulated(loss: f64, runs: u32) -> (f64, f64) {
    let mut random = fastrand::Rng::with_seed(20_260_101);
    let (mut promoted, mut blocked) = (0u32, 0u32);
    for _ in 0..runs {
        match decided(&compared(&draw_differences(200, 3, loss, &mut random), 3)).decision {
            Decision::Promote => promoted += 1,
            Decision::Block => blocked += 1,
            Decision::Inconclusive | Decision::Unchanged => {}
        }
    }
    (f64::from(promoted) / f64::from(runs), f64::from(blocked) / f64::from(runs))
}

#[test]
fn an_equal_candidate_is_promoted_and_hardly_ever_blocked() {
    let (promoted, blocked) = simulated(0.0, 200);
    assert!(promoted > 0.89 && blocked <= 0.05, "{promoted} {blocked}");
}

#[test]
fn a_candidate_5_points_worse_is_hardly_ever_promoted() {
    let (promoted, blocked) = simulated(0.05, 200);
    // 5%, and two standard errors of the simulation.
    assert!(promoted <= 0.05 + 0.031 && blocked > 0.3, "{promoted} {blocked}");
}

fn any_comparison() -> impl Strategy<Value = Comparison> {
    (1u32..=4).prop_flat_map(|k| {
        let k64 = i64::from(k);
        prop::collection::vec((-k64..=k64, 0u64..300), 0..8).prop_map(move |bins| compared(&bins, k))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_decision_has_a_reason_and_finite_numbers(comparison in any_comparison(), gated in any::<bool>()) {
        let decided = decide(&policy(), &comparison, &RunContext { gated, ..WHOLE });
        let leading = decided.reasons.first().map(|reason| speaks_for(reason.code));
        prop_assert_eq!(leading, Some(decided.decision));
        if let Some(z) = decided.z {
            prop_assert!(z.promote.is_finite() && z.block.is_finite());
        }
        if let Some(Difference { estimate, low, high, .. }) = decided.difference {
            prop_assert!(-1.0 <= low && low <= estimate && estimate <= high && high <= 1.0);
        }
        if let Some(needed) = decided.needed {
            prop_assert!(needed.cases > comparison.counts.cases);
            prop_assert!(needed.repeats.is_none_or(|repeats| repeats > comparison.repeats));
        }
    }

    #[test]
    fn too_many_missing_never_promote(comparison in any_comparison(), baseline: bool, more in 0.0f64..0.9) {
        let mut comparison = comparison;
        let arm = if baseline { &mut comparison.baseline } else { &mut comparison.candidate };
        let lost = ((arm.planned as f64 * (0.05 + more)) as u64 + 1).min(arm.planned);
        arm.missing = lost;
        arm.scored = arm.planned - lost;
        prop_assert_ne!(decided(&comparison).decision, Decision::Promote);
    }

    #[test]
    fn a_failed_must_pass_case_always_blocks(comparison in any_comparison(), scored in 1u32..4, failed in 1u32..4, same: bool) {
        let mut comparison = with_must_pass(comparison, &[critical("c", 3, scored, failed)]);
        comparison.identical = same;
        prop_assert_eq!(decided(&comparison).decision, Decision::Block);
    }

    #[test]
    fn no_cases_never_promote(planned in 0u64..100, scored in 0u64..100, repeats in 0u32..5) {
        let mut comparison = compared(&[], repeats);
        comparison.candidate.planned = planned;
        comparison.candidate.scored = scored;
        comparison.baseline = comparison.candidate;
        prop_assert_eq!(decided(&comparison).decision, Decision::Inconclusive);
    }
}

#[test]
fn answers_of_other_models_decide_nothing_that_they_cannot() {
    let served = |mut comparison: Comparison, baseline: &str, candidate: &str| {
        comparison.baseline_served = vec![baseline.to_owned()];
        comparison.candidate_served = vec![candidate.to_owned()];
        comparison
    };
    let failing = |comparison: Comparison| with_must_pass(comparison, &[critical("c", 1, 1, 1)]);
    let lax = policy();
    let strict = Policy { strict_model: true, ..policy() };
    // (policy, comparison) → decision and reasons
    for (policy, comparison, decision, reasons) in [
        (&lax, served(good(), "m", "m-001"), Decision::Promote, &["not_worse"][..]),
        (&strict, served(good(), "m", "m-001"), Decision::Promote, &["not_worse"]),
        (&lax, served(good(), "x", "x"), Decision::Promote, &["not_worse"]),
        (&lax, served(bad(), "x", "x"), Decision::Block, &["regression"]),
        (&lax, served(good(), "m", "x"), Decision::Inconclusive, &["mixed_models"]),
        (&lax, served(bad(), "m", "x"), Decision::Inconclusive, &["mixed_models"]),
        // A must-pass case is not compared with anything.
        (&lax, served(failing(bad()), "m", "x"), Decision::Block, &["critical", "mixed_models"]),
        (&strict, served(good(), "x", "x"), Decision::Inconclusive, &["served_model"]),
        (&strict, served(failing(bad()), "m", "x"), Decision::Inconclusive, &["served_model"]),
    ] {
        let decided = decide(policy, &comparison, &WHOLE);
        assert_eq!((decided.decision, &codes(&decided)[..]), (decision, reasons));
        assert_eq!(decided.needed, None);
    }
    let other = RunContext { models: (Some("other"), "m"), ..WHOLE };
    let decided = decide(&lax, &served(good(), "other", "m"), &other);
    assert_eq!((decided.decision, decided.warnings), (Decision::Promote, Vec::new()));
}

/// A comparison that is promoted, of which these cases have a tag.
fn tagged(histogram: &[(i64, u64)]) -> Comparison {
    let sums = TagSums {
        slice: Slice {
            tag: "refunds".to_owned(),
            n: histogram.iter().map(|(_, cases)| cases).sum(),
            ..Slice::default()
        },
        missing_against: units(&histogram.iter().copied().collect()),
        missing_for: units(&histogram.iter().copied().collect()),
    };
    Comparison { slices: vec![sums], ..compared(&[(-3, 10), (0, 980), (3, 10)], 3) }
}

#[test]
fn a_tag_that_gets_worse_stops_what_the_average_would_promote() {
    let whole = |comparison: &Comparison| decide(&policy(), comparison, &WHOLE);
    for (histogram, decision, code, gate) in [
        (&[(0, 20)][..], Decision::Promote, ReasonCode::NotWorse, SliceGate::Ok),
        (&[(-3, 10), (0, 10)], Decision::Block, ReasonCode::Slice, SliceGate::Block),
        (&[(-3, 9)], Decision::Promote, ReasonCode::NotWorse, SliceGate::Unpowered),
    ] {
        let decided = whole(&tagged(histogram));
        assert_eq!((decided.decision, decided.reasons[0].code, decided.slices[0].gate), (decision, code, gate));
    }
    let mut held = tagged(&[(-3, 10), (0, 10)]);
    held.slices[0].missing_for = units(&BTreeMap::from([(0, 20)]));
    let decided = whole(&held);
    assert_eq!((decided.decision, decided.reasons[0].code), (Decision::Inconclusive, ReasonCode::SliceOpen));
    // Where nothing is decided by differences, nothing is said of tags.
    let identical = Comparison { identical: true, ..tagged(&[(-3, 10), (0, 10)]) };
    let decided = whole(&identical);
    assert_eq!((decided.decision, decided.slices[0].gate), (Decision::Unchanged, SliceGate::Unknown));
}

/// A tag may be blocked by a chance above alpha, where `slice_q` is larger. With an answer missing it is no longer lost for
/// certain, and then it has to hold.
#[test]
fn a_blocked_tag_is_not_released_by_a_missing_answer() {
    let policy = Policy { slice_q: 0.2, ..policy() };
    let mut comparison = tagged(&[(-3, 2), (0, 18)]);
    let blocked = decide(&policy, &comparison, &WHOLE);
    let p = blocked.slices[0].p.unwrap();
    assert!(p > policy.alpha && p < policy.slice_q, "{p}");
    assert_eq!(blocked.decision, Decision::Block);
    comparison.slices[0].missing_for = units(&BTreeMap::from([(-3, 1), (-2, 1), (0, 18)]));
    let held = decide(&policy, &comparison, &WHOLE);
    assert_eq!((held.decision, held.reasons[0].code), (Decision::Inconclusive, ReasonCode::SliceOpen));
}

#[test]
fn tags_that_are_not_looked_at_are_told() {
    let decided = decide(&policy(), &Comparison { tags_left_out: true, ..tagged(&[(0, 20)]) }, &WHOLE);
    assert_eq!(decided.decision, Decision::Promote);
    assert_eq!(decided.warnings[0].code, WarningCode::TagsLeftOut);
}

#[test]
fn weaker_demands_promote_nothing_and_excuse_nothing() {
    let changes = weaker_changes();
    let facts = RunContext { changes: &changes, ..WHOLE };
    let mut identical = good();
    identical.identical = true;
    for (comparison, decision, reasons) in [
        (good(), Decision::Inconclusive, &["weakened"][..]),
        (identical, Decision::Inconclusive, &["weakened"]),
        (pairs(0, 0, 1), Decision::Inconclusive, &["weakened", "too_few"]),
        (bad(), Decision::Block, &["regression", "weakened"]),
    ] {
        let decided = decide(&policy(), &comparison, &facts);
        assert_eq!((decided.decision, &codes(&decided)[..]), (decision, reasons));
    }
}
