//! What may be written as the value of a setting: its check, its JSON Schema, and the types it becomes.

use crate::domain::{Consent, Words};
use crate::plan::Shard;
use crate::provider::{ProviderDef, TargetKind};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds as _};
use std::time::Duration;
use time::Date;
use time::macros::format_description;
use toml::de::DeValue;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `true` or `false`; an option without a value.
    Flag,
    /// A text that is not empty.
    Text,
    /// Why someone wants something, in at most this many characters.
    Reason(usize),
    /// A text with a form of its own, as a regular expression for editors.
    Pattern(&'static str),
    /// A run: an option whose value may be left out.
    Run,
    /// One or more texts, separated by commas in a variable.
    List,
    /// Names of prompts: a list in a file, else separated by commas, where an empty piece is a mistake.
    Names,
    Argv,
    /// A table of texts, held as `NAME=VALUE`.
    Variables,
    Whole(u64, u64),
    /// A number within bounds, and these in words; without words the gate checks them, for its messages know more.
    Number(Bound<f64>, Bound<f64>, &'static str),
    Time(TimeRange),
    Day,
    Words(fn() -> Vec<&'static str>),
}

/// How long a time may be, and what a message calls it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeRange {
    noun: &'static str,
    most: Duration,
    expected: &'static str,
}

/// Delays and timeouts.
pub(crate) const TIME: Kind = Kind::Time(SHORT);
const SHORT: TimeRange = TimeRange {
    noun: "a duration",
    most: Duration::from_secs(3_600),
    expected: "something like 500ms, 60s or 2m, up to 60m",
};
/// After two days the service has given up a batch job.
pub(crate) const LONG_TIME: Kind = Kind::Time(TimeRange {
    noun: "a duration",
    most: Duration::from_secs(172_800),
    expected: "something like 90s, 30m or 24h, up to 48h",
});
pub(crate) const AGE: Kind = Kind::Time(TimeRange {
    noun: "an age",
    most: Duration::from_secs(365 * 86_400),
    expected: "something like 90m, 36h or 7d, up to 365d",
});
/// More than 0; the gate knows how much is too much.
pub(crate) const fn share(most: f64) -> Kind {
    Kind::Number(Bound::Excluded(0.0), Bound::Included(most), "")
}
pub(crate) const fn words<T: Words>() -> Kind {
    Kind::Words(|| T::WORDS.iter().map(|(word, _)| *word).collect())
}

pub(crate) fn providers(fits: fn(&ProviderDef) -> bool) -> Vec<&'static str> {
    let fitting = TargetKind::ALL.iter().filter(|kind| fits(kind.def()));
    fitting.map(|kind| kind.as_str()).collect()
}

impl Kind {
    /// A file and an option may hold several values.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Kind::List | Kind::Names | Kind::Argv)
    }

    pub(super) fn check(self, text: &str) -> Result<(), String> {
        match self {
            Kind::Text if text.is_empty() => Err("is empty".to_owned()),
            Kind::Reason(_) if text.is_empty() => Err("needs a reason".to_owned()),
            Kind::Reason(most) if text.chars().count() > most => {
                Err(format!("the reason has more than {most} characters"))
            }
            Kind::Flag if !matches!(text, "true" | "false" | "1" | "0") => {
                Err(format!("`{text}` is not known; expected true, false, 1, 0"))
            }
            Kind::Whole(least, most) => match text.parse::<u64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                _ if most == u64::MAX => Err(format!("`{text}` is not a whole number from {least} on")),
                _ => Err(format!("`{text}` is not a whole number from {least} to {most}")),
            },
            Kind::Number(from, to, expected) => match text.parse::<f64>() {
                Ok(number) if expected.is_empty() || (from, to).contains(&number) => Ok(()),
                Err(_) if text.ends_with('%') => Err(format!("`{text}` is not a number; write a share, 0.2 for 20%")),
                Err(_) if expected.is_empty() => Err(format!("`{text}` is not a number")),
                Ok(_) => Err(format!("`{text}` is out of range; expected {expected}")),
                Err(_) => Err(format!("`{text}` is not a number; expected {expected}")),
            },
            Kind::Time(range) => range.read(text).map(|_| ()),
            Kind::Day if day(text).is_none() => Err(format!("`{text}` is not a day; expected one like 2026-12-01")),
            Kind::Words(words) if !words().contains(&text) => {
                Err(format!("`{text}` is not known; expected {}", words().join(", ")))
            }
            Kind::Flag
            | Kind::Text
            | Kind::Reason(_)
            | Kind::Pattern(_)
            | Kind::Run
            | Kind::List
            | Kind::Names
            | Kind::Argv
            | Kind::Variables
            | Kind::Day
            | Kind::Words(_) => Ok(()),
        }
    }

    pub(super) fn texts(self, value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
        match (self, value) {
            (Kind::Argv, value) => {
                argv(value).ok_or("a list of texts, the program and its arguments: [\"python3\", \"checks/polite.py\"]")
            }
            (Kind::Variables, value) => variables(value).ok_or("a table of texts, like {LANG = \"C.UTF-8\"}"),
            (_, DeValue::String(text)) => Ok(vec![text.to_string()]),
            // Written in one way, so that equal numbers are equal texts.
            (_, DeValue::Integer(number)) => Ok(vec![
                i64::from_str_radix(number.as_str(), number.radix())
                    .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()),
            ]),
            (_, DeValue::Float(number)) => Ok(vec![
                number.as_str().parse::<f64>().map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()),
            ]),
            (_, DeValue::Boolean(flag)) => Ok(vec![flag.to_string()]),
            (Kind::Day, DeValue::Datetime(day)) => Ok(vec![day.to_string()]),
            (kind, DeValue::Array(values)) if kind.is_list() => values
                .iter()
                .map(|value| value.get_ref().as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or("a text or a list of texts"),
            (kind, DeValue::Array(_) | DeValue::Table(_) | DeValue::Datetime(_)) if kind.is_list() => {
                Err("a text or a list of texts")
            }
            (_, DeValue::Array(_) | DeValue::Table(_) | DeValue::Datetime(_)) => Err("one text, number, or true/false"),
        }
    }

    /// The schema of the plain way to write a value: a number as a number, not as a text.
    pub(super) fn schema(self) -> Json {
        let text = json!({"type": "string", "pattern": "\\S"});
        match self {
            Kind::Flag => json!({"type": "boolean"}),
            Kind::Text | Kind::Reason(_) | Kind::Run => text,
            Kind::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
            Kind::List | Kind::Names => {
                json!({"anyOf": [text, {"type": "array", "items": text, "minItems": 1}]})
            }
            Kind::Argv => json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            Kind::Variables => json!({"type": "object", "additionalProperties": {"type": "string"}}),
            Kind::Whole(least, u64::MAX) => json!({"type": "integer", "minimum": least}),
            Kind::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
            Kind::Number(from, to, _) => {
                let mut schema = json!({"type": "number"});
                for (bound, included, excluded) in
                    [(from, "minimum", "exclusiveMinimum"), (to, "maximum", "exclusiveMaximum")]
                {
                    match bound {
                        Bound::Included(number) => schema[included] = json!(number),
                        Bound::Excluded(number) if number.is_infinite() => {}
                        Bound::Excluded(number) => schema[excluded] = json!(number),
                        Bound::Unbounded => {}
                    }
                }
                schema
            }
            Kind::Time(_) => json!({"type": ["string", "number"], "pattern": "^ *[0-9]"}),
            // A day of TOML's own becomes a text in the JSON that editors make of it.
            Kind::Day => json!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}"}),
            Kind::Words(words) => json!({"enum": words()}),
        }
    }
}

fn argv(value: &DeValue<'_>) -> Option<Vec<String>> {
    let texts = value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
    let texts: Vec<String> = texts.collect::<Option<_>>()?;
    let usable = texts.first()?.trim() != "" && !texts.iter().any(|text| text.contains('\0'));
    usable.then_some(texts)
}

fn variables(value: &DeValue<'_>) -> Option<Vec<String>> {
    let usable = |name: &str, value: &str| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
    let pairs = value.as_table()?.iter().map(|(name, value)| {
        let (name, value) = (name.get_ref(), value.get_ref().as_str()?);
        usable(name, value).then(|| format!("{name}={value}"))
    });
    pairs.collect()
}

/// A type of settings, read from a text that its [`Kind`] lets pass.
pub(crate) trait Value: Sized {
    fn from_text(text: &str) -> Result<Self, String>;
}

impl Value for String {
    fn from_text(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }
}

impl Value for bool {
    fn from_text(text: &str) -> Result<bool, String> {
        Ok(matches!(text, "true" | "1"))
    }
}

macro_rules! parsed {
    ($($type:ty),+) => {
        $(impl Value for $type {
            fn from_text(text: &str) -> Result<$type, String> {
                text.parse().map_err(|error| format!("`{text}`: {error}"))
            }
        })+
    };
}
parsed!(u32, u64, usize, f64);

impl Value for Shard {
    fn from_text(text: &str) -> Result<Shard, String> {
        text.parse()
    }
}

impl Value for Duration {
    fn from_text(text: &str) -> Result<Duration, String> {
        within(text, Duration::MAX).ok_or_else(|| format!("`{text}` is not a duration"))
    }
}

impl Value for Date {
    fn from_text(text: &str) -> Result<Date, String> {
        day(text).ok_or_else(|| format!("`{text}` is not a day"))
    }
}

impl Value for TargetKind {
    fn from_text(text: &str) -> Result<TargetKind, String> {
        let found = TargetKind::ALL.iter().find(|kind| kind.as_str() == text).copied();
        found.ok_or_else(|| format!("`{text}` is not known; expected {}", providers(|_| true).join(", ")))
    }
}

impl<T: Words> Value for T {
    fn from_text(text: &str) -> Result<T, String> {
        let found = T::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| format!("`{text}` is not known"))
    }
}

/// Types of fields, from all that was written for a setting.
pub(crate) trait Field: Default {
    /// `None` for what can't be such a field.
    fn from_texts(texts: &[String]) -> Result<Self, String>;
}

impl<T: Value + Default> Field for T {
    fn from_texts(texts: &[String]) -> Result<T, String> {
        T::from_text(texts.first().map_or("", |text| text.trim()))
    }
}

impl<T: Value> Field for Option<T> {
    fn from_texts(texts: &[String]) -> Result<Option<T>, String> {
        texts.first().map(|text| T::from_text(text.trim())).transpose()
    }
}

impl Field for Vec<String> {
    fn from_texts(texts: &[String]) -> Result<Vec<String>, String> {
        Ok(texts.to_vec())
    }
}

impl Field for Vec<Consent> {
    fn from_texts(texts: &[String]) -> Result<Vec<Consent>, String> {
        let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.is_empty());
        let consent = |line: &str| line.split_once('=').and_then(|(digest, reason)| Consent::new(digest, reason));
        let refuse = || "expected DIGEST=REASON, with the digest that summary.md prints for what is weaker".to_owned();
        lines.map(|line| consent(line).ok_or_else(refuse)).collect()
    }
}

impl Field for BTreeMap<String, String> {
    fn from_texts(texts: &[String]) -> Result<BTreeMap<String, String>, String> {
        let pairs = texts.iter().filter_map(|text| text.split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl TimeRange {
    fn read(self, text: &str) -> Result<Duration, String> {
        within(text, self.most).ok_or_else(|| format!("`{text}` is not {}; expected {}", self.noun, self.expected))
    }
}

/// Reads `500ms`, `60s`, `2m` or a number of seconds; more than 0, up to an hour.
pub fn duration(text: &str) -> Result<Duration, String> {
    SHORT.read(text)
}

fn within(text: &str, most: Duration) -> Option<Duration> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit() && c != '.') {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * factor;
    let seconds = (seconds > 0.0 && seconds <= most.as_secs_f64()).then_some(seconds)?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn day(text: &str) -> Option<Date> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).ok()
}
