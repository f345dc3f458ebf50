//! One run, from its first request to its reports.

use super::STORE;
use super::approvals::Approvals;
use super::history::Remembering;
use super::interrupt::Interrupt;
use super::judges::{Asker, Consulted};
use super::must_pass::{self, Confirming};
use super::prepare::{Prepared, priced_as};
use super::prior_runs::RunOfCall;
use super::request_pass;
use super::sample_walk::Round;
use super::score_pass::{self, JudgedRun, Judging};
use super::sequential::{self, Upto};
use super::verdict;
use crate::config::{Cache, TargetKind};
use crate::domain::{
    Case, CaseRow, DecidingJudges, Decision, Design, Event, Look, LooksBefore, Progress, ResultsFile, RunInfo, Verdict,
};
use crate::error::Error;
use crate::exit;
use crate::gate::{self, Completion, Decided, Facts};
use crate::report::{OutputDir, ReportError, Reports};
use crate::runner::{Ended, RunEnd, Taken};
use crate::store::{OpenRun, RunStatus, Store};
use std::sync::Arc;

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
    pub(crate) taken: Taken,
    /// Where later runs of its call find its answers.
    pub(crate) of_call: RunOfCall,
    /// results.jsonl, if it was written.
    pub(crate) results: Option<ResultsFile>,
}

/// A run that is asked, and what it came to so far.
pub(crate) struct Asked<'r> {
    pub(crate) store: &'r Store,
    pub(crate) open_run: &'r OpenRun,
    pub(crate) progress: &'r Arc<dyn Progress>,
    pub(crate) interrupt: &'r Interrupt,
    pub(crate) say: &'r dyn Fn(&str),
    pub(crate) confirming: Confirming,
    /// What its answers took of the limits, with earlier runs of the call.
    pub(crate) taken: Taken,
    /// How asking ended.
    pub(crate) end: RunEnd,
    /// What its judges were asked.
    pub(crate) consulted: Consulted,
}

/// What a look came to.
struct AtLook {
    decided: Decided,
    completion: Completion,
    before: LooksBefore,
    deciding: DecidingJudges,
}

impl Prepared<'_> {
    /// Asks, judges, decides and reports. `watch` sees every judged case in plan order; `say` takes sentences worth showing
    /// on the way.
    ///
    /// # Errors
    /// Nobody can sign in at the service, the store is not usable, or the golden files changed meanwhile.
    pub fn eval(
        mut self,
        folder: OutputDir,
        progress: &Arc<dyn Progress>,
        interrupt: &Interrupt,
        watch: &mut dyn FnMut(&CaseRow),
        say: &dyn Fn(&str),
    ) -> Result<Finished, Error> {
        if self.settings.run.cache != Cache::Only {
            self.target.sign_in()?;
        }
        let store = Store::open(&self.settings.root.join(STORE))?;
        let open_run = self.open_run(&store, say)?;
        self.describe(&store, &open_run)?;
        interrupt.end_cleanly();
        let mut reports = Reports::open(folder, self.target.redactor.clone());
        reports.begin(&self.run);

        let mut asked = self.ask_first(&store, &open_run, progress, interrupt, say)?;
        self.confirm(&mut asked)?;
        let (looks, upto) = self.look_on_the_way(&mut asked)?;
        self.stop_asking(&mut asked)?;
        if let Ended::Stopped(failure) = &asked.end.ended {
            progress.on(&Event::Stopping {
                reason: failure.message.clone(),
            });
        }

        let mut approvals = Approvals::new(self.settings, &self.run, &self.target.redactor);
        let mut remembering = Remembering::new(&store, open_run.id, self.plan);
        let judged = self.judge(&mut asked, upto, &mut |row| {
            remembering.case(row);
            reports.case(row);
            approvals.case(row);
            watch(row);
        })?;
        approvals.tell(say);
        // A simulator under another target's name is still a simulator, and so is one that judges.
        self.run.simulated |= judged.simulated > 0 || judged.judges.simulated;
        self.run.look = self.look(looks);
        let at_look = self.decide(&judged, &asked, &self.run.look)?;
        self.note_look(&asked, &at_look);

        let ended = if asked.end.ended == Ended::Complete && judged.unanswered == 0 {
            RunStatus::Complete
        } else {
            RunStatus::Incomplete
        };
        let taken = judged.judges.beside(asked.taken);
        let of_call = RunOfCall::new(open_run.id.number(), self.plan, &self.versions);
        let facts = Facts {
            whole_run: at_look.completion,
            judges: Some(&at_look.deciding),
            before: &at_look.before,
            ..self.facts(&asked.end, interrupt)
        };
        let verdict = verdict::assemble(&self, judged, at_look.decided, &facts, interrupt.code());
        let results = reports.results();
        let unwritten = reports.finish(&verdict);
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
            taken,
            of_call,
            results: results.get().cloned(),
        })
    }

    /// Asks for what is planned, up to the first look.
    ///
    /// # Errors
    /// The store can't be read, or the golden files changed meanwhile.
    pub(crate) fn ask_first<'r>(
        &self,
        store: &'r Store,
        open_run: &'r OpenRun,
        progress: &'r Arc<dyn Progress>,
        interrupt: &'r Interrupt,
        say: &'r dyn Fn(&str),
    ) -> Result<Asked<'r>, Error> {
        let confirming = Confirming::new(self.settings);
        progress.on(&Event::Planned {
            answers: self.survey.answers_upto(&self.plan, &confirming, 1),
        });
        let walking = self.walking(Some(store), Some(open_run), &confirming, self.round(0));
        let mut taken = self.call.taken;
        let end = request_pass::ask(&walking, store, open_run, taken, progress, interrupt)?;
        taken.add(&end);
        let watched = interrupt.clone();
        self.commands.end_when(move || watched.code().is_some());
        Ok(Asked {
            store,
            open_run,
            progress,
            interrupt,
            say,
            confirming,
            taken,
            end,
            consulted: Consulted {
                cost_usd: Some(0.0),
                ..Consulted::default()
            },
        })
    }

    /// Asks again for the must-pass cases of which an answer failed.
    fn confirm(&self, asked: &mut Asked<'_>) -> Result<(), Error> {
        if !asked.confirming.possible || self.survey.critical == 0 || asked.end.ended != Ended::Complete {
            return Ok(());
        }
        let (failed, consulted) = must_pass::failed(&self.judging(asked, Upto::END), self.asker(asked))?;
        asked.consulted = consulted;
        if failed.is_empty() || asked.consulted.ended.is_some() {
            return Ok(());
        }
        asked.confirming.note(failed);
        (asked.say)(&asked.confirming.announcement());
        self.ask_more(asked, Round::Confirming, 1)
    }

    /// Takes the looks before the last one, and asks for what the next one needs until one of them decides. Returns the
    /// number of looks, and the cases that the decision goes by.
    fn look_on_the_way(&self, asked: &mut Asked<'_>) -> Result<(usize, Upto<'_>), Error> {
        let mut looks = 1;
        while let Some(schedule) = &self.survey.schedule
            && looks < schedule.looks()
            && asked.end.ended == Ended::Complete
            && asked.consulted.ended.is_none()
        {
            let upto = Upto::looks(schedule, looks);
            let wanted = |index, case: &Case| upto.asks(index, case);
            let judged =
                score_pass::judge_some(&self.judging(asked, upto), self.asker(asked), &wanted, &mut |_, _| {})?;
            if let Some(ended) = cut_short(&judged, asked.say) {
                asked.end.ended = ended;
                asked.consulted = judged.judges;
                break;
            }
            let decision = self.decide(&judged, asked, &self.look(looks))?.decided.decision;
            asked.consulted = judged.judges;
            if decision != Decision::Inconclusive {
                (asked.say)(&sequential::announcement(decision, looks, schedule));
                return Ok((looks, upto));
            }
            looks += 1;
            self.ask_more(asked, self.round(looks - 1), looks)?;
        }
        // Without an early decision the run is decided at its end, whether it came that far or not.
        Ok((self.survey.looks(), Upto::END))
    }

    /// Asks for the answers of one more round.
    fn ask_more(&self, asked: &mut Asked<'_>, round: Round, looks: usize) -> Result<(), Error> {
        let Asked {
            store,
            open_run,
            progress,
            interrupt,
            ..
        } = *asked;
        progress.on(&Event::Planned {
            answers: self.survey.answers_upto(&self.plan, &asked.confirming, looks),
        });
        let walking = self.walking(Some(store), Some(open_run), &asked.confirming, round);
        let used = asked.consulted.beside(asked.taken);
        let more = request_pass::ask(&walking, store, open_run, used, progress, interrupt)?;
        asked.taken.add(&more);
        asked.end = asked.end.clone().and(more);
        Ok(())
    }

    /// Gives back what the service keeps for the run, and tells of what goes on there.
    ///
    /// # Errors
    /// The runtime can't start.
    pub(crate) fn stop_asking(&self, asked: &mut Asked<'_>) -> Result<(), Error> {
        asked.progress.on(&Event::Done);
        if self.settings.provider.batch.is_some() {
            self.tell_of_jobs(asked.store, asked.open_run, asked.say);
        }
        // A run that has ended early is not judged to its end for money: --resume asks the judges, too.
        if asked.end.ended != Ended::Complete {
            asked.consulted.ended.get_or_insert(asked.end.ended.clone());
        }
        Ok(())
    }

    /// Judges all cases that the decision goes by, and hands each row out in plan order.
    fn judge(&self, asked: &mut Asked<'_>, upto: Upto<'_>, each: &mut dyn FnMut(&CaseRow)) -> Result<JudgedRun, Error> {
        let judged = score_pass::judge(&self.judging(asked, upto), self.asker(asked), each)?;
        let say = asked.say;
        if judged.stale > 0 {
            say(&format!(
                "warning: {} answers were stored more than a day ago, so the verdict counts as replayed; --cache refresh \
                 asks anew",
                judged.stale
            ));
        }
        if let Some(ended) = &judged.judges.ended
            && asked.end.ended == Ended::Complete
        {
            tell_of_judge(ended, say);
            asked.end.ended = ended.clone();
        }
        if let Some(message) = &judged.store_failed {
            say(&format!("error: {message}"));
        }
        Ok(judged)
    }

    /// Remembers the look, if it is one that counts.
    fn note_look(&self, asked: &Asked<'_>, at_look: &AtLook) {
        let Prepared { settings, attempt, .. } = self;
        if at_look.before == LooksBefore::Clear
            && let Some(look) = attempt.record(
                asked.open_run,
                settings.gate.gated,
                &at_look.decided,
                &settings.gate.policy,
            )
            && let Err(error) = attempt.note(asked.store, &look)
        {
            (asked.say)(&format!(
                "warning: {error}, so that a later run may take itself for the first look"
            ));
        }
    }

    /// How the comparison is laid out.
    pub(crate) fn design(&self) -> Design {
        Design {
            repeats: self.plan.repeats,
            baseline: self.plan.baseline,
            identical: self.survey.identical,
            metric: self.settings.gate.policy.metric,
            estimand: self.settings.gate.policy.estimand,
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

    /// Decides by what was judged.
    fn decide(&self, judged: &JudgedRun, asked: &Asked<'_>, look: &Look) -> Result<AtLook, Error> {
        let Asked {
            store,
            open_run,
            interrupt,
            end,
            ..
        } = asked;
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
            decided: gate::decide(&self.settings.gate.policy, &judged.comparison, &facts),
            before,
            deciding,
        })
    }

    /// What is judged.
    pub(crate) fn judging<'j>(&'j self, asked: &'j Asked<'_>, upto: Upto<'j>) -> Judging<'j> {
        let Prepared { settings, versions, .. } = self;
        Judging {
            selection: &self.selection,
            survey: &self.survey,
            versions,
            plan: self.plan,
            design: self.design(),
            rules: &self.rules,
            confirming: &asked.confirming,
            upto,
            commands: &self.commands,
            store: asked.store,
            run: asked.open_run.id,
            ended: &asked.end.ended,
            prices: &settings.prices,
            policy: &settings.gate.policy,
            quarantine: &self.quarantine,
            models: (
                versions.baseline.as_ref().map(|version| priced_as(version, settings)),
                priced_as(&versions.candidate, settings),
            ),
        }
    }

    /// Who asks the judges.
    pub(crate) fn asker<'j>(&'j self, asked: &Asked<'j>) -> Asker<'j> {
        Asker {
            judges: &self.judges,
            embedders: &self.embedders,
            settings: self.settings,
            store: asked.store,
            limits: request_pass::limits(self.settings),
            answers_took: asked.taken,
            run: asked.open_run.id,
            interrupt: asked.interrupt,
            so_far: asked.consulted.clone(),
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
            gated: self.settings.gate.gated,
            whole_run,
            confirms: self.settings.provider.target != TargetKind::Recorded,
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
}

/// Why what was judged on the way can't be decided by.
fn cut_short(judged: &JudgedRun, say: &dyn Fn(&str)) -> Option<Ended> {
    if let Some(message) = &judged.store_failed {
        return Some(Ended::StoreFailed(message.clone()));
    }
    let ended = judged.judges.ended.clone()?;
    tell_of_judge(&ended, say);
    Some(ended)
}

fn tell_of_judge(ended: &Ended, say: &dyn Fn(&str)) {
    if let Ended::Stopped(failure) = ended {
        say(&format!("error: the judge can't be asked: {}", failure.message));
    }
}
