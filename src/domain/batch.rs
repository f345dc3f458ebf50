//! Batch jobs that wait at the service, as the run stage hands them to the store.

/// A batch job of a run that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBatch {
    /// The store's number of it.
    pub id: i64,
    /// What it is called before the service has given it a name.
    pub label: String,
    /// The service's name of it; `None` when the process died before the service had answered.
    pub name: Option<String>,
    pub file: Option<String>,
    /// The planned answers in it, in the order of its requests: position in plan order, and identity.
    pub items: Vec<(u64, [u8; 32])>,
}

/// Remembers which batch jobs wait, so that a process that dies loses none. Each call returns when what it noted survives a
/// kill of the process.
pub trait BatchLedger: Send + Sync + 'static {
    /// The jobs of the run that have not ended, oldest first.
    fn open(&self) -> Result<Vec<OpenBatch>, String>;

    /// Notes a job that is about to be created, and what is in it. Returns the store's number of it.
    ///
    /// # Errors
    /// A sentence why it can't be noted; then the job must not be created.
    fn announce(&self, label: &str, items: &[(u64, [u8; 32])]) -> Result<i64, String>;

    /// Notes the file that was uploaded for a job.
    fn uploaded(&self, id: i64, file: &str) -> Result<(), String>;

    /// Notes the service's name of a job.
    fn created(&self, id: i64, name: &str) -> Result<(), String>;

    /// Forgets a job: everything that came of it is kept, or it never came to be.
    fn close(&self, id: i64) -> Result<(), String>;
}
