//! What a prepared run can decide, before anything is spent on it.

use super::context::EvalContext;
use crate::domain::{Design, Metric, PromptInfo};
use crate::error::Error;
use crate::gate;
use crate::gate::power::{self, PowerEstimate, VarianceSource};
use crate::store::Noise;
use std::collections::BTreeMap;

const RUNS: u32 = 20;

/// What the planned run can decide; `None` where nothing will be decided: no decision is asked for, this is a shard of a
/// run, both prompts ask the same, or there is neither a baseline nor a required pass rate. Sends and writes nothing.
///
/// It goes by how much earlier answers to the same prompts vary, where the store knows that.
pub fn estimate_power(context: &EvalContext<'_>) -> Result<Option<PowerEstimate>, Error> {
    let shard = context.selection.shard.is_some_and(|shard| shard.is_partial());
    if !context.settings.gate.gated || shard {
        return Ok(None);
    }
    let deciding = context.survey.judge_roles.deciding(&context.judges, &context.calibrations, &BTreeMap::new());
    let (look, repeats) = context.rerun.last();
    let Some(policy) = gate::policy_for_look(&context.settings.gate.policy, &look) else {
        return Ok(None);
    };
    let design = Design { repeats, ..context.design() };
    let estimate = power::estimate_power(&policy, &design, &context.survey.sizes, past(context)?, Some(&deciding));
    Ok(match (estimate, look.attempts) {
        (Some(estimate), attempts @ 2..) => Some(PowerEstimate::AllAttempts { attempts, estimate: Box::new(estimate) }),
        (estimate, _) => estimate,
    })
}

/// How much earlier answers vary. An arm of which nothing is known is taken to be like the other one.
fn past(context: &EvalContext<'_>) -> Result<VarianceSource, Error> {
    let Some(store) = context.existing_store()? else {
        return Ok(VarianceSource::Typical);
    };
    let noise = |prompt: &PromptInfo| -> Result<Option<Noise>, Error> {
        // Recorded answers are read anew by each run, so over runs one answer would count as several.
        let most = if context.settings.provider.target.def().replays { 1 } else { RUNS };
        let own_scores = context.settings.gate.policy.metric == Metric::Score;
        Ok(store.noise(context.subject(prompt), most, own_scores)?)
    };
    let baseline = context.info.baseline.as_ref().map(noise).transpose()?.flatten();
    let candidate = noise(&context.info.candidate)?;
    Ok(match (baseline, candidate) {
        (Some(one), Some(other)) => {
            VarianceSource::Runs { runs: one.runs.max(other.runs), within: one.variance + other.variance }
        }
        (Some(known), None) | (None, Some(known)) => {
            VarianceSource::Runs { runs: known.runs, within: 2.0 * known.variance }
        }
        (None, None) => VarianceSource::Typical,
    })
}
