//! What a check asks of a judge, a model that reads an answer against a rubric.

use super::digest::digest;
use super::embedding::Meaning;
use super::outcome::Failure;
use serde_json::{Map, Value};
use std::fmt::Debug;
use std::sync::Arc;

string_enum! {
    /// What a judge is to say.
    pub enum ReplyForm {
        /// Whether the answer passes: `{reason, pass}`.
        PassOrFail = "pass",
        /// How good it is: `{reason, score}`, 0 to 1.
        Score = "score",
        /// Which of two answers is better: `{reason, better: first|second|equal}`.
        Preference = "better",
    }
}

/// One question. It says nothing of the arm that the answer comes from, so that no judge can favour one.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub judge: String,
    /// What it is to say.
    pub verdict: ReplyForm,
    /// Values for the judge's prompt.
    pub vars: Map<String, Value>,
    /// Which of several votes on the same, from 1.
    pub vote: u32,
}

impl Question {
    /// Identity of the question: everything but what the judge is.
    pub fn digest(&self) -> [u8; 32] {
        let vars = Value::Object(self.vars.clone()).to_string();
        digest([
            b"promptgate.question/1".as_slice(),
            self.judge.as_bytes(),
            self.verdict.as_str().as_bytes(),
            vars.as_bytes(),
            &self.vote.to_le_bytes(),
        ])
    }
}

/// Where replies of judges come from, and vectors of texts.
pub trait Replies: Debug + Sync {
    /// The reply to a question: the judge's words, not read yet.
    fn reply(&self, question: &Question) -> Result<String, Failure>;

    /// The vector of a text.
    fn vector(&self, meaning: &Meaning) -> Result<Arc<[f32]>, Failure>;
}
