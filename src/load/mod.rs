//! Golden files and prompts, and golden data of other tools.

pub mod golden;
pub mod import;
pub mod prompt;
