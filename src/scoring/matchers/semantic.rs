//! `semantic`: the answer means nearly what a reference means, by the vectors that a model makes of both.

use crate::domain::{ArgProblem, Meaning, Score, cosine};
use crate::scoring::arguments::{Fields, Read, needle, share};
use crate::scoring::definition::{Asks, Compile, MatcherDef, Sample};
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::quote::quote;
use crate::scoring::references::references;
use serde_json::Value;

pub(super) const SEMANTIC: MatcherDef = MatcherDef {
    name: "semantic",
    summary: "the embedding of the answer points nearly the same way as that of a reference",
    arguments: "{to, min, by}, or {to_any: [..], min, by}; the score is the cosine of the two vectors, with `to_any` the best \
                one, negative ones count as 0; it passes when that is at least `min`; `by` names a model under \
                [embeddings.NAME] in promptgate.toml (default: default): one that Gemini or a service like OpenAI serves, or a \
                static one that lies in the project; what is near enough differs from model to model, so look at answers of both kinds before \
                you set `min`; a model that fails, or gives no vector, is an error, never pass or fail",
    schema: r##"{"type": "object", "properties": {"to": {"$ref": "#/$defs/text"}, "to_any": {"type": "array",
        "items": {"$ref": "#/$defs/text"}, "minItems": 1, "maxItems": 100}, "by": {"$ref": "#/$defs/text"},
        "min": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}}, "required": ["min"],
        "oneOf": [{"required": ["to"]}, {"required": ["to_any"]}], "additionalProperties": false}"##,
    example: r#"{"semantic": {"to": "You can return the shoes within 30 days.", "min": 0.85}}"#,
    passes: Sample::Embedded { text: "Shoes may be sent back for a month.", cosine: 0.91 },
    fails: Sample::Embedded { text: "The shop opens at nine.", cosine: 0.42 },
    refused: r#"{"semantic": {"to": "30 days"}}"#,
    cost: "one vector for each distinct text, stored, so that no text is sent twice; 100 texts or 64 KiB a request; answers and \
           references of more than 8,000 bytes can't be judged, since the models read no more than some 2,000 tokens",
    compile,
    asks: Some(Asks::Embeddings),
    ..MatcherDef::DEFAULT
};

/// Bytes of a text. The smallest of the models reads 2,048 tokens and cuts off the rest without a word, and a text that is
/// judged by its beginning could say anything after it.
const LONGEST: usize = 8_000;

struct Semantic {
    by: String,
    references: Vec<String>,
    min: f64,
}

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of(args, &["to", "to_any", "min", "by"], "a map {to, min}")?;
    let references = references(&mut fields, LONGEST * 100, reference);
    let by = fields.optional("by", needle);
    let min = fields.required("min", "the least cosine that passes, like 0.85", |value| share(value, "a cosine"));
    let (references, min) = fields.finish(references.zip(min))?;
    let semantic = Semantic { by: by.unwrap_or("default").to_owned(), references, min };
    Ok(Matcher::new(move |input| semantic.check(input)))
}

fn reference(text: &str) -> Result<String, ArgProblem> {
    if text.trim().is_empty() {
        return Err(ArgProblem::new("the text is empty").expected("a text that means something"));
    }
    if text.len() > LONGEST {
        return Err(ArgProblem::new(format!("the text has {} bytes", text.len()))
            .expected(format!("at most {LONGEST} bytes, which is what a model of embeddings reads")));
    }
    Ok(text.to_owned())
}

impl Semantic {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        let text = input.answer.text.trim();
        if text.is_empty() {
            return Err(MatchError::new("there is no text whose meaning could be compared"));
        }
        if text.len() > LONGEST {
            return Err(MatchError::new(format!(
                "the text has {} bytes, and a model of embeddings reads no more than {LONGEST}",
                text.len()
            )));
        }
        let meaning = |text: &str| Meaning { by: self.by.clone(), text: text.to_owned() };
        // All are asked for at once, before any is missed.
        let answer = input.replies.vector(&meaning(text));
        let references: Vec<_> =
            self.references.iter().map(|reference| (reference, input.replies.vector(&meaning(reference)))).collect();
        let missing = |failure: crate::domain::Failure| {
            MatchError::new(format!("there is no embedding: {} ({})", failure.message, failure.code))
        };
        let answer = answer.map_err(missing)?;
        let mut best: Option<(f64, &str)> = None;
        for (reference, vector) in references {
            let vector = vector.map_err(missing)?;
            let cosine = cosine(&answer, &vector).ok_or_else(|| {
                MatchError::new(format!(
                    "the embeddings can't be compared: {} and {} numbers, of which some may be none",
                    answer.len(),
                    vector.len()
                ))
            })?;
            if best.is_none_or(|(known, _)| cosine > known) {
                best = Some((cosine, reference));
            }
        }
        let Some((cosine, reference)) = best else {
            return Err(MatchError::new("there is no reference"));
        };
        let pass = cosine >= self.min;
        let reason = format!(
            "cosine {cosine:.3} to {}, {} {}",
            quote(reference),
            if pass { "at least" } else { "not" },
            self.min
        );
        Ok(Score::new(cosine.max(0.0), pass, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Failure, FailureKind};
    use crate::scoring::ReplyCache;
    use crate::scoring::rules::testing::{answer_text, compiled, problems, sample};
    use serde_json::json;
    use std::sync::Arc;

    fn check() -> Value {
        json!({"semantic": {"to_any": ["near", "far"], "min": 0.8}})
    }

    /// Judges with vectors by text.
    fn judged(text: &str, vectors: &[(&str, Result<Vec<f32>, &str>)]) -> Result<Score, String> {
        let mut asking = ReplyCache::default();
        for (text, vector) in vectors {
            let meaning = Meaning { by: "default".to_owned(), text: (*text).to_owned() };
            let vector = match vector {
                Ok(numbers) => Ok(Arc::from(numbers.clone())),
                Err(message) => Err(Failure {
                    kind: FailureKind::Transport,
                    code: "http_503".to_owned(),
                    message: (*message).to_owned(),
                }),
            };
            asking.note_vector(&meaning, vector);
        }
        let whole = answer_text(text);
        let input = MatchInput { replies: &asking, ..whole.input() };
        compiled(check()).check(&input).map_err(|cannot| cannot.reason)
    }

    #[test]
    fn the_best_reference_decides() {
        let vectors = |answer: Vec<f32>| {
            judged(" says \n", &[("says", Ok(answer)), ("near", Ok(vec![1.0, 0.0])), ("far", Ok(vec![0.0, 1.0]))])
                .unwrap()
        };
        let near = vectors(vec![0.9, 0.1]);
        assert!(near.pass && near.value() > 0.99);
        assert!(vectors(vec![0.0, 2.0]).pass);
        let between = vectors(vec![1.0, 1.0]);
        assert!(!between.pass);
        assert_eq!(between.reason, "cosine 0.707 to \"near\", not 0.8");
        // What points away scores nothing, and no less.
        assert_eq!(vectors(vec![-1.0, -1.0]).value(), 0.0);
    }

    #[test]
    fn without_vectors_there_is_no_judgement() {
        let good = |text| (text, Ok(vec![1.0, 0.0]));
        insta::assert_snapshot!([
            judged("says", &[]).unwrap_err(),
            judged("says", &[good("near"), good("far"), ("says", Err("overloaded"))]).unwrap_err(),
            judged("says", &[good("says"), good("near"), ("far", Err("overloaded"))]).unwrap_err(),
            judged("says", &[good("says"), good("near"), ("far", Ok(vec![1.0]))]).unwrap_err(),
            judged("says", &[("says", Ok(vec![0.0, 0.0])), good("near"), good("far")]).unwrap_err(),
            judged("says", &[("says", Ok(vec![f32::NAN, 1.0])), good("near"), good("far")]).unwrap_err(),
            judged(" ", &[]).unwrap_err(),
            judged(&"x".repeat(8001), &[]).unwrap_err(),
        ].join("\n"), @"
        there is no embedding: the model of embeddings was not asked (not_asked)
        there is no embedding: overloaded (http_503)
        there is no embedding: overloaded (http_503)
        the embeddings can't be compared: 2 and 1 numbers, of which some may be none
        the embeddings can't be compared: 2 and 2 numbers, of which some may be none
        the embeddings can't be compared: 2 and 2 numbers, of which some may be none
        there is no text whose meaning could be compared
        the text has 8001 bytes, and a model of embeddings reads no more than 8000
        ");
    }

    #[test]
    fn all_texts_are_asked_for_at_once_and_once() {
        let asking = ReplyCache::default();
        let whole = answer_text("near");
        let input = MatchInput { replies: &asking, ..whole.input() };
        assert!(compiled(check()).check(&input).is_err());
        let (questions, texts) = asking.take_missing();
        assert!(questions.is_empty());
        let mut texts: Vec<_> = texts.into_iter().map(|meaning| meaning.text).collect();
        texts.sort();
        assert_eq!(texts, ["far", "near"]);
    }

    #[test]
    fn samples_say_what_they_show() {
        let matcher = compiled(serde_json::from_str(SEMANTIC.example).unwrap());
        let of = |shown| matcher.check(&sample(shown).input()).unwrap();
        assert!((of(SEMANTIC.passes).value() - 0.91).abs() < 1e-6);
        assert!((of(SEMANTIC.fails).value() - 0.42).abs() < 1e-6);
    }

    #[test]
    fn mistakes() {
        insta::assert_snapshot!(problems(&[
            json!({"semantic": "text"}),
            json!({"semantic": {"to": "a"}}),
            json!({"semantic": {"min": 0.5}}),
            json!({"semantic": {"to": " ", "min": 0}}),
            json!({"semantic": {"to": "a", "to_any": ["b"], "min": 1.5, "by": ""}}),
            json!({"semantic": {"to_any": [], "min": "high"}}),
            json!({"semantic": {"to": "x".repeat(8001), "min": 0.5, "treshold": 1}}),
        ]));
    }
}
