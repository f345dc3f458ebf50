//! The Gemini API over HTTP: one `generateContent` or `streamGenerateContent` request per job.
//!
//! - `endpoint.rs`: base URL, version and model become a URL.
//! - `body.rs`: a rendered prompt becomes the bytes of a request.
//! - `rules.rs`, `fields.rs`, `shape.rs`, `family.rs`: what the service would refuse or ignore in a prompt's settings: their
//!   forms, and what each model takes. Known before anything is sent.
//! - `reply.rs`, `wire.rs`: the bytes of a response become an answer; `details.rs`: what is told beside its words. `sse.rs`,
//!   `stream.rs`: the pieces of a streamed one.
//! - `batches.rs`: batch jobs, their files and their results. `spool.rs`: their requests on disk, until they have ended.
//! - `embed.rs`: vectors of texts.
//! - `error.rs`: an error reply becomes a kind of failure and what asking again can do about it.
//! - this file: one exchange.
//!
//! The simulator speaks the same protocol; it is this target with a base URL of its own and the sample header.

mod batches;
mod body;
mod definition;
mod details;
mod embed;
mod endpoint;
mod error;
mod family;
mod fields;
mod reply;
mod rules;
mod shape;
mod spool;
mod sse;
mod stream;
mod wire;

pub(crate) use batches::{BatchStatus, Item, Output, PIECE, Results};
pub use body::{body, content_problem};
pub use definition::PROVIDER;
pub(in crate::provider) use definition::{Identity, open_as};
pub use endpoint::{BASE_URL, Delivery, VERSION, model_problem, url};
pub use error::classify;
pub(super) use error::{LONGEST_MESSAGE, LONGEST_WAIT, delay_after, duration, excerpt, http_error, seconds, shorten};
pub use reply::decode;
pub use rules::review;
pub(super) use rules::{knows_setting, review_for};
pub(super) use shape::{Service, at};
pub(crate) use spool::{Line, Lines, Spool, jsonl_length};
pub use stream::decode_stream;

use super::api::{BoxFuture, Provider, ProviderError, Retry};
use super::http::{Http, Incoming, post, whole_seconds, without};
use super::key::ApiKey;
use super::keys::{Generation, Keys, Rejection, Renewal};
use crate::domain::{Answer, Arm, CaseId, Failure, Job, Problem, digest};
use crate::secret::Redact;
use endpoint::{Endpoint, resource};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;
use stream::StreamMerge;

/// The header that carries the key; never the URL, which ends up in logs.
pub(super) const KEY_HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");
/// Tells the service's front end how many seconds it may work on a request, as the official SDKs do.
pub(super) const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-server-timeout");
/// Tells the simulator which sample this is, so that its noise repeats exactly at any concurrency.
const SAMPLE_HEADER: HeaderName = HeaderName::from_static("x-promptgate-sample");

/// What a [`Gemini`] target needs to know.
#[derive(Clone, Debug)]
pub struct GeminiSettings {
    /// Where the API is; the public service unless set.
    pub base_url: String,
    /// `v1beta` or `v1`; see [`VERSION`].
    pub version: String,
    /// Whether answers are streamed; only then is the time to the first token known.
    pub delivery: Delivery,
    /// Sent in a header. `None` sends none; the simulator's own server may not ask for one.
    pub key: Option<ApiKey>,
    /// Where another key may come from when this one is refused.
    pub renewal: Option<Renewal>,
    /// What the service is told about the time it has; the loop enforces it. Keep it equal to `Limits::timeout`.
    pub timeout: Duration,
    /// Requests in flight, for the connection pool.
    pub concurrency: usize,
    /// The simulator answers: send it the sample header. No one else ever gets it.
    pub simulated: bool,
}

/// The Gemini API, or the simulator.
#[derive(Debug)]
pub struct Gemini {
    connection: Arc<Connection>,
    delivery: Delivery,
    simulated: bool,
}

/// What every request goes through.
#[derive(Debug)]
struct Connection {
    http: Http,
    endpoint: Endpoint,
    /// Of every request.
    headers: HeaderMap,
    keys: Option<Keys>,
}

impl Gemini {
    /// A client; sends nothing yet.
    ///
    /// # Errors
    /// Base URL or version are wrong, or no client can be made (no certificates on this machine).
    pub fn new(settings: &GeminiSettings) -> Result<Gemini, Problem> {
        let endpoint = Endpoint::new(&settings.base_url, &settings.version)?;
        if settings.key.is_some() {
            endpoint.base().keeps_secrets()?;
        }
        let http = Http::new(endpoint.base(), settings.concurrency)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(TIMEOUT_HEADER, whole_seconds(settings.timeout));
        Ok(Gemini {
            connection: Arc::new(Connection {
                http,
                endpoint,
                headers,
                keys: settings.key.clone().map(|key| Keys::new(key, settings.renewal.clone())),
            }),
            delivery: settings.delivery,
            simulated: settings.simulated,
        })
    }

    /// What came of a request, without the key.
    pub(crate) fn without_key(&self, got: Result<Answer, ProviderError>) -> Result<Answer, ProviderError> {
        without(self.connection.secret(), got)
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Answer, ProviderError> {
        let secret = self.connection.secret();
        let incoming = self.connection.http.open(request).await?;
        if self.delivery == Delivery::Stream && incoming.is_success() {
            return merge(incoming, secret).await;
        }
        let reply = incoming.whole(secret).await?;
        if !reply.is_success() {
            return Err(classify(reply.status, reply.retry_after(), &reply.body));
        }
        Ok(reply.complete(decode(&reply.body)?))
    }

    /// The request, and which key it carries.
    fn request(&self, job: &Job) -> Result<(reqwest::Request, Option<Generation>), ProviderError> {
        let connection = &self.connection;
        let url = connection.endpoint.generate_content(&job.request.model, self.delivery);
        let url = url.map_err(ProviderError::bad_model)?;
        let mut request = post(url, connection.headers.clone(), &job.body);
        let generation = connection.sign(&mut request);
        if self.simulated {
            request.headers_mut().insert(SAMPLE_HEADER, sample(job));
        }
        Ok((request, generation))
    }
}

impl Connection {
    /// Puts the key that counts now into a request, and tells which one it is.
    fn sign(&self, request: &mut reqwest::Request) -> Option<Generation> {
        let (header, generation) = self.keys.as_ref().map(Keys::current)?;
        if let Some(header) = header {
            request.headers_mut().insert(KEY_HEADER, header);
        }
        Some(generation)
    }

    /// What must not stand in a reply.
    fn secret(&self) -> Option<&dyn Redact> {
        self.keys.as_ref().map(|keys| keys as &dyn Redact)
    }

    /// A failure with its consequence for the key, and without the key.
    fn judge(&self, error: ProviderError, generation: Option<Generation>) -> ProviderError {
        let error = self.renew_or_blame_key(error, generation);
        match self.secret() {
            Some(secret) => error.without(secret),
            None => error,
        }
    }

    /// What a failure leads to when it was the key that was refused: another key, or a sentence on what to do.
    fn renew_or_blame_key(&self, error: ProviderError, generation: Option<Generation>) -> ProviderError {
        let (Some(keys), Some(generation), Retry::KeyRefused) = (&self.keys, generation, error.retry()) else {
            return error;
        };
        // Another key helps neither where cached content is not found, nor against a place or an account that is not served.
        if is_missing_cache(&error) || error.failure().code == "failed_precondition" {
            return error;
        }
        match keys.refused(generation) {
            Rejection::Changed => error.with_retry(Retry::KeyChanged),
            // What to do comes first, so that no long reply of the service pushes it out of a line that is cut.
            Rejection::Final(advice) => error.map_message(|message| format!("{advice} (the service said: {message})")),
        }
    }
}

impl Provider for Gemini {
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async {
            let (request, generation) = self.request(job)?;
            let answer = self.exchange(request).await;
            self.without_key(answer.map_err(|error| self.connection.judge(error, generation)))
        })
    }
}

/// The service doesn't know the cached content that a prompt names. It answers 404, or 403 in words that leave open whose it
/// is ("CachedContent not found (or permission denied)").
fn is_missing_cache(error: &ProviderError) -> bool {
    let Failure { code, message, .. } = error.failure();
    let letters: String = message.chars().filter(char::is_ascii_alphanumeric).collect();
    let letters = letters.to_ascii_lowercase();
    matches!(code.as_str(), "http_403" | "http_404")
        && letters.contains("cachedcontent")
        // A method that a key or a model may not use.
        && !letters.contains("createcachedcontent")
}

/// Reads a streamed response as it comes.
async fn merge(mut incoming: Incoming, secret: Option<&dyn Redact>) -> Result<Answer, ProviderError> {
    let mut merging = StreamMerge::new(secret);
    let mut first_token_ms = None;
    while let Some(piece) = incoming.piece().await? {
        merging.push(&piece)?;
        if first_token_ms.is_none() && merging.has_token() {
            first_token_ms = Some(incoming.elapsed_ms());
        }
    }
    let latency_ms = incoming.elapsed_ms();
    Ok(Answer { latency_ms, first_token_ms, simulated: incoming.is_simulated(), ..merging.finish()? })
}

/// What the simulator is told in `x-promptgate-sample`: the same for every attempt and every run, another for each case,
/// arm and repeat. 32 hexadecimal digits.
pub fn sample_of(case: &CaseId, arm: Arm, repeat: u32) -> String {
    let pieces = [case.as_str().as_bytes(), arm.as_str().as_bytes(), &repeat.to_le_bytes()];
    let mut half = [0; 16];
    half.copy_from_slice(&digest(pieces)[..16]);
    format!("{:032x}", u128::from_be_bytes(half))
}

/// The header of a job's sample.
fn sample(job: &Job) -> HeaderValue {
    let hex = sample_of(&job.case, job.arm, job.repeat);
    // Hex digits always make a header; without one the simulator falls back to the request alone.
    HeaderValue::try_from(hex).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixtures;

    fn job(case: &str, arm: Arm, repeat: u32) -> Job {
        Job { arm, repeat, ..fixtures::job(case) }
    }

    fn settings(base_url: &str) -> GeminiSettings {
        GeminiSettings {
            base_url: base_url.to_owned(),
            version: VERSION.to_owned(),
            delivery: Delivery::Whole,
            key: Some(ApiKey::new("a-secret-key").unwrap()),
            renewal: None,
            timeout: Duration::from_millis(1500),
            concurrency: 4,
            simulated: false,
        }
    }

    #[test]
    fn a_request_has_the_key_in_a_header_only_and_the_time_it_has() {
        let target = Gemini::new(&settings("http://127.0.0.1:9")).unwrap();
        let request = target.request(&job("c", Arm::Candidate, 1)).unwrap().0;
        assert_eq!(request.url().as_str(), "http://127.0.0.1:9/v1beta/models/m:generateContent");
        assert_eq!(request.headers()[KEY_HEADER], "a-secret-key");
        assert!(request.headers()[KEY_HEADER].is_sensitive());
        assert_eq!(request.headers()[TIMEOUT_HEADER], "2");
        assert!(!request.headers().contains_key(SAMPLE_HEADER));
        assert!(!format!("{target:?} {request:?}").contains("a-secret-key"));
    }

    #[test]
    fn the_simulator_is_told_which_sample_it_is() {
        let target =
            Gemini::new(&GeminiSettings { key: None, simulated: true, ..settings("http://127.0.0.1:9") }).unwrap();
        let sample = |job: &Job| target.request(job).unwrap().0.headers()[SAMPLE_HEADER].clone();
        let first = sample(&job("c", Arm::Candidate, 1));
        assert_eq!(first.len(), 32);
        assert_eq!(first, sample(&job("c", Arm::Candidate, 1)));
        assert_ne!(first, sample(&job("c", Arm::Candidate, 2)));
        assert_ne!(first, sample(&job("c", Arm::Baseline, 1)));
        assert_ne!(first, sample(&job("d", Arm::Candidate, 1)));
        let request = target.request(&job("c", Arm::Candidate, 1)).unwrap().0;
        assert!(!request.headers().contains_key(KEY_HEADER));
    }
}
