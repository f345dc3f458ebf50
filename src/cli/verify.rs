//! `promptgate verify`.

use super::options::Verify;
use super::terminal::{print_error, print_line};
use crate::commands::{self, Verification};
use crate::config::{Environment, Layers};
use crate::error::Error;
use crate::exit;
use crate::report::text::log_line;
use std::path::{Path, PathBuf};

pub(super) fn verify(options: Verify, environment: Environment) -> Result<u8, Error> {
    let Verify { verdict, settings } = options;
    let layers = settings.layers(environment).check()?;
    let path = verdict_file(verdict, &layers);
    let verified = commands::verify(&path, &layers, None)?;
    let code = print_verification(&path, &verified);
    print_line(&format!("verify={} exit={code}", if code == exit::OK { "holds" } else { "fails" }));
    Ok(code)
}

pub(super) fn verdict_file(named: Option<PathBuf>, layers: &Layers) -> PathBuf {
    named.unwrap_or_else(|| layers.out().join("verdict.json"))
}

/// Prints all that does not hold, or what does; returns the exit code.
pub(super) fn print_verification(path: &Path, verified: &Verification) -> u8 {
    let Verification { recorded, misses, decision } = verified;
    for miss in misses.iter() {
        print_error(&miss.to_string());
    }
    if misses.more() > 0 {
        print_error(&format!("… and {} more", misses.more()));
    }
    let code = verified.exit_code();
    let against =
        recorded.baseline.as_ref().map_or_else(|| "no baseline".to_owned(), |prompt| format!("`{}`", prompt.name));
    let what = format!(
        "{} of `{}` against {against}, {} cases, finished at {}",
        recorded.decision.as_str(),
        recorded.candidate.name,
        recorded.dataset.cases,
        recorded.finished_at
    );
    let file = path.display();
    print_line(&log_line(&match (code, decision) {
        (exit::OK, _) => format!("{file} holds: {what}"),
        (_, Some(decision)) => format!(
            "{file} does not hold: {what}; its rows say {} today; see {} above",
            decision.as_str(),
            errors(misses.count())
        ),
        (_, None) => {
            format!("{file} does not hold: {what}; its rows can't be judged; see {} above", errors(misses.count()))
        }
    }));
    if let Some(reason) = recorded.accepted_weaker.as_deref().filter(|_| code == exit::OK) {
        print_line(&log_line(&format!("weaker checks were accepted: {reason}")));
    }
    code
}

fn errors(n: u64) -> String {
    match n {
        1 => "the error".to_owned(),
        n => format!("the {n} errors"),
    }
}
