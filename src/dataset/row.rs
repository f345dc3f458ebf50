//! What the four formats hand over: one row at a time, as it was written, with a way back to its places.

use crate::domain::{Problem, Step};
use serde_json::Value;

pub(super) use diagnostics::Spot;

/// Which half of the last step of a path is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

/// Finds places in the written form of a row. Only asked when there is a mistake, so it may be slow.
pub(super) trait Locate {
    fn start(&self) -> Spot;

    /// Where `path` leads, steps counted from the row; where it leads nowhere, the deepest place on the way.
    fn find(&self, path: &[Step], part: Part) -> Spot;
}

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
    fn row(&mut self, row: Row<'_>);

    /// A mistake in the format itself; `problem` has no place yet.
    fn problem(&mut self, at: Spot, problem: Problem);

    /// Further mistakes are only counted. Finding a place takes time in proportion to the row, so a hostile row of
    /// mistakes would take its square: any place will do from here on.
    fn is_full(&self) -> bool;
}
