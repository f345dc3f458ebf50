//! `similarity`: the answer is nearly this text.

use crate::model::{ArgProblem, Score};
use crate::score::arguments::{Fields, Read, choice, needle, not_a, number, wrong};
use crate::score::matcher::{CannotJudge, Compile, Matcher, MatcherDef, Sample, Seen};
use crate::score::quote::quote;
use serde_json::Value;

pub(super) const SIMILARITY: MatcherDef = MatcherDef {
    name: "similarity",
    summary: "the answer is this text but for small edits; the score is the similarity, 0 to 1",
    arguments: "{to, min, metric: levenshtein}; levenshtein is 1 - edits / length of the longer text, jaro_winkler \
                favours a common start; over characters (Unicode scalar values), at most 10000 on each side",
    schema: r##"{"type": "object", "properties": {"to": {"$ref": "#/$defs/text"}, "min": {"type": "number",
        "exclusiveMinimum": 0, "maximum": 1}, "metric": {"enum": ["levenshtein", "jaro_winkler"]}},
        "required": ["to", "min"], "additionalProperties": false}"##,
    example: r#"{"similarity": {"to": "The capital of France is Paris.", "min": 0.8}}"#,
    passes: Sample::Text("The capital of France is Paris!"),
    fails: Sample::Text("I do not know."),
    refused: r#"{"similarity": {"to": "Paris"}}"#,
    cost: "the product of both lengths, at most 10000 characters each; a longer answer fails, or can't be judged",
    takes_text: false,
    combines: false,
    inline: None,
    compile,
};

/// The longest texts that are compared, in characters: the time grows with the product of both lengths.
const MAX_CHARS: usize = 10_000;

#[derive(Clone, Copy, Debug)]
enum Metric {
    Levenshtein,
    JaroWinkler,
}

#[derive(Debug)]
struct Similarity {
    to: Vec<char>,
    min: f64,
    metric: Metric,
}

fn compile(args: &Value, _: &Compile<'_>) -> Result<Box<dyn Matcher>, Vec<ArgProblem>> {
    let Some(map) = args.as_object() else {
        return wrong(not_a("a map {to, min, metric}", args));
    };
    let metrics = [
        ("levenshtein", Metric::Levenshtein),
        ("jaro_winkler", Metric::JaroWinkler),
    ];
    let mut fields = Fields::new(map, &["to", "min", "metric"]);
    let to = fields.required("to", "the text to compare with", reference);
    let min = fields.required("min", "the least similarity that passes, like 0.8", threshold);
    let metric = fields
        .optional("metric", |value| choice(value, &metrics))
        .unwrap_or(Metric::Levenshtein);
    let (to, min) = fields.finish(to.zip(min))?;
    Ok(Box::new(Similarity { to, min, metric }))
}

fn reference(value: &Value) -> Read<Vec<char>> {
    let to: Vec<char> = needle(value)?.chars().collect();
    if to.len() > MAX_CHARS {
        return wrong(
            ArgProblem::new(format!("the text has {} characters", to.len()))
                .expected(format!("at most {MAX_CHARS} characters")),
        );
    }
    Ok(to)
}

fn threshold(value: &Value) -> Read<f64> {
    let min = number(value)?;
    if min <= 0.0 || min > 1.0 {
        let problem = ArgProblem::new(format!("{value} is not a similarity that can decide"));
        return wrong(problem.expected("more than 0 and at most 1, like 0.8"));
    }
    Ok(min)
}

impl Metric {
    fn measure(self, a: &Vec<char>, b: &Vec<char>) -> f64 {
        match self {
            Metric::Levenshtein => {
                let longest = a.len().max(b.len());
                if longest == 0 {
                    return 1.0;
                }
                let distance = strsim::generic_levenshtein(a, b);
                // One division of whole numbers: 1 - 0.9 would not be the 0.1 that a user writes.
                (longest - distance) as f64 / longest as f64
            }
            Metric::JaroWinkler => strsim::generic_jaro_winkler(a, b),
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
        }
    }
}

impl Matcher for Similarity {
    fn check(&self, seen: &Seen<'_>) -> Result<Score, CannotJudge> {
        let length = seen.answer.text.chars().count();
        if length > MAX_CHARS {
            // Too long to measure, but perhaps long enough to be sure.
            let most = self.metric.at_most(self.to.len(), length);
            if most < self.min {
                let reason = format!("has {length} characters, too many for a similarity of {}", self.min);
                return Ok(Score::binary(false, reason));
            }
            return Err(CannotJudge::new(format!(
                "has {length} characters, and similarity compares at most {MAX_CHARS}"
            )));
        }
        let similarity = self.metric.measure(&seen.answer.text.chars().collect(), &self.to);
        let pass = similarity >= self.min;
        let is = if pass { "at least" } else { "less than" };
        let to = quote(&self.to.iter().take(100).collect::<String>());
        Ok(Score::new(
            similarity,
            pass,
            format!("its similarity to {to} is {similarity:.4}, {is} {}", self.min),
        ))
    }
}

#[cfg(test)]
mod tests {
    use crate::score::rules::testing::{answer_text, compiled, problems, reasons, scores, verdicts};
    use serde_json::{Value, json};

    fn similarity(to: &str, min: f64, metric: &str) -> Value {
        json!({"similarity": {"to": to, "min": min, "metric": metric}})
    }

    #[test]
    fn the_score_is_the_ratio() {
        scores(
            json!({"similarity": {"to": "kitten", "min": 0.57}}),
            &[
                ("kitten", true, 1.0),
                ("sitting", true, 4.0 / 7.0),
                ("dog", false, 0.0),
                ("", false, 0.0),
            ],
        );
        scores(
            similarity("MARTHA", 0.96, "jaro_winkler"),
            &[
                ("MARTHA", true, 1.0),
                ("MARHTA", true, 173.0 / 180.0),
                ("XYZ", false, 0.0),
            ],
        );
    }

    #[test]
    fn the_threshold_is_inclusive() {
        verdicts(
            similarity("abcdefghij", 0.1, "levenshtein"),
            &[("axxxxxxxxx", true), ("xxxxxxxxxx", false)],
        );
        verdicts(similarity("äöü", 1.0, "levenshtein"), &[("äöü", true), ("äöu", false)]);
    }

    #[test]
    fn long_answers_are_never_measured() {
        let long = "a".repeat(10_001);
        let judge = |check: Value| compiled(check).check(&answer_text(&long).seen());
        let sure = judge(similarity("a", 0.5, "levenshtein")).unwrap();
        assert_eq!((sure.pass, sure.value()), (false, 0.0));
        let unsure = judge(similarity("a", 0.00001, "levenshtein")).unwrap_err();
        assert_eq!(
            unsure.reason,
            "has 10001 characters, and similarity compares at most 10000"
        );
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
        ]), @r#"
        /similarity similarity: a text stands here
          expected: a map {to, min, metric}
        /similarity similarity: `to` is missing
          expected: the text to compare with
        /similarity similarity: `min` is missing
          expected: the least similarity that passes, like 0.8
        /similarity similarity: `min` is missing
          expected: the least similarity that passes, like 0.8
        /similarity/to similarity: the text is empty
          expected: a text with at least one visible character
        /similarity/min similarity: 0 is not a similarity that can decide
          expected: more than 0 and at most 1, like 0.8
        /similarity/min similarity: 80 is not a similarity that can decide
          expected: more than 0 and at most 1, like 0.8
        /similarity/metric similarity: `levenstein` is not known here
          expected: one of levenshtein, jaro_winkler
          help: did you mean `levenshtein`?
        /similarity/to similarity: the text has 10001 characters
          expected: at most 10000 characters
        /similarity/min similarity: a text stands here
          expected: a number
          help: leave the quotes away: 0.8
        "#);
    }
}
