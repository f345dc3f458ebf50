//! `promptgate golden import`.

use super::options::{Import, choice};
use super::terminal::{print_line, warn};
use crate::commands::{self, Import as PendingImport};
use crate::domain::{Problem, count};
use crate::error::Error;
use crate::report::text;
use golden_import::{Comparison, FindingKind, Options, Tool};
use std::path::Path;

/// How many findings are listed; all of them stand in the file.
const LISTED: usize = 1000;

pub(super) fn import(import: Import) -> Result<u8, Error> {
    let options = options(&import)?;
    let Import { source, to, allow_partial, force, .. } = import;
    let pending = commands::import_golden(Path::new("."), &source, &to, &options, force)?;
    list(&pending, allow_partial);
    let PendingImport { proposal, file } = pending;
    let (cases, lost) = (proposal.cases, proposal.lost());
    if lost > 0 && !allow_partial {
        let problem = Problem::new(format!("nothing is written, because of what has no equivalent (listed: {lost})"));
        return Err(problem.hint("--allow-partial writes the rest, with a comment for each of them").into());
    }
    if cases == 0 {
        return Err(Problem::new("nothing is written, because there is no case").into());
    }
    file.keep()?;
    let left_out = match proposal.left_out {
        0 => String::new(),
        count => format!(", {count} left out"),
    };
    let cases = count(cases as u64, "case", "cases");
    print_line(&text::log_line(&format!("{cases} written to {}{left_out}; without equivalent: {lost}", to.display())));
    Ok(crate::exit::OK)
}

/// Tells what has no equivalent, and what does not mean quite the same.
fn list(pending: &PendingImport, allow_partial: bool) {
    let findings = &pending.proposal.findings;
    for finding in findings.iter().take(LISTED) {
        let word = match (finding.kind, allow_partial) {
            (FindingKind::Note, _) => "note",
            (FindingKind::Lost, true) => "warning",
            (FindingKind::Lost, false) => "error",
        };
        warn(&format!("{word}: {}: {}", finding.place, finding.text()));
    }
    if findings.len() > LISTED {
        warn(&format!("… and {} more", findings.len() - LISTED));
    }
}

fn options(import: &Import) -> Result<Options, Problem> {
    let tool = import.from.as_deref().map(|name| choice("--from", name, &Tool::ALL));
    let check = import.check.as_deref().map(|name| choice("--check", name, &Comparison::ALL));
    Ok(Options {
        tool: tool.transpose()?,
        map: import.map.iter().map(|pair| mapped(pair)).collect::<Result<_, _>>()?,
        check: check.transpose()?,
        ignore_case: import.ignore_case,
        var: import.var.clone(),
    })
}

/// The last `=` parts them: a column may be called anything.
fn mapped(pair: &str) -> Result<(String, String), Problem> {
    match pair.rsplit_once('=') {
        Some((column, field)) if !column.is_empty() => Ok((column.trim().to_owned(), field.trim().to_owned())),
        _ => Err(Problem::new(format!("--map: `{pair}` is not COLUMN=FIELD")).expected("like Answer=expect:contains")),
    }
}
