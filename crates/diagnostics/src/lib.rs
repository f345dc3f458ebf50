//! Mistakes in what a user wrote, each with its place, what was expected and what to do.

pub mod yaml;

mod problem;
mod spot;

pub use problem::{Place, Problem, nearest};
pub use spot::{Spot, Step};
