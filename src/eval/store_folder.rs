//! The folder of the store. It is believed, so it must come from runs of this project and not with the change that is tested.

use crate::domain::Problem;
use crate::git;
use std::path::{Path, PathBuf};

/// Below the project root.
const FOLDER: &str = ".promptgate";

/// The folder, the store's file, and those of SQLite beside it, which it reads as well.
const PATHS: [&str; 5] = [
    FOLDER,
    ".promptgate/store.sqlite",
    ".promptgate/store.sqlite-wal",
    ".promptgate/store.sqlite-shm",
    ".promptgate/store.sqlite-journal",
];

/// The folder, which need not exist.
///
/// # Errors
/// Git tracks something in it, or it leads elsewhere.
pub(crate) fn store_folder(root: &Path) -> Result<PathBuf, Problem> {
    let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    for below in PATHS {
        // Where letters' case makes no difference, a name in other letters leads elsewhere, too: git does not know it as this one.
        if root.join(below).canonicalize().is_ok_and(|found| found != real.join(below)) {
            return Err(Problem::new(format!("the store is reached through a link, {below}"))
                .expected(format!("a folder {FOLDER} of plain files, which earlier runs wrote"))
                .hint(format!("remove the link (`git rm --cached {below}`), and add {FOLDER} to .gitignore")));
        }
    }
    if git::tracks(root, FOLDER)? {
        return Err(Problem::new(format!("git tracks {FOLDER}, so a change could bring along its own answers"))
            .expected("a store that only earlier runs wrote")
            .hint(format!("run `git rm -r --cached {FOLDER}`, add {FOLDER} to .gitignore, and commit both")));
    }
    Ok(root.join(FOLDER))
}
