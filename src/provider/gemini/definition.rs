//! The Gemini API as a provider.

use super::{BASE_URL, Delivery, Gemini, GeminiSettings, VERSION};
use crate::domain::{Problem, Request};
use crate::provider::definition::{BaseUrlSource, EmbeddingDef, KeySource, ProviderConfig, ProviderDef, service};
use crate::provider::encoder::{Findings, RequestEncoder};
use crate::provider::target::{BATCHED, Target};
use std::sync::Arc;
use time::Date;

pub const PROVIDER: ProviderDef = ProviderDef {
    name: "gemini",
    base_url: BaseUrlSource {
        variable: Some("GOOGLE_GEMINI_BASE_URL"),
        default: Some(BASE_URL),
        required: false,
        example: BASE_URL,
    },
    key: KeySource::Google,
    versions: true,
    streams: true,
    batches: true,
    judges: true,
    replays: false,
    simulates: false,
    default_model: Some("gemini-3.8-flash"),
    embedding: Some(EmbeddingDef {
        default_model: Some(super::embed::MODEL),
        body: super::embed::body,
        open: |config| Ok(Arc::new(super::embed::Embedder::new(&settings(config, BASE_URL, false))?)),
    }),
    encoder: |config| Arc::new(GenerateContent::new(config)),
    open: |config| {
        let url = config.base_url.clone().unwrap_or_else(|| BASE_URL.to_owned());
        Ok(open_as(Identity::Service, url, config)?)
    },
};

/// Who answers in this protocol.
pub(in crate::provider) enum Identity {
    Service,
    /// A simulator, and what it is called. It alone is told which sample is asked for.
    Simulator {
        service: String,
    },
}

/// Opens whoever speaks this protocol at a base URL.
pub(in crate::provider) fn open_as(
    identity: Identity,
    base_url: String,
    config: &ProviderConfig,
) -> Result<Target, Problem> {
    let (service, simulated) = match identity {
        Identity::Service => (service("gemini", &base_url), false),
        Identity::Simulator { service } => (service, true),
    };
    let client = Arc::new(Gemini::new(&settings(config, &base_url, simulated))?);
    Ok(Target {
        provider: client.clone(),
        encoder: (PROVIDER.encoder)(config),
        batches: Some(client),
        base_url,
        identity: format!("{service}{}", version_and_delivery(config)),
        service,
        reusable: true,
        _guard: None,
    })
}

fn settings(config: &ProviderConfig, base_url: &str, simulated: bool) -> GeminiSettings {
    GeminiSettings {
        base_url: config.base_url.clone().unwrap_or_else(|| base_url.to_owned()),
        version: version(config).to_owned(),
        delivery: config.delivery,
        key: config.key.clone().filter(|_| !simulated),
        renewal: config.renewal.clone(),
        timeout: config.timeout,
        concurrency: config.concurrency,
        simulated,
    }
}

fn version(config: &ProviderConfig) -> &str {
    config.api_version.as_deref().unwrap_or(VERSION)
}

/// The API version where it is not the usual one, and the delivery: an answer that was not streamed has no time to its first
/// token, one of a batch job has no latency and another price.
fn version_and_delivery(config: &ProviderConfig) -> String {
    let version = match version(config) {
        VERSION => String::new(),
        other => format!(" {other}"),
    };
    let delivery = match config.delivery {
        Delivery::Whole if config.batched => BATCHED,
        Delivery::Whole => "",
        Delivery::Stream => " stream",
    };
    version + delivery
}

#[derive(Debug)]
pub(in crate::provider) struct GenerateContent {
    base_url: String,
    version: String,
    delivery: Delivery,
}

impl GenerateContent {
    fn new(config: &ProviderConfig) -> GenerateContent {
        GenerateContent {
            base_url: config.base_url.clone().unwrap_or_else(|| BASE_URL.to_owned()),
            version: version(config).to_owned(),
            delivery: config.delivery,
        }
    }
}

impl RequestEncoder for GenerateContent {
    fn body(&self, request: &Request) -> Vec<u8> {
        super::body(request)
    }

    fn url(&self, model: &str) -> Result<String, Problem> {
        super::url(&self.base_url, &self.version, model, self.delivery)
    }

    fn model_problem(&self, model: &str) -> Option<String> {
        super::model_problem(model)
    }

    fn review(&self, request: &Request, today: Date) -> Findings {
        super::review(request, &self.version, today)
    }

    fn content_problem(&self, request: &Request) -> Option<String> {
        super::content_problem(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_server_or_delivery_is_another_identity_of_the_same_service() {
        let open = |base_url: &str, version: Option<&str>, delivery, batched| {
            let config = ProviderConfig {
                base_url: Some(base_url.to_owned()),
                api_version: version.map(str::to_owned),
                delivery,
                batched,
                ..ProviderConfig::default()
            };
            let target = (PROVIDER.open)(&config).unwrap();
            (target.identity, target.service)
        };
        let service = "gemini https://a.example".to_owned();
        for (version, delivery, batched, suffix) in [
            (None, Delivery::Whole, false, ""),
            (Some(VERSION), Delivery::Whole, false, ""),
            (Some("v1"), Delivery::Whole, false, " v1"),
            (None, Delivery::Stream, false, " stream"),
            (Some("v1"), Delivery::Whole, true, " v1 batch"),
        ] {
            let opened = open("https://a.example/", version, delivery, batched);
            assert_eq!(opened, (format!("{service}{suffix}"), service.clone()));
        }
        assert_ne!(open("https://b.example", None, Delivery::Whole, false).1, service);
    }
}
