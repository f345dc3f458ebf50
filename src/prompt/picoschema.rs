//! Picoschema, dotprompt's short form of JSON Schema, as google/dotprompt's specification and reference implementation
//! define it: `field?: type, description`, `field(array, description): type`, `field(enum): [A, B]`, `(*): any`.

use crate::domain::{ArgProblem, Step, nearest};
use serde_json::{Map, Value, json};

const SCALARS: [&str; 6] = ["any", "boolean", "integer", "null", "number", "string"];
const WILDCARD: &str = "(*)";

/// The value is JSON Schema already: it has a `type` that JSON Schema knows, or `properties`.
pub fn is_json_schema(schema: &Value) -> bool {
    let Value::Object(map) = schema else { return false };
    let typed = map
        .get("type")
        .and_then(Value::as_str)
        .is_some_and(|name| SCALARS.contains(&name) || name == "object" || name == "array");
    typed || map.get("properties").is_some_and(Value::is_object)
}

/// JSON Schema of a schema in either form. `named` are the schemas that a type name may stand for.
pub fn to_json_schema(schema: &Value, named: &Map<String, Value>) -> Result<Value, ArgProblem> {
    if is_json_schema(schema) {
        let mut schema = schema.clone();
        if let Value::Object(map) = &mut schema
            && !map.get("type").is_some_and(Value::is_string)
        {
            map.insert("type".to_owned(), json!("object"));
        }
        return Ok(schema);
    }
    Pico { named }.schema(schema)
}

struct Pico<'a> {
    named: &'a Map<String, Value>,
}

impl Pico<'_> {
    fn schema(&self, schema: &Value) -> Result<Value, ArgProblem> {
        match schema {
            Value::String(text) => self.scalar(text),
            Value::Object(fields) => self.object(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                Err(ArgProblem::new("a schema is neither a type nor a map of fields")
                    .expected("a type like `string, what it means`, or fields"))
            }
        }
    }

    fn scalar(&self, text: &str) -> Result<Value, ArgProblem> {
        let (name, description) = with_description(text);
        let mut schema = if name == "any" {
            Map::new()
        } else if SCALARS.contains(&name) {
            Map::from_iter([("type".to_owned(), json!(name))])
        } else {
            self.named(name)?
        };
        if let Some(description) = description {
            schema.insert("description".to_owned(), json!(description));
        }
        Ok(Value::Object(schema))
    }

    fn named(&self, name: &str) -> Result<Map<String, Value>, ArgProblem> {
        if let Some(Value::Object(schema)) = self.named.get(name) {
            return Ok(schema.clone());
        }
        let shown: String = name.chars().take(60).collect();
        let problem = ArgProblem::new(format!("unknown type `{shown}`"))
            .expected("string, number, integer, boolean, null or any; a list is written `field(array): type`");
        let known = SCALARS.into_iter().chain(self.named.keys().map(String::as_str));
        Err(match nearest(name, known) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        })
    }

    fn object(&self, fields: &Map<String, Value>) -> Result<Value, ArgProblem> {
        let mut properties = Map::new();
        let mut required = Vec::new();
        let mut additional = Value::Bool(false);
        for (key, written) in fields {
            let inside = |problem: ArgProblem| problem.inside(Step::key(key));
            if key == WILDCARD {
                additional = self.schema(written).map_err(inside)?;
                continue;
            }
            let field = Field::parse(key).map_err(inside)?;
            if !field.optional {
                required.push(json!(field.name));
            }
            let schema = self.property(&field, written).map_err(inside)?;
            if properties.insert(field.name.to_owned(), schema).is_some() {
                return Err(inside(ArgProblem::new(format!("field `{}` stands twice", field.name))));
            }
        }
        let mut schema = Map::from_iter([
            ("type".to_owned(), json!("object")),
            ("properties".to_owned(), Value::Object(properties)),
        ]);
        if !required.is_empty() {
            schema.insert("required".to_owned(), Value::Array(required));
        }
        schema.insert("additionalProperties".to_owned(), additional);
        Ok(Value::Object(schema))
    }

    /// An optional field may also be null.
    fn property(&self, field: &Field<'_>, written: &Value) -> Result<Value, ArgProblem> {
        let mut schema = match field.container {
            None => self.schema(written)?,
            Some(Container::Array) => json!({"type": "array", "items": self.schema(written)?}),
            Some(Container::Object) => {
                if !written.is_object() {
                    return Err(ArgProblem::new("an object field is not a map of fields"));
                }
                self.schema(written)?
            }
            Some(Container::Enum) => {
                if written.as_array().is_none_or(Vec::is_empty) {
                    return Err(ArgProblem::new("an enum field is not a list of values").expected("`[A, B]`"));
                }
                json!({"enum": written})
            }
        };
        if let Value::Object(map) = &mut schema {
            if field.optional {
                allow_null(map);
            }
            if let Some(description) = field.description {
                map.insert("description".to_owned(), json!(description));
            }
        }
        Ok(schema)
    }
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    if let Some(kind @ Value::String(_)) = schema.get_mut("type")
        && kind != "null"
    {
        *kind = json!([kind.take(), "null"]);
    }
}

#[derive(Clone, Copy)]
enum Container {
    Array,
    Object,
    Enum,
}

/// A key `name?(container, description)`, taken apart.
struct Field<'a> {
    name: &'a str,
    optional: bool,
    container: Option<Container>,
    description: Option<&'a str>,
}

impl Field<'_> {
    fn parse(key: &str) -> Result<Field<'_>, ArgProblem> {
        let (name, info) = match key.split_once('(') {
            Some((name, info)) => {
                let info = info
                    .strip_suffix(')')
                    .ok_or_else(|| ArgProblem::new(format!("field `{key}` lacks a closing parenthesis")))?;
                (name, Some(info))
            }
            None => (key, None),
        };
        let optional = name.ends_with('?');
        let name = name.strip_suffix('?').unwrap_or(name);
        if name.is_empty() {
            return Err(ArgProblem::new("a field has no name"));
        }
        let Some(info) = info else {
            return Ok(Field { name, optional, container: None, description: None });
        };
        let (kind, description) = with_description(info);
        let container = match kind {
            "array" => Container::Array,
            "object" => Container::Object,
            "enum" => Container::Enum,
            other => {
                return Err(ArgProblem::new(format!("unknown container `{other}` of field `{name}`"))
                    .expected("array, object or enum"));
            }
        };
        Ok(Field { name, optional, container: Some(container), description })
    }
}

/// Splits at the first comma; spaces after it do not count.
fn with_description(text: &str) -> (&str, Option<&str>) {
    match text.split_once(',') {
        Some((name, description)) => {
            let description = description.trim_start_matches(' ');
            (name.trim(), (!description.is_empty()).then_some(description))
        }
        None => (text.trim(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(schema: Value) -> String {
        let problem = to_json_schema(&schema, &Map::new()).unwrap_err();
        format!("{:?}: {problem} | {:?} | {:?}", problem.path, problem.expected, problem.hint)
    }

    #[test]
    fn mistakes_have_a_path() {
        insta::assert_snapshot!(refused(json!("strin")), @r#"[]: unknown type `strin` | Some("string, number, integer, boolean, null or any; a list is written `field(array): type`") | Some("did you mean `string`?")"#);
        insta::assert_snapshot!(refused(json!({"a(object)": {"b": "text"}})), @r#"[Key("a(object)"), Key("b")]: unknown type `text` | Some("string, number, integer, boolean, null or any; a list is written `field(array): type`") | None"#);
        insta::assert_snapshot!(refused(json!({"a(list)": "string"})), @r#"[Key("a(list)")]: unknown container `list` of field `a` | Some("array, object or enum") | None"#);
        insta::assert_snapshot!(refused(json!({"a(array": "string"})), @r#"[Key("a(array")]: field `a(array` lacks a closing parenthesis | None | None"#);
        insta::assert_snapshot!(refused(json!({"a(enum)": "A"})), @r#"[Key("a(enum)")]: an enum field is not a list of values | Some("`[A, B]`") | None"#);
        insta::assert_snapshot!(refused(json!({"a": ["A"]})), @r#"[Key("a")]: a schema is neither a type nor a map of fields | Some("a type like `string, what it means`, or fields") | None"#);
        insta::assert_snapshot!(refused(json!({"a": "string", "a?": "string"})), @r#"[Key("a?")]: field `a` stands twice | None | None"#);
        insta::assert_snapshot!(refused(json!(7)), @r#"[]: a schema is neither a type nor a map of fields | Some("a type like `string, what it means`, or fields") | None"#);
    }

    #[test]
    fn an_optional_field_may_be_null() {
        let schema =
            to_json_schema(&json!({"a?(enum)": ["x"], "b?(array)": "string", "c?": "any"}), &Map::new()).unwrap();
        assert_eq!(
            schema["properties"],
            json!({"a": {"enum": ["x", null]}, "b": {"type": ["array", "null"], "items": {"type": "string"}}, "c": {}})
        );
        assert_eq!(schema.get("required"), None);
    }
}
