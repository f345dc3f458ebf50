//! `starts_with`, `ends_with`: the answer begins or ends with this text.

use super::equals::{ONE_TEXT, one_text};
use crate::domain::{Score, TextRelation};
use crate::scoring::arguments::Read;
use crate::scoring::constraint;
use crate::scoring::definition::{MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use crate::scoring::quote::quote;
use serde_json::Value;

pub(super) const STARTS_WITH: MatcherDef = MatcherDef {
    name: "starts_with",
    summary: "the answer begins with this text",
    example: r#"{"starts_with": {"value": "dear", "ignore_case": true}}"#,
    passes: Sample::Text("Dear Ann,"),
    fails: Sample::Text("Hello Ann,"),
    refused: r#"{"starts_with": " "}"#,
    compile: |args, _| affix(End::Start, args),
    constraint: |args| constraint::text(args, TextRelation::StartsWith, "value"),
    ..ONE_TEXT
};

pub(super) const ENDS_WITH: MatcherDef = MatcherDef {
    name: "ends_with",
    summary: "the answer ends with this text; white space at the end counts, unless `normalize` is true",
    example: r#"{"ends_with": {"value": "regards.", "normalize": true}}"#,
    passes: Sample::Text("With kind regards.\n"),
    fails: Sample::Text("With kind regards, Ann"),
    refused: r#"{"ends_with": ["regards."]}"#,
    compile: |args, _| affix(End::End, args),
    constraint: |args| constraint::text(args, TextRelation::EndsWith, "value"),
    ..ONE_TEXT
};

#[derive(Clone, Copy)]
enum End {
    Start,
    End,
}

fn affix(end: End, args: &Value) -> Read<Matcher> {
    let (value, folding) = one_text(args)?;
    Ok(Matcher::new(move |input| {
        let text = folding.apply(&input.answer.text);
        let (pass, verb) = match end {
            End::Start => (text.starts_with(&value), "start"),
            End::End => (text.ends_with(&value), "end"),
        };
        let wanted = quote(&value);
        if pass {
            return Ok(Score::binary(true, format!("{verb}s with {wanted}")));
        }
        let length = value.chars().count();
        let got = match end {
            End::Start => text.chars().take(length).collect::<String>(),
            End::End => {
                text[text.char_indices().rev().nth(length.saturating_sub(1)).map_or(0, |(at, _)| at)..].to_owned()
            }
        };
        Ok(Score::binary(false, format!("{verb}s with {}, not {wanted}", quote(&got))))
    }))
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, verdicts};
    use serde_json::json;

    #[test]
    fn looks_at_one_end() {
        verdicts(
            json!({"starts_with": "Dear"}),
            &[("Dear Ann", true), ("Dear", true), (" Dear", false), ("dear", false), ("", false)],
        );
        verdicts(json!({"ends_with": "bye."}), &[("good bye.", true), ("bye.\n", false), ("bye", false)]);
        verdicts(
            json!({"ends_with": {"value": "BYE.", "ignore_case": true, "normalize": true}}),
            &[("good bye.\n", true), ("bye", false)],
        );
    }

    #[test]
    fn reasons_quote_that_end() {
        insta::assert_snapshot!(reasons(json!({"starts_with": "Dear"}), &["Dear A", "Hello Ann", ""]), @r#"
        starts with "Dear"
        starts with "Hell", not "Dear"
        starts with "", not "Dear"
        "#);
        insta::assert_snapshot!(reasons(json!({"ends_with": "bye"}), &["bye", "good bÿe!", "e"]), @r#"
        ends with "bye"
        ends with "ÿe!", not "bye"
        ends with "e", not "bye"
        "#);
    }

    #[test]
    fn problems_say_what_to_do() {
        insta::assert_snapshot!(problems(&[
            json!({"starts_with": ""}),
            json!({"ends_with": ["a"]}),
            json!({"ends_with": {"value": " ", "normalise": true}}),
        ]));
    }
}
