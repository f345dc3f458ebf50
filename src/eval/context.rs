//! A run that is prepared: everything that its passes go by, and that does not change while they run.

use super::embeddings::Embedders;
use super::judges::Judges;
use super::phase::{MustPassRetries, Phase};
use super::prior_runs::PriorRuns;
use super::reruns::RerunPlan;
use super::store_folder::store_folder;
use super::survey::Survey;
use super::target::Targets;
use super::versions::{Version, Versions};
use crate::config::{Cache, Settings};
use crate::domain::{Arm, CalibrationEntry, Case, Design, Look, Problem, PromptInfo, Quarantine, RunInfo, digest};
use crate::error::Error;
use crate::plan::price::Tier;
use crate::plan::{Plan, Selection};
use crate::provider::Target;
use crate::report::Redactor;
use crate::runner::Limits;
use crate::scoring::{Commands, Rules};
use crate::store::{Store, Subject};

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// A candidate against its baseline; the best of so many candidates is picked, which shares the error between them.
    Gate {
        /// Candidates of the invocation, at least 1.
        candidates: u32,
    },
    /// A prompt against itself, to measure how much its answers vary. Every answer is requested in both arms, no gated run
    /// may find or resume it, and it has no interim analyses.
    AaTest,
}

/// A surveyed run, ready to start.
pub struct EvalContext<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) selection: Selection,
    pub(crate) rules: Rules,
    pub(crate) commands: Commands,
    pub(crate) versions: Versions,
    pub(crate) targets: Targets,
    pub(crate) judges: Judges,
    pub(crate) embedders: Embedders,
    pub(crate) calibrations: Vec<CalibrationEntry>,
    pub(crate) survey: Survey,
    pub(crate) rerun: RerunPlan,
    pub(crate) plan: Plan,
    pub(crate) info: RunInfo,
    /// Earlier runs of the same invocation.
    pub(crate) prior: PriorRuns,
    pub(crate) quarantine: Quarantine,
    /// No key is there, and nothing has to be asked.
    pub(crate) keyless: bool,
    pub warnings: Vec<Problem>,
}

impl EvalContext<'_> {
    pub fn run_info(&self) -> &RunInfo {
        &self.info
    }

    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    pub fn redactor(&self) -> &Redactor {
        &self.targets.redactor
    }

    pub(crate) fn target(&self, arm: Arm) -> &Target {
        self.targets.of(arm)
    }

    /// Signs in at the service if requests may be sent, and opens the store.
    pub(crate) fn open_store(&self) -> Result<Store, Error> {
        if self.settings.limits.cache != Cache::Only && !self.keyless {
            self.targets.sign_in()?;
        }
        Ok(Store::open(&store_folder(&self.settings.root)?)?)
    }

    pub(crate) fn existing_store(&self) -> Result<Option<Store>, Error> {
        Ok(Store::open_existing(&store_folder(&self.settings.root)?)?)
    }

    pub(crate) fn design(&self) -> Design {
        let policy = &self.settings.gate.policy;
        Design {
            repeats: self.plan.repeats,
            baseline: self.plan.baseline,
            identical: self.survey.identical,
            metric: policy.metric,
            estimand: policy.estimand,
        }
    }

    /// Both prompts send the same for the case, and nothing is asked.
    pub(crate) fn leaves_out(&self, case: &Case) -> bool {
        self.survey.identical && (!case.critical || self.keyless)
    }

    /// The phase that sends the requests of a look, from 0.
    pub(crate) fn phase(&self, look: usize) -> Phase {
        match self.survey.looks() {
            1 => Phase::Planned,
            _ => Phase::Interim(look),
        }
    }

    /// The look after so many analyses within the run.
    pub(crate) fn look(&self, analyses: usize) -> Look {
        Look { shares: self.survey.shares(analyses), ..self.rerun.look.clone() }
    }

    /// Answers that are requested or looked up in the first looks.
    pub(crate) fn answers_up_to(&self, looks: usize, retries: &MustPassRetries) -> u64 {
        let all = self.survey.answers(&self.plan, retries.min_answers());
        let later = self
            .survey
            .schedule
            .as_ref()
            .map_or(0, |schedule| schedule.cases_up_to(schedule.looks()) - schedule.cases_up_to(looks));
        all.saturating_sub(later * self.plan.per_case()) + retries.extra_answers(&self.plan)
    }

    /// Model and tier that an arm's answers are priced by; `None` without the arm.
    pub(crate) fn priced_as(&self, arm: Arm) -> Option<(&str, Tier)> {
        let version: &Version = self.versions.arm(arm)?;
        Some((&version.info.model, version.tier(self.settings)))
    }

    /// Runs with equal digests can resume each other.
    pub(crate) fn plan_digest(&self) -> [u8; 32] {
        digest([
            b"promptgate.plan/1".as_slice(),
            &self.survey.key,
            &self.plan.repeats.to_le_bytes(),
            &[u8::from(self.plan.baseline), self.settings.limits.cache as u8],
            &self.survey.selected.to_le_bytes(),
        ])
    }

    /// Outcomes of one subject are of one kind: same prompt, model, target and judges.
    pub(crate) fn subject(&self, prompt: &PromptInfo) -> Subject {
        let PromptInfo { sha256, model, .. } = prompt;
        Subject(digest([
            b"promptgate.subject/1".as_slice(),
            sha256.as_bytes(),
            model.as_bytes(),
            self.targets.identity().as_bytes(),
            &self.judges_digest(),
        ]))
    }

    /// Digest of what scores beside the matchers: judges, embedding models, and all commands of the project.
    pub(crate) fn judges_digest(&self) -> [u8; 32] {
        let mut pieces = vec![self.judges.digest().to_vec()];
        if !self.embedders.is_empty() {
            pieces.push(self.embedders.digest().to_vec());
        }
        for command in &self.settings.scoring.commands {
            let env = command.env.iter().flat_map(|(name, value)| [name, value]);
            let words = std::iter::once(&command.name).chain(&command.argv).chain(env);
            pieces.push(digest(words.map(|word| word.as_bytes())).to_vec());
            pieces.push(command.timeout.as_millis().to_le_bytes().to_vec());
        }
        digest(pieces.iter().map(Vec::as_slice))
    }
}

pub(crate) fn limits(settings: &Settings) -> Limits {
    Limits {
        concurrency: settings.limits.concurrency,
        rpm: settings.limits.rpm,
        tpm: settings.limits.tpm,
        timeout: settings.limits.timeout,
        retries: settings.limits.retries,
        retry: settings.limits.retry(),
        max_requests: settings.limits.max_requests,
        max_tokens: settings.limits.max_tokens,
        max_cost_usd: settings.limits.max_cost,
        ..Limits::default()
    }
}
