//! `latency`, `tokens`: what an answer took.
//!
//! What is not known is not judged: a recorded answer without a latency took some time all the same. So a value of 0 is
//! unknown where an answer can't have taken none.

use crate::domain::{ArgProblem, Score, Usage};
use crate::scoring::arguments::{Fields, Read, bounds, count, refuse};
use crate::scoring::definition::{Compile, MatcherDef, Reads, Sample};
use crate::scoring::matcher::{MatchError, Matcher};
use serde_json::Value;

pub(super) const LATENCY: MatcherDef = MatcherDef {
    name: "latency",
    summary: "the answer came in time",
    arguments: "2000, or {max: 2000, first_token: 500}, at least one of both: at most so many milliseconds from sending the \
                successful attempt to its last byte, and to its first text or call; an unknown or zero time can't be \
                judged, nor the first token of an answer that was not streamed; stored answers keep the time they took \
                when they were asked for",
    schema: r##"{"anyOf": [{"type": "integer", "minimum": 1}, {"type": "object", "properties": {"max": {"type": "integer",
        "minimum": 1}, "first_token": {"type": "integer", "minimum": 1}}, "minProperties": 1,
        "additionalProperties": false}]}"##,
    example: r#"{"latency": {"max": 2000, "first_token": 500}}"#,
    passes: Sample::Answer(r#"{"text": "Yes.", "latency_ms": 2000, "first_token_ms": 120}"#),
    fails: Sample::Answer(r#"{"text": "Yes.", "latency_ms": 2001, "first_token_ms": 120}"#),
    refused: r#"{"latency": "2s"}"#,
    cost: "constant",
    compile: latency,
    reads: Reads::WholeAnswer,
    ..MatcherDef::DEFAULT
};

pub(super) const TOKENS: MatcherDef = MatcherDef {
    name: "tokens",
    summary: "the answer took so many tokens, as the service counts them",
    arguments: "{prompt, output, thinking, total}, at least one of them, each a count or {min, max}; without counts from the \
                service, or with a count of 0 for prompt, output or total, it can't judge",
    schema: r##"{"type": "object", "properties": {"prompt": {"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/bounds"}]},
        "output": {"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/bounds"}]},
        "thinking": {"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/bounds"}]},
        "total": {"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/bounds"}]}}, "minProperties": 1,
        "additionalProperties": false}"##,
    example: r#"{"tokens": {"output": {"max": 200}, "total": {"max": 1000}}}"#,
    passes: Sample::Answer(
        r#"{"text": "Yes.", "usage": {"prompt": 90, "cached": 0, "output": 10, "thinking": 0, "total": 100}}"#,
    ),
    fails: Sample::Answer(
        r#"{"text": "Yes.", "usage": {"prompt": 90, "cached": 0, "output": 201, "thinking": 0, "total": 291}}"#,
    ),
    refused: r#"{"tokens": {"outputs": {"max": 200}}}"#,
    cost: "constant",
    compile: tokens,
    reads: Reads::WholeAnswer,
    ..MatcherDef::DEFAULT
};

fn latency(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let expected = "milliseconds like 2000, or a map {max, first_token}";
    let mut fields = Fields::of_map_or(Value::is_number, args, &["max", "first_token"], expected)?;
    let max = fields.optional("max", milliseconds);
    let first_token = fields.optional("first_token", milliseconds);
    if fields.is_empty() {
        fields.refuse(ArgProblem::new("the map is empty").expected("`max`, `first_token` or both"));
    }
    let (max, first_token) = fields.finish(Some((max, first_token)))?;
    Ok(Matcher::new(move |input| {
        let limits = [
            ("the answer", max, Some(input.answer.latency_ms)),
            ("the first token", first_token, input.answer.first_token_ms),
        ];
        let mut unknown = None;
        for (what, max, actual) in limits {
            let Some(max) = max else { continue };
            match actual.filter(|actual| *actual > 0) {
                // Too late for one is too late, whatever the other is.
                Some(actual) if actual > max => {
                    return Ok(Score::binary(false, format!("{what} took {actual} ms, more than {max}")));
                }
                Some(_) => {}
                None => unknown = Some(MatchError::new(format!("how long {what} took is not known"))),
            }
        }
        unknown.map_or_else(|| Ok(Score::binary(true, "came in time")), Err)
    }))
}

fn milliseconds(value: &Value) -> Read<u64> {
    match count(value)? {
        0 => refuse("no answer takes 0 milliseconds", "1 or more milliseconds"),
        milliseconds => Ok(milliseconds),
    }
}

type Count = fn(&Usage) -> u64;

/// The kinds by name; and whether every answer has some.
const KINDS: [(&str, Count, bool); 4] = [
    ("prompt", |usage| usage.prompt, true),
    ("output", |usage| usage.output, true),
    ("thinking", |usage| usage.thinking, false),
    ("total", |usage| usage.total, true),
];

fn tokens(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of(args, &KINDS.map(|(name, ..)| name), "a map {prompt, output, thinking, total}")?;
    if fields.is_empty() {
        fields.refuse(ArgProblem::new("the map is empty").expected("at least one of prompt, output, thinking, total"));
    }
    let mut counted = Vec::new();
    for (name, of, always) in KINDS {
        counted.extend(fields.optional(name, bounds).map(|bounds| (name, of, always, bounds)));
    }
    let counted = fields.finish(Some(counted))?;
    Ok(Matcher::new(move |input| {
        let usage = &input.answer.usage;
        let mut unknown = None;
        for (name, of, always, bounds) in &counted {
            let actual = of(usage);
            // Without any count, none of them was told.
            if actual == 0 && (*always || usage.total == 0) {
                unknown = Some(MatchError::new(format!("how many {name} tokens it took is not known")));
            } else if !bounds.hold(actual) {
                let reason = format!("took {actual} {name} tokens, not {}", bounds.describe());
                return Ok(Score::binary(false, reason));
            }
        }
        unknown.map_or_else(|| Ok(Score::binary(true, "took as many tokens as it may")), Err)
    }))
}

#[cfg(test)]
mod tests {
    use crate::domain::Usage;
    use crate::scoring::rules::testing::{answer_text, problems, verdict};
    use serde_json::{Value, json};

    /// What a check says of an answer that took so long, and so many tokens: prompt, output, thinking, total.
    fn said(check: Value, (all, first): (u64, Option<u64>), tokens: [u64; 4]) -> String {
        let mut whole = answer_text("a");
        whole.answer.latency_ms = all;
        whole.answer.first_token_ms = first;
        let [prompt, output, thinking, total] = tokens;
        whole.answer.usage = Usage { prompt, output, thinking, total, cached: 0 };
        verdict(check, &whole)
    }

    #[test]
    fn what_is_not_known_is_not_judged() {
        let none = [0; 4];
        let both = json!({"latency": {"max": 10, "first_token": 5}});
        let output = json!({"tokens": {"output": {"max": 10}}});
        let thinking = json!({"tokens": {"thinking": 0, "total": {"max": 20}}});
        insta::assert_snapshot!([
            said(json!({"latency": 10}), (10, None), none),
            said(json!({"latency": 10}), (11, None), none),
            said(json!({"latency": 10}), (0, None), none),
            said(both.clone(), (10, Some(5)), none),
            said(both.clone(), (10, Some(6)), none),
            said(both.clone(), (10, None), none),
            said(both, (11, None), none),
            said(output.clone(), (0, None), [5, 10, 0, 15]),
            said(output.clone(), (0, None), [5, 11, 0, 16]),
            said(output.clone(), (0, None), [5, 0, 0, 5]),
            said(output, (0, None), none),
            said(thinking.clone(), (0, None), [5, 5, 0, 10]),
            said(thinking.clone(), (0, None), [5, 5, 1, 11]),
            said(thinking.clone(), (0, None), [5, 16, 0, 21]),
            said(thinking, (0, None), none),
        ].join("\n"), @"
        true: came in time
        false: the answer took 11 ms, more than 10
        no judgement: how long the answer took is not known
        true: came in time
        false: the first token took 6 ms, more than 5
        no judgement: how long the first token took is not known
        false: the answer took 11 ms, more than 10
        true: took as many tokens as it may
        false: took 11 output tokens, not at most 10
        no judgement: how many output tokens it took is not known
        no judgement: how many output tokens it took is not known
        true: took as many tokens as it may
        false: took 1 thinking tokens, not exactly 0
        false: took 21 total tokens, not at most 20
        no judgement: how many total tokens it took is not known
        ");
        insta::assert_snapshot!(problems(&[
            json!({"latency": "2s"}),
            json!({"latency": 0}),
            json!({"latency": {}}),
            json!({"tokens": 10}),
            json!({"tokens": {}}),
            json!({"tokens": {"output": {"min": 0}, "totl": 3}}),
        ]));
    }
}
