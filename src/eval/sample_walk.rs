//! The walk over the planned answers, with what the store has of each: request phases send by it, a dry run counts by it.

use super::cases::{CaseSource, KeptCases};
use super::context::EvalContext;
use super::phase::{MustPassRetries, Phase};
use crate::config::Cache;
use crate::domain::{Arm, Case, Job, Problem, Request};
use crate::error::Error;
use crate::plan::identity;
use crate::store::{CachedAnswer, DAY, OpenRun, Store, StoreError};
use std::ops::ControlFlow;
use std::sync::Arc;
use time::OffsetDateTime;

/// A walk over the planned answers of one phase.
pub(crate) struct SampleWalk<'a> {
    pub(crate) context: &'a EvalContext<'a>,
    /// `None` without a store yet.
    pub(crate) store: Option<&'a Store>,
    /// `None` before a run was begun.
    pub(crate) run: Option<&'a OpenRun>,
    pub(crate) retries: &'a MustPassRetries,
    pub(crate) phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheLookup {
    /// The run itself has it, from before it was interrupted.
    Resumed(CachedAnswer),
    /// An earlier answer may be used again.
    Stored(CachedAnswer),
    Missing,
}

impl CacheLookup {
    fn created_at(self) -> Option<i64> {
        match self {
            CacheLookup::Resumed(answer) | CacheLookup::Stored(answer) => Some(answer.created_at),
            CacheLookup::Missing => None,
        }
    }
}

/// A case's request in one arm, shared by its repeats.
struct RenderedRequest {
    arm: Arm,
    request: Arc<Request>,
    body: Arc<[u8]>,
}

/// Why the walk stops before its end.
pub(crate) enum StopWalk {
    /// The runner takes no more jobs, and knows why.
    RunEnded,
    /// The store can't be read.
    Store(StoreError),
    /// A case that the survey rendered does not render now.
    Render(Problem),
}

impl From<StoreError> for StopWalk {
    fn from(error: StoreError) -> StopWalk {
        StopWalk::Store(error)
    }
}

/// Receives each planned answer, in plan order.
pub(crate) type Visitor<'a> = dyn FnMut(&Case, Job, CacheLookup) -> Result<(), StopWalk> + 'a;

impl SampleWalk<'_> {
    /// Visits the planned answers of the phase, and keeps the cases that are needed again. Returns why the store could not be
    /// read to the end.
    pub(crate) fn walk(
        &self,
        source: CaseSource<'_>,
        mut keep: Option<&mut KeptCases>,
        visit: &mut Visitor<'_>,
    ) -> Result<Option<String>, Error> {
        let mut stop = None;
        self.context.each_case(source, &mut |index, case| {
            if let Some(kept) = &mut keep {
                kept.offer(index, &case);
            }
            match self.case(&case, index, visit) {
                Ok(()) => ControlFlow::Continue(()),
                Err(why) => {
                    stop = Some(why);
                    ControlFlow::Break(())
                }
            }
        })?;
        match stop {
            None | Some(StopWalk::RunEnded) => Ok(None),
            Some(StopWalk::Store(error)) => Ok(Some(error.to_string())),
            Some(StopWalk::Render(problem)) => Err(problem.into()),
        }
    }

    fn case(&self, case: &Case, index: u64, visit: &mut Visitor<'_>) -> Result<(), StopWalk> {
        let EvalContext { survey, plan, .. } = self.context;
        let included = self.phase.includes(case, index, survey.schedule.as_ref(), self.retries);
        if !included || self.context.leaves_out(case) {
            return Ok(());
        }
        let baseline = self.render(case, Arm::Baseline)?;
        let candidate = self.render(case, Arm::Candidate)?;
        let same = match (&baseline, &candidate) {
            (Some(one), Some(other)) => one.body == other.body && one.request.model == other.request.model,
            _ => false,
        };
        if self.phase != Phase::Confirmation {
            let first = plan.first(index);
            let arms = plan.arms().len();
            let mut pair: Vec<(Job, CacheLookup)> = Vec::with_capacity(arms);
            for (offset, (repeat, arm)) in plan.answers().enumerate() {
                let rendered = match arm {
                    Arm::Baseline => baseline.as_ref().filter(|_| !survey.identical),
                    Arm::Candidate => candidate.as_ref(),
                };
                if let Some(rendered) = rendered {
                    let job = self.job(case, rendered, first + offset as u64, repeat, same);
                    let stored = self.stored(&job, index)?;
                    pair.push((job, stored));
                }
                if (offset + 1) % arms == 0 {
                    self.visit_pair(case, &mut pair, visit)?;
                }
            }
        }
        let Some(rendered) = &candidate else { return Ok(()) };
        for repeat in plan.repeats + 1..=self.retries.answers(plan, case, index) {
            let seq = plan.beyond(survey.selected, index, repeat);
            let job = self.job(case, rendered, seq, repeat, same);
            let stored = self.stored(&job, index)?;
            visit(case, job, stored)?;
        }
        Ok(())
    }

    fn render(&self, case: &Case, arm: Arm) -> Result<Option<RenderedRequest>, StopWalk> {
        let Some(version) = self.context.versions.arm(arm) else {
            return Ok(None);
        };
        let request = version.render(case).map_err(StopWalk::Render)?;
        let body = self.context.target(arm).encoder.body(&request).into();
        Ok(Some(RenderedRequest { arm, request: Arc::new(request), body }))
    }

    /// An answer is shared by the arms unless both render the same request: then each arm has its own.
    fn job(&self, case: &Case, rendered: &RenderedRequest, seq: u64, repeat: u32, same: bool) -> Job {
        let RenderedRequest { arm, request, body } = rendered;
        let target = &self.context.target(*arm).identity;
        let arm_of_key = same.then_some(*arm);
        Job {
            seq,
            case: case.id.clone(),
            arm: *arm,
            repeat,
            request: Arc::clone(request),
            body: Arc::clone(body),
            later: Vec::new(),
            key: identity(target, &request.model, body, case.id.as_str(), repeat, arm_of_key),
        }
    }

    /// The answer that the run has, that was shown, or that an earlier run of the invocation or the cache has.
    fn stored(&self, job: &Job, index: u64) -> Result<CacheLookup, StopWalk> {
        let Some(store) = self.store else { return Ok(CacheLookup::Missing) };
        let context = self.context;
        let target = context.target(job.arm);
        if let Some(run) = self.run
            && run.resumed > 0
            && let Some(answer) = store.answered(run.id.number(), job.seq, &target.identity)?
        {
            return Ok(CacheLookup::Resumed(answer));
        }
        let cache = context.settings.limits.cache;
        if let Some(question) = context.rerun.question(index, cache)
            && let Some(answer) = store.shown(question, job, &target.identity)?
        {
            return Ok(CacheLookup::Stored(answer));
        }
        let versions = (&context.versions, target.identity.as_str());
        if let Some(answer) = context.prior.answer(store, job, &context.plan, versions)? {
            return Ok(CacheLookup::Stored(answer));
        }
        let cached = match cache {
            Cache::Use | Cache::Only if target.reusable && !context.rerun.ignores_cache() => store.cached(job)?,
            Cache::Use | Cache::Only | Cache::Refresh | Cache::Off => None,
        };
        Ok(cached.map_or(CacheLookup::Missing, CacheLookup::Stored))
    }

    /// Visits the answers of one repeat, both arms together.
    fn visit_pair(
        &self,
        case: &Case,
        pair: &mut Vec<(Job, CacheLookup)>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), StopWalk> {
        if let [(_, baseline), (_, candidate)] = pair.as_mut_slice()
            && self.context.settings.limits.cache != Cache::Only
        {
            let now = OffsetDateTime::now_utc().unix_timestamp();
            (*baseline, *candidate) = coherent(*baseline, *candidate, now);
        }
        for (job, stored) in pair.drain(..) {
            visit(case, job, stored)?;
        }
        Ok(())
    }
}

/// Which stored answers of a pair may stand side by side: none that is more than a day away from its partner, whose time is
/// `now` if it has to be requested.
fn coherent(baseline: CacheLookup, candidate: CacheLookup, now: i64) -> (CacheLookup, CacheLookup) {
    let ages = (baseline.created_at(), candidate.created_at());
    if let (Some(b), Some(c)) = ages
        && (b - c).abs() <= DAY
    {
        return (baseline, candidate);
    }
    // The older one goes and is requested now, so the one that is left has to be fresh.
    let stays = |own: Option<i64>, other: Option<i64>| own > other && own.is_some_and(|own| now - own <= DAY);
    let (b, c) = ages;
    let keep = |lookup, stays: bool| if stays { lookup } else { CacheLookup::Missing };
    (keep(baseline, stays(b, c)), keep(candidate, stays(c, b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_answers_of_a_pair_lie_at_most_a_day_apart() {
        let at = |created_at| {
            let answer = CachedAnswer { answer: created_at, created_at };
            CacheLookup::Stored(answer)
        };
        let none = CacheLookup::Missing;
        let now = 1_000_000;
        let old = now - DAY - 1;
        for (baseline, candidate, expected) in [
            (none, none, (none, none)),
            (at(now - 5), none, (at(now - 5), none)),
            (at(old), none, (none, none)),
            (none, at(old), (none, none)),
            (at(old), at(old + 10), (at(old), at(old + 10))),
            (at(old), at(now), (none, at(now))),
            (at(now), at(old), (at(now), none)),
            (at(old - 2 * DAY), at(old), (none, none)),
        ] {
            assert_eq!(coherent(baseline, candidate, now), expected, "{baseline:?} {candidate:?}");
        }
    }
}
