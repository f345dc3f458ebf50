//! `gate simulate`: how often the gate decides what, before anything is asked.

use crate::domain::{Problem, Problems, Sequential};
use crate::error::Error;
use crate::gate::simulate::{Estimand, Row, Scenario, Simulation};
use crate::stats::rule::Rule;

/// What to simulate, with names as they were typed.
#[derive(Clone, Debug)]
pub struct SimulateRequest<'a> {
    /// Cases of a run.
    pub cases: u32,
    /// Repeats of each, in both arms.
    pub repeats: u32,
    /// The loss that has to be excluded.
    pub margin: f64,
    /// The loss that still goes unblocked.
    pub tolerance: f64,
    /// Error of each test.
    pub alpha: f64,
    /// Name of a scenario.
    pub scenario: &'a str,
    /// What is estimated: `population` or `dataset`.
    pub estimand: &'a str,
    /// Whether the runs may end early.
    pub sequential: Sequential,
    /// Runs a row.
    pub runs: u32,
    /// Seed of the random numbers.
    pub seed: u64,
    /// True differences, candidate - baseline; a row each.
    pub differences: &'a [f64],
}

/// How often the gate decided what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulationRow {
    /// The true difference.
    pub difference: f64,
    /// Share of runs that promote.
    pub promote: f64,
    /// Share of runs that block.
    pub block: f64,
    /// Share of runs that wait for more.
    pub inconclusive: f64,
    /// Mean share of the cases that were asked.
    pub asked: f64,
}

/// Simulates the gate.
///
/// # Errors
/// A name that is none, or a number out of its bounds.
pub fn simulate(request: &SimulateRequest<'_>) -> Result<Vec<SimulationRow>, Error> {
    let mut problems = Problems::default();
    let scenario = named("scenario", request.scenario, &Scenario::ALL, &mut problems);
    let estimand = named("estimand", request.estimand, &Estimand::ALL, &mut problems);
    let (Some(scenario), Some(estimand)) = (scenario, estimand) else {
        return Err(problems.into());
    };
    let simulation = Simulation {
        cases: request.cases,
        repeats: request.repeats,
        rule: Rule { margin: request.margin, tolerance: request.tolerance, alpha: request.alpha },
        scenario,
        estimand,
        sequential: request.sequential,
        runs: request.runs,
        seed: request.seed,
    };
    let share = |runs: u32| f64::from(runs) / f64::from(request.runs);
    let shares = |row: Row| SimulationRow {
        difference: row.difference,
        promote: share(row.promote),
        block: share(row.block),
        inconclusive: share(row.inconclusive),
        asked: row.asked,
    };
    Ok(simulation.table(request.differences)?.into_iter().map(shares).collect())
}

fn named<T: Copy>(option: &str, name: &str, known: &[(&'static str, T)], problems: &mut Problems) -> Option<T> {
    let found = known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let problem = Problem::new(format!("--{option}: there is no {option} `{name}`")).expected(names.join(", "));
        problems.push(problem.did_you_mean(name, names));
    }
    found
}
