//! `rouge`: the answer shares words with a reference, as the Python package rouge-score counts them.
//!
//! Its tokens are the runs of `a`-`z` and `0`-`9` of the text in lower case, without stemming, or the stems of the words of
//! all scripts, as Google's Agent Development Kit counts them. F1 is the harmonic mean of precision and recall. Of several
//! references the nearest counts (`score_multi`).

use crate::domain::ArgProblem;
use crate::scoring::arguments::{Fields, Read, choice};
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use crate::scoring::quote::counted;
use crate::scoring::references::{MAX_CHARS_PRODUCT, MAX_CHARS_SUM, References, measurable};
use crate::scoring::sequences::{common_runs, common_subsequence, runs};
use crate::scoring::stems::stem;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

pub(super) const ROUGE: MatcherDef = MatcherDef {
    name: "rouge",
    summary: "the answer shares enough words with a reference; the score is the F1 of ROUGE, 0 to 1",
    arguments: "{to, min, metric: rougeL, words: ascii}, or {to_any: [\"a\", \"b\"], ..} with up to 100 references, of \
                which the nearest counts; metric is rouge1 (words), rouge2 (pairs of words) or rougeL (longest common \
                subsequence of words); words are ascii (runs of a-z and 0-9 in lower case, so texts in other scripts \
                have none; equal to the Python package rouge-score, `use_stemmer=False`) or stems (words of all \
                scripts in NFKC and lower case, Chinese, Japanese and Korean ones a character each, and of ASCII words \
                the stem; with rouge1 equal to `response_match_score` of Google's Agent Development Kit)",
    schema: r##"{"type": "object", "properties": {"to": {"$ref": "#/$defs/text"}, "to_any": {"$ref": "#/$defs/texts"},
        "min": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "metric": {"enum": ["rouge1", "rouge2", "rougeL"]},
        "words": {"enum": ["ascii", "stems"]}},
        "oneOf": [{"required": ["to", "min"]}, {"required": ["to_any", "min"]}], "additionalProperties": false}"##,
    example: r#"{"rouge": {"to": "The cat sat on the mat.", "min": 0.6, "metric": "rougeL"}}"#,
    passes: Sample::Text("A cat sat on a mat."),
    fails: Sample::Text("On the mat, a dog lay."),
    refused: r#"{"rouge": {"to": "Кошка сидит.", "min": 0.6}}"#,
    schema_refuses: false,
    cost: "at most 100000 characters in the answer, and in all references together for rouge1 and rouge2, linear in \
           both; at most 10000 for rougeL, the product of their words; a longer answer can't be judged",
    compile,
    ..MatcherDef::DEFAULT
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    /// Runs of this many words.
    Runs(usize),
    Subsequence,
}

const METRICS: [(&str, Metric); 3] =
    [("rouge1", Metric::Runs(1)), ("rouge2", Metric::Runs(2)), ("rougeL", Metric::Subsequence)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    Ascii,
    Stems,
}

const WORDS: [(&str, Words); 2] = [("ascii", Words::Ascii), ("stems", Words::Stems)];

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of(args, &["to", "to_any", "min", "metric", "words"], "a map {to, min, metric}")?;
    let metric = fields.optional("metric", |value| choice(value, &METRICS)).unwrap_or(Metric::Subsequence);
    let kind = fields.optional("words", |value| choice(value, &WORDS)).unwrap_or(Words::Ascii);
    let references = References::read(&mut fields, metric.max_chars(), "ROUGE score", |text| {
        let words = kind.of(text);
        if words.len() < metric.least_words() {
            let problem = ArgProblem::new(format!(
                "the text has {}{}, so every answer scores 0",
                counted(words.len() as u64, "word", "words"),
                kind.letters()
            ))
            .expected(format!("at least {}", counted(metric.least_words() as u64, "word", "words")));
            return Err(match kind {
                Words::Ascii => problem.hint("for other scripts, use `chrf`"),
                Words::Stems => problem,
            });
        }
        Ok(words)
    });
    let references = fields.finish(references)?;
    Ok(Matcher::new(move |input| {
        let answer = kind.of(measurable(&input.answer.text, metric.max_chars(), metric.name())?);
        let highest = metric.highest_f1(&answer, &references.all);
        Ok(references.score(metric.name(), highest))
    }))
}

impl Words {
    fn letters(self) -> &'static str {
        match self {
            Words::Ascii => " of the letters a-z and digits",
            Words::Stems => "",
        }
    }

    fn of(self, text: &str) -> Vec<String> {
        match self {
            Words::Ascii => ascii_words(text),
            Words::Stems => stems(text),
        }
    }
}

/// The tokens of `rouge_score.tokenize`.
fn ascii_words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit()))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The tokens of the kit's `response_match_score`.
fn stems(text: &str) -> Vec<String> {
    let text = text.nfkc().collect::<String>().to_lowercase();
    let mut spaced = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Ideographs, kana and hangul: a word each.
            '\u{4e00}'..='\u{9fff}' | '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7af}' => spaced.extend([' ', c, ' ']),
            // Thai, Lao, Burmese and Khmer, written without spaces: a word begins with each character but marks.
            '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' if !is_combining_mark(c) => {
                spaced.extend([' ', c]);
            }
            c if is_combining_mark(c) || is_python_alphanumeric(c) => spaced.push(c),
            _ => spaced.push(' '),
        }
    }
    // Shorter words are their own stems for rouge-score.
    const LEAST_STEMMED: usize = 4;
    spaced
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| match word.is_ascii() && word.len() >= LEAST_STEMMED {
            true => stem(word),
            false => word.to_owned(),
        })
        .collect()
}

/// Letters and numbers. Unicode takes letters in circles and squares for alphabetic too; Python goes by the category, in
/// which they are symbols.
fn is_python_alphanumeric(c: char) -> bool {
    c.is_alphanumeric() && !('\u{1f130}'..='\u{1f189}').contains(&c)
}

impl Metric {
    fn name(self) -> &'static str {
        METRICS.iter().find(|(_, metric)| *metric == self).map_or("rouge", |(name, _)| name)
    }

    fn max_chars(self) -> usize {
        match self {
            Metric::Runs(_) => MAX_CHARS_SUM,
            Metric::Subsequence => MAX_CHARS_PRODUCT,
        }
    }

    fn least_words(self) -> usize {
        match self {
            Metric::Runs(length) => length,
            Metric::Subsequence => 1,
        }
    }

    /// The highest F1. Of precision c / a and recall c / b it is 2 c / (a + b), where a and b count what the texts have, and
    /// c what they have in common.
    fn highest_f1(self, answer: &[String], references: &[Vec<String>]) -> f64 {
        let f1 = |common: usize, all: usize| {
            if common == 0 { 0.0 } else { 2.0 * common as f64 / all as f64 }
        };
        match self {
            Metric::Subsequence => {
                let common = |reference: &Vec<String>| common_subsequence(reference, answer);
                let scores = references.iter().map(|reference| f1(common(reference), answer.len() + reference.len()));
                scores.fold(0.0, f64::max)
            }
            Metric::Runs(length) => {
                let runs_of_answer = runs(answer, length);
                let common = |reference: &[String]| common_runs(&runs_of_answer, &runs(reference, length));
                let count = |words: &[String]| (words.len() + 1).saturating_sub(length);
                let scores = references.iter().map(|reference| f1(common(reference), count(answer) + count(reference)));
                scores.fold(0.0, f64::max)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, scores};
    use serde_json::{Value, json};

    fn rouge(to: &str, min: f64, metric: &str) -> Value {
        json!({"rouge": {"to": to, "min": min, "metric": metric}})
    }

    #[test]
    fn counts_words_pairs_and_the_common_subsequence() {
        let to = "The quick brown fox";
        scores(
            rouge(to, 0.5, "rouge1"),
            &[
                ("the QUICK, fox!", true, 6.0 / 7.0),
                ("fox brown quick the", true, 1.0),
                ("the the the the", false, 0.25),
                ("", false, 0.0),
                ("быстрая лиса", false, 0.0),
            ],
        );
        scores(
            rouge(to, 0.5, "rouge2"),
            &[("the quick fox", false, 0.4), ("the quick brown fox", true, 1.0), ("fox", false, 0.0)],
        );
        scores(rouge(to, 0.5, "rougeL"), &[("fox brown quick the", false, 0.25), ("a quick red fox", true, 0.5)]);
    }

    #[test]
    fn words_of_all_scripts_and_stems() {
        let table = [
            ("This is a test reference.", "This is a test candidate response.", 8.0 / 11.0),
            ("你好世界", "你好世界 朋友", 0.8),
            ("cafe costs 1000.50", "Café costs $1,000.50", 4.0 / 9.0),
            ("refunding orders", "Refunded order", 1.0),
            ("dying", "die", 1.0),
            ("dont", "don't", 0.0),
            ("กา", "กา มา", 2.0 / 3.0),
            ("hindi हिन्दी", "हिन्दी", 2.0 / 3.0),
            ("x²", "x2", 1.0),
            ("a \u{1f150}", "a", 1.0),
        ];
        for (to, answer, score) in table {
            let check = json!({"rouge": {"to": to, "min": 0.5, "metric": "rouge1", "words": "stems"}});
            scores(check, &[(answer, score >= 0.5, score)]);
        }
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(rouge("a b", 0.6, "rouge1"), &["a b", "a c"]), @r#"
        its rouge1 to "a b" is 1.0000, at least 0.6
        its rouge1 to "a b" is 0.5000, less than 0.6
        "#);
        insta::assert_snapshot!(problems(&[
            json!({"rouge": "a"}),
            json!({"rouge": {}}),
            json!({"rouge": {"to": "a", "to_any": ["b"], "min": 0.5}}),
            json!({"rouge": {"to_any": [], "min": 45}}),
            json!({"rouge": {"to_any": ["a", "", "!?"], "min": 0}}),
            json!({"rouge": {"to": "one", "min": 0.5, "metric": "rouge2"}}),
            json!({"rouge": {"to": "one", "min": 0.5, "metric": "rouge3"}}),
            json!({"rouge": {"to": "?!", "min": 0.5, "words": "stems"}}),
            json!({"rouge": {"to": "one", "min": 0.5, "words": "stem"}}),
            json!({"rouge": {"to": "a".repeat(10_001), "min": 0.5}}),
        ]));
    }
}
