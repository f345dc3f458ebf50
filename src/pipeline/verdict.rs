//! The verdict, put together from the decision and its evidence.

use super::survey::Survey;
use crate::exit;
use crate::gate::Decided;
use crate::model::{Comparison, Decision, ModelRecord, PromptInfo, PromptRecord, RunInfo, Verdict};
use crate::plan::Selection;
use crate::settings::Settings;

/// Puts the verdict together. The only place that maps a decision to an exit code.
pub(super) fn assemble(
    settings: &Settings,
    selection: &Selection,
    run: &RunInfo,
    survey: &Survey,
    comparison: Comparison,
    decided: Decided,
    finished_at: String,
) -> Verdict {
    let replayed = super::replayed(settings) || comparison.imported > 0;
    let exit_code = exit_code(settings, &comparison, decided.decision);
    let record = |info: &PromptInfo, served: Vec<String>| PromptRecord {
        name: info.name.clone(),
        sha256: info.sha256.clone(),
        model: ModelRecord {
            requested: info.model.clone(),
            served,
        },
    };
    let promotable = decided.decision == Decision::Promote
        && settings.gated
        && selection.is_everything()
        && survey.selected == survey.dataset.total
        && !run.simulated
        && !replayed;
    Verdict {
        decision: decided.decision,
        exit_code,
        promotable,
        reasons: decided.reasons,
        replayed,
        policy_sha256: super::policy_digest(&settings.policy),
        candidate: record(&run.candidate, comparison.candidate_served),
        baseline: run
            .baseline
            .as_ref()
            .map(|info| record(info, comparison.baseline_served)),
        counts: comparison.counts,
        paired: comparison.paired,
        baseline_rate: decided.baseline_rate,
        candidate_rate: decided.candidate_rate,
        difference: decided.difference,
        z: decided.z,
        needed: decided.needed,
        slices: comparison.slices,
        usage: comparison.usage,
        cost_usd: comparison.cost_usd,
        answers_cost_usd: comparison.answers_cost_usd,
        prices: settings.prices.list(),
        requests: comparison.requests,
        cached: (comparison.baseline.cached, comparison.candidate.cached),
        imported: comparison.imported,
        retries: comparison.retries,
        latency_ms: comparison.latency_ms,
        finished_at,
    }
}

/// Only a computed promote is 0. Without a gate, 0 says that every planned answer has an outcome.
fn exit_code(settings: &Settings, comparison: &Comparison, decision: Decision) -> u8 {
    if settings.gated {
        return match decision {
            Decision::Promote => exit::OK,
            Decision::Block => exit::BLOCK,
            Decision::Inconclusive => exit::INCONCLUSIVE,
        };
    }
    let scored = comparison.baseline.scored + comparison.candidate.scored;
    let unasked = comparison.over_budget + comparison.not_asked;
    if unasked > 0 || (scored == 0 && !comparison.identical) {
        exit::INCONCLUSIVE
    } else {
        exit::OK
    }
}
