//! The REST API: from an HTTP request to a response.

use super::Settings;
use super::answer::answer;
use super::connection::Line;
use super::faults::{Fault, Injector};
use super::library::Library;
use super::noise::{Key, degrade};
use super::respond::{Answered, counted, model, models, serves};
use super::status::{Status, injected, unknown_model, unregistered};
use super::validate::{Method, validate};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The service's limit for a request body.
const LARGEST: usize = 20 << 20;
/// The header with the sample's number; sent to the simulator only.
const SAMPLE: &str = "x-promptgate-sample";
const KEY: &str = "x-goog-api-key";

/// What all requests share.
#[derive(Debug)]
pub(super) struct Service {
    settings: Settings,
    injector: Injector,
    library: Library,
    requests: AtomicU64,
}

impl Service {
    pub(super) fn new(settings: Settings) -> Service {
        Service {
            injector: Injector::new(settings.faults.clone()),
            settings,
            library: Library::default(),
            requests: AtomicU64::new(0),
        }
    }

    /// How long clients were asked to wait, all together.
    pub(super) fn announced(&self) -> Duration {
        self.injector.announced()
    }

    /// Requests received so far, failed ones included.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// A resource of the API.
#[derive(Debug, PartialEq)]
enum Resource<'a> {
    Models,
    Model(&'a str),
    Call { model: &'a str, method: &'a str },
}

/// Finds version and resource in a path; anything may stand before the version, as behind a gateway.
fn resource(path: &str) -> Option<(&str, Resource<'_>)> {
    let (at, version) = ["v1beta", "v1"]
        .iter()
        .filter_map(|version| Some((path.find(&format!("/{version}/models"))?, *version)))
        .min()?;
    let rest = &path[at + version.len() + "//models".len()..];
    let resource = match rest.strip_prefix('/') {
        None if rest.is_empty() => Resource::Models,
        None => return None,
        Some(name) => match name.rsplit_once(':') {
            Some((model, method)) => Resource::Call { model, method },
            None => Resource::Model(name),
        },
    };
    Some((version, resource))
}

/// Serves one request.
pub(super) async fn serve(
    State(service): State<Arc<Service>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    service.requests.fetch_add(1, Ordering::Relaxed);
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or("");
    let not_found = || {
        failed(&Status::new(
            404,
            format!("The requested URL {path} was not found on this server."),
        ))
    };
    let Some((version, resource)) = resource(path) else {
        return not_found();
    };
    if service.settings.require_key && !has_key(&head.headers, query) {
        return failed(&unregistered());
    }
    match (head.method.as_str(), resource) {
        ("GET", Resource::Models) => sent(StatusCode::OK, &models()),
        ("GET", Resource::Model(name)) if serves(name) => sent(StatusCode::OK, &model(name)),
        ("GET", Resource::Model(name)) => failed(&unknown_model(name, version, "getModel")),
        ("POST", Resource::Call { model, method: name }) => {
            let Some(method) = Method::parse(name) else {
                return not_found();
            };
            if !serves(model) {
                return failed(&unknown_model(model, version, name));
            }
            let Ok(bytes) = to_bytes(body, LARGEST).await else {
                return failed(&Status::new(
                    400,
                    format!("Request payload size exceeds the limit: {LARGEST} bytes."),
                ));
            };
            let sample = head.headers.get(SAMPLE).map_or(&b""[..], HeaderValue::as_bytes);
            let call = Call {
                method,
                model,
                sse: query.split('&').any(|pair| pair == "alt=sse"),
                key: Key::new(service.settings.seed, path, &bytes, sample),
            };
            call.respond(&service, &line, &bytes).await
        }
        _ => not_found(),
    }
}

/// A key in the header or, as the service still allows, in the query. It is looked at, never kept or shown.
fn has_key(headers: &HeaderMap, query: &str) -> bool {
    let in_header = headers
        .get(KEY)
        .is_some_and(|key| !key.as_bytes().trim_ascii().is_empty());
    in_header
        || query
            .split('&')
            .any(|pair| pair.strip_prefix("key=").is_some_and(|key| !key.is_empty()))
}

struct Call<'a> {
    method: Method,
    model: &'a str,
    sse: bool,
    key: Key,
}

impl Call<'_> {
    async fn respond(&self, service: &Service, line: &Line, bytes: &[u8]) -> Response {
        if !service.settings.latency.is_zero() {
            tokio::time::sleep(service.settings.latency).await;
        }
        match service.injector.next(self.key) {
            None => self.answered(service, bytes),
            Some(Fault::Status(code)) => {
                let delay = if code == 429 {
                    service.injector.announce()
                } else {
                    Duration::ZERO
                };
                self.refused(&injected(code, self.model, delay))
            }
            Some(Fault::Reset) => {
                line.cut();
                // Never arrives: the connection is gone.
                sent(StatusCode::OK, &Value::Null)
            }
            Some(Fault::Stall) => std::future::pending().await,
            Some(Fault::Truncate) => truncated(self.answered(service, bytes)).await,
            Some(Fault::Html502) => bad_gateway(),
        }
    }

    fn answered(&self, service: &Service, bytes: &[u8]) -> Response {
        let body: Value = match serde_json::from_slice(bytes) {
            Ok(body) => body,
            Err(error) => {
                return self.refused(&Status::new(400, format!("Invalid JSON payload received. {error}")));
            }
        };
        if let Err(status) = validate(self.method, self.model, &body) {
            return self.refused(&status);
        }
        if self.method == Method::CountTokens {
            return sent(StatusCode::OK, &counted(&body));
        }
        let system = service.library.system(&body);
        let reply = answer(&body, system.as_deref(), degrade(self.key, service.settings.noise));
        let answered = Answered::new(reply, &body, self.model, self.key);
        match (self.method, self.sse) {
            (Method::Stream, true) => events(&answered),
            (Method::Stream, false) => sent(StatusCode::OK, &Value::Array(answered.events())),
            (Method::Generate | Method::CountTokens, _) => sent(StatusCode::OK, &answered.body()),
        }
    }

    /// An error; a stream without server-sent events wraps it in an array.
    fn refused(&self, status: &Status) -> Response {
        let code = StatusCode::from_u16(status.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match (self.method, self.sse) {
            (Method::Stream, false) => sent(code, &Value::Array(vec![status.body()])),
            (Method::Stream, true) | (Method::Generate | Method::CountTokens, _) => sent(code, &status.body()),
        }
    }
}

fn failed(status: &Status) -> Response {
    let code = StatusCode::from_u16(status.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    sent(code, &status.body())
}

fn sent(code: StatusCode, body: &Value) -> Response {
    with_type(code, "application/json; charset=UTF-8", Body::from(body.to_string()))
}

fn with_type(code: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Server-sent events: `data:` lines, ended by CRLF CRLF, without a closing sentinel.
fn events(answered: &Answered) -> Response {
    let chunks = answered
        .events()
        .into_iter()
        .map(|event| Ok::<_, io::Error>(Bytes::from(format!("data: {event}\r\n\r\n"))));
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    with_type(StatusCode::OK, "text/event-stream", body)
}

fn bad_gateway() -> Response {
    with_type(
        StatusCode::BAD_GATEWAY,
        "text/html; charset=UTF-8",
        Body::from("<html><title>Error 502 (Server Error)!!1</title></html>"),
    )
}

/// The first half of a response's body, then the end of the connection.
async fn truncated(whole: Response) -> Response {
    let (mut head, body) = whole.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = bytes.slice(..bytes.len() / 2);
    if head.headers.get(header::CONTENT_TYPE) != Some(&HeaderValue::from_static("text/event-stream")) {
        head.headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    let body = futures_util::stream::unfold(Some(half), |left| async move {
        match left {
            Some(half) if !half.is_empty() => Some((Ok(half), Some(Bytes::new()))),
            // Lets the first half reach the client before the connection ends.
            Some(_) => {
                tokio::task::yield_now().await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
            }
            None => None,
        }
    });
    Response::from_parts(head, Body::from_stream(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_understood() {
        let call = |model, method| Resource::Call { model, method };
        for (path, expected) in [
            ("/v1beta/models", Some(("v1beta", Resource::Models))),
            ("/v1/models/gemini-x", Some(("v1", Resource::Model("gemini-x")))),
            (
                "/v1beta/models/m:generateContent",
                Some(("v1beta", call("m", "generateContent"))),
            ),
            (
                "/gateway/gemini/v1/models/m:countTokens",
                Some(("v1", call("m", "countTokens"))),
            ),
            ("/v2/models/m", None),
            ("/v1beta/modelsx", None),
            ("/", None),
        ] {
            assert_eq!(resource(path), expected, "{path}");
        }
    }
}
