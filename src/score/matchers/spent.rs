//! `latency`, `tokens` and `cost`: the answer took no more than this. Of an answer that does not tell, they judge nothing: 0
//! is what a recording without the field has, and would be below every limit.

use crate::model::{ArgProblem, Score, Usage};
use crate::score::arguments::{Fields, Read, choice, not_a, number, wrong};
use crate::score::matcher::{CannotJudge, Compile, Matcher, MatcherDef, Sample, Seen};
use serde_json::Value;

pub(super) const LATENCY: MatcherDef = MatcherDef {
    name: "latency",
    summary: "the answer was complete within this time",
    arguments: "1500, or {max: 1500}, in milliseconds from sending the successful attempt to its last byte; of an answer \
                from the cache or a recording, as it was when it was asked for; 0 is no latency, and judges nothing",
    example: r#"{"latency": {"max": 1500}}"#,
    passes: Sample::Answer(r#"{"text": "Yes.", "latency_ms": 1500}"#),
    fails: Sample::Answer(r#"{"text": "Yes.", "latency_ms": 1501}"#),
    refused: r#"{"latency": {"max": "1.5s"}}"#,
    cost: "constant",
    takes_text: false,
    combines: false,
    inline: None,
    compile: |args, _| Ok(Box::new(Latency(limit(args)?))),
};

pub(super) const TOKENS: MatcherDef = MatcherDef {
    name: "tokens",
    summary: "the answer took at most so many tokens",
    arguments: "500, or {max: 500, of}; of: total (all of them, the default), prompt, output (without thinking) or \
                thinking, as the service counted; an answer without counts is not judged",
    example: r#"{"tokens": {"max": 300, "of": "output"}}"#,
    passes: Sample::Answer(
        r#"{"text": "Yes.", "usage": {"prompt": 900, "cached": 0, "output": 300, "thinking": 80, "total": 1280}}"#,
    ),
    fails: Sample::Answer(
        r#"{"text": "Yes.", "usage": {"prompt": 900, "cached": 0, "output": 301, "thinking": 0, "total": 1201}}"#,
    ),
    refused: r#"{"tokens": {"max": 300, "of": "input"}}"#,
    cost: "constant",
    takes_text: false,
    combines: false,
    inline: None,
    compile: tokens,
};

pub(super) const COST: MatcherDef = MatcherDef {
    name: "cost",
    summary: "the answer cost at most this",
    arguments: "0.01, or {max: 0.01}, in US dollars at the prices of the day on which it was asked for; an answer of \
                unknown cost, without token counts or of a model without a price, is not judged",
    example: r#"{"cost": {"max": 0.002}}"#,
    passes: Sample::Answer(
        r#"{"text": "Yes.", "usage": {"prompt": 900, "cached": 0, "output": 300, "thinking": 0, "total": 1200}}"#,
    ),
    fails: Sample::Answer(
        r#"{"text": "Yes.", "usage": {"prompt": 900, "cached": 0, "output": 3000, "thinking": 0, "total": 3900}}"#,
    ),
    refused: r#"{"cost": {"max": 0}}"#,
    cost: "constant",
    takes_text: false,
    combines: false,
    inline: None,
    compile: |args, _| Ok(Box::new(Cost(limit(args)?))),
};

#[derive(Debug)]
struct Latency(f64);

#[derive(Debug)]
struct Tokens {
    max: f64,
    of: Of,
}

#[derive(Debug)]
struct Cost(f64);

/// Which tokens.
#[derive(Clone, Copy, Debug)]
enum Of {
    Total,
    Prompt,
    Output,
    Thinking,
}

/// The limit of `{max}` or of a plain number.
fn limit(args: &Value) -> Read<f64> {
    match args {
        Value::Object(map) => {
            let mut fields = Fields::new(map, &["max"]);
            let max = fields.required("max", "a number above 0", above_zero);
            fields.finish(max)
        }
        Value::Number(_) => above_zero(args),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {
            wrong(not_a("a number, or a map {max}", args))
        }
    }
}

fn above_zero(value: &Value) -> Read<f64> {
    let max = number(value)?;
    if max <= 0.0 {
        return wrong(
            ArgProblem::new(format!("{value} is a limit that every answer exceeds")).expected("a number above 0"),
        );
    }
    Ok(max)
}

fn tokens(args: &Value, _: &Compile<'_>) -> Result<Box<dyn Matcher>, Vec<ArgProblem>> {
    let Value::Object(map) = args else {
        return Ok(Box::new(Tokens {
            max: limit(args)?,
            of: Of::Total,
        }));
    };
    let mut fields = Fields::new(map, &["max", "of"]);
    let of = fields.optional("of", |of| {
        let words = [
            ("total", Of::Total),
            ("prompt", Of::Prompt),
            ("output", Of::Output),
            ("thinking", Of::Thinking),
        ];
        choice(of, &words)
    });
    let max = fields.required("max", "a number above 0", above_zero);
    let max = fields.finish(max)?;
    Ok(Box::new(Tokens {
        max,
        of: of.unwrap_or(Of::Total),
    }))
}

/// Pass or fail of a known amount.
fn at_most(found: f64, max: f64, what: &str) -> Score {
    let pass = found <= max;
    let than = if pass { "not more" } else { "more" };
    Score::binary(pass, format!("{found} {what}, {than} than {max}"))
}

impl Matcher for Latency {
    fn check(&self, seen: &Seen<'_>) -> Result<Score, CannotJudge> {
        match seen.answer.latency_ms {
            0 => Err(CannotJudge::new("the latency of the answer is not known")),
            found => Ok(at_most(found as f64, self.0, "ms")),
        }
    }
}

impl Matcher for Tokens {
    fn check(&self, seen: &Seen<'_>) -> Result<Score, CannotJudge> {
        let Usage {
            prompt,
            cached: _,
            output,
            thinking,
            total,
        } = seen.answer.usage;
        let (found, what) = match self.of {
            Of::Total => (total, "tokens"),
            Of::Prompt => (prompt, "input tokens"),
            Of::Output => (output, "output tokens"),
            Of::Thinking => (thinking, "thinking tokens"),
        };
        // An answer may be given without thinking, but where nothing was counted, that is not known either.
        let counted = match self.of {
            Of::Thinking => total > 0,
            Of::Total | Of::Prompt | Of::Output => found > 0,
        };
        if !counted {
            return Err(CannotJudge::new(format!(
                "the number of {what} of the answer is not known"
            )));
        }
        Ok(at_most(found as f64, self.max, what))
    }
}

impl Matcher for Cost {
    fn check(&self, seen: &Seen<'_>) -> Result<Score, CannotJudge> {
        match seen.cost_usd {
            Some(cost) if cost > 0.0 => Ok(at_most(cost, self.0, "US dollars")),
            Some(_) | None => Err(CannotJudge::new("the cost of the answer is not known")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Answer, Usage};
    use crate::score::matcher::Seen;
    use crate::score::rules::testing::{AnswerText, answer_text, compiled, problems};
    use serde_json::{Value, json};

    fn said(check: &Value, answer: Answer, cost_usd: Option<f64>) -> String {
        let AnswerText { case, .. } = answer_text("");
        let seen = Seen {
            case: &case,
            answer: &answer,
            system: None,
            cost_usd,
            unusable: None,
        };
        let pass = |pass: bool| if pass { "pass" } else { "fail" };
        match compiled(check.clone()).check(&seen) {
            Ok(score) => format!("{}: {}", pass(score.pass), score.reason),
            Err(cannot) => cannot.to_string(),
        }
    }

    #[test]
    fn limits_are_inclusive_and_what_is_not_known_is_not_judged() {
        let answer = || answer_text("a").answer;
        let took = |latency_ms| Answer { latency_ms, ..answer() };
        let used = |prompt, output, thinking, total| Answer {
            usage: Usage {
                prompt,
                cached: 0,
                output,
                thinking,
                total,
            },
            ..answer()
        };
        let of = |of: &str| json!({"tokens": {"max": 10, "of": of}});
        let table = [
            said(&json!({"latency": 100}), took(100), None),
            said(&json!({"latency": 100}), took(101), None),
            said(&json!({"latency": 100}), took(0), None),
            said(&json!({"not": {"latency": 100}}), took(0), None),
            said(&json!({"tokens": 10}), used(5, 5, 0, 10), None),
            said(&json!({"tokens": 10}), used(5, 5, 1, 11), None),
            said(&json!({"tokens": 10}), used(5, 5, 0, 0), None),
            said(&of("prompt"), used(11, 5, 0, 16), None),
            said(&of("output"), used(11, 5, 0, 16), None),
            said(&of("output"), used(11, 0, 0, 16), None),
            said(&of("thinking"), used(11, 5, 0, 16), None),
            said(&of("thinking"), used(0, 0, 0, 0), None),
            said(&json!({"cost": 0.01}), answer(), Some(0.01)),
            said(&json!({"cost": 0.01}), answer(), Some(0.011)),
            said(&json!({"cost": 0.01}), answer(), Some(0.0)),
            said(&json!({"cost": 0.01}), answer(), Some(f64::NAN)),
            said(&json!({"not": {"cost": 0.01}}), answer(), None),
        ];
        insta::assert_snapshot!(table.join("\n"), @"
        pass: 100 ms, not more than 100
        fail: 101 ms, more than 100
        the latency of the answer is not known
        latency: the latency of the answer is not known
        pass: 10 tokens, not more than 10
        fail: 11 tokens, more than 10
        the number of tokens of the answer is not known
        fail: 11 input tokens, more than 10
        pass: 5 output tokens, not more than 10
        the number of output tokens of the answer is not known
        pass: 0 thinking tokens, not more than 10
        the number of thinking tokens of the answer is not known
        pass: 0.01 US dollars, not more than 0.01
        fail: 0.011 US dollars, more than 0.01
        the cost of the answer is not known
        the cost of the answer is not known
        cost: the cost of the answer is not known
        ");
    }

    #[test]
    fn problems_say_what_to_do() {
        insta::assert_snapshot!(problems(&[
            json!({"latency": "1s"}),
            json!({"latency": 0}),
            json!({"latency": {"min": 1}}),
            json!({"tokens": {"of": "outputs"}}),
            json!({"cost": -1}),
            json!({"json_path": {"path": "$.a", "check": {"cost": 1}}}),
        ]), @"
        /latency latency: a text stands here
          expected: a number, or a map {max}
        /latency latency: 0 is a limit that every answer exceeds
          expected: a number above 0
        /latency/min latency: unknown key `min`
          expected: one of the keys max
        /latency latency: `max` is missing
          expected: a number above 0
        /tokens/of tokens: `outputs` is not known here
          expected: one of total, prompt, output, thinking
          help: did you mean `output`?
        /tokens tokens: `max` is missing
          expected: a number above 0
        /cost cost: -1 is a limit that every answer exceeds
          expected: a number above 0
        /json_path/check/cost json_path: `cost` judges a whole answer, not a part of it
          expected: a check of a text, or this one as a check of its own
        ");
    }
}
