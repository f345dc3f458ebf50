//! A batch API with a script: jobs, files and results as the service keeps them, on the fake server.

use super::fake::{Fake, Received, Reply};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug, Default)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) label: String,
    /// Key and request of each item, in order.
    pub(crate) items: Vec<(String, Value)>,
    /// It was uploaded.
    pub(crate) file: Option<String>,
    pub(crate) looks: usize,
    pub(crate) cancelled: bool,
}

impl Job {
    pub(crate) fn number(&self) -> usize {
        self.name.trim_start_matches("batches/job").parse().unwrap()
    }
}

/// What the service does instead of the usual.
pub(crate) enum Twist {
    /// The usual.
    None,
    /// This, without doing anything.
    Reply(Reply),
    /// The usual, but this is said.
    Say(Reply),
}

type Script = dyn Fn(&Received, &[Job]) -> Twist + Send + Sync;
type Answers = dyn Fn(&Job, usize, &str) -> Value + Send + Sync;

pub(crate) struct BatchApi {
    pub(crate) fake: Fake,
    jobs: Arc<Mutex<Vec<Job>>>,
    looked: Receiver<()>,
}

#[derive(Default)]
struct State {
    upload: Vec<u8>,
    files: Vec<(String, Vec<u8>)>,
    deleted: Vec<String>,
}

/// A service whose jobs are done at look `done_at` (from 1; never at 0). `answers` makes the result of an item out of the
/// job, the item's position and the text that it asks; `script` may change what any request meets.
pub(crate) fn batch_api(
    done_at: usize,
    answers: impl Fn(&Job, usize, &str) -> Value + Send + Sync + 'static,
    script: impl Fn(&Received, &[Job]) -> Twist + Send + Sync + 'static,
) -> BatchApi {
    let jobs: Arc<Mutex<Vec<Job>>> = Arc::default();
    let (looking, looked) = channel();
    let serving = Serving {
        jobs: Arc::clone(&jobs),
        state: Mutex::default(),
        done_at,
        answers: Box::new(answers),
        script: Box::new(script),
        looking: Mutex::new(looking),
    };
    let fake = Fake::start(move |request| serving.reply(request));
    BatchApi { fake, jobs, looked }
}

pub(crate) fn answered(text: &str) -> Value {
    json!({"response": {
        "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
        "modelVersion": "gemini-3.8-flash",
    }})
}

/// An answer that holds what was asked, so that a wrong pairing shows.
pub(crate) fn echo(_: &Job, _: usize, asks: &str) -> Value {
    answered(&format!("nine: {asks}"))
}

/// A service that answers every item with `nine` at the first look.
pub(crate) fn nine(script: impl Fn(&Received, &[Job]) -> Twist + Send + Sync + 'static) -> BatchApi {
    batch_api(1, |_, _, _| answered("nine"), script)
}

/// The request creates a job.
pub(crate) fn is_creation(request: &Received) -> bool {
    request.path.ends_with(":batchGenerateContent")
}

/// The request looks at a job.
pub(crate) fn is_look(request: &Received) -> bool {
    request.method == "GET" && request.path.contains("/batches/")
}

/// Changes what the first request of this kind meets.
pub(crate) fn once(
    kind: fn(&Received) -> bool,
    twist: impl Fn() -> Twist + Send + Sync,
) -> impl Fn(&Received, &[Job]) -> Twist + Send + Sync {
    let first = AtomicBool::new(true);
    move |request, _| if kind(request) && first.swap(false, Ordering::SeqCst) { twist() } else { Twist::None }
}

/// The result of an item that failed, with a code of gRPC.
pub(crate) fn failed(code: u64, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}

impl BatchApi {
    pub(crate) fn jobs(&self) -> Vec<Job> {
        self.jobs.lock().unwrap().clone()
    }

    pub(crate) fn was_looked_at(&self) {
        self.looked.recv().unwrap();
    }

    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        let requests = self.fake.requests();
        let hits = requests.iter().filter(|r| r.method == method && r.path.contains(path));
        hits.count()
    }
}

struct Serving {
    jobs: Arc<Mutex<Vec<Job>>>,
    state: Mutex<State>,
    done_at: usize,
    answers: Box<Answers>,
    script: Box<Script>,
    looking: Mutex<Sender<()>>,
}

impl Serving {
    fn reply(&self, request: &Received) -> Reply {
        let twist = (self.script)(request, &self.jobs.lock().unwrap());
        match twist {
            Twist::None => self.usual(request),
            Twist::Reply(reply) => reply,
            Twist::Say(reply) => {
                self.usual(request);
                reply
            }
        }
    }

    fn usual(&self, request: &Received) -> Reply {
        let path = request.path.split('?').next().unwrap();
        let last = path.rsplit('/').next().unwrap();
        match (request.method.as_str(), path) {
            ("POST", _) if path.ends_with(":batchGenerateContent") => self.create(&request.body),
            ("POST", _) if path.ends_with(":cancel") => {
                let name = format!("batches/{}", last.trim_end_matches(":cancel"));
                if let Some(job) = self.jobs.lock().unwrap().iter_mut().find(|job| job.name == name) {
                    job.cancelled = true;
                }
                Reply::json(200, &json!({}))
            }
            ("POST", "/upload/v1beta/files") => {
                self.state.lock().unwrap().upload.clear();
                let host = request.header("host").unwrap();
                Reply::json(200, &json!({})).header("x-goog-upload-url", &format!("http://{host}/pieces?id=1"))
            }
            ("POST", "/pieces") => self.piece(request),
            ("GET", "/v1beta/batches") => {
                let jobs = self.jobs.lock().unwrap();
                let operations: Vec<Value> =
                    jobs.iter().map(|job| json!({"name": job.name, "metadata": {"displayName": job.label}})).collect();
                Reply::json(200, &json!({ "operations": operations }))
            }
            ("GET", _) if path.starts_with("/v1beta/batches/") => self.look(&format!("batches/{last}")),
            ("GET", _) if path.ends_with(":download") => self.download(last.trim_end_matches(":download")),
            ("DELETE", _) => {
                self.state.lock().unwrap().deleted.push(last.to_owned());
                Reply::json(200, &json!({}))
            }
            _ => Reply::error(404, "NOT_FOUND", "no such path"),
        }
    }

    fn create(&self, body: &[u8]) -> Reply {
        let body: Value = serde_json::from_slice(body).unwrap();
        let batch = &body["batch"];
        let file = batch["inputConfig"]["fileName"].as_str().map(str::to_owned);
        let items = match &file {
            Some(file) => {
                let state = self.state.lock().unwrap();
                let (_, bytes) = state.files.iter().find(|(name, _)| name == file).unwrap();
                let lines = std::str::from_utf8(bytes).unwrap().lines();
                let rows = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
                rows.map(|row| (row["key"].as_str().unwrap().to_owned(), row["request"].clone())).collect()
            }
            None => batch["inputConfig"]["requests"]["requests"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| (item["metadata"]["key"].as_str().unwrap().to_owned(), item["request"].clone()))
                .collect(),
        };
        let mut jobs = self.jobs.lock().unwrap();
        let name = format!("batches/job{}", jobs.len());
        jobs.push(Job {
            name: name.clone(),
            label: batch["displayName"].as_str().unwrap().to_owned(),
            items,
            file,
            ..Job::default()
        });
        Reply::json(200, &json!({"name": name, "metadata": {"state": "BATCH_STATE_PENDING"}}))
    }

    fn piece(&self, request: &Received) -> Reply {
        assert!(request.header("x-goog-api-key").is_none(), "an upload carries no key");
        let mut state = self.state.lock().unwrap();
        assert_eq!(request.header("x-goog-upload-offset").unwrap(), state.upload.len().to_string());
        state.upload.extend_from_slice(&request.body);
        if request.header("x-goog-upload-command") != Some("upload, finalize") {
            return Reply::json(200, &json!({}));
        }
        let name = format!("files/up{}", state.files.len());
        let bytes = std::mem::take(&mut state.upload);
        state.files.push((name.clone(), bytes));
        Reply::json(200, &json!({"file": {"name": name}}))
    }

    fn look(&self, name: &str) -> Reply {
        let mut jobs = self.jobs.lock().unwrap();
        let Some(job) = jobs.iter_mut().find(|job| job.name == name) else {
            return Reply::error(404, "NOT_FOUND", "no such batch");
        };
        job.looks += 1;
        let _ = self.looking.lock().unwrap().send(());
        let count = job.items.len().to_string();
        if job.cancelled {
            return Reply::json(
                200,
                &json!({"name": name, "metadata": {"state": "BATCH_STATE_CANCELLED"}, "done": true,
                        "error": {"code": 1, "message": "The operation was cancelled."}}),
            );
        }
        if self.done_at == 0 || job.looks < self.done_at {
            return Reply::json(
                200,
                &json!({"name": name, "metadata": {"state": "BATCH_STATE_RUNNING",
                        "batchStats": {"requestCount": count, "pendingRequestCount": count}}}),
            );
        }
        let output = match &job.file {
            Some(_) => json!({"responsesFile": format!("files/out{}", job.number())}),
            None => json!({"inlinedResponses": {"inlinedResponses": self.results(job)
                .into_iter()
                .map(|(key, mut row)| {
                    row["metadata"] = json!({ "key": key });
                    row
                })
                .collect::<Vec<Value>>()}}),
        };
        Reply::json(
            200,
            &json!({"name": name, "metadata": {"state": "BATCH_STATE_SUCCEEDED", "output": output}, "done": true,
                    "response": output}),
        )
    }

    /// In the opposite order, since nobody promises one.
    fn results(&self, job: &Job) -> Vec<(String, Value)> {
        let items = job.items.iter().enumerate().rev();
        let row = |(at, (key, request)): (usize, &(String, Value))| {
            let asks = request["contents"].as_array().unwrap().last().unwrap()["parts"][0]["text"].as_str().unwrap();
            (key.clone(), (self.answers)(job, at, asks))
        };
        items.map(row).filter(|(_, row)| !row.is_null()).collect()
    }

    fn download(&self, file: &str) -> Reply {
        let jobs = self.jobs.lock().unwrap();
        let number: usize = file.trim_start_matches("out").parse().unwrap();
        let lines: String = self
            .results(&jobs[number])
            .into_iter()
            .map(|(key, mut row)| {
                row["key"] = json!(key);
                format!("{row}\n")
            })
            .collect();
        Reply::text(200, "application/jsonl", lines)
    }
}
