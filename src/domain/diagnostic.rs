//! Mistakes in what a user wrote, each with its place, what was expected and what to do.

use std::fmt;
use std::sync::Arc;

/// A place in a file. Line and column count from 1, the column in characters; 0 means unknown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The path as the user would type it.
    pub file: Arc<str>,
    /// Line from 1, or 0.
    pub line: u32,
    /// Column from 1, in characters, or 0.
    pub column: u32,
}

impl Place {
    /// A whole file.
    pub fn file(file: impl Into<Arc<str>>) -> Place {
        Place { file: file.into(), line: 0, column: 0 }
    }

    /// A line and column of a file.
    pub fn at(file: impl Into<Arc<str>>, line: u32, column: u32) -> Place {
        Place { file: file.into(), line, column }
    }

    /// The place of byte `offset` of `text`, the content of `file`.
    pub fn of_offset(file: impl Into<Arc<str>>, text: &str, offset: usize) -> Place {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line = before.bytes().filter(|b| *b == b'\n').count() as u32 + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Place { file: file.into(), line, column: before[start..].chars().count() as u32 + 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => f.write_str(&self.file),
            (line, 0) => write!(f, "{}:{line}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

/// One mistake. Texts are lowercase, without a full stop; they may quote bytes from outside, so a writer must make them
/// safe before they reach a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, if it stands in a file.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// A mistake without a place.
    pub fn new(message: impl Into<String>) -> Problem {
        Problem { place: None, message: message.into(), expected: None, hint: None }
    }

    /// A mistake at a place.
    pub fn at(place: Place, message: impl Into<String>) -> Problem {
        Problem { place: Some(place), ..Problem::new(message) }
    }

    /// Adds what would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Problem {
        self.expected = Some(expected.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Adds "did you mean" when a known name is near.
    #[must_use]
    pub fn did_you_mean<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
        match nearest(name, known) {
            Some(known) => self.hint(format!("did you mean `{known}`?")),
            None => self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, "\n  expected: {expected}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  help: {hint}")?;
        }
        Ok(())
    }
}

/// All mistakes found so far. Keeps the first [`Problems::KEPT`] and counts the rest, so that a broken million-row file
/// can't fill the memory or the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    kept: Vec<Problem>,
    more: u64,
}

impl Problems {
    /// How many problems are kept in full.
    pub const KEPT: usize = 200;

    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        if self.kept.len() < Problems::KEPT {
            self.kept.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Adds many.
    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            self.push(problem);
        }
    }

    /// Moves all of `other` in.
    pub fn append(&mut self, other: Problems) {
        let more = other.more;
        self.extend(other.kept);
        self.more += more;
    }

    /// No mistake was found.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many were found, kept or not.
    pub fn count(&self) -> u64 {
        self.kept.len() as u64 + self.more
    }

    /// How many were found beyond the kept ones.
    pub fn more(&self) -> u64 {
        self.more
    }

    /// The kept ones, in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.kept.iter()
    }

    /// `Ok(value)` without mistakes, else the mistakes.
    ///
    /// # Errors
    /// All mistakes found.
    pub fn or<T>(self, value: T) -> Result<T, Problems> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems { kept: vec![problem], more: 0 }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.kept.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        if self.more > 0 {
            write!(f, "\n… and {} more", self.more)?;
        }
        Ok(())
    }
}

/// The known name nearest to a mistyped one, if it is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: String = name.chars().take(100).collect::<String>().to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(name.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_typos_and_refuses_strangers() {
        let known = ["contains", "equals", "regex"];
        assert_eq!(nearest("contians", known), Some("contains"));
        assert_eq!(nearest("Equal", known), Some("equals"));
        assert_eq!(nearest("banana", known), None);
    }

    #[test]
    fn offsets_become_lines_and_columns() {
        let place = |offset| Place::of_offset("f", "aä\nb€c", offset).to_string();
        assert_eq!(place(0), "f:1:1");
        assert_eq!(place(3), "f:1:3");
        assert_eq!(place(4), "f:2:1");
        assert_eq!(place(8), "f:2:3");
        assert_eq!(place(99), "f:2:4");
    }

    #[test]
    fn problems_are_bounded_but_counted() {
        let mut problems = Problems::default();
        problems.extend((0..500).map(|i| Problem::new(format!("p{i}"))));
        assert_eq!(problems.count(), 500);
        assert!(problems.to_string().ends_with("… and 300 more"));
    }
}
