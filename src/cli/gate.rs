//! `promptgate gate`; here is `simulate`.

use super::gate_calibrate::calibrate;
use super::options::{Gate as Command, Simulate};
use super::say;
use crate::commands::{self, SimulateRequest};
use crate::config::Environment;
use crate::domain::Sequential;
use crate::error::Error;
use crate::exit;
use crate::report::text;
use serde_json::{Value, json};

pub(super) fn gate(command: Command, environment: Environment) -> Result<u8, Error> {
    match command {
        Command::Simulate(options) => simulate(&options),
        Command::Calibrate(options) => calibrate(options, environment),
    }
}

fn simulate(options: &Simulate) -> Result<u8, Error> {
    let sequential = match options.sequential {
        true => Sequential::Looks,
        false => Sequential::Off,
    };
    let early = sequential != Sequential::Off;
    let rows = commands::simulate(&SimulateRequest {
        cases: options.n,
        repeats: options.repeat,
        margin: options.margin,
        tolerance: options.tolerance,
        alpha: options.alpha,
        scenario: &options.scenario,
        estimand: &options.estimand,
        sequential,
        runs: options.runs,
        seed: options.seed,
        differences: &options.difference,
    })?;
    if options.json {
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                let mut shown = json!({
                    "difference": row.difference,
                    "promote": row.promote,
                    "block": row.block,
                    "inconclusive": row.inconclusive,
                });
                if early {
                    shown["asked"] = row.asked.into();
                }
                shown
            })
            .collect();
        let document = json!({
            "schema": "promptgate.simulation/1",
            "cases": options.n,
            "repeats": options.repeat,
            "rule": "gate",
            "margin": options.margin,
            "tolerance": options.tolerance,
            "alpha": options.alpha,
            "scenario": options.scenario,
            "estimand": options.estimand,
            "sequential": sequential,
            "runs": options.runs,
            "seed": options.seed,
            "rows": rows,
        });
        let pretty = serde_json::to_string_pretty(&document).unwrap_or_default();
        say(&text::json_safe(&pretty));
        return Ok(exit::OK);
    }
    say(&format!(
        "{} cases, {} repeats, margin {}, tolerance {}, alpha {}",
        options.n, options.repeat, options.margin, options.tolerance, options.alpha
    ));
    say(&format!(
        "scenario {}, estimand {}, {} runs a row, seed {}",
        options.scenario, options.estimand, options.runs, options.seed
    ));
    let looks = if early { "   cases asked" } else { "" };
    say(&format!("true difference   promote     block   inconclusive{looks}"));
    for row in rows {
        // Adding 0 makes -0 plain.
        let points = (row.difference * 1000.0).round() / 10.0 + 0.0;
        let asked = match early {
            true => format!("  {:>10.1}%", row.asked * 100.0),
            false => String::new(),
        };
        say(&format!(
            "{points:>+8.1} points  {:>7.1}%  {:>7.1}%  {:>12.1}%{asked}",
            row.promote * 100.0,
            row.block * 100.0,
            row.inconclusive * 100.0
        ));
    }
    Ok(exit::OK)
}
