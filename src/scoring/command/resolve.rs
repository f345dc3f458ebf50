//! Which program a command is, and what identifies it.

use crate::domain::{Command, digest_reader, hex};
use sha2::{Digest, Sha256};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Files of the project that a command names are digested up to this size; of larger ones, only the size counts.
const MOST_DIGESTED: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    /// The project root, absolute: where it runs.
    pub(super) root: PathBuf,
    pub(super) search: Option<OsString>,
    /// SHA-256 as lowercase hexadecimal digits over arguments, time, environment, and the content of each argument that
    /// names a file of the project, like a script. What such a file loads in turn is not seen.
    pub(super) digest: String,
}

/// Finds a command's program: a name with a separator is a path from the project root, any other is looked up in PATH.
pub(super) fn program(command: &Command, root: &Path) -> Result<Program, String> {
    let root = std::path::absolute(root).map_err(|error| format!("the project root has no path: {error}"))?;
    let search = env::var_os("PATH");
    let name = command.argv.first().map_or("", String::as_str);
    let path = if name.contains(['/', std::path::MAIN_SEPARATOR]) {
        let path = root.join(name);
        runnable(&path).map_err(|what| format!("`{name}` {what}"))?
    } else {
        let folders = search.as_deref().map(env::split_paths).into_iter().flatten();
        // An empty entry of PATH means the working directory; a program found there by accident is not the one meant.
        let mut folders = folders.filter(|folder| folder.is_absolute());
        let found = folders.find_map(|folder| runnable(&folder.join(name)).ok());
        found.ok_or_else(|| format!("there is no program `{name}` in PATH"))?
    };
    let digest = digest(command, &root).map_err(|error| format!("a file that it names can't be read: {error}"))?;
    Ok(Program { path, root, search, digest })
}

/// The file, if it may be run.
fn runnable(path: &Path) -> Result<PathBuf, &'static str> {
    let candidates = [path.to_owned(), with_suffix(path)];
    let Some((file, about)) =
        candidates.into_iter().find_map(|file| fs::metadata(&file).ok().map(|about| (file, about)))
    else {
        return Err("is not there");
    };
    if !about.is_file() {
        return Err("is not a file");
    }
    if !may_run(&about) {
        return Err("may not be run");
    }
    Ok(file)
}

/// With the suffix of programs, where there is one.
fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(env::consts::EXE_SUFFIX);
    PathBuf::from(name)
}

#[cfg(unix)]
fn may_run(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    about.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn may_run(_: &fs::Metadata) -> bool {
    true
}

fn digest(command: &Command, root: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(b"promptgate.command/1");
    add(&(command.argv.len() as u64).to_le_bytes());
    for text in &command.argv {
        add(text.as_bytes());
        add(&content(&root.join(text), root)?);
    }
    add(&command.timeout.as_nanos().to_le_bytes());
    for (name, value) in &command.env {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    Ok(hex(hash.finalize()))
}

/// The digest of a file of the project; nothing for anything else.
fn content(path: &Path, root: &Path) -> io::Result<Vec<u8>> {
    let Ok(about) = fs::metadata(path) else {
        return Ok(Vec::new());
    };
    if !about.is_file() || !path.starts_with(root) {
        return Ok(Vec::new());
    }
    if about.len() > MOST_DIGESTED {
        return Ok(about.len().to_le_bytes().to_vec());
    }
    Ok(digest_reader(File::open(path)?.take(MOST_DIGESTED))?.to_vec())
}
