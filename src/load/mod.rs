//! Golden files and prompts, golden data of other tools, and calibrations of judges.

pub mod calibration;
mod git;
pub mod golden;
pub mod import;
pub mod prompt;
