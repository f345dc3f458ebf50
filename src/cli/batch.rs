//! `promptgate batch list | cancel`.

use super::options::Batch as Command;
use super::terminal::{print_error, print_line};
use crate::commands::{self, CancelOutcome, CancelReport};
use crate::config::Environment;
use crate::error::Error;
use crate::exit;
use crate::report::text;
use std::path::Path;

pub(super) fn batch(command: Command, environment: Environment) -> Result<u8, Error> {
    match command {
        Command::List => {
            let jobs = commands::waiting(Path::new("."))?;
            if jobs.is_empty() {
                print_line("no batch job waits");
            }
            for job in jobs {
                let name = job.name.as_deref().unwrap_or(&job.label);
                print_line(&text::log_line(&format!(
                    "{name}  run {}, {} answers, {}",
                    job.run, job.answers, job.target
                )));
            }
            Ok(exit::OK)
        }
        Command::Cancel { names, settings } => {
            let layers = settings.layers(environment).check()?;
            let service = layers.batch_service()?;
            let cancelled = commands::cancel(layers.root(), &service, &names)?;
            if cancelled.is_empty() {
                print_line("no batch job waits there");
            }
            let mut failed = false;
            for CancelReport { job, outcome } in cancelled {
                let name = job.name.as_deref().unwrap_or(&job.label);
                match outcome {
                    CancelOutcome::Cancelled => print_line(&text::log_line(&format!("{name} cancelled"))),
                    CancelOutcome::Finished => print_line(&text::log_line(&format!(
                        "{name} had finished already; its answers are paid for, and --resume collects them"
                    ))),
                    CancelOutcome::Failed(failure) => {
                        failed = true;
                        print_error(&format!("{name} is not cancelled: {}", failure.message));
                    }
                }
            }
            Ok(if failed { exit::INCONCLUSIVE } else { exit::OK })
        }
    }
}
