//! How many of what there is in golden data.

use super::Matchers;
use super::claims::alternatives;
use crate::domain::{Case, CheckSpec, Logic};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Counts of a dataset, case by case. Keeps 8 bytes a case, for the quantiles.
#[derive(Debug, Default)]
pub struct Figures {
    cases: u64,
    critical: u64,
    files: BTreeMap<String, u64>,
    tags: BTreeMap<String, (u64, u64)>,
    untagged: u64,
    matchers: BTreeMap<String, MatcherFigures>,
    chars: Vec<u32>,
    checks: Vec<u32>,
}

/// How many cases a comparison needs; see the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// If candidate and baseline pass the same cases.
    pub alike: u64,
    /// If one answer in ten differs between them.
    pub typical: u64,
    pub repeats: u32,
}

/// The middle and the ends of a distribution; quantiles by the nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub min: u32,
    pub median: u32,
    pub p95: u32,
    pub max: u32,
}

/// A tag: a slice of the dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TagFigures {
    pub tag: String,
    pub cases: u64,
    pub critical: u64,
    /// How many more it needs to be decided by itself, if one answer in ten differs.
    pub missing: u64,
}

/// All figures, in the order in which they are shown.
#[derive(Clone, Debug, Serialize)]
pub struct FigureReport {
    pub cases: u64,
    pub critical: u64,
    pub untagged: u64,
    /// Characters of vars and history, a case.
    pub input_chars: Option<Spread>,
    pub checks: Option<Spread>,
    pub needs: Needs,
    pub files: BTreeMap<String, u64>,
    pub tags: Vec<TagFigures>,
    /// Checks of each matcher, and cases that have one; those inside `not`, `all` and `any` count, too.
    pub matchers: BTreeMap<String, MatcherFigures>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MatcherFigures {
    pub checks: u64,
    pub cases: u64,
}

impl Figures {
    pub fn case(&mut self, case: &Case, matchers: &dyn Matchers) {
        self.cases += 1;
        self.critical += u64::from(case.critical);
        *self.files.entry(case.place.file.to_string()).or_default() += 1;
        self.untagged += u64::from(case.tags.is_empty());
        for tag in &case.tags {
            let (cases, critical) = self.tags.entry(tag.clone()).or_default();
            *cases += 1;
            *critical += u64::from(case.critical);
        }
        let mut used = BTreeSet::new();
        for check in &case.checks {
            self.check(check, matchers, &mut used);
        }
        for matcher in used {
            self.matchers.entry(matcher).or_default().cases += 1;
        }
        let history: usize = case.history.iter().map(|turn| turn.text.chars().count()).sum();
        let vars: usize = case.vars.values().map(chars).sum();
        self.chars.push(u32::try_from(history + vars).unwrap_or(u32::MAX));
        self.checks.push(u32::try_from(case.checks.len()).unwrap_or(u32::MAX));
    }

    /// Depth is bounded: loading has verified the checks.
    fn check(&mut self, check: &CheckSpec, matchers: &dyn Matchers, used: &mut BTreeSet<String>) {
        self.matchers.entry(check.matcher.clone()).or_default().checks += 1;
        used.insert(check.matcher.clone());
        match matchers.logic(check) {
            Some(Logic::Not) => {
                if let Ok(inner) = CheckSpec::parse(&check.args) {
                    self.check(&inner, matchers, used);
                }
            }
            Some(Logic::All | Logic::Any) => {
                alternatives(check).iter().for_each(|inner| self.check(inner, matchers, used));
            }
            Some(Logic::Count) | None => {}
        }
    }

    pub fn report(mut self, needs: Needs) -> FigureReport {
        FigureReport {
            cases: self.cases,
            critical: self.critical,
            untagged: self.untagged,
            input_chars: spread(&mut self.chars),
            checks: spread(&mut self.checks),
            needs,
            files: self.files,
            tags: self
                .tags
                .into_iter()
                .map(|(tag, (cases, critical))| TagFigures {
                    tag,
                    cases,
                    critical,
                    missing: needs.typical.saturating_sub(cases),
                })
                .collect(),
            matchers: self.matchers,
        }
    }
}

impl fmt::Display for FigureReport {
    /// For people: a table for each kind of count. Names are from outside, so a writer must make them safe.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} cases, {} critical, {} without a tag", self.cases, self.critical, self.untagged)?;
        let spread = |name: &str, spread: &Option<Spread>| {
            let Spread { min, median, p95, max } = (*spread)?;
            Some([name.to_owned(), min.to_string(), median.to_string(), p95.to_string(), max.to_string()])
        };
        let rows = [spread("characters of input", &self.input_chars), spread("checks", &self.checks)];
        table(f, ["A CASE", "MIN", "MEDIAN", "P95", "MAX"], rows.into_iter().flatten())?;
        let files = self.files.iter();
        table(f, ["FILE", "CASES"], files.map(|(file, cases)| [file.clone(), cases.to_string()]))?;
        let matchers = self.matchers.iter();
        table(
            f,
            ["MATCHER", "CHECKS", "CASES"],
            matchers.map(|(name, its)| [name.clone(), its.checks.to_string(), its.cases.to_string()]),
        )?;
        let tags = self.tags.iter().map(|its| {
            let missing = match its.missing {
                0 => "enough".to_owned(),
                missing => format!("{missing} more"),
            };
            [its.tag.clone(), its.cases.to_string(), its.critical.to_string(), missing]
        });
        table(f, ["TAG", "CASES", "CRITICAL", "NEEDS"], tags)?;
        let Needs { alike, typical, repeats } = self.needs;
        write!(
            f,
            "\nneeds: with the default policy and {repeats} repeats a comparison is decided with about {typical} cases if one \
             answer in ten\ndiffers between candidate and baseline; with {alike} if they pass the same cases"
        )
    }
}

/// A table with a head, after an empty line; nothing without rows. The first column is text, the others are numbers.
fn table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let rows: Vec<[String; N]> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    writeln!(f)?;
    let mut line = |row: [&str; N]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        writeln!(f, "{}", cells.collect::<Vec<_>>().join("  "))
    };
    line(head)?;
    rows.iter().try_for_each(|row| line(std::array::from_fn(|column| row[column].as_str())))
}

/// Characters of a value: of a text its own, of anything else those of its JSON.
fn chars(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string().chars().count()
        }
    }
}

fn spread(values: &mut [u32]) -> Option<Spread> {
    values.sort_unstable();
    let rank = |share: f64| {
        let rank = (share * values.len() as f64).ceil() as usize;
        values.get(rank.max(1) - 1).copied()
    };
    Some(Spread { min: *values.first()?, median: rank(0.5)?, p95: rank(0.95)?, max: *values.last()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occur() {
        let told = |values: &[u32]| spread(&mut values.to_vec()).map(|s| [s.min, s.median, s.p95, s.max]);
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[7]), Some([7, 7, 7, 7]));
        assert_eq!(told(&[3, 1, 2, 4]), Some([1, 2, 4, 4]));
        let hundred: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(told(&hundred), Some([1, 50, 95, 100]));
    }
}
