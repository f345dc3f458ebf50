//! From the bytes of a `generateContent` response, or of one piece of a streamed one, to an answer.
//!
//! The service omits every field that has its default value, and grows new fields and new finish reasons, so every field
//! is optional and unknown ones are skipped unread. An answer is what the response says, also when that is nothing:
//! without a candidate there is no finish reason and no text, and whoever judges it finds it unusable.

use super::super::api::ProviderError;
use super::wire::{Count, Part, Response, UsageMetadata};
use super::{details, error};
use crate::domain::{Answer, Details, ToolCall, Usage};

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
    ProviderError::bad_body(format!("the response ({} bytes) is {what}", body.len()))
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
            details::add(&mut details, &first);
            content = first.content;
            finish_reason = first.finish_reason;
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
        if let Some(text) = self.text
            && self.thought != Some(true)
        {
            answer.text.push_str(&text);
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
        let tokens = |count: Option<Count>| count.map(|Count(tokens)| tokens);
        let tools = tokens(self.tool_use_prompt_token_count);
        let prompt = tokens(self.prompt_token_count).map(|prompt| prompt.saturating_add(tools.unwrap_or(0)));
        let before = answer.usage;
        answer.usage = Usage {
            prompt: prompt.or(tools).map_or(before.prompt, |now| now.max(before.prompt)),
            cached: tokens(self.cached_content_token_count).unwrap_or(before.cached),
            output: tokens(self.candidates_token_count).unwrap_or(before.output),
            thinking: tokens(self.thoughts_token_count).unwrap_or(before.thinking),
            total: tokens(self.total_token_count).unwrap_or(before.total),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::api::Retry;
    use super::*;
    use proptest::strategy::Strategy;
    use serde_json::{Value, json};

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
