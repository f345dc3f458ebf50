//! Running again until it is green: the first look is final, planned attempts share the error, and a lost store is noticed.

use crate::support::fake::{Fake, Reply};
use crate::support::project::Project;
use crate::support::questions::Questions;
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};

/// 80 cases, two prompts, and a service whose new prompt gets wrong as many of the first questions as was set.
fn project() -> (Project, Questions) {
    let project = Project::with_questions(80, &[("v1", "Old."), ("v2", "New.")]);
    (project, Questions::start(|number, wrong| number < wrong))
}

#[test]
fn the_first_look_is_final_and_other_answers_do_not_promote() {
    let (project, service) = project();
    service.set_wrong(3);
    service.expect(&project, "", (11, "too_few", 160));
    service.set_wrong(0);
    // The same answers again, and then fresh ones: without a look before them they would promote.
    service.expect(&project, "", (11, "too_few", 0));
    service.expect(&project, "--cache refresh", (11, "earlier_look", 160));
    assert_eq!(project.verdict()["promotable"], false);
    // Not even by way of the cache, more repeats, or another number of attempts.
    service.expect(&project, "", (11, "too_few", 0));
    service.expect(&project, "--cache off", (11, "earlier_look", 160));
    assert_eq!(service.eval(&project, "--attempts 3", &[]).0, 11);
    // Nor by another way of asking the same service.
    for way in ["--stream", "--api-version v1", "--stream --api-version v1beta2"] {
        service.expect(&project, way, (11, "earlier_look", 160));
    }

    // Neither a copy of the prompt nor a comment makes it something else.
    project.write("prompts/v2-copy.prompt", project.read("prompts/v2.prompt"));
    project.write("golden/cases.csv", project.read("golden/cases.csv").replace("id,question", "\u{feff}id,question"));
    let url = service.fake.url.as_str();
    let arguments =
        format!("eval --prompt v2-copy --baseline v1 --target gemini --base-url {url} --repeat 1 --cache refresh");
    project.run_with_key(&arguments).assert_exit(11);
    assert_eq!(project.verdict()["reasons"][0]["code"], "earlier_look");

    // Starting anew is possible, for all to see.
    let fresh = "--fresh-key 'the service was mended'";
    service.expect(&project, fresh, (0, "not_worse", 160));
    let verdict = project.verdict();
    assert_eq!(verdict["fresh_key"]["reason"], "the service was mended");
    assert_eq!(verdict["fresh_key"]["left_behind"], serde_json::json!(["inconclusive"]));
    assert_eq!(verdict["promotable"], true);
    let summary = project.read("reports/summary.md");
    assert!(summary.lines().nth(2).unwrap().starts_with("> **FRESH KEY**"), "{summary}");
    // The same reason is the same series: its first look is final, too.
    service.expect(&project, fresh, (0, "not_worse", 0));
    service.set_wrong(40);
    let refreshed = format!("{fresh} --cache refresh");
    service.expect(&project, &refreshed, (10, "regression", 160));
    // What was left behind is not forgotten.
    service.expect(&project, "", (11, "too_few", 0));
}

#[test]
fn other_rules_earn_no_other_answers() {
    let (project, service) = project();
    // Looser rules than those of the first look promote nothing, whichever answers they are asked of.
    service.set_wrong(3);
    service.expect(&project, "", (11, "too_few", 160));
    let wide = "--margin 0.4";
    service.expect(&project, wide, (11, "earlier_look", 0));
    service.set_wrong(0);
    for rules in ["", wide] {
        let refreshed = format!("{rules} --cache refresh");
        service.expect(&project, &refreshed, (11, "earlier_look", 160));
    }

    // Rules that nobody asked of the answers that promoted by others.
    let anew = |rules: &'static str| format!("--fresh-key 'wide first' {rules}");
    service.set_wrong(3);
    service.expect(&project, &anew(wide), (0, "not_worse", 160));
    service.set_wrong(0);
    let narrow = anew("--cache refresh");
    service.expect(&project, &narrow, (11, "earlier_look", 160));
    let again = anew("--margin 0.4 --cache refresh");
    service.expect(&project, &again, (0, "not_worse", 160));
}

#[test]
fn a_block_is_final_and_a_promote_can_still_be_blocked() {
    let (project, service) = project();
    service.set_wrong(40);
    service.expect(&project, "", (10, "regression", 160));
    service.set_wrong(0);
    service.expect(&project, "--cache refresh", (11, "earlier_look", 160));
    service.expect(&project, "", (10, "regression", 0));

    let fresh = "--fresh-key again";
    service.expect(&project, fresh, (0, "not_worse", 160));
    service.set_wrong(40);
    let refreshed = format!("{fresh} --cache refresh");
    service.expect(&project, &refreshed, (10, "regression", 160));
}

#[test]
fn missing_answers_are_asked_for_without_being_another_look() {
    let (project, _) = project();
    let asked = AtomicUsize::new(0);
    let fake = Fake::start(move |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if body.contains("New.") && body.contains("What is 7?") && asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return Reply::error(400, "INVALID_ARGUMENT", "not now");
        }
        Reply::answer("nine")
    });
    let service = Questions::of(fake);
    assert_eq!(service.eval(&project, "--max-cost 100", &[]).0, 11);
    service.expect(&project, "", (0, "not_worse", 1));
}

#[test]
fn planned_attempts_add_repeats_and_share_the_error() {
    let (project, service) = project();
    let plan = "--attempts 3";
    // 80 cases that come out alike: Z(-margin) is 1.80; the bounds are 2.96, 2.09 and 1.71.
    service.expect(&project, plan, (11, "too_few", 160));
    let verdict = project.verdict();
    assert_eq!(verdict["look"], serde_json::json!({"attempt": 1, "attempts": 3, "candidates": 1}));
    assert!(verdict["reasons"][0]["message"].as_str().unwrap().contains("attempt 1 of 3"));
    service.expect(&project, plan, (11, "too_few", 160));
    // An attempt that is not planned for does not decide by itself either.
    assert_eq!(
        (project.verdict()["repeats"].clone(), project.verdict()["look"]["attempt"].clone()),
        (2.into(), 2.into())
    );
    service.expect(&project, &format!("{plan} --cache refresh"), (0, "not_worse", 160));
    let verdict = project.verdict();
    assert_eq!((&verdict["repeats"], &verdict["look"]["attempt"]), (&3.into(), &3.into()));
    assert_eq!(project.results().len(), 80 * 2 * 3);
    // All attempts are made: the last one stands.
    service.expect(&project, plan, (0, "not_worse", 0));
    assert_eq!(project.verdict()["look"]["attempt"], 3);
    project.run_with("verify reports/verdict.json --prompt v2 --baseline v1 --attempts 3", &[]).assert_exit(0);
}

#[test]
fn attempts_are_planned_before_the_first_look_or_not_at_all() {
    let (project, service) = project();
    service.set_wrong(2);
    service.expect(&project, "", (11, "too_few", 160));
    service.set_wrong(0);
    service
        .run(&project, "--attempts 3", &[])
        .assert_exit(11)
        .assert_stderr("was planned with attempts = 1, and so it stays");
    assert_eq!(project.verdict()["look"]["attempts"], 1);
    assert_eq!(service.fake.count(), 160);
}

#[test]
fn extending_adds_the_repeats_that_are_needed_and_no_more() {
    let (project, service) = project();
    service.run(&project, "--extend", &[]).assert_exit(2).assert_stderr("there is nothing to extend");

    service.set_wrong(3);
    let plan = "--attempts 5";
    assert_eq!(service.eval(&project, plan, &[]).0, 11);
    let needed = project.verdict()["needed"]["repeats"].as_u64();
    service.set_wrong(0);
    let extended = service.run(&project, &format!("{plan} --extend"), &[]);
    match needed {
        Some(needed) => {
            let repeats = needed.clamp(2, 5);
            assert_eq!(project.verdict()["repeats"], repeats, "{}", extended.transcript());
            assert_eq!(service.fake.count() as u64, 160 * repeats);
            assert_eq!(project.verdict()["look"]["attempt"], repeats);
        }
        None => assert_eq!(extended.code, 2, "{}", extended.transcript()),
    }
}

/// The variables of an attempt at a run of a workflow.
fn attempt(run: &'static str, number: &'static str) -> [(&'static str, &'static str); 2] {
    [("GITHUB_RUN_ATTEMPT", number), ("GITHUB_RUN_ID", run)]
}

#[test]
fn what_the_ci_system_counted_and_the_store_does_not_know_is_not_promoted() {
    let (project, service) = project();
    service.expect_with(&project, "", &attempt("77", "2"), (11, "attempts_lost", 160));
    // The store knows the second attempt now, and still not the first.
    service.expect_with(&project, "", &attempt("77", "3"), (11, "attempts_lost", 0));
    // Another run of the workflow counts from 1.
    service.expect_with(&project, "", &attempt("78", "1"), (0, "not_worse", 0));
    service.expect_with(&project, "", &attempt("78", "2"), (0, "not_worse", 0));
    service.set_wrong(40);
    assert_eq!(service.eval(&project, "--cache refresh", &attempt("77", "9")).0, 10);
    service
        .run(&project, "", &[("GITHUB_RUN_ATTEMPT", "second")])
        .assert_exit(2)
        .assert_stderr("GITHUB_RUN_ATTEMPT: `second` is not the number of an attempt");
}

#[test]
fn an_attempt_that_ended_early_is_known_and_no_look() {
    let (project, service) = project();
    service.expect_with(&project, "--max-requests 50", &attempt("77", "1"), (11, "budget", 50));
    service.expect_with(&project, "", &attempt("77", "2"), (0, "not_worse", 110));
}

#[test]
fn recorded_answers_are_no_second_look_and_take_no_options_for_it() {
    let (project, _) = project();
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
    let recorded = |more: &str| {
        let arguments = "eval --prompt v2 --baseline v1 --repeat 1 --target recorded --answers answers.jsonl";
        project.run_with(&format!("{arguments} {more}"), &[("GITHUB_RUN_ATTEMPT", "4")])
    };
    project.write("answers.jsonl", rows("ten"));
    recorded("").assert_exit(10);
    project.write("answers.jsonl", rows("nine"));
    let verdict: (i32, Value) = (recorded("").code, project.verdict());
    assert_eq!((verdict.0, &verdict.1["promotable"]), (0, &Value::Bool(false)));
    for option in ["--extend", "--fresh-key x"] {
        recorded(option).assert_exit(2);
    }
}
