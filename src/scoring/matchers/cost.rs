//! `cost`: the answer cost no more than this.

use crate::domain::Score;
use crate::scoring::arguments::{Fields, Read, number, refuse};
use crate::scoring::definition::{Compile, MatcherDef, Reads, Sample};
use crate::scoring::matcher::{MatchError, Matcher};
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

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of_map_or(Value::is_number, args, &["max"], "US dollars, or a map {max}")?;
    let max = fields.required("max", "US dollars, more than 0", above_zero);
    let max = fields.finish(max)?;
    Ok(Matcher::new(move |input| match input.cost_usd {
        Some(cost) if cost > 0.0 => {
            let pass = cost <= max;
            let than = if pass { "not more" } else { "more" };
            Ok(Score::binary(pass, format!("cost ${cost}, {than} than ${max}")))
        }
        Some(_) | None => Err(MatchError::new("the cost of the answer is not known")),
    }))
}

fn above_zero(value: &Value) -> Read<f64> {
    let max = number(value)?;
    if max > 0.0 {
        return Ok(max);
    }
    refuse(format!("{value} is a limit that every answer exceeds"), "US dollars, more than 0")
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
