//! The replies of judges and the vectors of texts, and the questions that have none yet. Judging is pure, so what a check
//! wants to ask is written down while it can't judge; whoever can ask does so, and judges again.

use crate::domain::{Failure, FailureKind, Meaning, Question, Replies};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is known, and what was asked in vain. As large as the questions of one batch of answers.
#[derive(Debug, Default)]
pub struct ReplyCache {
    replies: HashMap<[u8; 32], Result<String, Failure>>,
    vectors: HashMap<[u8; 32], Result<Arc<[f32]>, Failure>>,
    pending: Mutex<Pending>,
}

/// What had no reply, each once, in an order that depends on nothing else.
#[derive(Debug, Default)]
struct Pending {
    questions: BTreeMap<[u8; 32], Question>,
    meanings: BTreeMap<[u8; 32], Meaning>,
}

impl ReplyCache {
    /// The questions and the texts that had no reply since the last call.
    pub fn take_missing(&self) -> (Vec<Question>, Vec<Meaning>) {
        let Pending { questions, meanings } = std::mem::take(&mut *self.pending());
        (questions.into_values().collect(), meanings.into_values().collect())
    }

    pub fn note(&mut self, question: &Question, reply: Result<String, Failure>) {
        self.replies.insert(question.digest(), reply);
    }

    pub fn note_vector(&mut self, meaning: &Meaning, vector: Result<Arc<[f32]>, Failure>) {
        self.vectors.insert(meaning.digest(), vector);
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_asked(who: &str) -> Failure {
    Failure { kind: FailureKind::Missing, code: "not_asked".to_owned(), message: format!("{who} was not asked") }
}

impl Replies for ReplyCache {
    fn reply(&self, question: &Question) -> Result<String, Failure> {
        let digest = question.digest();
        if let Some(known) = self.replies.get(&digest) {
            return known.clone();
        }
        self.pending().questions.entry(digest).or_insert_with(|| question.clone());
        Err(not_asked("the judge"))
    }

    fn vector(&self, meaning: &Meaning) -> Result<Arc<[f32]>, Failure> {
        let digest = meaning.digest();
        if let Some(known) = self.vectors.get(&digest) {
            return known.clone();
        }
        self.pending().meanings.entry(digest).or_insert_with(|| meaning.clone());
        Err(not_asked("the model of embeddings"))
    }
}
