//! JSON Schema of golden files.

use super::case::KEYS;
use serde_json::{Map, Value, json};

/// The schema (draft 2020-12) of a golden file in YAML or JSON, and of each line of one in JSONL. `defs` has the
/// definition `checks`, the list `expect`. A CSV file has no schema.
pub fn schema(mut defs: Map<String, Value>) -> Value {
    let properties: Map<String, Value> = KEYS.iter().map(|key| ((*key).to_owned(), of_key(key))).collect();
    defs.insert(
        "case".to_owned(),
        json!({
            "type": "object",
            "description": "one golden example: inputs, and what the answer must satisfy",
            "properties": properties,
            "required": ["expect"],
            "additionalProperties": false,
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "golden cases of promptgate",
        "anyOf": [
            {"type": "array", "items": {"$ref": "#/$defs/case"}},
            {"$ref": "#/$defs/case"},
        ],
        "$defs": defs,
    })
}

fn of_key(key: &str) -> Value {
    let text = json!({"type": "string", "pattern": "\\S"});
    match key {
        "id" => json!({
            "description": "unique over all golden files; without it, one is made from vars and history",
            "anyOf": [text, {"type": "integer"}],
        }),
        "tags" => json!({
            "description": "free labels, for selection and slices",
            "type": ["array", "null"],
            "items": text,
        }),
        "critical" => json!({"description": "must pass, whatever the other cases say", "type": "boolean"}),
        "weight" => json!({
            "description": "how many cases it counts for; 1 without",
            "type": "number", "minimum": 0.001, "maximum": 1000,
        }),
        "cluster" => json!({
            "description": "cases with the same one stand or fall together, and are one piece of evidence",
            "anyOf": [text, {"type": "integer"}, {"type": "null"}],
        }),
        "vars" => json!({"description": "values for the prompt's template", "type": ["object", "null"]}),
        "history" => json!({
            "description": "earlier turns, oldest first",
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "properties": {"role": {"enum": ["user", "model"]}, "text": {"type": "string"}},
                "required": ["role", "text"],
                "additionalProperties": false,
            },
        }),
        "expect" => json!({"description": "all of these must hold", "$ref": "#/$defs/checks"}),
        "labels" => json!({
            "description": "answers that people judged, for `promptgate judge calibrate`; nothing else looks at them",
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "answer": {"description": "the text of the answer", "type": "string", "pattern": "\\S"},
                    "pass": {"description": "people let it pass", "type": "boolean"},
                    "check": {"description": "the name of the check, where a case has several judges", "$ref": "#/$defs/text"},
                },
                "required": ["answer", "pass"],
                "additionalProperties": false,
            },
        }),
        "notes" => json!({"description": "free text for people", "type": ["string", "null"]}),
        // A test holds that there is none.
        _ => Value::Bool(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_case_is_described() {
        for key in KEYS {
            assert!(of_key(key)["description"].is_string(), "{key}");
        }
    }
}
