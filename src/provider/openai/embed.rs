//! `/embeddings`: texts become vectors, at OpenAI and at the servers that speak as it does.

use super::{EXAMPLE, OpenAi, at, classify, error};
use crate::domain::{Answer, Job, Problem};
use crate::provider::api::{BoxFuture, Provider, ProviderError};
use crate::provider::base_url::BaseUrl;
use crate::provider::definition::ProviderConfig;
use crate::provider::embeddings::answer;
use crate::provider::http::{post, without};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) struct Embedder {
    /// With the URL of embeddings instead of that of chats.
    service: OpenAi,
}

impl Embedder {
    /// A client; sends nothing yet.
    pub(crate) fn new(config: &ProviderConfig) -> Result<Embedder, Problem> {
        let url = at(&BaseUrl::new(config.base_url.as_deref().unwrap_or_default(), EXAMPLE)?, "embeddings")?;
        let service = OpenAi { url, ..OpenAi::new(config)? };
        Ok(Embedder { service })
    }

    async fn exchange(&self, job: &Job) -> Result<Answer, ProviderError> {
        let OpenAi { http, url, headers, .. } = &self.service;
        let request = post(url.clone(), headers.clone(), &job.body);
        let reply = http.send(request, self.service.secret()).await?;
        if !reply.is_success() {
            return Err(classify(reply.status, error::requested_delay(&reply.headers), &reply.body));
        }
        let (vectors, counted) = decode(&reply.body)?;
        Ok(reply.complete(answer(job, &vectors, counted)?))
    }
}

impl Provider for Embedder {
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async { without(self.service.secret(), self.exchange(job).await) })
    }
}

/// The bytes of a request for the vectors of these texts.
pub(crate) fn body(model: &str, texts: &[&str], dimensions: Option<u32>) -> Vec<u8> {
    let mut body = json!({"model": model, "input": texts, "encoding_format": "float"});
    if let Some(dimensions) = dimensions {
        body["dimensions"] = dimensions.into();
    }
    body.to_string().into_bytes()
}

#[derive(Deserialize)]
struct Response {
    data: Option<Vec<Embedding>>,
    usage: Option<Tokens>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Embedding {
    /// Its text's place among those asked, from 0.
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: Option<u64>,
}

/// The vectors of a response in the order of the texts, and the tokens that were counted: 0 says that none were.
fn decode(body: &[u8]) -> Result<(Vec<Vec<f32>>, Option<u64>), ProviderError> {
    // A derived reader would also take an array for an object, field by field.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ProviderError::bad_body("the response is not a json object"));
    }
    let response: Response = serde_json::from_slice(body)
        .map_err(|cause| ProviderError::bad_body(format!("the embeddings can't be read: {cause}")))?;
    if response.error.is_some_and(|error| !error.is_null()) {
        return Err(error::in_success(body));
    }
    let Some(mut data) = response.data else {
        return Err(ProviderError::bad_body("the response has no `data`; is the base url right?"));
    };
    data.sort_by_key(|one| one.index);
    if data.iter().enumerate().any(|(at, one)| one.index != at) {
        return Err(ProviderError::bad_body("the response does not say which embedding is whose"));
    }
    let vectors = data.into_iter().map(|one| one.embedding).collect();
    let counted = response.usage.and_then(|usage| usage.prompt_tokens);
    Ok((vectors, counted.filter(|tokens| *tokens > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_texts_stand_in_one_list() {
        let written = |dimensions| -> Value { serde_json::from_slice(&body("m", &["a", "b"], dimensions)).unwrap() };
        assert_eq!(written(None), json!({"model": "m", "input": ["a", "b"], "encoding_format": "float"}));
        assert_eq!(written(Some(8))["dimensions"], 8);
    }

    #[test]
    fn vectors_are_put_in_the_order_of_the_texts() {
        let of = |body: &str| decode(body.as_bytes()).map_err(|error| error.failure().code);
        let two = |usage: &str| {
            format!(r#"{{"data": [{{"index": 1, "embedding": [2]}}, {{"index": 0, "embedding": [1]}}]{usage}}}"#)
        };
        let vectors = vec![vec![1.0], vec![2.0]];
        assert_eq!(of(&two(r#", "usage": {"prompt_tokens": 3}"#)), Ok((vectors.clone(), Some(3))));
        assert_eq!(of(&two(r#", "usage": {"prompt_tokens": 0}"#)), Ok((vectors.clone(), None)));
        assert_eq!(of(&two("")), Ok((vectors, None)));
        for (body, code) in [
            ("<html>", "bad_body"),
            ("[]", "bad_body"),
            ("{}", "bad_body"),
            (r#"{"data": [{"index": 1, "embedding": [1]}]}"#, "bad_body"),
            (r#"{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]}"#, "bad_body"),
            (r#"{"data": [{"embedding": [1]}]}"#, "bad_body"),
            (r#"{"data": [{"index": 0, "embedding": ["x"]}]}"#, "bad_body"),
            (r#"{"error": {"code": 503, "message": "x"}}"#, "http_503"),
        ] {
            assert_eq!(of(body), Err(code.to_owned()), "{body}");
        }
    }
}
