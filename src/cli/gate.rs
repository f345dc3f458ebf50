//! `promptgate gate`; here is `simulate`.

use super::gate_calibrate::calibrate;
use super::options::{Gate as Command, Simulate, choice};
use super::terminal::{print_json, print_line};
use crate::commands::{Row, Rule, Scenario, Simulation, UnitGroup};
use crate::config::{Cases, DifferenceRules, Environment, VerdictRules};
use crate::domain::{Problem, Problems, Sequential, Words as _};
use crate::error::Error;
use crate::exit;
use serde_json::{Value, json};

pub(super) fn gate(command: Command, environment: Environment) -> Result<u8, Error> {
    match command {
        Command::Simulate(options) => simulate(options),
        Command::Calibrate(options) => calibrate(options, environment),
    }
}

/// `20x9`: 20 cases of weight 9, or 20 clusters of nine cases.
fn unit_group(option: &str, text: &str) -> Result<UnitGroup, Problem> {
    let parts = text.split_once('x').and_then(|(units, size)| Some((units.parse::<u32>().ok()?, size.parse().ok()?)));
    let (units, size): (u32, u32) = parts.filter(|(units, size)| *units > 0 && *size > 0).ok_or_else(|| {
        Problem::new(format!("{option} {text}")).expected("COUNTxSIZE in whole numbers, like 180x1 20x9")
    })?;
    let cases = if option == "--clusters" { size } else { 1 };
    Ok(UnitGroup { units: units.into(), size: size.into(), cases })
}

fn simulate(options: Simulate) -> Result<u8, Error> {
    let Simulate { n, weights, clusters, scenario: scenario_name, runs, seed, difference, json, settings } = options;
    let mut problems = Problems::default();
    let DifferenceRules { margin, tolerance, alpha, block_alpha, estimand, .. } = settings.group(&mut problems);
    let Cases { repeat, .. } = settings.group(&mut problems);
    let VerdictRules { sequential: early, .. } = settings.group(&mut problems);
    let scenario = choice("--scenario", &scenario_name, Scenario::WORDS).unwrap_or_else(|problem| {
        problems.push(problem);
        Scenario::Std
    });
    let groups = weights.iter().map(|text| ("--weights", text)).chain(clusters.iter().map(|text| ("--clusters", text)));
    let units: Vec<UnitGroup> = groups
        .filter_map(|(option, text)| unit_group(option, text).map_err(|problem| problems.push(problem)).ok())
        .collect();
    problems.or(())?;
    let cases: u64 = units.iter().map(|group| group.units * u64::from(group.cases)).sum();
    let n = if units.is_empty() { n } else { u32::try_from(cases).unwrap_or(u32::MAX) };
    let sequential = if early { Sequential::Looks } else { Sequential::Off };
    let rule = Rule { margin, tolerance, alpha, block_alpha };
    let simulation = Simulation { cases: n, units, repeats: repeat, rule, scenario, estimand, sequential, runs, seed };
    let rows = simulation.table(&difference)?;
    let share = |decided: u32| f64::from(decided) / f64::from(runs);
    if json {
        let row = |row: &Row| {
            let mut shares = json!({
                "difference": row.difference,
                "promote": share(row.promote),
                "block": share(row.block),
                "inconclusive": share(row.inconclusive),
            });
            if early {
                shares["asked"] = row.asked.into();
            }
            shares
        };
        print_json(&json!({
            "schema": "promptgate.simulation/1",
            "cases": n,
            "repeats": repeat,
            "rule": "gate",
            "margin": margin,
            "tolerance": tolerance,
            "alpha": alpha,
            "block_alpha": block_alpha,
            "scenario": scenario,
            "estimand": estimand,
            "sequential": sequential,
            "runs": runs,
            "seed": seed,
            "rows": rows.iter().map(row).collect::<Vec<Value>>(),
        }));
        return Ok(exit::OK);
    }
    print_line(&format!(
        "{n} cases, {repeat} repeats, margin {margin}, tolerance {tolerance}, alpha {alpha}, block_alpha {block_alpha}"
    ));
    print_line(&format!("scenario {scenario_name}, estimand {}, {runs} runs a row, seed {seed}", estimand.as_str()));
    let looks = if early { "     cases run" } else { "" };
    print_line(&format!("true difference   promote     block   inconclusive{looks}"));
    for row in rows {
        // Adding 0 makes -0 plain.
        let points = (row.difference * 1000.0).round() / 10.0 + 0.0;
        let asked = if early { format!("  {:>10.1}%", row.asked * 100.0) } else { String::new() };
        print_line(&format!(
            "{points:>+8.1} points  {:>7.1}%  {:>7.1}%  {:>12.1}%{asked}",
            share(row.promote) * 100.0,
            share(row.block) * 100.0,
            share(row.inconclusive) * 100.0
        ));
    }
    Ok(exit::OK)
}
