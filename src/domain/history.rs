//! What is remembered of runs that are over, and what can be said about them together.

use super::arm::Arm;
use super::case_id::CaseId;
use super::comparison::{ArmRate, PairCounts};
use super::decision::{Decision, Reason, Warning};
use super::difference::{Difference, ZScores};
use super::look::CiAttempt;
use super::outcome::{Counts, Failure, FailureKind, Outcome, Score, Skip};
use super::policy::Policy;
use super::slices::Slice;
use super::verdict::SampleSize;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestedPrompt {
    pub name: String,
    /// Digest of source and partials.
    pub sha256: String,
    pub model: String,
}

/// What a run was, known before its first answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    pub candidate: TestedPrompt,
    pub baseline: Option<TestedPrompt>,
    pub simulated: bool,
    pub dataset_sha256: String,
    /// Digest over the judges that checks name, and the project's own commands.
    pub judges_sha256: String,
    pub policy_sha256: String,
    /// Identity of what is tested.
    pub key: String,
    /// The filters that chose the cases, as people write them; empty for the whole dataset.
    pub selection: Vec<String>,
    /// One part of several of the dataset.
    pub shard: bool,
    pub cases: u64,
    pub total: u64,
    pub repeats: u32,
    pub gated: bool,
    /// Both arms sent the same requests, so that only must-pass cases were asked.
    pub identical: bool,
    pub policy: Policy,
    /// Repeats of all planned attempts.
    pub planned_repeats: u32,
    /// Baseline and cases, and both prompts and cases, in whichever spelling; and the requests as they go over the wire.
    pub set: String,
    pub series: String,
    pub requests_sha256: String,
    /// Why earlier looks were left behind, and the pull request in which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Which attempt it was, by the count of a CI system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<CiAttempt>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunConclusion {
    /// `promote`, `block` or `inconclusive`.
    pub decision: String,
    pub exit_code: u8,
    pub promotable: bool,
    pub simulated: bool,
    pub replayed: bool,
    /// Codes of the reasons, the most important first.
    pub reasons: Vec<String>,
    pub counts: Counts,
    /// Digest over the checks of the selected cases.
    pub checks_sha256: String,
    pub baseline_served: Vec<String>,
    pub candidate_served: Vec<String>,
}

/// A run, as it is remembered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    /// Its number, as `--failed` and `record export` take it.
    pub run: i64,
    pub candidate: String,
    pub baseline: Option<String>,
    pub target: String,
    pub planned: u64,
    pub answers: u64,
    /// When it began, in seconds since 1970.
    pub started_at: i64,
    pub ended_at: Option<i64>,
    /// `complete` or `incomplete`; `None` while it runs and after a kill.
    pub ended: Option<String>,
    /// `None` for a run of an older promptgate.
    pub facts: Option<RunFacts>,
    /// `None` until it is decided.
    pub concluded: Option<RunConclusion>,
}

/// The outcome of one answer, as it is remembered: an [`Outcome`] without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeCode {
    Fail,
    Pass,
    /// No judgement was possible.
    Error,
    /// No judgement was possible, because the service refused this very request.
    Refused,
    Skipped(Skip),
}

impl OutcomeCode {
    /// By their numbers in the store, from 0.
    const ALL: [OutcomeCode; 9] = [
        OutcomeCode::Fail,
        OutcomeCode::Pass,
        OutcomeCode::Error,
        OutcomeCode::Refused,
        OutcomeCode::Skipped(Skip::Identical),
        OutcomeCode::Skipped(Skip::Budget),
        OutcomeCode::Skipped(Skip::Interrupted),
        OutcomeCode::Skipped(Skip::Stopped),
        OutcomeCode::Skipped(Skip::Decided),
    ];

    /// What is remembered of an outcome.
    pub fn of(outcome: &Outcome) -> OutcomeCode {
        match outcome {
            Outcome::Scored(score) if score.pass => OutcomeCode::Pass,
            Outcome::Scored(_) => OutcomeCode::Fail,
            Outcome::Errored(failure) if failure.kind == FailureKind::Request => OutcomeCode::Refused,
            Outcome::Errored(_) => OutcomeCode::Error,
            Outcome::Skipped(why) => OutcomeCode::Skipped(*why),
        }
    }

    pub fn number(self) -> Option<i64> {
        OutcomeCode::ALL.iter().position(|code| *code == self).map(|number| number as i64)
    }

    pub fn from_number(number: i64) -> Option<OutcomeCode> {
        OutcomeCode::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The outcome that is remembered so, with the answer's score.
    pub fn outcome(self, score: Option<f64>) -> Outcome {
        let errored = |kind| {
            let message = "its run could not judge the answer".to_owned();
            Outcome::Errored(Failure { kind, code: "remembered".to_owned(), message })
        };
        match self {
            OutcomeCode::Fail => Outcome::Scored(Score::new(score.unwrap_or(0.0), false, "")),
            OutcomeCode::Pass => Outcome::Scored(Score::new(score.unwrap_or(1.0), true, "")),
            OutcomeCode::Error => errored(FailureKind::Missing),
            OutcomeCode::Refused => errored(FailureKind::Request),
            OutcomeCode::Skipped(why) => Outcome::Skipped(why),
        }
    }
}

/// One judged answer, for the store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnswerOutcome {
    pub arm: Arm,
    pub repeat: u32,
    /// Its position in plan order; `None` for an answer beyond the plan.
    pub seq: Option<u64>,
    pub mark: OutcomeCode,
    /// 0..=1; `None` when it was not judged.
    pub score: Option<f64>,
}

/// A judged case, for the store.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseOutcomes {
    /// Digest of everything that is written about the case.
    pub digest: [u8; 32],
    pub id: CaseId,
    pub critical: bool,
    pub tags: Vec<String>,
    /// In thousandths of a case.
    pub weight: u32,
    pub cluster: Option<String>,
    pub answers: Vec<AnswerOutcome>,
}

/// One answer of the candidate, as the store has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoredAnswer {
    pub repeat: u32,
    pub mark: OutcomeCode,
    /// 0..=1; `None` when it was not judged.
    pub score: Option<f64>,
    /// The stored answer; `None` if there is none, or it was asked beyond the plan.
    pub answer: Option<i64>,
}

/// The candidate's answers to one case, as the store has them.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCase {
    /// The store's number for this state of the case: equal numbers, equal cases.
    pub number: i64,
    pub id: CaseId,
    pub critical: bool,
    pub tags: Vec<String>,
    /// In thousandths of a case.
    pub weight: u32,
    pub cluster: Option<String>,
    pub answers: Vec<StoredAnswer>,
}

/// Passing answers among judged ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Passes {
    pub judged: u32,
    pub passed: u32,
}

impl Passes {
    pub fn add(&mut self, passed: bool) {
        self.judged += 1;
        self.passed += u32::from(passed);
    }

    /// Some pass and some don't.
    pub fn vary(&self) -> bool {
        self.passed > 0 && self.passed < self.judged
    }

    /// Variance of one answer, p (1 - p) with the share p that passes; 0..=0.25.
    pub fn variance(&self) -> f64 {
        if self.judged == 0 {
            return 0.0;
        }
        let p = f64::from(self.passed) / f64::from(self.judged);
        p * (1.0 - p)
    }
}

/// How one arm of a case fared, in a run and in the runs up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Reliability {
    pub run: Passes,
    /// Over runs of the same prompt, model, target and judges, each answer counted once; the run itself included.
    pub history: Passes,
    /// The chance that at least one of as many answers as the run has repeats passes, from the history; `None` where there
    /// are too few answers.
    pub pass_at_k: Option<f64>,
    /// The chance that all of them pass.
    pub pass_all_k: Option<f64>,
}

/// A case whose answers don't always come to the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlakyCase {
    pub case: String,
    /// `None` without a baseline, or without a judged answer.
    pub baseline: Option<Reliability>,
    /// `None` without a judged answer.
    pub candidate: Option<Reliability>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Flaky {
    pub flaky: u64,
    /// The most flaky first, a bounded number.
    pub cases: Vec<FlakyCase>,
}

/// A case that moved between two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseChange {
    pub case: String,
    pub critical: bool,
    pub baseline: Passes,
    pub candidate: Passes,
}

/// The candidates of two runs side by side, from stored outcomes. Nothing of it can be promoted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunComparison {
    /// Its candidate stands as the baseline.
    pub first: RunRecord,
    /// Its candidate is the candidate.
    pub second: RunRecord,
    pub decision: Decision,
    /// The first is the most important.
    pub reasons: Vec<Reason>,
    pub warnings: Vec<Warning>,
    /// Why the numbers may be about something else than the prompts; with any, a promote is none.
    pub doubts: Vec<String>,
    pub exit_code: u8,
    pub policy: Policy,
    /// Second run, per case.
    pub counts: Counts,
    /// Cases scored in both runs.
    pub paired: PairCounts,
    pub baseline_rate: Option<ArmRate>,
    pub candidate_rate: Option<ArmRate>,
    /// Second minus first.
    pub difference: Option<Difference>,
    pub z: Option<ZScores>,
    pub needed: Option<SampleSize>,
    /// Some cases that pass less often in the second run; `paired` has their number.
    pub regressed: Vec<CaseChange>,
    /// Some cases that pass more often in the second run.
    pub improved: Vec<CaseChange>,
    pub slices: Vec<Slice>,
}
