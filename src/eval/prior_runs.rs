//! What the runs of one invocation have in common: answers of earlier ones, and what is left of the limits.
//!
//! The baseline is requested with the first candidate that needs it. Answers that came since the invocation began are reused by
//! the candidates after it, and so are those of a candidate with the same digest, whatever `--cache` says: to ask them again
//! would show each candidate another baseline. Answers that were there before the invocation are the cache's business alone.

use super::versions::{Version, Versions};
use crate::domain::{Arm, Job};
use crate::plan::Plan;
use crate::runner::Spend;
use crate::store::{CachedAnswer, Store, StoreError};
use std::sync::Arc;

/// What a run is given of the invocation that it is a part of. An invocation with one run has nothing to give.
#[derive(Clone, Debug, Default)]
pub(crate) struct PriorRuns {
    /// What earlier runs took of the limits.
    pub(crate) spent: Spend,
    /// The newest answer that was there when the invocation began.
    pub(crate) since: i64,
    /// Earlier runs, oldest first.
    pub(crate) runs: Vec<Arc<PriorRun>>,
}

/// An earlier run of the same cases.
#[derive(Debug)]
pub(crate) struct PriorRun {
    run: i64,
    plan: Plan,
    candidate: String,
    model: String,
}

impl PriorRun {
    pub(crate) fn new(run: i64, plan: Plan, versions: &Versions) -> PriorRun {
        let Version { prompt: _, info } = &versions.candidate;
        PriorRun { run, plan, candidate: info.sha256.clone(), model: info.model.clone() }
    }

    /// Where it has the answer to a job of another run, if it was planned there.
    fn position(&self, job: &Job, plan: &Plan, candidate: &Version) -> Option<u64> {
        let info = &candidate.info;
        let same = match job.arm {
            Arm::Baseline => true,
            Arm::Candidate => self.candidate == info.sha256 && self.model == info.model,
        };
        // Beyond the plan, positions depend on more than the plan.
        if !same || self.plan.baseline != plan.baseline || job.repeat > self.plan.repeats || job.repeat > plan.repeats {
            return None;
        }
        let case = job.seq / plan.per_case();
        Some(self.plan.first(case) + job.seq % plan.per_case())
    }
}

impl PriorRuns {
    /// The answer to a job that came since the invocation began.
    pub(crate) fn answer(
        &self,
        store: &Store,
        job: &Job,
        plan: &Plan,
        (versions, target): (&Versions, &str),
    ) -> Result<Option<CachedAnswer>, StoreError> {
        for earlier in &self.runs {
            let Some(seq) = earlier.position(job, plan, &versions.candidate) else {
                continue;
            };
            let known = store.answered(earlier.run, seq, target)?;
            if let Some(known) = known.filter(|known| known.answer > self.since) {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }
}
