//! `promptgate eval`.

use super::options::Eval;
use super::{complain, report, say, signals, warn};
use crate::error::Error;
use crate::exit;
use crate::model::{Problem, Progress};
use crate::pipeline::{self, Forecast, Interrupt};
use crate::report::console::{Console, Style};
use crate::report::progress::{self, Silent};
use crate::report::{Folder, ReportError};
use crate::settings::{Color, Environment, Layer, Layers, Settings};
use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::sync::Arc;

pub(super) fn eval(options: Eval, environment: Environment) -> Result<u8, Error> {
    let interrupt = signals::watch().map_err(|error| Problem::new(format!("signals can't be watched: {error}")))?;
    let done = evaluate(options, environment, &interrupt);
    // A signal wins over everything, also over what went wrong meanwhile.
    match (interrupt.code(), done) {
        (None, done) => done,
        (Some(code), Ok(_)) => Ok(code),
        (Some(code), Err(error)) => {
            report(&error);
            Ok(code)
        }
    }
}

/// Removes what an earlier run left in the output folder when this call can't even be understood: a deploy step reads the
/// verdict, and it must not be an old one. Without a readable command line this is the folder after `--out`, else that of
/// the environment, else the default.
pub(super) fn clear_stale(arguments: &[String], environment: &Environment) {
    let mut words = arguments.iter();
    let mut out = None;
    while let Some(word) = words.next() {
        match word.strip_prefix("--out") {
            Some("") => out = words.next().cloned(),
            Some(value) => out = value.strip_prefix('=').map(str::to_owned).or(out),
            None => {}
        }
    }
    let layer = Layer::default().option("out", out.into_iter().collect());
    let out = Layers::read(Path::new("."), layer, None, environment.clone()).out();
    if out.is_dir() {
        // Whoever holds the folder now clears it, too; what else is wrong is not what this call is about.
        let _ = Folder::claim(&out);
    }
}

fn evaluate(options: Eval, environment: Environment, interrupt: &Interrupt) -> Result<u8, Error> {
    let no_color = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let unattended = environment.contains_key("CI");
    let (layer, config) = options.into_layer();
    let layers = Layers::read(Path::new("."), layer, config.as_deref(), environment);
    let folder = Folder::claim(&layers.out()).map_err(unusable)?;
    let out = folder.path().to_owned();
    let settings = layers.settle()?;
    let prepared = pipeline::prepare(&settings)?;
    let mask = prepared.mask().clone();
    let tell = |sentence: &str| {
        if !settings.quiet {
            warn(&mask.text(sentence));
        }
    };
    for warning in &prepared.warnings {
        tell(&format!("warning: {warning}"));
    }
    if settings.dry_run {
        foresee(&prepared.forecast());
        return Ok(exit::OK);
    }
    if prepared.run_info().simulated {
        // Also with --quiet: nobody should take this for a verdict about the model.
        let line = if settings.fallback {
            "SIMULATED: no key is set, so the built-in simulator answers, not the model; nothing here can be promoted"
        } else {
            "SIMULATED: the simulator answers, not the model; nothing here can be promoted"
        };
        if settings.quiet { warn(line) } else { say(line) }
    }
    let progress: Arc<dyn Progress> = if settings.quiet {
        Arc::new(Silent)
    } else {
        progress::to_stderr(mask.clone(), !unattended).into()
    };
    let style = Style {
        color: colored(&settings, no_color),
        quiet: settings.quiet,
    };
    let mut console = Console::new(style, mask.clone());
    let finished = prepared.eval(folder, &progress, interrupt, &mut |row| console.case(row), &tell)?;
    for error in &finished.unwritten {
        complain(&mask.text(&error.to_string()));
    }
    // A closed standard output changes no verdict.
    let _ = console.finish(
        &finished.run,
        &finished.verdict,
        finished.exit_code,
        &out,
        &mut stdout().lock(),
    );
    Ok(finished.exit_code)
}

fn unusable(error: ReportError) -> Error {
    match error {
        ReportError::Folder(problem) => problem.into(),
        other @ (ReportError::Write { .. } | ReportError::Disagreement { .. }) => {
            Problem::new(other.to_string()).into()
        }
    }
}

fn colored(settings: &Settings, no_color: bool) -> bool {
    match settings.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => stdout().is_terminal() && !no_color,
    }
}

/// Says what would be sent.
fn foresee(forecast: &Forecast) {
    let Forecast {
        run,
        answers,
        tokens,
        cost_usd,
    } = forecast;
    say(&format!(
        "{} of {} cases, {} repeats: {answers} requests to {}, less those whose answers are stored",
        run.cases, run.total, run.repeats, run.target
    ));
    let cost = |cost: Option<f64>| cost.map_or("price unknown".to_owned(), |cost| format!("about ${cost:.4}"));
    let arm = |arm: &str, name: &str, model: &str, tokens: u64, dollars: Option<f64>| {
        say(&crate::report::text::log_line(&format!(
            "{arm}: {name} on {model}: about {tokens} input tokens, {} for them; output comes on top",
            cost(dollars)
        )));
    };
    if let Some(baseline) = &run.baseline {
        arm("baseline", &baseline.name, &baseline.model, tokens.0, cost_usd.0);
    }
    arm(
        "candidate",
        &run.candidate.name,
        &run.candidate.model,
        tokens.1,
        cost_usd.1,
    );
    say(&format!("prices as of {}; nothing was sent", crate::plan::price::AS_OF));
}
