//! What a calibration of judges came to.

use crate::domain::{Agreement, JudgeUse, JudgesRecord, Place};
use serde::{Serialize, Serializer};
use std::path::PathBuf;

/// A share, and its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RateEstimate {
    pub share: f64,
    pub low: f64,
    pub high: f64,
}

/// An answer of which a judge says another thing than people, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    pub case: String,
    #[serde(serialize_with = "collect_str")]
    pub place: Place,
    pub answer: String,
    /// The label says pass.
    pub people: bool,
    /// The judge lets it pass; `None` if it said nothing that counts.
    pub judge: Option<bool>,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JudgeResult {
    pub judge_use: JudgeUse,
    pub model: String,
    pub prompt_sha256: String,
    /// Agreement with the labels.
    pub counts: Agreement,
    /// Share of what people let pass that it lets pass.
    pub sensitivity: RateEstimate,
    /// Share of what people do not let pass that it does not.
    pub specificity: RateEstimate,
    pub youden: f64,
    /// Its one-sided lower bound, of the policy's alpha.
    pub youden_low: f64,
    /// What the margin and the tolerance of the policy become: the margin times the bound, the tolerance times the estimate.
    /// `None` for a judge with which the gate decides nothing.
    pub margins: Option<(f64, f64)>,
    pub disagreements: Vec<Disagreement>,
    /// Disagreements that are not listed.
    pub more: u64,
}

#[derive(Clone, Debug)]
pub struct JudgeCalibration {
    pub judges: Vec<JudgeResult>,
    pub usage: JudgesRecord,
    pub simulated: bool,
    pub written: Option<PathBuf>,
    /// Why the file was not written.
    pub unwritten: Vec<String>,
    /// 0 only if the file was written.
    pub exit_code: u8,
}

fn collect_str<S: Serializer>(place: &Place, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(place)
}
