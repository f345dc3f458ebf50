//! The command line: exactly what was typed, handed on; and the one funnel of all errors to standard error and exit code.

mod batch;
mod eval;
mod gate;
mod gate_calibrate;
mod golden;
mod golden_import;
mod judge;
mod options;
mod promote;
mod prompt;
mod record;
mod runs;
mod schema;
mod signals;
mod sim;
mod verify;

use crate::config::{self, Environment};
use crate::error::Error;
use crate::exit;
use crate::provider::ApiKey;
use crate::report::{Redactor, text};
use clap::Parser;
use options::{Cli, Command};
use std::borrow::Cow;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// Where the last panic happened, for the message of [`guarded`]. A panicking matcher is no bug of promptgate and is not
/// reported here, so nothing is printed when the panic happens.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// What this process must not say: the keys of its environment, and those that come up while it runs.
static HIDDEN: Mutex<Vec<Redactor>> = Mutex::new(Vec::new());

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    ExitCode::from(guarded(run, &mut std::io::stderr()))
}

/// A panic is a bug, with an exit code of its own: it must not look like a verdict.
fn guarded(run: impl FnOnce() -> u8, errors: &mut dyn Write) -> u8 {
    std::panic::set_hook(Box::new(|panic| {
        if let Ok(mut last) = PANIC.lock() {
            *last = Some(panic.to_string());
        }
    }));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(code) => code,
        Err(_) => {
            let what = PANIC.lock().ok().and_then(|mut last| last.take()).unwrap_or_default();
            let message = format!("error: this is a bug in promptgate, please report it: {what}");
            tell(errors, &message);
            exit::BUG
        }
    }
}

fn run() -> u8 {
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect();
    hide(&Redactor::new(config::secrets(&environment).iter().map(ApiKey::reveal)));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            refuse(&error);
            if !error.use_stderr() {
                return exit::OK;
            }
            let arguments: Vec<String> =
                std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
            if arguments.first().is_some_and(|command| command == "eval") {
                eval::clear_stale(&arguments, &environment);
            }
            return exit::INVALID;
        }
    };
    let done = match cli.command {
        Command::Eval(options) => eval::eval(options, environment),
        Command::Gate(command) => gate::gate(command, environment),
        Command::Verify(options) => verify::verify(options, environment),
        Command::Promote(options) => promote::promote(options, environment),
        Command::Golden(command) => golden::golden(command, environment),
        Command::Prompt(command) => prompt::prompt(command, environment),
        Command::Judge(command) => judge::judge(command, environment),
        Command::Batch(command) => batch::batch(command, environment),
        Command::Record(command) => record::record(command, environment),
        Command::Runs(command) => runs::runs(command, environment),
        Command::Compare(options) => runs::compare(options, environment),
        Command::Schema { of } => Ok(schema::schema(of)),
        Command::Sim(options) => sim::sim(&options),
    };
    done.unwrap_or_else(|error| {
        report(&error);
        error.exit_code()
    })
}

/// Tells what is wrong with the command line, or what was asked of it: help and version.
fn refuse(error: &clap::Error) {
    let text = error.render().to_string();
    // It quotes what was typed. A closed pipe is nobody's fault.
    let _ = match masked(&text) {
        Cow::Owned(text) => writeln!(std::io::stderr().lock(), "{}", text.trim_end()),
        Cow::Borrowed(_) => error.print(),
    };
}

/// From now on nothing says what this redactor hides, or will hide.
fn hide(redactor: &Redactor) {
    let mut hidden = HIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    hidden.push(redactor.clone());
}

/// The text without what is hidden.
fn masked(text: &str) -> Cow<'_, str> {
    let hidden = HIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    hidden.iter().fold(Cow::Borrowed(text), |text, redactor| match redactor.text(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(masked) => Cow::Owned(masked),
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

/// Writes to standard error.
fn warn(message: &str) {
    tell(&mut std::io::stderr().lock(), message);
}

/// Writes a message, without secrets and safe for terminals and CI logs. Nothing else writes to standard error but the
/// progress, which has the same redactor, and what clap says of the command line.
fn tell(errors: &mut dyn Write, message: &str) {
    // Nothing is left to do when standard error is closed.
    let _ = writeln!(errors, "{}", text::log_safe(&masked(message)));
}

/// Writes a line to standard output, without secrets; a closed pipe ends the output, not the command.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", masked(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_bug_and_never_a_verdict() {
        let hook = std::panic::take_hook();
        hide(&Redactor::new(["a-key-in-a-panic"]));
        let mut said = Vec::new();
        let code = guarded(|| panic!("on purpose, with a-key-in-a-panic"), &mut said);
        std::panic::set_hook(hook);
        assert_eq!(code, exit::BUG);
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("on purpose, with ***"), "{said}");
    }

    #[test]
    fn what_is_said_is_masked_also_what_comes_up_later() {
        let redactor = Redactor::default();
        hide(&redactor);
        assert_eq!(masked("said in a panic: a-late-key"), "said in a panic: a-late-key");
        redactor.add("a-late-key");
        hide(&Redactor::new(["an-early-key"]));
        assert_eq!(masked("said in a panic: a-late-key, an-early-key"), "said in a panic: ***, ***");
    }
}
