//! Refuses what the service refuses while it parses a request: unknown fields, wrong types; then what `rules` refuses.
//!
//! Messages follow the service's own where a recorded one is known, so that what a client makes of them is tested too.

use super::body::{number, same_name, snake};
use super::fields::{Field, Kind, fields, values};
use super::rules::{batch_embed_rules, count_rules, embed_rules, generate_rules};
use super::status::Status;
use serde_json::{Map, Value};

/// A method with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Generate,
    Stream,
    CountTokens,
    Embed,
    BatchEmbed,
    #[cfg(feature = "emulator")]
    BatchGenerate,
}

/// Each method, its name after the colon of the path, and the message in its body.
const METHODS: &[(Method, &str, &str)] = &[
    (Method::Generate, "generateContent", "Generate"),
    (Method::Stream, "streamGenerateContent", "Generate"),
    (Method::CountTokens, "countTokens", "CountTokens"),
    (Method::Embed, "embedContent", "Embed"),
    (Method::BatchEmbed, "batchEmbedContents", "BatchEmbed"),
    #[cfg(feature = "emulator")]
    (Method::BatchGenerate, "batchGenerateContent", "BatchGenerate"),
];

impl Method {
    fn names(self) -> (&'static str, &'static str) {
        METHODS.iter().find(|(method, ..)| *method == self).map_or(("", ""), |(_, name, message)| (name, message))
    }

    /// The name after the colon of the path.
    pub(super) fn name(self) -> &'static str {
        self.names().0
    }

    /// It answers at once: an answer, a count or embeddings.
    pub(super) fn is_call(self) -> bool {
        match self {
            Method::Generate | Method::Stream | Method::CountTokens | Method::Embed | Method::BatchEmbed => true,
            #[cfg(feature = "emulator")]
            Method::BatchGenerate => false,
        }
    }

    /// The method after the colon of the path.
    pub(super) fn parse(name: &str) -> Option<Method> {
        METHODS.iter().find(|(_, known, _)| *known == name).map(|(method, ..)| *method)
    }
}

/// Violations listed in one answer; the rest is left out.
const LISTED: usize = 20;
/// Nesting of messages; schemas are recursive.
const DEPTH: usize = 64;

/// Checks a body.
///
/// # Errors
/// The service's 400.
pub(super) fn validate(method: Method, model: &str, body: &Value) -> Result<(), Status> {
    parsed(body, method.names().1)?;
    match method {
        Method::Generate | Method::Stream => generate_rules(body, model),
        Method::CountTokens => count_rules(body),
        Method::Embed => embed_rules(body, model, "EmbedContentRequest"),
        Method::BatchEmbed => batch_embed_rules(body, model),
        // A batch's requests are judged one by one, when they are answered.
        #[cfg(feature = "emulator")]
        Method::BatchGenerate => Ok(()),
    }
}

/// Checks fields and types of a body.
///
/// # Errors
/// The service's 400.
pub(super) fn parsed(body: &Value, message: &str) -> Result<(), Status> {
    let Value::Object(object) = body else {
        return Err(Status::new(400, "Invalid JSON payload received. Expected an object at the top level."));
    };
    let mut violations = Vec::new();
    walk(object, fields(message), "", DEPTH, &mut violations);
    if violations.is_empty() { Ok(()) } else { Err(Status::bad_fields(violations)) }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

type Violations = Vec<(String, String)>;

/// Checks an object's fields. Paths are built only for what is wrong or deeper.
fn walk(object: &Map<String, Value>, fields: &'static [Field], path: &str, depth: usize, violations: &mut Violations) {
    if depth == 0 {
        violations.push((path.to_owned(), "Message too deep. Max recursion depth reached.".to_owned()));
        return;
    }
    let mut set: Option<&Field> = None;
    for (key, value) in object {
        if violations.len() >= LISTED {
            return;
        }
        let Some(field) = fields.iter().find(|field| same_name(field.name, key)) else {
            let at = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
            violations.push((
                path.to_owned(),
                format!("Invalid JSON payload received. Unknown name \"{key}\"{at}: Cannot find field."),
            ));
            continue;
        };
        if value.is_null() {
            continue;
        }
        if field.alternative {
            if set.is_some() {
                violations.push((
                    path.to_owned(),
                    format!(
                        "Invalid value at '{path}' (oneof), oneof field 'data' is already set. Cannot set '{}'",
                        field.name
                    ),
                ));
                continue;
            }
            set = Some(field);
        }
        match (field.repeated, value) {
            (true, Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    check(item, field, || format!("{}[{at}]", join(path, &snake(field.name))), depth, violations);
                }
            }
            (false, Value::Array(_)) if !matches!(field.kind, Kind::Any) => violations.push((
                path.to_owned(),
                format!(
                    "Invalid JSON payload received. Unknown name \"{key}\" at '{}': Proto field is not repeating, cannot \
                     start list.",
                    join(path, &snake(field.name))
                ),
            )),
            _ => check(value, field, || join(path, &snake(field.name)), depth, violations),
        }
    }
}

fn check(value: &Value, field: &Field, path: impl Fn() -> String, depth: usize, violations: &mut Violations) {
    let mut wrong = |kind: &str| {
        let at = path();
        let description = format!("Invalid value at '{at}' ({kind}), {value}");
        violations.push((at, description));
    };
    match field.kind {
        Kind::Text if !value.is_string() => wrong("TYPE_STRING"),
        Kind::Bytes if !value.as_str().is_some_and(is_base64) => wrong("TYPE_BYTES"),
        Kind::Bool if !value.is_boolean() => wrong("TYPE_BOOL"),
        Kind::Int32 if !is_integer(value, f64::from(i32::MIN), f64::from(i32::MAX)) => wrong("TYPE_INT32"),
        Kind::Int64 if !is_integer(value, -9.3e18, 9.3e18) => wrong("TYPE_INT64"),
        Kind::Number if !number(value).is_some_and(f64::is_finite) => wrong("TYPE_FLOAT"),
        Kind::Enum(name) if !is_name(value, values(name).1) => {
            wrong(&format!("type.googleapis.com/google.ai.generativelanguage.v1beta.{}", values(name).0))
        }
        Kind::Object if !value.is_object() => wrong("TYPE_MESSAGE"),
        Kind::Message(name) => match value.as_object() {
            Some(object) => walk(object, fields(name), &path(), depth - 1, violations),
            None => wrong("TYPE_MESSAGE"),
        },
        Kind::MapOf(name) => match value.as_object() {
            Some(object) => {
                for (key, item) in object {
                    let at = format!("{}[{key}].value", path());
                    match item.as_object() {
                        Some(item) => walk(item, fields(name), &at, depth - 1, violations),
                        None => {
                            let description = format!("Invalid value at '{at}' (TYPE_MESSAGE), {item}");
                            violations.push((at, description));
                        }
                    }
                }
            }
            None => wrong("TYPE_MESSAGE"),
        },
        Kind::Text
        | Kind::Bytes
        | Kind::Bool
        | Kind::Int32
        | Kind::Int64
        | Kind::Number
        | Kind::Enum(..)
        | Kind::Object
        | Kind::Any => {}
    }
}

/// Characters only: the service takes both alphabets, with or without padding.
fn is_base64(text: &str) -> bool {
    text.trim_end_matches('=').bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'))
}

fn is_integer(value: &Value, low: f64, high: f64) -> bool {
    number(value).is_some_and(|number| number.fract() == 0.0 && (low..=high).contains(&number))
}

fn is_name(value: &Value, names: &[&str]) -> bool {
    match value {
        Value::String(text) => names.iter().any(|name| name.eq_ignore_ascii_case(text)),
        Value::Number(number) => number.as_u64().is_some_and(|n| (n as usize) < names.len()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(key: &str, value: Value) -> Value {
        let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
        body[key] = value;
        body
    }

    #[test]
    fn bad_requests_get_the_service_s_words() {
        let table = [
            (
                with("generationConfig", json!({"includeThoughts": true})),
                "Invalid JSON payload received. Unknown name \"includeThoughts\" at 'generation_config': Cannot find field.",
            ),
            (
                with("generation_config", json!({"thinkingConfig": {"level": 1}})),
                "Invalid JSON payload received. Unknown name \"level\" at 'generation_config.thinking_config': Cannot find field.",
            ),
            (with("banana", json!(1)), "Invalid JSON payload received. Unknown name \"banana\": Cannot find field."),
            (
                with("contents", json!([{"role": "system", "parts": [{"text": "x"}]}])),
                "Please use a valid role: user, model.",
            ),
            (
                with("generationConfig", json!({"maxOutputTokens": "many"})),
                "Invalid value at 'generation_config.max_output_tokens' (TYPE_INT32), \"many\"",
            ),
            (
                with("contents", json!([{"parts": [{"text": 3}]}])),
                "Invalid value at 'contents[0].parts[0].text' (TYPE_STRING), 3",
            ),
            (with("contents", json!([])), "* GenerateContentRequest.contents: contents is not specified\n"),
            (
                with("contents", json!([{"role": "user", "parts": []}])),
                "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.\n",
            ),
            (
                with("contents", json!([{"parts": [{"thought": true}]}])),
                "* GenerateContentRequest.contents[0].parts[0].data: required oneof field 'data' must have one initialized field\n",
            ),
            (
                with(
                    "contents",
                    json!([{"parts": [{"text": "a", "inlineData": {"mimeType": "image/png", "data": "AA=="}}]}]),
                ),
                "Invalid value at 'contents[0].parts[0]' (oneof), oneof field 'data' is already set. Cannot set 'inlineData'",
            ),
            (
                with("generationConfig", json!({"responseSchema": {"type": "STRING"}})),
                "* GenerateContentRequest.generation_config.response_schema: only allowed for mime types `application/json` and `text/x.enum`.\n",
            ),
            (
                with("generationConfig", json!({"temperature": 2.5})),
                "* GenerateContentRequest.generation_config.temperature: temperature must be in the range [0.0, 2.0].\n",
            ),
            (
                with("generationConfig", json!({"candidateCount": 2})),
                "Multiple candidates is not enabled for this model",
            ),
            (
                with("generationConfig", json!({"thinkingConfig": {"thinkingBudget": 5, "thinkingLevel": "LOW"}})),
                "You can only set only one of thinking budget and thinking level.",
            ),
            (
                with("safetySettings", json!([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ALL"}])),
                "Invalid value at 'safety_settings[0].threshold' (type.googleapis.com/google.ai.generativelanguage.v1beta.SafetySetting.HarmBlockThreshold), \"BLOCK_ALL\"",
            ),
            (
                with("systemInstruction", json!([{"parts": [{"text": "x"}]}])),
                "Invalid JSON payload received. Unknown name \"systemInstruction\" at 'system_instruction': Proto field is not repeating, cannot start list.",
            ),
            (json!([]), "Invalid JSON payload received. Expected an object at the top level."),
        ];
        for (body, message) in table {
            let status = validate(Method::Generate, "gemini-3.8-flash", &body).unwrap_err();
            assert_eq!((status.http, status.message.as_str()), (400, message), "{body}");
        }
    }

    #[test]
    fn unknown_fields_are_listed_as_violations() {
        let body = with("generationConfig", json!({"a": 1, "b": 2}));
        let status = validate(Method::Generate, "gemini-3.8-flash", &body).unwrap_err();
        let violations = status.details[0]["fieldViolations"].as_array().unwrap();
        assert_eq!(violations.len(), 2);
        assert_eq!(violations[0]["field"], "generation_config");
        assert_eq!(status.details[0]["@type"], "type.googleapis.com/google.rpc.BadRequest");
    }

    #[test]
    fn good_requests_pass() {
        for body in [
            with("generation_config", json!({"max_output_tokens": "12", "stop_sequences": ["x"]})),
            with(
                "generationConfig",
                json!({"responseMimeType": "application/json", "responseSchema":
                {"type": "object", "properties": {"a": {"type": "string"}}, "propertyOrdering": ["a"]}}),
            ),
            with("tools", json!({"function_declarations": [{"name": "f", "description": "d"}]})),
            with("system_instruction", json!({"role": "anything", "parts": {"text": "x"}})),
            with("toolConfig", json!({"functionCallingConfig": {"mode": "any", "allowedFunctionNames": ["f"]}})),
            with(
                "contents",
                json!([{"parts": [{"text": "a"}]}, {"role": "model", "parts": [{"thoughtSignature": "a_-="}]},
                {"role": "user", "parts": [{"text": "b"}]}]),
            ),
        ] {
            assert_eq!(validate(Method::Generate, "gemini-3.8-flash", &body), Ok(()), "{body}");
        }
    }

    #[test]
    fn a_trailing_model_turn_depends_on_the_generation() {
        let body = with("contents", json!([{"parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": "b"}]}]));
        assert!(validate(Method::Generate, "gemini-3.8-flash", &body).is_err());
        assert!(validate(Method::Generate, "gemini-2.5-flash", &body).is_ok());
    }

    #[test]
    fn count_tokens_takes_one_of_two_forms() {
        let contents = json!([{"parts": [{"text": "hi"}]}]);
        let inner = json!({"model": "models/gemini-3.8-flash", "contents": contents});
        for (body, good) in [
            (json!({"contents": contents}), true),
            (json!({"generateContentRequest": inner}), true),
            (json!({"contents": contents, "generateContentRequest": inner}), false),
            (json!({"generateContentRequest": {"contents": contents}}), false),
            (json!({}), false),
        ] {
            assert_eq!(validate(Method::CountTokens, "gemini-3.8-flash", &body).is_ok(), good, "{body}");
        }
    }

    #[test]
    fn schemas_nested_without_end_are_refused() {
        let mut schema = json!({"type": "STRING"});
        for _ in 0..100 {
            schema = json!({"type": "ARRAY", "items": schema});
        }
        let body = with("generationConfig", json!({"responseMimeType": "application/json", "responseSchema": schema}));
        let status = validate(Method::Generate, "gemini-3.8-flash", &body).unwrap_err();
        assert!(status.message.contains("too deep"));
    }

    /// Every recorded request that the service took must be taken here too. Needs `PROMPTGATE_CONFORMANCE`, the folder
    /// with `gemini-wire.jsonl`.
    #[test]
    fn recorded_requests_are_accepted() {
        let Ok(folder) = std::env::var("PROMPTGATE_CONFORMANCE") else {
            eprintln!("skipped: PROMPTGATE_CONFORMANCE names no folder with gemini-wire.jsonl");
            return;
        };
        let file = std::path::Path::new(&folder).join("gemini-wire.jsonl");
        let recorded = std::fs::read_to_string(file).unwrap();
        let mut seen = 0;
        for line in recorded.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let Some(method) = row["method"].as_str().and_then(Method::parse) else {
                continue;
            };
            if row["api"] != "gemini" {
                continue;
            }
            let path = row["path"].as_str().unwrap();
            let model = path.split("models/").nth(1).unwrap().split(':').next().unwrap();
            assert_eq!(validate(method, model, &row["request"]), Ok(()), "{}", row["id"]);
            seen += 1;
        }
        assert!(seen > 200, "only {seen} recorded requests were found");
    }
}
