//! The `git` program. A revision from outside is resolved to a commit once; after that only object names that git gave are
//! passed on.

use crate::domain::{Problem, digest, hex};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub fn resolve(root: &Path, rev: &str) -> Result<String, Problem> {
    if rev.starts_with('-') {
        return Err(Problem::new(format!("`{rev}` is not a git revision: it starts with `-`")));
    }
    // git takes a tag for a branch of the remote that is named alike, and whoever opens a pull request may push tags.
    let branch = commit_of(root, &format!("refs/remotes/{rev}"))?;
    let named = if rev.starts_with("origin/") { None } else { commit_of(root, rev)? };
    if let Some(commit) = branch.or(named) {
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
    let output = git(root, &["rev-parse", "--verify", "--quiet", &format!("{rev}^{{commit}}")])?;
    Ok(object_of(&output))
}

/// The object name that git printed.
fn object_of(output: &Output) -> Option<String> {
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && is_object(&name)).then_some(name)
}

fn is_object(name: &str) -> bool {
    name.len() >= 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The newest commit that `rev` and HEAD have in common: the state that a branch started from.
///
/// # Errors
/// No repository, no such revision, or they have nothing in common, as in a clone without history.
pub fn merge_base(root: &Path, rev: &str) -> Result<String, Problem> {
    let hint = "fetch all commits: `git fetch --unshallow origin`, or `fetch-depth: 0` of actions/checkout";
    let other = resolve(root, rev)?;
    let head = resolve(root, "HEAD")?;
    object_of(&git(root, &["merge-base", &head, &other])?)
        .ok_or_else(|| Problem::new(format!("HEAD and `{rev}` have no commit in common that is here")).hint(hint))
}

/// A commit that a verdict names: the whole object name of one that is here.
pub fn commit(root: &Path, name: &str) -> Result<String, Problem> {
    if !is_object(name) {
        let shown: String = name.chars().take(100).collect();
        return Err(Problem::new(format!("`{shown}` is not the name of a commit")));
    }
    resolve(root, name)
}

/// The values of a trailer in the messages of the commits since `base`, each with its commit, the newest first.
///
/// # Errors
/// git fails.
pub fn trailers(root: &Path, base: &str, name: &str) -> Result<Vec<(String, String)>, Problem> {
    const MOST_COMMITS: &str = "--max-count=1000";
    // No message holds a NUL, and no value a line's end, so none can pass for that of another commit.
    let format = format!("--format=%H%n%(trailers:key={name},valueonly,unfold)");
    let log = succeed(root, &["log", "-z", "--no-show-signature", MOST_COMMITS, &format, &format!("{base}..HEAD")])?;
    let log = String::from_utf8_lossy(&log);
    let messages = log.split('\0').filter_map(|message| message.split_once('\n'));
    let values = messages.flat_map(|(commit, values)| {
        let values = values.lines().filter(|value| !value.is_empty());
        values.map(move |value| (commit.to_owned(), value.to_owned()))
    });
    Ok(values.collect())
}

/// Whether a commit has the SSH signature of someone in this allowed-signers file.
///
/// # Errors
/// git can't be run, or no file can be written for it.
pub fn is_signed(root: &Path, commit: &str, signers: &[u8]) -> Result<bool, Problem> {
    let failed = |error: std::io::Error| Problem::new(format!("no temporary file can be written: {error}"));
    let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
    file.write_all(signers).map_err(failed)?;
    let file = format!("gpg.ssh.allowedSignersFile={}", file.path().display());
    // Keys that this machine trusts for other signatures accept nothing.
    let others = ["-c", "gpg.openpgp.program=false", "-c", "gpg.x509.program=false"];
    let args = [&["-c", &file], &others[..], &["verify-commit", commit]].concat();
    Ok(git(root, &args)?.status.success())
}

/// The bytes of a file at a commit; `None` if nothing is there. `path` leads from the root, and not out of it.
///
/// # Errors
/// git fails, or what is there is no plain file, or has more than 8 MiB.
pub fn file_at(root: &Path, commit: &str, path: &str) -> Result<Option<Vec<u8>>, Problem> {
    const MAX_BYTES: u64 = 8 << 20;
    let entries = tree(root, commit, Depth::Folder, Some(path))?;
    match entries.first() {
        None => Ok(None),
        Some(entry) if entry.kind != EntryKind::File => {
            Err(Problem::new(format!("`{path}` at {commit} is no plain file"))
                .hint("replace it by a file; a link can't be compared"))
        }
        Some(entry) if entry.bytes > MAX_BYTES => {
            Err(Problem::new(format!("`{path}` at {commit} has more than {} MiB", MAX_BYTES >> 20)))
        }
        Some(entry) => entry.read(root).map(Some),
    }
}

/// Whether the index has a file at a path or below it. Without git or a work tree it has none.
///
/// # Errors
/// git fails.
pub fn tracks(root: &Path, path: &str) -> Result<bool, Problem> {
    let Ok(inside) = git(root, &["rev-parse", "--is-inside-work-tree"]) else {
        return Ok(false);
    };
    Ok(inside.stdout.starts_with(b"true") && !succeed(root, &["ls-files", "-z", "--", path])?.is_empty())
}

/// The folder of the work tree, which may lie above the project.
pub fn toplevel(root: &Path) -> Result<PathBuf, Problem> {
    let printed = succeed(root, &["rev-parse", "--show-toplevel"])?;
    Ok(PathBuf::from(String::from_utf8_lossy(&printed).trim_end_matches(['\r', '\n'])))
}

/// A digest of the paths and bytes of all files at a path, which is itself a file or a folder: at a commit or, without one, now.
/// `None` if there are none. `path` leads from `top`, the folder of the work tree.
///
/// # Errors
/// git fails, or a file can't be read.
pub fn fingerprint(top: &Path, commit: Option<&str>, path: &str) -> Result<Option<String>, Problem> {
    let mut files: Vec<(String, String)> = match commit {
        Some(commit) => {
            let entries = tree(top, commit, Depth::Recursive, Some(path))?;
            entries.into_iter().map(|entry| (entry.path, entry.object)).collect()
        }
        None => objects_below(top, path)?,
    };
    files.sort();
    let pieces = files.iter().flat_map(|(path, object)| [path.as_bytes(), object.as_bytes()]);
    Ok((!files.is_empty()).then(|| hex(digest(pieces))))
}

/// A folder of more files is like nothing in a commit.
const MAX_FILES: usize = 10_000;

/// The files at a path that git tracks or would add, with the object names that git gives to their bytes. What is no plain file
/// has none, and so is like nothing in a commit. An ignored file comes with no change.
fn objects_below(top: &Path, path: &str) -> Result<Vec<(String, String)>, Problem> {
    let listed = succeed(top, &["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", path])?;
    let listed = String::from_utf8_lossy(&listed);
    let (mut plain, mut objects) = (Vec::new(), Vec::new());
    for path in listed.split_terminator('\0').collect::<BTreeSet<_>>() {
        match std::fs::symlink_metadata(top.join(path)) {
            Ok(about) if about.is_file() => plain.push(path.to_owned()),
            Ok(_) => objects.push((path.to_owned(), String::new())),
            Err(_) => {}
        }
    }
    if plain.len() + objects.len() > MAX_FILES {
        return Ok(vec![(path.to_owned(), String::new())]);
    }
    for paths in plain.chunks(500) {
        let mut args = vec!["hash-object", "--no-filters", "--"];
        args.extend(paths.iter().map(String::as_str));
        let names = succeed(top, &args)?;
        let names = String::from_utf8_lossy(&names).into_owned();
        objects.extend(paths.iter().cloned().zip(names.lines().map(str::to_owned)));
    }
    Ok(objects)
}

/// How far [`tree`] goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    Folder,
    Recursive,
}

#[derive(Debug)]
pub(super) struct TreeEntry {
    /// From the root of the project.
    pub(super) path: String,
    pub(super) kind: EntryKind,
    pub(super) bytes: u64,
    object: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Link,
    Other,
}

impl TreeEntry {
    pub(super) fn read(&self, root: &Path) -> Result<Vec<u8>, Problem> {
        succeed(root, &["cat-file", "blob", &self.object])
    }
}

/// Lists a commit's tree, at `path` or as a whole.
pub(super) fn tree(root: &Path, commit: &str, depth: Depth, path: Option<&str>) -> Result<Vec<TreeEntry>, Problem> {
    let mut args = vec!["ls-tree", "-z", "-l", commit];
    if depth == Depth::Recursive {
        args.insert(1, "-r");
    }
    args.extend(path.iter().flat_map(|path| ["--", path]));
    let listing = succeed(root, &args)?;
    Ok(String::from_utf8_lossy(&listing).split('\0').filter_map(entry).collect())
}

/// Reads `MODE TYPE OBJECT SIZE<TAB>PATH`.
fn entry(line: &str) -> Option<TreeEntry> {
    let (about, path) = line.split_once('\t')?;
    let mut words = about.split_ascii_whitespace();
    let (mode, _, object, bytes) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some(TreeEntry {
        path: path.to_owned(),
        kind: match mode {
            "100644" | "100755" => EntryKind::File,
            "120000" => EntryKind::Link,
            _ => EntryKind::Other,
        },
        // Folders have none.
        bytes: bytes.parse().unwrap_or(u64::MAX),
        object: object.to_owned(),
    })
}

fn succeed(root: &Path, args: &[&str]) -> Result<Vec<u8>, Problem> {
    let output = git(root, args)?;
    if output.status.success() { Ok(output.stdout) } else { Err(failure(root, &output)) }
}

/// Variables by which a hook's git tells programs about its own repository; the project's is found from its folder.
pub(super) const OF_A_HOOK: [&str; 5] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"];

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
        .env("GIT_LITERAL_PATHSPECS", "1")
        .output()
        .map_err(|error| {
            Problem::new(format!("git can't be run: {error}")).hint("install git, or name files instead of a revision")
        })
}

fn failure(root: &Path, output: &Output) -> Problem {
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("not a git repository") {
        return Problem::new(format!("`{}` is not in a git repository", root.display()))
            .hint("name files instead of a revision");
    }
    let line: String = stderr.lines().next().unwrap_or("it gave no reason").chars().take(200).collect();
    Problem::new(format!("git failed: {line}"))
}
