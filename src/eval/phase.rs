//! The phases in which a run sends its requests, and the cases that take part in each.
//!
//! Which case belongs to which look is fixed before anything is sent ([`Schedule`]). Must-pass cases are sent at the first
//! look, since nothing is promoted before all of them are scored; otherwise their answers count at their own look. What
//! their answers have to be is for `gate::must_pass` to say.

use crate::config::{Settings, TargetKind};
use crate::domain::{Case, Decision};
use crate::gate::must_pass::{CONFIRMED, LEAST};
use crate::plan::{Plan, Schedule};
use std::collections::BTreeSet;

/// Which answers are requested in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// All that are known to be needed.
    Planned,
    /// Those of one look, from 0, of a run that may end early.
    Interim(usize),
    /// Further answers to must-pass cases that failed.
    Confirmation,
}

impl Phase {
    /// Whether answers to the case are requested in this phase.
    pub(crate) fn includes(
        self,
        case: &Case,
        index: u64,
        schedule: Option<&Schedule>,
        retries: &MustPassRetries,
    ) -> bool {
        match self {
            Phase::Planned => true,
            Phase::Interim(look) if case.critical => look == 0,
            Phase::Interim(look) => schedule.is_none_or(|schedule| schedule.look(index) == look),
            Phase::Confirmation => retries.is_retried(index),
        }
    }
}

/// The cases that a decision goes by: all, or those of the first looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnalysisScope<'a> {
    interim: Option<(&'a Schedule, usize)>,
}

impl<'a> AnalysisScope<'a> {
    pub(crate) const ALL: AnalysisScope<'static> = AnalysisScope { interim: None };

    /// The cases of the first looks.
    pub(crate) fn up_to_look(schedule: &'a Schedule, looks: usize) -> AnalysisScope<'a> {
        AnalysisScope {
            interim: (looks < schedule.looks()).then_some((schedule, looks)),
        }
    }

    /// Whether a case counts.
    pub(crate) fn counts(self, index: u64) -> bool {
        self.interim
            .is_none_or(|(schedule, looks)| schedule.look(index) < looks)
    }

    /// Whether requests for a case are sent.
    pub(crate) fn sends(self, index: u64, case: &Case) -> bool {
        case.critical || self.counts(index)
    }
}

/// How often must-pass cases are sent: a few times at least, and more often where an answer failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct MustPassRetries {
    /// Recorded answers can't be requested again, and without a decision nothing has to be confirmed.
    pub(crate) possible: bool,
    /// Indexes of the cases with a failed answer; 8 bytes each.
    failed: BTreeSet<u64>,
}

impl MustPassRetries {
    pub(crate) fn new(settings: &Settings) -> MustPassRetries {
        MustPassRetries {
            possible: settings.gate.gated && settings.provider.target != TargetKind::Recorded,
            failed: BTreeSet::new(),
        }
    }

    /// Least number of the candidate's answers to each must-pass case.
    pub(crate) fn min_answers(&self) -> u32 {
        if self.possible { LEAST } else { 0 }
    }

    /// Answers beyond the plan that confirm failures, all cases together.
    pub(crate) fn extra_answers(&self, plan: &Plan) -> u64 {
        let each = CONFIRMED.saturating_sub(plan.repeats.max(LEAST));
        self.failed.len() as u64 * u64::from(each)
    }

    /// The candidate's answers to a case, planned ones included.
    pub(crate) fn answers(&self, plan: &Plan, case: &Case, index: u64) -> u32 {
        let least = match case.critical && self.possible {
            false => 0,
            true if self.failed.contains(&index) => CONFIRMED,
            true => LEAST,
        };
        plan.repeats.max(least)
    }

    pub(crate) fn retry(&mut self, failed: BTreeSet<u64>) {
        self.failed = failed;
    }

    pub(crate) fn is_retried(&self, index: u64) -> bool {
        self.failed.contains(&index)
    }

    pub(crate) fn announcement(&self) -> String {
        let cases = match self.failed.len() {
            1 => "1 must-pass case".to_owned(),
            several => format!("{several} must-pass cases"),
        };
        format!("an answer to {cases} failed; asking again, up to {CONFIRMED} answers each")
    }
}

/// The sentence for a run that ends early.
pub(crate) fn early_end(decision: Decision, look: usize, schedule: &Schedule) -> String {
    let all = schedule.asked(schedule.looks());
    format!(
        "decided at look {look} of {}: {}; {} of {all} cases need not be asked",
        schedule.looks(),
        decision.as_str(),
        all - schedule.asked(look),
    )
}
