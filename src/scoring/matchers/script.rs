//! `script`: the answer is written in a script, like Latin or Cyrillic.

use crate::domain::{ArgProblem, Score};
use crate::scoring::arguments::{Fields, Read, list, refuse, share, text, wrong};
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use crate::scoring::quote::{bounded, counted};
use serde_json::Value;
use unicode_script::{Script, UnicodeScript};

pub(super) const SCRIPT: MatcherDef = MatcherDef {
    name: "script",
    summary: "the letters of the answer are of this script; the score is the share that is",
    arguments: "\"Latin\", or {script, min: 1}, or {scripts: [\"Han\", \"Hiragana\", \"Katakana\"], min: 1}; min is \
                the least share of letters; scripts have their Unicode names (UAX #24), like Latin, Cyrillic, Greek, \
                Arabic, Hebrew, Devanagari, Thai, Han, Hangul; letters are alphabetic characters, those that several \
                scripts share count for each, those that all share for none; an answer without letters fails",
    schema: r##"{"anyOf": [{"$ref": "#/$defs/text"}, {"type": "object", "properties": {"script": {"$ref": "#/$defs/text"},
        "scripts": {"$ref": "#/$defs/texts"}, "min": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}},
        "oneOf": [{"required": ["script"]}, {"required": ["scripts"]}], "additionalProperties": false}]}"##,
    example: r#"{"script": {"script": "Cyrillic", "min": 0.9}}"#,
    passes: Sample::Text("Столица Франции — Париж."),
    fails: Sample::Text("The capital of France is Париж."),
    refused: r#"{"script": "Russian"}"#,
    schema_refuses: false,
    cost: "the answer's length times the number of scripts, each named once",
    takes_text: true,
    compile,
    ..MatcherDef::DEFAULT
};

struct InScript {
    scripts: Vec<Script>,
    min: f64,
}

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of_map_or_value(args, &["script", "scripts", "min"]);
    let scripts = match (fields.has("script"), fields.has("scripts")) {
        (true, true) => {
            fields.refuse(
                ArgProblem::new("`script` and `scripts` exclude each other")
                    .expected("one name in `script`, or several in `scripts`"),
            );
            None
        }
        (false, true) => fields.optional("scripts", scripts),
        (true | false, false) => fields
            .required("script", "the name of a script, like Latin, or several in `scripts`", script)
            .map(|script| vec![script]),
    };
    let min = fields.optional("min", |value| share(value, "a share")).unwrap_or(1.0);
    let in_script = InScript { scripts: fields.finish(scripts)?, min };
    Ok(Matcher::new(move |input| Ok(in_script.judge(&input.answer.text))))
}

fn scripts(value: &Value) -> Read<Vec<Script>> {
    let mut known = Vec::new();
    list(value, "a list of scripts, like [\"Han\", \"Hiragana\"]", "script", |item| {
        let script = script(item)?;
        if known.contains(&script) {
            return wrong(ArgProblem::new(format!("{} is listed twice", script.full_name())));
        }
        known.push(script);
        Ok(script)
    })
}

/// A script by its Unicode name, as it is written there.
fn script(value: &Value) -> Read<Script> {
    let name = text(value)?;
    match Script::from_full_name(name) {
        Some(Script::Common | Script::Inherited | Script::Unknown) => {
            refuse(format!("{name} is no script of its own"), "a script like Latin or Cyrillic")
        }
        Some(script) => Ok(script),
        None => {
            let problem = ArgProblem::new(format!("no script has the name `{}`", bounded(name, 40))).expected(
                "a Unicode script name like Latin, Cyrillic, Greek, Arabic, Hebrew, Devanagari, Thai, Han or Hangul",
            );
            wrong(problem.did_you_mean(name, COMMON_NAMES.split_whitespace()))
        }
    }
}

/// The scripts that a typing mistake is compared with: those that Unicode recommends for identifiers (UAX #31, table 5).
const COMMON_NAMES: &str = "Arabic Armenian Bengali Bopomofo Cyrillic Devanagari Ethiopic Georgian Greek Gujarati \
    Gurmukhi Han Hangul Hebrew Hiragana Kannada Katakana Khmer Lao Latin Malayalam Myanmar Oriya Sinhala Tamil Telugu \
    Thaana Thai Tibetan";

impl InScript {
    /// Counts a letter, `None` if it is of no script of its own.
    fn has(&self, letter: char) -> Option<bool> {
        let of = letter.script_extension();
        if of.is_common() || of.is_inherited() || of.is_empty() {
            return None;
        }
        Some(self.scripts.iter().any(|script| of.contains_script(*script)))
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.scripts.iter().map(|script| script.full_name()).collect();
        names.join(" or ")
    }

    fn judge(&self, text: &str) -> Score {
        let mut letters = 0_u64;
        let mut ours = 0_u64;
        let mut other = None;
        for c in text.chars().filter(|c| c.is_alphabetic()) {
            match self.has(c) {
                Some(true) => ours += 1,
                Some(false) => other = other.or(Some(c)),
                None => continue,
            }
            letters += 1;
        }
        if letters == 0 {
            return Score::binary(false, "has no letters");
        }
        let share = ours as f64 / letters as f64;
        let pass = share >= self.min;
        let is = if pass { "at least" } else { "less than" };
        let mut reason = format!(
            "{ours} of {} in {}, a share of {share:.4}, {is} {}",
            counted(letters, "letter is", "letters are"),
            self.names(),
            self.min
        );
        if let Some(other) = other {
            reason += &format!(" (the first other one is {other}, {})", other.script().full_name());
        }
        Score::new(share, pass, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::COMMON_NAMES;
    use crate::scoring::rules::testing::{problems, reasons, scores, verdicts};
    use serde_json::json;
    use unicode_script::Script;

    #[test]
    fn the_share_counts_letters_alone() {
        scores(
            json!({"script": {"script": "Cyrillic", "min": 0.75}}),
            &[
                ("Мир, 3 × 4!", true, 1.0),
                ("Мирx", true, 0.75),
                ("Миxx", false, 0.5),
                ("123 — !", false, 0.0),
                ("", false, 0.0),
            ],
        );
        verdicts(
            json!({"script": "Latin"}),
            &[("Straße, café, ﬁn", true), ("Cafe\u{301}", true), ("naïve мир", false)],
        );
    }

    #[test]
    fn several_scripts_and_shared_letters() {
        verdicts(
            json!({"script": {"scripts": ["Han", "Hiragana", "Katakana"]}}),
            &[("東京タワーへ行く。", true), ("東京 Tower", false)],
        );
        // The long vowel mark is shared by both kinds of kana.
        verdicts(json!({"script": "Katakana"}), &[("タワー", true), ("たわー", false)]);
        verdicts(json!({"script": "Han"}), &[("你好", true), ("こんにちは", false)]);
    }

    #[test]
    fn the_names_are_known() {
        for name in COMMON_NAMES.split_whitespace() {
            assert!(Script::from_full_name(name).is_some_and(Script::is_recommended), "{name}");
        }
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(json!({"script": {"script": "Latin", "min": 0.5}}), &["abc", "aбв", "1"]), @"
        3 of 3 letters are in Latin, a share of 1.0000, at least 0.5
        1 of 3 letters are in Latin, a share of 0.3333, less than 0.5 (the first other one is б, Cyrillic)
        has no letters
        ");
        insta::assert_snapshot!(problems(&[
            json!({"script": 1}),
            json!({"script": ""}),
            json!({"script": "latin"}),
            json!({"script": "Common"}),
            json!({"script": {}}),
            json!({"script": {"scripts": [], "min": 0}}),
            json!({"script": {"scripts": ["Han", "Han", "Klingon"], "min": 90}}),
            json!({"script": {"scripts": ["Han"], "script": "Latin"}}),
        ]));
    }
}
