//! The verdict, put together from the decision and its evidence.

use super::Prepared;
use super::score_pass::JudgedRun;
use crate::config::{Cache, TargetKind};
use crate::domain::{Comparison, Decision, JudgesAsked, ModelRecord, PromptInfo, PromptRecord, Verdict};
use crate::exit;
use crate::gate::{self, Decided, Facts, Told};

/// Puts the verdict together. The only place that maps a decision to an exit code; a signal's wins over everything.
pub(crate) fn assemble(
    prepared: &Prepared<'_>,
    judged: JudgedRun,
    decided: Decided,
    facts: &Facts<'_>,
    signal: Option<u8>,
) -> Verdict {
    let Prepared {
        settings,
        selection,
        survey,
        run,
        ..
    } = prepared;
    let JudgedRun {
        comparison,
        stale,
        judges,
        ..
    } = judged;
    // Such answers prove nothing about the service of today.
    let replayed = settings.provider.target == TargetKind::Recorded
        || settings.run.cache == Cache::Only
        || stale > 0
        || comparison.imported > 0;
    let exit_code = signal.unwrap_or_else(|| exit_code(settings.gate.gated, &comparison, decided.decision));
    let record = |info: &PromptInfo, served: Vec<String>| PromptRecord {
        name: info.name.clone(),
        sha256: info.sha256.clone(),
        path: info.path.clone(),
        file_sha256: info.file_sha256.clone(),
        model: ModelRecord {
            requested: info.model.clone(),
            served,
        },
    };
    let promotable = decided.decision == Decision::Promote
        && exit_code == exit::OK
        && settings.gate.gated
        && selection.is_everything()
        && survey.selected == survey.dataset.total
        && !run.simulated
        && !replayed;
    let told = Told {
        candidate: &run.candidate.name,
        baseline: run.baseline.as_ref().map(|info| info.name.as_str()),
        simulated: run.simulated,
        replayed,
        cases: (run.cases, run.total),
        promotable,
    };
    Verdict {
        decision: decided.decision,
        sentence: gate::sentence(&told, &settings.gate.policy, facts, &comparison, &decided),
        exit_code,
        promotable,
        reasons: decided.reasons,
        warnings: decided.warnings,
        replayed,
        unlooked: comparison.unlooked,
        policy_sha256: gate::policy_digest(&settings.gate.policy),
        completion: facts.whole_run,
        candidate: record(&run.candidate, comparison.candidate_served),
        baseline: run
            .baseline
            .as_ref()
            .map(|info| record(info, comparison.baseline_served)),
        counts: comparison.counts,
        quarantined: (!comparison.quarantine.found.tags.is_empty()).then_some(comparison.quarantine.found),
        paired: comparison.paired,
        baseline_rate: decided.baseline_rate,
        candidate_rate: decided.candidate_rate,
        difference: decided.difference,
        z: decided.z,
        needed: decided.needed,
        slices: decided.slices,
        guardrails: decided.guardrails,
        usage: comparison.usage,
        cost_usd: comparison
            .cost_usd
            .zip(judges.cost_usd)
            .map(|(answers, judges)| answers + judges),
        judges: JudgesAsked {
            requests: judges.requests,
            stored: judges.stored,
            cost_usd: judges.cost_usd,
            found: decided.judges,
        },
        answers_cost_usd: comparison.answers_cost_usd,
        prices: settings.prices.list(),
        requests: comparison.requests + judges.requests,
        cached: (comparison.baseline.cached, comparison.candidate.cached),
        imported: comparison.imported,
        retries: comparison.retries + judges.retries,
        waited_ms: comparison.waited_ms,
        latency_ms: comparison.latency_ms,
        finished_at: super::now(),
        candidates: Vec::new(),
    }
}

/// Only a computed promote is 0. Without a gate, 0 says that every planned answer has an outcome, and not all are errors.
fn exit_code(gated: bool, comparison: &Comparison, decision: Decision) -> u8 {
    if gated {
        return match decision {
            Decision::Promote => exit::OK,
            Decision::Block => exit::BLOCK,
            Decision::Inconclusive => exit::INCONCLUSIVE,
        };
    }
    let apart = comparison.quarantine.answers;
    let planned = comparison.baseline.planned + comparison.candidate.planned + apart.0;
    let scored = comparison.baseline.scored + comparison.candidate.scored + apart.1;
    let unasked = comparison.over_budget + comparison.not_asked;
    if unasked > 0 || (planned > 0 && scored == 0) {
        exit::INCONCLUSIVE
    } else {
        exit::OK
    }
}
