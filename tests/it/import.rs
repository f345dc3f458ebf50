//! Golden data of other tools, imported by the binary: what is written, what is listed, and what comes of it.

use crate::support::project::{Project, Run};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A project with the files of a folder or file of fixtures in `source/`.
fn project(fixture: &str) -> Project {
    let project = Project::empty();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/import").join(fixture);
    let files = match root.is_dir() {
        true => fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect(),
        false => vec![root],
    };
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        project.write(&format!("source/{name}"), fs::read(&file).unwrap());
    }
    fs::create_dir(project.file("golden")).unwrap();
    project
}

fn import(project: &Project, source: &str, more: &str) -> Run {
    let source = format!("source/{source}");
    project.run(&format!("golden import {source} --to golden/imported.yaml {more}"))
}

const PROMPT: &str =
    "---\nmodel: gemini-3.8-flash\n---\n{{role \"system\"}}Answer.{{history}}{{role \"user\"}}{{question}}\n";

/// What is told and what is written, with whatever has no equivalent left out.
fn partial(project: &Project, source: &str, more: &str) -> String {
    let ran = import(project, source, &format!("--allow-partial {more}")).assert_exit(0);
    format!("{}--- golden/imported.yaml\n{}", ran.transcript(), project.read("golden/imported.yaml"))
}

#[test]
fn files_of_other_tools_are_imported() {
    let map = "--map Ref=id Question=question Answer=expect:contains Labels=tags";
    for (snapshot, fixture, file, more) in [
        ("import_promptfoo", "promptfoo", "promptfooconfig.yaml", ""),
        ("import_promptfoo_csv", "promptfoo", "more.csv", ""),
        ("import_adk", "adk", "shop.evalset.json", ""),
        ("import_openai", "evals.jsonl", "evals.jsonl", "--check starts_with --var question"),
        ("import_inspect", "samples.json", "samples.json", "--check contains --ignore-case"),
        ("import_csv", "table.csv", "table.csv", map),
    ] {
        insta::assert_snapshot!(snapshot, partial(&project(fixture), file, more));
    }
}

#[test]
fn evalsets_of_older_generations() {
    let project = project("adk_old");
    let sessions = import(&project, "sessions.json", "").assert_exit(0);
    let written = project.read("golden/imported.yaml");
    let turns = partial(&project, "turns.test.json", "--force");
    insta::assert_snapshot!(
        "import_adk_old",
        format!("{}--- golden/imported.yaml\n{written}\n{turns}", sessions.transcript())
    );
}

/// What an answer is worth to the tool that a case comes from, to promptgate, and why where these differ.
struct Expected {
    case: &'static str,
    answer: Value,
    tool: &'static str,
    ours: &'static str,
    because: &'static str,
}

fn same(case: &'static str, answer: Value, outcome: &'static str) -> Expected {
    Expected { case, answer, tool: outcome, ours: outcome, because: "" }
}

fn other(case: &'static str, answer: Value, tool: &'static str, ours: &'static str, because: &'static str) -> Expected {
    Expected { case, answer, tool, ours, because }
}

fn says(text: &str) -> Value {
    json!({ "text": text })
}

/// Runs every case of the table over its recorded answer, each row in a run of its own arm: the table's first answer to a
/// case is the baseline's, the second one the candidate's.
fn judge(project: &Project, table: &[Expected]) {
    project.write("prompts/v1.prompt", PROMPT);
    project.write("prompts/v2.prompt", PROMPT.replace("Answer", "Please answer"));
    let arms = |row: usize| {
        let before = table[..row].iter().filter(|other| other.case == table[row].case).count();
        ["v1", "v2"][before]
    };
    let mut lines = Vec::new();
    for (index, row) in table.iter().enumerate() {
        assert_eq!(row.tool == row.ours, row.because.is_empty(), "{}: a difference needs a reason", row.case);
        let mut line = json!({"case": row.case, "prompt": arms(index), "text": ""});
        line.as_object_mut().unwrap().extend(row.answer.as_object().unwrap().clone());
        lines.push(line);
    }
    project.write_rows("answers.jsonl", &lines);
    let ran = project.eval_recorded("");
    assert_ne!(ran.code, 2, "{}", ran.transcript());
    let results = project.results();
    let mut wrong = Vec::new();
    for (index, row) in table.iter().enumerate() {
        let arm = ["baseline", "candidate"][usize::from(arms(index) == "v2")];
        let result = results.iter().find(|result| result["case"] == row.case && result["arm"] == arm);
        let outcome = result.map_or(Value::Null, |result| result["outcome"].clone());
        if outcome != row.ours {
            wrong.push(format!("{} {}: {outcome}, not {}: {result:?}", row.case, row.answer, row.ours));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn imported_promptfoo_tests_judge_as_promptfoo_does() {
    let project = project("promptfoo");
    import(&project, "promptfooconfig.yaml", "--allow-partial").assert_exit(0);
    let cut = json!({"text": "From nine", "finish_reason": "MAX_TOKENS"});
    judge(
        &project,
        &[
            same("refund period", says("Stop reading: 30 days."), "pass"),
            same("refund period", says("You have 30 days, stupid."), "fail"),
            same("delivery to all", says("Yes, to NORWAY."), "pass"),
            same("delivery to all", says("I don't know about Norway."), "fail"),
            // A threshold of 0.5 over four assertions, one of them that of every test.
            same("test-3", says("It is free."), "pass"),
            same("test-3", says("That is stupid: 4.95"), "fail"),
            same("as JSON", says(" {\"id\": 7}\n"), "pass"),
            same("as JSON", says("```json\n{\"id\": 7}\n```"), "fail"),
            same("partly judged", says("Points expired after 24 months."), "pass"),
            other(
                "partly judged",
                says("Points expire qqqqr 24 months."),
                "pass",
                "fail",
                "four letters are replaced, which `similarity` counts against a shorter text than four added ones",
            ),
            same("opening hours", says("From Nine"), "pass"),
            other("opening hours", cut, "pass", "fail", "an answer that was cut off never passes here"),
            same("test-8", says("4"), "pass"),
            same("test-8", says("4."), "fail"),
            // A slip in promptfoo's mini-language is a literal text, here too.
            same("greeting", says("contians: hello"), "pass"),
            same("greeting", says("hello"), "fail"),
        ],
    );
}

#[test]
fn imported_evalsets_judge_as_the_kit_does() {
    let project = project("adk");
    import(&project, "shop.evalset.json", "--allow-partial --var question").assert_exit(0);
    let find = |id: Value| json!({"name": "find_order", "args": {"id": id}});
    let refund = json!({"name": "refund", "args": {"reason": {"value": "too small"}, "id": 7}});
    let delivered = "Order 7 was delivered on Monday.";
    judge(
        &project,
        &[
            // In order: further calls may stand between.
            same(
                "find_and_refund-turn-1",
                json!({"text": delivered, "tool_calls": [{"name": "log", "args": {}}, find(json!(7.0))]}),
                "pass",
            ),
            same("find_and_refund-turn-1", json!({"text": delivered, "tool_calls": [find(json!(8))]}), "fail"),
            same(
                "find_and_refund-turn-2",
                json!({"text": "I have refunded order 7!", "tool_calls": [find(json!(7)), refund.clone()]}),
                "pass",
            ),
            // The kit compares stems: refund, order.
            same(
                "find_and_refund-turn-2",
                json!({"text": "I refund orders 7", "tool_calls": [find(json!(7)), refund]}),
                "pass",
            ),
            same("small_talk", says("Hello! How can I help you?"), "pass"),
            same("small_talk", says("What do you want?"), "fail"),
        ],
    );
}

#[test]
fn nothing_is_written_where_something_has_no_equivalent() {
    let project = project("promptfoo");
    import(&project, "promptfooconfig.yaml", "")
        .assert_exit(2)
        .assert_stderr("error: source/promptfooconfig.yaml:76:9: tests[4].assert[0]: no equivalent: `javascript`")
        .assert_stderr("--allow-partial");
    let left: Vec<_> = fs::read_dir(project.file("golden")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_existing_file_is_replaced_only_on_demand_and_always_by_the_same_bytes() {
    let project = project("adk_old");
    import(&project, "sessions.json", "").assert_exit(0);
    let first = project.read("golden/imported.yaml");
    project.write("golden/imported.yaml", "# mine\n");
    let ran = import(&project, "sessions.json", "").assert_exit(2);
    assert_eq!(project.read("golden/imported.yaml"), "# mine\n");
    assert_eq!(ran.stderr, "error: golden/imported.yaml: there is such a file already\n  help: --force replaces it\n");
    import(&project, "sessions.json", "--force").assert_exit(0);
    assert_eq!(project.read("golden/imported.yaml"), first);
}

#[test]
fn hostile_sources_reach_nothing_and_fill_nothing() {
    let project = Project::empty();
    fs::create_dir(project.file("golden")).unwrap();
    project.write("secret.yaml", "- vars: {question: secret}\n  assert: [{type: equals, value: secret}]\n");
    project.write("secret.txt", "secret");
    let far = project.file("secret.txt");
    project.write(
        "source/a.yaml",
        format!(
            "tests:\n- file://../secret.yaml\n- vars: {{q: file://../secret.txt}}\n  assert: [{{type: equals, value: a}}]\n\
             - vars: {{q: a}}\n  assert: [{{type: equals, value: \"file://{}\"}}]\n\
             - vars: {{q: \"a\\u202e\\u001b[31m\"}}\n  description: \"x\\u202e\\ny\"\n  assert: [{{type: equals, value: \"\\u2028#\"}}]\n",
            far.display()
        ),
    );
    let ran = import(&project, "a.yaml", "--allow-partial");
    let written = project.read("golden/imported.yaml");
    let written = written.replace(&*project.path().to_string_lossy(), "[PROJECT]");
    insta::assert_snapshot!("import_hostile", format!("{}---\n{written}", ran.transcript()));

    // A million cases out of a few lines, and a text that doubles.
    let list = format!("[{}]", vec!["a"; 22].join(", "));
    project.write(
        "source/b.yaml",
        format!("tests:\n- vars: {{a: {list}, b: {list}, c: {list}}}\n  assert: [{{type: equals, value: a}}]\n"),
    );
    import(&project, "b.yaml", "--force --allow-partial")
        .assert_exit(2)
        .assert_stderr("stand for more than 10000 cases");
    let long = "x".repeat(900_000);
    let tests = "- vars: {q: a}\n  assert: [{type: equals, value: a}]\n".repeat(100);
    project.write("source/c.yaml", format!("defaultTest: {{vars: {{long: {long}}}}}\ntests:\n{tests}"));
    import(&project, "c.yaml", "--force").assert_exit(2).assert_stderr("more than 64 MiB");
}

#[test]
fn the_options_are_explained() {
    let ran = Project::empty().run("golden import --help").assert_exit(0);
    insta::assert_snapshot!("import_help", ran.stdout);
}

#[test]
fn mistakes_are_told_with_their_place() {
    let project = project("samples.json");
    project.write("source/broken.yaml", "tests:\n  - vars: {a: 1\n");
    project.write("source/other.yaml", "colour: red\n");
    project.write("source/t.csv", "a,b\n1,2\n");
    project.write("source/x.json", "{\"eval_cases\": [{\"eval_id\": \"e\", \"eval_id\": \"f\"}]}");
    let mut told = String::new();
    for (source, more) in [
        ("broken.yaml", ""),
        ("other.yaml", ""),
        ("missing.yaml", ""),
        ("t.csv", ""),
        ("t.csv", "--map c=id"),
        ("t.csv", "--map a=expect:contians"),
        ("t.csv", "--map a=id b=id"),
        ("x.json", ""),
        ("samples.json", ""),
        ("samples.json", "--ignore-case --check exactly"),
        ("samples.json", "--from promptfo"),
        ("samples.json", "--check equals --map input=question"),
    ] {
        let ran = import(&project, source, more).assert_exit(2);
        told += &format!("{source} {more}\n{}\n", ran.stderr);
    }
    insta::assert_snapshot!("import_mistakes", told);
}
