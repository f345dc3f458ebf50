//! `verify`: a verdict holds only as it was written, for the working tree as it is.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{KEY, Project, Run};
use crate::support::promoted::{evaluate, promoted};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicUsize, Ordering};

fn verify(project: &Project, more: &str) -> Run {
    project.run(&format!("verify --prompt v2 {more}"))
}

#[derive(Clone)]
struct Evidence {
    verdict: Value,
    rows: Vec<Value>,
}

impl Evidence {
    fn of(project: &Project) -> Evidence {
        Evidence { verdict: project.verdict(), rows: project.results() }
    }

    fn text(&self) -> String {
        self.rows.iter().map(|row| format!("{row}\n")).collect()
    }

    fn write(&self, project: &Project) {
        project.write("reports/verdict.json", self.verdict.to_string());
        project.write("reports/results.jsonl", self.text());
    }

    /// Makes the digest fit the rows again, as someone would who knows of it.
    fn redigest(&mut self) {
        let digest: String = Sha256::digest(self.text()).iter().map(|byte| format!("{byte:02x}")).collect();
        self.verdict["results"]["sha256"] = json!(digest);
    }
}

#[test]
fn a_promote_holds_until_something_changes() {
    let project = promoted();
    // No key is needed, also where nobody sits.
    let ran = project.run_with("verify --prompt v2", &[("CI", "true")]).assert_exit(0);
    assert!(ran.stdout.starts_with("reports/verdict.json holds: promote of `v2` against `v1`, 80 cases"));
    assert!(ran.stdout.ends_with("verify=holds exit=0\n"), "{}", ran.stdout);
    assert!(!ran.transcript().contains(KEY));

    let v1 = project.read("prompts/v1.prompt");
    let v2 = project.read("prompts/v2.prompt");
    let golden = project.read("golden/cases.jsonl");
    let toml = project.read("promptgate.toml");
    for (file, original, edited, found) in [
        ("prompts/v2.prompt", &v2, format!("{v2} "), "the verdict's candidate `v2` has the digest"),
        ("prompts/v1.prompt", &v1, format!("{v1} "), "the verdict's baseline `v1` has the digest"),
        (
            "golden/cases.jsonl",
            &golden,
            golden.replacen("nine", "ni", 1),
            "digest of golden cases and checks of the verdict",
        ),
        ("promptgate.toml", &toml, format!("{toml}margin = 0.04\n"), "the verdict was decided with margin 0.05"),
        ("promptgate.toml", &toml, "baseline = \"v2\"\n".to_owned(), "the verdict's baseline `v1` has the digest"),
        (
            "promptgate.toml",
            &toml,
            "baseline = \"none\"\nmin_pass_rate = 0.5".to_owned(),
            "the verdict compared with `v1`",
        ),
        (
            "promptgate.toml",
            &toml,
            format!("{toml}[commands.own]\nargv = [\"true\"]\n"),
            "digest of the commands that judge of the verdict: none",
        ),
    ] {
        project.write(file, edited);
        let ran = verify(&project, "");
        project.write(file, original);
        assert_eq!(ran.code, 11, "{file} {found}: {}", ran.transcript());
        assert!(ran.stderr.contains(found), "{}", ran.transcript());
        assert!(ran.stderr.contains("\n  expected: ") && ran.stderr.contains("\n  help: "), "{}", ran.stderr);
        assert!(ran.stdout.ends_with("verify=fails exit=11\n"), "{}", ran.stdout);
    }
    verify(&project, "--max-age 1h").assert_exit(0);
    verify(&project, "--margin 0.04").assert_exit(11);
    project.run("verify --prompt v1").assert_exit(11);
    verify(&project, "").assert_exit(0);
}

#[test]
fn what_was_edited_by_hand_is_found_out() {
    let project = promoted();
    type Edit = fn(&mut Evidence);
    let edits: &[(Edit, &str)] = &[
        (|e| e.verdict["decision"] = json!("block"), "`decision` of the verdict is \"block\""),
        (
            |e| e.verdict["sentence"] = json!("v2 may go live: everyone says so."),
            "`sentence` of the verdict is \"v2 may go live: everyone says so.\"",
        ),
        (|e| e.verdict["exit_code"] = json!(11), "ended with exit code 11"),
        (|e| e.verdict["promotable"] = json!(false), "it is not promotable"),
        (|e| e.verdict["simulated"] = json!(true), "a simulator answered"),
        (|e| e.verdict["replayed"] = json!(true), "were replayed"),
        (|e| e.verdict["gated"] = json!(false), "--no-gate"),
        (|e| e.verdict["completion"] = json!("budget"), "`decision` of the verdict is \"promote\""),
        (|e| e.verdict["counts"]["pass"] = json!(79), "`counts` of the verdict"),
        (|e| e.verdict["paired"]["regressed"] = json!(1), "`paired` of the verdict"),
        (|e| e.verdict["difference"]["low"] = json!(0.01), "`difference` of the verdict"),
        (|e| e.verdict["z"]["promote"] = json!(9.0), "`z` of the verdict"),
        (|e| e.verdict["usage"]["total"] = json!(1), "`usage` of the verdict"),
        (|e| e.verdict["reasons"][0]["code"] = json!("pass_rate"), "`reasons` of the verdict"),
        (|e| e.verdict["warnings"] = json!([]), "`warnings` of the verdict"),
        (|e| e.verdict["candidate"]["model"]["served"] = json!(["gemini-3.8-flash"]), "`candidate.model.served`"),
        (|e| e.verdict["policy"]["margin"] = json!(0.3), "don't belong together"),
        (|e| e.verdict["policy"]["max_missing"] = json!(0.5), "the verdict was decided with max_missing 0.5"),
        (|e| e.verdict["dataset"]["cases"] = json!(79), "79 of 80 cases were run"),
        (|e| e.verdict["repeats"] = json!(2), "of the plan"),
        (|e| e.verdict["tested"]["requests_sha256"] = json!("0".repeat(64)), "digest of the requests"),
        (|e| e.verdict["tested"]["identical"] = json!(true), "whether both prompts send the same requests"),
        (|e| e.verdict["baseline"] = Value::Null, "the verdict compared with no baseline"),
        (|e| e.verdict["results"] = Value::Null, "verdict.json knows of no rows"),
        (|e| e.verdict["finished_at"] = json!("2026-01-01T00:00:00Z"), " days old"),
        (|e| e.verdict["finished_at"] = json!("2999-01-01T00:00:00Z"), "a time to come"),
    ];
    let original = Evidence::of(&project);
    let check = |edit: Edit, found: &str, redigest: bool| {
        let mut evidence = original.clone();
        // The rows are written anew, so that their digest is another one already.
        evidence.redigest();
        edit(&mut evidence);
        if redigest {
            evidence.redigest();
        }
        evidence.write(&project);
        verify(&project, "").assert_exit(11).assert_stderr(found);
    };
    for (edit, found) in edits {
        check(*edit, found, false);
    }
    // What nobody would compare is no verdict.
    let surplus: &[(Edit, &str)] = &[
        (|e| e.verdict["policy"]["waived"] = json!(true), "unknown field `waived`"),
        (|e| e.verdict["reasons"][0]["ignored"] = json!(true), "a key that no eval writes: `reasons.0.ignored`"),
    ];
    for (edit, found) in surplus {
        let mut evidence = original.clone();
        evidence.redigest();
        edit(&mut evidence);
        evidence.write(&project);
        verify(&project, "").assert_exit(2).assert_stderr(found);
    }
    // A verdict of an older promptgate has no sentence, and still holds.
    let mut older = original.clone();
    older.verdict.as_object_mut().unwrap().remove("sentence");
    older.redigest();
    older.write(&project);
    verify(&project, "").assert_exit(0);
    // Rows: first without the digest, then with one that fits.
    let rows: &[(Edit, &str)] = &[
        (|e| drop(e.rows.pop()), "the file ends"),
        (|e| e.rows.truncate(e.rows.len() - 2), "results.jsonl ends too early"),
        (|e| drop(e.rows.drain(4..6)), "there stand the rows of `case-00003`"),
        (|e| e.rows.push(e.rows[1].clone()), "repeat 1 of the candidate of `case-00000`"),
        (|e| e.rows.extend_from_within(..2), "behind the last case"),
        (|e| e.rows.insert(2, e.rows[1].clone()), "there stands repeat 1 of the candidate of `case-00000`"),
        (|e| e.rows.swap(0, 1), "there stands repeat 1 of the candidate"),
        (|e| e.rows[0]["outcome"] = json!("fail"), "`counts`"),
        (|e| e.rows[1]["outcome"] = json!("fail"), "`counts`"),
        (|e| e.rows[1]["outcome"] = json!("error"), "does not fit the row's score"),
        (|e| e.rows[1]["outcome"] = json!("maybe"), "unknown variant `maybe`"),
        (|e| e.rows[1]["critical"] = json!(true), "another `critical`"),
        (|e| e.rows[1]["tags"] = json!(["x"]), "another `critical`"),
        (|e| e.rows[1] = json!("x"), "this is not a row of results"),
    ];
    for (edit, found) in rows {
        check(*edit, "results.jsonl has the digest", false);
        // A flipped outcome of the baseline changes the pairs, not the counts of the candidate.
        let found = if *found == "`counts`" { "of the verdict is" } else { found };
        if !matches!(found, "another `critical`") {
            check(*edit, found, true);
        }
    }
}

#[test]
fn a_candidate_that_its_rows_block_is_blocked() {
    let project = promoted();
    let mut evidence = Evidence::of(&project);
    for row in &mut evidence.rows {
        if row["arm"] == "candidate" {
            row["outcome"] = json!("fail");
            row["score"] = json!(0.0);
        }
    }
    evidence.redigest();
    evidence.write(&project);
    let ran = verify(&project, "").assert_exit(10).assert_stdout("its rows say block today");
    assert!(ran.stdout.ends_with("verify=fails exit=10\n"));
}

#[test]
fn what_is_no_verdict_is_refused() {
    let project = promoted();
    let verdict = project.read("reports/verdict.json");
    let mut other = project.verdict();
    other["schema"] = json!("promptgate.verdict/2");
    let mut old = project.verdict();
    old.as_object_mut().unwrap().remove("results");
    old.as_object_mut().unwrap().remove("tested");
    for (text, found) in [
        ("", "this is not JSON"),
        ("{", "this is not JSON"),
        ("[]", "it names no schema"),
        ("{\"schema\": 1}", "it names no schema"),
        (&*other.to_string(), "the schema is `promptgate.verdict/2`"),
        ("{\"schema\": \"promptgate.verdict/1\"}", "the verdict is not complete"),
        (&*old.to_string(), "missing field `tested`"),
        (&*verdict.replace("0.05", "\"a lot\""), "the verdict is not complete"),
    ] {
        project.write("reports/verdict.json", text);
        verify(&project, "").assert_exit(2).assert_stderr(found);
    }
    project.write("reports/verdict.json", &verdict);
    verify(&project, "reports/verdict.json").assert_exit(0);
    for (arguments, found) in [
        ("elsewhere/verdict.json", "the verdict can't be read"),
        ("--max-age soon", "--max-age: `soon` is not an age"),
        ("--margin 2", "`margin` is 2"),
        ("--golden nowhere", "nowhere"),
        ("--baseline v7", "v7"),
    ] {
        verify(&project, arguments).assert_exit(2).assert_stderr(found);
    }
    project.write("elsewhere/verdict.json", &verdict);
    verify(&project, "elsewhere/verdict.json").assert_exit(2).assert_stderr("the rows of the verdict can't be read");
}

#[test]
fn a_run_that_proves_nothing_of_the_service_never_holds() {
    // Simulated, and only a part: all that is wrong is told at once.
    let project = Project::with_cases(80);
    let ran = project.run("eval --prompt v2 --baseline v1 --quiet --limit 75");
    assert_eq!(project.verdict()["decision"], "promote", "{}", ran.transcript());
    let ran = verify(&project, "--baseline v1").assert_exit(11);
    for found in ["a simulator answered", "75 of 80 cases were run", "it is not promotable"] {
        assert!(ran.stderr.contains(found), "{}", ran.transcript());
    }
    assert!(!ran.stderr.contains("was edited"), "{}", ran.stderr);
}

#[test]
fn repeats_tags_errors_and_must_pass_cases_are_computed_alike() {
    let project = Project::with_cases(0);
    let case = |i: usize| {
        let (critical, tag) = (i.is_multiple_of(9), ["a", "b|c", "é"][i % 3]);
        json!({
            "id": format!("c{i}"), "critical": critical, "tags": [tag, "all"],
            "vars": {"question": format!("When does the shop open, number {i}?")}, "expect": [{"contains": "nine"}],
        })
    };
    project.write_cases(&(0..72).map(case).collect::<Vec<_>>());
    project.write("promptgate.toml", "baseline = \"v1\"\n");
    evaluate(&project, "--repeat 3").assert_exit(0);
    verify(&project, "").assert_exit(0);

    // Without a baseline, and with the same prompt twice.
    evaluate(&project, "--baseline none --min-pass-rate 0.5").assert_exit(0);
    verify(&project, "--baseline none --min-pass-rate 0.5").assert_exit(0);
    evaluate(&project, "--baseline v2").assert_exit(0);
    assert_eq!(project.verdict()["tested"]["identical"], true);
    verify(&project, "--baseline v2").assert_exit(11).assert_stderr("the verdict is unchanged");
}

#[test]
fn rules_that_eval_was_given_are_given_again() {
    let project = Project::with_cases(80);
    project.write("promptgate.toml", "baseline = \"v1\"\n");
    for rules in [
        "--metric score",
        "--estimand dataset",
        "--margin 0.06 --tolerance 0.02 --alpha 0.06",
        "--attempts 2",
        "--strict-model",
        "--sequential",
    ] {
        let ran = evaluate(&project, &format!("{rules} --fresh-key '{}'", &rules[2..]));
        assert!(matches!(ran.code, 0 | 11), "{rules:?} {}", ran.transcript());
        let without = verify(&project, "").assert_exit(11);
        let decided =
            format!("the verdict was decided with {}", rules[2..].split(' ').next().unwrap().replace('-', "_"));
        assert!(without.stderr.contains(&decided), "{rules:?} {}", without.stderr);
        let with = verify(&project, rules);
        assert!(!with.stderr.contains("was decided with"), "{rules:?} {}", with.stderr);
    }
}

/// The rows hold more answers than were planned, and cases that count differently.
#[test]
fn confirmed_weighted_and_clustered_cases_are_computed_alike() {
    let project = Project::with_cases(0);
    let case = |i: usize| {
        let mut case = json!({
            "id": format!("c{i}"), "critical": i < 2, "tags": ["all"], "weight": ([1.0, 0.5, 2.0][i % 3]),
            "vars": {"question": format!("Question {i}.")}, "expect": [{"contains": "nine"}],
        });
        if !i.is_multiple_of(4) {
            case["cluster"] = json!(format!("family {}", i / 2));
        }
        case
    };
    project.write_cases(&(0..320).map(case).collect::<Vec<_>>());
    project.write("promptgate.toml", "baseline = \"v1\"\n");
    // The candidate fails once on `c0`.
    let asked = AtomicUsize::new(0);
    let service = Fake::start(move |request| {
        let body = request.text();
        let first = body.contains("nine in the morning")
            && body.contains("Question 0.")
            && asked.fetch_add(1, Ordering::SeqCst) == 1;
        Reply::answer(if first { "ten" } else { "nine" })
    });
    let eval = || {
        project.run_with_key(&format!("eval --prompt v2 --target gemini --quiet --base-url {} --repeat 3", service.url))
    };
    eval().assert_exit(0);
    let of_first = |row: &&Value| row["case"] == "c0" && row["arm"] == "candidate";
    assert_eq!(project.results().iter().filter(of_first).count(), 10, "asked again");
    verify(&project, "").assert_exit(0);

    // A further answer that is left out is missed, whether the digest fits or not.
    let mut evidence = Evidence::of(&project);
    let further = evidence.rows.iter().position(|row| of_first(&row) && row["repeat"] == 7).unwrap();
    evidence.rows.remove(further);
    evidence.redigest();
    evidence.write(&project);
    verify(&project, "").assert_exit(11);

    // Another metric after a look promotes nothing, so it gets a store of its own.
    std::fs::remove_dir_all(project.file(".promptgate")).unwrap();
    project.write("promptgate.toml", "baseline = \"v1\"\nmetric = \"score\"\n");
    eval().assert_exit(0);
    verify(&project, "").assert_exit(0);
    // Other weights and clusters are other golden data.
    let golden = project.read("golden/cases.jsonl");
    for (from, to) in [("\"weight\":0.5", "\"weight\":1.5"), ("family 3\"", "family 4\"")] {
        project.write("golden/cases.jsonl", golden.replacen(from, to, 1));
        verify(&project, "").assert_exit(11);
    }
}
