//! Asks matchers about texts that no model gave: expected ones, and those of golden cases.

use super::definition::{Compile, Reads};
use super::matcher::MatchInput;
use super::matchers::{MATCHERS, no_pii, no_secrets};
use super::replies::ReplyCache;
use crate::domain::{Answer, Case, CheckSpec};
use std::ops::Range;

/// Whether a complete answer of exactly this text passes the check. `None` if the check, or one inside it, looks at more
/// than the text, if it can't judge, or if it does not compile.
pub fn passes_text(check: &CheckSpec, text: &str) -> Option<bool> {
    let ctx = Compile::new(MATCHERS);
    if ctx.any_kind(check, |def| def.reads != Reads::Text) {
        return None;
    }
    let case = Case::new("");
    let answer = Answer { text: text.to_owned(), finish_reason: Some("STOP".to_owned()), ..Answer::default() };
    let input = MatchInput {
        case: &case,
        answer: &answer,
        system: None,
        cost_usd: None,
        unusable: None,
        replies: &ReplyCache::default(),
    };
    let matcher = ctx.check(check).ok()?;
    matcher.check(&input).ok().map(|score| score.pass)
}

/// What `no_secrets` finds in a text: kinds and places, at most 100.
pub fn secrets(text: &str) -> Vec<(&'static str, Range<usize>)> {
    no_secrets::find_all(text)
}

/// What `no_pii` finds in a text: kinds and places, at most 100.
pub fn personal_data(text: &str) -> Vec<(&'static str, Range<usize>)> {
    no_pii::find_all(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn passes(check: serde_json::Value, text: &str) -> Option<bool> {
        passes_text(&CheckSpec::parse(&check).unwrap(), text)
    }

    #[test]
    fn checks_of_the_text_alone_can_be_asked() {
        assert_eq!(passes(json!({"contains": "30"}), "30 days"), Some(true));
        assert_eq!(passes(json!({"not": {"contains": "30"}}), "30 days"), Some(false));
        assert_eq!(passes(json!({"json_schema": {"type": "object"}}), "{}"), Some(true));
        assert_eq!(passes(json!({"any": ["a", {"refusal": true}]}), "a"), None);
        assert_eq!(passes(json!({"finish_reason": "STOP"}), "a"), None);
        assert_eq!(passes(json!({"prompt_leak": true}), "a"), None);
        assert_eq!(passes(json!({"contains": ""}), "a"), None);
    }

    #[test]
    fn finds_have_kinds_and_places() {
        let text = format!("key: AIza{} of ann@firm.com", "a".repeat(35));
        let shown = |found: Vec<(&'static str, Range<usize>)>| -> Vec<(&str, String)> {
            found.into_iter().map(|(kind, at)| (kind, text[at].to_owned())).collect()
        };
        assert_eq!(shown(personal_data(&text)), [("email", "ann@firm.com".to_owned())]);
        assert_eq!(shown(secrets(&text)), [("google_api_key", format!("AIza{}", "a".repeat(35)))]);
    }
}
