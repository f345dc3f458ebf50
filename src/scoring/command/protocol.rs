//! One request and one reply, each a line of JSON.
//!
//! ```text
//! {"version":1,"id":"5f0c…","case":{"id","tags","vars","history","notes"},"answer":{"text","tool_calls",...},"args":…}
//! {"id":"5f0c…","pass":true,"score":0.9,"reason":"…"}        score and reason may be left away
//! {"id":"5f0c…","error":"…"}                                  no judgement is possible
//! ```
//!
//! docs/own-checks.md is the page for users.

use crate::domain::{Score, ToolCall, Turn, Usage};
use crate::scoring::matcher::MatchInput;
use crate::scoring::quote::bounded;
use crate::scoring::strict_json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of this protocol. A field more is no new version; one that goes or changes is.
const VERSION: u32 = 1;

/// How many characters of a command's reason or error are kept.
const SHOWN: usize = 400;

#[derive(Serialize)]
struct Request<'a> {
    version: u32,
    id: &'a str,
    case: CaseView<'a>,
    answer: AnswerView<'a>,
    /// What the check says besides the command's name; null if nothing.
    args: &'a Value,
}

/// What a check of the user's own may see of a case.
#[derive(Serialize)]
pub(in crate::scoring) struct CaseView<'a> {
    id: &'a str,
    tags: &'a [String],
    vars: &'a Map<String, Value>,
    history: &'a [Turn],
    notes: Option<&'a str>,
}

/// What a check of the user's own may see of an answer.
#[derive(Serialize)]
pub(in crate::scoring) struct AnswerView<'a> {
    text: &'a str,
    tool_calls: &'a [ToolCall],
    finish_reason: Option<&'a str>,
    model_version: Option<&'a str>,
    usage: Usage,
    latency_ms: u64,
    first_token_ms: Option<u64>,
    cost_usd: Option<f64>,
}

impl<'a> CaseView<'a> {
    pub(in crate::scoring) fn of(input: &MatchInput<'a>) -> CaseView<'a> {
        CaseView {
            id: input.case.id.as_str(),
            tags: &input.case.tags,
            vars: &input.case.vars,
            history: &input.case.history,
            notes: input.case.notes.as_deref(),
        }
    }
}

impl<'a> AnswerView<'a> {
    pub(in crate::scoring) fn of(input: &MatchInput<'a>) -> AnswerView<'a> {
        AnswerView {
            text: &input.answer.text,
            tool_calls: &input.answer.tool_calls,
            finish_reason: input.answer.finish_word(),
            model_version: input.answer.model_version.as_deref(),
            usage: input.answer.usage,
            latency_ms: input.answer.latency_ms,
            first_token_ms: input.answer.first_token_ms,
            cost_usd: input.cost_usd,
        }
    }
}

pub(super) fn request(id: &str, input: &MatchInput<'_>, args: &Value) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(&Request {
        version: VERSION,
        id,
        case: CaseView::of(input),
        answer: AnswerView::of(input),
        args,
    })?;
    line.push(b'\n');
    Ok(line)
}

/// A reply, which may still be a wrong one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    pub(super) id: String,
    pass: Option<bool>,
    score: Option<f64>,
    reason: Option<String>,
    error: Option<String>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Interpretation {
    Score(Score),
    /// The command can't judge, in its own words.
    Error(String),
    /// The reply contradicts itself, or lacks something: what is wrong, to follow the command's name.
    Wrong(String),
}

pub(super) fn reply(line: &[u8]) -> Result<Reply, serde_json::Error> {
    let text = std::str::from_utf8(line).map_err(serde::de::Error::custom)?;
    strict_json::parse_object(text)
}

pub(super) fn interpret(reply: Reply) -> Interpretation {
    let Reply { id: _, pass, score, reason, error } = reply;
    match (error, pass) {
        (Some(error), None) if score.is_none() => Interpretation::Error(bounded(&error, SHOWN)),
        (Some(_), Some(_) | None) => Interpretation::Wrong("replied with an error and a judgement at once".to_owned()),
        (None, None) => Interpretation::Wrong("replied without `pass`".to_owned()),
        (None, Some(pass)) => {
            let score = score.unwrap_or(if pass { 1.0 } else { 0.0 });
            if !(0.0..=1.0).contains(&score) {
                return Interpretation::Wrong(format!("replied with the score {score}, which is not from 0 to 1"));
            }
            // Rows show both, and the gate may go by either: one of them would be wrong.
            if (pass && score == 0.0) || (!pass && score == 1.0) {
                let passed = if pass { "pass" } else { "fail" };
                return Interpretation::Wrong(format!(
                    "replied with {passed} and the score {score}, which contradict each other"
                ));
            }
            let reason = match reason.as_deref().map(str::trim) {
                Some(reason) if !reason.is_empty() => bounded(reason, SHOWN),
                Some(_) | None => format!("the command says {}", if pass { "pass" } else { "fail" }),
            };
            Interpretation::Score(Score::new(score, pass, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        match reply(line.as_bytes()).map(interpret) {
            Ok(Interpretation::Score(score)) => format!("pass {} {}: {}", score.pass, score.value(), score.reason),
            Ok(Interpretation::Error(message)) => format!("error: {message}"),
            Ok(Interpretation::Wrong(message)) => format!("wrong: {message}"),
            Err(_) => "no reply".to_owned(),
        }
    }

    #[test]
    fn a_reply_is_a_judgement_an_error_or_neither() {
        let table = [
            (r#"{"id":"1","pass":true}"#, "pass true 1: the command says pass"),
            (r#"["1",true,null,null,null]"#, "no reply"),
            (r#" ["1",true,null,null,null]"#, "no reply"),
            (r#"{"id":"1","pass":false,"reason":""}"#, "pass false 0: the command says fail"),
            (r#"{"id":"1","pass":false,"score":0.5,"reason":"half\nof it"}"#, "pass false 0.5: half\\nof it"),
            (
                r#"{"id":"1","pass":true,"score":0}"#,
                "wrong: replied with pass and the score 0, which contradict each other",
            ),
            (
                r#"{"id":"1","pass":true,"score":-0.0}"#,
                "wrong: replied with pass and the score -0, which contradict each other",
            ),
            (
                r#"{"id":"1","pass":false,"score":1.0}"#,
                "wrong: replied with fail and the score 1, which contradict each other",
            ),
            (r#"{"id":"1","pass":true,"score":0.01}"#, "pass true 0.01: the command says pass"),
            (r#"{"id":"1","pass":false,"score":0}"#, "pass false 0: the command says fail"),
            (r#"{"id":"1","error":"no model"}"#, "error: no model"),
            (r#"{"id":"1"}"#, "wrong: replied without `pass`"),
            (r#"{"id":"1","pass":null,"score":1}"#, "wrong: replied without `pass`"),
            (r#"{"id":"1","pass":true,"error":"e"}"#, "wrong: replied with an error and a judgement at once"),
            (r#"{"id":"1","score":1,"error":"e"}"#, "wrong: replied with an error and a judgement at once"),
            (r#"{"id":"1","pass":true,"score":1.01}"#, "wrong: replied with the score 1.01, which is not from 0 to 1"),
            (r#"{"id":"1","pass":true,"score":-0.1}"#, "wrong: replied with the score -0.1, which is not from 0 to 1"),
            (r#"{"id":"1","pass":true,"score":NaN}"#, "no reply"),
            (r#"{"id":"1","pass":true,"score":1e999}"#, "no reply"),
            (r#"{"id":"1","pass":"true"}"#, "no reply"),
            (r#"{"id":"1","pass":1}"#, "no reply"),
            (r#"{"id":1,"pass":true}"#, "no reply"),
            (r#"{"pass":true}"#, "no reply"),
            (r#"{"id":"1","passed":true}"#, "no reply"),
            (r#"{"id":"1","pass":true,"pass":false}"#, "no reply"),
            (r#"{"id":"1","pass":true} {}"#, "no reply"),
            ("true", "no reply"),
            ("", "no reply"),
        ];
        for (line, expected) in table {
            assert_eq!(told(line), expected, "{line}");
        }
    }
}
