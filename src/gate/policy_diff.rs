//! Does the project ask for no less than it did? A candidate that passes weaker checks proves nothing against the older ones,
//! and cases that were added must not outweigh those that were there.

use super::{GateDecision, phrases, reason, speaks_for};
use crate::domain::{Changes, Decision, Reason, ReasonCode};

const MAX_NAMED: usize = 5;

/// The reason why nothing is promoted where something asks for less and was accepted by no one.
pub(super) fn weaker(changes: &Changes) -> Option<Reason> {
    let weaker = changes.unaccepted();
    if weaker.is_empty() {
        return None;
    }
    let named = weaker.iter().map(|changed| {
        let what: String = changed.what.chars().take(100).collect();
        if what == changed.kind { what } else { format!("{} {what}", changed.kind) }
    });
    Some(reason(
        ReasonCode::Weakened,
        format!(
            "golden data, checks or policy may ask for less than they did ({}); take it back, or let a maintainer accept it: {}",
            phrases::list(named, weaker.len() as u64, MAX_NAMED),
            changes.way_to_accept()
        ),
    ))
}

/// What the cases of the base demand beyond `reasons`: a block there blocks, and what can't be promoted there is not.
pub(super) fn at_base(reasons: &[Reason], at_base: &GateDecision) -> Vec<Reason> {
    let any = |decision| reasons.iter().any(|reason| speaks_for(reason.code) == decision);
    let found = at_base.reasons.iter().filter(|reason| speaks_for(reason.code) == at_base.decision);
    match at_base.decision {
        Decision::Block if !any(Decision::Block) => found
            .map(|reason| Reason { message: format!("{}, on the cases of the base", reason.message), ..reason.clone() })
            .collect(),
        Decision::Inconclusive if any(Decision::Promote) || any(Decision::Unchanged) => found
            .take(1)
            .map(|found| {
                let message = format!(
                    "on the cases of the base alone: {}; to count new cases, merge them in a change of their own first",
                    found.message
                );
                reason(ReasonCode::BaseCases, message)
            })
            .collect(),
        Decision::Promote | Decision::Unchanged | Decision::Block | Decision::Inconclusive => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{WHOLE, compared, policy, weaker_changes};
    use super::super::{RunContext, decide};
    use super::*;
    use crate::domain::{Comparison, PolicyBase, PolicyChange, StateDiff};

    fn changed(kind: &str, what: &str) -> PolicyChange {
        PolicyChange { kind: kind.to_owned(), what: what.to_owned(), before: None, after: None, weaker: true }
    }

    fn changes(rows: Vec<PolicyChange>) -> Changes {
        let base = PolicyBase { rev: "main".to_owned(), commit: "c".to_owned() };
        Changes::of(base, StateDiff { rows, ..StateDiff::default() })
    }

    #[test]
    fn what_asks_for_less_is_named_up_to_a_bound() {
        assert_eq!(weaker(&Changes::default()), None);
        let one = changes(vec![changed("margin", "margin"), changed("case-deleted", "c1")]);
        let reason = weaker(&one).unwrap();
        assert_eq!(reason.code, ReasonCode::Weakened);
        assert!(reason.message.contains("(case-deleted c1, margin);"), "{}", reason.message);
        let line = format!("--accept-weaker '{}=REASON'", one.digest.unwrap());
        assert!(reason.message.ends_with(&line), "{}", reason.message);
        let many = changes((0..500).map(|i| changed("case-deleted", &"x".repeat(i))).collect());
        let many = weaker(&many).unwrap();
        assert!(many.message.contains(" more)") && many.message.len() < 1000, "{}", many.message);
    }

    #[test]
    fn cases_of_the_base_block_and_hold_whatever_was_added() {
        let easy = compared(&[(0, 3000)], 3);
        for (at_base, decision, code) in [
            (compared(&[(0, 200)], 3), Decision::Promote, ReasonCode::NotWorse),
            (compared(&[(-3, 40), (0, 160)], 3), Decision::Block, ReasonCode::Regression),
            (compared(&[(-3, 4), (0, 46)], 3), Decision::Inconclusive, ReasonCode::BaseCases),
            (compared(&[], 3), Decision::Promote, ReasonCode::NotWorse),
        ] {
            let comparison = Comparison { at_base: Some(Box::new(at_base)), ..easy.clone() };
            let decided = decide(&policy(), &comparison, &WHOLE);
            assert_eq!((decided.decision, decided.reasons[0].code), (decision, code));
            let told = decided.reasons[0].message.contains("on the cases of the base");
            assert_eq!(told, decision != Decision::Promote, "{}", decided.reasons[0].message);
            // Both are told: accepting what is weaker would not be enough.
            let changes = weaker_changes();
            let weaker = decide(&policy(), &comparison, &RunContext { changes: &changes, ..WHOLE });
            assert!(weaker.reasons.iter().any(|reason| reason.code == code) || decision == Decision::Promote);
        }
    }
}
