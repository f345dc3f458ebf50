//! Answers that somebody could see. The first one that a run shows to a question stands: what was seen can be completed, and
//! is never replaced. A question is what both arms are asked, whoever asks it (`eval::questions`).

use super::{CachedAnswer, RunId, Store, StoreError};
use crate::domain::Job;
use rusqlite::params;
use std::collections::BTreeMap;

/// The questions of a run, one a case in plan order, and where its answers to them stand.
#[derive(Clone, Copy, Debug)]
pub struct Questions<'a> {
    pub run: RunId,
    pub repeats: u32,
    pub arms: u32,
    /// Positions of a case beyond the plan.
    pub beyond: u32,
    pub cases: &'a [[u8; 32]],
}

impl Questions<'_> {
    /// Each question, its first position, and its first one beyond the plan.
    fn places(&self) -> impl Iterator<Item = (&[u8; 32], i64, i64)> {
        let (per_case, all) = (self.per_case(), self.cases.len() as i64);
        (0..)
            .zip(self.cases)
            .map(move |(index, question)| (question, index * per_case, all * per_case + index * i64::from(self.beyond)))
    }

    fn per_case(&self) -> i64 {
        i64::from(self.repeats) * i64::from(self.arms)
    }
}

impl Store {
    /// Notes that all answers of a run so far are shown.
    pub fn show(&self, questions: &Questions<'_>) -> Result<(), StoreError> {
        self.transact("note what is shown", |transaction| {
            let mut show = transaction.prepare_cached(
                "INSERT OR IGNORE INTO shown (question, arm, repeat, answer, run)
                 SELECT ?1, arm, repeat, answer, run FROM results WHERE run = ?2 AND answer IS NOT NULL
                   AND (seq >= ?3 AND seq < ?3 + ?4 OR seq >= ?5 AND seq < ?5 + ?6)",
            )?;
            for (question, first, beyond) in questions.places() {
                let (per_case, most) = (questions.per_case(), questions.beyond);
                show.execute(params![question, questions.run.0, first, per_case, beyond, most])?;
            }
            Ok(())
        })
    }

    /// The runs that first showed answers to the questions of a run, and whether it has other ones, or lacks a planned one.
    pub fn shown_before(&self, questions: &Questions<'_>) -> Result<BTreeMap<i64, bool>, StoreError> {
        let mut runs = BTreeMap::new();
        for (question, first, beyond) in questions.places() {
            let Questions { run, repeats, arms, .. } = questions;
            let found = self.rows(
                "compare with what was shown",
                "SELECT shown.run,
                   max(results.answer IS NOT shown.answer AND (shown.repeat <= ?3 OR results.run IS NOT NULL))
                 FROM shown LEFT JOIN results ON results.run = ?2 AND results.seq = CASE WHEN shown.repeat <= ?3
                   THEN ?4 + (shown.repeat - 1) * ?5 + (shown.arm = 'candidate') * (?5 - 1)
                   ELSE ?6 + shown.repeat - ?3 - 1 END
                 WHERE question = ?1 AND shown.run <> ?2 GROUP BY shown.run",
                params![question, run.0, repeats, first, arms, beyond],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)),
            )?;
            for (run, other) in found {
                *runs.entry(run).or_default() |= other;
            }
        }
        Ok(runs)
    }

    /// Whether an answer to one of these questions was shown.
    pub fn is_any_shown(&self, questions: impl Iterator<Item = [u8; 32]>) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM shown WHERE question = ?1)";
        for question in questions {
            if self.row("look up what was shown", sql, [question], |row| row.get(0))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The answer that was shown to a question, if it was given to the very request of the job by this target.
    pub fn shown(&self, question: &[u8; 32], job: &Job, target: &str) -> Result<Option<CachedAnswer>, StoreError> {
        self.optional_row(
            "look up what was shown",
            "SELECT id, created_at FROM shown JOIN answers ON answers.id = shown.answer
             WHERE question = ?1 AND arm = ?2 AND repeat = ?3 AND request = ?4 AND model = ?5 AND target = ?6",
            params![question, job.arm.as_str(), job.repeat, job.body_sha256(), job.request.model, target],
            CachedAnswer::from_row,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{opened, planned};
    use super::*;

    const ASKED: [[u8; 32]; 2] = [[1; 32], [2; 32]];

    /// A run of two cases and both arms, with its answers by position.
    fn run(store: &Store, repeats: u32, answers: &[Option<i64>]) -> RunId {
        let id = store.begin(&planned()).unwrap().id;
        for (seq, answer) in (0u32..).zip(answers) {
            let (planned, place) = (4 * repeats, seq % (2 * repeats));
            let (arm, repeat) = match seq < planned {
                true => (["baseline", "candidate"][(place % 2) as usize], place / 2 + 1),
                false => ("candidate", repeats + 1 + (seq - planned) % 10),
            };
            let sql = "INSERT INTO results (run, seq, answer, source, attempts, arm, repeat) VALUES (?1, ?2, ?3, 'live', 1, ?4, ?5)";
            store.connection.execute(sql, params![id.0, seq, answer, arm, repeat]).unwrap();
        }
        id
    }

    fn questions(run: RunId, repeats: u32) -> Questions<'static> {
        Questions { run, repeats, arms: 2, beyond: 10, cases: &ASKED }
    }

    #[test]
    fn the_first_answers_that_were_shown_stand() {
        let (_folder, store) = opened();
        let first = run(&store, 1, &[Some(1), Some(2), Some(3), None, Some(5)]);
        assert!(store.shown_before(&questions(first, 1)).unwrap().is_empty());
        store.show(&questions(first, 1)).unwrap();
        let other = |repeats, answers: &[Option<i64>]| {
            let now = run(&store, repeats, answers);
            store.shown_before(&questions(now, repeats)).unwrap().get(&first.0).copied()
        };
        assert_eq!(other(1, &[Some(1), Some(2), Some(3), Some(4)]), Some(false), "what was missing came");
        assert_eq!(other(1, &[Some(1), Some(2), Some(3), Some(4), Some(6)]), Some(true), "beyond the plan");
        assert_eq!(other(1, &[Some(1), Some(9), Some(3)]), Some(true));
        assert_eq!(other(1, &[Some(1), Some(2), None]), Some(true), "one is missing now");
        let twice = [Some(1), Some(2), Some(20), Some(5), Some(3), Some(4), Some(22), None];
        assert_eq!(other(2, &twice), Some(false), "one more repeat, with the answer that stood beyond");
        // Who comes later shows nothing anew but what was missing.
        let second = run(&store, 1, &[Some(1), Some(9), Some(3), Some(4)]);
        store.show(&questions(second, 1)).unwrap();
        let third = run(&store, 1, &[Some(1), Some(2), Some(3), Some(7)]);
        assert_eq!(store.shown_before(&questions(third, 1)).unwrap(), [(first.0, false), (second.0, true)].into());
    }
}
