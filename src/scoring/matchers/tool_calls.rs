//! `tool_calls`: the model called the functions that were expected of it.
//!
//! A call that was made fits one that is expected when the name is the same and every expected argument holds. How well
//! all of them fit is F1: with m calls that fit one of their own, of e expected and a made, precision is m / a, recall
//! m / e, and F1 = 2m / (e + a), their harmonic mean. Where order counts, m is the longest common subsequence;
//! otherwise a maximum matching.

use crate::domain::{ArgProblem, Score, Step, ToolCall};
use crate::scoring::arguments::{Fields, Read, choice, each, inside, needle, not_a, refuse, share, wrong};
use crate::scoring::definition::{Children, Compile, MatcherDef, Reads, Sample};
use crate::scoring::inner_check::{PartCheck, as_text};
use crate::scoring::json_compare::{Comparison, Difference, matching};
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::quote::{bounded, counted, quote};
use serde_json::{Map, Value};
use std::cell::Cell;

pub(super) const TOOL_CALLS: MatcherDef = MatcherDef {
    name: "tool_calls",
    summary: "the model called these functions; the score is F1 of the calls",
    arguments: "{mode, calls: [{name, args: {argument: value, or {check: any check}, or {value: any JSON}}, extra_args: \
                refuse or allow}], min_f1}; mode: exact (the default: these calls, in this order, and no other), in_order \
                (these in this order, others may stand between), any_order (these in any order, others too), subset (at \
                least one call, and none but these, each at most as often as listed), none (no call at all; without \
                `calls`); without `args` a call's arguments are not looked at; values are equal as for `json_equals`; \
                other arguments are refused unless extra_args is allow; with min_f1 it passes from this F1 on, whatever \
                is missing or further: exact and in_order then count the calls in order, any_order in any order",
    schema: r##"{"type": "object", "properties": {"mode": {"enum": ["exact", "in_order", "any_order", "subset",
        "none"]}, "calls": {"type": "array", "minItems": 1, "maxItems": 64, "items": {"type": "object",
        "properties": {"name": {"$ref": "#/$defs/text"}, "args": {"type": "object"}, "extra_args": {"enum":
        ["refuse", "allow"]}}, "required": ["name"], "additionalProperties": false, "dependentRequired":
        {"extra_args": ["args"]}}}, "min_f1": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}},
        "additionalProperties": false, "if": {"required": ["mode"], "properties": {"mode": {"const":
        "none"}}}, "then": {"maxProperties": 1}, "else": {"required": ["calls"]}}"##,
    example: r#"{"tool_calls": {"mode": "in_order", "calls": [{"name": "find_order", "args": {"id": 7}}, {"name": "refund", "args": {"reason": {"check": {"length": {"min": 3}}}}, "extra_args": "allow"}]}}"#,
    passes: Sample::Answer(
        r#"{"tool_calls": [{"name": "find_order", "args": {"id": 7.0}}, {"name": "refund", "args": {"reason": "too small", "id": 7}}]}"#,
    ),
    fails: Sample::Answer(
        r#"{"tool_calls": [{"name": "refund", "args": {"reason": "too small"}}, {"name": "find_order", "args": {"id": 7}}]}"#,
    ),
    refused: r#"{"tool_calls": {"mode": "exact", "calls": []}}"#,
    cost: "the calls of the answer (at most 256, else it can't judge) times the expected ones (at most 64), and the checks \
           of their arguments",
    compile,
    reads: Reads::WholeAnswer,
    children: Children::Custom(argument_checks),
    ..MatcherDef::DEFAULT
};

/// How many calls may be expected.
const MAX_EXPECTED: usize = 64;

/// How many calls of an answer are compared.
const MAX_MADE: usize = 256;

/// How many arguments a call may expect.
const MAX_ARGS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Exact,
    InOrder,
    AnyOrder,
    Subset,
    None,
}

const MODES: [(&str, Mode); 5] = [
    ("exact", Mode::Exact),
    ("in_order", Mode::InOrder),
    ("any_order", Mode::AnyOrder),
    ("subset", Mode::Subset),
    ("none", Mode::None),
];

struct ToolCalls {
    mode: Mode,
    calls: Vec<ExpectedCall>,
    min_f1: Option<f64>,
}

struct ExpectedCall {
    name: String,
    /// `None`: its arguments are not looked at.
    args: Option<Vec<(String, Arg)>>,
    extra_args: bool,
}

enum Arg {
    Value(Value),
    Check(PartCheck),
}

/// The checks in the arguments of `tool_calls`: `calls[].args.*.check`, where nothing stands beside `check`.
fn argument_checks(args: &mut Value) -> Vec<&mut Value> {
    let calls = args.get_mut("calls").and_then(Value::as_array_mut);
    calls
        .into_iter()
        .flatten()
        .filter_map(|call| call.get_mut("args")?.as_object_mut())
        .flat_map(Map::values_mut)
        .filter_map(|arg| arg.as_object_mut().filter(|map| map.len() == 1)?.get_mut("check"))
        .collect()
}

fn compile(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of(args, &["mode", "calls", "min_f1"], "a map {mode, calls, min_f1}")?;
    let mode = fields.optional("mode", |value| choice(value, &MODES)).unwrap_or(Mode::Exact);
    let min_f1 = fields.optional("min_f1", |value| share(value, "an F1"));
    if mode == Mode::None {
        for key in ["calls", "min_f1"] {
            if fields.has(key) {
                fields.refuse_key(key, format!("`{key}` says nothing with `mode: none`"), "`mode: none` alone");
            }
        }
    }
    if mode == Mode::Subset && min_f1.is_some() {
        let message = "`min_f1` does not go with `mode: subset`, which never requires all calls";
        fields.refuse_key("min_f1", message, "`mode: any_order` with `min_f1`");
    }
    let calls = match mode == Mode::None {
        true => Some(Vec::new()),
        false => fields.required("calls", "the calls that are expected", |value| calls(value, ctx)),
    };
    let calls = ToolCalls { mode, calls: fields.finish(calls)?, min_f1 };
    Ok(Matcher::new(move |input| calls.check(input)))
}

fn calls(value: &Value, ctx: &Compile<'_>) -> Read<Vec<ExpectedCall>> {
    let Some(list) = value.as_array() else {
        return wrong(not_a("a list of calls, like [{name: find_order}]", value));
    };
    if list.is_empty() || list.len() > MAX_EXPECTED {
        let problem = ArgProblem::new(format!("the list has {}", counted(list.len() as u64, "call", "calls")));
        return wrong(
            problem
                .expected(format!("1 to {MAX_EXPECTED} calls"))
                .hint("for an answer without calls, write `mode: none`"),
        );
    }
    each(list, |written| call(written, ctx))
}

fn call(value: &Value, ctx: &Compile<'_>) -> Read<ExpectedCall> {
    let mut fields = Fields::of(value, &["name", "args", "extra_args"], "a map {name, args, extra_args}")?;
    let name = fields.required("name", "the name of a function", needle);
    let args = fields.optional("args", |value| arguments(value, ctx));
    let extra_args = fields.optional("extra_args", |value| choice(value, &[("refuse", false), ("allow", true)]));
    if fields.has("extra_args") && !fields.has("args") {
        let expected = "`args` beside it; `args: {}` expects none";
        fields.refuse_key("extra_args", "`extra_args` says nothing without `args`", expected);
    }
    if extra_args == Some(true) && args.as_ref().is_some_and(Vec::is_empty) {
        let expected = "an argument, or neither of both keys";
        fields.refuse_key("args", "with `extra_args: allow`, no `args` say nothing", expected);
    }
    let name = fields.finish(name)?;
    Ok(ExpectedCall { name: name.to_owned(), args, extra_args: extra_args.unwrap_or(false) })
}

fn arguments(value: &Value, ctx: &Compile<'_>) -> Read<Vec<(String, Arg)>> {
    let Some(map) = value.as_object() else {
        return wrong(not_a("a map of arguments", value));
    };
    if map.len() > MAX_ARGS {
        return refuse(format!("{} arguments", map.len()), format!("at most {MAX_ARGS} arguments"));
    }
    let mut problems = Vec::new();
    let mut args = Vec::with_capacity(map.len());
    for (name, written) in map {
        let alone = written.as_object().filter(|map| map.len() == 1);
        let arg = match (alone.and_then(|map| map.get("check")), alone.and_then(|map| map.get("value"))) {
            (Some(check), _) => {
                PartCheck::read(check, ctx).map(Arg::Check).map_err(|problems| inside(problems, &Step::key("check")))
            }
            (None, Some(value)) => Ok(Arg::Value(value.clone())),
            (None, None) => Ok(Arg::Value(written.clone())),
        };
        match arg {
            Ok(arg) => args.push((name.clone(), arg)),
            Err(wrong) => problems.extend(inside(wrong, &Step::key(name))),
        }
    }
    if problems.is_empty() { Ok(args) } else { Err(problems) }
}

impl ExpectedCall {
    /// Why a call does not fit; `None` if it does.
    fn misfit(&self, input: &MatchInput<'_>, made: &ToolCall) -> Result<Option<String>, MatchError> {
        if self.name != made.name {
            return Ok(Some(format!("is {}", quote(&made.name))));
        }
        let Some(args) = &self.args else {
            return Ok(None);
        };
        if !self.extra_args
            && let Some(extra) = made.args.keys().find(|key| !args.iter().any(|(name, _)| name == *key))
        {
            return Ok(Some(format!("has a further argument {}", quote(extra))));
        }
        for (name, arg) in args {
            let Some(value) = made.args.get(name) else {
                return Ok(Some(format!("has no argument {}", quote(name))));
            };
            let what = match arg {
                Arg::Check(check) => {
                    Some(check.check(input, as_text(value))?).filter(|score| !score.pass).map(|score| score.reason)
                }
                Arg::Value(expected) => match Comparison::default().compare(expected, value) {
                    Ok(()) => None,
                    Err(Difference::Found(what)) => Some(what),
                    Err(Difference::TooMany) => return Err(MatchError::new("an argument is too large to compare")),
                },
            };
            if let Some(what) = what {
                return Ok(Some(format!("has another {}: {}", quote(name), bounded(&what, 200))));
            }
        }
        Ok(None)
    }
}

impl ToolCalls {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        let made = &input.answer.tool_calls;
        let calls = |n: usize| counted(n as u64, "call", "calls");
        if self.mode == Mode::None {
            return Ok(match made.first() {
                None => Score::binary(true, "calls no function"),
                Some(call) => Score::binary(false, format!("makes {}, first {}", calls(made.len()), quote(&call.name))),
            });
        }
        if made.len() > MAX_MADE {
            return Err(MatchError::new(format!("makes {} calls, and at most {MAX_MADE} are compared", made.len())));
        }
        // fits[i][j]: the j-th call that was made fits the i-th expected one.
        let mut fits = Vec::with_capacity(self.calls.len());
        for expected in &self.calls {
            let row: Result<Vec<bool>, MatchError> =
                made.iter().map(|made| expected.misfit(input, made).map(|why| why.is_none())).collect();
            fits.push(row?);
        }
        let matched = match self.mode {
            Mode::Exact | Mode::InOrder => in_order(&fits, made.len()),
            Mode::AnyOrder | Mode::Subset | Mode::None => in_any_order(&fits, made.len())?,
        };
        let f1 = 2.0 * matched as f64 / (self.calls.len() + made.len()) as f64;
        let pass = match (self.min_f1, self.mode) {
            (Some(min), _) => f1 >= min,
            (None, Mode::Exact) => matched == self.calls.len() && matched == made.len(),
            (None, Mode::InOrder | Mode::AnyOrder) => matched == self.calls.len(),
            (None, Mode::Subset | Mode::None) => matched == made.len() && matched > 0,
        };
        let summary = format!("{matched} of {} expected and {} made fit", calls(self.calls.len()), calls(made.len()));
        if pass {
            return Ok(Score::new(f1, true, summary));
        }
        let why = self.first_misfit(input, &fits)?;
        let least = self.min_f1.map_or_else(String::new, |min| format!(", F1 less than {min}"));
        Ok(Score::new(f1, false, format!("{summary}{least}{why}")))
    }

    /// What is wrong with the first expected call that nothing fits: with the call of its name, or else of its place.
    fn first_misfit(&self, input: &MatchInput<'_>, fits: &[Vec<bool>]) -> Result<String, MatchError> {
        let made = &input.answer.tool_calls;
        let unmet = self.calls.iter().zip(fits).enumerate();
        let Some((i, (expected, _))) = unmet.into_iter().find(|(_, (_, row))| !row.contains(&true)) else {
            return Ok(String::new());
        };
        let name = bounded(&expected.name, 60);
        let near = made.iter().find(|made| made.name == expected.name);
        Ok(match near {
            Some(made) => match expected.misfit(input, made)? {
                Some(why) => format!("; {name} {why}"),
                None => String::new(),
            },
            None => match made.get(i) {
                Some(made) => format!("; not {name}, but {}", quote(&made.name)),
                None => format!("; {name} is not called"),
            },
        })
    }
}

/// How many expected calls have one of their own, in the same order: the longest common subsequence.
fn in_order(fits: &[Vec<bool>], made: usize) -> usize {
    let mut row = vec![0; made + 1];
    for fitting in fits {
        let mut diagonal = 0;
        for (j, fit) in fitting.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if *fit { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// How many expected calls have one of their own.
fn in_any_order(fits: &[Vec<bool>], made: usize) -> Result<usize, MatchError> {
    let numbers = |row: &Vec<bool>| row.iter().enumerate().filter(|(_, fit)| **fit).map(|(j, _)| j).collect();
    let alike: Vec<Vec<usize>> = fits.iter().map(numbers).collect();
    // More than the matching of so many calls can need: a search looks at every edge at most once.
    let steps = Cell::new((MAX_EXPECTED * MAX_EXPECTED * MAX_MADE) as u64);
    match matching(&alike, made, &steps) {
        Some(owners) => Ok(owners.iter().flatten().count()),
        None => Err(MatchError::new("there are too many calls to compare")),
    }
}

#[cfg(test)]
mod tests {
    use super::{in_any_order, in_order};
    use crate::domain::ToolCall;
    use crate::scoring::rules::testing::{answer_text, compiled, problems, verify_in};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// `pass 0.5: reason` for calls like `[["a", {"x": 1}]]`.
    fn said(check: Value, made: &Value) -> String {
        let mut whole = answer_text("");
        for call in made.as_array().unwrap() {
            whole.answer.tool_calls.push(ToolCall {
                name: call[0].as_str().unwrap().to_owned(),
                args: call[1].as_object().cloned().unwrap_or_default(),
            });
        }
        match compiled(json!({"tool_calls": check})).check(&whole.input()) {
            Ok(score) => format!("{} {:.3}: {}", score.pass, score.value(), score.reason),
            Err(cannot) => format!("no judgement: {}", cannot.reason),
        }
    }

    #[test]
    fn modes_differ_in_order_and_in_further_calls() {
        let mut table = String::new();
        let made = [
            json!([["a"], ["b"]]),
            json!([["b"], ["a"]]),
            json!([["a"], ["x"], ["b"]]),
            json!([["b"], ["x"], ["a"]]),
            json!([["a"]]),
            json!([["a"], ["a"]]),
            json!([]),
        ];
        for mode in ["exact", "in_order", "any_order", "subset"] {
            for made in &made {
                let check = json!({"mode": mode, "calls": [{"name": "a"}, {"name": "b"}]});
                let names: Vec<&str> = made.as_array().unwrap().iter().map(|call| call[0].as_str().unwrap()).collect();
                table += &format!("{mode} {}: {}\n", names.join(""), said(check, made));
            }
        }
        for made in [json!([]), json!([["a"]])] {
            table += &format!("none: {}\n", said(json!({"mode": "none"}), &made));
        }
        insta::assert_snapshot!(table, @r#"
        exact ab: true 1.000: 2 of 2 calls expected and 2 calls made fit
        exact ba: false 0.500: 1 of 2 calls expected and 2 calls made fit
        exact axb: false 0.800: 2 of 2 calls expected and 3 calls made fit
        exact bxa: false 0.400: 1 of 2 calls expected and 3 calls made fit
        exact a: false 0.667: 1 of 2 calls expected and 1 call made fit; b is not called
        exact aa: false 0.500: 1 of 2 calls expected and 2 calls made fit; not b, but "a"
        exact : false 0.000: 0 of 2 calls expected and 0 calls made fit; a is not called
        in_order ab: true 1.000: 2 of 2 calls expected and 2 calls made fit
        in_order ba: false 0.500: 1 of 2 calls expected and 2 calls made fit
        in_order axb: true 0.800: 2 of 2 calls expected and 3 calls made fit
        in_order bxa: false 0.400: 1 of 2 calls expected and 3 calls made fit
        in_order a: false 0.667: 1 of 2 calls expected and 1 call made fit; b is not called
        in_order aa: false 0.500: 1 of 2 calls expected and 2 calls made fit; not b, but "a"
        in_order : false 0.000: 0 of 2 calls expected and 0 calls made fit; a is not called
        any_order ab: true 1.000: 2 of 2 calls expected and 2 calls made fit
        any_order ba: true 1.000: 2 of 2 calls expected and 2 calls made fit
        any_order axb: true 0.800: 2 of 2 calls expected and 3 calls made fit
        any_order bxa: true 0.800: 2 of 2 calls expected and 3 calls made fit
        any_order a: false 0.667: 1 of 2 calls expected and 1 call made fit; b is not called
        any_order aa: false 0.500: 1 of 2 calls expected and 2 calls made fit; not b, but "a"
        any_order : false 0.000: 0 of 2 calls expected and 0 calls made fit; a is not called
        subset ab: true 1.000: 2 of 2 calls expected and 2 calls made fit
        subset ba: true 1.000: 2 of 2 calls expected and 2 calls made fit
        subset axb: false 0.800: 2 of 2 calls expected and 3 calls made fit
        subset bxa: false 0.800: 2 of 2 calls expected and 3 calls made fit
        subset a: true 0.667: 1 of 2 calls expected and 1 call made fit
        subset aa: false 0.500: 1 of 2 calls expected and 2 calls made fit; not b, but "a"
        subset : false 0.000: 0 of 2 calls expected and 0 calls made fit; a is not called
        none: true 1.000: calls no function
        none: false 0.000: makes 1 call, first "a"
        "#);
    }

    #[test]
    fn arguments_are_equal_or_checked() {
        let check = |args: Value, extra: &str| json!({"calls": [{"name": "f", "args": args, "extra_args": extra}]});
        let paris = json!([["f", {"city": "Paris", "days": 2.0}]]);
        insta::assert_snapshot!([
            said(check(json!({"city": "Paris", "days": 2}), "refuse"), &paris),
            said(check(json!({"city": "Paris"}), "refuse"), &paris),
            said(check(json!({"city": "Paris"}), "allow"), &paris),
            said(check(json!({"city": {"check": {"regex": "^P"}}}), "allow"), &paris),
            said(check(json!({"city": {"check": {"regex": "^L"}}}), "allow"), &paris),
            said(check(json!({"days": {"check": {"number": 2}}}), "allow"), &paris),
            said(check(json!({"city": {"value": {"check": "P"}}}), "allow"), &paris),
            said(check(json!({"days": 3}), "allow"), &paris),
            said(check(json!({"town": "Paris"}), "allow"), &paris),
            said(check(json!({}), "refuse"), &paris),
            said(json!({"calls": [{"name": "f"}]}), &paris),
            said(json!({"calls": [{"name": "g"}]}), &paris),
        ].join("\n"), @r#"
        true 1.000: 1 of 1 call expected and 1 call made fit
        false 0.000: 0 of 1 call expected and 1 call made fit; f has a further argument "days"
        true 1.000: 1 of 1 call expected and 1 call made fit
        true 1.000: 1 of 1 call expected and 1 call made fit
        false 0.000: 0 of 1 call expected and 1 call made fit; f has another "city": regex: does not match /^L/
        true 1.000: 1 of 1 call expected and 1 call made fit
        false 0.000: 0 of 1 call expected and 1 call made fit; f has another "city": "Paris" instead of {"check":"P"}
        false 0.000: 0 of 1 call expected and 1 call made fit; f has another "days": 2.0 instead of 3
        false 0.000: 0 of 1 call expected and 1 call made fit; f has no argument "town"
        false 0.000: 0 of 1 call expected and 1 call made fit; f has a further argument "city"
        true 1.000: 1 of 1 call expected and 1 call made fit
        false 0.000: 0 of 1 call expected and 1 call made fit; not g, but "f"
        "#);
    }

    #[test]
    fn a_share_of_the_calls_may_be_enough() {
        let check =
            |min: f64, mode: &str| json!({"mode": mode, "min_f1": min, "calls": [{"name": "a"}, {"name": "b"}]});
        insta::assert_snapshot!([
            said(check(0.6, "exact"), &json!([["a"]])),
            said(check(0.7, "exact"), &json!([["a"]])),
            said(check(1.0, "any_order"), &json!([["b"], ["a"]])),
            said(check(1.0, "exact"), &json!([["b"], ["a"]])),
        ].join("\n"), @"
        true 0.667: 1 of 2 calls expected and 1 call made fit
        false 0.667: 1 of 2 calls expected and 1 call made fit, F1 less than 0.7; b is not called
        true 1.000: 2 of 2 calls expected and 2 calls made fit
        false 0.500: 1 of 2 calls expected and 2 calls made fit, F1 less than 1
        ");
    }

    #[test]
    fn too_many_calls_are_not_judged() {
        let made = Value::Array(vec![json!(["a"]); 257]);
        insta::assert_snapshot!(said(json!({"mode": "subset", "calls": [{"name": "a"}]}), &made), @"no judgement: makes 257 calls, and at most 256 are compared");
    }

    #[test]
    fn checks_of_arguments_are_verified_and_files_read_into_them() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("s.json"), r#"{"type": "string"}"#).unwrap();
        let check = json!({"tool_calls": {"calls": [{"name": "f", "args": {"a": {"check": {"json_schema": {"file": "s.json"}}}}}]}});
        let verified = verify_in(root.path(), check).unwrap();
        assert_eq!(verified.args["calls"][0]["args"]["a"], json!({"check": {"json_schema": {"type": "string"}}}));
        insta::assert_snapshot!(problems(&[
            json!({"tool_calls": [{"name": "f"}]}),
            json!({"tool_calls": {"mode": "none", "calls": [{"name": "f"}]}}),
            json!({"tool_calls": {"mode": "subset", "calls": [{"name": "f"}], "min_f1": 0.5}}),
            json!({"tool_calls": {"mode": "strict", "calls": [{"nmae": "f"}, 3]}}),
            json!({"tool_calls": {"calls": [], "min_f1": 0}}),
            json!({"tool_calls": {"calls": [{"name": "f", "extra_args": "allow"}]}}),
            json!({"tool_calls": {"calls": [{"name": "f", "args": {}, "extra_args": "allow"}]}}),
            json!({"tool_calls": {"calls": [{"name": "f", "args": {"a": {"check": {"contians": "x"}}}}]}}),
            json!({"tool_calls": {"calls": [{"name": "f", "args": {"a": {"check": {"tool_calls": {"mode": "none"}}}}}]}}),
        ]));
    }

    proptest! {
        /// Order can only cost matches, and the mean of both lengths bounds them.
        #[test]
        fn in_order_never_matches_more_than_in_any_order(
            fits in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 6), 0..6),
        ) {
            let (ordered, any) = (in_order(&fits, 6), in_any_order(&fits, 6).unwrap());
            prop_assert!(ordered <= any && any <= fits.len());
        }
    }
}
