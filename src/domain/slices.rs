//! Results per tag.

use super::units::Units;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    pub tag: String,
    /// Cases scored in both arms; without a baseline, in the candidate.
    pub n: u64,
    pub baseline: Option<f64>,
    pub candidate: Option<f64>,
    /// Candidate minus baseline.
    pub difference: Option<f64>,
    /// Informative.
    pub status: SliceStatus,
    pub gate: SliceGate,
    /// The chance of such a loss, or a larger one, if the tag's cases are no worse with the candidate; missing answers are
    /// best for it. `None` where nothing was tested.
    pub p: Option<f64>,
}

string_enum! {
    #[derive(Default)]
    pub enum SliceStatus {
        Better = "better",
        Same = "same",
        Worse = "worse",
        #[default]
        Unknown = "unknown",
    }
}

string_enum! {
    /// What the gate says of one tag.
    #[derive(Default)]
    pub enum SliceGate {
        /// Nothing speaks against it.
        Ok = "ok",
        /// Likely worse, or a critical tag whose loss is not excluded: no promotion.
        Hold = "hold",
        /// Demonstrated to be worse: block.
        Block = "block",
        /// Too few cases for a decision of its own.
        Unpowered = "unpowered",
        /// Not looked at: there is no difference, or nothing was decided by differences.
        #[default]
        Unknown = "unknown",
    }
}

/// The cases of one tag, counted. As with the whole run, every missing answer is counted twice over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TagSums {
    /// The rates over the cases scored in both arms; what the gate says of them is still open.
    pub slice: Slice,
    /// Candidate minus baseline per unit, when every missing answer is worst for the candidate; units and parts as in the
    /// comparison.
    pub missing_against: Units,
    /// The same with every missing answer best for the candidate.
    pub missing_for: Units,
}
