//! `promptgate promote`.

use super::options::Promote;
use super::terminal::print_line;
use super::verify::{print_verification, verdict_file};
use crate::commands::{self, PromoteOutcome, PromoteRequest};
use crate::config::{Environment, Layers};
use crate::error::Error;
use crate::exit;
use crate::report::text::log_line;
use std::path::Path;

pub(super) fn promote(options: Promote, environment: Environment) -> Result<u8, Error> {
    let Promote { name, verdict, rollback, force, settings } = options;
    let typed = settings.command_line().option("prompt", vec![name.clone()]);
    let layers = Layers::read(Path::new("."), typed, environment).check()?;
    let file = layers.config();
    if rollback {
        let done = commands::roll_back(&name, force.as_deref(), file, &layers)?;
        print_baseline(file, done.before.as_deref(), &name);
        print_line("nothing was checked: what served before needs no verdict");
        if let Some(path) = done.edited {
            print_line(&log_line(&format!("{path} has other content: deploy {}, or copy it back", done.copy)));
        }
        return Ok(exit::OK);
    }
    let path = verdict_file(verdict, &layers);
    let request = PromoteRequest { name: &name, verdict: &path, config: file };
    let (code, word) = match commands::promote(&request, &layers)? {
        PromoteOutcome::Refused(verified) => (print_verification(&path, &verified), "refused"),
        PromoteOutcome::Already(verified) => {
            let code = print_verification(&path, &verified);
            print_baseline(file, Some(&name), &name);
            (code, "already")
        }
        PromoteOutcome::Moved(verified, before) => {
            let code = print_verification(&path, &verified);
            print_baseline(file, before.as_deref(), &name);
            let back = match &before {
                Some(before) => format!("promptgate promote {} --rollback", quoted(before)),
                None => format!("remove the line `baseline = \"{name}\"` from {file}"),
            };
            print_line("commit promptgate.lock and prompts/.promoted with it");
            print_line(&log_line(&format!("to roll back: {back}")));
            (code, "done")
        }
    };
    print_line(&format!("promote={word} exit={code}"));
    Ok(code)
}

fn print_baseline(file: &str, before: Option<&str>, now: &str) {
    print_line(&log_line(&match before {
        Some(before) if before == now => format!("{file}: the baseline is `{now}` already"),
        Some(before) => format!("{file}: the baseline was `{before}`, and is `{now}` now"),
        None => format!("{file}: there was no baseline, and it is `{now}` now"),
    }));
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
