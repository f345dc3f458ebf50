//! `json_path`: what a path selects from the JSON of the answer holds a check, is a value, or is so many.

use super::json::find_json;
use crate::domain::{ArgProblem, JsonContent, Score, Step};
use crate::scoring::arguments::{Bounds, Fields, Read, bounds, choice, flag, refuse, text, wrong};
use crate::scoring::constraint;
use crate::scoring::definition::{Children, Compile, MatcherDef, Sample};
use crate::scoring::inner_check::{PartCheck, PartScores, as_text};
use crate::scoring::json_compare::{Comparison, Difference, shown};
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::quote::{bounded, quote};
use serde_json::Value;
use serde_json_path::{JsonPath as Path, PathElement};

pub(super) const JSON_PATH: MatcherDef = MatcherDef {
    name: "json_path",
    summary: "the answer is JSON, as for `json`, and what the path selects from it holds the check, equals the value, or \
              is as many values as counted",
    arguments: "{path, check: any check} or {path, equals: any JSON value}, and count: 3 or {min, max}; which: all (the \
                default), any or first of the selected values; fenced: true as for `json`; the path is JSONPath (RFC \
                9535); a check judges texts as they are and other values as JSON; when nothing is selected it fails, \
                unless `count` allows 0",
    schema: r##"{"type": "object", "properties": {"path": {"type": "string"}, "which": {"enum": ["all", "any",
        "first"]}, "check": {"$ref": "#/$defs/check"}, "equals": true, "count": {"$ref": "#/$defs/bounds"},
        "fenced": {"type": "boolean"}}, "required": ["path"], "additionalProperties": false, "anyOf":
        [{"required": ["check"]}, {"required": ["equals"]}, {"required": ["count"]}], "not": {"required":
        ["check", "equals"]}}"##,
    example: r#"{"json_path": {"path": "$.items[*].name", "check": {"length": {"min": 3}}, "count": {"min": 1, "max": 5}}}"#,
    passes: Sample::Text("```json\n{\"items\": [{\"name\": \"boot\"}, {\"name\": \"sandal\"}]}\n```"),
    fails: Sample::Text("{\"items\": [{\"name\": \"\"}]}"),
    refused: r#"{"json_path": {"path": "$.items[*].name"}}"#,
    cost: "linear in the answer, and with the time of the check for each of at most 1000 values; each filter `?`, each \
           regex in one and each further `..` multiplies with the number of values in the answer, and several selectors \
           in one pair of brackets with their number; when that is more than 10^9 it can't judge",
    compile,
    children: Children::Key("check"),
    constraint: |args| constraint::json(args, JsonContent::Written),
    ..MatcherDef::DEFAULT
};

/// The longest path, in bytes, and how many brackets may open in it: its parser calls itself.
const MAX_PATH: usize = 500;
const MAX_BRACKETS: usize = 50;

/// How many steps an evaluation may take at most, by a bound that holds for every path.
const MAX_STEPS: u64 = 1_000_000_000;

/// Keys of the arguments that [`Selection::read`] reads.
pub(super) const KEYS: [&str; 5] = ["path", "which", "check", "equals", "count"];

/// A path and what must hold for the values that it selects.
pub(super) struct Selection {
    path: PathText,
    which: Which,
    check: Option<PartCheck>,
    equals: Option<Value>,
    count: Option<Bounds>,
}

#[derive(Debug)]
pub(super) struct PathText {
    written: String,
    path: Path,
    /// How often the work multiplies with the number of values.
    factors: u32,
    /// How often a value may be selected over, by several selectors in one pair of brackets.
    multiplicity: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    All,
    Any,
    First,
}

fn compile(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let known: Vec<&str> = KEYS.into_iter().chain(["fenced"]).collect();
    let mut fields = Fields::of(args, &known, "a map {path, check}, {path, equals} or {path, count}")?;
    let fenced = fields.optional("fenced", flag).unwrap_or(true);
    let selected = Selection::read(&mut fields, ctx);
    let selected = fields.finish(selected)?;
    Ok(Matcher::new(move |input| match find_json(&input.answer.text, fenced) {
        Ok(value) => selected.check(input, &value),
        Err(reason) => Ok(Score::binary(false, reason)),
    }))
}

impl Selection {
    pub(super) fn read(fields: &mut Fields<'_>, ctx: &Compile<'_>) -> Option<Selection> {
        let whiches = [("all", Which::All), ("any", Which::Any), ("first", Which::First)];
        let path = fields.required("path", "a JSONPath like $.items[*].name", PathText::read);
        let which = fields.optional("which", |value| choice(value, &whiches));
        let (has_check, has_equals) = (fields.has("check"), fields.has("equals"));
        let check = fields.optional("check", |written| PartCheck::read(written, ctx));
        let equals = fields.optional("equals", |value| Ok(value.clone()));
        let count = fields.optional("count", bounds);
        if !has_check && !has_equals && !fields.has("count") {
            fields.refuse(
                ArgProblem::new("a path alone says nothing about what it selects")
                    .expected("`check`, `equals` or `count`")
                    .hint("for a value that must only be there, write `count: {min: 1}`"),
            );
        }
        if has_check && has_equals {
            fields.refuse(
                ArgProblem::new("`check` and `equals` are both given").expected("one of them, or `check: {all: [..]}`"),
            );
        }
        if which.is_some() && !has_check && !has_equals {
            fields.refuse(
                ArgProblem::new("`which` chooses values for `check` or `equals`, and there is neither")
                    .expected("`check` or `equals` beside it"),
            );
        }
        Some(Selection { path: path?, which: which.unwrap_or(Which::All), check, equals, count })
    }

    /// Judges what the path selects from a value.
    pub(super) fn check(&self, input: &MatchInput<'_>, value: &Value) -> Result<Score, MatchError> {
        self.path.affordable(value)?;
        let nodes = self.path.path.query_located(value);
        let found = nodes.len();
        if let Some(count) = self.count
            && !count.hold(found as u64)
        {
            let reason = format!("{} selects {found} values, not {}", self.path, count.describe());
            return Ok(Score::binary(false, reason));
        }
        if self.check.is_none() && self.equals.is_none() {
            return Ok(Score::binary(true, format!("{} selects {found} values", self.path)));
        }
        if found == 0 {
            let allowed = self.count.is_some();
            let may = if allowed { ", as it may" } else { "" };
            return Ok(Score::binary(allowed, format!("{} selects nothing{may}", self.path)));
        }
        let checked = if self.which == Which::First { 1 } else { found };
        let mut scores = PartScores::of_at_most(checked, &format!("{} selects {checked} values", self.path))?;
        for node in nodes.iter().take(checked) {
            let score = self.check_one(input, node.node());
            scores.add(&bounded(&node.location().to_string(), 80), score);
        }
        scores.score(self.which == Which::Any, checked)
    }

    fn check_one(&self, input: &MatchInput<'_>, value: &Value) -> Result<Score, MatchError> {
        if let Some(check) = &self.check {
            return check.check(input, as_text(value));
        }
        let Some(expected) = &self.equals else {
            return Err(MatchError::new("nothing is checked"));
        };
        match Comparison::default().compare(expected, value) {
            Ok(()) => Ok(Score::binary(true, format!("is {}", shown(value)))),
            Err(Difference::Found(what)) => Ok(Score::binary(false, what)),
            Err(Difference::TooMany) => Err(MatchError::new("the values are too large to compare")),
        }
    }
}

impl PathText {
    pub(super) fn read(value: &Value) -> Read<PathText> {
        let written = text(value)?;
        if written.len() > MAX_PATH {
            let expected = format!("a path of at most {MAX_PATH} bytes");
            return refuse(format!("the path has {} bytes", written.len()), expected);
        }
        if written.chars().filter(|c| matches!(c, '(' | '[' | '!')).count() > MAX_BRACKETS {
            return refuse(format!("more than {MAX_BRACKETS} of ( [ ! stand in the path"), "a shorter path");
        }
        let path = match Path::parse(written) {
            Ok(path) => path,
            Err(error) => {
                let error = bounded(&error.to_string(), 160);
                let message = format!("the path {} is not valid: {error}", quote(written));
                return refuse(message, "JSONPath as in RFC 9535, like $.items[*].name or $['a key']");
            }
        };
        if let Some(problem) = patterns(written).find_map(|pattern| not_a_pattern(&pattern)) {
            return wrong(problem);
        }
        // Every query within a filter runs for each value that the filter sees, and so does a regex, which may be as
        // costly as many values.
        let count = |what: &str| written.matches(what).count();
        let factors = count("?") + count("match") + count("search") + count("..").saturating_sub(1);
        let selectors = written.split('[').skip(1).map(|part| 1 + part.matches(',').count() as u64);
        Ok(PathText {
            written: written.to_owned(),
            path,
            factors: u32::try_from(factors).unwrap_or(u32::MAX),
            multiplicity: selectors.fold(1, u64::saturating_mul),
        })
    }

    /// # Errors
    /// The evaluation could take too long.
    fn affordable(&self, value: &Value) -> Result<(), MatchError> {
        if self.factors == 0 && self.multiplicity == 1 {
            return Ok(());
        }
        let values = size(value);
        let steps = values.checked_pow(self.factors.saturating_add(1));
        match steps.and_then(|steps| steps.checked_mul(self.multiplicity)) {
            Some(steps) if steps <= MAX_STEPS => Ok(()),
            Some(_) | None => {
                Err(MatchError::new(format!("the answer has {values} values, too many for the path {self}")))
            }
        }
    }

    /// The places of what it selects from the root, sorted and without duplicates.
    ///
    /// # Errors
    /// The evaluation could take too long.
    pub(super) fn places(&self, value: &Value) -> Result<Vec<Vec<Step>>, MatchError> {
        self.affordable(value)?;
        let located = self.path.query_located(value);
        let mut places: Vec<Vec<Step>> =
            located.iter().map(|node| node.location().iter().map(step).collect()).collect();
        places.sort();
        places.dedup();
        Ok(places)
    }
}

/// The texts that stand last among the arguments of functions: the patterns of `match` and `search`.
fn patterns(path: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = path;
    let mut before = ' ';
    std::iter::from_fn(move || {
        loop {
            let at = rest.find(['\'', '"'])?;
            let quote = rest[at..].chars().next()?;
            before = rest[..at].trim_end().chars().next_back().unwrap_or(before);
            let inside = &rest[at + 1..];
            let mut escaped = false;
            let end = inside.find(|c| {
                let ends = c == quote && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })?;
            let text = &inside[..end];
            rest = &inside[end + 1..];
            if before == ',' && rest.trim_start().starts_with(')') {
                // As RFC 9535 writes texts: like JSON, but for the quotes.
                let json = match quote {
                    '\'' => format!("\"{}\"", text.replace("\\'", "'").replace('"', "\\\"")),
                    _ => format!("\"{text}\""),
                };
                return Some(serde_json::from_str(&json).unwrap_or_else(|_| text.to_owned()));
            }
        }
    })
}

/// A pattern that can't be compiled matches nothing, without a word: `count: 0` would pass on it.
fn not_a_pattern(pattern: &str) -> Option<ArgProblem> {
    let error = regex::Regex::new(&format!("(?R)^({pattern})$")).err()?;
    let message = bounded(&error.to_string(), 160);
    Some(
        ArgProblem::new(format!("the pattern {} in the path is not valid: {message}", quote(pattern)))
            .expected("a regular expression, smaller than what takes megabytes"),
    )
}

fn step(element: &PathElement<'_>) -> Step {
    match element.as_index() {
        Some(index) => Step::Index(index),
        None => Step::key(element.as_name().unwrap_or_default()),
    }
}

impl std::fmt::Display for PathText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&bounded(&self.written, 80))
    }
}

/// How many values a value holds, itself included. Its depth is bounded by the parsers.
fn size(value: &Value) -> u64 {
    match value {
        Value::Array(list) => 1 + list.iter().map(size).sum::<u64>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<u64>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{answer_text, compiled, problems, reasons, scores, verdicts, verify_in};
    use serde_json::json;

    #[test]
    fn patterns_that_can_not_match_are_refused() {
        let refused = |path: &str| {
            let said = problems(&[json!({"json_path": {"path": path, "count": 0}})]);
            said.contains("the pattern")
        };
        for path in [
            "$[?match(@.a, '(')]",
            "$[?search(@.a, \"[\")]",
            "$[?match(@.a, 'x{1000}{1000}{1000}')]",
            "$[?@.b == 1 && search( @.a , '*' )]",
        ] {
            assert!(refused(path), "{path}");
        }
        for path in ["$[?match(@.a, 'x.*')]", "$['(', 'b']", "$[?@.a == '(']", "$[?search(@.a, '\\\\d+')]"] {
            assert!(!refused(path), "{path}");
        }
    }

    #[test]
    fn a_check_judges_what_is_selected() {
        let check = |which: &str| json!({"json_path": {"path": "$.a[*]", "which": which, "check": {"contains": "x"}}});
        scores(
            check("all"),
            &[
                (r#"{"a": ["x", "xy"]}"#, true, 1.0),
                (r#"{"a": ["x", "y"]}"#, false, 0.5),
                (r#"{"a": [{"x": 1}]}"#, true, 1.0),
                (r#"{"a": []}"#, false, 0.0),
                (r#"{"a": "x"}"#, false, 0.0),
                ("x", false, 0.0),
                ("Here:\n```json\n{\"a\": [\"x\"]}\n```", true, 1.0),
            ],
        );
        verdicts(check("any"), &[(r#"{"a": ["y", "x"]}"#, true), (r#"{"a": ["y"]}"#, false), ("{}", false)]);
        verdicts(check("first"), &[(r#"{"a": ["x", "y"]}"#, true), (r#"{"a": ["y", "x"]}"#, false)]);
        insta::assert_snapshot!(reasons(check("all"), &[
            r#"{"a": ["x"]}"#, r#"{"a": ["x", "x"]}"#, r#"{"a": ["x", "y", "z"]}"#, "{}", "no",
        ]), @r#"
        $['a'][0]: contains: contains "x"
        all 2 values hold
        $['a'][1]: contains: does not contain "x"; and 1 more
        $.a[*] selects nothing
        is not valid JSON: expected ident at line 1 column 2, in "no"
        "#);
        // A text is judged without quotes, another value as JSON.
        verdicts(
            json!({"json_path": {"path": "$", "check": {"equals": "1"}}}),
            &[("\"1\"", true), ("1", true), ("[1]", false)],
        );
    }

    #[test]
    fn values_are_counted_and_compared() {
        verdicts(
            json!({"json_path": {"path": "$..id", "count": {"min": 2}}}),
            &[(r#"[{"id": 1}, {"id": 2}]"#, true), (r#"{"id": {}}"#, false), ("", false)],
        );
        verdicts(
            json!({"json_path": {"path": "$.errors[*]", "count": 0}}),
            &[(r#"{"errors": []}"#, true), ("{}", true), (r#"{"errors": [1]}"#, false), ("none", false)],
        );
        verdicts(
            json!({"json_path": {"path": "$[*]", "equals": {"n": 1}, "count": {"max": 2}}}),
            &[
                (r#"[{"n": 1.0}]"#, true),
                ("[]", true),
                (r#"[{"n": 2}]"#, false),
                (r#"[{"n": 1}, {"n": 1}, {"n": 1}]"#, false),
            ],
        );
        verdicts(
            json!({"json_path": {"path": "$[?@.price > 10].name", "equals": "boot"}}),
            &[(r#"[{"name": "boot", "price": 11}, {"name": "sock", "price": 2}]"#, true), ("[]", false)],
        );
        verdicts(json!({"json_path": {"path": "$.a", "equals": null}}), &[(r#"{"a": null}"#, true), ("{}", false)]);
    }

    #[test]
    fn what_would_take_too_long_is_not_judged() {
        let many = serde_json::Value::Array((0..40_000).map(|_| json!(1)).collect()).to_string();
        let said = |path: &str, count| {
            let matcher = compiled(json!({"json_path": {"path": path, "check": {"equals": "1"}, "count": count}}));
            matcher.check(&answer_text(&many).input()).map(|score| score.pass).map_err(|cannot| cannot.reason)
        };
        assert_eq!(said("$[*]", json!(1)), Ok(false));
        insta::assert_snapshot!(said("$[*]", json!({"min": 1})).unwrap_err(), @"$[*] selects 40000 values, and at most 1000 are checked");
        // Selection over and over, twice as often at each level.
        let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
        let doubling = compiled(json!({"json_path": {"path": format!("${}", "[*,*]".repeat(40)), "count": 1}}));
        assert!(doubling.check(&answer_text(&deep).input()).is_err());
        insta::assert_snapshot!(said("$[?@..x]", json!({"min": 1})).unwrap_err(), @"the answer has 40001 values, too many for the path $[?@..x]");
    }

    #[test]
    fn inner_checks_are_verified_and_files_read_into_them() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("s.json"), r#"{"type": "string"}"#).unwrap();
        let check = json!({"json_path": {"path": "$.a", "check": {"not": {"json_schema": {"file": "s.json"}}}}});
        let verified = verify_in(root.path(), check).unwrap();
        assert_eq!(verified.args["check"], json!({"not": {"json_schema": {"type": "string"}}}));
        let nested = (0..40).fold(json!("a"), |inner, _| json!({"json_path": {"path": "$", "check": inner}}));
        let told = problems(&[nested]);
        assert!(told.contains("more than 32 deep"), "{told}");
    }

    #[test]
    fn problems_lead_to_the_culprit() {
        let long = format!("$.{}", "a".repeat(600));
        let deep = format!("$[?{}@.a{}]", "(".repeat(60), ")".repeat(60));
        insta::assert_snapshot!(problems(&[
            json!({"json_path": "$.a"}),
            json!({"json_path": {"path": "$.a"}}),
            json!({"json_path": {"path": "a.b", "count": 1}}),
            json!({"json_path": {"path": "$.a[", "count": 1}}),
            json!({"json_path": {"path": long, "count": 1}}),
            json!({"json_path": {"path": deep, "count": 1}}),
            json!({"json_path": {"path": "$.a", "which": "last", "check": "x"}}),
            json!({"json_path": {"path": "$.a", "which": "any", "count": 1}}),
            json!({"json_path": {"path": "$.a", "check": "x", "equals": "x"}}),
            json!({"json_path": {"path": "$.a", "count": {"min": 0}}}),
            json!({"json_path": {"path": "$.a", "count": "1"}}),
            json!({"json_path": {"path": "$.a", "check": {"contians": "x"}}}),
            json!({"json_path": {"path": "$.a", "check": ""}}),
            json!({"json_path": {"path": "$.a", "check": {"all": ["x", {"finish_reason": "STOP"}]}}}),
        ]));
    }
}
