//! `promptgate eval` with several candidates: lines for each of them, a table, and one last line for the call.

use super::{colored, dollars, foresee_arm, foresee_judges, progress, requests, tell_simulated};
use crate::cli::{complain, hide, say, warn};
use crate::config::Settings;
use crate::domain::{CaseRow, Progress, Quarantine, RunInfo};
use crate::error::Error;
use crate::eval::{
    self, ArmForecast, CandidateObserver, CandidatesResult, Forecast, Interrupt, PowerEstimate, RunResult,
};
use crate::exit;
use crate::report::console::{self, Console, Style};
use crate::report::text::log_line;
use crate::report::{OutputDir, Redactor, candidates_table};
use std::io::{Write as _, stdout};
use std::path::Path;
use std::sync::Arc;

pub(super) fn evaluate(
    settings: &Settings,
    folder: &OutputDir,
    no_color: bool,
    unattended: bool,
    interrupt: &Interrupt,
) -> Result<u8, Error> {
    let each = eval::each_candidate(settings);
    let prepared = eval::prepare_all(&each)?;
    let redactors: Vec<Redactor> = prepared.iter().map(|one| one.redactor().clone()).collect();
    redactors.iter().for_each(hide);
    let mut told: Vec<String> = Vec::new();
    for warning in prepared.iter().flat_map(|one| &one.warnings) {
        let sentence = format!("warning: {warning}");
        // What is said of settings and golden data is the same for all of them.
        if !settings.run.quiet && !told.contains(&sentence) {
            warn(&sentence);
            told.push(sentence);
        }
    }
    if settings.run.dry_run {
        let estimates = prepared.iter().map(eval::estimate_power).collect::<Result<Vec<_>, _>>()?;
        print_dry_run(&eval::forecast_all(&prepared)?, &estimates);
        return Ok(exit::OK);
    }
    // Where a store can't be read, the run says so.
    for estimate in prepared.iter().filter_map(|one| eval::estimate_power(one).ok().flatten()) {
        let sentence = estimate.warning().map(|warning| format!("warning: {warning}"));
        if let Some(sentence) = sentence.filter(|sentence| !settings.run.quiet && !told.contains(sentence)) {
            warn(&sentence);
            told.push(sentence);
        }
    }
    if prepared.iter().any(|one| one.run_info().simulated) {
        tell_simulated(settings);
    }
    let mut watching = RunPrinter {
        settings,
        style: Style { color: colored(settings, no_color), quiet: settings.run.quiet },
        unattended,
        redactors,
        quarantines: prepared.iter().map(|one| one.quarantine().clone()).collect(),
        console: Console::new(Style::default(), Redactor::default()),
    };
    let finished = eval::eval_all(prepared, &settings.arms.candidates, folder, interrupt, &mut watching)?;
    let CandidatesResult { verdict, unwritten, exit_code, redactor } = finished;
    for error in &unwritten {
        complain(&error.to_string());
    }
    let out = &mut stdout().lock();
    // A closed standard output changes no verdict.
    if !settings.run.quiet {
        let _ = candidates_table(&verdict, &redactor, out);
    }
    let _ = console::last_line(&verdict, exit_code, out);
    Ok(exit_code)
}

/// Prints each run as it comes.
struct RunPrinter<'a> {
    settings: &'a Settings,
    style: Style,
    unattended: bool,
    redactors: Vec<Redactor>,
    quarantines: Vec<Quarantine>,
    console: Console,
}

impl CandidateObserver for RunPrinter<'_> {
    fn begin(&mut self, number: usize, run: &RunInfo) -> Arc<dyn Progress> {
        let redactor = self.redactors.get(number).cloned().unwrap_or_default();
        if !self.settings.run.quiet {
            let of = self.settings.arms.candidates.len();
            say(&log_line(&format!("candidate {} of {of}: {}", number + 1, run.candidate.name)));
        }
        let quarantine = self.quarantines.get(number).cloned().unwrap_or_default();
        self.console = Console::new(self.style, redactor.clone()).apart(quarantine);
        progress(self.settings, &redactor, self.unattended)
    }

    fn case(&mut self, row: &CaseRow) {
        self.console.case(row);
    }

    fn end(&mut self, finished: &RunResult, folder: &Path) {
        for error in &finished.unwritten {
            complain(&error.to_string());
        }
        let out = &mut stdout().lock();
        let _ = self.console.body(&finished.verdict, folder, out);
        if !self.settings.run.quiet {
            let _ = writeln!(out);
        }
    }

    fn say(&self, sentence: &str) {
        if !self.settings.run.quiet {
            warn(sentence);
        }
    }
}

/// Says what would be sent for all of them, the baseline once.
fn print_dry_run(forecasts: &[Forecast], estimates: &[Option<PowerEstimate>]) {
    let Some(first) = forecasts.first() else { return };
    let arms = || forecasts.iter().flat_map(|forecast| forecast.baseline.iter().chain([&forecast.candidate]));
    let sum = |of: fn(&ArmForecast) -> u64| -> u64 { arms().map(of).sum() };
    let (planned, stored) = (sum(|arm| arm.planned), sum(|arm| arm.stored));
    say(&format!(
        "{} of {} cases, {} candidates: {planned} answers planned, {stored} of them stored",
        first.run.cases,
        first.run.total,
        forecasts.len()
    ));
    for (forecast, estimate) in forecasts.iter().zip(estimates) {
        if let Some(estimate) = estimate {
            say(&log_line(&format!("{}: {}", forecast.run.candidate.name, estimate.sentence())));
        }
    }
    if first.offline {
        say(&format!("target {}: nothing would be sent for answers", first.run.target));
    } else {
        for Forecast { run, baseline, .. } in forecasts {
            if let (Some(info), Some(arm)) = (&run.baseline, baseline) {
                foresee_arm("baseline", info, arm);
            }
        }
        for Forecast { run, candidate, .. } in forecasts {
            foresee_arm("candidate", &run.candidate, candidate);
        }
        let cost = arms().try_fold(0.0, |sum, arm| Some(sum + arm.cost_usd?));
        let bounded = arms().any(ArmForecast::bounded);
        say(&format!("in all: {} to {}, {}", requests(planned - stored), first.run.target, dollars(cost, bounded)));
    }
    for forecast in forecasts {
        let name = &forecast.run.candidate.name;
        if let Some(judges) = &forecast.judges {
            say(&log_line(&format!("for `{name}` and its baseline:")));
            foresee_judges(judges);
        }
        if forecast.commands > 0 {
            let commands = forecast.commands;
            say(&log_line(&format!(
                "commands for `{name}` and its baseline: at most {commands} checks, on this machine"
            )));
        }
    }
    say(&format!("{}; nothing was sent", first.prices));
}
