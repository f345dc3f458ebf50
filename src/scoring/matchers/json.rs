//! `json`: the answer is valid JSON, bare or in a fenced block.

use crate::domain::{JsonContent, Score};
use crate::scoring::arguments::{Fields, Read, flag};
use crate::scoring::code_fence::one_marked;
use crate::scoring::constraint;
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use crate::scoring::quote::quote;
use crate::scoring::strict_json::parse;
use serde_json::Value;

pub(super) const JSON: MatcherDef = MatcherDef {
    name: "json",
    summary: "the answer is valid JSON",
    arguments: "true, or {fenced: true}; white space around it is fine, a key that stands twice in an object is not, since \
                readers differ in what they take it for; fenced: also the one Markdown code block \
                marked `json` (or the one unmarked block, if none is marked so), with any text around it",
    schema: r##"{"anyOf": [{"const": true}, {"type": "object", "properties": {"fenced": {"type": "boolean"}},
        "additionalProperties": false}]}"##,
    example: r#"{"json": {"fenced": false}}"#,
    passes: Sample::Text("{\"ok\": true}"),
    fails: Sample::Text("It is ok."),
    refused: r#"{"json": false}"#,
    compile,
    constraint: |args| constraint::json(args, JsonContent::Valid),
    ..MatcherDef::DEFAULT
};

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of_map_or_true(args, &["fenced"], "json", "a map {fenced}")?;
    let fenced = fields.optional("fenced", flag).unwrap_or(true);
    let fenced = fields.finish(Some(fenced))?;
    Ok(Matcher::new(move |input| {
        Ok(match find_json(&input.answer.text, fenced) {
            Ok(_) => Score::binary(true, "is valid JSON"),
            Err(reason) => Score::binary(false, reason),
        })
    }))
}

/// The JSON of an answer: its whole text, or, with `fenced`, its one code block marked `json`, or else its one unmarked
/// block. With several candidates it is not clear which is meant, so none is taken.
///
/// # Errors
/// A sentence that says why there is none.
pub(super) fn find_json(text: &str, fenced: bool) -> Result<Value, String> {
    let whole = match parse(text.trim()) {
        Ok(value) => return Ok(value),
        Err(error) => format!("is not valid JSON: {error}, in {}", quote(text)),
    };
    if !fenced {
        return Err(whole);
    }
    let Some(block) = one_marked(text, &["json"])? else {
        return Err(whole);
    };
    parse(&block).map_err(|error| format!("has no valid JSON in its block: {error}, in {}", quote(&block)))
}

#[cfg(test)]
mod tests {
    use super::find_json;
    use crate::scoring::rules::testing::{problems, reasons, verdicts};
    use serde_json::json;

    #[test]
    fn takes_the_whole_text_or_one_block() {
        let table = [
            ("{\"a\": 1}", true, true),
            (" [1]\n", true, true),
            ("null", true, true),
            ("", false, false),
            ("{a: 1}", false, false),
            ("{} {}", false, false),
            ("{\"a\": 1, \"a\": 1}", false, false),
            ("```json\n{\"a\": {\"b\": 1, \"b\": 2}}\n```", false, false),
            ("```json\n{}\n```", true, false),
            ("Here you are:\n\n```JSON\r\n{\"a\": 1}\r\n```\r\nAnything else?", true, false),
            ("```\n{}\n```", true, false),
            ("  ~~~json title=x\n{}\n  ~~~", true, false),
            ("````json\n{\"a\": \"```\"}\n````", true, false),
            ("```sh\nls\n```\n```json\n{}\n```", true, false),
            ("```\nls\n```\n```json\n{}\n```", true, false),
            ("```json\n{}\n```\n```json\n{}\n```", false, false),
            ("```\n{}\n```\n```\n{}\n```", false, false),
            ("```python\n{}\n```", false, false),
            ("```json\n{}", false, false),
            ("```json {} ```", false, false),
            ("```json\n{,}\n```", false, false),
        ];
        for (text, fenced, bare) in table {
            assert_eq!(find_json(text, true).is_ok(), fenced, "{text:?}");
            assert_eq!(find_json(text, false).is_ok(), bare, "{text:?}");
        }
        verdicts(json!({"json": true}), &[("```json\n{}\n```", true), ("{", false)]);
        verdicts(json!({"json": {"fenced": false}}), &[("```json\n{}\n```", false), ("{}", true)]);
    }

    #[test]
    fn a_key_twice_passes_no_check_of_json() {
        let checks = [
            json!({"json": true}),
            json!({"json": {"fenced": false}}),
            json!({"json_equals": {"value": {"a": 1, "b": 2}}}),
            json!({"json_path": {"path": "$.a", "equals": 1}}),
            json!({"json_schema": {"type": "object", "required": ["a", "b"], "additionalProperties": {"type": "integer"}}}),
        ];
        let cel = cfg!(feature = "cel").then(|| json!({"cel": "json.a == 1 && json.b == 2"}));
        for check in checks.into_iter().chain(cel) {
            verdicts(
                check,
                &[
                    (r#"{"a": 1, "b": 2}"#, true),
                    (r#"{"a": 2, "b": 2, "a": 1}"#, false),
                    (r#"{"a": 1, "b": 2, "a": 2}"#, false),
                    (r#"{"a": 1, "b": 2, "\u0062": 2}"#, false),
                ],
            );
        }
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        assert!(find_json(&"[".repeat(1_000_000), true).is_err());
    }

    #[test]
    fn reasons_and_problems() {
        let texts = [
            "{}",
            "{\"a\": 1,\n\"a\": 2}",
            "```json\n{\"b\": 1, \"b\": 2}\n```",
            "{a}",
            "```json\n[1,\n```",
            "```\n1\n```\n```\n2\n```",
        ];
        insta::assert_snapshot!(reasons(json!({"json": true}), &texts), @r#"
        is valid JSON
        is not valid JSON: duplicate key "a" in an object at line 2 column 3, in "{"a": 1,\n"a": 2}"
        has no valid JSON in its block: duplicate key "b" in an object at line 1 column 12, in "{"b": 1, "b": 2}\n"
        is not valid JSON: key must be a string at line 1 column 2, in "{a}"
        has no valid JSON in its block: EOF while parsing a value at line 2 column 0, in "[1,\n"
        has 2 unmarked blocks, so it is not clear which one is meant
        "#);
        insta::assert_snapshot!(problems(&[
            json!({"json": false}),
            json!({"json": "true"}),
            json!({"json": {"fence": true}}),
            json!({"json": {"fenced": 1}}),
        ]));
    }
}
