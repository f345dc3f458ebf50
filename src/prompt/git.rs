//! Prompt files at a git revision. After the revision is resolved only object names that git gave are passed on.

use super::content::{self, Content, MAX_BYTES};
use crate::domain::{Place, Problem};
use crate::git::{Depth, EntryKind, TreeEntry, resolve, tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A folder at a revision.
#[derive(Debug)]
pub(super) struct GitFolder {
    root: PathBuf,
    rev: String,
    /// Relative to the project's root, with `/` at its end; empty for the root.
    folder: String,
    entries: BTreeMap<String, TreeEntry>,
}

impl GitFolder {
    /// Lists `folder`, a path relative to `root`, at revision `rev`.
    pub(super) fn open(root: &Path, rev: &str, folder: &str) -> Result<GitFolder, Problem> {
        if rev.is_empty() {
            return Err(Problem::new("`git:` lacks a revision").expected("git:REV:NAME, like `git:origin/main:v2`"));
        }
        let commit = resolve(root, rev)?;
        let folder = folder.trim_start_matches("./");
        let folder = if folder.is_empty() || folder.ends_with('/') { folder.to_owned() } else { format!("{folder}/") };
        let path = Some(folder.as_str()).filter(|folder| !folder.is_empty());
        let below = |entry: TreeEntry| Some((entry.path.strip_prefix(&folder)?.to_owned(), entry));
        let entries = tree(root, &commit, Depth::Folder, path)?.into_iter().filter_map(below).collect();
        Ok(GitFolder { entries, root: root.to_owned(), rev: rev.to_owned(), folder })
    }

    pub(super) fn shown(&self, file: &str) -> String {
        format!("git:{}:{}{file}", self.rev, self.folder)
    }

    pub(super) fn shown_folder(&self) -> String {
        let folder = if self.folder.is_empty() { "." } else { self.folder.trim_end_matches('/') };
        format!("`{folder}` at revision `{}`", self.rev)
    }

    pub(super) fn files(&self) -> Vec<String> {
        let files = self.entries.iter().filter(|(_, entry)| entry.kind == EntryKind::File);
        files.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn read(&self, file: &str) -> Result<Option<Content>, Problem> {
        let Some(entry) = self.entries.get(file) else {
            return Ok(None);
        };
        let place = Place::file(self.shown(file));
        match entry.kind {
            EntryKind::File => {}
            EntryKind::Link => {
                return Err(Problem::at(place, "this is a symbolic link; at a revision links are not followed"));
            }
            EntryKind::Other => return Err(Problem::at(place, "this is a folder").expected("a prompt file")),
        }
        if entry.bytes > MAX_BYTES {
            return Err(content::too_large(place.file));
        }
        let bytes = entry.read(&self.root)?;
        content::decode(place.file, bytes).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Project;
    use super::super::{Library, Prompt};
    use std::path::Path;

    fn repository() -> Project {
        let project = Project::new(&[("prompts/v1.prompt", "one {{> part}}"), ("prompts/_part.prompt", "part one")]);
        project.git(&["init", "-q"]);
        project.git(&["add", "."]);
        project.git(&["commit", "-qm", "one"]);
        project.git(&["tag", "first"]);
        project.write("prompts/v1.prompt", "two {{> part}}");
        project.write("prompts/_part.prompt", "part two");
        project.write("prompts/v2.md", "second");
        project
    }

    #[test]
    fn a_revision_is_read_as_it_was_with_its_partials() {
        let project = repository();
        let now = project.open("v1").unwrap();
        let then = project.open("git:first:v1").unwrap();
        assert_eq!((&*now.source, &*then.source), ("two {{> part}}", "one {{> part}}"));
        assert_eq!((then.name.as_str(), then.path.as_str()), ("git:first:v1", "git:first:prompts/v1.prompt"));
        let text =
            |prompt: &Prompt| prompt.render("m", &serde_json::Map::new(), &[]).unwrap().contents[0].parts.clone();
        assert_eq!(text(&then), [crate::domain::Part::Text("one part one".to_owned())]);
        assert_ne!(now.sha256, then.sha256);
        assert_eq!(project.open("git:HEAD:prompts/v1.prompt").unwrap().sha256, then.sha256);
        let library = project.library();
        assert_eq!(library.open("git:HEAD", Some("v1")).unwrap().sha256, then.sha256);
        assert_eq!(library.open("git:HEAD", Some("prompts/v1.prompt")).unwrap().sha256, then.sha256);
    }

    #[test]
    fn a_project_may_live_in_a_folder_of_its_repository() {
        let outer = Project::new(&[("agent/prompts/v1.prompt", "inner"), ("prompts/v1.prompt", "outer")]);
        outer.git(&["init", "-q"]);
        outer.git(&["add", "."]);
        outer.git(&["commit", "-qm", "one"]);
        let library = Library::new(&outer.path("agent"), Path::new("prompts"));
        assert_eq!(&*library.open("git:HEAD:v1", None).unwrap().source, "inner");
        assert_eq!(&*library.open("git:HEAD:../prompts/v1.prompt", None).unwrap().source, "outer");
    }

    #[test]
    fn revisions_that_do_not_exist_are_explained() {
        let project = repository();
        insta::assert_snapshot!(project.refused("git:HEAD:v2"), @r"
        there is no prompt `v2` in `prompts` at revision `HEAD`
          expected: one of `v1`
          help: did you mean `v1`?
        ");
        insta::assert_snapshot!(project.refused("git:HEAD:prompts/v2.md"), @r"
        there is no `prompts/v2.md` at revision `HEAD`
          expected: one of `v1`
        ");
        insta::assert_snapshot!(project.refused("git:nope:v1"), @r"
        unknown git revision `nope`
          expected: a branch, tag or commit that `git rev-parse` knows
        ");
        insta::assert_snapshot!(project.refused("git:--output=x:v1"), @"`--output=x` is not a git revision: it starts with `-`");
        insta::assert_snapshot!(project.refused("git::v1"), @r"
        `git:` lacks a revision
          expected: git:REV:NAME, like `git:origin/main:v2`
        ");
        insta::assert_snapshot!(project.refused("git:HEAD"), @r"
        `git:HEAD` names no prompt
          expected: git:REV:NAME
        ");
        insta::assert_snapshot!(project.refused("git:HEAD:/etc/x.md"), @r"
        `/etc/x.md` at a revision is an absolute path
          expected: a path below the project's root
        ");
        let no_repository = Project::new(&[("prompts/v1.prompt", "one")]);
        insta::assert_snapshot!(no_repository.refused("git:HEAD:v1"), @r"
        `ROOT` is not in a git repository
          help: name files instead of a revision
        ");
    }

    #[test]
    fn a_shallow_clone_is_told_so() {
        let origin = repository();
        origin.git(&["add", "."]);
        origin.git(&["commit", "-qm", "two"]);
        origin.git(&["branch", "other"]);
        let url = format!("file://{}", origin.root.path().display());
        let shallow = Project::new(&[]);
        shallow.git(&["clone", "-q", "--depth", "1", &url, "clone"]);
        let library = Library::new(&shallow.path("clone"), Path::new("prompts"));
        insta::assert_snapshot!(library.open("git:first:v1", None).unwrap_err(), @r"
        unknown git revision `first`
          help: this is a shallow clone, which lacks most revisions; fetch all of them (`git fetch --unshallow`, or `fetch-depth: 0` of actions/checkout)
        ");
        shallow.git(&["clone", "-q", &url, "full"]);
        let library = Library::new(&shallow.path("full"), Path::new("prompts"));
        insta::assert_snapshot!(library.open("git:other:v1", None).unwrap_err(), @r"
        unknown git revision `other`
          help: did you mean `origin/other`?
        ");
        assert!(library.open("git:origin/other:v1", None).is_ok());
    }
}
