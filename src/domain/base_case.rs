//! Cases as they count at the policy base. What a change adds to the golden data may only add demands, so the gate also
//! decides about the cases that exist there.

use super::case::Case;
use super::case_id::CaseId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The cases of the policy base, by their ids of today.
pub type BaseCases = BTreeMap<CaseId, BaseCase>;

/// What a case counts as at the policy base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseCase {
    critical: bool,
    weight: u32,
    cluster: Option<Arc<str>>,
    tags: Vec<String>,
}

impl BaseCase {
    pub fn of(case: &Case) -> BaseCase {
        let Case { critical, weight, cluster, tags, .. } = case;
        BaseCase { critical: *critical, weight: *weight, cluster: cluster.clone(), tags: tags.clone() }
    }

    /// Lets a case of today count as it does at the base.
    pub fn restore(&self, case: &mut Case) {
        let BaseCase { critical, weight, cluster, tags } = self.clone();
        (case.critical, case.weight, case.cluster, case.tags) = (critical, weight, cluster, tags);
    }
}
