//! The numbers of a verdict, computed again from its rows.

use super::{EDITED, ROWS, excerpt};
use crate::domain::{Changes, Comparison, DecidingJudges, Decision, LooksBefore, Problem, ReasonCode, Verdict};
use crate::gate::{self, GateDecision, RunContext, SentenceContext};
use crate::provider::is_replay;
use serde_json::{Value, json};

/// What `eval` knew of the run.
pub(super) fn facts<'a>(
    recorded: &'a Verdict,
    changes: &'a Changes,
    judges: &'a DecidingJudges,
    before: &'a LooksBefore,
) -> RunContext<'a> {
    RunContext {
        gated: recorded.gated,
        whole_run: recorded.completion,
        models: (
            recorded.baseline.as_ref().map(|prompt| prompt.model.requested.as_str()),
            &recorded.candidate.model.requested,
        ),
        confirms: !is_replay(&recorded.target),
        judges: Some(judges),
        changes,
        look: &recorded.look,
        before,
        // Which machine it was is not known; it only ever forbids.
        withheld: recorded.reasons.iter().find(|reason| reason.code == ReasonCode::NotPromotable).map(|_| ""),
    }
}

/// What `eval` says that it means.
pub(super) fn sentence(
    recorded: &Verdict,
    facts: &RunContext<'_>,
    comparison: &Comparison,
    decided: &GateDecision,
) -> String {
    let context = SentenceContext {
        candidate: &recorded.candidate.name,
        baseline: recorded.baseline.as_ref().map(|prompt| prompt.name.as_str()),
        edited: recorded.promotion.is_some()
            && recorded
                .baseline
                .as_ref()
                .is_some_and(|was| was.name == recorded.candidate.name && was.sha256 != recorded.candidate.sha256),
        simulated: recorded.simulated,
        replayed: recorded.replayed,
        cases: (recorded.dataset.cases, recorded.dataset.total),
        promotable: recorded.promotable,
        rehearsal: recorded.rehearsal,
    };
    gate::sentence(&context, &recorded.policy, facts, comparison, decided)
}

/// What earlier looks forbade, which no row tells: it is believed, since it only ever forbids.
pub(super) fn prior_looks(recorded: &Verdict) -> LooksBefore {
    let says = |code: ReasonCode| recorded.reasons.iter().any(|reason| reason.code == code);
    if says(ReasonCode::EarlierLook) {
        return LooksBefore::Final { decision: Decision::Inconclusive, run: 0, attempts: 1, other_rules: false };
    }
    if says(ReasonCode::AttemptsLost) {
        return LooksBefore::Lost { attempt: 0, known: 0 };
    }
    LooksBefore::Clear
}

/// What of verdict.json is not what follows from the rows.
pub(super) fn check_numbers(
    recorded: &Verdict,
    comparison: &Comparison,
    decided: &GateDecision,
    sentence: &str,
) -> Vec<Problem> {
    let codes = |reasons: &Value| -> Value {
        let reasons = reasons.as_array().map_or(&[][..], Vec::as_slice);
        reasons.iter().map(|reason| reason["code"].clone()).collect()
    };
    let computed = json!({
        "decision": decided.decision,
        // A verdict without a sentence holds.
        "sentence": if recorded.sentence.is_empty() { "" } else { sentence },
        "reasons": codes(&json!(decided.reasons)),
        "warnings": codes(&json!(decided.warnings)),
        "counts": comparison.counts,
        "quarantined": (!comparison.quarantine.found.tags.is_empty()).then_some(&comparison.quarantine.found),
        "unlooked": (comparison.unlooked.cases > 0).then_some(comparison.unlooked),
        "paired": comparison.paired,
        "rates": {"baseline": decided.baseline_rate, "candidate": decided.candidate_rate},
        "difference": decided.difference,
        "z": decided.z,
        "needed": decided.needed,
        "slices": decided.slices,
        "guardrails": (!decided.guardrails.is_empty()).then_some(&decided.guardrails),
        "usage": comparison.usage,
        "answers_cost_usd": comparison.answers_cost_usd,
        "cached": {"baseline": comparison.baseline.cached, "candidate": comparison.candidate.cached},
        "latency_ms": {"baseline": comparison.latency_ms.0, "candidate": comparison.latency_ms.1},
        "candidate.model.served": comparison.candidate_served,
        "baseline.model.served": recorded.baseline.as_ref().map(|_| &comparison.baseline_served),
    });
    // Written and read as verdict.json was, so that both went the same way through the decimal digits.
    let computed: Value = serde_json::from_str(&computed.to_string()).unwrap_or_default();
    let recorded = json!(recorded);
    let written = |field: &str| match field {
        "reasons" | "warnings" => codes(&recorded[field]),
        field => field.split('.').fold(&recorded, |json, step| &json[step]).clone(),
    };
    let mut misses = Vec::new();
    for (field, computed) in computed.as_object().into_iter().flatten() {
        let found = written(field);
        if found != *computed {
            misses.push(
                Problem::new(format!("`{field}` of the verdict is {}", excerpt(&found)))
                    .expected(format!("{}, as it follows from {ROWS}", excerpt(computed)))
                    .hint(EDITED),
            );
        }
    }
    misses
}
