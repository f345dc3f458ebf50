//! What a run came to so far.

use super::cases::KeptCases;
use super::context::EvalContext;
use super::interrupt::Interrupt;
use super::judges::JudgeUsage;
use super::phase::MustPassRetries;
use crate::domain::Progress;
use crate::runner::{RunSummary, Spend, StopReason};
use crate::store::{OpenRun, Store};
use std::sync::Arc;

/// Where a run reports its way, and what stops it.
#[derive(Clone, Copy)]
pub struct RunHooks<'r> {
    /// Receives every event of the requests.
    pub progress: &'r Arc<dyn Progress>,
    /// Stops the run from outside.
    pub interrupt: &'r Interrupt,
    /// Receives sentences worth showing on the way.
    pub print: &'r dyn Fn(&str),
}

/// A run that was begun in the store.
pub(crate) struct RunState<'r> {
    pub(crate) store: &'r Store,
    pub(crate) open_run: &'r OpenRun,
    pub(crate) hooks: RunHooks<'r>,
    pub(crate) retries: MustPassRetries,
    pub(crate) kept: KeptCases,
    /// Of the limits, by answers: earlier runs of the invocation included, judges not.
    pub(crate) spent: Spend,
    pub(crate) end: RunSummary,
    pub(crate) judge_usage: JudgeUsage,
}

impl<'r> RunState<'r> {
    pub(crate) fn new(
        context: &EvalContext<'_>,
        store: &'r Store,
        open_run: &'r OpenRun,
        hooks: RunHooks<'r>,
    ) -> RunState<'r> {
        RunState {
            store,
            open_run,
            hooks,
            retries: MustPassRetries::new(context.settings),
            kept: KeptCases::none(),
            spent: context.prior.spent,
            end: RunSummary { ended: StopReason::Interrupted, requests: 0, retries: 0, tokens: 0, cost_usd: Some(0.0) },
            judge_usage: JudgeUsage::none(),
        }
    }
}
