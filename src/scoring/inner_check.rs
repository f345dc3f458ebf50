//! Checks inside checks: on the same answer, or on a part of it, such as a value of its JSON, a code block, what a pattern
//! captured, or an argument of a call.

use super::arguments::{Read, wrong};
use super::definition::Compile;
use super::matcher::{MatchError, MatchInput, Matcher};
use super::quote::bounded;
use crate::domain::{Answer, ArgProblem, CheckSpec, Score, Step};
use serde_json::Value;

#[derive(Debug)]
pub(super) struct InnerCheck {
    label: String,
    /// Its share where the scores of several checks are weighed.
    pub(super) weight: f64,
    matcher: Box<dyn Matcher>,
}

/// Compiles a check inside a check; `ctx` is one level deeper.
pub(super) fn nested(written: &Value, ctx: &Compile<'_>) -> Read<InnerCheck> {
    let spec = CheckSpec::parse(written).map_err(|problem| vec![problem])?;
    if spec.advisory {
        return wrong(
            ArgProblem::new("a check inside another one can't be advisory")
                .inside(Step::key("advisory"))
                .expected("`advisory` on the outer check, or a check of its own"),
        );
    }
    if spec.weight == 0.0 {
        return wrong(
            ArgProblem::new("a check inside another one can't have weight 0")
                .inside(Step::key("weight"))
                .expected("a weight of more than 0, or no such check"),
        );
    }
    let matcher = ctx.check(&spec).map_err(|problems| {
        let mut problems = problems;
        if written.is_string() {
            // A plain string has no key `equals` to step into.
            problems.iter_mut().for_each(|problem| drop(problem.path.drain(..1)));
        }
        problems
    })?;
    Ok(InnerCheck { label: bounded(spec.name.as_deref().unwrap_or(&spec.matcher), 40), weight: spec.weight, matcher })
}

impl InnerCheck {
    /// With reasons that begin with its name.
    pub(super) fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        // Cut, because reasons of reasons add up.
        let named = |reason: &str| format!("{}: {}", self.label, bounded(reason, 300));
        match self.matcher.check(input) {
            Ok(score) => Ok(Score::new(score.value(), score.pass, named(&score.reason))),
            Err(error) => Err(MatchError::new(named(&error.reason))),
        }
    }
}

#[derive(Debug)]
pub(super) struct PartCheck(InnerCheck);

impl PartCheck {
    pub(super) fn read(written: &Value, ctx: &Compile<'_>) -> Read<PartCheck> {
        let ctx = ctx.deeper()?.on_a_part();
        let check = nested(written, &ctx)?;
        if check.weight != 1.0 {
            return wrong(
                ArgProblem::new("a check of a part can't have a weight")
                    .inside(Step::key("weight"))
                    .expected("`weight` on the outer check"),
            );
        }
        Ok(PartCheck(check))
    }

    /// Judges a part as if it were the whole, complete answer.
    pub(super) fn check(&self, input: &MatchInput<'_>, text: String) -> Result<Score, MatchError> {
        let answer = Answer { text, finish_reason: Some("STOP".to_owned()), ..Answer::default() };
        self.0.check(&MatchInput { answer: &answer, unusable: None, ..*input })
    }
}

/// A JSON value as the text that a check judges: a text as it is, anything else as JSON.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
