//! The third pass: stored answers are judged in batches, compared, and handed to the reports in plan order.

use super::survey::Survey;
use crate::compare::Comparing;
use crate::error::{Error, store_problem};
use crate::model::{
    Arm, ArmRow, Case, CaseRow, CheckRules, Comparison, Failure, FailureKind, Judged, Outcome, Skip, Source, Usage,
};
use crate::plan::{Plan, Selection, price};
use crate::run::Ended;
use crate::score::{self, Judgement, Unjudged};
use crate::store::{RunId, Store, StoredResult};
use std::ops::ControlFlow;
use time::Date;

/// Cases judged at a time, and answers of all of them; bound the memory of this pass.
const BATCH_CASES: u64 = 256;
const BATCH_ANSWERS: u64 = 2_048;

/// What is judged.
pub(super) struct Judging<'a> {
    pub(super) selection: &'a Selection,
    pub(super) survey: &'a Survey,
    pub(super) plan: Plan,
    pub(super) rules: &'a dyn CheckRules,
    pub(super) store: &'a Store,
    pub(super) run: RunId,
    /// How the run ended: the reason why an answer was not asked for.
    pub(super) ended: &'a Ended,
    /// Prices of this day hold.
    pub(super) today: Date,
    /// Models asked for: baseline, candidate.
    pub(super) models: (Option<&'a str>, &'a str),
}

/// Judges every selected case and hands the rows on in plan order.
pub(super) fn judge(judging: &Judging<'_>, watch: &mut dyn FnMut(&CaseRow)) -> Result<Comparison, Error> {
    let Judging {
        selection,
        survey,
        plan,
        rules,
        ..
    } = judging;
    let mut comparing = Comparing::new(plan.repeats, plan.baseline, survey.identical);
    let mut walk = selection.walk();
    let cases = (BATCH_ANSWERS / plan.per_case()).clamp(1, BATCH_CASES) as usize;
    let mut batch: Vec<Case> = Vec::with_capacity(cases);
    let mut first = 0;
    let mut failed = None;
    survey.dataset.stream(*rules, &mut |case| {
        if walk.selects(&case) {
            batch.push(case);
        }
        if batch.len() < cases {
            return ControlFlow::Continue(());
        }
        match judging.batch(&mut batch, &mut first, &mut comparing, watch) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    judging.batch(&mut batch, &mut first, &mut comparing, watch)?;
    Ok(comparing.finish())
}

impl Judging<'_> {
    /// Judges the cases gathered so far, the first of which has the index `first` among the selected ones.
    fn batch(
        &self,
        cases: &mut Vec<Case>,
        first: &mut u64,
        comparing: &mut Comparing,
        watch: &mut dyn FnMut(&CaseRow),
    ) -> Result<(), Error> {
        let next = *first + cases.len() as u64;
        let (from, to) = (self.plan.first(*first), self.plan.first(next));
        let mut results: Vec<Option<StoredResult>> = vec![None; (to - from) as usize];
        let stored = self.store.results(self.run, from, to);
        for result in stored.map_err(|error| Error::StoreFailed(store_problem(&error)))? {
            let at = (result.seq - from) as usize;
            results[at] = Some(result);
        }
        let per_case = self.plan.per_case() as usize;
        let judgements = {
            let unjudged: Vec<Unjudged<'_>> = cases
                .iter()
                .zip(results.chunks(per_case))
                .map(|(case, results)| Unjudged {
                    case,
                    answers: results
                        .iter()
                        .map(|result| result.as_ref().and_then(|r| r.result.as_ref().ok()))
                        .collect(),
                })
                .collect();
            score::judge(&unjudged)
        };
        let mut results = results.into_iter();
        let mut outcomes = Vec::with_capacity(cases.len());
        for (case, judgements) in cases.drain(..).zip(judgements) {
            let row = self.row(case, judgements, &mut results);
            comparing.add(&row);
            watch(&row);
            let outcome = row.candidate.outcome();
            outcomes.push((row.case.id, matches!(outcome, "fail" | "error").then_some(outcome)));
        }
        let outcomes = outcomes.iter().map(|(id, outcome)| (id.as_str(), *outcome));
        self.store
            .note_not_passed(self.run, outcomes)
            .map_err(|error| Error::StoreFailed(store_problem(&error)))?;
        *first = next;
        Ok(())
    }

    fn row(
        &self,
        case: Case,
        judgements: Vec<Option<Judgement>>,
        results: &mut impl Iterator<Item = Option<StoredResult>>,
    ) -> CaseRow {
        let mut baseline = ArmRow { repeats: Vec::new() };
        let mut candidate = ArmRow { repeats: Vec::new() };
        for (((repeat, arm), judgement), result) in self.plan.answers().zip(judgements).zip(results) {
            let judged = self.judged(&case, repeat, arm, judgement, result);
            match arm {
                Arm::Baseline => baseline.repeats.push(judged),
                Arm::Candidate => candidate.repeats.push(judged),
            }
        }
        CaseRow {
            case,
            baseline: self.plan.baseline.then_some(baseline),
            candidate,
        }
    }

    fn judged(
        &self,
        case: &Case,
        repeat: u32,
        arm: Arm,
        judgement: Option<Judgement>,
        result: Option<StoredResult>,
    ) -> Judged {
        let Some(StoredResult {
            result,
            source,
            attempts,
            ..
        }) = result
        else {
            let outcome = self.not_there(case, arm);
            return Judged {
                repeat,
                outcome,
                answer: None,
                checks: Vec::new(),
                cost_usd: None,
                attempts: 0,
                source: None,
            };
        };
        match result {
            Err(failure) => Judged {
                repeat,
                outcome: Outcome::Errored(failure),
                answer: None,
                checks: Vec::new(),
                cost_usd: None,
                attempts,
                source: None,
            },
            Ok(answer) => {
                let (outcome, checks) = match judgement {
                    Some(Judgement { outcome, checks }) => (outcome, checks),
                    None => (Outcome::Errored(lost("the answer was not judged")), Vec::new()),
                };
                let cost_usd = self.cost(arm, answer.model_version.as_deref(), &answer.usage, source);
                Judged {
                    repeat,
                    outcome,
                    answer: Some(answer),
                    checks,
                    cost_usd,
                    attempts,
                    source: Some(source),
                }
            }
        }
    }

    /// The outcome of a planned answer that the store does not have.
    fn not_there(&self, case: &Case, arm: Arm) -> Outcome {
        if self.survey.identical && (!case.critical || arm == Arm::Baseline) {
            return Outcome::Skipped(Skip::Identical);
        }
        match self.ended {
            Ended::Complete => Outcome::Errored(lost("the answer is not in the store")),
            Ended::Interrupted => Outcome::Skipped(Skip::Interrupted),
            Ended::Budget(_) => Outcome::Skipped(Skip::Budget),
            Ended::Stopped(_) | Ended::StoreFailed(_) => Outcome::Skipped(Skip::Stopped),
        }
    }

    fn cost(&self, arm: Arm, served: Option<&str>, usage: &Usage, source: Source) -> Option<f64> {
        if source == Source::Recorded {
            return None;
        }
        let requested = match arm {
            Arm::Baseline => self.models.0?,
            Arm::Candidate => self.models.1,
        };
        served
            .and_then(|served| price::cost_usd(served, usage, self.today))
            .or_else(|| price::cost_usd(requested, usage, self.today))
    }
}

fn lost(message: &str) -> Failure {
    Failure {
        kind: FailureKind::Missing,
        code: "lost".to_owned(),
        message: message.to_owned(),
    }
}
