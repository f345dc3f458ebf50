//! JavaScript patterns in Rust's syntax, with the same meaning. Both read most patterns alike; what they read differently
//! is rewritten, and what only JavaScript has (look-around, back references) is left for the matcher's rules to refuse.

/// White space as JavaScript has it: without U+0085, and with the byte order mark.
const SPACE: &str = r"[[\s--\x85]\u{FEFF}]";

pub(crate) const NOT_SPACE: &str = r"[^[\s--\x85]\u{FEFF}]";

/// The pattern in Rust's syntax.
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    let mut rust = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let escaped = chars.next().ok_or("the pattern ends with a backslash")?;
                match (escaped, in_class) {
                    ('d', _) => rust.push_str("[0-9]"),
                    ('D', _) => rust.push_str("[^0-9]"),
                    ('w', _) => rust.push_str("[0-9A-Za-z_]"),
                    ('W', _) => rust.push_str("[^0-9A-Za-z_]"),
                    ('s', _) => rust.push_str(SPACE),
                    ('S', _) => rust.push_str(NOT_SPACE),
                    ('b', false) => rust.push_str(r"(?-u:\b)"),
                    ('b', true) => rust.push_str(r"\x08"),
                    ('0', _) if !chars.peek().is_some_and(char::is_ascii_digit) => rust.push_str(r"\x00"),
                    ('1'..='9' | 'k', _) => return Err("the pattern has a back reference".to_owned()),
                    // A control character, by the letter that the key had.
                    ('c', _) if chars.peek().is_some_and(char::is_ascii_alphabetic) => {
                        let letter = chars.next().map_or(0, |letter| u32::from(letter) % 32);
                        rust.push_str(&format!(r"\x{letter:02X}"));
                    }
                    ('c' | 'B' | 'p' | 'P' | '0', _) => {
                        return Err(format!("the pattern has `\\{escaped}`, which means something else here"));
                    }
                    ('u', _) if chars.peek() == Some(&'{') => {
                        return Err("the pattern has `\\u{`, which means something else here".to_owned());
                    }
                    ('n' | 'r' | 't' | 'f' | 'v' | 'x' | 'u', _) => rust.extend(['\\', escaped]),
                    // Any other character stands for itself.
                    (itself, _) if itself.is_alphanumeric() || !itself.is_ascii() || matches!(itself, '<' | '>') => {
                        rust.push(itself);
                    }
                    (sign, _) => rust.extend(['\\', sign]),
                }
            }
            '[' if in_class => rust.push_str(r"\["),
            '[' => {
                in_class = true;
                rust.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    rust.push('^');
                    // Nothing is left out: any character.
                    if chars.next_if_eq(&']').is_some() {
                        rust.truncate(rust.len() - 2);
                        rust.push_str("(?s:.)");
                        in_class = false;
                        continue;
                    }
                }
                if chars.peek() == Some(&']') {
                    return Err("the pattern has an empty class".to_owned());
                }
            }
            ']' if in_class => {
                in_class = false;
                rust.push(']');
            }
            '&' | '~' if in_class => rust.extend(['\\', c]),
            '-' if in_class && chars.peek() == Some(&'-') => {
                return Err("the pattern has `--` in a class, which means something else here".to_owned());
            }
            '(' if !in_class => {
                let mut ahead = chars.clone();
                if ahead.next() == Some('?') && !matches!(ahead.next(), Some(':' | '=' | '!' | '<')) {
                    return Err("the pattern has a group that JavaScript reads otherwise".to_owned());
                }
                rust.push('(');
            }
            // A brace that counts nothing stands for itself.
            '{' if !in_class && !counts(chars.clone()) => rust.push_str(r"\{"),
            '.' if !in_class => rust.push_str(r"[^\n\r\u{2028}\u{2029}]"),
            _ => rust.push(c),
        }
    }
    Ok(rust)
}

/// Whether what follows a brace makes it a count: `2}`, `2,}` or `2,3}`.
fn counts(after: impl Iterator<Item = char>) -> bool {
    let inside: String = after.take_while(|c| c.is_ascii_digit() || matches!(c, ',' | '}')).collect();
    let Some((count, _)) = inside.split_once('}') else {
        return false;
    };
    let (least, most) = count.split_once(',').unwrap_or((count, ""));
    !least.is_empty() && !most.contains(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_keep_their_meaning() {
        let table: Vec<String> = [
            r"^\d{3}-\w+$",
            r"[\d.]+",
            r"[^\D]",
            r"a.c",
            r"[a[b&&c]",
            r"\bword\b",
            r"\/path\/",
            r"[\b]",
            r"(?<year>\d{4})",
            r"\1",
            r"[^]x",
            r"[]x]",
            r"\s+[\S\s]",
            r"[^\s]",
            r"\cA",
            r"\e",
            "a\\",
            r"(?=x)",
            r"(?i)x",
            r"\(?x\)?",
            r"\<b\>",
            r"[+--]",
            r#"{"id": \d{1,3}, x{2,} {,5} {a} [{]"#,
            r"\u{2}",
        ]
        .iter()
        .map(|pattern| format!("{pattern}  =>  {}", translate(pattern).unwrap_or_else(|why| format!("! {why}"))))
        .collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
