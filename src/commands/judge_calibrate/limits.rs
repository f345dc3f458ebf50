//! How many labels a calibration needs, and what keeps it from being written.

use crate::domain::{Agreement, JudgeUse, Problem, Problems};
use crate::error::Error;
use crate::eval::calibration::Labels;
use std::collections::{BTreeMap, BTreeSet};

/// Labels of each kind below which nothing is said of a judge: with ten of a kind, all judged right, its share may still be
/// 79% (Wilson, 95%).
const LEAST_LABELS: u64 = 10;

/// Share of the labels of a judge that may be without a judgement. As the gate's `max_missing`.
const MOST_ERRORS: f64 = 0.05;

pub(super) fn no_labels(only: Option<&str>, others: &BTreeSet<String>) -> Error {
    let problem = match only {
        Some(name) => Problem::new(format!("no selected case has labels for the judge `{name}`"))
            .did_you_mean(name, others.iter().map(String::as_str)),
        None => Problem::new("no selected case has labels")
            .expected("labels: [{answer: \"You have 30 days.\", pass: true}] on cases with a check `judge`"),
    };
    Error::Nothing(problem)
}

/// Too few labels say nothing, however well a judge does on them.
pub(super) fn check_enough(labels: &BTreeMap<JudgeUse, Labels>) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (judge_use, Labels { passing, failing, .. }) in labels {
        for (count, kind) in [(*passing, "true"), (*failing, "false")] {
            if count < LEAST_LABELS {
                let message =
                    format!("the judge `{judge_use}` has {count} labels with `pass: {kind}`, which is too few");
                problems.push(
                    Problem::new(message)
                        .expected(format!("at least {LEAST_LABELS} of each kind; 50 are good"))
                        .hint("label more answers, good and bad ones; or --judge NAME for one that has enough"),
                );
            }
        }
    }
    problems.or(())
}

/// Why a judge's counts must not be written down.
pub(super) fn why_refused(judge_use: &JudgeUse, counts: &Agreement) -> Option<String> {
    let labels = counts.labels();
    if counts.errors as f64 > MOST_ERRORS * labels as f64 {
        return Some(format!(
            "the judge `{judge_use}` said nothing that counts about {} of {labels} answers; at most {}% may be missing",
            counts.errors,
            100.0 * MOST_ERRORS
        ));
    }
    // What is left must still be enough.
    (counts.passing() < LEAST_LABELS || counts.failing() < LEAST_LABELS).then(|| {
        format!(
            "the judge `{judge_use}` judged {} good and {} bad answers; at least {LEAST_LABELS} of each are needed",
            counts.passing(),
            counts.failing()
        )
    })
}
