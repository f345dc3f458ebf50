//! `not`, `all`, `any`, `at_least`: checks made of checks.
//!
//! A check that can't judge is neither true nor false. `not` of it can't judge either; `all` fails if another one surely
//! fails, `any` passes if another one surely passes, and `at_least` does either once enough are sure, because the unknown
//! could not change that; otherwise they can't judge.

use crate::domain::{ArgProblem, Logic, Score, Step};
use crate::scoring::aggregate::{WeightedScore, weighted_mean};
use crate::scoring::arguments::{Fields, Read, count, list, wrong};
use crate::scoring::definition::{Children, Compile, MatcherDef, Sample};
use crate::scoring::inner_check::{InnerCheck, nested};
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use serde_json::Value;

pub(super) const NOT: MatcherDef = MatcherDef {
    name: "not",
    summary: "the check does not hold: fail becomes pass, and the score 1 minus its score",
    arguments: "one check",
    schema: r##"{"$ref": "#/$defs/check"}"##,
    example: r#"{"not": {"contains": "as an AI"}}"#,
    passes: Sample::Text("I can help you."),
    fails: Sample::Text("I can't help you, as an AI."),
    refused: r#"{"not": 3}"#,
    cost: "that of the check inside; at most 32 checks deep",
    compile: not,
    logic: Some(Logic::Not),
    children: Children::Arguments,
    ..MatcherDef::DEFAULT
};

pub(super) const ALL: MatcherDef = MatcherDef {
    name: "all",
    summary: "every check holds; the score is the weighted mean of their scores",
    arguments: "a list of checks; each may carry name and weight",
    schema: r##"{"$ref": "#/$defs/checks"}"##,
    example: r#"{"all": [{"contains": "Paris"}, {"length": {"max": 200}, "weight": 0.5}]}"#,
    passes: Sample::Text("It is Paris."),
    fails: Sample::Text("It is Rome."),
    refused: r#"{"all": []}"#,
    cost: "the sum of the checks inside; at most 32 checks deep",
    compile: all,
    logic: Some(Logic::All),
    children: Children::Arguments,
    ..MatcherDef::DEFAULT
};

pub(super) const ANY: MatcherDef = MatcherDef {
    name: "any",
    summary: "at least one check holds; the score is the highest of their scores",
    arguments: "a list of checks; each may carry a name",
    schema: r##"{"$ref": "#/$defs/checks"}"##,
    example: r#"{"any": [{"contains": "Paris"}, {"regex": "(?i)city of light"}]}"#,
    passes: Sample::Text("The City of Light."),
    fails: Sample::Text("Rome."),
    refused: r#"{"any": {"contains": "Paris"}}"#,
    cost: "the sum of the checks inside; at most 32 checks deep",
    compile: any,
    logic: Some(Logic::Any),
    children: Children::Arguments,
    ..MatcherDef::DEFAULT
};

pub(super) const AT_LEAST: MatcherDef = MatcherDef {
    name: "at_least",
    summary: "at least n of the checks hold; the score is the mean of their n highest scores",
    arguments: "{n, of}: n from 1 to the number of checks, of a list of checks, each of which may carry a name, but \
                no weight",
    schema: r##"{"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}, "of": {"$ref": "#/$defs/checks"}},
        "required": ["n", "of"], "additionalProperties": false}"##,
    example: r#"{"at_least": {"n": 2, "of": [{"contains": "refund"}, {"contains": "30 days"}, {"regex": "(?i)receipt"}]}}"#,
    passes: Sample::Text("A refund needs the receipt."),
    fails: Sample::Text("A refund is fine."),
    refused: r#"{"at_least": {"n": 3, "of": ["yes", "no"]}}"#,
    schema_refuses: false,
    cost: "the sum of the checks inside; at most 32 checks deep",
    compile: at_least,
    logic: Some(Logic::Count),
    children: Children::Key("of"),
    ..MatcherDef::DEFAULT
};

fn checks(args: &Value, ctx: &Compile<'_>) -> Read<Vec<InnerCheck>> {
    let ctx = ctx.deeper()?;
    list(args, "a list of checks", "check", |written| nested(written, &ctx))
}

fn at_least(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of(args, &["n", "of"], "a map {n, of}")?;
    let n = fields.required("n", "how many of the checks must hold", count);
    let checks = fields.required("of", "a list of checks", |value| {
        let checks = checks(value, ctx)?;
        match checks.iter().position(|check| check.weight != 1.0) {
            Some(i) => wrong(
                ArgProblem::new("a check inside `at_least` can't have a weight: it holds or not")
                    .inside(Step::key("weight"))
                    .inside(Step::Index(i)),
            ),
            None => Ok(checks),
        }
    });
    if let (Some(n), Some(checks)) = (n, &checks)
        && (n == 0 || n > checks.len() as u64)
    {
        let never = if n == 0 { "can't fail" } else { "can't hold" };
        fields.refuse_key("n", format!("{n} of {} checks {never}", checks.len()), format!("1 to {}", checks.len()));
    }
    let (n, checks) = fields.finish(n.zip(checks))?;
    let n = n as usize;
    Ok(Matcher::new(move |input| {
        let Verdicts { scores, passed, failed, unsure, unknown } = Verdicts::of(&checks, input);
        let held = passed.len();
        let mut values: Vec<f64> = scores.iter().map(|score| score.value).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        let highest = values.iter().take(n).sum::<f64>() / n as f64;
        let of = format!("{held} of {} hold, at least {n} must", checks.len());
        match unknown {
            _ if held >= n => Ok(Score::new(highest, true, of)),
            Some(error) if held + unsure >= n => Err(error),
            _ => Ok(Score::new(highest, false, format!("{of}: {}", joined(&failed)))),
        }
    }))
}

fn not(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let check = nested(args, &ctx.deeper()?)?;
    Ok(Matcher::new(move |input| {
        let score = check.check(input)?;
        let held = if score.pass { "must not hold, but does: " } else { "" };
        Ok(Score::new(1.0 - score.value(), !score.pass, format!("{held}{}", score.reason)))
    }))
}

fn all(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let checks = checks(args, ctx)?;
    Ok(Matcher::new(move |input| {
        let Verdicts { scores, failed, unknown, .. } = Verdicts::of(&checks, input);
        match unknown {
            _ if !failed.is_empty() => Ok(Score::new(weighted_mean(&scores), false, joined(&failed))),
            Some(error) => Err(error),
            None => Ok(Score::new(weighted_mean(&scores), true, format!("all {} hold", scores.len()))),
        }
    }))
}

fn any(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let checks = checks(args, ctx)?;
    Ok(Matcher::new(move |input| {
        let Verdicts { scores, passed, failed, unknown, .. } = Verdicts::of(&checks, input);
        let highest = scores.iter().map(|score| score.value).fold(0.0, f64::max);
        match (passed.first(), unknown) {
            (Some(reason), _) => Ok(Score::new(highest, true, reason)),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(Score::new(highest, false, format!("none holds: {}", joined(&failed)))),
        }
    }))
}

/// What the checks of a list said of one answer.
#[derive(Default)]
struct Verdicts {
    scores: Vec<WeightedScore>,
    passed: Vec<String>,
    failed: Vec<String>,
    /// Checks that can't judge, and why the first of them can't.
    unsure: usize,
    unknown: Option<MatchError>,
}

impl Verdicts {
    fn of(checks: &[InnerCheck], input: &MatchInput<'_>) -> Verdicts {
        let mut verdicts = Verdicts::default();
        for check in checks {
            match check.check(input) {
                Ok(score) => {
                    verdicts.scores.push(WeightedScore { value: score.value(), weight: check.weight });
                    let reasons = if score.pass { &mut verdicts.passed } else { &mut verdicts.failed };
                    reasons.push(score.reason);
                }
                Err(error) => {
                    verdicts.unsure += 1;
                    verdicts.unknown.get_or_insert(error);
                }
            }
        }
        verdicts
    }
}

/// The first few reasons.
fn joined(reasons: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = reasons[..reasons.len().min(SHOWN)].join("; ");
    match reasons.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{answer_text, compiled, problems, reasons, scores};
    use serde_json::json;

    #[test]
    fn not_turns_pass_and_score_around() {
        scores(json!({"not": "a"}), &[("a", false, 0.0), ("b", true, 1.0)]);
        scores(
            json!({"not": {"contains_all": ["a", "b", "c", "d"]}}),
            &[("abcd", false, 0.0), ("abc", true, 0.25), ("x", true, 1.0)],
        );
        scores(json!({"not": {"not": {"contains": "a"}}}), &[("a", true, 1.0), ("b", false, 0.0)]);
    }

    #[test]
    fn all_wants_every_one_and_scores_the_weighted_mean() {
        scores(
            json!({"all": [{"contains": "a", "weight": 3}, {"contains": "b"}]}),
            &[("ab", true, 1.0), ("a", false, 0.75), ("b", false, 0.25), ("", false, 0.0)],
        );
    }

    #[test]
    fn any_wants_one_and_scores_the_highest() {
        scores(
            json!({"any": [{"contains": "a"}, {"contains_all": ["b", "c"]}]}),
            &[("a", true, 1.0), ("bc", true, 1.0), ("b", false, 0.5), ("x", false, 0.0)],
        );
    }

    #[test]
    fn at_least_wants_n_and_scores_the_n_highest() {
        scores(
            json!({"at_least": {"n": 2, "of": [{"contains": "a"}, {"contains_all": ["b", "c"]}, {"contains": "d"}]}}),
            &[("abcd", true, 1.0), ("ad", true, 1.0), ("ab", false, 0.75), ("b", false, 0.25), ("", false, 0.0)],
        );
    }

    #[test]
    fn at_least_is_sure_as_soon_as_the_unknown_can_not_change_it() {
        // The first check can't judge a text of this length.
        let long = "a".repeat(10_001);
        let unsure = json!({"similarity": {"to": "a", "min": 0.00001}});
        let judged = |n, checks: serde_json::Value| {
            let answer = answer_text(&long);
            compiled(json!({"at_least": {"n": n, "of": checks}})).check(&answer.input()).map(|score| score.pass)
        };
        assert_eq!(judged(1, json!([unsure, {"contains": "a"}])), Ok(true));
        assert_eq!(judged(2, json!([unsure, {"contains": "b"}])), Ok(false));
        assert!(judged(2, json!([unsure, {"contains": "a"}])).is_err());
        assert!(judged(1, json!([unsure, {"contains": "b"}])).is_err());
    }

    #[test]
    fn at_least_refuses_what_always_or_never_holds() {
        insta::assert_snapshot!(problems(&[
            json!({"at_least": ["a"]}),
            json!({"at_least": {"n": 0, "of": ["a"]}}),
            json!({"at_least": {"n": 2, "of": ["a"]}}),
            json!({"at_least": {"n": 1.5, "of": []}}),
            json!({"at_least": {"n": 1, "of": ["a", {"contains": "b", "weight": 2}, {"contians": "c"}]}}),
            json!({"at_least": {"n": 1, "of": ["a", {"contains": "b", "weight": 2}]}}),
            json!({"at_least": {"off": ["a"]}}),
        ]));
    }

    #[test]
    fn reasons_lead_through_the_nesting() {
        let negated = json!({"not": {"contains": "a", "name": "no a"}});
        insta::assert_snapshot!(reasons(negated, &["a", "b"]), @r#"
        must not hold, but does: no a: contains "a"
        no a: does not contain "a"
        "#);
        let list = json!([{"contains": "a"}, {"not": {"any": ["b", {"contains": "c"}]}}]);
        insta::assert_snapshot!(reasons(json!({"all": list}), &["a", "c"]), @r#"
        all 2 hold
        contains: does not contain "a"; not: must not hold, but does: any: contains: contains "c"
        "#);
        insta::assert_snapshot!(reasons(json!({"any": ["a", "b", "c", {"all": ["d", "e"]}]}), &["b", "x"]), @r#"
        equals: is "b"
        none holds: equals: is "x", not "a"; equals: is "x", not "b"; equals: is "x", not "c"; and 1 more
        "#);
    }
}
