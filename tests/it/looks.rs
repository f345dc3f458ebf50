//! Luck is spent once: what was seen of answers can be completed, and neither asked anew, nor in another spelling, nor decided by
//! looser rules. The service draws each answer anew, and the candidate is worse by just the margin.

use crate::support::fake::{Fake, Reply};
use crate::support::project::Project;
use crate::support::questions::{Questions, number_after};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const CASES: usize = 200;

fn project(cases: usize) -> Project {
    Project::with_questions(cases, &[("v1", "Old."), ("v2", "New.")])
}

/// A number from 0 to 99 that the n-th answer to a question draws.
fn draw(seed: u64, case: usize, times: u64) -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (case as u64) << 32 ^ times;
    for _ in 0..3 {
        x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    (x >> 33) % 100
}

/// The old prompt is right always, the new one in 95 of 100 answers.
fn lossy(seed: u64) -> Questions {
    let asked = Mutex::new(HashMap::<usize, u64>::new());
    Questions::of(Fake::start(move |request| {
        if !request.text().contains("New.") {
            return Reply::answer("nine");
        }
        let case = number_after(request, "What is ").unwrap_or_default();
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(case).or_default();
        *times += 1;
        Reply::answer(if draw(seed, case, *times) < 5 { "ten" } else { "nine" })
    }))
}

/// What stands for a decision: exit code, whether it may be acted on, and the difference.
fn outcome(project: &Project) -> (Value, Value, Value) {
    let verdict = project.verdict();
    (verdict["exit_code"].clone(), verdict["promotable"].clone(), verdict["difference"].clone())
}

#[test]
fn parts_that_are_rolled_until_they_please_decide_nothing_else() {
    let others: Vec<String> = (1..CASES).map(|case| format!("c-{case}")).collect();
    let all_but_one = format!("--case {}", others.join(" "));
    for (seed, part) in
        [(1, "--max-requests 399"), (2, "--limit 199"), (3, all_but_one.as_str()), (4, "--no-gate --limit 199")]
    {
        let (honest, fair) = (project(CASES), lossy(seed));
        fair.eval(&honest, "", &[]);
        let (rolled, service) = (project(CASES), lossy(seed));
        service.eval(&rolled, part, &[]);
        for _ in 0..3 {
            service.eval(&rolled, &format!("{part} --cache refresh"), &[]);
        }
        service.eval(&rolled, "--cache refresh", &[]);
        let verdict = rolled.verdict();
        let mut reasons = verdict["reasons"].as_array().unwrap().iter();
        assert!(reasons.any(|reason| reason["code"] == "earlier_look"), "{part}: {verdict}");
        service.eval(&rolled, "", &[]);
        assert_eq!(outcome(&rolled), outcome(&honest), "{part}");
    }
}

/// A look that came to nothing, at a candidate that gets three cases wrong, and a service that makes no mistake any more.
fn open_look(options: &str) -> (Project, Questions) {
    let (project, service) = (project(80), Questions::start(|number, wrong| number < wrong));
    service.set_wrong(3);
    assert_eq!(service.eval(&project, options, &[]).0, 11);
    service.set_wrong(0);
    (project, service)
}

#[test]
fn what_a_part_showed_is_completed_as_it_was_planned() {
    let (project, service) = open_look("--max-requests 150");
    for other in ["--repeat 2", "--repeat 1 --attempts 2", "--repeat 1 --margin 0.4"] {
        project.eval_at(&service.fake.url, &format!("--target gemini {other}")).assert_exit(11);
        assert_eq!(project.verdict()["reasons"][0]["code"], "earlier_look", "{other}");
    }
    let (whole, service) = open_look("--max-requests 150");
    service.expect(&whole, "", (11, "too_few", 10));
    // Others than those are free: another candidate has its own luck, with a baseline that is asked again.
    whole.write_prompt("v2", "New. Another one.");
    service.expect(&whole, "--cache refresh", (0, "not_worse", 160));
    assert_eq!(whole.verdict()["tries"]["candidates"], 2);
    let summary = whole.read("reports/summary.md");
    assert!(summary.contains("Candidate 2 on these cases against `v1` since "), "{summary}");
}

#[test]
fn another_spelling_is_the_same_look() {
    let rows = |project: &Project| -> Vec<String> {
        project.read("golden/cases.csv").lines().skip(1).map(str::to_owned).collect()
    };
    let write = |project: &Project, rows: Vec<String>| {
        project.write("golden/cases.csv", format!("id,question,expected,matcher\n{}\n", rows.join("\n")));
    };
    type Change<'c> = &'c dyn Fn(&Project);
    let spellings: [(&str, Change<'_>); 6] = [
        ("a space", &|project| project.write_prompt("v2", "New. ")),
        ("a zero-width space", &|project| project.write_prompt("v2", "New\u{200b}.")),
        ("a name of the model", &|project| {
            let prompt = project.read("prompts/v2.prompt");
            project.write("prompts/v2.prompt", format!("---\nmodel: gemini-3.8-flash-001\n---\n{prompt}"));
        }),
        ("an id", &|project| project.edit("golden/cases.csv", "c-7,", "seven,")),
        ("the order", &|project| write(project, rows(project).into_iter().rev().collect())),
        ("the name of a check", &|project| {
            project.write("golden/cases.csv", "id,question,expected,matcher\n");
            std::fs::remove_file(project.file("golden/cases.csv")).unwrap();
            let case = |i| json!({"id": format!("c-{i}"), "vars": {"question": format!("What is {i}?")}, "expect": [{"contains": "nine", "name": "n"}]});
            project.write_cases(&(0..80).map(case).collect::<Vec<_>>());
        }),
    ];
    for (what, respell) in spellings {
        let (project, service) = open_look("");
        respell(&project);
        for options in ["--cache refresh", "--cache off"] {
            let (code, reason, _) = service.eval(&project, options, &[]);
            assert_eq!((code, reason.as_str()), (11, "earlier_look"), "{what}: {options}");
        }
        assert_eq!(service.eval(&project, "", &[]).0, 11, "{what}");
    }
    let (project, service) = open_look("");
    project.write_prompt("v2", "New. ");
    assert_eq!(service.eval(&project, "", &[]).1, "earlier_look");
    let tries = project.verdict()["tries"].clone();
    assert_eq!((&tries["candidates"], &tries["respelled"]), (&json!(2), &json!(1)));
    assert!(project.read("reports/summary.md").contains("1 of the others differ from it only in white space"));
}

#[test]
fn rules_are_chosen_before_the_first_look() {
    let (project, service) = open_look("");
    for rules in ["--margin 0.08", "--tolerance 0.02", "--alpha 0.06", "--estimand dataset", "--metric score"] {
        let run = service.run(&project, rules, &[]).assert_exit(11);
        let verdict = project.verdict();
        assert_eq!(verdict["reasons"][0]["code"], "earlier_look", "{rules}: {}", run.transcript());
    }
    project.run("verify --prompt v2 --baseline v1 --margin 0.08").assert_exit(11);
    // Stricter ones are free, and told.
    let (project, service) = (self::project(80), Questions::start(|_, _| false));
    service.expect(&project, "", (0, "not_worse", 160));
    service.expect(&project, "--tolerance 0.005", (0, "not_worse", 0));
    assert_eq!(project.verdict()["tries"]["first"]["rules"], json!(["tolerance 0.01, now 0.005"]));
    assert!(
        project
            .read("reports/summary.md")
            .contains("Run 1 looked at these answers first and was promote, by other rules")
    );
    service.expect(&project, "", (0, "not_worse", 0));
}

#[test]
fn looks_are_left_behind_once_in_a_pull_request() {
    let (project, service) = open_look("");
    let pull = |number| [("GITHUB_REF", number)];
    let (seven, eight) = (pull("refs/pull/7/merge"), pull("refs/pull/8/merge"));
    service.expect_with(&project, "--fresh-key one", &seven, (0, "not_worse", 160));
    service.expect_with(&project, "--fresh-key two", &seven, (11, "earlier_look", 160));
    service.expect_with(&project, "--fresh-key one", &seven, (0, "not_worse", 0));
    service.expect_with(&project, "--fresh-key two", &eight, (0, "not_worse", 0));
    // Outside of pull requests it takes a month.
    let (project, service) = open_look("");
    service.expect(&project, "--fresh-key one", (0, "not_worse", 160));
    service.expect(&project, "--fresh-key two", (11, "earlier_look", 160));
    project.store().execute("UPDATE runs SET started_at = started_at - 31 * 86400", []).unwrap();
    service.expect(&project, "--fresh-key three", (0, "not_worse", 160));
    let variables = [("CI", "1"), ("PROMPTGATE_FRESH_KEY", "four")];
    service.run(&project, "", &variables).assert_exit(2).assert_stderr("PROMPTGATE_FRESH_KEY: in CI");
}

/// Else fresh keys could be tried until one pleases, and its answers be used without it, or the part that it showed be completed.
#[test]
fn what_a_fresh_key_showed_stands_without_it_and_counts_in_parts() {
    for part in ["", "--limit 1"] {
        let (project, service) = open_look(&format!("--fresh-key one {part}"));
        service.expect(&project, "--fresh-key two", (11, "earlier_look", 160));
        assert_eq!(service.eval(&project, "", &[]), (11, "too_few".to_owned(), 0), "{part}");
        assert_eq!(project.verdict()["fresh_key"], Value::Null);
    }
    let (project, service) = open_look("");
    service.set_wrong(3);
    service.expect(&project, "--fresh-key one --limit 79", (11, "too_few", 158));
    service.set_wrong(0);
    service.expect(&project, "--fresh-key two --limit 78", (11, "earlier_look", 156));
    service.expect(&project, "--fresh-key two", (11, "earlier_look", 4));
    service.expect(&project, "--fresh-key one", (11, "too_few", 2));
}

/// Throwaway candidates show the baseline again and again; the next candidate gets its first answers all the same.
#[test]
fn a_baseline_is_not_rolled_under_other_candidates() {
    let draws = AtomicUsize::new(0);
    let service = Questions::of(Fake::start(move |request| {
        // The baseline gets worse from run to run.
        let fails = request.text().contains("Old.") && draws.fetch_add(1, Ordering::SeqCst) >= 100;
        Reply::answer(if fails { "ten" } else { "nine" })
    }));
    let project = project(100);
    let rate = |options: &str, sent: usize| {
        let (_, _, requests) = service.eval(&project, options, &[]);
        assert_eq!(requests, sent, "{options}");
        project.verdict()["rates"]["baseline"]["pass"].as_f64().unwrap()
    };
    assert_eq!(rate("", 200), 1.0);
    for throwaway in ["New. A", "New. B"] {
        project.write_prompt("v2", throwaway);
        assert_eq!(rate("--cache refresh", 200), 0.0);
    }
    project.write_prompt("v2", "New. And better.");
    assert_eq!(rate("", 100), 1.0);
}

#[test]
fn a_baseline_that_got_old_is_another_look() {
    let (project, service) = open_look("");
    project.store().execute("UPDATE answers SET created_at = created_at - 2 * 86400 WHERE id % 2", []).unwrap();
    assert_eq!(service.eval(&project, "", &[]).1, "earlier_look");
}
