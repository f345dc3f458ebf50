//! In CI green means that the verdict can be acted on: a promote that can't be is held, unless it is called a rehearsal.

use crate::support::project::{KEY, Project, Run};
use crate::support::questions::Questions;

const CI: [(&str, &str); 2] = [("CI", "true"), ("GEMINI_API_KEY", KEY)];

fn project() -> Project {
    Project::with_questions(80, &[("v1", "Old."), ("v2", "New.")])
}

fn eval(project: &Project, options: &str, variables: &[(&str, &str)]) -> Run {
    project.run_with(&format!("eval --prompt v2 --baseline v1 --repeat 1 {options}"), variables)
}

/// Exit code, first reason, and whether the verdict is promotable and a rehearsal.
#[track_caller]
fn outcome(project: &Project, run: &Run) -> (i32, String, bool, bool) {
    let verdict = project.verdict();
    assert_eq!(verdict["exit_code"], run.code, "{}", run.transcript());
    let reason = verdict["reasons"][0]["code"].as_str().unwrap_or_default().to_owned();
    (run.code, reason, verdict["promotable"] == true, verdict["rehearsal"] == true)
}

#[test]
fn a_promote_in_ci_is_promotable_or_no_promote() {
    let (project, service) = (project(), Questions::start(|_, _| false));
    let url = format!("--base-url {}", service.fake.url);
    let part = format!("{url} --limit 79");
    // A person's partial run promotes, and isn't promotable; the same in CI does not.
    for (options, variables, expected) in [
        (&part, &CI[1..], (0, "not_worse", false, false)),
        (&part, &CI[..], (11, "not_promotable", false, false)),
        (&format!("{part} --rehearse"), &CI[..], (0, "not_worse", false, true)),
        (&url, &CI[..], (0, "not_worse", true, false)),
        (&format!("{url} --cache only"), &CI[..], (11, "not_promotable", false, false)),
        // Nothing that is rehearsed can be promoted.
        (&format!("{url} --rehearse"), &CI[..], (0, "not_worse", false, true)),
    ] {
        let run = eval(&project, options, variables);
        let (code, reason, promotable, rehearsal) = expected;
        assert_eq!(outcome(&project, &run), (code, reason.to_owned(), promotable, rehearsal), "{options}");
        let first = project.read("reports/summary.md").lines().next().unwrap_or_default().to_owned();
        assert_eq!(first.contains("Rehearsal"), rehearsal, "{first}");
    }
    project.run("verify --prompt v2 --baseline v1").assert_exit(11).assert_stderr("not promotable");
}

#[test]
fn every_ci_system_is_known() {
    let (project, simulated) = (Project::with_cases(80), "--target sim");
    for name in ["CI", "TF_BUILD", "BUILD_ID", "JENKINS_URL", "KUBERNETES_SERVICE_HOST", "CLOUD_RUN_JOB"] {
        let run = eval(&project, simulated, &[(name, "1")]);
        assert_eq!(outcome(&project, &run), (11, "not_promotable".to_owned(), false, false), "{}", run.transcript());
        run.assert_stdout("only a verdict that can be acted on passes");
    }
    let run = eval(&project, &format!("{simulated} --rehearse"), &[CI[0]]);
    assert_eq!(outcome(&project, &run), (0, "not_worse".to_owned(), false, true), "{}", run.transcript());
}

#[test]
fn no_variable_keeps_a_check_in_ci_from_deciding() {
    let project = project();
    for name in ["PROMPTGATE_DRY_RUN", "PROMPTGATE_NO_GATE"] {
        eval(&project, "", &[CI[0], CI[1], (name, "true")]).assert_exit(2).assert_stderr(&format!(
            "{name}: in CI (CI is set) this has to stand in the command, where it is reviewed"
        ));
        assert!(!project.file("reports/verdict.json").exists());
        eval(&project, "--target sim", &[(name, "true")]).assert_exit(0);
    }
    eval(&project, "--target sim --no-gate", &[CI[0], ("PROMPTGATE_NO_GATE", "false")]).assert_exit(0);
    // A rehearsal is typed, or there is none.
    eval(&project, "--target sim", &[CI[0], ("PROMPTGATE_REHEARSE", "true")])
        .assert_exit(11)
        .assert_stderr("the variable PROMPTGATE_REHEARSE is not a setting");
    project.write("promptgate.toml", "rehearse = true\n");
    eval(&project, "--target sim", &[]).assert_exit(2).assert_stderr("rehearse");
}
