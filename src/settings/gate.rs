//! `[gate]` in promptgate.toml: what decides beside the score as a whole.
//!
//! ```toml
//! [gate]
//! slice_margin = 0.10             # a tag blocks, or holds a promotion, only from this loss on
//! slice_q = 0.05                  # share of blocked tags that are blocked wrongly, on average
//! critical_tags = ["refunds"]     # here a loss of critical_margin has to be excluded
//! critical_margin = 0.10          # default: slice_margin
//! ```
//!
//! Each of them is a variable, too: `PROMPTGATE_SLICE_MARGIN`, `PROMPTGATE_CRITICAL_TAGS=refunds,legal`. None is an option of
//! the command line: they are rules of a project, not of a call.

use super::layers::{Origin, Written, texts};
use super::read::Reader;
use crate::model::{Place, Policy, Problem, Problems};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::{Spanned, Value};

/// The table's name in the file.
pub(super) const TABLE: &str = "gate";

/// The settings of the table, by the names that they have among all settings.
pub(super) const KEYS: &[&str] = &["slice_margin", "slice_q", "critical_tags", "critical_margin"];

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
        let Some(key) = KEYS.iter().copied().find(|key| *key == name.get_ref()) else {
            let problem = Problem::at(
                place(name.span()),
                format!("`{}` is not a setting of the gate", name.get_ref()),
            );
            found.push(if AT_THE_TOP.contains(&name.get_ref().as_str()) {
                problem.hint("it stands at the top of the file, above all tables")
            } else {
                problem.did_you_mean(name.get_ref(), KEYS.iter().copied())
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
        let number = |text: &str| text.parse::<f64>().map_err(|_| format!("`{text}` is not a number"));
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
            "margin = 0.1\n[gate]\nslice_margin = 0.2\ncritical_tags = [\"b\", \"a\"]\ncritical_margin = 0.1\n",
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
