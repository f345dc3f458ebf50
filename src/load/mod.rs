//! Golden data of other tools.

pub mod import;
