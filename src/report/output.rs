//! Files that appear whole or not at all, and the spools that hold what can't be written yet.

use super::{ReportError, TEMP_PREFIX, TEMP_SUFFIX};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file that others may read, under a name of its own until it is whole. The umask still applies.
pub(super) fn temp_file(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMP_PREFIX).suffix(TEMP_SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// A report's file while it is written: a temporary file beside the final one, gone if it is dropped.
#[derive(Debug)]
pub(super) struct Output {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl Output {
    pub(super) fn create(folder: &Path, name: &str) -> Result<Output, ReportError> {
        let path = folder.join(name);
        match temp_file(folder) {
            Ok(file) => Ok(Output { file: BufWriter::new(file), path }),
            Err(cause) => Err(ReportError::Write { path, cause }),
        }
    }

    /// Names the file in a failure.
    pub(super) fn error(&self, cause: io::Error) -> ReportError {
        ReportError::Write { path: self.path.clone(), cause }
    }

    /// Gives the file its name; from now on it is there, and whole.
    pub(super) fn publish(self) -> Result<(), ReportError> {
        let Output { file, path } = self;
        let renamed = match file.into_inner() {
            Ok(file) => file.persist(&path).map(drop).map_err(io::Error::from),
            Err(error) => Err(error.into_error()),
        };
        renamed.map_err(|cause| ReportError::Write { path, cause })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A nameless temporary file: written once, then read back.
#[derive(Debug)]
pub(super) struct Spool {
    file: BufWriter<File>,
    bytes: u64,
}

impl Spool {
    pub(super) fn create(folder: &Path) -> io::Result<Spool> {
        Ok(Spool { file: BufWriter::new(tempfile::tempfile_in(folder)?), bytes: 0 })
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes
    }

    /// Starts reading from the first byte. Nothing may be written afterwards.
    pub(super) fn rewind(self) -> io::Result<impl Read> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(BufReader::new(file))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
