//! The policy base: a change that makes golden data, checks or rules ask for less decides nothing by itself.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{KEY, Project, Run};
use serde_json::{Value, json};

const TOML: &str = "baseline = \"v1\"\nrepeat = 1\n";

/// Eighty cases on the branch `main`, one of them critical, and a branch `change` that starts there.
fn repository() -> Project {
    let project = Project::with_cases(80);
    project.write("promptgate.toml", TOML);
    project.write("schemas/answer.json", "{\"type\": \"object\", \"required\": [\"hour\"]}");
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
    project.git("init -q");
    project.git("add .");
    project.git("commit -qm one");
    project.git("switch -qc change");
    project
}

fn eval(project: &Project, more: &str) -> Run {
    project.run(&format!("eval --prompt v2 --policy-base main {more}"))
}

fn kinds(verdict: &Value) -> Vec<(String, bool)> {
    let rows = verdict["changed"].as_array().unwrap().iter();
    rows.map(|row| (row["kind"].as_str().unwrap().to_owned(), row["weaker"].as_bool().unwrap())).collect()
}

/// Accepts what a run found weaker.
fn consent(ran: &Run, reason: &str) -> String {
    let told = ran.transcript();
    let (_, digest) = told.split_once("--accept-weaker '").unwrap_or_else(|| panic!("nothing is weaker: {told}"));
    format!("--accept-weaker '{}={reason}'", digest.split_once('=').unwrap().0)
}

#[test]
fn what_asks_for_less_is_listed_and_decides_nothing() {
    let project = repository();
    // What main does later is not this branch's doing.
    project.git("switch -q main");
    project.write("golden/more.jsonl", "{\"id\":\"later\",\"vars\":{\"question\":\"?\"},\"expect\":[\"x\"]}\n");
    project.git("add .");
    project.git("commit -qm later");
    project.git("switch -q change");
    let base = project.git("rev-parse HEAD");
    eval(&project, "").assert_exit(0);
    assert_eq!(project.verdict()["policy_base"], json!({"rev": "main", "commit": base}));
    assert_eq!(project.verdict()["changed"], json!([]));
    let summary = project.read("reports/summary.md");
    assert!(summary.contains("Golden data, checks and policy are those of `main`"), "{summary}");

    let golden = project.read("golden/cases.jsonl");
    let v1 = project.read("prompts/v1.prompt");
    let schema = project.read("schemas/answer.json");
    let cases = "golden/cases.jsonl";
    let last = golden.lines().last().unwrap();
    for (file, original, edited, kind) in [
        (cases, &*golden, golden.replace(&format!("{last}\n"), ""), "case-deleted"),
        (cases, &golden, golden.replace("\"critical\":true,", ""), "critical-removed"),
        (cases, &golden, golden.replacen("[{\"contains\":\"nine\"}]", "[{\"contains\":\"ni\"}]", 1), "check-weakened"),
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
        (cases, &golden, golden.replace("number 7?", "number 70?"), "input-changed"),
        ("schemas/answer.json", &schema, "{\"type\": \"object\"}".to_owned(), "check-changed"),
        ("prompts/v1.prompt", &v1, v1.replace("shoes", "hats"), "baseline-edited"),
        ("promptgate.toml", TOML, format!("{TOML}margin = 0.06\n"), "margin"),
        ("promptgate.toml", TOML, format!("{TOML}tolerance = 0.02\n"), "tolerance"),
        ("promptgate.toml", TOML, format!("{TOML}alpha = 0.1\n"), "alpha"),
        ("promptgate.toml", TOML, format!("{TOML}limit = 75\n"), "limit"),
    ] {
        project.write(file, edited);
        // These rules are the first for these answers.
        std::fs::remove_dir_all(project.file(".promptgate")).unwrap();
        let ran = eval(&project, "");
        let verdict = project.verdict();
        assert_eq!(ran.code, 11, "{kind}: {}", ran.transcript());
        assert!(kinds(&verdict).contains(&(kind.to_owned(), true)), "{kind}: {}", verdict["changed"]);
        assert_eq!(verdict["reasons"][0]["code"], "weakened", "{kind}");
        assert_eq!((&verdict["promotable"], &verdict["accepted_weaker"]), (&json!(false), &Value::Null));
        assert!(ran.stdout.contains("--accept-weaker '"), "{}", ran.stdout);
        let summary = project.read("reports/summary.md");
        let second = summary.lines().nth(2).unwrap();
        assert!(second.starts_with("> **WEAKER** than `main` ("), "{summary}");
        assert!(summary.contains("| **weaker** |"), "{summary}");

        eval(&project, &consent(&ran, "agreed with @legal")).assert_exit(0);
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
    project.write("promptgate.toml", TOML.replace("repeat = 1", "repeat = 2") + "margin = 0.049\n");
    eval(&project, &format!("--accept-weaker '{}=not needed'", "0".repeat(32))).assert_exit(0);
    let rows = kinds(&project.verdict());
    let expected = ["cases", "check-strengthened", "margin", "repeat"];
    assert_eq!(rows, expected.map(|kind| (kind.to_owned(), false)));
    assert_eq!(project.verdict()["accepted_weaker"], Value::Null, "a reason for nothing");
    assert!(!project.read("reports/summary.md").contains("WEAKER"));
}

#[test]
fn a_base_that_cannot_be_read_is_refused_before_anything_is_sent() {
    let project = repository();
    let refused = |ran: Run, found: &str| {
        assert_eq!(ran.code, 2, "{}", ran.transcript());
        assert!(ran.stderr.contains(found), "{found}: {}", ran.transcript());
        assert!(!project.file("reports/verdict.json").exists());
    };
    let plain = "eval --prompt v2 --quiet";
    for rev in ["nowhere", "-x", "", "HEAD:golden"] {
        let ran = project.run(&format!("{plain} --policy-base={rev}"));
        refused(ran, if rev.is_empty() { "is empty" } else { "the policy base (--policy-base) can't be read" });
    }
    // In CI the base of the pull request is asked for by itself; it is not here, because the clone lacks it.
    let ran = project.run_with(&plain, &[("GITHUB_BASE_REF", "main")]);
    refused(ran, "fetch-depth: 0");
    for reason in ["", "  "] {
        let ran = project.run(&format!("{plain} --accept-weaker '{reason}'"));
        refused(ran, "--accept-weaker: needs a reason");
    }
    project.write("promptgate.toml", format!("{TOML}accept_weaker = \"x\"\n"));
    refused(project.run(&plain), "`accept_weaker` can't stand in a file");

    // A change can't choose another base than CI tells.
    project.git("update-ref refs/remotes/origin/main main");
    project.write("promptgate.toml", format!("{TOML}policy_base = \"none\"\nmargin = 0.06\n"));
    project.run_with(&plain, &[("GITHUB_BASE_REF", "main")]).assert_exit(11);
    assert_eq!(project.verdict()["policy_base"]["rev"], "origin/main");
    // Nor move it with a tag, or a branch, of its name.
    project.git("add .");
    project.git("commit -qm loose");
    project.git("tag origin/main");
    project.git("branch origin/main");
    project.run_with(&plain, &[("GITHUB_BASE_REF", "main")]).assert_exit(11);
    project.git("update-ref -d refs/remotes/origin/main");
    refused(project.run_with(&plain, &[("GITHUB_BASE_REF", "main")]), "unknown git revision `origin/main`");
    project.git("tag -d origin/main");
    project.git("branch -qD origin/main");
    project.run(&plain).assert_exit(0);
    assert_eq!(project.verdict()["policy_base"], Value::Null);

    // Settings that are a link there are not none.
    project.git("switch -q main");
    std::fs::rename(project.file("promptgate.toml"), project.file("linked.toml")).unwrap();
    std::os::unix::fs::symlink("linked.toml", project.file("promptgate.toml")).unwrap();
    project.git("add .");
    project.git("commit -qm link");
    project.git("switch -qc linked");
    refused(eval(&project, ""), "`promptgate.toml` at");

    // Histories without a common commit, and no repository at all.
    project.git("checkout -q --orphan alone");
    project.git("commit -qm alone");
    refused(eval(&project, ""), "have no commit in common");
    let bare = Project::with_cases(80);
    bare.run("eval --prompt v2 --baseline v1 --policy-base main")
        .assert_exit(2)
        .assert_stderr("is not in a git repository");
}

#[test]
fn an_older_state_that_does_not_load_counts_as_weaker() {
    let project = repository();
    project.git("switch -q main");
    let golden = project.read("golden/cases.jsonl");
    project.write("golden/cases.jsonl", golden.replacen("contains", "cotnains", 1));
    project.write("promptgate.toml", "baseline = \"v1\"\nmargn = 1\n");
    project.git("commit -qam broken");
    project.git("switch -qc mend");
    project.write("golden/cases.jsonl", golden);
    project.write("promptgate.toml", TOML);
    let ran = eval(&project, "").assert_exit(11);
    let rows = kinds(&project.verdict());
    assert_eq!(rows.iter().filter(|row| **row == ("unreadable".to_owned(), true)).count(), 2, "{rows:?}");
    eval(&project, &consent(&ran, "mends the data")).assert_exit(0);
}

#[test]
fn a_verdict_holds_only_with_the_base_it_was_compared_with() {
    let service = Fake::start(|_| Reply::answer("It opens at nine."));
    let project = repository();
    project.git("switch -q main");
    project.write("promptgate.toml", format!("{TOML}target = \"gemini\"\nbase_url = \"{}\"\n", service.url));
    project.git("commit -qam service");
    project.git("update-ref refs/remotes/origin/main main");
    project.git("switch -qc fewer");
    let golden = project.read("golden/cases.jsonl");
    let last = golden.lines().last().unwrap();
    project.write("golden/cases.jsonl", golden.replace(&format!("{last}\n"), ""));
    project.git("commit -qam fewer");
    let pull_request = [("GITHUB_BASE_REF", "main")];
    let verify = |variables: &[(&str, &str)]| project.run_with("verify --prompt v2", variables);
    let evaluate = |options: &str, variables: &[(&str, &str)]| {
        let variables = [&[("GEMINI_API_KEY", KEY)], variables].concat();
        project.run_with(&format!("eval --prompt v2 {options}"), &variables)
    };

    // Nothing compared: fine where no base is told, and not in a pull request.
    evaluate("", &[]).assert_exit(0);
    verify(&[]).assert_exit(0);
    verify(&pull_request).assert_exit(11).assert_stderr("with no earlier state");

    let ran = evaluate("", &pull_request).assert_exit(11);
    evaluate(&consent(&ran, "agreed"), &pull_request).assert_exit(0);
    verify(&pull_request).assert_exit(0).assert_stdout("weaker checks were accepted: agreed");
    verify(&[]).assert_exit(0);

    // Who hides what changed, or that it was accepted, is found out.
    let original = project.read("reports/verdict.json");
    for (pointer, value, found) in [
        ("/changed", json!([]), "`changed` of the verdict has 0 changes, 0 of them weaker"),
        ("/changed/0/weaker", json!(false), "`changed` of the verdict"),
        ("/weaker_digest", json!("0".repeat(32)), "`changed` of the verdict"),
        ("/accepted_weaker", Value::Null, "`decision` of the verdict is \"promote\""),
        ("/policy_base/commit", json!("0".repeat(40)), "can't be read"),
        ("/policy_base/commit", json!("HEAD"), "is not the name of a commit"),
    ] {
        let mut verdict: Value = serde_json::from_str(&original).unwrap();
        *verdict.pointer_mut(pointer).unwrap() = value;
        project.write("reports/verdict.json", verdict.to_string());
        verify(&[]).assert_exit(11).assert_stderr(found);
    }
}

#[test]
fn more_in_quarantine_is_weaker_and_less_is_not() {
    use time::{Duration, OffsetDateTime};
    let day = |days: i64| (OffsetDateTime::now_utc().date() + Duration::days(days)).to_string();
    let toml = |tags: &[(&str, i64)]| {
        let tags: String = tags.iter().map(|(tag, days)| format!("{tag} = \"{}\"\n", day(*days))).collect();
        format!("{TOML}[gate.quarantine]\n{tags}")
    };
    let project = repository();
    project.git("switch -q main");
    let golden = project.read("golden/cases.jsonl");
    let tagged = golden.replacen("\"expect\"", "\"tags\":[\"flaky\"],\"expect\"", 3);
    project.write("golden/cases.jsonl", &tagged);
    project.write("promptgate.toml", toml(&[("flaky", 30)]));
    project.git("commit -qam 'a quarantine'");
    project.git("switch -qc more");

    let last = tagged.lines().last().unwrap();
    let one_more = tagged.replace(last, &last.replace("\"expect\"", "\"tags\":[\"flaky\"],\"expect\""));
    // Of a case that does not decide: a must-pass case always does.
    let (others, rest) = tagged.rsplit_once("\"tags\":[\"flaky\"],").unwrap();
    let one_less = format!("{others}{rest}");
    for (rules, cases, kind, weaker) in [
        (toml(&[("flaky", 31)]), &tagged, "quarantine", true),
        (toml(&[("flaky", 30), ("new", 1)]), &tagged, "quarantine", true),
        (toml(&[("flaky", 30)]), &one_more, "quarantine-tag-added", true),
        (toml(&[("flaky", 29)]), &tagged, "quarantine", false),
        (TOML.to_owned(), &tagged, "quarantine", false),
    ] {
        project.write("promptgate.toml", rules);
        project.write("golden/cases.jsonl", cases);
        let ran = eval(&project, "");
        assert_eq!(ran.code, if weaker { 11 } else { 0 }, "{kind}: {}", ran.transcript());
        assert_eq!(kinds(&project.verdict()), [(kind.to_owned(), weaker)]);
        let summary = project.read("reports/summary.md");
        assert_eq!(summary.contains("**WEAKER**"), weaker, "{summary}");
        if weaker {
            eval(&project, &consent(&ran, "agreed")).assert_exit(0);
        }
        // The next rules are the first for these answers.
        std::fs::remove_dir_all(project.file(".promptgate")).unwrap();
    }
    project.write("promptgate.toml", toml(&[("flaky", 30)]));
    project.write("golden/cases.jsonl", one_less);
    eval(&project, "").assert_exit(0);
    assert_eq!(project.verdict()["changed"], json!([]));
}

#[test]
fn every_key_of_a_golden_case_is_compared() {
    let project = repository();
    let schema = project.run("schema golden").assert_exit(0).json();
    let keys = schema["$defs"]["case"]["properties"].as_object().unwrap().keys();
    let case = json!({"id": "a", "tags": ["t"], "critical": true, "weight": 2, "cluster": "c",
        "vars": {"question": "When does the shop open?"}, "history": [{"role": "user", "text": "Hello"}],
        "expect": [{"contains": "nine"}], "notes": "n"});
    project.git("switch -q main");
    project.write_rows("golden/more.jsonl", std::slice::from_ref(&case));
    project.git("add .");
    project.git("commit -qm more");
    project.git("switch -qc keys");
    for key in keys {
        let (value, kind) = match key.as_str() {
            "tags" => (json!(["other"]), Some("tag-removed")),
            "critical" => (json!(false), Some("critical-removed")),
            "weight" => (json!(1), Some("weight-changed")),
            "cluster" => (json!("d"), Some("cluster-changed")),
            "vars" => (json!({"question": "?"}), Some("input-changed")),
            "history" => (json!([]), Some("input-changed")),
            "expect" => (json!([{"contains": "n"}]), Some("check-weakened")),
            // Another id is the same case, and people's words decide nothing.
            "id" | "notes" => (json!("other"), None),
            // Only a judge's calibration goes by them, which is compared as a file.
            "labels" => continue,
            other => panic!("what is weaker in `{other}`?"),
        };
        let mut edited = case.clone();
        edited[key] = value;
        project.write_rows("golden/more.jsonl", &[edited]);
        let ran = eval(&project, "--quiet");
        assert_eq!(ran.code == 0, kind.is_none(), "{key}: {}", ran.transcript());
        let weaker: Vec<String> = kinds(&project.verdict()).into_iter().filter(|row| row.1).map(|row| row.0).collect();
        assert_eq!(weaker.first().map(String::as_str), kind, "{key}: {weaker:?} {}", ran.transcript());
    }
}

#[test]
fn cases_that_are_heavier_than_all_before_are_weaker_and_new_tags_are_not() {
    let project = repository();
    let new =
        json!({"id": "new", "weight": 2, "vars": {"question": "Is it open?"}, "expect": [{"length": {"min": 1}}]});
    project.write_rows("golden/more.jsonl", &[new]);
    let golden = project.read("golden/cases.jsonl");
    project.write("golden/cases.jsonl", golden.replacen("\"expect\"", "\"tags\":[\"new\"],\"expect\"", 3));
    eval(&project, "").assert_exit(11);
    let rows = kinds(&project.verdict());
    assert_eq!(rows[0], ("case-heavier".to_owned(), true));
    assert_eq!(rows.iter().filter(|row| **row == ("tag-added".to_owned(), false)).count(), 3, "{rows:?}");
}

/// A project whose settings name a file of every kind that is compared by its bytes, on `main`.
fn with_files() -> Project {
    let project = repository();
    project.write(
        "promptgate.toml",
        format!(
            "{TOML}[judges.default]\nprompt = \"prompts/judge/j.prompt\"\n\
             [embeddings.local]\npath = \"models/m\"\n[commands.own]\nargv = [\"sh\", \"checks/own.sh\", \"--rules=./checks/rules\"]\n\
             env = {{LIB = \"lib:more\"}}\n"
        ),
    );
    for (path, text) in [
        ("judge-calibration.json", "{}"),
        ("prompts/judge/j.prompt", "{{> rules}}{{rubric}} {{answer}}"),
        ("prompts/judge/_rules.prompt", "Be strict."),
        ("models/m/tokenizer.json", "{}"),
        ("checks/own.sh", "exit 1"),
        ("checks/rules/polite", "please"),
        ("lib/a.sh", "true"),
    ] {
        project.write(path, text);
    }
    project.git("switch -q main");
    project.git("add .");
    project.git("commit -qm files");
    project.git("switch -qc files");
    project
}

#[test]
fn every_file_that_a_run_reads_is_compared_by_its_bytes() {
    let project = with_files();
    eval(&project, "").assert_exit(0);
    assert_eq!(project.verdict()["changed"], json!([]));
    for (path, kind) in [
        ("judge-calibration.json", "judge-calibration"),
        ("prompts/judge/j.prompt", "judge-prompt"),
        ("prompts/judge/_rules.prompt", "judge-prompt"),
        ("models/m/tokenizer.json", "embeddings-file"),
        ("models/m/more.json", "embeddings-file"),
        ("checks/own.sh", "command-file"),
        ("checks/rules/polite", "command-file"),
        ("lib/a.sh", "command-file"),
        ("more/new.sh", "command-file"),
    ] {
        let before = std::fs::read_to_string(project.file(path)).ok();
        project.write(path, format!("{} ", before.as_deref().unwrap_or_default()));
        let ran = eval(&project, "");
        let ran = eval(&project, &consent(&ran, "agreed")).assert_exit(0);
        let rows = kinds(&project.verdict());
        // The folder of a script is a row of its own.
        let told = !rows.is_empty() && rows.iter().all(|row| *row == (kind.to_owned(), true));
        assert!(told && (rows.len() == 1 || kind == "command-file"), "{path}: {rows:?} {}", ran.transcript());
        match before {
            Some(before) => project.write(path, before),
            None => std::fs::remove_file(project.file(path)).unwrap(),
        }
    }
}

#[test]
fn nothing_is_sent_or_run_at_an_address_or_by_a_command_that_the_base_does_not_have() {
    let evil = Fake::start(|_| Reply::answer("It opens at nine."));
    let project = with_files();
    let toml = project.read("promptgate.toml");
    let (top, tables) = toml.split_once("[judges").unwrap();
    let above = |line: &str| format!("{top}{line}[judges{tables}");
    let key = [("GEMINI_API_KEY", KEY)];
    for (file, text, kind) in [
        ("promptgate.toml", above(&format!("base_url = \"{}\"\n", evil.url)), "base_url"),
        ("promptgate.toml", above("target = \"sim\"\n"), "target"),
        ("promptgate.toml", above("project = \"theirs\"\n"), "project"),
        ("promptgate.toml", above("location = \"us\"\n"), "location"),
        ("promptgate.toml", format!("{toml}[judges.b]\nbase_url = \"{}\"\n", evil.url), "judge-service"),
        ("promptgate.toml", format!("{toml}[embeddings.b]\nbase_url = \"{}\"\n", evil.url), "embeddings-service"),
        ("promptgate.toml", toml.replace("checks/own.sh", "checks/rules/polite"), "command"),
        ("promptgate.toml", format!("{toml}[commands.b]\nargv = [\"sh\"]\n"), "command"),
        ("checks/own.sh", "touch ran".to_owned(), "command-file"),
    ] {
        let before = project.read(file);
        project.write(file, text);
        for command in ["eval --prompt v2", "gate calibrate"] {
            let ran = project.run_with(&command, &[key[0], ("PROMPTGATE_POLICY_BASE", "main")]).assert_exit(2);
            assert!(ran.stderr.contains(&format!("`{kind}")), "{kind}: {}", ran.transcript());
            assert!(ran.stderr.contains("nothing is sent or run"), "{}", ran.transcript());
        }
        project.write(file, before);
    }
    assert!(!project.file("reports/verdict.json").exists());
    let url = format!("eval --prompt v2 --policy-base main --base-url {}", evil.url);
    let refused = project.run_with(&url, &key).assert_exit(2).assert_stderr("`base_url`");
    assert_eq!(evil.requests().len(), 0);
    project.run_with(&format!("{url} {}", consent(&refused, "agreed")), &key).assert_exit(0);
    assert!(!evil.requests().is_empty());
}

#[test]
fn options_and_variables_are_held_to_the_file_of_the_base() {
    let project = repository();
    project.write_rows(
        "easy.jsonl",
        &[json!({"id": "case-00001", "vars": {"question": "When?"}, "expect": [{"length": {"min": 1}}]})],
    );
    for (option, variable, kind) in [
        ("--margin 0.08", ("PROMPTGATE_MARGIN", "0.08"), "margin"),
        ("--alpha 0.1", ("PROMPTGATE_ALPHA", "0.1"), "alpha"),
        ("--model gemini-3.8-pro", ("PROMPTGATE_MODEL", "gemini-3.8-pro"), "model"),
        ("--baseline v2", ("PROMPTGATE_BASELINE", "v2"), "baseline"),
        ("--limit 70", ("PROMPTGATE_SLICE_MARGIN", "0.9"), ""),
        // The cases of the base are those that its own settings name.
        ("--golden easy.jsonl", ("PROMPTGATE_GOLDEN", "easy.jsonl"), "case-deleted"),
    ] {
        for (option, variables) in [(option, &[][..]), ("", &[variable][..])] {
            let ran = project.run_with(&format!("eval --prompt v2 --policy-base main {option}"), variables);
            let rows = kinds(&project.verdict());
            assert_eq!(ran.code, 11, "{option} {variables:?}: {}", ran.transcript());
            assert!(rows.iter().any(|row| row.1 && (kind.is_empty() || row.0 == kind)), "{option}: {rows:?}");
        }
    }
    // As strict as the base, whoever says so.
    eval(&project, "--margin 0.04 --repeat 1 --concurrency 3 --target gemini --cache only --dry-run").assert_exit(0);
}

#[test]
fn another_baseline_is_weaker_also_if_it_is_new() {
    let project = repository();
    project.write("prompts/worse.prompt", project.read("prompts/v1.prompt").replace("shoes", "hats"));
    project.write("promptgate.toml", TOML.replace("v1", "worse"));
    eval(&project, "").assert_exit(11);
    assert_eq!(kinds(&project.verdict()), ["baseline", "baseline-edited"].map(|kind| (kind.to_owned(), true)));
}

#[test]
fn the_change_that_adds_promptgate_asks_for_nothing_less() {
    let project = Project::with_cases(80);
    let golden = project.read("golden/cases.jsonl");
    std::fs::remove_dir_all(project.file("golden")).unwrap();
    project.write(".gitignore", "reports\n.promptgate\n");
    project.git("init -q");
    project.git("add .");
    project.git("commit -qm one");
    project.git("switch -qc change");
    project.write("golden/cases.jsonl", golden.replacen("{\"id\"", "{\"weight\":2,\"id\"", 1));
    project.write("promptgate.toml", format!("{TOML}margin = 0.1\n[commands.own]\nargv = [\"sh\"]\n"));
    eval(&project, "").assert_exit(0);
    let rows = kinds(&project.verdict());
    assert!(rows.contains(&("margin".to_owned(), false)) && rows.iter().all(|row| !row.1), "{rows:?}");
    // From then on it is a change like any other.
    project.git("add .");
    project.git("commit -qm added");
    project.git("branch -qf main");
    project.write("promptgate.toml", TOML);
    eval(&project, "").assert_exit(2).assert_stderr("`command own`");
}

#[test]
fn another_config_file_or_base_does_not_hide_what_the_base_asks_for() {
    let project = repository();
    project.git("update-ref refs/remotes/origin/main main");
    project.write("loose.toml", format!("{TOML}margin = 0.1\n"));
    eval(&project, "--config loose.toml").assert_exit(11);
    assert_eq!(kinds(&project.verdict()), [("margin".to_owned(), true)]);
    for base in ["none", "HEAD"] {
        project.git("commit -q --allow-empty -m more");
        let ran = project.run_with(&format!("eval --prompt v2 --policy-base {base}"), &[("GITHUB_BASE_REF", "main")]);
        ran.assert_exit(11);
        assert_eq!(kinds(&project.verdict()), [("policy_base".to_owned(), true)]);
    }
}

/// Says that every answer passes.
#[cfg(unix)]
const SCRIPT: &str = r#"while read -r line; do id=${line#*'"id":"'}; printf '{"id":"%s","pass":true}\n' "${id%%'"'*}"; done
"#;

/// A project whose golden data ask a command with these settings, and has these files, on `main`.
#[cfg(unix)]
fn with_command(settings: &str, files: &[(&str, &str)]) -> Project {
    use std::os::unix::fs::PermissionsExt as _;
    let project = repository();
    project.git("switch -q main");
    project.write("promptgate.toml", format!("{TOML}[commands.own]\n{settings}\n"));
    project.write(
        "golden/own.jsonl",
        "{\"id\":\"own\",\"vars\":{\"question\":\"When?\"},\"expect\":[{\"command\":\"own\"}]}\n",
    );
    for (path, text) in files {
        project.write(path, *text);
        std::fs::set_permissions(project.file(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    project.git("add .");
    project.git("commit -qm command");
    project.git("switch -qC change");
    project
}

#[cfg(unix)]
#[test]
fn a_pull_request_that_does_not_touch_a_command_changes_nothing() {
    for argv in ["[\"sh\", \"checks/own.sh\"]", "[\"./run\"]", "[\"sh\", \"./checks/../checks/own.sh\"]"] {
        let run = format!("#!/bin/sh\n{SCRIPT}");
        let project = with_command(&format!("argv = {argv}"), &[("checks/own.sh", SCRIPT), ("run", &run)]);
        eval(&project, "").assert_exit(0);
        assert_eq!(project.verdict()["changed"], json!([]), "{argv}");
        assert!(!project.run("golden lint --against main").transcript().contains("became"), "{argv}");
    }
}

#[cfg(unix)]
#[test]
fn what_a_command_runs_is_as_at_the_base_however_it_is_named() {
    for settings in [
        "argv = [\"sh\", \"checks/own.sh\"]",
        "argv = [\"sh\", \"-c\", \"exec sh checks/own.sh\"]",
        "argv = [\"sh\", \"checks/own.sh\", \"-m\", \"checks.rules\"]\nenv = { PYTHONPATH = \"checks\" }",
    ] {
        let project = with_command(settings, &[("checks/own.sh", SCRIPT), ("checks/rules.py", "RULE = 1\n")]);
        project.write(".gitignore", "__pycache__\n");
        project.git("add .");
        project.git("commit -qm ignore");
        eval(&project, "").assert_exit(0);
        // What the program leaves behind is no part of the change; what it loads from beside it is.
        project.write("checks/__pycache__/rules.pyc", "cached");
        eval(&project, "").assert_exit(0);
        for (file, text) in [("checks/own.sh", format!("#\n{SCRIPT}")), ("checks/rules.py", "RULE = 2\n".to_owned())] {
            let before = project.read(file);
            project.write(file, text);
            eval(&project, "").assert_exit(2).assert_stderr("command-file");
            project.write(file, before);
        }
    }
}

#[test]
fn approved_answers_are_compared_also_where_golden_names_a_file() {
    let project = repository();
    project.git("switch -q main");
    project.write("promptgate.toml", format!("{TOML}golden = \"golden/cases.jsonl\"\n"));
    let golden = project.read("golden/cases.jsonl");
    let (others, last) = golden.trim_end().rsplit_once('\n').unwrap();
    let mut case: Value = serde_json::from_str(last).unwrap();
    case["expect"] = json!([{"snapshot": true}]);
    project.write("golden/cases.jsonl", format!("{others}\n{case}\n"));
    let approved = format!("golden/snapshots/{}.snap", case["id"].as_str().unwrap());
    project.write(&approved, "---\nsource: x\n---\nIt opens at nine.\n");
    project.git("add .");
    project.git("commit -qm approved");
    project.git("switch -qC change");
    eval(&project, "").assert_exit(0);
    assert_eq!(project.verdict()["changed"], json!([]));
    project.write(&approved, "---\nsource: x\n---\nIt is closed.\n");
    eval(&project, "").assert_exit(11);
    assert_eq!(kinds(&project.verdict()), [("check-changed".to_owned(), true)]);
}
