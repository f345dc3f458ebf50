//! `similarity`: the answer is nearly this text.
//!
//! The metrics are those of the Python package rapidfuzz, over Unicode scalar values, without preprocessing:
//! `Levenshtein.normalized_similarity` (every edit costs 1), `JaroWinkler.similarity` (prefix weight 0.1, from 0.7) and
//! `fuzz.token_set_ratio` / 100. White space is Unicode's, with the information separators, in every text; the compiled
//! rapidfuzz, unlike the one in Python, leaves out U+0085 and U+00A0 in a text of Latin-1 alone.

use crate::domain::{ArgProblem, Score};
use crate::scoring::arguments::{Fields, Read, choice};
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::{MatchError, Matcher};
use crate::scoring::references::{MAX_CHARS_PRODUCT, References, is_python_space, measurable};
use crate::scoring::sequences::{common_subsequence, edit_distance};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) const SIMILARITY: MatcherDef = MatcherDef {
    name: "similarity",
    summary: "the answer is this text but for small edits; the score is the similarity, 0 to 1",
    arguments: "{to, min, metric: levenshtein}, or {to_any: [\"a\", \"b\"], ..} with up to 100 references, of which \
                the nearest counts; levenshtein is 1 - edits / length of the longer text, jaro_winkler favours a \
                common start, token_set compares the words that only one text has with those that both have, and is 1 \
                if one text has all words of the other; over characters (Unicode scalar values); equal to \
                `Levenshtein.normalized_similarity`, `JaroWinkler.similarity` and `token_set_ratio` / 100 of the \
                Python package rapidfuzz",
    schema: r##"{"type": "object", "properties": {"to": {"$ref": "#/$defs/text"}, "to_any": {"$ref": "#/$defs/texts"},
        "min": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "metric": {"enum": ["levenshtein", "jaro_winkler", "token_set"]}},
        "oneOf": [{"required": ["to", "min"]}, {"required": ["to_any", "min"]}], "additionalProperties": false}"##,
    example: r#"{"similarity": {"to": "The capital of France is Paris.", "min": 0.8}}"#,
    passes: Sample::Text("The capital of France is Paris!"),
    fails: Sample::Text("I do not know."),
    refused: r#"{"similarity": {"to": "Paris"}}"#,
    cost: "the product of both lengths, at most 10000 characters in the answer, and in all references together; a \
           longer answer fails, or can't be judged",
    compile,
    ..MatcherDef::DEFAULT
};

#[derive(Clone, Copy, Debug)]
enum Metric {
    Levenshtein,
    JaroWinkler,
    TokenSet,
}

struct Similarity {
    references: References<Vec<char>>,
    metric: Metric,
}

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let metrics =
        [("levenshtein", Metric::Levenshtein), ("jaro_winkler", Metric::JaroWinkler), ("token_set", Metric::TokenSet)];
    let mut fields = Fields::of(args, &["to", "to_any", "min", "metric"], "a map {to, min, metric}")?;
    let references = References::read(&mut fields, MAX_CHARS_PRODUCT, "similarity", |text| {
        let reference: Vec<char> = text.chars().collect();
        if words(&reference).is_empty() {
            return Err(ArgProblem::new("the text has no words").expected("a text with at least one visible character"));
        }
        Ok(reference)
    });
    let metric = fields.optional("metric", |value| choice(value, &metrics)).unwrap_or(Metric::Levenshtein);
    let similarity = Similarity { references: fields.finish(references)?, metric };
    Ok(Matcher::new(move |input| similarity.check(&input.answer.text)))
}

impl Metric {
    fn measure(self, a: &Vec<char>, b: &Vec<char>) -> f64 {
        match self {
            Metric::Levenshtein => levenshtein(a, b),
            Metric::JaroWinkler => strsim::generic_jaro_winkler(a, b),
            Metric::TokenSet => token_set(a, b),
        }
    }

    /// The most that texts of these lengths can reach.
    fn at_most(self, a: usize, b: usize) -> f64 {
        let ratio = a.min(b) as f64 / a.max(b).max(1) as f64;
        match self {
            Metric::Levenshtein => ratio,
            Metric::JaroWinkler => {
                let jaro = (2.0 + ratio) / 3.0;
                jaro + 0.4 * (1.0 - jaro)
            }
            Metric::TokenSet => 1.0,
        }
    }
}

pub(super) fn levenshtein(a: &[char], b: &[char]) -> f64 {
    let longest = a.len().max(b.len());
    if longest == 0 {
        return 1.0;
    }
    let distance = edit_distance(a, b);
    // One division of whole numbers: 1 - 0.9 would not be the 0.1 that a user writes.
    (longest - distance) as f64 / longest as f64
}

/// The different words of a text, in the order of their code points.
fn words(text: &[char]) -> BTreeSet<&[char]> {
    let words = text.split(|c| is_python_space(*c));
    words.filter(|word| !word.is_empty()).collect()
}

/// The token set ratio: the nearest two of the common words, these with the words that only `a` has, and these with the
/// words that only `b` has. How near two texts are is their common subsequence, twice, by their lengths together.
fn token_set(a: &[char], b: &[char]) -> f64 {
    let (a, b) = (words(a), words(b));
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let common: Vec<&[char]> = a.intersection(&b).copied().collect();
    let only_a: Vec<&[char]> = a.difference(&b).copied().collect();
    let only_b: Vec<&[char]> = b.difference(&a).copied().collect();
    if !common.is_empty() && (only_a.is_empty() || only_b.is_empty()) {
        return 1.0;
    }
    let only_a = only_a.join(&' ');
    let only_b = only_b.join(&' ');
    let common = common.join(&' ').len();
    let joint = common + usize::from(common > 0);
    let (with_a, with_b) = (joint + only_a.len(), joint + only_b.len());
    let near = |alike: usize, together: usize| 2.0 * alike as f64 / together as f64;
    let both = near(joint + common_subsequence(&only_a, &only_b), with_a + with_b);
    if common == 0 {
        return both;
    }
    both.max(near(common, common + with_a)).max(near(common, common + with_b))
}

impl Similarity {
    fn check(&self, text: &str) -> Result<Score, MatchError> {
        if let Err(too_long) = measurable(text, MAX_CHARS_PRODUCT, "similarity") {
            // Too long to measure, but perhaps long enough to be sure.
            let length = text.chars().count();
            let most = |reference: &Vec<char>| self.metric.at_most(reference.len(), length);
            if !self.references.may_pass(most) {
                let reason = format!("has {length} characters, too many for a similarity of {}", self.references.min());
                return Ok(Score::binary(false, reason));
            }
            return Err(too_long);
        }
        let answer = text.chars().collect();
        let measure = |reference| self.metric.measure(&answer, reference);
        let highest = self.references.all.iter().map(measure).fold(0.0, f64::max);
        Ok(self.references.score("similarity", highest))
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{answer_text, compiled, problems, reasons, scores, verdicts};
    use serde_json::{Value, json};

    fn similarity(to: &str, min: f64, metric: &str) -> Value {
        json!({"similarity": {"to": to, "min": min, "metric": metric}})
    }

    #[test]
    fn the_score_is_the_ratio() {
        scores(
            json!({"similarity": {"to": "kitten", "min": 0.57}}),
            &[("kitten", true, 1.0), ("sitting", true, 4.0 / 7.0), ("dog", false, 0.0), ("", false, 0.0)],
        );
        scores(
            similarity("MARTHA", 0.96, "jaro_winkler"),
            &[("MARTHA", true, 1.0), ("MARHTA", true, 173.0 / 180.0), ("XYZ", false, 0.0)],
        );
    }

    #[test]
    fn token_sets_overlook_order_and_repeats() {
        scores(
            similarity("fuzzy was a bear but not a cat", 0.9, "token_set"),
            &[
                ("a a fuzzy  bear", true, 1.0),
                ("fuzzy was a bear but not a dog", true, 1.0 - 4.0 / 52.0),
                ("x", false, 0.0),
                (" ", false, 0.0),
            ],
        );
    }

    #[test]
    fn the_threshold_is_inclusive() {
        verdicts(similarity("abcdefghij", 0.1, "levenshtein"), &[("axxxxxxxxx", true), ("xxxxxxxxxx", false)]);
        verdicts(similarity("äöü", 1.0, "levenshtein"), &[("äöü", true), ("äöu", false)]);
    }

    #[test]
    fn long_answers_are_never_measured() {
        let long = "a".repeat(10_001);
        let judge = |check: Value| compiled(check).check(&answer_text(&long).input());
        let sure = judge(similarity("a", 0.5, "levenshtein")).unwrap();
        assert_eq!((sure.pass, sure.value()), (false, 0.0));
        let unsure = judge(similarity("a", 0.00001, "levenshtein")).unwrap_err();
        assert_eq!(unsure.reason, "has 10001 characters, and similarity compares at most 10000");
        assert!(judge(similarity("a", 0.79, "jaro_winkler")).is_err());
        assert!(!judge(similarity("a", 0.9, "jaro_winkler")).unwrap().pass);
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(similarity("kitten", 0.6, "levenshtein"), &["kitten", "sitting"]), @r#"
        its similarity to "kitten" is 1.0000, at least 0.6
        its similarity to "kitten" is 0.5714, less than 0.6
        "#);
        insta::assert_snapshot!(problems(&[
            json!({"similarity": "a"}),
            json!({"similarity": {}}),
            json!({"similarity": {"to": "a"}}),
            json!({"similarity": {"to": "", "min": 0}}),
            json!({"similarity": {"to": "a", "min": 80, "metric": "levenstein"}}),
            json!({"similarity": {"to": "a".repeat(10_001), "min": "0.8"}}),
        ]));
    }
}
