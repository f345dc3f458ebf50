//! Rules that are in use elsewhere, simulated beside the gate: the table in docs/statistics.md. They block whatever they don't
//! promote.

use super::{Scenario, Shift, passes};
use crate::stats::random::Random;
use rayon::prelude::*;
use statrs::function::factorial::ln_binomial;

/// Passes of a case: baseline, candidate, and the candidate's with its failed answers asked again once.
struct Passes {
    baseline: u32,
    candidate: u32,
    retried: u32,
}

/// Whether a run of `repeats` answers per case and arm is promoted.
type Rule = fn(run: &[Passes], repeats: u32) -> bool;

fn sum(run: &[Passes], of: fn(&Passes) -> u32) -> u32 {
    run.iter().map(of).sum()
}

fn rate(run: &[Passes], repeats: u32) -> f64 {
    f64::from(sum(run, |case| case.candidate)) / (run.len() as f64 * f64::from(repeats))
}

fn all_pass(run: &[Passes], repeats: u32) -> bool {
    run.iter().all(|case| case.candidate == repeats)
}

/// The candidate passes at least as many answers as the baseline.
fn not_lower(run: &[Passes], _repeats: u32) -> bool {
    sum(run, |case| case.candidate) >= sum(run, |case| case.baseline)
}

/// As [`not_lower`], but only the candidate gets a second chance.
fn retry(run: &[Passes], _repeats: u32) -> bool {
    sum(run, |case| case.retried) >= sum(run, |case| case.baseline)
}

/// The candidate's pass rate is lower by at most 5 points.
fn near(run: &[Passes], repeats: u32) -> bool {
    let lost = f64::from(sum(run, |case| case.baseline)) - f64::from(sum(run, |case| case.candidate));
    lost / (run.len() as f64 * f64::from(repeats)) <= 0.05 + 1e-12
}

/// No case turns from mostly passing to mostly failing.
fn no_flip(run: &[Passes], repeats: u32) -> bool {
    let most = repeats / 2 + 1;
    run.iter().all(|case| case.baseline < most || case.candidate >= most)
}

/// McNemar's test (mid-p, one-sided) doesn't show at 5% that more cases got worse than better.
fn mcnemar(run: &[Passes], _repeats: u32) -> bool {
    let wins = run.iter().filter(|case| case.candidate > case.baseline).count() as u64;
    let differing = wins + run.iter().filter(|case| case.candidate < case.baseline).count() as u64;
    let fair = |x: u64| (ln_binomial(differing, x) - differing as f64 * std::f64::consts::LN_2).exp();
    (0..=wins).map(fair).sum::<f64>() - fair(wins) / 2.0 >= 0.05
}

/// Share of 400 runs that the rule promotes.
fn promoted(rule: Rule, cases: u32, repeats: u32, difference: f64) -> f64 {
    const RUNS: u32 = 400;
    let shift = Shift::new(Scenario::Std, difference);
    let promotes = |run: &u32| {
        let mut random = Random::new(1, u64::from(*run));
        let run: Vec<Passes> = (0..cases)
            .map(|_| {
                let chances = shift.case(&mut random);
                let candidate = passes(chances.candidate, repeats, &mut random);
                Passes {
                    candidate,
                    baseline: passes(chances.baseline, repeats, &mut random),
                    retried: candidate + passes(chances.candidate, repeats - candidate, &mut random),
                }
            })
            .collect();
        rule(&run, repeats)
    };
    (0..RUNS).into_par_iter().filter(promotes).count() as f64 / f64::from(RUNS)
}

/// Cells of the published table. 4 standard errors of 400 and 4,000 runs, and a rounding.
#[test]
fn other_rules_are_those_of_the_reference() {
    for (rule, cases, repeats, difference, percent) in [
        (all_pass as Rule, 20, 1, 0.0, 3.5),
        (all_pass, 50, 1, 0.02, 0.0),
        (|run, k| rate(run, k) >= 0.8, 20, 1, -0.05, 62.0),
        (|run, k| rate(run, k) >= 0.8, 200, 3, -0.05, 47.0),
        (|run, k| rate(run, k) >= 0.8475, 200, 3, 0.0, 51.0),
        (not_lower, 20, 1, 0.0, 67.0),
        (not_lower, 200, 3, -0.01, 28.0),
        (near, 20, 1, -0.05, 64.0),
        (near, 200, 3, -0.05, 52.0),
        (no_flip, 50, 1, 0.0, 10.0),
        (mcnemar, 20, 1, -0.05, 94.0),
        (mcnemar, 200, 1, -0.05, 38.0),
        (retry, 200, 1, -0.03, 71.0),
        (retry, 200, 1, -0.05, 36.0),
    ] {
        let want: f64 = percent / 100.0;
        let p = want.clamp(0.005, 0.995);
        let error = 4.0 * (p * (1.0 - p) * (1.0 / 400.0 + 1.0 / 4_000.0)).sqrt() + 0.005;
        let got = promoted(rule, cases, repeats, difference);
        assert!((got - want).abs() < error, "{cases} x {repeats}, {difference}: {got}, want {want}");
    }
}
