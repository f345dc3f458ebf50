//! Reading the fields of a body, under either of their names.

use serde_json::Value;

/// The value of a field under either of its names; null counts as absent.
pub(super) fn get<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    let object = body.as_object()?;
    let found =
        object.get(name).or_else(|| object.iter().find(|(key, _)| same_name(name, key)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

/// The elements of a repeated field; a lone element counts as a list of one.
pub(super) fn list<'a>(body: &'a Value, name: &str) -> &'a [Value] {
    match get(body, name) {
        Some(Value::Array(items)) => items,
        Some(lone) => std::slice::from_ref(lone),
        None => &[],
    }
}

/// `given` is `camel` or its snake_case form.
pub(super) fn same_name(camel: &str, given: &str) -> bool {
    if camel == given {
        return true;
    }
    let mut given = given.bytes();
    for byte in camel.bytes() {
        if byte.is_ascii_uppercase() && given.next() != Some(b'_') {
            return false;
        }
        if given.next() != Some(byte.to_ascii_lowercase()) {
            return false;
        }
    }
    given.next().is_none()
}

pub(super) fn snake(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// A number, as a string too.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
