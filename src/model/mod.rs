//! Plain data that the stages hand to each other. A leaf: no I/O, no async, no clap, and no import of another module of
//! this crate.

mod answer;
mod arrival;
mod batch;
mod case;
mod check;
mod command;
mod comparison;
mod details;
mod diagnostic;
mod event;
mod history;
mod outcome;
mod question;
mod request;
mod row;
mod run;
mod served;
mod snapshot;
mod verdict;
mod visible;

pub use answer::{Answer, ToolCall, Usage};
pub use arrival::{Arrival, Keep};
pub use batch::{BatchLedger, OpenBatch};
pub use case::{Case, CaseId, Turn, TurnRole};
pub use check::{ArgProblem, CheckRules, CheckSpec, Step};
pub use command::Command;
pub use comparison::{ArmRate, Comparison, Counts, CriticalCase, Latency, Paired, Tally, Waited};
pub use details::{
    ChosenToken, Citation, CodeRun, Details, FoundSource, ModelStatus, RetrievedUrl, SafetyRating, Support, TopToken,
};
pub use diagnostic::{Place, Problem, Problems, nearest};
pub use event::{Event, Progress};
pub use history::{
    Concluded, Flaky, FlakyCase, Mark, Marked, MarkedCase, Moved, Passes, Reliability, Remembered, RememberedCase,
    RunComparison, RunFacts, RunRecord, Tested,
};
pub use outcome::{CheckResult, Failure, FailureKind, Outcome, Score, Skip};
pub use question::{Question, Replies, Verdict as JudgeVerdict};
pub use request::{Arm, Asked, Content, Job, Part, Request, Role, Source, Tool, digest};
pub use row::{ArmRow, CaseRow, Change, Judged};
pub use run::{PromptInfo, RunInfo};
pub use served::{answers_for, same_model};
pub use snapshot::{SNAPSHOT_ENDING, SNAPSHOTS, snapshot_file};
pub use verdict::{
    Decision, Difference, JudgesAsked, ModelRecord, Needed, Policy, PrefixCaches, PriceList, PromptRecord, Reason,
    ReasonCode, Slice, Verdict, Warning, WarningCode, ZScores,
};
pub use visible::{is_hidden, show, visible};
