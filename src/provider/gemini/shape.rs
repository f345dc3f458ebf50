//! The forms of values in a prompt's settings: types, ranges, and the fields of maps.
//!
//! The service refuses a wrong type and an unknown name, with every request anew; here both are found once, with a path
//! that leads to the culprit.

use crate::domain::{ArgProblem, Step, nearest};
use serde_json::{Map, Value};

/// What a value must look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Any,
    Flag,
    Text,
    /// A number from the first to the second.
    Number(f64, f64),
    /// A whole number from the first to the second.
    Whole(i64, i64),
    /// A whole number from 0, also as a text, as the service writes those of 64 bits.
    Count,
    /// One of these words, in any case.
    Word(&'static [&'static str]),
    /// A map with any keys.
    Object,
    /// A map from any keys to texts.
    Texts,
    Map(&'static [Field]),
    /// A map from any keys to maps with these fields.
    MapOf(&'static [Field]),
    /// A list of at most so many.
    List(&'static Form, usize),
    /// A list, or one element without the list around it.
    OneOrMany(&'static Form),
}

/// Which of the two services is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Service {
    Gemini,
    Vertex,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// In the service's camelCase.
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// The one service that has it so; `None` for both.
    pub(super) only: Option<Service>,
}

impl Field {
    pub(super) fn is_of(&self, service: Service) -> bool {
        self.only.is_none_or(|only| only == service)
    }
}

/// Any number of elements.
pub(super) const MANY: usize = usize::MAX;

impl Form {
    fn expected(self) -> String {
        match self {
            Form::Any => "any value".to_owned(),
            Form::Flag => "true or false".to_owned(),
            Form::Text => "a text".to_owned(),
            Form::Number(f64::MIN, f64::MAX) => "a number".to_owned(),
            Form::Number(least, most) => format!("a number from {least} to {most}"),
            Form::Whole(least, most) if least == most => least.to_string(),
            Form::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Form::Count => "a whole number from 0".to_owned(),
            Form::Word(words) => format!("one of {}", words.join(", ")),
            Form::Object | Form::Map(_) | Form::MapOf(_) => "keys and values, indented below it".to_owned(),
            Form::Texts => "keys with texts".to_owned(),
            Form::List(form, MANY) => format!("a list, each {}", form.expected()),
            Form::List(form, most) => format!("a list of at most {most}, each {}", form.expected()),
            Form::OneOrMany(form) => format!("a list, each {}", form.expected()),
        }
    }
}

/// The largest number of the service's 32-bit fields.
pub(super) const MOST: i64 = i32::MAX as i64;

/// Checks a value and all that is in it. `path` leads to it; its last key is its name in the message. Null is absent.
pub(super) fn check(value: &Value, form: Form, path: &[Step], service: Service, problems: &mut Vec<ArgProblem>) {
    let fits = match (form, value) {
        (_, Value::Null) | (Form::Any, _) => true,
        (Form::Flag, Value::Bool(_)) => true,
        (Form::Text, Value::String(_)) => true,
        (Form::Number(least, most), Value::Number(number)) => {
            number.as_f64().is_some_and(|number| (least..=most).contains(&number))
        }
        (Form::Whole(least, most), Value::Number(number)) => {
            whole(number).is_some_and(|number| (least..=most).contains(&number))
        }
        (Form::Count, Value::Number(number)) => whole(number).is_some_and(|number| number >= 0),
        (Form::Count, Value::String(digits)) => digits.parse::<u64>().is_ok(),
        (Form::Word(words), Value::String(text)) => words.iter().any(|word| word.eq_ignore_ascii_case(text)),
        (Form::Object, Value::Object(_)) => true,
        (Form::Texts, Value::Object(map)) => {
            for (key, value) in map {
                check(value, Form::Text, &deeper(path, Step::key(key)), service, problems);
            }
            true
        }
        (Form::Map(fields), Value::Object(map)) => {
            check_fields(map, fields, path, service, problems);
            true
        }
        (Form::MapOf(fields), Value::Object(map)) => {
            for (key, value) in map {
                check(value, Form::Map(fields), &deeper(path, Step::key(key)), service, problems);
            }
            true
        }
        (Form::List(form, most), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                check(item, *form, &deeper(path, Step::Index(index)), service, problems);
            }
            items.len() <= most
        }
        (Form::OneOrMany(form), Value::Array(_)) => {
            check(value, Form::List(form, MANY), path, service, problems);
            true
        }
        (Form::OneOrMany(form), lone) => {
            check(lone, *form, path, service, problems);
            true
        }
        (
            Form::Flag
            | Form::Text
            | Form::Number(..)
            | Form::Whole(..)
            | Form::Count
            | Form::Word(_)
            | Form::Object
            | Form::Texts
            | Form::Map(_)
            | Form::MapOf(_)
            | Form::List(..),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_),
        ) => false,
    };
    if !fits {
        let problem = ArgProblem::new(format!("`{}` {}", name(path), what(value))).expected(form.expected());
        problems.push(ArgProblem { path: path.to_vec(), ..problem });
    }
}

fn check_fields(
    map: &Map<String, Value>,
    fields: &[Field],
    path: &[Step],
    service: Service,
    problems: &mut Vec<ArgProblem>,
) {
    let fields = || fields.iter().filter(|field| field.is_of(service));
    for (key, value) in map {
        let path = deeper(path, Step::key(key));
        match fields().find(|field| field.name == key) {
            Some(field) => check(value, field.form, &path, service, problems),
            None => {
                let message =
                    format!("the service has no setting `{}` in `{}`", shown(key), name(&path[..path.len() - 1]));
                let mut problem = ArgProblem::new(message);
                problem.hint =
                    nearest(key, fields().map(|field| field.name)).map(|near| format!("did you mean `{near}`?"));
                problems.push(ArgProblem { path, ..problem });
            }
        }
    }
}

/// A number without a fraction, however it is written.
fn whole(number: &serde_json::Number) -> Option<i64> {
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15);
    number.as_i64().or_else(|| float().map(|float| float as i64))
}

/// The path of a setting.
pub(in crate::provider) fn at(keys: &[&str]) -> Vec<Step> {
    ["config"].iter().chain(keys).map(|key| Step::key(*key)).collect()
}

pub(super) fn deeper(path: &[Step], step: Step) -> Vec<Step> {
    path.iter().cloned().chain([step]).collect()
}

/// The last key on a path; an element of a list goes by the list's.
fn name(path: &[Step]) -> String {
    let key = path.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(shown(key)),
        Step::Index(_) => None,
    });
    key.unwrap_or_default()
}

fn shown(key: &str) -> String {
    key.chars().take(60).collect()
}

fn what(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("is a list of {}", items.len()),
        Value::Object(_) => "is a map".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            format!("is {}", shown(&value.to_string()))
        }
    }
}
