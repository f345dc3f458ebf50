//! The batch jobs that wait at a service: listing them, and cancelling them on request.

use crate::config::BatchService;
use crate::domain::{Failure, Problem};
use crate::error::Error;
use crate::eval::runtime;
use crate::eval::store_folder::store_folder;
use crate::provider::{ProviderConfig, Target};
use crate::store::{Store, WaitingBatch};
use std::path::Path;

#[derive(Debug)]
pub struct CancelReport {
    pub job: WaitingBatch,
    pub outcome: CancelOutcome,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CancelOutcome {
    Cancelled,
    /// It had finished already: its answers are paid for, and `--resume` collects them.
    Finished,
    /// The service did not take it.
    Failed(Failure),
}

/// The batch jobs that wait, of all runs in the store; none if there is no store.
pub fn waiting(root: &Path) -> Result<Vec<WaitingBatch>, Error> {
    match Store::open_existing(&store_folder(root)?)? {
        Some(store) => Ok(store.waiting_batches()?),
        None => Ok(Vec::new()),
    }
}

/// Cancels the jobs of these names at a service, or all of them without names, and forgets them: `--resume` asks anew for
/// what they held. A job that the service does not know any more counts as cancelled.
pub fn cancel(root: &Path, at: &BatchService, names: &[String]) -> Result<Vec<CancelReport>, Error> {
    let Some(store) = Store::open_existing(&store_folder(root)?)? else {
        return Ok(Vec::new());
    };
    let target = (at.target.def().open)(&ProviderConfig {
        base_url: at.base_url.clone(),
        api_version: Some(at.api_version.clone()),
        batched: true,
        key: at.key.clone(),
        timeout: at.timeout,
        concurrency: 1,
        ..ProviderConfig::default()
    })?;
    let Target { batches: Some(client), base_url: url, identity, .. } = &target else {
        return Err(Problem::new("this target takes no batches").into());
    };
    let mut jobs = store.waiting_batches()?;
    jobs.retain(|job| job.target == *identity);
    for name in names {
        if !jobs.iter().any(|job| job.is_called(name)) {
            let message = format!("`{name}` is no batch job that waits at {url}");
            return Err(Problem::new(message)
                .hint("`promptgate batch list` shows the jobs and where they wait")
                .into());
        }
    }
    jobs.retain(|job| names.is_empty() || names.iter().any(|name| job.is_called(name)));
    let runtime = runtime::single_threaded()?;
    let mut cancelled = Vec::new();
    for job in jobs {
        let request = client.cancel(job.name.as_deref(), &job.label, job.file.as_deref(), at.timeout);
        let outcome = match runtime.block_on(request) {
            Ok(true) => CancelOutcome::Cancelled,
            Ok(false) => CancelOutcome::Finished,
            Err(failure) => CancelOutcome::Failed(failure),
        };
        // A process that waits for it will see that it was cancelled, and forget it itself.
        if outcome == CancelOutcome::Cancelled && !store.is_in_use(&job)? {
            store.forget_batch(job.id)?;
        }
        cancelled.push(CancelReport { job, outcome });
    }
    Ok(cancelled)
}
