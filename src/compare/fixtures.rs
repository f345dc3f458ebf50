//! Rows for the tests of this room and of the gate.

use super::ComparisonBuilder;
use crate::domain::{
    Answer, ArmRow, Case, CaseRow, Comparison, Design, Failure, FailureKind, Outcome, Score, ScoredSample, Skip, Source,
};

/// One letter a repeat: Pass, Fail, half right (H), Transport error, Refused, Budget, stopped (X), Identical.
pub(crate) fn arm(letters: &str) -> ArmRow {
    ArmRow { repeats: letters.chars().zip(1..).map(|(letter, repeat)| judged(letter, repeat)).collect() }
}

pub(crate) fn judged(letter: char, repeat: u32) -> ScoredSample {
    let failed = |kind, code: &str| {
        Outcome::Errored(Failure { kind, code: code.to_owned(), message: format!("{code} happened") })
    };
    let outcome = match letter {
        'P' => Outcome::Scored(Score::binary(true, "")),
        'F' => Outcome::Scored(Score::binary(false, "")),
        'H' => Outcome::Scored(Score::new(0.6, true, "")),
        'T' => failed(FailureKind::Transport, "http_503"),
        'R' => failed(FailureKind::Request, "http_400"),
        'B' => Outcome::Skipped(Skip::Budget),
        'X' => Outcome::Skipped(Skip::Stopped),
        'I' => Outcome::Skipped(Skip::Identical),
        'D' => Outcome::Skipped(Skip::Decided),
        other => panic!("no outcome {other}"),
    };
    let answered = matches!(outcome, Outcome::Scored(_));
    ScoredSample {
        answer: answered.then(Answer::default),
        refused: answered.then_some(false),
        cost_usd: answered.then_some(0.001),
        attempts: u32::from(!matches!(outcome, Outcome::Skipped(_))),
        source: answered.then_some(Source::Live),
        ..ScoredSample::new(repeat, outcome)
    }
}

pub(crate) fn row(id: &str, baseline: &str, candidate: &str) -> CaseRow {
    CaseRow { case: Case::new(id), baseline: Some(arm(baseline)), candidate: arm(candidate) }
}

pub(crate) fn design(repeats: u32) -> Design {
    Design { repeats, baseline: true, ..Design::default() }
}

pub(crate) fn compare(repeats: u32, rows: &[CaseRow]) -> Comparison {
    let mut comparing = ComparisonBuilder::new(design(repeats));
    rows.iter().for_each(|row| comparing.add(row));
    comparing.finish()
}
