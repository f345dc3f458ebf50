//! Several candidates in one call: one baseline, a correction for picking the best, and the reports of the one that was picked.

use crate::support::fake::{Fake, Received, Reply};
use crate::support::project::{KEY, Project, Run};
use crate::support::questions::number_after;
use promptgate::internals::report::FORMATS;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Takes `wrong=N` in a prompt as an order to get the first N questions wrong.
fn answer(request: &Received) -> Reply {
    let (number, wrong) = (number_after(request, "What is "), number_after(request, "wrong="));
    if request.text().contains("refused") {
        return Reply::error(403, "PERMISSION_DENIED", "not you");
    }
    let fails = number.zip(wrong).is_some_and(|(number, wrong)| number < wrong);
    Reply::answer(if fails { "ten" } else { "nine" })
}

fn run(project: &Project, fake: &Fake, prompt: &str, more: &str) -> Run {
    let command = format!("eval --prompt {prompt} --baseline v1 --target gemini --base-url {}", fake.url);
    project.run_with_key(&format!("{command} --repeat 1 {more}"))
}

/// Runs, and gives the exit code and how many requests it took.
fn eval(project: &Project, fake: &Fake, prompt: &str, more: &str) -> (i32, usize) {
    let before = fake.count();
    let ran = run(project, fake, prompt, more);
    let last = ran.stdout.lines().last().unwrap_or_default().to_owned();
    let verdict = project.verdict();
    assert_eq!(verdict["exit_code"], ran.code, "{}", ran.transcript());
    let decision = verdict["decision"].as_str().unwrap();
    assert_eq!(last, format!("verdict={decision} exit={}", ran.code));
    (ran.code, fake.count() - before)
}

fn part(project: &Project, name: &str) -> Value {
    serde_json::from_str(&project.read(&format!("reports/{name}/verdict.json"))).unwrap()
}

fn told(verdict: &Value) -> Vec<(String, String, bool)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    verdict["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (text(&line["name"]), text(&line["decision"]), line["chosen"] == true))
        .collect()
}

fn line(name: &str, decision: &str, chosen: bool) -> (String, String, bool) {
    (name.to_owned(), decision.to_owned(), chosen)
}

/// How often the service was asked with a prompt's words.
fn asked(fake: &Fake, words: &str) -> usize {
    let requests = fake.requests();
    let with = |body: &[u8]| String::from_utf8_lossy(body).contains(words);
    requests.iter().filter(|request| with(&request.body)).count()
}

fn verify(project: &Project, prompt: &str) -> Run {
    project.run(&format!("verify reports/verdict.json --prompt {prompt} --baseline v1"))
}

#[test]
fn the_baseline_is_asked_once_and_the_best_that_promotes_is_chosen() {
    let prompts =
        [("v1", "Old. wrong=12 "), ("v2", "Second. wrong=10 "), ("v3", "Third. wrong=5 "), ("v4", "Fourth. wrong=90 ")];
    let (project, fake) = (Project::with_questions(200, &prompts), Fake::start(answer));
    assert_eq!(eval(&project, &fake, "v2,v3,v4", ""), (0, 800));
    assert_eq!(asked(&fake, "Old."), 200);
    let verdict = project.verdict();
    assert_eq!(told(&verdict), [line("v2", "promote", false), line("v3", "promote", true), line("v4", "block", false)]);
    assert_eq!(verdict["look"]["candidates"], 3);
    assert_eq!((&verdict["candidate"]["name"], &verdict["promotable"]), (&json!("v3"), &json!(true)));
    assert_eq!(verdict["candidates"][0]["path"], "v2/verdict.json");
    for (name, code) in [("v2", 0), ("v3", 0), ("v4", 10)] {
        let own = part(&project, name);
        assert_eq!((&own["exit_code"], &own["candidates"]), (&json!(code), &Value::Null), "{name}");
        assert_eq!(own["look"]["candidates"], 3);
    }
    // The complete reports of the chosen one are on top.
    for format in FORMATS {
        assert!(project.file(&format!("reports/{}", format.file)).is_file(), "{}", format.file);
    }
    for file in ["results.jsonl", "junit.xml", "diff.md", "verdict.intoto.json"] {
        let (top, own) = (project.read(&format!("reports/{file}")), project.read(&format!("reports/v3/{file}")));
        assert_eq!(top, own, "{file}");
    }
    let summary = project.read("reports/summary.md");
    assert!(summary.contains("| **`v3`** | 97.5% | +3.5 |"), "{summary}");
    assert!(summary.contains("(5%) is shared by 3: each has 1.667%."), "{summary}");
    assert!(summary.ends_with(&project.read("reports/v3/summary.md")), "{summary}");
    verify(&project, "v3").assert_exit(0);
    verify(&project, "v2").assert_exit(11);
    // An edit that takes the correction away shows.
    project.edit("reports/verdict.json", "\"candidates\": 3", "\"candidates\": 1");
    let edited = verify(&project, "v3");
    assert!(edited.code != 0 && edited.stderr.contains("lists 3 candidates"), "{}", edited.transcript());
}

#[test]
fn being_picked_from_two_takes_more_than_being_the_only_one() {
    let prompts = [("v1", "Old."), ("v2", "Second."), ("v3", "Third. wrong=40 ")];
    let (project, fake) = (Project::with_questions(80, &prompts), Fake::start(answer));
    // 80 cases that come out alike: Z(-margin) is 1.80, and the bounds are 1.645 alone and 1.96 among two.
    assert_eq!(eval(&project, &fake, "v2", ""), (0, 160));
    assert!(!project.file("reports/v2").exists(), "one candidate has no folder of its own");
    assert_eq!(project.verdict()["candidates"], Value::Null);
    assert_eq!(eval(&project, &fake, "v2,v3", ""), (11, 80));
    assert_eq!(told(&project.verdict()), [line("v2", "inconclusive", true), line("v3", "block", false)]);
    // Running it alone afterwards does not undo the correction.
    let fresh = Project::with_questions(80, &prompts);
    assert_eq!(eval(&fresh, &fake, "v2,v3", ""), (11, 240));
    assert_eq!(eval(&fresh, &fake, "v2", ""), (11, 0));
    assert_eq!(fresh.verdict()["look"]["candidates"], 2);
    assert_eq!(eval(&fresh, &fake, "v2", "--cache refresh").0, 11);
}

#[test]
fn answers_of_this_call_are_shared_whatever_the_cache_may_do() {
    let prompts = [("v1", "Old."), ("v2", "Second."), ("v3", "Third.")];
    let (project, fake) = (Project::with_questions(20, &prompts), Fake::start(answer));
    for (run, mode) in ["off", "refresh", "off", "refresh"].into_iter().enumerate() {
        let (_, requests) = eval(&project, &fake, "v2,v3", &format!("--cache {mode}"));
        assert_eq!(requests, 60, "{mode}");
        assert_eq!(asked(&fake, "Old."), 20 * (run + 1), "{mode}: answers of earlier calls are not used");
    }
    let third = part(&project, "v3");
    assert_eq!((&third["cached"]["baseline"], &third["replayed"]), (&json!(20), &json!(false)));
    // One that is the baseline itself has nothing to share, and twins have everything.
    project.write("prompts/same.prompt", project.read("prompts/v1.prompt"));
    project.write("prompts/twin.prompt", project.read("prompts/v2.prompt"));
    let before = asked(&fake, "Old.");
    let (code, requests) = eval(&project, &fake, "same,v2,twin", "--cache off");
    assert_eq!((code, requests), (11, 40));
    assert_eq!(asked(&fake, "Old.") - before, 20);
    let verdict = project.verdict();
    // What changes nothing hides no candidate of which too little is known.
    assert_eq!(told(&verdict)[0], line("same", "unchanged", false));
    let [_, (_, second, _), (_, twin, _)] = told(&verdict).try_into().unwrap();
    assert_eq!(second, twin);
}

#[test]
fn limits_bound_the_call_and_end_it() {
    let prompts = [("v1", "Old."), ("v2", "Second."), ("v3", "Third."), ("v4", "Fourth.")];
    let (project, fake) = (Project::with_questions(200, &prompts), Fake::start(answer));
    // Two runs take 400 and 200 requests.
    assert_eq!(eval(&project, &fake, "v2,v3,v4", "--max-requests 450"), (11, 450));
    let verdict = project.verdict();
    assert_eq!(
        told(&verdict),
        [line("v2", "promote", false), line("v3", "inconclusive", true), line("v4", "-", false)]
    );
    assert_eq!(verdict["candidates"][2]["path"], Value::Null);
    assert_eq!((&verdict["promotable"], &verdict["reasons"][0]["code"]), (&json!(false), &json!("budget")));
    let message = verdict["reasons"][0]["message"].as_str().unwrap();
    assert!(message.contains("ended with `v3`, and `v4` was not run"), "{message}");
    assert!(project.read("reports/verdict.intoto.json").contains("\"FAILED\""));
    assert_ne!(verify(&project, "v3").code, 0);
    // A call that goes on has the rest, and asks nothing again.
    assert_eq!(eval(&project, &fake, "v2,v3,v4", "--resume"), (0, 350));
    assert_eq!(fake.count(), 800);
}

#[test]
fn a_service_that_refuses_ends_the_call_although_another_one_would_promote() {
    let prompts = [("v1", "Old."), ("v2", "Second."), ("v3", "refused"), ("v4", "Fourth.")];
    let (project, fake) = (Project::with_questions(200, &prompts), Fake::start(answer));
    let (code, _) = eval(&project, &fake, "v2,v3,v4", "");
    assert_eq!(code, 11);
    let verdict = project.verdict();
    assert_eq!((&verdict["promotable"], &verdict["decision"]), (&json!(false), &json!("inconclusive")));
    assert_eq!(told(&verdict)[0], line("v2", "promote", false));
    assert_eq!(told(&verdict)[2], line("v4", "-", false));
    assert_eq!(asked(&fake, "Fourth."), 0);
}

#[test]
fn what_earlier_calls_left_is_removed_and_what_others_left_is_not() {
    let prompts = [("v1", "Old."), ("v2", "Second."), ("v3", "Third."), ("v4", "Fourth.")];
    let (project, fake) = (Project::with_questions(20, &prompts), Fake::start(answer));
    eval(&project, &fake, "v2,v3", "");
    // Another call's folder below this one.
    let nightly = run(&project, &fake, "v4", "--out reports/nightly");
    assert!(project.file("reports/nightly/verdict.json").exists(), "{}", nightly.transcript());
    project.write("reports/v2/notes.txt", "mine");
    // A mistake is enough.
    run(&project, &fake, "v2,nowhere", "").assert_exit(2);
    for gone in ["verdict.json", "summary.md", "v2/verdict.json", "v2/results.jsonl", "v3/verdict.json"] {
        assert!(!project.file(&format!("reports/{gone}")).exists(), "{gone}");
    }
    for there in ["v2/notes.txt", "nightly/verdict.json"] {
        assert!(project.file(&format!("reports/{there}")).exists(), "{there}");
    }
    eval(&project, &fake, "v3,v4", "");
    eval(&project, &fake, "v2", "");
    for gone in ["v3/verdict.json", "v4/verdict.json"] {
        assert!(!project.file(&format!("reports/{gone}")).exists(), "{gone}");
    }
    // One that was claimed by itself is its own from then on.
    eval(&project, &fake, "v3,v4", "");
    run(&project, &fake, "v4", "--out reports/v4");
    eval(&project, &fake, "v2", "");
    assert!(!project.file("reports/v3/verdict.json").exists());
    assert!(project.file("reports/v4/verdict.json").exists());
    // A folder that is not ours is not written into.
    project.write("reports/v2/junit.xml", "mine");
    for mark in [".promptgate.lock", ".promptgate.candidate"] {
        std::fs::remove_file(project.file(&format!("reports/v2/{mark}"))).unwrap();
    }
    run(&project, &fake, "v2,v3", "").assert_exit(2);
    assert!(!project.file("reports/verdict.json").exists());
}

#[test]
fn a_report_of_any_candidate_that_is_missing_makes_a_promote_red() {
    let prompts = [("v1", "Old."), ("v2", "Second."), ("v3", "Third. wrong=90 ")];
    let project = Project::with_questions(200, &prompts);
    let blocked = project.file("reports/v3/diff.md");
    // Something comes into the way of a report while the call goes on.
    let fake = Fake::start(move |request| {
        let _ = std::fs::create_dir_all(blocked.join("keep"));
        answer(request)
    });
    assert_eq!(eval(&project, &fake, "v2,v3", "").0, 12);
    let verdict = project.verdict();
    assert_eq!((&verdict["decision"], &verdict["promotable"]), (&json!("promote"), &json!(false)));
    assert!(project.read("reports/verdict.intoto.json").contains("\"FAILED\""));
    assert_ne!(verify(&project, "v2").code, 0);
}

#[test]
fn all_mistakes_are_told_at_once_and_nothing_is_sent() {
    let prompts = [("v1", "Old."), ("v2", "Second."), ("bad", "{{#if}}")];
    let (project, fake) = (Project::with_questions(5, &prompts), Fake::start(answer));
    let table: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("v2,v2", &["--prompt: `v2` is named twice"][..]),
        (
            "v2,git:main:v2,prompts/v2.prompt",
            &["the reports of `v2` and `git:main:v2` would be in one folder, `v2`", "`v2` and `prompts/v2.prompt`"],
        ),
        ("v2,,v3", &["a name between commas is empty"]),
        ("v2,", &["a name between commas is empty"]),
        ("nowhere,bad", &["nowhere", "bad.prompt"]),
    ]);
    for (prompt, messages) in table {
        let refused = run(&project, &fake, prompt, "").assert_exit(2);
        for message in messages {
            assert!(refused.stderr.contains(message), "{prompt}: {}", refused.transcript());
        }
        assert!(!project.file("reports/verdict.json").exists(), "{prompt}");
    }
    let many: Vec<String> = (0..101).map(|i| format!("p{i}")).collect();
    run(&project, &fake, &many.join(","), "").assert_stderr("101 candidates are named");
    for (more, message) in [
        ("--failed", "--failed: several candidates"),
        ("--extend", "--extend: several candidates"),
        ("--resume --cache off", "--resume: with several candidates"),
        ("--snapshots write", "--snapshots: one proposal"),
    ] {
        run(&project, &fake, "v1,v2", more).assert_exit(2).assert_stderr(message);
    }
    project.write("golden/more.csv", "id,question,expected,matcher\nx,y,z,no-such\n");
    let refused = run(&project, &fake, "v1,v2", "");
    assert_eq!(refused.stderr.matches("no-such").count(), 1, "{}", refused.transcript());
    assert_eq!(fake.count(), 0);
}

#[test]
fn names_come_from_repeated_options_a_variable_or_a_list_in_the_file() {
    let prompts = [("v1", "Old."), ("v2", "Second."), ("v3", "Third.")];
    let (project, fake) = (Project::with_questions(5, &prompts), Fake::start(answer));
    let common = format!("eval --dry-run --target gemini --base-url {} --baseline v1", fake.url);
    let key = ("GEMINI_API_KEY", KEY);
    let forecast = |more: &str, variables: &[(&str, &str)]| {
        let ran = project.run_with(&format!("{common} {more}"), &[&[key], variables].concat()).assert_exit(0);
        ran.stdout
    };
    let option = forecast("--prompt v2 --prompt v3", &[]);
    assert!(option.contains("2 candidates: 45 answers planned, 0 of them stored"), "{option}");
    assert_eq!(option.matches("baseline: ").count(), 1, "{option}");
    assert!(option.contains("in all: 45 requests"), "{option}");
    assert_eq!(forecast("", &[("PROMPTGATE_PROMPT", "v2, v3")]), option);
    project.write("promptgate.toml", "candidate = [\"v2\", \"v3\"]\n");
    assert_eq!(forecast("", &[]), option);
    assert_eq!(fake.count(), 0);
}

#[test]
fn the_terminal_tells_of_each_candidate_and_ends_with_one_line() {
    let prompts = [("v1", "Old."), ("v2", "Second. wrong=3 "), ("v3", "Third.")];
    let (project, fake) = (Project::with_questions(200, &prompts), Fake::start(answer));
    let told = run(&project, &fake, "v2,v3", "").assert_exit(0);
    assert_eq!(told.stdout.matches("verdict=").count(), 1, "{}", told.stdout);
    let at = |text: &str| told.stdout.find(text).unwrap_or_else(|| panic!("{text}: {}", told.stdout));
    assert!(at("candidate 1 of 2: v2") < at("candidate 2 of 2: v3"));
    assert!(at("candidate 2 of 2: v3") < at("> v3  promote"), "{}", told.stdout);
    let quiet = run(&project, &fake, "v2,v3", "--quiet");
    assert_eq!(quiet.stdout, "verdict=promote exit=0\n", "{}", quiet.transcript());
}

#[test]
fn through_batch_jobs_the_baseline_is_shared_as_well() {
    let project = Project::with_cases(200);
    let twin = project.read("prompts/v2.prompt").replace("sells shoes", "sells good shoes");
    project.write("prompts/v3.prompt", twin);
    let arguments = "eval --prompt v2,v3 --baseline v1 --target sim --repeat 1 --batch --batch-poll 1ms";
    let ran = project.run(&arguments);
    let (second, third) = (part(&project, "v2"), part(&project, "v3"));
    assert_eq!(second["requests"], 400, "{}", ran.transcript());
    assert_eq!((&third["requests"], &third["cached"]["baseline"]), (&json!(200), &json!(200)), "{third}");
    // Whoever answers, a simulator promotes nothing that may be acted on.
    assert_eq!(project.verdict()["promotable"], false);
}
