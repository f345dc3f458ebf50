//! The third pass: stored answers are judged in batches, compared, and handed to the reports in plan order.

use super::judges::{Asker, Consulted};
use super::planned::DAY;
use super::survey::{Survey, Versions};
use crate::compare::Comparing;
use crate::error::Error;
use crate::model::{
    Answer, Arm, ArmRow, Case, CaseRow, CheckRules, Comparison, Failure, FailureKind, Judged, Outcome, Part, Policy,
    Skip, Source,
};
use crate::plan::price::{Prices, Tier};
use crate::plan::{Plan, Selection};
use crate::run::Ended;
use crate::score::{self, Commands, Judgement, Unjudged};
use crate::store::{RunId, Store, StoredResult};
use std::ops::ControlFlow;
use time::OffsetDateTime;

/// Cases judged at a time, and answers of all of them; bound the memory of this pass.
const BATCH_CASES: u64 = 256;
const BATCH_ANSWERS: u64 = 2_048;

/// A judged run.
pub(super) struct JudgedRun {
    pub(super) comparison: Comparison,
    /// Stored answers that were asked for more than a day ago.
    pub(super) stale: u64,
    /// Planned answers that are not there: asking again may bring them.
    pub(super) unanswered: u64,
    /// Answers of a simulator, whatever the target is called.
    pub(super) simulated: u64,
    /// The store could not be read to the end, and why.
    pub(super) store_failed: Option<String>,
    /// What asking judges came to.
    pub(super) judges: Consulted,
}

/// What is judged.
pub(super) struct Judging<'a> {
    pub(super) selection: &'a Selection,
    pub(super) survey: &'a Survey,
    /// Rendered again for the checks that look at the system instruction.
    pub(super) versions: &'a Versions,
    pub(super) plan: Plan,
    pub(super) rules: &'a dyn CheckRules,
    /// Those that the rules know.
    pub(super) commands: &'a Commands,
    pub(super) store: &'a Store,
    pub(super) run: RunId,
    /// How the run ended: the reason why an answer was not asked for.
    pub(super) ended: &'a Ended,
    /// What tokens cost.
    pub(super) prices: &'a Prices,
    /// What the comparison has to look at.
    pub(super) policy: &'a Policy,
    /// Models asked for and how they serve: baseline, candidate.
    pub(super) models: (Option<(&'a str, Tier)>, (&'a str, Tier)),
}

/// Judges every selected case and hands the rows on in plan order.
pub(super) fn judge(
    judging: &Judging<'_>,
    asker: Asker<'_>,
    watch: &mut dyn FnMut(&CaseRow),
) -> Result<JudgedRun, Error> {
    let Judging {
        selection,
        survey,
        plan,
        rules,
        ..
    } = judging;
    let mut tally = Tally {
        comparing: Comparing::new(plan.repeats, plan.baseline, survey.identical).under(judging.policy),
        stale: 0,
        unanswered: 0,
        simulated: 0,
        imported: 0,
        store_failed: None,
        asker,
    };
    let mut walk = selection.walk();
    let cases = (BATCH_ANSWERS / plan.per_case()).clamp(1, BATCH_CASES) as usize;
    let mut batch: Vec<Case> = Vec::with_capacity(cases);
    let mut first = 0;
    survey.dataset.stream(*rules, &mut |case| {
        if walk.selects(&case) {
            batch.push(case);
        }
        if batch.len() == cases {
            judging.batch(&mut batch, &mut first, &mut tally, watch);
        }
        ControlFlow::Continue(())
    })?;
    judging.batch(&mut batch, &mut first, &mut tally, watch);
    let mut comparison = tally.comparing.finish();
    comparison.imported = tally.imported;
    Ok(JudgedRun {
        comparison,
        stale: tally.stale,
        unanswered: tally.unanswered,
        simulated: tally.simulated,
        store_failed: tally.store_failed,
        judges: tally.asker.so_far,
    })
}

/// The system instructions of a case's requests, where its checks look at them.
#[derive(Default)]
struct Systems {
    baseline: Option<String>,
    candidate: Option<String>,
}

impl Systems {
    fn of(case: &Case, versions: &Versions) -> Systems {
        if !score::needs_system(case) {
            return Systems::default();
        }
        let system = |arm| {
            // The survey has rendered it before; if it fails now, the instruction is unknown, which no check passes.
            let request = versions.arm(arm)?.render(case).ok()?;
            let texts = request.system.into_iter().filter_map(|part| match part {
                Part::Text(text) => Some(text),
                Part::Media { .. } => None,
            });
            Some(texts.collect::<Vec<_>>().join("\n"))
        };
        Systems {
            baseline: system(Arm::Baseline),
            candidate: system(Arm::Candidate),
        }
    }

    fn arm(&self, arm: Arm) -> Option<&str> {
        match arm {
            Arm::Baseline => self.baseline.as_deref(),
            Arm::Candidate => self.candidate.as_deref(),
        }
    }
}

/// What one walk over the answers gathers.
struct Tally<'a> {
    asker: Asker<'a>,
    comparing: Comparing,
    stale: u64,
    unanswered: u64,
    simulated: u64,
    imported: u64,
    store_failed: Option<String>,
}

impl Judging<'_> {
    /// Judges the cases gathered so far, the first of which has the index `first` among the selected ones.
    fn batch(&self, cases: &mut Vec<Case>, first: &mut u64, tally: &mut Tally<'_>, watch: &mut dyn FnMut(&CaseRow)) {
        let next = *first + cases.len() as u64;
        let (from, to) = (self.plan.first(*first), self.plan.first(next));
        let mut results: Vec<Option<StoredResult>> = vec![None; (to - from) as usize];
        let stored = match tally.store_failed {
            Some(_) => Ok(Vec::new()),
            None => self.store.results(self.run, from, to),
        };
        match stored {
            Ok(stored) => {
                for result in stored {
                    let at = (result.seq - from) as usize;
                    results[at] = Some(result);
                }
            }
            // What can't be read is missing, and the verdict says so.
            Err(error) => tally.store_failed = Some(error.to_string()),
        }
        let now = OffsetDateTime::now_utc().unix_timestamp();
        for result in results.iter().flatten() {
            let old = result.asked_at.is_some_and(|asked_at| now - asked_at > DAY);
            tally.stale += u64::from(old && result.source == Source::Cache);
            tally.unanswered += u64::from(result.result.is_err());
            tally.imported += u64::from(result.imported);
            tally.simulated += u64::from(result.result.as_ref().is_ok_and(|answer| answer.simulated));
        }
        let per_case = self.plan.per_case() as usize;
        let judgements = {
            let systems: Vec<Systems> = cases.iter().map(|case| Systems::of(case, self.versions)).collect();
            let unjudged: Vec<Unjudged<'_>> = cases
                .iter()
                .zip(results.chunks(per_case))
                .zip(&systems)
                .map(|((case, results), systems)| Unjudged {
                    case,
                    answers: results
                        .iter()
                        .map(|result| result.as_ref().and_then(|r| r.result.as_ref().ok()))
                        .collect(),
                    systems: self.plan.answers().map(|(_, arm)| systems.arm(arm)).collect(),
                    costs: self
                        .plan
                        .answers()
                        .zip(results)
                        .map(|((_, arm), result)| self.cost_when_asked(arm, result.as_ref()?))
                        .collect(),
                })
                .collect();
            match tally.asker.judge(&unjudged, self.commands) {
                Ok(judgements) => judgements,
                Err(error) => {
                    // Without the store no judge can be heard; what needs none is still judged.
                    tally.store_failed.get_or_insert(error.problems().to_string());
                    score::judge(&unjudged, self.commands, &score::Asking::default())
                }
            }
        };
        let mut results = results.into_iter();
        let mut outcomes = Vec::with_capacity(cases.len());
        for (case, judgements) in cases.drain(..).zip(judgements) {
            let row = self.row(case, judgements, &mut results);
            tally.comparing.add(&row);
            watch(&row);
            let outcome = row.candidate.outcome();
            outcomes.push((row.case.id, matches!(outcome, "fail" | "error").then_some(outcome)));
        }
        let outcomes = outcomes.iter().map(|(id, outcome)| (id.as_str(), *outcome));
        if tally.store_failed.is_none()
            && let Err(error) = self.store.note_not_passed(self.run, outcomes)
        {
            tally.store_failed = Some(error.to_string());
        }
        *first = next;
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
            waited_ms,
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
                refused: None,
                cost_usd: None,
                attempts: 0,
                waited_ms: None,
                source: None,
            };
        };
        match result {
            Err(failure) => Judged {
                repeat,
                outcome: Outcome::Errored(failure),
                answer: None,
                checks: Vec::new(),
                refused: None,
                cost_usd: None,
                attempts,
                waited_ms,
                source: None,
            },
            Ok(answer) => {
                let Judgement {
                    outcome,
                    checks,
                    refused,
                } = judgement.unwrap_or_else(|| Judgement {
                    outcome: Outcome::Errored(lost("the answer was not judged")),
                    checks: Vec::new(),
                    refused: None,
                });
                let cost_usd = asked_at
                    .filter(|_| source != Source::Recorded)
                    .and_then(|asked_at| self.cost(arm, &answer, asked_at));
                Judged {
                    repeat,
                    outcome,
                    answer: Some(answer),
                    checks,
                    refused,
                    cost_usd,
                    attempts,
                    waited_ms,
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

    /// What a check of the cost goes by: also what a recorded answer, of which this run pays nothing, would cost.
    fn cost_when_asked(&self, arm: Arm, stored: &StoredResult) -> Option<f64> {
        self.cost(arm, stored.result.as_ref().ok()?, stored.asked_at?)
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
