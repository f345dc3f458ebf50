//! JSON from outside, read so that everyone reads the same: a key that stands twice in one object is an error.
//!
//! RFC 8259, section 4: what software makes of such an object is unpredictable. Some take the first value, some the last,
//! some both, so a check that takes one of them would say nothing about what a consumer sees.

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, map::Entry};
use std::fmt;

use super::quote::bounded;

/// Reads a text that is one JSON value, with white space around it.
///
/// # Errors
/// No JSON, nested more than 127 deep, or a key twice in an object, with the line and column.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    let mut reading = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut reading)?;
    reading.end()?;
    Ok(value)
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

/// Reads a value and those inside it.
#[derive(Clone, Copy)]
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // JSON has neither NaN nor infinities, so there is always a number.
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = access.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            match map.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(access.next_value_seed(self)?);
                }
                Entry::Occupied(entry) => {
                    let key = bounded(entry.key(), 80);
                    return Err(A::Error::custom(format!("the key \"{key}\" stands twice in one object")));
                }
            }
        }
        Ok(Value::Object(map))
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
            (r#"{"a": 1, "a": 1}"#, "the key \"a\" stands twice in one object at line 1 column 12"),
            (r#"{"a": 1, "\u0061": 2}"#, "the key \"a\" stands twice in one object at line 1 column 17"),
            (
                "[1,\n {\"x\": {\"\": 1, \"b\": 2,\n \"\": 3}}]",
                "the key \"\" stands twice in one object at line 3 column 3",
            ),
            ("{\"a\\n\": 1, \"a\\n\": 2}", "the key \"a\\n\" stands twice in one object at line 1 column 16"),
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
