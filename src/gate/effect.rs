//! Is the candidate good enough? Against a baseline, or alone against a required pass rate.

use super::statistics::{mean_rate, share};
use super::{Analysis, phrases, reason, sample_size};
use crate::domain::{Comparison, Reason, ReasonCode, SampleSize};
use crate::stats::proportions;
use crate::stats::rule::Rule;
use crate::stats::score_test::Differences;

/// The comparison of the two arms. Block if being worse by more than the tolerance is shown even with every missing
/// answer in the candidate's favour; promote if being worse by the margin is excluded even with every one against it.
pub(super) fn paired(analysis: &Analysis<'_>) -> (Reason, Option<SampleSize>) {
    let Analysis { policy, levels, comparison, statistics, .. } = analysis;
    let rule = Rule::of(policy);
    let blocks = |arm: &Differences| rule.blocks(arm);
    let doubtful = |arm: &Differences| rule.blocks_at(arm, arm.critical(levels.alpha.max(levels.block)));
    let promotes = |arm: &Differences| rule.promotes_at(arm, arm.critical(levels.promote));
    let numbers = statistics.numbers(comparison);
    let missing = comparison.candidate.missing + comparison.baseline.missing;

    if blocks(&statistics.missing_for) {
        let despite = match missing {
            0 => String::new(),
            n => format!("; holds even with {} counted for the candidate", phrases::count(n, "missing answer")),
        };
        return (
            Reason {
                code: ReasonCode::Regression,
                message: format!(
                    "worse by more than {}: {numbers}; {} regressed, {} improved{despite}",
                    phrases::points(policy.tolerance),
                    phrases::count(comparison.paired.regressed, "case"),
                    comparison.paired.improved
                ),
                cases: comparison.regressed.clone(),
            },
            None,
        );
    }
    // A difference within the margin may at the same time be a proven loss beyond the tolerance. If only missing answers
    // keep that proof from holding, they must not turn a block into a promotion.
    if promotes(&statistics.missing_against) && !doubtful(&statistics.missing_against) {
        let message = format!("not worse by {} or more: {numbers}", phrases::points(policy.margin));
        return (reason(ReasonCode::NotWorse, message), None);
    }
    if missing > 0 && (promotes(&statistics.observed) || blocks(&statistics.observed)) {
        return (hangs_on_missing(comparison, missing, &numbers), None);
    }
    let needed = sample_size::to_compare(policy, levels.next, comparison);
    let message = format!(
        "not enough data to decide: {}; {numbers}{}",
        phrases::still_open(policy, promotes(&statistics.missing_against)),
        phrases::advice(needed.as_ref())
    );
    (reason(ReasonCode::TooFew, message), needed)
}

fn hangs_on_missing(comparison: &Comparison, missing: u64, numbers: &str) -> Reason {
    Reason {
        code: ReasonCode::Errors,
        message: format!(
            "the decision depends on {} that could not be scored: {numbers}{}; --resume requests missing answers again; fix checks that could not score",
            phrases::count(missing, "answer"),
            phrases::most_frequent_error(comparison)
        ),
        cases: comparison.missing.clone(),
    }
}

/// Without a baseline: the pass rate against the required one, by one-sided bounds over cases (`proportions::conservative`).
pub(super) fn absolute(analysis: &Analysis<'_>) -> (Reason, Option<SampleSize>) {
    let Analysis { policy, levels, comparison, statistics, .. } = analysis;
    let Some(required) = policy.min_pass_rate else {
        let message = "nothing to compare with: set --baseline, or a required pass rate with --min-pass-rate";
        return (reason(ReasonCode::NotGated, message), None);
    };
    let (missing_against, n) = mean_rate(&comparison.passes_missing_against, comparison.repeats);
    let (missing_for, _) = mean_rate(&comparison.passes_missing_for, comparison.repeats);
    let low = proportions::conservative(missing_against, n, levels.promote).0;
    let high = proportions::conservative(missing_for, n, levels.alpha).1;
    let seen = statistics.candidate_rate.map_or_else(String::new, |rate| phrases::rate(rate.pass));
    let interval = format!(
        "{} CI {} to {}; {}",
        phrases::percent(1.0 - (levels.promote + levels.alpha)),
        phrases::rate(low),
        phrases::rate(high),
        phrases::size(comparison)
    );
    let numbers = format!("{seen} ({interval})").trim_start().to_owned();
    let required_text = phrases::percent(required);
    let missing = comparison.candidate.missing;
    let decided_without_missing = share(comparison.candidate_rate, comparison.repeats).is_some_and(|(rate, cases)| {
        let low = proportions::conservative(rate, cases, levels.promote).0;
        let high = proportions::conservative(rate, cases, levels.alpha).1;
        low >= required || high < required
    });
    if n > 0 && high < required {
        let message = format!("pass rate below the required {required_text}: {numbers}");
        (reason(ReasonCode::PassRateLow, message), None)
    } else if n > 0 && low >= required {
        let message = format!("pass rate at least the required {required_text}: {numbers}");
        (reason(ReasonCode::PassRate, message), None)
    } else if missing > 0 && decided_without_missing {
        (hangs_on_missing(comparison, missing, &numbers), None)
    } else {
        let rate = statistics.candidate_rate.map_or(missing_against, |rate| rate.pass);
        let needed = sample_size::to_exceed(required, rate, n, levels.next.0);
        let message = format!(
            "not enough data to tell whether the pass rate reaches the required {required_text}: {numbers}{}",
            phrases::advice(needed.as_ref())
        );
        (reason(ReasonCode::TooFew, message), needed)
    }
}
