//! What the matchers that measure how near an answer is to a reference have in common: their arguments, their bounds and
//! their reasons.

use super::arguments::{Fields, Read, each, needle, not_a, refuse, share, wrong};
use super::definition::MatcherDef;
use super::matcher::MatchError;
use super::quote::quote;
use crate::domain::{ArgProblem, Score};
use serde_json::Value;

const MAX_REFERENCES: usize = 100;

/// The longest texts, in characters, of measures whose time grows with the product of both lengths.
pub(super) const MAX_CHARS_PRODUCT: usize = 10_000;

/// The longest texts, in characters, of measures whose time grows with the sum of both lengths.
pub(super) const MAX_CHARS_SUM: usize = 100_000;

/// A matcher that counts the runs which an answer shares with references.
pub(super) const SHARED_RUNS: MatcherDef = MatcherDef {
    schema: r##"{"type": "object", "properties": {"to": {"$ref": "#/$defs/text"}, "to_any": {"$ref": "#/$defs/texts"},
        "min": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}},
        "oneOf": [{"required": ["to", "min"]}, {"required": ["to_any", "min"]}], "additionalProperties": false}"##,
    cost: "linear in both, at most 100000 characters in the answer, and in all references together; a longer answer \
           can't be judged",
    ..MatcherDef::DEFAULT
};

/// The references that a matcher measures answers against, and the least score that passes.
#[derive(Debug)]
pub(super) struct References<R> {
    pub(super) all: Vec<R>,
    /// The text of the only one, or how many there are.
    shown: String,
    min: f64,
}

impl<R> References<R> {
    /// Reads `to` or `to_any`, as [`references`], and `min`. `what` names the measure.
    pub(super) fn read(
        fields: &mut Fields<'_>,
        max_chars: usize,
        what: &str,
        prepare: impl Fn(&str) -> Result<R, ArgProblem>,
    ) -> Option<References<R>> {
        let read = references(fields, max_chars, |text| Ok((prepare(text)?, text.to_owned())));
        let min = threshold(fields, what);
        let (read, min) = read.zip(min)?;
        let (all, texts): (_, Vec<String>) = read.into_iter().unzip();
        let shown = match texts.as_slice() {
            [one] => quote(one),
            several => format!("the nearest of {} texts", several.len()),
        };
        Some(References { all, shown, min })
    }

    /// The score of an answer that comes as near as `value`.
    pub(super) fn score(&self, what: &str, value: f64) -> Score {
        let (shown, min) = (&self.shown, self.min);
        let pass = value >= min;
        let is = if pass { "at least" } else { "less than" };
        Score::new(value, pass, format!("its {what} to {shown} is {value:.4}, {is} {min}"))
    }

    /// Whether one of these values reaches `min`.
    pub(super) fn may_pass(&self, most: impl Fn(&R) -> f64) -> bool {
        self.all.iter().map(most).fold(0.0, f64::max) >= self.min
    }

    pub(super) fn min(&self) -> f64 {
        self.min
    }
}

/// Reads `to`, or `to_any` with several references, together of at most `max_chars` characters; `prepare` makes of each what
/// the measure needs, and refuses one that no answer could come near.
pub(super) fn references<R>(
    fields: &mut Fields<'_>,
    max_chars: usize,
    prepare: impl Fn(&str) -> Result<R, ArgProblem>,
) -> Option<Vec<R>> {
    let mut together = 0;
    let mut one = |value| {
        let text = needle(value)?;
        let length = text.chars().count();
        together += length;
        if together > max_chars {
            let and_others = if together > length { " with the others before it" } else { "" };
            let message = format!("the text has {together} characters{and_others}");
            return refuse(message, format!("at most {max_chars} characters"));
        }
        prepare(text).or_else(wrong)
    };
    match (fields.has("to"), fields.has("to_any")) {
        (true, true) => {
            fields.refuse(
                ArgProblem::new("`to` and `to_any` exclude each other")
                    .expected("one text in `to`, or several in `to_any`"),
            );
            None
        }
        (false, true) => fields.optional("to_any", |value| several(value, &mut one)),
        (true | false, false) => {
            fields.required("to", "the text to compare with, or several in `to_any`", one).map(|one| vec![one])
        }
    }
}

fn several<'a, R>(value: &'a Value, one: impl FnMut(&'a Value) -> Read<R>) -> Read<Vec<R>> {
    let Some(list) = value.as_array() else {
        return wrong(not_a("a list of texts, like [\"a\", \"b\"]", value));
    };
    if list.is_empty() || list.len() > MAX_REFERENCES {
        return refuse(format!("the list has {} texts", list.len()), format!("1 to {MAX_REFERENCES} texts"));
    }
    each(list, one)
}

pub(super) fn threshold(fields: &mut Fields<'_>, what: &str) -> Option<f64> {
    let expected = format!("the least {what} that passes, like 0.8");
    fields.required("min", &expected, |value| share(value, &format!("a {what}")))
}

/// The answer, if it is short enough to measure.
///
/// # Errors
/// It is longer than `max_chars` characters.
pub(super) fn measurable<'a>(text: &'a str, max_chars: usize, what: &str) -> Result<&'a str, MatchError> {
    // No character is longer than its bytes.
    if text.len() <= max_chars {
        return Ok(text);
    }
    match text.chars().count() {
        length if length > max_chars => {
            Err(MatchError::new(format!("has {length} characters, and {what} compares at most {max_chars}")))
        }
        _ => Ok(text),
    }
}

/// White space as Python has it: Unicode's, and the four information separators. The measures that follow a Python
/// package split words by it.
pub(super) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::rules::testing::{answer_text, compiled, scores, verify_in};
    use proptest::prelude::*;
    use serde_json::json;
    use std::path::Path;

    /// The check that measures by a metric of `tests/oracles/text_metrics.json`.
    fn check(metric: &str, references: &Value) -> Value {
        match metric {
            "bleu" | "chrf" => json!({metric: {"to_any": references, "min": 0.5}}),
            rouge if rouge.starts_with("rouge") => {
                json!({"rouge": {"to_any": references, "min": 0.5, "metric": rouge}})
            }
            similarity => json!({"similarity": {"to_any": references, "min": 0.5, "metric": similarity}}),
        }
    }

    const METRICS: [&str; 8] =
        ["rouge1", "rouge2", "rougeL", "bleu", "chrf", "levenshtein", "jaro_winkler", "token_set"];

    fn oracle(name: &str) -> String {
        std::fs::read_to_string(format!("{}/tests/oracles/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn loads(check: &Value) -> bool {
        verify_in(Path::new("/nowhere"), check.clone()).is_ok()
    }

    /// Holds the score of a check to that of a package. A reference is refused only because nothing scores with it.
    fn assert_agrees(check: &Value, answer: &str, expected: f64) {
        if !loads(check) {
            assert_eq!(expected, 0.0, "{answer}: {check} is refused");
            return;
        }
        let score = compiled(check.clone()).check(&answer_text(answer).input()).unwrap();
        assert!((score.value() - expected).abs() < 1e-6, "{answer}: {check}: {}", score.value());
        assert_eq!(score.pass, score.value() >= 0.5);
    }

    #[test]
    fn the_text_metrics_agree_with_the_python_packages() {
        let file = oracle("text_metrics.json");
        let mut lines = file.lines();
        let head: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        let metrics: Vec<&str> = head["metrics"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(metrics.len(), 8);
        let (mut pairs, mut refused) = (0, 0);
        for line in lines {
            let (answer, references, scores): (String, Value, Vec<f64>) = serde_json::from_str(line).unwrap();
            assert_eq!(scores.len(), metrics.len());
            pairs += 1;
            for (metric, expected) in metrics.iter().zip(scores) {
                let check = check(metric, &references);
                refused += u32::from(!loads(&check));
                assert_agrees(&check, &answer, expected);
            }
        }
        assert_eq!(pairs, 1000);
        assert!(refused < 500, "{refused} of 8000 were refused, too many to compare");
    }

    #[test]
    fn the_stems_of_rouge_agree_with_the_development_kit() {
        let (pairs, kit) = (oracle("text_metrics.json"), oracle("adk.json"));
        let head: Value = serde_json::from_str(kit.lines().next().unwrap()).unwrap();
        let scores = head["pairs"].as_array().unwrap();
        assert_eq!(scores.len(), 1000);
        for (line, expected) in pairs.lines().skip(1).zip(scores) {
            let (answer, references, _): (String, Value, Value) = serde_json::from_str(line).unwrap();
            let check = json!({"rouge": {"to_any": references, "min": 0.5, "metric": "rouge1", "words": "stems"}});
            assert_agrees(&check, &answer, expected.as_f64().unwrap());
        }
    }

    proptest! {
        #[test]
        fn no_measure_panics(answer in "(?s:.{0,40})|\\PC{0,60}", reference in "(?s:.{1,30})|\\PC{1,60}") {
            for metric in METRICS {
                let check = check(metric, &json!([reference]));
                if loads(&check) {
                    prop_assert!(compiled(check).check(&answer_text(&answer).input()).is_ok(), "{metric}");
                }
            }
        }

        #[test]
        fn a_text_is_as_near_to_itself_as_can_be(text in "\\PC{1,60}|[a-z ,.]{1,80}|(?s:.{1,30})") {
            for metric in METRICS {
                let mut exact = check(metric, &json!([text, "other"]));
                for args in exact.as_object_mut().unwrap().values_mut() {
                    args["min"] = json!(1);
                }
                if loads(&exact) {
                    let score = compiled(exact).check(&answer_text(&text).input()).unwrap();
                    prop_assert!(score.pass, "{metric}: {}", score.reason);
                }
            }
        }
    }

    #[test]
    fn the_nearest_reference_counts_and_the_threshold_is_inclusive() {
        scores(
            json!({"chrf": {"to_any": ["x", "ÄÖ"], "min": 1}}),
            &[("ÄÖ", true, 1.0), ("x", true, 1.0), ("äö", false, 0.0)],
        );
        scores(
            json!({"rouge": {"to_any": ["good bye", "see you soon"], "min": 0.8}}),
            &[("see you", true, 0.8), ("good day", false, 0.5)],
        );
        scores(
            json!({"similarity": {"to_any": ["abcd", "wxyz"], "min": 0.75}}),
            &[("wxy", true, 0.75), ("abxx", false, 0.5)],
        );
    }

    #[test]
    fn long_answers_are_not_measured() {
        for (metric, most) in [("bleu", 100_000), ("chrf", 100_000), ("rouge1", 100_000), ("rougeL", 10_000)] {
            let judged =
                |length| compiled(check(metric, &json!(["a"]))).check(&answer_text(&"b".repeat(length)).input());
            assert!(judged(most).is_ok(), "{metric}");
            assert!(judged(most + 1).is_err(), "{metric}");
        }
    }

    #[test]
    fn only_what_is_too_long_is_not_measured() {
        assert!(measurable(&"ä".repeat(10), 10, "it").is_ok());
        assert_eq!(
            measurable(&"ä".repeat(11), 10, "it").unwrap_err().reason,
            "has 11 characters, and it compares at most 10"
        );
    }
}
