//! Blue ← green: the candidate of a verdict that holds becomes the baseline of promptgate.toml, and promptgate.lock pins its
//! content.

use super::files;
use super::verify::{Verification, verify};
use crate::config::{BaselineFile, Layers};
use crate::domain::{Difference, Place, Problem, Problems, Promotion, hex};
use crate::error::Error;
use crate::eval::lock::{LOCK, Lock};
use crate::eval::{bare_name, library};
use crate::report::read_verdict;
use crate::{exit, git};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use time::OffsetDateTime;

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

/// Checks the verdict, then moves the baseline and pins what was promoted.
///
/// # Errors
/// As for [`verify`]; or the settings file does not hold a baseline that can be moved, or the lock can't be written.
pub fn promote(request: &PromoteRequest<'_>, layers: &Layers) -> Result<PromoteOutcome, Error> {
    let PromoteRequest { name, verdict, config } = request;
    plain(name)?;
    let root = layers.root();
    let file = BaselineFile::read(root, config)?;
    let mut lock = Lock::read(root, None)?;
    let recorded = read_verdict(verdict)?;
    let pin = lock.pin(name, None);
    let is_current = file.current() == Some(*name);
    let already = is_current && pin.is_none_or(|promotion| promotion.sha256 == recorded.candidate.sha256);
    // The verdict has to be about the baseline of this file; but once it has been moved, about the one before it.
    let before = recorded.baseline.as_ref().map_or_else(
        || "none".to_owned(),
        |baseline| lock.of_content(&baseline.sha256).map_or_else(|| baseline.name.clone(), Promotion::copy),
    );
    let against = file.current().filter(|_| !already).unwrap_or(&before);
    let verified = verify(verdict, layers, Some(against))?;
    if verified.exit_code() != exit::OK {
        return Ok(PromoteOutcome::Refused(verified));
    }
    if already && pin.is_some() {
        return Ok(PromoteOutcome::Already(verified));
    }
    if let Some(baseline) = &recorded.baseline
        && lock.of_content(&baseline.sha256).is_none()
        && bare_name(&baseline.name) == baseline.name
    {
        let note = Some("it served before the first promotion that is known".to_owned());
        let model = Some(baseline.model.requested.clone());
        add(&mut lock, root, Promotion { name: baseline.name.clone(), model, note, ..Promotion::default() })?;
    }
    let is_finite =
        |found: &Difference| [found.estimate, found.low, found.high].iter().all(|number| number.is_finite());
    let promotion = Promotion {
        name: (*name).to_owned(),
        model: Some(recorded.candidate.model.requested.clone()),
        verdict_sha256: fs::read(verdict).ok().map(|bytes| hex(Sha256::digest(bytes))),
        dataset_sha256: Some(recorded.dataset.sha256.clone()),
        replaced: recorded.baseline.as_ref().map(|baseline| baseline.sha256.clone()),
        difference: recorded.difference.filter(is_finite),
        ..Promotion::default()
    };
    add(&mut lock, root, promotion)?;
    write(root, &lock)?;
    if !is_current {
        file.set(name)?;
    }
    Ok(PromoteOutcome::Moved(verified, file.current().map(str::to_owned)))
}

/// What a rollback came to.
#[derive(Debug)]
pub struct Rollback {
    /// The baseline that it replaces.
    pub before: Option<String>,
    /// The content that serves from now on.
    pub copy: String,
    /// The prompt's file, if it has other content.
    pub edited: Option<String>,
}

/// Makes a prompt the baseline as it was promoted before, without a verdict: of the present baseline the content before this
/// one. Whatever else needs a reason.
pub fn roll_back(name: &str, reason: Option<&str>, config: &str, layers: &Layers) -> Result<Rollback, Error> {
    plain(name)?;
    let root = layers.root();
    let file = BaselineFile::read(root, config)?;
    let mut lock = Lock::read(root, None)?;
    let is_current = file.current() == Some(name);
    let pin = lock.pin(name, None).cloned();
    let earlier = pin.as_ref().filter(|_| is_current).and_then(|pin| lock.before(pin)).cloned();
    let known = lock.names().into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    let promotion = match (reason, earlier, pin) {
        (Some(reason), _, _) => {
            let forced = Promotion { name: name.to_owned(), note: Some(reason.to_owned()), ..Promotion::default() };
            let forced = add(&mut lock, root, forced)?;
            write(root, &lock)?;
            forced
        }
        (None, None, None) => {
            return Err(Problem::new(format!("{LOCK} does not know `{name}` as promoted"))
                .expected(if known.is_empty() { "nothing: no promotion is known".to_owned() } else { known })
                .hint("promote it with a verdict, or roll back all the same with --force REASON")
                .into());
        }
        (None, None, Some(pin)) if is_current => pin,
        (None, Some(promotion), _) | (None, None, Some(promotion)) => {
            let prompt = lock.open(&promotion)?;
            let note = Some("rolled back".to_owned());
            let again = Promotion { date: today(), revision: head(root), note, ..promotion };
            let again = lock.add(again, &prompt)?;
            write(root, &lock)?;
            again
        }
    };
    if !is_current {
        file.set(name)?;
    }
    let now = library(root).open(name, None).ok();
    Ok(Rollback {
        before: file.current().map(str::to_owned),
        copy: promotion.copy(),
        edited: now.is_none_or(|now| now.sha256 != promotion.sha256).then(|| promotion.path.clone()),
    })
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

/// Pins a prompt as its file is now.
fn add(lock: &mut Lock, root: &Path, known: Promotion) -> Result<Promotion, Error> {
    let prompt = library(root).open(&known.name, None)?;
    let (path, sha256) = (prompt.path.clone(), prompt.sha256.clone());
    lock.add(Promotion { path, sha256, date: today(), revision: head(root), ..known }, &prompt)
}

fn write(root: &Path, lock: &Lock) -> Result<(), Problem> {
    let text = lock.text()?;
    let path = root.join(LOCK);
    let written = files::beside(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        files::publish(file, &path)
    });
    written.map_err(|error| Problem::at(Place::file(LOCK), format!("can't be written: {error}")))
}

fn today() -> String {
    OffsetDateTime::now_utc().date().to_string()
}

/// The commit that is checked out, if there is one.
fn head(root: &Path) -> Option<String> {
    git::resolve(root, "HEAD").ok()
}
