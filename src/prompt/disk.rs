//! A folder of prompt files on disk.

use super::content::{self, Content, MAX_BYTES};
use crate::domain::{Place, Problem};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// A folder, and the folder that its files must not leave through symbolic links.
#[derive(Clone, Debug)]
pub(super) struct DiskFolder {
    path: PathBuf,
    confines: PathBuf,
    shown: String,
}

impl DiskFolder {
    /// `shown` is the folder as the user would type it; empty for the project's root.
    pub(super) fn new(path: PathBuf, confines: PathBuf, shown: String) -> DiskFolder {
        DiskFolder { path, confines, shown }
    }

    pub(super) fn shown_folder(&self) -> &str {
        if self.shown.is_empty() { "." } else { &self.shown }
    }

    /// A file of it, as the user would type it.
    pub(super) fn shown(&self, file: &str) -> String {
        match self.shown.trim_end_matches('/') {
            "" if self.shown.is_empty() => file.to_owned(),
            folder => format!("{folder}/{file}"),
        }
    }

    pub(super) fn files(&self) -> Result<Vec<String>, Problem> {
        let failed = |error: std::io::Error| {
            let shown = self.shown_folder();
            unreadable_folder(shown, &error).expected("a folder with prompt files, `NAME.prompt`")
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                files.push(name);
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// The text of a file, `None` if there is none of that name.
    pub(super) fn read(&self, file: &str) -> Result<Option<Content>, Problem> {
        let path = self.path.join(file);
        let place = || Place::file(self.shown(file));
        let failed = |error: &std::io::Error| Problem::at(place(), format!("the file can't be read: {error}"));
        let real = match std::fs::canonicalize(&path) {
            Ok(real) => real,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        if !real.starts_with(&self.confines) {
            return Err(Problem::at(place(), "the file is a symbolic link out of the project")
                .expected("a file inside the project's folder"));
        }
        match read_bounded(&real) {
            Ok(Some(bytes)) => content::decode(place().file, bytes).map(Some),
            Ok(None) => Err(Problem::at(place(), "this is a folder").expected("a prompt file")),
            Err(error) => Err(failed(&error)),
        }
    }
}

pub(super) fn unreadable_folder(shown: &str, error: &std::io::Error) -> Problem {
    if error.kind() == ErrorKind::NotFound {
        Problem::new(format!("there is no folder `{shown}`"))
    } else {
        Problem::new(format!("the folder `{shown}` can't be read: {error}"))
    }
}

/// At most one byte more than is allowed; `None` for a folder.
fn read_bounded(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
