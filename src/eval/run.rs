//! One run, from its first request to its reports.

use super::approvals::Approvals;
use super::context::EvalContext;
use super::decision::{self, Analysis};
use super::history::{self, HistoryWriter};
use super::phase::{AnalysisScope, Phase, early_end};
use super::prior_runs::PriorRun;
use super::run_state::{RunHooks, RunState};
use super::score_pass::{ScorePass, ScoredRun};
use super::{request_pass, run_store, verdict};
use crate::domain::{Attempts, Case, CaseRow, Decision, Event, ResultsFile, RunInfo, Verdict};
use crate::error::Error;
use crate::exit;
use crate::gate::must_pass::wants_confirmation;
use crate::report::{OutputDir, ReportError, Reports};
use crate::runner::{Spend, StopReason};
use crate::store::RunStatus;
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Debug)]
pub struct RunResult {
    pub run: RunInfo,
    pub verdict: Verdict,
    pub unwritten: Vec<ReportError>,
    /// The exit code: a signal's, else the verdict's, else that of a missing report.
    pub exit_code: u8,
    /// Of the limits, together with earlier runs of the invocation.
    pub(crate) spent: Spend,
    /// Where later runs of the invocation find the answers.
    pub(crate) as_prior: Arc<PriorRun>,
    pub(crate) results: Option<ResultsFile>,
}

/// Runs what was prepared: requests, scores, compares, decides and reports. `watch` sees every scored case in plan order.
pub fn run(
    mut context: EvalContext<'_>,
    folder: OutputDir,
    hooks: RunHooks<'_>,
    watch: &mut dyn FnMut(&CaseRow),
) -> Result<RunResult, Error> {
    let store = context.open_store()?;
    let open_run = run_store::open_run(&context, &store, hooks.print)?;
    history::describe(&context, &store, &open_run)?;
    hooks.interrupt.end_cleanly();
    let mut reports = Reports::open(folder, context.redactor().clone());
    reports.begin(&context.info);

    let mut state = RunState::new(&context, &store, &open_run, hooks);
    request(&context, &mut state)?;
    confirm_must_pass(&context, &mut state)?;
    let (looks, scope) = analyze_interims(&context, &mut state)?;
    end_requests(&context, &mut state);
    if let StopReason::Stopped(failure) = &state.end.ended {
        hooks.progress.on(&Event::Stopping { reason: failure.message.clone() });
    }

    let mut approvals = Approvals::new(context.settings, &context.info, context.redactor());
    let mut history = HistoryWriter::new(&store, open_run.id, context.plan);
    let scored = score(&context, &mut state, scope, &mut |row| {
        history.case(row);
        reports.case(row);
        approvals.case(row);
        watch(row);
    })?;
    approvals.announce(hooks.print);
    // A simulator under another target's name is still a simulator, and so is one that judges.
    context.info.simulated |= scored.simulated > 0 || scored.judge_usage.simulated;
    context.info.look = context.look(looks);

    let analysis = decision::analyze(&context, &state, &scored, &context.info.look)?;
    decision::record_look(&context, &state, &analysis);
    let status = match state.end.ended == StopReason::Complete && scored.unanswered == 0 {
        true => RunStatus::Complete,
        false => RunStatus::Incomplete,
    };
    let tries = context.rerun.tries(&store, &open_run, &context.plan)?;
    let spent = scored.judge_usage.add_to(state.spent);
    let as_prior = Arc::new(PriorRun::new(open_run.id.number(), context.plan, &context.versions));
    let Analysis { decided, completion, before, deciding, shortfalls } = analysis;
    let facts = decision::facts(&context, &context.info.look, completion, &deciding, &before);
    let verdict = verdict::assemble(&context, scored, (decided, &shortfalls, tries), &facts, hooks.interrupt.code());

    let results = reports.results();
    let unwritten = reports.finish(&verdict);
    let exit_code = match verdict.exit_code {
        exit::OK if !unwritten.is_empty() => exit::REPORT,
        code => code,
    };
    let concluded = history.conclude(&context.info, &verdict, exit_code);
    if let Err(error) = store.end(&open_run, status).and(concluded) {
        // Only --resume, --failed and `compare` would miss it; the verdict stands.
        (hooks.print)(&format!("warning: {error}"));
    }
    Ok(RunResult { run: context.info, verdict, unwritten, exit_code, spent, as_prior, results: results.get().cloned() })
}

/// Sends the planned requests, up to the first look.
pub(crate) fn request(context: &EvalContext<'_>, state: &mut RunState<'_>) -> Result<(), Error> {
    request_pass::send_initial(context, state)?;
    let interrupt = state.hooks.interrupt.clone();
    context.commands.end_when(move || interrupt.code().is_some());
    Ok(())
}

/// Requests more answers to the must-pass cases with a failed one.
fn confirm_must_pass(context: &EvalContext<'_>, state: &mut RunState<'_>) -> Result<(), Error> {
    if !state.retries.possible || context.survey.critical == 0 || state.end.ended != StopReason::Complete {
        return Ok(());
    }
    let mut failed = BTreeSet::new();
    let pass = ScorePass::new(context, state, AnalysisScope::ALL);
    let usage = pass
        .score_some(state.kept.source(), &|_, case| case.critical, &mut |index, row| {
            let planned = row.candidate.repeats.len() as u32;
            if wants_confirmation(Attempts::of(&row.candidate, planned)) {
                failed.insert(index);
            }
        })?
        .judge_usage;
    state.judge_usage = usage;
    if failed.is_empty() || state.judge_usage.ended.is_some() {
        return Ok(());
    }
    state.retries.retry(failed);
    (state.hooks.print)(&state.retries.announcement());
    request_pass::send_more(context, state, Phase::Confirmation, 1)
}

/// Analyzes what is there before the last look, and requests what the next look needs until one decides. Returns the number
/// of looks, and the cases that the decision goes by.
fn analyze_interims<'c>(
    context: &'c EvalContext<'_>,
    state: &mut RunState<'_>,
) -> Result<(usize, AnalysisScope<'c>), Error> {
    let mut looks = 1;
    while let Some(schedule) = &context.survey.schedule
        && looks < schedule.looks()
        && state.end.ended == StopReason::Complete
        && state.judge_usage.ended.is_none()
    {
        let scope = AnalysisScope::up_to_look(schedule, looks);
        let sent = |index, case: &Case| scope.sends(index, case);
        let scored = ScorePass::new(context, state, scope).score_some(state.kept.source(), &sent, &mut |_, _| {})?;
        if let Some(ended) = stop_reason(&scored, state.hooks.print) {
            state.end.ended = ended;
            state.judge_usage = scored.judge_usage;
            break;
        }
        let analysis = decision::analyze(context, state, &scored, &context.look(looks))?;
        state.judge_usage = scored.judge_usage;
        if analysis.decided.decision != Decision::Inconclusive {
            (state.hooks.print)(&early_end(analysis.decided.decision, looks, schedule));
            return Ok((looks, scope));
        }
        looks += 1;
        request_pass::send_more(context, state, context.phase(looks - 1), looks)?;
    }
    // Without an early decision the run is decided at its end, whether it came that far or not.
    Ok((context.survey.looks(), AnalysisScope::ALL))
}

/// Ends the request phases, and reports the batch jobs that go on at the service.
pub(crate) fn end_requests(context: &EvalContext<'_>, state: &mut RunState<'_>) {
    state.hooks.progress.on(&Event::Done);
    if context.settings.provider.batch.is_some() {
        run_store::report_waiting_jobs(state.store, state.open_run, state.hooks.print);
    }
    // Judging a run that has ended early would spend money on a part: --resume asks the judges, too.
    if state.end.ended != StopReason::Complete {
        state.judge_usage.ended.get_or_insert(state.end.ended.clone());
    }
}

/// Scores all cases, and hands each row out in plan order.
fn score(
    context: &EvalContext<'_>,
    state: &mut RunState<'_>,
    scope: AnalysisScope<'_>,
    each: &mut dyn FnMut(&CaseRow),
) -> Result<ScoredRun, Error> {
    let scored = ScorePass::new(context, state, scope).score_all(each)?;
    let print = state.hooks.print;
    if scored.stale > 0 {
        print(&format!(
            "warning: {} answers were stored more than a day ago, so the verdict counts as replayed; --cache refresh \
             asks anew",
            scored.stale
        ));
    }
    if let Some(ended) = &scored.judge_usage.ended
        && state.end.ended == StopReason::Complete
    {
        report_judge_stop(ended, print);
        state.end.ended = ended.clone();
    }
    if let Some(message) = &scored.store_failed {
        print(&format!("error: {message}"));
    }
    Ok(scored)
}

/// Why an interim analysis can't decide.
fn stop_reason(scored: &ScoredRun, print: &dyn Fn(&str)) -> Option<StopReason> {
    if let Some(message) = &scored.store_failed {
        return Some(StopReason::StoreFailed(message.clone()));
    }
    let ended = scored.judge_usage.ended.clone()?;
    report_judge_stop(&ended, print);
    Some(ended)
}

fn report_judge_stop(ended: &StopReason, print: &dyn Fn(&str)) {
    if let StopReason::Stopped(failure) = ended {
        print(&format!("error: the judge can't be asked: {}", failure.message));
    }
}
