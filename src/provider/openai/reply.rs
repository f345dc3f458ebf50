//! From the bytes of a chat completion to an answer.
//!
//! Many servers speak this protocol, each a little differently: every field is optional, unknown ones are skipped, a
//! message's content may be a text or a list of pieces, and arguments a text or an object. Reasons to stop are told in
//! Gemini's words, because the rest of the program knows those.

use super::super::api::ProviderError;
use super::error;
use crate::domain::{Answer, Details, ToolCall, Usage};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Characters of a refusal that are kept beside the answer's text.
const LONGEST_REFUSAL: usize = 4_096;

/// What a call is called whose arguments are no object: the answer is not usable.
const MALFORMED_CALL: &str = "MALFORMED_FUNCTION_CALL";

/// Reads a response with a status of success. The answer's latency is 0: only the sender knows it.
///
/// # Errors
/// The body is an error after all (classified like one), or no chat completion (`bad_body`, worth another attempt).
pub(crate) fn decode(body: &[u8]) -> Result<Answer, ProviderError> {
    // A derived reader would also take an array for an object, field by field.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(not_a_completion(body, "not a json object"));
    }
    let completion: Completion = serde_json::from_slice(body)
        .map_err(|cause| not_a_completion(body, &format!("not the expected json: {cause}")))?;
    if completion.error.as_ref().is_some_and(|error| !error.is_null()) {
        return Err(error::in_success(body));
    }
    match completion.choices {
        // Something answered, but no model: a base URL that leads elsewhere must not count as a bad answer.
        None => Err(not_a_completion(body, "no chat completion: it has no `choices`; is the base url right?")),
        Some(choices) => Ok(answer(choices, completion.usage, completion.model)),
    }
}

/// An unreadable body. Its bytes are not quoted: a cut answer says nothing, and could say anything.
fn not_a_completion(body: &[u8], what: &str) -> ProviderError {
    ProviderError::bad_body(format!("the response ({} bytes) is {what}", body.len()))
}

#[derive(Deserialize)]
struct Completion {
    choices: Option<Vec<Choice>>,
    usage: Option<Tokens>,
    model: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<ReplyContent>,
    refusal: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ReplyContent {
    Text(String),
    Pieces(Vec<Piece>),
}

#[derive(Deserialize)]
struct Piece {
    text: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<TokenDetails>,
    completion_tokens_details: Option<TokenDetails>,
}

#[derive(Deserialize)]
struct TokenDetails {
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

/// The first choice is the answer.
fn answer(choices: Vec<Choice>, usage: Option<Tokens>, model: Option<String>) -> Answer {
    let mut answer =
        Answer { model_version: model, usage: usage.map(Tokens::into_usage).unwrap_or_default(), ..Answer::default() };
    let Some(Choice { message, finish_reason }) = choices.into_iter().next() else {
        return answer;
    };
    answer.finish_reason = finish_reason.map(|reason| describe_reason(&reason));
    let Some(Message { content, refusal, tool_calls }) = message else {
        return answer;
    };
    let (text, in_content) = content.map(ReplyContent::into_texts).unwrap_or_default();
    answer.text = text;
    let refusal = refusal.unwrap_or_default() + &in_content;
    let refusal = Some(refusal).filter(|refusal| !refusal.is_empty());
    if let Some(refusal) = &refusal {
        if answer.text.is_empty() {
            // It is what the model said.
            answer.text.clone_from(refusal);
        }
        answer.details = Some(Box::new(Details {
            refusal: Some(refusal.chars().take(LONGEST_REFUSAL).collect()),
            ..Details::default()
        }));
    }
    for function in tool_calls.into_iter().flatten().filter_map(|call| call.function) {
        match arguments(function.arguments) {
            Some(args) => answer.tool_calls.push(ToolCall { name: function.name.unwrap_or_default(), args }),
            None => answer.finish_reason = Some(MALFORMED_CALL.to_owned()),
        }
    }
    answer
}

/// `stop` and `tool_calls` end a complete answer; what is not known keeps its name, in upper case.
fn describe_reason(reason: &str) -> String {
    match reason {
        "stop" | "tool_calls" => "STOP".to_owned(),
        "length" => "MAX_TOKENS".to_owned(),
        "content_filter" => "SAFETY".to_owned(),
        other => other.to_ascii_uppercase(),
    }
}

/// Arguments are JSON in a text; some servers send the object itself, or nothing for none.
fn arguments(written: Option<Value>) -> Option<Map<String, Value>> {
    match written {
        None | Some(Value::Null) => Some(Map::new()),
        Some(Value::Object(args)) => Some(args),
        Some(Value::String(text)) if text.trim().is_empty() => Some(Map::new()),
        Some(Value::String(text)) => serde_json::from_str(&text).ok(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => None,
    }
}

impl ReplyContent {
    /// The text, and what refuses to give one.
    fn into_texts(self) -> (String, String) {
        match self {
            ReplyContent::Text(text) => (text, String::new()),
            ReplyContent::Pieces(pieces) => pieces
                .into_iter()
                .map(|piece| (piece.text.unwrap_or_default(), piece.refusal.unwrap_or_default()))
                .unzip(),
        }
    }
}

impl Tokens {
    /// Completion tokens contain those of reasoning; ours do not.
    fn into_usage(self) -> Usage {
        let prompt = self.prompt_tokens.unwrap_or(0);
        let completion = self.completion_tokens.unwrap_or(0);
        let thinking =
            self.completion_tokens_details.and_then(|details| details.reasoning_tokens).unwrap_or(0).min(completion);
        Usage {
            prompt,
            cached: self.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0),
            output: completion - thinking,
            thinking,
            total: self.total_tokens.unwrap_or_else(|| prompt.saturating_add(completion)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::api::Retry;
    use super::*;
    use serde_json::json;

    fn read(body: &Value) -> Answer {
        decode(body.to_string().as_bytes()).unwrap()
    }

    fn choice(message: Value, reason: &str) -> Value {
        json!({"choices": [{"index": 0, "message": message, "finish_reason": reason}]})
    }

    #[test]
    fn text_calls_usage_and_model_are_read() {
        let answer = read(&json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06",
            "choices": [
                {"index": 0, "finish_reason": "tool_calls", "logprobs": null, "message": {
                    "role": "assistant", "content": "Let me see.", "refusal": null, "reasoning_content": "hm",
                    "tool_calls": [
                        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"b\":1,\"a\":[2.0]}"}},
                        {"function": {"name": "g", "arguments": ""}},
                        {"function": {"name": "h", "arguments": {"x": true}}},
                    ],
                }},
                {"message": {"content": "second"}, "finish_reason": "length"},
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 3}},
            "system_fingerprint": "fp",
        }));
        assert_eq!(answer.text, "Let me see.");
        assert_eq!(answer.finish_reason.as_deref(), Some("STOP"));
        assert_eq!(answer.model_version.as_deref(), Some("gpt-4o-2024-08-06"));
        let calls: Vec<String> = answer
            .tool_calls
            .iter()
            .map(|call| format!("{} {}", call.name, Value::Object(call.args.clone())))
            .collect();
        assert_eq!(calls, [r#"f {"b":1,"a":[2.0]}"#, "g {}", r#"h {"x":true}"#]);
        let usage = Usage { prompt: 10, cached: 4, output: 5, thinking: 3, total: 18 };
        assert_eq!(answer.usage, usage);
        assert_eq!(answer.unusable(), None);
    }

    #[test]
    fn reasons_are_told_in_our_words() {
        for (theirs, ours) in [
            ("stop", "STOP"),
            ("tool_calls", "STOP"),
            ("length", "MAX_TOKENS"),
            ("content_filter", "SAFETY"),
            ("insufficient_system_resource", "INSUFFICIENT_SYSTEM_RESOURCE"),
        ] {
            let answer = read(&choice(json!({"content": "x"}), theirs));
            assert_eq!(answer.finish_reason.as_deref(), Some(ours));
            assert_eq!(answer.unusable().is_none(), ours == "STOP", "{theirs}");
        }
    }

    #[test]
    fn content_has_many_forms() {
        let text = |message: Value| read(&choice(message, "stop")).text;
        assert_eq!(text(json!({"content": [{"type": "text", "text": "a "}, {"type": "x"}, {"text": "b"}]})), "a b");
        assert_eq!(text(json!({"content": null, "refusal": "I can't."})), "I can't.");
        assert_eq!(text(json!({"content": "no", "refusal": "other"})), "no");
        assert_eq!(text(json!({"content": [{"type": "refusal", "refusal": "No."}]})), "No.");
    }

    #[test]
    fn a_refusal_is_told_apart_from_the_text() {
        let refusal = |message: Value| read(&choice(message, "stop")).details.and_then(|details| details.refusal);
        for (message, expected) in [
            (json!({"content": "yes"}), None),
            (json!({"content": "yes", "refusal": null}), None),
            (json!({"content": "yes", "refusal": ""}), None),
            (json!({"content": "yes", "refusal": "No."}), Some("No.")),
            (json!({"content": null, "refusal": "No."}), Some("No.")),
            (json!({"content": [{"text": "yes"}, {"type": "refusal", "refusal": "No."}]}), Some("No.")),
        ] {
            assert_eq!(refusal(message.clone()).as_deref(), expected, "{message}");
        }
    }

    #[test]
    fn what_is_not_usable_is_still_an_answer() {
        for body in [
            json!({"choices": []}),
            json!({"choices": [{}]}),
            json!({"choices": [{"message": null, "finish_reason": null}]}),
            json!({"choices": [{"message": {"content": "cut"}, "finish_reason": null}]}),
            choice(json!({"content": ""}), "stop"),
            choice(json!({"tool_calls": [{"function": {"name": "f", "arguments": "{\"a\":"}}]}), "tool_calls"),
            choice(json!({"tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}), "tool_calls"),
            choice(json!({"tool_calls": [{"function": {"name": "f", "arguments": 1}}]}), "tool_calls"),
        ] {
            assert!(read(&body).unusable().is_some(), "{body} can't be a good answer");
        }
    }

    #[test]
    fn what_is_no_completion_is_asked_again() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "<html>proxy</html>",
            r#"{"status":"ok"}"#,
            r#"{"choices":[{"message":{"cont"#,
            r#"{"choices":{}}"#,
            r#"{"choices":[{"message":{"content":5}}]}"#,
        ] {
            let error = decode(body.as_bytes()).unwrap_err();
            assert_eq!((error.failure().code.as_str(), error.retry()), ("bad_body", Retry::Backoff), "{body}");
        }
    }

    #[test]
    fn an_error_in_a_success_is_an_error() {
        let error = decode(br#"{"error":{"message":"overloaded","code":503}}"#).unwrap_err();
        assert_eq!((error.failure().code.as_str(), error.retry()), ("http_503", Retry::Backoff));
        let error = decode(br#"{"error":{"message":"m","code":"insufficient_quota"}}"#).unwrap_err();
        assert_eq!(error.retry(), Retry::QuotaSpent);
        assert!(decode(br#"{"error":null,"choices":[]}"#).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_are_an_answer_or_a_short_error(
            status in 100_u16..1000,
            body in proptest::prop_oneof![
                proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
                proptest::strategy::Strategy::prop_map(
                    r#"[\[{]{0,2}"(error|choices|usage|message)":[\[{"0-9a-z:,}\]. -]{0,60}"#, String::into_bytes),
            ],
        ) {
            if let Err(error) = decode(&body) {
                proptest::prop_assert!(error.failure().message.chars().count() <= 1001);
            }
            let error = error::classify(status, None, &body);
            proptest::prop_assert!(error.failure().message.chars().count() <= 1001);
        }
    }
}
