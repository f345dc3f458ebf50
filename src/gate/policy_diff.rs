//! Does the project ask for no less than it did? A candidate that passes weaker checks proves nothing against the older ones.

use super::{phrases, reason};
use crate::domain::{PolicyChange, Reason, ReasonCode};

const MAX_NAMED: usize = 5;

/// The reason why nothing is promoted; `weaker` is what asks for less and was accepted by no one.
pub(super) fn weaker(weaker: &[PolicyChange]) -> Option<Reason> {
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
            "golden data, checks or policy may ask for less than they did ({}); take it back, or accept it with \
             --accept-weaker REASON",
            phrases::list(named, weaker.len() as u64, MAX_NAMED)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(kind: &str, what: &str) -> PolicyChange {
        PolicyChange { kind: kind.to_owned(), what: what.to_owned(), before: None, after: None, weaker: true }
    }

    #[test]
    fn what_asks_for_less_is_named_up_to_a_bound() {
        assert_eq!(weaker(&[]), None);
        let one = weaker(&[changed("margin", "margin"), changed("case-deleted", "c1")]).unwrap();
        assert_eq!(one.code, ReasonCode::Weakened);
        assert!(one.message.contains("(margin, case-deleted c1);"), "{}", one.message);
        let many: Vec<PolicyChange> = (0..500).map(|i| changed("case-deleted", &"x".repeat(i))).collect();
        let many = weaker(&many).unwrap();
        assert!(many.message.contains(" and 495 more)") && many.message.len() < 1000, "{}", many.message);
    }
}
