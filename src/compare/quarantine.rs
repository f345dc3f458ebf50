//! Cases in quarantine: counted by themselves, so that they can be told of and decide nothing.

use super::push_bounded;
use super::repeats::Repeats;
use crate::domain::{Case, CaseRow, Quarantine, QuarantineRecord, QuarantineSums, QuarantinedTag};

/// What is kept apart, in the making. Its size grows with the tags in quarantine only.
#[derive(Clone, Debug, Default)]
pub(super) struct QuarantineTally {
    quarantine: Quarantine,
    sums: QuarantineSums,
}

impl QuarantineTally {
    pub(super) fn new(quarantine: Quarantine) -> QuarantineTally {
        let tags = quarantine.active().iter().map(|(tag, until)| QuarantinedTag {
            tag: tag.clone(),
            until: until.clone(),
            cases: 0,
        });
        let sums = QuarantineSums {
            found: QuarantineRecord { tags: tags.collect(), ..QuarantineRecord::default() },
            expired: quarantine.expired().clone(),
            ..QuarantineSums::default()
        };
        QuarantineTally { quarantine, sums }
    }

    /// Whether a case must not decide. A must-pass case that would be one is noted.
    pub(super) fn contains(&mut self, case: &Case) -> bool {
        if case.critical && self.quarantine.tags_of(case).next().is_some() {
            let (ids, cases) = &mut self.sums.critical;
            push_bounded(ids, &case.id);
            *cases += 1;
        }
        self.quarantine.of(case).is_some()
    }

    pub(super) fn add(&mut self, case: &Case, row: &CaseRow, baseline: Option<&Repeats>, candidate: &Repeats) {
        self.count(case, row);
        self.sums.looked += 1;
        let answers = &mut self.sums.answers;
        for repeats in [Some(candidate), baseline].into_iter().flatten() {
            answers.0 += u64::from(repeats.planned() - repeats.identical);
            answers.1 += u64::from(repeats.scored);
        }
    }

    /// Counts a case, whether or not its answers are looked at.
    pub(super) fn count(&mut self, case: &Case, row: &CaseRow) {
        let found = &mut self.sums.found;
        found.counts.add(row.candidate.outcome());
        for (tag, _) in self.quarantine.tags_of(case) {
            if let Some(of_tag) = found.tags.iter_mut().find(|of_tag| of_tag.tag == tag) {
                of_tag.cases += 1;
            }
        }
    }

    pub(super) fn finish(self) -> QuarantineSums {
        self.sums
    }
}
