//! Which look at the answers a decision is. Looking again is looking once more for luck, so each look has its share of the
//! error that is allowed in all.

use super::decision::Decision;
use serde::{Deserialize, Serialize};

/// Attempts that can be planned at most.
pub const MOST_ATTEMPTS: u32 = 10;

string_enum! {
    /// Whether a run looks before its end, and ends as soon as it is decided.
    #[derive(Default)]
    pub enum Sequential {
        /// Only at its end.
        #[default]
        Off = "off",
        /// A few times, with shares of the error.
        Looks = "looks",
    }
}

/// Cases that play no part, because the run was decided before their look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyStop {
    pub cases: u64,
    /// Their planned answers that were not asked for, both arms together.
    pub answers: u64,
}

/// A look at the answers of what is tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Attempts that were planned before the first of them; each adds repeats to those before.
    pub attempts: u32,
    /// Candidates from which the best one is picked.
    pub candidates: u32,
    /// Where a run looks before its end: the shares of the cases at each look up to this one, increasing, 1 at the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
}

impl Look {
    /// The only look at the only candidate.
    pub const ONLY: Look = Look { attempt: 1, attempts: 1, candidates: 1, shares: Vec::new() };
}

impl Default for Look {
    fn default() -> Look {
        Look::ONLY
    }
}

/// What earlier looks at the same have to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LooksBefore {
    /// Nothing that stands against a decision.
    #[default]
    Clear,
    /// The first look came to this by other answers, and it is final.
    Final {
        decision: Decision,
        run: i64,
        /// The attempts that were planned before it.
        attempts: u32,
        /// It was decided by other rules.
        other_rules: bool,
    },
    /// A run that was no complete look showed other answers to the same, or planned other repeats of them.
    Shown { run: i64 },
    /// A run showed these answers under rules that ask for more: those that do.
    Looser(FirstRules),
    /// Earlier looks were left behind before, for this reason.
    LeftBehind { reason: String },
    /// There were attempts before, and their answers are not here.
    Lost {
        /// Which attempt this is, by the count of the CI system.
        attempt: u32,
        /// Attempts whose answers are here.
        known: u32,
    },
}

/// What the store knows of tries before a run, itself included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// Candidates that ran against this baseline with these cases.
    pub candidates: u64,
    /// Of them, other spellings of this candidate and these cases.
    pub respelled: u64,
    /// The day of the first.
    pub since: String,
    /// The run that showed the first of these answers, where its rules were others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstRules>,
}

/// The rules of the first look at the same answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstRules {
    pub run: i64,
    /// `None` if it decided nothing.
    pub decision: Option<String>,
    /// Each as it was then, and is now.
    pub rules: Vec<String>,
}

/// What a CI system counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiAttempt {
    pub attempt: u32,
    /// What tells one of its runs from others.
    pub run: String,
}

/// Earlier looks that were left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshKey {
    pub reason: String,
    /// What the looks at the same that the store knows came to, oldest first; at most [`FreshKey::KEPT`].
    pub left_behind: Vec<Decision>,
}

impl FreshKey {
    pub const KEPT: usize = 20;
}

/// A look that counts, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookRecord {
    pub run: i64,
    pub attempt: u32,
    pub attempts: u32,
    pub step: u32,
    pub repeats: u32,
    /// Candidates from which the best one was to be picked.
    pub candidates: u32,
    pub decision: Decision,
    /// Repeats that would probably settle it, with the same cases.
    pub needed: Option<u32>,
}
