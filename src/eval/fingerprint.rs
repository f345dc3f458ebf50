//! Digests of what decides besides prompts, dataset and policy. Nothing here opens a target or needs a key, so that whoever
//! checks a verdict later can compute them again.

use super::hex;
use super::judges::BUILTIN;
use super::library;
use super::survey::Survey;
use crate::config::{JudgeSettings, ModelChoice, TargetKind};
use crate::domain::{Command, Problems, Tested, digest};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The largest file of a command that is digested; a larger one counts by its size.
const MAX_BYTES: u64 = 64 << 20;

/// What decides besides prompts, dataset and policy.
pub(crate) struct Deciders<'a> {
    pub(crate) root: &'a Path,
    pub(crate) judges: &'a BTreeMap<String, JudgeSettings>,
    pub(crate) commands: &'a [Command],
    pub(crate) models: &'a ModelChoice,
    /// The target of the run.
    pub(crate) target: TargetKind,
}

/// Digests it all.
///
/// # Errors
/// A judge's prompt can't be opened.
pub(crate) fn tested(survey: &Survey, deciders: &Deciders<'_>) -> Result<Tested, Problems> {
    Ok(Tested {
        identical: survey.identical,
        requests_sha256: hex(&survey.requests),
        judges_sha256: judges(&survey.judges, deciders)?,
        commands_sha256: commands(deciders),
    })
}

/// Over the name, target, address, model and prompt of each judge.
fn judges(names: &BTreeSet<String>, deciders: &Deciders<'_>) -> Result<Option<String>, Problems> {
    let mut pieces = Vec::new();
    for name in names {
        let written = deciders.judges.get(name);
        let own = written.filter(|judge| judge.target.is_some() || judge.base_url.is_some());
        let target = own.and_then(|judge| judge.target).unwrap_or(deciders.target);
        let model = written.and_then(|judge| judge.model.clone()).unwrap_or_else(|| {
            let default = target.protocol().default_model().map(str::to_owned);
            match own {
                None => deciders.models.resolve(None),
                Some(_) => default.unwrap_or_default(),
            }
        });
        let prompt = match written.and_then(|judge| judge.prompt.as_deref()) {
            Some(path) => library(deciders.root).open(path, None)?.sha256,
            None => hex(&digest([BUILTIN.as_bytes()])),
        };
        let url = own.and_then(|judge| judge.base_url.clone()).unwrap_or_default();
        pieces.extend([name.clone(), target.as_str().to_owned(), url, model, prompt]);
    }
    let digest = digest(pieces.iter().map(String::as_bytes));
    Ok((!names.is_empty()).then(|| hex(&digest)))
}

/// Over the name, arguments, time limit and environment of each command, and the files that its arguments name.
fn commands(deciders: &Deciders<'_>) -> Option<String> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for Command {
        name,
        argv,
        timeout,
        env,
        place: _,
    } in deciders.commands
    {
        pieces.push(name.as_bytes().to_vec());
        pieces.push(timeout.as_millis().to_le_bytes().to_vec());
        pieces.push((argv.len() as u64).to_le_bytes().to_vec());
        for word in argv {
            pieces.push(word.as_bytes().to_vec());
            pieces.push(file(&deciders.root.join(word)).map_or_else(Vec::new, |digest| digest.to_vec()));
        }
        for (name, value) in env {
            pieces.extend([name.as_bytes().to_vec(), value.as_bytes().to_vec()]);
        }
    }
    let digest = digest(pieces.iter().map(Vec::as_slice));
    (!deciders.commands.is_empty()).then(|| hex(&digest))
}

/// The digest of a file, if there is one at this path.
fn file(path: &Path) -> Option<[u8; 32]> {
    let meta = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut hash = Sha256::new();
    hash.update(meta.len().to_le_bytes());
    let mut bytes = File::open(path).ok()?.take(MAX_BYTES);
    let mut chunk = vec![0; 64 << 10];
    loop {
        match bytes.read(&mut chunk) {
            Ok(0) => return Some(hash.finalize().into()),
            Ok(read) => hash.update(&chunk[..read]),
            Err(_) => return None,
        }
    }
}
