//! The second pass: every planned answer that is not there yet is asked for, and kept as it comes.

use super::Interrupt;
use super::forecast::Expected;
use super::sample_walk::{Found, Halt, Walking};
use crate::config::{BatchSettings, Cache, Settings};
use crate::domain::{Arm, Arrival, Asked, Event, Failure, FailureKind, Job, Problem, Progress, Source};
use crate::error::Error;
use crate::runner::{self, Batched, Ended, Expect, Limits, RunEnd, Taken};
use crate::store::{OpenRun, Store, Writer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use time::OffsetDateTime;
use tokio::sync::mpsc;

/// Asks until everything is there, the budget is spent, the run is interrupted, or nothing more can succeed. What was
/// `taken` by earlier rounds counts against the limits.
pub(crate) fn ask(
    walking: &Walking<'_>,
    store: &Store,
    run: &OpenRun,
    taken: Taken,
    progress: &Arc<dyn Progress>,
    interrupt: &Interrupt,
) -> Result<RunEnd, Error> {
    let Walking {
        settings,
        versions,
        target,
        ..
    } = walking;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("run")
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("the runtime can't start: {error}")))?;
    let reusable = target.reusable && settings.run.cache != Cache::Off;
    let writer = Arc::new(store.writer(run.id, &target.identity, reusable)?);
    let limits = Limits {
        taken,
        ..limits(settings)
    };
    let today = OffsetDateTime::now_utc().date();
    let (prices, tier) = (settings.prices.clone(), versions.dearest_tier(settings));
    let price: Arc<runner::Price<'static>> = Arc::new(move |model, usage| prices.cost_usd(model, usage, tier, today));
    // Two answers a worker: one in flight, one ready.
    let (jobs, queue) = mpsc::channel(2 * settings.limits.concurrency);
    let handed_out = Arc::new(AtomicBool::new(false));
    let running = match settings.provider.batch {
        Some(BatchSettings { first_look, wait }) => {
            let batched = Batched {
                target: Arc::clone(&target.target),
                limits,
                first_look,
                wait,
                price,
                expected: expected(walking)?,
                keep: Arc::clone(&writer),
                ledger: store.batches(run.id)?,
                handed_out: Arc::clone(&handed_out),
                progress: Arc::clone(progress),
                cancel: interrupt.token.clone(),
            };
            runtime.spawn(batched.run(queue))
        }
        None => runtime.spawn(runner::run(
            queue,
            Arc::clone(&target.target),
            limits,
            price,
            Arc::clone(&writer),
            Arc::clone(progress),
            interrupt.token.clone(),
        )),
    };
    let handing = HandingOut {
        cache: settings.run.cache,
        writer: &writer,
        jobs: &jobs,
        progress: progress.as_ref(),
    };
    let planned = walking.walk(&mut |_, job, found| handing.out(job, found));
    handed_out.store(matches!(planned, Ok(None)), Ordering::SeqCst);
    drop(jobs);
    let mut end = match runtime.block_on(running) {
        Ok(end) => end,
        // Nobody aborts the run, so it panicked: a bug, which must not look like a verdict.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => {
                return Err(Error::StoreFailed(Problem::new(format!(
                    "the run was aborted: {error}"
                ))));
            }
        },
    };
    let in_use = || Err("its writer is still in use".to_owned());
    let written = Arc::into_inner(writer).map_or_else(in_use, Writer::finish);
    if let Some(message) = planned?.or(written.err())
        && !matches!(end.ended, Ended::StoreFailed(_))
    {
        end.ended = Ended::StoreFailed(message);
    }
    Ok(end)
}

/// What the settings allow a run.
pub(crate) fn limits(settings: &Settings) -> Limits {
    Limits {
        concurrency: settings.limits.concurrency,
        rpm: settings.limits.rpm,
        tpm: settings.limits.tpm,
        timeout: settings.limits.timeout,
        retries: settings.limits.retries,
        retry: settings.limits.retry,
        max_requests: settings.limits.max_requests,
        max_tokens: settings.limits.max_tokens,
        max_cost_usd: settings.limits.max_cost,
        ..Limits::default()
    }
}

/// What each answer is expected to use.
fn expected(walking: &Walking<'_>) -> Result<Arc<Expect>, Error> {
    let of = |version| Expected::of(walking, version);
    let baseline = walking.versions.baseline.as_ref().map(of).transpose()?;
    let candidate = of(&walking.versions.candidate)?;
    Ok(Arc::new(move |job| {
        let expected = match job.arm {
            Arm::Baseline => baseline.unwrap_or(candidate),
            Arm::Candidate => candidate,
        };
        expected.at_most(&job.request)
    }))
}

/// Hands out what is still needed.
struct HandingOut<'a> {
    cache: Cache,
    writer: &'a Writer,
    jobs: &'a mpsc::Sender<Job>,
    progress: &'a dyn Progress,
}

impl HandingOut<'_> {
    /// Reuses or sends a planned answer.
    fn out(&self, job: Job, found: Found) -> Result<(), Halt> {
        match found {
            Found::InRun => {
                self.progress.on(&Event::Reused);
                Ok(())
            }
            Found::Stored(cached) => {
                self.writer.reuse(&job, cached).map_err(|_| Halt::RunEnded)?;
                self.progress.on(&Event::Reused);
                Ok(())
            }
            Found::Nothing if self.cache == Cache::Only => self.not_cached(job),
            Found::Nothing => self.jobs.blocking_send(job).map_err(|_| Halt::RunEnded),
        }
    }

    fn not_cached(&self, job: Job) -> Result<(), Halt> {
        let failure = Failure {
            kind: FailureKind::Missing,
            code: "not_cached".to_owned(),
            message: "no stored answer, and --cache only sends nothing".to_owned(),
        };
        self.progress.on(&Event::Failed {
            code: failure.code.clone(),
            message: failure.message.clone(),
        });
        let arrival = Arrival {
            asked: Asked::from(&job),
            result: Err(failure),
            attempts: 0,
            waited_ms: None,
            source: Source::Cache,
        };
        self.writer.settle(arrival).map_err(|_| Halt::RunEnded)
    }
}
