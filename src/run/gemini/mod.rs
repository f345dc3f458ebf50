//! The Gemini API over HTTP: one `generateContent` request per job.
//!
//! - `endpoint.rs`: base URL, version and model become a URL.
//! - `body.rs`: a rendered prompt becomes the bytes of a request.
//! - `reply.rs`: the bytes of a response become an answer.
//! - `error.rs`: an error reply becomes a kind of failure and what asking again can do about it.
//! - this file: the client, and one exchange.
//!
//! The simulator speaks the same protocol; it is this target with a base URL of its own and the sample header.

mod body;
mod endpoint;
mod error;
mod reply;

pub use body::{body, config_problem, content_problem};
pub use endpoint::{BASE_URL, VERSION, model_problem, url};
pub use error::classify;
pub use reply::decode;

use super::key::ApiKey;
use super::keys::{Generation, Keys, Refused, Renewal};
use super::target::{Retry, Target, TargetError};
use crate::model::{Answer, FailureKind, Job, Problem, Source, digest};
use bytes::Bytes;
use endpoint::Endpoint;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use std::error::Error;
use std::time::Duration;
use tokio::time::Instant;

/// The header that carries the key; never the URL, which ends up in logs.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");
/// Tells the service's front end how many seconds it may work on a request, as the official SDKs do.
const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-server-timeout");
/// Tells the simulator which sample this is, so that its noise repeats exactly at any concurrency.
const SAMPLE_HEADER: HeaderName = HeaderName::from_static("x-promptgate-sample");
/// Bytes of a response, unpacked, that are read at most.
const LARGEST_BODY: usize = 32 << 20;
/// Bytes of an error reply that are read at most: what explains an error stands in front.
const LARGEST_ERROR: usize = 1 << 20;
/// A host that does not even take a connection this long is not going to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent HTTP/2 connection is pinged, so that a dead one does not cost every request on it its whole timeout.
const PING_EVERY: Duration = Duration::from_secs(15);

/// What a [`Gemini`] target needs to know.
#[derive(Clone, Debug)]
pub struct GeminiSettings {
    /// Where the API is; see [`BASE_URL`].
    pub base_url: String,
    /// `v1beta` or `v1`; see [`VERSION`].
    pub version: String,
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
    client: Client,
    endpoint: Endpoint,
    /// Of every request.
    headers: HeaderMap,
    keys: Option<Keys>,
    simulated: bool,
}

impl Gemini {
    /// A client; sends nothing yet.
    ///
    /// # Errors
    /// Base URL or version are wrong, or no client can be made (no certificates on this machine).
    pub fn new(settings: &GeminiSettings) -> Result<Gemini, Problem> {
        let endpoint = Endpoint::new(&settings.base_url, &settings.version)?;
        let client = client(&endpoint, settings.concurrency).map_err(|cause| client_problem(&cause))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let seconds = settings.timeout.as_secs() + u64::from(settings.timeout.subsec_nanos() > 0);
        headers.insert(TIMEOUT_HEADER, HeaderValue::from(seconds.max(1)));
        Ok(Gemini {
            client,
            endpoint,
            headers,
            keys: settings.key.clone().map(|key| Keys::new(key, settings.renewal.clone())),
            simulated: settings.simulated,
        })
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Answer, TargetError> {
        let started = Instant::now();
        let mut response = self.client.execute(request).await.map_err(unsent)?;
        let status = response.status();
        if !status.is_success() {
            let body = self.masked(read_error(&mut response).await);
            let retry_after = response.headers().get(RETRY_AFTER);
            return Err(classify(
                status.as_u16(),
                retry_after.and_then(|value| value.to_str().ok()),
                &body,
            ));
        }
        let body = read(&mut response).await?;
        let latency = started.elapsed();
        let mut answer = decode(&self.masked(body))?;
        answer.latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        Ok(answer)
    }

    /// The request, and which key it carries.
    fn request(&self, job: &Job) -> Result<(reqwest::Request, Option<Generation>), TargetError> {
        let unaskable = |message| TargetError::new(FailureKind::Request, "bad_model", message, Retry::Never);
        let url = self.endpoint.generate_content(&job.request.model).map_err(unaskable)?;
        let mut request = reqwest::Request::new(Method::POST, url);
        *request.headers_mut() = self.headers.clone();
        let key = self.keys.as_ref().map(Keys::current);
        if let Some((Some(header), _)) = &key {
            request.headers_mut().insert(KEY_HEADER, header.clone());
        }
        if self.simulated {
            request.headers_mut().insert(SAMPLE_HEADER, sample(job));
        }
        // The job's own bytes, not a copy: repeats and attempts share them.
        *request.body_mut() = Some(Bytes::from_owner(job.body.clone()).into());
        Ok((request, key.map(|(_, generation)| generation)))
    }

    /// What a failure leads to when it was the key that was refused: another key, or a sentence on what to do.
    fn with_key_in_mind(&self, error: TargetError, generation: Option<Generation>) -> TargetError {
        let (Some(keys), Some(generation), Retry::KeyRefused) = (&self.keys, generation, error.retry()) else {
            return error;
        };
        // Another key does not help against a place or an account that is not served.
        if error.failure().code == "failed_precondition" {
            return error;
        }
        match keys.refused(generation) {
            Refused::Changed => error.with_retry(Retry::KeyChanged),
            Refused::Final(advice) => error.map_message(|message| format!("{message} ({advice})")),
        }
    }

    /// A body without the key: a service, or a proxy before it, may quote the request's headers. Comes before anything
    /// is cut, since half a key could not be found any more.
    fn masked(&self, body: Vec<u8>) -> Vec<u8> {
        match &self.keys {
            Some(keys) => keys.mask_bytes(body),
            None => body,
        }
    }

    /// A message without the key: it may have stood in the body in escaped form.
    fn masked_message(&self, message: String) -> String {
        match &self.keys {
            Some(keys) => keys.mask(message),
            None => message,
        }
    }
}

impl Target for Gemini {
    async fn answer(&self, job: &Job) -> Result<Answer, TargetError> {
        let (request, generation) = self.request(job)?;
        let answer = self.exchange(request).await;
        answer.map_err(|error| {
            self.with_key_in_mind(error, generation)
                .map_message(|message| self.masked_message(message))
        })
    }

    fn source(&self) -> Source {
        Source::Live
    }
}

/// A client that repeats nothing and follows nothing by itself: attempts are counted, and the key goes to one host.
fn client(endpoint: &Endpoint, concurrency: usize) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder()
        .user_agent(concat!("promptgate/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .gzip(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(concurrency.max(1))
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_EVERY);
    if !endpoint.is_https() {
        // Without this, a machine without certificates could not even talk to a local server.
        builder = builder.tls_certs_only([]);
    }
    if endpoint.is_loopback() {
        builder = builder.no_proxy();
    }
    builder.build()
}

fn client_problem(cause: &reqwest::Error) -> Problem {
    let problem = Problem::new(format!("no http client can be made: {}", chain(cause)));
    if problem.message.contains("CA certificates") {
        return problem.hint("install the package ca-certificates, or set SSL_CERT_FILE to a bundle of certificates");
    }
    problem
}

/// Which sample this is: the same for every attempt and every run, another for each case, arm and repeat.
fn sample(job: &Job) -> HeaderValue {
    let pieces = [
        job.case.as_str().as_bytes(),
        job.arm.as_str().as_bytes(),
        &job.repeat.to_le_bytes(),
    ];
    let hex: String = digest(pieces)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    // Hex digits always make a header; without one the simulator falls back to the request alone.
    HeaderValue::from_str(&hex).unwrap_or(HeaderValue::from_static(""))
}

/// Reads a whole body, within bounds.
async fn read(response: &mut Response) -> Result<Vec<u8>, TargetError> {
    let announced = response
        .content_length()
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(0);
    let mut body = Vec::with_capacity(announced.min(LARGEST_ERROR));
    while let Some(chunk) = response.chunk().await.map_err(cut_off)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            let message = format!("the response is larger than {} MiB", LARGEST_BODY >> 20);
            return Err(TargetError::new(
                FailureKind::Transport,
                "too_large",
                message,
                Retry::Never,
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads the body of an error. One that breaks off still explains as much as arrived.
async fn read_error(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < LARGEST_ERROR {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body
}

/// No response came.
fn unsent(cause: reqwest::Error) -> TargetError {
    let code = if cause.is_builder() {
        return transport("bad_request", cause, Retry::Never);
    } else if cause.is_connect() {
        "connect"
    } else if cause.is_timeout() {
        "timeout"
    } else {
        "reset"
    };
    transport(code, cause, Retry::Backoff)
}

/// A response began and did not end.
fn cut_off(cause: reqwest::Error) -> TargetError {
    let code = if is_reset(&cause) { "reset" } else { "bad_body" };
    transport(code, cause, Retry::Backoff)
}

fn transport(code: &str, cause: reqwest::Error, retry: Retry) -> TargetError {
    TargetError::new(FailureKind::Transport, code, chain(&cause.without_url()), retry)
}

/// The other side closed or reset the connection, as the operating system tells it.
fn is_reset(error: &reqwest::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| matches!(cause.kind(), ConnectionReset | ConnectionAborted | BrokenPipe))
}

/// What happened, from the outermost error to its root, without repeating what an outer one has said already.
fn chain(error: &reqwest::Error) -> String {
    let mut told = error.to_string();
    for cause in causes(error).skip(1) {
        let cause = cause.to_string();
        if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let outermost: &'a (dyn Error + 'static) = error;
    std::iter::successors(Some(outermost), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Arm, CaseId, Request};
    use serde_json::Map;
    use std::sync::Arc;

    fn job(case: &str, arm: Arm, repeat: u32) -> Job {
        let request = Request {
            model: "m".to_owned(),
            system: Vec::new(),
            contents: Vec::new(),
            config: Map::new(),
            json_output: false,
            output_schema: None,
            tools: Vec::new(),
        };
        Job {
            seq: 0,
            case: CaseId::new(case),
            arm,
            repeat,
            request: Arc::new(request),
            body: Arc::from(&b"{}"[..]),
            key: [0; 32],
        }
    }

    fn settings(base_url: &str) -> GeminiSettings {
        GeminiSettings {
            base_url: base_url.to_owned(),
            version: VERSION.to_owned(),
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
        assert_eq!(
            request.url().as_str(),
            "http://127.0.0.1:9/v1beta/models/m:generateContent"
        );
        assert_eq!(request.headers()[KEY_HEADER], "a-secret-key");
        assert!(request.headers()[KEY_HEADER].is_sensitive());
        assert_eq!(request.headers()[TIMEOUT_HEADER], "2");
        assert!(!request.headers().contains_key(SAMPLE_HEADER));
        assert!(!format!("{target:?} {request:?}").contains("a-secret-key"));
    }

    #[test]
    fn the_simulator_is_told_which_sample_it_is() {
        let target = Gemini::new(&GeminiSettings {
            key: None,
            simulated: true,
            ..settings("http://127.0.0.1:9")
        })
        .unwrap();
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
