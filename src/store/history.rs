//! What runs were and what they came to, for lists and comparisons, and for what the next versions of a gate may ask.

use super::writer::json;
use super::{Json, RunId, Store, StoreError, count};
use crate::domain::{RunConclusion, RunFacts, RunRecord};
use rusqlite::params;

/// What makes outcomes of two runs one kind: digest of prompt, model, target and judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject(pub [u8; 32]);

impl Store {
    /// Notes what a run is, of which nothing is decided yet; a resumed run is described anew.
    pub fn describe(
        &self,
        run: RunId,
        facts: &RunFacts,
        candidate: Subject,
        baseline: Option<Subject>,
    ) -> Result<(), StoreError> {
        let text = json(facts).map_err(|error| self.failed("describe a run", error))?;
        let baseline = baseline.map(|subject| subject.0);
        self.execute(
            "describe a run",
            "INSERT OR REPLACE INTO facts (run, candidate, baseline, repeats, facts) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![run.0, candidate.0, baseline, facts.repeats, text],
        )
    }

    /// Notes what a run came to. Only now are its outcomes all there.
    pub fn conclude(&self, run: RunId, concluded: &RunConclusion) -> Result<(), StoreError> {
        let text = json(concluded).map_err(|error| self.failed("conclude a run", error))?;
        self.execute("conclude a run", "UPDATE facts SET concluded = ?2 WHERE run = ?1", params![run.0, text])
    }

    /// The newest runs, at most `most`, newest first.
    pub fn history(&self, most: u32) -> Result<Vec<RunRecord>, StoreError> {
        self.run_records("?1", params![true, most])
    }

    /// The newest run that has an end; of one candidate if it is named.
    pub fn newest_finished(&self, candidate: Option<&str>) -> Result<Option<RunRecord>, StoreError> {
        let which = "ended IS NOT NULL AND (?1 IS NULL OR runs.candidate = ?1)";
        Ok(self.run_records(which, params![candidate, 1])?.pop())
    }

    /// What is remembered of the run with this number.
    pub fn recall(&self, number: i64) -> Result<Option<RunRecord>, StoreError> {
        Ok(self.run_records("runs.id = ?1", params![number, 1])?.pop())
    }

    fn run_records(&self, which: &str, parameters: impl rusqlite::Params) -> Result<Vec<RunRecord>, StoreError> {
        self.rows(
            "list runs",
            &format!(
                "SELECT runs.id, runs.candidate, runs.baseline, target, planned, started_at, ended_at, ended, facts, concluded,
                        (SELECT count(*) FROM results WHERE run = runs.id AND answer IS NOT NULL)
                 FROM runs LEFT JOIN facts ON facts.run = runs.id WHERE {which} ORDER BY runs.id DESC LIMIT ?2"
            ),
            parameters,
            |row| {
                Ok(RunRecord {
                    run: row.get(0)?,
                    candidate: row.get(1)?,
                    baseline: row.get(2)?,
                    target: row.get(3)?,
                    planned: count(row, 4)?,
                    started_at: row.get(5)?,
                    ended_at: row.get(6)?,
                    ended: row.get(7)?,
                    facts: row.get::<_, Option<Json<RunFacts>>>(8)?.map(|facts| facts.0),
                    concluded: row.get::<_, Option<Json<RunConclusion>>>(9)?.map(|concluded| concluded.0),
                    answers: count(row, 10)?,
                })
            },
        )
    }
}
