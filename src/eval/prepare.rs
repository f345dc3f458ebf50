//! What happens before anything is sent: prompts opened, golden files surveyed, and the plan worked out.

use super::context::{EvalContext, RunKind};
use super::embeddings::Embedders;
use super::fingerprint::FingerprintInputs;
use super::judges::Judges;
use super::lock::{Lock, library};
use super::policy_diff::{self, CurrentState};
use super::prior_runs::PriorRuns;
use super::reruns::{self, RerunPlan};
use super::store_folder::store_folder;
use super::survey::{self, Survey, SurveyScope};
use super::target::Targets;
use super::versions::{Versions, open_versions};
use super::{calibration, now};
use crate::config::{Cache, RunSelector, Settings};
use crate::domain::{
    Arm, BaselinePromotion, Changes, Estimand, Problem, Problems, Quarantine, RunInfo, Sequential, Usage, digest, hex,
};
use crate::error::Error;
use crate::plan::price::Tier;
use crate::plan::{Plan, Selection};
use crate::scoring::{Commands, Rules};
use crate::store::Store;
use time::OffsetDateTime;

/// Opens the prompts, validates all golden files, and plans the run. Sends nothing.
///
/// # Errors
/// All mistakes in prompts and golden files, or no case selected.
pub fn prepare(settings: &Settings, kind: RunKind) -> Result<EvalContext<'_>, Error> {
    let arms = &settings.arms;
    let lock = match kind {
        RunKind::Gate { .. } => Lock::of_run(&settings.root, &settings.gate.policy_base)?,
        RunKind::AaTest => Lock::none(&settings.root),
    };
    let versions = open_versions(&arms.prompt, &arms.baseline, &arms.models, &lock)?;
    if let Some(problem) = &settings.provider.missing_key
        && !versions.candidate_serves()
    {
        return Err(problem.clone().into());
    }
    if !settings.provider.target.def().replays {
        let priced = versions.all().map(|version| (version.info.model.as_str(), version.tier(settings)));
        check_prices(settings, priced)?;
    }
    let targets = Targets::open(settings, Some(&versions))?;
    let selection = select(settings)?;
    let commands = Commands::new(&settings.root, &settings.scoring.commands);
    let rules = Rules::new(&settings.root).with_commands(commands.clone());
    let mut survey = survey_run(settings, kind, &versions, &selection, &rules, &targets)?;
    let judges = Judges::open(&survey.judges, settings, &library(&settings.root), Some(targets.of(Arm::Candidate)))?;
    let calibrations = match survey.judge_roles.is_empty() {
        true => Vec::new(),
        false => calibration::entries(&settings.scoring.judge_calibration)?,
    };
    let embedders = Embedders::open(&survey.embedders, settings, Some(targets.of(Arm::Candidate)))?;
    add_models(&mut survey, &judges, &embedders);
    for key in Judges::keys(settings).chain(Embedders::keys(settings)) {
        targets.redactor.add(key.reveal());
    }
    let rerun = plan_rerun(settings, kind, &mut survey)?;
    let plan = rerun.plan(versions.baseline.is_some());
    let info = run_info(settings, kind, (&versions, &lock), &survey, &rerun, &plan)?;
    let keyless = match &settings.provider.missing_key {
        Some(_) if asks_nothing(&survey, &info) => {
            if std::mem::take(&mut survey.critical) > 0 {
                survey.warnings.push(Problem::new("no key is set, so must-pass cases are not asked again"));
            }
            true
        }
        Some(problem) => return Err(problem.clone().into()),
        None => false,
    };
    let warnings = settings.warnings.iter().chain(&survey.warnings).chain(&rerun.notes);
    Ok(EvalContext {
        warnings: warnings.cloned().collect(),
        quarantine: Quarantine::of_run(&info.policy, &info.started_at),
        prior: PriorRuns::default(),
        keyless,
        settings,
        selection,
        rules,
        commands,
        versions,
        targets,
        judges,
        embedders,
        calibrations,
        survey,
        rerun,
        plan,
        info,
    })
}

/// Nothing has to be asked of a candidate that serves: every must-pass case was there when it was promoted, or is at the
/// policy base.
fn asks_nothing(survey: &Survey, info: &RunInfo) -> bool {
    let Changes { base, rows, .. } = &info.changes;
    let same_cases = |promotion: &BaselinePromotion| {
        promotion.dataset_sha256.as_ref() == Some(&info.dataset_sha256) || (base.is_some() && rows.is_empty())
    };
    survey.identical && (survey.critical == 0 || info.promotion.as_ref().is_some_and(same_cases))
}

fn survey_run(
    settings: &Settings,
    kind: RunKind,
    versions: &Versions,
    selection: &Selection,
    rules: &Rules,
    targets: &Targets,
) -> Result<Survey, Error> {
    let recorded = settings.provider.target.def().replays;
    let policy = &settings.gate.policy;
    let compares = settings.gate.gated && versions.baseline.is_some() && policy.estimand == Estimand::Population;
    let (may_be_identical, sequential, margin) = match kind {
        RunKind::Gate { .. } => (!recorded, policy.sequential, compares.then_some(policy.margin)),
        RunKind::AaTest => (false, Sequential::Off, None),
    };
    let scope = SurveyScope {
        golden: &settings.dataset.golden,
        selection,
        rules,
        target: &targets.identity(),
        service: &targets.service(),
        encoders: targets.encoders(),
        recorded,
        may_be_identical: may_be_identical && targets.are_one(),
        sequential,
        margin,
        today: OffsetDateTime::now_utc().date(),
    };
    survey::survey(&scope, versions)
}

/// Other judges or embedding models make another test.
fn add_models(survey: &mut Survey, judges: &Judges, embedders: &Embedders) {
    if !judges.is_empty() {
        survey.key = digest([survey.key.as_slice(), &judges.digest()]);
        let series = &mut survey.identities.series;
        *series = digest([series.as_slice(), &judges.same()]);
    }
    if !embedders.is_empty() {
        for key in [&mut survey.key, &mut survey.identities.series] {
            *key = digest([key.as_slice(), b"embeddings", &embedders.digest()]);
        }
    }
}

/// Which look at the same prompts and cases this is; the key of the run follows from it.
fn plan_rerun(settings: &Settings, kind: RunKind, survey: &mut Survey) -> Result<RerunPlan, Error> {
    let rerun = {
        let store = Store::open_existing(&store_folder(&settings.root)?)?;
        let candidates = match kind {
            RunKind::Gate { candidates } => candidates,
            RunKind::AaTest => 1,
        };
        RerunPlan::find(settings, &survey.identities, candidates, store.as_ref())?
    };
    if let Some(reason) = &settings.gate.attempts.fresh_key {
        survey.key = reruns::fresh(&survey.key, reason);
    }
    match kind {
        RunKind::Gate { .. } => Ok(rerun),
        RunKind::AaTest => {
            survey.key = digest([survey.key.as_slice(), b"itself"]);
            survey.identities.set = survey.key;
            let mut alone = RerunPlan::first(settings, survey.key, &[], 1);
            alone.notes = rerun.notes;
            Ok(alone)
        }
    }
}

fn run_info(
    settings: &Settings,
    kind: RunKind,
    (versions, lock): (&Versions, &Lock),
    survey: &Survey,
    rerun: &RerunPlan,
    plan: &Plan,
) -> Result<RunInfo, Error> {
    let baseline = versions.baseline.as_ref().map(|version| &version.info);
    let mut candidate = versions.candidate.info.clone();
    if kind == RunKind::AaTest {
        candidate.name.push_str(" (gate calibrate)");
    }
    Ok(RunInfo {
        candidate,
        baseline: baseline.cloned(),
        promotion: versions.promotion.clone(),
        target: settings.provider.target.as_str().to_owned(),
        simulated: settings.provider.target.def().simulates,
        dataset_sha256: survey.dataset.sha256.clone(),
        cases: survey.selected,
        total: survey.dataset.total,
        repeats: plan.repeats,
        gated: settings.gate.gated,
        policy: settings.gate.policy.clone(),
        key: hex(survey.key),
        tested: survey.input_digests(&FingerprintInputs {
            root: &settings.root,
            judges: &settings.scoring.judges,
            commands: &settings.scoring.commands,
            models: &settings.arms.models,
            target: settings.provider.target,
        })?,
        look: rerun.look.clone(),
        fresh_key: rerun.fresh.clone(),
        changes: match kind {
            RunKind::Gate { .. } => policy_diff::changes(&CurrentState {
                root: &settings.root,
                golden: &settings.dataset.golden,
                base: &settings.gate.policy_base,
                baseline,
                candidate: &versions.candidate.info,
                lock,
            })?,
            RunKind::AaTest => policy_diff::check_service(settings)?,
        },
        started_at: now(),
    })
}

/// With a cost limit, every model needs a known price.
///
/// # Errors
/// All models whose price is not known.
pub(crate) fn check_prices<'m>(
    settings: &Settings,
    models: impl Iterator<Item = (&'m str, Tier)>,
) -> Result<(), Problems> {
    let mut problems = Problems::default();
    if settings.limits.cache == Cache::Only || settings.limits.max_cost.is_none() {
        return Ok(());
    }
    let today = OffsetDateTime::now_utc().date();
    let mut checked = Vec::new();
    for (model, tier) in models {
        let price = settings.prices.cost_usd(model, &Usage::default(), tier, today);
        if price.is_none() && !checked.contains(&model) {
            let message = format!("the price of `{model}` is not known, so --max-cost can't be kept");
            problems.push(
                Problem::new(message)
                    .hint(format!("set input and output under [prices.\"{model}\"] in promptgate.toml")),
            );
        }
        checked.push(model);
    }
    problems.or(())
}

/// The selection of the settings, with the cases that failed in an earlier run looked up.
fn select(settings: &Settings) -> Result<Selection, Error> {
    let mut selection = settings.dataset.selection.clone();
    let Some(earlier) = settings.dataset.failed else {
        return Ok(selection);
    };
    let number = match earlier {
        RunSelector::Newest => None,
        RunSelector::Number(number) => Some(number),
    };
    let store = Store::open(&store_folder(&settings.root)?)?;
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
