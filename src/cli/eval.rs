//! `promptgate eval`.

mod candidates;

use super::options::EvalOptions;
use super::{complain, hide, report, say, signals, warn};
use crate::config::{Color, CommandLine, Environment, Layers, OptionArgs, Settings};
use crate::domain::{Problem, Progress, PromptInfo};
use crate::error::Error;
use crate::eval::{self, ArmForecast, Estimate, Forecast, Interrupt, JudgesForecast, PowerEstimate, RunHooks, RunKind};
use crate::exit;
use crate::report::console::{Console, Style};
use crate::report::progress::{self, Silent};
use crate::report::{OutputDir, Redactor, ReportError};
use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::sync::Arc;

pub(super) fn eval(options: OptionArgs<EvalOptions>, environment: Environment) -> Result<u8, Error> {
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
    let typed = CommandLine::default().option("out", out.into_iter().collect());
    let out = Layers::read(Path::new("."), typed, environment.clone()).out();
    if out.is_dir() {
        // Whoever holds the folder now clears it, too; what else is wrong is not what this call is about.
        let _ = OutputDir::claim(&out);
    }
}

fn evaluate(options: OptionArgs<EvalOptions>, environment: Environment, interrupt: &Interrupt) -> Result<u8, Error> {
    let no_color = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let unattended = environment.contains_key("CI");
    let layers = options.layers(environment);
    let folder = OutputDir::claim(&layers.out()).map_err(unusable)?;
    let out = folder.path().to_owned();
    let settings = layers.settle()?;
    if !settings.arms.candidates.is_empty() {
        return candidates::evaluate(&settings, &folder, no_color, unattended, interrupt);
    }
    let prepared = eval::prepare(&settings, RunKind::Gate { candidates: 1 })?;
    let redactor = prepared.redactor().clone();
    hide(&redactor);
    let tell = |sentence: &str| {
        if !settings.run.quiet {
            warn(sentence);
        }
    };
    for warning in &prepared.warnings {
        tell(&format!("warning: {warning}"));
    }
    if settings.run.dry_run {
        print_dry_run(&eval::forecast(&prepared)?, eval::estimate_power(&prepared)?.as_ref());
        return Ok(exit::OK);
    }
    // A store that can't be read is reported where the run needs it.
    let estimate = eval::estimate_power(&prepared).ok().flatten();
    if let Some(warning) = estimate.and_then(|estimate| estimate.warning()) {
        tell(&format!("warning: {warning}"));
    }
    if prepared.run_info().simulated {
        tell_simulated(&settings);
    }
    let progress = progress(&settings, &redactor, unattended);
    let style = Style { color: colored(&settings, no_color), quiet: settings.run.quiet };
    let mut console = Console::new(style, redactor.clone()).apart(prepared.quarantine().clone());
    let hooks = RunHooks { progress: &progress, interrupt, say: &tell };
    let finished = eval::run(prepared, folder, hooks, &mut |row| console.case(row))?;
    for error in &finished.unwritten {
        complain(&error.to_string());
    }
    // A closed standard output changes no verdict.
    let _ = console.finish(&finished.verdict, finished.exit_code, &out, &mut stdout().lock());
    Ok(finished.exit_code)
}

/// Also with --quiet: nobody should take this for a verdict about the model.
fn tell_simulated(settings: &Settings) {
    let line = if settings.provider.fallback {
        "SIMULATED: no key is set, so the built-in simulator answers, not the model; nothing here can be promoted"
    } else {
        "SIMULATED: the simulator answers, not the model; nothing here can be promoted"
    };
    if settings.run.quiet { warn(line) } else { say(line) }
}

fn progress(settings: &Settings, redactor: &Redactor, unattended: bool) -> Arc<dyn Progress> {
    if settings.run.quiet { Arc::new(Silent) } else { progress::to_stderr(redactor.clone(), !unattended).into() }
}

fn unusable(error: ReportError) -> Error {
    match error {
        ReportError::OutputDir(problem) => problem.into(),
        other @ (ReportError::Write { .. } | ReportError::Disagreement { .. }) => {
            Problem::new(other.to_string()).into()
        }
    }
}

fn colored(settings: &Settings, no_color: bool) -> bool {
    match settings.run.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => stdout().is_terminal() && !no_color,
    }
}

/// Says what would be sent, and what it could decide.
pub(super) fn print_dry_run(forecast: &Forecast, estimate: Option<&PowerEstimate>) {
    let Forecast { run, baseline, candidate, judges, commands, offline, prices } = forecast;
    let sum = |of: fn(&ArmForecast) -> u64| of(candidate) + baseline.as_ref().map_or(0, of);
    let (planned, stored) = (sum(|arm| arm.planned), sum(|arm| arm.stored));
    say(&format!(
        "{} of {} cases, {} repeats: {planned} answers planned, {stored} of them stored",
        run.cases, run.total, run.repeats
    ));
    if let Some(estimate) = estimate {
        say(&crate::report::text::log_line(&estimate.sentence()));
    }
    let consulted = || {
        if let Some(judges) = judges {
            foresee_judges(judges);
        }
        if *commands > 0 {
            say(&format!("commands: at most {commands} checks, on this machine"));
        }
    };
    if *offline {
        match judges {
            None => say(&format!("target {}: nothing would be sent", run.target)),
            Some(_) => say(&format!("target {}: nothing would be sent for answers", run.target)),
        }
        consulted();
        return;
    }
    if let (Some(info), Some(arm)) = (&run.baseline, baseline) {
        foresee_arm("baseline", info, arm);
    }
    foresee_arm("candidate", &run.candidate, candidate);
    let cost = match baseline {
        Some(baseline) => baseline.cost_usd.zip(candidate.cost_usd).map(|(blue, green)| blue + green),
        None => candidate.cost_usd,
    };
    let bounded = sum(|arm| u64::from(arm.bounded())) > 0;
    say(&format!("in all: {} to {}, {}", requests(planned - stored), run.target, dollars(cost, bounded)));
    consulted();
    say(&format!("{prices}; nothing was sent"));
}

fn foresee_judges(judges: &JudgesForecast) {
    say(&format!(
        "judges: at most {} (every vote on every answer; stored replies and equal answers make it fewer), about {} input \
         tokens, {}, {}; not in the sum above",
        requests(judges.requests),
        judges.input_tokens,
        output_tokens(judges.output, judges.output_tokens),
        dollars(judges.cost_usd, true)
    ));
}

/// How many output tokens, and where the number comes from.
fn output_tokens(estimate: Estimate, tokens: u64) -> String {
    match estimate {
        Estimate::Earlier { answers } => {
            format!("about {tokens} output tokens (the mean of {answers} earlier answers)")
        }
        Estimate::MaxOutputTokens => {
            format!("at most {tokens} output tokens (maxOutputTokens; no earlier answer to go by)")
        }
        Estimate::ModelLimit => format!(
            "at most {tokens} output tokens (the model's own limit: no earlier answer to go by, and no maxOutputTokens)"
        ),
    }
}

fn foresee_arm(name: &str, info: &PromptInfo, arm: &ArmForecast) {
    say(&crate::report::text::log_line(&format!(
        "{name}: {} on {}: {}, about {} input tokens, {}, {}",
        info.name,
        info.model,
        requests(arm.requests()),
        arm.input_tokens,
        output_tokens(arm.output, arm.output_tokens),
        dollars(arm.cost_usd, arm.bounded())
    )));
}

fn requests(n: u64) -> String {
    format!("{n} {}", if n == 1 { "request" } else { "requests" })
}

/// A sum of money, and what kind of estimate it is.
fn dollars(cost: Option<f64>, at_most: bool) -> String {
    match cost {
        Some(cost) if at_most => format!("at most about ${cost:.4}"),
        Some(cost) => format!("about ${cost:.4}"),
        None => "price unknown (set it in promptgate.toml, under [prices])".to_owned(),
    }
}
