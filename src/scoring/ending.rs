//! Which checks see an answer that is not usable: blocked, cut off or empty.
//!
//! Such an answer fails before its checks, unless a deciding check judges how an answer ended. Then the checks run, but
//! only a check that names this very end can pass: a cut-off answer lacks what `not: {contains: ..}` forbids only
//! because it is cut off. Every other check has nothing to say, also under `not`, and what is not said is a fail.

use super::matcher::{CannotJudge, Matcher, Seen};
use crate::domain::Score;

/// Checks that judge how an answer ended. A case with one of them takes blocked, cut off and empty answers to its checks.
pub(super) const JUDGE_THE_END: [&str; 2] = ["finish_reason", "refusal"];

/// Checks made of checks on the same answer: what they say of an unusable one is for the inner checks to say.
const OF_CHECKS: [&str; 4] = ["not", "all", "any", "at_least"];

/// The matcher of this name, kept from passing on an unusable answer by accident.
pub(super) fn guarded(name: &str, matcher: Box<dyn Matcher>) -> Box<dyn Matcher> {
    if OF_CHECKS.contains(&name) {
        return matcher;
    }
    let judges_the_end = JUDGE_THE_END.contains(&name);
    Box::new(Guarded {
        matcher,
        judges_the_end,
    })
}

#[derive(Debug)]
struct Guarded {
    matcher: Box<dyn Matcher>,
    judges_the_end: bool,
}

impl Matcher for Guarded {
    fn check(&self, seen: &Seen<'_>) -> Result<Score, CannotJudge> {
        let Some(unusable) = seen.unusable else {
            return self.matcher.check(seen);
        };
        let named = if self.judges_the_end {
            Some(self.matcher.check(seen)?).filter(|score| score.pass)
        } else {
            None
        };
        named.ok_or_else(|| CannotJudge::new(unusable))
    }
}
