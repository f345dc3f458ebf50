//! `promptgate eval`.

use super::options::Eval;
use super::{complain, say, signals};
use crate::error::Error;
use crate::exit;
use crate::model::{Problem, Progress};
use crate::pipeline::{self, Finished, Forecast};
use crate::report::{Folder, console, progress};
use crate::settings::{Color, Environment, Layers, Settings};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

pub(super) fn eval(options: Eval, environment: Environment) -> Result<u8, Error> {
    let no_color = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let (layer, config) = options.into_layer();
    let layers = Layers::read(Path::new("."), layer, config.as_deref(), environment)?;
    let folder = Folder::claim(&layers.out()).map_err(|error| Error::from(error.problem()))?;
    let settings = layers.settle()?;
    let interrupt = signals::watch().map_err(|error| Problem::new(format!("signals can't be watched: {error}")))?;
    let prepared = pipeline::prepare(&settings)?;
    if !settings.quiet {
        for warning in &prepared.warnings {
            warn(warning);
        }
    }
    if settings.dry_run {
        dry_run(&prepared.forecast());
        return Ok(exit::OK);
    }
    if settings.fallback {
        say("SIMULATED: no key is set, so the built-in simulator answers; nothing here is about Gemini");
    }
    let progress: Arc<dyn Progress> = progress::for_terminal(settings.quiet);
    let finished = prepared.eval(folder, &progress, &interrupt, &|sentence| complain_softly(&settings, sentence))?;
    show(&settings, &finished, no_color);
    Ok(finished.exit_code)
}

fn complain_softly(settings: &Settings, sentence: &str) {
    if !settings.quiet {
        // Nothing is left to do when standard error is closed.
        let _ = writeln!(std::io::stderr().lock(), "{}", crate::report::text::log_safe(sentence));
    }
}

fn warn(problem: &Problem) {
    let _ = writeln!(std::io::stderr().lock(), "warning: {}", crate::report::text::log_safe(&problem.to_string()));
}

fn show(settings: &Settings, finished: &Finished, no_color: bool) {
    for error in &finished.unwritten {
        complain(&error.problem().to_string());
    }
    let color = match settings.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal() && !no_color,
    };
    let _ = color;
}

fn dry_run(forecast: &Forecast) {
    let _ = forecast;
    let _ = console::NAME;
}
