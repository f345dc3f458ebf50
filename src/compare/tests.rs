use super::fixtures::{compare, design, judged, row};
use super::*;
use crate::domain::{
    Answer, Counts, Estimand, Failure, FailureKind, Guardrails, Latency, Metric, PairCounts, QuarantineSums, Score,
    Unit, Units, Usage,
};
use proptest::prelude::*;

/// Units of size 1, by their sum.
fn by_sum(units: &Units) -> BTreeMap<i64, u64> {
    let of_one = |(unit, count): (Unit, u64)| {
        assert_eq!(unit.size, 1);
        (unit.sum as i64, count)
    };
    units.iter().map(of_one).collect()
}

/// A case that must pass.
fn must(row: CaseRow) -> CaseRow {
    CaseRow { case: Case { critical: true, ..row.case }, ..row }
}

fn ids(ids: &[CaseId]) -> Vec<&str> {
    ids.iter().map(CaseId::as_str).collect()
}

#[test]
fn a_case_enters_every_histogram_as_its_answers_say() {
    // baseline, candidate, worst, best, observed
    for (baseline, candidate, missing_against, missing_for, observed) in [
        ("PPP", "PPP", 0, 0, Some(0)),
        ("FFF", "PPP", 3, 3, Some(3)),
        ("PPP", "FFF", -3, -3, Some(-3)),
        ("PFP", "FPF", -1, -1, Some(-1)),
        // An answer that is missing counts twice over.
        ("PTF", "PPT", 0, 2, None),
        ("PPP", "PPT", -1, 0, None),
        ("TTT", "TTT", -3, 3, None),
        ("RBX", "PPP", 0, 3, None),
        ("PPP", "RBX", -3, 0, None),
        // Fewer rows than planned are missing answers; further ones are none of the plan.
        ("PP", "P", -2, 1, None),
        ("", "", -3, 3, None),
        ("FFFPPP", "PPPFFF", 3, 3, Some(3)),
    ] {
        let comparison = compare(3, &[row("a", baseline, candidate)]);
        let only = |d: i64| BTreeMap::from([(d, 1)]);
        assert_eq!(by_sum(&comparison.missing_against), only(missing_against), "{baseline} {candidate}");
        assert_eq!(by_sum(&comparison.missing_for), only(missing_for), "{baseline} {candidate}");
        assert_eq!(by_sum(&comparison.observed), observed.map(only).unwrap_or_default(), "{baseline} {candidate}");
    }
}

#[test]
fn a_row_without_its_baseline_misses_all_of_it() {
    let mut lost = row("a", "", "PPP");
    lost.baseline = None;
    let comparison = compare(3, &[lost]);
    assert_eq!(by_sum(&comparison.missing_against), BTreeMap::from([(0, 1)]));
    assert_eq!((comparison.baseline.missing, comparison.paired.n), (3, 0));
}

#[test]
fn cases_and_answers_are_counted_per_arm() {
    let comparison = compare(
        2,
        &[
            row("both", "PP", "PP"),
            row("worse", "PP", "PF"),
            row("better", "PF", "PP"),
            row("bad", "FF", "FF"),
            row("even", "PF", "FP"),
            row("error", "PP", "RT"),
            row("fail-and-error", "TP", "FR"),
            row("skipped", "PP", "BX"),
        ],
    );
    let Comparison { counts, paired, baseline, candidate, .. } = &comparison;
    assert_eq!(*counts, Counts { cases: 8, pass: 2, fail: 4, error: 1, skipped: 1 });
    assert_eq!(*paired, PairCounts { n: 5, both_pass: 1, regressed: 1, improved: 1, both_fail: 2 });
    let tally = |scored, passed, missing, refused| Tally { planned: 16, scored, passed, missing, refused, cached: 0 };
    assert_eq!(*baseline, tally(15, 11, 1, 0));
    assert_eq!(*candidate, tally(11, 6, 5, 2));
    assert_eq!((comparison.over_budget, comparison.not_asked), (1, 1));
    let rate = |sums: RateSums| (sums.passes / 1000, sums.size / 1000, sums.squares / 1_000_000);
    assert_eq!(rate(comparison.baseline_rate), (10, 7, 7));
    assert_eq!(rate(comparison.candidate_rate), (6, 5, 5));
    // 1 x 1 for each case of the five with one pass of two: better, even; worse, even.
    assert_eq!(comparison.within, (2, 2));
    assert_eq!(ids(&comparison.regressed), ["worse"]);
    assert_eq!(ids(&comparison.missing), ["error", "fail-and-error", "skipped"]);
    assert_eq!(by_sum(&comparison.passes_missing_against), BTreeMap::from([(0, 4), (1, 2), (2, 2)]));
    assert_eq!(by_sum(&comparison.passes_missing_for), BTreeMap::from([(0, 1), (1, 3), (2, 4)]));
}

#[test]
fn without_a_baseline_only_the_candidate_counts() {
    let mut comparing = ComparisonBuilder::new(Design { baseline: false, identical: true, ..design(2) });
    for candidate in ["PP", "PF", "PT"] {
        let mut row = row("a", "FF", candidate);
        row.case.tags = vec!["t".to_owned()];
        comparing.add(&row);
    }
    let comparison = comparing.finish();
    assert!(comparison.missing_against.count() + comparison.missing_for.count() + comparison.observed.count() == 0);
    assert_eq!((comparison.baseline, comparison.paired), (Tally::default(), PairCounts::default()));
    assert_eq!(by_sum(&comparison.passes_missing_against), BTreeMap::from([(1, 2), (2, 1)]));
    assert_eq!(by_sum(&comparison.passes_missing_for), BTreeMap::from([(1, 1), (2, 2)]));
    assert_eq!((comparison.slices[0].slice.n, comparison.slices[0].slice.candidate), (2, Some(0.75)));
    assert_eq!(comparison.requests, 6);
    assert!(!comparison.identical, "there is nothing to be identical to");
}

#[test]
fn identical_requests_are_neither_missing_nor_evidence() {
    let mut comparing = ComparisonBuilder::new(Design { identical: true, ..design(3) });
    comparing.add(&row("plain", "III", "III"));
    comparing.add(&must(row("critical", "PPP", "PPP")));
    comparing.add(&must(row("critical-unasked", "III", "III")));
    let comparison = comparing.finish();
    assert!(comparison.identical);
    assert_eq!((comparison.counts.skipped, comparison.counts.pass), (2, 1));
    assert_eq!((comparison.candidate.planned, comparison.candidate.missing), (3, 0));
    assert_eq!(by_sum(&comparison.missing_against), BTreeMap::from([(0, 1)]));
    assert!(comparison.missing.is_empty());
    // One that was left out for want of a key says nothing.
    assert_eq!(must_pass(&comparison), [("critical", 3, 3, 0)]);
}

#[test]
fn must_pass_cases_are_judged_by_the_candidate_alone() {
    let critical = |id: &str, candidate: &str| must(row(id, "FFF", candidate));
    let mut rows = vec![
        critical("fine", "PPP"),
        critical("flaky", "PFP"),
        critical("failed-and-missing", "FT"),
        critical("short", "PP"),
        critical("late", "PPPF"),
        row("not-critical", "PPP", "FFF"),
    ];
    let comparison = compare(3, &rows);
    assert_eq!(
        must_pass(&comparison),
        [("failed-and-missing", 3, 1, 1), ("short", 3, 2, 0), ("fine", 3, 3, 0), ("flaky", 3, 3, 1), ("late", 4, 4, 1)]
    );

    // The list is bounded per kind: however many are unjudged, a failed one is still named.
    rows = (0..100).map(|i| critical(&format!("t{i}"), "TTT")).collect();
    rows.push(critical("failed", "FFF"));
    let comparison = compare(3, &rows);
    let alike: Vec<_> = comparison.must_pass.values().map(|alike| (alike.cases, alike.ids.len())).collect();
    assert_eq!(alike, [(100, IDS), (1, 1)]);
}

/// The must-pass cases: planned, judged, failed.
fn must_pass(comparison: &Comparison) -> Vec<(&str, u32, u32, u32)> {
    let groups = comparison.must_pass.iter();
    groups
        .flat_map(|(attempts, alike)| {
            alike.ids.iter().map(|id| (id.as_str(), attempts.planned, attempts.scored, attempts.failed))
        })
        .collect()
}

/// They are asked because of a failure, so they would speak for or against the candidate by design.
#[test]
fn further_answers_of_must_pass_cases_enter_nothing_but_their_count() {
    let policy = Policy {
        critical_tags: vec!["t".to_owned()],
        guardrails: Guardrails {
            cost: Some(0.1),
            latency_p95: Some(0.1),
            output_tokens: Some(0.1),
            refusal_rate: Some(0.01),
            truncation_rate: Some(0.01),
        },
        ..Policy::default()
    };
    let rows = |candidate: &str| {
        let mut rows = vec![row("a", "PPP", "PPF"), row("b", "PFP", "PPP"), row("c", "PPP", candidate)];
        for row in &mut rows {
            row.case.tags = vec!["t".to_owned(), "u".to_owned()];
            row.case.critical = true;
            let arms = row.baseline.iter_mut().chain([&mut row.candidate]);
            for judged in arms.flat_map(|arm| &mut arm.repeats) {
                // What is asked beyond the plan is slower, dearer, longer, a refusal and cut off.
                let beyond = judged.repeat > 3;
                judged.refused = judged.answer.is_some().then_some(beyond);
                judged.cost_usd = judged.answer.is_some().then_some(if beyond { 9.0 } else { 0.001 });
                if let Some(answer) = &mut judged.answer {
                    answer.latency_ms = if beyond { 60_000 } else { 100 };
                    answer.usage.prompt = 10;
                    answer.usage.output = if beyond { 5_000 } else { 10 };
                    answer.finish_reason = Some(if beyond { "MAX_TOKENS" } else { "STOP" }.to_owned());
                }
            }
        }
        rows
    };
    for (metric, estimand) in
        [(Metric::Pass, Estimand::Population), (Metric::Score, Estimand::Population), (Metric::Pass, Estimand::Dataset)]
    {
        let compare = |candidate: &str| {
            let design = Design { metric, estimand, ..design(3) };
            let mut comparing = ComparisonBuilder::new(design).with_policy(&policy);
            rows(candidate).iter().for_each(|row| comparing.add(row));
            comparing.finish()
        };
        let units = |of: &Comparison| {
            let Comparison { missing_against, missing_for, observed, .. } = of;
            [missing_against, missing_for, observed, &of.passes_missing_against, &of.passes_missing_for].map(all)
        };
        let planned = compare("PPF");
        for further in ["PPFPPPPPPP", "PPFFFFFFFF", "PPFPTRBXPF"] {
            let with = compare(further);
            assert_eq!(with.slices, planned.slices, "{further}");
            assert_eq!(with.guards, planned.guards, "{further}");
            assert_eq!(units(&with), units(&planned), "{further}");
            assert_eq!((with.paired, with.within), (planned.paired, planned.within));
            assert_eq!(with.candidate_rate, planned.candidate_rate);
            assert_ne!(with.must_pass, planned.must_pass, "{further}");
        }
        // The same answers within the plan do enter.
        assert_ne!(compare("PFF").slices, planned.slices);
    }
}

#[test]
fn lists_of_ids_are_bounded_and_in_plan_order() {
    let rows: Vec<_> =
        (0..50).flat_map(|i| [row(&format!("r{i}"), "P", "F"), row(&format!("m{i}"), "P", "T")]).collect();
    let comparison = compare(1, &rows);
    assert_eq!((comparison.regressed.len(), comparison.missing.len()), (IDS, IDS));
    assert_eq!((comparison.regressed[19].as_str(), comparison.missing[0].as_str()), ("r19", "m0"));
}

#[test]
fn errors_are_counted_by_code_and_bounded() {
    let mut rows = vec![row("a", "TTT", "TRR"), row("b", "RPP", "PPP")];
    assert_eq!(
        compare(3, &rows).errors,
        [
            ("http_503".to_owned(), "http_503 happened".to_owned(), 4),
            ("http_400".to_owned(), "http_400 happened".to_owned(), 3)
        ]
    );
    for i in 0..1000 {
        let mut strange = row("c", "PPP", "TPP");
        strange.candidate.repeats[0].outcome = Outcome::Errored(Failure {
            kind: FailureKind::Matcher,
            code: format!("{i:03}{}", "x".repeat(10_000)),
            message: "y".repeat(10_000),
        });
        rows.push(strange);
    }
    let errors = compare(3, &rows).errors;
    assert_eq!((errors.len(), errors[0].2), (MAX_CODES_SHOWN, 4));
    assert!(errors.iter().all(|(code, message, _)| code.len() <= TEXT && message.len() <= TEXT));
}

#[test]
fn effort_is_summed_over_what_this_run_asked_for() {
    let mut row = row("a", "PPPT", "PPPP");
    let set = |judged: &mut ScoredSample, source, attempts, latency_ms, cost_usd, model: &str| {
        judged.source = Some(source);
        judged.attempts = attempts;
        judged.cost_usd = cost_usd;
        judged.answer = Some(Answer {
            latency_ms,
            model_version: Some(model.to_owned()),
            usage: Usage { prompt: 10, cached: 1, output: 2, thinking: 3, total: u64::MAX / 2 },
            ..Answer::default()
        });
    };
    let baseline = &mut row.baseline.as_mut().unwrap().repeats;
    set(&mut baseline[0], Source::Live, 1, 100, Some(0.1), "m-2");
    set(&mut baseline[1], Source::Live, 3, 300, Some(0.2), "m-1");
    set(&mut baseline[2], Source::Cache, 5, 9999, Some(5.0), "m-1");
    baseline[3].attempts = 9;
    for (judged, waited_ms) in baseline.iter_mut().zip([Some(10), Some(3_000), Some(77_777), Some(20_000)]) {
        judged.waited_ms = waited_ms;
    }
    let candidate = &mut row.candidate.repeats;
    set(&mut candidate[0], Source::Recorded, 0, 70, None, "m-3");
    set(&mut candidate[1], Source::Recorded, 0, 0, None, "m-3");
    let comparison = compare(4, &[row.clone()]);
    assert_eq!((comparison.requests, comparison.retries), (1 + 3 + 9 + 2, 2 + 8));
    // Of what this run asked for, what failed included; not of what was stored.
    assert_eq!((comparison.waited_ms.max, comparison.waited_ms.total), (20_000, 23_010));
    assert_eq!(comparison.waited_ms.p50, 3_000);
    assert_eq!(comparison.cost_usd, Some(0.302));
    assert_eq!((comparison.baseline.cached, comparison.candidate.cached), (1, 0));
    assert_eq!((comparison.usage.prompt, comparison.usage.total), (50, u64::MAX));
    let p = |p50, rest| Latency { p50, p95: rest, p99: rest };
    assert_eq!(comparison.latency_ms, (p(300, 9992), p(0, 70)));
    assert_eq!(comparison.answers_cost_usd, None, "a recording has no price");
    assert_eq!(
        (comparison.baseline_served, comparison.candidate_served),
        (vec!["m-1".to_owned(), "m-2".to_owned()], vec!["m-3".to_owned()])
    );

    row.candidate.repeats.truncate(0);
    assert_eq!(compare(4, &[row.clone()]).answers_cost_usd, Some(5.3), "what was asked earlier counts too");
    row.baseline.as_mut().unwrap().repeats[2].cost_usd = None;
    assert_eq!(compare(4, &[row.clone()]).answers_cost_usd, None);
    row.baseline.as_mut().unwrap().repeats[1].cost_usd = None;
    assert_eq!(compare(4, &[row]).cost_usd, None, "an unknown price makes the sum unknown");
    assert_eq!(compare(4, &[]).cost_usd, Some(0.0));
}

#[test]
fn no_repeats_and_no_rows_are_no_evidence() {
    let nothing = compare(0, &[row("a", "PPP", "FFF")]);
    assert!(nothing.observed.count() == 0 && nothing.paired.n == 0);
    assert_eq!((nothing.candidate.planned, nothing.candidate_rate.size), (0, 0));
    assert_eq!(
        compare(3, &[]),
        Comparison {
            repeats: 3,
            has_baseline: true,
            cost_usd: Some(0.0),
            answers_cost_usd: Some(0.0),
            parts: 3,
            ..Comparison::default()
        }
    );
}

fn any_row() -> impl Strategy<Value = CaseRow> {
    ("[a-c]{1,2}", "[PFTRBX]{0,3}", "[PFTRBX]{0,3}", any::<bool>(), 0.0f64..0.01, 0u64..5000, "m[0-9]{2}").prop_map(
        |(tag, baseline, candidate, critical, cost, latency, model)| {
            let mut row = row(&format!("{tag}{baseline}{candidate}"), &baseline, &candidate);
            row.case.critical = critical;
            row.case.tags = vec![tag];
            for judged in row.candidate.repeats.iter_mut().filter(|judged| judged.answer.is_some()) {
                judged.cost_usd = Some(cost);
                judged.answer =
                    Some(Answer { latency_ms: latency, model_version: Some(model.clone()), ..Answer::default() });
            }
            row
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_order_of_cases_changes_no_number(rows in prop::collection::vec(any_row(), 0..60), seed in any::<u64>()) {
        let mut shuffled = rows.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        // Which ids the bounded lists keep is a matter of order; how many is not.
        let numbers = |rows: &[CaseRow]| {
            let mut comparison = compare(3, rows);
            let lengths = (comparison.regressed.len(), comparison.missing.len());
            comparison.regressed.clear();
            comparison.missing.clear();
            comparison.must_pass.values_mut().for_each(|alike| alike.ids.clear());
            (comparison, lengths)
        };
        prop_assert_eq!(numbers(&rows), numbers(&shuffled));
    }

    #[test]
    fn every_case_and_answer_is_counted_once(rows in prop::collection::vec(any_row(), 0..60)) {
        let comparison = compare(3, &rows);
        let n = rows.len() as u64;
        prop_assert_eq!((comparison.missing_against.count(), comparison.missing_for.count()), (n, n));
        prop_assert_eq!(comparison.observed.count(), comparison.paired.n);
        let Counts { cases, pass, fail, error, skipped } = comparison.counts;
        prop_assert_eq!((cases, pass + fail + error + skipped), (n, n));
        let PairCounts { n: paired, both_pass, regressed, improved, both_fail } = comparison.paired;
        prop_assert_eq!(both_pass + regressed + improved + both_fail, paired);
        for tally in [comparison.baseline, comparison.candidate] {
            prop_assert_eq!((tally.planned, tally.scored + tally.missing), (3 * n, 3 * n));
            prop_assert!(tally.passed <= tally.scored && tally.refused <= tally.missing);
        }
    }
}

/// Of these tags until a day to come, and `over` until yesterday.
fn quarantine(tags: &[&str]) -> Quarantine {
    let today = time::macros::date!(2026 - 11 - 23);
    let until = |tag: &&str| ((*tag).to_owned(), "2026-12-31".to_owned());
    let over = ("over".to_owned(), "2026-11-22".to_owned());
    let policy = Policy { quarantine: tags.iter().map(until).chain([over]).collect(), ..Policy::default() };
    Quarantine::on(&policy, Some(today))
}

fn with_quarantine(rows: &[CaseRow], tags: &[&str]) -> Comparison {
    let policy =
        Policy { guardrails: Guardrails { latency_p95: Some(0.1), ..Guardrails::default() }, ..Policy::default() };
    let mut comparing = ComparisonBuilder::new(design(3)).with_policy(&policy).with_quarantine(quarantine(tags));
    rows.iter().for_each(|row| comparing.add(row));
    comparing.finish()
}

fn tagged(tag: &str, mut row: CaseRow) -> CaseRow {
    row.case.tags.push(tag.to_owned());
    row
}

#[test]
fn cases_in_quarantine_are_counted_and_decide_nothing() {
    let rows = [
        tagged("flaky", row("failing", "PPP", "FFF")),
        tagged("new", tagged("flaky", row("passing", "FFF", "PPP"))),
        tagged("new", row("broken", "PPP", "PTT")),
        tagged("flaky", row("unasked", "PBB", "PBB")),
        tagged("over", row("over", "PPP", "PFF")),
        row("plain", "PPP", "PPP"),
        must(tagged("flaky", row("critical", "PPP", "PPF"))),
    ];
    let comparison = with_quarantine(&rows, &["flaky", "new", "none"]);
    let QuarantineSums { found, looked, answers, critical, expired } = &comparison.quarantine;
    let counts = Counts { cases: 4, pass: 1, fail: 1, error: 1, skipped: 1 };
    assert_eq!(found.counts, counts);
    let tags: Vec<_> = found.tags.iter().map(|tag| (tag.tag.as_str(), tag.cases)).collect();
    assert_eq!(tags, [("flaky", 3), ("new", 2), ("none", 0)]);
    assert_eq!((*looked, *answers), (4, (24, 18)));
    assert_eq!((ids(&critical.0), critical.1), (vec!["critical"], 1));
    assert_eq!(expired.keys().collect::<Vec<_>>(), ["over"]);
    // Every case is counted; only the others decide, and a must-pass case in both ways.
    assert_eq!(comparison.counts.cases, 7);
    assert_eq!((comparison.missing_against.count(), comparison.paired.n), (3, 3));
    assert_eq!(ids(&comparison.regressed), ["over", "critical"]);
    assert_eq!(must_pass(&comparison), [("critical", 3, 3, 1)]);
    assert_eq!(comparison.candidate.missing, 0);
    // That a run is not whole is known all the same.
    assert_eq!(comparison.over_budget, 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// What decides is what it would be if the cases in quarantine were not there.
    #[test]
    fn a_case_in_quarantine_enters_nothing_that_decides(rows in prop::collection::vec(any_row(), 0..60)) {
        let tags = ["a", "bb", "c"];
        let rest: Vec<CaseRow> = rows
            .iter()
            .filter(|row| quarantine(&tags).of(&row.case).is_none())
            .cloned()
            .collect();
        let (all, rest) = (with_quarantine(&rows, &tags), with_quarantine(&rest, &tags));
        let n = rows.len() as u64;
        prop_assert_eq!((all.counts.cases, all.quarantine.found.counts.cases + rest.counts.cases), (n, n));
        let decides = |comparison: Comparison| Comparison {
            baseline: Tally { cached: 0, ..comparison.baseline },
            candidate: Tally { cached: 0, ..comparison.candidate },
            // What the run took and what served it, and what is told of it.
            counts: Counts::default(),
            quarantine: QuarantineSums::default(),
            usage: Usage::default(),
            cost_usd: None,
            answers_cost_usd: None,
            requests: 0,
            retries: 0,
            latency_ms: Default::default(),
            baseline_served: Vec::new(),
            candidate_served: Vec::new(),
            over_budget: 0,
            not_asked: 0,
            errors: Vec::new(),
            ..comparison
        };
        prop_assert_eq!(decides(all), decides(rest));
    }
}

/// All units as (size, sum, count).
fn all(units: &Units) -> Vec<(u64, i128, u64)> {
    units.iter().map(|(unit, count)| (unit.size, unit.sum, count)).collect()
}

fn in_cluster(cluster: &str, mut row: CaseRow) -> CaseRow {
    row.case.cluster = Some(cluster.into());
    row
}

fn weighing(weight: u32, mut row: CaseRow) -> CaseRow {
    row.case.weight = weight;
    row
}

#[test]
fn the_cases_of_a_cluster_are_one_unit() {
    let rows = [
        in_cluster("a", row("1", "PP", "PF")),
        row("2", "PP", "FF"),
        in_cluster("a", row("3", "PP", "PT")),
        in_cluster("b", row("4", "FF", "PP")),
    ];
    let comparison = compare(2, &rows);
    assert!(comparison.clustered);
    assert_eq!(comparison.parts, 2);
    assert_eq!(all(&comparison.missing_against), [(1, -2, 1), (1, 2, 1), (2, -2, 1)]);
    assert_eq!(all(&comparison.missing_for), [(1, -2, 1), (1, 2, 1), (2, -1, 1)]);
    // Of the cluster what is judged.
    assert_eq!(all(&comparison.observed), [(1, -2, 1), (1, -1, 1), (1, 2, 1)]);
    // Cases are still counted as cases.
    assert_eq!((comparison.paired.n, comparison.paired.regressed), (3, 2));
}

#[test]
fn weights_count_by_their_proportions() {
    let rows =
        [weighing(500, row("half", "PP", "FF")), weighing(1_500, row("more", "PP", "PF")), row("one", "FF", "PP")];
    let comparison = compare(2, &rows);
    assert_eq!(all(&comparison.observed), [(1, -2, 1), (2, 4, 1), (3, -3, 1)]);
    assert_eq!(comparison.candidate_rate.size, 3_000);
    assert_eq!(comparison.candidate_rate.passes, 1_500 + 2_000);
    // Equal weights are no weights.
    let equal = compare(2, &rows.map(|row| weighing(700, row)));
    assert_eq!(all(&equal.observed), [(1, -2, 1), (1, -1, 1), (1, 2, 1)]);
}

#[test]
fn for_the_dataset_every_repeat_is_a_unit() {
    let mut comparing = ComparisonBuilder::new(Design { estimand: Estimand::Dataset, ..design(3) });
    comparing.add(&in_cluster("a", row("1", "PPF", "FPT")));
    comparing.add(&row("2", "PTP", "PPP"));
    let comparison = comparing.finish();
    assert!(!comparison.clustered);
    assert_eq!(comparison.parts, 1);
    assert_eq!(all(&comparison.missing_against), [(1, -1, 1), (1, 0, 5)]);
    assert_eq!(all(&comparison.missing_for), [(1, -1, 1), (1, 0, 3), (1, 1, 2)]);
    assert_eq!(all(&comparison.observed), [(1, -1, 1), (1, 0, 3)]);
}

#[test]
fn scores_between_pass_and_fail_count_as_they_are() {
    let scored = |values: &[f64]| ArmRow {
        repeats: values
            .iter()
            .zip(1..)
            .map(|(value, repeat)| {
                let outcome = Outcome::Scored(Score::new(*value, *value >= 0.5, ""));
                ScoredSample { outcome, ..judged('P', repeat) }
            })
            .collect(),
    };
    let case = CaseRow { case: Case::new("a"), baseline: Some(scored(&[1.0, 0.75])), candidate: scored(&[0.5, 0.75]) };
    let of = |metric| {
        let mut comparing = ComparisonBuilder::new(Design { metric, ..design(2) });
        comparing.add(&case);
        comparing.finish()
    };
    let score = of(Metric::Score);
    assert_eq!(score.parts, 2_000_000);
    assert_eq!(all(&score.observed), [(1, -500_000, 1)]);
    assert_eq!((score.paired.regressed, score.within.0), (1, 62_500_000_000));
    // All of them pass.
    let pass = of(Metric::Pass);
    assert_eq!((all(&pass.observed), pass.paired.both_pass), (vec![(1, 0, 1)], 1));
}

#[test]
fn cases_that_an_early_decision_left_out_enter_nothing() {
    let mut comparing = ComparisonBuilder::new(Design { repeats: 2, baseline: true, ..Design::default() });
    comparing.add(&row("in", "PP", "PF"));
    comparing.add_unanalyzed(&row("out", "DD", "DD"));
    comparing.add_unanalyzed(&must(row("must", "PP", "FF")));
    let found = comparing.finish();
    assert_eq!(found.unlooked, crate::domain::EarlyStop { cases: 2, answers: 4 });
    assert_eq!((found.counts.cases, found.counts.skipped, found.counts.fail), (3, 1, 2));
    assert_eq!((found.paired.n, found.candidate.planned, found.candidate.missing), (1, 2, 0));
    assert_eq!((found.not_asked, found.missing.len()), (0, 0));
    let failed: u32 = found.must_pass.keys().map(|attempts| attempts.failed).sum();
    assert_eq!(failed, 2);

    // Without an early decision such an answer is missing, and was not asked.
    let found = compare(2, &[row("in", "PP", "PF"), row("out", "DD", "DD")]);
    assert_eq!((found.candidate.missing, found.baseline.missing, found.not_asked), (2, 2, 4));
    assert_eq!(found.unlooked.cases, 0);
}
