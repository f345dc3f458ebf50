//! A batch as an operation on the wire.

use super::stamp;
use crate::status::Status;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Pending => "BATCH_STATE_PENDING",
            State::Running => "BATCH_STATE_RUNNING",
            State::Succeeded => "BATCH_STATE_SUCCEEDED",
            State::Failed => "BATCH_STATE_FAILED",
            State::Cancelled => "BATCH_STATE_CANCELLED",
        }
    }

    /// Nothing more happens.
    pub(super) fn is_done(self) -> bool {
        match self {
            State::Pending | State::Running => false,
            State::Succeeded | State::Failed | State::Cancelled => true,
        }
    }
}

/// Where a job's requests are.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Objects with `request` and, if given, `metadata`.
    Inline(Vec<Value>),
    /// The name of a file of lines with `key` and `request`, without `files/`.
    File(String),
}

/// Where a job's answers are.
#[derive(Clone, Debug)]
pub(super) enum Output {
    /// In the order of the requests.
    Inline(Vec<Value>),
    /// The name of a file, without `files/`.
    File(String),
}

/// What came of a job.
#[derive(Clone, Debug)]
pub(super) struct JobResult {
    pub(super) output: Output,
    /// Requests that were answered, and those that were not.
    pub(super) succeeded: usize,
    pub(super) failed: usize,
}

/// A job that is to be answered now.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// The job's name, without `batches/`.
    pub(super) name: String,
    /// Without `models/`.
    pub(super) model: String,
    pub(super) source: Source,
}

#[derive(Debug)]
pub(super) struct Job {
    /// Without `batches/`.
    pub(super) name: String,
    /// Without `models/`.
    pub(super) model: String,
    pub(super) display_name: Option<String>,
    pub(super) source: Source,
    pub(super) requests: usize,
    /// So far.
    pub(super) polls: u32,
    pub(super) state: State,
    pub(super) created: OffsetDateTime,
    pub(super) updated: OffsetDateTime,
    /// What came of it, or why it failed or was cancelled.
    pub(super) result: Option<Result<JobResult, Status>>,
    /// Bytes of what is kept of it.
    pub(super) size: usize,
}

impl Job {
    /// The operation. Lists leave inline answers out.
    pub(super) fn body(&self, with_answers: bool) -> Value {
        let name = format!("batches/{}", self.name);
        let input = match &self.source {
            Source::Inline(_) => json!({"requests": {}}),
            Source::File(file) => json!({"fileName": format!("files/{file}")}),
        };
        let mut metadata = json!({
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "model": format!("models/{}", self.model),
        });
        if let Some(name) = &self.display_name {
            metadata["displayName"] = json!(name);
        }
        metadata["inputConfig"] = input;
        metadata["createTime"] = json!(stamp(self.created));
        metadata["updateTime"] = json!(stamp(self.updated));
        metadata["batchStats"] = self.stats();
        metadata["state"] = json!(self.state.name());
        metadata["name"] = json!(name);
        if self.state.is_done() {
            metadata["endTime"] = json!(stamp(self.updated));
        }
        let output = match self.finished().map(|finished| &finished.output) {
            Some(Output::Inline(answers)) if with_answers => {
                Some(json!({"inlinedResponses": {"inlinedResponses": answers}}))
            }
            Some(Output::File(file)) => Some(json!({"responsesFile": format!("files/{file}")})),
            Some(Output::Inline(_)) | None => None,
        };
        if let Some(output) = &output {
            metadata["output"] = output.clone();
        }
        let mut body = json!({"name": name, "metadata": metadata});
        if self.state.is_done() {
            body["done"] = json!(true);
        }
        if let Some(Err(failure)) = &self.result {
            body["error"] = failure.rpc();
        } else if self.state == State::Succeeded {
            let mut response = json!({
                "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatchOutput",
            });
            if let Some(Value::Object(output)) = output {
                for (name, value) in output {
                    response[name] = value;
                }
            }
            body["response"] = response;
        }
        body
    }

    fn finished(&self) -> Option<&JobResult> {
        self.result.as_ref()?.as_ref().ok()
    }

    /// Counts are int64, and so strings; zeros are left out.
    fn stats(&self) -> Value {
        let mut stats = json!({"requestCount": self.requests.to_string()});
        let counts = match self.finished() {
            Some(finished) => [("successfulRequestCount", finished.succeeded), ("failedRequestCount", finished.failed)],
            None => [("pendingRequestCount", self.requests), ("", 0)],
        };
        for (name, count) in counts {
            if count > 0 {
                stats[name] = json!(count.to_string());
            }
        }
        stats
    }
}
