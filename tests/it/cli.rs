//! The command line as a user meets it: every exit code, and what is said for every kind of bad input.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{Project, Run};
use std::fs;

const EVAL: &str = "eval --prompt v2 --baseline v1";

fn eval(more: &str) -> String {
    format!("{EVAL} {more}")
}

/// Runs `eval` and insists on the exit code; returns what was said on standard error.
#[track_caller]
fn refused(project: &Project, arguments: &str, code: i32) -> String {
    let ran = project.run(arguments).assert_exit(code);
    assert!(!project.file("reports/verdict.json").exists(), "a verdict was left behind");
    ran.stderr
}

#[test]
fn a_better_prompt_is_promoted_and_the_way_back_is_blocked() {
    let project = Project::with_cases(80);
    let ran = project.run(EVAL).assert_exit(0);
    assert!(ran.stdout.starts_with("SIMULATED"), "{}", ran.stdout);
    assert!(ran.stdout.trim_end().ends_with("verdict=promote exit=0"), "{}", ran.stdout);
    let verdict = project.verdict();
    assert_eq!(verdict["simulated"], true);
    assert_eq!(verdict["promotable"], false);
    assert_eq!(verdict["paired"]["improved"], 80);
    assert_eq!(verdict["requests"], 480);
    project.run("eval --prompt v1 --baseline v2").assert_exit(10);
    assert_eq!(project.verdict()["decision"], "block");
}

#[test]
fn too_few_cases_are_inconclusive_and_say_what_would_settle_it() {
    let project = Project::with_cases(3);
    let longer = project.read("prompts/v2.prompt").replace("The shop sells", "Shoes come in boxes. The shop sells");
    project.write("prompts/v1.prompt", longer);
    project.run(EVAL).assert_exit(11);
    let verdict = project.verdict();
    assert_eq!(verdict["decision"], "inconclusive");
    assert!(verdict["needed"]["cases"].as_u64().unwrap() > 3);
}

#[test]
fn the_same_prompt_twice_asks_only_the_critical_cases() {
    let project = Project::with_cases(5);
    project.write(
        "golden/critical.yaml",
        "- id: must\n  critical: true\n  vars: {question: When does the shop open?}\n  expect: [{contains: nine}]\n",
    );
    project.run("eval --prompt v2 --baseline v2").assert_exit(0);
    let verdict = project.verdict();
    assert_eq!((verdict["decision"].as_str(), verdict["promotable"].as_bool()), (Some("unchanged"), Some(false)));
    assert_eq!(verdict["reasons"][0]["code"], "identical");
    assert_eq!(verdict["requests"], 3);
    project.run("eval --prompt v1 --baseline v1").assert_exit(10);
}

#[test]
fn a_case_that_must_pass_blocks() {
    let project = Project::with_cases(80);
    project.write(
        "golden/z.csv",
        "id,critical,question,expected,matcher\nsells,true,What does the shop sell?,hats,contains\n",
    );
    project.run(EVAL).assert_exit(10);
    assert_eq!(project.verdict()["reasons"][0]["code"], "critical");
}

#[test]
fn without_a_baseline_the_pass_rate_decides() {
    let project = Project::with_cases(80);
    let none = "eval --prompt v2 --baseline none --repeat 1";
    let with = |more: &'static str| project.run(&format!("{none} {more}"));
    with("--min-pass-rate 0.9").assert_exit(0);
    assert_eq!(project.verdict()["baseline"], serde_json::Value::Null);
    with("--min-pass-rate 0.9 --baseline v1").assert_exit(2);
    project.run("eval --prompt v1 --baseline none --min-pass-rate 0.9").assert_exit(10);
    with("").assert_exit(2).assert_stderr("--min-pass-rate");
    with("--no-gate").assert_exit(0);
    assert_eq!(project.verdict()["gated"], false);
    assert_ne!(project.verdict()["decision"], "promote");
}

#[test]
fn nothing_selected_is_its_own_code() {
    let project = Project::with_cases(3);
    assert!(refused(&project, &eval("--tag nobody"), 4).contains("none of the 3 golden cases is selected"));
    project.write("golden/cases.jsonl", "");
    assert!(refused(&project, EVAL, 4).contains("no golden case"));
    fs::remove_file(project.file("golden/cases.jsonl")).unwrap();
    assert!(refused(&project, EVAL, 4).contains("no golden case"));
    fs::remove_dir(project.file("golden")).unwrap();
    assert!(refused(&project, EVAL, 2).contains("golden"));
}

#[test]
fn a_missing_key_is_never_green() {
    let project = Project::with_cases(3);
    for variables in [
        &[("CI", "true")][..],
        &[("GEMINI_API_KEY", "")],
        &[("GOOGLE_API_KEY", ""), ("CI", "1")],
        &[("GEMINI_API_KEY_FILE", "none")],
        &[("GEMINI_API_KEY", "short")],
        &[("PROMPTGATE_TARGET", "gemini")],
        &[("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")],
    ] {
        let ran = project.run_with(EVAL, variables).assert_exit(2);
        assert!(ran.stderr.contains("help:") || ran.stderr.contains("expected:"), "{}", ran.stderr);
    }
}

#[test]
fn every_bad_input_has_its_own_message() {
    let project = Project::with_cases(2);
    let said = |arguments: &str| refused(&project, arguments, 2);
    insta::assert_snapshot!("unknown_prompt", said("eval --prompt v7 --baseline v1"));
    insta::assert_snapshot!("unknown_case", said(&eval("--case case-00001 nope")));
    insta::assert_snapshot!("bad_values", said(&eval("--margin 0.9 --repeat 0 --shard 3/2 --timeout x")));
    insta::assert_snapshot!("recorded_without_answers", said(&eval("--target recorded")));
    project.write(
        "golden/bad.yaml",
        "- id: case-00000\n  vars: {question: a}\n  expect: [{contains: b}]\n\
         - id: typo\n  vars: {question: a}\n  expect: [{contians: b}]\n\
         - id: regex\n  vars: {question: a}\n  expect: [{regex: '('}]\n\
         - id: schema\n  vars: {question: a}\n  expect: [{json_schema: {type: strin}}]\n\
         - id: empty\n  vars: {question: a}\n  expect: [{contains: ''}]\n\
         - id: none\n  vars: {question: a}\n",
    );
    project.write("golden/bad.csv", "id,question,expected\na,\"open,x\nb,c,d\n");
    project.write("golden/latin.jsonl", b"{\"id\":\"l\",\"vars\":{\"question\":\"caf\xe9\"},\"expect\":[\"x\"]}\n");
    // A list that grows with every matcher.
    let names: Vec<&str> = promptgate::internals::scoring::MATCHERS.iter().map(|def| def.name).collect();
    let told = said(EVAL).replace(&names.join(", "), "[every matcher]");
    insta::assert_snapshot!("bad_golden_files", told);
    for file in ["golden/bad.yaml", "golden/bad.csv", "golden/latin.jsonl"] {
        fs::remove_file(project.file(file)).unwrap();
    }
    project.write("prompts/v3.prompt", "---\nmodle: x\n---\n{{question}} {{anser}}");
    insta::assert_snapshot!("bad_front_matter", said("eval --prompt v3 --baseline v1"));
    project.write("prompts/v3.prompt", "{{question}} {{anser}}");
    insta::assert_snapshot!("unsupplied_variable", said("eval --prompt v3 --baseline v1"));
}

#[test]
fn a_store_that_is_not_usable_stops_before_anything_is_sent() {
    let project = Project::with_cases(2);
    project.write(
        ".promptgate/store.sqlite",
        "this is no database, but it is long enough to look like a file of one".repeat(20),
    );
    assert!(refused(&project, EVAL, 2).contains("store.sqlite"));
    fs::remove_dir_all(project.file(".promptgate")).unwrap();
    project.write(".promptgate", "a file where a folder should be");
    assert!(refused(&project, EVAL, 2).contains(".promptgate"));
}

#[test]
fn an_output_folder_that_is_not_usable_stops_before_anything_is_sent() {
    let project = Project::with_cases(2);
    project.write("taken", "a file");
    project.run(&eval("--out taken")).assert_exit(2).assert_stderr("taken");
}

#[test]
fn a_stale_verdict_never_survives() {
    let project = Project::with_cases(80);
    project.run(EVAL).assert_exit(0);
    assert!(project.file("reports/verdict.json").exists());
    refused(&project, "eval --prompt v7 --baseline v1", 2);
    assert!(!project.file("reports/junit.xml").exists());
    for arguments in ["eval --promt v2", "eval --out reports extra"] {
        project.run(EVAL).assert_exit(0);
        refused(&project, arguments, 2);
    }
    project.run(EVAL).assert_exit(0);
    project.write("promptgate.toml", "candiate = \"v2\"\n");
    refused(&project, EVAL, 2);
    project.write("promptgate.toml", "out = \"elsewhere\"\n");
    project.run(EVAL).assert_exit(0);
    project.write("promptgate.toml", "out = \"elsewhere\"\nmargn = 1\n");
    refused(&project, EVAL, 2);
    assert!(!project.file("elsewhere/verdict.json").exists());
}

#[test]
fn files_of_others_are_never_removed() {
    let project = Project::with_cases(2);
    project.write("docs/summary.md", "mine");
    let said = refused(&project, &eval("--out docs"), 2);
    assert!(said.contains("summary.md that promptgate did not write"), "{said}");
    assert_eq!(project.read("docs/summary.md"), "mine");
    project.write("summary.md", "mine");
    refused(&project, &eval("--out ''"), 2);
    assert_eq!(project.read("summary.md"), "mine");
}

#[test]
fn a_service_that_answers_nothing_useful_is_no_evidence() {
    let project = Project::with_cases(80);
    for body in ["{}", "{\"candidates\": []}", "{\"candidates\": [{\"finishReason\": \"MAX_TOKENS\"}]}"] {
        let fake = Fake::start(move |_| Reply::text(200, "application/json", body));
        project.run_with_key(&eval(&format!("--base-url {} --repeat 1 --cache off", fake.url))).assert_exit(11);
        assert_eq!(project.verdict()["reasons"][0]["code"], "nothing_passed");
        assert_eq!(project.verdict()["promotable"], false);
    }
}

#[test]
fn a_simulator_under_another_name_is_still_a_simulator() {
    let project = Project::with_cases(80);
    let simulator = gemini_sim::Simulator::start(0, gemini_sim::Settings::default()).unwrap();
    let url = simulator.url();
    // Asked, from the cache, and asked for streams.
    for more in [&format!("--base-url {url}"), &format!("--base-url {url}"), &format!("--base-url {url} --stream")] {
        project.run_with_key(&eval(more)).assert_exit(0);
        let verdict = project.verdict();
        assert_eq!((&verdict["simulated"], &verdict["promotable"]), (&true.into(), &false.into()));
        assert!(project.read("reports/summary.md").contains("SIMULATED"));
    }
}

#[test]
fn a_promote_over_everything_from_the_service_is_promotable() {
    let project = Project::with_cases(80);
    let fake = Fake::answering("nine");
    project.run_with_key(&eval(&format!("--base-url {}", fake.url))).assert_exit(0);
    assert_eq!(project.verdict()["promotable"], true);
    project.run_with_key(&eval(&format!("--base-url {} --limit 75", fake.url))).assert_exit(0);
    assert_eq!(project.verdict()["promotable"], false);
}

#[test]
fn absurd_counts_of_tokens_are_only_absurd() {
    let project = Project::with_cases(80);
    let fake = Fake::start(|_| {
        let body = "{\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"nine\"}]}, \"finishReason\": \"STOP\"}],
            \"usageMetadata\": {\"candidatesTokenCount\": 18446744073709551615, \"thoughtsTokenCount\": 18446744073709551615}}";
        Reply::text(200, "application/json", body)
    });
    project.run_with_key(&eval(&format!("--base-url {}", fake.url))).assert_exit(0);
}

#[test]
fn old_answers_are_no_evidence_about_today() {
    let project = Project::with_cases(80);
    let fake = Fake::answering("nine");
    let arguments = eval(&format!("--base-url {}", fake.url));
    let age = |arm: &str| {
        let store = project.store();
        let older = "UPDATE answers SET created_at = created_at - 400 * 86400 WHERE id IN
                     (SELECT answer FROM results WHERE seq % 2 IN (SELECT value FROM json_each(?1)))";
        store.execute(older, [arm]).unwrap();
    };
    project.run_with_key(&arguments).assert_exit(0);
    assert_eq!(fake.count(), 480);
    // Old baselines beside a live candidate would charge the service's drift to the candidate: they are asked again.
    age("[0]");
    project.edit("prompts/v2.prompt", "sells shoes", "sells good shoes");
    project.run_with_key(&arguments).assert_exit(0);
    assert_eq!(fake.count(), 480 + 480);
    assert_eq!(project.verdict()["promotable"], true);
    // Pairs that are old as a whole may be looked at, but promote nothing.
    age("[0, 1]");
    let ran = project.run_with_key(&arguments).assert_exit(0);
    assert_eq!(fake.count(), 480 + 480);
    let verdict = project.verdict();
    assert_eq!((&verdict["replayed"], &verdict["promotable"]), (&true.into(), &false.into()));
    assert!(ran.stderr.contains("--cache refresh"), "{}", ran.stderr);
}

#[test]
fn a_dry_run_sends_nothing_and_leaves_no_verdict() {
    let project = Project::with_cases(3);
    project.run(&eval("--dry-run")).assert_exit(0).assert_stdout("18 requests");
    assert!(!project.file("reports/verdict.json").exists());
    assert!(!project.file(".promptgate").exists());
}

#[test]
fn the_cache_answers_the_second_time_and_only_never_asks() {
    let project = Project::with_cases(80);
    project.run(EVAL).assert_exit(0);
    let first = project.results();
    project.run(EVAL).assert_exit(0);
    let verdict = project.verdict();
    assert_eq!(verdict["requests"], 0);
    assert_eq!(verdict["cached"]["candidate"], 240);
    assert_eq!(verdict["replayed"], false);
    for (before, after) in first.iter().zip(project.results()) {
        assert_eq!(before["answer"], after["answer"]);
        assert_eq!(after["source"], "cache");
    }
    project.run(&eval("--cache only")).assert_exit(0);
    assert_eq!(project.verdict()["replayed"], true);
    fs::remove_dir_all(project.file(".promptgate")).unwrap();
    project.run(&eval("--cache only")).assert_exit(11);
    assert_eq!(project.verdict()["counts"]["error"], 80);
    assert_eq!(project.verdict()["requests"], 0);
}

#[test]
fn a_spent_budget_and_a_lone_shard_are_inconclusive() {
    let project = Project::with_cases(80);
    project.run(&eval("--max-requests 100")).assert_exit(11);
    let verdict = project.verdict();
    assert!(verdict["requests"].as_u64().unwrap() <= 100);
    assert!(verdict["reasons"].to_string().contains("budget"));
    project.run(&eval("--resume")).assert_exit(0).assert_stderr("resuming");
    project.run(&eval("--shard 1/2")).assert_exit(11);
    assert!(project.verdict()["reasons"].to_string().contains("shard"));
}

#[test]
fn prompts_are_listed_rendered_and_compared() {
    let project = Project::with_cases(1);
    project.write("promptgate.toml", "candidate = \"v2\"\nbaseline = \"v1\"\n");
    let ran = project.run("prompt list").assert_exit(0);
    insta::assert_snapshot!("prompt_list", ran.stdout);
    let ran = project.run("prompt render v2 --case case-00000").assert_exit(0);
    insta::assert_snapshot!("prompt_render", ran.stdout);
    let ran = project.run("prompt diff v1 v2").assert_exit(0);
    insta::assert_snapshot!("prompt_diff", ran.stdout);
    project.run("prompt render v2 --case case-0000").assert_exit(2);
}

/// A mistake in a setting of another command would else be found on the day that command is needed.
#[test]
fn settings_of_one_command_are_checked_by_all() {
    let project = Project::with_cases(2);
    project.write(
        "promptgate.toml",
        "candidate = \"v2\"\nbaseline = \"v1\"\nmargin = 2.0\nmax_age = \"x\"\nretries = -1\n[gate]\nslice_q = 7\n",
    );
    for command in [
        "eval",
        "eval --dry-run",
        "golden lint",
        "golden stats",
        "prompt list",
        "runs flaky",
        "compare 1 2",
        "verify",
        "promote v2",
        "judge calibrate",
        "gate calibrate",
        "record export --to out.jsonl",
    ] {
        let ran = project.run(command).assert_exit(2);
        for mistake in ["toml:3:10: `margin` is 2", "toml:4:11: ", "toml:5:11: ", "toml:7:11: `slice_q` is 7"] {
            assert_eq!(ran.stderr.matches(mistake).count(), 1, "{command} {mistake}\n{}", ran.transcript());
        }
    }
}

#[test]
fn usage_mistakes_exit_2_and_help_exits_0() {
    let project = Project::empty();
    for arguments in ["eval --promt v2", "evil", "", "eval extra"] {
        project.run(arguments).assert_exit(2);
    }
    for arguments in ["--help", "eval --help", "--version"] {
        project.run(arguments).assert_exit(0);
    }
    let help = project.run("--help").stdout;
    let (_, exit_codes) = help.split_once("\nExit codes:").unwrap();
    // Each text stands in one snapshot: that of the exit codes in the first, that of a setting in the second.
    let without_codes = |command: &str| {
        let help = project.run(&format!("{command} --help")).stdout;
        help.strip_suffix(&format!("\nExit codes:{exit_codes}")).unwrap().to_owned()
    };
    insta::assert_snapshot!("help_eval", without_codes("eval"));
    insta::assert_snapshot!("help_gate_calibrate", names_of_settings(&without_codes("gate calibrate")));
    insta::assert_snapshot!("help", help);
}

/// A help text with the names alone of the options in groups, which those of `eval` explain.
fn names_of_settings(help: &str) -> String {
    let (own, groups) = help.split_once("\n\nCases:\n").unwrap();
    let names = groups.lines().filter_map(|line| match line.strip_prefix("      --") {
        Some(option) => option.split(' ').next(),
        None => Some(line).filter(|line| !line.is_empty() && !line.starts_with(' ')),
    });
    let names = names.collect::<Vec<_>>();
    format!("{own}\n\nCases:\n{}\n", names.join("\n"))
}

#[test]
fn the_gate_tells_how_often_it_decides_what() {
    let project = Project::empty();
    let simulate = |more: &str| project.run(&format!("gate simulate --runs 200 {more}"));
    let ran = simulate("--seed 7").assert_exit(0);
    insta::assert_snapshot!("gate_simulate", ran.stdout);
    assert_eq!(simulate("--seed 7").stdout, ran.stdout);
    assert_ne!(simulate("--seed 8").stdout, ran.stdout);

    let ran = simulate("--n 20 --repeat 10 --estimand dataset --scenario high --difference -0.1 --json");
    let told = ran.json();
    assert_eq!((&told["schema"], &told["rule"]), (&"promptgate.simulation/1".into(), &"gate".into()));
    let row = &told["rows"][0];
    assert!((row["difference"].as_f64().unwrap() + 0.1).abs() < 1e-9, "{row}");
    assert!(row["block"].as_f64().unwrap() > 0.8, "{row}");
    let all: f64 = ["promote", "block", "inconclusive"].iter().map(|key| row[key].as_f64().unwrap()).sum();
    assert!((all - 1.0).abs() < 1e-9, "{row}");
}

#[test]
fn a_simulation_says_all_that_is_wrong_with_its_options() {
    let project = Project::empty();
    let ran = project.run("gate simulate --scenario lobsided --estimand sample");
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.transcript());
    for part in ["--scenario: `lobsided` is not known", "did you mean `lopsided`?", "--estimand: `sample` is not known"]
    {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    let ran = project.run("gate simulate --n 0 --runs 2000000 --tolerance 0.2 --difference 0 -1.5 NaN");
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.transcript());
    for part in [
        "the number of cases is 0",
        "the number of runs is 2000000",
        "margin 0.05, tolerance 0.2 and alpha 0.05 are no rule",
        "the difference -1.5",
        "the difference NaN",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    for (groups, problem) in [
        ("--clusters 3", "--clusters 3"),
        ("--weights 0x4", "--weights 0x4"),
        ("--clusters 9x999999999", "the number of cases is"),
    ] {
        project.run(&format!("gate simulate {groups}")).assert_exit(2).assert_stderr(problem);
    }
    project.run("gate simulate --n 1000000 --runs 1000000").assert_exit(2).assert_stderr("cases x repeats x runs");
}

#[test]
fn a_port_in_use_is_said_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    Project::empty().run(&format!("sim --port {port}")).assert_exit(2).assert_stderr("--port");
}

#[test]
fn the_simulator_says_all_that_is_wrong_with_its_options() {
    let project = Project::empty();
    project.write("script.jsonl", "{\"outcomes\": []}\n{\"outcomes\": [\"ok\"]}\n{\"outcomes\": [\"fire\"]}\n");
    project
        .run("sim --port 0 --fault fire:1 --script script.jsonl")
        .assert_exit(2)
        .assert_stderr("--fault: unknown fault `fire`")
        .assert_stderr("script.jsonl:1:1: `outcomes`")
        .assert_stderr("script.jsonl:3:1: unknown fault");
    for (option, place) in [("--script", "nowhere.jsonl"), ("--log", "nowhere/log.jsonl")] {
        project.run(&format!("sim --port 0 {option} {place}")).assert_exit(2).assert_stderr(option);
    }
}

/// Exit code and both streams, without what depends on a clock or on which answer came first.
#[track_caller]
fn said(name: &str, ran: &Run) {
    insta::with_settings!({filters => vec![
        (r"(?m)^latency .*$", "latency [..]"),
        (r"answers, cost \$[0-9.]+", "answers, cost [..]"),
    ]}, {
        insta::assert_snapshot!(name, ran.transcript());
    });
}

#[test]
fn every_exit_code_has_its_words() {
    let project = Project::with_cases(80);
    said("exit_0", &project.run(EVAL));
    said("exit_2", &project.run(&eval("--repeat none")));
    said("exit_4", &project.run(&eval("--tag nobody")));
    said("exit_10", &project.run("eval --prompt v1 --baseline v2"));
    said("exit_11", &project.run(&eval("--limit 2 --cache only")));
    let quiet = project.run(&eval("--quiet"));
    assert_eq!(quiet.stdout, "verdict=promote exit=0\n");
    assert!(quiet.stderr.starts_with("SIMULATED"), "{}", quiet.stderr);
}

#[test]
fn a_report_that_cannot_be_written_turns_only_a_promote_into_12() {
    let project = Project::with_cases(80);
    let taken = project.file("reports/junit.xml/taken");
    // Something else puts a folder where the report belongs while the run goes on.
    let fake = Fake::start(move |_| {
        fs::create_dir_all(&taken).unwrap();
        Reply::answer("nine")
    });
    let rate = format!("eval --prompt v2 --baseline none --min-pass-rate 0.5 --repeat 1 --base-url {}", fake.url);
    let ran = project.run_with_key(&rate).assert_exit(12).assert_stderr("junit.xml");
    assert!(ran.stdout.trim_end().ends_with("verdict=promote exit=12"), "{}", ran.stdout);
    assert_eq!(project.verdict()["exit_code"], 12);
    assert!(project.file("reports/summary.md").exists(), "one broken report does not stop the others");
}

#[test]
fn the_cases_that_failed_can_be_run_again_alone() {
    let project = Project::with_cases(80);
    let none = refused(&project, &eval("--failed"), 2);
    assert!(none.contains("no finished run of `v2`"), "{none}");
    project.write(
        "golden/z.csv",
        "id,question,expected,matcher\nhats,What does the shop sell?,hats,contains\ncaps,What does the shop sell?,caps,contains\n",
    );
    project.run(EVAL).assert_exit(0);
    project.run(&eval("--failed")).assert_exit(11);
    let verdict = project.verdict();
    assert_eq!(verdict["dataset"]["cases"], 2);
    assert_eq!(verdict["promotable"], false);
    assert!(refused(&project, &eval("--failed 77"), 2).contains("run 77"));
    project.write("golden/z.csv", "id,question,expected,matcher\nhats,What does the shop sell?,shoes,contains\n");
    project.run(EVAL).assert_exit(0);
    assert!(refused(&project, &eval("--failed"), 4).contains("every case passed"));
}

#[test]
fn an_earlier_revision_can_be_the_baseline() {
    let project = Project::with_cases(80);
    let better = project.read("prompts/v2.prompt");
    project.write("prompts/v2.prompt", project.read("prompts/v1.prompt"));
    project.git("init -q");
    project.git("add .");
    project.git("commit -qm first");
    project.write("prompts/v2.prompt", better);
    project.run("eval --prompt v2 --baseline git:HEAD").assert_exit(0);
    assert_eq!(project.verdict()["paired"]["improved"], 80);
    let ran = project.run("eval --prompt git:HEAD:v2 --baseline git:HEAD");
    assert_eq!(project.verdict()["reasons"][0]["code"], "identical", "{}", ran.transcript());
    let unknown = refused(&project, "eval --prompt v2 --baseline git:nowhere", 2);
    assert!(unknown.contains("nowhere"), "{unknown}");
    let option = refused(&project, "eval --prompt v2 --baseline git:--output=x", 2);
    assert!(!project.file("x").exists(), "{option}");
}
