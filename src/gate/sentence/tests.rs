//! One table with a sentence for every reason, and one for what a run is not.

use super::super::fixtures::{WHOLE, alone, compared, policy, weaker_changes};
use super::super::speaks_for;
use super::*;
use crate::domain::{Attempts, CaseId, Method, Slice, Words as _};
use proptest::prelude::*;
use std::fmt::Write as _;

const TOLD: SentenceContext<'static> = SentenceContext {
    candidate: "v2",
    baseline: Some("v1"),
    edited: false,
    simulated: false,
    replayed: false,
    cases: (204, 204),
    promotable: true,
    rehearsal: false,
};

/// A comparison that has something to say for every reason.
fn comparison() -> Comparison {
    let mut comparison = compared(&[(-3, 30), (0, 170), (3, 4)], 3);
    comparison.candidate.refused = 40;
    comparison.candidate.missing = 44;
    comparison.baseline.missing = 2;
    for (failed, scored, ids) in [(3, 3, &["refund-41", "leak-1", "json-7", "json-8"][..]), (0, 1, &["slow-1"])] {
        let attempts = Attempts { planned: 3, scored, failed };
        let alike = comparison.must_pass.entry(attempts).or_default();
        alike.cases = ids.len() as u64;
        alike.ids = ids.iter().map(|id| CaseId::new(*id)).collect();
    }
    comparison
}

fn decided(code: ReasonCode) -> GateDecision {
    let reason = Reason {
        code,
        message: "with z and an interval".to_owned(),
        cases: if code == ReasonCode::Critical {
            ["refund-41", "leak-1", "json-7", "json-8"].map(CaseId::new).to_vec()
        } else if code == ReasonCode::CriticalUnscored {
            vec![CaseId::new("slow-1")]
        } else {
            Vec::new()
        },
    };
    let slice = |tag: &str, gate| Slice { tag: tag.to_owned(), gate, ..Slice::default() };
    let guardrail = |metric, status| Guardrail {
        metric,
        n: 204,
        baseline: None,
        candidate: None,
        change: None,
        allowed: 0.1,
        p: None,
        p_any: None,
        status,
        why: None,
    };
    GateDecision {
        decision: speaks_for(code),
        needed: Some(SampleSize { cases: 310, repeats: None }),
        slices: vec![
            slice("billing", SliceGate::Ok),
            slice("refunds", SliceGate::Block),
            slice("returns", SliceGate::Hold),
        ],
        guardrails: vec![
            guardrail(GuardMetric::LatencyP95, GuardStatus::Hold),
            guardrail(GuardMetric::Cost, GuardStatus::Block),
            guardrail(GuardMetric::OutputTokens, GuardStatus::Block),
            guardrail(GuardMetric::RefusalRate, GuardStatus::Unknown),
            guardrail(GuardMetric::TruncationRate, GuardStatus::Block),
        ],
        ..GateDecision::without_numbers(reason, Vec::new())
    }
}

fn of(
    context: &SentenceContext<'_>,
    policy: &Policy,
    facts: &RunContext<'_>,
    comparison: &Comparison,
    code: ReasonCode,
) -> String {
    sentence(context, policy, facts, comparison, &decided(code))
}

#[test]
fn every_reason_has_a_sentence_without_jargon() {
    let changes = weaker_changes();
    let facts = RunContext { changes: &changes, ..WHOLE };
    let policy = Policy { min_pass_rate: Some(0.9), critical_tags: vec!["legal".to_owned()], ..policy() };
    let mut table = String::new();
    for (_, code) in ReasonCode::WORDS {
        let text = of(&TOLD, &policy, &facts, &comparison(), *code);
        let words: Vec<String> = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect();
        for jargon in ["z", "alpha", "margin", "tolerance", "interval", "significant", "p", "arm", "candidate"] {
            assert!(!words.iter().any(|word| word == jargon), "{jargon}: {text}");
        }
        assert!(text.ends_with('.') && !text.contains("..") && !text.contains('\n'), "{text}");
        let _ = writeln!(table, "{:<17} {text}", code.as_str());
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_a_run_is_not_is_told() {
    let policy = policy();
    let mut context = String::new();
    let mut say = |what: &str, text: String| {
        let _ = writeln!(context, "{what}: {text}");
    };
    let not = SentenceContext { promotable: false, ..TOLD };
    let runs = [
        ("simulated", SentenceContext { simulated: true, ..not }),
        ("replayed", SentenceContext { replayed: true, ..not }),
        ("partial", SentenceContext { cases: (40, 204), ..not }),
        ("all of it", SentenceContext { simulated: true, replayed: true, cases: (40, 204), ..not }),
        ("a signal, or cases that were chosen", not),
    ];
    for (what, run) in runs {
        for code in [ReasonCode::NotWorse, ReasonCode::Critical, ReasonCode::TooFew] {
            say(what, of(&run, &policy, &WHOLE, &comparison(), code));
        }
    }
    let ungated = RunContext { gated: false, ..WHOLE };
    say("no gate", of(&not, &policy, &ungated, &comparison(), ReasonCode::NotGated));

    let single = alone(&[(3, 196), (0, 8)], 3);
    let without = SentenceContext { baseline: None, ..TOLD };
    let required = Policy { min_pass_rate: Some(0.9), ..policy.clone() };
    for (policy, code) in [
        (&required, ReasonCode::PassRate),
        (&required, ReasonCode::PassRateLow),
        (&required, ReasonCode::TooFew),
        (&policy, ReasonCode::NotGated),
    ] {
        say("without a baseline", of(&without, policy, &WHOLE, &single, code));
    }
    for needed in [None, Some(SampleSize { cases: 310, repeats: Some(6) })] {
        let open = GateDecision { needed, ..decided(ReasonCode::TooFew) };
        say("open", sentence(&TOLD, &policy, &WHOLE, &comparison(), &open));
    }
    let mut early = comparison();
    early.unlooked.cases = 136;
    say("early", of(&TOLD, &policy, &WHOLE, &early, ReasonCode::NotWorse));
    early.quarantine.looked = 8;
    say("early, and some aside", of(&TOLD, &policy, &WHOLE, &early, ReasonCode::TooFew));
    let mut unanswered = comparison();
    unanswered.baseline.scored = 0;
    say("no answer", of(&TOLD, &policy, &WHOLE, &unanswered, ReasonCode::NothingScored));
    let better = GateDecision {
        difference: Some(crate::domain::Difference {
            estimate: 0.17,
            low: 0.12,
            high: 0.22,
            confidence: 0.9,
            method: Method::Score,
        }),
        ..decided(ReasonCode::NotWorse)
    };
    say("better", sentence(&TOLD, &policy, &WHOLE, &comparison(), &better));
    let nothing = GateDecision { reasons: Vec::new(), ..decided(ReasonCode::TooFew) };
    say("no reason", sentence(&TOLD, &policy, &WHOLE, &comparison(), &nothing));
    insta::assert_snapshot!(context);
}

proptest! {
    /// Only a promote that may be acted on says that it may go live.
    #[test]
    fn only_what_may_go_live_is_said_to(at in 0..ReasonCode::WORDS.len(), simulated: bool, replayed: bool, part: bool, promotable: bool) {
        let (_, code) = ReasonCode::WORDS[at];
        let context = SentenceContext { simulated, replayed, cases: (if part { 40 } else { 204 }, 204), promotable, ..TOLD };
        let text = of(&context, &policy(), &WHOLE, &comparison(), code);
        prop_assert_eq!(
            text.starts_with("v2 may go live"),
            promotable && speaks_for(code) == Decision::Promote
        );
    }
}
