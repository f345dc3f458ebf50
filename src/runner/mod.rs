//! Gets the answers: the only stage that waits, repeats and limits, and the only asynchronous one beside `provider`.
//!
//! ```text
//!              ┌─ worker ─┐   one job at a time: wait for the limiter, ask the provider, repeat what may be repeated,
//! jobs ─▶ mpsc ┼─ worker ─┼─▶ keep   … and only when the answer is safe, take the next job
//!              └─ worker ─┘
//! ```
//!
//! - `worker.rs`: the bounded loop. `concurrency` workers are the permits, so memory and what a crash can cost are
//!   bounded by their number, not by the number of jobs.
//! - `conversation.rs`: the turns of one job, one after the other.
//! - `batch/`: the other strategy: the same jobs through the service's batch API.
//! - `retry.rs`: how long to wait before another attempt. `limit.rs`: when any attempt may leave at all. `pace.rs`: limits
//!   learned from refusals. `reset.rs`: when a quota per day comes back. `budget.rs`: what a run may spend.

mod batch;
mod budget;
mod conversation;
mod limit;
mod pace;
mod reset;
mod retry;
mod worker;

pub use batch::{BatchRun, Expect};
pub use retry::RetryPolicy;

use crate::domain::{Answer, AnswerSink, Event, Failure, Job, Progress, Usage};
use crate::provider::Provider;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker::WorkerContext;

/// What a run may do to the service, and what it may cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Jobs in flight; 0 counts as 1. Lowered for a time by refusals for a quota per minute.
    pub concurrency: usize,
    /// Requests a minute and model, evenly spaced; `None` or 0 to learn it from refusals.
    pub rpm: Option<u32>,
    /// Input tokens a minute and model, estimated from the length of the text and settled by what the
    /// service counted; `None` or 0 to learn it from refusals.
    pub tpm: Option<u32>,
    /// The longest one attempt may take, from sending to the last byte.
    pub timeout: Duration,
    pub retries: u32,
    /// Requests in all, repeated attempts included.
    pub max_requests: Option<u64>,
    /// Tokens of answers in all, input and output. Checked like the cost.
    pub max_tokens: Option<u64>,
    /// US dollars in all. Checked before each request against what is known by then, so a run can exceed it by what was
    /// in flight. An answer whose price is not known ends the run: the limit could not be kept.
    pub max_cost_usd: Option<f64>,
    /// What was taken of the three limits above before this run began: what is left of them is what it may take.
    pub taken: Spend,
    /// How long to wait before another attempt.
    pub retry: RetryPolicy,
    /// After so many failures in a row for reasons of transport or rate, each after all its attempts, the service counts
    /// as down and the run stops: waiting out every further job could take days.
    pub give_up_after: Option<u32>,
}

/// What has been taken of limits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spend {
    /// Requests sent, repeated attempts included.
    pub requests: u64,
    /// Tokens of answers, input and output.
    pub tokens: u64,
    /// US dollars.
    pub cost_usd: f64,
}

impl Spend {
    /// Adds what a round took; a cost that is not known counts as none.
    pub fn add(&mut self, end: &RunSummary) {
        self.requests += end.requests;
        self.tokens = self.tokens.saturating_add(end.tokens);
        self.cost_usd += end.cost_usd.unwrap_or(0.0);
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            concurrency: 16,
            rpm: None,
            tpm: None,
            timeout: Duration::from_secs(60),
            retries: 8,
            max_requests: None,
            max_tokens: None,
            max_cost_usd: None,
            taken: Spend::default(),
            retry: RetryPolicy::default(),
            give_up_after: Some(32),
        }
    }
}

/// The price of an answer in US dollars, by model and tokens; `None` for an unknown model.
pub type Price<'a> = dyn Fn(&str, &Usage) -> Option<f64> + Send + Sync + 'a;

#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// Why.
    pub ended: StopReason,
    /// Requests sent, repeated attempts included.
    pub requests: u64,
    pub retries: u64,
    /// Tokens of the answers, input and output.
    pub tokens: u64,
    /// What the answers cost in US dollars; `None` when the price of one of them is not known.
    pub cost_usd: Option<f64>,
}

impl RunSummary {
    /// Both rounds of a run.
    pub fn and(self, later: RunSummary) -> RunSummary {
        RunSummary {
            ended: later.ended,
            requests: self.requests + later.requests,
            retries: self.retries + later.retries,
            tokens: self.tokens.saturating_add(later.tokens),
            cost_usd: self.cost_usd.zip(later.cost_usd).map(|(sum, more)| sum + more),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum StopReason {
    /// Every job has its arrival.
    Complete,
    /// Cancelled; some jobs have no arrival.
    Interrupted,
    /// A limit was reached, in a sentence; some jobs have no arrival.
    Budget(String),
    /// A failure that every further request would share; some jobs may have no arrival.
    Stopped(Failure),
    /// An arrival could not be kept, in a sentence; some jobs have no arrival.
    StoreFailed(String),
}

/// What a run needs beside its jobs.
pub struct LiveRun<K> {
    pub target: Arc<dyn Provider>,
    pub limits: Limits,
    pub price: Arc<Price<'static>>,
    pub keep: Arc<K>,
    /// Gets everything but the frame around a run (`Planned`, `Reused`, `Done`), which only the caller knows.
    pub progress: Arc<dyn Progress>,
    /// Fires when the run is to end at once: nothing more is sent and what is in flight is abandoned; answers that have arrived
    /// are kept.
    pub cancel: CancellationToken,
}

impl<K: AnswerSink> LiveRun<K> {
    /// Runs until the jobs end, everything is cancelled, the budget is spent, or a failure occurs that every further request
    /// would share (refused key, spent quota, service down).
    ///
    /// Each job ends in one arrival, handed to `keep`; no arrival means that the job was not asked, or was interrupted. Await
    /// it to its end: dropping the future drops answers on their way to `keep`, too.
    ///
    /// # Panics
    /// Passes on a panic of target, keep, price or progress.
    pub async fn run(self, jobs: mpsc::Receiver<Job>) -> RunSummary {
        let concurrency = self.limits.concurrency.max(1);
        let shared = Arc::new(WorkerContext::new(jobs, self));
        let mut workers = JoinSet::new();
        for _ in 0..concurrency {
            let shared = Arc::clone(&shared);
            workers.spawn(async move { shared.work().await });
        }
        while let Some(worker) = workers.join_next().await {
            // Nobody aborts a worker, so an error is a panic: a bug, which must not look like an answer.
            if let Err(error) = worker
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
        shared.end()
    }
}

/// What is told of a job that has ended; `price` counts and prices its answer.
fn settled(result: &Result<Answer, Failure>, price: impl FnOnce(&Answer) -> Option<f64>) -> Event {
    match result {
        Ok(answer) => Event::Answered { cost_usd: price(answer) },
        Err(failure) => Event::Failed { code: failure.code.clone(), message: failure.message.clone() },
    }
}

/// Why a run ended, for people.
fn describe(reason: &StopReason) -> String {
    match reason {
        StopReason::Complete => "all answers are in".to_owned(),
        StopReason::Interrupted => "interrupted".to_owned(),
        StopReason::Budget(reason) => reason.clone(),
        StopReason::Stopped(failure) => failure.message.clone(),
        StopReason::StoreFailed(reason) => format!("an answer could not be stored: {reason}"),
    }
}

#[cfg(test)]
mod tests;
