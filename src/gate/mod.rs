//! The gate.

pub mod fisher;
pub mod normal;
pub mod score_test;
pub mod wilson;
