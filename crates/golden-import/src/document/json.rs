//! JSON: read by `serde_json`, and walked once more for places and duplicate keys.

use super::super::problem::Problem;
use super::{Cursor, Spot, Spots, Tree, unique_keys};
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
    let spots = spots(&mut Cursor::new(text, line))?;
    Ok(Tree { value, spots })
}

/// Places in a text that is known to be JSON.
fn spots(cursor: &mut Cursor<'_>) -> Result<Spots, (Spot, Problem)> {
    cursor.skip(char::is_whitespace);
    let mut spots = Spots::leaf(cursor.at);
    match cursor.peek() {
        Some(open @ ('{' | '[')) => {
            let mut keys = Vec::new();
            loop {
                cursor.next();
                cursor.skip(char::is_whitespace);
                if matches!(cursor.peek(), Some('}' | ']') | None) {
                    break;
                }
                let (start, at) = (cursor.offset, cursor.at);
                if open == '{' {
                    string(cursor);
                    let key: String = serde_json::from_str(&cursor.text[start..cursor.offset]).unwrap_or_default();
                    keys.push((key, at));
                    cursor.skip(|c| c != ':');
                    cursor.next();
                }
                let mut inside = self::spots(cursor)?;
                if open == '{' {
                    inside.at = at;
                }
                spots.inside.push(inside);
                cursor.skip(char::is_whitespace);
                if cursor.peek() != Some(',') {
                    break;
                }
            }
            cursor.next();
            unique_keys(keys.iter().map(|(key, at)| (key.as_str(), *at)))?;
        }
        Some('"') => string(cursor),
        _ => cursor.skip(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}')),
    }
    Ok(spots)
}

fn string(cursor: &mut Cursor<'_>) {
    cursor.next();
    while let Some(c) = cursor.next() {
        match c {
            '\\' => drop(cursor.next()),
            '"' => break,
            _ => {}
        }
    }
}
