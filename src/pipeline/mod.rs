//! The arrow itself: load → plan → run → score → compare → gate → report.
//!
//! [`prepare`](mod@prepare) works out what is to be done, [`eval`] does it. That takes three passes over the golden files, none of which
//! holds more than a batch of them:
//!
//! 1. [`survey`] validates everything, renders every selected case, and digests what is tested. Nothing is sent before it
//!    has found no mistake.
//! 2. [`ask`] asks for every planned answer that the store does not have; [`planned`] walks over them, [`forecast`] only counts.
//! 3. [`judge`] reads the answers back in plan order, scores them on all cores, compares, and feeds the reports.
//!
//! Then the gate decides, and the reports are put in place, verdict.json last.
//!
//! [`golden`] is a way of its own: what can be said about golden data without any answer; [`characteristics`] another one: how
//! often the gate decides what. [`itself`] goes the same way up to judging, with one prompt in both arms.

mod approvals;
mod ask;
mod attempts;
mod batches;
mod calibrate;
mod calibration;
mod candidates;
mod changes;
mod characteristics;
mod confirm;
mod embeddings;
mod eval;
mod forecast;
mod golden;
mod import;
mod interrupt;
mod itself;
mod judge;
mod judges;
mod outlook;
mod planned;
mod prepare;
mod promote;
mod record;
mod remember;
mod replay;
mod resume;
mod runs;
mod sequential;
mod shared;
mod survey;
mod target;
mod tested;
mod verdict;
mod verify;

pub use crate::domain::bare_name;
pub use crate::gate::preflight::Outlook;
pub use crate::gate::resample::Shares;
pub use approvals::unreferenced;
pub use batches::{Came, Cancelled, cancel, waiting};
pub use calibrate::{Calibrated, CalibratedJudge, Calibrating, Disagreement, Rated};
pub use candidates::{FinishedAll, Watching, each_candidate, eval_all, forecast_all, prepare_all};
pub use characteristics::{SimulateRequest, Simulated, exact_sizes, simulate};
pub use eval::Finished;
pub use forecast::{ArmForecast, Estimate, Forecast, JudgesForecast};
pub use golden::{LintRequest, lint, stats};
pub use import::{Waiting, Written, import_golden};
pub use interrupt::Interrupt;
pub use itself::{GateCalibrated, LeastCases, prepare_itself};
pub use prepare::{Prepared, Version, library, prepare, prepare_among};
pub use promote::{PromoteRequest, Promoted, promote, roll_back};
pub use record::{Exported, Imported, export, import};
pub use replay::compare;
pub use runs::{flaky, list, recall};
pub use target::open_prompt;
pub use verify::{Verified, verify};

use crate::domain::Problem;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The folder of the store, below the project root.
const STORE: &str = ".promptgate";

/// For a few calls, one after the other.
fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("the runtime can't start: {error}")))
}

fn hex(bytes: &[u8]) -> String {
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
