//! The messages of a `generateContent` response, as far as they are read.

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Response<'a> {
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    pub(super) prompt_feedback: Option<PromptFeedback<'a>>,
    pub(super) usage_metadata: Option<UsageMetadata>,
    pub(super) model_version: Option<String>,
    pub(super) model_status: Option<&'a RawValue>,
    pub(super) error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Candidate<'a> {
    pub(super) content: Option<Content<'a>>,
    pub(super) finish_reason: Option<String>,
    pub(super) finish_message: Option<&'a RawValue>,
    pub(super) safety_ratings: Option<&'a RawValue>,
    pub(super) avg_logprobs: Option<&'a RawValue>,
    pub(super) logprobs_result: Option<&'a RawValue>,
    pub(super) citation_metadata: Option<&'a RawValue>,
    pub(super) grounding_metadata: Option<&'a RawValue>,
    pub(super) url_context_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Content<'a> {
    pub(super) parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Part<'a> {
    pub(super) text: Option<String>,
    pub(super) thought: Option<bool>,
    pub(super) function_call: Option<FunctionCall>,
    pub(super) executable_code: Option<&'a RawValue>,
    pub(super) code_execution_result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct FunctionCall {
    pub(super) name: Option<String>,
    pub(super) args: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct PromptFeedback<'a> {
    pub(super) block_reason: Option<String>,
    pub(super) block_reason_message: Option<&'a RawValue>,
    pub(super) safety_ratings: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageMetadata {
    pub(super) prompt_token_count: Option<Count>,
    pub(super) tool_use_prompt_token_count: Option<Count>,
    pub(super) cached_content_token_count: Option<Count>,
    pub(super) candidates_token_count: Option<Count>,
    pub(super) thoughts_token_count: Option<Count>,
    pub(super) total_token_count: Option<Count>,
}

/// A number of tokens: a number, or (as proto3 JSON writes 64-bit integers) a text.
pub(super) struct Count(pub(super) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        // Gateways written in languages with one number type send 12.0.
        let whole =
            |tokens: f64| (tokens >= 0.0 && tokens.fract() == 0.0 && tokens < u64::MAX as f64).then_some(tokens as u64);
        let tokens = match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
            Value::String(digits) => digits.parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        tokens.map(Count).ok_or_else(|| D::Error::custom("a count is no number of tokens"))
    }
}
