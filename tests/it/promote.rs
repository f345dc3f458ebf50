//! `promote`: blue ← green, only with a verdict that holds; and the attestation of that verdict.

use crate::support::project::Project;
use crate::support::promoted::{evaluate, promoted};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TOML: &str = "# what serves\nbaseline = \"v1\" # blue\n";

#[test]
fn the_baseline_moves_once_and_back() {
    let project = promoted();
    assert_eq!(project.read("promptgate.toml"), TOML);
    let ran = project.run_with("promote v2", &[("CI", "true")]).assert_exit(0);
    assert_eq!(project.read("promptgate.toml"), TOML.replace("\"v1\"", "\"v2\""));
    for told in [
        "promptgate.toml: the baseline was `v1`, and is `v2` now",
        "to roll back: promptgate promote v1 --rollback",
        "promote=done exit=0",
    ] {
        assert!(ran.stdout.contains(told), "{told}: {}", ran.transcript());
    }

    // Once more: it is the baseline already, and its verdict still has to hold.
    let ran = project.run("promote v2").assert_exit(0);
    assert!(ran.stdout.ends_with("promote=already exit=0\n"), "{}", ran.stdout);
    let v2 = project.read("prompts/v2.prompt");
    project.write("prompts/v2.prompt", format!("{v2} edited"));
    let ran = project.run("promote v2").assert_exit(11);
    assert!(ran.stdout.ends_with("promote=refused exit=11\n"), "{}", ran.stdout);
    project.write("prompts/v2.prompt", v2);

    project.run("promote v1 --rollback").assert_exit(0).assert_stdout("nothing was checked");
    assert_eq!(project.read("promptgate.toml"), TOML);
    project.run("promote v1 --rollback").assert_exit(0);
    project.run("promote v8 --rollback").assert_exit(2);
}

#[test]
fn nothing_moves_without_a_verdict_that_holds() {
    let project = promoted();
    project.write("prompts/v0.prompt", "{{question}}");
    let moved = project.read("reports/verdict.json");
    for (toml, arguments, code, found) in [
        // The verdict compared with another one than the file names.
        ("baseline = \"v0\"\n", "v2", 11, "the verdict's baseline `v1` has the digest"),
        ("baseline = \"none\"\n", "v2", 2, "not the plain name of a prompt"),
        ("baseline = \"git:HEAD\"\n", "v2", 2, "not the plain name of a prompt"),
        ("baseline = \"v1\"\nmargin = 0.04\n", "v2", 11, "decided with margin 0.05"),
        (TOML, "v0", 11, "the verdict's candidate `v2` has the digest"),
        (TOML, "v1", 11, "the verdict's candidate `v2` has the digest"),
        (TOML, "v9", 2, "v9"),
        (TOML, "git:HEAD:v2", 2, "can't become the baseline"),
        (TOML, "v2 --verdict no/verdict.json", 2, "the verdict can't be read"),
        (TOML, "v2 --max-age 1ms", 11, "old"),
    ] {
        project.write("promptgate.toml", toml);
        if arguments.contains("1ms") {
            let old = moved.replace("\"finished_at\": \"20", "\"finished_at\": \"19");
            project.write("reports/verdict.json", old);
        }
        project.run(&format!("promote {arguments}")).assert_exit(code).assert_stderr(found);
        assert_eq!(project.read("promptgate.toml"), toml, "{arguments:?}");
    }
    // A simulated run proves nothing.
    project.write("promptgate.toml", TOML);
    project.run("eval --prompt v2 --quiet").assert_exit(0);
    project.run("promote v2").assert_exit(11);
    assert_eq!(project.read("promptgate.toml"), TOML);
}

#[test]
fn a_first_baseline_is_added() {
    let project = Project::with_cases(80);
    let rate = "--baseline none --min-pass-rate 0.5";
    evaluate(&project, rate).assert_exit(0);
    let ran = project.run("promote v2 --min-pass-rate 0.5").assert_exit(0);
    assert_eq!(project.read("promptgate.toml"), "baseline = \"v2\"\n");
    assert!(ran.stdout.contains("there was no baseline, and it is `v2` now"), "{}", ran.stdout);
}

fn attestation(project: &Project) -> Value {
    serde_json::from_str(&project.read("reports/verdict.intoto.json")).unwrap()
}

#[test]
fn the_attestation_has_the_fields_of_its_specification() {
    let project = promoted();
    let statement = attestation(&project);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://in-toto.io/attestation/test-result/v0.1");
    let digest: String =
        Sha256::digest(project.read("prompts/v2.prompt")).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(statement["subject"][0]["name"], "prompts/v2.prompt");
    assert_eq!(statement["subject"][0]["digest"], json!({"sha256": digest}));
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys(&statement), ["_type", "subject", "predicateType", "predicate"]);
    let predicate = &statement["predicate"];
    assert_eq!(keys(predicate), ["result", "configuration", "passedTests", "warnedTests", "failedTests"]);
    assert_eq!(predicate["result"], "PASSED");
    assert_eq!(predicate["passedTests"], json!(["gate/aggregate"]));
    assert_eq!(predicate["warnedTests"], json!(["gate/served_model"]));
    assert_eq!(predicate["failedTests"], json!([]));
    let verdict = project.verdict();
    let configuration = predicate["configuration"].as_array().unwrap();
    for resource in configuration {
        let sha256 = resource["digest"]["sha256"].as_str().unwrap();
        assert!(sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()), "{resource}");
    }
    let of = |name: &str| {
        let resource = configuration.iter().find(|resource| resource["name"] == name);
        resource.map(|resource| resource["digest"]["sha256"].clone())
    };
    assert_eq!(of("golden data"), Some(verdict["dataset"]["sha256"].clone()));
    assert_eq!(of("policy"), Some(verdict["policy_sha256"].clone()));
    assert_eq!(of("results.jsonl"), Some(verdict["results"]["sha256"].clone()));
    assert_eq!(of("prompts/v1.prompt"), Some(verdict["baseline"]["file_sha256"].clone()));

    // What is not promotable has failed, whatever was decided, and an earlier statement does not survive.
    project.run("eval --prompt v2 --quiet").assert_exit(0);
    let predicate = &attestation(&project)["predicate"];
    assert_eq!(predicate["result"], "FAILED");
    assert_eq!(predicate["failedTests"], json!(["gate/promotable (promote, but not promotable)"]));
    project.run("eval --prompt v1 --baseline v2 --quiet").assert_exit(10);
    let predicate = &attestation(&project)["predicate"];
    assert_eq!(
        (&predicate["result"], &predicate["failedTests"]),
        (&json!("FAILED"), &json!(["gate/aggregate (block)"]))
    );
    project.run("eval --prompt v9").assert_exit(2);
    assert!(!project.file("reports/verdict.intoto.json").exists());
}
