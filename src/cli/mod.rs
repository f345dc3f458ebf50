//! The command line: exactly what was typed, handed on; and the one funnel of all errors to standard error and exit code.

mod eval;
mod golden;
mod options;
mod prompt;
mod record;
mod schema;
mod signals;
mod sim;

use crate::error::Error;
use crate::exit;
use crate::report::text;
use crate::settings::Environment;
use clap::Parser;
use options::{Cli, Command};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;

/// Where the last panic happened, for the message of [`guarded`]. A panicking matcher is no bug of promptgate and is not
/// reported here, so nothing is printed when the panic happens.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    ExitCode::from(guarded(run))
}

/// A panic is a bug, with an exit code of its own: it must not look like a verdict.
fn guarded(run: impl FnOnce() -> u8) -> u8 {
    std::panic::set_hook(Box::new(|panic| {
        if let Ok(mut last) = PANIC.lock() {
            *last = Some(panic.to_string());
        }
    }));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(code) => code,
        Err(_) => {
            let what = PANIC.lock().ok().and_then(|mut last| last.take()).unwrap_or_default();
            complain(&format!("this is a bug in promptgate, please report it: {what}"));
            exit::BUG
        }
    }
}

fn run() -> u8 {
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is nobody's fault.
            let _ = error.print();
            if !error.use_stderr() {
                return exit::OK;
            }
            let arguments: Vec<String> = std::env::args_os()
                .skip(1)
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            if arguments.first().is_some_and(|command| command == "eval") {
                eval::clear_stale(&arguments, &environment);
            }
            return exit::INVALID;
        }
    };
    let done = match cli.command {
        Command::Eval(options) => eval::eval(*options, environment),
        Command::Golden(command) => golden::golden(command, environment),
        Command::Prompt(command) => prompt::prompt(command, environment),
        Command::Record(command) => record::record(command, environment),
        Command::Schema { of } => Ok(schema::schema(of)),
        Command::Sim(options) => sim::sim(&options),
    };
    done.unwrap_or_else(|error| {
        report(&error);
        error.exit_code()
    })
}

/// Tells what is wrong.
fn report(error: &Error) {
    let problems = error.problems();
    for problem in problems.iter() {
        complain(&problem.to_string());
    }
    if problems.more() > 0 {
        warn(&format!("… and {} more errors", problems.more()));
    }
}

/// Writes an error to standard error.
fn complain(message: &str) {
    warn(&format!("error: {message}"));
}

/// Writes to standard error, safe for terminals and CI logs.
fn warn(message: &str) {
    // Nothing is left to do when standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{}", text::log_safe(message));
}

/// Writes a line to standard output; a closed pipe ends the output, not the command.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_bug_and_never_a_verdict() {
        let hook = std::panic::take_hook();
        let code = guarded(|| panic!("on purpose"));
        std::panic::set_hook(hook);
        assert_eq!(code, exit::BUG);
    }
}
