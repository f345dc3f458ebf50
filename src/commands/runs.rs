//! Looking at runs that are over.

use crate::domain::{Flaky, Problem, Reliability, RunRecord};
use crate::error::Error;
use crate::eval::store_folder::store_folder;
use crate::provider::is_replay;
use crate::stats::repeats::{pass_all, pass_at};
use crate::store::Store;
use std::path::Path;

const LISTED: u32 = 10;

/// The newest runs of a project, at most `most`, newest first. Creates nothing.
pub fn list(root: &Path, most: u32) -> Result<Vec<RunRecord>, Error> {
    match Store::open_existing(&store_folder(root)?)? {
        Some(store) => Ok(store.history(most)?),
        None => Ok(Vec::new()),
    }
}

pub fn recall(root: &Path, number: i64) -> Result<RunRecord, Error> {
    run(&open(root)?, number)
}

/// The flaky cases of a run, at most `most`, the most flaky first. Without a number: of the newest finished run of
/// `candidate`, or of any candidate.
pub fn flaky(
    root: &Path,
    number: Option<i64>,
    candidate: Option<&str>,
    most: usize,
) -> Result<(RunRecord, Flaky), Error> {
    let store = open(root)?;
    let number = match number {
        Some(number) => number,
        None => match store.newest_finished(candidate)? {
            Some(newest) => newest.run,
            None => {
                return Err(Problem::new("the store has no finished run").hint("run `promptgate eval` first").into());
            }
        },
    };
    let run = run(&store, number)?;
    let repeats = complete_repeats(&store, &run)?;
    // Recorded answers are read anew by each run, so over runs one answer would count as several.
    let over_runs = !is_replay(&run.target);
    let mut flaky = store.flaky(number, over_runs, most)?;
    for case in &mut flaky.cases {
        for reliability in [&mut case.baseline, &mut case.candidate].into_iter().flatten() {
            estimate(reliability, repeats);
        }
    }
    Ok((run, flaky))
}

pub(super) fn open(root: &Path) -> Result<Store, Error> {
    let nothing = || Problem::new("there is no store yet, so there are no runs").hint("run `promptgate eval` first");
    Ok(Store::open_existing(&store_folder(root)?)?.ok_or_else(nothing)?)
}

pub(super) fn run(store: &Store, number: i64) -> Result<RunRecord, Error> {
    if let Some(run) = store.recall(number)? {
        return Ok(run);
    }
    let newest: Vec<String> = store.history(LISTED)?.iter().map(|run| run.run.to_string()).collect();
    Err(Problem::new(format!("the store has no run {number}"))
        .hint(match newest.join(", ") {
            none if none.is_empty() => "run `promptgate eval` first".to_owned(),
            newest => format!("the newest runs are {newest}; see `promptgate runs list`"),
        })
        .into())
}

/// The repeats of a run whose outcomes are all in the store.
pub(super) fn complete_repeats(store: &Store, record: &RunRecord) -> Result<u32, Error> {
    let RunRecord { run, facts, concluded, .. } = record;
    let problem = match (facts, concluded) {
        (None, _) => Problem::new(format!("run {run} was made by an older promptgate, which did not note outcomes"))
            .hint("run it again; stored answers are not requested again"),
        (Some(_), None) => Problem::new(format!("run {run} is not decided, so its outcomes are not all known"))
            .hint("finish it with `promptgate eval … --resume`"),
        (Some(facts), Some(_)) => {
            let known = store.cases_remembered(*run)?;
            if known == facts.cases {
                return Ok(facts.repeats);
            }
            Problem::new(format!(
                "the store has outcomes of {known} of the {} cases of run {run}; they are kept of the newest runs only",
                facts.cases
            ))
            .hint("run it again; stored answers are not requested again")
        }
    };
    Err(problem.into())
}

/// What `k` further answers would come to.
fn estimate(reliability: &mut Reliability, k: u32) {
    let (n, passes) = (reliability.history.judged, reliability.history.passed);
    reliability.pass_at_k = pass_at(n, passes, k);
    reliability.pass_all_k = pass_all(n, passes, k);
}
