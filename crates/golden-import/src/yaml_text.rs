//! Writes a golden file: the same entries are always the same bytes.
//!
//! Texts are double-quoted, as in JSON, unless they are plainly texts without quotes; what YAML might read otherwise is
//! escaped. What was written is read back before it is used.

use super::detect::Tool;
use super::draft::Entry;
use super::finding::Finding;
use serde_json::Value;
use std::fmt::Write;

pub(crate) fn file(tool: Tool, source: &str, general: &[Finding], entries: &[Entry]) -> String {
    let mut text = format!(
        "# Imported from {}, {}. Comments tell what has no equivalent here, or not quite the same meaning.\n",
        safe(source),
        tool.title()
    );
    comments(general, &mut text);
    for entry in entries {
        text.push('\n');
        comments(entry.findings(), &mut text);
        if let Some(row) = entry.row() {
            text.push_str("- ");
            block(&row, 2, &mut text);
        }
    }
    text
}

fn comments(findings: &[Finding], text: &mut String) {
    for finding in findings {
        let (line, column) = (finding.place.line, finding.place.column);
        let file = finding.place.file.rsplit(['/', '\\']).next().unwrap_or_default();
        let _ = writeln!(text, "# {}:{line}:{column}: {}", safe(file), safe(&finding.text()));
    }
}

/// A text from outside on one line of a comment.
fn safe(text: &str) -> String {
    text.chars()
        .map(|c| match is_printable(c) {
            true => c,
            false => '\u{fffd}',
        })
        .collect()
}

/// Printable in YAML and on a terminal: no control or formatting character, no line break of any kind.
fn is_printable(c: char) -> bool {
    let hidden = matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}');
    !c.is_control() && !hidden
}

/// A value whose first line begins where the text is, and whose others are indented by `indent`. Ends its line.
fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    text.extend(std::iter::repeat_n(' ', indent));
                }
                text.push_str(&key_text(key));
                text.push(':');
                under(value, indent, text);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    text.extend(std::iter::repeat_n(' ', indent));
                }
                text.push_str("- ");
                block(value, indent + 2, text);
            }
        }
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&scalar(value));
            text.push('\n');
        }
    }
}

/// A value behind the colon of its key.
fn under(value: &Value, indent: usize, text: &mut String) {
    let is_block =
        value.as_object().is_some_and(|map| !map.is_empty()) || value.as_array().is_some_and(|list| !list.is_empty());
    if is_block {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', indent + 2));
        block(value, indent + 2, text);
    } else {
        text.push(' ');
        block(value, indent + 2, text);
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) => double_quoted(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn key_text(key: &str) -> String {
    let is_word = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match is_word && is_plain(key) {
        true => key.to_owned(),
        false => double_quoted(key),
    }
}

/// Words that begin with a letter and have nothing in them that YAML could read otherwise.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 12] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "none"];
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let ends = text.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '!' | '?' | ')'));
    let inside =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '/' | '!' | '?' | '(' | ')' | '\'');
    begins && ends && text.chars().all(inside) && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if is_printable(c) => quoted.push(c),
            c => {
                let _ = match u32::from(c) {
                    code @ ..=0xffff => write!(quoted, "\\u{code:04X}"),
                    code => write!(quoted, "\\U{code:08X}"),
                };
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::yaml_value;
    use proptest::prelude::*;
    use serde_json::json;

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "\\PC{0,12}",
            any::<String>(),
            "[ \\-:#?!&*|>%@`'\"{}\\[\\],a0.~\n\t]{0,8}",
            "(?i)(true|null|no|0x1|1e3|-|~|<<|=)"
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text.clone(), inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in any_value()) {
            let mut text = String::from("- ");
            block(&value, 2, &mut text);
            let read = yaml_value(&text).map_err(|problem| TestCaseError::fail(format!("{problem}\n{text}")))?;
            prop_assert_eq!(read, json!([value]), "{}", text);
        }
    }
}
