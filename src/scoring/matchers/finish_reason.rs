//! `finish_reason`: the model stopped for one of these reasons. Also sees unusable answers; see `CompleteOnly` in
//! `definition.rs`.

use crate::domain::{Finish, Score};
use crate::scoring::arguments::{Read, choice, list};
use crate::scoring::constraint;
use crate::scoring::definition::{Compile, MatcherDef, Reads, Sample};
use crate::scoring::matcher::{MatchInput, Matcher};
use crate::scoring::quote::quote;
use serde_json::Value;

/// The reasons of the Gemini API, of its SDK and of Vertex AI, and the two words of gateways for a function call. An
/// unknown one is refused, because a check with a typo would fail for every answer, and pass for every one under `not`.
macro_rules! reasons {
    () => {
        r#""STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
        "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_OTHER", "NO_IMAGE", "IMAGE_RECITATION", "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE", "ESCALATION",
        "PUP_LIMITED_DISABLED", "CONTINUATION", "MODEL_ARMOR", "FUNCTION_CALL", "TOOL_CALLS""#
    };
}

pub(super) const FINISH_REASON: MatcherDef = MatcherDef {
    name: "finish_reason",
    summary: "the model stopped for this reason, or for one of these",
    arguments: "\"STOP\", or a list like [\"STOP\", \"MAX_TOKENS\"], in Gemini's words; a case with this check may pass \
                with a blocked or cut-off answer, but only by a check that names its end: every other check fails on \
                such an answer, also under `not`; an empty answer never passes",
    schema: concat!(
        r#"{"anyOf": [{"enum": ["#,
        reasons!(),
        r#"]}, {"type": "array", "items": {"enum": ["#,
        reasons!(),
        r#"]}, "minItems": 1}]}"#
    ),
    example: r#"{"finish_reason": ["STOP", "MAX_TOKENS"]}"#,
    passes: Sample::Answer(r#"{"text": "It goes on and", "finish_reason": "MAX_TOKENS"}"#),
    fails: Sample::Answer(r#"{"text": "", "finish_reason": "SAFETY"}"#),
    refused: r#"{"finish_reason": "STPO"}"#,
    cost: "constant",
    takes_text: true,
    compile,
    reads: Reads::WholeAnswer,
    judges_ending: true,
    constraint: constraint::finish_reason,
    ..MatcherDef::DEFAULT
};

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let reasons = match args.is_string() {
        true => vec![reason(args)?],
        false => list(args, "a reason like \"STOP\", or a list of them", "reason", reason)?,
    };
    Ok(Matcher::new(move |input| Ok(judge(&reasons, input))))
}

fn reason(value: &Value) -> Read<&'static str> {
    let reasons = reasons!().split('"').filter(|reason| reason.starts_with(|c: char| c.is_ascii_uppercase()));
    let reasons: Vec<(&str, &'static str)> = reasons.map(|reason| (reason, reason)).collect();
    choice(value, &reasons)
}

fn judge(expected: &[&str], input: &MatchInput<'_>) -> Score {
    let Some(reason) = input.answer.finish_word() else {
        return Score::binary(false, "has no finish reason");
    };
    // An answer that ended with STOP and is not usable all the same is empty, which STOP does not name.
    if input.answer.finish() == Finish::Complete
        && let Some(unusable) = input.unusable
    {
        return Score::binary(false, unusable);
    }
    if expected.contains(&reason) {
        return Score::binary(true, format!("stopped with {}", quote(reason)));
    }
    Score::binary(false, format!("stopped with {}, not with {}", quote(reason), expected.join(" or ")))
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{answer_text, problems, verdict};
    use serde_json::json;

    #[test]
    fn the_reason_is_one_of_the_list() {
        let said = |check, reason: Option<&str>| {
            let mut whole = answer_text("a");
            whole.answer.finish_reason = reason.map(str::to_owned);
            verdict(check, &whole)
        };
        insta::assert_snapshot!([
            said(json!({"finish_reason": "STOP"}), Some("STOP")),
            said(json!({"finish_reason": ["STOP", "SAFETY"]}), Some("SAFETY")),
            said(json!({"finish_reason": ["STOP", "SAFETY"]}), Some("stop")),
            said(json!({"finish_reason": "STOP"}), None),
        ].join("\n"), @r#"
        true: stopped with "STOP"
        true: stopped with "SAFETY"
        false: stopped with "stop", not with STOP or SAFETY
        false: has no finish reason
        "#);
    }

    #[test]
    fn unknown_reasons_are_refused() {
        insta::assert_snapshot!(problems(&[
            json!({"finish_reason": "MAX_TOKEN"}),
            json!({"finish_reason": []}),
            json!({"finish_reason": ["STOP", "stop", 3]}),
            json!({"finish_reason": {"is": "STOP"}}),
        ]));
    }
}
