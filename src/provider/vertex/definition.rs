//! Vertex AI as a provider.

use super::{Place, Vertex, model_problem, review, url};
use crate::domain::{Problem, Problems, Request};
use crate::provider::definition::{BaseUrlSource, KeySource, ProviderConfig, ProviderDef};
use crate::provider::encoder::{Findings, RequestEncoder};
use crate::provider::gemini;
use crate::provider::target::Target;
use std::sync::Arc;
use time::Date;

pub const PROVIDER: ProviderDef = ProviderDef {
    name: "vertex",
    base_url: BaseUrlSource {
        variable: Some("GOOGLE_VERTEX_BASE_URL"),
        default: None,
        required: false,
        example: "https://aiplatform.googleapis.com",
    },
    key: KeySource::GoogleOrCredentials,
    versions: false,
    streams: false,
    batches: false,
    judges: false,
    replays: false,
    simulates: false,
    default_model: gemini::PROVIDER.default_model,
    embedding: None,
    encoder: |config| Arc::new(Encoder::new(config)),
    open,
};

fn open(config: &ProviderConfig) -> Result<Target, Problems> {
    let encoder = Encoder::new(config);
    let identity = format!("vertex {} {}", encoder.base_url.trim_end_matches('/'), encoder.place.identity());
    let provider = Vertex::new(config)?;
    Ok(Target {
        provider: Arc::new(provider),
        base_url: encoder.base_url.clone(),
        encoder: Arc::new(encoder),
        batches: None,
        service: identity.clone(),
        identity,
        reusable: true,
        _guard: None,
    })
}

#[derive(Debug)]
struct Encoder {
    base_url: String,
    place: Place,
}

impl Encoder {
    fn new(config: &ProviderConfig) -> Encoder {
        let place = config.place.clone().unwrap_or(Place::Express);
        Encoder { base_url: config.base_url.clone().unwrap_or_else(|| place.base_url()), place }
    }
}

impl RequestEncoder for Encoder {
    fn body(&self, request: &Request) -> Vec<u8> {
        gemini::body(request)
    }

    fn url(&self, model: &str) -> Result<String, Problem> {
        url(&self.place, Some(&self.base_url), model)
    }

    fn model_problem(&self, model: &str) -> Option<String> {
        model_problem(model)
    }

    fn review(&self, request: &Request, today: Date) -> Findings {
        review(request, today)
    }

    fn content_problem(&self, request: &Request) -> Option<String> {
        gemini::content_problem(request)
    }
}
