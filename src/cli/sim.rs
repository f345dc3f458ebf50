//! `promptgate sim`.

use super::options::Sim;
use super::signals;
use super::terminal::print_line;
use crate::config::duration;
use crate::domain::{Place, Problem, Problems};
use crate::error::Error;
use crate::provider::EMULATOR;
use gemini_sim::{Faults, Script, Settings, Simulator};
use std::path::Path;

pub(super) fn sim(options: &Sim) -> Result<u8, Error> {
    let mut problems = Problems::default();
    let mut problem = |option: &str, message: String| problems.push(Problem::new(format!("--{option}: {message}")));
    let latency = if options.latency == "0ms" { Ok(Default::default()) } else { duration(&options.latency) };
    let latency = latency.map_err(|message| problem("latency", message)).unwrap_or_default();
    let faults =
        options.fault.parse::<Faults>().map_err(|error| problem("fault", error.to_string())).unwrap_or_default();
    let noise = match options.noise.parse::<f64>() {
        Ok(noise) if (0.0..=1.0).contains(&noise) => noise,
        _ => {
            problem("noise", format!("`{}` is not a share from 0 to 1", options.noise));
            0.0
        }
    };
    if options.batch_polls.is_some() && !EMULATOR.enabled {
        problem("batch-polls", EMULATOR.missing());
    }
    let script = match &options.script {
        Some(path) => script(path).unwrap_or_else(|found| {
            problems.extend(found);
            Script::default()
        }),
        None => Script::default(),
    };
    problems.or(())?;
    let interrupt = signals::watch()?;
    let settings = Settings {
        latency,
        faults,
        seed: options.seed,
        noise,
        require_key: options.require_key,
        script,
        batch_polls: options.batch_polls.unwrap_or(2),
        log: options.log.clone(),
    };
    if let Some(log) = &options.log {
        // Tried before the port is, so that the message names what is wrong.
        std::fs::File::create(log)
            .map_err(|error| Problem::new(format!("--log: {} can't be written: {error}", log.display())))?;
    }
    let simulator = Simulator::start(options.port, settings).map_err(|error| {
        Problem::new(format!("port {} on this machine can't be used: {error}", options.port))
            .hint("another program may use it; give another --port, or 0 for a free one")
    })?;
    interrupt.end_cleanly();
    print_line(&format!("listening on {}", simulator.url()));
    Ok(interrupt.wait())
}

/// Reads a script; all its mistakes are told at once.
fn script(path: &Path) -> Result<Script, Vec<Problem>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Problem::new(format!("--script: {} can't be read: {error}", path.display()))])?;
    Script::parse(&text).map_err(|errors| {
        errors
            .iter()
            .map(|error| {
                let line = u32::try_from(error.line).unwrap_or(u32::MAX);
                Problem::at(Place::at(path.to_string_lossy(), line, 1), error.to_string())
            })
            .collect()
    })
}
