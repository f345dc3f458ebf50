//! What the four formats hand over: one row at a time, as it was written, with a way back to its places.

use crate::domain::{Problem, Step};
use serde_json::Value;

/// A place inside one file. Line and column count from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Spot {
    /// The first character of a file.
    pub(super) const START: Spot = Spot { line: 1, column: 1 };

    /// The place right after `bytes`, which begin here. Bytes that are not UTF-8 count as one character each where they
    /// could begin one.
    pub(super) fn after(self, bytes: &[u8]) -> Spot {
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

/// Which half of the last step of a path is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The name of a key.
    Key,
    /// What stands behind it.
    Value,
}

/// Finds places in the written form of a row. Only asked when there is a mistake, so it may be slow.
pub(super) trait Locate {
    /// Where the row begins.
    fn start(&self) -> Spot;

    /// Where `path` leads, steps counted from the row; where it leads nowhere, the deepest place on the way.
    fn find(&self, path: &[Step], part: Part) -> Spot;
}

/// One row as it was written.
pub(super) struct Row<'a> {
    /// What a JSON object of this row would hold.
    pub(super) written: Value,
    /// A mistake of this row is already reported, so it can't become a case, and what it lacks may be part of that
    /// mistake.
    pub(super) flawed: bool,
    /// The way back to its places.
    pub(super) at: &'a dyn Locate,
}

/// Takes what a format reads, in file order.
pub(super) trait Rows {
    /// One row.
    fn row(&mut self, row: Row<'_>);

    /// A mistake in the format itself; `problem` has no place yet.
    fn problem(&mut self, at: Spot, problem: Problem);

    /// Further mistakes are only counted. Finding a place takes time in proportion to the row, so a hostile row of
    /// mistakes would take its square: any place will do from here on.
    fn is_full(&self) -> bool;
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
