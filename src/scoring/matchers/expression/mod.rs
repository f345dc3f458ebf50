//! `cel`: an expression in the Common Expression Language is true of the answer.

#[cfg(feature = "cel")]
mod bounds;
#[cfg(feature = "cel")]
mod evaluate;

use crate::domain::Feature;
use crate::scoring::definition::{MatcherDef, Reads, Sample};

pub(super) const CEL: MatcherDef = MatcherDef {
    name: "cel",
    summary: "an expression in the Common Expression Language is true of the answer, or yields at least `min`",
    arguments: "\"expression\", or {expr, min}; it may use `answer` (text, tool_calls, finish_reason, model_version, usage, \
                latency_ms, first_token_ms, cost_usd), `case` (id, tags, vars, history, notes) and `json`, the JSON of the \
                answer as for `json`, without which the check fails; whole numbers are ints; min: the expression yields a \
                number from 0 to 1, which is the score; what has no value, like a key that is not there (ask with `has`), is \
                not judged; no side effects, no clock",
    schema: r##"{"anyOf": [{"$ref": "#/$defs/text"}, {"type": "object", "properties": {"expr": {"$ref": "#/$defs/text"},
        "min": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}}, "required": ["expr"],
        "additionalProperties": false}]}"##,
    example: r#"{"cel": "json.items.all(i, i.price > 0) && size(json.items) <= 3"}"#,
    passes: Sample::Text("{\"items\": [{\"price\": 2}]}"),
    fails: Sample::Text("{\"items\": [{\"price\": 0}]}"),
    refused: r#"{"cel": "asnwer.text == 'yes'"}"#,
    schema_refuses: false,
    cost: "linear in the answer for each loop of the expression; at most 1000 characters, 20 levels and 20 million steps, \
           told in advance from the sizes of the inputs: beyond them it is refused, or not judged",
    takes_text: true,
    #[cfg(feature = "cel")]
    compile: evaluate::compile,
    reads: Reads::WholeAnswer,
    feature: Some(Feature { name: "cel", enabled: cfg!(feature = "cel") }),
    ..MatcherDef::DEFAULT
};
