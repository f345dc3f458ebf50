//! Checks inside checks: on the same answer, or on a part of it, such as a value of its JSON, a code block, what a pattern
//! captured, or an argument of a call.

use super::arguments::{Read, refuse_key};
use super::definition::Compile;
use super::matcher::{MatchError, MatchInput, Matcher};
use super::quote::bounded;
use crate::domain::{Answer, CheckSpec, Score};
use serde_json::Value;

#[derive(Debug)]
pub(super) struct InnerCheck {
    label: String,
    /// Its share where the scores of several checks are weighed.
    pub(super) weight: f64,
    matcher: Matcher,
}

/// Compiles a check inside a check; `ctx` is one level deeper.
pub(super) fn nested(written: &Value, ctx: &Compile<'_>) -> Read<InnerCheck> {
    let spec = CheckSpec::parse(written).map_err(|problem| vec![problem])?;
    if spec.advisory {
        let expected = "`advisory` on the outer check, or a check of its own";
        return refuse_key("advisory", "a check inside another one can't be advisory", expected);
    }
    if spec.weight == 0.0 {
        let expected = "a weight of more than 0, or no such check";
        return refuse_key("weight", "a check inside another one can't have weight 0", expected);
    }
    let matcher = ctx.check(&spec).map_err(|mut problems| {
        if written.is_string() {
            // A plain string has no key `equals` to step into.
            problems.iter_mut().for_each(|problem| drop(problem.path.drain(..1)));
        }
        problems
    })?;
    Ok(InnerCheck { label: bounded(spec.name.as_deref().unwrap_or(&spec.matcher), 40), weight: spec.weight, matcher })
}

impl InnerCheck {
    /// With reasons that begin with its name.
    pub(super) fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        // Cut, because reasons of reasons add up.
        let named = |reason: &str| format!("{}: {}", self.label, bounded(reason, 300));
        match self.matcher.check(input) {
            Ok(score) => Ok(Score::new(score.value(), score.pass, named(&score.reason))),
            Err(error) => Err(MatchError::new(named(&error.reason))),
        }
    }
}

#[derive(Debug)]
pub(super) struct PartCheck(InnerCheck);

impl PartCheck {
    pub(super) fn read(written: &Value, ctx: &Compile<'_>) -> Read<PartCheck> {
        let ctx = ctx.deeper()?.on_a_part();
        let check = nested(written, &ctx)?;
        if check.weight != 1.0 {
            return refuse_key("weight", "a check of a part can't have a weight", "`weight` on the outer check");
        }
        Ok(PartCheck(check))
    }

    /// Judges a part as if it were the whole, complete answer.
    pub(super) fn check(&self, input: &MatchInput<'_>, text: String) -> Result<Score, MatchError> {
        let answer = Answer { text, finish_reason: Some("STOP".to_owned()), ..Answer::default() };
        self.0.check(&MatchInput { answer: &answer, unusable: None, ..*input })
    }
}

impl PartCheck {
    /// Judges each of several parts, which are called by their number; `found` says how many there are.
    pub(super) fn check_each(
        &self,
        input: &MatchInput<'_>,
        parts: Vec<String>,
        name: &str,
        found: &str,
    ) -> Result<Score, MatchError> {
        let count = parts.len();
        let mut scores = PartScores::of_at_most(count, found)?;
        for (i, part) in parts.into_iter().enumerate() {
            scores.add(&format!("{name} {}", i + 1), self.check(input, part));
        }
        scores.score(false, count)
    }
}

/// How many parts of an answer are checked.
const MAX_CHECKED: usize = 1_000;

/// What was said of parts: as for `all` and `any`, what can't be judged matters only where it could change the result.
#[derive(Default)]
pub(super) struct PartScores {
    values: Vec<f64>,
    passed: Option<String>,
    failed: Option<String>,
    failures: usize,
    unknown: Option<MatchError>,
}

impl PartScores {
    /// For `count` parts.
    ///
    /// # Errors
    /// They are too many; `found` says how many.
    pub(super) fn of_at_most(count: usize, found: &str) -> Result<PartScores, MatchError> {
        if count > MAX_CHECKED {
            return Err(MatchError::new(format!("{found}, and at most {MAX_CHECKED} are checked")));
        }
        Ok(PartScores::default())
    }

    /// Adds what was said of the part at a place.
    pub(super) fn add(&mut self, place: &str, score: Result<Score, MatchError>) {
        let reason = |reason: &str| format!("{place}: {}", bounded(reason, 400));
        match score {
            Ok(score) => {
                self.values.push(score.value());
                self.failures += usize::from(!score.pass);
                let first = if score.pass { &mut self.passed } else { &mut self.failed };
                first.get_or_insert_with(|| reason(&score.reason));
            }
            Err(error) => {
                self.unknown.get_or_insert_with(|| MatchError::new(reason(&error.reason)));
            }
        }
    }

    /// The score of all of them, or of `any` of them; `count` is how many there are.
    pub(super) fn score(self, any: bool, count: usize) -> Result<Score, MatchError> {
        let highest = self.values.iter().copied().fold(0.0, f64::max);
        let mean = self.values.iter().sum::<f64>() / self.values.len().max(1) as f64;
        match (any, self.passed, self.failed, self.unknown) {
            (true, Some(reason), ..) => Ok(Score::new(highest, true, reason)),
            (true, None, Some(reason), None) => {
                Ok(Score::new(highest, false, format!("of {count} none holds: {reason}")))
            }
            (false, _, Some(reason), _) => {
                let more = match self.failures {
                    1 => String::new(),
                    n => format!("; and {} more", n - 1),
                };
                Ok(Score::new(mean, false, format!("{reason}{more}")))
            }
            (false, Some(reason), None, None) if count == 1 => Ok(Score::new(mean, true, reason)),
            (false, Some(_), None, None) => Ok(Score::new(mean, true, format!("all {count} values hold"))),
            (_, _, _, unknown) => Err(unknown.unwrap_or_else(|| MatchError::new("nothing was judged"))),
        }
    }
}

/// A JSON value as the text that a check judges: a text as it is, anything else as JSON.
pub(super) fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
