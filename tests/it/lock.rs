//! promptgate.lock: what was promoted is what the next candidate is compared with.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{KEY, Project, Run};
use crate::support::promoted::{evaluate, promoted};
use serde_json::{Value, json};

/// The system text of a prompt that answers no question.
const BAD: &str = "The shop sells hats.";

/// Knows the opening hours if the prompt tells them.
fn service() -> Fake {
    Fake::start(|request| {
        let told = request.text().contains("opens at nine");
        Reply::answer(if told { "It opens at nine." } else { "I don't know." })
    })
}

fn eval(project: &Project, service: &Fake, options: &str) -> Run {
    let command = format!("eval --target gemini --repeat 1 --base-url {} {options}", service.url);
    project.run_with(&command, &[("GEMINI_API_KEY", KEY)])
}

/// As a fork's pull request runs it: no secret, on an unattended machine.
fn eval_without_key(project: &Project) -> Run {
    let command = "eval --prompt v2 --target gemini --repeat 1 --base-url http://127.0.0.1:9";
    project.run_with(command, &[("GEMINI_API_KEY", ""), ("CI", "true")])
}

/// `v2` was promoted over `v1`.
fn serving() -> Project {
    let project = promoted();
    project.run("promote v2").assert_exit(0).assert_stdout("commit promptgate.lock and prompts/.promoted");
    project
}

/// The same, committed on the branch `main`; a branch `change` starts there.
fn repository(service: &Fake) -> Project {
    let project = serving();
    let toml = project.read("promptgate.toml");
    project.write("promptgate.toml", format!("{toml}repeat = 1\nbase_url = \"{}\"\n", service.url));
    project.write(".gitignore", "reports\n.promptgate\n");
    project.git("init -q -b main");
    commit(&project);
    project.git("switch -qc change");
    project
}

fn commit(project: &Project) {
    project.git("add .");
    project.git("commit -qm change");
}

fn decision(project: &Project) -> (String, bool, String) {
    let verdict = project.verdict();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&verdict["decision"]), verdict["promotable"] == true, text(&verdict["reasons"][0]["code"]))
}

fn decided(decision: &str, promotable: bool, reason: &str) -> (String, bool, String) {
    (decision.to_owned(), promotable, reason.to_owned())
}

/// The copy of the prompt that was promoted last.
fn copy(project: &Project) -> String {
    let lock: toml::Table = project.read("promptgate.lock").parse().unwrap();
    let newest = lock["promotions"].as_array().unwrap().last().unwrap();
    let text = |key: &str| newest[key].as_str().unwrap().to_owned();
    format!("prompts/.promoted/{0}/{1}/{0}.prompt", text("name"), &text("sha256")[..12])
}

#[test]
fn a_prompt_that_is_edited_in_place_is_compared_with_what_was_promoted() {
    let (project, service) = (serving(), service());
    assert_eq!(project.read(&copy(&project)), project.read("prompts/v2.prompt"));
    project.write_prompt("v2", BAD);
    let ran = eval(&project, &service, "--prompt v2").assert_exit(10);
    let first = ran.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("the baseline is `v2` as promoted on "), "{}", ran.transcript());
    assert!(first.ends_with("; prompts/v2.prompt has other content"), "{first}");
    assert!(project.read("reports/summary.md").contains("> **BASELINE**: the baseline is "));
    let sentence = project.verdict()["sentence"].as_str().unwrap().to_owned();
    assert!(sentence.contains("the edited v2 must not") && sentence.contains("than v2 as promoted"), "{sentence}");
    // Another candidate is compared with it, too, and a look at the file is no way around.
    project.write_prompt("v3", BAD);
    for baseline in ["v2", "prompts/v2.prompt", "./prompts/v2.prompt"] {
        eval(&project, &service, &format!("--prompt v3 --baseline {baseline} --quiet")).assert_exit(10);
    }

    let promoted = copy(&project);
    project.write(&promoted, BAD);
    eval(&project, &service, "--prompt v3").assert_exit(2).assert_stderr("the copy of the promoted `v2` was changed");
    std::fs::remove_file(project.file(&promoted)).unwrap();
    eval(&project, &service, "--prompt v3").assert_exit(2).assert_stderr("restore prompts/.promoted");
    project.write("promptgate.lock", "schema = 1\n");
    eval(&project, &service, "--prompt v3").assert_exit(2).assert_stderr("promptgate.lock:1:10");
}

#[test]
fn partials_are_promoted_with_their_prompt() {
    let (project, service) = (promoted(), service());
    project.write("prompts/_hours.prompt", "The shop opens at nine.");
    project.write_prompt("v2", "{{> hours}}");
    eval(&project, &service, "--prompt v2 --quiet").assert_exit(0);
    project.run_with("promote v2", &[("PROMPTGATE_REPEAT", "1")]).assert_exit(0);
    project.write("prompts/_hours.prompt", "The shop is closed.");
    eval(&project, &service, "--prompt v2 --quiet").assert_exit(10);
}

#[test]
fn a_push_to_main_after_promote_has_nothing_to_promote() {
    let (project, service) = (serving(), service());
    let ran = eval(&project, &service, "--prompt v2").assert_exit(0).assert_stdout("Nothing to promote in v2");
    assert!(ran.stdout.ends_with("verdict=unchanged exit=0\n"), "{}", ran.stdout);
    assert_eq!(decision(&project), decided("unchanged", false, "identical"));
    assert_eq!(project.verdict()["requests"], 0);
    assert_eq!(project.verdict()["promotion"]["total"]["promotions"], 1);
    project.run("promote v2").assert_exit(11);
    // Must-pass cases are asked as ever.
    let golden = project.read("golden/cases.jsonl").replacen("{\"id\"", "{\"critical\":true,\"id\"", 1);
    project.write("golden/cases.jsonl", &golden);
    eval(&project, &service, "--prompt v2").assert_exit(0);
    assert_eq!(project.verdict()["counts"]["pass"], 1);
    project.write("golden/cases.jsonl", golden.replacen("\"nine\"", "\"ten\"", 1));
    eval(&project, &service, "--prompt v2").assert_exit(10);
}

#[test]
fn only_what_is_unchanged_needs_no_key() {
    let project = serving();
    eval_without_key(&project).assert_exit(0);
    assert_eq!(decision(&project), decided("unchanged", false, "identical"));
    // A must-pass case that no verdict has seen would have to be asked.
    let golden = project.read("golden/cases.jsonl");
    project.write("golden/cases.jsonl", golden.replacen("{\"id\"", "{\"critical\":true,\"id\"", 1));
    eval_without_key(&project).assert_exit(2).assert_stderr("GEMINI_API_KEY");
    assert!(!project.file("reports/verdict.json").exists());
    project.write("golden/cases.jsonl", &golden);
    // So would a prompt that changed.
    let v2 = project.read("prompts/v2.prompt");
    project.write("prompts/v2.prompt", format!("{v2} please"));
    eval_without_key(&project).assert_exit(2).assert_stderr("GEMINI_API_KEY");
    project.write("prompts/v2.prompt", v2);
    // What was never promoted is no measure.
    std::fs::remove_file(project.file("promptgate.lock")).unwrap();
    eval_without_key(&project).assert_exit(2).assert_stderr("GEMINI_API_KEY");
}

#[test]
fn must_pass_cases_that_were_there_at_promotion_or_base_need_no_key() {
    let (project, service) = (promoted(), service());
    let golden = project.read("golden/cases.jsonl");
    project.write("golden/cases.jsonl", golden.replacen("{\"id\"", "{\"critical\":true,\"id\"", 1));
    eval(&project, &service, "--prompt v2 --quiet").assert_exit(0);
    project.run_with("promote v2", &[("PROMPTGATE_REPEAT", "1")]).assert_exit(0);
    eval_without_key(&project).assert_exit(0);
    let more = project.read("golden/cases.jsonl").replacen("{\"id\"", "{\"tags\":[\"a\"],\"id\"", 2);
    project.write("golden/cases.jsonl", more);
    eval_without_key(&project).assert_exit(2);
    project.write("promptgate.toml", project.read("promptgate.toml") + "repeat = 1\n");
    project.write(".gitignore", ".promptgate\n");
    project.git("init -q -b main");
    commit(&project);
    project.git("switch -qc change");
    let command = "eval --prompt v2 --target gemini --repeat 1 --policy-base main";
    project.run_with(command, &[("CI", "true")]).assert_exit(0);
    assert_eq!(decision(&project), decided("unchanged", false, "identical"));
}

#[test]
fn recorded_answers_are_never_unchanged() {
    let project = serving();
    let rows = project.read("reports/results.jsonl");
    project.write("answers.jsonl", rows);
    let ran = project.run("eval --prompt v2 --baseline v2 --repeat 1 --target recorded --answers answers.jsonl");
    assert!(!ran.stdout.contains("unchanged"), "{}", ran.transcript());
}

#[test]
fn a_pull_request_cannot_edit_what_it_is_compared_with() {
    let service = service();
    let project = repository(&service);
    // The baseline's file, in place: the content of the base is compared, and nothing is weaker.
    project.write_prompt("v2", BAD);
    let ran = eval(&project, &service, "--prompt v2 --policy-base main").assert_exit(10);
    assert!(ran.stdout.starts_with("the baseline is `v2` as promoted on "), "{}", ran.stdout);
    assert_eq!(project.verdict()["changed"], json!([]));
    // Lock and copy to fit it: those of the base are read, and the edit is told.
    let lock = project.read("promptgate.lock");
    let promoted = copy(&project);
    let forced = project.run("promote v2 --rollback --force mine").assert_exit(0);
    assert!(forced.stdout.contains("the baseline is `v2` already"), "{}", forced.stdout);
    assert_ne!(copy(&project), promoted);
    project.write_prompt("v3", "The shop opens at nine. Really.");
    eval(&project, &service, "--prompt v2 --policy-base main --quiet").assert_exit(10);
    project.git("checkout -q main -- prompts/v2.prompt");
    eval(&project, &service, "--prompt v3 --policy-base main --quiet").assert_exit(11);
    assert_eq!(decision(&project), decided("inconclusive", false, "weakened"));
    assert_eq!(project.verdict()["changed"][0]["kind"], "lock");
    project.write("promptgate.lock", &lock);
    eval(&project, &service, "--prompt v3 --policy-base main --quiet").assert_exit(0);
    std::fs::remove_file(project.file(&promoted)).unwrap();
    eval(&project, &service, "--prompt v3 --policy-base main --quiet").assert_exit(11);
    assert_eq!(project.verdict()["changed"][0]["what"], "promptgate.lock");
}

#[test]
fn an_edit_of_the_file_that_serves_is_what_has_to_be_tested() {
    let service = service();
    let project = repository(&service);
    let good = project.read("prompts/v2.prompt");
    for (name, text) in [("decoy", good.as_str()), ("v3", &good.replace("morning", "morning, really"))] {
        project.write(&format!("prompts/{name}.prompt"), text);
    }
    project.write_prompt("v2", BAD);
    for candidate in ["decoy", "git:main:v2", "v1", "v3"] {
        let ran = eval(&project, &service, &format!("--prompt {candidate} --policy-base main --quiet"));
        assert_ne!((ran.code, candidate), (0, candidate), "{}", ran.transcript());
        let row = &project.verdict()["changed"][0];
        assert_eq!(
            (&row["kind"], &row["what"], &row["weaker"]),
            (&json!("baseline-edited"), &json!("v2"), &json!(true))
        );
        assert!(row["before"].is_string() && row["after"].is_string() && row["before"] != row["after"], "{row}");
    }
    // What the edit itself comes to is no change of the rules, and neither is a file that is gone.
    project.write("prompts/v2.prompt", good.replace("morning", "morning, truly"));
    eval(&project, &service, "--prompt v2 --policy-base main --quiet").assert_exit(0);
    assert_eq!(project.verdict()["changed"], json!([]));
    std::fs::remove_file(project.file("prompts/v2.prompt")).unwrap();
    eval(&project, &service, "--prompt v3 --policy-base main --quiet").assert_exit(0);
    assert_eq!(project.verdict()["changed"], json!([]));
}

#[test]
fn a_copy_that_is_gone_at_the_base_can_be_restored() {
    let service = service();
    let project = repository(&service);
    let (path, text) = (copy(&project), project.read(&copy(&project)));
    project.git("switch -q main");
    std::fs::remove_dir_all(project.file("prompts/.promoted")).unwrap();
    commit(&project);
    project.git("switch -qC change");
    eval(&project, &service, "--prompt v2 --policy-base main")
        .assert_exit(2)
        .assert_stderr("restore prompts/.promoted");
    project.write(&path, BAD);
    eval(&project, &service, "--prompt v2 --policy-base main").assert_exit(2);
    project.git("checkout -q main~1 -- prompts/.promoted");
    assert_eq!(project.read(&path), text);
    eval(&project, &service, "--prompt v2 --policy-base main").assert_exit(0);
    assert_eq!(decision(&project), decided("unchanged", false, "identical"));
    project.write_prompt("v2", BAD);
    eval(&project, &service, "--prompt v2 --policy-base main").assert_exit(10);
}

#[test]
#[cfg(unix)]
fn a_store_that_comes_with_the_change_is_not_believed() {
    let service = service();
    let project = repository(&service);
    project.write_prompt("v2", "The shop opens at nine. Really.");
    eval(&project, &service, "--prompt v2 --policy-base main --quiet").assert_exit(0);
    let refused = |told: &str| {
        eval(&project, &service, "--prompt v2 --policy-base main").assert_exit(2).assert_stderr(told);
    };
    project.write(".promptgate/store.sqlite-wal", "pages");
    for file in ["store.sqlite", "store.sqlite-wal"] {
        project.git(&format!("add -f .promptgate/{file}"));
        refused("run `git rm -r --cached .promptgate`, add .promptgate to .gitignore");
        project.git("rm -rq --cached .promptgate");
    }
    eval(&project, &service, "--prompt v2 --policy-base main --quiet").assert_exit(0);
    for linked in [".promptgate", ".promptgate/store.sqlite"] {
        std::fs::rename(project.file(linked), project.file("assets")).unwrap();
        std::os::unix::fs::symlink(project.file("assets"), project.file(linked)).unwrap();
        refused(&format!("the store is reached through a link, {linked}"));
        std::fs::remove_file(project.file(linked)).unwrap();
        std::fs::rename(project.file("assets"), project.file(linked)).unwrap();
    }
}

#[test]
fn a_pull_request_may_promote_what_it_tests() {
    let service = service();
    let project = repository(&service);
    project.write_prompt("v3", "The shop opens at nine. Really.");
    eval(&project, &service, "--prompt v3 --quiet").assert_exit(0);
    project.run_with("promote v3", &[("PROMPTGATE_REPEAT", "1")]).assert_exit(0);
    let ran = eval(&project, &service, "--prompt v3 --policy-base main").assert_exit(0);
    assert!(ran.stdout.starts_with("the baseline is `v2` as promoted on "), "{}", ran.stdout);
    assert!(ran.stdout.contains("; promptgate.toml names `v3`"), "{}", ran.stdout);
    assert_eq!(decision(&project), decided("promote", true, "not_worse"));
    let rows = project.verdict()["changed"].clone();
    assert!(rows.as_array().unwrap().iter().all(|row| row["weaker"] == false), "{rows}");
    project.run_with("verify --prompt v3 --policy-base main", &[("PROMPTGATE_REPEAT", "1")]).assert_exit(0);
    // Promoting one prompt and testing another is no proof.
    project.write_prompt("v4", "The shop opens at nine. Truly.");
    eval(&project, &service, "--prompt v4 --policy-base main --quiet").assert_exit(11);
    assert_eq!(decision(&project), decided("inconclusive", false, "weakened"));
}

#[test]
fn golden_data_beside_an_unchanged_prompt_is_compared_first() {
    let service = service();
    let project = repository(&service);
    let golden = project.read("golden/cases.jsonl");
    project.write("golden/cases.jsonl", golden.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>());
    eval(&project, &service, "--prompt v2 --policy-base main --quiet").assert_exit(11);
    assert_eq!(decision(&project), decided("inconclusive", false, "weakened"));
    let added =
        "{\"id\":\"new\",\"critical\":true,\"vars\":{\"question\":\"Open?\"},\"expect\":[{\"contains\":\"nine\"}]}\n";
    project.write("golden/cases.jsonl", golden + added);
    eval(&project, &service, "--prompt v2 --policy-base main --quiet").assert_exit(0);
    assert_eq!(decision(&project), decided("unchanged", false, "identical"));
    assert_eq!(project.verdict()["counts"]["pass"], 1);
}

#[test]
fn a_rollback_goes_only_to_what_was_promoted() {
    let (project, service) = (serving(), service());
    project.write_prompt("v0", BAD);
    let toml = project.read("promptgate.toml");
    project.run("promote v0 --rollback").assert_exit(2).assert_stderr("does not know `v0` as promoted");
    project.run("promote v0 --rollback").assert_stderr("expected: `v1` or `v2`");
    project.run("promote v0 --force mine").assert_exit(2);
    assert_eq!(project.read("promptgate.toml"), toml);
    project.run("promote v1 --rollback").assert_exit(0);
    assert!(project.read("promptgate.toml").contains("baseline = \"v1\""));
    project.run("promote v0 --rollback --force 'the shop closes'").assert_exit(0);
    assert!(project.read("promptgate.lock").contains("note = \"the shop closes\""));

    // A prompt that was promoted twice under its name goes back to the content before.
    project.run("promote v2 --rollback").assert_exit(0);
    let first = copy(&project);
    project.write_prompt("v2", "The shop opens at nine. Really.");
    eval(&project, &service, "--prompt v2 --quiet").assert_exit(0);
    project.run_with("promote v2", &[("PROMPTGATE_REPEAT", "1")]).assert_exit(0);
    assert_ne!(copy(&project), first);
    let ran = project.run("promote v2 --rollback").assert_exit(0);
    assert!(ran.stdout.contains(&format!("prompts/v2.prompt has other content: deploy {first}")), "{}", ran.stdout);
    assert_eq!(copy(&project), first);
    // There is nothing before that.
    let lock = project.read("promptgate.lock");
    project.run("promote v2 --rollback").assert_exit(0);
    assert_eq!(project.read("promptgate.lock"), lock);
}

#[test]
fn the_model_that_serves_is_the_one_it_was_promoted_with() {
    let project = Project::with_cases(80);
    for name in ["v1", "v2"] {
        let text = project.read(&format!("prompts/{name}.prompt")).replace("model: gemini-3.8-flash\n", "");
        project.write(&format!("prompts/{name}.prompt"), text);
    }
    project.write("promptgate.toml", "baseline = \"v1\"\nmodel = \"gemini-3.8-flash\"\n");
    evaluate(&project, "").assert_exit(0);
    project.run_with("promote v2", &[("PROMPTGATE_REPEAT", "1")]).assert_exit(0);
    let toml = project.read("promptgate.toml").replace("gemini-3.8-flash", "gemini-3.8-pro");
    project.write("promptgate.toml", toml);
    evaluate(&project, "");
    let verdict = project.verdict();
    assert_eq!(verdict["tested"]["identical"], false);
    assert_eq!(verdict["baseline"]["model"]["requested"], "gemini-3.8-flash");
    assert_eq!(verdict["candidate"]["model"]["requested"], "gemini-3.8-pro");
}

#[test]
fn the_newest_promotions_are_kept() {
    let project = serving();
    for number in 0..24 {
        project.write_prompt("v3", &format!("Text {number}."));
        project.run(&format!("promote v3 --rollback --force 'try {number}'")).assert_exit(0);
    }
    let lock = project.read("promptgate.lock");
    assert_eq!(lock.matches("[[promotions]]").count(), 20);
    // What nothing replaced by name may still be rolled back to.
    assert!(lock.contains("name = \"v2\"") && !lock.contains("try 2\""), "{lock}");
}
