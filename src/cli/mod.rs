//! The command line: exactly what was typed, handed on; and the one funnel of all errors to standard error and exit code.

mod batch;
mod dry_run;
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
mod terminal;
mod verify;

use crate::config::{self, Environment};
use crate::exit;
use crate::provider::ApiKey;
use crate::report::Redactor;
use clap::Parser;
use options::{Cli, Command};
use std::borrow::Cow;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use terminal::{hide, masked, print_problems, write_message};

/// Where the last panic happened, for the message of [`guarded`]. A panicking matcher is no bug of promptgate and is not
/// reported here, so nothing is printed when the panic happens.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

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
            write_message(errors, &format!("error: this is a bug in promptgate, please report it: {what}"));
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
            print_usage(&error);
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
        print_problems(&error);
        error.exit_code()
    })
}

/// Prints what is wrong with the command line, or help and version.
fn print_usage(error: &clap::Error) {
    let text = error.render().to_string();
    // It quotes what was typed. A closed pipe is nobody's fault.
    let _ = match masked(&text) {
        Cow::Owned(text) => writeln!(std::io::stderr().lock(), "{}", text.trim_end()),
        Cow::Borrowed(_) => error.print(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_bug_and_never_a_verdict() {
        let hook = std::panic::take_hook();
        hide(&Redactor::new(["a-key-in-a-panic"]));
        let mut errors = Vec::new();
        let code = guarded(|| panic!("on purpose, with a-key-in-a-panic"), &mut errors);
        std::panic::set_hook(hook);
        assert_eq!(code, exit::BUG);
        let errors = String::from_utf8(errors).unwrap();
        assert!(errors.contains("on purpose, with ***"), "{errors}");
    }
}
