//! A user's project in a temporary folder, and the real binary run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A project folder.
pub(crate) struct Project {
    folder: TempDir,
}

/// What one call of the binary did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Exit code and both streams, for snapshots.
    pub(crate) fn transcript(&self) -> String {
        format!(
            "exit: {}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

/// Two prompts that differ: the second one knows the opening hours.
const V1: &str = "---\nmodel: gemini-3.8-flash\n---\n{{role \"system\"}}The shop sells shoes. Say so if the text does not tell the answer.\n{{role \"user\"}}{{question}}\n";
const V2: &str = "---\nmodel: gemini-3.8-flash\n---\n{{role \"system\"}}The shop sells shoes. The shop opens at nine in the morning. Say so if the text does not tell the answer.\n{{role \"user\"}}{{question}}\n";

impl Project {
    /// An empty folder.
    pub(crate) fn empty() -> Project {
        Project {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Two prompts, `v1` and `v2`, and `cases` golden cases that `v2` answers.
    pub(crate) fn with_cases(cases: usize) -> Project {
        let project = Project::empty();
        project.write("prompts/v1.prompt", V1);
        project.write("prompts/v2.prompt", V2);
        let rows: String = (0..cases)
            .map(|i| {
                format!(
                    "{{\"id\":\"case-{i:05}\",\"vars\":{{\"question\":\"When does the shop open, number {i}?\"}},\"expect\":[{{\"contains\":\"nine\"}}]}}\n"
                )
            })
            .collect();
        project.write("golden/cases.jsonl", &rows);
        project
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file's path.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file, creating its folders.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.file(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A file's text.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// verdict.json.
    pub(crate) fn verdict(&self) -> serde_json::Value {
        serde_json::from_str(&self.read("reports/verdict.json")).unwrap()
    }

    /// results.jsonl.
    pub(crate) fn results(&self) -> Vec<serde_json::Value> {
        self.read("reports/results.jsonl")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The binary in this folder, as on a person's machine without any key.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_promptgate"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let own = text.starts_with("PROMPTGATE_") || text.starts_with("GEMINI_") || text.starts_with("GOOGLE_");
            let unattended = [
                "CI",
                "GITHUB_ACTIONS",
                "TF_BUILD",
                "BUILD_ID",
                "JENKINS_URL",
                "KUBERNETES_SERVICE_HOST",
                "CLOUD_RUN_JOB",
                "NO_COLOR",
                "GITHUB_BASE_REF",
                "GITHUB_REF",
                "CI_MERGE_REQUEST_DIFF_BASE_SHA",
                "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
                "SYSTEM_PULLREQUEST_TARGETBRANCH",
                "BITBUCKET_PR_DESTINATION_BRANCH",
                "CHANGE_TARGET",
                "GITHUB_RUN_ATTEMPT",
                "SYSTEM_JOBATTEMPT",
                "BUILDKITE_RETRY_COUNT",
                "BITBUCKET_STEP_RUN_NUMBER",
            ];
            if own || unattended.contains(&text.as_ref()) {
                command.env_remove(&name);
            }
        }
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs the binary to its end with variables set.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        self.ran(command.output().unwrap())
    }

    /// The folder's path is replaced by `[PROJECT]`.
    pub(crate) fn ran(&self, output: Output) -> Ran {
        let folder = self.path().to_string_lossy().into_owned();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&folder, "[PROJECT]");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}
