//! The commands beside `eval`: each one file, wired from the stages and from the parts of [`eval`](crate::eval).

mod batches;
mod files;
mod gate_calibrate;
mod golden;
mod import;
mod judge_calibrate;
mod promote;
mod record;
mod replay;
mod runs;
mod verify;

pub use crate::eval::approvals::unreferenced;
pub use crate::gate::aa_test::DecisionShares;
pub use crate::gate::simulate::{Row, Scenario, Simulation, UnitGroup};
pub use crate::stats::rule::Rule;
pub use batches::{CancelOutcome, CancelReport, cancel, waiting};
pub use gate_calibrate::{GateCalibration, gate_calibrate};
pub use golden::{LintRequest, lint, stats};
pub use import::{Import, import_golden};
pub use judge_calibrate::{CalibrationRun, Disagreement, JudgeCalibration, JudgeResult, RateEstimate};
pub use promote::{PromoteOutcome, PromoteRequest, promote, roll_back};
pub use record::{ExportSummary, ImportSummary, export, import};
pub use replay::compare;
pub use runs::{flaky, list, recall};
pub use verify::{Verification, verify};
