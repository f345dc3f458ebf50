//! Replaces what differs from answer to answer, like dates and ids, so that the rest can be compared.
//!
//! All redactions look at the text as it was, not at each other's work: at each place the one that starts first wins; of
//! several that start there, patterns of the user's in their order, then dates, ids, numbers and white space.

use super::arguments::{Fields, Read, each, not_a, refuse, text, wrong};
use super::matchers::regex::compiled_pattern;
use super::quote::bounded;
use crate::domain::ArgProblem;
use ::regex::Regex;
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;

/// The kinds that have a name, in order of precedence: name, what stands in their place, pattern.
const KINDS: [(&str, &str, &str); 4] =
    [("dates", "[date]", DATES), ("ids", "[id]", IDS), ("numbers", "[number]", NUMBERS), ("whitespace", " ", r"\s+")];

/// Dates as ISO 8601 has them, with slashes or dots, and with English names of months; and times of day.
const DATES: &str = r"(?x)
    \b\d{4}-\d{2}-\d{2}(?:[Tt\x20]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\x20?(?:Z|UTC|GMT)\b|[+-]\d{2}:?\d{2}\b)?)?\b
  | \b\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})\b
  | \b\d{4}[/.]\d{1,2}[/.]\d{1,2}\b
  | \b\d{1,2}\.\d{1,2}\.\d{4}\b
  | \b\d{1,2}(?:st|nd|rd|th)?\.?\s+(?:of\s+)?(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b(?:\.?,?\s+\d{4}\b)?
  | \b(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b\.?,?\s+(?:\d{1,2}(?:st|nd|rd|th)?\b(?:,?\s+\d{4}\b)?|\d{4}\b)
  | \b\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?[aApP]\.?[mM]\b\.?)?
";

/// UUIDs, eight or more hexadecimal digits, ULIDs, capitals with three or more digits (`ORD-1234`), and a short word with
/// letters and digits behind an underscore (`req_8f3k2m4n1`).
const IDS: &str = r"(?x)
    \b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b
  | \b[0-7][0-9A-HJKMNP-TV-Z]{25}\b
  | \b(?:0x)?[0-9a-fA-F]{8,}\b
  | \b[A-Z]{2,10}[-_]?[0-9]{3,}(?:-[0-9]+)*\b
  | \b[a-z]{2,10}_[A-Za-z]*[0-9][A-Za-z0-9]{5,}\b
";

/// Runs of digits, with separators inside. A sign stays, because `-5` is not `5`.
const NUMBERS: &str = r"\d+(?:[.,'\x{a0}\x{202f}]\d+)*";

/// The most redactions of one check, and the longest replacement in characters; they bound time and memory.
const MAX_REDACTIONS: usize = 32;
const MAX_WITH: usize = 100;

/// The redactions of a check, in order of precedence.
#[derive(Debug, Default)]
pub(super) struct Redactions {
    list: Vec<Redaction>,
    /// White space at both ends goes as well.
    trims: bool,
}

#[derive(Debug)]
struct Redaction {
    regex: Arc<Regex>,
    with: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RedactedText {
    pub(super) text: String,
    /// Something that can be seen is not redacted.
    pub(super) says_something: bool,
}

impl Redactions {
    /// Reads the list: names of kinds, and maps {pattern, with}.
    pub(super) fn read(written: &Value) -> Read<Redactions> {
        let Some(list) = written.as_array() else {
            return wrong(not_a("a list like [dates, {pattern: \"v[0-9]+\", with: \"[version]\"}]", written));
        };
        if list.is_empty() || list.len() > MAX_REDACTIONS {
            let expected = format!("1 to {MAX_REDACTIONS} redactions, or no `redact`");
            return refuse(format!("the list has {} redactions", list.len()), expected);
        }
        let mut kinds = Vec::new();
        let mut own = Vec::new();
        each(list, |item| match item {
            Value::Object(_) => redaction(item).map(|redaction| own.push(redaction)),
            Value::String(name) => kind(name).map(|at| kinds.push(at)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                wrong(not_a("the name of a kind, or a map {pattern, with}", item))
            }
        })?;
        let mut redactions = Redactions { list: own, trims: false };
        for (at, (name, with, pattern)) in KINDS.into_iter().enumerate() {
            if kinds.contains(&at) {
                redactions
                    .list
                    .push(Redaction { regex: compiled_pattern(pattern).or_else(wrong)?, with: with.to_owned() });
                redactions.trims |= name == "whitespace";
            }
        }
        Ok(redactions)
    }

    pub(super) fn apply(&self, text: &str) -> RedactedText {
        let text = if self.trims { text.trim() } else { text };
        let mut out = String::with_capacity(text.len());
        let mut says_something = false;
        let mut keep = |kept: &str, out: &mut String| {
            says_something |= kept.contains(|c: char| !c.is_whitespace());
            out.push_str(kept);
        };
        let mut next: Vec<Option<Range<usize>>> = self.list.iter().map(|redaction| redaction.find(text, 0)).collect();
        let mut at = 0;
        loop {
            for (redaction, next) in self.list.iter().zip(&mut next) {
                if next.as_ref().is_some_and(|found| found.start < at) {
                    *next = redaction.find(text, at);
                }
            }
            let first = next.iter().enumerate().filter_map(|(i, found)| Some((found.clone()?, i)));
            let Some((found, which)) = first.min_by_key(|(found, i)| (found.start, *i)) else {
                break;
            };
            keep(&text[at..found.start], &mut out);
            out.push_str(&self.list[which].with);
            at = found.end;
        }
        keep(&text[at..], &mut out);
        RedactedText { text: out, says_something }
    }
}

impl Redaction {
    /// The first match with something in it, at or behind a place.
    fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let mut from = from;
        loop {
            let found = self.regex.find_at(text, from)?;
            if !found.is_empty() {
                return Some(found.range());
            }
            from = found.end() + text[found.end()..].chars().next()?.len_utf8();
        }
    }
}

fn kind(name: &str) -> Read<usize> {
    let names = || KINDS.iter().map(|(name, ..)| *name);
    if let Some(at) = names().position(|known| known == name) {
        return Ok(at);
    }
    let problem = ArgProblem::new(format!("`{}` is not a kind of redaction", bounded(name, 40)))
        .expected(format!("one of {}, or a map {{pattern, with}}", names().collect::<Vec<_>>().join(", ")));
    wrong(problem.did_you_mean(name, names()))
}

fn redaction(written: &Value) -> Read<Redaction> {
    let mut fields = Fields::of(written, &["pattern", "with"], "a map {pattern, with}")?;
    let regex = fields.required("pattern", "a regular expression", |value| {
        let regex = compiled_pattern(text(value)?).or_else(wrong)?;
        if regex.is_match("") {
            return wrong(
                ArgProblem::new("the pattern matches where there is nothing")
                    .expected("a pattern that needs at least one character")
                    .hint("write `x+` for `x*`"),
            );
        }
        Ok(regex)
    });
    let with = fields.required("with", "the text that stands in its place", |value| {
        let with = text(value)?;
        match with.chars().count() {
            0..=MAX_WITH => Ok(with.to_owned()),
            long => refuse(format!("the text has {long} characters"), format!("at most {MAX_WITH} characters")),
        }
    });
    let (regex, with) = fields.finish(regex.zip(with))?;
    Ok(Redaction { regex, with })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn redacted(list: &Value, text: &str) -> String {
        Redactions::read(list).unwrap().apply(text).text
    }

    #[test]
    fn each_kind_takes_what_it_is_for_and_nothing_else() {
        let table = [
            (
                "dates",
                "on 2026-05-03, at 2026-05-03T10:00:00Z or 2026-05-03 10:00:00.5+02:00.",
                "on [date], at [date] or [date].",
            ),
            ("dates", "3/5/26, 03/05/2026, 3.5.2026, 2026/5/3", "[date], [date], [date], [date]"),
            (
                "dates",
                "3 May, 3rd of May 2026, May 3, May 3rd, 2026, Sept. 2026",
                "[date], [date], [date], [date], [date]",
            ),
            ("dates", "at 10:30, 9:05 am, 9:05 p.m. or 23:59:59.999", "at [date], [date], [date] or [date]"),
            (
                "dates",
                "you may return 2 of them; March on; version 1.2.3, 1/2, 10.0.0.1",
                "you may return 2 of them; March on; version 1.2.3, 1/2, 10.0.0.1",
            ),
            (
                "ids",
                "order 8c4b1f6e-0d7a-4b5e-9a53-2f5d1e3c7b11, 9f86d081, ORD-12345, INV2024001",
                "order [id], [id], [id], [id]",
            ),
            ("ids", "req_8f3k2m4n1, 01ARZ3NDEKTSV4RRFFQ69G5FAV, 0xDEADBEEF, 12345678", "[id], [id], [id], [id]"),
            ("ids", "user_settings, A4, 2026, OK, feedback, SOLE-15", "user_settings, A4, 2026, OK, feedback, SOLE-15"),
            (
                "numbers",
                "4.95 EUR, 1,250.5, -5, 30 days, 50%, 1'000",
                "[number] EUR, [number], -[number], [number] days, [number]%, [number]",
            ),
            ("numbers", "none. At all, v2", "none. At all, v[number]"),
            ("whitespace", "  a \n\n b\u{a0}c\t\n", "a b c"),
        ];
        for (kind, text, expected) in table {
            assert_eq!(redacted(&json!([kind]), text), expected, "{kind}: {text}");
        }
    }

    #[test]
    fn redactions_do_not_see_each_others_work() {
        let all = json!(["whitespace", "numbers", "ids", "dates", {"pattern": "date|number", "with": "x1"}]);
        assert_eq!(redacted(&all, "2026-05-03  ORD-1234  17 date"), "[date] [id] [number] x1");
        let own =
            json!([{"pattern": "ab", "with": "1"}, {"pattern": "a", "with": "2"}, {"pattern": "b+", "with": "$0"}]);
        assert_eq!(redacted(&own, "abbab aa"), "1$01 22", "the first of the list wins at a place");
        let boundary = json!([{"pattern": "\\bb", "with": "-"}, {"pattern": "a", "with": ""}]);
        assert_eq!(redacted(&boundary, "ab b"), "b -", "a boundary is one of the text as it was");
        let empty = json!([{"pattern": "x|\\b", "with": "-"}]);
        assert_eq!(redacted(&empty, "ab xx"), "ab --", "matches of nothing are none");
    }

    #[test]
    fn a_text_that_is_redacted_as_a_whole_says_nothing() {
        let redactions = Redactions::read(&json!(["numbers", "whitespace"])).unwrap();
        for (text, says_something) in [("42", false), (" 4 2\n", false), ("", false), ("42!", true), ("a", true)] {
            assert_eq!(redactions.apply(text).says_something, says_something, "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_at_their_place() {
        let wrongs = [
            json!("dates"),
            json!([]),
            json!(["date"]),
            json!([3]),
            json!([{"pattern": "(", "with": ""}]),
            json!([{"pattern": "a*", "with": ""}]),
            json!([{"pattern": "a"}]),
            json!([{"patern": "a", "with": 3}]),
            json!([{"pattern": "a", "with": "x".repeat(101)}]),
            json!(vec!["dates"; 33]),
        ];
        let told: Vec<String> = wrongs
            .iter()
            .flat_map(|list| Redactions::read(list).unwrap_err())
            .map(|problem| format!("{:?} {problem} ({})", problem.path, problem.expected.clone().unwrap_or_default()))
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    proptest! {
        #[test]
        fn named_redactions_are_done_once(text in "\\PC{0,40}|[0-9a-fA-FT:./ Maymn_-]{0,60}") {
            let list = json!(["dates", "ids", "numbers"]);
            let once = redacted(&list, &text);
            prop_assert!(!once.contains(|c: char| c.is_ascii_digit()));
            prop_assert_eq!(redacted(&list, &once), once);
        }
    }
}
