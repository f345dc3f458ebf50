//! A project folder for tests.

use super::{Library, Prompt};
use std::path::Path;
use std::process::Command;

/// A temporary project with a `prompts/` folder.
pub(super) struct Project {
    pub(super) root: tempfile::TempDir,
}

impl Project {
    pub(super) fn new(files: &[(&str, &str)]) -> Project {
        let project = Project { root: tempfile::tempdir().unwrap() };
        std::fs::create_dir(project.path("prompts")).unwrap();
        files.iter().for_each(|(file, text)| project.write(file, text));
        project
    }

    pub(super) fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path)
    }

    pub(super) fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) fn library(&self) -> Library {
        Library::new(self.root.path(), Path::new("prompts"))
    }

    /// The prompt, or its problems without the temporary folder's name.
    pub(super) fn open(&self, reference: &str) -> Result<Prompt, String> {
        self.library()
            .open(reference, None)
            .map_err(|problems| problems.to_string().replace(&self.root.path().display().to_string(), "ROOT"))
    }

    pub(super) fn refused(&self, reference: &str) -> String {
        self.open(reference).unwrap_err()
    }

    pub(super) fn git(&self, args: &[&str]) {
        let mut command = Command::new("git");
        for variable in crate::git::OF_A_HOOK {
            command.env_remove(variable);
        }
        let output = command
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"])
            .args(args)
            .current_dir(self.root.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// One prompt of that text.
pub(super) fn prompt(text: &str) -> Prompt {
    Project::new(&[("prompts/p.prompt", text)]).open("p").unwrap()
}

/// The problems of a prompt of that text.
pub(super) fn refused(text: &str) -> String {
    Project::new(&[("prompts/p.prompt", text)]).refused("p")
}
