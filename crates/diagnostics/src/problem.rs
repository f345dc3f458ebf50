//! Places in files, and mistakes at them.

use super::Spot;
use std::fmt;
use std::sync::Arc;

/// A place in a file. Line and column count from 1, the column in characters; 0 means unknown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
    /// Column from 1, in characters, or 0.
    pub column: u32,
}

impl Place {
    pub fn file(file: impl Into<Arc<str>>) -> Place {
        Place { file: file.into(), line: 0, column: 0 }
    }

    pub fn at(file: impl Into<Arc<str>>, line: u32, column: u32) -> Place {
        Place { file: file.into(), line, column }
    }

    pub fn in_file(file: impl Into<Arc<str>>, Spot { line, column }: Spot) -> Place {
        Place { file: file.into(), line, column }
    }

    /// The place of byte `offset` of `text`, the content of `file`.
    pub fn of_offset(file: impl Into<Arc<str>>, text: &str, offset: usize) -> Place {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        Place::in_file(file, Spot::START.after(&text.as_bytes()[..offset]))
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
    pub place: Option<Place>,
    pub message: String,
    pub expected: Option<String>,
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Problem {
        Problem { place: None, message: message.into(), expected: None, hint: None }
    }

    pub fn at(place: Place, message: impl Into<String>) -> Problem {
        Problem { place: Some(place), ..Problem::new(message) }
    }

    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Problem {
        self.expected = Some(expected.into());
        self
    }

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
}
