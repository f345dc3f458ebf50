//! The statistics of the gate: pure functions of numbers, each with its formula and source. They know neither policies
//! nor verdicts.

mod beta;
pub mod fisher;
pub mod normal;
pub mod proportions;
pub mod score_test;
pub mod student;
