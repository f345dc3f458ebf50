//! The `git` program. A revision from outside is resolved to a commit once; after that only object names that git gave are
//! passed on.

use crate::model::Problem;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The commit that a revision names.
pub(super) fn resolve(root: &Path, rev: &str) -> Result<String, Problem> {
    if rev.starts_with('-') {
        return Err(Problem::new(format!(
            "`{rev}` is not a git revision: it starts with `-`"
        )));
    }
    if let Some(commit) = commit_of(root, rev)? {
        return Ok(commit);
    }
    let inside = git(root, &["rev-parse", "--is-inside-work-tree"])?;
    if !inside.status.success() {
        return Err(failure(root, &inside));
    }
    let problem = Problem::new(format!("unknown git revision `{rev}`"));
    let shallow = succeed(root, &["rev-parse", "--is-shallow-repository"])?;
    if shallow.starts_with(b"true") {
        return Err(problem.hint(
            "this is a shallow clone, which lacks most revisions; fetch all of them (`git fetch --unshallow`, or `fetch-depth: 0` of actions/checkout)",
        ));
    }
    if commit_of(root, &format!("origin/{rev}"))?.is_some() {
        return Err(problem.hint(format!("did you mean `origin/{rev}`?")));
    }
    Err(problem.expected("a branch, tag or commit that `git rev-parse` knows"))
}

fn commit_of(root: &Path, rev: &str) -> Result<Option<String>, Problem> {
    let output = git(
        root,
        &["rev-parse", "--verify", "--quiet", &format!("{rev}^{{commit}}")],
    )?;
    let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let is_object = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok((output.status.success() && is_object).then_some(commit))
}

pub(super) fn succeed(root: &Path, args: &[&str]) -> Result<Vec<u8>, Problem> {
    let output = git(root, args)?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(failure(root, &output))
    }
}

/// Variables by which a hook's git tells programs about its own repository; the project's is found from its folder.
pub(super) const OF_A_HOOK: [&str; 5] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
];

fn git(root: &Path, args: &[&str]) -> Result<Output, Problem> {
    let mut command = Command::new("git");
    for variable in OF_A_HOOK {
        command.env_remove(variable);
    }
    command
        .args(args)
        .current_dir(root)
        .stdin(Stdio::null())
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .map_err(|error| {
            Problem::new(format!("git can't be run: {error}")).hint("install git, or name files instead of a revision")
        })
}

fn failure(root: &Path, output: &Output) -> Problem {
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("not a git repository") {
        return Problem::new(format!("`{}` is not in a git repository", root.display()))
            .hint("name files instead of a revision");
    }
    let line: String = said
        .lines()
        .next()
        .unwrap_or("it gave no reason")
        .chars()
        .take(200)
        .collect();
    Problem::new(format!("git failed: {line}"))
}
