//! `[gate.quarantine]` in promptgate.toml: tags whose cases don't decide, each until a day.
//!
//! ```toml
//! [gate.quarantine]
//! flaky-shipping = "2026-12-31"   # the last day on which the cases with this tag don't decide, in UTC
//! ```
//!
//! It stands in the file alone: a variable or an option would take cases out of a verdict without anyone reviewing it.

use super::definition::{Origin, RawValue, Reader};
use super::section::Source;
use crate::domain::{LONGEST_QUARANTINE, Policy, Problem, day};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use time::{Date, Duration, OffsetDateTime};
use toml::Spanned;
use toml::de::DeValue;

pub(super) const TABLE: &str = "quarantine";

/// The last days as they were written, by tag.
pub(super) type Quarantine = BTreeMap<String, RawValue>;

/// Reads the table, and refuses what does not hold on any day.
pub(super) fn read(value: &Spanned<DeValue<'_>>, source: Source<'_>, problems: &mut Vec<Problem>) -> Quarantine {
    const DAY: &str = "the last day on which its cases don't decide, like \"2026-12-31\"";
    let Some(tags) = value.get_ref().as_table() else {
        const EXPECTED: &str = "a table, like [gate.quarantine] with flaky-shipping = \"2026-12-31\"";
        problems.push(source.not_a_table(value, TABLE, EXPECTED));
        return Quarantine::new();
    };
    if tags.len() > Policy::MAX_TAGS {
        let message = format!("`quarantine` has {} tags", tags.len());
        let problem = Problem::at(source.place(value.span()), message);
        problems.push(problem.expected(format!("at most {}", Policy::MAX_TAGS)));
    }
    let mut quarantine = Quarantine::new();
    for (tag, value) in tags {
        let name = tag.get_ref();
        if name.is_empty() || name.trim() != name {
            problems.push(
                Problem::at(source.place(tag.span()), format!("{name:?} is not the name of a tag"))
                    .expected("a tag as the golden data have it, without spaces around it"),
            );
            continue;
        }
        let at = source.place(value.span());
        // A day of TOML's own is written without quotes.
        let until = match (value.get_ref().as_str(), value.get_ref().as_datetime()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(date)) => date.to_string(),
            (None, None) => {
                let message = format!("the last day of the quarantine of `{name}` has the wrong type");
                problems.push(Problem::at(at, message).expected(DAY));
                continue;
            }
        };
        if day(&until).is_none() {
            let message = format!("the quarantine of `{name}` lasts until `{until}`, which is not a day");
            problems.push(Problem::at(at, message).expected(DAY));
            continue;
        }
        let raw = RawValue { values: vec![until], origin: Origin::File(at) };
        quarantine.insert(name.to_string(), raw);
    }
    quarantine
}

/// JSON Schema of the table. A day of TOML's own becomes a text of JSON.
pub(super) fn schema() -> Json {
    json!({
        "description": "tags whose cases don't decide, each with the last day on which they don't; at most 90 days ahead",
        "type": "object",
        "propertyNames": {"pattern": "^\\S(.*\\S)?$"},
        "additionalProperties": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
        "maxProperties": Policy::MAX_TAGS,
    })
}

impl Reader<'_> {
    /// Fills in the tags in quarantine. Those that are over are kept: a verdict says that their cases decide again.
    pub(super) fn quarantine(&mut self, written: &Quarantine, policy: Policy) -> Policy {
        let today = OffsetDateTime::now_utc().date();
        let mut quarantine = BTreeMap::new();
        for (tag, raw) in written {
            match allowed(tag, raw.text(), today, &policy.critical_tags) {
                Ok(until) => {
                    quarantine.insert(tag.clone(), until.to_owned());
                }
                Err(problem) => self.problems.push(Problem {
                    expected: problem.expected,
                    hint: problem.hint,
                    ..raw.origin.problem(problem.message)
                }),
            }
        }
        Policy { quarantine, ..policy }
    }
}

/// Checks what depends on the day and on other settings.
fn allowed<'a>(tag: &str, until: &'a str, today: Date, critical: &[String]) -> Result<&'a str, Problem> {
    if critical.iter().any(|other| other == tag) {
        return Err(Problem::new(format!("`{tag}` is in quarantine and a critical tag, which can't both be"))
            .hint("take it out of one of the two: what must not get worse can't be left undecided"));
    }
    let latest = today.saturating_add(Duration::days(LONGEST_QUARANTINE));
    if day(until).is_none_or(|until| until > latest) {
        return Err(Problem::new(format!("the quarantine of `{tag}` lasts until {until}, which is too long"))
            .expected(format!("at most {LONGEST_QUARANTINE} days from today, so {latest} at the latest"))
            .hint("make the cases steady until then, or take them out of the golden data where everyone sees it"));
    }
    Ok(until)
}

#[cfg(test)]
mod tests {
    use super::{Quarantine, allowed};
    use crate::config::FileSettings;
    use crate::domain::{Policy, Problems};
    use time::macros::date;

    fn read(text: &str) -> Result<Quarantine, Problems> {
        FileSettings::of_text(text, "promptgate.toml").map(|file| file.quarantine)
    }

    fn problems(text: &str) -> String {
        read(text).map_or_else(|problems| problems.to_string(), |_| "none".to_owned())
    }

    #[test]
    fn tags_and_days_are_read_with_their_places() {
        let text = "margin = 0.1\n[gate]\nslice_q = 0.1\n[gate.quarantine]\nb = 2026-12-31\n\"a b\" = \"2026-12-01\"\n";
        let own = read(text).unwrap();
        let shown: Vec<String> = own
            .iter()
            .map(|(tag, written)| format!("{tag} {:?} {}", written.values, written.origin.problem("here")))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        a b ["2026-12-01"] promptgate.toml:6:9: here
        b ["2026-12-31"] promptgate.toml:5:5: here
        "#);
        for none in ["[gate]\nslice_q = 0.1", "[gate.quarantine]"] {
            assert_eq!(read(none).unwrap(), Quarantine::new(), "{none}");
        }
    }

    #[test]
    fn mistakes_are_listed_together() {
        insta::assert_snapshot!(
            problems("[gate.quarantine]\na = \"2026-02-30\"\nb = 3\n\" c\" = \"2026-12-31\"\n\"\" = \"2026-12-31\"\nd.e = \"2026-12-31\"\nf = 2026-12-31T10:00:00Z\ng = \"\"\n"), @r#"
        promptgate.toml:2:5: the quarantine of `a` lasts until `2026-02-30`, which is not a day
          expected: the last day on which its cases don't decide, like "2026-12-31"
        promptgate.toml:3:5: the last day of the quarantine of `b` has the wrong type
          expected: the last day on which its cases don't decide, like "2026-12-31"
        promptgate.toml:4:1: " c" is not the name of a tag
          expected: a tag as the golden data have it, without spaces around it
        promptgate.toml:5:1: "" is not the name of a tag
          expected: a tag as the golden data have it, without spaces around it
        promptgate.toml:6:1: the last day of the quarantine of `d` has the wrong type
          expected: the last day on which its cases don't decide, like "2026-12-31"
        promptgate.toml:7:5: the quarantine of `f` lasts until `2026-12-31T10:00:00Z`, which is not a day
          expected: the last day on which its cases don't decide, like "2026-12-31"
        promptgate.toml:8:5: the quarantine of `g` lasts until ``, which is not a day
          expected: the last day on which its cases don't decide, like "2026-12-31"
        "#);
        insta::assert_snapshot!(problems("[gate]\nquarantine = [\"a\"]"), @r#"
        promptgate.toml:2:14: `quarantine` is not a table
          expected: a table, like [gate.quarantine] with flaky-shipping = "2026-12-31"
        "#);
        let many: String = (0..=Policy::MAX_TAGS).map(|i| format!("t{i} = \"2026-12-31\"\n")).collect();
        insta::assert_snapshot!(problems(&format!("[gate.quarantine]\n{many}")), @"
        promptgate.toml:1:1: `quarantine` has 101 tags
          expected: at most 100
        ");
    }

    #[test]
    fn a_quarantine_lasts_ninety_days_at_most() {
        let today = date!(2026 - 11 - 23);
        for (until, holds) in [
            ("2026-11-22", true),
            ("2026-11-23", true),
            ("2027-02-21", true),
            ("2027-02-22", false),
            ("9999-12-31", false),
        ] {
            assert_eq!(allowed("a", until, today, &[]).is_ok(), holds, "{until}");
        }
        let problem = |critical: &[String]| allowed("a", "2027-03-01", today, critical).unwrap_err().to_string();
        insta::assert_snapshot!(problem(&[]), @"
        the quarantine of `a` lasts until 2027-03-01, which is too long
          expected: at most 90 days from today, so 2027-02-21 at the latest
          help: make the cases steady until then, or take them out of the golden data where everyone sees it
        ");
        insta::assert_snapshot!(problem(&["a".to_owned()]), @"
        `a` is in quarantine and a critical tag, which can't both be
          help: take it out of one of the two: what must not get worse can't be left undecided
        ");
    }
}
