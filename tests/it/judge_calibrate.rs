//! `judge calibrate`: judges against people's labels, and what the gate makes of it.

use crate::support::fake::{Fake, Received, Reply};
use crate::support::project::{KEY, Project, Run, judge_at};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const FILE: &str = "judge-calibration.json";

/// How many labels of each kind a project has, one good and one bad one a case.
const LABELS: usize = 40;

/// A project whose answers are recorded and whose judge is this server: `cases` cases that come out alike, and labels on the
/// first of them: `good N` passes, `bad N` does not.
fn project(judge: &Fake, cases: usize, labels: usize) -> Project {
    let project = Project::with_cases(1);
    let row = |i: usize| {
        let mut row = json!({
            "id": format!("case-{i:03}"),
            "vars": {"question": format!("Number {i}?")},
            "expect": [{"judge": "It helps."}],
        });
        if i < labels {
            row["tags"] = json!(["labelled"]);
            row["labels"] = json!([
                {"answer": format!("good {i}"), "pass": true},
                {"answer": format!("bad {i}"), "pass": false},
            ]);
        }
        row
    };
    project.write_cases(&(0..cases).map(row).collect::<Vec<_>>());
    let answer = |i: usize, prompt| (format!("case-{i:03}"), prompt, format!("fine {i}"));
    project.record((0..cases).flat_map(|i| ["v1", "v2"].map(|prompt| answer(i, prompt))));
    project.write("promptgate.toml", judge_at(&judge.url));
    project
}

fn calibrate(project: &Project, more: &str) -> Run {
    project.run_with_key(&format!("judge calibrate {more}"))
}

fn judged(request: &Received) -> String {
    let body = request.json();
    let asked = body["contents"][0]["parts"][0]["text"].as_str().unwrap().to_owned();
    let answer = asked.split_once("<answer-").unwrap().1;
    answer.lines().nth(1).unwrap().to_owned()
}

fn says(pass: bool) -> Reply {
    Reply::answer(&json!({"reason": "because", "pass": pass}).to_string())
}

fn number(answer: &str) -> usize {
    answer.rsplit(' ').next().unwrap().parse().unwrap()
}

/// A judge that is wrong about the first `wrong` good and the first `wrong` bad answers.
fn wrong_about(wrong: usize) -> Fake {
    Fake::start(move |request| {
        let answer = judged(request);
        let right = !answer.starts_with("bad");
        let errs = !answer.starts_with("fine") && number(&answer) < wrong;
        says(right != errs)
    })
}

#[test]
fn a_judge_is_held_against_labels_and_the_file_is_the_same_each_time() {
    let judge = wrong_about(2);
    let project = project(&judge, 120, LABELS);
    let ran = calibrate(&project, "").assert_exit(0);
    assert_eq!(judge.count(), 2 * LABELS, "only labels are asked about");
    insta::assert_snapshot!("judge_calibrate", ran.transcript());
    let file: Value = serde_json::from_str(&project.read(FILE)).unwrap();
    let entry = &file["judges"][0];
    assert_eq!(entry["judge"], "default");
    assert_eq!(
        entry["counts"],
        json!({"true_pass": 38, "false_fail": 2, "true_fail": 38, "false_pass": 2, "errors": 0})
    );
    for digest in ["prompt_sha256", "judge_sha256", "labels_sha256"] {
        assert_eq!(entry[digest].as_str().unwrap().len(), 64, "{digest}");
    }
    assert!(!project.read(FILE).contains(KEY) && !project.read(FILE).contains("127.0.0.1"));

    let before = project.read(FILE);
    calibrate(&project, "--cache only").assert_exit(0);
    assert_eq!(judge.count(), 2 * LABELS, "replies are stored");
    assert_eq!(project.read(FILE), before);

    let machine = calibrate(&project, "--json");
    let document: Value = serde_json::from_str(&machine.stdout).unwrap();
    assert_eq!(document["schema"], "promptgate.calibrated/1");
    assert_eq!(document["judges"][0]["sensitivity"]["share"], 0.95);
    assert_eq!(document["judges"][0]["disagreements"].as_array().unwrap().len(), 4);
    assert_eq!(document["written"], FILE);
}

#[test]
fn the_gate_scales_its_margins_by_what_is_known_of_the_judge() {
    let judge = wrong_about(2);
    let project = project(&judge, 120, LABELS);
    let plain = project.eval_recorded("").assert_exit(0);
    let verdict = project.verdict();
    assert_eq!(verdict["warnings"][0]["code"], "judge_uncalibrated");
    assert_eq!(verdict["judges"]["deciding"][0]["calibrated"], false);
    assert_eq!(verdict["judges"]["margin_scaled"], Value::Null);
    for report in ["summary.md", "junit.xml"] {
        let text = project.read(&format!("reports/{report}"));
        assert!(text.contains("judge not calibrated"), "{report}: {text}");
    }
    assert!(plain.stdout.contains("judge not calibrated"), "{}", plain.transcript());
    let z = verdict["z"]["promote"].as_f64().unwrap();
    let key = verdict["key"].clone();

    calibrate(&project, "").assert_exit(0);
    project.eval_recorded("").assert_exit(0);
    let verdict = project.verdict();
    assert_eq!(verdict["warnings"], Value::Null);
    assert_eq!(verdict["key"], key);
    assert_eq!(verdict["policy"]["margin"], 0.05);
    let judges = &verdict["judges"];
    let of = |value: &Value| value.as_f64().unwrap();
    let found = &judges["deciding"][0];
    assert_eq!((found["name"].as_str(), found["calibrated"].as_bool()), (Some("default"), Some(true)));
    assert_eq!((&found["labels"], &found["votes"]), (&json!(80), &json!(1)));
    assert_eq!((of(&found["sensitivity"]), of(&found["specificity"])), (0.95, 0.95));
    assert!((of(&found["youden"]) - 0.9).abs() < 1e-12);
    assert!((of(&judges["margin_scaled"]) - 0.05 * of(&found["youden_low"])).abs() < 1e-12);
    assert!((of(&judges["tolerance_scaled"]) - 0.009).abs() < 1e-12);
    assert!(of(&verdict["z"]["promote"]) < z);
    // A judge alone decides, so the rates can be told without its errors; all pass here, more than it could show of that.
    assert_eq!(judges["corrected"]["candidate"]["pass"], 1.0);
    insta::assert_snapshot!("judge_calibrate_summary", project.read("reports/summary.md"));

    // A wider margin would have decided on fewer cases; this one does not any more.
    project.eval_recorded("--limit 75").assert_exit(11);
    assert_eq!(project.verdict()["reasons"][0]["code"], "too_few");
}

#[test]
fn a_weak_judge_makes_a_run_inconclusive() {
    let judge = wrong_about(12);
    let project = project(&judge, 120, LABELS);
    calibrate(&project, "").assert_exit(0).assert_stdout("TOO WEAK").assert_stdout("and 4 more");
    project.eval_recorded("").assert_exit(11);
    let verdict = project.verdict();
    assert_eq!(verdict["reasons"][0]["code"], "judge_weak");
    assert_eq!(verdict["promotable"], false);
    assert!((verdict["judges"]["deciding"][0]["youden"].as_f64().unwrap() - 0.4).abs() < 1e-12);
}

#[test]
fn another_judge_is_not_the_one_that_was_calibrated() {
    let judge = wrong_about(12);
    let project = project(&judge, 120, LABELS);
    calibrate(&project, "").assert_exit(0);
    let stale = |what: &str, why: &str| {
        project.eval_recorded("").assert_exit(11);
        let verdict = project.verdict();
        assert_eq!(verdict["reasons"][0]["code"], "judge_stale", "{what}");
        assert_eq!(verdict["warnings"][0]["code"], "judge_stale", "{what}");
        let message = verdict["warnings"][0]["message"].as_str().unwrap();
        assert!(message.contains(why), "{what}: {message}");
        assert_eq!(verdict["judges"]["deciding"][0]["calibrated"], false, "{what}");
    };
    let settings = project.read("promptgate.toml");
    project.write(
        "prompts/judge/strict.prompt",
        "{{role \"system\"}}Be strict.\n{{role \"user\"}}{{input}}\n{{answer}}\n{{rubric}}\n",
    );
    project.write("promptgate.toml", settings.clone() + "prompt = \"prompts/judge/strict.prompt\"\n");
    stale("prompt", "its prompt was another one");
    project.write("promptgate.toml", settings.replace("3.8-flash", "3.8-pro"));
    stale("model", "its model was gemini-3.8-flash");
    project.write("promptgate.toml", &settings);
    let entry = project.read(FILE);
    let digest =
        serde_json::from_str::<Value>(&entry).unwrap()["judges"][0]["judge_sha256"].as_str().unwrap().to_owned();
    project.write(FILE, entry.replace(&digest, &"0".repeat(64)));
    stale("service", "another service answered for it");
    project.write(FILE, entry.replace("\"votes\": 1", "\"votes\": 3"));
    stale("votes", "it was calibrated as default (3 votes, majority)");
    let served = serde_json::from_str::<Value>(&entry).unwrap()["judges"][0]["served"][0].clone();
    assert!(served.is_string(), "{entry}");
    project.write(FILE, entry.replace(&format!("        {served}"), "        \"gemini-0.1-nano\""));
    stale("served", "serves it now");

    // With its own file the weak judge is known again.
    project.write(FILE, &entry);
    project.eval_recorded("").assert_exit(11);
    // Labels that the calibration has not seen are told.
    project.edit("golden/cases.jsonl", "good 0", "better 0");
    project.eval_recorded("").assert_exit(11);
    let warnings = project.verdict()["warnings"].clone();
    assert_eq!(warnings[0]["code"], "judge_labels", "{warnings}");
}

#[test]
fn what_can_not_be_judged_is_counted_apart_and_too_much_of_it_is_not_written() {
    for (errors, code) in [(4, 0), (5, 11)] {
        let judge = Fake::start(move |request| {
            let answer = judged(request);
            if answer.starts_with("good") && number(&answer) < errors {
                return Reply::answer("It passes, I think.");
            }
            says(answer.starts_with("good"))
        });
        let project = project(&judge, LABELS, LABELS);
        let ran = calibrate(&project, "").assert_exit(code).assert_stdout(&format!("no judgement: {errors}"));
        assert_eq!(project.file(FILE).exists(), code == 0);
        if code == 0 {
            let file: Value = serde_json::from_str(&project.read(FILE)).unwrap();
            assert_eq!(file["judges"][0]["counts"]["errors"], errors);
            assert_eq!(file["judges"][0]["counts"]["false_fail"], 0);
        } else {
            assert!(ran.stderr.contains("nothing was written"), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_spent_budget_writes_nothing_and_keeps_the_replies() {
    let judge = wrong_about(0);
    let project = project(&judge, LABELS, LABELS);
    project.write(FILE, "{\"schema\": \"promptgate.judge-calibration/1\", \"judges\": []}");
    let before = project.read(FILE);
    calibrate(&project, "--max-requests 20").assert_exit(11);
    assert_eq!((judge.count(), project.read(FILE)), (20, before));
    calibrate(&project, "").assert_exit(0);
    assert_eq!(judge.count(), 2 * LABELS);
}

#[test]
fn mistakes_are_told_before_anything_is_sent() {
    let judge = wrong_about(0);
    let refused = |project: &Project, more: &str, code: i32, message: &str| {
        calibrate(project, more).assert_exit(code).assert_stderr(message);
        assert!(!project.file(FILE).exists());
    };
    refused(&project(&judge, 9, 0), "", 4, "no selected case has labels");
    refused(&project(&judge, 20, 9), "", 2, "has 9 labels with `pass: true`, which is too few");
    let good = project(&judge, LABELS, LABELS);
    refused(&good, "--judge defualt", 4, "did you mean `default`?");
    refused(&good, "--tag other", 4, "no selected case has labels");
    refused(&good, "--case case-999", 2, "no case has the id `case-999`");
    let write = |expect: &str| {
        let row = format!(
            "{{\"id\": \"a\", \"vars\": {{\"question\": \"x\"}}, \"labels\": [{{\"answer\": \"x\", \"pass\": true}}], \"expect\": {expect}}}\n"
        );
        let project = project(&judge, 1, 0);
        project.write("golden/cases.jsonl", row);
        project
    };
    let none = r#"[{"contains": "x"}, {"not": {"judge": "It helps."}}]"#;
    refused(&write(none), "", 2, "golden/cases.jsonl:1:1: the case `a` has labels, but no check `judge`");
    let two = r#"[{"judge": "It helps."}, {"judge": "It is kind."}]"#;
    refused(&write(two), "", 2, "several checks `judge`, and a label does not say which");
    // Without a key the simulator must not take the place of what is known of a model.
    let keyless = project(&judge, LABELS, LABELS);
    keyless.write("promptgate.toml", "");
    let ran = keyless.run("judge calibrate");
    assert_eq!((ran.code, keyless.file(FILE).exists()), (2, false), "{}", ran.transcript());
    assert!(ran.stderr.contains("the simulator would judge"), "{}", ran.stderr);
    let ran = keyless.run("judge calibrate --target sim").assert_exit(0);
    assert!(ran.stdout.starts_with("SIMULATED"), "{}", ran.stdout);
    let broken = project(&judge, LABELS, LABELS);
    broken.write(FILE, "{\"schema\": 1}");
    calibrate(&broken, "").assert_exit(2).assert_stderr("judge-calibration.json:1:12: is no calibration");
    broken.eval_recorded("").assert_exit(2);
    good.eval_recorded("--judge-calibration elsewhere.json")
        .assert_exit(2)
        .assert_stderr("there is no calibration of judges at elsewhere.json");
    assert_eq!(judge.count(), 0);
}

#[test]
fn judges_are_calibrated_one_by_one_and_by_how_they_are_asked() {
    let calls = AtomicUsize::new(0);
    let judge = Fake::start(move |request| {
        calls.fetch_add(1, Ordering::SeqCst);
        says(judged(request).starts_with("good"))
    });
    let project = project(&judge, 20, 20);
    let golden = project.read("golden/cases.jsonl");
    let more = golden
        .replace("case-", "kind-")
        .replace("Number", "Kind number")
        .replace(
            r#"[{"judge":"It helps."}]"#,
            r#"[{"contains":"fine"},{"judge":{"rubric":"It is kind.","by":"kind","votes":3},"name":"kind","advisory":true},{"judge":"It helps."}]"#,
        )
        .replace("\"pass\":", "\"check\":\"kind\",\"pass\":");
    assert!(more.contains("advisory"), "{more}");
    project.write("golden/more.jsonl", more);
    let settings = project.read("promptgate.toml");
    project.write("promptgate.toml", settings.clone() + &settings.replace("judges.default", "judges.kind"));
    calibrate(&project, "--judge kind").assert_exit(0);
    assert_eq!(judge.count(), 120, "three votes on each of 40 labels");
    let judges = || -> Vec<(String, u64)> {
        let file: Value = serde_json::from_str(&project.read(FILE)).unwrap();
        let entries = file["judges"].as_array().unwrap().iter();
        entries.map(|entry| (entry["judge"].as_str().unwrap().to_owned(), entry["votes"].as_u64().unwrap())).collect()
    };
    assert_eq!(judges(), [("kind".to_owned(), 3)]);
    // The run's own target plays no part where judges have theirs.
    let settings = project.read("promptgate.toml");
    project.write("promptgate.toml", format!("target = \"recorded\"\nanswers = \"answers.jsonl\"\n{settings}"));
    calibrate(&project, "--judge default").assert_exit(0);
    assert_eq!(judges(), [("default".to_owned(), 1), ("kind".to_owned(), 3)], "the other entry stays");
}

#[test]
fn labels_are_sent_to_nobody_else_and_no_rate_is_corrected_where_other_checks_decide() {
    let judge = wrong_about(0);
    let project = project(&judge, 120, LABELS);
    calibrate(&project, "").assert_exit(0);
    project.edit("golden/cases.jsonl", r#"[{"judge":"It helps."}]"#, r#"[{"judge":"It helps."},{"contains":"fine"}]"#);
    let before = judge.count();
    project.eval_recorded("").assert_exit(0);
    let verdict = project.verdict();
    assert_eq!(verdict["judges"]["corrected"], Value::Null);
    assert!(verdict["judges"]["margin_scaled"].as_f64().unwrap() < 0.05);
    let asked = judge.requests();
    assert!(asked[before..].iter().all(|request| judged(request).starts_with("fine")));
}
