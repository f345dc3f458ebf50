//! One case with all its judged answers: what reports and the comparison read.

use super::answer::Answer;
use super::arm::Arm;
use super::case::Case;
use super::outcome::{CheckResult, Outcome, OutcomeKind};
use super::request::Source;

/// One judged answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredSample {
    /// Which repeat, from 1.
    pub repeat: u32,
    pub outcome: Outcome,
    /// The answer, if there is one.
    pub answer: Option<Answer>,
    /// What each check said, in the case's order; empty when none was asked.
    pub checks: Vec<CheckResult>,
    /// The answer refuses; `None` where that is not known, or up to a check of the case.
    pub refused: Option<bool>,
    /// What it cost when it was asked; `None` when the model's price is unknown.
    pub cost_usd: Option<f64>,
    /// Attempts it took; 0 when nothing was sent.
    pub attempts: u32,
    /// Milliseconds waited before the last attempt, in the run that made it; `None` when nothing was sent or it is not known.
    pub waited_ms: Option<u64>,
    /// Where it came from; `None` when there is no answer.
    pub source: Option<Source>,
}

impl ScoredSample {
    /// A sample without an answer, for which nothing was sent.
    pub fn new(repeat: u32, outcome: Outcome) -> ScoredSample {
        ScoredSample {
            repeat,
            outcome,
            answer: None,
            checks: Vec::new(),
            refused: None,
            cost_usd: None,
            attempts: 0,
            waited_ms: None,
            source: None,
        }
    }
}

/// All repeats of one case in one arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmRow {
    /// Repeats from 1, in order.
    pub repeats: Vec<ScoredSample>,
}

impl ArmRow {
    /// The first repeat that has the case's outcome; `None` without repeats.
    pub fn deciding(&self) -> Option<&ScoredSample> {
        self.repeats.iter().min_by_key(|judged| judged.outcome.kind())
    }

    /// The case's outcome in this arm: fail if any repeat fails, else error if any errs, else skipped if any is skipped or
    /// there are none, else pass.
    pub fn outcome(&self) -> OutcomeKind {
        self.deciding().map_or(OutcomeKind::Skipped, |judged| judged.outcome.kind())
    }

    /// Mean gate score over the scored repeats (1 for pass, 0 for fail), if all repeats are scored.
    pub fn mean(&self) -> Option<f64> {
        let mut passes = 0u32;
        for judged in &self.repeats {
            passes += u32::from(judged.outcome.score()?.pass);
        }
        (!self.repeats.is_empty()).then(|| f64::from(passes) / self.repeats.len() as f64)
    }
}

/// How a case moved from baseline to candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The candidate passes more repeats.
    Improved,
    /// The candidate passes fewer repeats.
    Regressed,
    /// Every repeat passes in both arms.
    BothPass,
    /// Any other tie.
    BothFail,
    /// Not scored in both arms.
    Unpaired,
}

/// One case with both arms, in plan order.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseRow {
    pub case: Case,
    /// `None` when there is no baseline.
    pub baseline: Option<ArmRow>,
    pub candidate: ArmRow,
}

impl CaseRow {
    /// The arm's repeats.
    pub fn arm(&self, arm: Arm) -> Option<&ArmRow> {
        match arm {
            Arm::Baseline => self.baseline.as_ref(),
            Arm::Candidate => Some(&self.candidate),
        }
    }

    /// The arm's answers; none where there is no such arm.
    pub fn repeats(&self, arm: Arm) -> &[ScoredSample] {
        self.arm(arm).map_or(&[], |arm| &arm.repeats)
    }

    /// How the case moved.
    pub fn change(&self) -> Change {
        let Some(baseline) = self.baseline.as_ref().and_then(ArmRow::mean) else {
            return Change::Unpaired;
        };
        let Some(candidate) = self.candidate.mean() else {
            return Change::Unpaired;
        };
        if candidate > baseline {
            Change::Improved
        } else if candidate < baseline {
            Change::Regressed
        } else if candidate == 1.0 {
            Change::BothPass
        } else {
            Change::BothFail
        }
    }

    /// The first repeat whose outcomes differ between the arms, else the first whose answers differ, else the first.
    pub fn telling_repeat(&self) -> usize {
        let Some(baseline) = &self.baseline else { return 0 };
        let pairs = || baseline.repeats.iter().zip(&self.candidate.repeats);
        pairs()
            .position(|(b, g)| b.outcome.kind() != g.outcome.kind())
            .or_else(|| {
                pairs().position(|(b, g)| {
                    b.answer.as_ref().map(|a| (&a.text, &a.tool_calls))
                        != g.answer.as_ref().map(|a| (&a.text, &a.tool_calls))
                })
            })
            .unwrap_or(0)
    }
}
