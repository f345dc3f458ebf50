//! Files that appear whole or not at all.

use std::fs::File;
use std::io;
use std::path::Path;
use tempfile::NamedTempFile;

/// A temporary file in the folder that `to` will stand in.
pub(super) fn beside(to: &Path) -> io::Result<NamedTempFile> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
}

/// Puts a temporary file in place, readable as any other.
pub(super) fn publish(file: NamedTempFile, to: &Path) -> io::Result<()> {
    readable(file.as_file())?;
    file.persist(to).map_err(|error| error.error)?;
    Ok(())
}

/// A temporary file is for its owner only; this one is to be shared.
#[cfg(unix)]
pub(super) fn readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
pub(super) fn readable(_: &File) -> io::Result<()> {
    Ok(())
}
