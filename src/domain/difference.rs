//! The difference between the arms, and its test statistics.

use serde::{Deserialize, Deserializer, Serialize};

/// Candidate minus baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Mean over cases scored in both arms.
    #[serde(deserialize_with = "nan_for_null")]
    pub estimate: f64,
    /// Lower end; missing answers are worst for the candidate.
    #[serde(deserialize_with = "nan_for_null")]
    pub low: f64,
    /// Upper end; missing answers are best for the candidate.
    #[serde(deserialize_with = "nan_for_null")]
    pub high: f64,
    /// Two-sided confidence, 1 - 2 alpha.
    pub confidence: f64,
    pub method: Method,
}

string_enum! {
    /// How a difference and its interval are computed.
    pub enum Method {
        /// Score test of Tango, for pairs with more than two outcomes.
        Score = "generalised Tango score, continuity correction 1/2",
    }
}

/// JSON has no number that is none, so it is written as null.
fn nan_for_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZScores {
    /// Against "worse by the margin"; promotes at or above the critical value.
    #[serde(deserialize_with = "nan_for_null")]
    pub promote: f64,
    /// Against "worse by the tolerance"; blocks at or below the negative critical value.
    #[serde(deserialize_with = "nan_for_null")]
    pub block: f64,
}
