//! Why a case is not a pass, said once, so that all reports say the same; and what was expected of it.

use crate::domain::{Answer, ArmRow, CheckResult, CheckSpec, Failure, Outcome, ScoredSample};
use serde_json::Value;
use std::fmt::Write as _;

/// What stands for an answer without text and tool calls.
const EMPTY: &str = "(no text and no tool call)";

/// What kept an answer from passing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why<'a> {
    /// A short stable word: the matcher, the error's code, why it was not requested; `answer` when the answer failed before
    /// its checks.
    pub(super) kind: &'a str,
    /// What people call the check: its name, else its matcher; else the kind.
    pub(super) label: &'a str,
    pub(super) reason: &'a str,
}

/// Every reason why the answer is not a pass, the first one first; empty for a pass.
pub(super) fn why(judged: &ScoredSample) -> Vec<Why<'_>> {
    match &judged.outcome {
        Outcome::Scored(score) if score.pass => Vec::new(),
        Outcome::Scored(score) => {
            let broken = judged.checks.iter().filter(|check| check.pass == Some(false) && !check.advisory);
            let broken: Vec<_> = broken.map(check_why).collect();
            match broken.is_empty() {
                true => vec![Why { kind: "answer", label: "answer", reason: &score.reason }],
                false => broken,
            }
        }
        Outcome::Errored(Failure { kind: _, code, message }) => vec![Why { kind: code, label: code, reason: message }],
        Outcome::Skipped(skip) => vec![Why { kind: skip.as_str(), label: "not requested", reason: skip.describe() }],
    }
}

fn check_why(check: &CheckResult) -> Why<'_> {
    Why { kind: &check.matcher, label: check.name.as_deref().unwrap_or(&check.matcher), reason: &check.reason }
}

/// The outcomes of an arm's repeats in order: `pass, fail, pass`.
pub(super) fn outcomes(arm: &ArmRow) -> String {
    let words: Vec<_> = arm.repeats.iter().map(|judged| judged.outcome.kind().as_str()).collect();
    words.join(", ")
}

/// What was expected, as YAML that a golden file could hold.
pub(super) fn expected(checks: &[CheckSpec]) -> String {
    let mut yaml = String::new();
    for check in checks {
        let CheckSpec { matcher, args, weight, name, advisory } = check;
        let _ = writeln!(yaml, "- {matcher}: {args}");
        if *weight != 1.0 {
            let _ = writeln!(yaml, "  weight: {weight}");
        }
        if let Some(name) = name {
            let _ = writeln!(yaml, "  name: {}", Value::from(name.as_str()));
        }
        if *advisory {
            yaml.push_str("  advisory: true\n");
        }
    }
    yaml
}

/// What the model answered, as one text: the text, then each tool call on a line of its own; it says so if there is
/// neither.
pub(super) fn answered(answer: &Answer) -> String {
    if answer.text.is_empty() && answer.tool_calls.is_empty() {
        return EMPTY.to_owned();
    }
    let mut text = answer.text.clone();
    for call in &answer.tool_calls {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let _ = write!(text, "tool call: {}({})", call.name, Value::Object(call.args.clone()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FailureKind, Score, Skip, ToolCall};
    use serde_json::json;

    fn judged(outcome: Outcome, checks: Vec<CheckResult>) -> ScoredSample {
        ScoredSample { checks, attempts: 1, ..ScoredSample::new(1, outcome) }
    }

    fn check(name: Option<&str>, pass: Option<bool>, advisory: bool) -> CheckResult {
        CheckResult {
            matcher: "contains".into(),
            name: name.map(str::to_owned),
            pass,
            score: pass.map(f64::from),
            reason: "no \"30 days\"".into(),
            advisory,
        }
    }

    #[test]
    fn the_broken_deciding_checks_are_named() {
        let fail = judged(
            Outcome::Scored(Score::binary(false, "1 of 3 checks broke")),
            vec![
                check(None, Some(true), false),
                check(None, Some(false), true),
                check(Some("window"), Some(false), false),
            ],
        );
        let broken = why(&fail);
        assert_eq!(broken.len(), 1);
        assert_eq!((broken[0].kind, broken[0].label), ("contains", "window"));
    }

    #[test]
    fn every_other_outcome_has_its_reason() {
        let unusable = judged(Outcome::Scored(Score::binary(false, "the answer is empty")), vec![]);
        assert_eq!(why(&unusable)[0].kind, "answer");
        let pass = judged(Outcome::Scored(Score::binary(true, "")), vec![check(None, Some(false), true)]);
        assert!(why(&pass).is_empty());
        let error = judged(
            Outcome::Errored(Failure {
                kind: FailureKind::Transport,
                code: "http_503".into(),
                message: "overloaded".into(),
            }),
            vec![],
        );
        assert_eq!((why(&error)[0].kind, why(&error)[0].reason), ("http_503", "overloaded"));
        assert_eq!(why(&judged(Outcome::Skipped(Skip::Budget), vec![]))[0].kind, "budget");
    }

    #[test]
    fn expectations_are_written_as_in_a_golden_file() {
        let mut check = CheckSpec::plain("contains", json!("30 \"days\""));
        check.weight = 0.5;
        check.name = Some("window".into());
        check.advisory = true;
        insta::assert_snapshot!(expected(&[check, CheckSpec::plain("length", json!({"max": 3}))]), @r#"
        - contains: "30 \"days\""
          weight: 0.5
          name: "window"
          advisory: true
        - length: {"max":3}
        "#);
    }

    #[test]
    fn tool_calls_are_part_of_the_answer() {
        let answer = Answer {
            text: "Let me see.".into(),
            tool_calls: vec![ToolCall { name: "find".into(), args: json!({"id": 7}).as_object().unwrap().clone() }],
            ..Answer::default()
        };
        assert_eq!(answered(&Answer::default()), EMPTY);
        assert_eq!(answered(&answer), "Let me see.\ntool call: find({\"id\":7})");
    }
}
