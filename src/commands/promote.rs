//! Blue ← green: the candidate of a verdict that holds becomes the baseline of promptgate.toml.

use super::verify::{Verification, verify};
use crate::config::{BaselineFile, Layers};
use crate::domain::{Problem, Problems};
use crate::error::Error;
use crate::eval::bare_name;
use crate::eval::library;
use crate::exit;
use crate::report::read_verdict;
use std::path::Path;

#[derive(Clone, Copy, Debug)]
pub struct PromoteRequest<'a> {
    /// The candidate, as it will stand in promptgate.toml.
    pub name: &'a str,
    pub verdict: &'a Path,
    pub config: &'a str,
}

#[derive(Debug)]
pub enum PromoteOutcome {
    Refused(Verification),
    /// It was the baseline before; the verdict holds.
    Already(Verification),
    /// It is the baseline now, in place of this one.
    Moved(Verification, Option<String>),
}

/// Checks the verdict, then moves the baseline.
///
/// # Errors
/// As for [`verify`]; or the settings file does not hold a baseline that can be moved.
pub fn promote(request: &PromoteRequest<'_>, layers: &Layers) -> Result<PromoteOutcome, Error> {
    let PromoteRequest { name, verdict, config } = request;
    plain(name)?;
    let file = BaselineFile::read(layers.root(), config)?;
    let recorded = read_verdict(verdict)?;
    let compared = recorded.baseline.as_ref().map_or("none", |prompt| prompt.name.as_str());
    let already = file.current() == Some(*name);
    // The verdict has to be about the baseline of this file; but once it has been moved, about the one before it.
    let against = file.current().filter(|_| !already).unwrap_or(compared);
    let verified = verify(verdict, layers, Some(against))?;
    if verified.exit_code() != exit::OK {
        return Ok(PromoteOutcome::Refused(verified));
    }
    if already {
        return Ok(PromoteOutcome::Already(verified));
    }
    file.set(name)?;
    Ok(PromoteOutcome::Moved(verified, file.current().map(str::to_owned)))
}

/// Makes a prompt the baseline that was it before, without any verdict. Returns the one that it replaces.
pub fn roll_back(name: &str, config: &str, layers: &Layers) -> Result<Option<String>, Error> {
    plain(name)?;
    library(layers.root()).open(name, None)?;
    let file = BaselineFile::read(layers.root(), config)?;
    if file.current() != Some(name) {
        file.set(name)?;
    }
    Ok(file.current().map(str::to_owned))
}

/// A baseline is a file of the project: a revision would be another one tomorrow.
fn plain(name: &str) -> Result<(), Problems> {
    if name.is_empty() || name == "none" || bare_name(name) != name {
        return Err(Problem::new(format!("`{name}` can't become the baseline"))
            .expected("the name of a prompt in prompts/, or a path")
            .into());
    }
    Ok(())
}
