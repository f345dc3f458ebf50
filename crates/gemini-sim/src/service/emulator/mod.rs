//! Files with their resumable uploads, and batches, as the service keeps them.

mod batches;
mod files;
mod job;
mod rehearsal;

pub use rehearsal::Rehearsal;

use super::{Service, json_of};
use crate::Settings;
use crate::body::get;
use crate::call::{Finish, answer_item};
use crate::faults::Fault;
use crate::noise::Key;
use crate::path::{Resource, parameter};
use crate::script::Scene;
use crate::status::{Status, injected};
use crate::validate::parsed;
use crate::wire::{bytes, failed, replied};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, request};
use axum::response::Response;
use batches::{Batches, Poll};
use files::{Files, ROOM, full, no_upload};
use job::{JobResult, Output, Source, Work};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const COMMAND: &str = "x-goog-upload-command";
const OFFSET: &str = "x-goog-upload-offset";
const LENGTH: &str = "x-goog-upload-header-content-length";
const TYPE: &str = "x-goog-upload-header-content-type";
const STATUS: HeaderName = HeaderName::from_static("x-goog-upload-status");
const RECEIVED: HeaderName = HeaderName::from_static("x-goog-upload-size-received");
const URL: HeaderName = HeaderName::from_static("x-goog-upload-url");
const GRANULARITY: HeaderName = HeaderName::from_static("x-goog-upload-chunk-granularity");

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim()
}

/// What is kept between requests.
#[derive(Debug)]
pub(super) struct Emulator {
    files: Files,
    batches: Batches,
}

impl Emulator {
    pub(super) fn new(settings: &Settings) -> Emulator {
        Emulator { files: Files::new(settings.seed), batches: Batches::new(settings.seed, settings.batch_polls) }
    }
}

/// A request about a file or a batch.
pub(super) struct ResourceRequest<'a> {
    pub(super) head: &'a request::Parts,
    pub(super) resource: Resource<'a>,
    pub(super) body: &'a [u8],
    /// The bytes of an upload, as they come.
    pub(super) upload: Option<Body>,
    /// The address up to the version, and the version.
    pub(super) root: &'a str,
    pub(super) version: &'a str,
}

impl Service {
    /// Answers a request about a file or a batch; `None` where there is no such method.
    pub(super) async fn resource(&self, request: ResourceRequest<'_>) -> Option<Response> {
        let ResourceRequest { head, resource, body, upload, root, version } = request;
        let Emulator { files, batches } = &self.emulator;
        let query = head.uri.query().unwrap_or("");
        let base = format!("{root}/{version}");
        let empty = |done: Result<(), Status>| replied(done.map(|()| json!({})));
        Some(match (head.method.as_str(), resource) {
            ("POST", Resource::Upload) => match (upload, parameter(query, "uploadId")) {
                (Some(upload), Some(id)) => self.continue_upload(id, &head.headers, upload, &base).await,
                _ => {
                    let url = format!("{root}/upload/{version}/files");
                    self.begin_upload(&head.headers, body, &url).unwrap_or_else(|status| failed(&status))
                }
            },
            ("GET", Resource::Files) => replied(files.list(query, &base)),
            ("GET", Resource::File(name)) => replied(files.get(name, &base)),
            ("DELETE", Resource::File(name)) => empty(files.delete(name)),
            ("GET", Resource::Download(name)) => self.download(name).unwrap_or_else(|status| failed(&status)),
            ("GET", Resource::Batches) => replied(batches.list(query)),
            ("GET", Resource::Batch(name)) => replied(self.poll_batch(name)),
            ("DELETE", Resource::Batch(name)) => empty(batches.delete(name)),
            ("POST", Resource::CancelBatch(name)) => empty(batches.cancel(name, OffsetDateTime::now_utc())),
            _ => return None,
        })
    }

    /// Begins a resumable upload. `url` is where its bytes are to be sent, up to the query.
    fn begin_upload(&self, headers: &HeaderMap, body: &[u8], url: &str) -> Result<Response, Status> {
        if text(headers, "x-goog-upload-protocol") != "resumable" || text(headers, COMMAND) != "start" {
            return Err(Status::new(
                400,
                "The simulator takes resumable uploads only: X-Goog-Upload-Protocol: resumable, X-Goog-Upload-Command: start.",
            ));
        }
        let body = if body.trim_ascii().is_empty() { json!({}) } else { json_of(body)? };
        parsed(&body, "Upload")?;
        let length = match text(headers, LENGTH) {
            "" => None,
            length => Some(
                length.parse().map_err(|_| Status::new(400, "X-Goog-Upload-Header-Content-Length is no number."))?,
            ),
        };
        let nothing = json!({});
        let file = get(&body, "file").unwrap_or(&nothing);
        let id = self.emulator.files.begin(file, length, text(headers, TYPE))?;
        let mut response = Response::new(Body::empty());
        let url = format!("{url}?upload_id={id}&upload_protocol=resumable");
        let url = HeaderValue::from_str(&url).map_err(|_| Status::new(400, "The request has no usable host."))?;
        let head = response.headers_mut();
        head.insert(STATUS, HeaderValue::from_static("active"));
        head.insert(URL, url);
        head.insert(GRANULARITY, HeaderValue::from_static("262144"));
        Ok(response)
    }

    /// Takes the next bytes of an upload, or says how many came. `base` is what addresses of files begin with.
    async fn continue_upload(&self, id: &str, headers: &HeaderMap, body: Body, base: &str) -> Response {
        let Some(handle) = self.emulator.files.upload(id) else {
            return failed(&no_upload());
        };
        let mut upload = handle.lock().await;
        let commands: Vec<&str> = text(headers, COMMAND).split(',').map(str::trim).collect();
        let does = |command| commands.contains(&command);
        if does("cancel") {
            self.emulator.files.abandon(id);
            return with_status("cancelled", replied(Ok(json!({}))));
        }
        if does("upload") {
            let offset = text(headers, OFFSET);
            if offset != upload.received().to_string() {
                return failed(&Status::new(
                    400,
                    format!("The offset is {offset}, but {} bytes were received.", upload.received()),
                ));
            }
            match to_bytes(body, upload.left()).await {
                Ok(bytes) => upload.take(&bytes),
                Err(_) => {
                    return failed(&Status::new(400, "The upload is longer than it said, or broke off."));
                }
            }
        }
        if does("finalize") {
            let file = self.emulator.files.finish(&mut upload, base, OffsetDateTime::now_utc());
            return match file {
                Ok(file) => with_status("final", replied(Ok(json!({"file": file})))),
                Err(status) => failed(&status),
            };
        }
        let mut response = with_status("active", Response::new(Body::empty()));
        response.headers_mut().insert(RECEIVED, HeaderValue::from(upload.received()));
        response
    }

    fn download(&self, name: &str) -> Result<Response, Status> {
        let (content, mime_type) = self.emulator.files.download(name)?;
        let mime_type =
            HeaderValue::from_str(&mime_type).unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
        Ok(bytes(Body::from(content), mime_type))
    }

    /// Creates a batch out of a body that was validated.
    pub(super) fn create_batch(&self, body: &Value, model: &str, size: usize) -> Result<Value, Status> {
        let lines = |file: &str| match lines(&self.emulator.files.read(file)?).count() {
            0 => Err(Status::new(400, format!("The file files/{file} has no requests."))),
            count => Ok(count),
        };
        self.emulator.batches.create(body, model, size, lines, OffsetDateTime::now_utc())
    }

    /// Looks at a batch, and answers it when it is due.
    fn poll_batch(&self, name: &str) -> Result<Value, Status> {
        match self.emulator.batches.poll(name, OffsetDateTime::now_utc())? {
            Poll::Seen(operation) => Ok(operation),
            // Other requests are served meanwhile by the runtime's other threads.
            Poll::Due(work) => {
                let came = tokio::task::block_in_place(|| self.work(&work));
                self.emulator.batches.finish(&work.name, came, OffsetDateTime::now_utc())
            }
        }
    }

    /// Answers all requests of a batch.
    fn work(&self, work: &Work) -> Result<JobResult, Status> {
        let mut succeeded = 0;
        let mut failed = 0;
        let mut answer = |request: Result<&Value, Status>, sample: &str, row: &mut Map<String, Value>| {
            let answered = request.and_then(|request| self.answer_item(request, &work.model, sample));
            self.ledger.record_item(answered.is_ok());
            match answered {
                Ok(response) => {
                    succeeded += 1;
                    row.insert("response".to_owned(), response);
                }
                Err(status) => {
                    failed += 1;
                    row.insert("error".to_owned(), status.rpc());
                }
            }
        };
        let output = match &work.source {
            Source::Inline(items) => {
                let mut answers = Vec::with_capacity(items.len());
                for (at, item) in items.iter().enumerate() {
                    let mut row = Map::new();
                    let metadata = get(item, "metadata");
                    let key = metadata.and_then(|metadata| get(metadata, "key")).and_then(Value::as_str);
                    let sample = key.map_or_else(|| at.to_string(), str::to_owned);
                    answer(get(item, "request").ok_or_else(no_request), &sample, &mut row);
                    if let Some(metadata) = metadata {
                        row.insert("metadata".to_owned(), metadata.clone());
                    }
                    answers.push(Value::Object(row));
                }
                Output::Inline(answers)
            }
            Source::File(file) => {
                let mut written = Vec::new();
                for (at, line) in lines(&self.emulator.files.read(file)?).enumerate() {
                    let read = json_of(line);
                    let mut row = Map::new();
                    let key = read.as_ref().ok().and_then(|line| get(line, "key"));
                    if let Some(key) = key {
                        row.insert("key".to_owned(), key.clone());
                    }
                    let sample = key.and_then(Value::as_str).map_or_else(|| at.to_string(), str::to_owned);
                    let request = match &read {
                        Ok(line) => get(line, "request").ok_or_else(no_request),
                        Err(status) => Err(status.clone()),
                    };
                    answer(request, &sample, &mut row);
                    written.extend_from_slice(Value::Object(row).to_string().as_bytes());
                    written.push(b'\n');
                    if written.len() as u64 > ROOM {
                        return Err(full());
                    }
                }
                let name = format!("batch-{}", work.name);
                self.emulator.files.put(&name, written, OffsetDateTime::now_utc())?;
                Output::File(name)
            }
        };
        Ok(JobResult { output, succeeded, failed })
    }

    /// Answers a request of a batch, with the faults of calls: errors are its errors; where a connection would break, the
    /// service is unavailable.
    fn answer_item(&self, request: &Value, model: &str, sample: &str) -> Result<Value, Status> {
        let path = format!("/batches/models/{model}:generateContent");
        let key = Key::new(self.settings.seed, &path, request.to_string().as_bytes(), sample.as_bytes());
        let fault = self.fault(Scene { key, path: &path, is_call: true, body: Some(request) });
        let finish = match fault {
            None | Some(Fault::Slow(_)) => Finish::Said,
            Some(Fault::NoFinish) => Finish::Unsaid,
            Some(fault) => {
                return Err(
                    injected(fault, model).unwrap_or_else(|| Status::new(503, "The service is currently unavailable."))
                );
            }
        };
        answer_item(&self.answerer, request, model, key, finish)
    }
}

/// The lines of a file that hold something.
fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

fn no_request() -> Status {
    Status::new(400, "The request of this item is missing.")
}

fn with_status(status: &'static str, mut response: Response) -> Response {
    response.headers_mut().insert(STATUS, HeaderValue::from_static(status));
    response
}

/// The stamp of a moment on the wire.
fn stamp(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_default()
}
