//! A user's project in a temporary folder, and the real binary run in it.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A key that every fake service takes.
pub(crate) const KEY: &str = "test-key-0123456789";

/// Variables of the machine that change what a run does.
const UNSET: &str = "CI GITHUB_ACTIONS TF_BUILD BUILD_ID JENKINS_URL KUBERNETES_SERVICE_HOST CLOUD_RUN_JOB NO_COLOR \
    GITHUB_BASE_REF GITHUB_REF CI_MERGE_REQUEST_DIFF_BASE_SHA CI_MERGE_REQUEST_TARGET_BRANCH_NAME \
    SYSTEM_PULLREQUEST_TARGETBRANCH BITBUCKET_PR_DESTINATION_BRANCH CHANGE_TARGET GITHUB_RUN_ATTEMPT \
    SYSTEM_JOBATTEMPT BUILDKITE_RETRY_COUNT BITBUCKET_STEP_RUN_NUMBER";

/// What stands behind `promptgate` on a command line: words between blanks, where `'…'` is one word, or a list.
pub(crate) trait Arguments {
    fn words(&self) -> Vec<String>;
}

impl Arguments for str {
    fn words(&self) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
        for c in self.chars() {
            match c {
                '\'' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                ' ' | '\n' if !quoted => words.extend(word.take()),
                _ => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }
}

impl Arguments for String {
    fn words(&self) -> Vec<String> {
        self.as_str().words()
    }
}

impl<T: Arguments + ?Sized> Arguments for &T {
    fn words(&self) -> Vec<String> {
        (*self).words()
    }
}

impl Arguments for Vec<&str> {
    fn words(&self) -> Vec<String> {
        self.iter().copied().map(str::to_owned).collect()
    }
}

/// Settings whose default judge is the service at this address.
pub(crate) fn judge_at(url: &str) -> String {
    format!("[judges.default]\ntarget = \"gemini\"\nbase_url = \"{url}\"\nmodel = \"gemini-3.8-flash\"\n")
}

/// What one call of the binary did. The project's path reads `[PROJECT]` in its streams.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Exit code and both streams, for snapshots.
    pub(crate) fn transcript(&self) -> String {
        format!("exit: {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.transcript()))
    }

    #[track_caller]
    pub(crate) fn assert_exit(self, code: i32) -> Run {
        assert_eq!(self.code, code, "{}", self.transcript());
        self
    }

    #[track_caller]
    pub(crate) fn assert_stderr(self, part: &str) -> Run {
        assert!(self.stderr.contains(part), "{part:?} is missing: {}", self.transcript());
        self
    }

    #[track_caller]
    pub(crate) fn assert_stdout(self, part: &str) -> Run {
        assert!(self.stdout.contains(part), "{part:?} is missing: {}", self.transcript());
        self
    }
}

/// Two prompts that differ: the second one knows the opening hours.
const V1: &str = "---\nmodel: gemini-3.8-flash\n---\n{{role \"system\"}}The shop sells shoes. Say so if the text does not tell the answer.\n{{role \"user\"}}{{question}}\n";
const V2: &str = "---\nmodel: gemini-3.8-flash\n---\n{{role \"system\"}}The shop sells shoes. The shop opens at nine in the morning. Say so if the text does not tell the answer.\n{{role \"user\"}}{{question}}\n";

pub(crate) struct Project {
    folder: TempDir,
}

impl Project {
    pub(crate) fn empty() -> Project {
        Project { folder: tempfile::tempdir().unwrap() }
    }

    /// Two prompts, `v1` and `v2`, and `cases` golden cases that `v2` answers.
    pub(crate) fn with_cases(cases: usize) -> Project {
        let project = Project::empty();
        project.write("prompts/v1.prompt", V1);
        project.write("prompts/v2.prompt", V2);
        let rows = (0..cases).map(|i| {
            format!(
                "{{\"id\":\"case-{i:05}\",\"vars\":{{\"question\":\"When does the shop open, number {i}?\"}},\"expect\":[{{\"contains\":\"nine\"}}]}}\n"
            )
        });
        project.write("golden/cases.jsonl", rows.collect::<String>());
        project
    }

    /// Prompts of these names and system texts, and cases `c-N` that ask `What is N?` and expect `nine`.
    pub(crate) fn with_questions(cases: usize, prompts: &[(&str, &str)]) -> Project {
        let project = Project::empty();
        let rows = (0..cases).map(|i| format!("c-{i},What is {i}?,nine,contains\n"));
        let head = "id,question,expected,matcher\n".to_owned();
        project.write("golden/cases.csv", head + &rows.collect::<String>());
        for (name, system) in prompts {
            project.write_prompt(name, system);
        }
        project
    }

    /// A prompt that asks the question under this system text.
    pub(crate) fn write_prompt(&self, name: &str, system: &str) {
        self.write(
            &format!("prompts/{name}.prompt"),
            format!("{{{{role \"system\"}}}}{system}\n{{{{role \"user\"}}}}{{{{question}}}}\n"),
        );
    }

    pub(crate) fn write_cases(&self, cases: &[Value]) {
        self.write_rows("golden/cases.jsonl", cases);
    }

    pub(crate) fn write_rows(&self, path: &str, rows: &[Value]) {
        self.write(path, rows.iter().map(|row| format!("{row}\n")).collect::<String>());
    }

    /// Writes `answers.jsonl` with these answers of (case, prompt, text).
    pub(crate) fn record<S: AsRef<str>>(&self, answers: impl IntoIterator<Item = (S, &'static str, S)>) {
        let row = |(case, prompt, text): (S, &str, S)| json!({"case": case.as_ref(), "prompt": prompt, "text": text.as_ref(), "finish_reason": "STOP"});
        let rows: Vec<Value> = answers.into_iter().map(row).collect();
        self.write_rows("answers.jsonl", &rows);
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.file(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[track_caller]
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{from:?} is missing in {path}: {text}");
        self.write(path, text.replace(from, to));
    }

    #[track_caller]
    pub(crate) fn verdict(&self) -> Value {
        serde_json::from_str(&self.read("reports/verdict.json")).unwrap()
    }

    #[track_caller]
    pub(crate) fn results(&self) -> Vec<Value> {
        self.rows("reports/results.jsonl")
    }

    #[track_caller]
    pub(crate) fn rows(&self, path: &str) -> Vec<Value> {
        let text = self.read(path);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn store(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file(".promptgate/store.sqlite")).unwrap()
    }

    /// All files below this folder.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        fn below(folder: &Path) -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
        }
        below(self.path())
    }

    /// Git in this folder, without the settings of this machine.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &str) -> String {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(name);
            }
        }
        let identity = "-c user.name=a -c user.email=a@b.example -c init.defaultBranch=main";
        command.args(identity.words()).args(arguments.words()).current_dir(self.path());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The binary in this folder, as on a person's machine without any key.
    pub(crate) fn command(&self, arguments: &(impl Arguments + ?Sized)) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_promptgate"));
        command.args(arguments.words()).current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let own = ["PROMPTGATE_", "GEMINI_", "GOOGLE_"];
            if own.iter().any(|prefix| text.starts_with(prefix)) || UNSET.split_whitespace().any(|unset| unset == text)
            {
                command.env_remove(&name);
            }
        }
        command
    }

    pub(crate) fn run(&self, arguments: &(impl Arguments + ?Sized)) -> Run {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with_key(&self, arguments: &(impl Arguments + ?Sized)) -> Run {
        self.run_with(arguments, &[("GEMINI_API_KEY", KEY)])
    }

    pub(crate) fn run_with(&self, arguments: &(impl Arguments + ?Sized), variables: &[(&str, &str)]) -> Run {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        self.finished(command.output().unwrap())
    }

    /// Evaluates `v2` against `v1` at the service of this address, with these options besides.
    pub(crate) fn eval_at(&self, url: &str, options: &str) -> Run {
        self.run_with_key(&format!("eval --prompt v2 --baseline v1 --base-url {url} {options}"))
    }

    /// Evaluates `v2` against `v1` over the answers of `answers.jsonl`, with these options besides.
    pub(crate) fn eval_recorded(&self, options: &str) -> Run {
        self.run_with_key(&format!(
            "eval --prompt v2 --baseline v1 --repeat 1 --target recorded --answers answers.jsonl {options}"
        ))
    }

    pub(crate) fn finished(&self, output: Output) -> Run {
        let folder = self.path().to_string_lossy().into_owned();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&folder, "[PROJECT]");
        Run { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}
