//! Weighs what the checks of a case say.

use super::matcher::MatchError;
use super::quote::bounded;
use crate::domain::{CheckSpec, Failure, FailureKind, Outcome, Score};

pub(super) type CheckOutcome = Result<Score, NoScore>;

/// Why a check said nothing.
pub(super) enum NoScore {
    Refused(MatchError),
    Panicked(String),
}

impl NoScore {
    pub(super) fn reason(&self) -> &str {
        match self {
            NoScore::Refused(refusal) => &refusal.reason,
            NoScore::Panicked(message) => message,
        }
    }
}

/// What the deciding checks have said so far.
#[derive(Default)]
pub(super) struct Aggregate {
    scores: Vec<WeightedScore>,
    failed: Vec<String>,
    refusal: Option<String>,
    panic: Option<String>,
}

impl Aggregate {
    pub(super) fn add(&mut self, spec: &CheckSpec, outcome: &CheckOutcome) {
        let label = spec.name.as_deref().unwrap_or(&spec.matcher);
        let because = |reason: &str| format!("{}: {reason}", bounded(label, 80));
        match outcome {
            Ok(score) => {
                self.scores.push(WeightedScore { value: score.value(), weight: spec.weight });
                if !score.pass {
                    self.failed.push(because(&score.reason));
                }
            }
            Err(no_score) => {
                let first = match no_score {
                    NoScore::Refused(_) => &mut self.refusal,
                    NoScore::Panicked(_) => &mut self.panic,
                };
                first.get_or_insert_with(|| because(no_score.reason()));
            }
        }
    }

    /// The outcome, by the rules of `score.rs`.
    pub(super) fn outcome(self) -> Outcome {
        if let Some(message) = self.panic {
            return Outcome::Errored(failure("matcher_panicked", message));
        }
        let score = weighted_mean(&self.scores);
        match (self.failed.as_slice(), self.refusal) {
            ([], Some(message)) => Outcome::Errored(failure("cannot_judge", message)),
            ([], None) => {
                let reason = match self.scores.len() {
                    1 => "the check passes".to_owned(),
                    n => format!("all {n} checks pass"),
                };
                Outcome::Scored(Score::new(score, true, reason))
            }
            ([only], _) => Outcome::Scored(Score::new(score, false, only)),
            ([first, more @ ..], _) => {
                let reason = format!("{first}; and {} more", more.len());
                Outcome::Scored(Score::new(score, false, reason))
            }
        }
    }
}

/// No judgement, for a reason of our own.
pub(super) fn failure(code: &str, message: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::Matcher, code: code.to_owned(), message: message.into() }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WeightedScore {
    /// 0..=1.
    pub(super) value: f64,
    /// Finite, 0 or more.
    pub(super) weight: f64,
}

/// The weighted mean, added up in the given order, so that it is the same everywhere. 0 without any weight.
pub(super) fn weighted_mean(scores: &[WeightedScore]) -> f64 {
    let total: f64 = scores.iter().map(|score| score.weight).sum();
    if total == 0.0 {
        return 0.0;
    }
    // Finite weights may have an infinite sum; then only their ratio to the largest counts.
    let unit = if total.is_finite() { 1.0 } else { scores.iter().map(|score| score.weight).fold(0.0, f64::max) };
    let (mut sum, mut weights) = (0.0, 0.0);
    for score in scores {
        let weight = score.weight / unit;
        sum += score.value * weight;
        weights += weight;
    }
    sum / weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_weighted() {
        let mean = |scores: &[(f64, f64)]| {
            weighted_mean(&scores.iter().map(|&(value, weight)| WeightedScore { value, weight }).collect::<Vec<_>>())
        };
        assert_eq!(mean(&[(1.0, 3.0), (0.0, 1.0)]), 0.75);
        assert_eq!(mean(&[(1.0, 0.1), (1.0, 0.2), (1.0, 0.3)]), 1.0);
        assert_eq!(mean(&[(1.0, f64::MAX), (0.5, f64::MAX)]), 0.75);
        assert_eq!(mean(&[]), 0.0);
        assert_eq!(mean(&[(1.0, 0.0)]), 0.0);
    }
}
