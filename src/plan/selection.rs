//! Which cases take part.

use crate::domain::{Case, Problem, digest};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Values of a filter that a description names, and characters of each.
const NAMED: usize = 10;
const NAME: usize = 100;

fn clip(text: &str) -> String {
    text.chars().take(NAME).collect()
}

/// One of N parts of a dataset. A case belongs to a part by a hash of its id, so it stays there when others come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// The case belongs to this part.
    pub fn contains(&self, case: &Case) -> bool {
        let hash = digest([case.id.as_str().as_bytes()]);
        let number = u64::from_le_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]);
        number % u64::from(self.count) == u64::from(self.index - 1)
    }

    /// More than one part.
    pub fn is_partial(&self) -> bool {
        self.count > 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let wrong = || format!("`{text}` is not a shard; expected I/N with 1 <= I <= N <= 1000, like 2/8");
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let (index, count) = (index.parse().map_err(|_| wrong())?, count.parse().map_err(|_| wrong())?);
        if index == 0 || index > count || count > 1000 {
            return Err(wrong());
        }
        Ok(Shard { index, count })
    }
}

/// Filters of `eval`: several tags mean any of them, different filters mean all of them.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Ids, all of which must exist.
    pub cases: BTreeSet<String>,
    /// Only these ids, whether or not they still exist: the cases that failed in an earlier run.
    pub failed: Option<BTreeSet<String>>,
    /// Any of these tags; empty = all cases.
    pub tags: BTreeSet<String>,
    /// The first so many of those selected otherwise.
    pub limit: Option<u64>,
    pub shard: Option<Shard>,
}

impl Selection {
    pub fn is_everything(&self) -> bool {
        let Selection { cases, failed, tags, limit, shard } = self;
        cases.is_empty()
            && failed.is_none()
            && tags.is_empty()
            && limit.is_none()
            && shard.is_none_or(|shard| !shard.is_partial())
    }

    /// The filters as people write them, each within bounds; empty if there is none.
    pub fn describe(&self) -> Vec<String> {
        let Selection { cases, failed, tags, limit, shard } = self;
        let some = |option: &str, values: &BTreeSet<String>| {
            let named: Vec<String> = values.iter().take(NAMED).map(|value| clip(value)).collect();
            let more = match values.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" … and {more} more"),
            };
            (!values.is_empty()).then(|| format!("{option} {}{more}", named.join(" ")))
        };
        let failed = failed.as_ref().map(|failed| format!("--failed (cases: {})", failed.len()));
        let limit = limit.map(|limit| format!("--limit {limit}"));
        let shard = shard.filter(Shard::is_partial).map(|shard| format!("--shard {shard}"));
        [some("--case", cases), some("--tag", tags), failed, limit, shard].into_iter().flatten().collect()
    }

    pub fn walk(&self) -> Walk<'_> {
        Walk { selection: self, selected: 0, unseen: self.cases.clone() }
    }
}

/// One pass of a selection over the dataset.
#[derive(Debug)]
pub struct Walk<'a> {
    selection: &'a Selection,
    selected: u64,
    unseen: BTreeSet<String>,
}

impl Walk<'_> {
    /// Takes note of the next case and says whether it is selected.
    pub fn selects(&mut self, case: &Case) -> bool {
        let Selection { cases, failed, tags, limit, shard } = self.selection;
        if !cases.is_empty() {
            self.unseen.remove(case.id.as_str());
        }
        let selected = (cases.is_empty() || cases.contains(case.id.as_str()))
            && (tags.is_empty() || case.tags.iter().any(|tag| tags.contains(tag)))
            && failed.as_ref().is_none_or(|failed| failed.contains(case.id.as_str()))
            && shard.is_none_or(|shard| shard.contains(case))
            && limit.is_none_or(|limit| self.selected < limit);
        self.selected += u64::from(selected);
        selected
    }

    /// How many were selected so far.
    pub fn selected(&self) -> u64 {
        self.selected
    }

    /// Ids asked for that no case has.
    pub fn unknown(&self) -> impl Iterator<Item = Problem> + '_ {
        self.unseen.iter().map(|id| {
            Problem::new(format!("no case has the id `{id}`"))
                .hint("ids are compared exactly; see the `id` of the golden rows")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(id: &str, tags: &[&str]) -> Case {
        Case { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..Case::new(id) }
    }

    #[test]
    fn shards_are_disjoint_and_cover() {
        for i in 0..500 {
            let case = case(&format!("case-{i}"), &[]);
            let shards = (1..=7).filter(|index| Shard { index: *index, count: 7 }.contains(&case)).count();
            assert_eq!(shards, 1);
        }
    }

    #[test]
    fn shards_are_parsed_strictly() {
        assert_eq!("2/8".parse(), Ok(Shard { index: 2, count: 8 }));
        for wrong in ["", "0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/1001"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn several_tags_mean_any_and_different_filters_mean_all() {
        let selection =
            Selection { tags: ["a".to_owned(), "b".to_owned()].into(), limit: Some(2), ..Selection::default() };
        let mut walk = selection.walk();
        let picked: Vec<bool> = [("1", ["a"]), ("2", ["c"]), ("3", ["b"]), ("4", ["a"])]
            .iter()
            .map(|(id, tags)| walk.selects(&case(id, tags)))
            .collect();
        assert_eq!(picked, [true, false, true, false]);
        assert_eq!(walk.selected(), 2);
    }

    #[test]
    fn filters_are_described_as_they_are_written() {
        assert!(Selection::default().describe().is_empty());
        let selection = Selection {
            cases: (0..12).map(|i| format!("c{i:02}")).collect(),
            failed: Some(["a".to_owned()].into()),
            tags: ["x".to_owned(), "y".repeat(500)].into(),
            limit: Some(2),
            shard: "2/8".parse().ok(),
        };
        let long = "y".repeat(NAME);
        assert_eq!(
            selection.describe(),
            [
                "--case c00 c01 c02 c03 c04 c05 c06 c07 c08 c09 … and 2 more",
                &format!("--tag x {long}"),
                "--failed (cases: 1)",
                "--limit 2",
                "--shard 2/8"
            ]
        );
    }

    #[test]
    fn unknown_ids_are_named() {
        let selection = Selection { cases: ["x".to_owned()].into(), ..Selection::default() };
        let mut walk = selection.walk();
        assert!(!walk.selects(&case("y", &[])));
        assert_eq!(walk.unknown().count(), 1);
    }
}
