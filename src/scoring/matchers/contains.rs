//! `contains`, `contains_any`, `contains_all`: the answer holds these texts.

use super::equals::{ONE_TEXT, one_text};
use crate::domain::{Score, TextRelation};
use crate::scoring::arguments::{Fields, Read, needles};
use crate::scoring::constraint;
use crate::scoring::definition::{MatcherDef, Sample};
use crate::scoring::folding::Folding;
use crate::scoring::matcher::Matcher;
use crate::scoring::quote::quote;
use serde_json::Value;

/// A matcher that compares with several texts, see [`many_texts`].
pub(super) const MANY_TEXTS: MatcherDef = MatcherDef {
    arguments: "[\"a\", \"b\"], or {values, ignore_case: false, normalize: false, white_space: keep, unicode: as_is}, \
                as for `equals`",
    schema: r##"{"$ref": "#/$defs/many_texts"}"##,
    cost: "the answer's length times the number of texts",
    ..MatcherDef::DEFAULT
};

pub(super) const CONTAINS: MatcherDef = MatcherDef {
    name: "contains",
    summary: "the answer holds this text somewhere",
    example: r#"{"contains": "30 days"}"#,
    passes: Sample::Text("Within 30 days."),
    fails: Sample::Text("Within a month."),
    refused: r#"{"contains": {"value": "30 days", "case": "ignore"}}"#,
    compile: |args, _| {
        let (value, folding) = one_text(args)?;
        Ok(Matcher::new(move |input| {
            let pass = folding.apply(&input.answer.text).contains(&value);
            let verb = if pass { "contains" } else { "does not contain" };
            Ok(Score::binary(pass, format!("{verb} {}", quote(&value))))
        }))
    },
    constraint: |args| constraint::text(args, TextRelation::ContainsAny, "value"),
    ..ONE_TEXT
};

pub(super) const CONTAINS_ANY: MatcherDef = MatcherDef {
    name: "contains_any",
    summary: "the answer holds at least one of these texts",
    example: r#"{"contains_any": ["refund", "money back"]}"#,
    passes: Sample::Text("We give a refund."),
    fails: Sample::Text("We give a voucher."),
    refused: r#"{"contains_any": []}"#,
    compile: |args, _| {
        let (values, folding) = many_texts(args)?;
        Ok(Matcher::new(move |input| {
            let text = folding.apply(&input.answer.text);
            Ok(match values.iter().find(|value| text.contains(value.as_str())) {
                Some(value) => Score::binary(true, format!("contains {}", quote(value))),
                None => Score::binary(false, format!("contains none of {}", list(&values))),
            })
        }))
    },
    constraint: |args| constraint::text(args, TextRelation::ContainsAny, "values"),
    ..MANY_TEXTS
};

pub(super) const CONTAINS_ALL: MatcherDef = MatcherDef {
    name: "contains_all",
    summary: "the answer holds every one of these texts; the score is the share that it holds",
    example: r#"{"contains_all": {"values": ["name", "address"], "ignore_case": true}}"#,
    passes: Sample::Text("Name and address, please."),
    fails: Sample::Text("Your name, please."),
    refused: r#"{"contains_all": ["name", ""]}"#,
    compile: |args, _| {
        let (values, folding) = many_texts(args)?;
        Ok(Matcher::new(move |input| Ok(contains_all(&folding.apply(&input.answer.text), &values))))
    },
    constraint: |args| constraint::text(args, TextRelation::ContainsAll, "values"),
    ..MANY_TEXTS
};

/// The arguments of every matcher that compares with several texts: a list, or a map of `values` and the folding
/// options. The texts come back folded.
pub(super) fn many_texts(args: &Value) -> Read<(Vec<String>, Folding)> {
    let known = ["values", "ignore_case", "normalize", "white_space", "unicode"];
    let expected = "a list of texts, or a map {values, ignore_case, normalize}";
    let mut fields = Fields::of_map_or(Value::is_array, args, &known, expected)?;
    let values = fields.required("values", "a list of texts", needles);
    let folding = Folding::read(&mut fields);
    let values = fields.finish(values)?;
    Ok((values.into_iter().map(|text| folding.apply(text).into_owned()).collect(), folding))
}

fn contains_all(text: &str, values: &[String]) -> Score {
    let missing: Vec<&String> = values.iter().filter(|value| !text.contains(value.as_str())).collect();
    let all = values.len();
    if missing.is_empty() {
        return Score::binary(true, format!("contains all of {}", list(values)));
    }
    let share = (all - missing.len()) as f64 / all as f64;
    Score::new(share, false, format!("does not contain {} ({} of {all} missing)", list(&missing), missing.len()))
}

/// The first few of the texts, quoted.
pub(super) fn list(values: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 3;
    let mut text: Vec<String> = values.iter().take(SHOWN).map(|value| quote(value.as_ref())).collect();
    if values.len() > SHOWN {
        text.push(format!("… ({} more)", values.len() - SHOWN));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, scores, verdicts};
    use serde_json::json;

    #[test]
    fn contains_looks_for_one_text() {
        verdicts(
            json!({"contains": "30 days"}),
            &[("within 30 days.", true), ("30 Days", false), ("30\ndays", false), ("", false)],
        );
        verdicts(
            json!({"contains": {"value": "30 DAYS", "ignore_case": true, "normalize": true}}),
            &[("within 30\n days.", true), ("30days", false)],
        );
    }

    #[test]
    fn contains_any_wants_one_and_contains_all_every_one() {
        verdicts(json!({"contains_any": ["a", "b"]}), &[("xb", true), ("ab", true), ("x", false), ("AB", false)]);
        scores(
            json!({"contains_all": ["a", "b", "c", "d"]}),
            &[("abcd", true, 1.0), ("abc", false, 0.75), ("x", false, 0.0)],
        );
        verdicts(json!({"contains_all": {"values": ["A", "B"], "ignore_case": true}}), &[("ab", true), ("a", false)]);
    }

    #[test]
    fn reasons_name_what_was_found_or_missing() {
        insta::assert_snapshot!(reasons(json!({"contains": "a"}), &["a", "b"]), @r#"
        contains "a"
        does not contain "a"
        "#);
        insta::assert_snapshot!(reasons(json!({"contains_any": ["a", "b", "c", "d"]}), &["b", "x"]), @r#"
        contains "b"
        contains none of "a", "b", "c", … (1 more)
        "#);
        insta::assert_snapshot!(reasons(json!({"contains_all": ["a", "b", "c", "d"]}), &["abcd", "ab", ""]), @r#"
        contains all of "a", "b", "c", … (1 more)
        does not contain "c", "d" (2 of 4 missing)
        does not contain "a", "b", "c", … (1 more) (4 of 4 missing)
        "#);
    }

    #[test]
    fn problems_say_what_to_do() {
        insta::assert_snapshot!(problems(&[
            json!({"contains": ""}),
            json!({"contains": {"text": "a"}}),
            json!({"contains_any": []}),
            json!({"contains_any": "a"}),
            json!({"contains_any": ["a", "", " ", 3]}),
            json!({"contains_all": {"values": ["a", "\t"], "ignore_case": 1}}),
            json!({"contains_all": {"value": ["a"]}}),
        ]));
    }
}
