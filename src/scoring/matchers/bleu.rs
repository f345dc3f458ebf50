//! `bleu`: the answer shares runs of words with a reference, as the Python package sacrebleu counts them: sentence BLEU
//! with the tokens of mteval-v13a, runs of 1 to 4 tokens, exponential smoothing, and only the lengths that the answer has
//! (`sentence_bleu` with its defaults).
//!
//! Source: K. Papineni et al., "BLEU: a method for automatic evaluation of machine translation" (2002); smoothing is method
//! 3 of B. Chen and C. Cherry, "A systematic comparison of smoothing techniques for sentence-level BLEU" (2014).

use crate::domain::ArgProblem;
use crate::scoring::arguments::{Fields, Read};
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use crate::scoring::references::{MAX_CHARS_SUM, References, SHARED_RUNS, is_python_space, measurable};
use crate::scoring::sequences::{Runs, common_runs, runs};
use serde_json::Value;

pub(super) const BLEU: MatcherDef = MatcherDef {
    name: "bleu",
    summary: "the answer shares enough runs of words with a reference; the score is sentence BLEU, 0 to 1",
    arguments: "{to, min}, or {to_any: [\"a\", \"b\"], min} with up to 100 references, which share their runs, as \
                BLEU has it; case counts; equal to `sentence_bleu` of the Python package sacrebleu (tokenizer 13a, \
                exponential smoothing, effective order), divided by 100; words are split at white space and ASCII \
                punctuation, so texts without spaces are one word",
    example: r#"{"bleu": {"to_any": ["The cat sat on the mat.", "A cat was on the mat."], "min": 0.5}}"#,
    passes: Sample::Text("The cat was on the mat."),
    fails: Sample::Text("Dogs bark."),
    refused: r#"{"bleu": {"to_any": [], "min": 0.5}}"#,
    compile,
    ..SHARED_RUNS
};

/// The longest run, in tokens.
const ORDER: usize = 4;

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of(args, &["to", "to_any", "min"], "a map {to, min}")?;
    let references = References::read(&mut fields, MAX_CHARS_SUM, "BLEU score", |text| match tokens(text) {
        none if none.is_empty() => Err(ArgProblem::new("the text has no words, so every answer scores 0")),
        tokens => Ok(tokens),
    });
    let references = fields.finish(references)?;
    Ok(Matcher::new(move |input| {
        let answer = tokens(measurable(&input.answer.text, MAX_CHARS_SUM, "BLEU")?);
        Ok(references.score("BLEU", bleu(&answer, &references.all)))
    }))
}

/// The tokens of sacrebleu's `Tokenizer13a`.
fn tokens(text: &str) -> Vec<String> {
    let mut line =
        text.trim_end_matches(is_python_space).replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (entity, plain) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        line = line.replace(entity, plain);
    }
    let line: Vec<char> = format!(" {line} ").chars().collect();
    let line = spaced_punctuation(&line);
    // Points and commas are tokens of their own, unless between digits; so is a dash after a digit.
    let line = pairs(&line, |c| !c.is_ascii_digit(), is_point, |out, a, b| out.extend([a, ' ', b, ' ']));
    let line = pairs(&line, is_point, |c| !c.is_ascii_digit(), |out, a, b| out.extend([' ', a, ' ', b]));
    let line = pairs(&line, |c| c.is_ascii_digit(), |c| c == '-', |out, a, b| out.extend([a, ' ', b, ' ']));
    line.split(|c| is_python_space(*c)).filter(|token| !token.is_empty()).map(|token| token.iter().collect()).collect()
}

fn is_point(c: char) -> bool {
    matches!(c, '.' | ',')
}

/// Each ASCII punctuation mark but `'`, `-`, `.` and `,` as a token of its own.
fn spaced_punctuation(line: &[char]) -> Vec<char> {
    let mut out = Vec::with_capacity(line.len());
    for &c in line {
        if matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/') {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Replaces two characters in a row, from the left, without overlap: what `re.sub` does with a pattern of two.
fn pairs(
    line: &[char],
    first: impl Fn(char) -> bool,
    second: impl Fn(char) -> bool,
    replace: impl Fn(&mut Vec<char>, char, char),
) -> Vec<char> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&a, after)) = rest.split_first() {
        rest = match after.split_first() {
            Some((&b, after)) if first(a) && second(b) => {
                replace(&mut out, a, b);
                after
            }
            _ => {
                out.push(a);
                after
            }
        };
    }
    out
}

fn bleu(answer: &[String], references: &[Vec<String>]) -> f64 {
    let lengths: Vec<usize> = (1..=ORDER.min(answer.len())).collect();
    let shared: Vec<usize> = lengths.iter().map(|length| shared(answer, references, *length)).collect();
    if shared.iter().all(|shared| *shared == 0) {
        return 0.0;
    }
    let mut smoothing = 1.0;
    let mut logs = 0.0;
    for (length, shared) in lengths.iter().zip(&shared) {
        let all = (answer.len() + 1 - length) as f64;
        let precision = if *shared == 0 {
            smoothing *= 2.0;
            1.0 / (smoothing * all)
        } else {
            *shared as f64 / all
        };
        logs += precision.ln();
    }
    brevity(answer.len(), references) * (logs / lengths.len() as f64).exp()
}

/// How many runs of the answer stand in the references; a run counts as often as in the one that has it most often.
fn shared(answer: &[String], references: &[Vec<String>], length: usize) -> usize {
    let mut most: Runs<'_, String> = Runs::new();
    for reference in references {
        for (run, count) in runs(reference, length) {
            let most = most.entry(run).or_default();
            *most = count.max(*most);
        }
    }
    common_runs(&most, &runs(answer, length))
}

/// The penalty of an answer shorter than the reference that is nearest in length, the shorter one if two are.
fn brevity(answer: usize, references: &[Vec<String>]) -> f64 {
    let lengths = references.iter().map(Vec::len);
    let nearest = lengths.min_by_key(|length| (length.abs_diff(answer), *length)).unwrap_or(0);
    if answer >= nearest { 1.0 } else { (1.0 - nearest as f64 / answer as f64).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::rules::testing::{problems, reasons, scores};
    use serde_json::json;

    #[test]
    fn tokens_are_those_of_13a() {
        let table = [
            ("Hello, world!", "Hello , world !"),
            ("3.14 is 1,000. It's well-known.", "3.14 is 1,000 . It's well-known ."),
            ("1990-2000", "1990 - 2000"),
            ("&quot;a&amp;lt;b&quot;", "\" a < b \""),
            ("wait... what", "wait . . . what"),
            ("cut-\nting\nhere", "cutting here"),
            ("a<skipped>b", "ab"),
            ("«ß»、好。", "«ß»、好。"),
            ("a\u{1c}b", "a b"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(tokens(text).join(" "), expected, "{text:?}");
        }
    }

    #[test]
    fn the_same_text_is_1_and_nothing_in_common_is_0() {
        scores(
            json!({"bleu": {"to": "The cat sat on the mat.", "min": 1}}),
            &[("The cat sat on the mat.", true, 1.0), ("Dogs", false, 0.0), ("", false, 0.0)],
        );
        scores(json!({"bleu": {"to": "Yes", "min": 1}}), &[("Yes", true, 1.0), ("yes", false, 0.0)]);
    }

    #[test]
    fn reasons_and_problems() {
        let check = json!({"bleu": {"to_any": ["a b c", "a b"], "min": 0.6}});
        insta::assert_snapshot!(reasons(check, &["a b", "a c"]), @"
        its BLEU to the nearest of 2 texts is 1.0000, at least 0.6
        its BLEU to the nearest of 2 texts is 0.7071, at least 0.6
        ");
        insta::assert_snapshot!(problems(&[
            json!({"bleu": ["a"]}),
            json!({"bleu": {"min": 0.5}}),
            json!({"bleu": {"to": "<skipped>", "min": 45}}),
            json!({"bleu": {"to_any": ["a", 1], "min": 0.5, "smooth": "exp"}}),
        ]));
    }
}
