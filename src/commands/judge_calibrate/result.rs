//! What a calibration of judges came to.

use crate::domain::{Agreement, JudgeUse, JudgesRecord, Place};
use std::path::PathBuf;

/// A share, and its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateEstimate {
    /// The share; 0..=1.
    pub share: f64,
    /// Lower end, by Wilson.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// An answer of which a judge says another thing than people, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The case.
    pub case: String,
    /// Where it stands.
    pub place: Place,
    /// The answer.
    pub answer: String,
    /// People let it pass.
    pub people: bool,
    /// The judge lets it pass; `None` if it said nothing that counts.
    pub judge: Option<bool>,
    /// What the judge said.
    pub reason: String,
}

/// What came of one judge.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgeResult {
    /// Which, asked how.
    pub asked: JudgeUse,
    /// The model asked for.
    pub model: String,
    /// Digest of its prompt.
    pub prompt_sha256: String,
    /// Its word against people's.
    pub counts: Agreement,
    /// Share of what people let pass that it lets pass.
    pub sensitivity: RateEstimate,
    /// Share of what people do not let pass that it does not.
    pub specificity: RateEstimate,
    /// Youden's J.
    pub youden: f64,
    /// Its one-sided lower bound, of the policy's alpha.
    pub youden_low: f64,
    /// What the margin and the tolerance of the policy become: the margin times the bound, the tolerance times the estimate.
    /// `None` for a judge with which the gate decides nothing.
    pub margins: Option<(f64, f64)>,
    /// The first of them.
    pub disagreements: Vec<Disagreement>,
    /// How many there are beside those.
    pub more: u64,
}

/// What a calibration came to.
#[derive(Clone, Debug)]
pub struct JudgeCalibration {
    /// The judges, in order.
    pub judges: Vec<JudgeResult>,
    /// What asking took.
    pub asked: JudgesRecord,
    /// A judge was a simulator.
    pub simulated: bool,
    /// The file, if it was written.
    pub written: Option<PathBuf>,
    /// Why it was not, all reasons.
    pub unwritten: Vec<String>,
    /// 0 only if the file was written.
    pub exit_code: u8,
}
