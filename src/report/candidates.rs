//! The folder of a call with several candidates: the complete reports of the one that was chosen, with a table of all of them.
//!
//! Each candidate has its own folder below. Each row of `FORMATS` says how the folder above gets its report:
//! copied byte by byte, or written anew. verdict.json is the last file of the call.

use super::numbers::{UNKNOWN, percent, points, usd};
use super::output::Output;
use super::text::{log_line, md_code, truncate};
use super::{CallReport, Context, FORMATS, OutputDir, Redactor, ReportError, attestation, summary};
use crate::domain::{CandidateLine, ResultsFile, Verdict, hex};
use crate::exit;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

/// Bytes of a name in a table.
const NAME: usize = 80;

/// Writes the reports of the call, verdict.json last, and returns what could not be written. `part` is the folder of the
/// chosen candidate; `verdict` is its own, with all candidates. What is missing already (`unwritten`)
/// or goes missing here makes of exit code 0 a 12, and nothing is promotable.
pub fn publish(
    folder: &OutputDir,
    part: &Path,
    redactor: &Redactor,
    verdict: &mut Verdict,
    results: Option<&ResultsFile>,
    unwritten: bool,
) -> Vec<ReportError> {
    let mut errors = Vec::new();
    let context = Context::default();
    for format in FORMATS {
        if unwritten || !errors.is_empty() {
            refuse(verdict);
        }
        let written = match format.call {
            CallReport::Copy => copy(part, folder.path(), format.file).map(drop),
            CallReport::CopyRows => copy(part, folder.path(), format.file).and_then(|sha256| {
                let expected = results.filter(|results| results.sha256 == sha256);
                let changed = || ReportError::Write {
                    path: folder.path().join(format.file),
                    cause: io::Error::other("the candidate's own file is not as it was written"),
                };
                // It is set once: there is one such format.
                let _ = context.results.set(expected.ok_or_else(changed)?.clone());
                Ok(())
            }),
            CallReport::Page => page(folder.path(), part, &redactor.verdict(verdict)),
            CallReport::Rewrite => {
                (format.open)(folder.path(), &context).and_then(|report| report.finish(&redactor.verdict(verdict)))
            }
        };
        errors.extend(written.err());
    }
    if !errors.is_empty() {
        refuse(verdict);
    }
    attestation::remove_orphan(folder.path());
    errors
}

/// A report is missing: nothing may go live on this run, and the exit code is not 0.
fn refuse(verdict: &mut Verdict) {
    verdict.promotable = false;
    if verdict.exit_code == exit::OK {
        verdict.exit_code = exit::REPORT;
        verdict.sentence = format!(
            "`{}` may not go live on this run: not all of its reports could be written.",
            verdict.candidate.name
        );
    }
}

/// Copies a report; the digest of its bytes.
fn copy(from: &Path, to: &Path, file: &str) -> Result<String, ReportError> {
    let mut output = Output::create(to, file)?;
    let mut digest = Sha256::new();
    let mut copy = || -> io::Result<()> {
        let mut source = File::open(from.join(file))?;
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let n = source.read(&mut bytes)?;
            if n == 0 {
                return Ok(());
            }
            digest.update(&bytes[..n]);
            output.write_all(&bytes[..n])?;
        }
    };
    copy().map_err(|cause| output.error(cause))?;
    output.publish()?;
    Ok(hex(digest.finalize()))
}

/// summary.md: the verdict, the table, and the page of the chosen one.
fn page(folder: &Path, part: &Path, verdict: &Verdict) -> Result<(), ReportError> {
    let mut output = Output::create(folder, summary::FILE)?;
    let mut write = || -> io::Result<()> {
        let own = std::fs::read_to_string(part.join(summary::FILE))?;
        let text = format!(
            "{}\n{}\n## {}\n\n{own}",
            summary::verdict_line(verdict),
            table(verdict),
            md_code(&truncate(&verdict.candidate.name, NAME)),
        );
        output.write_all(summary::fit(text).as_bytes())
    };
    write().map_err(|cause| output.error(cause))?;
    output.publish()
}

fn table(verdict: &Verdict) -> String {
    let mut text = format!(
        "{}\n\n| candidate | pass rate | difference | interval | decision | cost |\n| --- | ---: | ---: | ---: | --- | ---: |\n",
        shared(verdict)
    );
    for line in &verdict.candidates {
        let [rate, difference, interval, decision, cost] = cells(line);
        let name = md_code(&truncate(&line.name, NAME));
        let name = if line.chosen { format!("**{name}**") } else { name };
        let _ = writeln!(text, "| {name} | {rate} | {difference} | {interval} | {decision} | {cost} |");
    }
    text
}

/// The table of all candidates on the terminal.
pub fn candidates_table(verdict: &Verdict, redactor: &Redactor, out: &mut dyn io::Write) -> io::Result<()> {
    let verdict = redactor.verdict(verdict);
    let names: Vec<String> = verdict.candidates.iter().map(|line| log_line(&truncate(&line.name, NAME))).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    writeln!(out, "\n{}", shared(&verdict))?;
    for (line, name) in verdict.candidates.iter().zip(&names) {
        let [rate, difference, interval, decision, cost] = cells(line);
        let mark = if line.chosen { ">" } else { " " };
        writeln!(
            out,
            "{mark} {name:<width$}  {decision:<12}  pass rate {rate:>6}  difference {difference:>6} ({interval})  {cost}"
        )?;
    }
    Ok(())
}

/// Which one it is, and what picking it costs.
fn shared(verdict: &Verdict) -> String {
    let n = verdict.look.candidates;
    format!(
        "The best of {} candidates by this data is picked, so the chance of promoting by mistake ({}) is shared by {n}: each has {}.",
        verdict.candidates.len(),
        share(verdict.policy.alpha),
        share(verdict.policy.alpha / f64::from(n.max(1)))
    )
}

/// A small share in percent, with what digits it needs.
fn share(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn cells(line: &CandidateLine) -> [String; 5] {
    let dash = || UNKNOWN.to_owned();
    let difference = line.difference.as_ref();
    [
        line.rate.map_or_else(dash, |rate| percent(rate.pass)),
        difference.map_or_else(dash, |found| points(found.estimate)),
        difference.map_or_else(dash, |found| format!("{} to {}", points(found.low), points(found.high))),
        line.decision.map_or_else(|| "not run".to_owned(), |decision| decision.as_str().to_owned()),
        match line.decision {
            Some(_) => usd(line.cost_usd),
            None => dash(),
        },
    ]
}
