//! Golden data of other tools: translated, checked by the loader of golden files, and put in place.

use crate::dataset;
use crate::domain::{CheckRules, CheckSpec, Place, Problem};
use crate::error::Error;
use crate::scoring::Rules;
use golden_import::{Matchers, Options, Proposal};
use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// An import whose file is not in place yet.
#[derive(Debug)]
pub struct Import {
    pub proposal: Proposal,
    pub file: PendingFile,
}

/// The matchers as an import asks for them.
struct MatcherTable(Rules);

impl Matchers for MatcherTable {
    fn names(&self) -> Vec<&'static str> {
        self.0.names()
    }

    fn takes_text(&self, matcher: &str) -> Option<bool> {
        self.0.takes_text(matcher)
    }

    fn verify(&self, check: &Value) -> Result<(), String> {
        let spec = CheckSpec::parse(check).map_err(|problem| problem.message)?;
        self.0
            .verify(spec)
            .map(drop)
            .map_err(|problems| problems.into_iter().next().map_or_else(String::new, |problem| problem.message))
    }
}

/// A golden file that was written and checked, but is not in place. Dropped, it is gone.
#[derive(Debug)]
pub struct PendingFile {
    file: NamedTempFile,
    to: PathBuf,
    force: bool,
}

/// Translates `source` to the golden file `to`. Nothing is in place before [`PendingFile::keep`].
pub fn import_golden(root: &Path, source: &Path, to: &Path, options: &Options, force: bool) -> Result<Import, Error> {
    let extension = to.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    if !matches!(extension.as_deref(), Some("yaml" | "yml")) {
        let problem = Problem::at(shown(to), "not the name of a YAML file");
        return Err(problem.expected("a name that ends in .yaml or .yml").into());
    }
    if !force && to.symlink_metadata().is_ok() {
        return Err(exists(to).into());
    }
    let rules = Rules::new(root);
    let matchers = MatcherTable(rules);
    let proposal = golden_import::import(source, options, &matchers)?;
    let failed = |error: std::io::Error| Problem::at(shown(to), format!("can't be written: {}", error.kind()));
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    // The name is hidden, so that no one takes it for a golden file.
    let mut file = Builder::new()
        .prefix(".import-")
        .suffix(".yaml")
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(failed)?;
    file.write_all(proposal.text.as_bytes()).map_err(failed)?;
    file.flush().map_err(failed)?;
    dataset::survey(&[file.path().to_owned()], &matchers.0, &mut |_, _| {})?;
    super::files::readable(file.as_file()).map_err(failed)?;
    let file = PendingFile { file, to: to.to_owned(), force };
    Ok(Import { proposal, file })
}

impl PendingFile {
    /// Puts the file in place: whole, or not at all.
    pub fn keep(self) -> Result<(), Problem> {
        let PendingFile { file, to, force } = self;
        let persisted = match force {
            true => file.persist(&to),
            false => file.persist_noclobber(&to),
        };
        let Err(error) = persisted else { return Ok(()) };
        Err(if error.error.kind() == ErrorKind::AlreadyExists {
            exists(&to)
        } else {
            Problem::at(shown(&to), format!("can't be written: {}", error.error.kind()))
        })
    }
}

fn exists(to: &Path) -> Problem {
    Problem::at(shown(to), "there is such a file already").hint("--force replaces it")
}

fn shown(path: &Path) -> Place {
    Place::file(path.display().to_string())
}
