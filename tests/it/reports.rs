//! All reports of one run that holds every kind of outcome and hostile text: snapshots, agreement of their numbers,
//! failures of single reports.

mod fixture;

use fixture::{answer, arm, fail, pass, row, rows, run, verdict};
use insta::assert_snapshot;
use promptgate::domain::{
    Arms, CaseId, CaseRow, Counts, DatasetRecord, Decision, Failure, FailureKind, Outcome, PairCounts, RunInfo, Verdict,
};
use promptgate::internals::report::console::{Console, Style};
use promptgate::internals::report::{FORMATS, OutputDir, Redactor, ReportError, Reports};
use proptest::prelude::*;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const KEY: &str = "AIzaSyD-this_is/a+secret";

/// The reports of the hostile run.
fn written() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let errors = write(dir.path(), &run(), &rows(), &verdict(), Redactor::default());
    assert!(errors.is_empty(), "{errors:?}");
    dir
}

fn write(dir: &Path, run: &RunInfo, rows: &[CaseRow], verdict: &Verdict, redactor: Redactor) -> Vec<ReportError> {
    let mut reports = Reports::open(OutputDir::claim(dir).unwrap(), redactor);
    reports.begin(run);
    for row in rows {
        reports.case(row);
    }
    reports.finish(verdict)
}

fn read(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Shortens the one long line, which has nothing to show in a snapshot.
fn shorten(text: &str) -> String {
    text.replace(&"x".repeat(1024 * 1024), "[a megabyte of x]").replace(&"x".repeat(1024), "")
}

fn console(style: Style) -> String {
    print(style, Redactor::default(), &rows(), &verdict())
}

fn print(style: Style, redactor: Redactor, rows: &[CaseRow], verdict: &Verdict) -> String {
    let mut console = Console::new(style, redactor);
    rows.iter().for_each(|row| console.case(row));
    let mut out = Vec::new();
    console.finish(verdict, 10, Path::new("reports"), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_report_of_a_hostile_run() {
    let dir = written();
    for format in FORMATS {
        assert_snapshot!(format.file, shorten(&read(dir.path(), format.file)));
    }
    assert_snapshot!("console", console(Style::default()));
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let (one, two) = (written(), written());
    for format in FORMATS {
        assert_eq!(read(one.path(), format.file), read(two.path(), format.file));
    }
}

/// The attributes of a tag.
fn attributes(tag: &BytesStart<'_>) -> BTreeMap<String, String> {
    tag.attributes()
        .map(|attribute| {
            let attribute = attribute.unwrap();
            let value = attribute.normalized_value(quick_xml::XmlVersion::Explicit1_0).unwrap();
            (String::from_utf8(attribute.key.as_ref().to_vec()).unwrap(), value.into_owned())
        })
        .collect()
}

/// The counts that the test cases themselves, the suites' heads, and the root claim.
#[derive(Debug, Default)]
struct JunitCounts {
    cases: Counts,
    suites: Counts,
    root: Counts,
    names: BTreeSet<(String, String)>,
}

fn parse_junit(xml: &str) -> JunitCounts {
    let mut found = JunitCounts::default();
    let mut reader = quick_xml::Reader::from_str(xml);
    let number = |attributes: &BTreeMap<String, String>, key: &str| attributes[key].parse::<u64>().unwrap();
    loop {
        let event = reader.read_event().unwrap();
        let (Event::Start(tag) | Event::Empty(tag)) = &event else {
            if event == Event::Eof {
                break;
            }
            continue;
        };
        let attributes = attributes(tag);
        match tag.name().as_ref() {
            b"testsuites" => {
                assert!(!attributes.contains_key("skipped"));
                found.root.cases = number(&attributes, "tests");
                found.root.fail = number(&attributes, "failures");
                found.root.error = number(&attributes, "errors");
            }
            b"testsuite" => {
                found.suites.cases += number(&attributes, "tests");
                found.suites.fail += number(&attributes, "failures");
                found.suites.error += number(&attributes, "errors");
                found.suites.skipped += number(&attributes, "skipped");
            }
            b"testcase" => {
                found.cases.cases += 1;
                assert!(found.names.insert((attributes["classname"].clone(), attributes["name"].clone())));
            }
            b"properties" | b"property" => {}
            b"failure" => found.cases.fail += 1,
            b"error" => found.cases.error += 1,
            b"skipped" => found.cases.skipped += 1,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    found
}

#[test]
fn all_reports_tell_the_same_numbers() {
    let dir = written();
    let counts = verdict().counts;

    let json: Value = serde_json::from_str(&read(dir.path(), "verdict.json")).unwrap();
    assert_eq!(json["counts"], serde_json::to_value(counts).unwrap());

    let junit = parse_junit(&read(dir.path(), "junit.xml"));
    let passes = |found: &Counts| found.cases - found.fail - found.error - found.skipped;
    assert_eq!(junit.names.len() as u64, counts.cases);
    assert_eq!(Counts { pass: passes(&junit.cases), ..junit.cases }, counts);
    assert_eq!(Counts { pass: passes(&junit.suites), ..junit.suites }, counts);
    assert_eq!((junit.root.cases, junit.root.fail, junit.root.error), (counts.cases, counts.fail, counts.error));

    let text = read(dir.path(), "results.jsonl");
    let mut outcomes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        if row["arm"] == "candidate" {
            let outcome = row["outcome"].as_str().unwrap().to_owned();
            outcomes.entry(row["case"].as_str().unwrap().to_owned()).or_default().insert(outcome);
        }
    }
    let with = |outcome: &str, without: &[&str]| {
        outcomes
            .values()
            .filter(|seen| seen.contains(outcome) && without.iter().all(|other| !seen.contains(*other)))
            .count() as u64
    };
    assert_eq!(outcomes.len() as u64, counts.cases);
    assert_eq!(with("fail", &[]), counts.fail);
    assert_eq!(with("error", &["fail"]), counts.error);
    assert_eq!(with("skipped", &["fail", "error"]), counts.skipped);
    assert_eq!(with("pass", &["fail", "error", "skipped"]), counts.pass);

    let summary = read(dir.path(), "summary.md");
    assert!(summary.contains("\n| 11 | 3 | 4 | 2 | 2 |\n"), "{summary}");
}

#[test]
fn rows_stand_in_plan_order_and_keep_hostile_text() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows();
    write(dir.path(), &run(), &rows, &verdict(), Redactor::default());
    let text = read(dir.path(), "results.jsonl");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut expected = Vec::new();
    for row in &rows {
        for repeat in 1..=2 {
            for arm in ["baseline", "candidate"] {
                expected.push(json!([row.case.id.as_str(), arm, repeat]));
            }
        }
    }
    let seen: Vec<_> = lines.iter().map(|row| json!([row["case"], row["arm"], row["repeat"]])).collect();
    assert_eq!(seen, expected);
    let hostile = &rows[1].candidate.repeats[0].answer.as_ref().unwrap().text;
    assert_eq!(lines[5]["answer"]["text"], json!(hostile));
}

#[test]
fn no_report_carries_what_acts_on_its_reader() {
    let dir = written();
    let texts = FORMATS.iter().map(|format| (format.file, read(dir.path(), format.file)));
    for (name, text) in texts.chain([("console", console(Style::default()))]) {
        // A test's name is the case's id to the letter, for those who match by it.
        let text = match name {
            "junit.xml" => text.replace("name=\"better\u{202e}\"", "name=\"\""),
            _ => text,
        };
        let acts = |c: char| (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.contains(acts), "{name}");
        for line in text.lines() {
            assert!(!line.trim_start().starts_with("::") && !line.contains("##["), "{name}: {line}");
        }
    }

    for line in outside_fences(&read(dir.path(), "diff.md")) {
        let unescaped = line.replace("\\](", "");
        assert!(!line.contains("@everyone") && !unescaped.contains("]("), "{line}");
        assert!(!line.contains("# not a heading") || line.starts_with("- "), "{line}");
    }
}

/// The lines of a Markdown text that are not inside a fenced block.
fn outside_fences(text: &str) -> Vec<&str> {
    let mut fence: Option<&str> = None;
    let mut outside = Vec::new();
    for line in text.lines() {
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => outside.push(line),
        }
    }
    assert_eq!(fence, None, "a fence is open at the end");
    outside
}

#[test]
fn a_secret_appears_in_no_report() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = rows();
    let told = format!("the key is {KEY}, in a URL AIzaSyD-this_is%2Fa%2Bsecret");
    rows[0].candidate.repeats[1].answer = Some(answer(&told));
    rows[1].case.id = CaseId::new(format!("id {KEY}"));
    rows[1].case.checks[0].args = json!({"value": KEY, "ignore_case": true});
    rows[1].case.tags = vec![KEY.into()];
    rows[7].candidate.repeats[1].outcome = Outcome::Errored(Failure {
        kind: FailureKind::Auth,
        code: "http_401".into(),
        // The cut of a long message falls into the second key.
        message: format!("{KEY} {} {KEY}", "x".repeat(270)),
    });
    let mut run = run();
    run.target = format!("https://host/?key={KEY}");
    let mut verdict = verdict();
    verdict.target.clone_from(&run.target);
    verdict.reasons[0].message = format!("failed: {KEY}");
    verdict.candidate.path = format!("prompts/{KEY}.prompt");
    let errors = write(dir.path(), &run, &rows, &verdict, Redactor::new([KEY]));
    assert!(errors.is_empty(), "{errors:?}");
    let printed = print(Style::default(), Redactor::new([KEY]), &rows, &verdict);
    let texts = FORMATS.iter().map(|format| (format.file, read(dir.path(), format.file)));
    for (name, text) in texts.chain([("console", printed)]) {
        assert!(!text.contains("AIzaSyD") && !text.contains("secret"), "{name}");
        assert!(text.contains("***") || text.contains("\\*\\*\\*"), "{name}");
    }
}

#[test]
fn a_report_that_fails_stops_no_other_and_spoils_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let verdict = Verdict { decision: Decision::Promote, exit_code: 0, ..verdict() };
    let mut reports = Reports::open(OutputDir::claim(dir.path()).unwrap(), Redactor::default());
    reports.begin(&run());
    rows().iter().for_each(|row| reports.case(row));
    // A folder that is in the way can't be replaced by a file.
    fs::create_dir_all(dir.path().join("summary.md/x")).unwrap();
    let errors = reports.finish(&verdict);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].to_string().contains("summary.md"), "{}", errors[0]);
    for file in ["junit.xml", "diff.md", "results.jsonl"] {
        assert!(dir.path().join(file).is_file(), "{file}");
    }
    let json: Value = serde_json::from_str(&read(dir.path(), "verdict.json")).unwrap();
    assert_eq!((&json["decision"], &json["exit_code"]), (&json!("promote"), &json!(12)));
}

#[test]
fn a_folder_that_vanishes_fails_every_report_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reports");
    let mut reports = Reports::open(OutputDir::claim(&path).unwrap(), Redactor::default());
    reports.begin(&run());
    fs::remove_dir_all(&path).unwrap();
    rows().iter().for_each(|row| reports.case(row));
    let errors = reports.finish(&verdict());
    assert_eq!(errors.len(), FORMATS.len(), "{errors:?}");
}

#[test]
fn a_run_that_ends_badly_leaves_no_output() {
    let dir = tempfile::tempdir().unwrap();
    let stale = "{\"schema\": \"promptgate.verdict/1\", \"promotable\": true}";
    fs::write(dir.path().join("verdict.json"), stale).unwrap();
    let mut reports = Reports::open(OutputDir::claim(dir.path()).unwrap(), Redactor::default());
    assert!(!dir.path().join("verdict.json").exists(), "a stale verdict survived");
    reports.begin(&run());
    rows().iter().for_each(|row| reports.case(row));
    drop(reports);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".promptgate.lock"]);
}

#[test]
fn a_verdict_that_miscounts_is_not_promotable() {
    let dir = tempfile::tempdir().unwrap();
    let promote = Verdict { decision: Decision::Promote, exit_code: 0, promotable: true, ..verdict() };
    let errors = write(dir.path(), &run(), &rows()[1..], &promote, Redactor::default());
    assert!(matches!(errors[..], [ReportError::Disagreement { .. }]), "{errors:?}");
    let json: Value = serde_json::from_str(&read(dir.path(), "verdict.json")).unwrap();
    assert_eq!((&json["promotable"], &json["exit_code"]), (&json!(false), &json!(12)));
}

#[test]
fn without_a_baseline_the_failing_cases_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunInfo { baseline: None, promotion: None, simulated: false, total: 11, ..run() };
    let verdict = Verdict {
        baseline: None,
        promotion: None,
        simulated: false,
        dataset: DatasetRecord { total: 11, ..verdict().dataset },
        rates: Arms { baseline: None, ..verdict().rates },
        difference: None,
        z: None,
        paired: PairCounts::default(),
        slices: vec![],
        guardrails: vec![],
        ..verdict()
    };
    let rows: Vec<_> = rows().into_iter().map(|row| CaseRow { baseline: None, ..row }).collect();
    let errors = write(dir.path(), &run, &rows, &verdict, Redactor::default());
    assert!(errors.is_empty(), "{errors:?}");
    assert_snapshot!("diff_alone", shorten(&read(dir.path(), "diff.md")));
    assert_snapshot!("summary_alone", read(dir.path(), "summary.md"));
}

#[test]
fn big_runs_stay_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = Vec::new();
    for i in 0..2_500 {
        let text = format!("answer {i} ").repeat(20);
        rows.push(row(
            &format!("case-{i}"),
            if i < 2_100 { "many" } else { "rest" },
            i,
            arm([pass("30 days")]),
            arm([fail(&text, &text)]),
        ));
    }
    let counts = Counts { cases: 2_500, fail: 2_500, ..Counts::default() };
    let errors = write(dir.path(), &run(), &rows, &Verdict { counts, ..verdict() }, Redactor::default());
    assert!(errors.is_empty(), "{errors:?}");
    let junit = parse_junit(&read(dir.path(), "junit.xml"));
    assert_eq!((junit.cases.fail, junit.suites.fail, junit.root.fail), (2_500, 2_500, 2_500));
    let diff = read(dir.path(), "diff.md");
    assert_eq!(diff.matches("\n### ").count(), 500);
    assert!(diff.contains("\n## Regressed (2500)\n") && diff.ends_with("… and 2000 more cases, in results.jsonl.\n\n"));
    let summary = read(dir.path(), "summary.md");
    assert!(summary.len() < 60_000 && summary.contains("- … and 2480 more, see diff.md"), "{summary}");
}

#[test]
fn the_last_line_is_for_machines() {
    assert_eq!(console(Style { color: false, quiet: true }), "verdict=block exit=10\n");
    let colored = console(Style { color: true, quiet: false });
    assert!(
        colored.starts_with("\u{1b}[1;31mv2 must not go live: ")
            && colored.contains("\n\u{1b}[1;33mPARTIAL\u{1b}[0m: "),
        "{colored}"
    );
    assert!(colored.ends_with("\nverdict=block exit=10\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn any_text_makes_sound_reports(
        text in "(\\PC|[\\x00-\\x20\\x7f-\\u{a0}&<>`@|\"']|\\]\\]>|\n::error::|##\\[|```|\u{202e}|\u{fffe}){0,80}",
        latency in any::<u64>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut row = row(&text, &text, 1, arm([pass(&text), pass("x")]), arm([fail(&text, &text), fail("y", &text)]));
        row.case.tags = vec![text.clone()];
        row.case.checks[0].args = Value::from(text.as_str());
        row.candidate.repeats.iter_mut().filter_map(|judged| judged.answer.as_mut()).for_each(|answer| answer.latency_ms = latency);
        let counts = Counts { cases: 1, fail: 1, ..Counts::default() };
        let errors = write(dir.path(), &run(), &[row], &Verdict { counts, ..verdict() }, Redactor::default());
        prop_assert!(errors.is_empty(), "{errors:?}");

        let junit = parse_junit(&read(dir.path(), "junit.xml"));
        prop_assert_eq!((junit.cases.cases, junit.cases.fail), (1, 1));
        let rows = read(dir.path(), "results.jsonl");
        let first: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
        prop_assert_eq!(first["answer"]["text"].as_str(), Some(text.as_str()));
        for file in ["diff.md", "summary.md"] {
            for line in outside_fences(&read(dir.path(), file)) {
                prop_assert!(!line.trim_start().starts_with("::") && !line.contains("##["), "{file}: {line}");
            }
        }
    }
}
