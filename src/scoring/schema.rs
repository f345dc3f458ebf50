//! JSON Schema of checks, from the table of matchers.

use super::matchers::MATCHERS;
use serde_json::{Map, Value, json};

/// The `$defs` of a schema (draft 2020-12) that has checks: `check` and what it refers to. It refuses no check that loads;
/// of those that don't load it refuses what a schema can express.
pub fn schema() -> Map<String, Value> {
    let mut properties = Map::from_iter([
        (
            "name".to_owned(),
            json!({"type": "string", "pattern": "\\S", "description": "what people call it in reports"}),
        ),
        (
            "weight".to_owned(),
            json!({"type": "number", "minimum": 0, "description": "share in the case's score; 1 without it"}),
        ),
        (
            "advisory".to_owned(),
            json!({"type": "boolean", "description": "reported and scored, but without a say in pass or fail"}),
        ),
    ]);
    for def in MATCHERS {
        // A test holds that every schema of the table is JSON.
        let arguments: Value = serde_json::from_str(def.schema).unwrap_or(Value::Bool(true));
        properties.insert(
            def.name.to_owned(),
            json!({
                "description": format!("passes when {}\n\narguments: {}\n\nexample: {}", def.summary, def.arguments, def.example),
                "allOf": [arguments],
            }),
        );
    }
    let one_matcher: Vec<Value> = MATCHERS.iter().map(|def| json!({"required": [def.name]})).collect();
    let flags = json!({
        "ignore_case": {"type": "boolean", "description": "overlook upper and lower case"},
        "normalize": {"type": "boolean", "description": "overlook white space and Unicode forms"},
        "white_space": {"enum": ["keep", "trim", "collapse", "remove"]},
        "unicode": {"enum": ["as_is", "nfc", "nfkc"]},
    });
    let with_flags = |key: &str, texts: &str| {
        let mut properties = json!({key: {"$ref": format!("#/$defs/{texts}")}});
        if let (Value::Object(properties), Value::Object(flags)) = (&mut properties, flags.clone()) {
            properties.extend(flags);
        }
        json!({"type": "object", "properties": properties, "required": [key], "additionalProperties": false})
    };
    let count = json!({"type": "integer", "minimum": 0});
    Map::from_iter([
        (
            "check".to_owned(),
            json!({
                "description": "a matcher with its arguments; a plain text is `equals`",
                "anyOf": [
                    {"$ref": "#/$defs/text"},
                    {"type": "object", "properties": properties, "additionalProperties": false, "oneOf": one_matcher},
                ],
            }),
        ),
        ("checks".to_owned(), json!({"type": "array", "items": {"$ref": "#/$defs/check"}, "minItems": 1})),
        ("text".to_owned(), json!({"type": "string", "pattern": "\\S"})),
        ("texts".to_owned(), json!({"type": "array", "items": {"$ref": "#/$defs/text"}, "minItems": 1})),
        ("one_text".to_owned(), json!({"anyOf": [{"$ref": "#/$defs/text"}, with_flags("value", "text")]})),
        ("many_texts".to_owned(), json!({"anyOf": [{"$ref": "#/$defs/texts"}, with_flags("values", "texts")]})),
        (
            "bounds".to_owned(),
            json!({
                "description": "an exact count, or {min, max}",
                "anyOf": [
                    count,
                    {
                        "type": "object",
                        "properties": {"min": count, "max": count},
                        "additionalProperties": false,
                        "minProperties": 1,
                    },
                ],
            }),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::rules::testing::{available, verify_in};
    use jsonschema::Validator;
    use std::path::Path;

    fn validator() -> Validator {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": schema(),
            "$ref": "#/$defs/check",
        });
        assert!(jsonschema::meta::is_valid(&schema));
        jsonschema::validator_for(&schema).unwrap()
    }

    #[test]
    fn examples_are_valid_and_refused_checks_are_not() {
        let validator = validator();
        for def in MATCHERS {
            assert!(serde_json::from_str::<Value>(def.schema).is_ok(), "{}: not JSON", def.name);
            let example: Value = serde_json::from_str(def.example).unwrap();
            let mistakes: Vec<String> = validator.iter_errors(&example).map(|it| it.to_string()).collect();
            assert!(mistakes.is_empty(), "{}: {}", def.name, mistakes.join("\n"));
            let refused: Value = serde_json::from_str(def.refused).unwrap();
            assert_eq!(validator.is_valid(&refused), !def.schema_refuses, "{}", def.refused);
        }
    }

    #[test]
    fn what_loads_is_valid_and_what_is_invalid_does_not_load() {
        let validator = validator();
        let values: Vec<Value> = serde_json::from_str(
            r#"[
            true, false, null, 0, 3, -1.5, "", " ", "STOP", "\u00a0", [], ["STOP"], ["a", "b"], ["a", " "], {},
            {"value": "a"}, {"value": true}, {"value": {"a": 1}, "subset": true}, {"value": {}, "subset": true},
            {"value": 1, "tolerance": 0.5}, {"values": ["a"], "ignore_case": true},
            {"values": ["a"], "ignorecase": true}, {"pattern": "a", "count": 2},
            {"pattern": " ", "count": {"min": 1}}, {"min": 0}, {"min": 1}, {"min": 0, "max": 0},
            {"max": 3, "unit": "words"}, {"fenced": false}, {"path": "$.a", "equals": null},
            {"path": "$.a", "check": "a", "which": "first", "fenced": true}, {"path": "a/b", "count": 0},
            {"root": "a"}, {"columns": 2}, {"header": ["a"], "delimiter": "\t"}, {"list_items": 1},
            {"has": ["list"], "heading_levels": [1]}, {"table": {"rows": 1}}, {"language": "rust"},
            {"to": "a", "min": 0.5}, {"value": false, "phrases": ["never ever"]}, {"mode": "none"},
            {"mode": "none", "calls": [{"name": "f"}]},
            {"calls": [{"name": "f", "args": {"a": 1}, "extra_args": "allow"}]},
            {"kinds": ["email"], "allow": ["a@b.c"]}, {"kinds": ["jwt"]}, {"words": 4}, {"hosts": ["who.int"]},
            {"hosts": ["who.int."], "min": 2, "supported": true},
            {"hosts": ["b\u00fccher.de"], "urls": ["https://who.int/a#b"]}, {"hosts": ["127.0.0.1"]},
            {"hosts": ["who.int/a"]}, {"hosts": ["who%2eint"]}, {"contains": "a"}, {"contains": "a", "weight": 2},
            [{"contains": "a", "name": "b"}, "c"], {"type": "object"}
            ]"#,
        )
        .unwrap();
        let mut loaded = 0;
        for def in available() {
            for value in &values {
                let check = json!({def.name: value});
                if verify_in(Path::new("/nowhere"), check.clone()).is_ok() {
                    loaded += 1;
                    assert!(validator.is_valid(&check), "loads, but is invalid: {check}");
                }
            }
        }
        assert!(loaded > MATCHERS.len(), "{loaded} loaded");
    }
}
