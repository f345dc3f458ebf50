//! Must-pass cases are asked more often than planned: a few times at least, and again where an answer failed. What their
//! answers have to be is the gate's to say (`gate::must_pass`).

use super::judges::{Asker, Consulted};
use super::score_pass::{Judging, judge_some};
use crate::config::{Settings, TargetKind};
use crate::domain::{Attempts, Case};
use crate::error::Error;
use crate::gate::must_pass::{CONFIRMED, LEAST, wants_confirmation};
use crate::plan::Plan;
use std::collections::BTreeSet;

/// Which must-pass cases are asked how often.
#[derive(Clone, Debug, Default)]
pub(crate) struct Confirming {
    /// Nobody can ask recorded answers again, and where nothing is decided nothing has to be confirmed.
    pub(crate) possible: bool,
    /// Cases of which an answer failed, by their index among the selected ones. 8 bytes for each such case.
    failed: BTreeSet<u64>,
}

impl Confirming {
    pub(crate) fn new(settings: &Settings) -> Confirming {
        Confirming {
            possible: settings.gate.gated && settings.provider.target != TargetKind::Recorded,
            failed: BTreeSet::new(),
        }
    }

    /// Answers of the candidate to each must-pass case, at least.
    pub(crate) fn least(&self) -> u32 {
        if self.possible { LEAST } else { 0 }
    }

    /// Answers beyond the plan that confirm failures.
    pub(crate) fn further(&self, plan: &Plan) -> u64 {
        let each = CONFIRMED.saturating_sub(plan.repeats.max(LEAST));
        self.failed.len() as u64 * u64::from(each)
    }

    /// Answers of the candidate to a case, planned ones included.
    pub(crate) fn answers(&self, plan: &Plan, case: &Case, index: u64) -> u32 {
        let least = match case.critical && self.possible {
            false => 0,
            true if self.failed.contains(&index) => CONFIRMED,
            true => LEAST,
        };
        plan.repeats.max(least)
    }

    /// Has cases asked again.
    pub(crate) fn note(&mut self, failed: BTreeSet<u64>) {
        self.failed = failed;
    }

    /// Tells that it happens.
    pub(crate) fn announcement(&self) -> String {
        let cases = match self.failed.len() {
            1 => "1 must-pass case".to_owned(),
            several => format!("{several} must-pass cases"),
        };
        format!("an answer to {cases} failed; asking again, up to {CONFIRMED} answers each")
    }

    /// Whether a case is asked again.
    pub(crate) fn again(&self, index: u64) -> bool {
        self.failed.contains(&index)
    }
}

/// The must-pass cases that have to be asked again, and what asking judges came to.
///
/// # Errors
/// The golden files changed meanwhile.
pub(crate) fn failed(judging: &Judging<'_>, asker: Asker<'_>) -> Result<(BTreeSet<u64>, Consulted), Error> {
    let mut failed = BTreeSet::new();
    let judged = judge_some(judging, asker, &|_, case| case.critical, &mut |index, row| {
        let planned = row.candidate.repeats.len() as u32;
        if wants_confirmation(Attempts::of(&row.candidate, planned)) {
            failed.insert(index);
        }
    })?;
    Ok((failed, judged.judges))
}
