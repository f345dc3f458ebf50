//! The arrow itself: load → plan → run → score → compare → gate → report.
//!
//! [`prepare`](mod@prepare) works out what is to be done, and [`run`](mod@run) does it. That reads the golden files three times, and holds
//! no more than a batch of their cases, and what [`cases`] keeps:
//!
//! 1. [`survey`] validates everything, renders every selected case, and digests what is tested. Nothing is sent before it
//!    has found no mistake.
//! 2. [`request_pass`] requests every planned answer that the store does not have; [`sample_walk`] walks over them,
//!    [`forecast`](mod@forecast) only counts. Must-pass cases that fail are requested again, and a run with interim looks sends later cases
//!    only while the gate has not decided ([`phase`]); both go by the cases that were kept.
//! 3. [`score_pass`] reads the answers back in plan order, scores them on all cores, compares, and feeds the reports.
//!
//! Then the gate decides, and the reports are put in place, verdict.json last.

pub(crate) mod approvals;
pub(crate) mod calibration;
mod candidates;
pub(crate) mod cases;
pub(crate) mod context;
mod decision;
pub(crate) mod embeddings;
pub(crate) mod fingerprint;
mod forecast;
mod history;
mod interrupt;
pub(crate) mod judge_client;
pub(crate) mod judges;
pub(crate) mod lock;
pub(crate) mod phase;
pub(crate) mod policy_diff;
mod power;
pub(crate) mod prepare;
mod prior_runs;
mod questions;
mod request_pass;
mod reruns;
mod run;
pub(crate) mod run_state;
pub(crate) mod run_store;
pub(crate) mod runtime;
pub(crate) mod sample_walk;
pub(crate) mod score_pass;
pub(crate) mod store_folder;
pub(crate) mod survey;
pub(crate) mod target;
#[cfg(test)]
mod tests;
mod usage_estimate;
mod verdict;
pub(crate) mod versions;

pub use crate::domain::bare_name;
pub use crate::gate::power::PowerEstimate;
pub use candidates::{CandidateObserver, each_candidate, eval_all, forecast_all, prepare_all};
pub use context::{EvalContext, RunKind};
pub use forecast::{ArmForecast, Forecast, JudgesForecast, forecast};
pub(crate) use history::describe;
pub use interrupt::Interrupt;
pub use lock::library;
pub use power::estimate_power;
pub use prepare::prepare;
pub use run::{RunResult, run};
pub(crate) use run::{end_requests, request};
pub use run_state::RunHooks;
pub use usage_estimate::Estimate;
pub use versions::{Version, open_prompt};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// RFC 3339 in UTC, whole seconds.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default()
}
