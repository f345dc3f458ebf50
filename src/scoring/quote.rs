//! Bytes from outside, shortened to a part of a one-line sentence. (The report stage makes them safe for each format.)

pub(super) use crate::domain::count as counted;

/// How many characters of an answer a reason quotes.
const QUOTED: usize = 80;

/// The text in double quotes, on one line, cut after 80 characters.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", bounded(text, QUOTED))
}

/// The text on one line, cut after `max` characters. Line breaks and control characters are escaped.
pub(super) fn bounded(text: &str, max: usize) -> String {
    let mut short = String::new();
    let mut rest = text.chars();
    for c in rest.by_ref().take(max) {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            short.extend(c.escape_default());
        } else {
            short.push(c);
        }
    }
    if rest.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quote("yes"), "\"yes\"");
        assert_eq!(quote("a\nb\u{1b}[31m\u{2028}"), "\"a\\nb\\u{1b}[31m\\u{2028}\"");
        assert_eq!(quote(&"ä".repeat(80)), format!("\"{}\"", "ä".repeat(80)));
        assert_eq!(quote(&"ä".repeat(81)), format!("\"{}…\"", "ä".repeat(80)));
    }

    #[test]
    fn counts_take_the_noun_that_fits() {
        assert_eq!(counted(0, "match", "matches"), "0 matches");
        assert_eq!(counted(1, "match", "matches"), "1 match");
    }
}
