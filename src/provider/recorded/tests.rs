//! Rows in, answers or mistakes out.

use super::*;
use crate::domain::fixtures;
use std::fs;

fn names(baseline: &[&str], candidate: &[&str]) -> ArmNames {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    ArmNames { baseline: owned(baseline), candidate: owned(candidate) }
}

/// Writes files `0.jsonl`, `1.jsonl`, .. and opens them.
fn open(folder: &tempfile::TempDir, files: &[&[u8]], names: ArmNames) -> Result<Recorded, String> {
    let paths: Vec<PathBuf> = files
        .iter()
        .enumerate()
        .map(|(number, bytes)| {
            let path = folder.path().join(format!("{number}.jsonl"));
            fs::write(&path, bytes).unwrap();
            path
        })
        .collect();
    let prefix = format!("{}/", folder.path().display());
    Recorded::open(&paths, names).map_err(|problems| problems.to_string().replace(&prefix, ""))
}

fn opened(text: &str, names: ArmNames) -> Result<Recorded, String> {
    open(&tempfile::tempdir().unwrap(), &[text.as_bytes()], names)
}

fn job(case: &str, arm: Arm, repeat: u32) -> Job {
    Job { arm, repeat, ..fixtures::job(case) }
}

/// The answer's text, or the failure's code.
fn text(recorded: &Recorded, case: &str, arm: Arm, repeat: u32) -> String {
    match recorded.look_up(&job(case, arm, repeat)) {
        Ok(answer) => answer.text,
        Err(error) => error.failure().code,
    }
}

#[test]
fn rows_are_found_by_case_prompt_and_repeat() {
    let rows = concat!(
        "\u{feff}{\"case\":\"a\",\"prompt\":\"v2\",\"text\":\"first\"}\r\n",
        "\n",
        "  {\"case\":\"a\",\"prompt\":\"v1\",\"text\":\"blue\"}\n",
        "{\"case\":\"a\",\"prompt\":\"v2\",\"text\":\"second\"}\n",
        "{\"case\":\"a\",\"prompt\":\"v2\",\"repeat\":7,\"text\":\"\\u00e9 seventh\"}\n",
        "{\"case\":18,\"prompt\":\"v2\",\"text\":\"an integer\"}\n",
        "{\"case\":\"a\",\"prompt\":\"v3\",\"text\":\"nobody's\"}"
    );
    let recorded = opened(rows, names(&["v1"], &["prompts/v2.prompt", "v2"])).unwrap();
    assert_eq!(recorded.index.len(), 5);
    assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "first");
    assert_eq!(text(&recorded, "a", Arm::Candidate, 2), "second");
    assert_eq!(text(&recorded, "a", Arm::Candidate, 7), "é seventh");
    assert_eq!(text(&recorded, "18", Arm::Candidate, 1), "an integer");
    assert_eq!(text(&recorded, "a", Arm::Baseline, 1), "blue");
    assert_eq!(text(&recorded, "a", Arm::Baseline, 2), "no_recorded_answer");
    assert_eq!(text(&recorded, "b", Arm::Candidate, 1), "no_recorded_answer");
}

#[test]
fn a_missing_answer_says_what_was_looked_for() {
    let recorded = opened("", names(&[], &["prompts/v2.prompt", "v2"])).unwrap();
    assert!(recorded.index.is_empty());
    let error = recorded.look_up(&job("a", Arm::Candidate, 3)).unwrap_err();
    assert_eq!(error.retry(), Retry::Never);
    assert_eq!(error.failure().kind, FailureKind::Missing);
    assert_eq!(
        error.failure().message,
        "no recorded answer for case `a`, prompt `prompts/v2.prompt` or `v2`, repeat 3"
    );
}

#[test]
fn all_fields_of_a_row_reach_the_answer() {
    let row = r#"{"case":"a","prompt":"v","text":"","tool_calls":[{"name":"f","args":{"x":1}}],"finish_reason":"MAX_TOKENS","latency_ms":12,"usage":{"prompt":1,"cached":2,"output":3,"thinking":4,"total":8}}"#;
    let recorded = opened(row, names(&[], &["v"])).unwrap();
    let answer = recorded.look_up(&job("a", Arm::Candidate, 1)).unwrap();
    assert_eq!(answer.tool_calls.len(), 1);
    assert_eq!(answer.finish_reason.as_deref(), Some("MAX_TOKENS"));
    assert_eq!((answer.latency_ms, answer.usage.prompt, answer.usage.total), (12, 1, 8));
}

#[test]
fn a_finish_reason_is_complete_when_absent_and_unknown_when_null() {
    let reason = |field: &str| {
        let row = format!(r#"{{"case":"a","prompt":"v","text":"t"{field}}}"#);
        let recorded = opened(&row, names(&[], &["v"])).unwrap();
        let answer = recorded.look_up(&job("a", Arm::Candidate, 1)).unwrap();
        (answer.finish(), answer.finish_word().map(str::to_owned))
    };
    let stop = Some("STOP".to_owned());
    assert_eq!(reason(""), (Finish::Complete, stop));
    assert_eq!(reason(r#","finish_reason":null"#), (Finish::Unknown, None));
    assert_eq!(reason(r#","finish_reason":"SAFETY""#).0, Finish::Blocked);
}

#[test]
fn one_arm_never_answers_for_the_other() {
    let rows = r#"{"case":"a","prompt":"v2","text":"green"}"#;
    let recorded = opened(rows, names(&["git:main:v2", "v2"], &["v2"])).unwrap();
    assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "green");
    assert_eq!(text(&recorded, "a", Arm::Baseline, 1), "no_recorded_answer");
    let recorded = opened(rows, names(&["old/v2.prompt", "v2"], &["new/v2.prompt", "v2"])).unwrap();
    assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "no_recorded_answer");
    assert_eq!(text(&recorded, "a", Arm::Baseline, 1), "no_recorded_answer");
    let same_prompt_twice = opened(rows, names(&["v2"], &["v2"])).unwrap();
    assert_eq!(text(&same_prompt_twice, "a", Arm::Baseline, 1), "green");
}

#[test]
fn mistakes_are_all_told_with_their_places() {
    let rows = concat!(
        "{\"case\":\"a\",\"prompt\":\"v\",\"text\":\"ok\",\"repeat\":1}\n",
        "{\"case\":\"a\",\"prompt\":\"v\",\"text\":\"again\"}\n",
        "{\"case\":\"ü\",\"promt\":\"v\",\"text\":\"x\"}\n",
        "{\"case\":\"a\",\"prompt\":\"other\",\"text\":5}\n",
        "[\"a\",\"v\",1,\"x\"]\n",
        "{\"case\":\"a\",\"prompt\":\"v\",\"text\":\"x\",\"repeat\":0}\n",
        "{\"case\":\"a\",\"prompt\":\"v\"}\n",
        "{\"case\":true,\"prompt\":\"v\",\"text\":\"x\"}\n",
        "{\"case\":\"a\",\"prompt\":\"v\",\"text\":\"x\",\"text\":\"y\"}\n",
        "{\"case\":\"a\",\"prompt\":\"v\",\"text\":\"x\"} {}\n",
        "{\"case\":\"a\",\"prompt\":\"v\",\"te"
    );
    let problems = opened(rows, names(&[], &["v"])).unwrap_err();
    let without_form: Vec<&str> = problems.lines().filter(|line| !line.contains("expected: {")).collect();
    insta::assert_snapshot!(without_form.join("\n"));
}

#[test]
fn bytes_that_are_no_text_and_files_that_are_not_there_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let problems = open(&folder, &[b"{\"case\":\"\xff\",\"prompt\":\"v\",\"text\":\"\"}"], names(&[], &["v"]));
    assert!(problems.unwrap_err().starts_with("0.jsonl:1:"));
    let problems = Recorded::open(&[folder.path().join("none.jsonl")], ArmNames::default()).unwrap_err();
    assert!(problems.to_string().contains("none.jsonl: recorded answers can't be read"), "{problems}");
}

#[test]
fn the_same_answer_in_two_files_is_a_mistake() {
    let row: &[u8] = br#"{"case":"a","prompt":"v","repeat":1,"text":"x"}"#;
    let problems = open(&tempfile::tempdir().unwrap(), &[row, row], names(&[], &["v"])).unwrap_err();
    insta::assert_snapshot!(problems, @r"
    1.jsonl:1:1: a second answer for case `a`, prompt `v`, repeat 1
      help: the first one stands in 0.jsonl:1
    ");
}

#[test]
fn rows_without_repeat_count_on_over_files() {
    let row = |text: &str| format!(r#"{{"case":"a","prompt":"v","text":"{text}"}}"#).into_bytes();
    let folder = tempfile::tempdir().unwrap();
    let recorded = open(&folder, &[&row("one"), &row("two")], names(&[], &["v"])).unwrap();
    assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "one");
    assert_eq!(text(&recorded, "a", Arm::Candidate, 2), "two");
}

#[test]
fn bytes_that_changed_after_the_check_are_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let row: &[u8] = br#"{"case":"a","prompt":"v","text":"good"}"#;
    let path = folder.path().join("0.jsonl");
    let recorded = open(&folder, &[row], names(&[], &["v"])).unwrap();
    fs::write(&path, String::from_utf8_lossy(row).replace("good", "evil")).unwrap();
    assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "recorded_answer_changed");
    fs::write(&path, "").unwrap();
    assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "recorded_answer_changed");
    fs::write(&path, row).unwrap();
    assert_eq!(text(&recorded, "a", Arm::Candidate, 1), "good");
}

#[test]
fn an_index_entry_stays_small() {
    assert!(size_of::<(RowKey, RowPlace)>() <= 48);
}
