//! Approved answers from the first run to a review: what a run proposes, and what accepting and rejecting it change. The
//! file operations are those of `cargo insta`; `.ci/insta` does the same with the tool itself.

use crate::support::fake::{Fake, Received, Reply};
use crate::support::project::{Project, Run};
use promptgate::internals::commands;
use promptgate::internals::dataset;
use promptgate::internals::scoring::Rules;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A case with an approved answer: its id, and the arguments of the check.
fn case(id: &str, args: Value) -> Value {
    json!({"id": id, "vars": {"question": "When do you open?"}, "expect": [{"snapshot": args}]})
}

fn with_cases(cases: &[Value]) -> Project {
    let project = Project::with_cases(0);
    project.write_cases(cases);
    project
}

/// Records answers of both prompts, a repeat each: (case, v1, v2).
fn record(project: &Project, answers: &[(&str, &str, &str)]) {
    let rows = answers.iter().flat_map(|(case, v1, v2)| [(*case, "v1", *v1), (*case, "v2", *v2)]);
    project.record(rows);
}

fn eval(project: &Project, more: &str, variables: &[(&str, &str)]) -> Run {
    let repeat = if more.contains("--repeat") { "" } else { "--repeat 1" };
    let recorded = "eval --prompt v2 --baseline v1 --target recorded --answers answers.jsonl";
    let run = project.run_with(&format!("{recorded} {repeat} {more}"), variables);
    assert_ne!(run.code, 2, "{}", run.transcript());
    run
}

fn outcome(project: &Project, case: &str) -> String {
    let results = project.results();
    let row = results.iter().find(|row| row["case"] == case && row["arm"] == "candidate").unwrap();
    let reason = row["checks"][0]["reason"].as_str().unwrap_or_default();
    format!("{}: {reason}", row["outcome"].as_str().unwrap())
}

fn files(project: &Project) -> Vec<String> {
    let Ok(entries) = fs::read_dir(project.file("golden/snapshots")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn accept(project: &Project, name: &str) {
    let file = |end: &str| project.file(&format!("golden/snapshots/{name}{end}"));
    fs::rename(file(".snap.new"), file(".snap")).unwrap();
}

fn dataset(project: &Project) -> String {
    project.verdict()["dataset"]["sha256"].as_str().unwrap().to_owned()
}

#[test]
fn an_answer_passes_only_after_a_person_accepted_it() {
    let project = with_cases(&[case("opening", json!({"redact": ["numbers"]}))]);
    record(&project, &[("opening", "At 9.", "We open at 9.\nCome in!")]);

    let ran = eval(&project, "", &[]);
    assert_ne!(ran.code, 0, "{}", ran.transcript());
    let missing = "fail: no approved answer yet: there is no golden/snapshots/opening.snap";
    assert_eq!(outcome(&project, "opening"), missing);
    assert_eq!(files(&project), ["opening.snap.new"]);
    insta::assert_snapshot!("proposed_first", project.read("golden/snapshots/opening.snap.new"));
    assert!(
        ran.stderr.contains("1 answer waits for approval in golden/snapshots/: `cargo insta review`"),
        "{}",
        ran.stderr
    );
    let before = dataset(&project);

    // Rejected: it still fails, and is proposed again.
    fs::remove_file(project.file("golden/snapshots/opening.snap.new")).unwrap();
    eval(&project, "", &[]);
    assert_eq!(outcome(&project, "opening"), missing);
    assert_eq!(dataset(&project), before);

    accept(&project, "opening");
    eval(&project, "", &[]);
    assert_eq!(outcome(&project, "opening"), "pass: is the approved answer");
    assert_eq!(files(&project), ["opening.snap"]);
    let after = dataset(&project);
    assert_ne!(before, after, "an approved answer is part of the dataset");

    // Another number is no other answer; another word is.
    record(&project, &[("opening", "At 9.", "We open at 10.\nCome in!")]);
    eval(&project, "", &[]);
    assert_eq!(outcome(&project, "opening"), "pass: is the approved answer");
    record(&project, &[("opening", "At 9.", "We open at 10.\nStay out!")]);
    eval(&project, "", &[]);
    assert_eq!(
        outcome(&project, "opening"),
        "fail: is not the approved answer: line 2 is \"Stay out!\", approved was \"Come in!\""
    );
    assert_eq!(files(&project), ["opening.snap", "opening.snap.new"]);
    insta::assert_snapshot!("proposed_later", project.read("golden/snapshots/opening.snap.new"));
    assert_eq!(dataset(&project), after, "a proposal changes nothing");

    // The old answer is back, so the proposal is pointless.
    record(&project, &[("opening", "At 9.", "We open at 11.\nCome in!")]);
    eval(&project, "", &[]);
    assert_eq!(files(&project), ["opening.snap"]);
}

#[test]
fn nothing_is_written_where_nobody_would_review_it() {
    let project = with_cases(&[case("opening", json!(true))]);
    record(&project, &[("opening", "At 9.", "At 9.")]);
    for variable in ["CI", "KUBERNETES_SERVICE_HOST"] {
        let ran = eval(&project, "", &[(variable, "true")]);
        assert_ne!(ran.code, 0);
        assert!(files(&project).is_empty());
        assert!(outcome(&project, "opening").starts_with("fail: no approved answer yet"));
    }
    eval(&project, "--snapshots no", &[]);
    eval(&project, "", &[("PROMPTGATE_SNAPSHOTS", "no")]);
    project.write("promptgate.toml", "snapshots = \"no\"\n");
    eval(&project, "", &[]);
    assert!(files(&project).is_empty());
    assert!(!project.file("golden/snapshots").exists());
    eval(&project, "--snapshots write", &[("CI", "true")]);
    assert_eq!(files(&project), ["opening.snap.new"]);
    // What waits for a person is not taken away either.
    accept(&project, "opening");
    project.write("golden/snapshots/opening.snap.new", "---\na: b\n---\nolder\n");
    eval(&project, "", &[("CI", "true")]);
    assert_eq!(outcome(&project, "opening"), "pass: is the approved answer");
    assert_eq!(files(&project), ["opening.snap", "opening.snap.new"]);
}

#[test]
fn hostile_ids_keep_to_their_folder_and_to_themselves() {
    let long = "x".repeat(5_000);
    let ids = [
        "../../escape",
        "a\0b",
        "CASE",
        "case",
        "Case",
        "ä",
        "a\u{308}",
        "con",
        ".",
        "a/b",
        "a\\b",
        "-rf",
        &long,
        "\u{202e}gnp.snap",
        "case.snap.new",
    ];
    let cases: Vec<Value> = ids.iter().map(|id| case(id, json!(true))).collect();
    let project = with_cases(&cases);
    let texts: Vec<String> = (0..ids.len()).map(|i| format!("Answer {i} of all.")).collect();
    let answers: Vec<(&str, &str, &str)> =
        ids.iter().zip(&texts).map(|(id, text)| (*id, "Other.", text.as_str())).collect();
    record(&project, &answers);
    let around = || -> Vec<_> {
        let entries = fs::read_dir(project.path()).unwrap().chain(fs::read_dir(project.file("golden")).unwrap());
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    fs::create_dir(project.file("golden/snapshots")).unwrap();
    fs::create_dir_all(project.file("reports")).unwrap();
    fs::create_dir_all(project.file(".promptgate")).unwrap();
    let before = around();
    eval(&project, "", &[]);
    assert_eq!(around(), before);
    let proposed = files(&project);
    assert_eq!(proposed.len(), ids.len(), "{proposed:?}");
    let folded: std::collections::BTreeSet<String> = proposed.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded.len(), ids.len(), "also where capitals are small letters");
    for name in &proposed {
        assert!(name.is_ascii() && name.len() < 120, "{name}");
        accept(&project, name.strip_suffix(".snap.new").unwrap());
    }
    eval(&project, "", &[]);
    for id in ids {
        assert_eq!(outcome(&project, id), "pass: is the approved answer", "{id:?}");
    }
}

#[test]
fn the_first_differing_repeat_is_proposed() {
    let check = json!({"id": "opening", "vars": {"question": "When?"}, "expect": [
        {"snapshot": true}, {"contains": "nine", "name": "says nine"}, {"length": {"max": 1}, "advisory": true},
    ]});
    let project = with_cases(&[check]);
    project.write("golden/snapshots/opening.snap", "---\nexpression: x\n---\nAt nine.\n");
    record(
        &project,
        &[
            ("opening", "At nine.", "At nine."),
            ("opening", "At nine.", "\u{1b}[31mAt ten."),
            ("opening", "At nine.", "At eleven."),
        ],
    );
    eval(&project, "--repeat 3", &[]);
    insta::assert_snapshot!("proposed_second_repeat", project.read("golden/snapshots/opening.snap.new"));
}

#[test]
fn an_answer_that_is_none_is_not_proposed() {
    let cases = ["blocked", "empty", "only-numbers"].map(|id| case(id, json!({"redact": ["numbers"]})));
    let project = with_cases(&cases);
    let mut rows = Vec::new();
    for (case, text, end) in [("blocked", "I think", "SAFETY"), ("empty", "", "STOP"), ("only-numbers", "42", "STOP")] {
        rows.extend(
            ["v1", "v2"].map(|prompt| json!({"case": case, "prompt": prompt, "text": text, "finish_reason": end})),
        );
    }
    project.write_rows("answers.jsonl", &rows);
    eval(&project, "", &[]);
    assert!(files(&project).is_empty(), "{:?}", files(&project));
    assert_eq!(outcome(&project, "only-numbers"), "fail: the redactions leave nothing of the answer to compare");
}

#[test]
fn approved_answers_that_no_case_asks_for_are_found() {
    let project = with_cases(&[
        case("opening", json!(true)),
        case("CLOSING", json!(true)),
        json!({"id": "other", "vars": {"question": "?"}, "expect": ["x"]}),
    ]);
    record(&project, &[("opening", "a", "b"), ("CLOSING", "a", "b"), ("other", "a", "b")]);
    eval(&project, "", &[]);
    for name in files(&project) {
        accept(&project, name.strip_suffix(".snap.new").unwrap());
    }
    for name in ["other.snap", "renamed.snap", "gone.snap.new"] {
        project.write(&format!("golden/snapshots/{name}"), "---\na: b\n---\nx\n");
    }
    project.write("golden/snapshots/README.md", "");
    let rules = Rules::new(project.path());
    let dataset = dataset::survey(&[project.file("golden")], &rules, &mut |_, _| {}).unwrap();
    let found = commands::unreferenced(project.path(), &dataset, &rules).unwrap();
    let expected = ["gone.snap.new", "other.snap", "renamed.snap"].map(|name| Path::new("golden/snapshots").join(name));
    assert_eq!(found, expected);
}

#[test]
fn a_file_that_is_no_snapshot_is_told_at_its_case() {
    let project = with_cases(&[case("opening", json!(true))]);
    project.write("golden/snapshots/opening.snap", "At nine.");
    record(&project, &[("opening", "At nine.", "At nine.")]);
    let ran = project.run("eval --prompt v2 --baseline v1 --target recorded --answers answers.jsonl").assert_exit(2);
    insta::assert_snapshot!("no_snapshot", ran.transcript());
}

#[test]
fn a_key_is_never_proposed_not_even_in_part() {
    const KEY: &str = "AIzaSy4711secret0815key";
    let project = with_cases(&[case("opening", json!({"redact": ["numbers"]}))]);
    let fake = Fake::start(|_: &Received| Reply::answer(&format!("The key is {KEY}, we open at 9.")));
    let eval = |key: &str| {
        let arguments = format!("eval --prompt v2 --baseline v1 --base-url {}", fake.url);
        let ran = project.run_with(&arguments, &[("GEMINI_API_KEY", key)]);
        assert_ne!(ran.code, 2, "{}", ran.transcript());
    };
    // Stored while another key was in use, so that it was no secret then.
    eval("another-key-0123456789");
    assert!(project.read("golden/snapshots/opening.snap.new").contains("AIzaSy[number]secret"));
    eval(KEY);
    let proposed = project.read("golden/snapshots/opening.snap.new");
    assert!(proposed.ends_with("---\nThe key is ***, we open at [number].\n"), "{proposed}");
    for part in ["AIza", "secret", "4711"] {
        assert!(!proposed.contains(part), "{proposed}");
    }
    // A leak can't be approved: what is shown of it is not what was answered.
    accept(&project, "opening");
    eval(KEY);
    assert!(outcome(&project, "opening").starts_with("fail: is not the approved answer"));
}
