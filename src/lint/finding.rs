//! What was found, and how much of it is kept.

use crate::domain::{Place, Problem, Problems, string_enum};
use serde::Serialize;
use std::fmt;

string_enum! {
    pub enum Level {
        /// The data can't be used, or must not stay as they are.
        Error = "error",
        /// Likely a mistake.
        Warning = "warning",
        /// Worth knowing.
        Note = "note",
    }
}

/// One finding. Texts are lowercase, without a full stop; they may quote bytes from outside, so a writer must make them
/// safe. Secrets and personal data are never quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where; `None` where no file is to blame.
    pub place: Option<Place>,
    pub level: Level,
    /// Its kind, for machines: never changes its meaning.
    pub code: &'static str,
    pub message: String,
    pub help: Option<String>,
}

impl Finding {
    pub(super) fn at(place: &Place, level: Level, code: &'static str, message: String, help: &str) -> Finding {
        Finding { place: Some(place.clone()), level, code, message, help: Some(help.to_owned()) }
    }

    /// Something was left out of the comparison.
    pub(super) fn incomplete(place: Option<Place>, message: String, help: &str) -> Finding {
        Finding { place, level: Level::Warning, code: "incomplete", message, help: Some(help.to_owned()) }
    }

    /// A mistake that kept a file from being read.
    pub(super) fn of_problem(code: &'static str, problem: &Problem) -> Finding {
        let message = match &problem.expected {
            Some(expected) => format!("{}; expected {expected}", problem.message),
            None => problem.message.clone(),
        };
        Finding { place: problem.place.clone(), level: Level::Error, code, message, help: problem.hint.clone() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}[{}]: {}", self.level.as_str(), self.code, self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// A finding as machines read it.
#[derive(Serialize)]
struct Row<'a> {
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    level: Level,
    code: &'static str,
    message: &'a str,
    help: Option<&'a str>,
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = self.place.as_ref();
        Row {
            file: place.map(|place| &*place.file),
            line: place.map(|place| place.line).filter(|line| *line > 0),
            column: place.map(|place| place.column).filter(|column| *column > 0),
            level: self.level,
            code: self.code,
            message: &self.message,
            help: self.help.as_deref(),
        }
        .serialize(serializer)
    }
}

/// Findings so far: the first [`Findings::KEPT`] of each level in full, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    counts: [u64; 3],
}

impl Findings {
    /// How many of each level are kept, so that a hundred thousand notes neither fill the memory nor hide an error.
    pub(super) const KEPT: u64 = 1000;

    pub(super) fn push(&mut self, finding: Finding) {
        let count = &mut self.counts[finding.level as usize];
        *count += 1;
        if *count <= Findings::KEPT {
            self.kept.push(finding);
        }
    }

    pub(super) fn problems(&mut self, code: &'static str, problems: &Problems) {
        for problem in problems.iter() {
            self.push(Finding::of_problem(code, problem));
        }
        self.counts[Level::Error as usize] += problems.more();
    }

    pub(super) fn counts(&self) -> [u64; 3] {
        self.counts
    }

    /// The kept ones by place, those without one first, and by code and words.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.kept.sort_by(|a, b| (&a.place, a.level, a.code, &a.message).cmp(&(&b.place, b.level, b.code, &b.message)));
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_never_hide_an_error_and_all_are_counted() {
        let mut findings = Findings::default();
        let finding = |level, line| Finding::at(&Place::at("f", line, 1), level, "code", "what".to_owned(), "do");
        for line in 0..5000 {
            findings.push(finding(Level::Note, line));
        }
        findings.push(finding(Level::Error, 9000));
        let mut problems = Problems::default();
        problems.extend((0..300).map(|i| Problem::new(format!("p{i}"))));
        findings.problems("load", &problems);
        assert_eq!(findings.counts(), [301, 0, 5000]);
        let sorted = findings.sorted();
        assert_eq!(sorted.len(), 1000 + 1 + Problems::KEPT);
        assert!(sorted.iter().any(|finding| finding.to_string().starts_with("f:9000:1: error[code]")));
    }
}
