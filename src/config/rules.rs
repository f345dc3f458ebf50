//! The rules of a verdict, from the settings.

use super::groups::{self, DifferenceRules, GateTable, GuardrailTable, VerdictRules};
use super::layers::Layers;
use crate::domain::{Guardrails, Policy, Problem, Problems, Sequential};

impl Layers {
    /// The rules of a verdict.
    pub fn policy(&self) -> Policy {
        self.policy_and_problems().0
    }

    pub(super) fn check_rules(&self, problems: &mut Problems) {
        problems.append(self.policy_and_problems().1);
    }

    /// Their bounds are those of [`Policy::check`].
    fn policy_and_problems(&self) -> (Policy, Problems) {
        let mut problems = Problems::default();
        let difference: DifferenceRules = self.group();
        let verdict: VerdictRules = self.group();
        let gate: GateTable = self.group();
        let guardrails: GuardrailTable = self.group();
        let mut critical_tags: Vec<String> = gate.critical_tags.iter().map(|tag| tag.trim().to_owned()).collect();
        critical_tags.sort();
        critical_tags.dedup();
        let implied_margin = (!critical_tags.is_empty()).then_some(gate.slice_margin.min(0.5));
        let policy = Policy {
            margin: difference.margin,
            tolerance: difference.tolerance,
            alpha: difference.alpha,
            block_alpha: difference.block_alpha,
            metric: difference.metric,
            estimand: difference.estimand,
            min_pass_rate: verdict.min_pass_rate,
            attempts: verdict.attempts,
            sequential: if verdict.sequential { Sequential::Looks } else { Sequential::Off },
            strict_model: verdict.strict_model,
            slice_margin: gate.slice_margin,
            slice_q: gate.slice_q,
            critical_margin: gate.critical_margin.or(implied_margin),
            critical_tags,
            guardrails: Guardrails {
                latency_p95: guardrails.guardrail_latency_p95,
                cost: guardrails.guardrail_cost,
                output_tokens: guardrails.guardrail_output_tokens,
                refusal_rate: guardrails.guardrail_refusal_rate,
                truncation_rate: guardrails.guardrail_truncation_rate,
            },
            ..Policy::default()
        };
        let policy = self.reader(&mut problems).quarantine(&self.file.quarantine, policy);
        let found = policy.check().err().unwrap_or_default();
        problems.extend(found.iter().map(|problem| self.placed(problem)));
        (policy, problems)
    }

    /// A problem of a rule, where the rule stands.
    fn placed(&self, problem: &Problem) -> Problem {
        let named = groups::all().find(|definition| problem.message.starts_with(&format!("`{}`", definition.key)));
        match named.and_then(|definition| self.raw(definition.key)) {
            Some(raw) => Problem {
                expected: problem.expected.clone(),
                hint: problem.hint.clone(),
                ..raw.origin.problem(&problem.message)
            },
            None => problem.clone(),
        }
    }
}
