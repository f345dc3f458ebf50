//! `cost`: the answer cost no more than this.

use crate::domain::{ArgProblem, Score};
use crate::scoring::arguments::{Fields, Read, not_a, number, wrong};
use crate::scoring::definition::{Compile, MatcherDef, Reads, Sample};
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use serde_json::Value;

pub(super) const COST: MatcherDef = MatcherDef {
    name: "cost",
    summary: "the answer cost at most this",
    arguments: "0.01, or {max: 0.01}, in US dollars at the prices of the day on which it was asked for; an answer of \
                unknown cost, without token counts or of a model without a price, is not judged",
    schema: r##"{"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "object", "properties": {"max": {"type":
        "number", "exclusiveMinimum": 0}}, "required": ["max"], "additionalProperties": false}]}"##,
    example: r#"{"cost": {"max": 0.002}}"#,
    passes: Sample::Answer(
        r#"{"text": "Yes.", "usage": {"prompt": 900, "cached": 0, "output": 300, "thinking": 0, "total": 1200}}"#,
    ),
    fails: Sample::Answer(
        r#"{"text": "Yes.", "usage": {"prompt": 900, "cached": 0, "output": 3000, "thinking": 0, "total": 3900}}"#,
    ),
    refused: r#"{"cost": {"max": 0}}"#,
    cost: "constant",
    compile,
    reads: Reads::WholeAnswer,
    ..MatcherDef::DEFAULT
};

#[derive(Debug)]
struct Cost {
    max: f64,
}

fn compile(args: &Value, _: &Compile<'_>) -> Result<Box<dyn Matcher>, Vec<ArgProblem>> {
    let max = match args {
        Value::Object(map) => {
            let mut fields = Fields::new(map, &["max"]);
            let max = fields.required("max", "US dollars, more than 0", above_zero);
            fields.finish(max)?
        }
        Value::Number(_) => above_zero(args)?,
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {
            return wrong(not_a("US dollars, or a map {max}", args));
        }
    };
    Ok(Box::new(Cost { max }))
}

fn above_zero(value: &Value) -> Read<f64> {
    let max = number(value)?;
    if max > 0.0 {
        return Ok(max);
    }
    let problem = ArgProblem::new(format!("{value} is a limit that every answer exceeds"));
    wrong(problem.expected("US dollars, more than 0"))
}

impl Matcher for Cost {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        match input.cost_usd {
            Some(cost) if cost > 0.0 => {
                let pass = cost <= self.max;
                let than = if pass { "not more" } else { "more" };
                Ok(Score::binary(pass, format!("cost ${cost}, {than} than ${}", self.max)))
            }
            Some(_) | None => Err(MatchError::new("the cost of the answer is not known")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::matcher::MatchInput;
    use crate::scoring::rules::testing::{answer_text, compiled};
    use serde_json::json;

    #[test]
    fn what_is_not_known_is_not_judged() {
        let whole = answer_text("Yes.");
        let said = |cost_usd| {
            compiled(json!({"cost": 0.01}))
                .check(&MatchInput { cost_usd, ..whole.input() })
                .map(|score| score.pass)
                .ok()
        };
        assert_eq!([None, Some(0.0), Some(0.01), Some(0.0101)].map(said), [None, None, Some(true), Some(false)]);
    }
}
