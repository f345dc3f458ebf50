//! What the gate decides, and why.

use super::case_id::CaseId;
use serde::{Deserialize, Serialize};

string_enum! {
    #[derive(Default)]
    pub enum Decision {
        Promote = "promote",
        Block = "block",
        #[default]
        Inconclusive = "inconclusive",
        /// The candidate is what was promoted: there is nothing to promote, and nothing to stop.
        Unchanged = "unchanged",
    }
}

string_enum! {
    /// Why, as a stable code.
    pub enum ReasonCode {
        /// Promote: worse by the margin or more is excluded.
        NotWorse = "not_worse",
        /// Unchanged: both arms send the same requests.
        Identical = "identical",
        /// Promote: the pass rate is above the required one.
        PassRate = "pass_rate",
        /// Block: a must-pass case failed.
        Critical = "critical",
        /// Block: worse by more than the tolerance is demonstrated.
        Regression = "regression",
        /// Block: the pass rate is below the required one.
        PassRateLow = "pass_rate_low",
        /// Block: the service refuses the candidate's requests.
        CandidateErrors = "candidate_errors",
        /// Block: worse by more than a guardrail allows is demonstrated.
        Guardrail = "guardrail",
        /// Block: the cases of a tag are demonstrated to be worse.
        Slice = "slice",
        /// Inconclusive: a must-pass case has too few judged repeats.
        CriticalUnscored = "critical_unscored",
        /// Inconclusive: too many answers are missing.
        Errors = "errors",
        /// Inconclusive: neither promoting nor blocking is supported.
        TooFew = "too_few",
        /// Inconclusive: worse by more than a guardrail allows is likely, or can't be judged.
        GuardrailOpen = "guardrail_open",
        /// Inconclusive: the cases of a tag are likely worse, or it is not excluded for a critical tag.
        SliceOpen = "slice_open",
        /// Inconclusive: the budget was spent.
        Budget = "budget",
        /// Inconclusive: the run was interrupted or stopped.
        Stopped = "stopped",
        /// Inconclusive: one shard alone can't decide.
        Shard = "shard",
        /// Inconclusive: nothing was judged.
        NothingScored = "nothing_scored",
        /// Inconclusive: another model served than the one asked for, and the policy is strict.
        ServedModel = "served_model",
        /// Inconclusive: the arms asked for the same model, and different ones served them.
        MixedModels = "mixed_models",
        /// Inconclusive: not one answer of the candidate passes, so two equal prompts may be equally broken.
        NothingPassed = "nothing_passed",
        /// Inconclusive: the judges that decide err too often, or are known too little.
        JudgeWeak = "judge_weak",
        /// Inconclusive: a judge decides that is not the one that was calibrated.
        JudgeStale = "judge_stale",
        /// Inconclusive: the pass rate is above the required one, but the judge lets too many bad answers pass for that.
        JudgeLenient = "judge_lenient",
        /// Inconclusive: the store failed midway.
        Store = "store",
        /// Inconclusive: golden data, checks or policy ask for less than at the policy base, and no one accepted it.
        Weakened = "weakened",
        /// Inconclusive: it is not proven over the cases of the policy base alone.
        BaseCases = "base_cases",
        /// Inconclusive: the first look at the same was no promote, and other answers can't make it one.
        EarlierLook = "earlier_look",
        /// Inconclusive: there were attempts before, and their answers are not here.
        AttemptsLost = "attempts_lost",
        /// Inconclusive: a promote in CI that is not promotable.
        NotPromotable = "not_promotable",
        /// `--no-gate`: no decision was requested.
        NotGated = "not_gated",
    }
}

/// One reason of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: ReasonCode,
    pub message: String,
    /// Cases it is about, some of them.
    pub cases: Vec<CaseId>,
}

string_enum! {
    /// What a warning is about, as a stable code.
    pub enum WarningCode {
        /// Another model served than the one asked for.
        ServedModel = "served_model",
        /// Several models served one arm.
        SeveralModels = "several_models",
        /// A must-pass case passes, but not always.
        FlakyCritical = "flaky_critical",
        /// A judge decides whose errors are not known.
        JudgeUncalibrated = "judge_uncalibrated",
        /// A judge decides that is not the one that was calibrated.
        JudgeStale = "judge_stale",
        /// A judge decides that was calibrated with other labels than the golden files hold.
        JudgeLabels = "judge_labels",
        /// There are more tags than the gate looks at.
        TagsLeftOut = "tags_left_out",
        /// The cases of a tag don't decide.
        Quarantined = "quarantined",
        /// A quarantine is over, so that the cases of its tag decide again.
        QuarantineExpired = "quarantine_expired",
        /// A must-pass case has a tag in quarantine, and decides all the same.
        QuarantineCritical = "quarantine_critical",
    }
}

/// Something that a reader of a verdict has to know, and that decides nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub code: WarningCode,
    pub message: String,
}
