//! What a verdict carries so that others can check it later: what was tested, how the run ended, and what changed since an
//! earlier state of the project.

use super::base_case::BaseCases;
use super::digest::{digest, hex};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

string_enum! {
    pub enum Completion {
        /// Every planned answer has an outcome.
        Complete = "complete",
        /// It is one shard of several: the others' cases are not in it.
        Shard = "shard",
        Budget = "budget",
        /// A person or the system interrupted it.
        Interrupted = "interrupted",
        /// A failure that every further request would share stopped it.
        Stopped = "stopped",
        StoreFailed = "store_failed",
    }
}

/// Digests of what decides besides prompts' files, dataset and policy; SHA-256, in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDigests {
    pub identical: bool,
    /// Over the requests of all selected cases in both arms, as they go over the wire, and their models.
    pub requests_sha256: String,
    /// Over the judges that checks name: targets, models, prompts. `None` without any.
    pub judges_sha256: Option<String>,
    /// Over the commands that promptgate.toml declares, and the files of the project that their arguments name. `None`
    /// without any.
    pub commands_sha256: Option<String>,
}

/// The state of the project that golden data, checks and policy are compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyBase {
    /// As it was asked for.
    pub rev: String,
    /// The merge base of it and HEAD: the commit that is compared with.
    pub commit: String,
}

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// A stable word, like `case-deleted` or `margin`.
    pub kind: String,
    /// What changed: a case's id, the name of a setting.
    pub what: String,
    /// As it was; `None` if it was not there.
    pub before: Option<String>,
    /// As it is; `None` if it is gone.
    pub after: Option<String>,
    /// It may let through what was stopped before.
    pub weaker: bool,
}

impl PolicyChange {
    /// Kinds that take effect before any verdict: where requests and keys go, and what is run.
    const EARLY: [&str; 8] =
        ["base_url", "target", "project", "location", "judge-service", "embeddings-service", "command", "command-file"];

    /// One that asks for less.
    pub fn weaker(kind: &str, what: impl Into<String>) -> PolicyChange {
        PolicyChange { kind: kind.to_owned(), what: what.into(), before: None, after: None, weaker: true }
    }

    pub fn acts_before_verdict(&self) -> bool {
        self.weaker && PolicyChange::EARLY.contains(&self.kind.as_str())
    }
}

/// How the project differs from an earlier state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDiff {
    pub rows: Vec<PolicyChange>,
    /// Digests of what weaker rows only hint at, like the cases that they name.
    pub contents: Vec<[u8; 32]>,
    pub cases: BaseCases,
}

/// What changed since the state that the project is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What it was compared with; `None` if with nothing.
    pub base: Option<PolicyBase>,
    /// What is weaker first; at most [`Changes::KEPT`], and one more that counts the rest.
    pub rows: Vec<PolicyChange>,
    /// Names all that is weaker, in [`Changes::DIGITS`] hex digits; `None` if nothing is.
    pub digest: Option<String>,
    /// Why someone accepts what is weaker.
    pub accepted: Option<String>,
    /// Why acceptances that were given don't count.
    pub refused: Vec<String>,
    /// The cases of the base; `None` where there are none.
    pub cases: Option<Arc<BaseCases>>,
}

/// Someone's consent to one difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    pub digest: String,
    pub reason: String,
}

impl Consent {
    /// `None` for what is no digest of a difference, and without a reason.
    pub fn new(digest: &str, reason: &str) -> Option<Consent> {
        let (digest, reason) = (digest.trim(), reason.trim());
        let known = digest.len() == Changes::DIGITS && digest.bytes().all(|digit| digit.is_ascii_hexdigit());
        (known && !reason.is_empty())
            .then(|| Consent { digest: digest.to_ascii_lowercase(), reason: reason.to_owned() })
    }
}

impl Changes {
    pub const KEPT: usize = 200;
    /// Enough that nobody finds two differences of one digest.
    pub const DIGITS: usize = 32;
    pub const NONE: Changes =
        Changes { base: None, rows: Vec::new(), digest: None, accepted: None, refused: Vec::new(), cases: None };

    /// Sorts the rows, what is weaker first, of that what acts before a verdict, and keeps the first of them.
    pub fn of(base: PolicyBase, diff: StateDiff) -> Changes {
        let StateDiff { mut rows, mut contents, cases } = diff;
        let cases = (!cases.is_empty()).then(|| Arc::new(cases));
        let order = |row: &PolicyChange| (!row.weaker, !row.acts_before_verdict());
        rows.sort_by(|a, b| (order(a), &a.kind, &a.what, &a.before).cmp(&(order(b), &b.kind, &b.what, &b.before)));
        contents.sort_unstable();
        let weaker = rows.iter().filter(|row| row.weaker);
        let named = weaker.map(|row| format!("{:?}", (&row.kind, &row.what, &row.before, &row.after)).into_bytes());
        let pieces: Vec<Vec<u8>> = named.chain(contents.iter().map(|content| content.to_vec())).collect();
        let whole = hex(digest(pieces.iter().map(Vec::as_slice)));
        let digest = rows.first().is_some_and(|row| row.weaker).then(|| whole[..Changes::DIGITS].to_owned());
        let more = rows.len().saturating_sub(Changes::KEPT);
        if more > 0 {
            let weaker = rows[Changes::KEPT..].iter().any(|row| row.weaker);
            rows.truncate(Changes::KEPT);
            rows.push(PolicyChange { weaker, ..PolicyChange::weaker("more", format!("{more} more changes")) });
        }
        Changes { base: Some(base), rows, digest, cases, ..Changes::NONE }
    }

    /// Takes a consent for what it names, and for nothing else.
    pub fn accept(&mut self, consent: &Consent) {
        match &self.digest {
            Some(digest) if *digest == consent.digest => self.accepted = Some(consent.reason.clone()),
            Some(_) => self.refused.push(format!("{} names another difference", consent.digest)),
            None => {}
        }
    }

    /// What accepts just this, and why what was given does not.
    pub fn way_to_accept(&self) -> String {
        let digest = self.digest.as_deref().unwrap_or("DIGEST");
        let refused = self.refused.iter().take(5).map(|why| format!("; not accepted: {why}"));
        format!("--accept-weaker '{digest}=REASON'{}", refused.collect::<String>())
    }

    pub fn weaker(&self) -> impl Iterator<Item = &PolicyChange> {
        self.rows.iter().filter(|row| row.weaker)
    }

    /// What is weaker, where no one accepted it.
    pub fn unaccepted(&self) -> &[PolicyChange] {
        match self.accepted {
            Some(_) => &[],
            // They come first; a row for the rest is weaker only if all before it are.
            None => &self.rows[..self.weaker().count()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_weaker_comes_first_and_is_never_cut_away_unseen() {
        let row = |i: usize, weaker| PolicyChange {
            kind: "k".to_owned(),
            what: format!("{i:04}"),
            before: None,
            after: None,
            weaker,
        };
        let base = || PolicyBase { rev: "main".to_owned(), commit: "c".to_owned() };
        let mut rows: Vec<PolicyChange> = (0..500).map(|i| row(i, false)).collect();
        rows.push(row(999, true));
        let of = |rows| Changes::of(base(), StateDiff { rows, ..StateDiff::default() });
        let changes = of(rows);
        assert_eq!(changes.rows.len(), Changes::KEPT + 1);
        assert!(changes.rows[0].weaker && !changes.rows[1].weaker);
        assert_eq!(changes.rows[Changes::KEPT].what, "301 more changes");
        assert_eq!(changes.weaker().count(), 1);
        let all = of((0..500).map(|i| row(i, true)).collect());
        assert_eq!(all.weaker().count(), Changes::KEPT + 1);
        assert_eq!(of(Vec::new()).rows, []);
    }
}
