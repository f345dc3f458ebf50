//! `--sequential`: a run ends at the first look that decides, and says so everywhere.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{Project, Ran};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const KEY: &str = "test-key-0123456789";

/// Cases, the named ones must pass, and two prompts.
fn project(cases: usize, critical: &[usize]) -> Project {
    let project = Project::empty();
    let mut rows = String::from("id,question,expected,matcher,tags,critical\n");
    for i in 0..cases {
        let must = critical.contains(&i);
        rows.push_str(&format!("c-{i},What is {i}?,nine,contains,t{},{must}\n", i % 2));
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

/// A service whose new prompt gets wrong every question whose number the returned number divides; none with 0.
fn service() -> (Fake, Arc<AtomicUsize>) {
    let wrong = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&wrong);
    let fake = Fake::start(move |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let question = body.split("What is ").nth(1).and_then(|rest| rest.split('?').next());
        let number: usize = question.and_then(|number| number.parse().ok()).unwrap_or(usize::MAX);
        let every = now.load(Ordering::SeqCst);
        let fails = body.contains("New.") && every > 0 && number.is_multiple_of(every);
        Reply::answer(if fails { "ten" } else { "nine" })
    });
    (fake, wrong)
}

fn ran(project: &Project, fake: &Fake, more: &[&str]) -> Ran {
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
    project.run_with(&[&arguments, more].concat(), &[("GEMINI_API_KEY", KEY)])
}

/// The exit code, the first reason, and how many requests it took.
fn eval(project: &Project, fake: &Fake, more: &[&str]) -> (i32, String, usize) {
    let before = fake.requests().len();
    let ran = ran(project, fake, more);
    let verdict = project.verdict();
    let code = verdict["reasons"][0]["code"].as_str().unwrap_or_default().to_owned();
    assert_eq!(verdict["exit_code"], ran.code, "{}", ran.transcript());
    (ran.code, code, fake.requests().len() - before)
}

fn outcome(code: i32, reason: &str, requests: usize) -> (i32, String, usize) {
    (code, reason.to_owned(), requests)
}

const EARLY: &[&str] = &["--sequential"];

fn verify(project: &Project) -> Ran {
    let arguments = [
        "verify",
        "reports/verdict.json",
        "--prompt",
        "v2",
        "--baseline",
        "v1",
        "--sequential",
    ];
    project.run_with(&arguments, &[])
}

fn skipped(project: &Project) -> Vec<Value> {
    let rows = project.results();
    rows.into_iter().filter(|row| row["skip"] == "decided").collect()
}

#[test]
fn a_broken_candidate_is_blocked_after_a_third_of_the_requests() {
    let (project, (fake, wrong)) = (project(90, &[]), service());
    wrong.store(2, Ordering::SeqCst);
    assert_eq!(eval(&project, &fake, EARLY), outcome(10, "regression", 60));
    let verdict = project.verdict();
    assert_eq!(verdict["look"]["shares"], serde_json::json!([1.0 / 3.0]));
    assert_eq!(verdict["completion"], "complete");
    assert_eq!(verdict["unlooked"], serde_json::json!({"cases": 60, "answers": 120}));
    assert_eq!(verdict["counts"]["skipped"], 60);
    assert_eq!(verdict["paired"]["n"], 30);
    let message = verdict["reasons"][0]["message"].as_str().unwrap();
    assert!(message.contains("decided after 30 of 90 cases x 1 repeat"), "{message}");
    assert_eq!(skipped(&project).len(), 120);
    assert_eq!(project.results().len(), 180);
    let summary = project.read("reports/summary.md");
    assert!(summary.contains("120 requests were saved"), "{summary}");
    // The same answers, the same look.
    assert_eq!(eval(&project, &fake, EARLY), outcome(10, "regression", 0));
    assert_eq!(verify(&project).code, 10);
}

#[test]
fn an_equal_candidate_is_promoted_early_and_the_verdict_holds() {
    let (project, (fake, _)) = (project(240, &[]), service());
    // 160 cases that come out alike: Z(-margin) is 2.70, and the bound of the second of three looks is 2.11.
    assert_eq!(eval(&project, &fake, EARLY), outcome(0, "not_worse", 320));
    let verdict = project.verdict();
    assert_eq!(verdict["look"]["shares"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&verdict["promotable"], &verdict["unlooked"]["cases"]),
        (&true.into(), &80.into())
    );
    let verified = verify(&project);
    assert_eq!(verified.code, 0, "{}", verified.transcript());
    assert_eq!(eval(&project, &fake, EARLY), outcome(0, "not_worse", 0));

    // Whoever wants to see the rest after a block or a promote sees it, and that is another look.
    assert_eq!(eval(&project, &fake, &[]), outcome(0, "not_worse", 160));
}

#[test]
fn what_was_decided_early_can_not_be_undone_by_asking_the_rest() {
    let (project, (fake, wrong)) = (project(240, &[]), service());
    project.write("promptgate.toml", "[gate]\nslice_margin = 0.9\n");
    wrong.store(2, Ordering::SeqCst);
    assert_eq!(eval(&project, &fake, EARLY), outcome(10, "regression", 160));
    wrong.store(0, Ordering::SeqCst);
    // The first third stays as it was, all else is well now.
    let (code, reason, requests) = eval(&project, &fake, &["--tolerance", "0.49", "--margin", "0.5"]);
    assert_eq!((code, reason.as_str(), requests), (11, "earlier_look", 320));
}

#[test]
fn an_edited_look_does_not_verify() {
    let (project, (fake, _)) = (project(240, &[]), service());
    assert_eq!(eval(&project, &fake, EARLY).0, 0);
    let verdict = project.read("reports/verdict.json");
    let edited = |from: &str, to: &str| {
        assert!(verdict.contains(from), "{verdict}");
        project.write("reports/verdict.json", verdict.replacen(from, to, 1));
        let verified = verify(&project);
        assert_eq!(verified.code, 11, "{}", verified.transcript());
        verified.transcript()
    };
    let second = "0.6666666666666666";
    assert!(edited(second, "0.9").contains("look.shares"));
    assert!(edited(second, "1.0").contains("look.shares"));
    project.write("reports/verdict.json", &verdict);
    let plain = project.run_with(
        &["verify", "reports/verdict.json", "--prompt", "v2", "--baseline", "v1"],
        &[],
    );
    assert_eq!(plain.code, 11, "{}", plain.transcript());
    assert!(plain.transcript().contains("sequential"), "{}", plain.transcript());
}

#[test]
fn a_look_that_decides_nothing_is_followed_by_the_next_and_the_end_has_a_bound_of_its_own() {
    let (project, (fake, _)) = (project(72, &[]), service());
    // Alone 70 equal cases are enough; with looks before the last the bound is 1.71 instead of 1.64.
    assert_eq!(eval(&project, &fake, EARLY), outcome(11, "too_few", 144));
    assert_eq!(project.verdict()["look"]["shares"].as_array().unwrap().len(), 3);
    assert_eq!(project.verdict().get("unlooked"), None);
    assert_eq!(skipped(&project).len(), 0);
    assert_eq!(eval(&project, &fake, EARLY), outcome(11, "too_few", 0));
    // Without looks on the way it would have been promoted, but that had to be planned.
    assert_eq!(eval(&project, &fake, &[]), outcome(11, "earlier_look", 0));
}

#[test]
fn must_pass_cases_are_asked_at_the_first_look_wherever_they_count() {
    let must: Vec<usize> = (0..9).collect();
    let (project, (fake, wrong)) = (project(90, &must), service());
    // Question 0 fails; each prompt has an order of its own, so that at one of them it counts after the first look.
    wrong.store(1000, Ordering::SeqCst);
    let mut beyond = 0;
    for words in 0..5 {
        project.write(
            "prompts/v2.prompt",
            format!("{{{{role \"system\"}}}}New. {words}\n{{{{role \"user\"}}}}{{{{question}}}}\n"),
        );
        let (code, reason, _) = eval(&project, &fake, EARLY);
        assert_eq!((code, reason.as_str()), (10, "critical"));
        let verdict = project.verdict();
        assert_eq!(verdict["paired"]["n"], 30);
        let all: Vec<Value> = project.results();
        for i in 0..9 {
            let id = format!("c-{i}");
            let of_case: Vec<&Value> = all.iter().filter(|row| row["case"] == id.as_str()).collect();
            assert!(of_case.iter().all(|row| row["outcome"] != "skipped"), "{id}");
            // The baseline once, the candidate three times.
            assert_eq!(of_case.len(), 4, "{id}");
        }
        assert_eq!(verify(&project).code, 10);
        beyond += usize::from(verdict["paired"]["regressed"] == 0);
    }
    assert!(beyond > 0);
}

#[test]
fn a_budget_that_ends_on_the_way_decides_nothing_and_resume_ends_like_the_whole() {
    let (one, (fake, _)) = (project(240, &[]), service());
    let budget = [EARLY, &["--max-requests", "200"]].concat();
    assert_eq!(eval(&one, &fake, &budget), outcome(11, "budget", 200));
    assert_eq!(one.verdict()["completion"], "budget");
    assert_eq!(skipped(&one).len(), 0);
    let resumed = [EARLY, &["--resume"]].concat();
    assert_eq!(eval(&one, &fake, &resumed), outcome(0, "not_worse", 120));
    let (whole, (other, _)) = (project(240, &[]), service());
    assert_eq!(eval(&whole, &other, EARLY), outcome(0, "not_worse", 320));
    for field in [
        "decision",
        "counts",
        "paired",
        "look",
        "unlooked",
        "difference",
        "z",
        "slices",
    ] {
        assert_eq!(one.verdict()[field], whole.verdict()[field], "{field}");
    }
}

#[test]
fn what_makes_no_sense_together_is_refused() {
    let (project, (fake, _)) = (project(9, &[]), service());
    for more in [
        &["--attempts", "2"][..],
        &["--extend"],
        &["--estimand", "dataset"],
        &["--shard", "1/2"],
        &["--batch"],
    ] {
        let refused = ran(&project, &fake, &[EARLY, more].concat());
        assert_eq!(refused.code, 2, "{}", refused.transcript());
        assert!(
            refused.stderr.contains("--sequential does not go together with"),
            "{}",
            refused.stderr
        );
    }
    let alone = project.run_with(
        &[
            "eval",
            "--prompt",
            "v2",
            "--baseline",
            "none",
            "--min-pass-rate",
            "0.5",
            "--sequential",
            "--target",
            "sim",
        ],
        &[],
    );
    assert_eq!(alone.code, 2, "{}", alone.transcript());
    assert_eq!(fake.requests().len(), 0);
}

#[test]
fn fewer_units_than_looks_and_equal_prompts_end_as_they_did() {
    let (project, (fake, _)) = (project(2, &[]), service());
    assert_eq!(eval(&project, &fake, EARLY), outcome(11, "too_few", 4));
    assert_eq!(project.verdict()["look"]["shares"], serde_json::json!([0.5, 1.0]));
    project.write("prompts/v2.prompt", project.read("prompts/v1.prompt"));
    assert_eq!(eval(&project, &fake, EARLY), outcome(0, "identical", 0));
    assert_eq!(project.verdict()["look"].get("shares"), None);
    let verified = verify(&project);
    assert_eq!(verified.code, 0, "{}", verified.transcript());
}
