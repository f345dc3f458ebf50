//! All mistakes of a file, bounded.

use diagnostics::Problem;
use std::fmt;

/// All mistakes found so far. Keeps the first [`Problems::KEPT`] and counts the rest, so that a broken million-row file
/// can't fill the memory or the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    more: u64,
}

impl Problems {
    /// How many problems are kept in full.
    pub const KEPT: usize = 200;

    pub fn push(&mut self, problem: Problem) {
        if self.list.len() < Problems::KEPT {
            self.list.push(problem);
        } else {
            self.more += 1;
        }
    }

    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            self.push(problem);
        }
    }

    pub fn append(&mut self, other: Problems) {
        let more = other.more;
        self.extend(other.list);
        self.more += more;
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many were found, kept or not.
    pub fn count(&self) -> u64 {
        self.list.len() as u64 + self.more
    }

    /// How many were found beyond the kept ones.
    pub fn more(&self) -> u64 {
        self.more
    }

    /// The kept ones, in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// `Ok(value)` without mistakes, else the mistakes.
    pub fn or<T>(self, value: T) -> Result<T, Problems> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems { list: vec![problem], more: 0 }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.list.iter().enumerate() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_bounded_but_counted() {
        let mut problems = Problems::default();
        problems.extend((0..500).map(|i| Problem::new(format!("p{i}"))));
        assert_eq!(problems.count(), 500);
        assert!(problems.to_string().ends_with("… and 300 more"));
    }
}
