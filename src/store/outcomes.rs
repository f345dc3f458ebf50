//! How each answer of a run was judged: one row an answer, each state of a case once for all runs.
//!
//! A row takes about 20 bytes, a hundredth of what the answer itself takes or less. They are kept of the newest [`RUNS`]
//! runs, and of fewer once these have more than [`ANSWERS`] answers together (about 100 MB); the newest run is always kept.

use super::{RunId, Store, StoreError};
use crate::model::{Arm, CaseId, Flaky, FlakyCase, Mark, MarkedCase, Passes, Reliability, Remembered, RememberedCase};
use rusqlite::{Row, params};

/// Runs whose outcomes are kept.
const RUNS: usize = 1_000;
/// Answers whose outcomes are kept.
const ANSWERS: u64 = 5_000_000;
/// Runs whose answers say how flaky a case is: the newest of the same prompt, model, target and judges.
const KIN: u32 = 50;
/// Cases named for each way in which two runs lie apart.
const NAMED: u32 = 10;

/// Cases of one kind: how many, and the first of them by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SomeCases {
    /// All of them.
    pub count: u64,
    /// At most [`NAMED`] ids.
    pub ids: Vec<String>,
}

/// How the cases of two runs differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Apart {
    /// Cases that only the first run asked.
    pub only_first: SomeCases,
    /// Cases that only the second run asked.
    pub only_second: SomeCases,
    /// Cases with the same id that are written differently.
    pub changed: SomeCases,
}

impl Store {
    /// Notes outcomes, in one transaction; those that were noted of the same answers before are replaced.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn note_outcomes(&self, run: RunId, cases: &[MarkedCase]) -> Result<(), StoreError> {
        let failed = |error| self.failed("note outcomes", error);
        let transaction = self.connection.unchecked_transaction().map_err(failed)?;
        {
            let mut find = transaction
                .prepare_cached("SELECT id FROM cases WHERE digest = ?1")
                .map_err(failed)?;
            let mut add = transaction
                .prepare_cached(
                    "INSERT INTO cases (digest, case_id, critical, tags) VALUES (?1, ?2, ?3, ?4) RETURNING id",
                )
                .map_err(failed)?;
            let mut note = transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO outcomes (run, case_no, arm, repeat, mark, score, answer)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT answer FROM results WHERE run = ?1 AND seq = ?7))",
                )
                .map_err(failed)?;
            for case in cases {
                let known = find.query([case.digest]).and_then(|mut rows| {
                    let row = rows.next()?;
                    row.map(|row| row.get::<_, i64>(0)).transpose()
                });
                let number = match known.map_err(failed)? {
                    Some(number) => number,
                    None => {
                        let tags = self.written(&case.tags)?;
                        add.query_row(params![case.digest, case.id.as_str(), case.critical, tags], |row| {
                            row.get(0)
                        })
                        .map_err(failed)?
                    }
                };
                for marked in &case.answers {
                    note.execute(params![
                        run.0,
                        number,
                        arm_number(marked.arm),
                        marked.repeat,
                        marked.mark as i64,
                        marked.score,
                        marked.seq.map(|seq| seq as i64),
                    ])
                    .map_err(failed)?;
                }
            }
        }
        transaction.commit().map_err(failed)
    }

    /// Forgets the outcomes of runs that are too old to be kept.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn forget_old_outcomes(&self) -> Result<(), StoreError> {
        self.forget_outcomes(RUNS, ANSWERS)
    }

    pub(super) fn forget_outcomes(&self, runs: usize, answers: u64) -> Result<(), StoreError> {
        let failed = |error| self.failed("forget old outcomes", error);
        let mut statement = self
            .connection
            .prepare(
                "SELECT run, json_extract(facts, '$.cases') * repeats * (1 + (baseline IS NOT NULL)) FROM facts
                 ORDER BY run DESC",
            )
            .map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let (mut seen, mut kept) = (0, 0u64);
        while let Some(row) = rows.next().map_err(failed)? {
            let (run, more): (i64, i64) = row.get(0).and_then(|run| Ok((run, row.get(1)?))).map_err(failed)?;
            seen += 1;
            kept = kept.saturating_add(more.unsigned_abs());
            if seen > 1 && (seen > runs || kept > answers) {
                self.connection
                    .execute("DELETE FROM outcomes WHERE run <= ?1", [run])
                    .map_err(failed)?;
                break;
            }
        }
        Ok(())
    }

    /// How many cases of a run have an outcome of the candidate.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn cases_remembered(&self, run: i64) -> Result<u64, StoreError> {
        self.connection
            .query_row(
                "SELECT count(DISTINCT case_no) FROM outcomes WHERE run = ?1 AND arm = 1",
                [run],
                |row| row.get::<_, i64>(0),
            )
            .map(i64::unsigned_abs)
            .map_err(|error| self.failed("count outcomes", error))
    }

    /// How the cases of two runs differ.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn apart(&self, first: i64, second: i64) -> Result<Apart, StoreError> {
        Ok(Apart {
            only_first: self.lacking(first, second, false)?,
            only_second: self.lacking(second, first, false)?,
            changed: self.lacking(first, second, true)?,
        })
    }

    /// Cases of `run` that `other` has not, or has with the same id written differently.
    fn lacking(&self, run: i64, other: i64, differently: bool) -> Result<SomeCases, StoreError> {
        let failed = |error| self.failed("compare the cases of two runs", error);
        let mut statement = self
            .connection
            .prepare(
                "WITH theirs AS (SELECT DISTINCT case_no FROM outcomes WHERE run = ?2 AND arm = 1)
                 SELECT case_id, count(*) OVER () FROM cases
                 WHERE id IN (SELECT case_no FROM outcomes WHERE run = ?1 AND arm = 1) AND id NOT IN theirs
                   AND (case_id IN (SELECT case_id FROM cases WHERE id IN theirs)) = ?3
                 ORDER BY case_id LIMIT ?4",
            )
            .map_err(failed)?;
        let mut rows = statement
            .query(params![run, other, differently, NAMED])
            .map_err(failed)?;
        let mut found = SomeCases::default();
        while let Some(row) = rows.next().map_err(failed)? {
            found.ids.push(row.get(0).map_err(failed)?);
            found.count = row.get::<_, i64>(1).map_err(failed)?.unsigned_abs();
        }
        Ok(found)
    }

    /// When the first and the last of the candidates' answers of two runs were asked for, in seconds since 1970; `None`
    /// without any answer.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn asked_between(&self, first: i64, second: i64) -> Result<Option<(i64, i64)>, StoreError> {
        let times: (Option<i64>, Option<i64>) = self
            .connection
            .query_row(
                "SELECT min(created_at), max(created_at) FROM answers
                 WHERE id IN (SELECT answer FROM outcomes WHERE run IN (?1, ?2) AND arm = 1)",
                [first, second],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(|error| self.failed("look up when answers were asked for", error))?;
        Ok(times.0.zip(times.1))
    }

    /// Hands out the candidates' outcomes of two runs, case by case, in an order that depends on the store alone. A case
    /// that one of them lacks has no answers there.
    ///
    /// # Errors
    /// The store can't be read, or holds something this version can't read.
    pub fn side_by_side(
        &self,
        first: i64,
        second: i64,
        each: &mut dyn FnMut(RememberedCase, Vec<Remembered>),
    ) -> Result<(), StoreError> {
        let failed = |error| self.failed("read outcomes", error);
        let mut statement = self
            .connection
            .prepare(
                "SELECT case_no, run = ?1, repeat, mark, score, answer, case_id, critical, tags
                 FROM outcomes JOIN cases ON cases.id = case_no WHERE run IN (?1, ?2) AND arm = 1
                 ORDER BY case_no, run, repeat",
            )
            .map_err(failed)?;
        let mut rows = statement.query([first, second]).map_err(failed)?;
        let mut pending: Option<(RememberedCase, Vec<Remembered>)> = None;
        while let Some(row) = rows.next().map_err(failed)? {
            let number: i64 = row.get(0).map_err(failed)?;
            if let Some((case, other)) = pending.take_if(|(case, _)| case.number != number) {
                each(case, other);
            }
            let answer = self.remembered(row)?;
            let of_first: bool = row.get(1).map_err(failed)?;
            let (case, other) = match pending.take() {
                Some(pending) => pending,
                None => (self.remembered_case(number, row)?, Vec::new()),
            };
            let (case, other) = pending.insert((case, other));
            if of_first {
                case.answers.push(answer);
            } else {
                other.push(answer);
            }
        }
        if let Some((case, other)) = pending {
            each(case, other);
        }
        Ok(())
    }

    fn remembered(&self, row: &Row<'_>) -> Result<Remembered, StoreError> {
        let failed = |error| self.failed("read outcomes", error);
        let number: i64 = row.get(3).map_err(failed)?;
        Ok(Remembered {
            repeat: row.get(2).map_err(failed)?,
            mark: Mark::from_number(number)
                .ok_or_else(|| StoreError::new(&self.path, format!("holds the unknown outcome {number}")))?,
            score: row.get(4).map_err(failed)?,
            answer: row.get(5).map_err(failed)?,
        })
    }

    fn remembered_case(&self, number: i64, row: &Row<'_>) -> Result<RememberedCase, StoreError> {
        let failed = |error| self.failed("read a case", error);
        let (id, tags): (String, String) = row.get(6).and_then(|id| Ok((id, row.get(8)?))).map_err(failed)?;
        Ok(RememberedCase {
            number,
            id: CaseId::new(id),
            critical: row.get(7).map_err(failed)?,
            tags: serde_json::from_str(&tags)
                .map_err(|error| StoreError::new(&self.path, format!("holds unreadable tags: {error}")))?,
            answers: Vec::new(),
        })
    }

    /// The cases of a run that sometimes pass and sometimes not: in the run, or over the newest runs up to it with the same
    /// prompt, model, target and judges in either arm. Each stored answer counts once, in however many runs it was used,
    /// and answers beyond a plan don't count, because they were asked for after a failure. With `over_runs` off only the
    /// run's own answers count. The most flaky first, at most `most`.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn flaky(&self, run: i64, over_runs: bool, most: u32) -> Result<Flaky, StoreError> {
        let failed = |error| self.failed("look for flaky cases", error);
        // max() makes `mark` and `arm` those of the newest use of an answer.
        let mut statement = self
            .connection
            .prepare(
                "WITH this AS (SELECT * FROM facts WHERE run = ?1),
                 kin AS (
                   SELECT * FROM (
                     SELECT run, 1 AS arm, 1 AS side, repeats FROM facts
                     WHERE candidate = (SELECT candidate FROM this) AND run <= ?1 AND (?2 OR run = ?1)
                     UNION ALL
                     SELECT run, 0, 1, repeats FROM facts
                     WHERE baseline = (SELECT candidate FROM this) AND run <= ?1 AND ?2
                     ORDER BY run DESC LIMIT ?3)
                   UNION ALL SELECT * FROM (
                     SELECT run, 0 AS arm, 0 AS side, repeats FROM facts
                     WHERE baseline = (SELECT baseline FROM this) AND run <= ?1 AND (?2 OR run = ?1)
                     UNION ALL
                     SELECT run, 1, 0, repeats FROM facts
                     WHERE candidate = (SELECT baseline FROM this) AND run <= ?1 AND ?2
                     ORDER BY run DESC LIMIT ?3)),
                 seen AS (
                   SELECT side, case_no, mark, outcomes.arm = side AS own, max(outcomes.run) AS run
                   FROM kin JOIN outcomes ON outcomes.run = kin.run AND outcomes.arm = kin.arm
                   WHERE mark <= 1 AND answer IS NOT NULL AND repeat <= repeats
                   GROUP BY side, case_no, answer),
                 counted AS (
                   SELECT side, case_no, sum(run = ?1 AND own) AS judged, sum(run = ?1 AND own AND mark) AS passed,
                          count(*) AS ever, sum(mark) AS ever_passed
                   FROM seen GROUP BY side, case_no)
                 SELECT case_id,
                        sum((side = 0) * judged), sum((side = 0) * passed), sum((side = 0) * ever),
                        sum((side = 0) * ever_passed),
                        sum((side = 1) * judged), sum((side = 1) * passed), sum((side = 1) * ever),
                        sum((side = 1) * ever_passed),
                        count(*) OVER ()
                 FROM counted JOIN cases ON cases.id = case_no
                 GROUP BY case_no
                 HAVING max(judged) > 0 AND max(ever_passed > 0 AND ever_passed < ever)
                 ORDER BY max(ever_passed * (ever - ever_passed) * 1.0 / (ever * ever)) DESC, case_id LIMIT ?4",
            )
            .map_err(failed)?;
        let mut rows = statement.query(params![run, over_runs, KIN, most]).map_err(failed)?;
        let mut flaky = Flaky::default();
        while let Some(row) = rows.next().map_err(failed)? {
            flaky.cases.push(FlakyCase {
                case: row.get(0).map_err(failed)?,
                baseline: reliability(row, 1).map_err(failed)?,
                candidate: reliability(row, 5).map_err(failed)?,
            });
            flaky.flaky = row.get::<_, i64>(9).map_err(failed)?.unsigned_abs();
        }
        Ok(flaky)
    }
}

/// Four counts from column `at` on.
fn reliability(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Reliability>> {
    let passes = |at| {
        Ok::<_, rusqlite::Error>(Passes {
            judged: row.get(at)?,
            passed: row.get(at + 1)?,
        })
    };
    let reliability = Reliability {
        run: passes(at)?,
        history: passes(at + 2)?,
        pass_at_k: None,
        pass_all_k: None,
    };
    Ok((reliability.history.judged > 0).then_some(reliability))
}

fn arm_number(arm: Arm) -> i64 {
    match arm {
        Arm::Baseline => 0,
        Arm::Candidate => 1,
    }
}
