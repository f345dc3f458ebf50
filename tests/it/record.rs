//! Answers that travel: exported on one machine, replayed on another that has neither key nor network.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{KEY, Project, Run};
use serde_json::{Value, json};
use std::fs;

const EVAL: &str = "eval --prompt v2 --baseline v1";

/// Answers well, and better to `v2`, whose text knows the hours. Quotes the key, as a prompt injection would have it.
fn server() -> Fake {
    Fake::start(|request| {
        let body = request.text();
        let hours = if body.contains("nine in the morning") { "nine" } else { "ten" };
        Reply::answer(&format!("{hours}, {} {KEY} \u{202e}", request.asks()))
    })
}

/// As in the check of a fork's pull request: unattended, and the secret is empty.
fn in_a_fork(project: &Project, url: &str, more: &str) -> Run {
    project.run_with(&format!("{EVAL} --base-url {url} {more}"), &[("CI", "true"), ("GEMINI_API_KEY", "")])
}

/// A project whose answers are in its store, and its server's address; the server is gone.
fn evaluated() -> (Project, String) {
    let fake = server();
    let project = Project::with_cases(80);
    project.run_with_key(&format!("{EVAL} --base-url {}", fake.url)).assert_exit(0);
    assert_eq!(project.verdict()["promotable"], true);
    (project, fake.url.clone())
}

fn export(project: &Project) -> String {
    let ran = project.run_with_key("record export --prompt v2 --to answers.jsonl").assert_exit(0);
    assert_eq!(ran.stdout, "run 1: 480 answers written to answers.jsonl\n");
    project.read("answers.jsonl")
}

/// Rows without where they came from.
fn rows(project: &Project) -> Vec<Value> {
    let mut rows = project.results();
    for row in &mut rows {
        row["source"] = Value::Null;
    }
    rows
}

#[test]
fn an_export_replays_elsewhere_to_the_same_results_and_is_never_promotable() {
    let (home, url) = evaluated();
    let exported = export(&home);
    assert!(!exported.contains(KEY));
    let fork = Project::with_cases(80);
    fork.write("answers.jsonl", &exported);
    let ran = fork.run("record import answers.jsonl").assert_exit(0);
    assert!(ran.stdout.starts_with("480 answers imported"), "{}", ran.stdout);

    assert_eq!(in_a_fork(&fork, &url, "--cache only").code, 11, "in CI a replay is a rehearsal, or passes nothing");
    let ran = in_a_fork(&fork, &url, "--cache only --rehearse").assert_exit(0);
    assert_eq!(rows(&fork), rows(&home));
    let (here, there) = (fork.verdict(), home.verdict());
    assert_eq!(here["decision"], "promote");
    assert_eq!(here["key"], there["key"]);
    assert_eq!(here["difference"], there["difference"]);
    assert_eq!(here["answers_cost_usd"], there["cost_usd"]);
    assert_eq!(
        (&here["replayed"], &here["promotable"], &here["imported"], &here["requests"]),
        (&json!(true), &json!(false), &json!(480), &json!(0))
    );
    for report in ["summary.md", "diff.md"] {
        assert!(fork.read(&format!("reports/{report}")).contains("REPLAYED"), "{report}");
    }
    assert!(fork.read("reports/junit.xml").contains("name=\"replayed\" value=\"true\""));
    assert!(ran.stdout.contains("REPLAYED"), "{}", ran.stdout);

    // Without `only`, imported answers are used too, and the verdict is replayed all the same.
    fork.run_with_key(&format!("{EVAL} --base-url {url}")).assert_exit(0);
    assert_eq!(fork.verdict()["replayed"], true);
    assert_eq!(fork.verdict()["promotable"], false);
    assert_eq!(fork.verdict()["requests"], 0);

    // An edited prompt has no recorded answers, so the fork's check can't be green.
    fork.edit("prompts/v2.prompt", "shoes", "socks");
    in_a_fork(&fork, &url, "--cache only").assert_exit(11);
    // And without `only`, an empty secret stays an error.
    in_a_fork(&fork, &url, "").assert_exit(2);
}

#[test]
fn an_export_is_sorted_reviewable_and_always_the_same() {
    let (home, _) = evaluated();
    let first = export(&home);
    assert_eq!(export(&home), first);
    let order: Vec<(String, String, u64)> = first
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let text = |field: &str| row[field].as_str().unwrap().to_owned();
            (text("case"), text("arm"), row["repeat"].as_u64().unwrap())
        })
        .collect();
    let mut sorted = order.clone();
    sorted.sort();
    assert_eq!(order, sorted);
    assert!(first.contains("\\u202e") && !first.contains('\u{202e}'));
    let line = first.lines().next().unwrap();
    insta::with_settings!({filters => vec![
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
        (r#""(key|request)":"[0-9a-f]{64}""#, r#""$1":"[DIGEST]""#),
        (r#""created_at":"[^"]+""#, r#""created_at":"[TIME]""#),
        (r#""(latency|waited)_ms":\d+"#, r#""${1}_ms":[MS]"#),
    ]}, {
        insta::assert_snapshot!(line, @r#"{"case":"case-00000","arm":"baseline","prompt":"v1","repeat":1,"target":"gemini http://127.0.0.1:[PORT]","model":"gemini-3.8-flash","key":"[DIGEST]","request":"[DIGEST]","attempts":1,"waited_ms":[MS],"created_at":"[TIME]","answer":{"text":"ten, When does the shop open, number 0? *** \u202e","tool_calls":[],"finish_reason":"STOP","model_version":"fake-001","usage":{"prompt":10,"cached":0,"output":5,"thinking":0,"total":15},"latency_ms":[MS]}}"#);
    });
}

#[test]
fn a_key_that_got_into_the_store_does_not_get_out() {
    let (home, _) = evaluated();
    let store = home.store();
    let changed = store.execute("UPDATE answers SET answer = replace(answer, 'number', ?1)", [KEY]).unwrap();
    assert_eq!(changed, 480);
    let exported = export(&home);
    assert!(!exported.contains(KEY));
    assert!(exported.contains("When does the shop open, *** 0? ***"), "{exported:.500}");
}

#[test]
fn own_answers_stay_and_importing_twice_changes_nothing() {
    let (home, url) = evaluated();
    export(&home);
    let ran = home.run("record import answers.jsonl");
    assert!(ran.stdout.starts_with("0 answers imported, 0 were imported before, 480 stay"), "{}", ran.stdout);
    home.run_with_key(&format!("{EVAL} --base-url {url}")).assert_exit(0);
    assert_eq!(home.verdict()["promotable"], true);
    assert_eq!(home.verdict()["imported"], 0);

    let fork = Project::with_cases(80);
    fork.write("answers.jsonl", home.read("answers.jsonl"));
    fork.run("record import answers.jsonl answers.jsonl").assert_exit(0);
    let ran = fork.run("record import answers.jsonl");
    assert!(ran.stdout.starts_with("0 answers imported, 480 were imported before"), "{}", ran.stdout);
}

#[test]
fn mistakes_are_told_with_file_and_line_and_nothing_is_imported() {
    let (home, url) = evaluated();
    let exported = export(&home);
    let mut lines: Vec<String> = exported.lines().map(str::to_owned).collect();
    let mut replayed: Value = serde_json::from_str(&lines[2]).unwrap();
    replayed["target"] = "recorded 0123".into();
    lines[2] = replayed.to_string();
    lines[1] = lines[1].replacen("{", "{\"note\":1,", 1);
    lines[3] = lines[3].replacen("\"repeat\":", "\"repeat\":\"one\",\"was\":", 1);
    lines[4] = "[]".to_owned();
    lines[6] = lines[5].replacen("\"text\":\"", "\"text\":\"other ", 1);
    lines[7].truncate(40);
    let fork = Project::with_cases(80);
    fork.write("answers.jsonl", lines.join("\n"));
    fork.write("empty.jsonl", "\n");
    let ran = fork.run("record import answers.jsonl empty.jsonl missing.jsonl").assert_exit(2);
    insta::assert_snapshot!(ran.stderr, @r#"
    error: answers.jsonl:2: unknown field `note`, expected one of `case`, `arm`, `prompt`, `repeat`, `target`, `model`, `key`, `request`, `attempts`, `waited_ms`, `created_at`, `reply`, `answer`
    error: answers.jsonl:3: answers that were read from files never enter a store
      help: give the files to `promptgate eval --target recorded --answers`
    error: answers.jsonl:4: invalid type: string "one", expected u32
    error: answers.jsonl:5: the row is not a json object
      help: a row has case, arm, prompt, repeat, target, model, key, request, attempts, waited_ms, created_at, reply and answer
    error: answers.jsonl:7: a second answer with the same `key`, for case `case-00000`
      help: the first one stands in answers.jsonl:6
    error: answers.jsonl:8: EOF while parsing a string
      help: a row has case, arm, prompt, repeat, target, model, key, request, attempts, waited_ms, created_at, reply and answer
    error: empty.jsonl: there is no answer in this file
      help: write one with `promptgate record export --to FILE`
    error: missing.jsonl: can't be read: No such file or directory (os error 2)
    "#);
    in_a_fork(&fork, &url, "--cache only").assert_exit(11);
    assert_eq!(fork.verdict()["imported"], 0);
    assert_eq!(fork.verdict()["counts"]["error"], 80);
}

#[test]
fn an_export_needs_a_run_and_says_which_there_are() {
    let project = Project::with_cases(2);
    let export = |more: &str| {
        let ran = project.run(&format!("record export --to out/a.jsonl {more}")).assert_exit(2);
        ran.stderr
    };
    insta::assert_snapshot!(export(""), @"
    error: there is no store yet, so there are no answers
      help: run `promptgate eval` first
    ");
    assert!(!project.file(".promptgate").exists());
    project.run(&format!("{EVAL} --no-gate")).assert_exit(0);
    let days = regex::Regex::new(r"\d{4}-\d\d-\d\d|sim/[0-9.]+").unwrap();
    let timeless = |text: String| days.replace_all(&text, "[..]").into_owned();
    insta::assert_snapshot!(timeless(export("7")), @"
    error: the store has no run 7
      help: the newest runs are: 1 (v2 against v1, target [..], 12 answers, [..])
    ");
    insta::assert_snapshot!(timeless(export("--prompt v9")), @"
    error: the store has no finished run of `v9`
      help: the newest runs are: 1 (v2 against v1, target [..], 12 answers, [..])
    ");
    insta::assert_snapshot!(export("newest"), @"
    error: `newest` is not the number of a run
      expected: a whole number, or nothing for the newest finished run of the candidate
    ");
    assert!(export("").contains("can't be written"));
    fs::create_dir(project.file("out")).unwrap();
    // The newest run of whichever candidate, as none is configured.
    project.run("record export --to out/a.jsonl").assert_exit(0);
    assert_eq!(project.read("out/a.jsonl").lines().count(), 12);
    assert_eq!(fs::read_dir(project.file("out")).unwrap().count(), 1);
}
