//! `promptgate runs list | show | flaky`, and `promptgate compare`.

use super::options::{Compare, Runs as Command};
use super::record::number;
use super::terminal::print_line;
use crate::commands;
use crate::config::Environment;
use crate::domain::{Policy, Problem, Sequential};
use crate::error::Error;
use crate::exit;
use crate::report::runs;
use std::path::Path;

const MOST: u32 = 1_000;

pub(super) fn runs(command: Command, environment: Environment) -> Result<u8, Error> {
    let root = Path::new(".");
    match command {
        Command::List { limit, json } => {
            let list = commands::list(root, bounded(&limit)?)?;
            print_line(&match (json, list.is_empty()) {
                (true, _) => runs::list_json(&list),
                (false, true) => "no run yet".to_owned(),
                (false, false) => runs::list(&list),
            });
        }
        Command::Show { run, json } => {
            let run = commands::recall(root, run_number(&run)?)?;
            print_line(&if json { runs::show_json(&run) } else { runs::show(&run) });
        }
        Command::Flaky { run, limit, json, settings } => {
            let number = run.as_deref().map(number).transpose()?;
            let layers = settings.layers(environment).check()?;
            let (candidate, _) = layers.versions();
            let (run, flaky) = commands::flaky(layers.root(), number, candidate, bounded(&limit)? as usize)?;
            print_line(&if json { runs::flaky_json(&run, &flaky) } else { runs::flaky(&run, &flaky) });
        }
    }
    Ok(exit::OK)
}

pub(super) fn compare(options: Compare, environment: Environment) -> Result<u8, Error> {
    let Compare { first, second, gate, json, settings } = options;
    let (first, second) = (run_number(&first)?, run_number(&second)?);
    let layers = settings.layers(environment).check()?;
    // Both runs are whole, and each is the other's baseline.
    let policy = Policy { min_pass_rate: None, sequential: Sequential::Off, ..layers.policy() };
    let compared = commands::compare(layers.root(), first, second, policy, gate)?;
    print_line(&if json { runs::compared_json(&compared) } else { runs::compared(&compared) });
    Ok(compared.exit_code)
}

fn run_number(run: &str) -> Result<i64, Problem> {
    let named = number(run);
    named.map_err(|problem| problem.expected("a whole number, as `promptgate runs list` has it"))
}

fn bounded(limit: &str) -> Result<u32, Problem> {
    limit.parse().ok().filter(|limit| (1..=MOST).contains(limit)).ok_or_else(|| {
        Problem::new(format!("--limit: `{limit}` is no number of lines"))
            .expected(format!("a whole number from 1 to {MOST}"))
    })
}
