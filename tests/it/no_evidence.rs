//! What proves nothing promotes nothing: no cases, no judgements, half of the answers, scores that are no numbers, weights of
//! nothing, a single case. Each of them ends as inconclusive, or as a mistake in the input, and never with exit code 0.

use crate::support::project::Project;

/// A project whose cases a command of its own judges; `replies` is what the shell does with a request's `$id` and `$line`.
#[cfg(unix)]
fn judged_by(cases: usize, replies: &str) -> Project {
    let project = Project::with_cases(cases);
    project.edit("golden/cases.jsonl", "{\"contains\":\"nine\"}", "{\"command\":\"own\"}");
    project.write("promptgate.toml", "baseline = \"v1\"\n[commands.own]\nargv = [\"sh\", \"own.sh\"]\n");
    // The first id of a request is its own; the one of the case comes later.
    project.write(
        "own.sh",
        format!("while read -r line; do\nid=${{line#*\\\"id\\\":\\\"}}\nid=${{id%%\\\"*}}\n{replies}\ndone\n"),
    );
    project
}

#[cfg(unix)]
#[test]
fn judgements_that_are_none_promote_nothing() {
    const PASS: &str = "printf '{\"id\":\"%s\",\"pass\":true}\\n' \"$id\"";
    const ERROR: &str = "printf '{\"id\":\"%s\",\"error\":\"no idea\"}\\n' \"$id\"";
    let score = |score: &str| format!("printf '{{\"id\":\"%s\",\"pass\":true,\"score\":{score}}}\\n' \"$id\"");
    let table = [
        // The same project does promote where its judgements are some.
        ("every answer passes", PASS.to_owned(), 0, "not_worse"),
        ("every judgement fails", ERROR.to_owned(), 11, "nothing_scored"),
        ("no reply", "exit 1".to_owned(), 11, "nothing_scored"),
        ("nothing of the candidate", format!("case $line in *nine*) {ERROR};; *) {PASS};; esac"), 11, "nothing_scored"),
        ("nothing of the baseline", format!("case $line in *nine*) {PASS};; *) {ERROR};; esac"), 11, "nothing_scored"),
        ("a score that is no number", score("NaN"), 11, "nothing_scored"),
        ("a score in quotes", score("\"NaN\""), 11, "nothing_scored"),
        ("a score without end", score("1e999"), 11, "nothing_scored"),
        ("a score above 1", score("1.5"), 11, "nothing_scored"),
    ];
    for (what, replies, code, reason) in table {
        for metric in ["pass", "score"] {
            let project = judged_by(if code == 0 { 80 } else { 20 }, &replies);
            project.run(&format!("eval --prompt v2 --repeat 1 --metric {metric}")).assert_exit(code);
            let verdict = project.verdict();
            assert_eq!(verdict["reasons"][0]["code"], reason, "{what}, {metric}");
            assert_eq!(verdict["decision"] == "promote", code == 0, "{what}, {metric}");
        }
    }
}

#[test]
fn data_without_weight_promote_nothing() {
    const CASE: &str = r#"{"id":"a","vars":{"question":"When does the shop open?"},"expect":[{"contains":"nine"}]}"#;
    let table = [
        ("no case", String::new(), 4, ""),
        ("a single case", CASE.to_owned(), 11, "too_few"),
        ("a case that weighs nothing", CASE.replace("\"vars\"", "\"weight\":0,\"vars\""), 2, "weight"),
        ("a case that weighs less than nothing", CASE.replace("\"vars\"", "\"weight\":-1,\"vars\""), 2, "weight"),
        ("a weight that is no number", CASE.replace("\"vars\"", "\"weight\":NaN,\"vars\""), 2, ""),
        ("checks that weigh nothing", CASE.replace("\"nine\"", "\"nine\",\"weight\":0"), 2, "weight 0"),
        ("no check", CASE.replace("{\"contains\":\"nine\"}", ""), 2, ""),
    ];
    for (what, cases, code, word) in table {
        let project = Project::with_cases(1);
        project.write("golden/cases.jsonl", format!("{cases}\n"));
        let ran = project.run("eval --prompt v2 --baseline v1").assert_exit(code);
        if code == 11 {
            assert_eq!(project.verdict()["reasons"][0]["code"], word, "{what}");
        } else {
            assert!(ran.stderr.contains(word), "{what}: {}", ran.transcript());
            assert!(!project.file("reports/verdict.json").exists(), "{what}");
        }
    }
}
