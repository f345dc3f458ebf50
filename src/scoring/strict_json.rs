//! JSON from outside, in which a key that stands twice in one object is an error: readers differ in which value they take,
//! so a check that takes one of them would say nothing about what a consumer sees.

use super::quote::bounded;
use crate::json;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

/// Reads a text that is one JSON value, with white space around it.
///
/// # Errors
/// No JSON, nested more than 127 deep, or a key twice in an object, with the line and column.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    json::parse(text, &|key| Err(format!("duplicate key \"{}\" in an object", bounded(key, 80))))
}

/// Reads a text that is one JSON object of a given form.
///
/// # Errors
/// As for [`parse`], or another form.
pub(super) fn parse_object<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    match parse(text)? {
        value @ Value::Object(_) => serde_json::from_value(value),
        // A derived reader would also take an array for an object, field by field.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(serde_json::Error::custom("it is not an object"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[test]
    fn a_key_twice_in_one_object_is_an_error_at_its_place() {
        let table = [
            (r#"{"a": 1, "b": {"a": 2}}"#, ""),
            (r#"[{"a": 1}, {"a": 2}]"#, ""),
            (r#"{"a": 1, "A": 2, "a ": 3}"#, ""),
            (r#"{"a": 1, "a": 1}"#, "duplicate key \"a\" in an object at line 1 column 12"),
            (r#"{"a": 1, "\u0061": 2}"#, "duplicate key \"a\" in an object at line 1 column 17"),
            ("[1,\n {\"x\": {\"\": 1, \"b\": 2,\n \"\": 3}}]", "duplicate key \"\" in an object at line 3 column 3"),
            ("{\"a\\n\": 1, \"a\\n\": 2}", "duplicate key \"a\\n\" in an object at line 1 column 16"),
        ];
        for (text, expected) in table {
            let said = parse(text).map_or_else(|error| error.to_string(), |_| String::new());
            assert_eq!(said, expected, "{text}");
        }
        assert!(parse("{} {}").is_err());
        assert!(parse("").is_err());
        assert!(parse(&"[".repeat(1_000_000)).is_err());
        assert!(parse(&"{\"a\":".repeat(1_000_000)).is_err());
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Form {
        a: Option<u64>,
    }

    #[test]
    fn an_object_of_a_form_is_no_list_and_has_no_key_twice() {
        assert_eq!(parse_object::<Form>(r#" {"a": 1} "#).unwrap().a, Some(1));
        assert_eq!(parse_object::<Form>("{}").unwrap().a, None);
        for text in ["[1]", "null", "1", r#"{"b": 1}"#, r#"{"a": 1, "a": 1}"#, r#"{"a": "1"}"#] {
            assert!(parse_object::<Form>(text).is_err(), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..8)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_has_no_key_twice_is_read_as_always(value in any_json()) {
            let text = value.to_string();
            let usual: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(parse(&text).unwrap(), usual);
        }
    }
}
