//! The score pass: stored answers are scored in batches, compared, and handed to the reports in plan order.

use super::cases::CaseSource;
use super::context::{EvalContext, limits};
use super::judge_client::JudgeClient;
use super::judges::JudgeUsage;
use super::phase::AnalysisScope;
use super::run_state::RunState;
use super::versions::Versions;
use crate::compare::ComparisonBuilder;
use crate::domain::{
    Answer, Arm, ArmRow, Arms, Case, CaseId, CaseRow, Comparison, Failure, FailureKind, Outcome, OutcomeKind, Part,
    ScoredSample, Skip, Source,
};
use crate::error::Error;
use crate::runner::StopReason;
use crate::scoring::{self, CaseAnswers, ScoredAnswer};
use crate::store::{DAY, StoredResult};
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use time::OffsetDateTime;

/// Cases scored at a time, and answers of all of them; bound the memory of this pass.
const BATCH_CASES: u64 = 256;
const BATCH_ANSWERS: u64 = 2_048;

#[derive(Default)]
pub(crate) struct ScoredRun {
    pub(crate) comparison: Comparison,
    /// Stored answers that were requested more than a day ago.
    pub(crate) stale: u64,
    /// Planned answers that are missing: a further run may bring them.
    pub(crate) unanswered: u64,
    /// Answers of a simulator, whatever the target is called.
    pub(crate) simulated: u64,
    /// Why the store could not be read to the end.
    pub(crate) store_failed: Option<String>,
    pub(crate) judge_usage: JudgeUsage,
}

pub(crate) struct ScorePass<'a> {
    context: &'a EvalContext<'a>,
    state: &'a RunState<'a>,
    scope: AnalysisScope<'a>,
}

/// Receives each scored case: its index among the selected ones, its row, and the list of outcomes for the store.
type RowVisitor<'w> = dyn FnMut(u64, &CaseRow, &mut Vec<(CaseId, Option<&'static str>)>) + 'w;

impl<'a> ScorePass<'a> {
    pub(crate) fn new(
        context: &'a EvalContext<'a>,
        state: &'a RunState<'a>,
        scope: AnalysisScope<'a>,
    ) -> ScorePass<'a> {
        ScorePass { context, state, scope }
    }

    /// Scores every selected case, and hands the rows on in plan order. The store learns which cases did not pass.
    pub(crate) fn score_all(&self, watch: &mut dyn FnMut(&CaseRow)) -> Result<ScoredRun, Error> {
        self.pass(CaseSource::GoldenFiles, &|_, _| true, &mut |_, row, outcomes| {
            let outcome = row.candidate.outcome();
            outcomes.push((
                row.case.id.clone(),
                match outcome {
                    OutcomeKind::Fail | OutcomeKind::Error => Some(outcome.as_str()),
                    OutcomeKind::Pass | OutcomeKind::Skipped => None,
                },
            ));
            watch(row);
        })
    }

    /// Scores the cases of a source that are `wanted`, and hands on their rows with their indexes among the selected ones.
    pub(crate) fn score_some(
        &self,
        source: CaseSource<'_>,
        wanted: &dyn Fn(u64, &Case) -> bool,
        watch: &mut dyn FnMut(u64, &CaseRow),
    ) -> Result<ScoredRun, Error> {
        self.pass(source, wanted, &mut |index, row, _| watch(index, row))
    }

    fn pass(
        &self,
        source: CaseSource<'_>,
        wanted: &dyn Fn(u64, &Case) -> bool,
        visit: &mut RowVisitor<'_>,
    ) -> Result<ScoredRun, Error> {
        let mut tally = ScoreTally::new(self);
        // Whatever comes of it, somebody may see it from here on.
        let (context, state) = (self.context, self.state);
        if let Err(error) = context.rerun.show(state.store, state.open_run, &context.plan) {
            tally.scored.store_failed = Some(error.to_string());
        }
        let size = (BATCH_ANSWERS / self.context.plan.per_case()).clamp(1, BATCH_CASES) as usize;
        let mut batch: Vec<(u64, Case)> = Vec::with_capacity(size);
        self.context.each_case(source, &mut |index, case| {
            if wanted(index, &case) {
                batch.push((index, case));
            }
            if batch.len() == size {
                self.batch(&mut batch, &mut tally, visit);
            }
            ControlFlow::Continue(())
        })?;
        self.batch(&mut batch, &mut tally, visit);
        Ok(tally.finish())
    }

    fn judge_client(&self) -> JudgeClient<'a> {
        let (context, state) = (self.context, self.state);
        JudgeClient {
            judges: &context.judges,
            embedders: &context.embedders,
            settings: context.settings,
            store: state.store,
            limits: limits(context.settings),
            spent_by_answers: state.spent,
            run: state.open_run.id,
            interrupt: state.hooks.interrupt,
            usage: state.judge_usage.clone(),
        }
    }

    fn batch(&self, cases: &mut Vec<(u64, Case)>, tally: &mut ScoreTally<'_>, visit: &mut RowVisitor<'_>) {
        let slots = self.slots(cases, tally);
        let judgements = {
            let systems: Vec<Arms<Option<String>>> =
                cases.iter().map(|(_, case)| system_instructions(case, &self.context.versions)).collect();
            let unjudged: Vec<CaseAnswers<'_>> = cases
                .iter()
                .zip(&slots)
                .zip(&systems)
                .map(|(((_, case), slots), systems)| CaseAnswers {
                    case,
                    answers: slots
                        .iter()
                        .map(|(_, _, result)| result.as_ref().and_then(|r| r.result.as_ref().ok()))
                        .collect(),
                    systems: slots.iter().map(|(_, arm, _)| systems.of(*arm).as_deref()).collect(),
                    costs: slots.iter().map(|(_, arm, result)| self.list_price(*arm, result.as_ref()?)).collect(),
                })
                .collect();
            match tally.client.score(&unjudged, &self.context.commands) {
                Ok(judgements) => judgements,
                Err(error) => {
                    // Without the store no judge can be asked; what needs none is still scored.
                    tally.scored.store_failed.get_or_insert(error.problems().to_string());
                    scoring::score(&unjudged, &self.context.commands, &scoring::ReplyCache::default())
                }
            }
        };
        let mut outcomes = Vec::new();
        for (((index, case), slots), judgements) in cases.drain(..).zip(slots).zip(judgements) {
            let row = self.row(case, index, slots, judgements);
            if self.scope.counts(index) {
                tally.comparing.add(&row);
            } else {
                tally.comparing.add_unanalyzed(&row);
            }
            visit(index, &row, &mut outcomes);
        }
        let outcomes = outcomes.iter().map(|(id, outcome)| (id.as_str(), *outcome));
        if tally.scored.store_failed.is_none()
            && let Err(error) = self.state.store.note_not_passed(self.state.open_run.id, outcomes)
        {
            tally.scored.store_failed = Some(error.to_string());
        }
    }

    /// The planned answers of each case, and those beyond the plan that it was asked for.
    fn slots(&self, cases: &[(u64, Case)], tally: &mut ScoreTally<'_>) -> Vec<Vec<Slot>> {
        let EvalContext { plan, survey, .. } = self.context;
        let mut slots: Vec<Vec<Slot>> = Vec::with_capacity(cases.len());
        let mut at: HashMap<u64, (usize, usize)> = HashMap::new();
        let mut spans: Vec<Range<u64>> = Vec::new();
        for (case, (index, written)) in cases.iter().enumerate() {
            let (from, to) = (plan.first(*index), plan.first(index + 1));
            let further = plan.repeats + 1..=self.state.retries.answers(plan, written, *index);
            let beyond = further.map(|repeat| (plan.beyond(survey.selected, *index, repeat), (repeat, Arm::Candidate)));
            let own: Vec<(u64, (u32, Arm))> = (from..to).zip(plan.answers()).chain(beyond).collect();
            // What an early decision did not ask for plays no part, even if it is there.
            let looked_up = if self.scope.sends(*index, written) { own.len() } else { 0 };
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
            if tally.scored.store_failed.is_some() {
                break;
            }
            match self.state.store.results(self.state.open_run.id, span.start, span.end) {
                Ok(stored) => {
                    for result in stored {
                        tally.note(&result, now);
                        if let Some((case, position)) = at.get(&result.seq) {
                            slots[*case][*position].2 = Some(result);
                        }
                    }
                }
                // What can't be read is missing, and the verdict says so.
                Err(error) => tally.scored.store_failed = Some(error.to_string()),
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
        CaseRow { case, baseline: self.context.plan.baseline.then_some(baseline), candidate }
    }

    fn judged(
        &self,
        case: (&Case, u64),
        repeat: u32,
        arm: Arm,
        judgement: Option<ScoredAnswer>,
        result: Option<StoredResult>,
    ) -> ScoredSample {
        let Some(stored) = result else {
            return unscored(repeat, self.missing_outcome(case, arm), 0, None);
        };
        let StoredResult { result, source, attempts, waited_ms, asked_at, .. } = stored;
        let answer = match result {
            Err(failure) => return unscored(repeat, Outcome::Errored(failure), attempts, waited_ms),
            Ok(answer) => answer,
        };
        let ScoredAnswer { outcome, checks, refused } = judgement.unwrap_or_else(|| ScoredAnswer {
            outcome: Outcome::Errored(lost("the answer was not judged")),
            checks: Vec::new(),
            refused: None,
        });
        let cost_usd =
            asked_at.filter(|_| source != Source::Recorded).and_then(|asked_at| self.cost(arm, &answer, asked_at));
        ScoredSample {
            answer: Some(answer),
            checks,
            refused,
            cost_usd,
            source: Some(source),
            ..unscored(repeat, outcome, attempts, waited_ms)
        }
    }

    /// The outcome of a planned answer that the store does not have.
    fn missing_outcome(&self, (case, index): (&Case, u64), arm: Arm) -> Outcome {
        if !self.scope.sends(index, case) {
            return Outcome::Skipped(Skip::Decided);
        }
        if self.context.leaves_out(case) || (self.context.survey.identical && arm == Arm::Baseline) {
            return Outcome::Skipped(Skip::Identical);
        }
        match &self.state.end.ended {
            StopReason::Complete => Outcome::Errored(lost("the answer is not in the store")),
            StopReason::Interrupted => Outcome::Skipped(Skip::Interrupted),
            StopReason::Budget(_) => Outcome::Skipped(Skip::Budget),
            StopReason::Stopped(_) | StopReason::StoreFailed(_) => Outcome::Skipped(Skip::Stopped),
        }
    }

    /// What a check of the cost goes by: also what a recorded answer, of which this run pays nothing, would cost.
    fn list_price(&self, arm: Arm, stored: &StoredResult) -> Option<f64> {
        self.cost(arm, stored.result.as_ref().ok()?, stored.asked_at?)
    }

    /// What an answer cost on the day on which it was asked for, in seconds since 1970.
    fn cost(&self, arm: Arm, answer: &Answer, asked_at: i64) -> Option<f64> {
        let (requested, tier) = self.context.priced_as(arm)?;
        let day = OffsetDateTime::from_unix_timestamp(asked_at).ok()?.date();
        let served = answer.model_version.as_deref();
        self.context.settings.prices.served_cost_usd(served, requested, &answer.usage, tier, day)
    }
}

/// The system instructions of a case's requests, where its checks look at them.
fn system_instructions(case: &Case, versions: &Versions) -> Arms<Option<String>> {
    if !scoring::needs_system(case) {
        return Arms::default();
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
    Arms { baseline: system(Arm::Baseline), candidate: system(Arm::Candidate) }
}

/// What one pass over the answers gathers.
struct ScoreTally<'a> {
    client: JudgeClient<'a>,
    comparing: ComparisonBuilder,
    imported: u64,
    scored: ScoredRun,
}

impl<'a> ScoreTally<'a> {
    fn new(pass: &ScorePass<'a>) -> ScoreTally<'a> {
        let context = pass.context;
        ScoreTally {
            comparing: ComparisonBuilder::new(context.design())
                .with_policy(&context.settings.gate.policy)
                .with_quarantine(context.quarantine.clone())
                .with_base_cases(&context.info.changes),
            imported: 0,
            scored: ScoredRun::default(),
            client: pass.judge_client(),
        }
    }

    fn finish(self) -> ScoredRun {
        let mut comparison = self.comparing.finish();
        // A reply decides as much as the answer that it judges.
        comparison.imported = self.imported + self.client.usage.imported;
        ScoredRun { comparison, judge_usage: self.client.usage, ..self.scored }
    }

    fn note(&mut self, result: &StoredResult, now: i64) {
        let old = result.asked_at.is_some_and(|asked_at| now - asked_at > DAY);
        self.scored.stale += u64::from(old && result.source == Source::Cache);
        self.scored.unanswered += u64::from(result.result.is_err());
        self.imported += u64::from(result.imported);
        self.scored.simulated += u64::from(result.result.as_ref().is_ok_and(|answer| answer.simulated));
    }
}

/// A planned answer: its repeat, its arm, and what the store has of it.
type Slot = (u32, Arm, Option<StoredResult>);

fn unscored(repeat: u32, outcome: Outcome, attempts: u32, waited_ms: Option<u64>) -> ScoredSample {
    ScoredSample { attempts, waited_ms, ..ScoredSample::new(repeat, outcome) }
}

fn lost(message: &str) -> Failure {
    Failure { kind: FailureKind::Missing, code: "lost".to_owned(), message: message.to_owned() }
}
