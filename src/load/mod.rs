//! Golden files and prompts.

pub mod golden;
pub mod prompt;
