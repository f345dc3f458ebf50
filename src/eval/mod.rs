//! The arrow itself: load → plan → run → score → compare → gate → report.
//!
//! [`prepare`](mod@prepare) works out what is to be done, [`run`] does it. That takes three passes over the golden files, none of which
//! holds more than a batch of them:
//!
//! 1. [`survey`] validates everything, renders every selected case, and digests what is tested. Nothing is sent before it
//!    has found no mistake.
//! 2. [`request_pass`] asks for every planned answer that the store does not have; [`sample_walk`] walks over them,
//!    [`forecast`] only counts.
//! 3. [`score_pass`] reads the answers back in plan order, scores them on all cores, compares, and feeds the reports.
//!
//! Then the gate decides, and the reports are put in place, verdict.json last.

pub(crate) mod approvals;
pub(crate) mod calibration;
mod candidates;
pub(crate) mod embeddings;
pub(crate) mod fingerprint;
mod forecast;
mod history;
mod interrupt;
pub(crate) mod judges;
mod must_pass;
pub(crate) mod policy_diff;
mod power;
pub(crate) mod prepare;
mod prior_runs;
pub(crate) mod request_pass;
pub(crate) mod reruns;
mod resume;
mod run;
pub(crate) mod sample_walk;
pub(crate) mod score_pass;
pub(crate) mod sequential;
pub(crate) mod survey;
pub(crate) mod target;
mod verdict;

pub use crate::domain::bare_name;
pub use crate::gate::preflight::Outlook;
pub use candidates::{FinishedAll, Watching, each_candidate, eval_all, forecast_all, prepare_all};
pub use forecast::{ArmForecast, Estimate, Forecast, JudgesForecast};
pub use interrupt::Interrupt;
pub use prepare::{Prepared, Version, library, prepare, prepare_among};
pub use run::Finished;
pub use target::open_prompt;

use crate::domain::Problem;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The folder of the store, below the project root.
pub(crate) const STORE: &str = ".promptgate";

/// For a few calls, one after the other.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("the runtime can't start: {error}")))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 3339 in UTC, whole seconds.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0)
        .unwrap_or(now)
        .format(&Rfc3339)
        .unwrap_or_default()
}
