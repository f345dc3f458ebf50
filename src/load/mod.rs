//! Golden files and prompts.

mod git;
pub mod golden;
pub mod prompt;
