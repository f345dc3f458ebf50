//! Past runs: listed, shown, compared with each other, and searched for flaky cases.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{KEY, Project, Run, judge_at};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Answers rightly to `v2`, whose text knows the hours, and wrongly to `v1`.
fn server() -> Fake {
    Fake::start(|request| {
        let knows = request.text().contains("nine in the morning");
        Reply::answer(if knows { "nine" } else { "ten" })
    })
}

/// Runs a prompt alone, or whatever `more` says, without a decision.
fn eval(project: &Project, url: &str, prompt: &str, more: &str) -> Run {
    project.run_with_key(&format!("eval --prompt {prompt} --baseline none --no-gate --base-url {url} {more}"))
}

/// Two runs: `v1` alone, then `v2` alone.
fn two_runs(cases: usize) -> (Project, Fake) {
    let fake = server();
    let project = Project::with_cases(cases);
    for prompt in ["v1", "v2"] {
        eval(&project, &fake.url, prompt, "").assert_exit(0);
    }
    (project, fake)
}

fn timeless(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, shown) in [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[TIME]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d", "[MINUTE]"),
        (r"\b[0-9a-f]{64}\b", "[DIGEST]"),
        (r"\b[0-9a-f]{12}\b", "[SHORT]"),
        (r"127\.0\.0\.1:\d{4,5} +", "127.0.0.1:[PORT] "),
        (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:[PORT]"),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, shown).into_owned();
    }
    text
}

#[test]
fn runs_are_listed_and_shown() {
    let project = Project::with_cases(3);
    let ran = project.run("runs list");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "no run yet\n"));
    assert!(!project.file(".promptgate").exists(), "looking creates nothing");
    project.run("runs show 1").assert_exit(2);

    let fake = server();
    eval(&project, &fake.url, "v1", "").assert_exit(0);
    let against = format!("eval --prompt v2 --baseline v1 --base-url {}", fake.url);
    project.run_with_key(&format!("{against} --limit 2 --repeat 1")).assert_exit(11);
    eval(&project, &fake.url, "v2", "--max-requests 4").assert_exit(11);

    insta::assert_snapshot!(timeless(&project.run("runs list").stdout));
    let newest = project.run("runs list --limit 1").stdout;
    assert_eq!(newest.lines().count(), 2);
    assert!(newest.lines().nth(1).unwrap().starts_with("3 "), "{newest}");
    insta::assert_snapshot!("shown", timeless(&project.run("runs show 2").stdout));

    let list = project.run("runs list --json").json();
    assert_eq!(list["schema"], "promptgate.runs/1");
    let of = |field: &str| -> Vec<Value> {
        let runs = list["runs"].as_array().unwrap().iter();
        runs.map(|run| run.pointer(field).cloned().unwrap_or_default()).collect()
    };
    assert_eq!(of("/run"), [3, 2, 1]);
    assert_eq!(of("/concluded/exit_code"), [11, 11, 0]);
    assert_eq!(of("/concluded/decision"), ["inconclusive"; 3]);
    assert_eq!(of("/facts/selection"), [json!([]), json!(["--limit 2"]), json!([])]);
    assert_eq!(of("/ended"), ["incomplete", "complete", "complete"]);
    let one = project.run("runs show 2 --json").json();
    let verdict: Value = {
        project.run_with_key(&format!("{against} --limit 2 --repeat 1")).assert_exit(11);
        project.verdict()
    };
    assert_eq!(one["schema"], "promptgate.run/1");
    assert_eq!(one["facts"]["key"], verdict["key"]);
    assert_eq!(one["facts"]["policy_sha256"], verdict["policy_sha256"]);
    assert_eq!(one["facts"]["dataset_sha256"], verdict["dataset"]["sha256"]);
    assert_eq!(one["facts"]["candidate"]["sha256"], verdict["candidate"]["sha256"]);
    assert_eq!(one["concluded"]["counts"], verdict["counts"]);
    assert_eq!(one["concluded"]["reasons"][0], verdict["reasons"][0]["code"]);
    assert_eq!(one["concluded"]["candidate_served"], verdict["candidate"]["model"]["served"]);

    for (arguments, said) in [
        ("runs show 9", "the store has no run 9\n  help: the newest runs are 4, 3, 2, 1"),
        ("runs show two", "`two` is not the number of a run"),
        ("runs list --limit 0", "--limit: `0` is no number of lines"),
        ("runs list --limit 1001", "from 1 to 1000"),
    ] {
        project.run(arguments).assert_exit(2).assert_stderr(said);
    }
}

#[test]
fn two_runs_compare_to_the_very_numbers_of_an_eval_of_both() {
    let (project, fake) = two_runs(80);
    let asked = fake.count();
    let ran = project.run("compare 1 2 --json").assert_exit(0);
    assert_eq!(fake.count(), asked, "nothing is asked");
    let compared = ran.json();
    let both = format!("eval --prompt v2 --baseline v1 --base-url {}", fake.url);
    project.run_with_key(&both).assert_exit(0);
    let verdict = project.verdict();
    for field in ["decision", "paired", "difference", "z", "counts", "needed", "slices"] {
        assert_eq!(compared[field], verdict[field], "{field}");
    }
    assert_eq!(compared["baseline_rate"], verdict["rates"]["baseline"]);
    assert_eq!(compared["candidate_rate"], verdict["rates"]["candidate"]);
    assert_eq!(compared["reasons"], verdict["reasons"]);
    assert_eq!((&compared["replayed"], &compared["promotable"]), (&json!(true), &json!(false)));
    assert_eq!(compared["schema"], "promptgate.comparison/1");
    assert_eq!(compared["improved"].as_array().unwrap().len(), 20);
    assert_eq!(
        compared["improved"][0],
        json!({"case": "case-00000", "critical": false,
        "baseline": {"judged": 3, "passed": 0}, "candidate": {"judged": 3, "passed": 3}})
    );
    assert_eq!(compared["regressed"], json!([]));
}

#[test]
fn a_comparison_says_that_it_is_none_to_deploy_by() {
    let (project, _fake) = two_runs(80);
    let ran = project.run("compare 2 1").assert_exit(0);
    insta::assert_snapshot!(timeless(&ran.stdout));
    assert!(!ran.stdout.contains("verdict="));
    assert!(!project.read("reports/verdict.json").contains("comparison"));

    let code = |arguments: &str| {
        let ran = project.run(&format!("compare {arguments}"));
        (ran.code, ran.stdout.lines().last().unwrap_or_default().to_owned())
    };
    assert_eq!(code("2 1 --gate"), (10, "replayed=block exit=10".to_owned()));
    assert_eq!(code("1 2 --gate"), (0, "replayed=promote exit=0".to_owned()));
    // The rules are those of the call.
    let few = two_runs(12).0;
    eval(&few, &server().url, "v2", "--cache refresh").assert_exit(0);
    few.run("compare 2 3 --gate").assert_exit(11).assert_stdout("too_few: ");
    let wide = "compare 2 3 --gate --margin 0.4 --alpha 0.2";
    let ran = few.run(&wide);
    // The same answers of another server, so another target.
    assert_eq!(ran.code, 11, "{}", ran.transcript());
    assert!(ran.stdout.contains("DOUBT: the answers come from gemini http://127.0.0.1:"), "{}", ran.stdout);
    assert!(ran.stdout.contains("with doubts, this is no promote"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("replayed=promote exit=11\n"), "{}", ran.stdout);
    for wrong in ["--margin=0.6", "--tolerance=0", "--alpha=x"] {
        few.run(&format!("compare 2 3 {wrong}")).assert_exit(2).assert_stderr(&wrong[..7]);
    }
}

#[test]
fn a_promote_with_doubts_is_none() {
    let (project, fake) = two_runs(80);
    let gate = || project.run("compare 1 2 --gate");
    gate().assert_exit(0);
    let age = |case: &str, seconds: i64| {
        let sql = "UPDATE answers SET created_at = created_at - ?2 WHERE case_id = ?1";
        assert!(project.store().execute(sql, rusqlite::params![case, seconds]).unwrap() > 0);
    };
    age("case-00007", 80_000);
    gate().assert_exit(0);
    age("case-00007", 80_000);
    gate().assert_exit(11).assert_stdout("DOUBT: the answers were requested over 2 days");
    project.run("compare 1 2").assert_exit(0);
    // A block stays one.
    project.run("compare 2 1 --gate").assert_exit(10);

    // The stored answers of run 2 once more: no difference could show.
    eval(&project, &fake.url, "v2", "").assert_exit(0);
    project
        .run("compare 2 3 --gate")
        .assert_exit(11)
        .assert_stdout("240 answers of the two runs are the same stored ones");
}

/// The margins of a comparison of runs are not scaled by what judges are known to err.
#[test]
fn a_promote_that_models_judged_is_none() {
    let fake = Fake::start(|request| {
        let body = request.text();
        Reply::answer(match body.contains("It knows the hours.") {
            true => r#"{"reason": "so it is", "pass": true}"#,
            false => "nine",
        })
    });
    let project = Project::with_cases(80);
    let cases = project.read("golden/cases.jsonl");
    let judged = r#"{"judge":{"rubric":"It knows the hours."}}"#;
    project.write("golden/cases.jsonl", cases.replace(r#"{"contains":"nine"}"#, judged));
    project.write("promptgate.toml", judge_at(&fake.url));
    for prompt in ["v1", "v2"] {
        eval(&project, &fake.url, prompt, "--repeat 1").assert_exit(0);
    }
    // The second run's replies are stored ones, because equal answers to equal questions are asked about once.
    let ran = project.run("compare 1 2 --gate").assert_exit(11).assert_stdout("DOUBT: models judged");
    assert!(ran.stdout.ends_with("replayed=promote exit=11\n"), "{}", ran.stdout);
    // Without the gate it is told all the same, and vectors of texts are no judgement.
    project.run("compare 1 2").assert_exit(0);
    project.store().execute("UPDATE answers SET case_id = 'embedding' WHERE case_id = 'judge'", []).unwrap();
    project.run("compare 1 2 --gate").assert_exit(0);
}

#[test]
fn runs_that_differ_in_more_than_the_prompt_are_refused_with_what_differs() {
    let (project, fake) = two_runs(8);
    let refused = |first: &str, second: &str| {
        let ran = project.run(&format!("compare {first} {second} --gate")).assert_exit(2);
        assert_eq!(ran.stdout, "");
        ran.stderr
    };
    insta::assert_snapshot!(refused("1", "1"), @"
    error: run 1 can't be compared with itself
      expected: the numbers of two runs
      help: see `promptgate runs list`
    ");
    // 3: other repeats and other cases.
    let run = |more: &str| assert_eq!(eval(&project, &fake.url, "v2", more).code, 0);
    run("--repeat 2 --limit 6");
    insta::assert_snapshot!(refused("1", "3"), @"
    error: runs 1 and 3 ran different cases: 2 cases are only in run 1 (`case-00006`, `case-00007`)
      expected: the same cases in both runs
      help: they selected: all; and: --limit 6
    error: runs 1 and 3 have 3 and 2 repeats
      help: run one of them again with --repeat; stored answers are not requested again
    ");
    // 4: another selection of the same cases is the same.
    run("--limit 100");
    project.run("compare 1 4").assert_exit(0);
    // 5: an edited check, a case less, a case more.
    let golden = project.read("golden/cases.jsonl");
    let edited = golden.replacen("\"contains\":\"nine\"", "\"contains\":\"ten\"", 1).replace("case-00005", "case-new");
    project.write("golden/cases.jsonl", &edited);
    run("");
    insta::assert_snapshot!(refused("1", "5"), @"
    error: the golden files of runs 1 and 5 differ: 1 case is only in run 1 (`case-00005`); 1 case is only in run 5 (`case-new`); 1 case is written differently (`case-00000`)
      help: run the older candidate again over the present files
    ");
    // 6: the same cases in a file of other bytes.
    project.write("golden/cases.jsonl", golden.replace(",\"vars\"", ", \"vars\""));
    run("");
    insta::assert_snapshot!(refused("1", "6"), @"
    error: the golden files of runs 1 and 6 differ; the cases that they ran are the same
      help: run the older candidate again over the present files
    ");
    // 7: an edited check, 8: an edited question.
    for (number, from, to) in [("7", "\"nine\"", "\"ten\""), ("8", "number 3?", "number 4?")] {
        project.write("golden/cases.jsonl", golden.replacen(from, to, 1));
        run("");
        let told = refused("1", number);
        assert!(told.contains("1 case is written differently (`case-0000"), "{told}");
        assert_eq!(told.contains(&format!("the checks of runs 1 and {number} differ")), number == "7", "{told}");
    }
    // 9: a command that checks may ask.
    project.write("golden/cases.jsonl", &golden);
    project.write("promptgate.toml", "[commands.sums]\nargv = [\"true\"]\n");
    run("");
    assert!(refused("1", "9").contains("the judges of runs 1 and 9, or the commands of promptgate.toml, differ"));
    project.write("promptgate.toml", "");
    // 10: both prompts are the same.
    let same = format!("eval --prompt v2 --baseline v2 --base-url {}", fake.url);
    project.run_with_key(&same);
    assert!(refused("1", "10").contains("run 10 ran its must-pass cases only"));
    assert!(refused("10", "1").contains("run 10 ran its must-pass cases only"));
    assert!(refused("1", "99").contains("the store has no run 99"));
}

#[test]
fn runs_whose_outcomes_are_not_all_there_are_refused() {
    let (project, _fake) = two_runs(4);
    let refused = || {
        let ran = project.run("compare 1 2 --gate").assert_exit(2);
        let flaky = project.run("runs flaky 2").assert_exit(2);
        assert_eq!(flaky.stderr, ran.stderr);
        ran.stderr
    };
    let change = |sql: &str| assert!(project.store().execute(sql, []).unwrap() > 0, "{sql}");
    change("DELETE FROM outcomes WHERE run = 2 AND case_no = 3");
    insta::assert_snapshot!(refused(), @"
    error: the store has outcomes of 3 of the 4 cases of run 2; they are kept of the newest runs only
      help: run it again; stored answers are not requested again
    ");
    change("UPDATE facts SET concluded = NULL WHERE run = 2");
    insta::assert_snapshot!(refused(), @"
    error: run 2 is not decided, so its outcomes are not all known
      help: finish it with `promptgate eval … --resume`
    ");
    change("DELETE FROM facts WHERE run = 2");
    insta::assert_snapshot!(refused(), @"
    error: run 2 was made by an older promptgate, which did not note outcomes
      help: run it again; stored answers are not requested again
    ");
    project.run("runs list").assert_exit(0);
}

#[test]
fn a_run_that_was_not_finished_decides_nothing() {
    let (project, fake) = two_runs(80);
    eval(&project, &fake.url, "v2", "--cache refresh --max-requests 230").assert_exit(11);
    let compare = || project.run("compare 1 3 --gate");
    compare().assert_exit(11).assert_stdout("budget: ");
    // Finished, it is the same run with all outcomes.
    eval(&project, &fake.url, "v2", "--cache refresh --resume").assert_exit(0);
    assert_eq!(project.run("runs list").stdout.lines().count(), 4);
    compare().assert_exit(0);
}

#[test]
fn one_shard_is_never_enough() {
    let fake = server();
    let project = Project::with_cases(300);
    for prompt in ["v1", "v2"] {
        eval(&project, &fake.url, prompt, "--shard 1/2 --repeat 1");
    }
    project.run("compare 1 2 --gate").assert_exit(11).assert_stdout("shard: ");
}

#[test]
fn hostile_names_act_nowhere_and_keys_are_masked() {
    let fake = server();
    let project = Project::with_cases(1);
    let id = format!("::error::\u{1b}[31m##[x] \u{202e}{KEY}");
    let case = json!({"id": id, "vars": {"question": "When?"}, "tags": ["\u{1b}]0;t"], "critical": true,
        "expect": [{"contains": "nine"}]});
    project.write("golden/cases.jsonl", format!("{case}\n"));
    for prompt in ["v1", "v2"] {
        eval(&project, &fake.url, prompt, "").assert_exit(0);
    }
    for arguments in ["compare 2 1", "compare 2 1 --json", "runs show 1 --json", "runs flaky 1 --json", "runs list"] {
        let ran = project.run_with_key(arguments).assert_exit(0);
        assert!(!ran.stdout.contains(['\u{1b}', '\u{202e}']), "{}", ran.stdout);
        assert!(!ran.stdout.contains(KEY) && !ran.stdout.contains("##["), "{}", ran.stdout);
    }
    project.run_with_key("compare 2 1").assert_stdout("must pass");
}

/// Recorded answers to two cases by repeat, of both prompts: case 0 is flaky in the candidate, case 1 in both arms.
fn recorded() -> Project {
    let project = Project::with_cases(3);
    let mut rows = Vec::new();
    for (prompt, case, answers) in [
        ("v1", 0, ["nine", "nine", "nine", "nine"]),
        ("v2", 0, ["nine", "ten", "nine", "nine"]),
        ("v1", 1, ["ten", "nine", "nine", "nine"]),
        ("v2", 1, ["ten", "nine", "nine", "ten"]),
        ("v1", 2, ["ten", "ten", "ten", "ten"]),
        ("v2", 2, ["nine", "nine", "nine", "nine"]),
    ] {
        rows.extend(answers.map(|text| json!({"case": format!("case-{case:05}"), "prompt": prompt, "text": text})));
    }
    project.write_rows("answers.jsonl", &rows);
    let arguments = "eval --prompt v2 --baseline v1 --target recorded --answers answers.jsonl --repeat 4 --no-gate";
    project.run(arguments).assert_exit(0);
    project
}

#[test]
fn flaky_cases_stand_in_the_summary_and_in_a_list() {
    let project = recorded();
    let summary = project.read("reports/summary.md");
    let section = summary.split("### Flaky cases").nth(1).unwrap().split("\n\n").nth(1).unwrap();
    insta::assert_snapshot!(section, @"
    - `case-00001` (`golden/cases.jsonl:2:1`): baseline passes 3 of 4, candidate passes 2 of 4
    - `case-00000` (`golden/cases.jsonl:1:1`): baseline passes 4 of 4, candidate passes 3 of 4
    ");
    assert!(summary.contains("### Flaky cases (2)"));
    insta::assert_snapshot!(project.run("runs flaky --prompt v2").stdout, @"
    run 1 of v2: 2 cases with answers that pass and answers that don't

    case        baseline  over runs  pass^4  candidate  over runs  pass^4  pass@4
    case-00001  3/4       3/4        0.0%    2/4        2/4        0.0%    100.0%
    case-00000  4/4       4/4        100.0%  3/4        3/4        0.0%    100.0%
    ");
    let one = project.run("runs flaky 1 --limit 1 --json").json();
    assert_eq!(one["flaky"], 2);
    assert_eq!(one["k"], 4);
    assert_eq!(
        one["cases"],
        json!([{"case": "case-00001",
            "baseline": {"run": {"judged": 4, "passed": 3}, "history": {"judged": 4, "passed": 3}, "pass_at_k": 1.0, "pass_all_k": 0.0},
            "candidate": {"run": {"judged": 4, "passed": 2}, "history": {"judged": 4, "passed": 2}, "pass_at_k": 1.0, "pass_all_k": 0.0}}])
    );
    // The same recording read again is no new evidence.
    let arguments = "eval --prompt v2 --baseline v1 --target recorded --answers answers.jsonl --repeat 4 --no-gate";
    project.run(arguments);
    let again = project.run("runs flaky --limit 1 --json").json();
    assert_eq!((&again["run"], &again["cases"]), (&json!(2), &one["cases"]));
}

#[test]
fn cases_that_are_flaky_only_from_run_to_run_are_found_too() {
    let wrong = Arc::new(AtomicBool::new(false));
    let turned = Arc::clone(&wrong);
    let fake = Fake::start(move |request| {
        let wrong = turned.load(Ordering::SeqCst) && request.asks().contains("number 2?");
        Reply::answer(if wrong { "ten" } else { "nine" })
    });
    let project = Project::with_cases(4);
    eval(&project, &fake.url, "v2", "").assert_exit(0);
    wrong.store(true, Ordering::SeqCst);
    // Stored answers are no new ones.
    eval(&project, &fake.url, "v2", "").assert_exit(0);
    let flaky = |run: &str| project.run(&format!("runs flaky {run} --json")).json();
    assert_eq!(flaky("2")["flaky"], 0);
    eval(&project, &fake.url, "v2", "--cache refresh").assert_exit(0);
    let found = flaky("3");
    assert_eq!(found["flaky"], 1);
    assert_eq!(found["cases"][0]["case"], "case-00002");
    assert_eq!(found["cases"][0]["baseline"], Value::Null);
    assert_eq!(
        found["cases"][0]["candidate"],
        json!({"run": {"judged": 3, "passed": 0}, "history": {"judged": 6, "passed": 3}, "pass_at_k": 0.95, "pass_all_k": 0.05})
    );
    // An edited prompt starts anew.
    project.edit("prompts/v2.prompt", "shoes", "socks");
    eval(&project, &fake.url, "v2", "").assert_exit(0);
    assert_eq!(flaky("4")["flaky"], 0);
}

#[test]
fn the_numbers_are_those_that_failed_takes() {
    let (project, fake) = two_runs(4);
    eval(&project, &fake.url, "v1", "--failed 1 --dry-run").assert_exit(0);
    eval(&project, &fake.url, "v2", "--failed 2 --dry-run").assert_exit(4);
    // And a run of the failed ones says so.
    eval(&project, &fake.url, "v1", "--failed 1").assert_exit(0);
    let shown = project.run("runs show 3").stdout;
    assert!(shown.contains("--failed (cases: 4)"), "{shown}");
}
