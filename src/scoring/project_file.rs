//! Reads files that golden data names. The names are data from anyone, so they stay under the project root.

use super::cache::Cache;
use super::quote::quote;
use crate::domain::ArgProblem;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of one project, read at most once each (while they are few).
#[derive(Debug)]
pub struct ProjectFiles {
    root: PathBuf,
    read: Cache<Arc<str>>,
}

impl ProjectFiles {
    /// The largest file that is read, in bytes.
    pub const MAX_BYTES: u64 = 1 << 20;

    pub(super) fn new(root: &Path) -> ProjectFiles {
        ProjectFiles { root: root.to_owned(), read: Cache::new(64) }
    }

    /// The content of a file, named from the project root, without a byte order mark.
    ///
    /// # Errors
    /// It is not there, not a plain file, outside the root (symbolic links resolved), too large, or not UTF-8.
    pub(super) fn text(&self, name: &str) -> Result<Arc<str>, ArgProblem> {
        self.read.get_or_try(name, || self.read(name))
    }

    /// The same, or `None` if there is no such file.
    ///
    /// # Errors
    /// It is there, and can't be read.
    pub(super) fn text_if_there(&self, name: &str) -> Result<Option<Arc<str>>, ArgProblem> {
        match fs::symlink_metadata(self.root.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Ok(_) | Err(_) => self.text(name).map(Some),
        }
    }

    fn read(&self, name: &str) -> Result<Arc<str>, ArgProblem> {
        let shown = quote(name);
        let unreadable = |error: std::io::Error| {
            ArgProblem::new(format!("can't read {shown}: {}", reason(&error)))
                .expected("a file under the project root, named from there")
        };
        let root = fs::canonicalize(&self.root).map_err(unreadable)?;
        let path = fs::canonicalize(root.join(name)).map_err(unreadable)?;
        if !path.starts_with(&root) {
            return Err(ArgProblem::new(format!("{shown} lies outside the project root"))
                .expected("a file under the project root, symbolic links included"));
        }
        // Asked before opening: a named pipe would block.
        if !fs::metadata(&path).map_err(unreadable)?.is_file() {
            return Err(ArgProblem::new(format!("{shown} is not a plain file")).expected("a plain file"));
        }
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(Self::MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > Self::MAX_BYTES {
            return Err(ArgProblem::new(format!("{shown} is too large")).expected("at most 1 MiB"));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Arc::from(text.strip_prefix('\u{feff}').unwrap_or(&text))),
            Err(_) => Err(ArgProblem::new(format!("{shown} is not UTF-8")).expected("a text file in UTF-8")),
        }
    }
}

/// Without the operating system's number: the same words everywhere.
fn reason(error: &std::io::Error) -> String {
    let kind = error.kind();
    if kind == ErrorKind::NotFound {
        return "there is no such file".to_owned();
    }
    if kind == ErrorKind::InvalidInput {
        return "this is not a file name".to_owned();
    }
    kind.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(root: &Path, name: &str) -> Result<String, String> {
        match ProjectFiles::new(root).text(name) {
            Ok(text) => Ok(text.to_string()),
            Err(problem) => Err(problem.message),
        }
    }

    #[test]
    fn files_stay_under_the_root() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("project");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(outer.path().join("secret.json"), "1").unwrap();
        fs::write(root.join("a.json"), "\u{feff}{}").unwrap();
        fs::write(root.join("bad.json"), [0xff, 0xfe]).unwrap();
        fs::write(root.join("big.json"), vec![b' '; ProjectFiles::MAX_BYTES as usize + 1]).unwrap();
        fs::write(root.join("full.json"), vec![b' '; ProjectFiles::MAX_BYTES as usize]).unwrap();
        assert_eq!(read(&root, "a.json"), Ok("{}".to_owned()));
        assert_eq!(read(&root, "sub/../a.json"), Ok("{}".to_owned()));
        assert!(read(&root, "full.json").is_ok());
        let refused = |name: &str| read(&root, name).unwrap_err();
        assert_eq!(refused("../secret.json"), "\"../secret.json\" lies outside the project root");
        let absolute = outer.path().join("secret.json");
        assert!(refused(absolute.to_str().unwrap()).ends_with("lies outside the project root"));
        assert_eq!(refused("b.json"), "can't read \"b.json\": there is no such file");
        assert_eq!(refused("sub"), "\"sub\" is not a plain file");
        assert_eq!(refused("big.json"), "\"big.json\" is too large");
        assert_eq!(refused("bad.json"), "\"bad.json\" is not UTF-8");
        assert_eq!(refused("a\0b"), "can't read \"a\\u{0}b\": this is not a file name");
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_links_are_resolved_first() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("project");
        fs::create_dir(&root).unwrap();
        fs::write(outer.path().join("secret.json"), "1").unwrap();
        fs::write(root.join("a.json"), "2").unwrap();
        std::os::unix::fs::symlink("../secret.json", root.join("out.json")).unwrap();
        std::os::unix::fs::symlink("a.json", root.join("in.json")).unwrap();
        assert_eq!(read(&root, "out.json"), Err("\"out.json\" lies outside the project root".to_owned()));
        assert_eq!(read(&root, "in.json"), Ok("2".to_owned()));
    }
}
