//! Quarantine: cases of a flaky tag run and are reported, and decide nothing until a day that is written down.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{Project, Run};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

/// Cases, and how many of them, the first ones, have the tag `flaky`.
const CASES: usize = 92;
const FLAKY: usize = 12;

/// A day so many days from today, in UTC.
fn in_days(days: i64) -> String {
    let today = OffsetDateTime::now_utc().date();
    (today + Duration::days(days)).to_string()
}

fn settings(quarantine: &str) -> String {
    format!("baseline = \"v1\"\nrepeat = 1\n{quarantine}")
}

fn quarantined_for(days: i64) -> String {
    settings(&format!("[gate.quarantine]\nflaky = \"{}\"\n", in_days(days)))
}

fn project() -> Project {
    let project = Project::with_cases(CASES);
    let golden = project.read("golden/cases.jsonl");
    let tagged = golden.replacen("\"expect\"", "\"tags\":[\"flaky\"],\"expect\"", FLAKY);
    project.write("golden/cases.jsonl", tagged);
    project.write("promptgate.toml", settings(""));
    project
}

/// A service at which the new prompt fails all flaky cases, and nothing else fails.
fn service() -> Fake {
    Fake::start(|request| {
        let body = request.text();
        let new = body.contains("nine in the morning");
        let flaky = (0..FLAKY).any(|i| body.contains(&format!("number {i}?")));
        Reply::answer(if new && flaky { "ten" } else { "nine" })
    })
}

fn eval(project: &Project, service: &Fake, more: &str) -> Run {
    project.run_with_key(&format!("eval --prompt v2 --target gemini --base-url {} {more}", service.url))
}

fn codes<'v>(verdict: &'v Value, field: &str) -> Vec<&'v str> {
    let all = verdict[field].as_array().into_iter().flatten();
    all.map(|one| one["code"].as_str().unwrap()).collect()
}

/// The warnings about quarantine; the fake service makes others.
fn warned(verdict: &Value) -> Vec<&str> {
    let mut codes = codes(verdict, "warnings");
    codes.retain(|code| code.starts_with("quarantine"));
    codes
}

fn verify(project: &Project) -> Run {
    project.run("verify --prompt v2")
}

#[test]
fn a_flaky_tag_that_blocks_promotes_in_quarantine_and_blocks_again_after_it() {
    let (project, service) = (project(), service());
    eval(&project, &service, "").assert_exit(10);
    let without = project.verdict();
    assert!(codes(&without, "reasons").contains(&"regression"), "{without}");
    assert!(without.get("quarantined").is_none() && without["policy"].get("quarantine").is_none());

    let until = in_days(30);
    project.write("promptgate.toml", quarantined_for(30));
    // Looser rules for the same answers promote nothing; other answers may.
    eval(&project, &service, "").assert_exit(11);
    assert_eq!(codes(&project.verdict(), "reasons"), ["earlier_look"]);
    std::fs::remove_dir_all(project.file(".promptgate")).unwrap();
    let ran = eval(&project, &service, "").assert_exit(0);
    let verdict = project.verdict();
    assert_eq!((codes(&verdict, "reasons"), warned(&verdict)), (vec!["not_worse"], vec!["quarantined"]));
    assert_eq!(verdict["promotable"], true);
    assert_eq!(
        verdict["quarantined"],
        json!({"cases": 12, "pass": 0, "fail": 12, "error": 0, "skipped": 0,
               "tags": [{"tag": "flaky", "until": until, "cases": 12}]})
    );
    assert_eq!(verdict["policy"]["quarantine"], json!({"flaky": until}));
    assert_ne!(verdict["policy_sha256"], without["policy_sha256"]);
    // They run and are reported.
    assert_eq!(verdict["counts"], without["counts"]);
    assert_eq!(verdict["paired"]["n"], CASES - FLAKY);
    assert_eq!(verdict["rates"]["candidate"]["pass"], 1.0);
    assert_eq!(verdict["slices"], json!([]));
    assert_eq!(project.results().len(), 2 * CASES);
    let warning = verdict["warnings"].to_string();
    assert!(warning.contains(&format!("flaky (12 cases, until {until})")), "{warning}");
    let junit = project.read("reports/junit.xml");
    assert!(junit.contains("failures=\"12\""), "{junit}");
    let mark = format!("in quarantine until {until} by its tag flaky, decides nothing: ");
    assert_eq!(junit.matches(&format!("message=\"{mark}")).count(), FLAKY);
    let diff = project.read("reports/diff.md");
    assert!(diff.contains("## In quarantine (12)") && !diff.contains("## Regressed"), "{diff}");
    assert!(diff.contains(&format!("**in quarantine** by its tag `flaky` until {until}")), "{diff}");
    let summary = project.read("reports/summary.md");
    assert!(summary.contains("### Not passing, in quarantine (12)") && !summary.contains("### Regressed"));
    assert!(ran.stdout.contains("not passing, in quarantine: 12"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("regressed: "), "{}", ran.stdout);

    // A verdict holds with the same rules, and says how many cases decided nothing.
    verify(&project).assert_exit(0);
    let written = project.read("reports/verdict.json");
    for (edited, found) in [
        (
            written.replace(
                "\"fail\": 12,\n    \"error\": 0,\n    \"skipped\": 0,\n    \"tags\"",
                "\"fail\": 1,\n    \"error\": 0,\n    \"skipped\": 0,\n    \"tags\"",
            ),
            "`quarantined` of the verdict is",
        ),
        (written.replace(&until, &in_days(31)), "don't belong together"),
    ] {
        assert_ne!(edited, written, "{found}");
        project.write("reports/verdict.json", edited);
        verify(&project).assert_exit(11).assert_stderr(found);
    }
    project.write("reports/verdict.json", &written);
    project.write("promptgate.toml", settings(""));
    verify(&project).assert_exit(11).assert_stderr("was decided with quarantine");

    project.write("promptgate.toml", quarantined_for(-1));
    eval(&project, &service, "").assert_exit(10);
    let expired = project.verdict();
    for field in ["reasons", "counts", "paired", "difference", "z", "rates", "slices"] {
        assert_eq!(expired[field], without[field], "{field}");
    }
    assert_eq!(warned(&expired), ["quarantine_expired"]);
    assert!(expired.get("quarantined").is_none());
    assert!(!project.read("reports/junit.xml").contains("in quarantine until"));
}

#[test]
fn a_must_pass_case_decides_all_the_same() {
    let (project, service) = (project(), service());
    let golden = project.read("golden/cases.jsonl");
    project.write("golden/cases.jsonl", golden.replacen("{\"id\"", "{\"critical\":true,\"id\"", 1));
    project.write("promptgate.toml", quarantined_for(30));
    eval(&project, &service, "").assert_exit(10);
    let verdict = project.verdict();
    assert_eq!(codes(&verdict, "reasons")[0], "critical");
    assert_eq!(verdict["reasons"][0]["cases"], json!(["case-00000"]));
    assert_eq!(warned(&verdict), ["quarantined", "quarantine_critical"]);
    assert_eq!((&verdict["quarantined"]["cases"], &verdict["paired"]["regressed"]), (&json!(11), &json!(1)));
}

#[test]
fn where_every_case_is_in_quarantine_nothing_is_promoted() {
    let (project, service) = (project(), service());
    let golden = project.read("golden/cases.jsonl");
    let all: String = golden.lines().take(FLAKY).map(|line| format!("{line}\n")).collect();
    project.write("golden/cases.jsonl", all);
    project.write("promptgate.toml", quarantined_for(30));
    let refused = |ran: Run| {
        assert_eq!(ran.code, 11, "{}", ran.transcript());
        assert_eq!(codes(&project.verdict(), "reasons"), ["nothing_scored"]);
        assert!(ran.stdout.contains("every case of the run is in quarantine"), "{}", ran.stdout);
    };
    refused(eval(&project, &service, ""));
    refused(eval(&project, &service, "--baseline v2"));
    project.write(
        "promptgate.toml",
        format!("min_pass_rate = 0.01\n{}", quarantined_for(30).replace("\"v1\"", "\"none\"")),
    );
    refused(eval(&project, &service, ""));
    // Without a decision the run says how it went.
    eval(&project, &service, "--no-gate").assert_exit(0);
}

#[test]
fn what_can_not_be_in_quarantine_is_told_where_it_stands() {
    let project = project();
    for (gate, found) in [
        (
            format!("[gate.quarantine]\nflaky = \"{}\"\n", in_days(92)),
            "promptgate.toml:4:9: the quarantine of `flaky` lasts until ",
        ),
        (
            "[gate.quarantine]\nflaky = \"forever\"\n".to_owned(),
            "promptgate.toml:4:9: the quarantine of `flaky` lasts until `forever`, which is not a day",
        ),
        (
            format!("[gate]\ncritical_tags = [\"flaky\"]\n[gate.quarantine]\nflaky = \"{}\"\n", in_days(3)),
            "promptgate.toml:6:9: `flaky` is in quarantine and a critical tag",
        ),
        ("[gate]\nquarantaine = 3\n".to_owned(), "did you mean `quarantine`?"),
    ] {
        project.write("promptgate.toml", settings(&gate));
        project.run("eval --prompt v2").assert_exit(2).assert_stderr(found);
    }
}

#[test]
fn two_stored_runs_are_compared_without_what_is_in_quarantine_today() {
    let (project, service) = (project(), service());
    for prompt in ["v1", "v2"] {
        let alone =
            format!("eval --prompt {prompt} --baseline none --no-gate --target gemini --base-url {}", service.url);
        project.run_with_key(&alone).assert_exit(0);
    }
    let compare = || project.run("compare 1 2 --gate");
    compare().assert_exit(10).assert_stdout("case-00000");
    project.write("promptgate.toml", quarantined_for(30));
    let ran = compare().assert_exit(0);
    assert!(ran.stdout.contains("12 cases are in quarantine") && !ran.stdout.contains("case-00000"));
    project.write("promptgate.toml", quarantined_for(-1));
    compare().assert_exit(10);
}
