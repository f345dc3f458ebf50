//! Whole runs within this process, against the built-in simulator.

use super::{Interrupt, RunHooks, RunKind, RunResult, prepare, run};
use crate::config::{CallKind, CommandLine, Environment, Layers};
use crate::dataset::counted_reads;
use crate::domain::Progress;
use crate::report::OutputDir;
use crate::report::progress::Silent;
use std::sync::Arc;

/// A project with 12 cases, of which the first must pass and can't.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for dir in ["prompts", "golden"] {
        std::fs::create_dir(folder.path().join(dir)).unwrap();
    }
    for (name, instruction) in [("v1", "Answer."), ("v2", "Answer briefly.")] {
        let text = format!("{{{{role \"system\"}}}}{instruction}\n{{{{role \"user\"}}}}{{{{question}}}}\n");
        std::fs::write(folder.path().join(format!("prompts/{name}.prompt")), text).unwrap();
    }
    let cases: String = (0..12)
        .map(|case| {
            let check = match case {
                0 => r#"{"contains": "never said"}"#,
                _ => r#"{"length": {"max": 10000}}"#,
            };
            format!(
                "{{\"id\": \"c{case}\", \"critical\": {}, \"vars\": {{\"question\": \"What is {case}?\"}}, \"expect\": [{check}]}}\n",
                case == 0
            )
        })
        .collect();
    std::fs::write(folder.path().join("golden/cases.jsonl"), cases).unwrap();
    folder
}

/// Runs the project; returns what came of it and how often the golden file was read.
fn run_project(sequential: &str) -> (RunResult, u64) {
    let folder = project();
    let options =
        [("prompt", "v2"), ("baseline", "v1"), ("target", "sim"), ("repeat", "1"), ("sequential", sequential)];
    let options =
        options.iter().fold(CommandLine::default(), |typed, (key, value)| typed.option(key, vec![(*value).to_owned()]));
    let settings = Layers::read(folder.path(), options, Environment::new()).settings(CallKind::Verdict).unwrap();
    let before = counted_reads();
    let context = prepare(&settings, RunKind::Gate { candidates: 1 }).unwrap();
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    let hooks = RunHooks { progress: &progress, interrupt: &Interrupt::default(), print: &|_| {} };
    let reports = OutputDir::claim(&folder.path().join("reports")).unwrap();
    let result = run(context, reports, hooks, &mut |_| {}).unwrap();
    (result, counted_reads() - before)
}

#[test]
fn golden_files_are_read_for_the_survey_the_requests_and_the_scores() {
    let (result, reads) = run_project("false");
    let answers = |result: &RunResult| result.verdict.requests;
    // The must-pass case is confirmed in between: 5 answers of the candidate instead of 1.
    assert!(answers(&result) > 24, "{}", answers(&result));
    assert_eq!(reads, 3);
}

#[test]
fn interim_analyses_read_no_golden_file() {
    let (result, reads) = run_project("true");
    assert!(!result.verdict.look.shares.is_empty());
    assert_eq!(reads, 3);
}
