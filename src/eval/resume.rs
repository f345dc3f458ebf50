//! Which run of the store a call works on: a new one, or an unfinished one of the same plan.

use super::must_pass::Confirming;
use super::prepare::Prepared;
use crate::domain::{Problem, digest};
use crate::error::Error;
use crate::store::{OpenRun, RunInUse, RunPlan, Store, WaitingBatch};

impl Prepared<'_> {
    /// Tells of batch jobs that go on at the service.
    pub(crate) fn tell_of_jobs(&self, store: &Store, run: &OpenRun, say: &dyn Fn(&str)) {
        let waiting = match store.waiting_batches() {
            Ok(waiting) => waiting,
            Err(error) => return say(&format!("warning: {error}")),
        };
        let of_run: Vec<&WaitingBatch> = waiting.iter().filter(|batch| batch.is_of(run.id)).collect();
        let names: Vec<&str> = of_run.iter().filter_map(|batch| batch.name.as_deref()).collect();
        if !of_run.is_empty() {
            say(&format!(
                "{} may go on at the service ({}{}): --resume collects the answers, `promptgate batch cancel` ends it all",
                jobs(of_run.len()),
                names.iter().take(3).copied().collect::<Vec<_>>().join(", "),
                if of_run.len() > 3 { ", …" } else { "" }
            ));
        }
    }

    /// Runs with equal digests can resume each other.
    pub(crate) fn plan_digest(&self) -> [u8; 32] {
        digest([
            b"promptgate.plan/1".as_slice(),
            &self.survey.key,
            &self.plan.repeats.to_le_bytes(),
            &[u8::from(self.plan.baseline), self.settings.run.cache as u8],
            &self.survey.selected.to_le_bytes(),
        ])
    }

    pub(crate) fn open_run(&self, store: &Store, say: &dyn Fn(&str)) -> Result<OpenRun, Error> {
        let plan = self.plan_digest();
        if self.settings.provider.batch.is_none() {
            return self.resume_or_begin(store, &plan, say);
        }
        let in_use = |RunInUse { run }| {
            Problem::new(format!("another process works on run {run}, which has this plan"))
                .expected("one run at a time, so that no request of a batch job is paid for twice")
                .hint("wait until it ends, or interrupt it; --resume goes on where it was")
        };
        if let Some(run) = store.batches_in_use(&plan)? {
            return Err(in_use(run).into());
        }
        let run = self.resume_or_begin(store, &plan, say)?;
        match store.take_over_batches(&run, &plan)? {
            Ok(0) => {}
            Ok(taken) => say(&format!(
                "{} of an earlier run with this plan wait at the service; nothing in them is asked again",
                jobs(taken)
            )),
            Err(run) => return Err(in_use(run).into()),
        }
        Ok(run)
    }

    fn resume_or_begin(&self, store: &Store, plan: &[u8; 32], say: &dyn Fn(&str)) -> Result<OpenRun, Error> {
        if self.settings.run.resume {
            if let Some(run) = store.resume(plan)? {
                say(&format!(
                    "resuming an unfinished run: {} answers are there already",
                    run.resumed
                ));
                return Ok(run);
            }
            say("nothing to resume: no unfinished run has this plan; starting anew");
        }
        Ok(store.begin(&RunPlan {
            plan: *plan,
            candidate: self.run.candidate.name.clone(),
            baseline: self.run.baseline.as_ref().map(|info| info.name.clone()),
            target: self.target.identity.clone(),
            answers: self.survey.answers(&self.plan, Confirming::new(self.settings).least()),
        })?)
    }
}

/// `1 batch job`, `2 batch jobs`.
fn jobs(count: usize) -> String {
    match count {
        1 => "1 batch job".to_owned(),
        count => format!("{count} batch jobs"),
    }
}
