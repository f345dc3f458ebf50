//! What a change to the golden data can't hide, and who may accept that it asks for less.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{KEY, Project, Run};
use serde_json::{Value, json};
use std::process::Command;

/// Golden cases as lines, with these fields besides id, question and check.
fn cases(prefix: &str, cases: usize, fields: &str) -> String {
    let line = |i: usize| {
        format!(
            "{{\"id\":\"{prefix}-{i}\",{fields}\"vars\":{{\"question\":\"What is {prefix} {i}?\"}},\"expect\":[{{\"contains\":\"nine\"}}]}}\n"
        )
    };
    (0..cases).map(line).collect()
}

/// A branch `change` that starts at `main`, where these are the golden cases.
fn repository(golden: &str, toml: &str) -> Project {
    let project = Project::with_cases(1);
    project.write("golden/cases.jsonl", golden);
    project.write("promptgate.toml", format!("baseline = \"v1\"\nrepeat = 1\n{toml}"));
    project.write(".gitignore", "reports\n.promptgate\n*.key*\n");
    project.git("init -q");
    commit(&project, "one");
    project.git("switch -qc change");
    project
}

fn commit(project: &Project, message: &str) {
    project.git("add .");
    project.git(&format!("commit -qm '{message}'"));
}

/// Evaluates answers of which the candidate's are wrong for these cases.
fn eval(project: &Project, wrong: &[String]) -> Run {
    let ids: Vec<String> = project
        .read("golden/cases.jsonl")
        .lines()
        .map(|line| {
            let case: Value = serde_json::from_str(line).unwrap();
            case["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let answers = ids.iter().flat_map(|id| {
        ["v1", "v2"].map(|prompt| {
            let text = if prompt == "v2" && wrong.contains(id) { "ten" } else { "nine" };
            format!("{}\n", json!({"case": id, "prompt": prompt, "text": text}))
        })
    });
    project.write("reports/answers.jsonl", answers.collect::<String>());
    project.run("eval --prompt v2 --policy-base main --quiet --out reports/eval")
}

fn verdict(project: &Project) -> Value {
    serde_json::from_str(&project.read("reports/eval/verdict.json")).unwrap()
}

fn codes(verdict: &Value) -> Vec<String> {
    let reasons = verdict["reasons"].as_array().unwrap().iter();
    reasons.map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn new_cases_and_new_tags_hide_no_loss() {
    let golden = cases("old", 180, "") + &cases("refund", 20, "\"tags\":[\"refunds\"],");
    let scattered: Vec<String> = (0..5).map(|i| format!("old-{i}")).collect();
    let lost = |n: usize| (0..n).map(|i| format!("refund-{i}")).collect::<Vec<_>>();
    let project = repository(&golden, "target = \"recorded\"\nanswers = \"reports/answers.jsonl\"\n");
    eval(&project, &lost(10)).assert_exit(10);
    eval(&project, &[]).assert_exit(0);

    let untagged = golden.replace("\"tags\":[\"refunds\"],", "");
    let easy = cases("easy", 3_000, "");
    let heavy = cases("heavy", 40, "\"weight\":1000,");
    for (change, wrong, code, first, at_base) in [
        (golden.clone() + &easy, &lost(0), 0, "not_worse", false),
        // What its tag shows is shown however many cases are added without it.
        (golden.clone() + &easy, &lost(16), 10, "slice", false),
        (golden.clone() + &heavy, &lost(16), 10, "slice", false),
        (untagged + &easy, &lost(16), 10, "regression", true),
        // Neither shown nor ruled out.
        (golden.clone() + &easy, &scattered, 11, "base_cases", true),
        // Under other names they are the same cases.
        (golden.replace("\"refund-", "\"renamed-") + &easy, &lost(16), 10, "slice", false),
        (
            golden.replace("\"refund-", "\"renamed-").replace("\"tags\":[\"refunds\"],", "") + &easy,
            &lost(16),
            10,
            "regression",
            true,
        ),
    ] {
        project.write("golden/cases.jsonl", &change);
        let wrong: Vec<String> = wrong.iter().flat_map(|id| [id.clone(), id.replace("refund", "renamed")]).collect();
        let ran = eval(&project, &wrong);
        let verdict = verdict(&project);
        assert_eq!((ran.code, codes(&verdict)[0].as_str()), (code, first), "{}", ran.transcript());
        let told = verdict["reasons"][0]["message"].as_str().unwrap();
        assert_eq!(told.contains("cases of the base"), at_base, "{told}");
        let sentence = verdict["sentence"].as_str().unwrap();
        assert_eq!(sentence.contains("that were there before this change"), at_base, "{sentence}");

        // Computed again it is the same.
        let verified = project.run("verify --prompt v2 reports/eval/verdict.json");
        assert_eq!(verified.code, if code == 10 { 10 } else { 11 }, "{}", verified.transcript());
        assert!(!verified.stderr.contains("of the verdict"), "{}", verified.transcript());
    }
}

/// Eighty cases, of which the first expects something wrong, and a change that corrects it.
fn correction(service: &Fake, toml: &str) -> Project {
    let golden = cases("c", 80, "");
    let toml = format!("target = \"gemini\"\nbase_url = \"{}\"\n{toml}", service.url);
    let project = repository(&golden.replacen("nine", "ten", 1), &toml);
    project.write("golden/cases.jsonl", golden);
    commit(&project, "correct an expectation");
    project
}

/// A service that gives the right answers.
fn service() -> Fake {
    Fake::start(|_| Reply::answer("It opens at nine."))
}

fn evaluate(project: &Project, options: &str) -> Run {
    let command = format!("eval --prompt v2 --policy-base main --quiet {options}");
    project.run_with(&command, &[("GEMINI_API_KEY", KEY)])
}

fn digest(project: &Project) -> String {
    project.verdict()["weaker_digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_corrected_expectation_is_accepted_by_its_digest_and_nothing_else_with_it() {
    let service = service();
    let project = correction(&service, "");
    evaluate(&project, "").assert_exit(11);
    let digest = digest(&project);
    let verdict = project.verdict();
    let row = &verdict["changed"][0];
    assert_eq!((&row["kind"], &row["what"]), (&json!("check-changed"), &json!("c-0")));
    assert!(
        row["before"].as_str().unwrap().contains("ten") && row["after"].as_str().unwrap().contains("nine"),
        "{row}"
    );
    assert!(project.read("reports/summary.md").contains(&format!("Digest: `{digest}`")));

    let accept = format!("--accept-weaker '{digest}=the shop opens at nine since May'");
    evaluate(&project, &accept).assert_exit(0);
    assert_eq!(project.verdict()["accepted_weaker"], "the shop opens at nine since May");
    assert_eq!(project.verdict()["promotable"], true);
    project.run("verify --prompt v2").assert_exit(0).assert_stdout("weaker checks were accepted: the shop opens");

    // One more thing is another difference, also where the table shows the same.
    for (file, text) in [
        (
            "golden/cases.jsonl",
            project.read("golden/cases.jsonl").replacen("\"contains\":\"nine\"", "\"contains\":\"n\"", 1),
        ),
        ("promptgate.toml", project.read("promptgate.toml") + "margin = 0.06\n"),
    ] {
        let before = project.read(file);
        project.write(file, text);
        evaluate(&project, &accept).assert_exit(11);
        let told = project.verdict()["reasons"][0]["message"].as_str().unwrap().to_owned();
        assert!(told.contains(&format!("not accepted: {digest} names another difference")), "{told}");
        project.write(file, before);
    }
    let lines = format!("{}=for another change\n{digest}=agreed", "0".repeat(32));
    evaluate(&project, &format!("--accept-weaker '{lines}'")).assert_exit(0);
}

/// Makes a key, and returns its line of an allowed-signers file.
fn key(project: &Project, name: &str) -> String {
    let file = project.file(&format!("{name}.key"));
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&file).status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen is needed");
    format!("{name}@b.example {}", project.read(&format!("{name}.key.pub")))
}

fn accept_in_commit(project: &Project, key: Option<&str>) {
    let digest = digest(project);
    let sign = key.map_or_else(String::new, |key| {
        format!("-c gpg.format=ssh -c user.signingkey={}", project.file(&format!("{key}.key")).display())
    });
    let flag = if key.is_some() { "-S" } else { "" };
    project.git(&format!("{sign} commit -q {flag} --allow-empty -m 'accept it\n\nPromptgate-Accept: {digest} agreed'"));
}

#[test]
fn a_signed_commit_of_a_signer_of_the_base_accepts_and_the_authors_own_does_not() {
    let toml = "[policy]\naccept_signers = \"signers\"\n";
    let service = service();
    let project = correction(&service, toml);
    let refused = |found: &str| {
        evaluate(&project, "").assert_exit(11);
        let told = project.verdict()["reasons"][0]["message"].as_str().unwrap().to_owned();
        assert!(told.contains(found), "{found}: {told}");
    };
    let (maintainer, author) = (key(&project, "maintainer"), key(&project, "author"));
    refused("--accept-weaker");
    accept_in_commit(&project, Some("maintainer"));
    refused("has no signature of one of `[policy] accept_signers` at the base");

    project.git("switch -q main");
    project.write("signers", &maintainer);
    commit(&project, "name who accepts");
    project.git("switch -qc again");
    project.write("golden/cases.jsonl", cases("c", 80, ""));
    commit(&project, "correct an expectation");
    refused("--accept-weaker");
    accept_in_commit(&project, None);
    refused("has no signature of one of `[policy] accept_signers` at the base");
    accept_in_commit(&project, Some("author"));
    refused("has no signature of one of `[policy] accept_signers` at the base");

    accept_in_commit(&project, Some("maintainer"));
    evaluate(&project, "").assert_exit(0);
    let accepted = project.verdict()["accepted_weaker"].as_str().unwrap().to_owned();
    let commit_id = project.git("rev-parse HEAD");
    assert_eq!(accepted, format!("agreed (Promptgate-Accept of commit {}, signed)", &commit_id[..12]));
    project.run("verify --prompt v2").assert_exit(0);

    // Who names himself in the change is none of those of the base.
    project.write("golden/cases.jsonl", cases("c", 79, ""));
    project.write("signers", maintainer + &author);
    commit(&project, "name myself");
    evaluate(&project, "").assert_exit(11);
    accept_in_commit(&project, Some("author"));
    refused("has no signature of one of `[policy] accept_signers` at the base");
}
