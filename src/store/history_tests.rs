//! What is remembered of runs: once for each answer, whatever happens to it, and bounded.

use super::tests::{opened, planned};
use super::*;
use crate::domain::{
    AnswerOutcome, Arm, CaseId, CaseOutcomes, Counts, OutcomeCode, Passes, Policy, Reliability, RunConclusion,
    RunFacts, RunRecord, TestedPrompt,
};

const REPEATS: u32 = 2;

fn facts(cases: u64) -> RunFacts {
    RunFacts {
        candidate: TestedPrompt { name: "v2".to_owned(), sha256: "2".repeat(64), model: "m".to_owned() },
        baseline: None,
        simulated: false,
        dataset_sha256: "d".to_owned(),
        judges_sha256: "j".to_owned(),
        policy_sha256: "p".to_owned(),
        key: "k".to_owned(),
        selection: Vec::new(),
        shard: false,
        cases,
        total: cases,
        repeats: REPEATS,
        gated: true,
        identical: false,
        policy: Policy::default(),
        planned_repeats: REPEATS,
        set: "s".to_owned(),
        series: "s".to_owned(),
        requests_sha256: "r".to_owned(),
        fresh_key: None,
        change: None,
        ci: None,
    }
}

fn concluded() -> RunConclusion {
    RunConclusion {
        decision: "promote".to_owned(),
        exit_code: 0,
        promotable: true,
        simulated: false,
        replayed: false,
        reasons: vec!["not_worse".to_owned()],
        counts: Counts::default(),
        checks_sha256: "c".to_owned(),
        baseline_served: Vec::new(),
        candidate_served: vec!["m".to_owned()],
    }
}

/// Starts a run with a subject for the candidate and one for the baseline.
fn begin(store: &Store, cases: u64, candidate: u8, baseline: Option<u8>) -> OpenRun {
    let run = store.begin(&RunPlan { baseline: baseline.map(|_| "v1".to_owned()), ..planned() }).unwrap();
    let subject = |number: u8| Subject([number; 32]);
    store.describe(run.id, &facts(cases), subject(candidate), baseline.map(subject)).unwrap();
    run
}

/// An answer of a run as it stands in `results`, so that the outcome finds it.
pub(super) fn answered(store: &Store, run: RunId, seq: u64, answer: impl Into<Option<i64>>) {
    store
        .connection
        .execute(
            "INSERT INTO results (run, seq, answer, source, attempts, arm, repeat) VALUES (?1, ?2, ?3, 'live', 1, 'candidate', 1)",
            params![run.0, seq as i64, answer.into()],
        )
        .unwrap();
}

fn case(id: &str, digest: u8, answers: Vec<AnswerOutcome>) -> CaseOutcomes {
    CaseOutcomes {
        digest: [digest; 32],
        id: CaseId::new(id),
        critical: digest == 1,
        tags: vec!["t".to_owned()],
        weight: 1_000,
        cluster: None,
        answers,
    }
}

fn marked(arm: Arm, repeat: u32, seq: Option<u64>, mark: OutcomeCode) -> AnswerOutcome {
    AnswerOutcome {
        arm,
        repeat,
        seq,
        mark,
        score: matches!(mark, OutcomeCode::Pass | OutcomeCode::Fail).then_some(0.5),
    }
}

/// Notes the candidate's answers (the stored answer's row, and its mark) to one case.
fn note(store: &Store, run: &OpenRun, digest: u8, answers: &[(i64, OutcomeCode)]) {
    let seq = |repeat: usize| u64::from(digest) * 100 + repeat as u64;
    for (repeat, (answer, _)) in answers.iter().enumerate() {
        answered(store, run.id, seq(repeat), *answer);
    }
    let outcome = |(repeat, (_, mark)): (usize, &(i64, OutcomeCode))| {
        marked(Arm::Candidate, repeat as u32 + 1, Some(seq(repeat)), *mark)
    };
    let answers = answers.iter().enumerate().map(outcome).collect();
    store.note_outcomes(run.id, &[case(&format!("case-{digest}"), digest, answers)]).unwrap();
}

fn rows(store: &Store) -> i64 {
    store.connection.query_row("SELECT count(*) FROM outcomes", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_run_is_remembered_from_its_start_to_its_decision() {
    let (_folder, store) = opened();
    let run = begin(&store, 3, 2, None);
    let before = store.recall(run.id.0).unwrap().unwrap();
    assert_eq!((before.facts, before.concluded, before.ended), (Some(facts(3)), None, None));
    store.conclude(run.id, &concluded()).unwrap();
    store.end(&run, RunStatus::Complete).unwrap();
    let after = store.recall(run.id.0).unwrap().unwrap();
    assert_eq!(after.concluded, Some(concluded()));
    assert_eq!(after.ended.as_deref(), Some("complete"));
    // Resumed: nothing is decided until it is decided again.
    store.describe(run.id, &facts(3), Subject([2; 32]), None).unwrap();
    assert_eq!(store.recall(run.id.0).unwrap().unwrap().concluded, None);

    let second = begin(&store, 3, 2, None);
    let numbers = |most| -> Vec<i64> { store.history(most).unwrap().iter().map(|run| run.run).collect() };
    assert_eq!(numbers(10), [second.id.0, run.id.0]);
    assert_eq!(numbers(1), [second.id.0]);
    assert_eq!(store.recall(99).unwrap(), None);
}

#[test]
fn a_run_of_an_older_version_has_no_facts() {
    let (_folder, store) = opened();
    store.connection.execute("INSERT INTO runs VALUES (7, x'09', 'v2', NULL, 't', 3, 5, 6, 'complete')", []).unwrap();
    let expected = RunRecord {
        run: 7,
        candidate: "v2".to_owned(),
        baseline: None,
        target: "t".to_owned(),
        planned: 3,
        answers: 0,
        started_at: 5,
        ended_at: Some(6),
        ended: Some("complete".to_owned()),
        facts: None,
        concluded: None,
    };
    assert_eq!(store.history(5).unwrap(), [expected]);
}

#[test]
fn what_can_t_be_read_is_an_error() {
    let (_folder, store) = opened();
    let run = begin(&store, 3, 2, None);
    store.connection.execute("UPDATE facts SET concluded = '{}'", []).unwrap();
    assert!(store.recall(run.id.0).unwrap_err().message().contains("unreadable value"));
    let other = begin(&store, 1, 2, None);
    for run in [&run, &other] {
        note(&store, run, 1, &[(1, OutcomeCode::Pass)]);
    }
    store.connection.execute("UPDATE outcomes SET mark = 9", []).unwrap();
    let error = store.side_by_side(run.id.0, other.id.0, &mut |_, _| {}).unwrap_err();
    assert!(error.message().contains("unknown outcome 9"), "{error}");
}

#[test]
fn every_mark_has_a_number_and_comes_back_as_the_same_outcome() {
    let marks: Vec<OutcomeCode> = (0..9).map(|number| OutcomeCode::from_number(number).unwrap()).collect();
    for mark in &marks {
        assert_eq!(OutcomeCode::of(&mark.outcome(Some(0.5))), *mark);
        assert_eq!(mark.number().and_then(OutcomeCode::from_number), Some(*mark));
    }
    assert_eq!((OutcomeCode::from_number(9), OutcomeCode::from_number(-1)), (None, None));
}

#[test]
fn outcomes_of_two_runs_come_side_by_side_with_their_answers() {
    let (_folder, store) = opened();
    let (first, second) = (begin(&store, 2, 2, None), begin(&store, 2, 3, None));
    note(&store, &first, 1, &[(11, OutcomeCode::Pass), (12, OutcomeCode::Fail)]);
    note(&store, &first, 2, &[(13, OutcomeCode::Pass)]);
    note(&store, &second, 1, &[(21, OutcomeCode::Pass), (22, OutcomeCode::Pass)]);
    // Noted again, as by a resumed run: replaced.
    for again in
        [marked(Arm::Candidate, 2, None, OutcomeCode::Refused), marked(Arm::Baseline, 1, None, OutcomeCode::Fail)]
    {
        store.note_outcomes(second.id, &[case("case-1", 1, vec![again])]).unwrap();
    }
    let mut seen = Vec::new();
    store
        .side_by_side(first.id.0, second.id.0, &mut |case, other| {
            let plain = |answers: &[crate::domain::StoredAnswer]| -> Vec<(u32, OutcomeCode, Option<f64>, Option<i64>)> {
                answers.iter().map(|a| (a.repeat, a.mark, a.score, a.answer)).collect()
            };
            seen.push((case.id.to_string(), case.critical, plain(&case.answers), plain(&other)));
        })
        .unwrap();
    let judged = |repeat, mark, answer| (repeat, mark, Some(0.5), Some(answer));
    assert_eq!(
        seen,
        [
            (
                "case-1".to_owned(),
                true,
                vec![judged(1, OutcomeCode::Pass, 11), judged(2, OutcomeCode::Fail, 12)],
                vec![judged(1, OutcomeCode::Pass, 21), (2, OutcomeCode::Refused, None, None)]
            ),
            ("case-2".to_owned(), false, vec![judged(1, OutcomeCode::Pass, 13)], vec![]),
        ]
    );
    assert_eq!(store.cases_remembered(first.id.0).unwrap(), 2);
    assert_eq!(store.cases_remembered(second.id.0).unwrap(), 1);
    let cases: i64 = store.connection.query_row("SELECT count(*) FROM cases", [], |row| row.get(0)).unwrap();
    assert_eq!(cases, 2, "each state of a case once");
}

#[test]
fn cases_that_differ_are_told_by_kind() {
    let (_folder, store) = opened();
    let (first, second) = (begin(&store, 2, 2, None), begin(&store, 2, 3, None));
    let pass = |id: &str, digest| case(id, digest, vec![marked(Arm::Candidate, 1, None, OutcomeCode::Pass)]);
    let many: Vec<CaseOutcomes> = (0..12).map(|i| pass(&format!("old-{i:02}"), 100 + i)).collect();
    store.note_outcomes(first.id, &many).unwrap();
    store.note_outcomes(first.id, &[pass("same", 1), pass("edited", 2)]).unwrap();
    store.note_outcomes(second.id, &[pass("same", 1), pass("edited", 3), pass("new", 4)]).unwrap();
    let apart = store.apart(first.id.0, second.id.0).unwrap();
    assert_eq!((apart.only_first.count, apart.only_first.ids.len()), (12, 10));
    assert_eq!(apart.only_first.ids[0], "old-00");
    assert_eq!((apart.only_second.count, apart.only_second.ids), (1, vec!["new".to_owned()]));
    assert_eq!((apart.changed.count, apart.changed.ids), (1, vec!["edited".to_owned()]));
    assert_eq!(store.apart(first.id.0, first.id.0).unwrap(), CaseDifferences::default());
}

fn history(judged: u32, passed: u32) -> Passes {
    Passes { judged, passed }
}

#[test]
fn flaky_cases_are_found_in_a_run_and_over_runs_each_answer_counting_once() {
    use OutcomeCode::{Error, Fail, Pass};
    let (_folder, store) = opened();
    let first = begin(&store, 4, 2, None);
    note(&store, &first, 1, &[(1, Pass), (2, Pass)]);
    note(&store, &first, 2, &[(3, Pass), (4, Fail)]);
    note(&store, &first, 3, &[(5, Pass), (6, Error)]);
    // Another prompt: no part of the history.
    let other = begin(&store, 4, 5, None);
    note(&store, &other, 1, &[(90, Fail), (91, Fail)]);
    // The same prompt; case 1 is asked anew, of case 2 the stored answers are used again.
    let second = begin(&store, 4, 2, None);
    note(&store, &second, 1, &[(7, Fail), (8, Fail)]);
    note(&store, &second, 2, &[(3, Pass), (4, Fail)]);
    note(&store, &second, 3, &[(5, Pass), (9, Pass)]);
    // A later one: runs after the one that is asked about don't count.
    let third = begin(&store, 4, 2, None);
    note(&store, &third, 1, &[(20, Fail), (21, Fail)]);

    let candidate = |run, history| Some(Reliability { run, history, ..Reliability::default() });
    let found = |run: &OpenRun, over_runs, most| {
        let flaky = store.flaky(run.id.0, over_runs, most).unwrap();
        let cases: Vec<_> = flaky.cases.into_iter().map(|c| (c.case, c.baseline, c.candidate)).collect();
        (flaky.flaky, cases)
    };
    let one = ("case-1".to_owned(), None, candidate(history(2, 0), history(4, 2)));
    let two = ("case-2".to_owned(), None, candidate(history(2, 1), history(2, 1)));
    assert_eq!(found(&second, true, 10), (2, vec![one, two.clone()]));
    assert_eq!(found(&second, false, 10), (1, vec![two]));
    assert_eq!(found(&second, true, 1).1.len(), 1);
    assert_eq!(found(&second, true, 1).0, 2, "the bound hides no number");
    // Cases that a run did not ask are none of its own.
    let one = ("case-1".to_owned(), None, candidate(history(2, 0), history(6, 2)));
    assert_eq!(found(&third, true, 10), (1, vec![one]));
}

#[test]
fn a_prompt_has_one_history_in_either_arm() {
    let (_folder, store) = opened();
    let green = begin(&store, 1, 2, Some(1));
    note(&store, &green, 1, &[(1, OutcomeCode::Fail), (2, OutcomeCode::Pass)]);
    // Now it is the baseline.
    let blue = begin(&store, 1, 3, Some(2));
    note(&store, &blue, 1, &[(5, OutcomeCode::Pass), (6, OutcomeCode::Pass)]);
    for (seq, answer) in [(0, 7), (1, 8)] {
        answered(&store, blue.id, seq, answer);
    }
    let answers = vec![
        marked(Arm::Baseline, 1, Some(0), OutcomeCode::Pass),
        marked(Arm::Baseline, 2, Some(1), OutcomeCode::Pass),
    ];
    store.note_outcomes(blue.id, &[case("case-1", 1, answers)]).unwrap();
    let flaky = store.flaky(blue.id.0, true, 10).unwrap();
    let case = &flaky.cases[0];
    assert_eq!(case.baseline.unwrap().run, history(2, 2));
    assert_eq!(case.baseline.unwrap().history, history(4, 3));
    assert_eq!(case.candidate.unwrap().history, history(2, 2));
}

#[test]
fn answers_beyond_the_plan_say_nothing_of_flakiness() {
    let (_folder, store) = opened();
    let run = begin(&store, 1, 2, None);
    note(&store, &run, 1, &[(1, OutcomeCode::Pass), (2, OutcomeCode::Pass), (3, OutcomeCode::Fail)]);
    assert_eq!(store.flaky(run.id.0, true, 10).unwrap().flaky, 0);
}

#[test]
fn outcomes_of_the_newest_runs_are_kept_and_always_those_of_the_newest() {
    let (_folder, store) = opened();
    let runs: Vec<OpenRun> = (0..4)
        .map(|_| {
            let run = begin(&store, 10, 2, None);
            note(&store, &run, 1, &[(1, OutcomeCode::Pass), (2, OutcomeCode::Pass)]);
            run
        })
        .collect();
    store.forget_old_outcomes().unwrap();
    assert_eq!(rows(&store), 8);
    // 10 cases, 2 repeats, one arm each.
    store.forget_outcomes(10, 60).unwrap();
    assert_eq!(rows(&store), 6);
    store.forget_outcomes(2, 1_000).unwrap();
    assert_eq!(rows(&store), 4);
    store.forget_outcomes(0, 0).unwrap();
    assert_eq!(rows(&store), 2);
    assert_eq!(store.cases_remembered(runs[3].id.0).unwrap(), 1);
    assert!(store.recall(runs[0].id.0).unwrap().unwrap().facts.is_some());
}

#[test]
fn the_time_between_answers_is_that_of_both_runs() {
    let (_folder, store) = opened();
    let (first, second) = (begin(&store, 1, 2, None), begin(&store, 1, 3, None));
    assert_eq!(store.request_period(first.id.0, second.id.0).unwrap(), None);
    for (row, at) in [(1, 500), (2, 100), (3, 900)] {
        store
            .connection
            .execute(
                "INSERT INTO answers (id, key, request, case_id, target, model, latency_ms, attempts, answer, reusable, created_at)
                 VALUES (?1, x'00', x'00', 'c', 't', 'm', 1, 1, '{}', 1, ?2)",
                [row, at],
            )
            .unwrap();
    }
    note(&store, &first, 1, &[(1, OutcomeCode::Pass)]);
    note(&store, &second, 1, &[(2, OutcomeCode::Pass)]);
    assert_eq!(store.request_period(first.id.0, second.id.0).unwrap(), Some((100, 500)));
}

/// Of two planned answers to each of 20 cases one fails: a variance of 1/2 within a case. Own scores are all alike.
#[test]
fn how_much_answers_vary_is_known_of_enough_decided_runs() {
    let (_folder, store) = opened();
    let subject = Subject([2; 32]);
    let noise = |own_scores| store.noise(subject, 20, own_scores).unwrap();
    let run = begin(&store, 20, 2, None);
    for digest in 1..=20u8 {
        let marks = [OutcomeCode::Pass, OutcomeCode::Fail, OutcomeCode::Pass, OutcomeCode::Pass];
        let answers: Vec<(i64, OutcomeCode)> =
            marks.into_iter().zip(i64::from(digest) * 10..).map(|(mark, answer)| (answer, mark)).collect();
        // What is asked beyond the plan is asked because of a failure.
        note(&store, &run, digest, &answers);
    }
    assert_eq!(noise(false), None, "not decided");
    store.conclude(run.id, &concluded()).unwrap();
    let found = noise(false).unwrap();
    assert_eq!(found.runs, 1);
    assert!((found.variance - 0.5).abs() < 1e-12, "{found:?}");
    assert_eq!(noise(true).unwrap().variance, 0.0);
    assert_eq!(store.noise(Subject([3; 32]), 20, false).unwrap(), None);
    assert_eq!(store.noise(subject, 0, false).unwrap(), None);

    // The same stored answers in another run, where this was the baseline, tell nothing new; others do.
    let again = begin(&store, 20, 5, Some(2));
    for digest in 1..=20u8 {
        answered(&store, again.id, u64::from(digest), i64::from(digest) * 10);
        let same = marked(Arm::Baseline, 1, Some(digest.into()), OutcomeCode::Pass);
        let case = case(&format!("case-{digest}"), digest, vec![same]);
        store.note_outcomes(again.id, &[case]).unwrap();
    }
    store.conclude(again.id, &concluded()).unwrap();
    assert_eq!(noise(false).unwrap().variance, found.variance);
    let other = begin(&store, 20, 2, None);
    note(&store, &other, 1, &[(1_000, OutcomeCode::Fail)]);
    store.conclude(other.id, &concluded()).unwrap();
    let more = noise(false).unwrap();
    assert_eq!(more.runs, 3);
    // One of three passes now in the first case.
    assert!((more.variance - (19.0 * 0.5 + 1.0 / 3.0) / 20.0).abs() < 1e-12, "{more:?}");
}

#[test]
fn a_few_cases_tell_nothing_of_how_much_answers_vary() {
    let (_folder, store) = opened();
    let run = begin(&store, 19, 2, None);
    for digest in 1..=19u8 {
        let at = i64::from(digest) * 10;
        note(&store, &run, digest, &[(at, OutcomeCode::Pass), (at + 1, OutcomeCode::Fail)]);
    }
    store.conclude(run.id, &concluded()).unwrap();
    assert_eq!(store.noise(Subject([2; 32]), 20, false).unwrap(), None);
}
