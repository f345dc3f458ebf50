//! Running again until it is green: the first look is final, planned attempts share the error, and a lost store is noticed.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{Project, Ran};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const KEY: &str = "test-key-0123456789";

/// Cases, and two prompts.
fn project(cases: usize) -> Project {
    let project = Project::empty();
    let mut rows = String::from("id,question,expected,matcher\n");
    for i in 0..cases {
        rows.push_str(&format!("c-{i},What is {i}?,nine,contains\n"));
    }
    project.write("golden/cases.csv", rows);
    for (name, words) in [("v1", "Old."), ("v2", "New.")] {
        project.write(
            &format!("prompts/{name}.prompt"),
            format!("{{{{role \"system\"}}}}{words}\n{{{{role \"user\"}}}}{{{{question}}}}\n"),
        );
    }
    project
}

/// A service whose new prompt gets wrong as many of the first questions as the returned number says.
fn service() -> (Fake, Arc<AtomicUsize>) {
    let wrong = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&wrong);
    let fake = Fake::start(move |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let question = body.split("What is ").nth(1).and_then(|rest| rest.split('?').next());
        let number: usize = question.and_then(|number| number.parse().ok()).unwrap_or(usize::MAX);
        let fails = body.contains("New.") && number < now.load(Ordering::SeqCst);
        Reply::answer(if fails { "ten" } else { "nine" })
    });
    (fake, wrong)
}

fn ran(project: &Project, fake: &Fake, more: &[&str], variables: &[(&str, &str)]) -> Ran {
    let arguments = [
        "eval",
        "--prompt",
        "v2",
        "--baseline",
        "v1",
        "--target",
        "gemini",
        "--base-url",
        &fake.url,
        "--repeat",
        "1",
    ];
    let variables: Vec<(&str, &str)> = [("GEMINI_API_KEY", KEY)].iter().chain(variables).copied().collect();
    project.run_with(&[&arguments, more].concat(), &variables)
}

/// The exit code, the first reason, and how many requests it took.
fn eval(project: &Project, fake: &Fake, more: &[&str], variables: &[(&str, &str)]) -> (i32, String, usize) {
    let before = fake.requests().len();
    let ran = ran(project, fake, more, variables);
    let verdict = project.verdict();
    let code = verdict["reasons"][0]["code"].as_str().unwrap_or_default().to_owned();
    assert_eq!(verdict["exit_code"], ran.code, "{}", ran.transcript());
    (ran.code, code, fake.requests().len() - before)
}

fn outcome(code: i32, reason: &str, requests: usize) -> (i32, String, usize) {
    (code, reason.to_owned(), requests)
}

#[test]
fn the_first_look_is_final_and_other_answers_do_not_promote() {
    let (project, (fake, wrong)) = (project(80), service());
    wrong.store(3, Ordering::SeqCst);
    assert_eq!(eval(&project, &fake, &[], &[]), outcome(11, "too_few", 160));
    wrong.store(0, Ordering::SeqCst);
    // The same answers again, and then fresh ones: without a look before them they would promote.
    assert_eq!(eval(&project, &fake, &[], &[]), outcome(11, "too_few", 0));
    assert_eq!(
        eval(&project, &fake, &["--cache", "refresh"], &[]),
        outcome(11, "earlier_look", 160)
    );
    assert_eq!(project.verdict()["promotable"], false);
    // Not even by way of the cache, more repeats, or another number of attempts.
    assert_eq!(eval(&project, &fake, &[], &[]), outcome(11, "too_few", 0));
    assert_eq!(
        eval(&project, &fake, &["--cache", "off"], &[]),
        outcome(11, "earlier_look", 160)
    );
    assert_eq!(eval(&project, &fake, &["--attempts", "3"], &[]).0, 11);
    // Nor by another way of asking the same service.
    for way in [
        &["--stream"][..],
        &["--api-version", "v1"],
        &["--stream", "--api-version", "v1beta2"],
    ] {
        assert_eq!(
            eval(&project, &fake, way, &[]),
            outcome(11, "earlier_look", 160),
            "{way:?}"
        );
    }

    // Neither a copy of the prompt nor a comment makes it something else.
    project.write("prompts/v2-copy.prompt", project.read("prompts/v2.prompt"));
    project.write(
        "golden/cases.csv",
        project
            .read("golden/cases.csv")
            .replace("id,question", "\u{feff}id,question"),
    );
    let url = fake.url.as_str();
    let arguments = [
        "eval",
        "--prompt",
        "v2-copy",
        "--baseline",
        "v1",
        "--target",
        "gemini",
        "--base-url",
        url,
        "--repeat",
        "1",
        "--cache",
        "refresh",
    ];
    let copy = project.run_with(&arguments, &[("GEMINI_API_KEY", KEY)]);
    assert_eq!(copy.code, 11, "{}", copy.transcript());
    assert_eq!(project.verdict()["reasons"][0]["code"], "earlier_look");

    // Starting anew is possible, for all to see.
    let fresh = ["--fresh-key", "the service was mended"];
    assert_eq!(eval(&project, &fake, &fresh, &[]), outcome(0, "not_worse", 160));
    let verdict = project.verdict();
    assert_eq!(verdict["fresh_key"]["reason"], "the service was mended");
    assert_eq!(verdict["fresh_key"]["left_behind"], serde_json::json!(["inconclusive"]));
    assert_eq!(verdict["promotable"], true);
    let summary = project.read("reports/summary.md");
    assert!(
        summary.lines().nth(2).unwrap().starts_with("> **FRESH KEY**"),
        "{summary}"
    );
    // The same reason is the same series: its first look is final, too.
    assert_eq!(eval(&project, &fake, &fresh, &[]), outcome(0, "not_worse", 0));
    wrong.store(40, Ordering::SeqCst);
    let refreshed = [&fresh[..], &["--cache", "refresh"]].concat();
    assert_eq!(eval(&project, &fake, &refreshed, &[]), outcome(10, "regression", 160));
    // What was left behind is not forgotten.
    assert_eq!(eval(&project, &fake, &[], &[]), outcome(11, "too_few", 0));
}

#[test]
fn other_rules_earn_no_other_answers() {
    let (project, (fake, wrong)) = (project(80), service());
    // Rules that promote what others did not: the answers may be acted on, and no others.
    wrong.store(3, Ordering::SeqCst);
    assert_eq!(eval(&project, &fake, &[], &[]), outcome(11, "too_few", 160));
    let wide = ["--margin", "0.4"];
    assert_eq!(eval(&project, &fake, &wide, &[]), outcome(0, "not_worse", 0));
    wrong.store(0, Ordering::SeqCst);
    for rules in [&[][..], &wide] {
        let refreshed = [rules, &["--cache", "refresh"]].concat();
        assert_eq!(eval(&project, &fake, &refreshed, &[]), outcome(11, "earlier_look", 160));
    }

    // Rules that nobody asked of the answers that promoted by others.
    let anew = |rules: &[&'static str]| [&["--fresh-key", "wide first"], rules].concat();
    wrong.store(3, Ordering::SeqCst);
    assert_eq!(eval(&project, &fake, &anew(&wide), &[]), outcome(0, "not_worse", 160));
    wrong.store(0, Ordering::SeqCst);
    let narrow = anew(&["--cache", "refresh"]);
    assert_eq!(eval(&project, &fake, &narrow, &[]), outcome(11, "earlier_look", 160));
    let again = anew(&["--margin", "0.4", "--cache", "refresh"]);
    assert_eq!(eval(&project, &fake, &again, &[]), outcome(0, "not_worse", 160));
}

#[test]
fn a_block_is_final_and_a_promote_can_still_be_blocked() {
    let (project, (fake, wrong)) = (project(80), service());
    wrong.store(40, Ordering::SeqCst);
    assert_eq!(eval(&project, &fake, &[], &[]), outcome(10, "regression", 160));
    wrong.store(0, Ordering::SeqCst);
    assert_eq!(
        eval(&project, &fake, &["--cache", "refresh"], &[]),
        outcome(11, "earlier_look", 160)
    );
    assert_eq!(eval(&project, &fake, &[], &[]), outcome(10, "regression", 0));

    let fresh = ["--fresh-key", "again"];
    assert_eq!(eval(&project, &fake, &fresh, &[]), outcome(0, "not_worse", 160));
    wrong.store(40, Ordering::SeqCst);
    let refreshed = [&fresh[..], &["--cache", "refresh"]].concat();
    assert_eq!(eval(&project, &fake, &refreshed, &[]), outcome(10, "regression", 160));
}

#[test]
fn missing_answers_are_asked_for_without_being_another_look() {
    let project = project(80);
    let asked = AtomicUsize::new(0);
    let fake = Fake::start(move |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if body.contains("New.") && body.contains("What is 7?") && asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return Reply::error(400, "INVALID_ARGUMENT", "not now");
        }
        Reply::answer("nine")
    });
    assert_eq!(eval(&project, &fake, &["--max-cost", "100"], &[]).0, 11);
    assert_eq!(eval(&project, &fake, &[], &[]), outcome(0, "not_worse", 1));
}

#[test]
fn planned_attempts_add_repeats_and_share_the_error() {
    let (project, (fake, _)) = (project(80), service());
    let plan = ["--attempts", "3"];
    // 80 cases that come out alike: Z(-margin) is 1.80; the bounds are 2.96, 2.09 and 1.71.
    assert_eq!(eval(&project, &fake, &plan, &[]), outcome(11, "too_few", 160));
    let verdict = project.verdict();
    assert_eq!(
        verdict["look"],
        serde_json::json!({"attempt": 1, "attempts": 3, "candidates": 1})
    );
    assert!(
        verdict["reasons"][0]["message"]
            .as_str()
            .unwrap()
            .contains("attempt 1 of 3")
    );
    assert_eq!(eval(&project, &fake, &plan, &[]), outcome(11, "too_few", 160));
    // An attempt that is not planned for does not decide by itself either.
    assert_eq!(
        (
            project.verdict()["repeats"].clone(),
            project.verdict()["look"]["attempt"].clone()
        ),
        (2.into(), 2.into())
    );
    assert_eq!(
        eval(&project, &fake, &[&plan[..], &["--cache", "refresh"]].concat(), &[]),
        outcome(0, "not_worse", 160)
    );
    let verdict = project.verdict();
    assert_eq!(
        (&verdict["repeats"], &verdict["look"]["attempt"]),
        (&3.into(), &3.into())
    );
    assert_eq!(project.results().len(), 80 * 2 * 3);
    // All attempts are made: the last one stands.
    assert_eq!(eval(&project, &fake, &plan, &[]), outcome(0, "not_worse", 0));
    assert_eq!(project.verdict()["look"]["attempt"], 3);
    let verified = project.run_with(
        &[
            "verify",
            "reports/verdict.json",
            "--prompt",
            "v2",
            "--baseline",
            "v1",
            "--attempts",
            "3",
        ],
        &[],
    );
    assert_eq!(verified.code, 0, "{}", verified.transcript());
}

#[test]
fn attempts_are_planned_before_the_first_look_or_not_at_all() {
    let (project, (fake, wrong)) = (project(80), service());
    wrong.store(2, Ordering::SeqCst);
    assert_eq!(eval(&project, &fake, &[], &[]), outcome(11, "too_few", 160));
    wrong.store(0, Ordering::SeqCst);
    let ran = ran(&project, &fake, &["--attempts", "3"], &[]);
    assert_eq!(ran.code, 11, "{}", ran.transcript());
    assert!(
        ran.stderr.contains("was planned with attempts = 1, and so it stays"),
        "{}",
        ran.stderr
    );
    assert_eq!(project.verdict()["look"]["attempts"], 1);
    assert_eq!(fake.requests().len(), 160);
}

#[test]
fn extending_adds_the_repeats_that_are_needed_and_no_more() {
    let (project, (fake, wrong)) = (project(80), service());
    let nothing = ran(&project, &fake, &["--extend"], &[]);
    assert_eq!(nothing.code, 2, "{}", nothing.transcript());
    assert!(
        nothing.stderr.contains("there is nothing to extend"),
        "{}",
        nothing.stderr
    );

    wrong.store(3, Ordering::SeqCst);
    let plan = ["--attempts", "5"];
    assert_eq!(eval(&project, &fake, &plan, &[]).0, 11);
    let needed = project.verdict()["needed"]["repeats"].as_u64();
    wrong.store(0, Ordering::SeqCst);
    let extended = ran(&project, &fake, &[&plan[..], &["--extend"]].concat(), &[]);
    match needed {
        Some(needed) => {
            let repeats = needed.clamp(2, 5);
            assert_eq!(project.verdict()["repeats"], repeats, "{}", extended.transcript());
            assert_eq!(fake.requests().len() as u64, 160 * repeats);
            assert_eq!(project.verdict()["look"]["attempt"], repeats);
        }
        None => assert_eq!(extended.code, 2, "{}", extended.transcript()),
    }
}

#[test]
fn what_the_ci_system_counted_and_the_store_does_not_know_is_not_promoted() {
    let (project, (fake, wrong)) = (project(80), service());
    let attempt = |number: &'static str| [("GITHUB_RUN_ATTEMPT", number), ("GITHUB_RUN_ID", "77")];
    assert_eq!(
        eval(&project, &fake, &[], &attempt("2")),
        outcome(11, "attempts_lost", 160)
    );
    // The store knows the second attempt now, and still not the first.
    assert_eq!(
        eval(&project, &fake, &[], &attempt("3")),
        outcome(11, "attempts_lost", 0)
    );
    // Another run of the workflow counts from 1.
    assert_eq!(
        eval(
            &project,
            &fake,
            &[],
            &[("GITHUB_RUN_ATTEMPT", "1"), ("GITHUB_RUN_ID", "78")]
        ),
        outcome(0, "not_worse", 0)
    );
    assert_eq!(
        eval(
            &project,
            &fake,
            &[],
            &[("GITHUB_RUN_ATTEMPT", "2"), ("GITHUB_RUN_ID", "78")]
        ),
        outcome(0, "not_worse", 0)
    );
    wrong.store(40, Ordering::SeqCst);
    let lost = [&["--cache", "refresh"][..]].concat();
    assert_eq!(eval(&project, &fake, &lost, &attempt("9")).0, 10);
    let odd = ran(&project, &fake, &[], &[("GITHUB_RUN_ATTEMPT", "second")]);
    assert_eq!(odd.code, 2, "{}", odd.transcript());
    assert!(
        odd.stderr
            .contains("GITHUB_RUN_ATTEMPT: `second` is not the number of an attempt"),
        "{}",
        odd.stderr
    );
}

#[test]
fn an_attempt_that_ended_early_is_known_and_no_look() {
    let (project, (fake, _)) = (project(80), service());
    let attempt = |number: &'static str| [("GITHUB_RUN_ATTEMPT", number), ("GITHUB_RUN_ID", "77")];
    assert_eq!(
        eval(&project, &fake, &["--max-requests", "50"], &attempt("1")),
        outcome(11, "budget", 50)
    );
    assert_eq!(eval(&project, &fake, &[], &attempt("2")), outcome(0, "not_worse", 110));
}

#[test]
fn recorded_answers_are_no_second_look_and_take_no_options_for_it() {
    let project = project(80);
    let rows = |text: &str| -> String {
        (0..80)
            .flat_map(|i| {
                ["v1", "v2"].map(|prompt| {
                    format!(
                        "{{\"case\":\"c-{i}\",\"prompt\":\"{prompt}\",\"text\":\"{}\"}}\n",
                        if prompt == "v1" { "nine" } else { text }
                    )
                })
            })
            .collect()
    };
    let recorded = |more: &[&str]| {
        let arguments = [
            "eval",
            "--prompt",
            "v2",
            "--baseline",
            "v1",
            "--repeat",
            "1",
            "--target",
            "recorded",
            "--answers",
            "answers.jsonl",
        ];
        project.run_with(&[&arguments, more].concat(), &[("GITHUB_RUN_ATTEMPT", "4")])
    };
    project.write("answers.jsonl", rows("ten"));
    assert_eq!(recorded(&[]).code, 10);
    project.write("answers.jsonl", rows("nine"));
    let verdict: (i32, Value) = (recorded(&[]).code, project.verdict());
    assert_eq!((verdict.0, &verdict.1["promotable"]), (0, &Value::Bool(false)));
    for option in [&["--extend"][..], &["--fresh-key", "x"]] {
        assert_eq!(recorded(option).code, 2);
    }
}
