//! The replies of judges, and the questions that have none yet. Judging is pure, so what a check wants to ask is written
//! down while it can't judge; whoever can ask does so, and judges again.

use crate::model::{Failure, FailureKind, Question, Replies};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Replies that are known, and questions that were asked in vain. As large as the questions of one batch of answers.
#[derive(Debug, Default)]
pub struct Asking {
    known: HashMap<[u8; 32], Result<String, Failure>>,
    wanted: Mutex<BTreeMap<[u8; 32], Question>>,
}

impl Asking {
    /// The questions that had no reply since the last call, each once, in an order that depends on nothing else.
    pub fn take_wanted(&self) -> Vec<Question> {
        std::mem::take(&mut *self.wanted()).into_values().collect()
    }

    /// Notes what came of a question.
    pub fn note(&mut self, question: &Question, reply: Result<String, Failure>) {
        self.known.insert(question.digest(), reply);
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Question>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replies for Asking {
    fn reply(&self, question: &Question) -> Result<String, Failure> {
        let digest = question.digest();
        if let Some(known) = self.known.get(&digest) {
            return known.clone();
        }
        self.wanted().entry(digest).or_insert_with(|| question.clone());
        Err(Failure {
            kind: FailureKind::Missing,
            code: "not_asked".to_owned(),
            message: "the judge was not asked".to_owned(),
        })
    }
}
