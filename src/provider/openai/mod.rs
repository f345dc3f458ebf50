//! OpenAI-compatible chat completions: the protocol that local servers (Ollama, llama.cpp, vLLM) and gateways (LiteLLM)
//! speak too, as a free rehearsal of a prompt, or as a second opinion.
//!
//! - `body.rs`: a rendered prompt becomes the bytes of a request, or a sentence why it can't.
//! - `reply.rs`: the bytes of a response become an answer.
//! - `embed.rs`: vectors of texts.
//! - `error.rs`: an error reply becomes a kind of failure and what asking again can do about it.
//! - this file: one exchange.

mod body;
mod definition;
mod embed;
mod error;
mod reply;

pub(crate) use body::{body, config_problems, content_problem, model_problem};
pub(crate) use definition::PROVIDER;
pub(crate) use error::classify;
pub(crate) use reply::decode;

use super::api::{BoxFuture, Provider, ProviderError};
use super::base_url::BaseUrl;
use super::definition::ProviderConfig;
use super::http::{Http, post, without};
use super::key::ApiKey;
use crate::domain::{Answer, Job, Problem};
use crate::secret::Redact;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};

/// A base URL that works, for messages.
const EXAMPLE: &str = "http://localhost:11434/v1";

/// A service that completes chats.
#[derive(Debug)]
pub(crate) struct OpenAi {
    http: Http,
    url: Url,
    /// Of every request.
    headers: HeaderMap,
    key: Option<ApiKey>,
}

impl OpenAi {
    /// A client; sends nothing yet.
    ///
    /// # Errors
    /// The base URL is wrong, or no client can be made (no certificates on this machine).
    pub(crate) fn new(config: &ProviderConfig) -> Result<OpenAi, Problem> {
        let base = BaseUrl::new(config.base_url.as_deref().unwrap_or_default(), EXAMPLE)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &config.key {
            base.keeps_secrets()?;
            headers.insert(AUTHORIZATION, key.bearer()?);
        }
        Ok(OpenAi {
            http: Http::new(&base, config.concurrency)?,
            url: completions(&base)?,
            headers,
            key: config.key.clone(),
        })
    }

    async fn exchange(&self, job: &Job) -> Result<Answer, ProviderError> {
        if let Some(problem) = model_problem(&job.request.model) {
            return Err(ProviderError::bad_model(problem));
        }
        let request = post(self.url.clone(), self.headers.clone(), &job.body);
        let reply = self.http.send(request, self.secret()).await?;
        if !reply.is_success() {
            return Err(classify(reply.status, error::requested_delay(&reply.headers), &reply.body));
        }
        Ok(reply.complete(decode(&reply.body)?))
    }

    fn secret(&self) -> Option<&dyn Redact> {
        self.key.as_ref().map(|key| key as &dyn Redact)
    }
}

impl Provider for OpenAi {
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async { without(self.secret(), self.exchange(job).await) })
    }
}

/// The URL of a request, for people to look at.
pub(crate) fn url(base_url: &str) -> Result<String, Problem> {
    Ok(completions(&BaseUrl::new(base_url, EXAMPLE)?)?.to_string())
}

/// The base URL names this very machine, so that nobody asks for a key.
pub fn is_local(base_url: &str) -> Result<bool, Problem> {
    Ok(BaseUrl::new(base_url, EXAMPLE)?.is_loopback())
}

fn completions(base: &BaseUrl) -> Result<Url, Problem> {
    at(base, "chat/completions")
}

fn at(base: &BaseUrl, path: &str) -> Result<Url, Problem> {
    Url::parse(&format!("{}/{path}", base.as_str()))
        .map_err(|cause| Problem::new(format!("the base url makes no url of a request: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_the_base_and_the_fixed_path() {
        assert_eq!(url("https://api.openai.com/v1").unwrap(), "https://api.openai.com/v1/chat/completions");
        assert_eq!(url("http://localhost:11434/v1/").unwrap(), "http://localhost:11434/v1/chat/completions");
        assert!(url("localhost:11434").unwrap_err().to_string().contains("scheme"));
        assert_eq!(is_local("http://127.0.0.1:8080/v1"), Ok(true));
        assert_eq!(is_local("https://api.openai.com/v1"), Ok(false));
    }

    #[test]
    fn the_key_stands_in_a_header_only_and_is_not_shown() {
        let target = OpenAi::new(&ProviderConfig {
            base_url: Some("http://127.0.0.1:9/v1".to_owned()),
            key: Some(ApiKey::new("a-secret-key").unwrap()),
            ..ProviderConfig::default()
        })
        .unwrap();
        assert_eq!(target.headers[AUTHORIZATION], "Bearer a-secret-key");
        assert!(target.headers[AUTHORIZATION].is_sensitive());
        assert!(!format!("{target:?}").contains("a-secret-key"));
    }
}
