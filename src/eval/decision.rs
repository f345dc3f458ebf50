//! What the gate makes of the answers so far.

use super::context::EvalContext;
use super::run_state::RunState;
use super::score_pass::ScoredRun;
use crate::config::{Cache, Settings};
use crate::domain::{DecidingJudges, Look, LooksBefore};
use crate::error::Error;
use crate::gate::{self, Completion, GateDecision, RunContext};
use crate::runner::StopReason;

/// The gate's decision at one look, and what it knew beside the numbers.
pub(super) struct Analysis {
    pub(super) decided: GateDecision,
    pub(super) completion: Completion,
    pub(super) before: LooksBefore,
    pub(super) deciding: DecidingJudges,
    /// What keeps a promote from being promotable.
    pub(super) shortfalls: Vec<&'static str>,
}

/// Decides by what was scored.
pub(super) fn analyze(
    context: &EvalContext<'_>,
    state: &RunState<'_>,
    scored: &ScoredRun,
    look: &Look,
) -> Result<Analysis, Error> {
    let EvalContext { survey, judges, rerun, .. } = context;
    let deciding = survey.judge_roles.deciding(judges, &context.calibrations, &scored.judge_usage.served);
    let before = rerun.before(state.store, state.open_run, &context.plan)?;
    let mut completion = completion(context, state);
    if scored.store_failed.is_some() && completion != Completion::Interrupted {
        completion = Completion::StoreFailed;
    }
    let shortfalls = shortfalls(context, scored);
    let withheld = withheld(context, &shortfalls);
    let facts = RunContext { withheld: withheld.as_deref(), ..facts(context, look, completion, &deciding, &before) };
    Ok(Analysis {
        decided: gate::decide(&context.settings.gate.policy, &scored.comparison, &facts),
        completion,
        before,
        deciding,
        shortfalls,
    })
}

/// Such answers prove nothing about the service of today.
pub(super) fn is_replayed(settings: &Settings, scored: &ScoredRun) -> bool {
    settings.provider.target.def().replays
        || settings.limits.cache == Cache::Only
        || scored.stale > 0
        || scored.comparison.imported > 0
}

fn shortfalls(context: &EvalContext<'_>, scored: &ScoredRun) -> Vec<&'static str> {
    let EvalContext { settings, selection, survey, info, .. } = context;
    let partial = !selection.is_everything() || survey.selected != survey.dataset.total;
    [
        (!settings.gate.gated, "no decision was requested"),
        (settings.gate.rehearsal, "this is a rehearsal"),
        (info.simulated, "the simulator answered"),
        (is_replayed(settings, scored), "answers were replayed"),
        (partial, "not all cases were run"),
    ]
    .into_iter()
    .filter_map(|(applies, text)| applies.then_some(text))
    .collect()
}

/// Why a promote may not pass on this machine.
fn withheld(context: &EvalContext<'_>, shortfalls: &[&str]) -> Option<String> {
    let gate = &context.settings.gate;
    (gate.unattended && !gate.rehearsal && !shortfalls.is_empty()).then(|| shortfalls.join(", "))
}

/// Records the look in the store, if it is one that counts.
pub(super) fn record_look(context: &EvalContext<'_>, state: &RunState<'_>, analysis: &Analysis) {
    let gate = &context.settings.gate;
    if analysis.before == LooksBefore::Clear
        && let Some(look) = context.rerun.record(state.open_run, gate.gated, &analysis.decided)
        && let Err(error) = context.rerun.note(state.store, &look)
    {
        (state.hooks.print)(&format!("warning: {error}, so that a later run may take itself for the first look"));
    }
}

pub(super) fn facts<'f>(
    context: &'f EvalContext<'_>,
    look: &'f Look,
    completion: Completion,
    deciding: &'f DecidingJudges,
    before: &'f LooksBefore,
) -> RunContext<'f> {
    let baseline = context.info.baseline.as_ref().map(|info| info.model.as_str());
    RunContext {
        gated: context.settings.gate.gated,
        whole_run: completion,
        confirms: !context.settings.provider.target.def().replays,
        models: (baseline, &context.info.candidate.model),
        judges: Some(deciding),
        changes: &context.info.changes,
        look,
        before,
        withheld: None,
    }
}

fn completion(context: &EvalContext<'_>, state: &RunState<'_>) -> Completion {
    match &state.end.ended {
        _ if state.hooks.interrupt.code().is_some() => Completion::Interrupted,
        StopReason::Interrupted => Completion::Interrupted,
        StopReason::Budget(_) => Completion::Budget,
        StopReason::Stopped(_) => Completion::Stopped,
        StopReason::StoreFailed(_) => Completion::StoreFailed,
        StopReason::Complete if context.selection.shard.is_some_and(|shard| shard.is_partial()) => Completion::Shard,
        StopReason::Complete => Completion::Complete,
    }
}
