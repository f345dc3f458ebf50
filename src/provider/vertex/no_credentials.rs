//! Stands in for `credentials.rs` where the feature `vertex-auth` is missing: nobody can be signed in.

use super::super::api::{ProviderError, Retry};
use super::super::key::ApiKey;
use crate::domain::{FailureKind, Feature, Problem};
use reqwest::header::HeaderMap;

/// What to do instead.
pub(super) const WHAT_TO_DO: &str = "or set GOOGLE_API_KEY and no project, for express mode";

/// There is none.
#[derive(Debug)]
pub(super) enum SignIn {}

/// The headers that show who asks, and the secret in them.
pub(super) struct Authorization {
    pub(super) headers: HeaderMap,
    pub(super) token: ApiKey,
}

impl SignIn {
    /// Says what is missing.
    pub(super) fn find() -> Result<SignIn, Problem> {
        let feature = Feature { name: "vertex-auth", enabled: false };
        Err(Problem::new(format!("signing in to Vertex AI {}", feature.missing())).hint(WHAT_TO_DO))
    }

    pub(super) async fn headers(&self) -> Result<Authorization, ProviderError> {
        match *self {}
    }
}

pub(super) fn are_configured() -> bool {
    false
}

/// A request can't be sent for want of credentials.
pub(super) fn missing(problem: Problem) -> ProviderError {
    ProviderError::new(FailureKind::Auth, "credentials", problem.to_string(), Retry::KeyRefused)
}
