//! What runs were and what they came to, for lists and comparisons, and for what the next versions of a gate may ask.

use super::{RunId, Store, StoreError};
use crate::domain::{Concluded, RunFacts, RunRecord};
use rusqlite::params;
use serde::de::DeserializeOwned;

/// What makes outcomes of two runs one kind: digest of prompt, model, target and judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject(pub [u8; 32]);

impl Store {
    /// Notes what a run is, of which nothing is decided yet; a resumed run is described anew.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn describe(
        &self,
        run: RunId,
        facts: &RunFacts,
        candidate: Subject,
        baseline: Option<Subject>,
    ) -> Result<(), StoreError> {
        let text = self.written(facts)?;
        self.connection
            .execute(
                "INSERT OR REPLACE INTO facts (run, candidate, baseline, repeats, facts) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    run.0,
                    candidate.0,
                    baseline.map(|subject| subject.0),
                    facts.repeats,
                    text
                ],
            )
            .map(|_| ())
            .map_err(|error| self.failed("describe a run", error))
    }

    /// Notes what a run came to. Only now are its outcomes all there.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn conclude(&self, run: RunId, concluded: &Concluded) -> Result<(), StoreError> {
        let text = self.written(concluded)?;
        self.connection
            .execute("UPDATE facts SET concluded = ?2 WHERE run = ?1", params![run.0, text])
            .map(|_| ())
            .map_err(|error| self.failed("conclude a run", error))
    }

    /// The newest runs, at most `most`, newest first.
    ///
    /// # Errors
    /// The store can't be read, or holds something this version can't read.
    pub fn history(&self, most: u32) -> Result<Vec<RunRecord>, StoreError> {
        self.run_records("?1", params![true, most])
    }

    /// What is remembered of the run with this number.
    ///
    /// # Errors
    /// As [`Store::history`].
    pub fn recall(&self, number: i64) -> Result<Option<RunRecord>, StoreError> {
        Ok(self.run_records("runs.id = ?1", params![number, 1])?.pop())
    }

    fn run_records(&self, which: &str, parameters: impl rusqlite::Params) -> Result<Vec<RunRecord>, StoreError> {
        let failed = |error| self.failed("list runs", error);
        let mut statement = self
            .connection
            .prepare(&format!(
                "SELECT runs.id, runs.candidate, runs.baseline, target, planned, started_at, ended_at, ended, facts, concluded,
                        (SELECT count(*) FROM results WHERE run = runs.id AND answer IS NOT NULL)
                 FROM runs LEFT JOIN facts ON facts.run = runs.id WHERE {which} ORDER BY runs.id DESC LIMIT ?2"
            ))
            .map_err(failed)?;
        let mut rows = statement.query(parameters).map_err(failed)?;
        let mut records = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let text = |at| row.get::<_, Option<String>>(at).map_err(failed);
            records.push(RunRecord {
                run: row.get(0).map_err(failed)?,
                candidate: row.get(1).map_err(failed)?,
                baseline: row.get(2).map_err(failed)?,
                target: row.get(3).map_err(failed)?,
                planned: row.get::<_, i64>(4).map_err(failed)?.unsigned_abs(),
                answers: row.get::<_, i64>(10).map_err(failed)?.unsigned_abs(),
                started_at: row.get(5).map_err(failed)?,
                ended_at: row.get(6).map_err(failed)?,
                ended: row.get(7).map_err(failed)?,
                facts: self.read::<RunFacts>(text(8)?)?,
                concluded: self.read::<Concluded>(text(9)?)?,
            });
        }
        Ok(records)
    }

    pub(super) fn written(&self, value: &impl serde::Serialize) -> Result<String, StoreError> {
        serde_json::to_string(value)
            .map_err(|error| StoreError::new(&self.path, format!("can't hold what a run was: {error}")))
    }

    fn read<T: DeserializeOwned>(&self, text: Option<String>) -> Result<Option<T>, StoreError> {
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| StoreError::new(&self.path, format!("holds an unreadable run: {error}")))
    }
}
