//! Responses on the wire, and the ways in which one can break off.

use super::status::{Status, high_demand};
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};
use serde_json::Value;
use std::io;

/// Says in every response what answered, so that a run against it can never count as one against the service.
const SIMULATOR: HeaderName = HeaderName::from_static("x-promptgate-simulator");

/// The type of a stream of events.
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

pub(super) fn failed(status: &Status) -> Response {
    sent(code(status), &status.body())
}

/// An error of a stream without server-sent events: wrapped in an array.
pub(super) fn failed_in_array(status: &Status) -> Response {
    sent(code(status), &Value::Array(vec![status.body()]))
}

fn code(status: &Status) -> StatusCode {
    StatusCode::from_u16(status.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A success, or an error.
pub(super) fn replied(result: Result<Value, Status>) -> Response {
    match result {
        Ok(body) => sent(StatusCode::OK, &body),
        Err(status) => failed(&status),
    }
}

pub(super) fn sent(code: StatusCode, body: &Value) -> Response {
    let mut response = bytes(Body::from(body.to_string()), HeaderValue::from_static("application/json; charset=UTF-8"));
    *response.status_mut() = code;
    response
}

/// A success of any type.
pub(super) fn bytes(body: Body, content_type: HeaderValue) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(SIMULATOR, HeaderValue::from_static("1"));
    response
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Whole,
    /// With an error as its last event.
    ErrorEvent,
    /// With an error that is no event.
    ErrorTail,
}

/// Server-sent events: `data:` lines, ended by CRLF CRLF, without a closing sentinel.
pub(super) fn events(events: Vec<Value>, ending: Ending) -> Response {
    let mut chunks: Vec<Bytes> =
        begun(&events, ending).iter().map(|event| Bytes::from(format!("data: {event}\r\n\r\n"))).collect();
    match ending {
        Ending::Whole => {}
        Ending::ErrorEvent => chunks.push(Bytes::from(format!("data: {}\r\n\r\n", high_demand().body()))),
        Ending::ErrorTail => chunks.push(Bytes::from(format!("{:#}", high_demand().body()))),
    }
    let chunks = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, io::Error>));
    bytes(Body::from_stream(chunks), EVENTS)
}

/// A stream without server-sent events: one array.
pub(super) fn array(events: Vec<Value>, ending: Ending) -> Response {
    let mut elements = begun(&events, ending).to_vec();
    match ending {
        Ending::Whole => {}
        Ending::ErrorEvent | Ending::ErrorTail => elements.push(high_demand().body()),
    }
    sent(StatusCode::OK, &Value::Array(elements))
}

/// The events before the end: all, or the first half when an error follows.
fn begun(events: &[Value], ending: Ending) -> &[Value] {
    match ending {
        Ending::Whole => events,
        Ending::ErrorEvent | Ending::ErrorTail => &events[..events.len().div_ceil(2)],
    }
}

pub(super) fn bad_gateway() -> Response {
    let mut response = bytes(
        Body::from("<html><title>Error 502 (Server Error)!!1</title></html>"),
        HeaderValue::from_static("text/html; charset=UTF-8"),
    );
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

/// The first half of a response's body, then the end of the connection.
pub(super) async fn truncated(whole: Response) -> Response {
    let end = futures_util::stream::once(async {
        // Lets the first half reach the client before the connection ends.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    half(whole, end).await
}

/// The first half of a response's body, then nothing until the client hangs up.
pub(super) async fn hanging(whole: Response) -> Response {
    half(whole, futures_util::stream::pending()).await
}

/// The head of a response as if all of its body would follow, then the first half of that and this end.
async fn half(whole: Response, end: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Response {
    let (mut head, rest) = whole.into_parts();
    let bytes = to_bytes(rest, usize::MAX).await.unwrap_or_default();
    if head.headers.get(header::CONTENT_TYPE) != Some(&EVENTS) {
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    let half = bytes.slice(..bytes.len() / 2);
    let half = futures_util::stream::iter((!half.is_empty()).then_some(Ok(half)));
    Response::from_parts(head, Body::from_stream(half.chain(end)))
}
