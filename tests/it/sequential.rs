//! `--sequential`: a run ends at the first look that decides, and says so everywhere.

use crate::support::project::{Project, Run};
use crate::support::questions::Questions;
use serde_json::Value;

/// Cases, the first `critical` of which must pass, two prompts, and a service whose new prompt gets wrong every question
/// whose number the set number divides.
fn project(cases: usize, critical: usize) -> (Project, Questions) {
    let project = Project::with_questions(cases, &[("v1", "Old."), ("v2", "New.")]);
    let rows = (0..cases).map(|i| format!("c-{i},What is {i}?,nine,contains,t{},{}\n", i % 2, i < critical));
    let head = "id,question,expected,matcher,tags,critical\n".to_owned();
    project.write("golden/cases.csv", head + &rows.collect::<String>());
    let service = Questions::start(|number, wrong| wrong > 0 && number.is_multiple_of(wrong));
    (project, service)
}

const EARLY: &str = "--sequential";

fn verify(project: &Project) -> Run {
    let arguments = "verify reports/verdict.json --prompt v2 --baseline v1 --sequential";
    project.run(arguments)
}

fn skipped(project: &Project) -> Vec<Value> {
    let rows = project.results();
    rows.into_iter().filter(|row| row["skip"] == "decided").collect()
}

#[test]
fn a_broken_candidate_is_blocked_after_a_third_of_the_requests() {
    let (project, service) = project(180, 0);
    service.set_wrong(2);
    service.expect(&project, EARLY, (10, "regression", 120));
    let verdict = project.verdict();
    assert_eq!(verdict["look"]["shares"], serde_json::json!([1.0 / 3.0]));
    assert_eq!(verdict["completion"], "complete");
    assert_eq!(verdict["unlooked"], serde_json::json!({"cases": 120, "answers": 240}));
    assert_eq!(verdict["counts"]["skipped"], 120);
    assert_eq!(verdict["paired"]["n"], 60);
    let message = verdict["reasons"][0]["message"].as_str().unwrap();
    assert!(message.contains("decided after 60 of 180 cases × 1"), "{message}");
    assert_eq!(skipped(&project).len(), 240);
    assert_eq!(project.results().len(), 360);
    let summary = project.read("reports/summary.md");
    assert!(summary.contains("240 requests were saved"), "{summary}");
    // The same answers, the same look.
    service.expect(&project, EARLY, (10, "regression", 0));
    verify(&project).assert_exit(10);
}

#[test]
fn an_equal_candidate_is_promoted_early_and_the_verdict_holds() {
    let (project, service) = project(240, 0);
    // 160 cases that come out alike: Z(-margin) is 2.70, and the bound of the second of three looks is 2.11.
    service.expect(&project, EARLY, (0, "not_worse", 320));
    let verdict = project.verdict();
    assert_eq!(verdict["look"]["shares"].as_array().unwrap().len(), 2);
    assert_eq!((&verdict["promotable"], &verdict["unlooked"]["cases"]), (&true.into(), &80.into()));
    verify(&project).assert_exit(0);
    service.expect(&project, EARLY, (0, "not_worse", 0));

    // Whoever wants to see the rest after a block or a promote sees it, and that is another look.
    service.expect(&project, "", (0, "not_worse", 160));
}

#[test]
fn what_was_decided_early_can_not_be_undone_by_asking_the_rest() {
    let (project, service) = project(240, 0);
    project.write("promptgate.toml", "[gate]\nslice_margin = 0.9\n");
    service.set_wrong(2);
    service.expect(&project, EARLY, (10, "regression", 160));
    service.set_wrong(0);
    // The first third stays as it was, all else is well now.
    let (code, reason, requests) = service.eval(&project, "--tolerance 0.49 --margin 0.5", &[]);
    assert_eq!((code, reason.as_str(), requests), (11, "earlier_look", 320));
}

#[test]
fn an_edited_look_does_not_verify() {
    let (project, service) = project(240, 0);
    assert_eq!(service.eval(&project, EARLY, &[]).0, 0);
    let verdict = project.read("reports/verdict.json");
    let edited = |from: &str, to: &str| {
        assert!(verdict.contains(from), "{verdict}");
        project.write("reports/verdict.json", verdict.replacen(from, to, 1));
        let verified = verify(&project).assert_exit(11);
        verified.transcript()
    };
    let second = "0.6666666666666666";
    assert!(edited(second, "0.9").contains("look.shares"));
    assert!(edited(second, "1.0").contains("look.shares"));
    project.write("reports/verdict.json", &verdict);
    let plain = project.run_with("verify reports/verdict.json --prompt v2 --baseline v1", &[]).assert_exit(11);
    assert!(plain.transcript().contains("sequential"), "{}", plain.transcript());
}

#[test]
fn a_look_that_decides_nothing_is_followed_by_the_next_and_the_end_has_a_bound_of_its_own() {
    let (project, service) = project(72, 0);
    // Alone 70 equal cases are enough; with looks before the last the bound is 1.71 instead of 1.64.
    service.expect(&project, EARLY, (11, "too_few", 144));
    assert_eq!(project.verdict()["look"]["shares"].as_array().unwrap().len(), 3);
    assert_eq!(project.verdict().get("unlooked"), None);
    assert_eq!(skipped(&project).len(), 0);
    service.expect(&project, EARLY, (11, "too_few", 0));
    // Without looks on the way it would have been promoted, but that had to be planned.
    service.expect(&project, "", (11, "earlier_look", 0));
}

#[test]
fn must_pass_cases_are_asked_at_the_first_look_wherever_they_count() {
    let (project, service) = project(90, 9);
    // Question 0 fails; each prompt has an order of its own, so that at one of them it counts after the first look.
    service.set_wrong(1000);
    let mut beyond = 0;
    for words in 0..5 {
        project.write(
            "prompts/v2.prompt",
            format!("{{{{role \"system\"}}}}New. {words}\n{{{{role \"user\"}}}}{{{{question}}}}\n"),
        );
        let (code, reason, _) = service.eval(&project, EARLY, &[]);
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
        verify(&project).assert_exit(10);
        beyond += usize::from(verdict["paired"]["regressed"] == 0);
    }
    assert!(beyond > 0);
}

#[test]
fn a_budget_that_ends_on_the_way_decides_nothing_and_resume_ends_like_the_whole() {
    let (one, service) = project(240, 0);
    let budget = format!("{EARLY} --max-requests 200");
    service.expect(&one, &budget, (11, "budget", 200));
    assert_eq!(one.verdict()["completion"], "budget");
    assert_eq!(skipped(&one).len(), 0);
    let resumed = format!("{EARLY} --resume");
    service.expect(&one, &resumed, (0, "not_worse", 120));
    let (whole, service) = project(240, 0);
    service.expect(&whole, EARLY, (0, "not_worse", 320));
    for field in ["decision", "counts", "paired", "look", "unlooked", "difference", "z", "slices"] {
        assert_eq!(one.verdict()[field], whole.verdict()[field], "{field}");
    }
}

#[test]
fn what_makes_no_sense_together_is_refused() {
    let (project, service) = project(9, 0);
    for more in ["--attempts 2", "--extend", "--estimand dataset", "--shard 1/2", "--batch"] {
        service
            .run(&project, &format!("{EARLY} {more}"), &[])
            .assert_exit(2)
            .assert_stderr("--sequential does not go together with");
    }
    project
        .run_with("eval --prompt v2 --baseline none --min-pass-rate 0.5 --sequential --target sim", &[])
        .assert_exit(2);
    assert_eq!(service.fake.count(), 0);
}

#[test]
fn fewer_units_than_looks_and_equal_prompts_end_as_they_did() {
    let (project, service) = project(2, 0);
    service.expect(&project, EARLY, (11, "too_few", 4));
    assert_eq!(project.verdict()["look"]["shares"], serde_json::json!([0.5, 1.0]));
    project.write("prompts/v2.prompt", project.read("prompts/v1.prompt"));
    service.expect(&project, EARLY, (0, "identical", 0));
    assert_eq!(project.verdict()["look"].get("shares"), None);
    verify(&project).assert_exit(11).assert_stderr("the verdict is unchanged");
}
