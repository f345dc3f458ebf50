//! What a matcher is: it scores one answer, or says why it can't.

use crate::domain::{Answer, Case, Replies, Score};
use std::fmt;

/// Scores one answer. Pure: no clock, no network, no randomness. The matcher `command` is not, by design: see `command/`.
pub struct Matcher(Box<CheckFn>);

type CheckFn = dyn Fn(&MatchInput<'_>) -> Result<Score, MatchError> + Send + Sync;

impl Matcher {
    pub fn new(check: impl Fn(&MatchInput<'_>) -> Result<Score, MatchError> + Send + Sync + 'static) -> Matcher {
        Matcher(Box::new(check))
    }

    /// Scores an answer.
    ///
    /// # Errors
    /// When no score is possible. That is neither pass nor fail, also under `not`.
    pub fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        (self.0)(input)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Matcher").finish_non_exhaustive()
    }
}

/// Everything that a matcher may look at.
#[derive(Clone, Copy, Debug)]
pub struct MatchInput<'a> {
    pub case: &'a Case,
    pub answer: &'a Answer,
    /// The system instruction of the request; `None` where it is not known.
    pub system: Option<&'a str>,
    /// US dollars that the answer cost; `None` where it is not known.
    pub cost_usd: Option<f64>,
    /// Why the answer is incomplete, if it is and a check of the case judges how answers end; see `definition.rs`.
    pub unusable: Option<&'a str>,
    pub replies: &'a dyn Replies,
}

/// Why no score is possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct MatchError {
    /// A short sentence; may quote the answer.
    pub reason: String,
}

impl MatchError {
    pub fn new(reason: impl Into<String>) -> MatchError {
        MatchError { reason: reason.into() }
    }
}
