//! The only way to standard output and standard error: without secrets, and safe for terminals and CI logs.

use crate::config::{Color, Environment, Settings};
use crate::domain::Progress;
use crate::error::Error;
use crate::report::console::Style;
use crate::report::progress::{self, Silent};
use crate::report::{Redactor, text};
use serde::Serialize;
use std::borrow::Cow;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::{Arc, Mutex, PoisonError};

/// Secrets of this process: the keys of its environment, and those that come up while it runs.
static HIDDEN: Mutex<Vec<Redactor>> = Mutex::new(Vec::new());

/// Masks the secrets of this redactor, and those that it learns later, in everything printed from now on.
pub(super) fn hide(redactor: &Redactor) {
    HIDDEN.lock().unwrap_or_else(PoisonError::into_inner).push(redactor.clone());
}

pub(super) fn masked(text: &str) -> Cow<'_, str> {
    let hidden = HIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    hidden.iter().fold(Cow::Borrowed(text), |text, redactor| match redactor.text(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(masked) => Cow::Owned(masked),
    })
}

/// Prints a line; a closed pipe ends the output, not the command.
pub(super) fn print_line(line: &str) {
    let _ = writeln!(stdout().lock(), "{}", masked(line));
}

pub(super) fn print_json(document: &impl Serialize) {
    print_line(&text::json_safe(&serde_json::to_string_pretty(document).unwrap_or_default()));
}

/// Writes a message to standard error. Nothing else does but the progress, which has the same redactor, and what clap says
/// of the command line.
pub(super) fn warn(message: &str) {
    write_message(&mut stderr().lock(), message);
}

pub(super) fn print_error(message: &str) {
    warn(&format!("error: {message}"));
}

/// Writes all problems of an error to standard error.
pub(super) fn print_problems(error: &Error) {
    let problems = error.problems();
    problems.iter().for_each(|problem| print_error(&problem.to_string()));
    if problems.more() > 0 {
        warn(&format!("… and {} more errors", problems.more()));
    }
}

pub(super) fn write_message(errors: &mut dyn Write, message: &str) {
    // Nothing is left to do when standard error is closed.
    let _ = writeln!(errors, "{}", text::log_safe(&masked(message)));
}

/// How a run shows itself.
#[derive(Clone, Copy)]
pub(super) struct RunDisplay {
    color: bool,
    /// Progress may overwrite its line.
    animated: bool,
    quiet: bool,
}

impl RunDisplay {
    pub(super) fn new(environment: &Environment) -> RunDisplay {
        let no_color = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
        RunDisplay {
            color: stdout().is_terminal() && !no_color,
            animated: !environment.contains_key("CI"),
            quiet: false,
        }
    }

    #[must_use]
    pub(super) fn with(self, settings: &Settings) -> RunDisplay {
        let color = match settings.output.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => self.color,
        };
        RunDisplay { color, quiet: settings.output.quiet, ..self }
    }

    pub(super) fn style(self) -> Style {
        Style { color: self.color, quiet: self.quiet }
    }

    /// Writes a message to standard error, unless only the last line is wanted.
    pub(super) fn warn(self, message: &str) {
        if !self.quiet {
            warn(message);
        }
    }

    pub(super) fn progress(self, redactor: &Redactor) -> Arc<dyn Progress> {
        if self.quiet { Arc::new(Silent) } else { progress::to_stderr(redactor.clone(), self.animated).into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_also_those_that_come_up_later() {
        let redactor = Redactor::default();
        hide(&redactor);
        assert_eq!(masked("said in a panic: a-late-key"), "said in a panic: a-late-key");
        redactor.add("a-late-key");
        hide(&Redactor::new(["an-early-key"]));
        assert_eq!(masked("said in a panic: a-late-key, an-early-key"), "said in a panic: ***, ***");
    }
}
