//! The second strategy of the run stage: the same jobs through the service's batch API, at half the price and answered
//! within a day.
//!
//! ```text
//! jobs ─▶ spool ─▶ submit ─▶ look … look ─▶ collect ─▶ keep
//!                    ▲                         │
//!                    └──── what may be repeated┘
//! ```
//!
//! - `submit.rs`: requests become jobs. `collect.rs`: results become arrivals.
//! - this file: what happens when. Calls are made one after the other, by one task.
//!
//! A job is noted in the ledger with everything in it *before* it is created, under a label of its own; then its name is.
//! So a process that dies at any point leaves either nothing at the service, or a job that the next one finds: by its name,
//! or, when that was lost, by its label. No request is sent twice while its job may still answer.
//!
//! Memory: about 250 bytes for each answer that is waited for, and one inline job or one piece of an upload at a time.

mod collect;
mod submit;

use super::budget::Budget;
use super::{Limits, Price, RunSummary, StopReason, describe};
use crate::domain::{AnswerSink, BatchLedger, Event, Failure, FailureKind, Job, Progress, RequestMeta, Usage};
use crate::provider::gemini::{Line, Spool};
use crate::provider::{Gemini, ProviderError, Retry};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The pause between two looks grows by half each time, up to so many first pauses.
const LONGEST_PAUSE: u32 = 6;

/// How often a job whose name was lost is looked for.
const LOOKS_FOR_LOST: u32 = 3;

/// An identity of an answer.
type Key = [u8; 32];

/// What the answer of a job is expected to use at most.
pub type Expect = dyn Fn(&Job) -> Usage + Send + Sync;

/// What a run by batches needs beside its jobs.
pub struct BatchRun<K, L> {
    /// What answers. Only the Gemini API takes batches.
    pub target: Arc<Gemini>,
    /// What the run may do and cost.
    pub limits: Limits,
    /// The first pause before a look at the jobs.
    pub first_look: Duration,
    /// How long jobs are waited for.
    pub wait: Duration,
    pub price: Arc<Price<'static>>,
    /// What an answer is expected to use at most: reserved when its request is submitted, since everything is in flight at
    /// once.
    pub expected: Arc<Expect>,
    pub keep: Arc<K>,
    /// Where waiting jobs are noted.
    pub ledger: L,
    /// Set once the whole plan was handed out, before the jobs end.
    pub handed_out: Arc<AtomicBool>,
    pub progress: Arc<dyn Progress>,
    /// Fires when the run is to end at once. Jobs at the service go on.
    pub cancel: CancellationToken,
}

/// A planned answer that has not arrived.
struct Pending {
    meta: RequestMeta,
    /// Times its request was submitted, so far.
    attempts: u32,
    /// The job that holds it; `None` while it is to be submitted.
    job: Option<i64>,
    line: Line,
    expected: Usage,
    /// Dollars reserved for it.
    reserved: Option<f64>,
}

#[derive(Default)]
struct OpenBatch {
    id: i64,
    label: String,
    name: String,
    file: Option<String>,
    /// All its requests, in their order.
    requests: Vec<Key>,
    /// Those that this run waits for.
    keys: Vec<Key>,
    /// Requests answered, as of the last look.
    done: u64,
    /// Looks in a row that failed.
    failed_looks: u32,
    /// Looks in a row that found nothing.
    not_found: u32,
}

impl<K: AnswerSink, L: BatchLedger> BatchRun<K, L> {
    /// Runs until every job has its arrival, everything is cancelled, the budget or the time is spent, or a failure occurs
    /// that every further call would share. Arrivals are handed to `keep`; a job that was not submitted, or whose batch job
    /// still waits, has none.
    pub async fn run(self, jobs: mpsc::Receiver<Job>) -> RunSummary {
        let budget = Budget::new(&self.limits);
        let ended = match Spool::new() {
            Ok(spool) => {
                let mut run = BatchState {
                    set: &self,
                    gemini: &self.target,
                    budget: &budget,
                    spool,
                    waiting: HashMap::new(),
                    fresh: BTreeMap::new(),
                    parked: BTreeMap::new(),
                    open: Vec::new(),
                    keeping: JoinSet::new(),
                    spent: None,
                    largest: submit::LARGEST_FILE,
                };
                let ended = run.all(jobs).await.err();
                // Whatever ended it, answers that have arrived are kept.
                let kept = run.keep_all(0).await.err();
                ended.or(kept).or(run.spent).unwrap_or(StopReason::Complete)
            }
            Err(cause) => stop_unsent(format!("no temporary file can be made: {cause}")),
        };
        if ended != StopReason::Complete && ended != StopReason::Interrupted {
            self.progress.on(&Event::Stopping { reason: describe(&ended) });
        }
        budget.summary(ended)
    }
}

/// Nothing could be asked, for a reason in a sentence.
fn stop_unsent(message: impl Into<String>) -> StopReason {
    StopReason::Stopped(Failure { kind: FailureKind::Transport, code: "batch".to_owned(), message: message.into() })
}

struct BatchState<'a, K, L> {
    set: &'a BatchRun<K, L>,
    gemini: &'a Gemini,
    budget: &'a Budget,
    spool: Spool,
    waiting: HashMap<Key, Pending>,
    /// What is to be submitted, by model.
    fresh: BTreeMap<String, Vec<Key>>,
    /// The part of it that the budget has no room for, while the rest is submitted.
    parked: BTreeMap<String, Vec<Key>>,
    open: Vec<OpenBatch>,
    /// Arrivals on their way to the store; each yields what is told of it.
    keeping: JoinSet<Result<Event, String>>,
    /// A limit was reached: nothing more is submitted, what is out is waited for.
    spent: Option<StopReason>,
    /// Bytes of a job at most; less once the service has refused a larger one.
    largest: u64,
}

impl<'a, K: AnswerSink, L: BatchLedger> BatchState<'a, K, L> {
    /// From the first job to the last arrival.
    ///
    /// # Errors
    /// Why it ends early.
    async fn all(&mut self, jobs: mpsc::Receiver<Job>) -> Result<(), StopReason> {
        let resumed = self.adopt().await?;
        self.take_in(jobs, resumed).await?;
        self.close_settled().await?;
        let deadline = Instant::now() + self.set.wait;
        // What was taken over may have ended long ago.
        let mut pause = if self.open.is_empty() { self.set.first_look } else { Duration::ZERO };
        // The service, or the budget, has no room for more; until a job ends.
        let mut held = false;
        loop {
            if !held {
                held = self.submit().await?;
            }
            if self.open.is_empty() && !held {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            self.pause(pause.min(left)).await?;
            pause = (pause.max(self.set.first_look).mul_f64(1.5)).min(self.set.first_look * LONGEST_PAUSE);
            let ended = self.look_at_all().await?;
            held &= !ended && !self.open.is_empty();
            if left.is_zero() && !self.open.is_empty() {
                return Err(StopReason::Stopped(self.out_of_time()));
            }
        }
        self.keep_all(0).await
    }

    /// Takes over the jobs of a process that died. One that was noted but never created is forgotten.
    async fn adopt(&mut self) -> Result<HashMap<Key, usize>, StopReason> {
        let mut adopted = HashMap::new();
        for batch in self.set.ledger.open().map_err(StopReason::StoreFailed)? {
            let name = match batch.name {
                Some(name) => Some(name),
                None => self.find_lost(batch.id, &batch.label).await?,
            };
            let Some(name) = name else {
                self.give_up(batch.id, batch.file.as_deref()).await?;
                continue;
            };
            adopted.extend(batch.items.iter().map(|(_, key)| (*key, self.open.len())));
            self.open.push(OpenBatch {
                id: batch.id,
                label: batch.label,
                name,
                file: batch.file,
                requests: batch.items.into_iter().map(|(_, key)| key).collect(),
                ..OpenBatch::default()
            });
        }
        Ok(adopted)
    }

    /// Looks for a job that may exist without our knowing its name. The service may list it late, so it is looked for
    /// several times before it counts as never created.
    async fn find_lost(&self, id: i64, label: &str) -> Result<Option<String>, StopReason> {
        for look in 1..=LOOKS_FOR_LOST {
            if let Some(name) = self.insist(|gemini| gemini.find_batch(label)).await? {
                self.set.ledger.created(id, &name).map_err(StopReason::StoreFailed)?;
                return Ok(Some(name));
            }
            if look < LOOKS_FOR_LOST {
                self.pause(self.set.first_look).await?;
            }
        }
        Ok(None)
    }

    /// Forgets the jobs that were taken over and hold nothing that is still waited for: the process died between keeping
    /// their last answer and noting that.
    async fn close_settled(&mut self) -> Result<(), StopReason> {
        for batch in std::mem::take(&mut self.open) {
            if batch.keys.is_empty() {
                self.give_up(batch.id, batch.file.as_deref()).await?;
            } else {
                self.open.push(batch);
            }
        }
        Ok(())
    }

    /// Puts every job aside: those that a job at the service holds already wait for it, the others are to be submitted.
    async fn take_in(&mut self, mut jobs: mpsc::Receiver<Job>, adopted: HashMap<Key, usize>) -> Result<(), StopReason> {
        loop {
            let job = tokio::select! {
                biased;
                () = self.set.cancel.cancelled() => return Err(StopReason::Interrupted),
                job = jobs.recv() => job,
            };
            let Some(job) = job else {
                // Without the whole plan nothing is known of what is missing in it.
                return match self.set.handed_out.load(Ordering::SeqCst) {
                    true => Ok(()),
                    false => Err(stop_unsent("the plan broke off")),
                };
            };
            if !job.later.is_empty() {
                return Err(stop_unsent("a batch job takes no conversation of several turns"));
            }
            let line = self.spool.push(&job.body);
            let line = line.map_err(|cause| stop_unsent(format!("a request can't be put aside: {cause}")))?;
            let holder = adopted.get(&job.key).and_then(|&at| self.open.get_mut(at));
            let held_by = holder.map(|open| {
                open.keys.push(job.key);
                open.id
            });
            if held_by.is_none() {
                self.fresh.entry(job.request.model.clone()).or_default().push(job.key);
            }
            let expected = (self.set.expected)(&job);
            // What waits at the service will be paid for.
            let reserved = held_by.map(|_| {
                let cost = (self.set.price)(&job.request.model, &expected);
                self.budget.hold(&expected, cost);
                cost.unwrap_or(0.0)
            });
            let (meta, attempts) = (RequestMeta::from(&job), u32::from(held_by.is_some()));
            self.waiting.insert(job.key, Pending { meta, attempts, job: held_by, line, expected, reserved });
        }
    }

    /// A call that is repeated as often as a request may be.
    async fn insist<T, F: Future<Output = Result<T, ProviderError>>>(
        &self,
        call: impl Fn(&'a Gemini) -> F,
    ) -> Result<T, StopReason> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.in_time(call(self.gemini)).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let requested = match error.retry() {
                Retry::KeyChanged => continue,
                Retry::Backoff => None,
                Retry::After(delay) => Some(delay),
                Retry::Never | Retry::QuotaSpent | Retry::KeyRefused => {
                    return Err(StopReason::Stopped(error.failure()));
                }
            };
            if attempt > self.set.limits.retries {
                return Err(StopReason::Stopped(error.failure()));
            }
            self.pause(self.set.limits.retry.delay(&[0; 32], attempt, requested)).await?;
        }
    }

    /// A call in its time, or until the run is cancelled; the next pause then ends it.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, ProviderError>>) -> Result<T, ProviderError> {
        let limit = self.set.limits.timeout;
        tokio::select! {
            biased;
            done = timeout(limit, call) => done.unwrap_or_else(|_| Err(ProviderError::timeout(limit))),
            () = self.set.cancel.cancelled() => {
                let message = "the run was interrupted";
                Err(ProviderError::new(FailureKind::Transport, "interrupted", message, Retry::Backoff))
            }
        }
    }

    /// Waits, unless the run is cancelled. The jobs at the service go on.
    async fn pause(&self, pause: Duration) -> Result<(), StopReason> {
        tokio::select! {
            biased;
            () = self.set.cancel.cancelled() => Err(StopReason::Interrupted),
            () = sleep(pause) => Ok(()),
        }
    }

    fn out_of_time(&self) -> Failure {
        let jobs = match self.open.len() {
            1 => "1 batch job is".to_owned(),
            jobs => format!("{jobs} batch jobs are"),
        };
        let seconds = self.set.wait.as_secs();
        let message =
            format!("{jobs} not finished after {seconds} s of waiting (--batch-wait); --resume collects the answers");
        Failure { kind: FailureKind::Transport, code: "batch_wait".to_owned(), message }
    }
}
