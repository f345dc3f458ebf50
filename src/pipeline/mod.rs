//! The arrow itself: load → plan → run → score → compare → gate → report.
//!
//! Three passes over the golden files, none of which holds more than a batch of them:
//!
//! 1. [`survey`] validates everything, renders every selected case, and digests what is tested. Nothing is sent before it
//!    has found no mistake.
//! 2. [`ask`] asks for every planned answer that the store does not have; [`planned`] walks over them, [`forecast`] only counts.
//! 3. [`judge`] reads the answers back in plan order, scores them on all cores, compares, and feeds the reports.
//!
//! Then the gate decides, and the reports are put in place, verdict.json last.
//!
//! [`golden`] is a way of its own: what can be said about golden data without any answer; [`characteristics`] another one: how
//! often the gate decides what. [`itself`] goes the same way up to judging, with one prompt in both arms.

mod approvals;
mod ask;
mod attempts;
mod batches;
mod calibrate;
mod calibration;
mod candidates;
mod changes;
mod characteristics;
mod confirm;
mod embeddings;
mod forecast;
mod golden;
mod import;
mod interrupt;
mod itself;
mod judge;
mod judges;
mod outlook;
mod planned;
mod prefix;
mod promote;
mod record;
mod remember;
mod replay;
mod runs;
mod sequential;
mod shared;
mod survey;
mod target;
mod tested;
mod verdict;
mod verify;

pub use crate::gate::preflight::Outlook;
pub use crate::gate::resample::Shares;
pub use crate::model::bare_name;
pub use approvals::unreferenced;
pub use batches::{Came, Cancelled, cancel, waiting};
pub use calibrate::{Calibrated, CalibratedJudge, Calibrating, Disagreement, Rated};
pub use candidates::{FinishedAll, Watching, each_candidate, eval_all, forecast_all, prepare_all};
pub use characteristics::{SimulateRequest, Simulated, exact_sizes, simulate};
pub use forecast::{ArmForecast, Estimate, Forecast, JudgesForecast, PrefixForecast};
pub use golden::{LintRequest, lint, stats};
pub use import::{Waiting, Written, import_golden};
pub use interrupt::Interrupt;
pub use itself::{GateCalibrated, LeastCases, prepare_itself};
pub use promote::{PromoteRequest, Promoted, promote, roll_back};
pub use record::{Exported, Imported, export, import};
pub use replay::compare;
pub use runs::{flaky, list, recall};
pub use target::open_prompt;
pub use verify::{Verified, verify};

use crate::error::Error;
use crate::exit;
use crate::gate::{self, Completion, Decided, Facts};
use crate::load::prompt::{Library, Prompt};
use crate::model::{
    CalibrationEntry, Case, CaseRow, DecidingJudges, Decision, Design, Event, Look, LooksBefore, Problem, Problems,
    Progress, PromptInfo, Quarantine, Request, RunInfo, Sequential, Usage, Verdict, digest,
};
use crate::plan::price::Tier;
use crate::plan::{Plan, Selection};
use crate::report::{Folder, Mask, ReportError, Reports, ResultsWritten};
use crate::run::{Ended, RunEnd, Taken, Target as _};
use crate::score::{Commands, Rules};
use crate::settings::{Baseline, Cache, Earlier, ModelChoice, Settings, TargetKind};
use crate::store::{InUse, OpenRun, Planned, RunEnded, Store, WaitingBatch};
use approvals::Approvals;
use attempts::Attempt;
use changes::Today;
use confirm::Confirming;
use embeddings::Embedders;
use judge::{JudgedRun, Judging};
use judges::{Asker, Consulted, Judges};
use planned::{Round, Walking};
use remember::Remembering;
use sequential::Upto;
use serde_json::Value;
use shared::{Call, RunOfCall};
use std::path::Path;
use std::sync::Arc;
use survey::{Scope, Survey, Versions};
use target::OpenedTarget;
use tested::Deciders;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
        if settings.batch.is_some() {
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

/// Everything that a finished `eval` has to say.
#[derive(Debug)]
pub struct Finished {
    /// What was run.
    pub run: RunInfo,
    /// The verdict.
    pub verdict: Verdict,
    /// Reports that could not be written.
    pub unwritten: Vec<ReportError>,
    /// The exit code: a signal's, else the verdict's, else that of a missing report.
    pub exit_code: u8,
    /// What the run took of the limits, together with earlier runs of its call.
    taken: Taken,
    /// Where later runs of its call find its answers.
    of_call: RunOfCall,
    /// results.jsonl, if it was written.
    results: Option<ResultsWritten>,
}

/// What a look came to.
struct AtLook {
    decided: Decided,
    completion: Completion,
    before: LooksBefore,
    deciding: DecidingJudges,
}

/// A surveyed run, ready to start.
pub struct Prepared<'a> {
    settings: &'a Settings,
    selection: Selection,
    rules: Rules,
    commands: Commands,
    versions: Versions,
    target: OpenedTarget,
    judges: Judges,
    embedders: Embedders,
    /// What is known of judges' errors.
    calibrations: Vec<CalibrationEntry>,
    survey: Survey,
    attempt: Attempt,
    plan: Plan,
    run: RunInfo,
    /// What earlier runs of the same call left.
    call: Call,
    /// What must not decide, on the day on which the run started.
    quarantine: Quarantine,
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
    let versions = open_versions(&settings.root, &settings.prompt, &settings.baseline, &settings.models)?;
    affordable(settings, &versions)?;
    let mut target = target::open(settings, Some(&versions))?;
    let selection = select(settings)?;
    let commands = Commands::new(&settings.root, &settings.commands);
    let rules = Rules::new(&settings.root).with_commands(commands.clone());
    let scope = Scope {
        golden: &settings.golden,
        selection: &selection,
        rules: &rules,
        target: &target.identity,
        protocol: settings.target.protocol(),
        recorded: settings.target == TargetKind::Recorded,
        common: settings.cache_prefix,
        sequential: settings.policy.sequential,
        api_version: &settings.api_version,
        today: OffsetDateTime::now_utc().date(),
    };
    let mut survey = survey::survey(&scope, &versions)?;
    let even = survey.schedule.as_ref().is_none_or(|schedule| schedule.even);
    if settings.policy.sequential == Sequential::Anytime && !even {
        return Err(Problem::new(
            "--anytime does not go together with weights and clusters: bets on them would hang on cases to come",
        )
        .expected("cases of one weight, without clusters")
        .hint("use --sequential")
        .into());
    }
    let judges = Judges::open(&survey.judges, settings, &library(&settings.root), Some(&target))?;
    let calibrations = match survey.judging.is_empty() {
        true => Vec::new(),
        false => calibration::entries(&settings.judge_calibration)?,
    };
    if !judges.is_empty() {
        for key in [&mut survey.key, &mut survey.same] {
            *key = digest([key.as_slice(), &judges.digest()]);
        }
        for key in Judges::keys(settings) {
            target.mask.add(key.reveal());
        }
    }
    let embedders = Embedders::open(&survey.embedders, settings, target.embeds.as_ref())?;
    if !embedders.is_empty() {
        for key in [&mut survey.key, &mut survey.same] {
            *key = digest([key.as_slice(), b"embeddings", &embedders.digest()]);
        }
        for key in Embedders::keys(settings) {
            target.mask.add(key.reveal());
        }
    }
    let attempt = {
        let store = Store::open_existing(&settings.root.join(STORE))?;
        Attempt::find(settings, survey.same, candidates, store.as_ref())?
    };
    if let Some(reason) = &settings.attempts.fresh_key {
        survey.key = attempts::fresh(&survey.key, reason);
    }
    let plan = attempt.plan(versions.baseline.is_some());
    let (prefixes, notes) = prefix::worth_keeping(settings, &versions, &survey, &plan)?;
    target.prefixes = prefixes;
    let run = RunInfo {
        candidate: versions.candidate.info.clone(),
        baseline: versions.baseline.as_ref().map(|version| version.info.clone()),
        target: settings.target.as_str().to_owned(),
        simulated: settings.target == TargetKind::Sim,
        dataset_sha256: survey.dataset.sha256.clone(),
        cases: survey.selected,
        total: survey.dataset.total,
        repeats: plan.repeats,
        gated: settings.gated,
        policy: settings.policy.clone(),
        key: hex(&survey.key),
        tested: tested::tested(
            &survey,
            &Deciders {
                root: &settings.root,
                judges: &settings.judges,
                commands: &settings.commands,
                models: &settings.models,
                target: settings.target,
            },
        )?,
        look: attempt.look.clone(),
        fresh_key: attempt.fresh.clone(),
        changes: changes::changes(&Today {
            root: &settings.root,
            golden: &settings.golden,
            base: &settings.policy_base,
            baseline: (
                &settings.baseline,
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
        .chain(notes)
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
    pub fn mask(&self) -> &Mask {
        &self.target.mask
    }

    /// What would be sent, and what it would cost. Neither sends nor writes anything.
    ///
    /// # Errors
    /// There is a store, but it can't be read, or the golden files changed meanwhile.
    pub fn forecast(&self) -> Result<Forecast, Error> {
        let store = Store::open_existing(&self.settings.root.join(STORE))?;
        let resumed = match &store {
            Some(store) if self.settings.resume => store.resume(&self.plan_digest())?,
            Some(_) | None => None,
        };
        let confirming = Confirming::new(self.settings);
        let walking = self.walking(store.as_ref(), resumed.as_ref(), &confirming, Round::Planned);
        forecast::forecast(&walking, &self.judges, &self.run)
    }

    fn walking<'w>(
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

    /// Asks, judges, decides and reports. `watch` sees every judged case in plan order; `say` takes sentences worth showing
    /// on the way.
    ///
    /// # Errors
    /// Nobody can sign in at the service, the store is not usable, or the golden files changed meanwhile.
    pub fn eval(
        mut self,
        folder: Folder,
        progress: &Arc<dyn Progress>,
        interrupt: &Interrupt,
        watch: &mut dyn FnMut(&CaseRow),
        say: &dyn Fn(&str),
    ) -> Result<Finished, Error> {
        let settings = self.settings;
        if settings.cache != Cache::Only {
            self.target.sign_in()?;
        }
        let store = Store::open(&settings.root.join(STORE))?;
        let open_run = self.open_run(&store, say)?;
        self.describe(&store, &open_run)?;
        interrupt.end_cleanly();
        let mut reports = Reports::open(folder, self.target.mask.clone());
        reports.begin(&self.run);
        let mut confirming = Confirming::new(settings);
        progress.on(&Event::Planned {
            answers: self.survey.answers_upto(&self.plan, &confirming, 1),
        });
        let mut taken = self.call.taken;
        let walking = self.walking(Some(&store), Some(&open_run), &confirming, self.round(0));
        let mut end = ask::ask(&walking, &store, &open_run, taken, progress, interrupt)?;
        taken.add(&end);
        let watched = interrupt.clone();
        self.commands.end_when(move || watched.code().is_some());
        let mut consulted = Consulted {
            cost_usd: Some(0.0),
            ..Consulted::default()
        };
        if confirming.possible && self.survey.critical > 0 && end.ended == Ended::Complete {
            let judging = self.judging(&store, &open_run, &end.ended, &confirming, Upto::END);
            let asker = self.asker(&store, &open_run, taken, interrupt, consulted);
            let (failed, heard) = confirm::failed(&judging, asker)?;
            consulted = heard;
            if !failed.is_empty() && consulted.ended.is_none() {
                confirming.note(failed);
                say(&confirming.announcement());
                progress.on(&Event::Planned {
                    answers: self.survey.answers_upto(&self.plan, &confirming, 1),
                });
                let walking = self.walking(Some(&store), Some(&open_run), &confirming, Round::Confirming);
                let used = consulted.beside(taken);
                let again = ask::ask(&walking, &store, &open_run, used, progress, interrupt)?;
                taken.add(&again);
                end = end.and(again);
            }
        }
        // Looks whose answers are there.
        let mut looks = 1;
        let mut upto = Upto::END;
        while let Some(schedule) = &self.survey.schedule
            && looks < schedule.looks()
            && end.ended == Ended::Complete
            && consulted.ended.is_none()
        {
            let first = Upto::looks(schedule, looks);
            let judging = self.judging(&store, &open_run, &end.ended, &confirming, first);
            let asker = self.asker(&store, &open_run, taken, interrupt, consulted);
            let wanted = |index, case: &Case| first.asks(index, case);
            let judged = judge::judge_some(&judging, asker, &wanted, &mut |_, _| {})?;
            if let Some(ended) = self.cut_short(&judged, say) {
                end.ended = ended;
                consulted = judged.judges;
                break;
            }
            let look = self.look(looks);
            let at_look = self.decide(&judged, &end, interrupt, (&store, &open_run), &look)?;
            consulted = judged.judges;
            if at_look.decided.decision != Decision::Inconclusive {
                say(&sequential::announcement(at_look.decided.decision, looks, schedule));
                upto = first;
                break;
            }
            looks += 1;
            progress.on(&Event::Planned {
                answers: self.survey.answers_upto(&self.plan, &confirming, looks),
            });
            let walking = self.walking(Some(&store), Some(&open_run), &confirming, self.round(looks - 1));
            let more = ask::ask(
                &walking,
                &store,
                &open_run,
                consulted.beside(taken),
                progress,
                interrupt,
            )?;
            taken.add(&more);
            end = end.and(more);
        }
        // Without an early decision the run is decided at its end, whether it came that far or not.
        if upto.is_end() {
            looks = self.survey.looks();
        }
        end.prefix_caches = ask::close(&self.target)?;
        progress.on(&Event::Done);
        if settings.batch.is_some() {
            self.tell_of_jobs(&store, &open_run, say);
        }
        if let Ended::Stopped(failure) = &end.ended {
            progress.on(&Event::Stopping {
                reason: failure.message.clone(),
            });
        }
        let ended = end.ended.clone();
        let judging = self.judging(&store, &open_run, &ended, &confirming, upto);
        // A run that has ended early is not judged to its end for money: --resume asks the judges, too.
        if end.ended != Ended::Complete {
            consulted.ended.get_or_insert(end.ended.clone());
        }
        let asker = self.asker(&store, &open_run, taken, interrupt, consulted);
        let mut approvals = Approvals::new(settings, &self.run, &self.target.mask);
        let mut remembering = Remembering::new(&store, open_run.id, self.plan);
        let judged = judge::judge(&judging, asker, &mut |row| {
            remembering.case(row);
            reports.case(row);
            approvals.case(row);
            watch(row);
        })?;
        approvals.tell(say);
        if judged.stale > 0 {
            say(&format!(
                "warning: {} answers were stored more than a day ago, so the verdict counts as replayed; --cache refresh \
                 asks anew",
                judged.stale
            ));
        }
        // A simulator under another target's name is still a simulator, and so is one that judges.
        self.run.simulated |= judged.simulated > 0 || judged.judges.simulated;
        if let Some(ended) = &judged.judges.ended
            && end.ended == Ended::Complete
        {
            if let Ended::Stopped(failure) = ended {
                say(&format!("error: the judge can't be asked: {}", failure.message));
            }
            end.ended = ended.clone();
        }
        if let Some(message) = &judged.store_failed {
            say(&format!("error: {message}"));
        }
        self.run.look = self.look(looks);
        let AtLook {
            decided,
            completion,
            before,
            deciding,
        } = self.decide(&judged, &end, interrupt, (&store, &open_run), &self.run.look)?;
        if before == LooksBefore::Clear
            && let Some(look) = self
                .attempt
                .record(&open_run, settings.gated, &decided, &settings.policy)
            && let Err(error) = store.note_look(&self.attempt.series, &look)
        {
            say(&format!(
                "warning: {error}, so that a later run may take itself for the first look"
            ));
        }
        let ended = if end.ended == Ended::Complete && judged.unanswered == 0 {
            RunEnded::Complete
        } else {
            RunEnded::Incomplete
        };
        let mut took = judged.judges.beside(taken);
        took.cost_usd += end.prefix_caches.cost_usd.unwrap_or(0.0);
        took.tokens = took.tokens.saturating_add(end.prefix_caches.tokens);
        let of_call = RunOfCall::new(open_run.id.number(), self.plan, &self.versions);
        let facts = Facts {
            whole_run: completion,
            judges: Some(&deciding),
            before: &before,
            ..self.facts(&end, interrupt)
        };
        let verdict = verdict::assemble(&self, judged, decided, &facts, end.prefix_caches, interrupt.code());
        let results = reports.results();
        let unwritten = reports.finish(&self.run, &verdict);
        let exit_code = match verdict.exit_code {
            exit::OK if !unwritten.is_empty() => exit::REPORT,
            code => code,
        };
        let concluded = remembering.conclude(&self.run, &verdict, exit_code);
        if let Err(error) = store.end(&open_run, ended).and(concluded) {
            // Only --resume, --failed and `compare` would miss it; the verdict stands.
            say(&format!("warning: {error}"));
        }
        Ok(Finished {
            run: self.run,
            verdict,
            unwritten,
            exit_code,
            taken: took,
            of_call,
            results: results.get().cloned(),
        })
    }

    /// How the comparison is laid out.
    fn design(&self) -> Design {
        Design {
            repeats: self.plan.repeats,
            baseline: self.plan.baseline,
            identical: self.survey.identical,
            metric: self.settings.policy.metric,
            estimand: self.settings.policy.estimand,
        }
    }

    /// What is asked at a look, from 0.
    fn round(&self, look: usize) -> Round {
        match self.survey.looks() {
            1 => Round::Planned,
            _ => Round::Look(look),
        }
    }

    /// The look after so many within the run.
    fn look(&self, looks: usize) -> Look {
        Look {
            shares: self.survey.shares(looks),
            ..self.attempt.look.clone()
        }
    }

    /// Why what was judged on the way can't be decided by.
    fn cut_short(&self, judged: &JudgedRun, say: &dyn Fn(&str)) -> Option<Ended> {
        if let Some(message) = &judged.store_failed {
            return Some(Ended::StoreFailed(message.clone()));
        }
        let ended = judged.judges.ended.clone()?;
        if let Ended::Stopped(failure) = &ended {
            say(&format!("error: the judge can't be asked: {}", failure.message));
        }
        Some(ended)
    }

    /// Decides by what was judged.
    fn decide(
        &self,
        judged: &JudgedRun,
        end: &RunEnd,
        interrupt: &Interrupt,
        (store, open_run): (&Store, &OpenRun),
        look: &Look,
    ) -> Result<AtLook, Error> {
        let deciding = self
            .survey
            .judging
            .deciding(&self.judges, &self.calibrations, &judged.judges.served);
        let before = self.attempt.before(store, open_run, &self.plan, self.survey.selected)?;
        let mut facts = Facts {
            judges: Some(&deciding),
            look,
            before: &before,
            ..self.facts(end, interrupt)
        };
        if judged.store_failed.is_some() && facts.whole_run != Completion::Interrupted {
            facts.whole_run = Completion::StoreFailed;
        }
        Ok(AtLook {
            completion: facts.whole_run,
            decided: gate::decide(&self.settings.policy, &judged.comparison, &facts),
            before,
            deciding,
        })
    }

    /// What is judged.
    fn judging<'j>(
        &'j self,
        store: &'j Store,
        run: &OpenRun,
        ended: &'j Ended,
        confirming: &'j Confirming,
        upto: Upto<'j>,
    ) -> Judging<'j> {
        let Prepared { settings, versions, .. } = self;
        Judging {
            selection: &self.selection,
            survey: &self.survey,
            versions,
            plan: self.plan,
            design: self.design(),
            rules: &self.rules,
            confirming,
            upto,
            commands: &self.commands,
            store,
            run: run.id,
            ended,
            prices: &settings.prices,
            policy: &settings.policy,
            quarantine: &self.quarantine,
            models: (
                versions.baseline.as_ref().map(|version| priced_as(version, settings)),
                priced_as(&versions.candidate, settings),
            ),
        }
    }

    /// Who asks the judges, after the answers took `taken` of the limits.
    fn asker<'j>(
        &'j self,
        store: &'j Store,
        run: &OpenRun,
        taken: Taken,
        interrupt: &'j Interrupt,
        so_far: Consulted,
    ) -> Asker<'j> {
        Asker {
            judges: &self.judges,
            embedders: &self.embedders,
            settings: self.settings,
            store,
            limits: ask::limits(self.settings),
            answers_took: taken,
            prefixes_took: self.target.target.beside(),
            run: run.id,
            interrupt,
            so_far,
        }
    }

    /// Tells of batch jobs that go on at the service.
    fn tell_of_jobs(&self, store: &Store, run: &OpenRun, say: &dyn Fn(&str)) {
        let waiting = match store.waiting_batches() {
            Ok(waiting) => waiting,
            Err(error) => return say(&format!("warning: {error}")),
        };
        let of_run: Vec<&WaitingBatch> = waiting.iter().filter(|batch| batch.is_of(run.id)).collect();
        let names: Vec<&str> = of_run.iter().filter_map(|batch| batch.name.as_deref()).collect();
        if !of_run.is_empty() {
            say(&format!(
                "{} may go on at the service ({}{}): --resume collects the answers, `promptgate batch cancel` ends it all",
                jobs(of_run.len()),
                names.iter().take(3).copied().collect::<Vec<_>>().join(", "),
                if of_run.len() > 3 { ", …" } else { "" }
            ));
        }
    }

    /// What the gate must know beside the numbers.
    fn facts(&self, end: &RunEnd, interrupt: &Interrupt) -> Facts<'_> {
        let whole_run = match &end.ended {
            _ if interrupt.code().is_some() => Completion::Interrupted,
            Ended::Interrupted => Completion::Interrupted,
            Ended::Budget(_) => Completion::Budget,
            Ended::Stopped(_) => Completion::Stopped,
            Ended::StoreFailed(_) => Completion::StoreFailed,
            Ended::Complete if self.selection.shard.is_some_and(|shard| shard.is_partial()) => Completion::Shard,
            Ended::Complete => Completion::Complete,
        };
        Facts {
            gated: self.settings.gated,
            whole_run,
            confirms: self.settings.target != TargetKind::Recorded,
            models: self.models(),
            judges: None,
            weaker: self.run.changes.unaccepted(),
            look: &self.run.look,
            before: &LooksBefore::Clear,
        }
    }

    /// The models asked for: baseline, candidate.
    fn models(&self) -> (Option<&str>, &str) {
        let baseline = self.run.baseline.as_ref().map(|info| info.model.as_str());
        (baseline, &self.run.candidate.model)
    }

    /// Runs with equal digests can resume each other.
    fn plan_digest(&self) -> [u8; 32] {
        digest([
            b"promptgate.plan/1".as_slice(),
            &self.survey.key,
            &self.plan.repeats.to_le_bytes(),
            &[u8::from(self.plan.baseline), self.settings.cache as u8],
            &self.survey.selected.to_le_bytes(),
        ])
    }

    fn open_run(&self, store: &Store, say: &dyn Fn(&str)) -> Result<OpenRun, Error> {
        let plan = self.plan_digest();
        if self.settings.batch.is_none() {
            return self.resume_or_begin(store, &plan, say);
        }
        let in_use = |InUse { run }| {
            Problem::new(format!("another process works on run {run}, which has this plan"))
                .expected("one run at a time, so that no request of a batch job is paid for twice")
                .hint("wait until it ends, or interrupt it; --resume goes on where it was")
        };
        if let Some(run) = store.batches_in_use(&plan)? {
            return Err(in_use(run).into());
        }
        let run = self.resume_or_begin(store, &plan, say)?;
        match store.take_over_batches(&run, &plan)? {
            Ok(0) => {}
            Ok(taken) => say(&format!(
                "{} of an earlier run with this plan wait at the service; nothing in them is asked again",
                jobs(taken)
            )),
            Err(run) => return Err(in_use(run).into()),
        }
        Ok(run)
    }

    fn resume_or_begin(&self, store: &Store, plan: &[u8; 32], say: &dyn Fn(&str)) -> Result<OpenRun, Error> {
        if self.settings.resume {
            if let Some(run) = store.resume(plan)? {
                say(&format!(
                    "resuming an unfinished run: {} answers are there already",
                    run.resumed
                ));
                return Ok(run);
            }
            say("nothing to resume: no unfinished run has this plan; starting anew");
        }
        Ok(store.begin(&Planned {
            plan: *plan,
            candidate: self.run.candidate.name.clone(),
            baseline: self.run.baseline.as_ref().map(|info| info.name.clone()),
            target: self.target.identity.clone(),
            answers: self.survey.answers(&self.plan, Confirming::new(self.settings).least()),
        })?)
    }
}

/// `1 batch job`, `2 batch jobs`.
fn jobs(count: usize) -> String {
    match count {
        1 => "1 batch job".to_owned(),
        count => format!("{count} batch jobs"),
    }
}

/// A limit in dollars can only be kept where prices are known.
fn affordable(settings: &Settings, versions: &Versions) -> Result<(), Problems> {
    let asks = settings.target != TargetKind::Recorded && settings.cache != Cache::Only;
    let mut problems = Problems::default();
    if asks && settings.max_cost.is_some() {
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
fn priced_as<'a>(version: &'a Version, settings: &Settings) -> (&'a str, Tier) {
    (&version.info.model, version.tier(settings))
}

fn open_versions(root: &Path, prompt: &str, baseline: &Baseline, models: &ModelChoice) -> Result<Versions, Error> {
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
    let mut selection = settings.selection.clone();
    let Some(earlier) = settings.failed else {
        return Ok(selection);
    };
    let number = match earlier {
        Earlier::Newest => None,
        Earlier::Number(number) => Some(number),
    };
    let store = Store::open(&settings.root.join(STORE))?;
    let Some((run, cases)) = store.not_passed(&settings.prompt, number)? else {
        let what = match number {
            Some(number) => format!("the store has no finished run {number}"),
            None => format!("the store has no finished run of `{}`", settings.prompt),
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

/// The folder of the store, below the project root.
const STORE: &str = ".promptgate";

/// For a few calls, one after the other.
fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("the runtime can't start: {error}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 3339 in UTC, whole seconds.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0)
        .unwrap_or(now)
        .format(&Rfc3339)
        .unwrap_or_default()
}
