//! Commands of a project's own, from promptgate.toml to the result, and the examples of docs/own-checks.md.

use crate::support::project::{Project, Run};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A fenced block of the page.
fn block(heading: &str, language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/own-checks.md");
    super::docs::block(&fs::read_to_string(page).unwrap(), heading, language)
}

/// Judges these texts as the candidate's answers to the cases of the project, one each in turn.
fn judged(project: &Project, answers: &[(&str, &str)], variables: &[(&str, &str)]) -> Run {
    project.record(answers.iter().map(|(case, text)| (*case, "v2", *text)));
    let arguments = "eval --prompt v2 --baseline none --no-gate --target recorded --answers answers.jsonl --repeat 1";
    project.run_with(&arguments, variables)
}

/// The outcome of each row, and the reason of its last check.
fn outcomes(project: &Project) -> Vec<String> {
    let last = |row: &Value| row["checks"].as_array().and_then(|checks| checks.last().cloned()).unwrap_or_default();
    let told = |row: &Value| format!("{}: {}", row["outcome"].as_str().unwrap(), last(row)["reason"].as_str().unwrap());
    project.results().iter().map(told).collect()
}

/// The interpreter itself, which needs no environment, unlike a wrapper of it.
fn python() -> Option<PathBuf> {
    let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(path.trim())).filter(|path| path.is_file())
}

/// PATH with the interpreter's folder first.
fn path_with(program: &Path) -> String {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(program.parent().unwrap().to_owned()).chain(std::env::split_paths(&folders));
    std::env::join_paths(folders).unwrap().into_string().unwrap()
}

#[test]
fn the_examples_of_the_page_work() {
    let Some(python) = python() else {
        eprintln!("skipped: there is no python3 on this machine");
        return;
    };
    let project = Project::with_cases(0);
    project.write("promptgate.toml", block("## A command", "toml"));
    project.write("golden/cases.yaml", block("## A command", "yaml"));
    fs::remove_file(project.file("golden/cases.jsonl")).unwrap();
    project.write("checks/sums.py", block("## One in Python", "python"));
    project.write("checks/narrow.rs", block("## One in Rust", "rust"));
    let built = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "-D", "warnings", "-o"])
        .arg(project.file(&format!("checks/narrow{}", std::env::consts::EXE_SUFFIX)))
        .arg(project.file("checks/narrow.rs"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let path = path_with(&python);
    let table = [
        (
            "Boots \u{1f462} \"size 9\" 89.90\nWax\t7.50\nTotal 97.40",
            "pass: the widest line has 22 characters",
            "the items make 97.40, the total is 97.40",
        ),
        (
            "Boots 89.90\nWax 7.50\nTotal 98.40",
            "fail: the widest line has 11 characters",
            "the items make 97.40, the total is 98.40",
        ),
        ("97.40", "fail: the widest line has 5 characters", "has no total"),
        (
            "Boots, made by hand in our own workshop 89.90\nTotal 89.90",
            "fail: the widest line has 45 characters",
            "the items make 89.90, the total is 89.90",
        ),
    ];
    for (text, narrow, sums) in table {
        judged(&project, &[("boots-and-wax", text)], &[("PATH", &path)]).assert_exit(0);
        assert_eq!(outcomes(&project), [narrow], "{text}");
        assert_eq!(project.results()[0]["checks"][0]["reason"], sums, "{text}");
    }
    // Without what they need, both say so, and that is no judgement.
    let golden = project.read("golden/cases.yaml");
    let golden = golden.replace(", args: {tolerance: 0.001}", ", args: {}").replace(", args: {max: 40}", "");
    project.write("golden/cases.yaml", golden);
    judged(&project, &[("boots-and-wax", "Total 1.00")], &[("PATH", &path)]).assert_exit(11);
    let checks = &project.results()[0]["checks"];
    assert_eq!(checks[0]["pass"], Value::Null);
    assert_eq!(
        checks[0]["reason"],
        "the command `sums` can't judge: the check needs a tolerance: KeyError('tolerance')"
    );
    assert_eq!(checks[1]["reason"], "the command `narrow` can't judge: the check needs a `max`");
}

#[test]
#[cfg(feature = "cel")]
fn the_expressions_of_the_page_are_good_checks() {
    let project = Project::with_cases(0);
    fs::remove_file(project.file("golden/cases.jsonl")).unwrap();
    let expect = block("## An expression", "yaml");
    project.write("golden/cases.yaml", format!("- id: a\n  vars: {{question: q}}\n{}\n", indented(&expect)));
    let answer = r#"{"items": [{"price": 2}], "found": 4, "wanted": 5}"#;
    judged(&project, &[("a", answer)], &[]);
    assert_eq!(outcomes(&project), ["pass: the expression yields 0.8, not less than 0.8"]);
    assert!(project.verdict()["counts"]["pass"] == 1);
}

#[cfg(feature = "cel")]
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// A project whose cases ask a shell script, which passes what holds `yes`.
#[cfg(unix)]
fn with_script(cases: usize) -> Project {
    let project = Project::with_cases(0);
    project.write(
        "check.sh",
        r#"while read -r line; do id=${line#*'"id":"'}; id=${id%%'"'*}
            case $line in *boom*) echo "oh no" >&2; exit 7;; *yes*) pass=true;; *) pass=false;; esac
            echo "{\"id\":\"$id\",\"pass\":$pass}"; done"#,
    );
    project.write("promptgate.toml", "[commands.says-yes]\nargv = [\"sh\", \"check.sh\"]\n");
    let row = |i| json!({"id": format!("c{i:03}"), "vars": {"question": "q"}, "expect": [{"command": "says-yes"}]});
    project.write_cases(&(0..cases).map(row).collect::<Vec<_>>());
    project
}

#[cfg(unix)]
#[test]
fn results_do_not_depend_on_how_many_processes_answer() {
    let project = with_script(60);
    let answers: Vec<(String, String)> =
        (0..60).map(|i| (format!("c{i:03}"), if i % 3 == 0 { "yes".to_owned() } else { format!("no {i}") })).collect();
    let answers: Vec<(&str, &str)> = answers.iter().map(|(case, text)| (case.as_str(), text.as_str())).collect();
    let mut results = Vec::new();
    for threads in ["1", "7"] {
        judged(&project, &answers, &[("RAYON_NUM_THREADS", threads)]).assert_exit(0);
        results.push(project.read("reports/results.jsonl"));
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(project.verdict()["counts"]["pass"], 20);
    assert_eq!(project.verdict()["counts"]["fail"], 40);
}

#[cfg(unix)]
#[test]
fn a_crash_is_an_error_outcome_with_its_last_words() {
    let project = with_script(2);
    judged(&project, &[("c000", "boom"), ("c001", "yes")], &[]).assert_exit(0);
    assert_eq!(
        outcomes(&project),
        [
            "error: the command `says-yes` ended without a reply (exit status: 7); it wrote \"oh no\"",
            "pass: the command says pass"
        ]
    );
}

#[cfg(unix)]
#[test]
fn another_command_is_another_dataset() {
    let project = with_script(1);
    let mut digests = Vec::new();
    let script = project.read("check.sh");
    for (settings, script) in [
        ("", script.clone()),
        ("timeout = \"9s\"\n", script.clone()),
        ("", script.replace("*yes*", "*yes*|*no*")),
        ("[commands.unused]\nargv = [\"./none\"]\n", script.clone()),
    ] {
        project.write("promptgate.toml", format!("[commands.says-yes]\nargv = [\"sh\", \"check.sh\"]\n{settings}"));
        project.write("check.sh", script);
        judged(&project, &[("c000", "yes")], &[]).assert_exit(0);
        let verdict = project.verdict();
        digests.push((verdict["dataset"]["sha256"].clone(), verdict["key"].clone()));
    }
    for other in &digests[1..3] {
        assert_ne!(digests[0].0, other.0);
        assert_ne!(digests[0].1, other.1);
    }
    assert_eq!(digests[0], digests[3], "a command that no check names does not count");
}

#[cfg(unix)]
#[test]
fn what_can_not_be_run_is_told_before_anything_is_sent() {
    let project = with_script(1);
    let refused = |settings: &str| {
        project.write("promptgate.toml", settings);
        let ran = judged(&project, &[("c000", "yes")], &[]).assert_exit(2);
        assert_eq!(ran.stdout, "");
        ran.stderr
    };
    insta::assert_snapshot!(refused("[commands.says-yes]\nargv = [\"./none\"]\n"), @"
    error: golden/cases.jsonl:1:49: command: the command `says-yes` can't be started: `./none` is not there
      expected: a program that is there and may be run; declared at promptgate.toml:1:11
    ");
    insta::assert_snapshot!(refused("[commands.say-yes]\nargv = [\"sh\", \"check.sh\"]\n"), @"
    error: golden/cases.jsonl:1:49: command: no command `says-yes` is declared
      expected: one of say-yes
      help: did you mean `say-yes`?
    ");
    insta::assert_snapshot!(refused(""), @r#"
    error: golden/cases.jsonl:1:49: command: no command `says-yes` is declared
      expected: a command that promptgate.toml declares; it declares none
      help: declare it in promptgate.toml: [commands.NAME] with argv = ["program", "argument"]
    "#);
    insta::assert_snapshot!(refused("[commands.says-yes]\nargv = \"sh check.sh\"\n"), @r#"
    error: promptgate.toml:2:8: `argv` has the wrong type
      expected: a list of texts, the program and its arguments: ["python3", "checks/polite.py"]
    "#);
}

#[cfg(unix)]
#[test]
fn no_key_reaches_a_command() {
    let project = with_script(1);
    project.write(
        "check.sh",
        r#"read -r line; env > seen.env; id=${line#*'"id":"'}; echo "{\"id\":\"${id%%'"'*}\",\"pass\":true}"; read -r line"#,
    );
    judged(
        &project,
        &[("c000", "yes")],
        &[("GEMINI_API_KEY", "a-key-that-nobody-else-may-see"), ("GITHUB_TOKEN", "nor-this-one")],
    )
    .assert_exit(0);
    let seen = project.read("seen.env");
    let mut names: Vec<&str> = seen.lines().filter_map(|line| line.split('=').next()).collect();
    // The shell's own.
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    assert_eq!(names, ["PATH"]);
}

#[test]
fn what_an_answer_took_is_judged_where_it_is_known() {
    let project = Project::with_cases(0);
    let case = |id: &str, check: Value| json!({"id": id, "vars": {"question": "q"}, "expect": [check]});
    project.write_cases(&[
        case("latency", json!({"latency": 100})),
        case("slow", json!({"latency": 10})),
        case("tokens", json!({"tokens": {"total": {"max": 30}}})),
        case("cost", json!({"cost": 0.0000001})),
        case("unknown", json!({"all": [{"latency": 100}, {"tokens": {"total": {"max": 30}}}, {"cost": 1}]})),
    ]);
    project.write("promptgate.toml", "[prices.\"gemini-3.8-flash\"]\ninput = 1\noutput = 2\n");
    let known = |id: &str| {
        json!({"case": id, "prompt": "v2", "text": "a", "finish_reason": "STOP", "latency_ms": 50,
            "usage": {"prompt": 10, "cached": 0, "output": 20, "thinking": 0, "total": 30}})
    };
    let rows = ["latency", "slow", "tokens", "cost"].map(known).map(|row| row.to_string()).join("\n");
    let unknown = json!({"case": "unknown", "prompt": "v2", "text": "a", "finish_reason": "STOP"});
    project.write("answers.jsonl", format!("{rows}\n{unknown}\n"));
    project
        .run("eval --prompt v2 --baseline none --no-gate --target recorded --answers answers.jsonl --repeat 1")
        .assert_exit(0);
    insta::assert_snapshot!(outcomes(&project).join("\n"), @"
    pass: came in time
    fail: the answer took 50 ms, more than 10
    pass: took as many tokens as it may
    fail: cost $0.00005, more than $0.0000001
    error: latency: how long the answer took is not known
    ");
}
