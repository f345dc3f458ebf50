//! `equals`: the answer is this text.

use crate::domain::{Score, TextRelation};
use crate::scoring::arguments::{Fields, Read, needle};
use crate::scoring::constraint;
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::folding::{Folding, Form, WhiteSpace};
use crate::scoring::matcher::Matcher;
use crate::scoring::quote::quote;
use serde_json::Value;

/// A matcher that compares with one text, see [`one_text`].
pub(super) const ONE_TEXT: MatcherDef = MatcherDef {
    arguments: "\"text\", or {value, ignore_case: false, normalize: false, white_space: keep, unicode: as_is}, as for \
                `equals`",
    schema: r##"{"$ref": "#/$defs/one_text"}"##,
    takes_text: true,
    ..MatcherDef::DEFAULT
};

pub(super) const EQUALS: MatcherDef = MatcherDef {
    name: "equals",
    summary: "the answer is exactly this text",
    arguments: "\"text\", or {value, ignore_case: false, normalize: false, white_space: keep, unicode: as_is}; exact \
                means exact, a line break at the end included; white_space is keep, trim (at the ends), collapse \
                (each run is one space, none at the ends) or remove; unicode is as_is, nfc, or nfkc (ﬁ is fi, ² is \
                2); normalize is collapse and nfc at once",
    example: r#"{"equals": {"value": "Yes.", "normalize": true}}"#,
    passes: Sample::Text(" Yes.\n"),
    fails: Sample::Text("Yes, of course."),
    refused: r#"{"equals": ""}"#,
    compile,
    constraint: |args| constraint::text(args, TextRelation::Is, "value"),
    ..ONE_TEXT
};

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let (value, folding) = one_text(args)?;
    Ok(Matcher::new(move |input| {
        let text = &input.answer.text;
        if folding.apply(text) == value {
            return Ok(Score::binary(true, format!("is {}", quote(text))));
        }
        let remedy = remedy(&value, folding, text).map(|remedy| format!(" ({remedy})")).unwrap_or_default();
        Ok(Score::binary(false, format!("is {}, not {}{remedy}", quote(text), quote(&value))))
    }))
}

/// The arguments of every matcher that compares with one text: a text, or a map of `value` and the folding options. The
/// text comes back folded.
pub(super) fn one_text(args: &Value) -> Read<(String, Folding)> {
    let known = ["value", "ignore_case", "normalize", "white_space", "unicode"];
    let mut fields = Fields::of_map_or_value(args, &known);
    let value = fields.required("value", "the text to compare with", needle);
    let folding = Folding::read(&mut fields);
    let value = fields.finish(value)?;
    Ok((folding.apply(value).into_owned(), folding))
}

/// What the texts differ in, if it is only what an unused option overlooks.
fn remedy(value: &str, folding: Folding, text: &str) -> Option<&'static str> {
    let equal_with = |folding: Folding| folding.apply(text) == folding.apply(value);
    let unseen = Folding { ignore_case: folding.ignore_case, ..Folding::NORMALIZED };
    if folding.white_space == WhiteSpace::Keep && folding.form == Form::AsIs && equal_with(unseen) {
        return Some("they differ only in white space or Unicode form; `normalize: true` overlooks that");
    }
    let caseless = Folding { ignore_case: true, ..folding };
    if !folding.ignore_case && equal_with(caseless) {
        return Some("they differ only in upper and lower case; `ignore_case: true` overlooks that");
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, verdicts};
    use serde_json::json;

    #[test]
    fn compares_the_whole_text() {
        verdicts(json!("Yes"), &[("Yes", true), ("yes", false), ("Yes\n", false), ("Yes.", false), ("", false)]);
        verdicts(
            json!({"equals": {"value": " Caf\u{e9} ", "normalize": true}}),
            &[("Cafe\u{301}\n", true), ("Caf\u{e9}", true), ("caf\u{e9}", false)],
        );
        verdicts(
            json!({"equals": {"value": "Straße A", "ignore_case": true}}),
            &[("STRAßE a", true), ("straße  a", false)],
        );
    }

    #[test]
    fn white_space_and_unicode_form_are_options() {
        verdicts(
            json!({"equals": {"value": "fi 2", "unicode": "nfkc", "white_space": "trim"}}),
            &[("ﬁ ²\n", true), ("fi  2", false), ("FI 2", false)],
        );
        verdicts(
            json!({"equals": {"value": "a b", "white_space": "remove"}}),
            &[("ab", true), (" a\tb ", true), ("a-b", false)],
        );
        insta::assert_snapshot!(problems(&[
            json!({"equals": {"value": "a", "white_space": "colapse", "unicode": "nfd"}}),
            json!({"equals": {"value": "a", "white_space": true}}),
            json!({"equals": {"value": "a", "normalize": true, "unicode": "nfkc"}}),
            json!({"equals": {"value": "a", "normalize": false, "unicode": "nfkc"}}),
        ]));
    }

    #[test]
    fn reasons_name_the_option_that_would_help() {
        insta::assert_snapshot!(crate::scoring::rules::testing::reasons(json!("Yes"), &["Yes", "Yes\n", "YES", "No"]), @r#"
        is "Yes"
        is "Yes\n", not "Yes" (they differ only in white space or Unicode form; `normalize: true` overlooks that)
        is "YES", not "Yes" (they differ only in upper and lower case; `ignore_case: true` overlooks that)
        is "No", not "Yes"
        "#);
    }

    #[test]
    fn problems_say_what_to_do() {
        insta::assert_snapshot!(problems(&[
            json!({"equals": ""}),
            json!({"equals": " \n"}),
            json!({"equals": 18}),
            json!({"equals": true}),
            json!({"equals": null}),
            json!({"equals": ["a"]}),
            json!({"equals": {}}),
            json!({"equals": {"value": "", "ignorecase": true, "normalize": "yes"}}),
        ]));
    }
}
