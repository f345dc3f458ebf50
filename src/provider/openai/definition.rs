//! A service that completes chats as OpenAI does, as a provider.

use super::OpenAi;
use crate::domain::{Problem, Problems, Request};
use crate::provider::definition::{BaseUrlSource, EmbeddingDef, KeySource, ProviderConfig, ProviderDef, service};
use crate::provider::encoder::{Findings, RequestEncoder};
use crate::provider::target::Target;
use std::sync::Arc;
use time::Date;

/// Whoever speaks OpenAI's protocol.
pub(crate) const PROVIDER: ProviderDef = ProviderDef {
    name: "openai",
    base_url: BaseUrlSource {
        variable: Some("OPENAI_BASE_URL"),
        default: None,
        required: true,
        example: "http://localhost:11434/v1 for Ollama or https://api.openai.com/v1",
    },
    key: KeySource::Variable("OPENAI_API_KEY"),
    versions: false,
    streams: false,
    batches: false,
    judges: true,
    replays: false,
    simulates: false,
    default_model: None,
    embedding: Some(EmbeddingDef {
        // A model for chats is none for embeddings, so the run's is no default.
        default_model: None,
        body: super::embed::body,
        open: |config| Ok(Arc::new(super::embed::Embedder::new(config)?)),
    }),
    encoder: |config| Arc::new(ChatCompletions::new(config)),
    open,
};

fn open(config: &ProviderConfig) -> Result<Target, Problems> {
    let base_url = config.base_url.clone().unwrap_or_default();
    let service = service("openai", &base_url);
    Ok(Target {
        provider: Arc::new(OpenAi::new(config)?),
        encoder: Arc::new(ChatCompletions::new(config)),
        batches: None,
        base_url,
        identity: service.clone(),
        service,
        reusable: true,
        _guard: None,
    })
}

#[derive(Debug)]
struct ChatCompletions {
    base_url: String,
}

impl ChatCompletions {
    fn new(config: &ProviderConfig) -> ChatCompletions {
        ChatCompletions { base_url: config.base_url.clone().unwrap_or_default() }
    }
}

impl RequestEncoder for ChatCompletions {
    fn body(&self, request: &Request) -> Vec<u8> {
        super::body(request)
    }

    fn url(&self, _: &str) -> Result<String, Problem> {
        super::url(&self.base_url)
    }

    fn model_problem(&self, model: &str) -> Option<String> {
        super::model_problem(model)
    }

    fn review(&self, request: &Request, _: Date) -> Findings {
        Findings { refused: super::config_problems(&request.config), doubtful: Vec::new() }
    }

    fn content_problem(&self, request: &Request) -> Option<String> {
        super::content_problem(request)
    }
}
