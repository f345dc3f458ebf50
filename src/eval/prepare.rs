//! What is needed before anything is sent: prompts opened, golden files surveyed, and what has to be asked worked out.

use super::STORE;
use super::bare_name;
use super::calibration;
use super::embeddings::Embedders;
use super::fingerprint::{self, Deciders};
use super::forecast::{self, Forecast};
use super::hex;
use super::judges::Judges;
use super::must_pass::Confirming;
use super::now;
use super::policy_diff::{self, Today};
use super::prior_runs::Call;
use super::reruns::{self, Attempt};
use super::sample_walk::{Round, Walking};
use super::survey::{self, Scope, Survey, Versions};
use super::target::{self, OpenedTarget, open_prompt};
use crate::config::{Baseline, Cache, Earlier, ModelChoice, Settings, TargetKind};
use crate::domain::{
    CalibrationEntry, Case, Problem, Problems, PromptInfo, Quarantine, Request, RunInfo, Usage, digest,
};
use crate::error::Error;
use crate::plan::price::Tier;
use crate::plan::{Plan, Selection};
use crate::prompt::{Library, Prompt};
use crate::report::Redactor;
use crate::scoring::{Commands, Rules};
use crate::store::{OpenRun, Store};
use serde_json::Value;
use std::path::Path;
use time::OffsetDateTime;

/// A prompt with its resolved model.
#[derive(Debug)]
pub struct Version {
    /// The prompt.
    pub prompt: Prompt,
    /// As reports name it.
    pub info: PromptInfo,
}

impl Version {
    /// How its requests are served.
    pub(crate) fn tier(&self, settings: &Settings) -> Tier {
        if settings.provider.batch.is_some() {
            return Tier::Batch;
        }
        self.standard_tier()
    }

    /// How its requests are served where no batch job plays a part.
    pub(crate) fn standard_tier(&self) -> Tier {
        let tier = self.prompt.config.get("serviceTier").and_then(Value::as_str);
        tier.map_or(Tier::Standard, Tier::of)
    }

    /// The request for a case.
    ///
    /// # Errors
    /// The template does not render with the case's vars.
    pub fn render(&self, case: &Case) -> Result<Request, Problem> {
        self.prompt
            .render(&self.info.model, &case.vars, &case.history)
            .map_err(|problem| {
                let at = format!("{} (case `{}` at {})", problem.message, case.id, case.place);
                Problem { message: at, ..problem }
            })
    }
}

/// A surveyed run, ready to start.
pub struct Prepared<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) selection: Selection,
    pub(crate) rules: Rules,
    pub(crate) commands: Commands,
    pub(crate) versions: Versions,
    pub(crate) target: OpenedTarget,
    pub(crate) judges: Judges,
    pub(crate) embedders: Embedders,
    /// What is known of judges' errors.
    pub(crate) calibrations: Vec<CalibrationEntry>,
    pub(crate) survey: Survey,
    pub(crate) attempt: Attempt,
    pub(crate) plan: Plan,
    pub(crate) run: RunInfo,
    /// What earlier runs of the same call left.
    pub(crate) call: Call,
    /// What must not decide, on the day on which the run started.
    pub(crate) quarantine: Quarantine,
    /// Words that stop nothing.
    pub warnings: Vec<Problem>,
}

/// Opens the prompts, validates all golden files, and works out what has to be asked. Sends nothing.
///
/// # Errors
/// All mistakes in prompts and golden files, or no case selected.
pub fn prepare<'a>(settings: &'a Settings) -> Result<Prepared<'a>, Error> {
    prepare_among(settings, 1)
}

/// The same for one of so many candidates, of which the best one is to be picked.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_among<'a>(settings: &'a Settings, candidates: u32) -> Result<Prepared<'a>, Error> {
    let versions = open_versions(
        &settings.root,
        &settings.arms.prompt,
        &settings.arms.baseline,
        &settings.arms.models,
    )?;
    affordable(settings, &versions)?;
    let target = target::open(settings, Some(&versions))?;
    let selection = select(settings)?;
    let commands = Commands::new(&settings.root, &settings.scoring.commands);
    let rules = Rules::new(&settings.root).with_commands(commands.clone());
    let scope = Scope {
        golden: &settings.dataset.golden,
        selection: &selection,
        rules: &rules,
        target: &target.identity,
        service: &target.service,
        protocol: settings.provider.target.protocol(),
        recorded: settings.provider.target == TargetKind::Recorded,
        sequential: settings.gate.policy.sequential,
        api_version: &settings.provider.api_version,
        today: OffsetDateTime::now_utc().date(),
    };
    let mut survey = survey::survey(&scope, &versions)?;
    let judges = Judges::open(&survey.judges, settings, &library(&settings.root), Some(&target))?;
    let calibrations = match survey.judging.is_empty() {
        true => Vec::new(),
        false => calibration::entries(&settings.scoring.judge_calibration)?,
    };
    if !judges.is_empty() {
        survey.key = digest([survey.key.as_slice(), &judges.digest()]);
        survey.same = digest([survey.same.as_slice(), &judges.same()]);
        for key in Judges::keys(settings) {
            target.redactor.add(key.reveal());
        }
    }
    let embedders = Embedders::open(&survey.embedders, settings, target.embeds.as_ref())?;
    if !embedders.is_empty() {
        for key in [&mut survey.key, &mut survey.same] {
            *key = digest([key.as_slice(), b"embeddings", &embedders.digest()]);
        }
        for key in Embedders::keys(settings) {
            target.redactor.add(key.reveal());
        }
    }
    let attempt = {
        let store = Store::open_existing(&settings.root.join(STORE))?;
        Attempt::find(settings, survey.same, candidates, store.as_ref())?
    };
    if let Some(reason) = &settings.gate.attempts.fresh_key {
        survey.key = reruns::fresh(&survey.key, reason);
    }
    let plan = attempt.plan(versions.baseline.is_some());
    let run = RunInfo {
        candidate: versions.candidate.info.clone(),
        baseline: versions.baseline.as_ref().map(|version| version.info.clone()),
        target: settings.provider.target.as_str().to_owned(),
        simulated: settings.provider.target == TargetKind::Sim,
        dataset_sha256: survey.dataset.sha256.clone(),
        cases: survey.selected,
        total: survey.dataset.total,
        repeats: plan.repeats,
        gated: settings.gate.gated,
        policy: settings.gate.policy.clone(),
        key: hex(&survey.key),
        tested: fingerprint::tested(
            &survey,
            &Deciders {
                root: &settings.root,
                judges: &settings.scoring.judges,
                commands: &settings.scoring.commands,
                models: &settings.arms.models,
                target: settings.provider.target,
            },
        )?,
        look: attempt.look.clone(),
        fresh_key: attempt.fresh.clone(),
        changes: policy_diff::changes(&Today {
            root: &settings.root,
            golden: &settings.dataset.golden,
            base: &settings.gate.policy_base,
            baseline: (
                &settings.arms.baseline,
                versions.baseline.as_ref().map(|version| &version.info),
            ),
        })?,
        started_at: now(),
    };
    let warnings = settings
        .warnings
        .iter()
        .cloned()
        .chain(survey.warnings.iter().cloned())
        .chain(attempt.notes.iter().cloned())
        .collect();
    Ok(Prepared {
        settings,
        selection,
        rules,
        commands,
        versions,
        target,
        judges,
        embedders,
        calibrations,
        survey,
        attempt,
        plan,
        quarantine: Quarantine::of_run(&run.policy, &run.started_at),
        run,
        call: Call::default(),
        warnings,
    })
}

impl Prepared<'_> {
    /// What is about to be run.
    pub fn run_info(&self) -> &RunInfo {
        &self.run
    }

    /// The tags whose cases must not decide, on the day on which the run started.
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// Secrets that must not be shown.
    pub fn redactor(&self) -> &Redactor {
        &self.target.redactor
    }

    /// What would be sent, and what it would cost. Neither sends nor writes anything.
    ///
    /// # Errors
    /// There is a store, but it can't be read, or the golden files changed meanwhile.
    pub fn forecast(&self) -> Result<Forecast, Error> {
        let store = Store::open_existing(&self.settings.root.join(STORE))?;
        let resumed = match &store {
            Some(store) if self.settings.run.resume => store.resume(&self.plan_digest())?,
            Some(_) | None => None,
        };
        let confirming = Confirming::new(self.settings);
        let walking = self.walking(store.as_ref(), resumed.as_ref(), &confirming, Round::Planned);
        forecast::forecast(&walking, &self.judges, &self.run)
    }

    pub(crate) fn walking<'w>(
        &'w self,
        store: Option<&'w Store>,
        run: Option<&'w OpenRun>,
        confirming: &'w Confirming,
        round: Round,
    ) -> Walking<'w> {
        Walking {
            confirming,
            attempt: &self.attempt,
            call: &self.call,
            round,
            settings: self.settings,
            selection: &self.selection,
            versions: &self.versions,
            survey: &self.survey,
            plan: self.plan,
            rules: &self.rules,
            target: &self.target,
            store,
            run,
        }
    }
}

/// A limit in dollars can only be kept where prices are known.
fn affordable(settings: &Settings, versions: &Versions) -> Result<(), Problems> {
    let asks = settings.provider.target != TargetKind::Recorded && settings.run.cache != Cache::Only;
    let mut problems = Problems::default();
    if asks && settings.limits.max_cost.is_some() {
        let today = OffsetDateTime::now_utc().date();
        for (number, version) in versions.all().enumerate() {
            let model = &version.info.model;
            let told = versions.all().take(number).any(|earlier| earlier.info.model == *model);
            let price = settings
                .prices
                .cost_usd(model, &Usage::default(), version.tier(settings), today);
            if price.is_none() && !told {
                let message = format!("the price of `{model}` is not known, so --max-cost can't be kept");
                problems.push(Problem::new(message).hint(format!(
                    "set input and output under [prices.\"{model}\"] in promptgate.toml"
                )));
            }
        }
    }
    problems.or(())
}

/// What decides the price of a version's answers.
pub(crate) fn priced_as<'a>(version: &'a Version, settings: &Settings) -> (&'a str, Tier) {
    (&version.info.model, version.tier(settings))
}

pub(crate) fn open_versions(
    root: &Path,
    prompt: &str,
    baseline: &Baseline,
    models: &ModelChoice,
) -> Result<Versions, Error> {
    let library = library(root);
    let model = |prompt: &Prompt| models.resolve(prompt.model.as_deref());
    let mut problems = Problems::default();
    let mut open =
        |reference: &str, default_name: Option<&str>| match open_prompt(&library, reference, default_name, &model) {
            Ok(version) => Some(version),
            Err(found) => {
                problems.append(found);
                None
            }
        };
    let candidate = open(prompt, None);
    let baseline = match baseline {
        Baseline::None => None,
        Baseline::Prompt(name) => open(name, Some(bare_name(prompt))),
    };
    match candidate {
        Some(candidate) => Ok(problems.or(Versions { candidate, baseline })?),
        None => Err(problems.into()),
    }
}

/// The prompts of a project.
pub fn library(root: &Path) -> Library {
    Library::new(root, &root.join("prompts"))
}

/// The selection of the settings, with the cases that failed in an earlier run looked up.
fn select(settings: &Settings) -> Result<Selection, Error> {
    let mut selection = settings.dataset.selection.clone();
    let Some(earlier) = settings.dataset.failed else {
        return Ok(selection);
    };
    let number = match earlier {
        Earlier::Newest => None,
        Earlier::Number(number) => Some(number),
    };
    let store = Store::open(&settings.root.join(STORE))?;
    let Some((run, cases)) = store.not_passed(&settings.arms.prompt, number)? else {
        let what = match number {
            Some(number) => format!("the store has no finished run {number}"),
            None => format!("the store has no finished run of `{}`", settings.arms.prompt),
        };
        return Err(Problem::new(what).hint("run without --failed first").into());
    };
    if cases.is_empty() {
        let message = format!("every case passed in run {run}, so there is nothing to run again");
        return Err(Error::Nothing(Problem::new(message)));
    }
    selection.failed = Some(cases.into_iter().collect());
    Ok(selection)
}
