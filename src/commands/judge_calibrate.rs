//! `judge calibrate`: judges are asked about answers that people judged, the same way as in a run: the second plan, stored
//! replies, limits and budget included. What comes of it is written down for the gate.

use super::record::readable;
use crate::config::{Cache, Settings, TargetKind};
use crate::dataset::calibration as file;
use crate::dataset::{self, Dataset};
use crate::domain::{
    Agreement, Answer, Arm, CalibrationEntry, Case, CheckSpec, JudgeEvidence, JudgeUse, JudgesRecord, Label, Place,
    Problem, Problems,
};
use crate::error::Error;
use crate::eval::Interrupt;
use crate::eval::STORE;
use crate::eval::calibration::{self, Labels, labelled};
use crate::eval::context::limits;
use crate::eval::embeddings::Embedders;
use crate::eval::judge_client::JudgeClient;
use crate::eval::judges::{JudgeIdentity, JudgeUsage, Judges};
use crate::eval::library;
use crate::eval::prepare::check_prices;
use crate::eval::target::Targets;
use crate::exit;
use crate::gate::judge_error::{LEAST_YOUDEN, youden_low};
use crate::plan::price::Tier;
use crate::report::Redactor;
use crate::runner::{Spend, StopReason};
use crate::scoring::{self, CaseAnswers, Commands, Rules};
use crate::stats::normal;
use crate::stats::proportions::wilson;
use crate::store::{RunId, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Labels of each kind below which nothing is said of a judge: with ten of a kind, all judged right, its share may still be
/// 79% (Wilson, 95%).
const LEAST_LABELS: u64 = 10;

/// Share of the labels of a judge that may be without a judgement. As the gate's `max_missing`.
const MOST_ERRORS: f64 = 0.05;

/// Labels judged at a time; bounds the memory of the walk.
const BATCH: usize = 2_048;

/// Disagreements, and errors, that are listed of each judge; the others are counted.
const LISTED: usize = 20;

/// Ready to ask.
pub struct Calibrating<'a> {
    settings: &'a Settings,
    only: Option<&'a str>,
    dataset: Dataset,
    rules: Rules,
    commands: Commands,
    labels: BTreeMap<JudgeUse, Labels>,
    run_targets: Option<Targets>,
    judges: Judges,
    /// What the file says already.
    before: Vec<CalibrationEntry>,
    redactor: Redactor,
}

/// A share, and its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rated {
    /// The share; 0..=1.
    pub share: f64,
    /// Lower end, by Wilson.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// An answer of which a judge says another thing than people, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The case.
    pub case: String,
    /// Where it stands.
    pub place: Place,
    /// The answer.
    pub answer: String,
    /// People let it pass.
    pub people: bool,
    /// The judge lets it pass; `None` if it said nothing that counts.
    pub judge: Option<bool>,
    /// What the judge said.
    pub reason: String,
}

/// What came of one judge.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibratedJudge {
    /// Which, asked how.
    pub asked: JudgeUse,
    /// The model asked for.
    pub model: String,
    /// Digest of its prompt.
    pub prompt_sha256: String,
    /// Its word against people's.
    pub counts: Agreement,
    /// Share of what people let pass that it lets pass.
    pub sensitivity: Rated,
    /// Share of what people do not let pass that it does not.
    pub specificity: Rated,
    /// Youden's J.
    pub youden: f64,
    /// Its one-sided lower bound, of the policy's alpha.
    pub youden_low: f64,
    /// What the margin and the tolerance of the policy become: the margin times the bound, the tolerance times the estimate.
    /// `None` for a judge with which the gate decides nothing.
    pub margins: Option<(f64, f64)>,
    /// The first of them.
    pub disagreements: Vec<Disagreement>,
    /// How many there are beside those.
    pub more: u64,
}

/// What a calibration came to.
#[derive(Clone, Debug)]
pub struct Calibrated {
    /// The judges, in order.
    pub judges: Vec<CalibratedJudge>,
    /// What asking took.
    pub asked: JudgesRecord,
    /// A judge was a simulator.
    pub simulated: bool,
    /// The file, if it was written.
    pub written: Option<PathBuf>,
    /// Why it was not, all reasons.
    pub unwritten: Vec<String>,
    /// 0 only if the file was written.
    pub exit_code: u8,
}

impl<'a> Calibrating<'a> {
    /// Validates the golden files, and opens the judges that labels are about, or of these the one called `only`. Sends
    /// nothing.
    ///
    /// # Errors
    /// All mistakes in golden files, labels and judges; no label, or too few; a calibration file that can't be read.
    pub fn prepare(settings: &'a Settings, only: Option<&'a str>) -> Result<Calibrating<'a>, Error> {
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
                let Some(asked) = case.checks.get(check).and_then(scoring::use_of) else {
                    continue;
                };
                if only.is_some_and(|only| only != asked.judge) {
                    others.insert(asked.judge);
                    continue;
                }
                labels.entry(asked).or_default().note(case, check, label);
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
            return Err(nothing(only, &others));
        }
        enough(&labels)?;
        if settings.provider.fallback && uses_run_target(settings, labels.keys()) {
            // It would take the place of what is known of the model.
            return Err(
                Problem::new("no key is set, so the simulator would judge, which says nothing of a model")
                    .hint("set GEMINI_API_KEY, or give --target sim to calibrate the simulator")
                    .into(),
            );
        }
        let before = file::read(
            &settings.scoring.judge_calibration.path,
            &settings.scoring.judge_calibration.path.display().to_string(),
        )?;
        let names: BTreeSet<String> = labels.keys().map(|asked| asked.judge.clone()).collect();
        let run_targets = match settings.provider.target {
            TargetKind::Recorded => None,
            TargetKind::Gemini | TargetKind::Vertex | TargetKind::OpenAi | TargetKind::Sim => {
                Some(Targets::open(settings, None)?)
            }
        };
        let judges = Judges::open(
            &names,
            settings,
            &library(&settings.root),
            run_targets.as_ref().map(|targets| targets.of(Arm::Candidate)),
        )?;
        let models: BTreeSet<String> = names
            .iter()
            .filter_map(|name| judges.identity(name))
            .map(|identity| identity.model)
            .collect();
        check_prices(settings, models.iter().map(|model| (model.as_str(), Tier::Standard)))?;
        let redactor = run_targets
            .as_ref()
            .map_or_else(Redactor::default, |target| target.redactor.clone());
        for key in Judges::keys(settings) {
            redactor.add(key.reveal());
        }
        Ok(Calibrating {
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

    /// Secrets that must not be shown.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Asks, counts, and writes the file, if the judges could be asked.
    ///
    /// # Errors
    /// Nobody can sign in at the service, the store is not usable, or the golden files changed meanwhile.
    pub fn run(self, interrupt: &Interrupt) -> Result<Calibrated, Error> {
        let settings = self.settings;
        // Only a judge without a target of its own needs the run's.
        if let Some(target) = &self.run_targets
            && uses_run_target(settings, self.labels.keys())
            && settings.run.cache != Cache::Only
        {
            target.sign_in()?;
        }
        let store = Store::open(&settings.root.join(STORE))?;
        interrupt.end_cleanly();
        let embedders = Embedders::default();
        let mut asking = Asking {
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
                failed = asking.case(&case, self.only).err();
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        asking.judge()?;
        let Asking { client, tallies, .. } = asking;
        self.finish(client.usage, tallies, interrupt)
    }

    fn finish(
        &self,
        consulted: JudgeUsage,
        tallies: BTreeMap<JudgeUse, Tally>,
        interrupt: &Interrupt,
    ) -> Result<Calibrated, Error> {
        let mut unwritten = Vec::new();
        match &consulted.ended {
            Some(StopReason::Budget(reason) | StopReason::StoreFailed(reason)) => unwritten.push(reason.clone()),
            Some(StopReason::Stopped(failure)) => unwritten.push(failure.message.clone()),
            Some(StopReason::Interrupted) => unwritten.push("it was interrupted".to_owned()),
            Some(StopReason::Complete) | None => {}
        }
        let mut judges = Vec::new();
        let mut entries = Vec::new();
        for (asked, Tally { counts, listed, more }) in tallies {
            let Some((identity, labels)) = self.judges.identity(&asked.judge).zip(self.labels.get(&asked)) else {
                continue;
            };
            unwritten.extend(refused(&asked, &counts));
            entries.push(CalibrationEntry {
                judge: asked.judge.clone(),
                votes: asked.votes,
                rule: asked.rule.clone(),
                model: identity.model.clone(),
                served: consulted
                    .served
                    .get(&asked.judge)
                    .map_or_else(Vec::new, |models| models.iter().cloned().collect()),
                prompt_sha256: identity.prompt_sha256.clone(),
                judge_sha256: identity.sha256.clone(),
                labels_sha256: labels.sha256(),
                counts,
            });
            judges.push(self.calibrated(asked, identity, counts, listed, more));
        }
        let mut exit_code = if unwritten.is_empty() {
            exit::OK
        } else {
            exit::INCONCLUSIVE
        };
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
        Ok(Calibrated {
            judges,
            asked: JudgesRecord {
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
        asked: JudgeUse,
        identity: JudgeIdentity,
        counts: Agreement,
        disagreements: Vec<Disagreement>,
        more: u64,
    ) -> CalibratedJudge {
        let policy = &self.settings.gate.policy;
        let rated = |share: f64, n: u64| {
            let (low, high) = wilson(share, n, normal::critical(0.025));
            Rated { share, low, high }
        };
        let (youden, low) = (counts.youden(), youden_low(&counts, normal::critical(policy.alpha)));
        CalibratedJudge {
            asked,
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
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        readable(file.as_file())?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// A judge without a target of its own is asked where the run's answers would come from.
fn uses_run_target<'a>(settings: &Settings, mut asked: impl Iterator<Item = &'a JudgeUse>) -> bool {
    asked.any(|asked| {
        let written = settings.scoring.judges.get(&asked.judge);
        written.is_none_or(|judge| judge.target.is_none() && judge.base_url.is_none())
    })
}

/// There is no label to go by.
fn nothing(only: Option<&str>, others: &BTreeSet<String>) -> Error {
    let problem = match only {
        Some(name) => Problem::new(format!("no selected case has labels for the judge `{name}`"))
            .did_you_mean(name, others.iter().map(String::as_str)),
        None => Problem::new("no selected case has labels")
            .expected("labels: [{answer: \"You have 30 days.\", pass: true}] on cases with a check `judge`"),
    };
    Error::Nothing(problem)
}

/// Too few labels say nothing, however well a judge does on them.
fn enough(labels: &BTreeMap<JudgeUse, Labels>) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (asked, Labels { passing, failing, .. }) in labels {
        for (count, kind) in [(*passing, "true"), (*failing, "false")] {
            if count < LEAST_LABELS {
                let message = format!("the judge `{asked}` has {count} labels with `pass: {kind}`, which is too few");
                problems.push(
                    Problem::new(message)
                        .expected(format!("at least {LEAST_LABELS} of each kind; 50 are good"))
                        .hint("label more answers, good and bad ones; or --judge NAME for one that has enough"),
                );
            }
        }
    }
    problems.or(())
}

/// Why a judge's counts must not be written down.
fn refused(asked: &JudgeUse, counts: &Agreement) -> Option<String> {
    let labels = counts.labels();
    if counts.errors as f64 > MOST_ERRORS * labels as f64 {
        return Some(format!(
            "the judge `{asked}` said nothing that counts about {} of {labels} answers; at most {}% may be missing",
            counts.errors,
            100.0 * MOST_ERRORS
        ));
    }
    // What is left must still be enough.
    (counts.passing() < LEAST_LABELS || counts.failing() < LEAST_LABELS).then(|| {
        format!(
            "the judge `{asked}` judged {} good and {} bad answers; at least {LEAST_LABELS} of each are needed",
            counts.passing(),
            counts.failing()
        )
    })
}

/// What one judge's labels came to.
#[derive(Default)]
struct Tally {
    counts: Agreement,
    listed: Vec<Disagreement>,
    more: u64,
}

/// The walk over the labelled cases.
struct Asking<'a> {
    client: JudgeClient<'a>,
    commands: &'a Commands,
    /// Cases with one check each, and the labels of it.
    batch: Vec<(JudgeUse, Case, Vec<Label>)>,
    /// Labels in it.
    waiting: usize,
    tallies: BTreeMap<JudgeUse, Tally>,
}

impl Asking<'_> {
    fn case(&mut self, case: &Case, only: Option<&str>) -> Result<(), Error> {
        let mut by_check: BTreeMap<usize, Vec<Label>> = BTreeMap::new();
        for (check, label) in labelled(case)? {
            by_check.entry(check).or_default().push(label.clone());
        }
        for (check, labels) in by_check {
            let Some(spec) = case.checks.get(check) else { continue };
            let Some(asked) = scoring::use_of(spec).filter(|asked| only.is_none_or(|only| only == asked.judge)) else {
                continue;
            };
            let alone = Case {
                // An advisory check is calibrated before it may decide.
                checks: vec![CheckSpec {
                    advisory: false,
                    weight: 1.0,
                    ..spec.clone()
                }],
                labels: Vec::new(),
                ..case.clone()
            };
            self.waiting += labels.len();
            self.batch.push((asked, alone, labels));
        }
        if self.waiting >= BATCH { self.judge() } else { Ok(()) }
    }

    fn judge(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        self.waiting = 0;
        let answers: Vec<Vec<Answer>> = batch
            .iter()
            .map(|(_, _, labels)| labels.iter().map(|label| answer(&label.answer)).collect())
            .collect();
        let unjudged: Vec<CaseAnswers<'_>> = batch
            .iter()
            .zip(&answers)
            .map(|((_, case, _), answers)| CaseAnswers {
                case,
                answers: answers.iter().map(Some).collect(),
                systems: Vec::new(),
                costs: Vec::new(),
            })
            .collect();
        let judgements = self.client.score(&unjudged, self.commands)?;
        for ((asked, case, labels), judgements) in batch.iter().zip(judgements) {
            let tally = self.tallies.entry(asked.clone()).or_default();
            for (label, judgement) in labels.iter().zip(judgements) {
                let check = judgement.as_ref().and_then(|judgement| judgement.checks.first());
                let said = check.and_then(|check| check.pass);
                tally.counts.note(label.pass, said);
                if said == Some(label.pass) {
                    continue;
                }
                if tally.listed.len() == LISTED {
                    tally.more += 1;
                    continue;
                }
                tally.listed.push(Disagreement {
                    case: case.id.to_string(),
                    place: case.place.clone(),
                    answer: label.answer.clone(),
                    people: label.pass,
                    judge: said,
                    reason: check.map_or_else(String::new, |check| check.reason.clone()),
                });
            }
        }
        Ok(())
    }
}

/// An answer of this text, complete.
fn answer(text: &str) -> Answer {
    Answer {
        text: text.to_owned(),
        finish_reason: Some("STOP".to_owned()),
        ..Answer::default()
    }
}
