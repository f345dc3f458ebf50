//! The answers to one case in one arm, counted.

use crate::domain::{ArmRow, Design, FailureKind, Metric, Outcome, ScoredSample, Skip, score_ticks};

/// The planned repeats of one case in one arm.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    /// Of each planned repeat the score in ticks, see `Metric::whole`; `None` if it is missing or was left out.
    pub(super) scores: Vec<Option<i64>>,
    /// Sum of the scores.
    pub(super) sum: i64,
    pub(super) scored: u32,
    pub(super) passed: u32,
    /// Left out because both arms send the same request.
    pub(super) identical: u32,
    pub(super) refused: u32,
    pub(super) over_budget: u32,
    pub(super) not_asked: u32,
    /// Planned, not judged, and not `identical`.
    pub(super) missing: u32,
}

impl Repeats {
    /// Counts the planned repeats; those that are not there are missing.
    pub(super) fn count(arm: Option<&ArmRow>, design: &Design) -> Repeats {
        let planned = design.repeats as usize;
        let mut counted = Repeats::default();
        for judged in arm.iter().flat_map(|arm| arm.repeats.iter().take(planned)) {
            counted.add(judged, design.metric);
        }
        counted.scores.resize(planned, None);
        counted.missing = design.repeats - counted.scored - counted.identical;
        counted
    }

    fn add(&mut self, judged: &ScoredSample, metric: Metric) {
        let mut ticks = None;
        match &judged.outcome {
            Outcome::Scored(score) => {
                let value = match metric {
                    Metric::Pass => i64::from(score.pass),
                    // A score is always a number in 0..=1.
                    Metric::Score => score_ticks(score.value()).unwrap_or(0),
                };
                ticks = Some(value);
                self.sum += value;
                self.scored += 1;
                self.passed += u32::from(score.pass);
            }
            Outcome::Errored(failure) => self.refused += u32::from(blames_request(failure.kind)),
            Outcome::Skipped(Skip::Identical) => self.identical += 1,
            Outcome::Skipped(Skip::Budget) => self.over_budget += 1,
            Outcome::Skipped(Skip::Interrupted | Skip::Stopped | Skip::Decided) => self.not_asked += 1,
        }
        self.scores.push(ticks);
    }

    pub(super) fn planned(&self) -> u32 {
        self.scores.len() as u32
    }

    /// k x sum of squares - square of the sum: k² (k - 1) / k times the sample variance of the k scores.
    pub(super) fn variation(&self) -> u128 {
        let squares: i128 = self.scores.iter().flatten().map(|score| i128::from(score * score)).sum();
        let variation = i128::from(self.planned()) * squares - i128::from(self.sum).pow(2);
        // Never negative, by the inequality of Cauchy and Schwarz.
        variation.unsigned_abs()
    }
}

/// The service refused this very request, so the prompt or its settings may be at fault.
fn blames_request(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Request => true,
        FailureKind::Transport
        | FailureKind::RateLimit
        | FailureKind::Quota
        | FailureKind::Auth
        | FailureKind::Missing
        | FailureKind::Matcher => false,
    }
}
