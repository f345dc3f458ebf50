//! Before any effect is looked at: is the run whole, and were enough answers judged?

use super::{Completion, phrases, quarantine, reason};
use crate::domain::{Comparison, Policy, Reason, ReasonCode, Tally};
use crate::stats::fisher;

/// Error of the test that blames the candidate for refused requests.
const BLAME_ALPHA: f64 = 0.01;

/// A run that is not whole decides nothing but what is bad for certain.
pub(super) fn completeness(comparison: &Comparison, whole_run: Completion) -> Option<Reason> {
    let unsent = |n: u64| match n {
        0 => String::new(),
        n => format!(" with {} not requested", phrases::count(n, "answer")),
    };
    let budget = || {
        let message = format!(
            "the budget was spent{}; raise --max-cost, --max-requests or --max-tokens, then rerun with --resume",
            unsent(comparison.over_budget)
        );
        reason(ReasonCode::Budget, message)
    };
    let stopped = |what: &str| {
        let message = format!(
            "the run was {what}{}{}; finish it with --resume",
            unsent(comparison.not_asked),
            phrases::most_frequent_error(comparison)
        );
        reason(ReasonCode::Stopped, message)
    };
    match whole_run {
        Completion::Shard => Some(reason(
            ReasonCode::Shard,
            "this is one shard of a run; only all shards together can promote: merge them",
        )),
        Completion::Budget => Some(budget()),
        Completion::Interrupted => Some(stopped("interrupted")),
        Completion::Stopped => Some(stopped("stopped")),
        Completion::StoreFailed => Some(reason(
            ReasonCode::Store,
            "the store failed midway, so answers may be lost; check the disk, then rerun with --resume",
        )),
        Completion::Complete if comparison.over_budget > 0 => Some(budget()),
        Completion::Complete if comparison.not_asked > 0 => Some(stopped("stopped")),
        Completion::Complete => None,
    }
}

/// Were enough answers judged? Only requests that the service refused can be the candidate's fault; an outage, a quota or
/// a bad key never is.
pub(super) fn enough_scored(policy: &Policy, comparison: &Comparison) -> Option<Reason> {
    let (baseline, candidate) = (&comparison.baseline, &comparison.candidate);
    let too_many = |tally: &Tally| tally.missing as f64 > policy.max_missing * tally.planned as f64;
    // Only requests that reached the service can have been refused.
    let reached = |tally: &Tally| tally.refused + tally.scored;
    if too_many(candidate)
        && fisher::one_sided(candidate.refused, reached(candidate), baseline.refused, reached(baseline)) < BLAME_ALPHA
    {
        return Some(Reason {
            code: ReasonCode::CandidateErrors,
            message: format!(
                "the service rejects requests of the candidate: {} of {}, against {} of {} of the baseline{}",
                candidate.refused,
                phrases::count(reached(candidate), "request"),
                baseline.refused,
                reached(baseline),
                phrases::most_frequent_error(comparison)
            ),
            cases: comparison.missing.clone(),
        });
    }
    if quarantine::is_everything(comparison) {
        return Some(reason(
            ReasonCode::NothingScored,
            "every case of the run is in quarantine, so none is left to decide",
        ));
    }
    if candidate.scored == 0 || (comparison.has_baseline && baseline.scored == 0) {
        let whose = match (candidate.scored, baseline.scored) {
            (0, 0) => "no answer",
            (0, _) => "no answer of the candidate",
            (_, _) => "no answer of the baseline",
        };
        let whose = if comparison.has_baseline { whose } else { "no answer" };
        return Some(Reason {
            code: ReasonCode::NothingScored,
            message: format!("{whose} could be scored{}", phrases::most_frequent_error(comparison)),
            cases: comparison.missing.clone(),
        });
    }
    (too_many(candidate) || too_many(baseline)).then(|| {
        let baseline = if comparison.has_baseline {
            format!(" and {} of {} of the baseline", baseline.missing, baseline.planned)
        } else {
            String::new()
        };
        Reason {
            code: ReasonCode::Errors,
            message: format!(
                "too many answers could not be scored: {} of {} of the candidate{baseline}, at most {} may be missing{}; --resume \
                 requests missing answers again; fix checks that could not score",
                candidate.missing,
                candidate.planned,
                phrases::percent(policy.max_missing),
                phrases::most_frequent_error(comparison)
            ),
            cases: comparison.missing.clone(),
        }
    })
}

/// Two prompts that both fail everywhere are equally good by the numbers. What they show is a service, a dataset or a
/// check that is broken, and that is no evidence for promoting.
pub(super) fn nothing_passed(comparison: &Comparison) -> Option<Reason> {
    let candidate = &comparison.candidate;
    (candidate.scored > 0 && candidate.passed == 0).then(|| {
        reason(
            ReasonCode::NothingPassed,
            format!(
                "none of the candidate's {} passes; the service, the golden data or the checks may be broken",
                phrases::count(candidate.scored, "answer")
            ),
        )
    })
}

/// Promoting for `reasons`, where a promote may not pass and `why`.
pub(super) fn not_promotable(reasons: &[Reason], why: &str) -> Reason {
    let promote = reasons.iter().map(|reason| reason.message.as_str()).collect::<Vec<_>>().join("; ");
    reason(
        ReasonCode::NotPromotable,
        format!(
            "in CI a promote has to be promotable, and {why}; otherwise it would be one ({promote}); --rehearse lets a run like \
             this pass"
        ),
    )
}

pub(super) fn identical(comparison: &Comparison) -> Reason {
    let critical = match comparison.must_pass.values().map(|alike| alike.cases).sum::<u64>() {
        0 => String::new(),
        n => format!("; must-pass cases that were run and pass: {n}"),
    };
    reason(
        ReasonCode::Identical,
        format!("both prompts send the same requests, so there is nothing to promote{critical}"),
    )
}
