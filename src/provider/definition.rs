//! What there is to know about a kind of provider, and what opening one needs.

use super::api::Provider;
use super::encoder::RequestEncoder;
use super::gemini::Delivery;
use super::key::ApiKey;
use super::keys::Renewal;
use super::recorded::ArmNames;
use super::target::Target;
use super::vertex::Place;
use crate::domain::{Problem, Problems};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A kind of provider: everything that settings, runs, judges and embeddings ask about it. The table in `mod.rs` lists them.
#[derive(Debug)]
pub struct ProviderDef {
    /// The word of `--target`, of reports and of identities.
    pub name: &'static str,
    /// Where its base URL comes from.
    pub base_url: BaseUrlSource,
    pub key: KeySource,
    /// It has a choice of API version.
    pub versions: bool,
    /// It can stream its answers.
    pub streams: bool,
    /// It takes batches.
    pub batches: bool,
    /// It can serve as an LLM judge.
    pub judges: bool,
    /// Its answers are read from files: the same in each run, for nothing, and no proof of what a service says today.
    pub replays: bool,
    /// Its answers are made up.
    pub simulates: bool,
    /// The model where nothing names one; a service with models of anyone has none.
    pub default_model: Option<&'static str>,
    /// Its models of embeddings, if it has any.
    pub embedding: Option<EmbeddingDef>,
    pub encoder: fn(&ProviderConfig) -> Arc<dyn RequestEncoder>,
    /// Opens it; sends nothing yet.
    pub open: fn(&ProviderConfig) -> Result<Target, Problems>,
}

/// Where a base URL comes from beside the settings.
#[derive(Clone, Copy, Debug)]
pub struct BaseUrlSource {
    /// The variable in which the official SDKs look for one.
    pub variable: Option<&'static str>,
    pub default: Option<&'static str>,
    /// Runs can't do without one.
    pub required: bool,
    /// One that works, for messages.
    pub example: &'static str,
}

/// Where a key comes from, and who can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// It takes none.
    None,
    /// `GOOGLE_API_KEY`, `GEMINI_API_KEY`, or the file named by `GEMINI_API_KEY_FILE`.
    Google,
    /// `GOOGLE_API_KEY`, unless a project of Google Cloud is asked with the credentials of this machine.
    GoogleOrCredentials,
    /// A variable of its own, which services on this machine do without. Sent to the address it was given for only.
    Variable(&'static str),
}

impl KeySource {
    /// What to set where the key is missing.
    pub(super) fn hint(self) -> Option<String> {
        match self {
            KeySource::None => None,
            KeySource::Google | KeySource::GoogleOrCredentials => Some("set GEMINI_API_KEY".to_owned()),
            KeySource::Variable(name) => Some(format!("set {name}")),
        }
    }
}

/// Models that make vectors of texts.
#[derive(Debug)]
pub struct EmbeddingDef {
    /// The model where nothing names one.
    pub default_model: Option<&'static str>,
    /// The exact body of a request for the vectors of these texts, of so many dimensions. The same texts always give the same
    /// bytes.
    pub body: fn(model: &str, texts: &[&str], dimensions: Option<u32>) -> Vec<u8>,
    /// Opens it; sends nothing yet.
    pub open: fn(&ProviderConfig) -> Result<Arc<dyn Provider>, Problem>,
}

/// What opening a provider may need; each takes what it knows.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Instead of the provider's own.
    pub base_url: Option<String>,
    /// Instead of the usual one.
    pub api_version: Option<String>,
    /// Whether answers are streamed.
    pub delivery: Delivery,
    /// Answers come through batch jobs.
    pub batched: bool,
    /// Project and location.
    pub place: Option<Place>,
    /// Sent in a header.
    pub key: Option<ApiKey>,
    /// Where another key may come from when this one is refused.
    pub renewal: Option<Renewal>,
    /// Files of recorded answers.
    pub answers: Vec<PathBuf>,
    /// What recorded answers may call the prompts of the arms.
    pub names: ArmNames,
    /// What the service is told about the time it has for one attempt; the runner enforces it.
    pub timeout: Duration,
    /// Requests in flight, for the connection pool.
    pub concurrency: usize,
}

impl Default for ProviderConfig {
    fn default() -> ProviderConfig {
        ProviderConfig {
            base_url: None,
            api_version: None,
            delivery: Delivery::Whole,
            batched: false,
            place: None,
            key: None,
            renewal: None,
            answers: Vec::new(),
            names: ArmNames::default(),
            timeout: Duration::from_secs(60),
            concurrency: 16,
        }
    }
}

/// A service in an identity: provider and base URL.
pub(super) fn service(name: &str, base_url: &str) -> String {
    format!("{name} {}", base_url.trim_end_matches('/'))
}
