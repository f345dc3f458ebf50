//! Each setting at the edge of its range, and each rule across settings.

use super::*;
use crate::domain::Tool;
use serde_json::json;
use time::macros::date;

fn request(config: Value) -> Request {
    Request { model: "mine".to_owned(), config: config.as_object().unwrap().clone(), ..Request::default() }
}

/// What is refused: path, message, what was expected.
fn refused_in(request: &Request) -> Vec<String> {
    let findings = review(request, "v1beta", date!(2026 - 11 - 22));
    let line = |problem: &ArgProblem| {
        let name = |step: &Step| match step {
            Step::Key(key) => key.clone(),
            Step::Index(index) => index.to_string(),
        };
        let path: Vec<String> = problem.path.iter().map(name).collect();
        let advice = problem.expected.as_deref().or(problem.hint.as_deref()).unwrap_or("-");
        format!("{}: {}; {advice}", path.join("."), problem.message)
    };
    findings.refused.iter().map(line).collect()
}

fn refused(config: Value) -> Vec<String> {
    refused_in(&request(config))
}

#[test]
fn everything_at_once_is_taken() {
    assert_eq!(
        refused(json!({
            "audioTranscriptionConfig": {}, "candidateCount": 1, "enableEnhancedCivicAnswers": true,
            "frequencyPenalty": -2, "imageConfig": {}, "logprobs": 20, "maxOutputTokens": 1,
            "mediaResolution": "media_resolution_low", "presencePenalty": 2.0, "responseFormat": [],
            "responseLogprobs": true, "responseMimeType": "application/json", "responseModalities": ["TEXT"],
            "responseSchema": {"type": "object", "properties": {"a": {"type": "ARRAY", "items": {"type": "STRING",
                "enum": ["x"]}, "minItems": "1"}}, "required": ["a"], "propertyOrdering": ["a"]},
            "seed": -5, "speechConfig": {}, "stopSequences": ["a", "b", "c", "d", "\n\n"], "temperature": 2,
            "thinkingConfig": {"includeThoughts": true, "thinkingBudget": -1}, "topK": 40.0, "topP": 1,
            "translationConfig": {}, "safetySettings": [
                {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"},
                {"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "off"}],
            "tools": [{"googleSearch": {}}, {"codeExecution": {}}, {"urlContext": {}}, {"functionDeclarations": [
                {"name": "find", "description": "Finds.", "parameters": {"type": "OBJECT", "properties": {}}},
                {"name": "look_up.v1:x-y", "parametersJsonSchema": {"$ref": "#/x"}}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "any", "allowedFunctionNames": ["find"]},
                "retrievalConfig": {"languageCode": "de"}},
            "labels": {"team": "x"}, "serviceTier": "flex", "store": false,
        })),
        [""; 0]
    );
    assert_eq!(refused(json!({"temperature": null, "responseSchema": null, "thinkingConfig": null})), [""; 0]);
}

#[test]
fn types_ranges_and_names_are_checked() {
    insta::assert_snapshot!(refused(json!({
        "max_output_tokens": 5, "apiKey": "x", "candidateCount": 2, "frequencyPenalty": 2.1, "logprobs": 21,
        "responseLogprobs": true, "maxOutputTokens": 0, "mediaResolution": "LOW", "responseModalities": ["SMELL"],
        "seed": 2_147_483_648_u64, "stopSequences": ["a", "b", "c", "d", "e", "f"], "temperature": "0.5", "topK": 1.5,
        "topP": -0.1, "thinkingConfig": {"thinkingBudget": -2, "budget": 1}, "labels": {"a": 1}, "serviceTier": "fast",
        "safetySettings": {}, "tools": [{"googleSearch": true}, {"google_search": {}}, {}], "store": "yes",
        "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}, "cachedContent": "abc", "responseMimeType": "json",
    })).join("\n"));
}

#[test]
fn values_in_schemas_are_checked() {
    let schema = |field: &str, value: Value| {
        let mut fields = Map::new();
        fields.insert(field.to_owned(), value);
        refused(
            json!({"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "properties": {"a": fields}}}),
        )
    };
    for (field, right, wrong) in [
        ("enum", json!(["1", "2"]), json!([1, 2])),
        ("minItems", json!("12"), json!("twelve")),
        ("maxItems", json!(3.0), json!(-1)),
        ("maxLength", json!(3), json!(1.5)),
        ("minimum", json!(-0.5), json!("0")),
        ("title", json!("A"), json!(5)),
        ("pattern", json!("[a-z]"), json!(["a"])),
        ("nullable", json!(true), json!("yes")),
        ("required", json!(["a"]), json!("a")),
        ("items", json!({"type": "string"}), json!({"type": "date"})),
        ("anyOf", json!([{"type": "NULL"}]), json!({"type": "NULL"})),
    ] {
        assert_eq!(schema(field, right), [""; 0], "{field}");
        let said = schema(field, wrong.clone());
        assert!(
            said.first().is_some_and(|said| said.starts_with(&format!("config.responseSchema.properties.a.{field}"))),
            "{field}: {wrong}: {said:?}"
        );
    }
}

#[test]
fn schemas_are_one_and_in_json() {
    let schema = json!({"type": "STRING"});
    let lines = [
        refused(json!({"responseSchema": schema, "responseJsonSchema": schema, "responseMimeType": "text/x.enum"})),
        refused(json!({"responseSchema": schema})),
        refused(json!({"responseJsonSchema": schema, "responseMimeType": "text/plain"})),
        refused(json!({"responseJsonSchema": 5, "responseMimeType": "application/json"})),
        refused(json!({"responseMimeType": "application/json",
            "responseSchema": {"properties": {"a": {"anyOf": [{"$ref": "#/b"}, {"type": "text"}]}}}})),
        refused_in(&Request { output_schema: Some(schema.clone()), ..request(json!({"responseSchema": schema})) }),
        refused_in(&Request {
            output_schema: Some(schema.clone()),
            ..request(json!({"responseMimeType": "text/plain"}))
        }),
    ];
    insta::assert_snapshot!(lines.concat().join("\n"));
    let implied = Request { json_output: true, ..request(json!({"responseSchema": schema})) };
    assert_eq!(refused_in(&implied), [""; 0]);
}

#[test]
fn rules_across_settings() {
    let setting = json!({"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"});
    let long = "x".repeat(129);
    let tool = |name: &str| Tool { name: name.to_owned(), description: String::new(), parameters: None };
    let lines = [
        refused(json!({"logprobs": 3})),
        refused(json!({"logprobs": 3, "responseLogprobs": false})),
        refused(
            json!({"safetySettings": [setting, setting, {"threshold": "OFF"}, {"category": "HARM_CATEGORY_HATE_SPEECH"}]}),
        ),
        refused_in(&Request {
            tools: vec![tool("find"), tool("1st"), tool(&long)],
            ..request(json!({"tools": {"functionDeclarations": [{"name": "find"}, {"name": "a b"}, {},
                {"name": "g", "parameters": {}, "parametersJsonSchema": {}}]}}))
        }),
        refused(json!({"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["f"]}}})),
        refused_in(&Request {
            tools: vec![tool("f")],
            ..request(
                json!({"toolConfig": {"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]}}}),
            )
        }),
        refused_in(&Request {
            tools: vec![tool("f")],
            ..request(json!({"cachedContent": "cachedContents/1", "toolConfig": {}}))
        }),
    ];
    insta::assert_snapshot!(lines.concat().join("\n"));
    assert_eq!(refused(json!({"cachedContent": "projects/p/locations/l/cachedContents/1"})), [""; 0]);
}
