//! Embeddings: one `batchEmbedContents` request for many texts.

use super::{Connection, Gemini, GeminiSettings, classify, resource};
use crate::domain::{Answer, Job, Problem};
use crate::provider::api::{BoxFuture, Provider, ProviderError};
use crate::provider::embeddings::answer;
use crate::provider::http::post;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The model that embeds if none is named.
pub(crate) const MODEL: &str = "gemini-embedding-001";

#[derive(Debug)]
pub(crate) struct Embedder {
    connection: Arc<Connection>,
}

impl Embedder {
    /// A client; sends nothing yet.
    pub(crate) fn new(settings: &GeminiSettings) -> Result<Embedder, Problem> {
        let Gemini { connection, .. } = Gemini::new(settings)?;
        Ok(Embedder { connection })
    }
}

/// The bytes of a request for the vectors of these texts.
pub(crate) fn body(model: &str, texts: &[&str], dimensions: Option<u32>) -> Vec<u8> {
    let requests: Vec<Value> = texts
        .iter()
        .map(|text| {
            let mut request = json!({"model": resource(model), "content": {"parts": [{"text": text}]}});
            // Later models have no kinds of tasks: what a vector is for is said in the text.
            if model.ends_with(MODEL) {
                request["taskType"] = "SEMANTIC_SIMILARITY".into();
            }
            if let Some(dimensions) = dimensions {
                request["outputDimensionality"] = dimensions.into();
            }
            request
        })
        .collect();
    json!({"requests": requests}).to_string().into_bytes()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(default)]
    embeddings: Vec<Embedding>,
    error: Option<serde::de::IgnoredAny>,
    usage_metadata: Option<UsageMetadata>,
}

#[derive(Deserialize)]
struct Embedding {
    #[serde(default)]
    values: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: Option<u64>,
}

impl Provider for Embedder {
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async {
            let url =
                self.connection.endpoint.batch_embed_contents(&job.request.model).map_err(ProviderError::bad_model)?;
            let mut request = post(url, self.connection.headers.clone(), &job.body);
            let generation = self.connection.sign(&mut request);
            let got = self.exchange(request, job).await;
            got.map_err(|error| self.connection.judge(error, generation))
        })
    }
}

impl Embedder {
    async fn exchange(&self, request: reqwest::Request, job: &Job) -> Result<Answer, ProviderError> {
        let reply = self.connection.http.send(request, self.connection.secret()).await?;
        if !reply.is_success() {
            return Err(classify(reply.status, reply.retry_after(), &reply.body));
        }
        let (vectors, counted) = decode(&reply.body)?;
        Ok(reply.complete(answer(job, &vectors, counted)?))
    }
}

/// The vectors of a response, and the tokens that were counted: those of some models only.
fn decode(body: &[u8]) -> Result<(Vec<Vec<f32>>, Option<u64>), ProviderError> {
    let response: Response = serde_json::from_slice(body)
        .map_err(|cause| ProviderError::bad_body(format!("the embeddings can't be read: {cause}")))?;
    if response.error.is_some() {
        return Err(ProviderError::bad_body("the response holds an error beside embeddings"));
    }
    let vectors = response.embeddings.into_iter().map(|one| one.values).collect();
    let counted = response.usage_metadata.and_then(|usage| usage.prompt_token_count);
    Ok((vectors, counted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_content_for_each_text() {
        let written = |model: &str, dimensions| -> Value {
            serde_json::from_slice(&body(model, &["a", "b"], dimensions)).unwrap()
        };
        assert_eq!(
            written(MODEL, None),
            json!({"requests": [
                {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}, "taskType": "SEMANTIC_SIMILARITY"},
                {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "b"}]}, "taskType": "SEMANTIC_SIMILARITY"},
            ]})
        );
        assert_eq!(
            written("gemini-embedding-2", Some(768))["requests"][1],
            json!({"model": "models/gemini-embedding-2", "content": {"parts": [{"text": "b"}]}, "outputDimensionality": 768})
        );
    }

    #[test]
    fn a_response_holds_vectors() {
        let of = |body: &str| decode(body.as_bytes()).map_err(|error| error.failure().code);
        assert_eq!(
            of(
                r#"{"embeddings": [{"values": [1, 0.5]}, {"values": [2, 3]}], "usageMetadata": {"promptTokenCount": 7}}"#
            ),
            Ok((vec![vec![1.0, 0.5], vec![2.0, 3.0]], Some(7)))
        );
        for broken in ["[1]", "", r#"{"embeddings": [{"values": [1]}, {"values": ["x"]}]}"#] {
            assert_eq!(of(broken), Err("bad_body".to_owned()), "{broken}");
        }
    }
}
