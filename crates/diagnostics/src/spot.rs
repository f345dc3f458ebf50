//! Where something stands in a text, and the way to it inside a value.

/// Line and column, counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    pub line: u32,
    pub column: u32,
}

impl Spot {
    pub const START: Spot = Spot { line: 1, column: 1 };

    /// The place right after `bytes`, which begin here. Bytes that are not UTF-8 count as one character each where they
    /// could begin one.
    #[must_use]
    pub fn after(self, bytes: &[u8]) -> Spot {
        let (lines, last) = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => (bytes[..=at].iter().filter(|byte| **byte == b'\n').count(), &bytes[at + 1..]),
            None => (0, bytes),
        };
        let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
        let characters = last.iter().filter(|byte| !is_continuation(**byte)).count();
        let before = if lines == 0 { self.column } else { 1 };
        Spot { line: self.line.saturating_add(clamp(lines)), column: before.saturating_add(clamp(characters)) }
    }
}

/// Lines and columns above the bound of their type stay at that bound.
fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// One step into a JSON or YAML value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Key(String),
    /// An element, from 0.
    Index(usize),
}

impl Step {
    pub fn key(key: impl Into<String>) -> Step {
        Step::Key(key.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spots_move_over_lines_and_characters() {
        let after = |text: &str| {
            let spot = Spot { line: 3, column: 5 }.after(text.as_bytes());
            (spot.line, spot.column)
        };
        assert_eq!(after(""), (3, 5));
        assert_eq!(after("aä€"), (3, 8));
        assert_eq!(after("a\n"), (4, 1));
        assert_eq!(after("a\r\n\nbä"), (5, 3));
    }
}
