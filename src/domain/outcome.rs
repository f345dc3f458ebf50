//! What the checks say about an answer.

use serde::{Deserialize, Serialize};

/// The judgement of one answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The answer was judged: it passes or fails.
    Scored(Score),
    /// No judgement was possible.
    Errored(Failure),
    /// The answer was planned, and on purpose not asked for.
    Skipped(Skip),
}

impl Outcome {
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Outcome::Scored(score) if score.pass => OutcomeKind::Pass,
            Outcome::Scored(_) => OutcomeKind::Fail,
            Outcome::Errored(_) => OutcomeKind::Error,
            Outcome::Skipped(_) => OutcomeKind::Skipped,
        }
    }

    pub fn score(&self) -> Option<&Score> {
        match self {
            Outcome::Scored(score) => Some(score),
            Outcome::Errored(_) | Outcome::Skipped(_) => None,
        }
    }
}

string_enum! {
    /// What an outcome comes to. The order is that of precedence: of several repeats, the first kind decides a case.
    pub enum OutcomeKind {
        Fail = "fail",
        Error = "error",
        Skipped = "skipped",
        Pass = "pass",
    }
}

/// A judged answer or check. The value is in 0..=1 and never NaN.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    value: f64,
    /// Good enough.
    pub pass: bool,
    /// Why, in a short sentence; may quote the answer.
    pub reason: String,
}

impl Score {
    /// A score; the value is clamped to 0..=1, NaN becomes 0.
    pub fn new(value: f64, pass: bool, reason: impl Into<String>) -> Score {
        let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        Score { value, pass, reason: reason.into() }
    }

    /// 1 for pass, 0 for fail.
    pub fn binary(pass: bool, reason: impl Into<String>) -> Score {
        Score::new(if pass { 1.0 } else { 0.0 }, pass, reason)
    }

    /// 0..=1.
    pub fn value(&self) -> f64 {
        self.value
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    pub matcher: String,
    /// The check's own name, if it has one.
    pub name: Option<String>,
    /// `None` when it could not judge.
    pub pass: Option<bool>,
    /// `None` when it could not judge.
    pub score: Option<f64>,
    pub reason: String,
    /// Without a say in pass or fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advisory: bool,
}

string_enum! {
    /// What kind of trouble kept an answer from being judged. Decides whether the candidate itself may be blamed.
    pub enum FailureKind {
        /// Connection, TLS, timeout, broken or unreadable body, 5xx.
        Transport = "transport",
        /// 429: rate or capacity.
        RateLimit = "rate_limit",
        /// A quota that does not come back in minutes.
        Quota = "quota",
        Auth = "auth",
        /// The service refused this very request (another 4xx): the prompt's or the settings' fault.
        Request = "request",
        /// A recorded answer, or a cached one under `--cache only`, is missing.
        Missing = "missing",
        Matcher = "matcher",
    }
}

/// Why an answer could not be judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// A stable short code like `http_503` or `timeout`.
    pub code: String,
    /// What happened; may quote the service.
    pub message: String,
}

string_enum! {
    /// Why a planned answer was not asked for.
    pub enum Skip {
        /// Both arms send the same requests, and the case is not critical.
        Identical = "identical",
        /// `--max-cost`, `--max-requests` or `--max-tokens` was reached.
        Budget = "budget",
        Interrupted = "interrupted",
        /// The run was stopped by a failure that every further request would share.
        Stopped = "stopped",
        /// The run was decided before it was asked.
        Decided = "decided",
    }
}

impl Skip {
    /// A sentence for people.
    pub fn describe(self) -> &'static str {
        match self {
            Skip::Identical => "both prompts render the same request, so it was not asked",
            Skip::Budget => "the budget was spent before it was asked",
            Skip::Interrupted => "the run was interrupted before it was asked",
            Skip::Stopped => "the run was stopped before it was asked",
            Skip::Decided => "the run was decided before it was asked",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub cases: u64,
    pub pass: u64,
    pub fail: u64,
    /// None failed, one could not be judged.
    pub error: u64,
    pub skipped: u64,
}

impl Counts {
    pub fn add(&mut self, outcome: OutcomeKind) {
        self.cases += 1;
        *match outcome {
            OutcomeKind::Pass => &mut self.pass,
            OutcomeKind::Fail => &mut self.fail,
            OutcomeKind::Error => &mut self.error,
            OutcomeKind::Skipped => &mut self.skipped,
        } += 1;
    }
}
