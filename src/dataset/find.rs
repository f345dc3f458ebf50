//! From paths to golden files, in a fixed order.

use super::Format;
use crate::domain::{Place, Problem, Problems};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of approved answers, which holds no cases.
const SNAPSHOTS: &str = "snapshots";

pub(super) struct GoldenPath {
    pub(super) path: PathBuf,
    pub(super) shown: Arc<str>,
    pub(super) suite: Arc<str>,
    pub(super) format: Format,
}

/// All golden files of `paths`: those named, and those below the folders named, in byte-wise order of their path in the
/// folder.
pub(super) fn files(paths: &[PathBuf], problems: &mut Problems) -> Vec<GoldenPath> {
    let mut search = Search { problems, found: Vec::new(), seen: HashMap::new() };
    for path in paths {
        match search.readable(path, fs::metadata(path)) {
            Some(data) if data.is_dir() => search.folder(path),
            Some(_) => search.file(path),
            None => {}
        }
    }
    search.found
}

struct Search<'a> {
    problems: &'a mut Problems,
    found: Vec<GoldenPath>,
    /// Files so far, links resolved.
    seen: HashMap<PathBuf, Arc<str>>,
}

impl Search<'_> {
    fn file(&mut self, path: &Path) {
        let shown = shown(path);
        let Some(found) = self.check_file(path, &shown) else { return };
        let Some(real) = self.readable(path, path.canonicalize()) else { return };
        match self.seen.get(&real) {
            Some(first) => {
                let problem = Problem::at(Place::file(shown), "the file is read twice")
                    .hint(format!("it is also reached as `{first}`: name it once"));
                self.problems.push(problem);
            }
            None => {
                self.seen.insert(real, shown);
                self.found.push(found);
            }
        }
    }

    fn check_file(&mut self, path: &Path, shown: &Arc<str>) -> Option<GoldenPath> {
        let is_file = self.readable(path, fs::metadata(path))?.is_file();
        let format = path.extension().and_then(OsStr::to_str).and_then(Format::of_extension);
        match format {
            Some(format) if is_file => Some(GoldenPath {
                path: path.to_owned(),
                shown: shown.clone(),
                suite: path.file_stem().unwrap_or_default().to_string_lossy().into(),
                format,
            }),
            Some(_) => {
                let problem = Problem::at(Place::file(shown.clone()), "not a regular file");
                self.problems.push(problem.expected("a file, which is read twice"));
                None
            }
            None => {
                let problem = Problem::at(Place::file(shown.clone()), "not a golden file")
                    .expected("a name that ends in .csv, .jsonl, .json, .yaml or .yml")
                    .hint("rename it, or move it out; only README files may stand beside golden files");
                self.problems.push(problem);
                None
            }
        }
    }

    fn folder(&mut self, root: &Path) {
        let Some(real_root) = self.readable(root, root.canonicalize()) else { return };
        let mut walk = Walk { root, visited: HashSet::from([real_root.clone()]), real_root, files: Vec::new() };
        self.walk(root, &mut walk);
        walk.files.sort_by(|one, other| in_folder(root, one).cmp(in_folder(root, other)));
        for file in walk.files {
            self.file(&file);
        }
    }

    fn walk(&mut self, folder: &Path, walk: &mut Walk<'_>) {
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let Some(mut entries) = self.readable(folder, entries) else { return };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            let Some(data) = self.readable(&path, fs::metadata(&path)) else { continue };
            let is_folder = data.is_dir();
            let is_skipped = match is_folder {
                true => name == SNAPSHOTS,
                false => name.as_encoded_bytes().starts_with(b"README"),
            };
            if is_skipped || !self.stays_inside(&path, is_folder, walk) {
                continue;
            }
            if is_folder {
                self.walk(&path, walk);
            } else {
                walk.files.push(path);
            }
        }
    }

    /// Refuses links that lead out of the folder, and folders that are reached again.
    fn stays_inside(&mut self, path: &Path, is_folder: bool, walk: &mut Walk<'_>) -> bool {
        let Some(real) = self.readable(path, path.canonicalize()) else { return false };
        if !real.starts_with(&walk.real_root) {
            let problem = Problem::at(Place::file(shown(path)), "the link leads out of the golden folder")
                .expected(format!("a target below `{}`", shown(walk.root)));
            self.problems.push(problem);
            return false;
        }
        if is_folder && !walk.visited.insert(real) {
            let problem = Problem::at(Place::file(shown(path)), "the link leads to a folder that is read already");
            self.problems.push(problem.expected("every folder once"));
            return false;
        }
        true
    }

    /// What was read, or a problem and `None`.
    fn readable<T>(&mut self, path: &Path, read: io::Result<T>) -> Option<T> {
        let message = match read {
            Ok(read) => return Some(read),
            Err(error) if error.kind() == io::ErrorKind::NotFound => "no such file or folder".to_owned(),
            Err(error) => format!("can't be read: {error}"),
        };
        self.problems.push(Problem::at(Place::file(shown(path)), message));
        None
    }
}

struct Walk<'a> {
    root: &'a Path,
    real_root: PathBuf,
    /// Folders so far, links resolved.
    visited: HashSet<PathBuf>,
    files: Vec<PathBuf>,
}

fn in_folder<'a>(root: &Path, file: &'a Path) -> &'a [u8] {
    file.strip_prefix(root).unwrap_or(file).as_os_str().as_encoded_bytes()
}

fn shown(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}
