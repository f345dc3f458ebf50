//! Several candidates in one call: each has its own run, one after the other, over one store and one baseline; the best is picked.
//!
//! Picking the best of m is m chances to be lucky, so each run is decided among m (`gate::looks`). All are prepared before
//! anything is sent, so that all mistakes are told at once. What ends one run before its end (a signal, a spent budget, a
//! service that is down) ends the call: nobody knows what the others would have come to, so nothing is promoted.

use super::context::{EvalContext, RunKind};
use super::forecast::{Forecast, forecast};
use super::interrupt::Interrupt;
use super::prepare::prepare;
use super::prior_runs::PriorRuns;
use super::run::{RunResult, run};
use super::run_state::RunHooks;
use super::store_folder::store_folder;
use crate::config::{ArmSettings, Settings};
use crate::domain::{
    Candidate, CandidateLine, CaseRow, Completion, Decision, Problem, Problems, Progress, Reason, ReasonCode, RunInfo,
    Verdict,
};
use crate::error::Error;
use crate::exit;
use crate::report::{self, OutputDir, Redactor, ReportError};
use crate::store::Store;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub trait CandidateObserver {
    /// A candidate's run begins; returns what is told of its way.
    fn begin(&mut self, number: usize, run: &RunInfo) -> Arc<dyn Progress>;

    /// The next judged case of this run, in plan order.
    fn case(&mut self, row: &CaseRow);

    /// The run is over; its reports are in `folder`.
    fn end(&mut self, finished: &RunResult, folder: &Path);

    /// A sentence worth showing on the way.
    fn print(&self, sentence: &str);
}

/// What a call with several candidates came to.
#[derive(Debug)]
pub struct CandidatesResult {
    pub verdict: Verdict,
    pub unwritten: Vec<ReportError>,
    pub exit_code: u8,
    pub redactor: Redactor,
}

pub fn each_candidate(settings: &Settings) -> Vec<Settings> {
    let of = |candidate: &Candidate| Settings {
        arms: ArmSettings { prompt: candidate.name.clone(), ..settings.arms.clone() },
        ..settings.clone()
    };
    settings.arms.candidates.iter().map(of).collect()
}

/// Prepares all candidates. Sends nothing.
pub fn prepare_all(each: &[Settings]) -> Result<Vec<EvalContext<'_>>, Error> {
    let candidates = u32::try_from(each.len()).unwrap_or(u32::MAX);
    let mut prepared = Vec::with_capacity(each.len());
    let mut problems = Problems::default();
    let mut other = None;
    for settings in each {
        match prepare(settings, RunKind::Gate { candidates }) {
            Ok(one) => prepared.push(one),
            Err(Error::Invalid(found)) => {
                for problem in found.iter() {
                    if !problems.iter().any(|known| known == problem) {
                        problems.push(problem.clone());
                    }
                }
            }
            Err(error) => {
                other.get_or_insert(error);
            }
        }
    }
    problems.or(())?;
    match other {
        Some(error) => Err(error),
        None => Ok(prepared),
    }
}

/// What each run would send. The baseline is asked once: with the run whose part of it is the largest.
pub fn forecast_all(prepared: &[EvalContext<'_>]) -> Result<Vec<Forecast>, Error> {
    let mut forecasts: Vec<Forecast> = prepared.iter().map(forecast).collect::<Result<_, _>>()?;
    let asks = |forecast: &Forecast| forecast.baseline.as_ref().map_or(0, |arm| arm.planned);
    let most = forecasts.iter().map(asks).max().unwrap_or_default();
    let with = forecasts.iter().position(|forecast| asks(forecast) == most);
    for (number, forecast) in forecasts.iter_mut().enumerate() {
        if Some(number) != with {
            forecast.baseline = None;
        }
    }
    Ok(forecasts)
}

/// Runs all candidates, picks one, and writes the reports of the call into `folder`, verdict.json last.
pub fn eval_all(
    prepared: Vec<EvalContext<'_>>,
    candidates: &[Candidate],
    folder: &OutputDir,
    interrupt: &Interrupt,
    watcher: &mut dyn CandidateObserver,
) -> Result<CandidatesResult, Error> {
    let parts = candidates
        .iter()
        .map(|candidate| folder.part(&candidate.folder))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Problem::from)?;
    let mut prior = PriorRuns::default();
    let mut runs = Vec::new();
    for (number, (mut one, part)) in prepared.into_iter().zip(parts).enumerate() {
        if number == 0 {
            prior.since = Store::open(&store_folder(&one.settings.root)?)?.newest_answer()?;
        }
        one.prior = prior.clone();
        let redactor = one.redactor().clone();
        let progress = watcher.begin(number, one.run_info());
        let path = part.path().to_owned();
        let observer = std::cell::RefCell::new(&mut *watcher);
        let hooks = RunHooks { progress: &progress, interrupt, print: &|sentence| observer.borrow().print(sentence) };
        let finished = run(one, part, hooks, &mut |row| observer.borrow_mut().case(row))?;
        watcher.end(&finished, &path);
        prior.spent = finished.spent;
        let whole = is_whole(&finished.verdict) && interrupt.code().is_none();
        prior.runs.push(Arc::clone(&finished.as_prior));
        runs.push(CandidateRun { result: finished, part: path, redactor });
        if !whole {
            break;
        }
    }
    conclude(runs, candidates, folder, interrupt)
}

struct CandidateRun {
    result: RunResult,
    part: PathBuf,
    redactor: Redactor,
}

fn is_whole(verdict: &Verdict) -> bool {
    let early = |reason: &Reason| matches!(reason.code, ReasonCode::Budget | ReasonCode::Stopped | ReasonCode::Store);
    matches!(verdict.completion, Completion::Complete | Completion::Shard) && !verdict.reasons.iter().any(early)
}

fn conclude(
    mut runs: Vec<CandidateRun>,
    candidates: &[Candidate],
    folder: &OutputDir,
    interrupt: &Interrupt,
) -> Result<CandidatesResult, Error> {
    let nothing = || Problem::new("no candidate was run");
    let last = runs.len().checked_sub(1).ok_or_else(nothing)?;
    let whole = runs.len() == candidates.len() && is_whole(&runs[last].result.verdict) && interrupt.code().is_none();
    let verdicts: Vec<&Verdict> = runs.iter().map(|ran| &ran.result.verdict).collect();
    let chosen = if whole { best(&verdicts).unwrap_or(last) } else { last };
    let lines = lines(&runs, candidates, chosen);
    let unwritten = runs.iter().any(|ran| !ran.result.unwritten.is_empty());
    let codes: Vec<u8> = runs.iter().map(|ran| ran.result.exit_code).collect();
    let redactor = Redactor::default();
    runs.iter().for_each(|ran| redactor.add_all(&ran.redactor));
    let CandidateRun { result, part, .. } = runs.swap_remove(chosen);
    let RunResult { run, mut verdict, results, .. } = result;
    verdict.candidates = lines;
    if !whole {
        ended_early(&mut verdict, &candidates[last].name, &candidates[last + 1..]);
    } else if !run.gated {
        // Nothing is decided, and all that could not be answered shows.
        verdict.exit_code = codes.into_iter().find(|code| *code != exit::OK).unwrap_or(exit::OK);
    }
    if let Some(signal) = interrupt.code() {
        verdict.exit_code = signal;
        verdict.promotable = false;
    }
    let unwritten = report::publish(folder, &part, &redactor, &mut verdict, results.as_ref(), unwritten);
    Ok(CandidatesResult { exit_code: verdict.exit_code, verdict, unwritten, redactor })
}

/// The one whose verdict is the call's: of those that promote the one that looks best; else of the inconclusive ones, else of
/// the blocked ones. Of equals the first.
fn best(verdicts: &[&Verdict]) -> Option<usize> {
    let rank = |verdict: &Verdict| match verdict.decision {
        Decision::Promote => 3,
        Decision::Inconclusive => 2,
        Decision::Unchanged => 1,
        Decision::Block => 0,
    };
    // Of equals `max_by` takes the last.
    (0..verdicts.len()).rev().max_by(|one, other| {
        let (one, other) = (verdicts[*one], verdicts[*other]);
        rank(one).cmp(&rank(other)).then(observed_gain(one).total_cmp(&observed_gain(other)))
    })
}

/// How good it looks: the observed difference, without a baseline the pass rate. The same requests are no difference.
fn observed_gain(verdict: &Verdict) -> f64 {
    let identical = verdict.reasons.iter().any(|reason| reason.code == ReasonCode::Identical);
    match (&verdict.difference, &verdict.rates.candidate) {
        (Some(found), _) => found.estimate,
        (None, _) if identical => 0.0,
        (None, Some(rate)) if verdict.baseline.is_none() => rate.pass,
        (None, _) => f64::NEG_INFINITY,
    }
}

fn lines(runs: &[CandidateRun], candidates: &[Candidate], chosen: usize) -> Vec<CandidateLine> {
    let line = |(number, candidate): (usize, &Candidate)| {
        let ran = runs.get(number);
        let verdict = ran.map(|ran| &ran.result.verdict);
        let written = ran.is_some_and(|ran| ran.part.join("verdict.json").is_file());
        CandidateLine {
            name: candidate.name.clone(),
            decision: verdict.map(|verdict| verdict.decision),
            promotable: ran.is_some_and(|ran| ran.result.verdict.promotable && ran.result.unwritten.is_empty()),
            difference: verdict.and_then(|verdict| verdict.difference),
            chosen: number == chosen,
            path: written.then(|| format!("{}/verdict.json", candidate.folder)),
            rate: verdict.and_then(|verdict| verdict.rates.candidate),
            cost_usd: verdict.and_then(|verdict| verdict.cost_usd),
        }
    };
    candidates.iter().enumerate().map(line).collect()
}

/// A call that did not come to its end is inconclusive, whatever single candidates came to.
fn ended_early(verdict: &mut Verdict, last: &str, missing: &[Candidate]) {
    let code = match verdict.completion {
        Completion::Budget => ReasonCode::Budget,
        Completion::StoreFailed => ReasonCode::Store,
        Completion::Complete | Completion::Shard | Completion::Interrupted | Completion::Stopped => ReasonCode::Stopped,
    };
    let names: Vec<String> = missing.iter().map(|candidate| format!("`{}`", candidate.name)).collect();
    let not_run = match names.as_slice() {
        [] => String::new(),
        [one] => format!(", and {one} was not run"),
        many => format!(", and {} were not run", many.join(", ")),
    };
    let message = format!(
        "the call ended with `{last}`{not_run}: which of the candidates is the best is not known; run again with --resume, and what \
         is there is not asked again"
    );
    verdict.reasons.insert(0, Reason { code, message, cases: Vec::new() });
    verdict.sentence = format!(
        "Not enough is known yet to pick one of the candidates: the call ended with `{last}`, before all of them were judged."
    );
    verdict.decision = Decision::Inconclusive;
    verdict.exit_code = exit::INCONCLUSIVE;
    verdict.promotable = false;
}
