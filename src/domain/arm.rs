//! The two versions of a comparison.

use serde::{Deserialize, Serialize};
use std::fmt;

string_enum! {
    /// Which of the two versions.
    pub enum Arm {
        /// Blue: the version serving now.
        Baseline = "baseline",
        /// Green: the version that wants to go live.
        Candidate = "candidate",
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value for each arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arms<T> {
    /// Of the baseline.
    pub baseline: T,
    /// Of the candidate.
    pub candidate: T,
}
