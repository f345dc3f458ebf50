//! What a prepared run can decide, before anything is spent on it.

use super::Prepared;
use super::STORE;
use crate::config::TargetKind;
use crate::domain::{Design, Metric, PromptInfo};
use crate::error::Error;
use crate::gate;
use crate::gate::preflight::{self, Outlook, Past};
use crate::store::{Noise, Store};
use std::collections::BTreeMap;

/// Runs whose answers are looked at.
const RUNS: u32 = 20;

impl Prepared<'_> {
    /// What the planned run can decide; `None` where nothing will be decided: no decision is asked for, this is a shard of a
    /// run, both prompts ask the same, or there is neither a baseline nor a required pass rate. Sends and writes nothing.
    ///
    /// It goes by how much earlier answers to the same prompts vary, where the store knows that.
    ///
    /// # Errors
    /// There is a store, but it can't be read.
    pub fn outlook(&self) -> Result<Option<Outlook>, Error> {
        let shard = self.selection.shard.is_some_and(|shard| shard.is_partial());
        if !self.settings.gate.gated || shard {
            return Ok(None);
        }
        let deciding = self
            .survey
            .judging
            .deciding(&self.judges, &self.calibrations, &BTreeMap::new());
        let (look, repeats) = self.attempt.last();
        let Some(policy) = gate::policy_at(&self.settings.gate.policy, &look) else {
            return Ok(None);
        };
        let design = Design {
            repeats,
            ..self.design()
        };
        let outlook = preflight::foresee(&policy, &design, &self.survey.sizes, self.past()?, Some(&deciding));
        Ok(match (outlook, look.attempts) {
            (Some(outlook), attempts @ 2..) => Some(Outlook::InAll {
                attempts,
                outlook: Box::new(outlook),
            }),
            (outlook, _) => outlook,
        })
    }

    /// How much earlier answers vary. An arm of which nothing is known is taken to be like the other one.
    fn past(&self) -> Result<Past, Error> {
        let Some(store) = Store::open_existing(&self.settings.root.join(STORE))? else {
            return Ok(Past::Typical);
        };
        let noise = |prompt: &PromptInfo| -> Result<Option<Noise>, Error> {
            // Recorded answers are read anew by each run, so over runs one answer would count as several.
            let most = if self.settings.provider.target == TargetKind::Recorded {
                1
            } else {
                RUNS
            };
            let own_scores = self.settings.gate.policy.metric == Metric::Score;
            Ok(store.noise(self.subject(prompt), most, own_scores)?)
        };
        let baseline = self.run.baseline.as_ref().map(noise).transpose()?.flatten();
        let candidate = noise(&self.run.candidate)?;
        Ok(match (baseline, candidate) {
            (Some(one), Some(other)) => Past::Runs {
                runs: one.runs.max(other.runs),
                within: one.variance + other.variance,
            },
            (Some(known), None) | (None, Some(known)) => Past::Runs {
                runs: known.runs,
                within: 2.0 * known.variance,
            },
            (None, None) => Past::Typical,
        })
    }
}
