//! The third pass: stored answers are judged in batches, compared, and handed to the reports in plan order.

use super::survey::Survey;
use crate::compare::Comparing;
use crate::error::{Error, store_problem};
use crate::model::{
    Answer, Arm, ArmRow, Case, CaseRow, CheckRules, Comparison, Failure, FailureKind, Judged, Outcome, Skip, Source,
};
use crate::plan::price::{Prices, Tier};
use crate::plan::{Plan, Selection};
use crate::run::Ended;
use crate::score::{self, Judgement, Unjudged};
use crate::store::{RunId, Store, StoredResult};
use std::ops::ControlFlow;
use time::OffsetDateTime;

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
    /// What tokens cost.
    pub(super) prices: &'a Prices,
    /// Models asked for and how they serve: baseline, candidate.
    pub(super) models: (Option<(&'a str, Tier)>, (&'a str, Tier)),
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
    let mut imported = 0;
    let mut failed = None;
    survey.dataset.stream(*rules, &mut |case| {
        if walk.selects(&case) {
            batch.push(case);
        }
        if batch.len() < cases {
            return ControlFlow::Continue(());
        }
        match judging.batch(&mut batch, &mut first, &mut comparing, watch) {
            Ok(of_these) => {
                imported += of_these;
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    imported += judging.batch(&mut batch, &mut first, &mut comparing, watch)?;
    let mut comparison = comparing.finish();
    comparison.imported = imported;
    Ok(comparison)
}

impl Judging<'_> {
    /// Judges the cases gathered so far, the first of which has the index `first` among the selected ones.
    /// Returns how many of their answers were imported.
    fn batch(
        &self,
        cases: &mut Vec<Case>,
        first: &mut u64,
        comparing: &mut Comparing,
        watch: &mut dyn FnMut(&CaseRow),
    ) -> Result<u64, Error> {
        let next = *first + cases.len() as u64;
        let (from, to) = (self.plan.first(*first), self.plan.first(next));
        let mut results: Vec<Option<StoredResult>> = vec![None; (to - from) as usize];
        let stored = self.store.results(self.run, from, to);
        let mut imported = 0;
        for result in stored.map_err(|error| Error::StoreFailed(store_problem(&error)))? {
            imported += u64::from(result.imported);
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
        Ok(imported)
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
            asked_at,
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
                let cost_usd = asked_at
                    .filter(|_| source != Source::Recorded)
                    .and_then(|asked_at| self.cost(arm, &answer, asked_at));
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

    /// What an answer cost on the day on which it was asked for, in seconds since 1970.
    fn cost(&self, arm: Arm, answer: &Answer, asked_at: i64) -> Option<f64> {
        let (requested, tier) = match arm {
            Arm::Baseline => self.models.0?,
            Arm::Candidate => self.models.1,
        };
        let day = OffsetDateTime::from_unix_timestamp(asked_at).ok()?.date();
        let served = answer.model_version.as_deref();
        self.prices.served_cost_usd(served, requested, &answer.usage, tier, day)
    }
}

fn lost(message: &str) -> Failure {
    Failure {
        kind: FailureKind::Missing,
        code: "lost".to_owned(),
        message: message.to_owned(),
    }
}
