//! A golden case.

use super::calibration::Label;
use super::case_id::CaseId;
use super::check::CheckSpec;
use diagnostics::Place;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

string_enum! {
    pub enum TurnRole {
        User = "user",
        Model = "model",
    }
}

/// One earlier turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    pub role: TurnRole,
    pub text: String,
}

/// The weight of a case that says nothing of it, in thousandths.
pub const WEIGHT: u32 = 1_000;

/// One golden example: inputs and expectations.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Unique over the dataset.
    pub id: CaseId,
    /// The stem of the golden file it stands in; a test suite in junit.xml.
    pub suite: Arc<str>,
    pub place: Place,
    /// Free labels, for selection and slices.
    pub tags: Vec<String>,
    /// Must pass whatever the other cases say.
    pub critical: bool,
    /// Counts like so many thousandths of a case; above 0.
    pub weight: u32,
    /// Cases of one cluster stand or fall together (paraphrases of a question, questions about one document), so that all of
    /// them are one piece of evidence.
    pub cluster: Option<Arc<str>>,
    /// Values for the prompt's template, in file order.
    pub vars: Map<String, Value>,
    /// Earlier turns, oldest first.
    pub history: Vec<Turn>,
    /// What the answer must satisfy; at least one of them decides.
    pub checks: Vec<CheckSpec>,
    /// What people said of answers to it; only judges are held against them.
    pub labels: Vec<Label>,
    pub notes: Option<String>,
}

impl Case {
    /// A case of usual weight with this id and nothing else.
    pub fn new(id: impl Into<Arc<str>>) -> Case {
        Case {
            id: CaseId::new(id),
            suite: "".into(),
            place: Place::file(""),
            tags: Vec::new(),
            critical: false,
            weight: WEIGHT,
            cluster: None,
            vars: Map::new(),
            history: Vec::new(),
            checks: Vec::new(),
            labels: Vec::new(),
            notes: None,
        }
    }
}
