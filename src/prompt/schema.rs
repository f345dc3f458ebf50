//! JSON Schema of front matter.

use super::frontmatter::KNOWN_KEYS;
use serde_json::{Map, Value, json};

/// The schema (draft 2020-12) of the YAML between the `---` lines of a prompt.
pub fn schema() -> Value {
    let properties: Map<String, Value> = KNOWN_KEYS.iter().map(|key| ((*key).to_owned(), of_key(key))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "front matter of a prompt for promptgate",
        "type": ["object", "null"],
        "properties": properties,
        "patternProperties": {"\\.": {"description": "a key in a namespace, which promptgate passes over"}},
        "additionalProperties": false,
        "$defs": {
            "schema": {
                "description": "JSON Schema, or fields in Picoschema like `question: string, what it means`",
                "type": ["object", "string", "null"],
            },
            "tools": {
                "type": ["array", "null"],
                "items": {
                    "anyOf": [
                        {"type": "string"},
                        {
                            "type": "object",
                            "properties": {
                                "name": {"type": "string", "minLength": 1},
                                "description": {"type": ["string", "null"]},
                                "inputSchema": {"$ref": "#/$defs/schema"},
                                "parameters": {"$ref": "#/$defs/schema"},
                                "input": {"type": "object", "required": ["schema"]},
                                "outputSchema": {"$ref": "#/$defs/schema"},
                            },
                            "required": ["name"],
                            "additionalProperties": false,
                        },
                    ],
                },
            },
        },
    })
}

fn of_key(key: &str) -> Value {
    let map = |description: &str, properties: Value| {
        json!({
            "description": description,
            "type": ["object", "null"],
            "properties": properties,
            "additionalProperties": false,
        })
    };
    match key {
        "model" => json!({"description": "the model, like gemini-3.8-flash", "type": ["string", "null"]}),
        "config" => json!({
            "description": "generation settings like temperature, and tools of the service itself",
            "type": ["object", "null"],
        }),
        "input" => map(
            "the variables of the template",
            json!({
                "default": {"description": "values of variables that a case does not have", "type": ["object", "null"]},
                "schema": {"$ref": "#/$defs/schema"},
            }),
        ),
        "output" => map(
            "what the answer looks like",
            json!({
                "format": {"enum": ["json", "text", null]},
                "schema": {"$ref": "#/$defs/schema"},
            }),
        ),
        "tools" => json!({"description": "functions the model may call", "$ref": "#/$defs/tools"}),
        "toolDefs" => json!({"description": "definitions of such functions", "$ref": "#/$defs/tools"}),
        "description" => json!({"description": "for people"}),
        "metadata" => json!({"description": "for people and other tools"}),
        "name" => json!({"description": "for other tools; promptgate goes by the file's name"}),
        "variant" => json!({"description": "for other tools"}),
        "version" => json!({"description": "for other tools"}),
        // A test holds that there is none.
        _ => Value::Bool(true),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Project;
    use super::*;

    #[test]
    fn every_key_of_front_matter_is_described() {
        for key in KNOWN_KEYS {
            assert!(of_key(key)["description"].is_string(), "{key}");
        }
    }

    #[test]
    fn what_opens_is_valid_and_what_is_invalid_does_not_open() {
        let schema = schema();
        assert!(jsonschema::meta::is_valid(&schema));
        let validator = jsonschema::validator_for(&schema).unwrap();
        for (front, valid) in [
            (json!({}), true),
            (json!({"model": "gemini-3.8-flash", "config": {"temperature": 0}}), true),
            (json!({"input": {"default": {"a": 1}, "schema": {"question": "string"}}}), true),
            (json!({"output": {"format": "json", "schema": {"answer": "string"}}}), true),
            (json!({"tools": [{"name": "f", "inputSchema": {"id": "integer"}}]}), true),
            (json!({"team.owner": "support"}), true),
            (json!({"modle": "gemini-3.8-flash"}), false),
            (json!({"output": {"format": "xml"}}), false),
            (json!({"input": {"defaults": {}}}), false),
            (json!({"tools": [{"inputSchema": {"id": "integer"}}]}), false),
        ] {
            assert_eq!(validator.is_valid(&front), valid, "{front}");
            let project = Project::new(&[("prompts/p.prompt", &format!("---\n{front}\n---\n{{{{question}}}}"))]);
            assert_eq!(project.open("p").is_ok(), valid, "{front}");
        }
    }
}
