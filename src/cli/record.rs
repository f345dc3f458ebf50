//! `promptgate record export | import`.

use super::options::Record as Command;
use super::terminal::print_line;
use crate::commands::{self, ExportSummary, ImportSummary};
use crate::config::{self, Environment};
use crate::domain::Problem;
use crate::error::Error;
use crate::provider::ApiKey;
use crate::report::{Redactor, text};
use std::path::{Path, PathBuf};

pub(super) fn record(command: Command, environment: Environment) -> Result<u8, Error> {
    match command {
        Command::Export { run, to, settings } => {
            let number = run.as_deref().map(number).transpose()?;
            let secrets = config::secrets(&environment);
            let layers = settings.layers(environment).check()?;
            let redactor = Redactor::new(secrets.iter().map(ApiKey::reveal));
            let (candidate, _) = layers.versions();
            let ExportSummary { run, answers, replies } =
                commands::export(layers.root(), &redactor, number, candidate, Path::new(&to))?;
            let replies = match replies {
                0 => String::new(),
                1 => " and 1 reply of a judge".to_owned(),
                several => format!(" and {several} replies of judges"),
            };
            print_line(&text::log_line(&format!("run {run}: {answers} answers{replies} written to {to}")));
        }
        Command::Import { files } => {
            let files: Vec<PathBuf> = files.into_iter().map(PathBuf::from).collect();
            let ImportSummary { new, known, own } = commands::import(Path::new("."), &files)?;
            print_line(&format!(
                "{new} answers imported, {known} were imported before, {own} stay as this store has its own"
            ));
            if new + known > 0 {
                print_line("a verdict that uses imported answers is marked `replayed` and can't be promoted");
            }
        }
    }
    Ok(crate::exit::OK)
}

pub(super) fn number(text: &str) -> Result<i64, Problem> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
        Problem::new(format!("`{text}` is not the number of a run"))
            .expected("a whole number, or nothing for the newest finished run of the candidate")
    })
}
