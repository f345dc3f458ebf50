//! `json_schema`: the answer is JSON that a schema accepts.

use super::json::find_json;
use super::regex::compiled_pattern;
use crate::domain::{ArgProblem, JsonContent, Score, Step};
use crate::scoring::arguments::{Read, inside, not_a, refuse, text, wrong};
use crate::scoring::cache::Cache;
use crate::scoring::constraint;
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::{MatchError, Matcher};
use crate::scoring::project_file::ProjectFiles;
use crate::scoring::quote::{bounded, quote};
use crate::scoring::schema_keywords::keyword_problems;
use crate::scoring::strict_json;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

pub(super) const JSON_SCHEMA: MatcherDef = MatcherDef {
    name: "json_schema",
    summary: "the answer is JSON, as for `json`, and the schema accepts it",
    arguments: "the schema, or {file: path} with a path from the project root; draft 2020-12 unless `$schema` names \
                another; `format` is checked, unknown keywords and formats are refused; patterns are Rust regex syntax; references stay inside the schema",
    schema: r#"{"type": "object", "minProperties": 1}"#,
    example: r#"{"json_schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}}"#,
    passes: Sample::Text("{\"name\": \"Ann\"}"),
    fails: Sample::Text("{\"name\": 3}"),
    refused: r#"{"json_schema": {"requierd": ["name"]}}"#,
    schema_refuses: false,
    cost: "grows with the answer times the schema; a schema compiles once, its patterns to at most 2 MiB each",
    inline: Some(|args, files, _| inline_schema(args, files)),
    compile,
    constraint: |args| constraint::json(args, JsonContent::Shape),
    ..MatcherDef::DEFAULT
};

/// The largest compiled pattern of a schema, in bytes.
const PATTERN_LIMIT: usize = 2 << 20;

/// How many characters of a validator's message a reason shows.
const SHOWN: usize = 160;

/// How many violations are compared for the one that the reason names.
const COMPARED: usize = 100;

pub(super) struct JsonSchema {
    validator: Arc<Validator>,
}

/// The path of `{file: path}`. Every other map is a schema.
fn file(args: &Value) -> Option<&Value> {
    args.as_object().filter(|map| map.len() == 1)?.get("file")
}

/// Reads a schema `{file: path}` into its place.
pub(super) fn inline_schema(args: &mut Value, files: &ProjectFiles) -> Read<()> {
    let Some(path) = file(args) else {
        return Ok(());
    };
    *args = read_schema(path, files).map_err(|problems| inside(problems, &Step::key("file")))?;
    Ok(())
}

/// Reads a schema and makes sure that it compiles, because its mistakes have no place in the golden data.
fn read_schema(path: &Value, files: &ProjectFiles) -> Read<Value> {
    let name = text(path)?;
    let content = files.text(name).map_err(|problem| vec![problem])?;
    let schema: Value = match strict_json::parse(&content) {
        Ok(schema) => schema,
        Err(error) => return refuse(format!("{}: {error}", quote(name)), "a JSON schema, as JSON"),
    };
    match validator(&schema) {
        Ok(_) => Ok(schema),
        Err(problems) => Err(problems.into_iter().map(|problem| in_file(problem, name)).collect()),
    }
}

/// A problem inside a file becomes one of the file's name.
fn in_file(problem: ArgProblem, name: &str) -> ArgProblem {
    let place = match pointer(&problem.path) {
        top if top.is_empty() => String::new(),
        place => format!(", at {}", bounded(&place, 120)),
    };
    ArgProblem { path: Vec::new(), message: format!("{}: {}{place}", quote(name), problem.message), ..problem }
}

fn compile(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let schema = schema(args, ctx)?;
    Ok(Matcher::new(move |input| match find_json(&input.answer.text, true) {
        Ok(value) => schema.judge(&value, "JSON"),
        Err(reason) => Ok(Score::binary(false, reason)),
    }))
}

pub(super) fn schema(args: &Value, ctx: &Compile<'_>) -> Read<JsonSchema> {
    let mut schema = Cow::Borrowed(args);
    if file(args).is_some() {
        let Some(files) = ctx.files() else {
            return wrong(ArgProblem::new("the schema file was not read while loading"));
        };
        inline_schema(schema.to_mut(), files)?;
    }
    Ok(JsonSchema { validator: validator(&schema)? })
}

/// The schemas that were compiled. The same one stands on many cases, and compiling costs far more than a validation.
static COMPILED: Cache<Arc<Validator>> = Cache::new(256);

fn validator(schema: &Value) -> Read<Arc<Validator>> {
    if schema.is_boolean() {
        return wrong(
            ArgProblem::new(format!("the schema `{schema}` says nothing about an answer"))
                .expected("a schema with at least one keyword that an answer can violate")
                .hint("for any valid JSON, write `json: true`"),
        );
    }
    let Some(map) = schema.as_object() else {
        return wrong(not_a("a schema, or a map {file: path}", schema));
    };
    COMPILED.get_or_try(&schema.to_string(), || {
        let problems = keyword_problems(map);
        if !problems.is_empty() {
            return Err(problems);
        }
        let options = jsonschema::options()
            .offline()
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_LIMIT));
        match options.build(schema) {
            Ok(validator) => Ok(Arc::new(validator)),
            Err(error) => wrong(problem(schema, &error)),
        }
    })
}

/// A mistake in a schema, at the keyword that has it. The common ones in our own words.
fn problem(schema: &Value, error: &ValidationError<'_>) -> ArgProblem {
    let path = steps(schema, error.instance_path().as_str());
    let value = error.instance();
    let keyword = path.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    let problem = match (keyword, value.as_ref()) {
        _ if matches!(error.kind(), ValidationErrorKind::Referencing(_)) => invalid(error)
            .expected("references inside the schema, like \"#/$defs/name\", and a `$schema` of draft 4 to 2020-12"),
        (Some("type"), Value::String(name)) => {
            let problem = ArgProblem::new(format!("{} is not a type", quote(name)));
            problem.expected(format!("one of {}", TYPES.join(", "))).did_you_mean(name, TYPES)
        }
        (Some("format"), Value::String(name)) => {
            ArgProblem::new(format!("the format {} is not known, so it would check nothing", quote(name)))
                .expected("a format of JSON schema, like date, date-time, email, uri or uuid")
        }
        (_, Value::String(pattern)) if matches!(error.kind(), ValidationErrorKind::Format { .. }) => {
            compiled_pattern(pattern).err().unwrap_or_else(|| invalid(error))
        }
        (Some("type"), _) => invalid(error).expected(format!("one or a list of {}", TYPES.join(", "))),
        (_, _) => invalid(error),
    };
    ArgProblem { path, ..problem }
}

fn invalid(error: &ValidationError<'_>) -> ArgProblem {
    ArgProblem::new(format!("the schema is not valid: {}", message(error)))
}

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// The steps of a JSON pointer, as far as the value has them.
fn steps(value: &Value, pointer: &str) -> Vec<Step> {
    let mut at = Some(value);
    let mut steps = Vec::new();
    for token in pointer.split('/').skip(1) {
        let key = token.replace("~1", "/").replace("~0", "~");
        let step = match at {
            Some(Value::Array(list)) => key.parse().ok().filter(|i| *i < list.len()).map(Step::Index),
            Some(Value::Object(map)) => map.contains_key(&key).then(|| Step::key(&key)),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => None,
        };
        let Some(step) = step else { break };
        at = match &step {
            Step::Key(key) => at.and_then(|value| value.get(key)),
            Step::Index(i) => at.and_then(|value| value.get(i)),
        };
        steps.push(step);
    }
    steps
}

/// The JSON pointer of steps.
pub(super) fn pointer(steps: &[Step]) -> String {
    let token = |step: &Step| match step {
        Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Step::Index(i) => format!("/{i}"),
    };
    steps.iter().map(token).collect()
}

/// What the validator says, short. A long value is left out of it: it would hide the rest.
fn message(error: &ValidationError<'_>) -> String {
    let full = error.to_string();
    if full.chars().count() <= SHOWN {
        return bounded(&full, SHOWN);
    }
    bounded(&error.masked_with("the value").to_string(), SHOWN)
}

impl JsonSchema {
    /// Judges a value that was written in this language.
    pub(super) fn judge(&self, value: &Value, language: &str) -> Result<Score, MatchError> {
        let mut violations = Vec::new();
        for error in self.validator.iter_errors(value).take(COMPARED) {
            if let ValidationErrorKind::RegexEngineFailure { .. } = error.kind() {
                return Err(MatchError::new(format!("a pattern could not be tried: {}", message(&error))));
            }
            violations.push((error.instance_path().as_str().to_owned(), message(&error)));
        }
        // In an order of our own: the validator promises none.
        violations.sort();
        let Some((place, what)) = violations.first() else {
            return Ok(Score::binary(true, format!("is {language} that the schema accepts")));
        };
        let place = if place.is_empty() { String::new() } else { format!(" at {}", bounded(place, 80)) };
        let more = match violations.len() {
            1 => String::new(),
            COMPARED => " (and many more)".to_owned(),
            n => format!(" (and {} more)", n - 1),
        };
        Ok(Score::binary(false, format!("the schema refuses it{place}: {what}{more}")))
    }
}

#[cfg(test)]
mod tests {
    use super::COMPILED;
    use crate::scoring::rules::testing::{judge_many_cases, problems, problems_in, reasons, verdicts, verify_in};
    use serde_json::json;

    #[test]
    fn many_cases_with_one_schema_compile_it_once() {
        let schema = json!({"type": "object", "required": ["once for all"]});
        let check = json!({"json_schema": schema});
        COMPILED.assert_made_once(&schema.to_string(), || judge_many_cases(&check));
    }

    #[test]
    fn wants_json_that_the_schema_accepts() {
        let check = json!({"json_schema": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
            "additionalProperties": false,
        }});
        verdicts(
            check.clone(),
            &[
                (r#"{"name": "Ann", "age": 3}"#, true),
                ("```json\n{\"name\": \"Ann\"}\n```", true),
                (r#"{"name": 3}"#, false),
                (r#"{"age": 3}"#, false),
                (r#"{"name": "Ann", "x": 1}"#, false),
                ("Ann", false),
            ],
        );
        insta::assert_snapshot!(reasons(check, &[
            r#"{"name": "Ann"}"#,
            r#"{"name": 3}"#,
            r#"{"age": -3, "x": 1}"#,
            "[]",
            "Ann",
        ]), @r#"
        is JSON that the schema accepts
        the schema refuses it at /name: 3 is not of type "string"
        the schema refuses it: "name" is a required property (and 2 more)
        the schema refuses it: [] is not of type "object"
        is not valid JSON: expected value at line 1 column 1, in "Ann"
        "#);
    }

    #[test]
    fn formats_are_checked() {
        verdicts(
            json!({"json_schema": {"type": "string", "format": "date"}}),
            &[("\"2024-02-29\"", true), ("\"2023-02-29\"", false)],
        );
    }

    #[test]
    fn references_inside_the_schema_work_also_in_circles() {
        verdicts(
            json!({"json_schema": {
                "$ref": "#/$defs/tree",
                "$defs": {"tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}}}},
            }}),
            &[(r#"{"left": {"left": {}}}"#, true), (r#"{"left": {"left": 1}}"#, false)],
        );
    }

    #[test]
    fn long_values_do_not_hide_the_message() {
        let text = format!("\"{}\"", "x".repeat(1000));
        insta::assert_snapshot!(reasons(json!({"json_schema": {"type": "integer"}}), &[&text]), @r#"the schema refuses it: the value is not of type "integer""#);
    }

    #[test]
    fn problems_lead_to_the_keyword() {
        insta::assert_snapshot!(problems(&[
            json!({"json_schema": "schema.json"}),
            json!({"json_schema": true}),
            json!({"json_schema": {}}),
            json!({"json_schema": {"title": "x", "requried": ["a"]}}),
            json!({"json_schema": {"type": "object", "requried": ["a"], "properties": {"min": {"min": 3, "x-ok": 1}}}}),
            json!({"json_schema": {"allOf": [{"items": {"nullable": true, "$defs": {"nullable": true}}}]}}),
            json!({"json_schema": {"prefixItems": [true], "additionalItems": false}}),
            json!({"json_schema": {"type": ["strin", "null"]}}),
            json!({"json_schema": {"type": "OBJECT"}}),
            json!({"json_schema": {"patternProperties": {"a(?!b)": true}}}),
            json!({"json_schema": {"properties": {"a/b": {"anyOf": [{"type": "string"}, {"minimum": "0"}]}}}}),
            json!({"json_schema": {"pattern": "("}}),
            json!({"json_schema": {"pattern": "a(?!b)"}}),
            json!({"json_schema": {"properties": {"a": {"pattern": "a(?!b)"}}}}),
            json!({"json_schema": {"properties": {"a": {"format": "colour"}}}}),
            json!({"json_schema": {"properties": {"a": {"$ref": "https://example.com/schema.json"}}}}),
            json!({"json_schema": {"$ref": "file:///etc/passwd"}}),
            json!({"json_schema": {"$ref": "#/$defs/none"}}),
            json!({"json_schema": {"$schema": "https://example.com/draft", "type": "string"}}),
        ]));
    }

    #[test]
    fn a_file_is_read_into_the_check() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        write("good.json", r#"{"type": "string"}"#);
        write("broken.json", "{\n  \"type\" \"string\"}");
        write("wrong.json", r#"{"properties": {"a": {"type": "strin"}}}"#);
        write("loop.json", r#"{"file": "good.json"}"#);
        let verified = verify_in(root.path(), json!({"json_schema": {"file": "good.json"}})).unwrap();
        assert_eq!(verified.args, json!({"type": "string"}));
        let nested = json!({"all": [{"not": {"json_schema": {"file": "good.json"}}, "name": "n"}]});
        let verified = verify_in(root.path(), nested).unwrap();
        assert_eq!(verified.args, json!([{"not": {"json_schema": {"type": "string"}}, "name": "n"}]));
        let schema = json!({"json_schema": {"file": "good.json"}});
        let captured = json!({"pattern": "a(.)", "capture": 1, "is": schema});
        let verified =
            verify_in(root.path(), json!({"at_least": {"n": 1, "of": [{"regex": captured}, schema]}})).unwrap();
        let schema = json!({"json_schema": {"type": "string"}});
        assert_eq!(
            verified.args,
            json!({"n": 1, "of": [{"regex": {"pattern": "a(.)", "capture": 1, "is": schema}}, schema]})
        );
        insta::assert_snapshot!(problems_in(
            root.path(),
            &[
                json!({"json_schema": {"file": "none.json"}}),
                json!({"json_schema": {"file": "../good.json"}}),
                json!({"json_schema": {"file": 3}}),
                json!({"json_schema": {"file": "broken.json"}}),
                json!({"json_schema": {"file": "wrong.json"}}),
                json!({"json_schema": {"file": "loop.json"}}),
                json!({"any": [{"contains": "x"}, {"json_schema": {"file": "wrong.json"}}]}),
                json!({"json_schema": {"file": "good.json", "type": "string"}}),
            ]
        ));
    }
}
