//! A check on a part of an answer: a value of its JSON, a code block, what a pattern captured,
//! an argument of a call.

use super::arguments::{Read, wrong};
use super::matcher::{CannotJudge, Compile, Seen};
use super::matchers::combinators::{Nested, nested};
use crate::domain::{Answer, ArgProblem, Score, Step};
use serde_json::Value;

/// Checks that look at the whole answer, of which a part says nothing.
pub(super) const WHOLE_ANSWER: [&str; 9] = [
    "finish_reason",
    "refusal",
    "tool_calls",
    "grounding",
    "latency",
    "tokens",
    "cost",
    "cel",
    "command",
];

/// A check on parts.
#[derive(Debug)]
pub(super) struct PartCheck(Nested);

impl PartCheck {
    /// Compiles the check as it is written.
    pub(super) fn read(written: &Value, ctx: &Compile<'_>) -> Read<PartCheck> {
        let ctx = ctx.deeper().map_err(|problem| vec![problem])?.on_a_part();
        let check = nested(written, &ctx)?;
        if check.weight() != 1.0 {
            return wrong(
                ArgProblem::new("a check of a part can't have a weight")
                    .inside(Step::key("weight"))
                    .expected("`weight` on the outer check"),
            );
        }
        Ok(PartCheck(check))
    }

    /// Judges a part as if it were the whole, complete answer.
    pub(super) fn check(&self, seen: &Seen<'_>, text: String) -> Result<Score, CannotJudge> {
        let answer = Answer {
            text,
            finish_reason: Some("STOP".to_owned()),
            ..Answer::default()
        };
        self.0.check(&Seen {
            answer: &answer,
            unusable: None,
            ..*seen
        })
    }
}

/// A JSON value as the text that a check judges: a text as it is, anything else as JSON.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
