//! Progress of a run, for whoever shows it.

use std::time::Duration;

/// Something that happened in the run stage.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The number of planned answers is known.
    Planned {
        answers: u64,
    },
    /// An answer was there already.
    Reused,
    /// An answer arrived and is stored.
    Answered {
        /// What it cost, if the price is known.
        cost_usd: Option<f64>,
    },
    /// An attempt failed and will be repeated.
    Retrying {
        code: String,
        wait: Duration,
    },
    /// The service asked for a pause, and nothing is sent meanwhile.
    Held {
        wait: Duration,
    },
    /// A look at the batch jobs that wait at the service.
    Batched {
        /// Jobs that are not finished.
        jobs: usize,
        /// Requests in them that are answered, as far as the service tells.
        answered: u64,
        requests: u64,
    },
    /// What was learnt about the service's limits has changed; nothing, where the user's own limits hold.
    Paced {
        /// Requests at once, if fewer than the user allows.
        at_once: Option<usize>,
        rpm: Option<u64>,
        tpm: Option<u64>,
    },
    Failed {
        code: String,
        message: String,
    },
    /// Something worth a line that stops nothing.
    Note {
        message: String,
    },
    /// The run stops early; what was asked is finished first.
    Stopping {
        reason: String,
    },
    Done,
}

/// Shows progress. Called from several threads, must not block.
pub trait Progress: Send + Sync {
    fn on(&self, event: &Event);
}
