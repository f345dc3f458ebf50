//! JSON: read by `serde_json`, and walked once more for places and duplicate keys.

use super::{Cursor, Tree, unique_keys};
use diagnostics::yaml::{Entry, Node, Places};
use diagnostics::{Problem, Spot};
use serde_json::Value;

/// Reads one value that begins on a line of its file.
pub(super) fn read(text: &str, line: u32) -> Result<Tree, (Spot, Problem)> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let before = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        let column = before.char_indices().take_while(|(at, _)| at + 1 < error.column()).count();
        let at = Spot {
            line: line + u32::try_from(error.line().saturating_sub(1)).unwrap_or(u32::MAX - line),
            column: u32::try_from(column + 1).unwrap_or(u32::MAX),
        };
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        // The parser's name for a literal such as `true`.
        let message = message.replace("expected ident", "expected a value");
        (at, Problem::new(format!("not JSON: {message}")).expected("JSON"))
    })?;
    let (start, places) = places(&mut Cursor::new(text, line));
    unique_keys((start, Node { value, places }))
}

/// Where the next value of a text that is known to be JSON stands, and what is inside it.
fn places(cursor: &mut Cursor<'_>) -> (Spot, Places) {
    cursor.skip(char::is_whitespace);
    let start = cursor.at;
    let (mut items, mut entries) = (Vec::new(), Vec::new());
    let open = cursor.peek();
    match open {
        Some('{' | '[') => {
            loop {
                cursor.next();
                cursor.skip(char::is_whitespace);
                if matches!(cursor.peek(), Some('}' | ']') | None) {
                    break;
                }
                if open == Some('{') {
                    let (key_at, key) = (cursor.at, string(cursor));
                    cursor.skip(|c| c != ':');
                    cursor.next();
                    let key = serde_json::from_str(key).unwrap_or_default();
                    let (value_at, inside) = places(cursor);
                    entries.push(Entry { key, key_at, value_at, inside });
                } else {
                    items.push(places(cursor));
                }
                cursor.skip(char::is_whitespace);
                if cursor.peek() != Some(',') {
                    break;
                }
            }
            cursor.next();
        }
        Some('"') => drop(string(cursor)),
        _ => cursor.skip(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}')),
    }
    let places = match open {
        Some('{') => Places::Map(entries),
        Some('[') => Places::List(items),
        _ => Places::Leaf,
    };
    (start, places)
}

/// A text with its quotes.
fn string<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    let start = cursor.offset;
    cursor.next();
    while let Some(c) = cursor.next() {
        match c {
            '\\' => drop(cursor.next()),
            '"' => break,
            _ => {}
        }
    }
    &cursor.text[start..cursor.offset]
}
