//! Two models' published answers to a published dataset, judged: every outcome must equal the published verdict.

use crate::support::project::Project;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

#[test]
fn outcomes_equal_the_published_verdicts() {
    let Some(folder) = std::env::var_os("PROMPTGATE_CONFORMANCE") else {
        eprintln!("PROMPTGATE_CONFORMANCE is not set: not run");
        return;
    };
    let data = Path::new(&folder).join("gsm8k");
    let file = |name: &str| data.join(name).to_str().unwrap().to_owned();
    let project = Project::empty();
    project.write("prompts/6b_finetuning.prompt", "{{question}}\n");
    project.write("prompts/6b_verification.prompt", "{{question}}\n");
    project
        .run(&format!(
            "eval --prompt 6b_verification --baseline 6b_finetuning --golden '{}' --target recorded --answers '{}' --repeat 1",
            file("golden.jsonl"),
            file("answers.jsonl")
        ))
        .assert_exit(0);
    let verdict = project.verdict();
    assert_eq!(verdict["decision"], "promote");
    assert_eq!(verdict["promotable"], false, "replayed answers are never promotable");
    let mut truth = HashMap::new();
    for line in std::fs::read_to_string(file("truth.jsonl")).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        for arm in ["baseline", "candidate"] {
            truth.insert((row["case"].as_str().unwrap().to_owned(), arm.to_owned()), row[arm].as_bool().unwrap());
        }
    }
    assert_eq!(truth.len(), 1320);
    let results = project.results();
    assert_eq!(results.len(), 1320);
    for row in results {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        let expected = if truth[&(text("case"), text("arm"))] { "pass" } else { "fail" };
        assert_eq!(row["outcome"], expected, "{row}");
    }
}
