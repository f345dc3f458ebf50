//! `one_of`: the answer is one of a few texts.

use super::contains::{MANY_TEXTS, list, many_texts};
use crate::domain::{Score, TextRelation};
use crate::scoring::constraint;
use crate::scoring::definition::{MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use crate::scoring::quote::quote;

pub(super) const ONE_OF: MatcherDef = MatcherDef {
    name: "one_of",
    summary: "the answer is exactly one of these texts",
    example: r#"{"one_of": {"values": ["positive", "negative"], "ignore_case": true, "normalize": true}}"#,
    passes: Sample::Text("Positive\n"),
    fails: Sample::Text("rather positive"),
    refused: r#"{"one_of": "positive"}"#,
    cost: "linear in the answer and in the texts",
    compile: |args, _| {
        let (values, folding) = many_texts(args)?;
        Ok(Matcher::new(move |input| {
            let text = folding.apply(&input.answer.text);
            let shown = quote(&input.answer.text);
            Ok(match values.iter().any(|value| *value == text) {
                true => Score::binary(true, format!("is {shown}")),
                false => Score::binary(false, format!("is {shown}, not one of {}", list(&values))),
            })
        }))
    },
    constraint: |args| constraint::text(args, TextRelation::Is, "values"),
    ..MANY_TEXTS
};

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, verdicts};
    use serde_json::json;

    #[test]
    fn wants_the_whole_text() {
        verdicts(
            json!({"one_of": ["yes", "no"]}),
            &[("yes", true), ("no", true), ("yes\n", false), ("yes no", false), ("No", false), ("", false)],
        );
        verdicts(
            json!({"one_of": {"values": ["yes", "no"], "ignore_case": true, "normalize": true}}),
            &[(" YES\n", true), ("maybe", false)],
        );
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(json!({"one_of": ["yes", "no"]}), &["yes", "maybe"]), @r#"
        is "yes"
        is "maybe", not one of "yes", "no"
        "#);
        insta::assert_snapshot!(problems(&[
            json!({"one_of": []}),
            json!({"one_of": "yes"}),
            json!({"one_of": {"values": [true, ""]}}),
        ]));
    }
}
