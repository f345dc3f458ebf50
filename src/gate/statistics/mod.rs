//! The statistics of the gate: pure functions of numbers, each with its formula and source. They know neither policies
//! nor verdicts.

pub mod fisher;
pub mod normal;
pub mod score_test;
pub mod wilson;
