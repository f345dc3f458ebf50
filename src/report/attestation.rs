//! verdict.intoto.json: the verdict as an in-toto statement of the predicate type test-result, ready to be signed. Source:
//! <https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md> and spec/v1 beside it.
//!
//! The predicate knows PASSED, WARNED and FAILED, and policies in use take WARNED for good. So whatever is not to be
//! promoted is FAILED: blocked, inconclusive, and also a promote that proves nothing of the service.

use super::output::Output;
use super::text::json_safe;
use super::{CallReport, Context, Format, ReportError, Reporter};
use crate::domain::{Decision, InputDigests, PromptRecord, ResultsFile, Verdict};
use serde_json::{Value, json};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub(super) const FILE: &str = "verdict.intoto.json";

pub(super) const FORMAT: Format =
    Format { file: FILE, purpose: "signing: the verdict as an in-toto statement", call: CallReport::Rewrite, open };

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://in-toto.io/attestation/test-result/v0.1";

fn open(folder: &Path, context: &Context) -> Result<Box<dyn Reporter>, ReportError> {
    Ok(Box::new(Attestation { results: Arc::clone(&context.results), output: Output::create(folder, FILE)? }))
}

/// Removes the statement where there is no verdict: it would outlive what it is about.
pub(super) fn remove_orphan(folder: &Path) {
    if !folder.join(super::verdict::FILE).exists() {
        let _ = std::fs::remove_file(folder.join(FILE));
    }
}

struct Attestation {
    results: Arc<OnceLock<ResultsFile>>,
    output: Output,
}

impl Reporter for Attestation {
    fn finish(mut self: Box<Self>, verdict: &Verdict) -> Result<(), ReportError> {
        let statement = statement(verdict, self.results.get());
        let mut write = || -> io::Result<()> {
            let text = serde_json::to_string_pretty(&statement)?;
            writeln!(self.output, "{}", json_safe(&text))
        };
        write().map_err(|cause| self.output.error(cause))?;
        self.output.publish()
    }
}

fn statement(verdict: &Verdict, results: Option<&ResultsFile>) -> Value {
    let passed = verdict.promotable && verdict.decision == Decision::Promote;
    let decision = verdict.decision.as_str();
    let (mut passed_tests, mut failed_tests) = (Vec::new(), Vec::new());
    match (passed, verdict.decision) {
        (true, _) => passed_tests.push("gate/aggregate".to_owned()),
        (false, Decision::Promote) => failed_tests.push("gate/promotable (promote, but not promotable)".to_owned()),
        (false, Decision::Block | Decision::Inconclusive | Decision::Unchanged) => {
            failed_tests.push(format!("gate/aggregate ({decision})"))
        }
    }
    let mut warned_tests: Vec<String> = Vec::new();
    for warning in &verdict.warnings {
        let name = format!("gate/{}", warning.code.as_str());
        if !warned_tests.contains(&name) {
            warned_tests.push(name);
        }
    }
    if verdict.accepted_weaker.is_some() {
        warned_tests.push("gate/weakened (accepted)".to_owned());
    }
    if verdict.fresh_key.is_some() {
        warned_tests.push("gate/fresh_key (earlier looks left behind)".to_owned());
    }
    let mut subject = prompt(&verdict.candidate);
    subject["annotations"]["promptgate/sentence"] = json!(verdict.sentence);
    json!({
        "_type": STATEMENT,
        "subject": [subject],
        "predicateType": PREDICATE,
        "predicate": {
            "result": if passed { "PASSED" } else { "FAILED" },
            "configuration": configuration(verdict, results),
            "passedTests": passed_tests,
            "warnedTests": warned_tests,
            "failedTests": failed_tests,
        },
    })
}

/// A prompt's file with the digest of its bytes. The digest that verdict.json has of a version also covers its partials.
fn prompt(record: &PromptRecord) -> Value {
    json!({
        "name": record.path,
        "digest": {"sha256": record.file_sha256},
        "annotations": {"promptgate/name": record.name, "promptgate/sha256_with_partials": record.sha256},
    })
}

/// What the candidate was tested with, each with its digest.
fn configuration(verdict: &Verdict, results: Option<&ResultsFile>) -> Vec<Value> {
    let InputDigests { identical: _, requests_sha256, judges_sha256, commands_sha256 } = &verdict.tested;
    let resource = |name: &str, sha256: &str| json!({"name": name, "digest": {"sha256": sha256}});
    let mut all: Vec<Value> = verdict.baseline.iter().map(prompt).collect();
    all.push(resource("golden data", &verdict.dataset.sha256));
    all.push(resource("policy", &verdict.policy_sha256));
    all.push(resource("requests", requests_sha256));
    all.extend(judges_sha256.iter().map(|sha256| resource("judges", sha256)));
    all.extend(commands_sha256.iter().map(|sha256| resource("commands", sha256)));
    all.extend(results.map(|results| resource(&results.file, &results.sha256)));
    all
}
