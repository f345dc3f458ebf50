//! Application Default Credentials, found, exchanged for access tokens and refreshed by Google's own crate: a service
//! account's or an authorized user's file, workload identity, or the metadata server.

use super::super::api::{ProviderError, Retry};
use super::super::key::ApiKey;
use super::super::tls::choose_provider;
use crate::domain::{FailureKind, Problem};
use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials};
use google_cloud_auth::errors::CredentialsError;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;
use std::env::var_os;
use std::error::Error;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

/// Names the file with the credentials.
const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// Where `gcloud auth application-default login` leaves its file, below the home folder.
const WELL_KNOWN: &str = ".config/gcloud/application_default_credentials.json";
/// Names the metadata server; set only by who wants it asked.
const METADATA: &str = "GCE_METADATA_HOST";
/// What to do about credentials that are missing or refused.
pub(super) const WHAT_TO_DO: &str = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to the file of a service \
     account that has the role Vertex AI User (roles/aiplatform.user)";
/// A token endpoint that is silent this long is not going to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who asks. One access token is shared by all requests, and renewed in time.
#[derive(Debug)]
pub(super) struct SignIn {
    credentials: Credentials,
    _background: Background,
}

/// The headers that show who asks, and the secret in them.
pub(super) struct Authorization {
    pub(super) headers: HeaderMap,
    pub(super) token: ApiKey,
}

impl SignIn {
    /// Finds the credentials of this machine, and begins to get a token.
    ///
    /// # Errors
    /// The file with them can't be read, or holds none. Its content is not quoted.
    pub(super) fn find() -> Result<SignIn, Problem> {
        let wrong = |what: String| Problem::new(what).hint(WHAT_TO_DO);
        choose_provider();
        // The crate's own clients panic where none can be made.
        if reqwest::Client::builder().build().is_err() {
            return Err(Problem::new("no http client can be made, so nobody can be signed in")
                .hint("install the package ca-certificates, or set SSL_CERT_FILE to a bundle of certificates"));
        }
        let background = Background::start()
            .map_err(|error| Problem::new(format!("the thread that renews access tokens can't start: {error}")))?;
        let credentials = background.enter(|| Builder::default().build());
        match credentials {
            Ok(credentials) => Ok(SignIn { credentials, _background: background }),
            Err(error) if error.is_loading() => {
                Err(wrong("the file with the credentials of Google Cloud can't be read".to_owned()))
            }
            Err(error) if error.is_parsing() || error.is_missing_field() => {
                Err(wrong("the file with the credentials of Google Cloud holds none, or lacks a field".to_owned()))
            }
            Err(error) => Err(wrong(format!("the credentials of Google Cloud can't be used: {error}"))),
        }
    }

    /// The headers of a request of this moment. Waits for a token when there is none, or an old one.
    ///
    /// # Errors
    /// No token can be had: for good, or for now.
    pub(super) async fn headers(&self) -> Result<Authorization, ProviderError> {
        let headers = match timeout(PATIENCE, self.credentials.headers(Default::default())).await {
            Ok(Ok(CacheableResource::New { data, .. })) => data,
            Ok(Ok(CacheableResource::NotModified)) => {
                return Err(refused("the token is not modified, and was not had before"));
            }
            Ok(Err(error)) => return Err(not_signed_in(&error)),
            Err(_) => {
                return Err(ProviderError::new(
                    FailureKind::Transport,
                    "no_token",
                    format!("no access token within {} s", PATIENCE.as_secs()),
                    Retry::Backoff,
                ));
            }
        };
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .and_then(|token| ApiKey::new(token).ok())
            .ok_or_else(|| refused("the token that was had can't be sent"))?;
        let mut headers = headers;
        headers.insert(AUTHORIZATION, token.bearer().map_err(|problem| refused(&problem.message))?);
        Ok(Authorization { headers, token })
    }
}

/// There are credentials on this machine, or someone says where the metadata server is. Otherwise only the machine's own
/// metadata server is left, which exists on Google Cloud alone.
pub(super) fn are_configured() -> bool {
    let well_known = || {
        let home = var_os("HOME").or_else(|| var_os("APPDATA"));
        home.is_some_and(|home| Path::new(&home).join(WELL_KNOWN).exists())
    };
    var_os(FILE).is_some() || var_os(METADATA).is_some() || well_known()
}

fn not_signed_in(error: &CredentialsError) -> ProviderError {
    let what = format!("no access token: {}", explain(error));
    if error.is_transient() {
        return ProviderError::new(FailureKind::Transport, "no_token", what, Retry::Backoff);
    }
    refused(&what)
}

/// A request can't be sent for want of credentials.
pub(super) fn missing(problem: Problem) -> ProviderError {
    ProviderError::new(FailureKind::Auth, "credentials", problem.to_string(), Retry::KeyRefused)
}

fn refused(what: &str) -> ProviderError {
    let message = format!("{what}; {WHAT_TO_DO}");
    ProviderError::new(FailureKind::Auth, "credentials", message, Retry::KeyRefused)
}

/// What happened, without the bodies that the crate quotes: the other side may repeat in them what it was sent. Of a body
/// only an error code of OAuth (RFC 6749, section 5.2) is told.
fn explain(error: &CredentialsError) -> String {
    let mut causes = Vec::new();
    let outermost: &(dyn Error + 'static) = error;
    for cause in std::iter::successors(Some(outermost), |error| (*error).source()) {
        let text = cause.to_string();
        if let Some(http) = cause.downcast_ref::<reqwest::Error>() {
            causes.push(http.status().map_or_else(
                || "the token endpoint can't be reached".to_owned(),
                |status| format!("the token endpoint answered http {}", status.as_u16()),
            ));
        }
        if let Some((_, body)) = text.split_once("body=<") {
            causes.extend(oauth_code(body));
        }
    }
    if causes.is_empty() {
        let text = error.to_string();
        return text.split("body=<").next().unwrap_or_default().trim_end_matches(", ").to_owned();
    }
    causes.reverse();
    causes.join(", ")
}

/// The code at the start of a text that is the body of an error of OAuth.
fn oauth_code(body: &str) -> Option<String> {
    let mut values = serde_json::Deserializer::from_str(body).into_iter::<Value>();
    let error = values.next()?.ok()?;
    let code = error.get("error")?.as_str()?;
    let is_code = code.len() <= 40 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_code.then(|| code.to_owned())
}

/// The thread in which tokens are renewed: credentials are opened before the run, and outlive its runtime.
#[derive(Debug)]
struct Background(Option<Runtime>);

impl Background {
    fn start() -> std::io::Result<Background> {
        let runtime =
            runtime::Builder::new_multi_thread().worker_threads(1).thread_name("tokens").enable_all().build()?;
        Ok(Background(Some(runtime)))
    }

    fn enter<T>(&self, act: impl FnOnce() -> T) -> T {
        let _guard = self.0.as_ref().map(Runtime::enter);
        act()
    }
}

impl Drop for Background {
    /// Does not wait, so that it may happen anywhere.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_body_only_a_code_is_told() {
        let code = |body: &str| oauth_code(body);
        assert_eq!(code(r#"{"error":"invalid_grant","error_description":"x"}>"#).as_deref(), Some("invalid_grant"));
        assert_eq!(code(r#"{"error":"1//a-refresh-token"}>"#), None);
        assert_eq!(code(r#"{"error":{"code":400}}>"#), None);
        assert_eq!(code("<html>"), None);
        let error = CredentialsError::from_msg(false, r#"failed, body=<{"error":"invalid_grant","sent":"geheim"}>"#);
        assert_eq!(explain(&error), "invalid_grant");
        let error = CredentialsError::from_msg(false, "failed, body=<geheim>");
        assert_eq!(explain(&error), "failed");
    }

    #[test]
    fn what_is_refused_for_good_stops_and_says_what_to_do() {
        let error = not_signed_in(&CredentialsError::from_msg(false, "x"));
        assert_eq!((error.failure().kind, error.retry()), (FailureKind::Auth, Retry::KeyRefused));
        assert!(error.failure().message.contains("gcloud auth application-default login"));
        let error = not_signed_in(&CredentialsError::from_msg(true, "x"));
        assert_eq!((error.failure().kind, error.retry()), (FailureKind::Transport, Retry::Backoff));
    }
}
