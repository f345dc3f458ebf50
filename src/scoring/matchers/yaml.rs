//! `yaml`: the answer is a map or a list in YAML, which a schema accepts, or of which a path selects what is expected.

use super::json_path::{KEYS, Selection};
use super::json_schema::{JsonSchema, inline_schema, schema};
use crate::domain::{Score, Step};
use crate::scoring::arguments::{Fields, Read, flag, inside};
use crate::scoring::code_fence::one_marked;
use crate::scoring::command::Commands;
use crate::scoring::definition::{Children, Compile, MatcherDef, Sample};
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::project_file::ProjectFiles;
use crate::scoring::quote::{bounded, quote};
use serde_json::Value;
use serde_saphyr::{MessageFormatter, UserMessageFormatter};

pub(super) const YAML: MatcherDef = MatcherDef {
    name: "yaml",
    summary: "the answer is a map or a list in YAML 1.2, the schema accepts it, and what a path selects is as expected",
    arguments: "true, or {schema: as for `json_schema`, path, which, check, equals, count: as for `json_path`, fenced: \
                true}; a text or number alone is no YAML here, because every sentence would be; values are those of the \
                core schema (`no` and `012` are texts); one document, no duplicate keys; fenced: also the one Markdown \
                code block marked `yaml` or `yml` (or the one unmarked block)",
    schema: r##"{"anyOf": [{"const": true}, {"type": "object", "properties": {"path": {"type": "string"}, "which":
        {"enum": ["all", "any", "first"]}, "check": {"$ref": "#/$defs/check"}, "equals": true, "count":
        {"$ref": "#/$defs/bounds"}, "schema": {"type": "object"}, "fenced": {"type": "boolean"}},
        "additionalProperties": false, "dependentSchemas": {"path": {"anyOf": [{"required": ["check"]},
        {"required": ["equals"]}, {"required": ["count"]}], "not": {"required": ["check", "equals"]}}},
        "dependentRequired": {"which": ["path"], "check": ["path"], "equals": ["path"], "count":
        ["path"]}}]}"##,
    example: r#"{"yaml": {"path": "$.services.*.image", "check": {"starts_with": "registry.example/"}}}"#,
    passes: Sample::Text("```yaml\nservices:\n  web:\n    image: registry.example/web:2\n```"),
    fails: Sample::Text("services:\n  web: [registry.example/web"),
    refused: r#"{"yaml": {"path": "$.services"}}"#,
    cost: "linear in the answer, with at most 100000 values, 32 levels and the parser's limits on aliases, beyond which it \
           fails; then as for `json_schema` and `json_path`",
    inline: Some(inline),
    compile,
    children: Children::Key("check"),
    ..MatcherDef::DEFAULT
};

/// How many values and levels a document may have; a level takes some 40 KiB of stack in a debug build.
const MAX_NODES: usize = 100_000;
const MAX_DEPTH: usize = 32;

struct Yaml {
    fenced: bool,
    schema: Option<JsonSchema>,
    selected: Option<Selection>,
}

fn inline(args: &mut Value, files: &ProjectFiles, _: &Commands) -> Read<()> {
    match args.get_mut("schema") {
        Some(schema) => inline_schema(schema, files).map_err(|problems| inside(problems, &Step::key("schema"))),
        None => Ok(()),
    }
}

fn compile(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let known: Vec<&str> = KEYS.into_iter().chain(["schema", "fenced"]).collect();
    let mut fields =
        Fields::of_map_or_true(args, &known, "yaml", "a map {schema, path, check, equals, count, fenced}")?;
    let fenced = fields.optional("fenced", flag).unwrap_or(true);
    let schema = fields.optional("schema", |value| schema(value, ctx));
    let selected = if KEYS.iter().any(|key| fields.has(key)) { Selection::read(&mut fields, ctx) } else { None };
    let yaml = fields.finish(Some(Yaml { fenced, schema, selected }))?;
    Ok(Matcher::new(move |input| yaml.check(input)))
}

/// The map or list of an answer: its whole text, or else, with `fenced`, its one block.
fn find(text: &str, fenced: bool) -> Result<Value, String> {
    let whole = match read(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let block = if fenced { one_marked(text, &["yaml", "yml"])? } else { None };
    match block {
        None => Err(format!("{whole}, in {}", quote(text))),
        Some(block) => read(&block).map_err(|error| format!("{error}, in its block {}", quote(&block))),
    }
}

fn read(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 4 * MAX_NODES,
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
        },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Value>(text, options) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => Ok(value),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            Err("is no map or list in YAML".to_owned())
        }
        Err(error) => {
            let place = error.location().map_or_else(String::new, |location| {
                format!(" at line {}, column {}", location.line(), location.column())
            });
            let message = UserMessageFormatter.format_message(&error);
            Err(format!("is not valid YAML: {}{place}", bounded(&message, 160)))
        }
    }
}

impl Yaml {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        let value = match find(&input.answer.text, self.fenced) {
            Ok(value) => value,
            Err(reason) => return Ok(Score::binary(false, reason)),
        };
        let mut score = Score::binary(true, "is valid YAML");
        if let Some(schema) = &self.schema {
            score = schema.judge(&value, "YAML")?;
            if !score.pass {
                return Ok(score);
            }
        }
        match &self.selected {
            Some(selected) => selected.check(input, &value),
            None => Ok(score),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, verdicts, verify_in};
    use serde_json::json;

    #[test]
    fn a_map_or_a_list_is_wanted() {
        let table = [
            ("a: 1\nb: [x, y]\n", true),
            ("- a\n- b", true),
            ("{\"a\": 1}", true),
            ("Here it is:\n\n```yml\na: 1\n```\n", true),
            ("```\n- a\n```", true),
            ("Just a sentence.", false),
            ("7", false),
            ("", false),
            ("a: 1\na: 2", false),
            ("a: [1", false),
            ("a: 1\n---\nb: 2", false),
            ("a: *b", false),
            ("a: !!python/object:os.system {}", false),
            ("```yaml\nJust a sentence.\n```", false),
        ];
        for (text, pass) in table {
            verdicts(json!({"yaml": true}), &[(text, pass)]);
        }
        verdicts(json!({"yaml": {"fenced": false}}), &[("```yaml\na: 1\n```", false), ("a: 1", true)]);
    }

    #[test]
    fn bombs_and_depths_are_refused() {
        let bomb: String = (1..12).map(|i| format!("a{i}: &a{i} [{}]\n", format!("*a{}, ", i - 1).repeat(9))).collect();
        let bomb = format!("a0: &a0 [x]\n{bomb}");
        let deep = format!("a: {}1{}", "[".repeat(10_000), "]".repeat(10_000));
        verdicts(json!({"yaml": true}), &[(&bomb, false), (&deep, false)]);
    }

    #[test]
    fn schema_and_path_judge_the_value() {
        verdicts(
            json!({"yaml": {"schema": {"required": ["a"]}, "path": "$.a", "equals": 1}}),
            &[("a: 1.0", true), ("a: 2", false), ("b: 1", false), ("a: '1'", false)],
        );
        verdicts(json!({"yaml": {"path": "$.a", "check": "no"}}), &[("a: no", true), ("a: false", false)]);
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("s.json"), r#"{"type": "array"}"#).unwrap();
        let check = json!({"yaml": {"schema": {"file": "s.json"}, "path": "$[0]", "check": {"json_schema": {"file": "s.json"}}}});
        let verified = verify_in(root.path(), check).unwrap();
        assert_eq!(verified.args["schema"], json!({"type": "array"}));
        assert_eq!(verified.args["check"], json!({"json_schema": {"type": "array"}}));
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(json!({"yaml": {"schema": {"type": "array"}}}), &[
            "- a", "a: 1", "Hello", "a: [", "```yaml\na: 1\na: 1\n```",
        ]), @r#"
        is YAML that the schema accepts
        the schema refuses it: {"a":1} is not of type "array"
        is no map or list in YAML, in "Hello"
        is not valid YAML: unclosed bracket '[' at line 1, column 4, in "a: ["
        is not valid YAML: duplicate mapping key `a` is not allowed here at line 2, column 1, in its block "a: 1\na: 1\n"
        "#);
        insta::assert_snapshot!(problems(&[
            json!({"yaml": false}),
            json!({"yaml": {"check": "x"}}),
            json!({"yaml": {"schema": {"typ": "array"}}}),
            json!({"yaml": {"schema": {"file": "none.json"}}}),
        ]));
    }
}
