//! The first record of a CSV file: what each column is.

use super::super::source::shorten;
use crate::domain::{CheckRules, Problem};
use std::collections::HashMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The key of a case whose value is the cell's text.
    Text(&'static str),
    /// The key of a case whose value stands in the cell as JSON.
    Json(&'static str),
    Tags,
    Critical,
    /// The value of the matcher that the column `matcher` names, else of `equals`.
    Expected,
    Matcher,
    /// `expect:MATCHER`.
    Expect {
        matcher: String,
        /// The cell is the text itself, not JSON.
        is_text: bool,
    },
    Var(String),
    /// Already reported.
    Wrong,
}

/// Column names with a meaning of their own.
const NAMES: [&str; 8] = ["id", "tags", "critical", "expected", "matcher", "history", "labels", "notes"];

/// Names of which even a near miss is no var: a case would silently lose what its author asked for.
const GUARDED: [&str; 3] = ["critical", "expected", "matcher"];

/// Columns for the gate have a prefix: `weight` and `cluster` alone are vars, as they have always been.
const WEIGHT: &str = "gate:weight";
const CLUSTER: &str = "gate:cluster";

/// The prefix of a column that holds the value of one matcher.
const EXPECT: &str = "expect:";

/// More columns than any table of cases has.
const MAX_COLUMNS: usize = 10_000;

/// Reads the names of the columns. Mistakes go to `report`, with the number of their column from 0.
pub(super) fn read(names: &[&str], rules: &dyn CheckRules, mut report: impl FnMut(usize, Problem)) -> Vec<Column> {
    if names.len() > MAX_COLUMNS {
        report(MAX_COLUMNS, Problem::new("too many columns").expected(format!("at most {MAX_COLUMNS}")));
        return Vec::new();
    }
    if let [only] = names
        && only.contains([';', '\t'])
    {
        report(0, other_separator());
        return vec![Column::Wrong];
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut columns = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let name = name.trim();
        let column = match seen.get(name) {
            Some(first) if !name.is_empty() => Err(Problem::new(format!("duplicate column `{}`", shorten(name)))
                .expected("every column once")
                .hint(format!("it is also column number {}", first + 1))),
            _ => column(name, rules),
        };
        seen.entry(name).or_insert(index);
        columns.push(column.unwrap_or_else(|problem| {
            report(index, problem);
            Column::Wrong
        }));
    }
    if let Some(index) = columns.iter().position(|column| *column == Column::Matcher)
        && !seen.contains_key("expected")
    {
        let problem = Problem::new("a column `matcher` without a column `expected`")
            .expected("both, or a column `expect:MATCHER` for each matcher");
        report(index, problem);
        columns[index] = Column::Wrong;
    }
    columns
}

fn column(name: &str, rules: &dyn CheckRules) -> Result<Column, Problem> {
    Ok(match name {
        "id" => Column::Text("id"),
        "tags" => Column::Tags,
        "critical" => Column::Critical,
        "expected" => Column::Expected,
        "matcher" => Column::Matcher,
        "history" => Column::Json("history"),
        "labels" => Column::Json("labels"),
        WEIGHT => Column::Json("weight"),
        CLUSTER => Column::Text("cluster"),
        _ if name.starts_with("gate:") => {
            return Err(Problem::new(format!("unknown column `{}`", shorten(name)))
                .expected(format!("`{WEIGHT}` or `{CLUSTER}`")));
        }
        "notes" => Column::Text("notes"),
        "" => return Err(Problem::new("a column has no name").expected("a name for every column")),
        "vars" => {
            return Err(Problem::new("a column can't be called `vars`")
                .expected("a column for each var, named like the variable in the template"));
        }
        "expect" => {
            return Err(Problem::new("a column can't be called `expect`")
                .expected("`expected`, or `expect:MATCHER` like `expect:contains`"));
        }
        _ => match name.strip_prefix(EXPECT) {
            Some(matcher) => expect_column(matcher.trim(), rules)?,
            None => {
                refuse_near_miss(name)?;
                Column::Var(name.to_owned())
            }
        },
    })
}

fn expect_column(matcher: &str, rules: &dyn CheckRules) -> Result<Column, Problem> {
    match rules.takes_text(matcher) {
        Some(is_text) => Ok(Column::Expect { matcher: matcher.to_owned(), is_text }),
        None => Err(unknown_matcher(matcher, rules)),
    }
}

pub(super) fn unknown_matcher(name: &str, rules: &dyn CheckRules) -> Problem {
    let known = rules.names();
    Problem::new(format!("unknown matcher `{}`", shorten(name)))
        .expected(format!("one of {}", known.join(", ")))
        .did_you_mean(name, known)
}

/// Every other name is a var, but not one that is a slip away from a name with a meaning.
fn refuse_near_miss(name: &str) -> Result<(), Problem> {
    let lower = name.to_lowercase();
    let plain: String = lower.split_whitespace().collect();
    let meant = NAMES
        .iter()
        .find(|known| **known == plain)
        .or_else(|| GUARDED.iter().find(|known| strsim::osa_distance(known, &plain) <= 1))
        .map(|known| (*known).to_owned())
        .or_else(|| {
            let (prefix, matcher) = plain.split_once(':')?;
            (strsim::osa_distance(prefix, "expect") <= 2).then(|| format!("{EXPECT}{matcher}"))
        });
    match meant {
        None => Ok(()),
        Some(meant) => Err(Problem::new(format!("unknown column `{}`", shorten(name)))
            .expected("a known column, or a var whose name can't be taken for one")
            .hint(format!("did you mean `{}`?", shorten(&meant)))),
    }
}

fn other_separator() -> Problem {
    Problem::new("the header has a single column")
        .expected("columns separated by commas")
        .hint("save the file as comma-separated values, not with semicolons or tabs")
}
