//! `judge calibrate`: judges are asked about answers that people judged, the same way as in a run: the second plan, stored
//! replies, limits and budget included. What comes of it is written down for the gate.

mod label_pass;
mod limits;
mod result;

use super::files;
use crate::config::{Cache, Settings};
use crate::dataset::calibration as file;
use crate::dataset::{self, Dataset};
use crate::domain::{Agreement, Arm, CalibrationEntry, JudgeEvidence, JudgeUse, JudgesRecord, Problem, Problems};
use crate::error::Error;
use crate::eval::calibration::{self, Labels, labelled};
use crate::eval::context::limits;
use crate::eval::embeddings::Embedders;
use crate::eval::judge_client::JudgeClient;
use crate::eval::judges::{JudgeIdentity, JudgeUsage, Judges};
use crate::eval::policy_diff::check_service;
use crate::eval::prepare::check_prices;
use crate::eval::store_folder::store_folder;
use crate::eval::target::Targets;
use crate::eval::{Interrupt, library};
use crate::exit;
use crate::gate::judge_error::{LEAST_YOUDEN, youden_low};
use crate::plan::price::Tier;
use crate::report::Redactor;
use crate::runner::{Spend, StopReason};
use crate::scoring::{self, Commands, Rules};
use crate::stats::normal;
use crate::stats::proportions::wilson;
use crate::store::{RunId, Store};
use label_pass::{LabelPass, Tally};
pub use result::{Disagreement, JudgeCalibration, JudgeResult, RateEstimate};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

pub struct CalibrationRun<'a> {
    settings: &'a Settings,
    only: Option<&'a str>,
    dataset: Dataset,
    rules: Rules,
    commands: Commands,
    labels: BTreeMap<JudgeUse, Labels>,
    run_targets: Option<Targets>,
    judges: Judges,
    before: Vec<CalibrationEntry>,
    redactor: Redactor,
}

impl<'a> CalibrationRun<'a> {
    /// Validates the golden files, and opens the judges that labels are about, or of these the one called `only`. Sends
    /// nothing.
    pub fn prepare(settings: &'a Settings, only: Option<&'a str>) -> Result<CalibrationRun<'a>, Error> {
        let commands = Commands::new(&settings.root, &settings.scoring.commands);
        let rules = Rules::new(&settings.root).with_commands(commands.clone());
        let mut walk = settings.dataset.selection.walk();
        let mut labels: BTreeMap<JudgeUse, Labels> = BTreeMap::new();
        let mut others: BTreeSet<String> = BTreeSet::new();
        let mut many = false;
        let dataset = dataset::survey(&settings.dataset.golden, &rules, &mut |case, problems| {
            if !walk.selects(case) {
                return;
            }
            let found = match labelled(case) {
                Ok(found) => found,
                Err(problem) => return problems.push(problem),
            };
            for (check, label) in found {
                let Some(judge_use) = case.checks.get(check).and_then(scoring::use_of) else {
                    continue;
                };
                if only.is_some_and(|only| only != judge_use.judge) {
                    others.insert(judge_use.judge);
                    continue;
                }
                labels.entry(judge_use).or_default().note(case, check, label);
            }
            if labels.len() > calibration::KINDS && !many {
                many = true;
                problems.push(calibration::too_many(case));
            }
        })?;
        let mut problems = Problems::default();
        problems.extend(walk.unknown());
        problems.or(())?;
        if labels.is_empty() {
            return Err(limits::no_labels(only, &others));
        }
        limits::check_enough(&labels)?;
        if settings.provider.fallback && uses_run_target(settings, labels.keys()) {
            // It would take the place of what is known of the model.
            return Err(Problem::new("no key is set, so the simulator would judge, which says nothing of a model")
                .hint("set GEMINI_API_KEY, or give --target sim to calibrate the simulator")
                .into());
        }
        let before = file::read(
            &settings.scoring.judge_calibration.path,
            &settings.scoring.judge_calibration.path.display().to_string(),
        )?;
        let names: BTreeSet<String> = labels.keys().map(|judge_use| judge_use.judge.clone()).collect();
        let recorded = settings.provider.target.def().replays;
        let run_targets = if recorded { None } else { Some(Targets::open(settings, None)?) };
        let judges = Judges::open(
            &names,
            settings,
            &library(&settings.root),
            run_targets.as_ref().map(|targets| targets.of(Arm::Candidate)),
        )?;
        let models: BTreeSet<String> =
            names.iter().filter_map(|name| judges.identity(name)).map(|identity| identity.model).collect();
        check_prices(settings, models.iter().map(|model| (model.as_str(), Tier::Standard)))?;
        // Nothing is decided, but requests are sent all the same.
        check_service(settings)?;
        let redactor = run_targets.as_ref().map_or_else(Redactor::default, |target| target.redactor.clone());
        for key in Judges::keys(settings) {
            redactor.add(key.reveal());
        }
        Ok(CalibrationRun {
            settings,
            only,
            dataset,
            rules,
            commands,
            labels,
            run_targets,
            judges,
            before: before.unwrap_or_default(),
            redactor,
        })
    }

    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Asks, counts, and writes the file, if the judges could be asked.
    pub fn run(self, interrupt: &Interrupt) -> Result<JudgeCalibration, Error> {
        let settings = self.settings;
        // Only a judge without a target of its own needs the run's.
        if let Some(target) = &self.run_targets
            && uses_run_target(settings, self.labels.keys())
            && settings.limits.cache != Cache::Only
        {
            target.sign_in()?;
        }
        let store = Store::open(&store_folder(&settings.root)?)?;
        interrupt.end_cleanly();
        let embedders = Embedders::default();
        let mut pass = LabelPass {
            client: JudgeClient {
                judges: &self.judges,
                embedders: &embedders,
                settings,
                store: &store,
                run: RunId::NONE,
                limits: limits(settings),
                spent_by_answers: Spend::default(),
                interrupt,
                usage: JudgeUsage::none(),
            },
            commands: &self.commands,
            batch: Vec::new(),
            waiting: 0,
            tallies: BTreeMap::new(),
        };
        let mut walk = settings.dataset.selection.walk();
        let mut failed = None;
        self.dataset.stream(&self.rules, &mut |case| {
            if failed.is_none() && walk.selects(&case) {
                failed = pass.case(&case, self.only).err();
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        pass.judge()?;
        let LabelPass { client, tallies, .. } = pass;
        self.finish(client.usage, tallies, interrupt)
    }

    fn finish(
        &self,
        consulted: JudgeUsage,
        tallies: BTreeMap<JudgeUse, Tally>,
        interrupt: &Interrupt,
    ) -> Result<JudgeCalibration, Error> {
        let mut unwritten = Vec::new();
        match &consulted.ended {
            Some(StopReason::Budget(reason) | StopReason::StoreFailed(reason)) => unwritten.push(reason.clone()),
            Some(StopReason::Stopped(failure)) => unwritten.push(failure.message.clone()),
            Some(StopReason::Interrupted) => unwritten.push("it was interrupted".to_owned()),
            Some(StopReason::Complete) | None => {}
        }
        let mut judges = Vec::new();
        let mut entries = Vec::new();
        for (judge_use, Tally { counts, listed, more }) in tallies {
            let Some((identity, labels)) = self.judges.identity(&judge_use.judge).zip(self.labels.get(&judge_use))
            else {
                continue;
            };
            unwritten.extend(limits::why_refused(&judge_use, &counts));
            entries.push(CalibrationEntry {
                judge: judge_use.judge.clone(),
                votes: judge_use.votes,
                rule: judge_use.rule.clone(),
                model: identity.model.clone(),
                served: consulted
                    .served
                    .get(&judge_use.judge)
                    .map_or_else(Vec::new, |models| models.iter().cloned().collect()),
                prompt_sha256: identity.prompt_sha256.clone(),
                judge_sha256: identity.sha256.clone(),
                labels_sha256: labels.sha256(),
                counts,
            });
            judges.push(self.calibrated(judge_use, identity, counts, listed, more));
        }
        let mut exit_code = if unwritten.is_empty() { exit::OK } else { exit::INCONCLUSIVE };
        let mut written = None;
        if let Some(code) = interrupt.code() {
            exit_code = code;
        } else if unwritten.is_empty() {
            let path = &self.settings.scoring.judge_calibration.path;
            match self.write(path, entries) {
                Ok(()) => written = Some(path.clone()),
                Err(error) => {
                    unwritten.push(format!("{} can't be written: {error}", path.display()));
                    exit_code = exit::REPORT;
                }
            }
        }
        Ok(JudgeCalibration {
            judges,
            usage: JudgesRecord {
                requests: consulted.requests,
                stored: consulted.stored,
                cost_usd: consulted.cost_usd,
                found: JudgeEvidence::default(),
            },
            simulated: consulted.simulated,
            written,
            unwritten,
            exit_code,
        })
    }

    fn calibrated(
        &self,
        judge_use: JudgeUse,
        identity: JudgeIdentity,
        counts: Agreement,
        disagreements: Vec<Disagreement>,
        more: u64,
    ) -> JudgeResult {
        let policy = &self.settings.gate.policy;
        let rated = |share: f64, n: u64| {
            let (low, high) = wilson(share, n, normal::critical(0.025));
            RateEstimate { share, low, high }
        };
        let (youden, low) = (counts.youden(), youden_low(&counts, normal::critical(policy.alpha)));
        JudgeResult {
            judge_use,
            model: identity.model,
            prompt_sha256: identity.prompt_sha256,
            counts,
            sensitivity: rated(counts.sensitivity(), counts.passing()),
            specificity: rated(counts.specificity(), counts.failing()),
            youden,
            youden_low: low,
            margins: (youden >= LEAST_YOUDEN && low >= LEAST_YOUDEN)
                .then_some((policy.margin * low, policy.tolerance * youden)),
            disagreements,
            more,
        }
    }

    /// Writes the file, whole or not at all. Entries of other judges, and of other ways of asking, stay: without them a judge
    /// that is known to be weak would count as one of which nothing is known.
    fn write(&self, path: &Path, entries: Vec<CalibrationEntry>) -> std::io::Result<()> {
        let new: BTreeSet<JudgeUse> = entries.iter().map(CalibrationEntry::judge_use).collect();
        let kept = self.before.iter().filter(|entry| !new.contains(&entry.judge_use()));
        let text = file::text(kept.cloned().chain(entries).collect());
        let mut file = files::beside(path)?;
        file.write_all(text.as_bytes())?;
        files::publish(file, path)
    }
}

/// A judge without a target of its own is asked where the run's answers would come from.
fn uses_run_target<'a>(settings: &Settings, mut uses: impl Iterator<Item = &'a JudgeUse>) -> bool {
    uses.any(|judge_use| {
        let written = settings.scoring.judges.get(&judge_use.judge);
        written.is_none_or(|judge| judge.target.is_none() && judge.base_url.is_none())
    })
}
