//! One exchange over HTTP, the same for every live target: a request goes out, a response comes back, whole or piece by
//! piece, and what can go wrong between the two is told apart.
//!
//! A target makes the request and reads the reply; client, bounds, masking and the errors of the way stand here.

use super::api::{ProviderError, Retry};
use super::base_url::BaseUrl;
use super::tls::choose_provider;
use crate::domain::{Answer, FailureKind, Problem};
use crate::secret::Redact;
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Request, Response, Url};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of a response, unpacked, that are read at most.
const LARGEST_BODY: usize = 32 << 20;
/// The same, for many answers at once.
const MANY_ANSWERS: usize = 512 << 20;
/// Bytes of an error reply that are read at most: what explains an error stands in front.
const LARGEST_ERROR: usize = 1 << 20;
/// A host that does not even take a connection this long is not going to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent HTTP/2 connection is pinged, so that a dead one does not cost every request on it its whole timeout.
const PING_EVERY: Duration = Duration::from_secs(15);

/// A client of one host.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
}

/// A response, read to its end. Its body holds no secret.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// Of an error as much as arrived.
    pub(super) body: Vec<u8>,
    /// From sending to the last byte, in milliseconds.
    pub(super) latency_ms: u64,
}

impl Http {
    /// A client that repeats nothing and follows nothing by itself: attempts are counted, and the key goes to one host.
    ///
    /// # Errors
    /// There are no certificates on this machine, and the base URL is encrypted.
    pub(super) fn new(base: &BaseUrl, concurrency: usize) -> Result<Http, Problem> {
        let client = client(base, concurrency).map_err(|cause| client_problem(&cause))?;
        Ok(Http { client })
    }

    /// Sends a request, once, and reads what comes back to its end; see [`Incoming::whole`].
    ///
    /// # Errors
    /// No response came, or one with a status of success broke off. Any whole response is a reply.
    pub(super) async fn send(&self, request: Request, secret: Option<&dyn Redact>) -> Result<Reply, ProviderError> {
        self.open(request).await?.whole(secret).await
    }

    /// Sends a request, once, and waits no longer than until a response begins.
    pub(super) async fn open(&self, request: Request) -> Result<Incoming, ProviderError> {
        let started = Instant::now();
        let response = self.client.execute(request).await.map_err(unsent)?;
        Ok(Incoming { response, started, size: 0, most: LARGEST_BODY })
    }
}

/// A response that has begun. Its body may still hold a secret.
#[derive(Debug)]
pub(super) struct Incoming {
    response: Response,
    started: Instant,
    /// Bytes of the body so far.
    size: usize,
    /// Bytes of the body that are read at most.
    most: usize,
}

impl Incoming {
    /// The service does what it was asked for.
    pub(super) fn is_success(&self) -> bool {
        self.response.status().is_success()
    }

    /// The simulator sends it.
    pub(super) fn is_simulated(&self) -> bool {
        self.response.headers().contains_key(SIMULATOR_HEADER)
    }

    /// Since sending, in milliseconds.
    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The same, allowed to be as large as what many answers need together.
    pub(super) fn of_many(self) -> Incoming {
        Incoming { most: MANY_ANSWERS, ..self }
    }

    /// The next piece of a body that is read line by line and so may be of any size; not masked, `None` at its end.
    pub(super) async fn piece_of_many(&mut self) -> Result<Option<Bytes>, ProviderError> {
        self.response.chunk().await.map_err(cut_off)
    }

    /// The next piece of the body, as it comes and not masked; `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, ProviderError> {
        let piece = self.response.chunk().await.map_err(cut_off)?;
        self.size += piece.as_ref().map_or(0, Bytes::len);
        if self.size > self.most {
            let message = format!("the response is larger than {} MiB", self.most >> 20);
            return Err(ProviderError::new(FailureKind::Transport, "too_large", message, Retry::Never));
        }
        Ok(piece)
    }

    /// Reads the response to its end. `secret` is masked in it: a service, or a proxy before it, may quote the request's
    /// headers. That comes before anything is cut, since half a key could not be found any more.
    ///
    /// # Errors
    /// One with a status of success broke off, or is too large.
    pub(super) async fn whole(mut self, secret: Option<&dyn Redact>) -> Result<Reply, ProviderError> {
        let body = if self.is_success() { self.read().await? } else { read_error(&mut self.response).await };
        Ok(Reply {
            status: self.response.status().as_u16(),
            latency_ms: self.elapsed_ms(),
            headers: std::mem::take(self.response.headers_mut()),
            body: match secret {
                Some(secret) => secret.redact_bytes(body),
                None => body,
            },
        })
    }

    /// Reads a whole body, within bounds.
    async fn read(&mut self) -> Result<Vec<u8>, ProviderError> {
        let announced = self.response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let mut body = Vec::with_capacity(announced.min(LARGEST_ERROR));
        while let Some(piece) = self.piece().await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

/// The simulator says in every response what it is, so that nobody can take it for a service.
const SIMULATOR_HEADER: HeaderName = HeaderName::from_static("x-promptgate-simulator");

impl Reply {
    /// The simulator sent it.
    pub(super) fn is_simulated(&self) -> bool {
        self.headers.contains_key(SIMULATOR_HEADER)
    }

    /// The service did what it was asked for.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What was read out of its body, with what only the exchange knows.
    pub(super) fn complete(&self, answer: Answer) -> Answer {
        Answer { latency_ms: self.latency_ms, simulated: self.is_simulated(), ..answer }
    }

    /// The text of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The header `Retry-After`, as it is written.
    pub(super) fn retry_after(&self) -> Option<&str> {
        self.header(RETRY_AFTER.as_str())
    }
}

/// What came of a request, without the secret. Bodies are masked before they are read; here goes what only reading them
/// puts together: the pieces of a stream, the parts of an answer.
pub(super) fn without(
    secret: Option<&dyn Redact>,
    got: Result<Answer, ProviderError>,
) -> Result<Answer, ProviderError> {
    let Some(secret) = secret else {
        return got;
    };
    match got {
        Ok(mut answer) => {
            secret.answer(&mut answer);
            Ok(answer)
        }
        Err(error) => Err(error.without(secret)),
    }
}

/// A POST of a job's own bytes, not of a copy: repeats and attempts share them.
pub(super) fn post(url: Url, headers: HeaderMap, body: &Arc<[u8]>) -> Request {
    let mut request = Request::new(Method::POST, url);
    *request.headers_mut() = headers;
    *request.body_mut() = Some(Bytes::from_owner(Arc::clone(body)).into());
    request
}

/// The time the service has for an answer, in whole seconds, as the official SDKs tell it.
pub(super) fn whole_seconds(timeout: Duration) -> HeaderValue {
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    HeaderValue::from(seconds.max(1))
}

fn client(base: &BaseUrl, concurrency: usize) -> Result<Client, reqwest::Error> {
    choose_provider();
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
    if !base.is_https() {
        // Without this, a machine without certificates could not even talk to a local server.
        builder = builder.tls_certs_only([]);
    }
    if base.is_loopback() {
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
fn unsent(cause: reqwest::Error) -> ProviderError {
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
fn cut_off(cause: reqwest::Error) -> ProviderError {
    let code = if is_reset(&cause) { "reset" } else { "bad_body" };
    transport(code, cause, Retry::Backoff)
}

fn transport(code: &str, cause: reqwest::Error, retry: Retry) -> ProviderError {
    ProviderError::new(FailureKind::Transport, code, chain(&cause.without_url()), retry)
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
    let mut message = error.to_string();
    for cause in causes(error).skip(1) {
        let cause = cause.to_string();
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let outermost: &'a (dyn Error + 'static) = error;
    std::iter::successors(Some(outermost), |error| (*error).source())
}
