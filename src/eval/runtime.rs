//! The asynchronous runtimes that requests are sent on.

use crate::domain::Problem;
use crate::error::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

pub(crate) fn single_threaded() -> Result<Runtime, Problem> {
    Builder::new_current_thread().enable_all().build().map_err(cannot_start)
}

pub(super) fn workers(name: &str) -> Result<Runtime, Problem> {
    Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build().map_err(cannot_start)
}

fn cannot_start(error: std::io::Error) -> Problem {
    Problem::new(format!("the runtime can't start: {error}"))
}

/// Waits for a task that nobody aborts. One that panicked is a bug, which must not look like a verdict.
pub(super) fn wait<T>(runtime: &Runtime, task: JoinHandle<T>, what: &str) -> Result<T, Error> {
    runtime.block_on(task).map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Error::StoreFailed(Problem::new(format!("{what} was aborted: {error}"))),
    })
}
