//! Must-pass cases that failed once are asked again before they block.

use crate::support::fake::{Fake, Reply};
use crate::support::project::Project;
use serde_json::Value;

/// 80 cases of which `c-0` must pass, and two prompts.
fn project() -> Project {
    let project = Project::with_questions(80, &[("v1", "Old."), ("v2", "New.")]);
    let rows = (0..80).map(|i| format!("c-{i},{},What is {i}?,nine,contains\n", i == 0));
    let head = "id,critical,question,expected,matcher\n".to_owned();
    project.write("golden/cases.csv", head + &rows.collect::<String>());
    project
}

/// A service whose new prompt fails on `c-0` at the given occasions, counted from 0.
fn failing_at(occasions: &'static [usize]) -> Fake {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    Fake::start(move |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if !(body.contains("New.") && body.contains("What is 0?")) {
            return Reply::answer("nine");
        }
        let occasion = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Reply::answer(if occasions.contains(&occasion) { "ten" } else { "nine" })
    })
}

fn eval(project: &Project, fake: &Fake, more: &str) -> (i32, Value) {
    let arguments = format!("eval --prompt v2 --baseline v1 --target gemini --base-url {}", fake.url);
    let ran = project.run_with_key(&format!("{arguments} {more}"));
    (ran.code, project.verdict())
}

fn reasons(verdict: &Value) -> Vec<&str> {
    let reasons = verdict["reasons"].as_array().unwrap();
    reasons.iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}

fn answers(project: &Project, case: &str) -> usize {
    let rows = project.results();
    rows.iter().filter(|row| row["case"] == case && row["arm"] == "candidate").count()
}

#[test]
fn one_failure_of_ten_is_told_and_does_not_block() {
    let (project, fake) = (project(), failing_at(&[1]));
    let (code, verdict) = eval(&project, &fake, "");
    assert_eq!((code, reasons(&verdict)), (0, vec!["not_worse"]));
    let warned = verdict["warnings"].as_array().unwrap();
    assert!(warned.iter().any(|warning| warning["code"] == "flaky_critical"), "{warned:?}");
    assert_eq!((answers(&project, "c-0"), answers(&project, "c-1")), (10, 3));
    assert_eq!(fake.requests().len(), 80 * 6 + 7);
    assert_eq!(verdict["requests"], 80 * 6 + 7);
    // The further answers confirm, and enter nothing else.
    assert_eq!(verdict["rates"]["candidate"]["pass"], (80.0 * 3.0 - 1.0) / (80.0 * 3.0));

    // Everything is stored, so the next run asks nothing and says the same.
    let (again, same) = eval(&project, &fake, "");
    assert_eq!((again, fake.requests().len()), (0, 80 * 6 + 7));
    assert_eq!(same["reasons"], verdict["reasons"]);
}

#[test]
fn two_failures_of_ten_block() {
    let (project, fake) = (project(), failing_at(&[0, 7]));
    let (code, verdict) = eval(&project, &fake, "");
    assert_eq!((code, reasons(&verdict)), (10, vec!["critical"]));
    assert_eq!(verdict["reasons"][0]["cases"][0], "c-0");
    assert_eq!(answers(&project, "c-0"), 10);
}

#[test]
fn a_case_that_can_not_be_saved_is_not_asked_again() {
    let (project, fake) = (project(), failing_at(&[0, 1, 2]));
    let (code, verdict) = eval(&project, &fake, "");
    assert_eq!((code, reasons(&verdict)), (10, vec!["critical"]));
    assert_eq!((answers(&project, "c-0"), fake.requests().len()), (3, 80 * 6));
}

#[test]
fn a_single_repeat_is_too_few_for_a_must_pass_case() {
    let (project, fake) = (project(), failing_at(&[]));
    let (code, _) = eval(&project, &fake, "--repeat 1");
    assert_eq!(code, 0);
    assert_eq!((answers(&project, "c-0"), answers(&project, "c-1")), (3, 1));
    assert_eq!(fake.requests().len(), 80 * 2 + 2);
}

#[test]
fn a_failure_that_the_budget_leaves_unconfirmed_decides_nothing() {
    let (project, fake) = (project(), failing_at(&[0]));
    let (code, verdict) = eval(&project, &fake, "--max-requests 483");
    assert_eq!((code, reasons(&verdict)), (11, vec!["budget", "critical_unscored"]));
    assert_eq!(fake.requests().len(), 483);
    let (code, verdict) = eval(&project, &fake, "--resume");
    assert_eq!((code, reasons(&verdict)), (0, vec!["not_worse"]));
    assert_eq!(fake.requests().len(), 80 * 6 + 7);
}

#[test]
fn without_a_decision_nothing_is_confirmed() {
    let (project, fake) = (project(), failing_at(&[0]));
    let (code, _) = eval(&project, &fake, "--no-gate");
    assert_eq!((code, fake.requests().len()), (0, 80 * 6));
}
