//! Golden files and prompts, golden data of other tools, calibrations of judges, and what an earlier run left.

pub mod calibration;
pub mod evidence;
pub mod git;
pub mod golden;
pub mod import;
pub mod prompt;
