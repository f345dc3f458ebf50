//! Plain data that the stages hand to each other. A leaf: no I/O, no async, no clap, and no import of another module of
//! this crate.

#[macro_use]
mod string_enum;

mod answer;
mod arm;
mod base_case;
mod batch;
mod calibration;
mod candidate;
mod case;
mod case_id;
mod check;
mod command;
mod comparison;
mod constraint;
mod count;
mod decision;
mod details;
mod difference;
mod digest;
mod embedding;
mod event;
mod evidence;
mod feature;
mod finish;
#[cfg(test)]
pub mod fixtures;
mod guards;
mod history;
mod job_result;
mod look;
mod model_name;
mod outcome;
mod policy;
mod problems;
mod promotion;
mod quarantine;
mod question;
mod request;
mod row;
mod run;
mod slices;
mod snapshot;
mod units;
mod verdict;
mod visible;

pub use answer::{Answer, ToolCall, Usage};
pub use arm::{Arm, Arms};
pub use base_case::{BaseCase, BaseCases};
pub use batch::{BatchLedger, OpenBatch};
pub use calibration::{Agreement, Calibration, CalibrationEntry, DecidingJudge, DecidingJudges, JudgeUse, Label};
pub use candidate::{Candidate, CandidateLine, MOST_CANDIDATES, bare_name, candidate_folder};
pub use case::{Case, Turn, TurnRole, WEIGHT};
pub use case_id::CaseId;
pub use check::{ArgProblem, CheckRules, CheckSpec};
pub use command::Command;
pub use comparison::{
    ArmRate, Attempts, Comparison, Design, Latency, MustPassGroup, PairCounts, RateSums, Tally, WaitTimes,
};
pub use constraint::{Constraint, JsonContent, Logic, Range, TextConstraint, TextFolding, TextRelation};
pub use count::count;
pub use decision::{Decision, Reason, ReasonCode, Warning, WarningCode};
pub use details::{
    ChosenToken, Citation, CodeRun, Details, FoundSource, ModelStatus, RetrievedUrl, SafetyRating, Support, TopToken,
};
pub use diagnostics::{Place, Problem, Spot, Step, nearest};
pub use difference::{Difference, Method, ZScores};
pub use digest::{digest, digest_reader, hex, unhex};
pub use embedding::{Meaning, cosine};
pub use event::{Event, Progress};
pub use evidence::{Changes, Completion, Consent, InputDigests, PolicyBase, PolicyChange, StateDiff};
pub use feature::Feature;
pub use finish::Finish;
pub use guards::{GuardMetric, GuardRates, GuardStatus, GuardSums, Guardrail, Guardrails, LatencySums, PairSums};
pub use history::{
    AnswerOutcome, CaseChange, CaseOutcomes, Flaky, FlakyCase, OutcomeCode, Passes, Reliability, RunComparison,
    RunConclusion, RunFacts, RunRecord, StoredAnswer, StoredCase, TestedPrompt,
};
pub use job_result::{AnswerSink, JobResult};
pub use look::{
    CiAttempt, EarlyStop, FirstRules, FreshKey, Look, LookRecord, LooksBefore, MOST_ATTEMPTS, Sequential, Tries,
};
pub use model_name::{answers_for, same_model};
pub use outcome::{CheckResult, Counts, Failure, FailureKind, Outcome, OutcomeKind, Score, Skip};
pub use policy::{Estimand, Metric, Policy};
pub use problems::Problems;
pub use promotion::{BaselinePromotion, Promotion, PromotionTotal};
pub use quarantine::{LONGEST_QUARANTINE, Quarantine, QuarantineRecord, QuarantineSums, QuarantinedTag, day, day_of};
pub use question::{Question, Replies, ReplyForm};
pub use request::{Content, Job, JobTurn, Part, Request, RequestMeta, Role, Source, Tool};
pub use row::{ArmRow, CaseRow, Change, ScoredSample};
pub use run::{PromptInfo, RunInfo};
pub use slices::{Slice, SliceGate, SliceStatus, TagSums};
pub use snapshot::{SNAPSHOT_ENDING, SNAPSHOTS, snapshot_file};
pub use string_enum::Words;
pub(crate) use string_enum::string_enum;
pub use units::{Clusters, SCORE_TICKS, Unit, Units, score_ticks};
pub use verdict::{
    CorrectedRate, CorrectedRates, DatasetRecord, JudgeEvidence, JudgeRecord, JudgeScale, JudgesRecord, ModelRecord,
    PriceList, PromptRecord, ResultsFile, SampleSize, ToolInfo, Verdict,
};
pub use visible::{is_hidden, show, visible};
