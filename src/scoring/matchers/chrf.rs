//! `chrf`: the answer shares runs of characters with a reference, as the Python package sacrebleu counts them: chrF2 with
//! runs of 1 to 6 characters, no runs of words, recall twice as important as precision, and white space removed.
//!
//! Source: M. Popović, "chrF: character n-gram F-score for automatic MT evaluation" (2015), as in sacrebleu's
//! `CHRF.sentence_score`. Lengths for which one of the texts is too short do not count. Of several references the nearest
//! counts.

use crate::domain::ArgProblem;
use crate::scoring::arguments::{Fields, Read};
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use crate::scoring::references::{MAX_CHARS_SUM, References, SHARED_RUNS, is_python_space, measurable};
use crate::scoring::sequences::{Runs, common_runs, runs};
use serde_json::Value;

pub(super) const CHRF: MatcherDef = MatcherDef {
    name: "chrf",
    summary: "the answer shares enough runs of characters with a reference; the score is chrF2, 0 to 1",
    arguments: "{to, min}, or {to_any: [\"a\", \"b\"], min} with up to 100 references, of which the nearest counts; \
                runs of 1 to 6 characters (Unicode scalar values) without white space, case counts; equal to chrF2 of \
                the Python package sacrebleu, divided by 100",
    example: r#"{"chrf": {"to": "Die Katze sitzt auf der Matte.", "min": 0.6}}"#,
    passes: Sample::Text("Eine Katze sitzt auf der Matte."),
    fails: Sample::Text("Der Hund schläft."),
    refused: r#"{"chrf": {"to": "Die Katze", "min": 60}}"#,
    compile,
    ..SHARED_RUNS
};

/// The longest run, in characters.
const ORDER: usize = 6;

/// How much more recall counts than precision.
const BETA: f64 = 2.0;

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of(args, &["to", "to_any", "min"], "a map {to, min}")?;
    let references = References::read(&mut fields, MAX_CHARS_SUM, "chrF score", |text| match characters(text) {
        none if none.is_empty() => Err(ArgProblem::new("the text has no characters, so every answer scores 0")),
        characters => Ok(characters),
    });
    let references = fields.finish(references)?;
    Ok(Matcher::new(move |input| {
        let answer = characters(measurable(&input.answer.text, MAX_CHARS_SUM, "chrF")?);
        let highest = chrf(&answer, &references.all).fold(0.0, f64::max);
        Ok(references.score("chrF", highest))
    }))
}

fn characters(text: &str) -> Vec<char> {
    text.chars().filter(|c| !is_python_space(*c)).collect()
}

/// The score of each reference. The answer is counted once.
fn chrf(answer: &[char], references: &[Vec<char>]) -> impl Iterator<Item = f64> {
    let runs_of_answer: Vec<Runs<'_, char>> = (1..=ORDER).map(|length| runs(answer, length)).collect();
    references.iter().map(move |reference| {
        let orders = ORDER.min(answer.len()).min(reference.len());
        let mut precision = 0.0;
        let mut recall = 0.0;
        for (length, runs_of_answer) in (1..=orders).zip(&runs_of_answer) {
            let common = common_runs(runs_of_answer, &runs(reference, length)) as f64;
            precision += common / (answer.len() + 1 - length) as f64;
            recall += common / (reference.len() + 1 - length) as f64;
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        precision /= orders as f64;
        recall /= orders as f64;
        let factor = BETA * BETA;
        (1.0 + factor) * precision * recall / (factor * precision + recall)
    })
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, scores};
    use serde_json::json;

    #[test]
    fn recall_counts_more_than_precision() {
        // Runs of 1 and 2 characters: the answer is half of the reference, and all of it is in there.
        let recall = (2.0 / 4.0 + 1.0 / 3.0) / 2.0;
        scores(
            json!({"chrf": {"to": "ab cd", "min": 0.5}}),
            &[
                ("a b", false, 5.0 * recall / (4.0 + recall)),
                ("abcd", true, 1.0),
                ("x", false, 0.0),
                (" \n", false, 0.0),
                ("", false, 0.0),
            ],
        );
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(json!({"chrf": {"to": "ab", "min": 0.6}}), &["ab", "a"]), @r#"
        its chrF to "ab" is 1.0000, at least 0.6
        its chrF to "ab" is 0.5556, less than 0.6
        "#);
        insta::assert_snapshot!(problems(&[
            json!({"chrf": 1}),
            json!({"chrf": {"to": "\u{1c}", "min": 0.5}}),
            json!({"chrf": {"to_any": ["a", "b".repeat(100_000)], "min": 0.5}}),
        ]), @"
        /chrf chrf: found a number
          expected: a map {to, min}
        /chrf/to chrf: the text has no characters, so every answer scores 0
        /chrf/to_any/1 chrf: the text has 100001 characters with the others before it
          expected: at most 100000 characters
        ");
    }
}
