//! From the bytes of a `generateContent` response, or of one piece of a streamed one, to an answer.
//!
//! The service omits every field that has its default value, and grows new fields and new finish reasons, so every field
//! is optional and unknown ones are skipped unread. An answer is what the response says, also when that is nothing:
//! without a candidate there is no finish reason and no text, and whoever judges it finds it unusable.

use super::super::api::{ProviderError, Retry};
use super::details::{self, WireDetails};
use super::error;
use crate::domain::{Answer, Details, FailureKind, ToolCall, Usage};
use serde::de::{Deserializer, IgnoredAny, Unexpected, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt;

/// Reads a response with a status of success. The answer's latency is 0: only the sender knows it.
///
/// # Errors
/// The body is an error after all (classified like one), or not a JSON object (`bad_body`, worth another attempt).
pub fn decode(body: &[u8]) -> Result<Answer, ProviderError> {
    let mut answer = Answer::default();
    add(&mut answer, body)?;
    Ok(answer)
}

/// Adds a response to the answer in progress: a whole one, or the next of a stream.
///
/// # Errors
/// As [`decode`].
pub(super) fn add(answer: &mut Answer, body: &[u8]) -> Result<(), ProviderError> {
    // A derived reader would also take an array for an object, field by field.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(error::in_success(body).unwrap_or_else(|| not_json(body, "not a json object")));
    }
    let response: Response<'_> =
        serde_json::from_slice(body).map_err(|cause| not_json(body, &format!("not the expected json: {cause}")))?;
    if response.error.is_some() {
        return Err(error::in_success(body).unwrap_or_else(|| not_json(body, "an error of unknown form")));
    }
    response.add_to(answer);
    Ok(())
}

/// An unreadable body. Its bytes are not quoted: a cut answer says nothing, and could say anything.
fn not_json(body: &[u8], what: &str) -> ProviderError {
    broken(&format!("the response ({} bytes) is {what}", body.len()))
}

/// A body that is no answer, for a reason in a sentence.
pub(super) fn broken(message: &str) -> ProviderError {
    ProviderError::new(FailureKind::Transport, "bad_body", message, Retry::Backoff)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow)]
    prompt_feedback: Option<PromptFeedback<'a>>,
    usage_metadata: Option<UsageMetadata>,
    model_version: Option<String>,
    #[serde(borrow)]
    model_status: Option<&'a RawValue>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
    finish_reason: Option<String>,
    #[serde(borrow)]
    finish_message: Option<&'a RawValue>,
    #[serde(borrow)]
    safety_ratings: Option<&'a RawValue>,
    #[serde(borrow)]
    avg_logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs_result: Option<&'a RawValue>,
    #[serde(borrow)]
    citation_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    grounding_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    url_context_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    text: Option<String>,
    thought: Option<bool>,
    function_call: Option<FunctionCall>,
    #[serde(borrow)]
    executable_code: Option<&'a RawValue>,
    #[serde(borrow)]
    code_execution_result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct FunctionCall {
    name: Option<String>,
    args: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback<'a> {
    block_reason: Option<String>,
    #[serde(borrow)]
    block_reason_message: Option<&'a RawValue>,
    #[serde(borrow)]
    safety_ratings: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: Option<Count>,
    tool_use_prompt_token_count: Option<Count>,
    cached_content_token_count: Option<Count>,
    candidates_token_count: Option<Count>,
    thoughts_token_count: Option<Count>,
    total_token_count: Option<Count>,
}

impl Response<'_> {
    /// What an earlier response of a stream said stays, unless this one says it anew: counts are cumulative, and a
    /// blocked prompt is told first.
    fn add_to(self, answer: &mut Answer) {
        // Several candidates: the first is the answer, as for the official SDK.
        let candidate = self.candidates.and_then(|candidates| candidates.into_iter().next());
        let mut details = answer.details.take().map_or_else(Details::default, |details| *details);
        let (mut content, mut finish_reason, mut block_reason) = (None, None, None);
        if let Some(feedback) = self.prompt_feedback {
            block_reason = feedback.block_reason;
            details::add_feedback(&mut details, feedback.block_reason_message, feedback.safety_ratings);
        }
        if let Some(first) = candidate {
            content = first.content;
            finish_reason = first.finish_reason;
            let told = WireDetails {
                finish_message: first.finish_message,
                safety_ratings: first.safety_ratings,
                avg_logprobs: first.avg_logprobs,
                logprobs_result: first.logprobs_result,
                citation_metadata: first.citation_metadata,
                grounding_metadata: first.grounding_metadata,
                url_context_metadata: first.url_context_metadata,
            };
            details::add(&mut details, told);
        }
        details::add_status(&mut details, self.model_status);
        answer.finish_reason = specified(finish_reason).or(answer.finish_reason.take());
        answer.block_reason = answer.block_reason.take().or(specified(block_reason));
        answer.model_version = self.model_version.or(answer.model_version.take());
        if let Some(usage) = self.usage_metadata {
            usage.add_to(answer);
        }
        for part in content.and_then(|content| content.parts).into_iter().flatten() {
            part.add_to(answer, &mut details);
        }
        answer.details = (!details.is_empty()).then(|| Box::new(details));
    }
}

/// A word that says something. The service omits the values that mean "none"; gateways that go through its messages may
/// write them, also on every piece of a stream.
fn specified(word: Option<String>) -> Option<String> {
    word.filter(|word| {
        !matches!(
            word.as_str(),
            "" | "FINISH_REASON_UNSPECIFIED" | "BLOCK_REASON_UNSPECIFIED" | "BLOCKED_REASON_UNSPECIFIED"
        )
    })
}

impl Part<'_> {
    /// Text joins without a separator; thoughts are not text, nor is code that the model ran; a part is of one kind.
    fn add_to(self, answer: &mut Answer, details: &mut Details) {
        match self.text {
            Some(text) if self.thought != Some(true) => {
                if answer.text.is_empty() {
                    answer.text = text;
                } else {
                    answer.text.push_str(&text);
                }
            }
            Some(_) | None => {}
        }
        details::add_code(details, self.executable_code);
        details::add_code_result(details, self.code_execution_result);
        if let Some(call) = self.function_call {
            answer
                .tool_calls
                .push(ToolCall { name: call.name.unwrap_or_default(), args: call.args.unwrap_or_default() });
        }
    }
}

impl UsageMetadata {
    /// The counts of a stream only grow, and zeros are omitted: what a piece does not say is what was said before.
    fn add_to(self, answer: &mut Answer) {
        let said = |count: Option<Count>| count.map(|Count(tokens)| tokens);
        let tools = said(self.tool_use_prompt_token_count);
        let prompt = said(self.prompt_token_count).map(|prompt| prompt.saturating_add(tools.unwrap_or(0)));
        let before = answer.usage;
        answer.usage = Usage {
            prompt: prompt.or(tools).map_or(before.prompt, |now| now.max(before.prompt)),
            cached: said(self.cached_content_token_count).unwrap_or(before.cached),
            output: said(self.candidates_token_count).unwrap_or(before.output),
            thinking: said(self.thoughts_token_count).unwrap_or(before.thinking),
            total: said(self.total_token_count).unwrap_or(before.total),
        };
    }
}

/// A number of tokens: a number, or (as proto3 JSON writes 64-bit integers) a text.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of tokens")
    }

    fn visit_u64<E: de::Error>(self, tokens: u64) -> Result<Count, E> {
        Ok(Count(tokens))
    }

    fn visit_i64<E: de::Error>(self, tokens: i64) -> Result<Count, E> {
        let wrong = || E::invalid_value(Unexpected::Signed(tokens), &self);
        u64::try_from(tokens).map(Count).map_err(|_| wrong())
    }

    fn visit_f64<E: de::Error>(self, tokens: f64) -> Result<Count, E> {
        // Gateways written in languages with one number type send 12.0.
        if tokens >= 0.0 && tokens.fract() == 0.0 && tokens < u64::MAX as f64 {
            return Ok(Count(tokens as u64));
        }
        Err(E::invalid_value(Unexpected::Float(tokens), &self))
    }

    fn visit_str<E: de::Error>(self, tokens: &str) -> Result<Count, E> {
        let wrong = || E::invalid_value(Unexpected::Str("another text"), &self);
        tokens.parse().map(Count).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::strategy::Strategy;
    use serde_json::json;

    fn answer(body: &Value) -> Answer {
        decode(body.to_string().as_bytes()).unwrap()
    }

    fn refused(body: &str) -> (String, Retry) {
        let error = decode(body.as_bytes()).unwrap_err();
        (error.failure().code, error.retry())
    }

    #[test]
    fn text_is_joined_without_thoughts_and_calls_are_kept() {
        let answer = answer(&json!({
            "candidates": [
                {"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
                    {"text": "hm", "thought": true},
                    {"text": "a ", "thoughtSignature": "AA=="},
                    {"thoughtSignature": "AA=="},
                    {"functionCall": {"name": "f", "args": {"b": 1, "a": [2.0]}, "id": "1"}},
                    {"functionCall": {"name": "g"}},
                    {"text": "b", "thought": false, "somethingNew": {}},
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                ]}},
                {"content": {"parts": [{"text": "second"}]}, "finishReason": "MAX_TOKENS"},
            ],
            "usageMetadata": {"promptTokenCount": 10, "toolUsePromptTokenCount": "900", "cachedContentTokenCount": 4.0,
                "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": "918", "serviceTier": "standard"},
            "modelVersion": "gemini-3.8-flash-001",
            "newThing": [],
        }));
        assert_eq!(answer.text, "a b");
        assert_eq!(answer.finish_reason.as_deref(), Some("STOP"));
        assert_eq!(answer.model_version.as_deref(), Some("gemini-3.8-flash-001"));
        let calls: Vec<String> = answer
            .tool_calls
            .iter()
            .map(|call| format!("{} {}", call.name, Value::Object(call.args.clone())))
            .collect();
        assert_eq!(calls, [r#"f {"b":1,"a":[2.0]}"#, "g {}"]);
        let usage = Usage { prompt: 910, cached: 4, output: 5, thinking: 3, total: 918 };
        assert_eq!(answer.usage, usage);
    }

    #[test]
    fn a_parsed_success_is_an_answer_whatever_it_says() {
        for body in [
            json!({}),
            json!({"candidates": []}),
            json!({"candidates": null, "error": null}),
            json!({"usageMetadata": {"totalTokenCount": 8}}),
            json!({"candidates": [{}]}),
            json!({"candidates": [{"content": null, "finishReason": null}]}),
            json!({"candidates": [{"content": {"parts": [{"text": "no reason"}]}}]}),
            json!({"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL"}]}),
            json!({"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]}),
            json!({"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]}),
            json!({"candidates": [{"finishReason": "A_REASON_FROM_THE_FUTURE"}]}),
            json!({"promptFeedback": {"blockReason": "SAFETY"}}),
            json!({"promptFeedback": {"blockReason": "A_REASON_FROM_THE_FUTURE"}}),
            json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "FINISH_REASON_UNSPECIFIED"}]}),
            json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": ""}]}),
            json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "MISSING_THOUGHT_SIGNATURE"}]}),
            json!({"candidates": [{"content": {"parts": [{"thoughtSignature": "AA=="}]}, "finishReason": "STOP"}]}),
            json!({"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}]}, "finishReason": "STOP"}]}),
        ] {
            assert!(answer(&body).unusable().is_some(), "{body} can't be a good answer");
        }
        let blocked = answer(&json!({"promptFeedback": {"blockReason": "SAFETY"}}));
        assert_eq!((blocked.block_reason.as_deref(), blocked.finish_reason), (Some("SAFETY"), None));
    }

    #[test]
    fn words_for_nothing_say_nothing() {
        let answer = answer(&json!({
            "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
            "promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED", "safetyRatings": []},
        }));
        assert_eq!((answer.block_reason.as_deref(), answer.unusable()), (None, None));
    }

    #[test]
    fn an_answer_that_is_to_be_continued_is_no_good_one() {
        let part = json!({"content": {"parts": [{"text": "part one "}]}, "finishReason": "CONTINUATION", "continuationToken": "dG9r"});
        assert_eq!(
            answer(&json!({"candidates": [part]})).unusable().as_deref(),
            Some(
                "the answer is only a part: the service would continue it, which costs another request (CONTINUATION)"
            )
        );
    }

    #[test]
    fn what_is_no_answer_is_asked_again() {
        let again = ("bad_body".to_owned(), Retry::Backoff);
        for body in [
            "",
            "null",
            "[]",
            r#""text""#,
            "<html>proxy</html>",
            r#"{"candidates":[{"content":{"parts":[{"te"#,
            r#"{"candidates":{}}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":5}]}}]}"#,
            r#"{"usageMetadata":{"totalTokenCount":-1}}"#,
            r#"{"usageMetadata":{"totalTokenCount":"many"}}"#,
            r#"{"usageMetadata":{"totalTokenCount":1.5}}"#,
            "{} trailing",
        ] {
            assert_eq!(refused(body), again, "{body}");
        }
        let invalid_utf8 = decode(b"{\"modelVersion\":\"\xff\"}").unwrap_err();
        assert_eq!(invalid_utf8.failure().code, "bad_body");
    }

    #[test]
    fn an_error_in_a_success_is_an_error() {
        let error = r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#;
        assert_eq!(refused(error), ("http_503".to_owned(), Retry::Backoff));
        assert_eq!(refused(&format!("[{error}]")), ("http_503".to_owned(), Retry::Backoff));
        assert_eq!(refused(r#"{"error":true}"#), ("http_500".to_owned(), Retry::Backoff));
    }

    proptest::proptest! {
        /// Whatever the bytes, there is an answer or an error that says little; never a panic.
        #[test]
        fn hostile_bytes_are_an_answer_or_a_short_error(
            status in 100_u16..1000,
            header in proptest::option::of(".{0,12}"),
            body in proptest::prop_oneof![
                proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
                r#"[\[{]{0,2}"(error|candidates|usageMetadata)":[\[{"0-9a-z:,}\]. -]{0,60}"#.prop_map(String::into_bytes),
                r#"\{"error":\{"code":[0-9"]{1,6},"message":"(limit:|retry in) ?[0-9.]{0,30}(ms|s|m|h)?","status":"[A-Z_]{0,20}"\}\}"#.prop_map(String::into_bytes),
            ],
        ) {
            if let Err(error) = decode(&body) {
                proptest::prop_assert!(error.failure().message.chars().count() <= 1001);
            }
            let error = error::classify(status, header.as_deref(), &body);
            proptest::prop_assert!(error.failure().message.chars().count() <= 1001);
        }
    }
}
