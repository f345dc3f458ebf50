//! Looks a JSON schema through for keywords that would silently check nothing.
//!
//! The specification lets a validator ignore what it doesn't know, so a misspelt `requried` checks nothing and the
//! answer passes. Here an unknown keyword is a mistake. Also bounds what a hostile schema could do to the stack.

use super::arguments::inside;
use super::quote::bounded;
use crate::domain::{ArgProblem, Step};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// How deep a schema may be nested, counted in JSON values.
const MAX_DEPTH: usize = 128;

/// How many references a schema may have: each may add a level to the validator's stack.
const MAX_REFERENCES: usize = 500;

/// How many JSON values a schema may have with every reference replaced by what it names: definitions that name each other
/// twice double with every level, and a failing answer would be held against each of them.
const MAX_EXPANDED: u64 = 100_000;

/// Where a keyword's value holds schemas.
#[derive(Clone, Copy)]
enum Holds {
    Nothing,
    /// Is one.
    Schema,
    /// Is one, or a list of them.
    Schemas,
    /// Is a map of them.
    Map,
}

/// The keywords of draft 4 to 2020-12, by what their values hold, and whether one alone can refuse an answer.
const KEYWORDS: &[(Holds, bool, &str)] = &[
    (
        Holds::Nothing,
        true,
        "$ref $dynamicRef $recursiveRef type enum const multipleOf maximum exclusiveMaximum minimum \
         exclusiveMinimum maxLength minLength pattern format maxItems minItems uniqueItems required maxProperties \
         minProperties dependentRequired",
    ),
    (
        Holds::Nothing,
        false,
        "$schema $id id $anchor $dynamicAnchor $recursiveAnchor $vocabulary $comment contentEncoding \
         contentMediaType maxContains minContains title description default deprecated readOnly writeOnly examples",
    ),
    (Holds::Schema, true, "not if contains unevaluatedItems additionalProperties propertyNames unevaluatedProperties"),
    (Holds::Schema, false, "then else contentSchema"),
    (Holds::Schemas, true, "allOf anyOf oneOf items prefixItems"),
    (Holds::Map, true, "properties patternProperties dependencies dependentSchemas"),
    (Holds::Map, false, "$defs definitions"),
    // Not of the specification, but common in response schemas, and without a meaning for validity.
    (Holds::Nothing, false, "example propertyOrdering"),
];

/// A keyword that later drafts dropped, so that a validator of theirs ignores it.
const DROPPED: &str = "additionalItems";

/// What is wrong with the keywords of a schema; nothing, if it can refuse an answer.
pub(super) fn keyword_problems(schema: &Map<String, Value>) -> Vec<ArgProblem> {
    if schema.values().any(|value| is_too_deep(value, 2)) {
        let problem = ArgProblem::new(format!("the schema is nested more than {MAX_DEPTH} deep"));
        return vec![problem.expected("fewer levels, or definitions under `$defs`")];
    }
    let asserts = |key: &String| find(key).is_some_and(|(_, asserts)| asserts);
    let draft = schema.get("$schema").and_then(Value::as_str);
    let mut walk = Walk { knows_dropped: draft.is_some_and(|draft| !draft.contains("2020-12")), references: 0 };
    let mut problems = walk.map(schema);
    if walk.references > MAX_REFERENCES {
        problems.push(
            ArgProblem::new(format!("the schema has {} references", walk.references))
                .expected(format!("at most {MAX_REFERENCES}")),
        );
    }
    if walk.references > 0 && Expansion::of(schema) > MAX_EXPANDED {
        problems.push(
            ArgProblem::new("the schema's references multiply beyond measure")
                .expected(format!("at most {MAX_EXPANDED} values when every `$ref` is replaced by what it names")),
        );
    }
    if problems.is_empty() && !schema.keys().any(asserts) {
        problems.push(
            ArgProblem::new("the schema has no keyword that an answer can violate")
                .expected("at least one of type, required, properties, enum, …")
                .hint("for any valid JSON, write `json: true`"),
        );
    }
    problems
}

/// Counts a schema with its references replaced; each definition is counted once and remembered.
struct Expansion<'a> {
    root: &'a Value,
    /// By address; `None` while it is being counted.
    sizes: HashMap<*const Value, Option<u64>>,
}

impl Expansion<'_> {
    fn of(schema: &Map<String, Value>) -> u64 {
        let root = Value::Object(schema.clone());
        let mut expansion = Expansion { root: &root, sizes: HashMap::new() };
        expansion.size(&root, 0)
    }

    fn size(&mut self, value: &Value, depth: usize) -> u64 {
        // A reference back to what is being counted ends there, as it does in the validator once the answer is used up.
        match self.sizes.get(&std::ptr::from_ref(value)) {
            Some(known) => return known.unwrap_or(1),
            None if depth > MAX_DEPTH * 8 => return u64::MAX,
            None => self.sizes.insert(std::ptr::from_ref(value), None),
        };
        let mut size = 1u64;
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    size = size.saturating_add(self.size(inner, depth + 1));
                    if key == "$ref"
                        && let Some(target) = inner.as_str().and_then(|path| self.root.pointer(path.strip_prefix('#')?))
                    {
                        size = size.saturating_add(self.size(target, depth + 1));
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    size = size.saturating_add(self.size(item, depth + 1));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        self.sizes.insert(std::ptr::from_ref(value), Some(size));
        size
    }
}

/// What a keyword's value holds, and whether the keyword alone can refuse an answer.
fn find(keyword: &str) -> Option<(Holds, bool)> {
    let is_listed = |names: &str| names.split_whitespace().any(|name| name == keyword);
    KEYWORDS.iter().find(|(_, _, names)| is_listed(names)).map(|(holds, asserts, _)| (*holds, *asserts))
}

struct Walk {
    knows_dropped: bool,
    references: usize,
}

impl Walk {
    /// The problems of one schema and those inside it. Other kinds of values are the meta-schema's business.
    fn map(&mut self, schema: &Map<String, Value>) -> Vec<ArgProblem> {
        let mut problems = Vec::new();
        for (key, value) in schema {
            let step = Step::key(key);
            if matches!(key.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef") {
                self.references += 1;
            }
            let holds = match find(key) {
                Some((holds, _)) => holds,
                None if key == DROPPED && self.knows_dropped => Holds::Schema,
                None if key.starts_with("x-") => Holds::Nothing,
                None => {
                    problems.push(unknown(key).inside(step));
                    continue;
                }
            };
            let found = match (holds, value) {
                (Holds::Schema | Holds::Schemas, Value::Object(schema)) => self.map(schema),
                (Holds::Schemas, Value::Array(list)) => {
                    let items = list.iter().enumerate().map(|(i, value)| (Step::Index(i), value));
                    self.each(items)
                }
                (Holds::Map, Value::Object(map)) => self.each(map.iter().map(|(key, value)| (Step::key(key), value))),
                (Holds::Nothing | Holds::Schema | Holds::Schemas | Holds::Map, _) => Vec::new(),
            };
            problems.extend(inside(found, &step));
        }
        problems
    }

    fn each<'a>(&mut self, values: impl Iterator<Item = (Step, &'a Value)>) -> Vec<ArgProblem> {
        let mut problems = Vec::new();
        for (step, value) in values {
            if let Value::Object(schema) = value {
                problems.extend(inside(self.map(schema), &step));
            }
        }
        problems
    }
}

/// Whether a value reaches below the deepest level that is allowed. Looks no further than that.
fn is_too_deep(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(list) => depth > MAX_DEPTH || list.iter().any(|value| is_too_deep(value, depth + 1)),
        Value::Object(map) => depth > MAX_DEPTH || map.values().any(|value| is_too_deep(value, depth + 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn unknown(key: &str) -> ArgProblem {
    let problem = ArgProblem::new(format!("the schema has an unknown keyword `{}`", bounded(key, 40)))
        .expected("a keyword of JSON schema, or an annotation that starts with `x-`");
    let hint = match key {
        "nullable" => "write `type: [\"string\", \"null\"]`",
        "additionalItems" => "in draft 2020-12 write `items` beside `prefixItems`",
        _ => return problem.did_you_mean(key, KEYWORDS.iter().flat_map(|(_, _, names)| names.split_whitespace())),
    };
    problem.hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(schema: &Value) -> Vec<String> {
        let problems = keyword_problems(schema.as_object().unwrap());
        problems.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn references_that_multiply_are_refused_and_those_that_recur_are_not() {
        let mut defs = Map::new();
        for level in 0..30 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            defs.insert(format!("d{level}"), json!({"anyOf": [next, next]}));
        }
        defs.insert("d30".to_owned(), json!({"type": "string"}));
        let doubling = json!({"$ref": "#/$defs/d0", "$defs": defs});
        let problems = keyword_problems(doubling.as_object().unwrap());
        assert!(problems[0].message.contains("multiply"), "{problems:?}");
        let tree = json!({
            "type": "object",
            "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}},
        });
        assert_eq!(keyword_problems(tree.as_object().unwrap()), []);
    }

    #[test]
    fn finds_unknown_keywords_wherever_a_schema_stands() {
        let inner = json!({"typ": "string"});
        for schema in [
            json!({"type": "object", "properties": {"typ": inner}}),
            json!({"items": inner}),
            json!({"prefixItems": [true, inner]}),
            json!({"anyOf": [{"not": inner}]}),
            json!({"type": "object", "$defs": {"a": {"additionalProperties": inner}}}),
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "items": [], "additionalItems": inner}),
        ] {
            assert_eq!(problems(&schema), ["the schema has an unknown keyword `typ`"], "{schema}");
        }
    }

    #[test]
    fn leaves_values_that_are_no_schemas_alone() {
        for schema in [
            json!({"enum": [{"typ": 1}]}),
            json!({"const": {"typ": 1}}),
            json!({"type": "object", "default": {"typ": 1}, "x-typ": {"typ": 1}}),
            json!({"dependentRequired": {"typ": ["a"]}}),
            json!({"dependencies": {"typ": ["a"]}}),
        ] {
            assert_eq!(problems(&schema), [""; 0], "{schema}");
        }
    }

    #[test]
    fn size_is_bounded() {
        let deep = |levels: usize| (1..levels).fold(json!({"type": "string"}), |inner, _| json!({"items": inner}));
        assert_eq!(problems(&deep(MAX_DEPTH)), [""; 0]);
        assert_eq!(problems(&deep(MAX_DEPTH + 1)), ["the schema is nested more than 128 deep"]);
        let many = |n: usize| json!({"allOf": vec![json!({"$ref": "#/$defs/a"}); n]});
        assert_eq!(problems(&many(500)), [""; 0]);
        assert_eq!(problems(&many(501)), ["the schema has 501 references"]);
    }
}
