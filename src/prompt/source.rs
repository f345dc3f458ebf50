//! Where prompt files come from, the working tree or a git revision, and how their bytes become text.

use super::disk::Folder;
use super::git::Revision;
use crate::domain::{Place, Problem};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The largest prompt file, in bytes.
pub(super) const MAX_BYTES: u64 = 8 << 20;

/// The kinds of prompt files, in the order in which a name looks for them.
pub(super) const EXTENSIONS: [&str; 3] = [".prompt", ".md", ".txt"];

/// A folder of prompt files.
#[derive(Debug)]
pub(super) enum Shelf {
    Disk(Folder),
    Git(Revision),
    /// What promptgate itself brings along; nothing beside the one prompt.
    Builtin,
}

impl Shelf {
    /// A file, as the user would type it.
    pub(super) fn shown(&self, file: &str) -> String {
        match self {
            Shelf::Disk(folder) => folder.shown(file),
            Shelf::Git(revision) => revision.shown(file),
            Shelf::Builtin => file.to_owned(),
        }
    }

    /// The folder, as messages name it.
    pub(super) fn shown_folder(&self) -> String {
        match self {
            Shelf::Disk(folder) => format!("`{}`", folder.shown_folder()),
            Shelf::Git(revision) => revision.shown_folder(),
            Shelf::Builtin => "the built-in prompts".to_owned(),
        }
    }

    /// The text of a file, `None` if there is none of that name.
    pub(super) fn read(&self, file: &str) -> Result<Option<Content>, Problem> {
        match self {
            Shelf::Disk(folder) => folder.read(file),
            Shelf::Git(revision) => revision.read(file),
            Shelf::Builtin => Ok(None),
        }
    }

    fn files(&self) -> Result<Vec<String>, Problem> {
        match self {
            Shelf::Disk(folder) => folder.files(),
            Shelf::Git(revision) => Ok(revision.files()),
            Shelf::Builtin => Ok(Vec::new()),
        }
    }

    /// Names of prompts, sorted: files of a known kind, partials, hidden files and readmes aside.
    pub(super) fn prompt_names(&self) -> Result<Vec<String>, Problem> {
        let mut names: Vec<String> = self
            .files()?
            .iter()
            .filter(|file| !file.starts_with(['_', '.']) && !file.to_lowercase().starts_with("readme"))
            .filter_map(|file| {
                EXTENSIONS
                    .into_iter()
                    .find_map(|extension| file.strip_suffix(extension))
            })
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Names of partials, sorted; none if the folder can't be listed, for this is only for messages.
    pub(super) fn partial_names(&self) -> Vec<String> {
        let files = self.files().unwrap_or_default();
        let partials = files
            .iter()
            .filter_map(|file| file.strip_prefix('_')?.strip_suffix(".prompt"));
        partials.map(str::to_owned).collect()
    }
}

/// What stands in a file.
#[derive(Debug)]
pub(super) struct Content {
    /// Without a byte order mark.
    pub(super) text: String,
    /// SHA-256 of its bytes, in hex, a byte order mark included: what `sha256sum` says.
    pub(super) sha256: String,
}

impl Content {
    /// A file that has exactly this text.
    pub(super) fn of(text: &str) -> Content {
        Content {
            text: text.to_owned(),
            sha256: sha256(text.as_bytes()),
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of a file to text.
pub(super) fn decode(file: Arc<str>, mut bytes: Vec<u8>) -> Result<Content, Problem> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large(file));
    }
    let sha256 = sha256(&bytes);
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        Problem::at(Place::of_offset(file, &text, valid), "the file is not valid UTF-8").expected("text in UTF-8")
    })?;
    Ok(Content { text, sha256 })
}

/// The file is larger than a prompt may be.
pub(super) fn too_large(file: Arc<str>) -> Problem {
    Problem::at(
        Place::file(file),
        format!("the file is larger than {} MiB", MAX_BYTES >> 20),
    )
    .expected("a prompt")
}
