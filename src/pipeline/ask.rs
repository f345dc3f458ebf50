//! The second pass: every planned answer that is not there yet is asked for, and kept as it comes.

use super::survey::{Survey, Versions};
use super::{Interrupt, OpenedTarget};
use crate::error::{Error, store_problem};
use crate::model::{
    Arm, Arrival, Case, CheckRules, Event, Failure, FailureKind, Job, Problem, Progress, Request, Source,
};
use crate::plan::{Plan, Selection, identity, price};
use crate::run::{self, Ended, Limits, RunEnd, gemini};
use crate::settings::{Cache, Settings};
use crate::store::{Cached, OpenRun, Store, StoreError, Writer};
use std::ops::ControlFlow;
use std::sync::Arc;
use time::OffsetDateTime;
use tokio::sync::mpsc;

/// Two answers of a pair may lie this far apart, in seconds; more would charge the service's drift to the candidate.
const DAY: i64 = 86_400;

/// What is asked, and how.
pub(super) struct Asking<'a> {
    pub(super) settings: &'a Settings,
    pub(super) selection: &'a Selection,
    pub(super) versions: &'a Versions,
    pub(super) survey: &'a Survey,
    pub(super) plan: Plan,
    pub(super) rules: &'a dyn CheckRules,
    pub(super) target: &'a OpenedTarget,
    pub(super) store: &'a Store,
    pub(super) run: &'a OpenRun,
}

/// Asks until everything is there, the budget is spent, the run is interrupted, or nothing more can succeed.
pub(super) fn ask(asking: &Asking<'_>, progress: &Arc<dyn Progress>, interrupt: &Interrupt) -> Result<RunEnd, Error> {
    let Asking {
        settings,
        survey,
        plan,
        target,
        store,
        run,
        ..
    } = asking;
    progress.on(&Event::Planned {
        answers: survey.answers(plan),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("run")
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("the runtime can't start: {error}")))?;
    let reusable = target.reusable && settings.cache != Cache::Off;
    let writer = Arc::new(store.writer(run.id, &target.identity, reusable)?);
    let limits = Limits {
        concurrency: settings.concurrency,
        rpm: settings.rpm,
        tpm: settings.tpm,
        timeout: settings.timeout,
        retries: settings.retries,
        retry: settings.retry,
        max_requests: settings.max_requests,
        max_cost_usd: settings.max_cost,
        ..Limits::default()
    };
    let today = OffsetDateTime::now_utc().date();
    let price: Arc<run::Price<'static>> = Arc::new(move |model, usage| price::cost_usd(model, usage, today));
    // Two answers a worker: one in flight, one ready.
    let (jobs, queue) = mpsc::channel(2 * settings.concurrency);
    let running = runtime.spawn(run::run(
        queue,
        Arc::clone(&target.target),
        limits,
        price,
        Arc::clone(&writer),
        Arc::clone(progress),
        interrupt.token.clone(),
    ));
    let planned = Planner {
        asking,
        writer: &writer,
        jobs: &jobs,
        progress: progress.as_ref(),
    }
    .walk();
    drop(jobs);
    let end = runtime.block_on(running);
    runtime.shutdown_background();
    let written = Arc::into_inner(writer).map_or(Ok(()), Writer::finish);
    progress.on(&Event::Done);
    let mut end = end.map_err(|error| Problem::new(format!("the run stage failed: {error}")))?;
    planned?;
    if let Err(message) = written
        && !matches!(end.ended, Ended::StoreFailed(_))
    {
        end.ended = Ended::StoreFailed(message);
    }
    Ok(end)
}

/// Walks the selected cases and hands out what is still needed.
struct Planner<'a> {
    asking: &'a Asking<'a>,
    writer: &'a Writer,
    jobs: &'a mpsc::Sender<Job>,
    progress: &'a dyn Progress,
}

/// A case's request in one arm, shared by its repeats.
struct Rendered {
    request: Arc<Request>,
    body: Arc<[u8]>,
}

/// Why the walk ends before its end.
enum Halt {
    /// The run stage takes no more jobs; it knows why.
    RunEnded,
    /// The store can't be read.
    Store(StoreError),
    /// A case that rendered in the first pass does not render now.
    Render(Problem),
}

impl Planner<'_> {
    fn walk(&self) -> Result<(), Error> {
        let Asking {
            selection,
            survey,
            rules,
            ..
        } = self.asking;
        let mut walk = selection.walk();
        let mut index = 0;
        let mut halt = None;
        survey.dataset.stream(*rules, &mut |case| {
            if !walk.selects(&case) {
                return ControlFlow::Continue(());
            }
            let outcome = self.case(&case, index);
            index += 1;
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(why) => {
                    halt = Some(why);
                    ControlFlow::Break(())
                }
            }
        })?;
        match halt {
            None | Some(Halt::RunEnded) => Ok(()),
            Some(Halt::Store(error)) => Err(Error::StoreFailed(store_problem(&error))),
            Some(Halt::Render(problem)) => Err(problem.into()),
        }
    }

    fn case(&self, case: &Case, index: u64) -> Result<(), Halt> {
        let Asking { survey, plan, .. } = self.asking;
        if survey.identical && !case.critical {
            return Ok(());
        }
        let baseline = self.render(case, Arm::Baseline)?;
        let candidate = self.render(case, Arm::Candidate)?;
        let same = match (&baseline, &candidate) {
            (Some(blue), Some(green)) => blue.body == green.body && blue.request.model == green.request.model,
            _ => false,
        };
        let first = plan.first(index);
        let arms = plan.arms().len();
        let mut pair: Vec<(Job, Option<Cached>)> = Vec::with_capacity(arms);
        for (offset, (repeat, arm)) in plan.answers().enumerate() {
            let rendered = match arm {
                Arm::Baseline => &baseline,
                Arm::Candidate => &candidate,
            };
            if let Some(rendered) = rendered
                && !(survey.identical && arm == Arm::Baseline)
            {
                let job = self.job(case, rendered, first + offset as u64, repeat, arm, same);
                let cached = self.cached(&job)?;
                pair.push((job, cached));
            }
            if (offset + 1) % arms == 0 {
                self.hand_out(&mut pair)?;
            }
        }
        Ok(())
    }

    fn render(&self, case: &Case, arm: Arm) -> Result<Option<Rendered>, Halt> {
        let Some(version) = self.asking.versions.arm(arm) else {
            return Ok(None);
        };
        let request = version.render(case).map_err(Halt::Render)?;
        let body = gemini::body(&request).into();
        Ok(Some(Rendered {
            request: Arc::new(request),
            body,
        }))
    }

    fn job(&self, case: &Case, rendered: &Rendered, seq: u64, repeat: u32, arm: Arm, same: bool) -> Job {
        let Rendered { request, body } = rendered;
        let target = &self.asking.target.identity;
        let key = identity(
            target,
            &request.model,
            body,
            case.id.as_str(),
            repeat,
            same.then_some(arm),
        );
        Job {
            seq,
            case: case.id.clone(),
            arm,
            repeat,
            request: Arc::clone(request),
            body: Arc::clone(body),
            key,
        }
    }

    fn cached(&self, job: &Job) -> Result<Option<Cached>, Halt> {
        let Asking {
            settings,
            store,
            target,
            ..
        } = self.asking;
        match settings.cache {
            Cache::Use | Cache::Only if target.reusable => store.cached(&job.key).map_err(Halt::Store),
            Cache::Use | Cache::Only | Cache::Refresh | Cache::Off => Ok(None),
        }
    }

    /// Reuses or sends the answers of one repeat, both arms together.
    fn hand_out(&self, pair: &mut Vec<(Job, Option<Cached>)>) -> Result<(), Halt> {
        let Asking {
            settings, store, run, ..
        } = self.asking;
        if settings.cache != Cache::Only && pair.len() == 2 {
            let now = OffsetDateTime::now_utc().unix_timestamp();
            let (blue, green) = coherent(pair[0].1, pair[1].1, now);
            pair[0].1 = blue;
            pair[1].1 = green;
        }
        for (job, cached) in pair.drain(..) {
            if run.resumed > 0 && store.answered(run.id, job.seq).map_err(Halt::Store)? {
                self.progress.on(&Event::Reused);
                continue;
            }
            match cached {
                Some(cached) => {
                    self.writer.reuse(job.seq, cached).map_err(|_| Halt::RunEnded)?;
                    self.progress.on(&Event::Reused);
                }
                None if settings.cache == Cache::Only => self.not_cached(job)?,
                None => self.jobs.blocking_send(job).map_err(|_| Halt::RunEnded)?,
            }
        }
        Ok(())
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
            job,
            result: Err(failure),
            attempts: 0,
            source: Source::Cache,
        };
        self.writer.settle(arrival).map_err(|_| Halt::RunEnded)
    }
}

/// Which stored answers of a pair may stand side by side: none that is more than a day away from its partner, whose time is
/// `now` if it has to be asked.
fn coherent(blue: Option<Cached>, green: Option<Cached>, now: i64) -> (Option<Cached>, Option<Cached>) {
    let fresh = |cached: Cached| (now - cached.created_at <= DAY).then_some(cached);
    match (blue, green) {
        (Some(b), Some(g)) if (b.created_at - g.created_at).abs() <= DAY => (blue, green),
        (blue, green) => {
            // One of them will be asked now, so the other has to be fresh; if both are stored, the older one goes.
            let (blue, green) = match (blue, green) {
                (Some(b), Some(g)) if b.created_at < g.created_at => (None, Some(g)),
                (Some(b), Some(_)) => (Some(b), None),
                other => other,
            };
            (blue.and_then(fresh), green.and_then(fresh))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_answers_of_a_pair_lie_at_most_a_day_apart() {
        let at = |created_at| {
            Some(Cached {
                answer: created_at,
                created_at,
            })
        };
        let now = 1_000_000;
        let old = now - DAY - 1;
        for (blue, green, expected) in [
            (None, None, (None, None)),
            (at(now - 5), None, (at(now - 5), None)),
            (at(old), None, (None, None)),
            (None, at(old), (None, None)),
            (at(old), at(old + 10), (at(old), at(old + 10))),
            (at(old), at(now), (None, at(now))),
            (at(now), at(old), (at(now), None)),
            (at(old - 2 * DAY), at(old), (None, None)),
        ] {
            assert_eq!(coherent(blue, green, now), expected, "{blue:?} {green:?}");
        }
    }
}
