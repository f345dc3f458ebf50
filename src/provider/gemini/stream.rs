//! From the pieces of a `streamGenerateContent` response to an answer.
//!
//! Each event holds a response of its own. Their texts join, their tool calls add up, and what is cumulative (usage, the
//! served model, the finish reason) is that of the last one that says it. The service closes the connection at the end,
//! and so does a broken one: only a finish reason, or a blocked prompt, shows that an answer is whole. Without
//! `alt=sse`, or behind a gateway, the whole body is one JSON array, or a single response.

use super::super::api::ProviderError;
use super::sse::Decoder;
use super::{error, reply};
use crate::domain::Answer;
use crate::secret::Redact;
use serde_json::value::RawValue;

/// An optional mark before the first byte of a text (U+FEFF in UTF-8).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What some gateways send last, after the manner of another API.
const DONE: &[u8] = b"[DONE]";

/// Reads a streamed response with a status of success from all its bytes. Latency and time to first token are not in
/// them.
///
/// # Errors
/// An error inside the stream, classified like one; an event that is not JSON; an end without a finish reason
/// (`bad_body`, worth another attempt).
pub fn decode_stream(body: &[u8]) -> Result<Answer, ProviderError> {
    let mut merging = StreamMerge::new(None);
    merging.push(body)?;
    merging.finish()
}

/// An answer in the making.
#[derive(Debug)]
pub(super) struct StreamMerge<'a> {
    /// Hidden wherever it is quoted.
    secret: Option<&'a dyn Redact>,
    form: Form,
    answer: Answer,
}

#[derive(Debug)]
enum Form {
    /// Not known before its first byte that is not white space; what came so far.
    Unknown(Vec<u8>),
    Events(Decoder),
    /// One JSON text, as far as it has come.
    Whole(Vec<u8>),
}

impl<'a> StreamMerge<'a> {
    /// Nothing has come yet.
    pub(super) fn new(secret: Option<&'a dyn Redact>) -> StreamMerge<'a> {
        StreamMerge { secret, form: Form::Unknown(Vec::new()), answer: Answer::default() }
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// As [`decode_stream`]; nothing more has to be read then.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), ProviderError> {
        match &mut self.form {
            Form::Whole(body) => {
                body.extend_from_slice(piece);
                Ok(())
            }
            Form::Events(decoder) => {
                let events = decoder.push(piece);
                events.into_iter().try_for_each(|event| self.event(event))
            }
            Form::Unknown(head) => {
                head.extend_from_slice(piece);
                let Some((form, rest)) = form_of(head) else {
                    return Ok(());
                };
                self.form = form;
                self.push(&rest)
            }
        }
    }

    /// Text or a tool call has come.
    pub(super) fn has_token(&self) -> bool {
        !self.answer.text.is_empty() || !self.answer.tool_calls.is_empty()
    }

    pub(super) fn finish(mut self) -> Result<Answer, ProviderError> {
        match std::mem::replace(&mut self.form, Form::Unknown(Vec::new())) {
            Form::Unknown(_) => {}
            Form::Whole(body) => self.whole(&self.masked(body))?,
            Form::Events(decoder) => {
                let (last, stray) = decoder.finish();
                if let Some(last) = last {
                    self.event(last)?;
                }
                self.tail(&self.masked(stray))?;
            }
        }
        if self.answer.finish_reason.is_none() && self.answer.block_reason.is_none() {
            return Err(ProviderError::bad_body("the stream ended before the answer did: it has no finish reason"));
        }
        Ok(self.answer)
    }

    fn event(&mut self, data: Vec<u8>) -> Result<(), ProviderError> {
        let data = self.masked(data);
        match data.trim_ascii() {
            b"" | DONE => Ok(()),
            response => reply::add(&mut self.answer, response),
        }
    }

    /// A body without events: an array of responses, or one response.
    fn whole(&mut self, body: &[u8]) -> Result<(), ProviderError> {
        if body.first() != Some(&b'[') {
            return reply::add(&mut self.answer, body);
        }
        let responses: Vec<&RawValue> = serde_json::from_slice(body).map_err(|cause| {
            ProviderError::bad_body(format!(
                "the response ({} bytes) is not the expected array of json objects: {cause}",
                body.len()
            ))
        })?;
        responses.into_iter().try_for_each(|response| reply::add(&mut self.answer, response.get().as_bytes()))
    }

    /// Lines that are no event. Bare JSON is an error that the service appends; other unknown lines mean nothing.
    fn tail(&self, stray: &[u8]) -> Result<(), ProviderError> {
        let stray = stray.trim_ascii();
        if !stray.starts_with(b"{") && !stray.starts_with(b"[") {
            return Ok(());
        }
        Err(error::in_success(stray)
            .unwrap_or_else(|| ProviderError::bad_body("the stream ends in something that is no event")))
    }

    fn masked(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self.secret {
            Some(secret) => secret.redact_bytes(bytes),
            None => bytes,
        }
    }
}

/// What a body is by its first bytes, with the bytes that count; `None` if more have to come.
fn form_of(head: &[u8]) -> Option<(Form, Vec<u8>)> {
    let text = match head.strip_prefix(BYTE_ORDER_MARK) {
        Some(text) => text,
        None if BYTE_ORDER_MARK.starts_with(head) => return None,
        None => head,
    };
    let form = match text.trim_ascii_start().first()? {
        b'{' | b'[' => Form::Whole(Vec::new()),
        _ => Form::Events(Decoder::default()),
    };
    Some((form, text.trim_ascii_start().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Usage;
    use crate::provider::http::without;
    use crate::provider::{ApiKey, Retry};
    use serde_json::{Value, json};

    fn event(response: &Value) -> String {
        format!("data: {response}\r\n\r\n")
    }

    fn text(text: &str) -> Value {
        json!({"candidates": [{"content": {"parts": [{"text": text}]}}]})
    }

    fn stop() -> Value {
        json!({"candidates": [{"finishReason": "STOP"}]})
    }

    fn refused(body: &str) -> (String, Retry) {
        let error = decode_stream(body.as_bytes()).unwrap_err();
        (error.failure().code, error.retry())
    }

    #[test]
    fn chunks_are_one_answer() {
        let body: String = [
            json!({"candidates": [{"content": {"parts": [{"text": "hm", "thought": true}]}}],
                "usageMetadata": {"promptTokenCount": 7, "thoughtsTokenCount": 2, "totalTokenCount": 9}}),
            text("a "),
            text("b\u{2028}"),
            json!({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"x": 1}}}]}}],
                "modelVersion": "m-001"}),
            json!({"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 7, "thoughtsTokenCount": 2, "candidatesTokenCount": 4, "totalTokenCount": 13}}),
        ]
        .iter()
        .map(event)
        .collect();
        let answer = decode_stream(body.as_bytes()).unwrap();
        assert_eq!((answer.text.as_str(), answer.tool_calls.len()), ("a b\u{2028}", 1));
        assert_eq!(answer.finish_reason.as_deref(), Some("STOP"));
        assert_eq!(answer.model_version.as_deref(), Some("m-001"));
        let usage = Usage { prompt: 7, cached: 0, output: 4, thinking: 2, total: 13 };
        assert_eq!(answer.usage, usage);
        let mut merging = StreamMerge::new(None);
        let spoke: Vec<bool> = body
            .split_inclusive("\r\n\r\n")
            .map(|event| {
                event.as_bytes().iter().for_each(|byte| merging.push(&[*byte]).unwrap());
                merging.has_token()
            })
            .collect();
        assert_eq!(spoke, [false, true, true, true, true]);
        assert_eq!(merging.finish().unwrap(), answer);
    }

    #[test]
    fn pieces_that_say_nothing_change_nothing() {
        let counts = json!({"promptTokenCount": 7, "toolUsePromptTokenCount": 2, "cachedContentTokenCount": 3,
            "candidatesTokenCount": 4, "thoughtsTokenCount": 5, "totalTokenCount": 18});
        let nothing = json!({"content": null, "finishReason": null});
        let body: String = [
            json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": null}], "modelVersion": "m"}),
            json!({"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}], "usageMetadata": counts}),
            // Of gateways.
            json!({"candidates": [nothing], "usageMetadata": {}, "promptFeedback": {"safetyRatings": []}}),
            json!({"candidates": [], "usageMetadata": null, "modelVersion": null}),
            json!({"candidates": [{"finishReason": "FINISH_REASON_UNSPECIFIED"}], "usageMetadata": {"promptTokenCount": 7}}),
            json!({}),
        ]
        .iter()
        .map(event)
        .collect();
        let answer = decode_stream(format!(": keep-alive\r\n\r\n{body}: keep-alive\r\n\r\n").as_bytes()).unwrap();
        assert_eq!((answer.text.as_str(), answer.finish_reason.as_deref()), ("a", Some("STOP")));
        assert_eq!((answer.model_version.as_deref(), answer.unusable()), (Some("m"), None));
        let usage = Usage { prompt: 9, cached: 3, output: 4, thinking: 5, total: 18 };
        assert_eq!(answer.usage, usage);
        // A blocked prompt is told first, and nothing later takes it back.
        let blocked = [
            json!({"promptFeedback": {"blockReason": "SAFETY"}}),
            json!({"usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}}),
            json!({"promptFeedback": {}}),
        ];
        let body: String = blocked.iter().map(event).collect();
        let answer = decode_stream(body.as_bytes()).unwrap();
        assert_eq!((answer.block_reason.as_deref(), answer.usage.total), (Some("SAFETY"), 7));
    }

    #[test]
    fn a_body_in_one_piece_is_read_too() {
        let (a, b) = (text("a"), stop());
        for body in [
            json!([a, b]).to_string(),
            format!("\u{feff}\n[{a},\r\n{b}\n]\n"),
            json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]}).to_string(),
            format!("\u{feff}{}{}", event(&a), event(&b)),
            format!("\n{}data: {b}", event(&a)),
            format!("{}{}data: [DONE]\n\n", event(&a), event(&b)),
        ] {
            let answer = decode_stream(body.as_bytes()).unwrap();
            assert_eq!((answer.text.as_str(), answer.finish_reason.as_deref()), ("a", Some("STOP")), "{body}");
        }
    }

    #[test]
    fn an_answer_that_does_not_end_is_asked_again() {
        let again = ("bad_body".to_owned(), Retry::Backoff);
        let whole = format!("{}{}", event(&text("a")), event(&stop()));
        for body in [
            String::new(),
            " \n".to_owned(),
            "\u{feff}".to_owned(),
            "<html>a proxy</html>".to_owned(),
            "data: [DONE]\n\n".to_owned(),
            event(&text("a")),
            event(
                &json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "FINISH_REASON_UNSPECIFIED"}]}),
            ),
            "[]".to_owned(),
            json!([text("a")]).to_string(),
            json!([text("a"), stop()]).to_string().replace("]}}]}", ""),
            format!("{whole}data: {{\"usageMeta"),
            format!("{whole}data: nonsense\n\n"),
            format!("{whole}{{\"unfinished\":"),
            format!("{whole}data: []\n\n"),
        ] {
            assert_eq!(refused(&body), again, "{body}");
        }
        let blocked = event(&json!({"promptFeedback": {"blockReason": "SAFETY"}}));
        assert_eq!(decode_stream(blocked.as_bytes()).unwrap().block_reason.as_deref(), Some("SAFETY"));
    }

    #[test]
    fn an_error_inside_a_stream_is_an_error() {
        let error = json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}});
        let pretty = serde_json::to_string_pretty(&error).unwrap();
        let begun = event(&text("partial"));
        for body in [
            event(&error),
            format!("{begun}{}", event(&error)),
            format!("{begun}{pretty}"),
            format!("{begun}{}{pretty}\n", event(&stop())),
            format!("{begun}[{pretty}]"),
            format!("[{error}]"),
            format!("[{},{error}]", text("partial")),
            pretty.clone(),
        ] {
            assert_eq!(refused(&body), ("http_503".to_owned(), Retry::Backoff), "{body}");
        }
    }

    #[test]
    fn a_key_is_hidden_also_when_it_comes_in_pieces() {
        let key = ApiKey::new("a-secret-key").unwrap();
        let mut merging = StreamMerge::new(Some(&key));
        for part in ["it is a-secret-key or a-sec", "ret-key"] {
            merging.push(event(&text(part)).as_bytes()).unwrap();
        }
        merging.push(event(&stop()).as_bytes()).unwrap();
        let answer = without(Some(&key), merging.finish()).unwrap();
        assert!(!answer.text.contains("a-secret-key"), "{}", answer.text);
        assert!(answer.text.starts_with("it is "));
    }

    proptest::proptest! {
        /// Whatever the bytes, there is an answer that ended or a short error; never a panic.
        #[test]
        fn hostile_bytes_end(
            body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            json in r#"(data: )?[\[{]{0,2}"(error|candidates|finishReason)":[\[{"0-9a-z:,}\]. -]{0,60}\n{0,2}"#,
        ) {
            for body in [&body[..], json.as_bytes()] {
                match decode_stream(body) {
                    Ok(answer) => proptest::prop_assert!(answer.finish_reason.is_some() || answer.block_reason.is_some()),
                    Err(error) => proptest::prop_assert!(error.failure().message.chars().count() <= 1001),
                }
            }
        }
    }
}
