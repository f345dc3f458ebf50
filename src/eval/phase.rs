//! The phases in which a run sends its requests, and the cases that take part in each.
//!
//! Which case belongs to which look is fixed before anything is sent ([`Schedule`]). Must-pass cases are sent at the first
//! look, since nothing is promoted before all of them are scored; otherwise their answers count at their own look. What
//! their answers have to be is for `gate::must_pass` to say.

use crate::config::Settings;
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
        AnalysisScope { interim: (looks < schedule.looks()).then_some((schedule, looks)) }
    }

    /// Whether a case counts.
    pub(crate) fn counts(self, index: u64) -> bool {
        self.interim.is_none_or(|(schedule, looks)| schedule.look(index) < looks)
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
            possible: settings.gate.gated
                && !settings.provider.target.def().replays
                && settings.provider.missing_key.is_none(),
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

pub(crate) fn early_end(decision: Decision, look: usize, schedule: &Schedule) -> String {
    let all = schedule.cases_up_to(schedule.looks());
    format!(
        "decided at look {look} of {}: {}; {} of {all} cases need not be asked",
        schedule.looks(),
        decision.as_str(),
        all - schedule.cases_up_to(look),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::plan::ScheduleBuilder;

    fn case(id: u64, critical: bool) -> Case {
        Case { critical, ..Case::new(id.to_string()) }
    }

    /// Ten cases, of which the last one must pass.
    fn spread() -> (Vec<Case>, Schedule) {
        let cases: Vec<Case> = (0..10).map(|id| case(id, id == 9)).collect();
        let mut spreading = ScheduleBuilder::default();
        cases.iter().for_each(|case| spreading.case(case));
        let schedule = spreading.schedule(&[7; 32]);
        (cases, schedule)
    }

    #[test]
    fn every_case_is_sent_in_one_interim_phase_and_must_pass_cases_in_the_first() {
        let (cases, schedule) = spread();
        let retries = MustPassRetries::default();
        for (index, case) in (0..).zip(&cases) {
            let phases: Vec<usize> = (0..schedule.looks())
                .filter(|look| Phase::Interim(*look).includes(case, index, Some(&schedule), &retries))
                .collect();
            let expected = if case.critical { 0 } else { schedule.look(index) };
            assert_eq!(phases, [expected], "{index}");
            assert!(Phase::Planned.includes(case, index, Some(&schedule), &retries));
        }
    }

    #[test]
    fn only_failed_cases_are_confirmed() {
        let (cases, schedule) = spread();
        let mut retries = MustPassRetries::default();
        let confirmed = |retries: &MustPassRetries| -> Vec<u64> {
            let included =
                |index: &u64| Phase::Confirmation.includes(&cases[*index as usize], *index, Some(&schedule), retries);
            (0..10).filter(included).collect()
        };
        assert!(confirmed(&retries).is_empty());
        retries.retry([9].into());
        assert_eq!(confirmed(&retries), [9]);
    }

    #[test]
    fn must_pass_cases_have_more_answers_and_failed_ones_most() {
        let plan = Plan { repeats: 1, baseline: true };
        let mut retries = MustPassRetries { possible: true, ..MustPassRetries::default() };
        retries.retry([1].into());
        let answers = |critical, index| retries.answers(&plan, &case(index, critical), index);
        assert_eq!(answers(false, 0), 1);
        assert_eq!(answers(true, 0), LEAST);
        assert_eq!(answers(true, 1), CONFIRMED);
        assert_eq!(retries.extra_answers(&plan), u64::from(CONFIRMED - LEAST));
        let impossible = MustPassRetries::default();
        assert_eq!(impossible.answers(&plan, &case(0, true), 0), 1);
    }

    #[test]
    fn an_early_decision_goes_by_the_cases_of_its_looks() {
        let (cases, schedule) = spread();
        let scope = AnalysisScope::up_to_look(&schedule, 1);
        for (index, case) in (0..).zip(&cases) {
            assert_eq!(scope.counts(index), schedule.look(index) == 0);
            assert_eq!(scope.sends(index, case), case.critical || schedule.look(index) == 0);
            assert!(AnalysisScope::up_to_look(&schedule, schedule.looks()).counts(index));
            assert!(AnalysisScope::ALL.counts(index));
        }
    }
}
