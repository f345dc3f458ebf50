//! What was promoted, as promptgate.lock keeps it.

use super::difference::Difference;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The folder of the copies, below the project's root.
const COPIES: &str = "prompts/.promoted";

/// One entry of promptgate.lock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// The baseline's name, as in promptgate.toml.
    pub name: String,
    /// Where its file was.
    pub path: String,
    /// Digest of source and partials; in hex.
    pub sha256: String,
    /// The model that was asked for; `None` where no verdict says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Like `2026-11-30`.
    pub date: String,
    /// The commit it was promoted at, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Digest of verdict.json; `None` where no verdict promoted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict_sha256: Option<String>,
    /// Digest of the golden data of that verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_sha256: Option<String>,
    /// Why there was no verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Digest of the baseline that it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// Compared with that baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

impl Promotion {
    /// The copy of its file; its partials stand beside it.
    pub fn copy(&self) -> String {
        let path = Path::new(&self.path);
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let stem = text(path.file_stem());
        let digest = self.sha256.get(..12).unwrap_or_default();
        format!("{COPIES}/{}/{digest}/{}", stem.trim_start_matches('.'), text(path.file_name()))
    }
}

/// What is known of a baseline that was promoted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselinePromotion {
    /// What was compared, for people; `None` if it is what settings and the prompt's file say.
    pub notice: Option<String>,
    /// Digest of the golden data of its verdict.
    pub dataset_sha256: Option<String>,
    /// What the promotions that led to it came to; `None` where none was compared with a baseline.
    pub total: Option<PromotionTotal>,
}

/// What the promotions since the oldest one known came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromotionTotal {
    pub promotions: u64,
    /// The day of the first of them.
    pub since: String,
    /// Sum of the estimated differences.
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

impl PromotionTotal {
    /// Adds differences, newest first; their intervals as those of independent estimates.
    pub fn of<'p>(promotions: impl IntoIterator<Item = &'p Promotion>) -> Option<PromotionTotal> {
        let known = promotions.into_iter().map_while(|one| Some((&one.date, one.difference?)));
        let (dates, differences): (Vec<&String>, Vec<Difference>) = known.unzip();
        let sum = |of: fn(&Difference) -> f64| differences.iter().map(of).sum::<f64>();
        let estimate = sum(|it| it.estimate);
        Some(PromotionTotal {
            promotions: differences.len() as u64,
            since: (*dates.last()?).clone(),
            estimate,
            low: estimate - sum(|it| (it.estimate - it.low).powi(2)).sqrt(),
            high: estimate + sum(|it| (it.high - it.estimate).powi(2)).sqrt(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Method;

    #[test]
    fn differences_add_up_and_their_intervals_like_those_of_independent_estimates() {
        let promotion = |date: &str, estimate: f64| Promotion {
            date: date.to_owned(),
            difference: Some(Difference {
                estimate,
                low: estimate - 0.03,
                high: estimate + 0.04,
                confidence: 0.9,
                method: Method::Score,
            }),
            ..Promotion::default()
        };
        assert_eq!(PromotionTotal::of(&[]), None);
        let first = Promotion { difference: None, ..promotion("2026-09-01", 0.0) };
        assert_eq!(PromotionTotal::of([&first]), None);
        let newest_first =
            [promotion("2026-11-20", -0.02), promotion("2026-10-03", 0.01), promotion("2026-09-09", -0.02), first];
        let total = PromotionTotal::of(&newest_first).unwrap();
        assert_eq!((total.promotions, total.since.as_str()), (3, "2026-09-09"));
        for (found, expected) in
            [(total.estimate, -0.03), (total.low, -0.03 - 0.03 * 3f64.sqrt()), (total.high, -0.03 + 0.04 * 3f64.sqrt())]
        {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn a_copy_stays_in_its_folder_whatever_the_lock_says() {
        let copy =
            |path: &str| Promotion { path: path.to_owned(), sha256: "a".repeat(64), ..Promotion::default() }.copy();
        assert_eq!(copy("prompts/v1.prompt"), "prompts/.promoted/v1/aaaaaaaaaaaa/v1.prompt");
        for path in ["../../etc/v1.prompt", "/etc/v1.prompt", "..", "", "prompts/...prompt"] {
            assert!(!copy(path).contains("/../") && copy(path).starts_with("prompts/.promoted/"), "{}", copy(path));
        }
    }
}
