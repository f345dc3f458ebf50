//! Rules that are not those of an earlier look at the same answers, and which of them ask for less.

use crate::domain::Policy;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The rules that differ, each with what it was and is, and whether it asks for less. What is not known to be equal or stricter
/// does.
pub fn rule_changes(now: &Policy, first: &Policy) -> Vec<(String, bool)> {
    let (is, was) = (json!(now), json!(first));
    let names: BTreeSet<&String> =
        [&is, &was].into_iter().filter_map(Value::as_object).flat_map(|all| all.keys()).collect();
    let changed = names.into_iter().filter(|name| is[*name] != was[*name]);
    changed.map(|name| (format!("{name} {}, now {}", was[name], is[name]), is_looser(name, now, first))).collect()
}

fn is_looser(rule: &str, now: &Policy, first: &Policy) -> bool {
    match rule {
        "margin" => now.margin > first.margin,
        "tolerance" => now.tolerance > first.tolerance,
        "alpha" => now.alpha > first.alpha,
        "block_alpha" => now.block_alpha < first.block_alpha,
        "max_missing" => now.max_missing > first.max_missing,
        "min_pass_rate" => now.min_pass_rate < first.min_pass_rate,
        "strict_model" => !now.strict_model,
        "slice_margin" => now.slice_margin > first.slice_margin,
        "slice_q" => now.slice_q < first.slice_q,
        "critical_tags" => first.critical_tags.iter().any(|tag| !now.critical_tags.contains(tag)),
        "critical_margin" => {
            let margin = |policy: &Policy| policy.critical_margin.unwrap_or(policy.slice_margin);
            margin(now) > margin(first)
        }
        "guardrails" => {
            let declared = now.guardrails.declared();
            let kept = |(metric, most)| declared.iter().any(|(other, allowed)| *other == metric && *allowed <= most);
            !first.guardrails.declared().into_iter().all(kept)
        }
        "quarantine" => {
            now.quarantine.iter().any(|(tag, until)| first.quarantine.get(tag).is_none_or(|before| before < until))
        }
        // Ways of looking that share the error are planned before the first look, and held to that.
        "attempts" | "sequential" => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Estimand, Guardrails, Metric};

    #[test]
    fn what_asks_for_less_is_told_from_what_asks_for_more() {
        let first = Policy {
            min_pass_rate: Some(0.9),
            critical_tags: vec!["a".to_owned()],
            critical_margin: Some(0.1),
            guardrails: Guardrails { cost: Some(0.1), ..Guardrails::default() },
            quarantine: [("q".to_owned(), "2026-12-01".to_owned())].into(),
            strict_model: true,
            ..Policy::default()
        };
        let of = |change: &dyn Fn(&mut Policy)| {
            let mut now = first.clone();
            change(&mut now);
            let changes = rule_changes(&now, &first);
            assert_eq!(changes.len(), 1, "{changes:?}");
            changes[0].1
        };
        let looser: [&dyn Fn(&mut Policy); 16] = [
            &|policy| policy.margin = 0.08,
            &|policy| policy.tolerance = 0.02,
            &|policy| policy.alpha = 0.1,
            &|policy| policy.max_missing = 0.1,
            &|policy| policy.min_pass_rate = None,
            &|policy| policy.strict_model = false,
            &|policy| policy.slice_margin = 0.2,
            &|policy| policy.slice_q = 0.01,
            &|policy| policy.critical_tags = vec!["b".to_owned()],
            &|policy| policy.critical_margin = Some(0.2),
            &|policy| policy.guardrails.cost = None,
            &|policy| {
                policy.guardrails = Guardrails { cost: Some(0.2), refusal_rate: Some(0.1), ..Guardrails::default() }
            },
            &|policy| policy.quarantine = [("q".to_owned(), "2026-12-02".to_owned())].into(),
            &|policy| policy.quarantine = [("r".to_owned(), "2026-11-01".to_owned())].into(),
            &|policy| policy.estimand = Estimand::Dataset,
            &|policy| policy.metric = Metric::Score,
        ];
        assert!(looser.iter().all(|change| of(change)));
        let stricter: [&dyn Fn(&mut Policy); 6] = [
            &|policy| policy.margin = 0.03,
            &|policy| policy.min_pass_rate = Some(0.95),
            &|policy| policy.critical_tags.push("b".to_owned()),
            &|policy| policy.guardrails.latency_p95 = Some(0.1),
            &|policy| policy.quarantine.clear(),
            &|policy| policy.attempts = 3,
        ];
        assert!(!stricter.iter().any(|change| of(change)));
        assert_eq!(rule_changes(&first, &first), []);
    }
}
