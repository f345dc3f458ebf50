//! Golden files as they were at a git revision: written into a temporary folder, so that they are read like any other.

use crate::domain::{Place, Problem, SNAPSHOTS};
use crate::git::{Depth, EntryKind, TreeEntry, resolve, tree};
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// How many bytes the golden files of a revision may have together.
const MAX_BYTES: u64 = 1 << 30;

/// Golden files of a revision. They are gone when this is.
#[derive(Debug)]
pub struct GoldenRevision {
    folder: TempDir,
    rev: String,
    /// Files and folders to survey, in the order in which they were asked for; those that did not exist are left out.
    paths: Vec<PathBuf>,
    /// The first link or submodule, which is left out.
    left_out: Option<String>,
}

impl GoldenRevision {
    /// Reads `paths`, golden files and folders below `root`, as they were at `rev`.
    ///
    /// # Errors
    /// No such revision, no repository, a path outside of the root, or more than 1 GiB of files.
    pub fn open(root: &Path, rev: &str, paths: &[PathBuf]) -> Result<GoldenRevision, Problem> {
        if rev.is_empty() {
            return Err(Problem::new("the revision is empty").expected("a git revision like origin/main"));
        }
        let commit = resolve(root, rev)?;
        let folder = tempfile::tempdir().map_err(|error| Problem::new(format!("no temporary folder: {error}")))?;
        let mut older = GoldenRevision { folder, rev: rev.to_owned(), paths: Vec::new(), left_out: None };
        let mut bytes = 0;
        for path in paths {
            let below = below(root, path)?;
            let mut is_there = false;
            for entry in tree(root, &commit, Depth::Recursive, Some(&below))? {
                match older.extract(root, &entry, &mut bytes)? {
                    true => is_there = true,
                    false => older.left_out = older.left_out.or(Some(entry.path)),
                }
            }
            if is_there {
                older.paths.push(older.folder.path().join(below));
            }
        }
        older.extract_named(root, &commit, &mut bytes)?;
        for entry in tree(root, &commit, Depth::Recursive, Some(SNAPSHOTS))? {
            if !older.folder.path().join(&entry.path).exists() {
                older.extract(root, &entry, &mut bytes)?;
            }
        }
        Ok(older)
    }

    /// Writes the files that the golden files name, such as JSON schemas: checks are compared as they were, with what they
    /// took in.
    fn extract_named(&self, root: &Path, commit: &str, bytes: &mut u64) -> Result<(), Problem> {
        let mut texts = Vec::new();
        for path in &self.paths {
            texts_below(path, &mut texts);
        }
        texts.retain(|text| text.contains("file"));
        if texts.is_empty() {
            return Ok(());
        }
        for entry in tree(root, commit, Depth::Recursive, Some("."))? {
            let path = entry.path.as_str();
            if !self.folder.path().join(path).exists() && texts.iter().any(|text| text.contains(path)) {
                self.extract(root, &entry, bytes)?;
            }
        }
        Ok(())
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    fn extract(&self, root: &Path, entry: &TreeEntry, bytes: &mut u64) -> Result<bool, Problem> {
        let path = entry.path.as_str();
        if entry.kind != EntryKind::File || !is_plain(Path::new(path)) {
            return Ok(false);
        }
        *bytes = bytes.saturating_add(entry.bytes);
        if *bytes > MAX_BYTES {
            return Err(Problem::new(format!(
                "the golden files at {} have more than {} MiB together",
                self.rev,
                MAX_BYTES >> 20
            )));
        }
        let content = entry.read(root)?;
        let target = self.folder.path().join(path);
        let write = || {
            target.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&target, content)
        };
        write().map_err(|error: std::io::Error| Problem::new(format!("`{path}` can't be written: {error}")))?;
        Ok(true)
    }

    /// What to survey; empty if nothing of it was there.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    pub fn left_out(&self) -> Option<&str> {
        self.left_out.as_deref()
    }

    /// A place in one of the files as a person knows it: `git:REV:golden/cases.yaml`.
    pub fn shown(&self, place: &Place) -> Place {
        let file = Path::new(&*place.file);
        match file.strip_prefix(self.folder.path()) {
            Ok(below) => Place { file: Arc::from(format!("git:{}:{}", self.rev, below.display())), ..place.clone() },
            Err(_) => place.clone(),
        }
    }
}

fn texts_below(path: &Path, texts: &mut Vec<String>) {
    if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.flatten() {
            texts_below(&entry.path(), texts);
        }
    } else if let Ok(text) = fs::read_to_string(path) {
        texts.push(text);
    }
}

/// The path from the root, with `/` between its parts.
fn below(root: &Path, path: &Path) -> Result<String, Problem> {
    let outside = || {
        Problem::new(format!("`{}` is not below the project's root", path.display()))
            .hint("lint it without --against: only files of the project have older states")
    };
    let path = match path.is_absolute() {
        true => {
            let root = fs::canonicalize(root).map_err(|_| outside())?;
            let real = fs::canonicalize(path).map_err(|_| outside())?;
            real.strip_prefix(&root).map_err(|_| outside())?.to_owned()
        }
        false => path.strip_prefix(root).unwrap_or(path).to_owned(),
    };
    let path: PathBuf = path.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if !is_plain(&path) {
        return Err(outside());
    }
    Ok(match path.to_str() {
        Some("") => ".".to_owned(),
        Some(path) => path.replace('\\', "/"),
        None => return Err(outside()),
    })
}

/// Only names: nothing that leads up or elsewhere, and nothing that git takes for an option or a pattern.
fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(name) if name != OsStr::new(".git")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("golden")).unwrap();
        let seen = |path: &str| below(root.path(), Path::new(path)).ok();
        assert_eq!(seen("golden").as_deref(), Some("golden"));
        assert_eq!(seen("./golden/a.yaml").as_deref(), Some("golden/a.yaml"));
        assert_eq!(seen(".").as_deref(), Some("."));
        assert_eq!(seen("../golden"), None);
        assert_eq!(seen("golden/../../x"), None);
        assert_eq!(seen("/etc"), None);
        let whole = root.path().join("golden");
        assert_eq!(seen(&whole.to_string_lossy()).as_deref(), Some("golden"));
    }
}
