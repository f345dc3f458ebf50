//! Which looks were taken at what is tested, and whether two runs go by the same answers.

use super::{RunId, Store, StoreError, by_name};
use crate::domain::{CiAttempt, Decision, LookRecord};
use rusqlite::params;
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};

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
                "SELECT run, attempt, attempts, step, repeats, candidates, decision, needed, policy FROM looks WHERE {which}"
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
                    decision: row.get(6)?,
                    needed: row.get(7)?,
                    policy_sha256: row.get(8)?,
                })
            },
        )
    }

    /// Notes a look, or notes it again with the same answers.
    pub fn note_look(&self, series: &Series, look: &LookRecord) -> Result<(), StoreError> {
        let Series { key, same } = series;
        let LookRecord { run, attempt, attempts, step, repeats, candidates, decision, needed, policy_sha256 } = look;
        let decision = decision.as_str();
        self.execute(
            "note a look",
            "INSERT OR REPLACE INTO looks (key, attempt, same, run, attempts, step, repeats, candidates, decision, needed, policy)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![key, attempt, same, run, attempts, step, repeats, candidates, decision, needed, policy_sha256],
        )
    }

    /// How many planned answers of a run were other ones, or are not there, in another run of the same cases and arms with
    /// at least as many repeats; and how many the other one has beyond them, because the first was decided before it asked for
    /// them. An answer that was asked for in vain may have come since. `per_case` are their planned answers to a case;
    /// `planned` those of the first run.
    pub fn other_answers(&self, look: (i64, u64), planned: u64, run: RunId, per_case: u64) -> Result<u64, StoreError> {
        let (of, each) = look;
        let count = |from: &str| {
            self.row(
                "compare the answers of two runs",
                &format!("SELECT count(*) FROM {from}"),
                params![of, run.0, each as i64, per_case as i64, planned as i64],
                |row| row.get::<_, i64>(0),
            )
        };
        let other = count(
            "results AS before
             LEFT JOIN results AS now ON now.run = ?2 AND now.seq = before.seq / ?3 * ?4 + before.seq % ?3
             WHERE before.run = ?1 AND before.seq < ?5 AND before.answer IS NOT NULL
               AND (now.answer IS NULL OR now.answer <> before.answer)",
        )?;
        let further = count(
            "results AS now
             LEFT JOIN results AS before ON before.run = ?1 AND before.seq = now.seq / ?4 * ?3 + now.seq % ?4
             WHERE now.run = ?2 AND now.seq % ?4 < ?3 AND now.seq / ?4 * ?3 < ?5 AND now.answer IS NOT NULL
               AND before.seq IS NULL",
        )?;
        Ok(other.unsigned_abs() + further.unsigned_abs())
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

impl FromSql for Decision {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Decision> {
        by_name(
            value,
            [Decision::Promote, Decision::Block, Decision::Inconclusive, Decision::Unchanged],
            Decision::as_str,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::history_tests::answered;
    use super::super::tests::{opened, planned};
    use super::*;

    fn begin(store: &Store) -> RunId {
        store.begin(&planned()).unwrap().id
    }

    /// The answers of a run, by position.
    fn answers(store: &Store, run: RunId, answers: &[Option<i64>]) {
        for (seq, answer) in (0..).zip(answers) {
            answered(store, run, seq, *answer);
        }
    }

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
            policy_sha256: "p".to_owned(),
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

    #[test]
    fn answers_beyond_a_look_that_was_decided_early_are_other_answers() {
        let (_folder, store) = opened();
        let (early, same, further) = (begin(&store), begin(&store), begin(&store));
        answers(&store, early, &[Some(1), Some(2)]);
        answers(&store, same, &[Some(1), Some(2)]);
        answers(&store, further, &[Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(store.other_answers((early.number(), 2), 4, same, 2).unwrap(), 0);
        assert_eq!(store.other_answers((early.number(), 2), 4, further, 2).unwrap(), 2);
    }

    #[test]
    fn answers_are_compared_where_they_stand_in_each_plan() {
        let (_folder, store) = opened();
        // Two cases and two arms: one repeat each, and then two.
        let (before, now) = (begin(&store), begin(&store));
        answers(&store, before, &[Some(1), Some(2), Some(3), None]);
        answers(&store, now, &[Some(1), Some(2), Some(20), Some(21), Some(3), Some(4), Some(22), None]);
        assert_eq!(store.other_answers((before.number(), 2), 4, now, 4).unwrap(), 0);
        let other = begin(&store);
        answers(&store, other, &[Some(1), Some(9), Some(20), Some(21), None, Some(4), Some(22), Some(23)]);
        assert_eq!(store.other_answers((before.number(), 2), 4, other, 4).unwrap(), 2);
        // What stands behind the plan is not compared, and a run without results equals none that has some.
        assert_eq!(store.other_answers((before.number(), 2), 2, other, 4).unwrap(), 1);
        let empty = begin(&store);
        assert_eq!(store.other_answers((before.number(), 2), 4, empty, 2).unwrap(), 3);
        assert_eq!(store.other_answers((empty.number(), 2), 4, before, 2).unwrap(), 3);
    }
}
