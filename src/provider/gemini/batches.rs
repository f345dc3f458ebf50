//! Batch jobs on the wire: create one out of inline requests or an uploaded file, look at it, read its results, cancel it.
//! Each call here is one exchange; who asks again and when is the business of `runner/batch/`.
//!
//! Wire facts: the Batch API's `GenerateContentBatch` is a long-running operation; its states are `BATCH_STATE_…` on the wire
//! and `JOB_STATE_…` in the SDKs, counts are strings, the results of inline requests stand in the operation itself and those
//! of a file in another file, and a job that succeeded may hold requests that failed.

use super::super::api::{ProviderError, Retry};
use super::super::http::{Incoming, Reply};
use super::error::CANONICAL;
use super::spool::{Lines, Spool};
use super::{Gemini, classify, decode};
use crate::domain::{Answer, Failure, FailureKind};
use crate::secret::Redact;
use bytes::Bytes;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Body, Method, Request, Url};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of one piece of an upload. The service wants pieces of a multiple of 256 KiB.
pub(crate) const PIECE: usize = 8 << 20;
/// Bytes of one line of results.
const LONGEST_LINE: usize = 32 << 20;
/// Jobs listed at once when one is looked for.
const PAGE: usize = 100;
/// Pages read when a job is looked for: it is among the newest, since it was announced a moment before it was created.
const PAGES: usize = 20;

const UPLOAD_COMMAND: HeaderName = HeaderName::from_static("x-goog-upload-command");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("x-goog-upload-offset");
const UPLOAD_PROTOCOL: HeaderName = HeaderName::from_static("x-goog-upload-protocol");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("x-goog-upload-header-content-length");
const UPLOAD_TYPE: HeaderName = HeaderName::from_static("x-goog-upload-header-content-type");
const UPLOAD_URL: &str = "x-goog-upload-url";

/// A batch job, as a look at it finds it.
#[derive(Debug)]
pub(crate) enum BatchStatus {
    /// Still at work: requests answered, and all of them.
    Waiting {
        /// Answered so far, well or badly.
        done: u64,
    },
    /// It has ended. What it holds no result for failed for the reason that is given, if one is.
    Ended {
        output: Output,
        /// Why it did not end well.
        why: Option<ProviderError>,
    },
}

/// Where the results of a job stand.
#[derive(Debug)]
pub(crate) enum Output {
    Nothing,
    Inline(Results),
    File(String),
}

/// The result of one request of a job.
#[derive(Debug)]
pub(crate) struct Item {
    /// What the request was called.
    pub(crate) key: Option<String>,
    pub(crate) result: Result<Answer, ProviderError>,
}

#[derive(Debug)]
pub(crate) struct Results {
    items: std::vec::IntoIter<Box<RawValue>>,
    simulated: bool,
}

impl Results {
    pub(crate) fn how_many(&self) -> usize {
        self.items.len()
    }
}

impl Iterator for Results {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        Some(item(self.items.next()?.get().as_bytes(), self.simulated))
    }
}

/// The results in a file, as they come.
#[derive(Debug)]
pub(crate) struct Download<'a> {
    incoming: Incoming,
    secret: Option<&'a dyn Redact>,
    /// What has come of lines that are not handed out yet.
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were handed out.
    taken: usize,
    /// Bytes of `buffer` that hold no end of a line after those.
    scanned: usize,
    simulated: bool,
}

impl Download<'_> {
    /// The next result; `None` at the end.
    ///
    /// # Errors
    /// The download broke off, or a line is longer than any answer.
    pub(crate) async fn next(&mut self) -> Result<Option<Item>, ProviderError> {
        loop {
            let from = self.scanned.max(self.taken);
            if let Some(length) = self.buffer[from..].iter().position(|&byte| byte == b'\n') {
                let end = from + length;
                let item = self.read(&self.buffer[self.taken..end]);
                self.taken = end + 1;
                if let Some(item) = item {
                    return Ok(Some(item));
                }
                continue;
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            self.scanned = self.buffer.len();
            if self.buffer.len() > LONGEST_LINE {
                return Err(ProviderError::bad_body("a line of the results is too long").with_retry(Retry::Never));
            }
            match self.incoming.piece_of_many().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    let line = std::mem::take(&mut self.buffer);
                    return Ok(self.read(&line));
                }
            }
        }
    }

    fn read(&self, line: &[u8]) -> Option<Item> {
        if line.trim_ascii().is_empty() {
            return None;
        }
        let line = match self.secret {
            Some(secret) => secret.redact_bytes(line.to_vec()),
            None => line.to_vec(),
        };
        Some(item(&line, self.simulated))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: Option<String>,
    metadata: Option<Metadata>,
    #[serde(default)]
    done: bool,
    response: Option<FileReply>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    display_name: Option<String>,
    state: Option<String>,
    batch_stats: Option<Stats>,
    output: Option<FileReply>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    successful_request_count: Option<Value>,
    failed_request_count: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileReply {
    inlined_responses: Option<InlineReply>,
    responses_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InlineReply {
    #[serde(default)]
    inlined_responses: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Row<'a> {
    key: Option<String>,
    metadata: Option<Value>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    error: Option<Value>,
    /// Some files call the error so.
    status: Option<Value>,
}

/// One result. A line that can't be read has no key, so its request counts as one without a result.
fn item(line: &[u8], simulated: bool) -> Item {
    let Ok(row) = serde_json::from_slice::<Row<'_>>(line) else {
        return Item { key: None, result: Err(ProviderError::bad_body("a result is not the expected json")) };
    };
    let key = row.key.or_else(|| Some(row.metadata?.get("key")?.as_str()?.to_owned()));
    let result = match (row.response, row.error.or(row.status)) {
        (_, Some(error)) => Err(failure(&error)),
        (Some(response), None) => {
            decode(response.get().as_bytes()).map(|answer| Answer { simulated, batched: true, ..answer })
        }
        (None, None) => Err(ProviderError::bad_body("a result has neither a response nor an error")),
    };
    Item { key, result }
}

/// A `google.rpc.Status` inside a job: its code is that of gRPC, not of HTTP.
fn failure(error: &Value) -> ProviderError {
    let code = error.get("code").and_then(Value::as_u64).unwrap_or(2);
    let canonical = CANONICAL.iter().find(|(number, ..)| *number == code);
    let (http, status) = match (canonical, code) {
        (Some((_, status, http)), _) => (*http, *status),
        (None, 400..=599) => (u16::try_from(code).unwrap_or(500), ""),
        (None, _) => (500, "UNKNOWN"),
    };
    let mut error = error.clone();
    if let Some(error) = error.as_object_mut()
        && !status.is_empty()
    {
        error.insert("status".to_owned(), json!(status));
    }
    classify(http, None, json!({ "error": error }).to_string().as_bytes())
}

impl Operation {
    fn read(body: &[u8]) -> Result<Operation, ProviderError> {
        serde_json::from_slice(body)
            .map_err(|cause| ProviderError::bad_body(format!("the operation is not the expected json: {cause}")))
    }

    fn status(self, simulated: bool) -> BatchStatus {
        let metadata = self.metadata;
        let state = metadata.as_ref().and_then(|metadata| metadata.state.as_deref()).unwrap_or("");
        let word = state.rsplit("STATE_").next().unwrap_or("");
        let ended = |code: &str, what: &str| {
            let cause = self.error.as_ref().map(|error| failure(error).failure().message);
            let message = cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"));
            Some(ProviderError::new(FailureKind::Transport, code, message, Retry::Never))
        };
        let why = match (word, self.done) {
            ("CANCELLED", _) => ended("batch_cancelled", "the batch job was cancelled"),
            ("EXPIRED", _) => ended("batch_expired", "the batch job was not finished in time and expired"),
            ("FAILED", _) => ended("batch_failed", "the batch job failed"),
            _ if self.error.is_some() => ended("batch_failed", "the batch job failed"),
            ("SUCCEEDED" | "PARTIALLY_SUCCEEDED", _) | ("", true) => None,
            // Also in a state that nobody has heard of: it may yet end well, and is paid for.
            (_, false) => {
                let count = |value: &Option<Value>| value.as_ref().and_then(whole).unwrap_or(0);
                let stats = metadata.and_then(|metadata| metadata.batch_stats);
                let done = stats.map_or(0, |stats| {
                    count(&stats.successful_request_count).saturating_add(count(&stats.failed_request_count))
                });
                return BatchStatus::Waiting { done };
            }
            (_, true) => {
                let state = super::shorten(state.to_owned(), 60);
                ended("batch_failed", &format!("the batch job ended in a state that is not known: {state}"))
            }
        };
        let written = self.response.into_iter().chain(metadata.and_then(|metadata| metadata.output));
        let output = written.into_iter().find_map(|written| match written {
            FileReply { responses_file: Some(file), .. } => Some(Output::File(file)),
            FileReply { inlined_responses: Some(inlined), .. } => {
                Some(Output::Inline(Results { items: inlined.inlined_responses.into_iter(), simulated }))
            }
            FileReply { .. } => None,
        });
        let empty = || ended("batch_failed", "the batch job succeeded, but holds no results");
        let why = if output.is_some() { why } else { why.or_else(empty) };
        BatchStatus::Ended { output: output.unwrap_or(Output::Nothing), why }
    }
}

/// An int64 on the wire is a string.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

impl Gemini {
    /// Creates a job out of requests that travel in the call itself. Returns its name.
    ///
    /// # Errors
    /// As any call; after one of transport the job may exist all the same.
    pub(crate) async fn create_inline(
        &self,
        model: &str,
        label: &str,
        spool: &Spool,
        lines: &Lines,
    ) -> Result<String, ProviderError> {
        let mut body =
            format!(r#"{{"batch":{{"displayName":{},"inputConfig":{{"requests":{{"requests":["#, json!(label))
                .into_bytes();
        let mut next = spool.reader(lines);
        let mut first = true;
        while let Some(line) = next.line().map_err(ProviderError::unreadable_spool)? {
            if !std::mem::replace(&mut first, false) {
                body.push(b',');
            }
            body.extend_from_slice(br#"{"request":"#);
            body.extend_from_slice(&line.body);
            body.extend_from_slice(format!(r#","metadata":{{"key":"{}"}}}}"#, line.key).as_bytes());
        }
        body.extend_from_slice(b"]}}}}");
        self.create(model, body).await
    }

    /// Creates a job out of an uploaded file. Returns its name.
    ///
    /// # Errors
    /// As any call; after one of transport the job may exist all the same.
    pub(crate) async fn create_from_file(&self, model: &str, label: &str, file: &str) -> Result<String, ProviderError> {
        let body = json!({"batch": {"displayName": label, "inputConfig": {"fileName": file}}});
        self.create(model, body.to_string().into_bytes()).await
    }

    async fn create(&self, model: &str, body: Vec<u8>) -> Result<String, ProviderError> {
        let url = self.connection.endpoint.batch_generate_content(model).map_err(ProviderError::bad_model)?;
        let reply = self.call(self.post(url, body)).await?;
        let name = Operation::read(&reply.body)?.name.filter(|name| is_resource(name, "batches/"));
        name.ok_or_else(|| ProviderError::bad_body("the new batch job has no name"))
    }

    /// The name of the job with this label, if there is one among the newest.
    pub(crate) async fn find_batch(&self, label: &str) -> Result<Option<String>, ProviderError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            #[serde(default)]
            operations: Vec<Operation>,
            next_page_token: Option<String>,
        }
        let mut token: Option<String> = None;
        for _ in 0..PAGES {
            let mut url = self.connection.endpoint.resource("batches");
            url.query_pairs_mut().append_pair("pageSize", &PAGE.to_string());
            if let Some(token) = &token {
                url.query_pairs_mut().append_pair("pageToken", token);
            }
            let reply = self.call(self.get(url)).await?;
            let page: Page = serde_json::from_slice(&reply.body).map_err(|cause| {
                ProviderError::bad_body(format!("the list of batch jobs is not the expected json: {cause}"))
            })?;
            let found = page.operations.into_iter().find(|operation| {
                let metadata = operation.metadata.as_ref();
                metadata.and_then(|metadata| metadata.display_name.as_deref()) == Some(label)
            });
            if let Some(operation) = found {
                let name = operation.name.filter(|name| is_resource(name, "batches/"));
                return name
                    .map(Some)
                    .ok_or_else(|| ProviderError::bad_body("a batch job has no usable name").with_retry(Retry::Never));
            }
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(None);
            }
        }
        let message = format!("the batch job `{label}` is not among the newest {} ones", PAGE * PAGES);
        Err(ProviderError::bad_body(message).with_retry(Retry::Never))
    }

    pub(crate) async fn look(&self, name: &str) -> Result<BatchStatus, ProviderError> {
        let url = self.connection.endpoint.resource(name);
        let reply = self.call(self.get(url)).await?;
        Ok(Operation::read(&reply.body)?.status(reply.is_simulated()))
    }

    /// Starts to read the results in a file.
    pub(crate) async fn download(&self, file: &str) -> Result<Download<'_>, ProviderError> {
        if !is_resource(file, "files/") {
            return Err(ProviderError::bad_body("the file of the results has no usable name"));
        }
        let mut url = self.connection.endpoint.resource(&format!("{file}:download"));
        url.set_query(Some("alt=media"));
        let mut request = self.get(url);
        let generation = self.connection.sign(&mut request);
        let incoming = self.connection.http.open(request).await?;
        let secret = self.connection.secret();
        if !incoming.is_success() {
            let reply = incoming.whole(secret).await?;
            return Err(self.connection.judge(classify(reply.status, reply.retry_after(), &reply.body), generation));
        }
        Ok(Download { simulated: incoming.is_simulated(), incoming, secret, buffer: Vec::new(), taken: 0, scanned: 0 })
    }

    /// Cancels a job, one whose name was lost by its label, and deletes its file. One that has ended well stays as it is:
    /// its answers are paid for. Returns whether there is nothing of it any more.
    pub async fn cancel(
        &self,
        name: Option<&str>,
        label: &str,
        file: Option<&str>,
        limit: Duration,
    ) -> Result<bool, Failure> {
        let cancelling = async {
            let name = match name {
                Some(name) => Some(name.to_owned()),
                None => self.find_batch(label).await?,
            };
            let Some(name) = name else { return Ok(true) };
            match self.look(&name).await {
                Ok(BatchStatus::Ended { why: None, .. }) => return Ok(false),
                Ok(BatchStatus::Ended { why: Some(_), .. }) => {}
                Ok(BatchStatus::Waiting { .. }) => self.cancel_batch(&name).await?,
                Err(error) if error.failure().code == "http_404" => {}
                Err(error) => return Err(error),
            }
            if let Some(file) = file {
                // One that can't be deleted is deleted by the service after two days.
                let _ = self.delete_file(file).await;
            }
            Ok(true)
        };
        let done = timeout(limit, cancelling).await.unwrap_or_else(|_| Err(ProviderError::timeout(limit)));
        done.map_err(ProviderError::into_failure)
    }

    async fn cancel_batch(&self, name: &str) -> Result<(), ProviderError> {
        let url = self.connection.endpoint.resource(&format!("{name}:cancel"));
        self.call(self.post(url, "{}")).await.map(|_| ())
    }

    pub(crate) async fn delete_file(&self, file: &str) -> Result<(), ProviderError> {
        if !is_resource(file, "files/") {
            return Err(ProviderError::bad_body("the file has no name that could be deleted"));
        }
        let url = self.connection.endpoint.resource(file);
        self.call(Request::new(Method::DELETE, url)).await.map(|_| ())
    }

    /// Starts an upload of so many bytes of JSON lines. Returns where its pieces go.
    pub(crate) async fn begin_upload(&self, label: &str, length: u64) -> Result<Url, ProviderError> {
        let body = json!({"file": {"displayName": label, "mimeType": "application/jsonl"}});
        let mut request = self.post(self.connection.endpoint.upload(), body.to_string());
        let headers = request.headers_mut();
        headers.insert(UPLOAD_PROTOCOL, HeaderValue::from_static("resumable"));
        headers.insert(UPLOAD_COMMAND, HeaderValue::from_static("start"));
        headers.insert(UPLOAD_LENGTH, HeaderValue::from(length));
        headers.insert(UPLOAD_TYPE, HeaderValue::from_static("application/jsonl"));
        let reply = self.call(request).await?;
        let url = reply.header(UPLOAD_URL).and_then(|url| Url::parse(url).ok());
        let url = url.ok_or_else(|| ProviderError::bad_body("the service does not say where to upload"))?;
        // The requests must not travel in the clear where the call itself did not.
        if url.scheme() != "https" && self.connection.endpoint.base().is_https() {
            return Err(ProviderError::bad_body("the service says to upload without encryption"));
        }
        Ok(url)
    }

    /// Sends a piece of an upload; the last one ends it, and returns the name of the file.
    ///
    /// # Errors
    /// As any call. A piece can't be sent twice: the whole upload has to begin anew.
    pub(crate) async fn upload(
        &self,
        url: &Url,
        offset: u64,
        piece: Vec<u8>,
        last: bool,
    ) -> Result<Option<String>, ProviderError> {
        #[derive(Deserialize)]
        struct UploadReply {
            file: NameReply,
        }
        #[derive(Deserialize)]
        struct NameReply {
            name: String,
        }
        let mut request = Request::new(Method::POST, url.clone());
        let headers = request.headers_mut();
        let command = if last { "upload, finalize" } else { "upload" };
        headers.insert(UPLOAD_COMMAND, HeaderValue::from_static(command));
        headers.insert(UPLOAD_OFFSET, HeaderValue::from(offset));
        *request.body_mut() = Some(Bytes::from(piece).into());
        // No key: the address is secret itself, and may be another host's.
        let reply = self.connection.http.send(request, self.connection.secret()).await?;
        if !reply.is_success() {
            let error = classify(reply.status, reply.retry_after(), &reply.body);
            // The address has expired: the upload begins anew.
            let gone = matches!(reply.status, 404 | 410);
            return Err(if gone { error.with_retry(Retry::Backoff) } else { error });
        }
        if !last {
            return Ok(None);
        }
        let uploaded: UploadReply = serde_json::from_slice(&reply.body).map_err(|cause| {
            ProviderError::bad_body(format!("the uploaded file is not described as expected: {cause}"))
        })?;
        let name = Some(uploaded.file.name).filter(|name| is_resource(name, "files/"));
        name.map(Some).ok_or_else(|| ProviderError::bad_body("the uploaded file has no name that could be used"))
    }

    /// A GET with the headers of every call: the service's front end works as long as they say.
    fn get(&self, url: Url) -> Request {
        let mut request = Request::new(Method::GET, url);
        *request.headers_mut() = self.connection.headers.clone();
        request
    }

    fn post(&self, url: Url, body: impl Into<Body>) -> Request {
        let mut request = self.get(url);
        *request.method_mut() = Method::POST;
        *request.body_mut() = Some(body.into());
        request
    }

    /// A call with the key; its reply has a status of success.
    async fn call(&self, mut request: Request) -> Result<Reply, ProviderError> {
        let generation = self.connection.sign(&mut request);
        let reply = match self.connection.http.open(request).await {
            Ok(incoming) => incoming.of_many().whole(self.connection.secret()).await,
            Err(error) => Err(error),
        };
        let reply = reply.and_then(|reply| {
            if reply.is_success() {
                return Ok(reply);
            }
            Err(classify(reply.status, reply.retry_after(), &reply.body))
        });
        reply.map_err(|error| self.connection.judge(error, generation))
    }
}

/// The name of a resource, which becomes part of a URL and so must not lead elsewhere.
fn is_resource(name: &str, collection: &str) -> bool {
    name.strip_prefix(collection).is_some_and(|id| {
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    })
}
