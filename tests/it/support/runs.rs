//! Runs of the asynchronous stage: jobs in, everything that came out in one value.

use promptgate::domain::{
    Answer, AnswerSink, Arm, CaseId, Content, Event, Failure, Job, JobResult, Part, Progress, Request, Role, Usage,
    digest,
};
use promptgate::internals::provider::gemini::{self, Delivery, VERSION};
use promptgate::internals::provider::{ApiKey, Gemini, GeminiSettings};
use promptgate::internals::runner::{Limits, LiveRun, RetryPolicy, RunSummary};
use serde_json::Map;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The key of all test runs; it must appear in no text that comes out of one.
pub(crate) const KEY: &str = "AQ.test-key-that-must-not-leak";

pub(crate) fn request(text: &str) -> Request {
    Request {
        model: "gemini-3.8-flash".to_owned(),
        system: Vec::new(),
        contents: vec![Content { role: Role::User, parts: vec![Part::Text(text.to_owned())] }],
        config: Map::new(),
        json_output: false,
        output_schema: None,
        tools: Vec::new(),
    }
}

/// A job whose only turn is its case's id.
pub(crate) fn job(seq: u64, case: &str) -> Job {
    let request = request(case);
    Job {
        seq,
        case: CaseId::new(case),
        arm: Arm::Candidate,
        repeat: 1,
        body: gemini::body(&request).into(),
        request: Arc::new(request),
        later: Vec::new(),
        key: digest([case.as_bytes()]),
    }
}

pub(crate) fn gemini(url: &str) -> Gemini {
    Gemini::new(&settings(url)).expect("the settings are fine")
}

pub(crate) fn settings(url: &str) -> GeminiSettings {
    GeminiSettings {
        base_url: url.to_owned(),
        version: VERSION.to_owned(),
        delivery: Delivery::Whole,
        key: Some(ApiKey::new(KEY).expect("the key is fine")),
        renewal: None,
        timeout: Duration::from_secs(30),
        concurrency: 8,
        simulated: false,
    }
}

/// Limits without backoff: only what the service tells is waited for.
pub(crate) fn limits() -> Limits {
    Limits {
        concurrency: 1,
        timeout: Duration::from_secs(30),
        retries: 3,
        retry: RetryPolicy { base: Duration::ZERO, ..RetryPolicy::default() },
        ..Limits::default()
    }
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) end: RunSummary,
    pub(crate) arrivals: Vec<JobResult>,
    pub(crate) events: Vec<Event>,
}

impl Ran {
    pub(crate) fn arrival(&self, case: &str) -> &JobResult {
        let arrival = self.arrivals.iter().find(|arrival| arrival.meta.case.as_str() == case);
        arrival.unwrap_or_else(|| panic!("no arrival for {case} in {self:?}"))
    }

    pub(crate) fn answer(&self, case: &str) -> &Answer {
        match &self.arrival(case).result {
            Ok(answer) => answer,
            Err(failure) => panic!("{case} failed: {failure:?}"),
        }
    }

    pub(crate) fn failure(&self, case: &str) -> &Failure {
        match &self.arrival(case).result {
            Ok(answer) => panic!("{case} was answered: {answer:?}"),
            Err(failure) => failure,
        }
    }

    pub(crate) fn retries(&self) -> Vec<(&str, Duration)> {
        let mut retries = Vec::new();
        for event in &self.events {
            if let Event::Retrying { code, wait } = event {
                retries.push((code.as_str(), *wait));
            }
        }
        retries
    }
}

#[derive(Default)]
struct Memory(Mutex<Vec<JobResult>>);

impl AnswerSink for Memory {
    async fn keep(&self, arrival: JobResult) -> Result<(), String> {
        self.0.lock().map_err(|cause| cause.to_string())?.push(arrival);
        Ok(())
    }
}

#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl Progress for Events {
    fn on(&self, event: &Event) {
        self.0.lock().expect("no one panicked").push(event.clone());
    }
}

pub(crate) async fn run_cases(target: Gemini, limits: Limits, cases: &[impl AsRef<str>]) -> Ran {
    let jobs = cases.iter().enumerate().map(|(seq, case)| job(seq as u64, case.as_ref())).collect();
    run_jobs(target, limits, jobs, CancellationToken::new()).await
}

/// Runs jobs to the end. Afterwards, whatever came out holds no key.
pub(crate) async fn run_jobs(target: Gemini, limits: Limits, jobs: Vec<Job>, cancel: CancellationToken) -> Ran {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for job in jobs {
            if sender.send(job).await.is_err() {
                return;
            }
        }
    });
    let (keep, progress) = (Arc::new(Memory::default()), Arc::new(Events::default()));
    let live = LiveRun {
        target: Arc::new(target),
        limits,
        price: Arc::new(|_: &str, usage: &Usage| Some((usage.prompt + 10 * usage.output) as f64 * 1e-6)),
        keep: Arc::clone(&keep),
        progress: Arc::clone(&progress) as Arc<dyn Progress>,
        cancel,
    };
    let end = live.run(receiver).await;
    let arrivals = std::mem::take(&mut *keep.0.lock().expect("no one panicked"));
    let events = std::mem::take(&mut *progress.0.lock().expect("no one panicked"));
    let ran = Ran { end, arrivals, events };
    assert!(!format!("{ran:?}").contains(KEY), "the key leaked: {ran:?}");
    ran
}
