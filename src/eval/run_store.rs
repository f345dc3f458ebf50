//! Which run of the store an invocation works on: a new one, or an unfinished one of the same plan.

use super::context::EvalContext;
use super::phase::MustPassRetries;
use crate::domain::Problem;
use crate::error::Error;
use crate::store::{OpenRun, RunInUse, RunPlan, Store, WaitingBatch};

/// Opens the run; with batch jobs no other process may work on the same plan.
///
/// # Errors
/// The store can't be used, or another process works on the plan.
pub(crate) fn open_run(context: &EvalContext<'_>, store: &Store, print: &dyn Fn(&str)) -> Result<OpenRun, Error> {
    let plan = context.plan_digest();
    if context.settings.provider.batch.is_none() {
        return resume_or_begin(context, store, &plan, print);
    }
    let in_use = |RunInUse { run }| {
        Problem::new(format!("another process works on run {run}, which has this plan"))
            .expected("one run at a time, so that no request of a batch job is paid for twice")
            .hint("wait until it ends, or interrupt it; --resume goes on where it was")
    };
    if let Some(run) = store.batches_in_use(&plan)? {
        return Err(in_use(run).into());
    }
    let run = resume_or_begin(context, store, &plan, print)?;
    match store.take_over_batches(&run, &plan)? {
        Ok(0) => {}
        Ok(adopted) => print(&format!(
            "{} of an earlier run with this plan wait at the service; nothing in them is asked again",
            batch_jobs(adopted)
        )),
        Err(run) => return Err(in_use(run).into()),
    }
    Ok(run)
}

fn resume_or_begin(
    context: &EvalContext<'_>,
    store: &Store,
    plan: &[u8; 32],
    print: &dyn Fn(&str),
) -> Result<OpenRun, Error> {
    if context.settings.continuation.resume {
        if let Some(run) = store.resume(plan)? {
            print(&format!("resuming an unfinished run: {} answers are there already", run.resumed));
            return Ok(run);
        }
        print("nothing to resume: no unfinished run has this plan; starting anew");
    }
    let retries = MustPassRetries::new(context.settings);
    Ok(store.begin(&RunPlan {
        plan: *plan,
        candidate: context.info.candidate.name.clone(),
        baseline: context.info.baseline.as_ref().map(|info| info.name.clone()),
        target: context.targets.identity(),
        answers: context.survey.answers(&context.plan, retries.min_answers()),
    })?)
}

/// Reports the batch jobs of the run that go on at the service.
pub(crate) fn report_waiting_jobs(store: &Store, run: &OpenRun, print: &dyn Fn(&str)) {
    let waiting = match store.waiting_batches() {
        Ok(waiting) => waiting,
        Err(error) => return print(&format!("warning: {error}")),
    };
    let of_run: Vec<&WaitingBatch> = waiting.iter().filter(|batch| batch.is_of(run.id)).collect();
    let names: Vec<&str> = of_run.iter().filter_map(|batch| batch.name.as_deref()).collect();
    if !of_run.is_empty() {
        print(&format!(
            "{} may go on at the service ({}{}): --resume collects the answers, `promptgate batch cancel` ends it all",
            batch_jobs(of_run.len()),
            names.iter().take(3).copied().collect::<Vec<_>>().join(", "),
            if of_run.len() > 3 { ", …" } else { "" }
        ));
    }
}

/// `1 batch job`, `2 batch jobs`.
fn batch_jobs(count: usize) -> String {
    match count {
        1 => "1 batch job".to_owned(),
        count => format!("{count} batch jobs"),
    }
}
