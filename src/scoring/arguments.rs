//! Reads what a user wrote as arguments of a matcher, and says what is wrong with it.

use super::quote::bounded;
use crate::domain::{ArgProblem, Step};
use serde_json::{Map, Value};
use std::fmt::Display;
use std::sync::LazyLock;

pub(super) type Read<T> = Result<T, Vec<ArgProblem>>;

static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// One mistake of the value at hand.
pub(super) fn wrong<T>(problem: ArgProblem) -> Read<T> {
    Err(vec![problem])
}

/// One mistake, and what is expected instead.
pub(super) fn refuse<T>(message: impl Into<String>, expected: impl Into<String>) -> Read<T> {
    wrong(ArgProblem::new(message).expected(expected))
}

/// The same, at a key of the value at hand.
pub(super) fn refuse_key<T>(key: &str, message: impl Into<String>, expected: impl Into<String>) -> Read<T> {
    refuse(message, expected).map_err(|problems| inside(problems, &Step::key(key)))
}

/// Moves mistakes one step deeper.
pub(super) fn inside(problems: Vec<ArgProblem>, step: &Step) -> Vec<ArgProblem> {
    problems.into_iter().map(|problem| problem.inside(step.clone())).collect()
}

/// The long form of arguments: a map. Collects every mistake in it, unknown keys first.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// The short form: the value of one key, without the map.
    short: Option<(&'a str, &'a Value)>,
    problems: Vec<ArgProblem>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(args: &'a Value, known: &[&str], expected: &str) -> Read<Fields<'a>> {
        match args.as_object() {
            Some(map) => Ok(Fields::new(map, known)),
            None => wrong(not_a(expected, args)),
        }
    }

    /// The map that the arguments are, or the value of the first of the `known` keys alone, if `is_short` says so.
    pub(super) fn of_map_or(
        is_short: fn(&Value) -> bool,
        args: &'a Value,
        known: &[&'a str],
        expected: &str,
    ) -> Read<Fields<'a>> {
        if is_short(args) { Ok(Fields::of_map_or_value(args, known)) } else { Fields::of(args, known, expected) }
    }

    /// The same, whatever the value of that key is.
    pub(super) fn of_map_or_value(args: &'a Value, known: &[&'a str]) -> Fields<'a> {
        let short = known.first().map(|key| (*key, args));
        args.as_object().map_or_else(|| Fields { short, ..Fields::new(&EMPTY, known) }, |map| Fields::new(map, known))
    }

    /// The map that the arguments are, or `true`, which is an empty one: every option has its default. `false` would check
    /// nothing, so it is refused.
    pub(super) fn of_map_or_true(args: &'a Value, known: &[&str], matcher: &str, expected: &str) -> Read<Fields<'a>> {
        let expected = format!("true, or {expected}");
        match args.as_bool() {
            Some(true) => Ok(Fields::new(&EMPTY, known)),
            Some(false) => wrong(
                ArgProblem::new(format!("`{matcher}: false` says nothing"))
                    .expected(expected)
                    .hint(format!("for the opposite, write `not: {{{matcher}: true}}`")),
            ),
            None => Fields::of(args, known, &expected),
        }
    }

    /// Refuses every key that is not `known`.
    pub(super) fn new(map: &'a Map<String, Value>, known: &[&str]) -> Fields<'a> {
        let unknown = |key: &String| {
            ArgProblem::new(format!("unknown key `{}`", bounded(key, 40)))
                .inside(Step::key(key))
                .expected(format!("one of the keys {}", known.join(", ")))
                .did_you_mean(key, known.iter().copied())
        };
        let unknown_keys = map.keys().filter(|key| !known.contains(&key.as_str()));
        Fields { map, short: None, problems: unknown_keys.map(unknown).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty() && self.short.is_none()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        let short = self.short.filter(|(name, _)| *name == key).map(|(_, value)| value);
        short.or_else(|| self.map.get(key))
    }

    pub(super) fn optional<T>(&mut self, key: &str, read: impl FnOnce(&'a Value) -> Read<T>) -> Option<T> {
        match read(self.get(key)?) {
            Ok(value) => Some(value),
            // The short form has no key to step into.
            Err(problems) if self.short.is_some() => {
                self.problems.extend(problems);
                None
            }
            Err(problems) => {
                self.problems.extend(inside(problems, &Step::key(key)));
                None
            }
        }
    }

    pub(super) fn required<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Read<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.problems.push(ArgProblem::new(format!("`{key}` is missing")).expected(expected));
        }
        self.optional(key, read)
    }

    /// A mistake that concerns several keys.
    pub(super) fn refuse(&mut self, problem: ArgProblem) {
        self.problems.push(problem);
    }

    /// A mistake at a key, because of another one.
    pub(super) fn refuse_key(&mut self, key: &str, message: impl Into<String>, expected: impl Into<String>) {
        self.problems.push(ArgProblem::new(message).inside(Step::key(key)).expected(expected));
    }

    /// `min` above `max`.
    pub(super) fn refuse_inverted(&mut self, min: impl Display, max: impl Display) {
        let message = format!("`min` {min} is more than `max` {max}, so no answer can pass");
        self.refuse_key("min", message, "`min` at most `max`");
    }

    pub(super) fn finish<T>(self, value: Option<T>) -> Read<T> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        value.ok_or_else(|| vec![ArgProblem::new("the arguments are not complete")])
    }
}

pub(super) fn flag(value: &Value) -> Read<bool> {
    match value.as_bool() {
        Some(flag) => Ok(flag),
        None => wrong(not_a("true or false", value)),
    }
}

/// A text with something to see in it. An empty or blank one would be found in nearly every answer.
pub(super) fn needle(value: &Value) -> Read<&str> {
    let text = text(value)?;
    if text.is_empty() {
        return refuse("the text is empty", "a text with at least one visible character");
    }
    if text.trim().is_empty() {
        return wrong(
            ArgProblem::new("the text is only white space")
                .expected("a text with at least one visible character")
                .hint("to look for white space, use `regex`"),
        );
    }
    Ok(text)
}

/// A list of at least one [`needle`].
pub(super) fn needles(value: &Value) -> Read<Vec<&str>> {
    list(value, "a list of texts, like [\"a\", \"b\"]", "text", needle)
}

/// A list of at least one item, which `item` names.
pub(super) fn list<'a, T>(
    value: &'a Value,
    expected: &str,
    item: &str,
    read: impl FnMut(&'a Value) -> Read<T>,
) -> Read<Vec<T>> {
    match value.as_array() {
        None => wrong(not_a(expected, value)),
        Some(list) if list.is_empty() => refuse("the list is empty", format!("a list of at least one {item}")),
        Some(list) => each(list, read),
    }
}

/// The items of a list, or every mistake in them.
pub(super) fn each<'a, T>(list: &'a [Value], mut read: impl FnMut(&'a Value) -> Read<T>) -> Read<Vec<T>> {
    let mut problems = Vec::new();
    let mut items = Vec::with_capacity(list.len());
    for (i, item) in list.iter().enumerate() {
        match read(item) {
            Ok(item) => items.push(item),
            Err(wrong) => problems.extend(inside(wrong, &Step::Index(i))),
        }
    }
    if problems.is_empty() { Ok(items) } else { Err(problems) }
}

pub(super) fn text(value: &Value) -> Read<&str> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => wrong(not_a("a text", value).hint(format!("put it in quotes: \"{number}\""))),
        Value::Bool(flag) => wrong(not_a("a text", value).hint(format!("put it in quotes: \"{flag}\""))),
        Value::Null | Value::Array(_) | Value::Object(_) => wrong(not_a("a text", value)),
    }
}

pub(super) fn number(value: &Value) -> Read<f64> {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(number) if number.is_finite() => Ok(number),
            Some(_) | None => refuse("the number is not finite", "a finite number"),
        },
        Value::String(text) if text.trim().parse::<f64>().is_ok() => {
            wrong(not_a("a number", value).hint(format!("leave the quotes away: {}", text.trim())))
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            wrong(not_a("a number", value))
        }
    }
}

/// A threshold above 0, which every answer reaches, and at most 1. `what` names it, with its article.
pub(super) fn share(value: &Value, what: &str) -> Read<f64> {
    let share = number(value)?;
    if share > 0.0 && share <= 1.0 {
        return Ok(share);
    }
    let problem = ArgProblem::new(format!("{value} is not {what} that can decide"))
        .expected("more than 0 and at most 1, like 0.8");
    let is_percent = share > 1.0 && share < 100.0;
    let hint = || format!("scores are 0 to 1 here: {value} of 100 is {}", share / 100.0);
    wrong(if is_percent { problem.hint(hint()) } else { problem })
}

/// A whole number of 0 or more.
pub(super) fn count(value: &Value) -> Read<u64> {
    match value.as_u64() {
        Some(count) => Ok(count),
        None if value.is_number() => refuse(format!("{value} is not a count"), "a whole number of 0 or more"),
        None => wrong(not_a("a whole number of 0 or more", value)),
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(value: &Value, choices: &[(&str, T)]) -> Read<T> {
    let words = || choices.iter().map(|(word, _)| *word);
    let expected = || format!("one of {}", words().collect::<Vec<_>>().join(", "));
    let Some(text) = value.as_str() else {
        return wrong(not_a(&expected(), value));
    };
    if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*choice);
    }
    let problem = ArgProblem::new(format!("unknown value `{}`", bounded(text, 40))).expected(expected());
    wrong(problem.did_you_mean(text, words()))
}

pub(super) fn not_a(expected: &str, value: &Value) -> ArgProblem {
    let kind = match value {
        Value::Null => "found nothing",
        Value::Bool(_) => "found true or false",
        Value::Number(_) => "found a number",
        Value::String(_) => "found a text",
        Value::Array(_) => "found a list",
        Value::Object(_) => "found a map",
    };
    ArgProblem::new(kind).expected(expected)
}

/// Bounds of a count, as a map {min, max} or as the exact number.
pub(super) fn bounds(value: &Value) -> Read<Bounds> {
    if value.is_number() {
        let exact = count(value)?;
        return Ok(Bounds { min: exact, max: Some(exact) });
    }
    let mut fields = Fields::of(value, &["min", "max"], "a count like 3, or a map {min, max}")?;
    let bounds = Bounds::read(&mut fields);
    fields.finish(bounds)
}

/// Bounds of a count. At least one of them excludes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: u64,
    pub(super) max: Option<u64>,
}

impl Bounds {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Bounds> {
        let had_problems = fields.problems.len();
        let min = fields.optional("min", count);
        let max = fields.optional("max", count);
        if fields.problems.len() > had_problems {
            return None;
        }
        match (min, max) {
            (None, None) => fields.refuse(
                ArgProblem::new("neither `min` nor `max` is given").expected("`min`, `max` or both, like {max: 200}"),
            ),
            (Some(0), None) => {
                fields.refuse_key("min", "`min: 0` holds for every answer", "a `min` of 1 or more, or a `max`");
            }
            (Some(min), Some(max)) if min > max => fields.refuse_inverted(min, max),
            (min, max) => return Some(Bounds { min: min.unwrap_or(0), max }),
        }
        None
    }

    pub(super) fn hold(&self, count: u64) -> bool {
        count >= self.min && self.max.is_none_or(|max| count <= max)
    }

    /// `at least 2`, `at most 3`, `2 to 3`, `exactly 2`.
    pub(super) fn describe(&self) -> String {
        match self.max {
            None => format!("at least {}", self.min),
            Some(max) if max == self.min => format!("exactly {max}"),
            Some(max) if self.min == 0 => format!("at most {max}"),
            Some(max) => format!("{} to {max}", self.min),
        }
    }
}
