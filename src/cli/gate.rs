//! `promptgate gate`; here is `simulate`.

use super::gate_calibrate::calibrate;
use super::options::{Gate as Command, Simulate, choice};
use super::terminal::{print_json, print_line};
use crate::commands::{Row, Rule, Scenario, Simulation};
use crate::config::{Cases, DifferenceRules, Environment, VerdictRules};
use crate::domain::{Problems, Sequential, Words as _};
use crate::error::Error;
use crate::exit;
use serde_json::{Value, json};

pub(super) fn gate(command: Command, environment: Environment) -> Result<u8, Error> {
    match command {
        Command::Simulate(options) => simulate(options),
        Command::Calibrate(options) => calibrate(options, environment),
    }
}

fn simulate(options: Simulate) -> Result<u8, Error> {
    let Simulate { n, scenario: scenario_name, runs, seed, difference, json, settings } = options;
    let mut problems = Problems::default();
    let DifferenceRules { margin, tolerance, alpha, estimand, .. } = settings.group(&mut problems);
    let Cases { repeat, .. } = settings.group(&mut problems);
    let VerdictRules { sequential: early, .. } = settings.group(&mut problems);
    let scenario = choice("--scenario", &scenario_name, Scenario::WORDS).unwrap_or_else(|problem| {
        problems.push(problem);
        Scenario::Std
    });
    problems.or(())?;
    let sequential = if early { Sequential::Looks } else { Sequential::Off };
    let rule = Rule { margin, tolerance, alpha };
    let simulation = Simulation { cases: n, repeats: repeat, rule, scenario, estimand, sequential, runs, seed };
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
            "scenario": scenario,
            "estimand": estimand,
            "sequential": sequential,
            "runs": runs,
            "seed": seed,
            "rows": rows.iter().map(row).collect::<Vec<Value>>(),
        }));
        return Ok(exit::OK);
    }
    print_line(&format!("{n} cases, {repeat} repeats, margin {margin}, tolerance {tolerance}, alpha {alpha}"));
    print_line(&format!("scenario {scenario_name}, estimand {}, {runs} runs a row, seed {seed}", estimand.as_str()));
    let looks = if early { "   cases asked" } else { "" };
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
