//! `[prices."model"]` in promptgate.toml: prices of the user's own, which win over the built-in table.
//!
//! ```toml
//! [prices."my-model"]
//! input = 0.50              # US dollars per million tokens
//! output = 3.00             # thinking included
//! cached = 0.05             # default: as input
//! from = 2026-12-01         # default: for every day
//! long = {input = 1.00, output = 4.50, cached = 0.10}   # prompts of more than 200,000 tokens
//! ```
//!
//! `[[prices."my-model"]]`, several times, gives a model prices from several days on.

use crate::domain::{Place, Problem, Problems};
use crate::plan::price::{Entry, Rates};
use serde::Deserialize;
use std::collections::BTreeMap;
use time::Date;
use time::macros::format_description;
use toml::value::Table;
use toml::{Spanned, Value};

/// The table's name in the file.
pub(super) const TABLE: &str = "prices";

/// Dollars per million tokens above this are a slip of the keyboard.
const DEAREST: f64 = 100_000.0;

/// Prices by model.
pub(super) type Own = BTreeMap<String, Vec<Entry>>;

/// The part of promptgate.toml that matters here.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    prices: Option<Value>,
}

/// The same with the places of the models' names.
#[derive(Deserialize)]
struct Places {
    prices: BTreeMap<Spanned<String>, Value>,
}

/// Reads the prices of a file that is known to be TOML.
pub(super) fn read(text: &str, shown: &str) -> Result<Own, Problems> {
    let broken = |error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        Problem::at(Place::of_offset(shown, text, at), error.message().to_owned())
            .expected("a table for each model, like [prices.\"my-model\"]")
    };
    let file: File = toml::from_str(text).map_err(broken)?;
    if file.prices.is_none() {
        return Ok(Own::new());
    }
    let Places { prices } = toml::from_str(text).map_err(broken)?;
    let mut own = Own::new();
    let mut problems = Problems::default();
    for (model, value) in prices {
        let place = Place::of_offset(shown, text, model.span().start);
        let model = model.into_inner();
        match entries(&value) {
            Ok(entries) => {
                own.insert(model, entries);
            }
            Err(mistakes) => problems.extend(mistakes.into_iter().map(|mistake| mistake.at(place.clone(), &model))),
        }
    }
    problems.or(own)
}

/// A mistake in the prices of one model.
struct Mistake {
    message: String,
    expected: &'static str,
}

impl Mistake {
    fn new(message: impl Into<String>, expected: &'static str) -> Mistake {
        Mistake {
            message: message.into(),
            expected,
        }
    }

    fn at(self, place: Place, model: &str) -> Problem {
        Problem::at(place, format!("the prices of `{model}`: {}", self.message)).expected(self.expected)
    }
}

const KEYS: &str = "input and output, and perhaps cached, from and long";

fn entries(value: &Value) -> Result<Vec<Entry>, Vec<Mistake>> {
    let shape = || vec![Mistake::new("not a table", KEYS)];
    let tables: Vec<&Table> = match value {
        Value::Table(table) => vec![table],
        Value::Array(values) if !values.is_empty() => values
            .iter()
            .map(|value| value.as_table().ok_or_else(shape))
            .collect::<Result<_, _>>()?,
        Value::Array(_)
        | Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_) => return Err(shape()),
    };
    let mut mistakes = Vec::new();
    let mut entries: Vec<Entry> = Vec::new();
    for table in tables {
        let entry = entry(table, &mut mistakes);
        if entries.iter().any(|earlier| earlier.from == entry.from) {
            mistakes.push(Mistake::new(
                "two prices hold from the same day on",
                "a `from` of its own for each",
            ));
        }
        entries.push(entry);
    }
    if mistakes.is_empty() {
        Ok(entries)
    } else {
        Err(mistakes)
    }
}

fn entry(table: &Table, mistakes: &mut Vec<Mistake>) -> Entry {
    unknown(table, &["input", "output", "cached", "from", "long"], mistakes);
    let from = table.get("from").and_then(|value| {
        let day = day(value);
        if day.is_none() {
            mistakes.push(Mistake::new("`from` is not a day", "a day like 2026-12-01"));
        }
        day
    });
    let rates = rates(table, "", mistakes);
    let long = match table.get("long") {
        None => None,
        Some(Value::Table(long)) => {
            unknown(long, &["input", "output", "cached"], mistakes);
            Some(self::rates(long, "long.", mistakes))
        }
        Some(_) => {
            mistakes.push(Mistake::new(
                "`long` is not a table",
                "long = {input = 1.00, output = 4.50}",
            ));
            None
        }
    };
    Entry { from, rates, long }
}

/// One rate, if it is given.
fn rate(table: &Table, within: &str, key: &str, mistakes: &mut Vec<Mistake>) -> Option<f64> {
    let value = table.get(key)?;
    let rate = value
        .as_float()
        .or_else(|| value.as_integer().map(|number| number as f64));
    let rate = rate.filter(|rate| (0.0..=DEAREST).contains(rate));
    if rate.is_none() {
        mistakes.push(Mistake::new(
            format!("`{within}{key}` is not a price"),
            "US dollars per million tokens, from 0 to 100000",
        ));
    }
    Some(rate.unwrap_or_default())
}

fn rates(table: &Table, within: &str, mistakes: &mut Vec<Mistake>) -> Rates {
    let mut rate = |key| rate(table, within, key, mistakes);
    let (input, output, cached) = (rate("input"), rate("output"), rate("cached"));
    for (key, given) in [("input", input), ("output", output)] {
        if given.is_none() {
            mistakes.push(Mistake::new(
                format!("`{within}{key}` is missing"),
                "US dollars per million tokens",
            ));
        }
    }
    let input = input.unwrap_or_default();
    Rates {
        input,
        output: output.unwrap_or_default(),
        cached: cached.unwrap_or(input),
    }
}

fn unknown(table: &Table, known: &[&str], mistakes: &mut Vec<Mistake>) {
    for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
        mistakes.push(Mistake::new(format!("`{key}` is not known"), KEYS));
    }
}

/// A TOML date, or the same as a text.
fn day(value: &Value) -> Option<Date> {
    let text = match value {
        Value::Datetime(date) => date.to_string(),
        Value::String(text) => text.clone(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Array(_) | Value::Table(_) => return None,
    };
    Date::parse(&text, format_description!("[year]-[month]-[day]")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn a_model_has_one_price_or_several_by_day() {
        let text = "margin = 0.1\n[prices.\"a/b-1\"]\ninput = 1\noutput = 2.5\n[[prices.c]]\ninput = 1.0\noutput = 2.0\ncached = 0.1\n\
                    [[prices.c]]\nfrom = 2026-12-01\ninput = 3.0\noutput = 4.0\nlong = {input = 5, output = 6}\n";
        let own = read(text, "f").unwrap();
        let rates = |input, output, cached| Rates { input, output, cached };
        assert_eq!(
            own["a/b-1"],
            [Entry {
                from: None,
                rates: rates(1.0, 2.5, 1.0),
                long: None
            }]
        );
        assert_eq!(own["c"][0].rates, rates(1.0, 2.0, 0.1));
        assert_eq!(
            own["c"][1],
            Entry {
                from: Some(date!(2026 - 12 - 01)),
                rates: rates(3.0, 4.0, 3.0),
                long: Some(rates(5.0, 6.0, 5.0))
            }
        );
        assert!(read("margin = 0.1", "f").unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_listed_together() {
        let text = "[prices.a]\ninput = -1\noutputs = 2\nfrom = \"soon\"\nlong = 3\n[prices]\nb = 1\n";
        let text = text.replace(
            "[prices]\nb = 1\n",
            "[[prices.b]]\ninput = 1\noutput = 1\n[[prices.b]]\ninput = 2\noutput = 2\n",
        );
        insta::assert_snapshot!(read(&text, "f.toml").unwrap_err(), @"
        f.toml:1:9: the prices of `a`: `outputs` is not known
          expected: input and output, and perhaps cached, from and long
        f.toml:1:9: the prices of `a`: `from` is not a day
          expected: a day like 2026-12-01
        f.toml:1:9: the prices of `a`: `input` is not a price
          expected: US dollars per million tokens, from 0 to 100000
        f.toml:1:9: the prices of `a`: `output` is missing
          expected: US dollars per million tokens
        f.toml:1:9: the prices of `a`: `long` is not a table
          expected: long = {input = 1.00, output = 4.50}
        f.toml:6:10: the prices of `b`: two prices hold from the same day on
          expected: a `from` of its own for each
        ");
        assert!(
            read("prices = 3", "f.toml")
                .unwrap_err()
                .to_string()
                .starts_with("f.toml:1:")
        );
    }
}
