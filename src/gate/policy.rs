//! The rules a verdict follows: their limits, and their digest.

use crate::domain::{MOST_ATTEMPTS, Policy, Problem, Problems, day, hex};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

impl Policy {
    /// Checks that the rules make sense: `0 < tolerance <= margin <= 0.5`, `0 < alpha <= 0.2`,
    /// `0 < block_alpha <= 0.2`, `0 < min_pass_rate < 1`, `0 <= max_missing <= 0.5`, `0 < slice_margin <= 1`, `0 < slice_q <= 0.2`,
    /// `0 < critical_margin <= 0.5`, given if and only if there are critical tags; a quarantine of at most 100 tags, none of
    /// which is critical, each until a day.
    ///
    /// # Errors
    /// Every value out of its range.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        // Negated comparisons, so that NaN is out of every range.
        if !(self.margin > 0.0 && self.margin <= 0.5) {
            problems.push(
                Problem::new(format!("`margin` is {}", self.margin))
                    .expected("more than 0, at most 0.5; 0.05 means 5 points of pass rate"),
            );
        }
        let margin = if problems.is_empty() { self.margin } else { 0.5 };
        if !(self.tolerance > 0.0 && self.tolerance <= margin) {
            problems.push(
                Problem::new(format!("`tolerance` is {}", self.tolerance))
                    .expected(format!("more than 0, at most the margin ({margin})"))
                    .hint("the tolerance is the loss that still goes unblocked; the margin is the loss that must be excluded"),
            );
        }
        for (key, alpha) in [("alpha", self.alpha), ("block_alpha", self.block_alpha)] {
            if !(alpha > 0.0 && alpha <= 0.2) {
                problems.push(
                    Problem::new(format!("`{key}` is {alpha}"))
                        .expected("more than 0, at most 0.2; 0.05 means one wrong decision in 20 at most"),
                );
            }
        }
        if let Some(rate) = self.min_pass_rate
            && !(rate > 0.0 && rate < 1.0)
        {
            problems.push(
                Problem::new(format!("`min_pass_rate` is {rate}")).expected("more than 0, less than 1; 0.9 means 90%"),
            );
        }
        if !(0.0..=0.5).contains(&self.max_missing) {
            problems.push(Problem::new(format!("`max_missing` is {}", self.max_missing)).expected("0 to 0.5"));
        }
        if !(1..=MOST_ATTEMPTS).contains(&self.attempts) {
            problems.push(
                Problem::new(format!("`attempts` is {}", self.attempts)).expected(format!("1 to {MOST_ATTEMPTS}")),
            );
        }
        if !(self.slice_margin > 0.0 && self.slice_margin <= 1.0) {
            problems.push(
                Problem::new(format!("`slice_margin` is {}", self.slice_margin))
                    .expected("more than 0, at most 1; 0.1 means 10 points of a tag's pass rate"),
            );
        }
        if !(self.slice_q > 0.0 && self.slice_q <= 0.2) {
            problems
                .push(Problem::new(format!("`slice_q` is {}", self.slice_q)).expected(
                    "more than 0, at most 0.2; 0.05 means that one blocked tag in 20 may be blocked wrongly",
                ));
        }
        match self.critical_margin {
            Some(margin) if !(margin > 0.0 && margin <= 0.5) => problems.push(
                Problem::new(format!("`critical_margin` is {margin}"))
                    .expected("more than 0, at most 0.5; 0.1 means 10 points of a critical tag's pass rate"),
            ),
            Some(_) if self.critical_tags.is_empty() => problems.push(
                Problem::new("`critical_margin` plays no part without critical tags")
                    .hint("name them: critical_tags = [\"refunds\"]"),
            ),
            None if !self.critical_tags.is_empty() => problems.push(
                Problem::new("`critical_margin` is missing").expected("the loss that critical tags must exclude"),
            ),
            Some(_) | None => {}
        }
        if let Some(tag) = self.critical_tags.iter().find(|tag| tag.trim().is_empty()) {
            problems.push(Problem::new(format!("`critical_tags` has the tag {tag:?}")).expected("names of tags"));
        }
        if self.critical_tags.len() > MOST_TAGS {
            problems.push(
                Problem::new(format!("`critical_tags` has {} tags", self.critical_tags.len()))
                    .expected(format!("at most {MOST_TAGS}")),
            );
        }
        for (metric, allowed) in self.guardrails.declared() {
            let (most, expected) = if metric.is_relative() {
                (5.0, "more than 0, at most 5; 0.2 means 20% more than the baseline")
            } else {
                (0.5, "more than 0, at most 0.5; 0.02 means 2 points more than the baseline")
            };
            if !(allowed > 0.0 && allowed <= most) {
                problems.push(Problem::new(format!("`guardrail_{}` is {allowed}", metric.as_str())).expected(expected));
            }
        }
        if self.quarantine.len() > MOST_TAGS {
            problems.push(
                Problem::new(format!("`quarantine` has {} tags", self.quarantine.len()))
                    .expected(format!("at most {MOST_TAGS}")),
            );
        }
        for (tag, until) in &self.quarantine {
            if tag.is_empty() || tag.trim() != tag {
                problems.push(Problem::new(format!("`quarantine` has the tag {tag:?}")).expected("names of tags"));
            }
            if day(until).is_none() {
                problems.push(
                    Problem::new(format!("`quarantine` of {tag:?} lasts until {until:?}"))
                        .expected("a day like 2026-12-31"),
                );
            }
            if self.critical_tags.contains(tag) {
                problems.push(
                    Problem::new(format!("`quarantine` has {tag:?}, which is a critical tag"))
                        .hint("what must not get worse can't be left undecided; take it out of one of the two"),
                );
            }
        }
        problems.or(())
    }
}

/// Critical tags, and those in quarantine, are kept in memory and in the policy.
const MOST_TAGS: usize = 100;

/// SHA-256, in hex, of the policy as JSON without spaces and with sorted keys.
pub fn policy_digest(policy: &Policy) -> String {
    let fields: BTreeMap<String, Value> = match serde_json::to_value(policy) {
        Ok(Value::Object(fields)) => fields.into_iter().collect(),
        // A struct of numbers always becomes an object.
        Ok(_) | Err(_) => BTreeMap::new(),
    };
    let canonical: Value = fields.into_iter().collect();
    hex(Sha256::digest(canonical.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::policy;
    use super::*;
    use crate::domain::Guardrails;

    fn quarantined(tags: &[(&str, &str)]) -> Policy {
        let quarantine = tags.iter().map(|(tag, until)| ((*tag).to_owned(), (*until).to_owned()));
        Policy { quarantine: quarantine.collect(), ..policy() }
    }

    #[test]
    fn a_quarantine_is_part_of_the_digest() {
        let one = quarantined(&[("b", "2026-12-31"), ("a", "2026-12-01")]);
        assert_eq!(one.check(), Ok(()));
        assert_eq!(serde_json::to_string(&one.quarantine).unwrap(), r#"{"a":"2026-12-01","b":"2026-12-31"}"#);
        let later = quarantined(&[("b", "2026-12-31"), ("a", "2026-12-02")]);
        assert_ne!(policy_digest(&one), policy_digest(&policy()));
        assert_ne!(policy_digest(&one), policy_digest(&later));
    }

    #[test]
    fn ranges_are_checked_all_at_once() {
        assert_eq!(policy().check(), Ok(()));
        let edge = Policy { margin: 0.5, tolerance: 0.5, alpha: 0.2, ..policy() };
        assert_eq!(edge.check(), Ok(()));
        let all_wrong =
            Policy { margin: 0.51, tolerance: 0.0, alpha: 0.0, min_pass_rate: Some(1.0), max_missing: 0.6, ..policy() };
        insta::assert_snapshot!(all_wrong.check().unwrap_err(), @r"
        `margin` is 0.51
          expected: more than 0, at most 0.5; 0.05 means 5 points of pass rate
        `tolerance` is 0
          expected: more than 0, at most the margin (0.5)
          help: the tolerance is the loss that still goes unblocked; the margin is the loss that must be excluded
        `alpha` is 0
          expected: more than 0, at most 0.2; 0.05 means one wrong decision in 20 at most
        `min_pass_rate` is 1
          expected: more than 0, less than 1; 0.9 means 90%
        `max_missing` is 0.6
          expected: 0 to 0.5
        ");
        for broken in [
            Policy { margin: f64::NAN, ..policy() },
            Policy { tolerance: f64::NAN, ..policy() },
            Policy { tolerance: 0.06, ..policy() },
            Policy { tolerance: -0.01, ..policy() },
            Policy { alpha: 0.21, ..policy() },
            Policy { alpha: f64::NAN, ..policy() },
            Policy { block_alpha: 0.0, ..policy() },
            Policy { block_alpha: f64::NAN, ..policy() },
            Policy { min_pass_rate: Some(f64::NAN), ..policy() },
            Policy { min_pass_rate: Some(0.0), ..policy() },
            Policy { max_missing: f64::NAN, ..policy() },
            Policy { slice_margin: 0.0, ..policy() },
            Policy { slice_margin: f64::NAN, ..policy() },
            Policy { slice_q: 0.21, ..policy() },
            Policy { slice_q: f64::NAN, ..policy() },
            Policy { critical_margin: Some(0.1), ..policy() },
            Policy { critical_tags: vec!["a".to_owned()], ..policy() },
            Policy { critical_tags: vec!["a".to_owned()], critical_margin: Some(f64::NAN), ..policy() },
            Policy { critical_tags: vec![" ".to_owned()], critical_margin: Some(0.1), ..policy() },
            quarantined(&[("", "2026-12-31")]),
            quarantined(&[(" a", "2026-12-31")]),
            quarantined(&[("a", "2026-02-30")]),
            quarantined(&[("a", "for ever")]),
            Policy {
                critical_tags: vec!["a".to_owned()],
                critical_margin: Some(0.1),
                ..quarantined(&[("a", "2026-12-31")])
            },
            Policy {
                quarantine: (0..=MOST_TAGS).map(|i| (i.to_string(), "2026-12-31".to_owned())).collect(),
                ..policy()
            },
        ] {
            assert!(broken.check().is_err(), "{broken:?}");
        }
    }

    /// Nested rules stand in the order of their names, too, and only where they are declared.
    #[test]
    fn guardrails_are_part_of_the_digest() {
        let guardrails = Guardrails {
            cost: Some(0.1),
            latency_p95: Some(0.2),
            output_tokens: Some(0.3),
            refusal_rate: Some(0.02),
            truncation_rate: Some(0.01),
        };
        let policy = Policy { guardrails, ..policy() };
        let written = serde_json::to_string(&policy.guardrails).unwrap();
        assert_eq!(
            written,
            r#"{"cost":0.1,"latency_p95":0.2,"output_tokens":0.3,"refusal_rate":0.02,"truncation_rate":0.01}"#
        );
        assert_ne!(policy_digest(&policy), policy_digest(&super::super::fixtures::policy()));
    }

    /// The same by hand: `printf %s '{"alpha":0.05,"block_alpha":0.015,"estimand":"population","margin":0.05,
    /// "max_missing":0.05,"min_pass_rate":null,"slice_margin":0.1,"slice_q":0.015,"tolerance":0.01}' | sha256sum`, on one line.
    #[test]
    fn the_digest_is_that_of_the_sorted_json() {
        assert_eq!(policy_digest(&policy()), "d869e7e066e832ad0d70fc8cf00240a62e8a5277c04c8e7c2e7dd2d3f369dfe6");
        assert_ne!(policy_digest(&policy()), policy_digest(&Policy { margin: 0.04, ..policy() }));
    }
}
