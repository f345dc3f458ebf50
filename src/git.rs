//! The `git` program. A revision from outside is resolved to a commit once; after that only object names that git gave are
//! passed on.

use crate::domain::Problem;
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

/// The newest commit that `rev` and HEAD have in common: the state that a branch started from.
///
/// # Errors
/// No repository, no such revision, or they have nothing in common, as in a clone without history.
pub fn merge_base(root: &Path, rev: &str) -> Result<String, Problem> {
    let hint = "fetch all commits: `git fetch --unshallow origin`, or `fetch-depth: 0` of actions/checkout";
    let other = resolve(root, rev)?;
    let head = resolve(root, "HEAD")?;
    let output = git(root, &["merge-base", &head, &other])?;
    let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(commit);
    }
    Err(Problem::new(format!("HEAD and `{rev}` have no commit in common that is here")).hint(hint))
}

/// A commit that a verdict names: the whole object name of one that is here.
///
/// # Errors
/// No repository, or no such commit in it.
pub fn commit(root: &Path, name: &str) -> Result<String, Problem> {
    if name.len() < 40 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let shown: String = name.chars().take(100).collect();
        return Err(Problem::new(format!("`{shown}` is not the name of a commit")));
    }
    resolve(root, name)
}

/// The bytes of a file at a commit; `None` if it is not there, or is no plain file. `path` leads from the root, and not
/// out of it.
///
/// # Errors
/// git fails, or the file has more than 8 MiB.
pub fn file_at(root: &Path, commit: &str, path: &str) -> Result<Option<Vec<u8>>, Problem> {
    const MAX_BYTES: u64 = 8 << 20;
    let listing = succeed(root, &["ls-tree", "-z", "-l", commit, "--", path])?;
    let listing = String::from_utf8_lossy(&listing);
    let Some((about, _)) = listing.split('\0').next().and_then(|entry| entry.split_once('\t')) else {
        return Ok(None);
    };
    match about.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
        ["100644" | "100755", _, object, size] => {
            if size.parse::<u64>().is_ok_and(|size| size <= MAX_BYTES) {
                succeed(root, &["cat-file", "blob", object]).map(Some)
            } else {
                Err(Problem::new(format!(
                    "`{path}` at {commit} has more than {} MiB",
                    MAX_BYTES >> 20
                )))
            }
        }
        _ => Ok(None),
    }
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
