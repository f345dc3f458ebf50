//! The bounded loop: what each worker does, and what the workers share.

use super::budget::Budget;
use super::conversation;
use super::limit::{Limiter, Limiters, PaceUpdate, Pass, Rate};
use super::reset;
use super::{LiveRun, RunSummary, StopReason, describe, settled};
use crate::domain::{Answer, AnswerSink, Event, Failure, FailureKind, Job, JobResult, RequestMeta, Source};
use crate::provider::{ProviderError, Retry};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex as SyncMutex, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What the workers of one run share.
pub(super) struct WorkerContext<K> {
    set: LiveRun<K>,
    jobs: Mutex<mpsc::Receiver<Job>>,
    source: Source,
    limiters: Limiters,
    budget: Budget,
    /// Fires with that of the run, or when answers can't be kept: what is in flight is abandoned.
    abort: CancellationToken,
    /// Nothing more is sent; what is in flight finishes.
    stop: CancellationToken,
    /// Why `stop` fired.
    ended: SyncMutex<Option<StopReason>>,
    /// A job was left without an arrival because of `cancel`.
    interrupted: AtomicBool,
    failures_in_a_row: AtomicU32,
}

/// What was done for one job.
#[derive(Clone, Copy, Debug, Default)]
struct Effort {
    /// Attempts sent.
    attempts: u32,
    /// From taking the job to sending the last of them; `None` before the first.
    waited: Option<Duration>,
}

/// The end of one job.
enum JobEnd {
    /// An answer, or the failure to get one.
    Arrived(Result<Answer, Failure>),
    /// It was not asked, or given up halfway; it has no arrival.
    LeftOut,
}

/// What a failed attempt leads to.
enum Next {
    /// Another attempt after a pause, with the delay the service told.
    Again(ProviderError, Option<Duration>),
    /// Another attempt now: what failed was not the request.
    AtOnce(Failure),
    /// No further attempt.
    GiveUp(Failure),
}

/// The code of a spent quota per day, which has a known end.
const QUOTA_PER_DAY: &str = "quota_per_day";

/// What a wait ended with.
enum Wait<T> {
    /// It is over.
    Enough(T),
    /// Nothing more is sent.
    Stopped,
    /// Everything is abandoned.
    Aborted,
}

impl<K: AnswerSink> WorkerContext<K> {
    pub(super) fn new(jobs: mpsc::Receiver<Job>, set: LiveRun<K>) -> WorkerContext<K> {
        let limits = &set.limits;
        WorkerContext {
            jobs: Mutex::new(jobs),
            source: set.target.source(),
            limiters: Limiters::new(Rate::new(limits.rpm, limits.tpm), limits.concurrency),
            budget: Budget::new(limits),
            abort: set.cancel.child_token(),
            set,
            stop: CancellationToken::new(),
            ended: SyncMutex::new(None),
            interrupted: AtomicBool::new(false),
            failures_in_a_row: AtomicU32::new(0),
        }
    }

    /// Takes job after job, each to its end: the next one is taken only when this one's arrival is safe.
    pub(super) async fn work(&self) {
        while let Some(job) = self.next().await {
            let mut effort = Effort::default();
            match self.ask(&job, &mut effort).await {
                JobEnd::Arrived(result) => self.settle(job, result, effort).await,
                JobEnd::LeftOut => return,
            }
        }
    }

    /// How the run ended; call it when all workers are done.
    pub(super) fn end(&self) -> RunSummary {
        let reason = self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let interrupted = self.interrupted.load(Ordering::Relaxed).then_some(StopReason::Interrupted);
        self.budget.summary(interrupted.or(reason).unwrap_or(StopReason::Complete))
    }

    async fn next(&self) -> Option<Job> {
        tokio::select! {
            biased;
            () = self.abort.cancelled() => {
                self.leave_out();
                None
            }
            () = self.stop.cancelled() => None,
            job = async { self.jobs.lock().await.recv().await } => job,
        }
    }

    /// Asks until there is an answer, or no reason to ask again.
    async fn ask(&self, job: &Job, effort: &mut Effort) -> JobEnd {
        let started = Instant::now();
        if self.source != Source::Live {
            return self.look_up(job).await;
        }
        let limiter = self.limiters.of(self.set.target.lane(job), &job.request.model);
        let tokens = job.estimated_tokens();
        let mut waited = Duration::ZERO;
        let mut failed: Option<Failure> = None;
        loop {
            let pass = match self.wait(limiter.pass(tokens)).await {
                Wait::Enough(pass) => pass,
                Wait::Stopped => return given_up(failed),
                Wait::Aborted => return self.leave_out(),
            };
            if let Err(reason) = self.budget.take(effort.attempts + 1) {
                self.stop_with(StopReason::Budget(reason));
                return given_up(failed);
            }
            effort.attempts += 1;
            effort.waited = Some(started.elapsed());
            let error = match self.attempt(job).await {
                Some(Ok(answer)) => {
                    pass.answered(answer.usage.prompt);
                    self.report_pace(&limiter);
                    return JobEnd::Arrived(Ok(answer));
                }
                Some(Err(error)) => error,
                None => return self.leave_out(),
            };
            let next = self.next_step(error, &pass);
            drop(pass);
            self.report_pace(&limiter);
            let (error, requested) = match next {
                Next::Again(error, requested) => (error, requested),
                Next::AtOnce(failure) => {
                    failed = Some(failure);
                    continue;
                }
                Next::GiveUp(failure) => return JobEnd::Arrived(Err(failure)),
            };
            let delay = self.set.limits.retry.delay(&job.key, effort.attempts, requested);
            waited = waited.saturating_add(delay);
            if effort.attempts > self.set.limits.retries || waited > self.set.limits.retry.max_total {
                return JobEnd::Arrived(Err(exhausted(error, effort.attempts)));
            }
            let failure = error.into_failure();
            self.set.progress.on(&Event::Retrying { code: failure.code.clone(), wait: delay });
            failed = Some(failure);
            match self.wait(sleep(delay)).await {
                Wait::Enough(()) => {}
                Wait::Stopped => return given_up(failed),
                Wait::Aborted => return self.leave_out(),
            }
        }
    }

    /// One attempt, in its time; `None` when it was abandoned.
    async fn attempt(&self, job: &Job) -> Option<Result<Answer, ProviderError>> {
        tokio::select! {
            // First the answer: one that has arrived is kept, also when the run is cancelled in the same moment.
            biased;
            answer = timeout(self.set.limits.timeout, conversation::answer(self.set.target.as_ref(), job)) => {
                Some(answer.unwrap_or_else(|_| Err(ProviderError::timeout(self.set.limits.timeout))))
            }
            () = self.abort.cancelled() => None,
        }
    }

    /// An answer that is there or not: nothing is sent, so nothing is paced, counted or repeated.
    async fn look_up(&self, job: &Job) -> JobEnd {
        match self.attempt(job).await {
            Some(result) => JobEnd::Arrived(result.map_err(ProviderError::into_failure)),
            None => self.leave_out(),
        }
    }

    /// What a failure leads to; the whole table of decisions, but for the caps on attempts and waiting. Stops the run when no
    /// further request can succeed.
    fn next_step(&self, error: ProviderError, pass: &Pass<'_>) -> Next {
        match error.retry() {
            Retry::Never => Next::GiveUp(error.into_failure()),
            Retry::Backoff => Next::Again(error, None),
            Retry::After(delay) => {
                if let Some(wait) = pass.hold(delay, error.reach()) {
                    self.set.progress.on(&Event::Held { wait });
                }
                Next::Again(error, Some(delay))
            }
            Retry::KeyChanged => Next::AtOnce(error.into_failure()),
            Retry::QuotaSpent | Retry::KeyRefused => {
                let mut failure = error.into_failure();
                if failure.code == QUOTA_PER_DAY {
                    let notice = reset::notice(OffsetDateTime::now_utc());
                    failure.message = format!("{notice}; {}", failure.message);
                }
                self.stop_with(StopReason::Stopped(failure.clone()));
                Next::GiveUp(failure)
            }
        }
    }

    /// Reports what the limiter has learnt, when that has changed.
    fn report_pace(&self, limiter: &Limiter) {
        if let Some(PaceUpdate { at_once, rpm, tpm }) = limiter.update() {
            self.set.progress.on(&Event::Paced { at_once, rpm, tpm });
        }
    }

    /// Prices an arrival, keeps it, and tells of it.
    async fn settle(&self, job: Job, result: Result<Answer, Failure>, effort: Effort) {
        let Effort { attempts, waited } = effort;
        let event = settled(&result, |answer| self.cost(&job, answer));
        self.watch_for_outage(result.as_ref().err());
        let kept = self.set.keep.keep(JobResult {
            meta: RequestMeta::from(&job),
            result,
            attempts,
            waited_ms: waited.map(|waited| waited.as_millis().try_into().unwrap_or(u64::MAX)),
            source: self.source,
        });
        match kept.await {
            Ok(()) => self.set.progress.on(&event),
            Err(reason) => {
                self.stop_with(StopReason::StoreFailed(reason));
                self.abort.cancel();
            }
        }
    }

    /// What a live answer cost. The model that served it counts, since the service may route a retired one to another
    /// at that one's price; the one asked for is the fallback for versions that the price list does not know.
    fn cost(&self, job: &Job, answer: &Answer) -> Option<f64> {
        if self.source != Source::Live {
            return None;
        }
        let served = answer.model_version.as_deref();
        let cost = served
            .and_then(|model| (self.set.price)(model, &answer.usage))
            .or_else(|| (self.set.price)(&job.request.model, &answer.usage));
        self.budget.add(served.unwrap_or(&job.request.model), &answer.usage, cost);
        cost
    }

    /// Stops the run when one job after the other fails for reasons that lie with the service or the way to it.
    fn watch_for_outage(&self, failure: Option<&Failure>) {
        let outage = |failure: &&Failure| matches!(failure.kind, FailureKind::Transport | FailureKind::RateLimit);
        let Some(failure) = failure.filter(outage) else {
            self.failures_in_a_row.store(0, Ordering::Relaxed);
            return;
        };
        let in_a_row = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        if self.set.limits.give_up_after.is_some_and(|limit| in_a_row >= limit) {
            let message = format!("{in_a_row} requests in a row got no answer; the last: {}", failure.message);
            self.stop_with(StopReason::Stopped(Failure { message, ..failure.clone() }));
        }
    }

    /// Waits for something, or until nothing more may be sent.
    async fn wait<W>(&self, enough: impl Future<Output = W>) -> Wait<W> {
        tokio::select! {
            biased;
            () = self.abort.cancelled() => Wait::Aborted,
            () = self.stop.cancelled() => Wait::Stopped,
            enough = enough => Wait::Enough(enough),
        }
    }

    /// Sends nothing more. The first reason stays, but for one that says that answers were lost.
    fn stop_with(&self, reason: StopReason) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.is_some() && !matches!(reason, StopReason::StoreFailed(_)) {
            return;
        }
        self.set.progress.on(&Event::Stopping { reason: describe(&reason) });
        *ended = Some(reason);
        self.stop.cancel();
    }

    /// A job ends without an arrival because everything is abandoned.
    fn leave_out(&self) -> JobEnd {
        if self.set.cancel.is_cancelled() {
            self.interrupted.store(true, Ordering::Relaxed);
        }
        JobEnd::LeftOut
    }
}

/// Nothing more is sent: a job that was asked before has failed, one that was not is left out.
fn given_up(failed: Option<Failure>) -> JobEnd {
    failed.map_or(JobEnd::LeftOut, |failure| JobEnd::Arrived(Err(failure)))
}

/// The failure of a job that was asked as often or as long as it may.
fn exhausted(error: ProviderError, attempts: u32) -> Failure {
    let mut failure = error.into_failure();
    if attempts > 1 {
        failure.message = format!("{} (gave up after {attempts} attempts)", failure.message);
    }
    failure
}
