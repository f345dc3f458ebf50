//! Opening the file: its checks, its version, and what is said when it is not usable.

use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one access waits for another process.
pub const BUSY: Duration = Duration::from_secs(10);

/// `pgte` in ASCII: marks the file as ours.
const APPLICATION_ID: i32 = 0x7067_7465;

/// The schema this version reads and writes.
const VERSION: i32 = 2;

/// The store is not usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    path: PathBuf,
    message: String,
    hint: Option<&'static str>,
}

impl StoreError {
    pub(super) fn new(path: &Path, message: impl Into<String>) -> StoreError {
        StoreError { path: path.to_owned(), message: message.into(), hint: None }
    }

    fn with_hint(self, hint: &'static str) -> StoreError {
        StoreError { hint: Some(hint), ..self }
    }

    pub(super) fn sqlite(path: &Path, doing: &str, error: &rusqlite::Error) -> StoreError {
        let hint = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Some("another process holds the store; wait for it to end, or end it")
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Some("move the file away and run again; it holds only cached answers and old runs")
            }
            Some(ErrorCode::DiskFull) => Some("free disk space, then run again with --resume"),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Some("make the folder .promptgate writable")
            }
            _ => None,
        };
        let cause = if let rusqlite::Error::FromSqlConversionFailure(_, _, cause) = error {
            format!("it holds an unreadable value: {cause}")
        } else {
            error.to_string()
        };
        StoreError { hint, ..StoreError::new(path, format!("can't {doing}: {cause}")) }
    }

    /// What happened.
    pub fn message(&self) -> String {
        format!("the store {}: {}", self.path.display(), self.message)
    }

    /// What to do.
    pub fn hint(&self) -> Option<&'static str> {
        self.hint
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for StoreError {}

pub(super) fn open(folder: &Path, path: &Path) -> Result<Connection, StoreError> {
    std::fs::create_dir_all(folder).map_err(|error| {
        StoreError::new(folder, format!("the folder can't be created: {error}"))
            .with_hint("run in a folder you can write to")
    })?;
    let mut connection = connect(path)?;
    let failed = |doing: &str, error| StoreError::sqlite(path, doing, &error);
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(|error| failed("open it", error))?;
    let version: i32 = transaction
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|e| failed("read its version", e))?;
    let application: i32 = transaction
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(|error| failed("read its mark", error))?;
    match (application, version) {
        (0, 0) => {
            let tables: i64 = transaction
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
                .map_err(|error| failed("read its tables", error))?;
            if tables > 0 {
                return Err(foreign(path));
            }
            transaction
                .execute_batch(include_str!("schema.sql"))
                .map_err(|error| failed("create its tables", error))?;
            transaction
                .pragma_update(None, "application_id", APPLICATION_ID)
                .and_then(|()| transaction.pragma_update(None, "user_version", VERSION))
                .map_err(|error| failed("mark it", error))?;
        }
        (APPLICATION_ID, VERSION) => {}
        (APPLICATION_ID, _) => {
            let message = format!("its schema has version {version}, this promptgate knows version {VERSION}");
            return Err(StoreError::new(path, message).with_hint(
                "use the promptgate that wrote it, or delete .promptgate; it holds only cached answers and old runs",
            ));
        }
        _ => return Err(foreign(path)),
    }
    transaction.commit().map_err(|error| failed("open it", error))?;
    Ok(connection)
}

fn foreign(path: &Path) -> StoreError {
    StoreError::new(path, "it is a database of another program").with_hint("move the file away")
}

/// A connection with our settings.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| StoreError::sqlite(path, "open it", &error))?;
    connection
        .busy_timeout(BUSY)
        .and_then(|()| connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())))
        .and_then(|()| connection.pragma_update(None, "synchronous", "NORMAL"))
        .map_err(|error| StoreError::sqlite(path, "open it", &error))?;
    Ok(connection)
}
