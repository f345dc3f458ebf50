//! Golden data of other tools, and what an earlier run left.

pub mod evidence;
pub mod import;
