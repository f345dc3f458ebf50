//! `promptgate eval`: the reports of a run on the terminal; of several candidates lines for each, a table, and one last line.

use super::dry_run::print_dry_run;
use super::options::EvalOptions;
use super::signals::interruptible;
use super::terminal::{RunDisplay, hide, print_error, print_line, warn};
use crate::config::{CallKind, CommandLine, Environment, Layers, OptionArgs, Settings};
use crate::domain::{CaseRow, Problem, Progress, RunInfo};
use crate::error::Error;
use crate::eval::{self, CandidateObserver, EvalContext, Interrupt, RunHooks, RunKind, RunResult};
use crate::exit;
use crate::report::console::{self, Console};
use crate::report::text::log_line;
use crate::report::{OutputDir, Redactor, ReportError, candidates_table};
use std::collections::BTreeSet;
use std::io::{Write as _, stdout};
use std::path::Path;
use std::sync::Arc;

pub(super) fn eval(options: OptionArgs<EvalOptions>, environment: Environment) -> Result<u8, Error> {
    interruptible(|interrupt| evaluate(options, environment, interrupt))
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
    let display = RunDisplay::new(&environment);
    let layers = options.layers(environment);
    let folder = OutputDir::claim(&layers.out()).map_err(Problem::from)?;
    let settings = layers.settings(CallKind::Verdict)?;
    let display = display.with(&settings);
    let each = eval::each_candidate(&settings);
    let prepared = match each.is_empty() {
        true => vec![eval::prepare(&settings, RunKind::Gate { candidates: 1 })?],
        false => eval::prepare_all(&each)?,
    };
    prepared.iter().for_each(|context| hide(context.redactor()));
    // What is wrong with settings and golden data is the same for all candidates.
    let mut warnings = BTreeSet::new();
    let mut warn_once = |warning: String| {
        if warnings.insert(warning.clone()) {
            display.warn(&format!("warning: {warning}"));
        }
    };
    prepared.iter().flat_map(|context| &context.warnings).for_each(|warning| warn_once(warning.to_string()));
    let promotion = prepared.first().and_then(|context| context.run_info().promotion.as_ref());
    if let Some(notice) = promotion.and_then(|promotion| promotion.notice.as_ref()) {
        let line = log_line(notice);
        if settings.output.quiet { warn(&line) } else { print_line(&line) }
    }
    if settings.continuation.dry_run {
        let estimates = prepared.iter().map(eval::estimate_power).collect::<Result<Vec<_>, _>>()?;
        print_dry_run(&eval::forecast_all(&prepared)?, &estimates);
        return Ok(exit::OK);
    }
    // A store that can't be read is reported where the run needs it.
    let estimates = prepared.iter().filter_map(|context| eval::estimate_power(context).ok().flatten());
    estimates.filter_map(|estimate| estimate.warning()).for_each(warn_once);
    if prepared.iter().any(|context| context.run_info().simulated) {
        print_simulated(&settings);
    }
    match <[EvalContext<'_>; 1]>::try_from(prepared) {
        Ok([context]) => run(context, folder, display, interrupt),
        Err(prepared) => run_all(prepared, &settings, &folder, display, interrupt),
    }
}

fn run(context: EvalContext<'_>, folder: OutputDir, display: RunDisplay, interrupt: &Interrupt) -> Result<u8, Error> {
    let out = folder.path().to_owned();
    let mut console = console(&context, display);
    let progress = display.progress(context.redactor());
    let hooks = RunHooks { progress: &progress, interrupt, print: &|message| display.warn(message) };
    let finished = eval::run(context, folder, hooks, &mut |row| console.case(row))?;
    print_unwritten(&finished.unwritten);
    // A closed standard output changes no verdict.
    let _ = console.finish(&finished.verdict, finished.exit_code, &out, &mut stdout().lock());
    Ok(finished.exit_code)
}

fn run_all(
    prepared: Vec<EvalContext<'_>>,
    settings: &Settings,
    folder: &OutputDir,
    display: RunDisplay,
    interrupt: &Interrupt,
) -> Result<u8, Error> {
    let mut printer = RunPrinter {
        display,
        redactors: prepared.iter().map(|context| context.redactor().clone()).collect(),
        consoles: prepared.iter().map(|context| console(context, display)).collect(),
        current: 0,
    };
    let call = eval::eval_all(prepared, &settings.arms.candidates, folder, interrupt, &mut printer)?;
    print_unwritten(&call.unwritten);
    let out = &mut stdout().lock();
    // A closed standard output changes no verdict.
    if !settings.output.quiet {
        let _ = candidates_table(&call.verdict, &call.redactor, out);
    }
    let _ = console::last_line(&call.verdict, call.exit_code, out);
    Ok(call.exit_code)
}

struct RunPrinter {
    display: RunDisplay,
    redactors: Vec<Redactor>,
    consoles: Vec<Console>,
    current: usize,
}

impl CandidateObserver for RunPrinter {
    fn begin(&mut self, number: usize, run: &RunInfo) -> Arc<dyn Progress> {
        self.current = number;
        if !self.display.style().quiet {
            let of = self.consoles.len();
            print_line(&log_line(&format!("candidate {} of {of}: {}", number + 1, run.candidate.name)));
        }
        self.display.progress(&self.redactors.get(number).cloned().unwrap_or_default())
    }

    fn case(&mut self, row: &CaseRow) {
        if let Some(console) = self.consoles.get_mut(self.current) {
            console.case(row);
        }
    }

    fn end(&mut self, finished: &RunResult, folder: &Path) {
        print_unwritten(&finished.unwritten);
        let out = &mut stdout().lock();
        if let Some(console) = self.consoles.get(self.current) {
            let _ = console.body(&finished.verdict, folder, out);
        }
        if !self.display.style().quiet {
            let _ = writeln!(out);
        }
    }

    fn print(&self, sentence: &str) {
        self.display.warn(sentence);
    }
}

fn console(context: &EvalContext<'_>, display: RunDisplay) -> Console {
    Console::new(display.style(), context.redactor().clone()).with_quarantine(context.quarantine().clone())
}

fn print_unwritten(errors: &[ReportError]) {
    errors.iter().for_each(|error| print_error(&error.to_string()));
}

/// Also with --quiet: nobody should take this for a verdict about the model.
fn print_simulated(settings: &Settings) {
    let line = if settings.provider.fallback {
        "SIMULATED: no key is set, so the built-in simulator answers, not the model; nothing here can be promoted"
    } else {
        "SIMULATED: the simulator answers, not the model; nothing here can be promoted"
    };
    if settings.output.quiet { warn(line) } else { print_line(line) }
}
