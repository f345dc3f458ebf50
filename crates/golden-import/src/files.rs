//! The files of a source. What a source names is data from anyone, so only what lies beside or below it is read.

use diagnostics::{Place, Problem};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// How many bytes all files of a source may have together, each counted as often as it is named.
const MAX_ALL: u64 = 256 << 20;

pub(crate) struct Files {
    source: PathBuf,
    folder: PathBuf,
    read: u64,
}

/// The text of a file, and how a user would type its path.
pub(crate) struct Text {
    pub(crate) shown: Arc<str>,
    pub(crate) text: String,
}

impl Files {
    /// The files around a source.
    pub(crate) fn around(source: &Path) -> Result<Files, Problem> {
        let folder = source.parent().filter(|folder| !folder.as_os_str().is_empty());
        let files = Files { source: source.to_owned(), folder: folder.unwrap_or(Path::new(".")).to_owned(), read: 0 };
        match fs::metadata(source) {
            Ok(data) if data.is_file() => Ok(files),
            Ok(_) => Err(Problem::at(files.place(), "not a file").expected("a file with golden data")),
            Err(error) => Err(Problem::at(files.place(), format!("can't be read: {error}"))),
        }
    }

    /// The name of the source, without its folder.
    pub(crate) fn name(&self) -> String {
        self.source.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(crate) fn place(&self) -> Place {
        Place::file(self.source.to_string_lossy())
    }

    pub(crate) fn read_source(&mut self) -> Result<Text, Problem> {
        let source = self.source.clone();
        self.open(&source).map_err(|message| Problem::at(self.place(), message))
    }

    /// The text of a file that the source names, from the source's folder on.
    pub(crate) fn read(&mut self, name: &str) -> Result<Text, String> {
        let name = name.strip_prefix("file://").unwrap_or(name);
        let path = self.folder.join(name);
        let real = |path: &Path| path.canonicalize().map_err(|error| format!("can't be read: {}", error.kind()));
        let (root, target) = (real(&self.folder)?, real(&path)?);
        if !target.starts_with(root) {
            return Err("lies outside the folder of the source".to_owned());
        }
        self.open(&path)
    }

    /// There is such a file beside the source.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.folder.join(name).is_file()
    }

    fn open(&mut self, path: &Path) -> Result<Text, String> {
        let failed = |error: std::io::Error| format!("can't be read: {}", error.kind());
        // Asked before opening: a named pipe would block.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err("is not a plain file".to_owned());
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
        self.read = self.read.saturating_add(bytes.len() as u64);
        if bytes.len() as u64 > MAX_FILE || self.read > MAX_ALL {
            return Err(format!(
                "is too large: at most {} MiB a file and {} MiB together",
                MAX_FILE >> 20,
                MAX_ALL >> 20
            ));
        }
        let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
        Ok(Text {
            shown: path.to_string_lossy().into(),
            text: text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text),
        })
    }
}

/// The extension of a name, in lowercase letters.
pub(crate) fn extension(name: &str) -> String {
    Path::new(name).extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}
