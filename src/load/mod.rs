//! Golden files and prompts, golden data of other tools, and what an earlier run left.

pub mod evidence;
pub mod git;
pub mod golden;
pub mod import;
pub mod prompt;
