//! `length`: the answer is neither too short nor too long.

use crate::domain::Score;
use crate::scoring::arguments::{Bounds, Fields, Read, choice};
use crate::scoring::constraint;
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use crate::scoring::quote::counted;
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

pub(super) const LENGTH: MatcherDef = MatcherDef {
    name: "length",
    summary: "the answer's length is within bounds",
    arguments: "{min, max, unit: chars}; unit is chars (Unicode scalar values, white space included), words or \
                sentences (as Unicode segments text, UAX #29; those without a letter or digit do not count), or lines \
                (empty ones included, a line break at the very end starts none)",
    schema: r##"{"type": "object", "properties": {"min": {"type": "integer", "minimum": 0}, "max": {"type":
        "integer", "minimum": 0}, "unit": {"enum": ["chars", "words", "sentences", "lines"]}},
        "additionalProperties": false, "anyOf": [{"required": ["max"]}, {"required": ["min"], "properties":
        {"min": {"minimum": 1}}}]}"##,
    example: r#"{"length": {"max": 3, "unit": "sentences"}}"#,
    passes: Sample::Text("One. Two. Three."),
    fails: Sample::Text("One. Two. Three. Four."),
    refused: r#"{"length": {"min": 0}}"#,
    compile,
    constraint: constraint::length,
    ..MatcherDef::DEFAULT
};

#[derive(Clone, Copy, Debug)]
enum Unit {
    Chars,
    Words,
    Sentences,
    Lines,
}

const UNITS: [(&str, Unit); 4] =
    [("chars", Unit::Chars), ("words", Unit::Words), ("sentences", Unit::Sentences), ("lines", Unit::Lines)];

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of(args, &["min", "max", "unit"], "a map {min, max, unit}")?;
    let unit = fields.optional("unit", |value| choice(value, &UNITS)).unwrap_or(Unit::Chars);
    let bounds = Bounds::read(&mut fields);
    let bounds = fields.finish(bounds)?;
    Ok(Matcher::new(move |input| {
        let count = unit.count(&input.answer.text) as u64;
        let pass = bounds.hold(count);
        let not = if pass { "" } else { "not " };
        Ok(Score::binary(pass, format!("has {}, {not}{}", unit.describe(count), bounds.describe())))
    }))
}

impl Unit {
    fn count(self, text: &str) -> usize {
        match self {
            Unit::Chars => text.chars().count(),
            Unit::Words => text.unicode_words().count(),
            Unit::Sentences => text.unicode_sentences().count(),
            Unit::Lines => text.lines().count(),
        }
    }

    fn describe(self, n: u64) -> String {
        match self {
            Unit::Chars => counted(n, "character", "characters"),
            Unit::Words => counted(n, "word", "words"),
            Unit::Sentences => counted(n, "sentence", "sentences"),
            Unit::Lines => counted(n, "line", "lines"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, verdicts};
    use serde_json::{Value, json};

    fn length(min: u64, max: u64, unit: &str) -> Value {
        json!({"length": {"min": min, "max": max, "unit": unit}})
    }

    #[test]
    fn bounds_are_inclusive() {
        verdicts(
            json!({"length": {"min": 2, "max": 3}}),
            &[("a", false), ("ab", true), ("abc", true), ("abcd", false), ("äöü", true)],
        );
        verdicts(json!({"length": {"min": 2}}), &[("a", false), ("ab", true)]);
        verdicts(json!({"length": {"max": 0}}), &[("", true), ("a", false)]);
    }

    #[test]
    fn counts_the_unit() {
        verdicts(
            length(2, 2, "words"),
            &[("Hello, world!", true), ("can't stop", true), ("one", false), ("… — !", false)],
        );
        verdicts(
            length(2, 2, "sentences"),
            &[
                ("One. Two?", true),
                ("It costs 3.5 dollars. Yes!", true),
                ("One", false),
                ("One. !!! Two. Three.", false),
            ],
        );
        verdicts(
            length(3, 3, "lines"),
            &[("a\n\nb", true), ("a\r\nb\r\nc\r\n", true), ("a\nb", false), ("a\nb\nc\n\n", false)],
        );
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(length(2, 2, "words"), &["a b", "a"]), @r"
        has 2 words, exactly 2
        has 1 word, not exactly 2
        ");
        insta::assert_snapshot!(problems(&[
            json!({"length": 10}),
            json!({"length": {}}),
            json!({"length": {"unit": "word"}}),
            json!({"length": {"min": 5, "max": 2}}),
            json!({"length": {"min": -1}}),
            json!({"length": {"min": 0}}),
            json!({"length": {"max": "10"}}),
            json!({"length": {"maximum": 10}}),
        ]));
    }
}
