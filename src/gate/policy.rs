//! The rules a verdict follows: their limits, and their digest.

use crate::domain::{GuardMetric, MOST_ATTEMPTS, Policy, Problem, Problems, day, hex};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

impl Policy {
    /// Checks that the rules make sense: each share within its bounds, `tolerance <= margin`, a `critical_margin` if and only
    /// if there are critical tags, and a quarantine of tags that are not critical, each until a day.
    ///
    /// # Errors
    /// Every value out of its range.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        self.check_numbers(&mut problems);
        self.check_critical_tags(&mut problems);
        self.check_guardrails(&mut problems);
        self.check_quarantine(&mut problems);
        problems.or(())
    }

    fn check_numbers(&self, problems: &mut Problems) {
        problems.extend(share("margin", self.margin, Policy::MAX_LOSS, "0.05 means 5 points of pass rate"));
        let margin = if problems.is_empty() { self.margin } else { Policy::MAX_LOSS };
        if !(self.tolerance > 0.0 && self.tolerance <= margin) {
            problems.push(
                Problem::new(format!("`tolerance` is {}", self.tolerance))
                    .expected(format!("more than 0, at most the margin ({margin})"))
                    .hint("the tolerance is the loss that still goes unblocked; the margin is the loss that must be excluded"),
            );
        }
        for (key, alpha) in [("alpha", self.alpha), ("block_alpha", self.block_alpha)] {
            problems.extend(share(key, alpha, Policy::MAX_ERROR, "0.05 means one wrong decision in 20 at most"));
        }
        if let Some(rate) = self.min_pass_rate
            && !(rate > 0.0 && rate < 1.0)
        {
            let problem = Problem::new(format!("`min_pass_rate` is {rate}"));
            problems.push(problem.expected("more than 0, less than 1; 0.9 means 90%"));
        }
        if !(0.0..=0.5).contains(&self.max_missing) {
            problems.push(Problem::new(format!("`max_missing` is {}", self.max_missing)).expected("0 to 0.5"));
        }
        if !(1..=MOST_ATTEMPTS).contains(&self.attempts) {
            let problem = Problem::new(format!("`attempts` is {}", self.attempts));
            problems.push(problem.expected(format!("1 to {MOST_ATTEMPTS}")));
        }
        let points = "0.1 means 10 points of a tag's pass rate";
        problems.extend(share("slice_margin", self.slice_margin, Policy::MAX_SLICE_LOSS, points));
        let tags = "0.05 means that one blocked tag in 20 may be blocked wrongly";
        problems.extend(share("slice_q", self.slice_q, Policy::MAX_ERROR, tags));
    }

    fn check_critical_tags(&self, problems: &mut Problems) {
        let needless = || {
            Problem::new("`critical_margin` plays no part without critical tags")
                .hint("name them: critical_tags = [\"refunds\"]")
        };
        let missing =
            || Problem::new("`critical_margin` is missing").expected("the loss that critical tags must exclude");
        let points = "0.1 means 10 points of a critical tag's pass rate";
        problems.extend(match self.critical_margin {
            Some(margin) => share("critical_margin", margin, Policy::MAX_LOSS, points)
                .or_else(|| self.critical_tags.is_empty().then(needless)),
            None => (!self.critical_tags.is_empty()).then(missing),
        });
        if let Some(tag) = self.critical_tags.iter().find(|tag| tag.trim().is_empty()) {
            problems.push(Problem::new(format!("`critical_tags` has the tag {tag:?}")).expected("names of tags"));
        }
        problems.extend(too_many("critical_tags", self.critical_tags.len()));
    }

    fn check_guardrails(&self, problems: &mut Problems) {
        for (metric, allowed) in self.guardrails.declared() {
            let (most, meaning) = match metric.is_relative() {
                true => (GuardMetric::MAX_SHARE, "0.2 means 20% more than the baseline"),
                false => (GuardMetric::MAX_POINTS, "0.02 means 2 points more than the baseline"),
            };
            problems.extend(share(&format!("guardrail_{}", metric.as_str()), allowed, most, meaning));
        }
    }

    fn check_quarantine(&self, problems: &mut Problems) {
        problems.extend(too_many("quarantine", self.quarantine.len()));
        for (tag, until) in &self.quarantine {
            if tag.is_empty() || tag.trim() != tag {
                problems.push(Problem::new(format!("`quarantine` has the tag {tag:?}")).expected("names of tags"));
            }
            if day(until).is_none() {
                let problem = Problem::new(format!("`quarantine` of {tag:?} lasts until {until:?}"));
                problems.push(problem.expected("a day like 2026-12-31"));
            }
            if self.critical_tags.contains(tag) {
                let problem = Problem::new(format!("`quarantine` has {tag:?}, which is a critical tag"));
                problems.push(
                    problem.hint("what must not get worse can't be left undecided; take it out of one of the two"),
                );
            }
        }
    }
}

/// The problem of a share that is out of its range.
fn share(key: &str, value: f64, most: f64, meaning: &str) -> Option<Problem> {
    // Negated, so that NaN is out of every range.
    (!(value > 0.0 && value <= most)).then(|| {
        Problem::new(format!("`{key}` is {value}")).expected(format!("more than 0, at most {most}; {meaning}"))
    })
}

fn too_many(key: &str, tags: usize) -> Option<Problem> {
    (tags > Policy::MAX_TAGS)
        .then(|| Problem::new(format!("`{key}` has {tags} tags")).expected(format!("at most {}", Policy::MAX_TAGS)))
}

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
                quarantine: (0..=Policy::MAX_TAGS).map(|i| (i.to_string(), "2026-12-31".to_owned())).collect(),
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
