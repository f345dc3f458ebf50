//! What is wrong with a golden case, told by its path inside the case.

use super::row::Part;
use crate::domain::{ArgProblem, Problem, Problems, Step};
use serde_json::Value;

pub(super) struct Mistake {
    /// Steps from the row to the culprit.
    pub(super) path: Vec<Step>,
    pub(super) part: Part,
    /// What is wrong, still without a place.
    pub(super) problem: Problem,
}

impl Mistake {
    pub(super) fn key(path: &[Step], problem: Problem) -> Mistake {
        Mistake { path: path.to_vec(), part: Part::Key, problem }
    }

    pub(super) fn value(path: &[Step], problem: Problem) -> Mistake {
        Mistake { path: path.to_vec(), part: Part::Value, problem }
    }

    /// A mistake inside a check. It is shown at the key: that is right for a wrong key, and near enough for a wrong
    /// value.
    pub(super) fn inside(check: &[Step], mistake: ArgProblem) -> Mistake {
        let mut path = check.to_vec();
        path.extend(mistake.path);
        Mistake {
            path,
            part: Part::Key,
            problem: Problem { place: None, message: mistake.message, expected: mistake.expected, hint: mistake.hint },
        }
    }
}

/// The mistakes of a row: the first ones, so that a hostile row can't fill the memory with them.
#[derive(Default)]
pub(super) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn push(&mut self, mistake: Mistake) {
        if self.0.len() < Problems::KEPT {
            self.0.push(mistake);
        }
    }

    /// Adds what is wrong with the value of a key of the case.
    pub(super) fn push_value(&mut self, key: &str, message: impl Into<String>, expected: &str) {
        self.push(Mistake::value(&[Step::key(key)], Problem::new(message).expected(expected)));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self) -> Vec<Mistake> {
        std::mem::take(&mut self.0)
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
