//! Which looks were taken at what is tested, and whether two runs go by the same answers.

use super::{RunId, Store, StoreError, Word, count, now};
use crate::domain::{CiAttempt, Decision, LookRecord, Tries};
use rusqlite::params;

/// Seconds after which looks may be left behind once more, outside of pull requests.
const FRESH_AGAIN: i64 = 30 * 86_400;

/// What runs of the same key have in common: `key` leaves earlier looks behind where that was asked for, `same` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    /// Identity of what is tested, and why earlier looks were left behind.
    pub key: [u8; 32],
    /// Identity of what is tested alone.
    pub same: [u8; 32],
}

impl Store {
    /// The looks of a series, by attempt.
    pub fn looks(&self, series: &Series) -> Result<Vec<LookRecord>, StoreError> {
        self.look_records("key = ?1 ORDER BY attempt", series.key)
    }

    /// The looks at the same of other series, oldest first.
    pub fn looks_left_behind(&self, series: &Series) -> Result<Vec<LookRecord>, StoreError> {
        let mut looks = self.look_records("same = ?1 ORDER BY run, attempt", series.same)?;
        let own: Vec<i64> = self.looks(series)?.iter().map(|look| look.run).collect();
        looks.retain(|look| !own.contains(&look.run));
        Ok(looks)
    }

    fn look_records(&self, which: &str, of: [u8; 32]) -> Result<Vec<LookRecord>, StoreError> {
        self.rows(
            "read earlier looks",
            &format!(
                "SELECT run, attempt, attempts, step, repeats, candidates, decision, needed FROM looks WHERE {which}"
            ),
            [of],
            |row| {
                Ok(LookRecord {
                    run: row.get(0)?,
                    attempt: row.get(1)?,
                    attempts: row.get(2)?,
                    step: row.get(3)?,
                    repeats: row.get(4)?,
                    candidates: row.get(5)?,
                    decision: row.get::<_, Word<Decision>>(6)?.0,
                    needed: row.get(7)?,
                })
            },
        )
    }

    /// Notes a look, or notes it again with the same answers.
    pub fn note_look(&self, series: &Series, look: &LookRecord) -> Result<(), StoreError> {
        let Series { key, same } = series;
        let LookRecord { run, attempt, attempts, step, repeats, candidates, decision, needed } = look;
        let decision = decision.as_str();
        self.execute(
            "note a look",
            "INSERT OR REPLACE INTO looks (key, attempt, same, run, attempts, step, repeats, candidates, decision, needed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![key, attempt, same, run, attempts, step, repeats, candidates, decision, needed],
        )
    }

    /// The planned positions that a run has results at, failures included.
    pub fn asked(&self, run: i64, repeats: u32) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM results WHERE run = ?1 AND repeat <= ?2";
        self.row("count what a run asked", sql, params![run, repeats], |row| count(row, 0))
    }

    /// Candidates that ran against the baseline of a run with its cases, itself included.
    pub fn tries(&self, run: RunId) -> Result<Tries, StoreError> {
        self.row(
            "count candidates",
            "SELECT count(DISTINCT all_runs.requests), count(DISTINCT CASE WHEN all_runs.series = own.series
                      AND all_runs.requests <> own.requests THEN all_runs.requests END),
                    coalesce(date(min(all_runs.started_at), 'unixepoch'), '')
             FROM run_identities AS own JOIN run_identities AS all_runs ON all_runs.set_of = own.set_of
               AND all_runs.run <= own.run
             WHERE own.run = ?1",
            [run.0],
            |row| Ok(Tries { candidates: count(row, 0)?, respelled: count(row, 1)?, since: row.get(2)?, first: None }),
        )
    }

    /// Reasons for which looks were left behind, in order, each with the identity of baseline and cases: in a pull request, else
    /// in 30 days.
    pub fn fresh_keys(&self, change: Option<&str>) -> Result<Vec<(String, String)>, StoreError> {
        self.rows(
            "look up fresh keys",
            "SELECT json_extract(facts, '$.fresh_key') AS reason, json_extract(facts, '$.set') AS set_of
             FROM facts JOIN runs ON runs.id = facts.run
             WHERE reason IS NOT NULL AND iif(?1 IS NULL, started_at > ?2, json_extract(facts, '$.change') = ?1)
             GROUP BY reason, set_of ORDER BY min(runs.id)",
            params![change, now() - FRESH_AGAIN],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Which attempts of a CI run, up to the one that counts now, are known to the store: their runs began here.
    pub fn ci_attempts(&self, ci: &CiAttempt) -> Result<Vec<u32>, StoreError> {
        self.rows(
            "read earlier attempts",
            "SELECT DISTINCT json_extract(facts, '$.ci.attempt') FROM facts
             WHERE json_extract(facts, '$.ci.run') = ?1 ORDER BY 1",
            params![ci.run],
            |row| row.get(0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::opened;
    use super::*;

    fn record(run: i64, attempt: u32, decision: Decision) -> LookRecord {
        LookRecord {
            run,
            attempt,
            attempts: 3,
            step: 2,
            repeats: 2 * attempt,
            candidates: 4,
            decision,
            needed: Some(7),
        }
    }

    #[test]
    fn looks_of_a_series_are_kept_by_attempt_and_those_of_others_are_known() {
        let (_folder, store) = opened();
        let series = Series { key: [1; 32], same: [1; 32] };
        let fresh = Series { key: [2; 32], same: [1; 32] };
        assert_eq!(store.looks(&series).unwrap(), []);
        let (first, second) = (record(5, 1, Decision::Inconclusive), record(6, 2, Decision::Block));
        store.note_look(&series, &second).unwrap();
        store.note_look(&series, &first).unwrap();
        assert_eq!(store.looks(&series).unwrap(), [first.clone(), second.clone()]);
        let again = record(9, 2, Decision::Promote);
        store.note_look(&series, &again).unwrap();
        assert_eq!(store.looks(&series).unwrap(), [first.clone(), again.clone()]);
        assert_eq!(store.looks_left_behind(&series).unwrap(), []);
        assert_eq!(store.looks(&fresh).unwrap(), []);
        assert_eq!(store.looks_left_behind(&fresh).unwrap(), [first, again]);
    }
}
