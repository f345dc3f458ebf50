//! The one thing of Nunjucks that needs no engine: `{{ name }}`. promptfoo renders vars and assertion values with it.

use super::number_text;
use serde_json::{Map, Value};

const MAX_TEXT: usize = 1 << 20;

/// A text with each `{{ name }}` replaced by that var. Dots lead into maps.
pub(crate) fn render(text: &str, vars: &Map<String, Value>) -> Result<String, String> {
    if text.contains("{%") || text.contains("{#") {
        return Err("it is a template with Nunjucks tags, which are not run".to_owned());
    }
    let mut rendered = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, behind) = after.split_once("}}").ok_or("it is a template with `{{` and no `}}`")?;
        rendered.push_str(before);
        rendered.push_str(&look_up(name.trim(), vars)?);
        if rendered.len() > MAX_TEXT {
            return Err("its template makes a text of more than 1 MiB".to_owned());
        }
        rest = behind;
    }
    rendered.push_str(rest);
    Ok(rendered)
}

/// A value with all its texts rendered.
pub(crate) fn render_all(value: &Value, vars: &Map<String, Value>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => render(text, vars)?.into(),
        Value::Array(list) => list.iter().map(|value| render_all(value, vars)).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| Ok((key.clone(), render_all(value, vars)?)))
            .collect::<Result<Map<_, _>, String>>()?
            .into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

fn look_up(name: &str, vars: &Map<String, Value>) -> Result<String, String> {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if !name.split('.').all(is_name) {
        return Err("it is a template with an expression, which is not run".to_owned());
    }
    let mut parts = name.split('.');
    let first = parts.next().and_then(|part| vars.get(part));
    let found = parts.fold(first, |value, part| value?.get(part));
    match found {
        Some(Value::String(text)) if text.contains("{{") || text.contains("{%") => {
            Err(format!("its template uses `{name}`, which is a template itself"))
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Bool(flag)) => Ok(flag.to_string()),
        Some(Value::Number(number)) => {
            number_text(number).ok_or_else(|| format!("its template uses `{name}`, a number with an exponent"))
        }
        Some(Value::Null | Value::Array(_) | Value::Object(_)) => {
            Err(format!("its template uses `{name}`, which is no text or number"))
        }
        None => Err(format!("its template uses `{name}`, which is no var of the test")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_replaced_and_everything_else_is_refused() {
        let vars = json!({"a": "x", "n": 1.5, "m": {"k": true}, "l": [1], "t": "{{a}}"});
        let render = |text: &str| render(text, vars.as_object().unwrap()).map_err(|why| format!("! {why}"));
        let all: Vec<String> = [
            "no",
            "{{a}}{{ a }}b",
            "{{n}} {{m.k}}",
            "{{l}}",
            "{{t}}",
            "{{z}}",
            "{{ a | upper }}",
            "{{a",
            "{% if a %}",
            "{{-a}}",
            "{{}}",
            "{{env.HOME}}",
        ]
        .iter()
        .map(|text| render(text).unwrap_or_else(|why| why))
        .collect();
        insta::assert_snapshot!(all.join("\n"));
        let long = json!({"a": "x".repeat(1 << 19)});
        assert!(super::render("{{a}}{{a}}{{a}}", long.as_object().unwrap()).is_err());
    }
}
