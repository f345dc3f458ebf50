//! Which models answered: the ones asked for, and the same ones for both arms?
//!
//! The service may answer for a model with another one: retired models are routed to their successors, and an alias
//! moves to a newer model one day. A comparison holds only if both arms were answered by the same model, and a verdict
//! about one model says little of another.
//!
//! An answer that does not tell its model is no evidence of anything; with a strict policy, an arm of such answers decides
//! nothing.

use super::{phrases, reason};
use crate::domain::{Comparison, Policy, Reason, ReasonCode, Warning, WarningCode, answers_for, same_model as same};

/// Models of one arm that are named in a sentence.
const MAX_NAMED: usize = 5;

/// What the models that served mean for the verdict.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ServedModels {
    /// Speaks against any decision: the answers are not those of the model that was asked for.
    pub(super) foreign: Option<Reason>,
    /// Speaks against comparing the arms.
    pub(super) mixed: Option<Reason>,
    pub(super) warnings: Vec<Warning>,
}

/// Looks at the models asked for (baseline, candidate) and those that served.
pub(super) fn check(policy: &Policy, comparison: &Comparison, models: (Option<&str>, &str)) -> ServedModels {
    let mut served = ServedModels::default();
    let (baseline, candidate) = models;
    let arms = [
        ("baseline", baseline, &comparison.baseline_served, comparison.baseline.scored),
        ("candidate", Some(candidate), &comparison.candidate_served, comparison.candidate.scored),
    ];
    for (arm, requested, models, scored) in arms {
        let Some(requested) = requested else { continue };
        let mut others = models.clone();
        others.retain(|model| !answers_for(requested, model));
        if !others.is_empty() {
            let message = format!("the {arm} requested {}, but {} served", phrases::quoted(requested), listed(&others));
            if policy.strict_model && served.foreign.is_none() {
                let why = format!("{message}; answers of another model decide nothing with strict_model");
                served.foreign = Some(reason(ReasonCode::ServedModel, why));
            }
            served.warnings.push(Warning { code: WarningCode::ServedModel, message });
        } else if policy.strict_model && models.is_empty() && scored > 0 {
            let message = format!(
                "no answer of the {arm} says which model served it, and strict_model asks for {}",
                phrases::quoted(requested)
            );
            served.foreign.get_or_insert(reason(ReasonCode::ServedModel, message));
        } else if let Some(first) = models.first()
            && models.iter().any(|model| !same(first, model))
        {
            served.warnings.push(Warning {
                code: WarningCode::SeveralModels,
                message: format!("the {arm} was served by several models: {}", listed(models)),
            });
        }
    }
    if let Some(baseline) = baseline
        && same(baseline, candidate)
        && differ(&comparison.baseline_served, &comparison.candidate_served)
    {
        let message = format!(
            "both arms requested {}, but {} served the baseline and {} the candidate, so a difference may be the \
             models'; run again with --cache refresh",
            phrases::quoted(candidate),
            listed(&comparison.baseline_served),
            listed(&comparison.candidate_served),
        );
        served.mixed = Some(reason(ReasonCode::MixedModels, message));
    }
    served
}

/// Both arms tell their models, and one of them has a model that the other has not.
fn differ(one: &[String], other: &[String]) -> bool {
    let lacks = |models: &[String], among: &[String]| {
        models.iter().any(|model| !among.iter().any(|candidate| same(model, candidate)))
    };
    !one.is_empty() && !other.is_empty() && (lacks(one, other) || lacks(other, one))
}

fn listed(models: &[String]) -> String {
    phrases::list(models.iter().map(|model| phrases::quoted(model)), models.len() as u64, MAX_NAMED)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::policy;
    use super::*;
    use crate::domain::Tally;

    fn served(strict: bool, models: (Option<&str>, &str), baseline: &[&str], candidate: &[&str]) -> ServedModels {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let comparison = Comparison {
            baseline_served: names(baseline),
            candidate_served: names(candidate),
            ..Comparison::default()
        };
        let policy = Policy { strict_model: strict, ..policy() };
        check(&policy, &comparison, models)
    }

    #[test]
    fn another_model_is_a_warning_or_with_strict_model_a_reason() {
        let m = "gemini-2.5-pro";
        assert_eq!(served(true, (Some(m), m), &[m], &["models/gemini-2.5-pro-001"]), ServedModels::default());
        assert_eq!(served(true, (Some(m), m), &[], &[]), ServedModels::default());
        // Answers that don't tell their model decide nothing then, and are not told of else.
        let untold = Comparison { candidate: Tally { scored: 1, ..Tally::default() }, ..Comparison::default() };
        let strict = Policy { strict_model: true, ..policy() };
        assert_eq!(check(&strict, &untold, (None, m)).foreign.unwrap().code, ReasonCode::ServedModel);
        assert_eq!(check(&policy(), &untold, (None, m)), ServedModels::default());
        let found = served(false, (Some(m), m), &["new"], &["new"]);
        assert_eq!((found.foreign.clone(), found.mixed.clone()), (None, None));
        assert_eq!(found.warnings.len(), 2);
        assert_eq!(found.warnings[1].message, "the candidate requested gemini-2.5-pro, but new served");
        let found = served(true, (None, m), &[], &["new"]);
        assert_eq!(found.foreign.unwrap().code, ReasonCode::ServedModel);
        assert_eq!(found.warnings.len(), 1);
    }

    #[test]
    fn arms_that_asked_for_one_model_must_be_served_by_one() {
        let a = "gemini-flash-latest";
        assert!(served(false, (Some(a), a), &["x"], &["y"]).mixed.is_some());
        assert!(served(false, (Some(a), a), &["x"], &["x", "y"]).mixed.is_some());
        assert!(served(false, (Some(a), a), &["x-001"], &["x-002"]).mixed.is_some());
        assert_eq!(served(false, (Some(a), a), &["x"], &["x-001"]), ServedModels::default());
        assert_eq!(served(false, (Some(a), a), &[], &["x"]), ServedModels::default());
        assert_eq!(served(false, (Some(a), "b"), &["x"], &["b"]), ServedModels::default());
        let both = served(false, (Some(a), a), &["x", "y"], &["x", "y"]);
        assert_eq!(both.mixed, None);
        assert!(both.warnings.iter().all(|warning| warning.code == WarningCode::SeveralModels));
        assert_eq!(both.warnings.len(), 2);
    }
}
