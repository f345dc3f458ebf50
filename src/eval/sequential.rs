//! Runs that may end early: after each look at what is there the gate is asked, and its promote or block ends the run.
//!
//! Which case is asked at which look is known before anything is sent ([`Schedule`]). Must-pass cases are asked at the first
//! look, since nothing is promoted before all of them were judged; all else that their answers say counts at their own look.

use super::must_pass::Confirming;
use super::survey::Survey;
use crate::domain::{Case, Decision};
use crate::plan::{Plan, Schedule};

/// The looks by which a decision goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upto<'a> {
    /// All cases if there is none.
    early: Option<(&'a Schedule, usize)>,
}

impl<'a> Upto<'a> {
    /// All of them.
    pub(crate) const END: Upto<'static> = Upto { early: None };

    /// So many first ones.
    pub(crate) fn looks(schedule: &'a Schedule, looks: usize) -> Upto<'a> {
        Upto {
            early: (looks < schedule.looks()).then_some((schedule, looks)),
        }
    }

    /// Whether a case counts.
    pub(crate) fn has(self, index: u64) -> bool {
        self.early.is_none_or(|(schedule, looks)| schedule.look(index) < looks)
    }

    /// Whether a case is asked.
    pub(crate) fn asks(self, index: u64, case: &Case) -> bool {
        case.critical || self.has(index)
    }
}

impl Survey {
    /// Looks of a run.
    pub(crate) fn looks(&self) -> usize {
        self.schedule.as_ref().map_or(1, Schedule::looks)
    }

    /// The shares of the cases at so many first looks, as a verdict tells them; none where a run looks only at its end.
    pub(crate) fn shares(&self, looks: usize) -> Vec<f64> {
        let shares = self.schedule.as_ref().map(|schedule| schedule.shares(looks));
        shares.unwrap_or_default().to_vec()
    }

    /// Answers that are asked for or looked up in so many first looks.
    pub(crate) fn answers_upto(&self, plan: &Plan, confirming: &Confirming, looks: usize) -> u64 {
        let all = self.answers(plan, confirming.least());
        let later = self
            .schedule
            .as_ref()
            .map_or(0, |schedule| schedule.asked(schedule.looks()) - schedule.asked(looks));
        all.saturating_sub(later * plan.per_case()) + confirming.further(plan)
    }
}

/// Tells that a run ends early.
pub(crate) fn announcement(decision: Decision, look: usize, schedule: &Schedule) -> String {
    let all = schedule.asked(schedule.looks());
    format!(
        "decided at look {look} of {}: {}; {} of {all} cases need not be asked",
        schedule.looks(),
        decision.as_str(),
        all - schedule.asked(look),
    )
}
