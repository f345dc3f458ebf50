//! A provider that is open and ready to answer.

use super::api::Provider;
use super::encoder::RequestEncoder;
use super::gemini::Gemini;
use crate::domain::Problem;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// An open provider, and what it is in the identity of an answer.
#[derive(Clone)]
pub struct Target {
    /// Sends the requests.
    pub provider: Arc<dyn Provider>,
    /// Writes them.
    pub encoder: Arc<dyn RequestEncoder>,
    /// The same client, where the service has a batch API.
    pub batches: Option<Arc<Gemini>>,
    /// Where it is; empty where nothing is sent.
    pub base_url: String,
    /// Part of the identity of each answer: service, version of its API, delivery. Nothing of the machine is in it, so that
    /// answers can be replayed on another.
    pub identity: String,
    /// The service alone, however it is asked: a look at its answers is a look at the same.
    pub service: String,
    /// Its answers may be stored for later runs.
    pub reusable: bool,
    /// Lives as long as the target: the built-in simulator.
    pub _guard: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Ends the identity of answers that come through batch jobs.
pub(super) const BATCHED: &str = " batch";

impl Target {
    /// The same, asked request by request.
    #[must_use]
    pub fn unbatched(&self) -> Target {
        Target { identity: self.identity.trim_end_matches(BATCHED).to_owned(), ..self.clone() }
    }

    /// Makes sure that the first request can leave.
    pub async fn sign_in(&self) -> Result<(), Problem> {
        self.provider.sign_in().await
    }
}
