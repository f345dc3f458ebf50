//! The REST API: from an HTTP request to a response, with the faults in between.

#[cfg(feature = "emulator")]
pub(super) mod emulator;

use super::Settings;
use super::call::{Answerer, Call, Finish};
use super::connection::Line;
use super::faults::{Fault, Injector};
use super::ledger::{Entry, Ledger};
use super::noise::Key;
use super::path::{Place, Resource, parameter, place};
use super::respond::{model, models, serves, supports};
use super::script::{Player, Scene};
use super::status::{Status, high_demand, injected, unknown_model, unregistered};
use super::validate::Method;
#[cfg(feature = "emulator")]
use super::validate::validate;
use super::wire::{Ending, bad_gateway, failed, failed_in_array, hanging, replied, sent, truncated};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
#[cfg(feature = "emulator")]
use axum::http::header;
use axum::http::{HeaderMap, HeaderValue, StatusCode, request};
use axum::response::Response;
#[cfg(feature = "emulator")]
use emulator::{Emulator, ResourceRequest};
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The service's limit for a request body.
const LARGEST: usize = 20 << 20;
/// The header with the sample's number; sent to the simulator only.
const SAMPLE: &str = "x-promptgate-sample";
const KEY: &str = "x-goog-api-key";

/// What all requests share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) settings: Settings,
    injector: Injector,
    player: Player,
    answerer: Answerer,
    #[cfg(feature = "emulator")]
    emulator: Emulator,
    pub(super) ledger: Ledger,
    requests: AtomicU64,
}

impl Service {
    pub(super) fn new(settings: Settings) -> io::Result<Service> {
        Ok(Service {
            injector: Injector::new(settings.faults.clone()),
            player: Player::new(settings.script.clone()),
            answerer: Answerer::new(settings.noise),
            #[cfg(feature = "emulator")]
            emulator: Emulator::new(&settings),
            ledger: Ledger::new(settings.log.as_deref())?,
            settings,
            requests: AtomicU64::new(0),
        })
    }

    /// Requests received so far, failed ones included; looks at the counters are none.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What goes wrong with a request: what the script says, else what the dice say.
    pub(super) fn fault(&self, scene: Scene<'_>) -> Option<Fault> {
        match self.player.next(scene) {
            Some(scripted) => scripted,
            None if scene.is_call => self.injector.next(scene.key),
            None => None,
        }
    }
}

/// A request that was received whole, but for the bytes of an upload.
struct ApiRequest<'a> {
    head: &'a request::Parts,
    place: Place<'a>,
    bytes: Bytes,
    /// The bytes of an upload, as they come.
    #[cfg_attr(not(feature = "emulator"), expect(dead_code, reason = "only the emulator takes uploads"))]
    upload: Option<Body>,
    key: Key,
}

pub(super) async fn serve(
    State(service): State<Arc<Service>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let place = place(head.uri.path());
    if place.is_some_and(|place| place.resource == Resource::Counters) && head.method == "GET" {
        let each = parameter(query(&head), "each") == Some("true");
        return sent(StatusCode::OK, &service.ledger.counters(each));
    }
    service.requests.fetch_add(1, Ordering::Relaxed);
    let mut log = Entry {
        key: Key::new(0, head.uri.path(), b"", b""),
        verb: head.method.as_str(),
        path: head.uri.path(),
        sample: head.headers.get(SAMPLE).map_or(&b""[..], HeaderValue::as_bytes),
        method: "unknown",
        is_call: false,
        status: None,
        fault: None,
    };
    let response = match receive(&service, &head, place, body).await {
        Ok(request) => {
            log.key = request.key;
            log.method = request.name();
            log.is_call = request.is_call();
            respond(&service, &line, request, &mut log).await
        }
        Err(response) => response,
    };
    // Nothing is sent on a line that was cut.
    if log.fault != Some(Fault::Reset) {
        log.status = Some(response.status().as_u16());
    }
    service.ledger.record(log);
    response
}

fn query(head: &request::Parts) -> &str {
    head.uri.query().unwrap_or("")
}

fn not_found(head: &request::Parts) -> Response {
    failed(&Status::new(404, format!("The requested URL {} was not found on this server.", head.uri.path())))
}

/// Reads a request, or refuses to: no such path, no key, no such method or model, too large.
async fn receive<'a>(
    service: &Service,
    head: &'a request::Parts,
    place: Option<Place<'a>>,
    body: Body,
) -> Result<ApiRequest<'a>, Response> {
    let place = place.ok_or_else(|| not_found(head))?;
    // The address of an upload is secret, and so its own key.
    let uploads = place.resource == Resource::Upload && parameter(query(head), "uploadId").is_some();
    if service.settings.require_key && !uploads && !has_key(&head.headers, query(head)) {
        return Err(failed(&unregistered()));
    }
    if let Resource::Call { model, method: name } = place.resource {
        let method = Method::parse(name).filter(|_| head.method == "POST");
        let method = method.ok_or_else(|| not_found(head))?;
        if !serves(model) || !supports(model, method) {
            return Err(failed(&unknown_model(model, place.version, name)));
        }
    }
    let (bytes, upload) = if uploads {
        (Bytes::new(), Some(body))
    } else {
        let bytes = to_bytes(body, LARGEST).await.map_err(|_| {
            failed(&Status::new(400, format!("Request payload size exceeds the limit: {LARGEST} bytes.")))
        })?;
        (bytes, None)
    };
    let sample = head.headers.get(SAMPLE).map_or(&b""[..], HeaderValue::as_bytes);
    let path = head.uri.path();
    let key = if head.method == "POST" {
        Key::new(service.settings.seed, path, &bytes, sample)
    } else {
        Key::new(service.settings.seed, &format!("{} {path}", head.method), &bytes, sample)
    };
    Ok(ApiRequest { head, place, bytes, upload, key })
}

/// A key in the header or, as the service still allows, in the query. It is looked at, never kept or shown.
fn has_key(headers: &HeaderMap, query: &str) -> bool {
    let in_header = headers.get(KEY).is_some_and(|key| !key.as_bytes().trim_ascii().is_empty());
    in_header || parameter(query, "key").is_some_and(|key| !key.is_empty())
}

/// Responds after the latency, through the faults.
async fn respond(service: &Service, line: &Line, request: ApiRequest<'_>, log: &mut Entry<'_>) -> Response {
    if !service.settings.latency.is_zero() {
        tokio::time::sleep(service.settings.latency).await;
    }
    let fault = request.fault(service);
    log.fault = fault;
    if let Some(status) = fault.and_then(|fault| injected(fault, request.model())) {
        return request.refused(&status);
    }
    match fault {
        Some(Fault::Reset) => {
            line.cut();
            // Never arrives: the connection is gone.
            sent(StatusCode::OK, &Value::Null)
        }
        Some(Fault::Stall) => {
            // The request ends with its client, so it is recorded now.
            service.ledger.record(*log);
            std::future::pending().await
        }
        Some(Fault::Html502) => bad_gateway(),
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            request.handle(service, Finish::Said, Ending::Whole).await
        }
        Some(Fault::Truncate) => truncated(request.handle(service, Finish::Said, Ending::Whole).await).await,
        Some(Fault::Hang) => hanging(request.handle(service, Finish::Said, Ending::Whole).await).await,
        Some(Fault::NoFinish) => request.handle(service, Finish::Unsaid, Ending::Whole).await,
        Some(Fault::ErrorEvent) if request.streams() => request.handle(service, Finish::Said, Ending::ErrorEvent).await,
        Some(Fault::ErrorTail) if request.streams() => request.handle(service, Finish::Said, Ending::ErrorTail).await,
        Some(Fault::ErrorEvent | Fault::ErrorTail) => request.refused(&high_demand()),
        // The others are statuses, sent above.
        None | Some(Fault::Status(_) | Fault::Quota(..) | Fault::Exhausted | Fault::BadKey | Fault::HighDemand) => {
            request.handle(service, Finish::Said, Ending::Whole).await
        }
    }
}

impl ApiRequest<'_> {
    /// The method that is called, if one is.
    fn method(&self) -> Option<Method> {
        self.place.call().and_then(|(_, method)| Method::parse(method))
    }

    /// The model that is called, or nothing.
    fn model(&self) -> &str {
        self.place.call().map_or("", |(model, _)| model)
    }

    fn streams(&self) -> bool {
        self.method() == Some(Method::Stream)
    }

    fn sse(&self) -> bool {
        parameter(query(self.head), "alt") == Some("sse")
    }

    /// A call for answers, counts or embeddings.
    fn is_call(&self) -> bool {
        self.method().is_some_and(Method::is_call)
    }

    /// What is asked, for the counters.
    fn name(&self) -> &'static str {
        match (self.head.method.as_str(), self.place.resource) {
            (_, Resource::Call { method, .. }) => Method::parse(method).map_or("unknown", Method::name),
            ("GET", Resource::Models) => "models.list",
            ("GET", Resource::Model(_)) => "models.get",
            ("POST", Resource::Upload) => "files.upload",
            ("GET", Resource::Files) => "files.list",
            ("GET", Resource::File(_)) => "files.get",
            ("DELETE", Resource::File(_)) => "files.delete",
            ("GET", Resource::Download(_)) => "files.download",
            ("GET", Resource::Batches) => "batches.list",
            ("GET", Resource::Batch(_)) => "batches.get",
            ("DELETE", Resource::Batch(_)) => "batches.delete",
            ("POST", Resource::CancelBatch(_)) => "batches.cancel",
            _ => "unknown",
        }
    }

    fn fault(&self, service: &Service) -> Option<Fault> {
        // A body is read for its text only where a script may ask for it.
        let body = if service.player.is_idle() { None } else { json_of(&self.bytes).ok() };
        service.fault(Scene { key: self.key, path: self.head.uri.path(), is_call: self.is_call(), body: body.as_ref() })
    }

    /// An error; a stream without server-sent events wraps it in an array.
    fn refused(&self, status: &Status) -> Response {
        if self.streams() && !self.sse() { failed_in_array(status) } else { failed(status) }
    }

    async fn handle(self, service: &Service, finish: Finish, ending: Ending) -> Response {
        let version = self.place.version;
        match (self.head.method.as_str(), self.place.resource) {
            ("POST", Resource::Call { .. }) => self.call(service, finish, ending),
            ("GET", Resource::Models) => replied(models(query(self.head))),
            ("GET", Resource::Model(name)) if serves(name) => sent(StatusCode::OK, &model(name)),
            ("GET", Resource::Model(name)) => failed(&unknown_model(name, version, "getModel")),
            _ => self.resource(service).await,
        }
    }

    #[cfg(feature = "emulator")]
    async fn resource(self, service: &Service) -> Response {
        let host = self.head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let root = format!("http://{}{}", host.unwrap_or("127.0.0.1"), self.place.prefix);
        let request = ResourceRequest {
            head: self.head,
            resource: self.place.resource,
            body: &self.bytes,
            upload: self.upload,
            root: &root,
            version: self.place.version,
        };
        service.resource(request).await.unwrap_or_else(|| not_found(self.head))
    }

    #[cfg(not(feature = "emulator"))]
    async fn resource(self, _: &Service) -> Response {
        not_found(self.head)
    }

    fn call(&self, service: &Service, finish: Finish, ending: Ending) -> Response {
        let Some(method) = self.method() else {
            return not_found(self.head);
        };
        let answered = json_of(&self.bytes).and_then(|body| match method {
            #[cfg(feature = "emulator")]
            Method::BatchGenerate => {
                validate(method, self.model(), &body)?;
                let operation = service.create_batch(&body, self.model(), self.bytes.len())?;
                Ok(sent(StatusCode::OK, &operation))
            }
            Method::Generate | Method::Stream | Method::CountTokens | Method::Embed | Method::BatchEmbed => {
                let call = Call { method, model: self.model(), sse: self.sse(), key: self.key, finish, ending };
                call.answer(&service.answerer, &body)
            }
        });
        answered.unwrap_or_else(|status| self.refused(&status))
    }
}

pub(super) fn json_of(body: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(body).map_err(|error| Status::new(400, format!("Invalid JSON payload received. {error}")))
}
