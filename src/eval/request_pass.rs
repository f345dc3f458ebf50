//! Request phases: every planned answer that is not stored yet is requested, and stored as it comes.

use super::cases::{CaseSource, KeptCases};
use super::context::{EvalContext, limits};
use super::phase::Phase;
use super::run_state::RunState;
use super::runtime;
use super::sample_walk::{CacheLookup, SampleWalk, StopWalk};
use super::usage_estimate::UsageEstimate;
use crate::config::{BatchSettings, Cache};
use crate::domain::{Arm, Event, Failure, FailureKind, Job, JobResult, Problem, Progress, RequestMeta, Source};
use crate::error::Error;
use crate::runner::{self, BatchRun, Expect, Limits, LiveRun, RunSummary, Spend, StopReason};
use crate::store::{Store, Writer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use time::OffsetDateTime;
use tokio::sync::mpsc;

/// Requests the planned answers up to the first look, and keeps the cases that later phases need.
pub(crate) fn send_initial(context: &EvalContext<'_>, state: &mut RunState<'_>) -> Result<(), Error> {
    announce(context, state, 1);
    let mut kept = KeptCases::new(context, state.retries.possible);
    let end = send(context, state, context.phase(0), CaseSource::GoldenFiles, Some(&mut kept), state.spent)?;
    state.kept = kept;
    state.spent.add(&end);
    state.end = end;
    Ok(())
}

/// Requests the answers of a later phase; `looks` is the number of looks that have their answers then.
pub(crate) fn send_more(
    context: &EvalContext<'_>,
    state: &mut RunState<'_>,
    phase: Phase,
    looks: usize,
) -> Result<(), Error> {
    announce(context, state, looks);
    let spent = state.judge_usage.add_to(state.spent);
    let end = send(context, state, phase, state.kept.source(), None, spent)?;
    state.spent.add(&end);
    state.end = state.end.clone().and(end);
    Ok(())
}

fn announce(context: &EvalContext<'_>, state: &RunState<'_>, looks: usize) {
    state.hooks.progress.on(&Event::Planned { answers: context.answers_up_to(looks, &state.retries) });
}

/// Sends until every answer is there, the budget is spent, the run is interrupted, or nothing more can succeed. What was
/// `spent` before counts against the limits.
fn send(
    context: &EvalContext<'_>,
    state: &RunState<'_>,
    phase: Phase,
    source: CaseSource<'_>,
    keep: Option<&mut KeptCases>,
    spent: Spend,
) -> Result<RunSummary, Error> {
    let settings = context.settings;
    let target = context.target(Arm::Candidate);
    let (store, run) = (state.store, state.open_run);
    let workers = runtime::workers("run")?;
    let reusable = [Arm::Baseline, Arm::Candidate].iter().all(|arm| context.target(*arm).reusable)
        && settings.limits.cache != Cache::Off;
    let identities = [Arm::Baseline, Arm::Candidate].map(|arm| context.target(arm).identity.as_str());
    let writer = Arc::new(store.writer(run.id, identities, reusable)?);
    let limits = Limits { taken: spent, ..limits(settings) };
    let today = OffsetDateTime::now_utc().date();
    let (prices, tier) = (settings.prices.clone(), context.versions.dearest_tier(settings));
    let price: Arc<runner::Price<'static>> = Arc::new(move |model, usage| prices.cost_usd(model, usage, tier, today));
    // Two answers a worker: one in flight, one ready.
    let (jobs, queue) = mpsc::channel(2 * settings.limits.concurrency);
    let handed_out = Arc::new(AtomicBool::new(false));
    let running = match settings.provider.batch {
        Some(BatchSettings { first_look, wait }) => {
            let Some(batches) = target.batches.clone().filter(|_| context.targets.are_one()) else {
                return Err(Problem::new("batches need a target that takes them, the same for both arms").into());
            };
            let batched = BatchRun {
                target: batches,
                limits,
                first_look,
                wait,
                price,
                expected: expected_usage(context, store)?,
                keep: Arc::clone(&writer),
                ledger: store.batches(run.id)?,
                handed_out: Arc::clone(&handed_out),
                progress: Arc::clone(state.hooks.progress),
                cancel: state.hooks.interrupt.token.clone(),
            };
            workers.spawn(batched.run(queue))
        }
        None => {
            let live = LiveRun {
                target: context.targets.provider(),
                limits,
                price,
                keep: Arc::clone(&writer),
                progress: Arc::clone(state.hooks.progress),
                cancel: state.hooks.interrupt.token.clone(),
            };
            workers.spawn(live.run(queue))
        }
    };
    let walk = SampleWalk { context, store: Some(store), run: Some(run), retries: &state.retries, phase };
    let dispatch = Dispatch {
        cache: settings.limits.cache,
        writer: &writer,
        jobs: &jobs,
        progress: state.hooks.progress.as_ref(),
    };
    let walked = walk.walk(source, keep, &mut |_, job, lookup| dispatch.job(job, lookup));
    handed_out.store(matches!(walked, Ok(None)), Ordering::SeqCst);
    drop(jobs);
    let mut end = runtime::wait(&workers, running, "the run")?;
    let in_use = || Err("its writer is still in use".to_owned());
    let written = Arc::into_inner(writer).map_or_else(in_use, Writer::finish);
    if let Some(message) = walked?.or(written.err())
        && !matches!(end.ended, StopReason::StoreFailed(_))
    {
        end.ended = StopReason::StoreFailed(message);
    }
    Ok(end)
}

fn expected_usage(context: &EvalContext<'_>, store: &Store) -> Result<Arc<Expect>, Error> {
    let of = |arm| UsageEstimate::of_arm(context, Some(store), arm);
    let (baseline, candidate) = (of(Arm::Baseline)?, of(Arm::Candidate)?);
    Ok(Arc::new(move |job| {
        let estimate = match job.arm {
            Arm::Baseline => baseline.or(candidate),
            Arm::Candidate => candidate,
        };
        estimate.unwrap_or_default().at_most(&job.request)
    }))
}

/// Sends a job, or takes its answer from the store.
struct Dispatch<'a> {
    cache: Cache,
    writer: &'a Writer,
    jobs: &'a mpsc::Sender<Job>,
    progress: &'a dyn Progress,
}

impl Dispatch<'_> {
    fn job(&self, job: Job, lookup: CacheLookup) -> Result<(), StopWalk> {
        match lookup {
            CacheLookup::Resumed(_) => self.progress.on(&Event::Reused),
            CacheLookup::Stored(cached) => {
                self.writer.reuse(&job, cached).map_err(|_| StopWalk::RunEnded)?;
                self.progress.on(&Event::Reused);
            }
            CacheLookup::Missing if self.cache == Cache::Only => return self.not_cached(&job),
            CacheLookup::Missing => self.jobs.blocking_send(job).map_err(|_| StopWalk::RunEnded)?,
        }
        Ok(())
    }

    fn not_cached(&self, job: &Job) -> Result<(), StopWalk> {
        let failure = Failure {
            kind: FailureKind::Missing,
            code: "not_cached".to_owned(),
            message: "no stored answer, and --cache only sends nothing".to_owned(),
        };
        self.progress.on(&Event::Failed { code: failure.code.clone(), message: failure.message.clone() });
        let arrival = JobResult {
            meta: RequestMeta::from(job),
            result: Err(failure),
            attempts: 0,
            waited_ms: None,
            source: Source::Cache,
        };
        self.writer.settle(arrival).map_err(|_| StopWalk::RunEnded)
    }
}
