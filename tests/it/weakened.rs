//! The policy base: a change that makes golden data, checks or rules ask for less decides nothing by itself.

use crate::support::project::{Project, Ran};
use crate::support::promoted::evaluate_with;
use serde_json::{Value, json};
use std::process::Command;

fn git(project: &Project, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(project.path())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const TOML: &str = "baseline = \"v1\"\n";

/// Eighty cases on the branch `main`, one of them critical, and a branch `change` that starts there.
fn repository() -> Project {
    let project = Project::with_cases(80);
    project.write("promptgate.toml", TOML);
    project.write(
        "schemas/answer.json",
        "{\"type\": \"object\", \"required\": [\"hour\"]}",
    );
    let golden = project.read("golden/cases.jsonl");
    let golden = golden
        .replacen("{\"id\"", "{\"critical\":true,\"id\"", 1)
        .replacen(
            "[{\"contains\":\"nine\"}]}\n{\"id\":\"case-00002\"",
            "[{\"any\":[{\"contains\":\"nine\"},{\"json_schema\":{\"file\":\"schemas/answer.json\"}}]}]}\n{\"id\":\"case-00002\"",
            1,
        );
    project.write("golden/cases.jsonl", golden);
    project.write(".gitignore", "reports\n.promptgate\n");
    git(&project, &["init", "-q"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "one"]);
    git(&project, &["switch", "-qc", "change"]);
    project
}

fn eval(project: &Project, more: &[&str]) -> Ran {
    project.run(&[&["eval", "--prompt", "v2", "--policy-base", "main"], more].concat())
}

fn kinds(verdict: &Value) -> Vec<(String, bool)> {
    let rows = verdict["changed"].as_array().unwrap().iter();
    rows.map(|row| {
        (
            row["kind"].as_str().unwrap().to_owned(),
            row["weaker"].as_bool().unwrap(),
        )
    })
    .collect()
}

#[test]
fn what_asks_for_less_is_listed_and_decides_nothing() {
    let project = repository();
    // What main does later is not this branch's doing.
    git(&project, &["switch", "-q", "main"]);
    project.write(
        "golden/more.jsonl",
        "{\"id\":\"later\",\"vars\":{\"question\":\"?\"},\"expect\":[\"x\"]}\n",
    );
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "later"]);
    git(&project, &["switch", "-q", "change"]);
    let base = git(&project, &["rev-parse", "HEAD"]);
    let ran = eval(&project, &[]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(project.verdict()["policy_base"], json!({"rev": "main", "commit": base}));
    assert_eq!(project.verdict()["changed"], json!([]));
    let summary = project.read("reports/summary.md");
    assert!(
        summary.contains("Golden data, checks and policy are those of `main`"),
        "{summary}"
    );

    let golden = project.read("golden/cases.jsonl");
    let v1 = project.read("prompts/v1.prompt");
    let schema = project.read("schemas/answer.json");
    let cases = "golden/cases.jsonl";
    let last = golden.lines().last().unwrap();
    for (file, original, edited, kind) in [
        (
            cases,
            &*golden,
            golden.replace(&format!("{last}\n"), ""),
            "case-deleted",
        ),
        (
            cases,
            &golden,
            golden.replace("\"critical\":true,", ""),
            "critical-removed",
        ),
        (
            cases,
            &golden,
            golden.replacen("[{\"contains\":\"nine\"}]", "[{\"contains\":\"ni\"}]", 1),
            "check-weakened",
        ),
        (
            cases,
            &golden,
            golden.replacen("[{\"contains\":\"nine\"}]", "[{\"contains\":\"morning\"}]", 1),
            "check-changed",
        ),
        (
            cases,
            &golden,
            golden.replacen(
                "[{\"contains\":\"nine\"}]",
                "[{\"contains\":\"nine\",\"advisory\":true},{\"length\":{\"min\":1}}]",
                1,
            ),
            "check-disarmed",
        ),
        (
            cases,
            &golden,
            golden.replace("number 7?", "number 70?"),
            "input-changed",
        ),
        (
            "schemas/answer.json",
            &schema,
            "{\"type\": \"object\"}".to_owned(),
            "check-changed",
        ),
        ("prompts/v1.prompt", &v1, v1.replace("shoes", "hats"), "baseline-edited"),
        ("promptgate.toml", TOML, format!("{TOML}margin = 0.06\n"), "margin"),
        (
            "promptgate.toml",
            TOML,
            format!("{TOML}tolerance = 0.02\n"),
            "tolerance",
        ),
        ("promptgate.toml", TOML, format!("{TOML}alpha = 0.1\n"), "alpha"),
        ("promptgate.toml", TOML, format!("{TOML}limit = 75\n"), "limit"),
    ] {
        project.write(file, edited);
        let ran = eval(&project, &[]);
        let verdict = project.verdict();
        assert_eq!(ran.code, 11, "{kind}: {}", ran.transcript());
        assert!(
            kinds(&verdict).contains(&(kind.to_owned(), true)),
            "{kind}: {}",
            verdict["changed"]
        );
        assert_eq!(verdict["reasons"][0]["code"], "weakened", "{kind}");
        assert_eq!(
            (&verdict["promotable"], &verdict["accepted_weaker"]),
            (&json!(false), &Value::Null)
        );
        assert!(ran.stdout.contains("--accept-weaker REASON"), "{}", ran.stdout);
        let summary = project.read("reports/summary.md");
        let second = summary.lines().nth(2).unwrap();
        assert!(second.starts_with("> **WEAKER** than `main` ("), "{summary}");
        assert!(summary.contains("| **weaker** |"), "{summary}");

        let ran = eval(&project, &["--accept-weaker", "agreed with @legal", "--quiet"]);
        assert_eq!(ran.code, 0, "{kind}: {}", ran.transcript());
        assert_eq!(project.verdict()["accepted_weaker"], "agreed with @legal");
        let summary = project.read("reports/summary.md");
        assert!(summary.contains("Accepted: agreed with "), "{summary}");
        project.write(file, original);
    }
}

#[test]
fn what_asks_for_more_is_listed_and_no_more() {
    let project = repository();
    let golden = project.read("golden/cases.jsonl");
    let more =
        "{\"id\":\"new\",\"vars\":{\"question\":\"When does the shop open?\"},\"expect\":[{\"contains\":\"nine\"}]}\n";
    let stronger = golden.replacen("[{\"contains\":\"nine\"}]", "[{\"contains\":\"at nine\"}]", 1);
    project.write("golden/cases.jsonl", stronger + more);
    project.write("promptgate.toml", format!("{TOML}margin = 0.049\nrepeat = 2\n"));
    let ran = eval(&project, &["--accept-weaker", "not needed"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let rows = kinds(&project.verdict());
    let expected = ["cases", "check-strengthened", "margin", "repeat"];
    assert_eq!(rows, expected.map(|kind| (kind.to_owned(), false)));
    assert_eq!(
        project.verdict()["accepted_weaker"],
        Value::Null,
        "a reason for nothing"
    );
    assert!(!project.read("reports/summary.md").contains("WEAKER"));
}

#[test]
fn a_base_that_cannot_be_read_is_refused_before_anything_is_sent() {
    let project = repository();
    let refused = |ran: Ran, found: &str| {
        assert_eq!(ran.code, 2, "{}", ran.transcript());
        assert!(ran.stderr.contains(found), "{found}: {}", ran.transcript());
        assert!(!project.file("reports/verdict.json").exists());
    };
    let plain = ["eval", "--prompt", "v2", "--quiet"];
    for rev in ["nowhere", "-x", "", "HEAD:golden"] {
        let option = format!("--policy-base={rev}");
        let ran = project.run(&[&plain[..], &[&*option]].concat());
        refused(
            ran,
            if rev.is_empty() {
                "is empty"
            } else {
                "the policy base (--policy-base) can't be read"
            },
        );
    }
    // In CI the base of the pull request is asked for by itself; it is not here, because the clone lacks it.
    let ran = project.run_with(&plain, &[("GITHUB_BASE_REF", "main")]);
    refused(ran, "fetch-depth: 0");
    for reason in ["", "  "] {
        let ran = project.run(&[&plain[..], &["--accept-weaker", reason]].concat());
        refused(ran, "--accept-weaker: needs a reason");
    }
    project.write("promptgate.toml", format!("{TOML}accept_weaker = \"x\"\n"));
    refused(project.run(&plain), "`accept_weaker` can't stand in a file");

    // A change can't choose another base than CI tells.
    git(&project, &["update-ref", "refs/remotes/origin/main", "main"]);
    project.write(
        "promptgate.toml",
        format!("{TOML}policy_base = \"none\"\nmargin = 0.06\n"),
    );
    let ran = project.run_with(&plain, &[("GITHUB_BASE_REF", "main")]);
    assert_eq!(ran.code, 11, "{}", ran.transcript());
    assert_eq!(project.verdict()["policy_base"]["rev"], "origin/main");
    let ran = project.run(&plain);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(project.verdict()["policy_base"], Value::Null);

    // Histories without a common commit, and no repository at all.
    git(&project, &["checkout", "-q", "--orphan", "alone"]);
    git(&project, &["commit", "-qm", "alone"]);
    refused(eval(&project, &[]), "have no commit in common");
    let bare = Project::with_cases(80);
    let ran = bare.run(&["eval", "--prompt", "v2", "--baseline", "v1", "--policy-base", "main"]);
    assert_eq!(ran.code, 2, "{}", ran.transcript());
    assert!(ran.stderr.contains("is not in a git repository"), "{}", ran.stderr);
}

#[test]
fn an_older_state_that_does_not_load_counts_as_weaker() {
    let project = repository();
    git(&project, &["switch", "-q", "main"]);
    let golden = project.read("golden/cases.jsonl");
    project.write("golden/cases.jsonl", golden.replacen("contains", "cotnains", 1));
    project.write("promptgate.toml", "baseline = \"v1\"\nmargn = 1\n");
    git(&project, &["commit", "-qam", "broken"]);
    git(&project, &["switch", "-qc", "mend"]);
    project.write("golden/cases.jsonl", golden);
    project.write("promptgate.toml", TOML);
    let ran = eval(&project, &[]);
    assert_eq!(ran.code, 11, "{}", ran.transcript());
    let rows = kinds(&project.verdict());
    assert_eq!(
        rows.iter()
            .filter(|row| **row == ("unreadable".to_owned(), true))
            .count(),
        2,
        "{rows:?}"
    );
    assert_eq!(eval(&project, &["--accept-weaker", "mends the data"]).code, 0);
}

#[test]
fn a_verdict_holds_only_with_the_base_it_was_compared_with() {
    let project = repository();
    git(&project, &["update-ref", "refs/remotes/origin/main", "main"]);
    let golden = project.read("golden/cases.jsonl");
    let last = golden.lines().last().unwrap();
    project.write("golden/cases.jsonl", golden.replace(&format!("{last}\n"), ""));
    git(&project, &["commit", "-qam", "fewer"]);
    let pull_request = [("GITHUB_BASE_REF", "main")];
    let verify = |variables: &[(&str, &str)]| project.run_with(&["verify", "--prompt", "v2"], variables);

    // Nothing compared: fine where no base is told, and not in a pull request.
    assert_eq!(evaluate_with(&project, &[], &[]).code, 0);
    assert_eq!(verify(&[]).code, 0);
    let ran = verify(&pull_request);
    assert_eq!(ran.code, 11, "{}", ran.transcript());
    assert!(ran.stderr.contains("with no earlier state"), "{}", ran.stderr);

    let ran = evaluate_with(&project, &["--accept-weaker", "agreed"], &pull_request);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let ran = verify(&pull_request);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert!(
        ran.stdout.contains("weaker checks were accepted: agreed"),
        "{}",
        ran.stdout
    );
    assert_eq!(verify(&[]).code, 0, "also after the merge");

    // Who hides what changed, or that it was accepted, is found out.
    let original = project.read("reports/verdict.json");
    for (pointer, value, found) in [
        (
            "/changed",
            json!([]),
            "`changed` of the verdict has 0 changes, 0 of them weaker",
        ),
        ("/changed/0/weaker", json!(false), "`changed` of the verdict"),
        (
            "/accepted_weaker",
            Value::Null,
            "`decision` of the verdict is \"promote\"",
        ),
        ("/policy_base/commit", json!("0".repeat(40)), "can't be read"),
        ("/policy_base/commit", json!("HEAD"), "is not the name of a commit"),
    ] {
        let mut verdict: Value = serde_json::from_str(&original).unwrap();
        *verdict.pointer_mut(pointer).unwrap() = value;
        project.write("reports/verdict.json", verdict.to_string());
        let ran = verify(&[]);
        assert_eq!(ran.code, 11, "{pointer}: {}", ran.transcript());
        assert!(ran.stderr.contains(found), "{pointer}: {}", ran.transcript());
    }
}

#[test]
fn more_in_quarantine_is_weaker_and_less_is_not() {
    use time::{Duration, OffsetDateTime};
    let day = |days: i64| (OffsetDateTime::now_utc().date() + Duration::days(days)).to_string();
    let toml = |tags: &[(&str, i64)]| {
        let tags: String = tags
            .iter()
            .map(|(tag, days)| format!("{tag} = \"{}\"\n", day(*days)))
            .collect();
        format!("{TOML}[gate.quarantine]\n{tags}")
    };
    let project = repository();
    git(&project, &["switch", "-q", "main"]);
    let golden = project.read("golden/cases.jsonl");
    let tagged = golden.replacen("\"expect\"", "\"tags\":[\"flaky\"],\"expect\"", 3);
    project.write("golden/cases.jsonl", &tagged);
    project.write("promptgate.toml", toml(&[("flaky", 30)]));
    git(&project, &["commit", "-qam", "a quarantine"]);
    git(&project, &["switch", "-qc", "more"]);

    let last = tagged.lines().last().unwrap();
    let one_more = tagged.replace(last, &last.replace("\"expect\"", "\"tags\":[\"flaky\"],\"expect\""));
    let one_less = tagged.replacen("\"tags\":[\"flaky\"],", "", 1);
    for (rules, cases, kind, weaker) in [
        (toml(&[("flaky", 31)]), &tagged, "quarantine", true),
        (toml(&[("flaky", 30), ("new", 1)]), &tagged, "quarantine", true),
        (toml(&[("flaky", 30)]), &one_more, "quarantine-tag-added", true),
        (toml(&[("flaky", 29)]), &tagged, "quarantine", false),
        (TOML.to_owned(), &tagged, "quarantine", false),
    ] {
        project.write("promptgate.toml", rules);
        project.write("golden/cases.jsonl", cases);
        let ran = eval(&project, &[]);
        assert_eq!(ran.code, if weaker { 11 } else { 0 }, "{kind}: {}", ran.transcript());
        assert_eq!(kinds(&project.verdict()), [(kind.to_owned(), weaker)]);
        let summary = project.read("reports/summary.md");
        assert_eq!(summary.contains("**WEAKER**"), weaker, "{summary}");
        if weaker {
            assert_eq!(eval(&project, &["--accept-weaker", "agreed"]).code, 0);
        }
    }
    project.write("promptgate.toml", toml(&[("flaky", 30)]));
    project.write("golden/cases.jsonl", one_less);
    assert_eq!(eval(&project, &[]).code, 0);
    assert_eq!(project.verdict()["changed"], json!([]));
}
