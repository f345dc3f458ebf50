//! An answer, or the failure to get one, as the run stage hands it to the store.

use super::answer::Answer;
use super::outcome::Failure;
use super::request::{RequestMeta, Source};
use std::future::Future;

/// The end of one job.
#[derive(Clone, Debug)]
pub struct JobResult {
    pub meta: RequestMeta,
    pub result: Result<Answer, Failure>,
    /// Attempts made; 0 when nothing was sent.
    pub attempts: u32,
    /// Milliseconds from taking up the job to sending its last attempt: its turn, the earlier attempts and the pauses after
    /// them. No part of the answer's latency. `None` when nothing was sent, and in a
    /// batch, which does not tell when it turned to which request.
    pub waited_ms: Option<u64>,
    pub source: Source,
}

/// Keeps arrivals safe. When `keep` returns, the arrival survives a kill of the process.
pub trait AnswerSink: Send + Sync + 'static {
    /// Stores one arrival.
    ///
    /// # Errors
    /// A sentence why it could not be stored; the run stops.
    fn keep(&self, arrival: JobResult) -> impl Future<Output = Result<(), String>> + Send;
}
