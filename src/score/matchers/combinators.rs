//! `not`, `all`, `any`: checks made of checks.
//!
//! A check that can't judge is neither true nor false. `not` of it can't judge either; `all` fails if another one surely
//! fails, and `any` passes if another one surely passes, because the unknown could not change that; otherwise they can't
//! judge.

use crate::model::{ArgProblem, CheckSpec, Score, Step};
use crate::score::arguments::{Read, inside, not_a, wrong};
use crate::score::matcher::{CannotJudge, Compile, Matcher, MatcherDef, Sample, Seen};
use crate::score::quote::bounded;
use crate::score::tally::{Weighted, weighted_mean};
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
    takes_text: false,
    combines: true,
    inline: None,
    compile: |args, ctx| {
        Ok(Box::new(Not(nested(
            args,
            &ctx.deeper().map_err(|problem| vec![problem])?,
        )?)))
    },
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
    takes_text: false,
    combines: true,
    inline: None,
    compile: |args, ctx| Ok(Box::new(All(list(args, ctx)?))),
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
    takes_text: false,
    combines: true,
    inline: None,
    compile: |args, ctx| Ok(Box::new(Any(list(args, ctx)?))),
};

#[derive(Debug)]
struct Not(Nested);

#[derive(Debug)]
struct All(Vec<Nested>);

#[derive(Debug)]
struct Any(Vec<Nested>);

/// A check inside a check.
#[derive(Debug)]
pub(in crate::score) struct Nested {
    label: String,
    weight: f64,
    matcher: Box<dyn Matcher>,
}

fn list(args: &Value, ctx: &Compile<'_>) -> Read<Vec<Nested>> {
    let ctx = ctx.deeper().map_err(|problem| vec![problem])?;
    let Some(written) = args.as_array() else {
        return wrong(not_a("a list of checks", args));
    };
    if written.is_empty() {
        return wrong(ArgProblem::new("the list is empty").expected("a list of at least one check"));
    }
    let mut problems = Vec::new();
    let mut checks = Vec::with_capacity(written.len());
    for (i, check) in written.iter().enumerate() {
        match nested(check, &ctx) {
            Ok(check) => checks.push(check),
            Err(wrong) => problems.extend(inside(wrong, &Step::Index(i))),
        }
    }
    if problems.is_empty() { Ok(checks) } else { Err(problems) }
}

/// Compiles a check inside a check; `ctx` is one level deeper than the outer one's.
pub(in crate::score) fn nested(written: &Value, ctx: &Compile<'_>) -> Read<Nested> {
    let spec = CheckSpec::parse(written).map_err(|problem| vec![problem])?;
    if spec.advisory {
        return wrong(
            ArgProblem::new("a check inside another one can't be advisory")
                .inside(Step::key("advisory"))
                .expected("`advisory` on the outer check, or a check of its own"),
        );
    }
    if spec.weight == 0.0 {
        return wrong(
            ArgProblem::new("a check inside another one can't have weight 0")
                .inside(Step::key("weight"))
                .expected("a weight of more than 0, or no such check"),
        );
    }
    let matcher = ctx.check(&spec).map_err(|problems| {
        let mut problems = problems;
        if written.is_string() {
            // A plain string has no key `equals` to step into.
            problems.iter_mut().for_each(|problem| drop(problem.path.drain(..1)));
        }
        problems
    })?;
    Ok(Nested {
        label: bounded(spec.name.as_deref().unwrap_or(&spec.matcher), 40),
        weight: spec.weight,
        matcher,
    })
}

impl Nested {
    /// With reasons that begin with its name.
    pub(in crate::score) fn check(&self, seen: &Seen<'_>) -> Result<Score, CannotJudge> {
        // Cut, because reasons of reasons add up.
        let named = |reason: &str| format!("{}: {}", self.label, bounded(reason, 300));
        match self.matcher.check(seen) {
            Ok(score) => Ok(Score::new(score.value(), score.pass, named(&score.reason))),
            Err(cannot) => Err(CannotJudge::new(named(&cannot.reason))),
        }
    }
}

impl Matcher for Not {
    fn check(&self, seen: &Seen<'_>) -> Result<Score, CannotJudge> {
        let score = self.0.check(seen)?;
        let held = if score.pass { "must not hold, but does: " } else { "" };
        Ok(Score::new(
            1.0 - score.value(),
            !score.pass,
            format!("{held}{}", score.reason),
        ))
    }
}

impl Matcher for All {
    fn check(&self, seen: &Seen<'_>) -> Result<Score, CannotJudge> {
        let mut scores = Vec::with_capacity(self.0.len());
        let mut failed = Vec::new();
        let mut unknown = None;
        for check in &self.0 {
            match check.check(seen) {
                Ok(score) => {
                    scores.push(Weighted {
                        value: score.value(),
                        weight: check.weight,
                    });
                    if !score.pass {
                        failed.push(score.reason);
                    }
                }
                Err(cannot) => unknown = unknown.or(Some(cannot)),
            }
        }
        match unknown {
            _ if !failed.is_empty() => Ok(Score::new(weighted_mean(&scores), false, joined(&failed))),
            Some(cannot) => Err(cannot),
            None => {
                let reason = format!("all {} hold", scores.len());
                Ok(Score::new(weighted_mean(&scores), true, reason))
            }
        }
    }
}

impl Matcher for Any {
    fn check(&self, seen: &Seen<'_>) -> Result<Score, CannotJudge> {
        let mut highest: f64 = 0.0;
        let mut passed = None;
        let mut failed = Vec::new();
        let mut unknown = None;
        for check in &self.0 {
            match check.check(seen) {
                Ok(score) => {
                    highest = highest.max(score.value());
                    if score.pass {
                        passed = passed.or(Some(score.reason));
                    } else {
                        failed.push(score.reason);
                    }
                }
                Err(cannot) => unknown = unknown.or(Some(cannot)),
            }
        }
        match (passed, unknown) {
            (Some(reason), _) => Ok(Score::new(highest, true, reason)),
            (None, Some(cannot)) => Err(cannot),
            (None, None) => Ok(Score::new(highest, false, format!("none holds: {}", joined(&failed)))),
        }
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
    use crate::score::rules::testing::{reasons, scores};
    use serde_json::json;

    #[test]
    fn not_turns_pass_and_score_around() {
        scores(json!({"not": "a"}), &[("a", false, 0.0), ("b", true, 1.0)]);
        scores(
            json!({"not": {"contains_all": ["a", "b", "c", "d"]}}),
            &[("abcd", false, 0.0), ("abc", true, 0.25), ("x", true, 1.0)],
        );
        scores(
            json!({"not": {"not": {"contains": "a"}}}),
            &[("a", true, 1.0), ("b", false, 0.0)],
        );
    }

    #[test]
    fn all_wants_every_one_and_scores_the_weighted_mean() {
        scores(
            json!({"all": [{"contains": "a", "weight": 3}, {"contains": "b"}]}),
            &[
                ("ab", true, 1.0),
                ("a", false, 0.75),
                ("b", false, 0.25),
                ("", false, 0.0),
            ],
        );
    }

    #[test]
    fn any_wants_one_and_scores_the_highest() {
        scores(
            json!({"any": [{"contains": "a"}, {"contains_all": ["b", "c"]}]}),
            &[
                ("a", true, 1.0),
                ("bc", true, 1.0),
                ("b", false, 0.5),
                ("x", false, 0.0),
            ],
        );
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
