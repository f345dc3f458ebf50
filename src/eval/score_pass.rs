//! The third pass: stored answers are judged in batches, compared, and handed to the reports in plan order.

use super::judges::{Asker, Consulted};
use super::must_pass::Confirming;
use super::sample_walk::DAY;
use super::sequential::Upto;
use super::survey::{Survey, Versions};
use crate::compare::Comparing;
use crate::domain::{
    Answer, Arm, ArmRow, Case, CaseId, CaseRow, CheckRules, Comparison, Design, Failure, FailureKind, Judged, Outcome,
    OutcomeKind, Part, Policy, Quarantine, Skip, Source,
};
use crate::error::Error;
use crate::plan::price::{Prices, Tier};
use crate::plan::{Plan, Selection};
use crate::runner::Ended;
use crate::scoring::{self, Commands, ScoredAnswer, Unscored};
use crate::store::{RunId, Store, StoredResult};
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use time::OffsetDateTime;

/// Cases judged at a time, and answers of all of them; bound the memory of this pass.
const BATCH_CASES: u64 = 256;
const BATCH_ANSWERS: u64 = 2_048;

/// A judged run.
pub(crate) struct JudgedRun {
    pub(crate) comparison: Comparison,
    /// Stored answers that were asked for more than a day ago.
    pub(crate) stale: u64,
    /// Planned answers that are not there: asking again may bring them.
    pub(crate) unanswered: u64,
    /// Answers of a simulator, whatever the target is called.
    pub(crate) simulated: u64,
    /// The store could not be read to the end, and why.
    pub(crate) store_failed: Option<String>,
    /// What asking judges came to.
    pub(crate) judges: Consulted,
}

/// What is judged.
pub(crate) struct Judging<'a> {
    pub(crate) selection: &'a Selection,
    pub(crate) survey: &'a Survey,
    /// Rendered again for the checks that look at the system instruction.
    pub(crate) versions: &'a Versions,
    pub(crate) plan: Plan,
    /// How the arms are compared.
    pub(crate) design: Design,
    pub(crate) rules: &'a dyn CheckRules,
    /// Which must-pass cases have answers beyond the plan.
    pub(crate) confirming: &'a Confirming,
    /// Which cases the decision goes by.
    pub(crate) upto: Upto<'a>,
    /// Those that the rules know.
    pub(crate) commands: &'a Commands,
    pub(crate) store: &'a Store,
    pub(crate) run: RunId,
    /// How the run ended: the reason why an answer was not asked for.
    pub(crate) ended: &'a Ended,
    /// What tokens cost.
    pub(crate) prices: &'a Prices,
    /// What the comparison has to look at.
    pub(crate) policy: &'a Policy,
    /// What must not decide.
    pub(crate) quarantine: &'a Quarantine,
    /// Models asked for and how they serve: baseline, candidate.
    pub(crate) models: (Option<(&'a str, Tier)>, (&'a str, Tier)),
}

/// Judges every selected case and hands the rows on in plan order. The store learns which cases did not pass.
pub(crate) fn judge(
    judging: &Judging<'_>,
    asker: Asker<'_>,
    watch: &mut dyn FnMut(&CaseRow),
) -> Result<JudgedRun, Error> {
    let mut tally = Tally::new(judging, asker);
    judging.walk(&mut tally, &|_, _| true, &mut |_, row, outcomes| {
        let outcome = row.candidate.outcome();
        outcomes.push((
            row.case.id.clone(),
            match outcome {
                OutcomeKind::Fail | OutcomeKind::Error => Some(outcome.as_str()),
                OutcomeKind::Pass | OutcomeKind::Skipped => None,
            },
        ));
        watch(row);
    })?;
    Ok(tally.finish())
}

/// Judges the selected cases that are `wanted`, and hands on their rows with their indexes among the selected ones.
pub(crate) fn judge_some(
    judging: &Judging<'_>,
    asker: Asker<'_>,
    wanted: &dyn Fn(u64, &Case) -> bool,
    watch: &mut dyn FnMut(u64, &CaseRow),
) -> Result<JudgedRun, Error> {
    let mut tally = Tally::new(judging, asker);
    judging.walk(&mut tally, wanted, &mut |index, row, _| watch(index, row))?;
    Ok(tally.finish())
}

/// What is done with each judged case: its index among the selected ones, its row, and where outcomes for the store go.
type Watch<'w> = dyn FnMut(u64, &CaseRow, &mut Vec<(CaseId, Option<&'static str>)>) + 'w;

/// The system instructions of a case's requests, where its checks look at them.
#[derive(Default)]
struct Systems {
    baseline: Option<String>,
    candidate: Option<String>,
}

impl Systems {
    fn of(case: &Case, versions: &Versions) -> Systems {
        if !scoring::needs_system(case) {
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

impl<'a> Tally<'a> {
    fn new(judging: &Judging<'_>, asker: Asker<'a>) -> Tally<'a> {
        Tally {
            comparing: Comparing::new(judging.design)
                .under(judging.policy)
                .apart(judging.quarantine.clone()),
            stale: 0,
            unanswered: 0,
            simulated: 0,
            imported: 0,
            store_failed: None,
            asker,
        }
    }

    fn finish(self) -> JudgedRun {
        let mut comparison = self.comparing.finish();
        // A reply decides as much as the answer that it judges.
        comparison.imported = self.imported + self.asker.so_far.imported;
        JudgedRun {
            comparison,
            stale: self.stale,
            unanswered: self.unanswered,
            simulated: self.simulated,
            store_failed: self.store_failed,
            judges: self.asker.so_far,
        }
    }

    /// Takes note of where an answer comes from.
    fn note(&mut self, result: &StoredResult, now: i64) {
        let old = result.asked_at.is_some_and(|asked_at| now - asked_at > DAY);
        self.stale += u64::from(old && result.source == Source::Cache);
        self.unanswered += u64::from(result.result.is_err());
        self.imported += u64::from(result.imported);
        self.simulated += u64::from(result.result.as_ref().is_ok_and(|answer| answer.simulated));
    }
}

/// A planned answer: its repeat, its arm, and what the store has of it.
type Slot = (u32, Arm, Option<StoredResult>);

impl Judging<'_> {
    /// Judges the wanted cases in batches.
    fn walk(
        &self,
        tally: &mut Tally<'_>,
        wanted: &dyn Fn(u64, &Case) -> bool,
        watch: &mut Watch<'_>,
    ) -> Result<(), Error> {
        let Judging {
            selection,
            survey,
            plan,
            rules,
            ..
        } = self;
        let mut walk = selection.walk();
        let cases = (BATCH_ANSWERS / plan.per_case()).clamp(1, BATCH_CASES) as usize;
        let mut batch: Vec<(u64, Case)> = Vec::with_capacity(cases);
        let mut next = 0;
        survey.dataset.stream(*rules, &mut |case| {
            if walk.selects(&case) {
                if wanted(next, &case) {
                    batch.push((next, case));
                }
                next += 1;
            }
            if batch.len() == cases {
                self.batch(&mut batch, tally, watch);
            }
            ControlFlow::Continue(())
        })?;
        self.batch(&mut batch, tally, watch);
        Ok(())
    }

    /// Judges the cases gathered so far.
    fn batch(&self, cases: &mut Vec<(u64, Case)>, tally: &mut Tally<'_>, watch: &mut Watch<'_>) {
        let slots = self.slots(cases, tally);
        let judgements = {
            let systems: Vec<Systems> = cases.iter().map(|(_, case)| Systems::of(case, self.versions)).collect();
            let unscored: Vec<Unscored<'_>> = cases
                .iter()
                .zip(&slots)
                .zip(&systems)
                .map(|(((_, case), slots), systems)| Unscored {
                    case,
                    answers: slots
                        .iter()
                        .map(|(_, _, result)| result.as_ref().and_then(|r| r.result.as_ref().ok()))
                        .collect(),
                    systems: slots.iter().map(|(_, arm, _)| systems.arm(*arm)).collect(),
                    costs: slots
                        .iter()
                        .map(|(_, arm, result)| self.cost_when_asked(*arm, result.as_ref()?))
                        .collect(),
                })
                .collect();
            match tally.asker.judge(&unscored, self.commands) {
                Ok(judgements) => judgements,
                Err(error) => {
                    // Without the store no judge can be heard; what needs none is still judged.
                    tally.store_failed.get_or_insert(error.problems().to_string());
                    scoring::score(&unscored, self.commands, &scoring::ReplyCache::default())
                }
            }
        };
        let mut outcomes = Vec::new();
        for (((index, case), slots), judgements) in cases.drain(..).zip(slots).zip(judgements) {
            let row = self.row(case, index, slots, judgements);
            if self.upto.has(index) {
                tally.comparing.add(&row);
            } else {
                tally.comparing.add_unlooked(&row);
            }
            watch(index, &row, &mut outcomes);
        }
        let outcomes = outcomes.iter().map(|(id, outcome)| (id.as_str(), *outcome));
        if tally.store_failed.is_none()
            && let Err(error) = self.store.note_not_passed(self.run, outcomes)
        {
            tally.store_failed = Some(error.to_string());
        }
    }

    /// The planned answers of each case, and those beyond the plan that it was asked for.
    fn slots(&self, cases: &[(u64, Case)], tally: &mut Tally<'_>) -> Vec<Vec<Slot>> {
        let Judging { plan, survey, .. } = self;
        let mut slots: Vec<Vec<Slot>> = Vec::with_capacity(cases.len());
        let mut at: HashMap<u64, (usize, usize)> = HashMap::new();
        let mut spans: Vec<Range<u64>> = Vec::new();
        for (case, (index, written)) in cases.iter().enumerate() {
            let (from, to) = (plan.first(*index), plan.first(index + 1));
            let further = plan.repeats + 1..=self.confirming.answers(plan, written, *index);
            let beyond = further.map(|repeat| (plan.beyond(survey.selected, *index, repeat), (repeat, Arm::Candidate)));
            let own: Vec<(u64, (u32, Arm))> = (from..to).zip(plan.answers()).chain(beyond).collect();
            // What an early decision did not ask for plays no part, even if it is there.
            let looked_up = if self.upto.asks(*index, written) { own.len() } else { 0 };
            for (position, (seq, _)) in own.iter().take(looked_up).enumerate() {
                at.insert(*seq, (case, position));
                match spans.last_mut() {
                    Some(span) if span.end == *seq => span.end += 1,
                    Some(_) | None => spans.push(*seq..seq + 1),
                }
            }
            slots.push(own.into_iter().map(|(_, (repeat, arm))| (repeat, arm, None)).collect());
        }
        let now = OffsetDateTime::now_utc().unix_timestamp();
        for span in spans {
            if tally.store_failed.is_some() {
                break;
            }
            match self.store.results(self.run, span.start, span.end) {
                Ok(stored) => {
                    for result in stored {
                        tally.note(&result, now);
                        if let Some((case, position)) = at.get(&result.seq) {
                            slots[*case][*position].2 = Some(result);
                        }
                    }
                }
                // What can't be read is missing, and the verdict says so.
                Err(error) => tally.store_failed = Some(error.to_string()),
            }
        }
        slots
    }

    fn row(&self, case: Case, index: u64, slots: Vec<Slot>, judgements: Vec<Option<ScoredAnswer>>) -> CaseRow {
        let mut baseline = ArmRow { repeats: Vec::new() };
        let mut candidate = ArmRow { repeats: Vec::new() };
        for ((repeat, arm, result), judgement) in slots.into_iter().zip(judgements) {
            let judged = self.judged((&case, index), repeat, arm, judgement, result);
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
        case: (&Case, u64),
        repeat: u32,
        arm: Arm,
        judgement: Option<ScoredAnswer>,
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
                let ScoredAnswer {
                    outcome,
                    checks,
                    refused,
                } = judgement.unwrap_or_else(|| ScoredAnswer {
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
    fn not_there(&self, (case, index): (&Case, u64), arm: Arm) -> Outcome {
        if !self.upto.asks(index, case) {
            return Outcome::Skipped(Skip::Decided);
        }
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
