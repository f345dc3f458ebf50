//! The two versions of a comparison.

use serde::{Deserialize, Serialize};
use std::fmt;

string_enum! {
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arms<T> {
    pub baseline: T,
    pub candidate: T,
}

impl<T> Arms<T> {
    pub fn of(&self, arm: Arm) -> &T {
        match arm {
            Arm::Baseline => &self.baseline,
            Arm::Candidate => &self.candidate,
        }
    }
}
