//! Where prompt files come from: the working tree, a git revision, or promptgate itself.

use super::content::Content;
use super::disk::DiskFolder;
use super::git::GitFolder;
use crate::domain::Problem;

/// The kinds of prompt files, in the order in which a name looks for them.
pub(super) const EXTENSIONS: [&str; 3] = [".prompt", ".md", ".txt"];

#[derive(Debug)]
pub(super) enum PromptSource {
    Disk(DiskFolder),
    Git(GitFolder),
    /// What promptgate itself brings along; nothing beside the one prompt.
    Builtin,
}

impl PromptSource {
    /// A file, as the user would type it.
    pub(super) fn shown(&self, file: &str) -> String {
        match self {
            PromptSource::Disk(folder) => folder.shown(file),
            PromptSource::Git(revision) => revision.shown(file),
            PromptSource::Builtin => file.to_owned(),
        }
    }

    /// The folder, as messages name it.
    pub(super) fn shown_folder(&self) -> String {
        match self {
            PromptSource::Disk(folder) => format!("`{}`", folder.shown_folder()),
            PromptSource::Git(revision) => revision.shown_folder(),
            PromptSource::Builtin => "the built-in prompts".to_owned(),
        }
    }

    /// The text of a file, `None` if there is none of that name.
    pub(super) fn read(&self, file: &str) -> Result<Option<Content>, Problem> {
        match self {
            PromptSource::Disk(folder) => folder.read(file),
            PromptSource::Git(revision) => revision.read(file),
            PromptSource::Builtin => Ok(None),
        }
    }

    fn files(&self) -> Result<Vec<String>, Problem> {
        match self {
            PromptSource::Disk(folder) => folder.files(),
            PromptSource::Git(revision) => Ok(revision.files()),
            PromptSource::Builtin => Ok(Vec::new()),
        }
    }

    /// Names of prompts, sorted: files of a known kind, partials, hidden files and readmes aside.
    pub(super) fn prompt_names(&self) -> Result<Vec<String>, Problem> {
        let mut names: Vec<String> = self
            .files()?
            .iter()
            .filter(|file| !file.starts_with(['_', '.']) && !file.to_lowercase().starts_with("readme"))
            .filter_map(|file| EXTENSIONS.into_iter().find_map(|extension| file.strip_suffix(extension)))
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Names of partials, sorted; none if the folder can't be listed, for this is only for messages.
    pub(super) fn partial_names(&self) -> Vec<String> {
        let files = self.files().unwrap_or_default();
        let partials = files.iter().filter_map(|file| file.strip_prefix('_')?.strip_suffix(".prompt"));
        partials.map(str::to_owned).collect()
    }
}
