//! Which batch jobs wait at the service. A job is noted before it is created and forgotten when all its answers are kept.

use super::{OpenRun, RunId, Store, StoreError, count, now, open};
use crate::domain::{BatchLedger, OpenBatch};
use rusqlite::{Connection, TransactionBehavior, params};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The batch jobs of one run. It has a connection of its own: the run stage asks from its own threads.
#[derive(Debug)]
pub struct Batches {
    connection: Mutex<Connection>,
    run: RunId,
}

/// A batch job that has not ended, and its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingBatch {
    pub run: i64,
    /// What it is called before it has a name.
    pub label: String,
    /// The service's name of it.
    pub name: Option<String>,
    /// The file that was uploaded for it, if one was.
    pub file: Option<String>,
    /// Answers in it.
    pub answers: u64,
    /// What answers: the target's identity.
    pub target: String,
    /// Seconds since 1970.
    pub created_at: i64,
    /// The store's number of it.
    pub id: i64,
}

/// Another process works on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunInUse {
    pub run: i64,
}

impl WaitingBatch {
    /// It has this name, or this label while its name is not known.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.as_deref().unwrap_or(&self.label) == name
    }

    pub fn is_of(&self, run: RunId) -> bool {
        self.run == run.0
    }
}

impl Store {
    /// The batch jobs of a run.
    pub fn batches(&self, run: RunId) -> Result<Batches, StoreError> {
        Ok(Batches { connection: Mutex::new(open::connect(&self.path)?), run })
    }

    /// All batch jobs that have not ended, of all runs, oldest first.
    pub fn waiting_batches(&self) -> Result<Vec<WaitingBatch>, StoreError> {
        self.rows(
            "list batch jobs",
            "SELECT batches.id, run, label, name, target, created_at, file,
                    (SELECT count(*) FROM batch_items WHERE batch = batches.id)
             FROM batches JOIN runs ON runs.id = run ORDER BY batches.id",
            [],
            |row| {
                Ok(WaitingBatch {
                    id: row.get(0)?,
                    run: row.get(1)?,
                    label: row.get(2)?,
                    name: row.get(3)?,
                    target: row.get(4)?,
                    created_at: row.get(5)?,
                    file: row.get(6)?,
                    answers: count(row, 7)?,
                })
            },
        )
    }

    /// Gives the batch jobs of earlier runs of the same plan to this run, so that nothing in them is asked again. Returns how
    /// many there are.
    ///
    /// # Errors
    /// Another process works on one of these runs, or the store can't be written.
    pub fn take_over_batches(&self, run: &OpenRun, plan: &[u8; 32]) -> Result<Result<usize, RunInUse>, StoreError> {
        let doing = "take over batch jobs";
        let owners: Vec<i64> = self.rows(
            doing,
            "SELECT DISTINCT run FROM batches JOIN runs ON runs.id = run WHERE plan = ?1 AND run <> ?2",
            params![plan, run.id.0],
            |row| row.get(0),
        )?;
        let mut taken = 0;
        for owner in owners {
            let Some(_lock) = self.lock(RunId(owner), 0)? else {
                return Ok(Err(RunInUse { run: owner }));
            };
            taken += self
                .connection
                .execute("UPDATE batches SET run = ?2 WHERE run = ?1", [owner, run.id.0])
                .map_err(|error| self.failed(doing, error))?;
        }
        Ok(Ok(taken))
    }

    /// The run of this plan that another process works on and that may have batch jobs, if there is one.
    pub fn batches_in_use(&self, plan: &[u8; 32]) -> Result<Option<RunInUse>, StoreError> {
        let runs: Vec<i64> = self.rows(
            "look for runs in progress",
            "SELECT id FROM runs WHERE plan = ?1 AND ended IS NULL ORDER BY id DESC LIMIT 20",
            [plan],
            |row| row.get(0),
        )?;
        for run in runs {
            if self.lock(RunId(run), 0)?.is_none() {
                return Ok(Some(RunInUse { run }));
            }
        }
        Ok(None)
    }

    /// Whether another process works on the run of a batch job.
    pub fn is_in_use(&self, batch: &WaitingBatch) -> Result<bool, StoreError> {
        Ok(self.lock(RunId(batch.run), 0)?.is_none())
    }

    pub fn forget_batch(&self, id: i64) -> Result<(), StoreError> {
        forget(&self.connection, id, None).map_err(|error| self.failed("forget a batch job", error))
    }
}

/// Of this run, if one is named.
fn forget(connection: &Connection, id: i64, run: Option<RunId>) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let gone = transaction
        .execute("DELETE FROM batches WHERE id = ?1 AND (?2 IS NULL OR run = ?2)", params![id, run.map(|run| run.0)])?;
    if gone > 0 {
        transaction.execute("DELETE FROM batch_items WHERE batch = ?1", [id])?;
    }
    transaction.commit()
}

impl Batches {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> rusqlite::Result<Vec<OpenBatch>> {
        let connection = self.connection();
        let mut statement =
            connection.prepare("SELECT id, label, name, file FROM batches WHERE run = ?1 ORDER BY id")?;
        let batches = statement.query_map([self.run.0], |row| {
            Ok(OpenBatch {
                id: row.get(0)?,
                label: row.get(1)?,
                name: row.get(2)?,
                file: row.get(3)?,
                items: Vec::new(),
            })
        })?;
        let mut batches = batches.collect::<rusqlite::Result<Vec<OpenBatch>>>()?;
        let mut statement = connection.prepare("SELECT seq, key FROM batch_items WHERE batch = ?1 ORDER BY seq")?;
        for batch in &mut batches {
            let items = statement.query_map([batch.id], |row| Ok((count(row, 0)?, row.get(1)?)))?;
            batch.items = items.collect::<rusqlite::Result<_>>()?;
        }
        Ok(batches)
    }

    fn insert(&self, label: &str, items: &[(u64, [u8; 32])]) -> rusqlite::Result<i64> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let id = transaction.query_row(
            "INSERT INTO batches (run, label, created_at) VALUES (?1, ?2, ?3) RETURNING id",
            params![self.run.0, label, now()],
            |row| row.get(0),
        )?;
        {
            let mut item = transaction.prepare("INSERT INTO batch_items (batch, seq, key) VALUES (?1, ?2, ?3)")?;
            for (seq, key) in items {
                item.execute(params![id, *seq as i64, key])?;
            }
        }
        transaction.commit()?;
        Ok(id)
    }

    fn set(&self, sql: &str, id: i64, value: &str) -> Result<(), String> {
        match self.connection().execute(sql, params![id, value, self.run.0]) {
            Ok(1) => Ok(()),
            Ok(_) => Err("a batch job can't be noted: somebody else has forgotten it".to_owned()),
            Err(error) => Err(format!("a batch job can't be noted: {error}")),
        }
    }
}

impl BatchLedger for Batches {
    fn open(&self) -> Result<Vec<OpenBatch>, String> {
        self.read().map_err(|error| format!("the batch jobs of the run can't be read: {error}"))
    }

    fn announce(&self, label: &str, items: &[(u64, [u8; 32])]) -> Result<i64, String> {
        self.insert(label, items).map_err(|error| format!("a batch job can't be noted: {error}"))
    }

    fn uploaded(&self, id: i64, file: &str) -> Result<(), String> {
        self.set("UPDATE batches SET file = ?2 WHERE id = ?1 AND run = ?3", id, file)
    }

    fn created(&self, id: i64, name: &str) -> Result<(), String> {
        self.set("UPDATE batches SET name = ?2 WHERE id = ?1 AND run = ?3", id, name)
    }

    fn close(&self, id: i64) -> Result<(), String> {
        forget(&self.connection(), id, Some(self.run))
            .map_err(|error| format!("a batch job can't be forgotten: {error}"))
    }
}
