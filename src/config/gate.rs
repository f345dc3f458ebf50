//! `[gate]` in promptgate.toml: what decides beside the score as a whole.
//!
//! ```toml
//! [gate]
//! slice_margin = 0.10             # a tag blocks, or holds a promotion, only from this loss on
//! slice_q = 0.05                  # share of blocked tags that are blocked wrongly, on average
//! critical_tags = ["refunds"]     # here a loss of critical_margin has to be excluded
//! critical_margin = 0.10          # default: slice_margin
//!
//! [gate.guardrails]               # how much worse the candidate may be; default: not looked at
//! latency_p95 = 0.20              # a fifth longer
//! cost = 0.10
//! output_tokens = 0.30
//! refusal_rate = 0.02             # two points more
//! truncation_rate = 0.01
//! ```
//!
//! `[gate.quarantine]` is read by `quarantine.rs`.
//!
//! Each of these is a variable, too: `PROMPTGATE_SLICE_MARGIN`, `PROMPTGATE_CRITICAL_TAGS=refunds,legal`,
//! `PROMPTGATE_GUARDRAIL_COST`. None is an option of the command line: they are rules of a project, not of a call.

use super::layers::{Origin, Written, texts};
use super::quarantine;
use super::read::Reader;
use crate::domain::{self, Place, Policy, Problem, Problems};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::{Spanned, Value};

/// The table's name in the file.
pub(super) const TABLE: &str = "gate";

/// The settings of the table, by the names that they have among all settings.
pub(super) const KEYS: &[&str] = &[
    "slice_margin",
    "slice_q",
    "critical_tags",
    "critical_margin",
    "guardrail_latency_p95",
    "guardrail_cost",
    "guardrail_output_tokens",
    "guardrail_refusal_rate",
    "guardrail_truncation_rate",
];

/// The table of guardrails within it, and what their names have before them among all settings.
const GUARDRAILS: &str = "guardrails";
const GUARDRAIL: &str = "guardrail_";

/// Names in the table itself.
fn in_table() -> impl Iterator<Item = &'static str> {
    KEYS.iter().copied().filter(|key| !key.starts_with(GUARDRAIL))
}

/// Names in the table of guardrails.
fn in_guardrails() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(|key| key.strip_prefix(GUARDRAIL))
}

/// What needs a baseline to be judged by.
pub(super) fn compares(key: &str) -> bool {
    key == "critical_tags" || key.starts_with(GUARDRAIL)
}

/// Settings of the gate that stand at the top of the file.
const AT_THE_TOP: [&str; 4] = ["margin", "tolerance", "alpha", "min_pass_rate"];

/// What was written, by name.
pub(super) type Own = Vec<(&'static str, Written)>;

/// The part of promptgate.toml that matters here.
#[derive(Deserialize)]
struct File {
    gate: Spanned<Value>,
}

/// The same with the places of all keys.
#[derive(Deserialize)]
struct Table {
    gate: BTreeMap<Spanned<String>, Spanned<Value>>,
}

/// The same with the places of the guardrails' keys.
#[derive(Deserialize)]
struct Within {
    gate: Guardrails,
}

#[derive(Deserialize)]
struct Guardrails {
    guardrails: BTreeMap<Spanned<String>, Spanned<Value>>,
}

/// Whether a setting may have several values.
pub(super) fn is_list(key: &str) -> bool {
    key == "critical_tags"
}

/// Reads the table of a file that is known to be TOML and to have it.
pub(super) fn read(text: &str, shown: &str) -> Result<Own, Problems> {
    let place = |span: Range<usize>| Place::of_offset(shown, text, span.start);
    let broken = |error: toml::de::Error| {
        let at = place(error.span().unwrap_or_default());
        Problem::at(at, error.message().to_owned()).expected("a table, like [gate] with slice_margin = 0.1")
    };
    let File { gate } = toml::from_str(text).map_err(broken)?;
    if !gate.get_ref().is_table() {
        let problem = Problem::at(place(gate.span()), "`gate` is not a table");
        return Err(problem.expected("a table, like [gate] with slice_margin = 0.1").into());
    }
    let Table { gate } = toml::from_str(text).map_err(broken)?;
    let mut own = Own::new();
    let mut found = Vec::new();
    for (name, value) in &gate {
        if name.get_ref() == quarantine::TABLE {
            continue;
        }
        if name.get_ref() == GUARDRAILS {
            if !value.get_ref().is_table() {
                let problem = Problem::at(place(value.span()), "`guardrails` is not a table");
                found.push(problem.expected("a table, like [gate.guardrails] with cost = 0.1"));
                continue;
            }
            let Within { gate } = toml::from_str(text).map_err(broken)?;
            for (name, value) in &gate.guardrails {
                let full = format!("{GUARDRAIL}{}", name.get_ref());
                let Some(key) = KEYS.iter().copied().find(|key| *key == full) else {
                    let problem = Problem::at(place(name.span()), format!("`{}` is not a guardrail", name.get_ref()));
                    found.push(problem.did_you_mean(name.get_ref(), in_guardrails()));
                    continue;
                };
                match written(key, value.get_ref(), place(value.span())) {
                    Ok(written) => own.push((key, written)),
                    Err(problem) => found.push(problem),
                }
            }
            continue;
        }
        let Some(key) = in_table().find(|key| *key == name.get_ref()) else {
            let problem = Problem::at(
                place(name.span()),
                format!("`{}` is not a setting of the gate", name.get_ref()),
            );
            found.push(if AT_THE_TOP.contains(&name.get_ref().as_str()) {
                problem.hint("it stands at the top of the file, above all tables")
            } else {
                problem.did_you_mean(name.get_ref(), in_table().chain([GUARDRAILS, quarantine::TABLE]))
            });
            continue;
        };
        match written(key, value.get_ref(), place(value.span())) {
            Ok(written) => own.push((key, written)),
            Err(problem) => found.push(problem),
        }
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    let mut problems = Problems::default();
    problems.extend(found);
    problems.or(own)
}

fn written(key: &'static str, value: &Value, place: Place) -> Result<Written, Problem> {
    let origin = Origin::File(place);
    match texts(value, is_list(key)) {
        Ok(values) if values.is_empty() => Err(origin.problem(format!("`{key}` is an empty list"))),
        Ok(values) => Ok(Written { values, origin }),
        Err(expected) => Err(origin.problem(format!("`{key}` has the wrong type")).expected(expected)),
    }
}

impl Reader<'_> {
    /// Fills in the rules of the table. Their bounds are those of [`Policy::check`].
    pub(super) fn beside_the_score(&mut self, policy: Policy) -> Policy {
        let number = |text: &str| {
            text.parse::<f64>().map_err(|_| match text.trim().strip_suffix('%') {
                Some(_) => format!("`{text}` is not a number; write a share, 0.2 for 20%"),
                None => format!("`{text}` is not a number"),
            })
        };
        let guardrails = domain::Guardrails {
            cost: self.parsed("guardrail_cost", number),
            latency_p95: self.parsed("guardrail_latency_p95", number),
            output_tokens: self.parsed("guardrail_output_tokens", number),
            refusal_rate: self.parsed("guardrail_refusal_rate", number),
            truncation_rate: self.parsed("guardrail_truncation_rate", number),
        };
        let slice_margin = self.parsed("slice_margin", number).unwrap_or(policy.slice_margin);
        let critical_tags: Vec<String> = self.layers.get("critical_tags").map_or_else(Vec::new, |written| {
            let mut tags: Vec<String> = written.values.iter().map(|tag| tag.trim().to_owned()).collect();
            tags.sort();
            tags.dedup();
            tags
        });
        let critical_margin = self.parsed("critical_margin", number);
        Policy {
            slice_margin,
            slice_q: self.parsed("slice_q", number).unwrap_or(policy.slice_q),
            critical_margin: critical_margin.or((!critical_tags.is_empty()).then_some(slice_margin.min(0.5))),
            critical_tags,
            guardrails,
            ..policy
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        read(text, "promptgate.toml").map_or_else(|problems| problems.to_string(), |_| "none".to_owned())
    }

    #[test]
    fn the_table_holds_settings_with_their_places() {
        let own = read(
            "margin = 0.1\n[gate]\nslice_margin = 0.2\ncritical_tags = [\"b\", \"a\"]\ncritical_margin = 0.1\n\
             [gate.guardrails]\nlatency_p95 = 0.2\nrefusal_rate = 1\n",
            "promptgate.toml",
        )
        .unwrap();
        let shown: Vec<String> = own
            .iter()
            .map(|(key, written)| format!("{key} {:?} {}", written.values, written.origin.problem("here")))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        critical_margin ["0.1"] promptgate.toml:5:19: here
        critical_tags ["b", "a"] promptgate.toml:4:17: here
        guardrail_latency_p95 ["0.2"] promptgate.toml:7:15: here
        guardrail_refusal_rate ["1"] promptgate.toml:8:16: here
        slice_margin ["0.2"] promptgate.toml:3:16: here
        "#);
    }

    #[test]
    fn mistakes_are_listed_together() {
        insta::assert_snapshot!(
            problems("[gate]\nslice_margn = 0.1\nslice_q = [1]\nmargin = 0.05\ncritical_tags = []\n"), @"
        promptgate.toml:2:1: `slice_margn` is not a setting of the gate
          help: did you mean `slice_margin`?
        promptgate.toml:3:11: `slice_q` has the wrong type
          expected: one text, number, or true/false
        promptgate.toml:4:1: `margin` is not a setting of the gate
          help: it stands at the top of the file, above all tables
        promptgate.toml:5:17: `critical_tags` is an empty list
        ");
        insta::assert_snapshot!(
            problems("[gate]\nslice_q = 0.1\n[gate.guardrails]\nlatency = 0.1\ncost = [0.1]\noutput_tokens = true\n"), @"
        promptgate.toml:4:1: `latency` is not a guardrail
        promptgate.toml:5:8: `guardrail_cost` has the wrong type
          expected: one text, number, or true/false
        ");
        insta::assert_snapshot!(problems("gate.guardrails = 0.1"), @"
        promptgate.toml:1:19: `guardrails` is not a table
          expected: a table, like [gate.guardrails] with cost = 0.1
        ");
        insta::assert_snapshot!(problems("gate = 3"), @"
        promptgate.toml:1:8: `gate` is not a table
          expected: a table, like [gate] with slice_margin = 0.1
        ");
        insta::assert_snapshot!(problems("[[gate]]\nslice_q = 0.1"), @"
        promptgate.toml:1:1: `gate` is not a table
          expected: a table, like [gate] with slice_margin = 0.1
        ");
    }
}
