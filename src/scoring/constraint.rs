//! What checks say of answers without looking at one, from their arguments. Where an option is not known here, nothing: it
//! may change what the others mean.

use crate::domain::{Constraint, JsonContent, Range, TextConstraint, TextFolding, TextRelation};
use serde_json::{Map, Value, json};

/// The arguments are not a map, or a map of these keys alone.
fn has_only(args: &Value, known: &[&str]) -> Option<()> {
    let only = |map: &Map<String, Value>| map.keys().all(|key| known.contains(&key.as_str()));
    args.as_object().is_none_or(only).then_some(())
}

/// Of a matcher that compares with one text or several, alone or under `key`.
pub(super) fn text(args: &Value, relation: TextRelation, key: &str) -> Option<Constraint> {
    has_only(args, &[key, "ignore_case", "normalize"])?;
    let texts: Vec<String> = match args.get(key).unwrap_or(args) {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    let flag = |key: &str| args.get(key).and_then(Value::as_bool).unwrap_or(false);
    let relation = match (relation, texts.len()) {
        (_, 0) => return None,
        (TextRelation::ContainsAll, 1) => TextRelation::ContainsAny,
        (relation, _) => relation,
    };
    Some(Constraint::Text(TextConstraint {
        relation,
        texts,
        folding: TextFolding { ignore_case: flag("ignore_case"), normalize: flag("normalize") },
    }))
}

pub(super) fn length(args: &Value) -> Option<Constraint> {
    let map = args.as_object()?;
    has_only(args, &["min", "max", "unit"])?;
    Some(Constraint::Range(Range {
        min: map.get("min").map_or(Some(0.0), Value::as_f64)?,
        max: map.get("max").map_or(Some(f64::INFINITY), Value::as_f64)?,
        measure: map.get("unit").cloned().unwrap_or_else(|| Value::from(Range::CHARS)),
    }))
}

pub(super) fn number(args: &Value) -> Option<Constraint> {
    has_only(args, &["value", "tolerance", "relative", "after", "which"])?;
    let value = args.get("value").unwrap_or(args).as_f64()?;
    let share = |key: &str| args.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let allowed = share("tolerance").max(share("relative") * value.abs());
    let after = args.get("after").cloned().unwrap_or(Value::Null);
    let default = if after.is_null() { "last" } else { "first" };
    let which = args.get("which").cloned().unwrap_or_else(|| Value::from(default));
    Some(Constraint::Range(Range { min: value - allowed, max: value + allowed, measure: json!([after, which]) }))
}

pub(super) fn finish_reason(args: &Value) -> Option<Constraint> {
    let values = match args {
        Value::String(word) => vec![word.clone()],
        Value::Array(list) => list.iter().map(|word| word.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    Some(Constraint::OneOf { property: "finish reason", values })
}

pub(super) fn refusal(args: &Value) -> Option<Constraint> {
    Some(Constraint::OneOf { property: "refusal", values: vec![args.as_bool()?.to_string()] })
}

/// Of a matcher that takes fenced JSON unless told otherwise.
pub(super) fn json(args: &Value, content: JsonContent) -> Option<Constraint> {
    Some(Constraint::Json { fenced: args.get("fenced") != Some(&Value::Bool(false)), content })
}

/// Without further options the check says all of the value.
pub(super) fn json_equals(args: &Value) -> Option<Constraint> {
    let value = has_only(args, &["value", "fenced"]).and_then(|()| args.get("value"));
    json(args, value.cloned().map_or(JsonContent::Shape, JsonContent::Value))
}
