//! `regex`: a pattern matches somewhere in the answer.

use crate::domain::{ArgProblem, Score};
use crate::scoring::arguments::{Bounds, Fields, Read, count, not_a, refuse, text, wrong};
use crate::scoring::cache::Cache;
use crate::scoring::definition::{Children, Compile, MatcherDef, Sample};
use crate::scoring::inner_check::PartCheck;
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::quote::{bounded, counted, quote};
use ::regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::sync::{Arc, LazyLock};

pub(super) const REGEX: MatcherDef = MatcherDef {
    name: "regex",
    summary: "the pattern matches somewhere in the answer, or as often as `count` says, or what it captures passes a \
              check",
    arguments: "\"pattern\", or {pattern, count: {min, max}}, or {pattern, capture, is}; Rust regex syntax, \
                unanchored; matches that do not overlap are counted, up to 10000; capture is the number or name of a \
                group, and is the check (a plain text is `equals`) that what it captured in the first match must \
                pass; an answer without a match fails, and so does a match without the group",
    schema: r##"{"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "properties": {"pattern":
        {"type": "string", "minLength": 1}, "count": {"$ref": "#/$defs/bounds"}, "capture": {"anyOf": [{"type": "integer",
        "minimum": 1}, {"type": "string", "minLength": 1}]}, "is": {"$ref": "#/$defs/check"}}, "required": ["pattern"],
        "additionalProperties": false}]}"##,
    example: r#"{"regex": {"pattern": "(?m)^A: *(\\d+)\\s*$", "capture": 1, "is": {"number": 18}}}"#,
    passes: Sample::Text("16 + 2 is 18, so\nA: 18"),
    fails: Sample::Text("A: 180"),
    refused: r#"{"regex": ".*"}"#,
    schema_refuses: false,
    cost: "linear in the answer for each match that is looked for; programs of at most 2 MiB, counts of at most 10000",
    takes_text: true,
    compile,
    children: Children::Key("is"),
    ..MatcherDef::DEFAULT
};

/// The largest compiled program, in bytes: far more than a pattern of a person needs, and little enough that hostile
/// golden data can't fill the memory.
const SIZE_LIMIT: usize = 2 << 20;

/// The largest `count`. One search is linear in the answer, a search for all matches is not; this bounds it.
const MAX_COUNT: u64 = 10_000;

struct Pattern {
    regex: Arc<Regex>,
    wanted: Condition,
}

/// What must be so about the matches.
enum Condition {
    One,
    Count(Bounds),
    Captured { group: usize, shown: String, check: PartCheck },
}

fn compile(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of_map_or_value(args, &["pattern", "count", "capture", "is"]);
    let count = fields.optional("count", bounds);
    let captures = fields.has("capture") || fields.has("is");
    let regex = fields.required("pattern", "a regular expression", |value| pattern(value, count, captures));
    let wanted = match count {
        _ if captures => capture_condition(&mut fields, regex.as_deref(), ctx),
        Some(count) => Some(Condition::Count(count)),
        None => Some(Condition::One),
    };
    let (regex, wanted) = fields.finish(regex.zip(wanted))?;
    let pattern = Pattern { regex, wanted };
    Ok(Matcher::new(move |input| pattern.check(input)))
}

fn capture_condition(fields: &mut Fields<'_>, regex: Option<&Regex>, ctx: &Compile<'_>) -> Option<Condition> {
    if fields.has("count") {
        fields.refuse_key("count", "`count` does not go with `capture`", "`count`, or `capture` and `is`");
    }
    let group = fields.required("capture", "the number or name of a group", |value| group(value, regex));
    let check =
        fields.required("is", "the check that what was captured must pass", |value| PartCheck::read(value, ctx));
    let ((group, shown), check) = group.zip(check)?;
    Some(Condition::Captured { group, shown, check })
}

/// The number of a group, and how a reason calls it. Without a pattern there is nothing to look it up in.
fn group(value: &Value, regex: Option<&Regex>) -> Read<(usize, String)> {
    let named = |name: &str| regex?.capture_names().position(|group| group == Some(name));
    let groups = regex.map_or(usize::MAX, Regex::captures_len);
    let found = match value {
        Value::String(name) => named(name),
        Value::Number(_) => usize::try_from(count(value)?).ok().filter(|number| (1..groups).contains(number)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return wrong(not_a("the number or name of a group", value));
        }
    };
    let shown = value.as_str().map_or_else(|| value.to_string(), |name| bounded(name, 40));
    match (found, regex) {
        (Some(group), _) => Ok((group, shown)),
        // The mistake is in the pattern, and told there.
        (None, None) => Ok((0, shown)),
        (None, Some(regex)) => {
            let names: Vec<&str> = regex.capture_names().flatten().collect();
            let mut expected = match groups - 1 {
                0 => "a pattern with a group, like A: ([0-9]+)".to_owned(),
                1 => "group 1".to_owned(),
                last => format!("a group from 1 to {last}"),
            };
            if !names.is_empty() {
                expected += &format!(", or one of the names {}", bounded(&names.join(", "), 200));
            }
            refuse(format!("the pattern has no group {shown}"), expected)
        }
    }
}

fn bounds(value: &Value) -> Read<Bounds> {
    let mut fields = Fields::of(value, &["min", "max"], "a map {min, max}")?;
    let bounds = Bounds::read(&mut fields);
    for (key, bound) in [("min", bounds.map(|b| b.min)), ("max", bounds.and_then(|b| b.max))] {
        if bound.is_some_and(|bound| bound > MAX_COUNT) {
            fields.refuse_key(key, format!("`{key}` is more than {MAX_COUNT}"), format!("at most {MAX_COUNT}"));
        }
    }
    fields.finish(bounds)
}

/// Reads the pattern. One that matches every text is no criterion, unless what it captures is judged.
fn pattern(value: &Value, count: Option<Bounds>, captures: bool) -> Read<Arc<Regex>> {
    let pattern = text(value)?;
    if pattern.is_empty() {
        return refuse("the pattern is empty", "a regular expression");
    }
    let regex = compiled_pattern(pattern).or_else(wrong)?;
    let once_is_enough = count.is_none_or(|count| count.min <= 1 && count.max.is_none());
    if once_is_enough && !captures && matches_every_text(pattern, &regex) {
        return wrong(
            ArgProblem::new("the pattern matches every text, so no answer can fail")
                .expected("a pattern that needs at least one character, or anchors")
                .hint("write what must be there; what must be absent goes into `not: {regex: ..}`"),
        );
    }
    Ok(regex)
}

/// The patterns that were compiled. The same one stands on many cases, and compiling costs far more than a search. They are
/// shared, not cloned: every clone of a regex allocates working memory of its own for its first search.
static COMPILED: Cache<Arc<Regex>> = Cache::new(256);

/// The compiled pattern, which searches in linear time.
///
/// # Errors
/// What is wrong with its syntax, or that it is too large.
pub(in crate::scoring) fn compiled_pattern(pattern: &str) -> Result<Arc<Regex>, ArgProblem> {
    let build = || RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build().map(Arc::new);
    COMPILED.get_or_try(pattern, build).map_err(|error| problem(pattern, &error))
}

/// Whether the pattern can't miss. Such a pattern matches the empty text, and also a text with every character of the
/// basic plane, one line break between non-empty lines among them. `^[^0-9]*$` matches the first but not the second, so
/// it is a real criterion; `.*`, `x?` and `(?s)^.*$` are none.
fn matches_every_text(pattern: &str, regex: &Regex) -> bool {
    static EVERY_CHARACTER: LazyLock<String> = LazyLock::new(|| ('\0'..='\u{ffff}').collect());
    // Kept like the pattern itself: the second search costs more than that of many answers.
    static KNOWN: Cache<bool> = Cache::new(256);
    regex.is_match("") && KNOWN.get_or_try(pattern, || Ok::<_, ()>(regex.is_match(&EVERY_CHARACTER))).unwrap_or(true)
}

/// The essence of the regex crate's message, which shows the pattern over several lines.
fn problem(pattern: &str, error: &::regex::Error) -> ArgProblem {
    let ::regex::Error::Syntax(message) = error else {
        return ArgProblem::new("the pattern is too large once compiled")
            .expected(format!("at most {} MiB", SIZE_LIMIT >> 20))
            .hint("repeat less, or use ASCII classes like [0-9] or (?-u:\\w) for \\d and \\w");
    };
    let what = message.lines().rev().find_map(|line| line.strip_prefix("error: "));
    let what = what.unwrap_or("it can't be read");
    let mut text = format!("the pattern {} is not valid: {what}", quote(pattern));
    if let Some(column) = column(message) {
        text = format!("{text} (at character {column})");
    }
    let problem = ArgProblem::new(text).expected("Rust regex syntax");
    if what.contains("look-around") {
        problem.hint("write two checks; what must be absent goes into `not: {regex: ..}`")
    } else if what.contains("backreferences") {
        problem.hint("write the repeated part twice, or list the alternatives")
    } else {
        problem
    }
}

/// Where the culprit of a one-line pattern starts, from 1: the crate marks it with carets under the pattern, which it
/// indents by four.
fn column(message: &str) -> Option<usize> {
    let carets = message.lines().find(|line| line.contains('^') && line.trim_matches([' ', '^']).is_empty())?;
    let at = carets.find('^')?;
    let numbered = message.lines().any(|line| line.starts_with("1: "));
    (!numbered && at >= 4).then(|| at - 3)
}

impl Pattern {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        let text = &input.answer.text;
        let shown = bounded(self.regex.as_str(), 80);
        let count = match &self.wanted {
            Condition::One => {
                return Ok(match self.regex.find(text) {
                    Some(found) => Score::binary(true, format!("matches /{shown}/ with {}", quote(found.as_str()))),
                    None => Score::binary(false, format!("does not match /{shown}/")),
                });
            }
            Condition::Captured { group, shown: name, check } => {
                let Some(found) = self.regex.captures(text) else {
                    return Ok(Score::binary(false, format!("does not match /{shown}/")));
                };
                let Some(captured) = found.get(*group) else {
                    let reason = format!("matches /{shown}/, but without its group {name}");
                    return Ok(Score::binary(false, reason));
                };
                return check.check(input, captured.as_str().to_owned());
            }
            Condition::Count(count) => count,
        };
        // No further than the bounds can tell.
        let enough = count.max.map_or(count.min, |max| max + 1);
        let found = self.regex.find_iter(text).take(enough as usize).count() as u64;
        let pass = count.hold(found);
        let more = if found == enough { "at least " } else { "" };
        let found = counted(found, "match", "matches");
        let not = if pass { "" } else { "not " };
        Ok(Score::binary(pass, format!("has {more}{found} of /{shown}/, {not}{}", count.describe())))
    }
}

#[cfg(test)]
mod tests {
    use super::COMPILED;
    use crate::scoring::rules::testing::{judge_many_cases, problems, reasons, verdicts};
    use serde_json::json;

    #[test]
    fn many_cases_with_one_pattern_compile_it_once() {
        let pattern = "once for all (of )?them";
        COMPILED.assert_made_once(pattern, || judge_many_cases(&json!({"regex": pattern})));
    }

    #[test]
    fn matches_anywhere() {
        verdicts(json!({"regex": "(?i)refund"}), &[("a Refund.", true), ("money", false), ("", false)]);
        verdicts(
            json!({"regex": r"(?m)^A: *18\s*$"}),
            &[("so\nA: 18", true), ("A: 18 \n", true), ("A: 180", false), ("B A: 18", false)],
        );
    }

    #[test]
    fn counts_matches_that_do_not_overlap() {
        let check = |count| json!({"regex": {"pattern": "aa", "count": count}});
        verdicts(check(json!({"min": 2})), &[("aaa", false), ("aaaa", true), ("aaaaaaaa", true)]);
        verdicts(check(json!({"max": 1})), &[("", true), ("aa", true), ("aaaa", false)]);
        verdicts(check(json!({"max": 0})), &[("a", true), ("aa", false)]);
        verdicts(check(json!({"min": 1, "max": 2})), &[("", false), ("aa", true), ("aa aa aa", false)]);
    }

    #[test]
    fn what_a_group_captured_is_judged_by_a_check() {
        verdicts(
            json!({"regex": {"pattern": "city: ([a-z]+)", "capture": 1, "is": "paris"}}),
            &[("city: paris", true), ("city: rome, city: paris", false), ("paris", false), ("", false)],
        );
        verdicts(
            json!({"regex": {"pattern": "A: (?<n>[0-9]+)?", "capture": "n", "is": {"not": {"number": 3}}}}),
            &[("A: 4", true), ("A: 3", false), ("A: none", false), ("4", false)],
        );
        let nested = json!({"regex": {"pattern": "<a>(.*)</a>", "capture": 1, "is": {"regex": {"pattern": "x(.)", "capture": 1, "is": "y"}}}});
        insta::assert_snapshot!(reasons(nested, &["<a>xy</a>", "<a>xz</a>", "<a>", "xy"]), @r#"
        regex: equals: is "y"
        regex: equals: is "z", not "y"
        does not match /<a>(.*)</a>/
        does not match /<a>(.*)</a>/
        "#);
        insta::assert_snapshot!(reasons(json!({"regex": {"pattern": "a(b)?", "capture": 1, "is": "b"}}), &["a"]), @"matches /a(b)?/, but without its group 1");
    }

    #[test]
    fn groups_that_are_not_there_are_refused() {
        let captured =
            |pattern, capture: serde_json::Value| json!({"regex": {"pattern": pattern, "capture": capture, "is": "x"}});
        insta::assert_snapshot!(problems(&[
            captured("a", json!(1)),
            captured("(a)", json!(0)),
            captured("(a)(?<b>c)", json!("a")),
            captured("(a)(?<b>c)", json!(3)),
            captured("(a", json!(3)),
            captured("(a)", json!([1])),
            json!({"regex": {"pattern": "(a)", "capture": 1}}),
            json!({"regex": {"pattern": "(a)", "is": "a"}}),
            json!({"regex": {"pattern": "(a)", "capture": 1, "is": {"contians": "a"}}}),
            json!({"regex": {"pattern": "(a)", "capture": 1, "is": {"contains": "a", "weight": 2}}}),
            json!({"regex": {"pattern": "(a)", "capture": 1, "is": "a", "count": {"min": 2}}}),
        ]));
        assert_eq!(problems(&[captured("(.*)", json!(1))]), "", "the criterion is the check");
    }

    #[test]
    fn reasons_show_the_match() {
        insta::assert_snapshot!(reasons(json!({"regex": "[0-9]+"}), &["in 30 days", "soon"]), @r#"
        matches /[0-9]+/ with "30"
        does not match /[0-9]+/
        "#);
        let check = json!({"regex": {"pattern": "a", "count": {"min": 1, "max": 2}}});
        insta::assert_snapshot!(reasons(check, &["", "aa", "aaaaa"]), @r"
        has 0 matches of /a/, not 1 to 2
        has 2 matches of /a/, 1 to 2
        has at least 3 matches of /a/, not 1 to 2
        ");
    }

    #[test]
    fn patterns_that_say_nothing_are_refused_and_others_not() {
        for vacuous in [".*", "x?", "(?s)^.*$", "(?m)^", "^", "$", "(a|)", r"\z", "(?s:.)*"] {
            assert!(problems(&[json!({"regex": vacuous})]).contains("matches every text"), "{vacuous}");
        }
        for telling in ["^[^0-9]*$", r"\A(yes|no)?\z", "^.*$", "(?m)^$", r"\b", "."] {
            assert_eq!(problems(&[json!({"regex": telling})]), "", "{telling}");
        }
        assert_eq!(problems(&[json!({"regex": {"pattern": "(?m)^", "count": {"max": 3}}})]), "");
        assert!(problems(&[json!({"regex": {"pattern": "x*", "count": {"min": 1}}})]).contains("matches every text"));
    }

    #[test]
    fn problems_say_what_to_do() {
        insta::assert_snapshot!(problems(&[
            json!({"regex": ""}),
            json!({"regex": 18}),
            json!({"regex": "ab(c"}),
            json!({"regex": "(?x)\n a\n )"}),
            json!({"regex": "a(?!b)"}),
            json!({"regex": r"(a)\1"}),
            json!({"regex": r"\w{1000}{100}"}),
            json!({"regex": {"patern": "a"}}),
            json!({"regex": {"pattern": "[", "count": 3}}),
            json!({"regex": {"pattern": "a", "count": {}}}),
            json!({"regex": {"pattern": "a", "count": {"min": 0}}}),
            json!({"regex": {"pattern": "a", "count": {"min": 3, "max": 2}}}),
            json!({"regex": {"pattern": "a", "count": {"min": -1, "max": 1.5}}}),
            json!({"regex": {"pattern": "a", "count": {"max": 10001}}}),
        ]));
    }
}
