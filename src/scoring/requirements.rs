//! What the checks of a case need besides answers: system instructions, judges, embeddings, commands.

use super::definition::{Asks, Compile, MatcherDef, Reads};
use super::matchers::MATCHERS;
use super::matchers::judge::{judge_use, questions};
use crate::domain::{Case, CheckSpec, Constraint, JudgeUse, Logic, Question};
use serde_json::Value;

/// Whether a check of the case, or one inside it, looks at the system instruction of the request.
pub fn needs_system(case: &Case) -> bool {
    let ctx = Compile::new(MATCHERS);
    let reads = |def: &MatcherDef| def.reads == Reads::SystemInstruction;
    case.checks.iter().any(|spec| ctx.any_kind(spec, reads))
}

/// The judges that the checks of a case, and those inside them, name.
pub fn judges_named(case: &Case) -> Vec<String> {
    named(case, Asks::Judge)
}

/// The models of embeddings that the checks of a case, and those inside them, name.
pub fn embeddings_named(case: &Case) -> Vec<String> {
    named(case, Asks::Embeddings)
}

fn named(case: &Case, asks: Asks) -> Vec<String> {
    let by = |spec: CheckSpec| spec.args.get("by").and_then(Value::as_str).unwrap_or("default").to_owned();
    asking(case.checks.clone()).filter(|(_, whom)| *whom == asks).map(|(spec, _)| by(spec)).collect()
}

/// The checks among these, and inside them, that ask somebody.
fn asking(mut open: Vec<CheckSpec>) -> impl Iterator<Item = (CheckSpec, Asks)> {
    let ctx = Compile::new(MATCHERS);
    std::iter::from_fn(move || {
        let spec = open.pop()?;
        open.extend(ctx.inner(&spec));
        Some((ctx.find(&spec.matcher).and_then(|def| def.asks), spec))
    })
    .filter_map(|(asks, spec)| Some((spec, asks?)))
}

/// What the checks of a case may have to ask about one answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExternalCalls {
    /// Of judges, at most, as if the answer were empty. `any` and its like may need fewer.
    pub questions: Vec<Question>,
    pub commands: u64,
}

/// What the checks of a case, and those inside them, may ask of judges and commands about one answer.
pub fn max_external_calls(case: &Case) -> ExternalCalls {
    let mut calls = ExternalCalls::default();
    for (spec, asks) in asking(case.checks.clone()) {
        match asks {
            Asks::Judge => calls.questions.extend(questions(&spec.args, case)),
            Asks::Command => calls.commands += 1,
            Asks::Embeddings => {}
        }
    }
    calls
}

/// The judges that decide a case, also inside other checks, sorted; one that decides by two checks is there twice.
pub fn deciding_judges(case: &Case) -> Vec<JudgeUse> {
    let deciding = case.checks.iter().filter(|spec| spec.decides()).cloned().collect();
    let mut judges: Vec<JudgeUse> = asking(deciding).filter_map(|(spec, _)| use_of(&spec)).collect();
    judges.sort_unstable();
    judges
}

/// How a check asks its judge; `None` if it asks none.
pub fn use_of(spec: &CheckSpec) -> Option<JudgeUse> {
    let def = Compile::new(MATCHERS).find(&spec.matcher)?;
    (def.asks == Some(Asks::Judge)).then(|| judge_use(&spec.args)).flatten()
}

/// How a check combines others on the same answer, if it does.
pub fn logic_of(check: &CheckSpec) -> Option<Logic> {
    Compile::new(MATCHERS).find(&check.matcher)?.logic
}

/// What a check says of answers without looking at one.
pub fn constraint_of(check: &CheckSpec) -> Option<Constraint> {
    (Compile::new(MATCHERS).find(&check.matcher)?.constraint)(&check.args)
}

#[cfg(test)]
mod tests {
    use super::super::rules::testing::{answers_to, case};
    use super::*;
    use crate::domain::{Answer, ReplyForm};
    use crate::scoring::{Commands, ReplyCache, score};
    use serde_json::json;

    #[test]
    fn judges_that_decide_are_found_wherever_they_stand() {
        let shown =
            |checks| -> Vec<String> { deciding_judges(&case(&checks)).iter().map(JudgeUse::to_string).collect() };
        assert_eq!(shown(json!([{"contains": "a"}])), [""; 0]);
        assert_eq!(shown(json!([{"judge": "ok", "advisory": true}, {"judge": "ok", "weight": 0}])), [""; 0]);
        assert_eq!(
            shown(json!([
                {"judge": {"rubric": "ok", "by": "strict", "votes": 3}},
                {"not": {"any": [{"judge": "ok"}, {"judge": "other"}]}},
                {"judge": {"rubric": "ok", "aggregate": "mean", "min": 0.7, "votes": 2}},
                {"judge": {"rubric": "ok", "against": "x"}},
            ])),
            [
                "default",
                "default",
                "default (1 vote, preference of at least 0.5)",
                "default (2 votes, mean of at least 0.7)",
                "strict (3 votes, majority)",
            ]
        );
    }

    #[test]
    fn what_may_be_asked_is_counted_through_all_levels() {
        let asked = |checks: Value| {
            let ExternalCalls { questions, commands } = max_external_calls(&case(&checks));
            let mut votes: Vec<(String, u32)> = questions.into_iter().map(|q| (q.judge, q.vote)).collect();
            votes.sort();
            (votes, commands)
        };
        let by = |judge: &str, votes: &[u32]| -> Vec<(String, u32)> {
            votes.iter().map(|vote| (judge.to_owned(), *vote)).collect()
        };
        assert_eq!(asked(json!(["a"])), (Vec::new(), 0));
        assert_eq!(asked(json!([{"judge": "ok"}])), (by("default", &[1]), 0));
        assert_eq!(
            asked(json!([{"judge": {"rubric": "ok", "votes": 3, "by": "b"}}, {"command": "polite"}])),
            (by("b", &[1, 2, 3]), 1)
        );
        assert_eq!(
            asked(json!([{"judge": {"rubric": "ok", "votes": 2, "against": "no"}}])),
            (by("default", &[1, 1, 2, 2]), 0)
        );
        assert_eq!(
            asked(json!([{"any": [{"not": {"judge": "ok"}}, {"command": "polite"}]}, {"not": {"command": "polite"}}])),
            (by("default", &[1]), 2)
        );
    }

    #[test]
    fn what_may_be_asked_is_what_is_asked() {
        for check in [
            json!({"judge": {"rubric": "ok", "votes": 3, "reference": "r"}}),
            json!({"judge": {"rubric": "ok", "votes": 2, "against": "no"}}),
            json!({"judge": {"rubric": "ok", "aggregate": "mean", "min": 0.5}}),
        ] {
            let case = case(&json!([check]));
            // An answer without words that can still be judged.
            let answer = Answer { finish_reason: Some("STOP".to_owned()), text: "x".to_owned(), ..Answer::default() };
            let mut asking = ReplyCache::default();
            let batch = [answers_to(&case, vec![Some(&answer)])];
            let mut really = Vec::new();
            loop {
                score(&batch, &Commands::default(), &asking);
                let (questions, _) = asking.take_missing();
                if questions.is_empty() {
                    break;
                }
                for question in questions {
                    let reply = json!({"reason": "so", question.verdict.as_str(): match question.verdict {
                        ReplyForm::PassOrFail => json!(true),
                        ReplyForm::Score => json!(0.5),
                        ReplyForm::Preference => json!("equal"),
                    }});
                    asking.note(&question, Ok(reply.to_string()));
                    really.push(question);
                }
            }
            let foretold = max_external_calls(&case).questions;
            assert_eq!(really.len(), foretold.len(), "{check}");
            let names = |questions: &[Question]| -> Vec<Vec<String>> {
                let keys = |q: &Question| q.vars.keys().cloned().collect();
                let mut names: Vec<Vec<String>> = questions.iter().map(keys).collect();
                names.sort();
                names
            };
            assert_eq!(names(&really), names(&foretold), "{check}");
        }
    }
}
