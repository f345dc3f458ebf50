//! Looking at runs that are over.

use crate::domain::{Flaky, Problem, Reliability, RunRecord};
use crate::error::Error;
use crate::eval::STORE;
use crate::store::Store;
use std::path::Path;

/// Runs that a message lists.
const LISTED: u32 = 10;

/// The newest runs of a project, at most `most`, newest first. Creates nothing.
///
/// # Errors
/// The store can't be read.
pub fn list(root: &Path, most: u32) -> Result<Vec<RunRecord>, Error> {
    match Store::open_existing(&root.join(STORE))? {
        Some(store) => Ok(store.history(most)?),
        None => Ok(Vec::new()),
    }
}

/// What is remembered of a run.
///
/// # Errors
/// There is no such run, or the store can't be read.
pub fn recall(root: &Path, number: i64) -> Result<RunRecord, Error> {
    run(&open(root)?, number)
}

/// The flaky cases of a run, at most `most`, the most flaky first. Without a number: of the newest finished run of
/// `candidate`, or of any candidate.
///
/// # Errors
/// There is no such run, its outcomes are not in the store, or the store can't be read.
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
            Some(newest) => newest.number,
            None => {
                return Err(Problem::new("the store has no finished run")
                    .hint("run `promptgate eval` first")
                    .into());
            }
        },
    };
    let run = run(&store, number)?;
    let repeats = remembered(&store, &run)?;
    // Recorded answers are read anew by each run, so over runs one answer would count as several.
    let over_runs = !run.target.starts_with("recorded");
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
    Ok(Store::open_existing(&root.join(STORE))?.ok_or_else(nothing)?)
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
pub(super) fn remembered(store: &Store, record: &RunRecord) -> Result<u32, Error> {
    let RunRecord {
        run, facts, concluded, ..
    } = record;
    let problem = match (facts, concluded) {
        (None, _) => Problem::new(format!(
            "run {run} was made by an older promptgate, which did not note outcomes"
        ))
        .hint("run it again; answers that are stored are not asked for again"),
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
            .hint("run it again; answers that are stored are not asked for again")
        }
    };
    Err(problem.into())
}

/// What `k` further answers would come to.
fn estimate(reliability: &mut Reliability, k: u32) {
    let (n, passes) = (reliability.history.judged, reliability.history.passed);
    reliability.pass_at_k = all_of(n, n.saturating_sub(passes), k).map(|none| 1.0 - none);
    reliability.pass_all_k = all_of(n, passes, k);
}

/// The chance that k of n answers, drawn without putting back, are all among `marked`: `C(marked, k) / C(n, k)`. With the
/// passing ones marked this is pass^k (S. Yao et al., arXiv:2406.12045), with the failing ones 1 - pass@k (M. Chen et al.,
/// arXiv:2107.03374). `None` where k is 0 or more than n.
fn all_of(n: u32, marked: u32, k: u32) -> Option<f64> {
    (1..=n).contains(&k).then(|| {
        (0..k)
            .map(|i| f64::from(marked.saturating_sub(i)) / f64::from(n - i))
            .product()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Passes;

    #[test]
    fn seven_of_ten() {
        let mut reliability = Reliability {
            history: Passes { judged: 10, passed: 7 },
            ..Reliability::default()
        };
        estimate(&mut reliability, 3);
        assert!((reliability.pass_at_k.unwrap() - 0.991_666_666_666_666_7).abs() < 1e-15);
        assert!((reliability.pass_all_k.unwrap() - 0.291_666_666_666_666_7).abs() < 1e-15);
        estimate(&mut reliability, 11);
        assert_eq!((reliability.pass_at_k, reliability.pass_all_k), (None, None));
        estimate(&mut reliability, 0);
        assert_eq!(reliability.pass_at_k, None);
        estimate(&mut reliability, 8);
        assert_eq!((reliability.pass_at_k, reliability.pass_all_k), (Some(1.0), Some(0.0)));
    }
}
