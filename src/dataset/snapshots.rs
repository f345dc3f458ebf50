//! Approved answers that no case asks for.

use crate::domain::{SNAPSHOT_ENDING, SNAPSHOTS};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// The names of the approved answers and proposals in `golden/snapshots/` below `root` that belong to no case, sorted.
/// `referenced` are the names of the approved answers that cases ask for ([`crate::domain::snapshot_file`]). Other files, and
/// what lies in folders, are not looked at; without the folder there is nothing.
pub fn unreferenced_snapshots(root: &Path, referenced: &BTreeSet<String>) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(root.join(SNAPSHOTS)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let approved = name.strip_suffix(".new").unwrap_or(&name);
        if approved.ends_with(SNAPSHOT_ENDING) && !referenced.contains(approved) {
            found.push(name);
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_no_case_asks_for_are_listed() {
        let root = tempfile::tempdir().unwrap();
        let referenced = BTreeSet::from(["a.snap".to_owned()]);
        assert_eq!(unreferenced_snapshots(root.path(), &referenced).unwrap(), Vec::<String>::new());
        let folder = root.path().join(SNAPSHOTS);
        fs::create_dir_all(folder.join("sub.snap")).unwrap();
        for name in ["a.snap", "a.snap.new", "b.snap", "c.snap.new", "README.md", "Cargo.toml", "d.new"] {
            fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(unreferenced_snapshots(root.path(), &referenced).unwrap(), ["b.snap", "c.snap.new"]);
    }
}
