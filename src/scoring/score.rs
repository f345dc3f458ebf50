//! Scores answers: runs a case's checks over them and weighs what they say.
//!
//! An answer passes when every deciding check passes. A check decides unless it is advisory or has weight 0; the others
//! are run and reported, but have no say, not even when they can't judge. The score is the weighted mean over the
//! deciding checks that judged.
//!
//! A check that can't judge makes an error, with one exception: if another deciding check fails, the answer fails. All
//! of them must hold, so whatever the unknown one would have said, this answer is wrong. That is as strict for the
//! candidate (a sure fail is never softened to an error) and as honest for the baseline (it is no better for being
//! harder to judge). A panic is a bug in a matcher, which puts everything into doubt, so it is always an error.

use super::aggregate::{Aggregate, CheckOutcome, NoScore, failure};
use super::command::Commands;
use super::definition::Compile;
use super::matcher::{MatchInput, Matcher};
use super::matchers::MATCHERS;
use super::matchers::refusal::refuses;
use super::quote::bounded;
use crate::domain::{Answer, ArgProblem, Case, CheckResult, CheckSpec, Failure, Outcome, Replies, Score};
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A case with answers to it, in plan order; `None` where there is none to judge.
#[derive(Clone, Debug)]
pub struct CaseAnswers<'a> {
    pub case: &'a Case,
    pub answers: Vec<Option<&'a Answer>>,
    /// The system instruction of each answer, in the same order, where it is known. May be empty, for a case whose checks
    /// don't need it (`needs_system`).
    pub systems: Vec<Option<&'a str>>,
    /// What each answer cost, in US dollars, in the same order. May be empty, if no cost is known.
    pub costs: Vec<Option<f64>>,
}

/// What the checks of a case say about one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredAnswer {
    pub outcome: Outcome,
    /// What each check said, in the order of the case. Empty if the answer failed before its checks.
    pub checks: Vec<CheckResult>,
    /// Whether the answer refuses; `None` where a check of the case says whether a refusal is right.
    pub refused: Option<bool>,
}

/// Judges a batch on all cores; the result has the shape of the batch. Compiles the checks of each case once. `commands` are
/// those that the checks were verified with.
///
/// `replies` has what judges replied; a check whose question has no reply can't judge, see `replies.rs`.
/// A panicking matcher is an error outcome of that answer. Its message still reaches the panic hook: whether that prints
/// anything is the caller's choice.
pub fn score(batch: &[CaseAnswers<'_>], commands: &Commands, replies: &dyn Replies) -> Vec<Vec<Option<ScoredAnswer>>> {
    score_with(&Compile::new(MATCHERS).with_commands(commands), batch, replies)
}

fn score_with(ctx: &Compile<'_>, batch: &[CaseAnswers<'_>], replies: &dyn Replies) -> Vec<Vec<Option<ScoredAnswer>>> {
    batch.par_iter().map(|case_answers| score_case(ctx, case_answers, replies)).collect()
}

fn score_case(ctx: &Compile<'_>, case_answers: &CaseAnswers<'_>, replies: &dyn Replies) -> Vec<Option<ScoredAnswer>> {
    let case = case_answers.case;
    let checks = compile(ctx, case);
    let systems = case_answers.systems.iter().copied().chain(std::iter::repeat(None));
    let costs = case_answers.costs.iter().copied().chain(std::iter::repeat(None));
    let answers = case_answers.answers.iter().zip(systems.zip(costs));
    let score = |answer: &Answer, system: Option<&str>, cost_usd: Option<f64>| match &checks {
        Ok(checks) => score_answer(checks, MatchInput { case, answer, system, cost_usd, unusable: None, replies }),
        Err(failure) => ScoredAnswer { outcome: Outcome::Errored(failure.clone()), checks: Vec::new(), refused: None },
    };
    answers.map(|(answer, (system, cost_usd))| answer.map(|answer| score(answer, system, cost_usd))).collect()
}

struct Checks<'a> {
    checks: Vec<(&'a CheckSpec, Matcher)>,
    judge_the_end: bool,
    judge_refusals: bool,
}

/// Loading has verified the checks, so this fails only if someone left that out; then nothing can pass.
fn compile<'a>(ctx: &Compile<'_>, case: &'a Case) -> Result<Checks<'a>, Failure> {
    let mut checks = Vec::with_capacity(case.checks.len());
    for spec in &case.checks {
        match ctx.check(spec) {
            Ok(matcher) => checks.push((spec, matcher)),
            Err(problems) => {
                let what = problems.first().map_or_else(String::new, ArgProblem::to_string);
                return Err(failure("check_invalid", format!("a check does not compile: {what}")));
            }
        }
    }
    if !case.checks.iter().any(CheckSpec::decides) {
        return Err(failure("no_deciding_check", "the case has no check that decides"));
    }
    let judges_ending = |spec: &CheckSpec| spec.decides() && ctx.any_kind(spec, |def| def.judges_ending);
    let judges_refusal = |spec: &CheckSpec| ctx.any_kind(spec, |def| def.judges_refusal);
    let judge_the_end = case.checks.iter().any(judges_ending);
    let judge_refusals = case.checks.iter().any(judges_refusal);
    Ok(Checks { checks, judge_the_end, judge_refusals })
}

fn score_answer(checks: &Checks<'_>, input: MatchInput<'_>) -> ScoredAnswer {
    let unusable = input.answer.unusable();
    let refused = (!checks.judge_refusals).then(|| refuses(input.answer));
    if !checks.judge_the_end
        && let Some(reason) = unusable
    {
        return ScoredAnswer { outcome: Outcome::Scored(Score::binary(false, reason)), checks: Vec::new(), refused };
    }
    let input = MatchInput { unusable: unusable.as_deref(), ..input };
    let mut results = Vec::with_capacity(checks.checks.len());
    let mut tally = Aggregate::default();
    for (spec, matcher) in &checks.checks {
        let outcome = match (check_catching_panics(matcher, &input), input.unusable) {
            // No check names this end as the one it expects, so the answer is as wrong as without any check of its end.
            (Err(NoScore::Refused(_)), Some(reason)) => Ok(Score::binary(false, reason)),
            (outcome, _) => outcome,
        };
        if spec.decides() {
            tally.add(spec, &outcome);
        }
        results.push(result(spec, outcome));
    }
    ScoredAnswer { outcome: tally.outcome(), checks: results, refused }
}

fn check_catching_panics(matcher: &Matcher, input: &MatchInput<'_>) -> CheckOutcome {
    // Matchers have no state of their own, so a panic leaves nothing half done behind.
    match catch_unwind(AssertUnwindSafe(|| matcher.check(input))) {
        Ok(outcome) => outcome.map_err(NoScore::Refused),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(NoScore::Panicked(format!("the matcher panicked: {}", bounded(text, 160))))
        }
    }
}

fn result(spec: &CheckSpec, outcome: CheckOutcome) -> CheckResult {
    let (pass, score, reason) = match outcome {
        Ok(score) => (Some(score.pass), Some(score.value()), score.reason),
        Err(no_score) => (None, None, no_score.reason().to_owned()),
    };
    CheckResult { matcher: spec.matcher.clone(), name: spec.name.clone(), pass, score, reason, advisory: spec.advisory }
}

#[cfg(test)]
mod tests {
    use super::super::rules::testing::{Canned, answer_text, answers_to, available, case, commands, verify_in};
    use super::*;
    use crate::scoring::definition::MatcherDef;
    use crate::scoring::matcher::MatchError;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::path::Path;

    /// The table, and two matchers that don't judge.
    fn matchers() -> Vec<MatcherDef> {
        let def = |name, compile| MatcherDef { name, compile, ..MatcherDef::DEFAULT };
        let mut matchers = MATCHERS.to_vec();
        matchers.push(def("unsure", |_, _| Ok(Matcher::new(|_| Err(MatchError::new("no idea"))))));
        matchers
            .push(def("panics", |_, _| Ok(Matcher::new(|input| panic!("can't cope with {:?}", input.answer.text)))));
        matchers
    }

    fn judged(checks: Value, answer: &Answer) -> ScoredAnswer {
        let case = case(&checks);
        let batch = [answers_to(&case, vec![Some(answer)])];
        score_with(&Compile::new(&matchers()), &batch, &Canned::default()).remove(0).remove(0).unwrap()
    }

    /// `pass 0.5`, `fail 0` or `error CODE`, and the reason.
    fn outcome(checks: Value, text: &str) -> String {
        match judged(checks, &answer_text(text).answer).outcome {
            Outcome::Scored(score) => {
                let word = if score.pass { "pass" } else { "fail" };
                format!("{word} {}: {}", score.value(), score.reason)
            }
            Outcome::Errored(failure) => format!("error {}: {}", failure.code, failure.message),
            Outcome::Skipped(_) => unreachable!(),
        }
    }

    #[test]
    fn every_deciding_check_must_pass_and_the_score_is_their_weighted_mean() {
        let cases = [
            json!([{"contains": "a"}]),
            json!([{"contains": "a"}, {"contains": "b", "name": "has b"}]),
            json!([{"contains": "a", "weight": 3}, {"contains": "x", "name": "has x"}, {"contains": "y"}]),
            json!([{"contains": "a"}, {"contains": "x", "advisory": true}, {"contains": "x", "weight": 0}]),
            json!([{"contains": "a", "weight": 1e308}, {"contains": "b", "weight": 1e308}]),
        ];
        insta::assert_snapshot!(cases.map(|checks| outcome(checks, "a b")).join("\n"), @r#"
        pass 1: the check passes
        pass 1: all 2 checks pass
        fail 0.6: has x: does not contain "x"; and 1 more
        pass 1: the check passes
        pass 1: all 2 checks pass
        "#);
    }

    #[test]
    fn a_check_that_cannot_judge_is_never_a_pass() {
        let cases = [
            json!([{"unsure": 1}]),
            json!([{"contains": "a"}, {"unsure": 1, "name": "judge"}]),
            json!([{"unsure": 1}, {"contains": "x"}]),
            json!([{"contains": "a"}, {"unsure": 1, "advisory": true}]),
            json!([{"not": {"unsure": 1}}]),
            json!([{"not": {"not": {"unsure": 1}}}]),
            json!([{"all": [{"contains": "a"}, {"unsure": 1}]}]),
            json!([{"all": [{"contains": "x"}, {"unsure": 1}]}]),
            json!([{"any": [{"contains": "a"}, {"unsure": 1}]}]),
            json!([{"any": [{"contains": "x"}, {"unsure": 1}]}]),
            json!([{"not": {"all": [{"contains": "a"}, {"unsure": 1}]}}]),
            json!([{"not": {"any": [{"contains": "x"}, {"unsure": 1}]}}]),
        ];
        insta::assert_snapshot!(cases.map(|checks| outcome(checks, "a b")).join("\n"), @r#"
        error cannot_judge: unsure: no idea
        error cannot_judge: judge: no idea
        fail 0: contains: does not contain "x"
        pass 1: the check passes
        error cannot_judge: not: unsure: no idea
        error cannot_judge: not: not: unsure: no idea
        error cannot_judge: all: unsure: no idea
        fail 0: all: contains: does not contain "x"
        pass 1: the check passes
        error cannot_judge: any: unsure: no idea
        error cannot_judge: not: all: unsure: no idea
        error cannot_judge: not: any: unsure: no idea
        "#);
    }

    #[test]
    fn a_panic_is_an_error_whatever_the_others_say() {
        let cases = [
            json!([{"panics": 1}]),
            json!([{"contains": "x"}, {"not": {"panics": 1}}]),
            json!([{"contains": "a"}, {"panics": 1, "advisory": true}]),
        ];
        insta::assert_snapshot!(cases.map(|checks| outcome(checks, "a b")).join("\n"), @r#"
        error matcher_panicked: panics: the matcher panicked: can't cope with "a b"
        error matcher_panicked: not: the matcher panicked: can't cope with "a b"
        pass 1: the check passes
        "#);
    }

    #[test]
    fn refusals_are_told_unless_the_case_judges_them_itself() {
        let refused = |checks: Value, answer: &Answer| judged(checks, answer).refused;
        let no = answer_text("I'm sorry, but I can't help with that.").answer;
        let plain = || json!([{"contains": "a"}]);
        assert_eq!(refused(plain(), &no), Some(true));
        assert_eq!(refused(plain(), &answer_text("a").answer), Some(false));
        assert_eq!(refused(json!([{"unsure": 1}]), &no), Some(true));
        assert_eq!(refused(json!([{"contains": "a"}, {"not": {"refusal": true}}]), &no), None);
        // Before its checks, too: blocked is refused, cut off or empty is neither that nor an answer.
        let blocked = Answer { block_reason: Some("SAFETY".to_owned()), ..Answer::default() };
        assert_eq!(refused(plain(), &blocked), Some(true));
        let cut_off = Answer { finish_reason: Some("MAX_TOKENS".to_owned()), ..no };
        assert_eq!(refused(plain(), &cut_off), Some(false));
        assert_eq!(refused(plain(), &Answer::default()), Some(false));
    }

    #[test]
    fn checks_are_reported_one_by_one() {
        let checks = json!([{"contains": "a", "name": "n"}, {"unsure": 1, "advisory": true}, {"contains": "x"}]);
        let judgement = judged(checks, &answer_text("a").answer);
        insta::assert_json_snapshot!(judgement.checks, @r#"
        [
          {
            "matcher": "contains",
            "name": "n",
            "pass": true,
            "score": 1.0,
            "reason": "contains \"a\""
          },
          {
            "matcher": "unsure",
            "name": null,
            "pass": null,
            "score": null,
            "reason": "no idea",
            "advisory": true
          },
          {
            "matcher": "contains",
            "name": null,
            "pass": false,
            "score": 0.0,
            "reason": "does not contain \"x\""
          }
        ]
        "#);
    }

    #[test]
    fn an_unusable_answer_fails_before_its_checks() {
        let blocked = Answer { block_reason: Some("SAFETY".to_owned()), ..Answer::default() };
        let cut_off = Answer { finish_reason: Some("MAX_TOKENS".to_owned()), ..answer_text("a").answer };
        for (answer, reason) in [
            (blocked, "the prompt was blocked (SAFETY)"),
            (cut_off.clone(), "the answer was cut off (MAX_TOKENS)"),
            (answer_text("").answer, "the answer is empty: no text and no tool call"),
        ] {
            let judgement = judged(json!([{"not": {"contains": "x"}}]), &answer);
            assert_eq!(judgement.outcome, Outcome::Scored(Score::binary(false, reason)));
            assert_eq!(judgement.checks, []);
        }
    }

    #[test]
    fn only_a_check_that_names_the_end_passes_on_an_unusable_answer() {
        let ended =
            |reason: &str, text: &str| Answer { finish_reason: Some(reason.to_owned()), ..answer_text(text).answer };
        let cut_off = ended("MAX_TOKENS", "a");
        let blocked = Answer { block_reason: Some("SAFETY".to_owned()), ..Answer::default() };
        let empty = ended("STOP", "");
        let a = json!({"contains": "a"});
        let cut = json!({"finish_reason": "MAX_TOKENS"});
        let table = [
            (json!([cut]), &cut_off, true),
            (json!([{"finish_reason": ["STOP", "MAX_TOKENS"]}]), &cut_off, true),
            (json!([{"any": [a, cut]}]), &cut_off, true),
            (json!([{"all": [{"any": [cut]}]}]), &cut_off, true),
            (json!([{"not": {"not": cut}}]), &cut_off, true),
            (json!([{"at_least": {"n": 1, "of": [a, cut]}}]), &cut_off, true),
            (json!([{"at_least": {"n": 2, "of": [a, cut]}}]), &cut_off, false),
            (json!([cut, a]), &cut_off, false),
            (json!([cut, {"not": {"contains": "x"}}]), &cut_off, false),
            (json!([{"all": [cut, a]}]), &cut_off, false),
            (json!([a, {"not": {"finish_reason": "SAFETY"}}]), &cut_off, false),
            (json!([{"not": {"finish_reason": "SAFETY"}}]), &cut_off, false),
            (json!([{"not": {"not": a}}, {"not": {"finish_reason": "SAFETY"}}]), &cut_off, false),
            (json!([a, {"finish_reason": "MAX_TOKENS", "advisory": true}]), &cut_off, false),
            (json!([{"refusal": true}]), &cut_off, false),
            (json!([{"refusal": false}]), &cut_off, false),
            (json!([{"not": {"refusal": true}}]), &cut_off, false),
            (json!([{"refusal": true}]), &blocked, true),
            (json!([{"refusal": true}, {"length": {"max": 10}}]), &blocked, false),
            (json!([{"any": [{"refusal": true}, {"contains": "no advice"}]}]), &blocked, true),
            (json!([{"refusal": false}]), &blocked, false),
            (json!([{"finish_reason": "STOP"}]), &blocked, false),
            (json!([{"finish_reason": "STOP"}]), &empty, false),
            (json!([{"refusal": true}]), &empty, false),
        ];
        for (checks, answer, pass) in table {
            let outcome = judged(checks.clone(), answer).outcome;
            assert_eq!(outcome.kind().as_str(), if pass { "pass" } else { "fail" }, "{checks}: {outcome:?}");
        }
    }

    #[test]
    fn a_case_that_was_never_verified_can_not_pass() {
        let codes =
            [json!([{"regex": "("}]), json!([{"contians": "a"}]), json!([]), json!([{"contains": "a", "weight": 0}])]
                .map(|checks| outcome(checks, "a").split(':').next().unwrap().to_owned());
        assert_eq!(
            codes,
            ["error check_invalid", "error check_invalid", "error no_deciding_check", "error no_deciding_check"]
        );
    }

    #[test]
    fn the_result_has_the_shape_of_the_batch() {
        let case = case(&json!([{"contains": "a"}]));
        let (a, b) = (answer_text("a").answer, answer_text("b").answer);
        let batch = [
            answers_to(&case, vec![Some(&a), None, Some(&b)]),
            answers_to(&case, vec![]),
            answers_to(&case, vec![None]),
        ];
        let words: Vec<Vec<Option<&str>>> = score(&batch, &Commands::default(), &Canned::default())
            .iter()
            .map(|answers| answers.iter().map(|j| j.as_ref().map(|j| j.outcome.kind().as_str())).collect())
            .collect();
        assert_eq!(words, [vec![Some("pass"), None, Some("fail")], vec![], vec![None]]);
    }

    /// Every example of the table as a check, as loading leaves it.
    fn examples() -> Vec<Value> {
        available()
            .filter(|def| !def.top_level_only)
            .map(|def| {
                let verified = verify_in(Path::new("/nowhere"), serde_json::from_str(def.example).unwrap()).unwrap();
                json!({def.name: verified.args})
            })
            .collect()
    }

    fn texts() -> impl Strategy<Value = String> {
        let telling =
            ["Yes.", "30 days", "refund", "A: 18", "Total: 1,250.5", "{\"name\": \"Ann\"}", "```json\n1\n```"];
        prop_oneof![
            "\\PC{0,60}",
            proptest::collection::vec(proptest::sample::select(telling.to_vec()), 0..4)
                .prop_map(|parts| parts.join("\n")),
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn not_is_the_exact_negation_and_scores_stay_in_range(text in texts()) {
            let whole = answer_text(&text);
            let commands = commands();
            let ctx = Compile::new(MATCHERS).with_commands(&commands);
            for example in examples() {
                let negated = json!({"not": example.clone()});
                let [plain, negated] = [example, negated].map(|written| {
                    let matcher = ctx.check(&CheckSpec::parse(&written).unwrap()).unwrap();
                    matcher.check(&MatchInput { system: None, cost_usd: Some(0.001), ..whole.input() })
                });
                match (plain, negated) {
                    (Ok(plain), Ok(negated)) => {
                        prop_assert_eq!(negated.pass, !plain.pass);
                        prop_assert_eq!(negated.value(), 1.0 - plain.value());
                        prop_assert!((0.0..=1.0).contains(&plain.value()));
                        prop_assert!(!plain.reason.contains('\n') && plain.reason.chars().count() < 1000);
                    }
                    (Err(_), Err(_)) => {}
                    (plain, negated) => prop_assert!(false, "{plain:?} but {negated:?}"),
                }
            }
        }

        #[test]
        fn judging_never_panics(text in texts(), finish in proptest::option::of("STOP|MAX_TOKENS|\\PC{0,8}")) {
            let case = case(&Value::Array(examples()));
            let answer = Answer { text, finish_reason: finish, ..Answer::default() };
            let judged = score(&[answers_to(&case, vec![Some(&answer)])], &commands(), &Canned::default());
            let outcome = &judged[0][0].as_ref().unwrap().outcome;
            prop_assert!(matches!(outcome, Outcome::Scored(_)), "{outcome:?}");
        }
    }
}
