//! The verdict, put together from the decision and its evidence.

use super::context::EvalContext;
use super::decision::is_replayed;
use super::score_pass::ScoredRun;
use crate::domain::{
    Arms, Comparison, DatasetRecord, Decision, JudgesRecord, ModelRecord, PromptInfo, PromptRecord, ToolInfo, Tries,
    Verdict,
};
use crate::exit;
use crate::gate::{self, GateDecision, RunContext, SentenceContext};

/// Puts the verdict together. The only place that maps a decision to an exit code; a signal's wins over everything.
pub(crate) fn assemble(
    context: &EvalContext<'_>,
    scored: ScoredRun,
    (decided, shortfalls, tries): (GateDecision, &[&str], Option<Tries>),
    facts: &RunContext<'_>,
    signal: Option<u8>,
) -> Verdict {
    let EvalContext { settings, info: run, .. } = context;
    let replayed = is_replayed(settings, &scored);
    let ScoredRun { comparison, judge_usage: judges, .. } = scored;
    let exit_code = signal.unwrap_or_else(|| exit_code(settings.gate.gated, &comparison, decided.decision));
    let record = |info: &PromptInfo, served: Vec<String>| PromptRecord {
        name: info.name.clone(),
        sha256: info.sha256.clone(),
        path: info.path.clone(),
        file_sha256: info.file_sha256.clone(),
        model: ModelRecord { requested: info.model.clone(), served },
    };
    let promotable = decided.decision == Decision::Promote && exit_code == exit::OK && shortfalls.is_empty();
    let told = SentenceContext {
        candidate: &run.candidate.name,
        baseline: run.baseline.as_ref().map(|info| info.name.as_str()),
        edited: run.promotion.is_some()
            && run
                .baseline
                .as_ref()
                .is_some_and(|was| was.name == run.candidate.name && was.sha256 != run.candidate.sha256),
        simulated: run.simulated,
        replayed,
        cases: (run.cases, run.total),
        promotable,
        rehearsal: settings.gate.rehearsal,
    };
    let sentence = gate::sentence(&told, &settings.gate.policy, facts, &comparison, &decided);
    let judge_retries = judges.retries;
    let judges = JudgesRecord {
        requests: judges.requests,
        stored: judges.stored,
        cost_usd: judges.cost_usd,
        found: decided.judges,
    };
    Verdict {
        schema: Verdict::SCHEMA.to_owned(),
        decision: decided.decision,
        sentence,
        exit_code,
        promotable,
        rehearsal: settings.gate.rehearsal,
        reasons: decided.reasons,
        warnings: decided.warnings,
        simulated: run.simulated,
        replayed,
        gated: run.gated,
        key: run.key.clone(),
        look: run.look.clone(),
        fresh_key: run.fresh_key.clone(),
        tries,
        policy: run.policy.clone(),
        policy_sha256: gate::policy_digest(&settings.gate.policy),
        policy_base: run.changes.base.clone(),
        changed: run.changes.rows.clone(),
        weaker_digest: run.changes.digest.clone(),
        accepted_weaker: run.changes.accepted.clone(),
        candidate: record(&run.candidate, comparison.candidate_served),
        baseline: run.baseline.as_ref().map(|info| record(info, comparison.baseline_served)),
        promotion: run.promotion.clone(),
        dataset: DatasetRecord { sha256: run.dataset_sha256.clone(), cases: run.cases, total: run.total },
        repeats: run.repeats,
        tested: run.tested.clone(),
        completion: facts.whole_run,
        results: None,
        candidates: Vec::new(),
        target: run.target.clone(),
        counts: comparison.counts,
        quarantined: (!comparison.quarantine.found.tags.is_empty()).then_some(comparison.quarantine.found),
        unlooked: (comparison.unlooked.cases > 0).then_some(comparison.unlooked),
        paired: comparison.paired,
        rates: Arms { baseline: decided.baseline_rate, candidate: decided.candidate_rate },
        difference: decided.difference,
        z: decided.z,
        needed: decided.needed,
        slices: decided.slices,
        guardrails: decided.guardrails,
        usage: comparison.usage,
        cost_usd: comparison.cost_usd.zip(judges.cost_usd).map(|(answers, judges)| answers + judges),
        answers_cost_usd: comparison.answers_cost_usd,
        prices: settings.prices.list(),
        requests: comparison.requests + judges.requests,
        cached: Arms { baseline: comparison.baseline.cached, candidate: comparison.candidate.cached },
        imported: comparison.imported,
        retries: comparison.retries + judge_retries,
        waited_ms: comparison.waited_ms,
        latency_ms: Arms { baseline: comparison.latency_ms.0, candidate: comparison.latency_ms.1 },
        started_at: run.started_at.clone(),
        finished_at: super::now(),
        tool: ToolInfo::default(),
        judges: (judges.requests + judges.stored > 0 || !judges.found.deciding.is_empty()).then_some(judges),
    }
}

/// Only a computed promote, or unchanged, is 0. Without a gate, 0 says that every planned answer has an outcome, and not all
/// are errors.
fn exit_code(gated: bool, comparison: &Comparison, decision: Decision) -> u8 {
    if gated {
        return match decision {
            Decision::Promote | Decision::Unchanged => exit::OK,
            Decision::Block => exit::BLOCK,
            Decision::Inconclusive => exit::INCONCLUSIVE,
        };
    }
    let apart = comparison.quarantine.answers;
    let planned = comparison.baseline.planned + comparison.candidate.planned + apart.0;
    let scored = comparison.baseline.scored + comparison.candidate.scored + apart.1;
    let unasked = comparison.over_budget + comparison.not_asked;
    if unasked > 0 || (planned > 0 && scored == 0) { exit::INCONCLUSIVE } else { exit::OK }
}
