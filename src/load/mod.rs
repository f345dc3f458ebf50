//! Golden files and prompts, and golden data of other tools.

mod git;
pub mod golden;
pub mod import;
pub mod prompt;
