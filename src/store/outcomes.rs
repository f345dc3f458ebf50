//! How each answer of a run was judged: one row an answer, each state of a case once for all runs.
//!
//! A row takes about 20 bytes, much less than the answer itself, and each state of a case about 120 once. They are kept of the
//! newest [`RUNS`] runs, and of fewer once these have more than [`ANSWERS`] answers together (about 100 MB); the newest run is
//! always kept.

use super::writer::json;
use super::{Json, RunId, Store, StoreError, Subject, count};
use crate::domain::{Arm, CaseId, CaseOutcomes, Flaky, FlakyCase, OutcomeCode, Reliability, StoredAnswer, StoredCase};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{OptionalExtension as _, Row, params};
use std::collections::{HashMap, HashSet};

const RUNS: usize = 1_000;
const ANSWERS: u64 = 5_000_000;
/// Runs whose answers say how flaky a case is: the newest of the same prompt, model, target and judges.
const KIN: u32 = 20;
/// Answers that are looked at to tell how much answers vary, and the cases with several of them that it takes.
const LOOKED_AT: u32 = 200_000;
const VARIED: usize = 20;
/// Cases named for each way in which two runs lie apart.
const NAMED: u32 = 10;

/// Cases of one kind: how many, and the first of them by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseSample {
    /// All of them.
    pub count: u64,
    /// At most [`NAMED`] ids.
    pub ids: Vec<String>,
}

/// How the cases of two runs differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseDifferences {
    /// Cases that only the first run asked.
    pub only_first: CaseSample,
    /// Cases that only the second run asked.
    pub only_second: CaseSample,
    /// Cases with the same id that are written differently.
    pub changed: CaseSample,
}

/// How much earlier answers to the same cases vary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Runs they are of.
    pub runs: u32,
    /// Mean over cases of the sample variance of an answer's score.
    pub variance: f64,
}

/// The scores of one case, summed up.
#[derive(Clone, Copy, Default)]
struct Scores {
    n: f64,
    sum: f64,
    squares: f64,
}

/// A scored answer: whether it passed, and what its checks scored.
struct Pass {
    case: i64,
    passed: bool,
    score: Option<f64>,
    answer: i64,
}

impl Store {
    /// Notes outcomes, in one transaction; those that were noted of the same answers before are replaced.
    pub fn note_outcomes(&self, run: RunId, cases: &[CaseOutcomes]) -> Result<(), StoreError> {
        self.transact("note outcomes", |transaction| {
            let mut find = transaction.prepare_cached("SELECT id FROM cases WHERE digest = ?1")?;
            let mut add = transaction.prepare_cached(
                "INSERT INTO cases (digest, case_id, critical, tags, weight, cluster)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id",
            )?;
            let mut note = transaction.prepare_cached(
                "INSERT OR REPLACE INTO outcomes (run, case_no, arm, repeat, mark, score, answer)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT answer FROM results WHERE run = ?1 AND seq = ?7))",
            )?;
            for case in cases {
                let CaseOutcomes { digest, id, critical, tags, weight, cluster, answers } = case;
                let number = match find.query_row([digest], |row| row.get::<_, i64>(0)).optional()? {
                    Some(number) => number,
                    None => {
                        let values = params![digest, id.as_str(), critical, json(tags)?, weight, cluster];
                        add.query_row(values, |row| row.get(0))?
                    }
                };
                for marked in answers {
                    note.execute(params![
                        run.0,
                        number,
                        arm_number(marked.arm),
                        marked.repeat,
                        marked.mark.number(),
                        marked.score,
                        marked.seq.map(|seq| seq as i64),
                    ])?;
                }
            }
            Ok(())
        })
    }

    /// Forgets the outcomes of runs that are too old to be kept.
    pub fn forget_old_outcomes(&self) -> Result<(), StoreError> {
        self.forget_outcomes(RUNS, ANSWERS)
    }

    pub(super) fn forget_outcomes(&self, runs: usize, answers: u64) -> Result<(), StoreError> {
        let doing = "forget old outcomes";
        let sizes: Vec<(i64, u64)> = self.rows(
            doing,
            "SELECT run, json_extract(facts, '$.cases') * repeats * (1 + (baseline IS NOT NULL)) FROM facts
             ORDER BY run DESC",
            [],
            |row| Ok((row.get(0)?, count(row, 1)?)),
        )?;
        let mut total = 0u64;
        for (index, (run, size)) in sizes.into_iter().enumerate() {
            total = total.saturating_add(size);
            if index > 0 && (index >= runs || total > answers) {
                return self.execute(doing, "DELETE FROM outcomes WHERE run <= ?1", [run]);
            }
        }
        Ok(())
    }

    /// How many cases of a run have an outcome of the candidate.
    pub fn cases_remembered(&self, run: i64) -> Result<u64, StoreError> {
        let sql = "SELECT count(DISTINCT case_no) FROM outcomes WHERE run = ?1 AND arm = 1";
        self.row("count outcomes", sql, [run], |row| count(row, 0))
    }

    /// How the cases of two runs differ.
    pub fn apart(&self, first: i64, second: i64) -> Result<CaseDifferences, StoreError> {
        Ok(CaseDifferences {
            only_first: self.lacking(first, second, false)?,
            only_second: self.lacking(second, first, false)?,
            changed: self.lacking(first, second, true)?,
        })
    }

    /// Cases of `run` that `other` has not, or has with the same id written differently.
    fn lacking(&self, run: i64, other: i64, differently: bool) -> Result<CaseSample, StoreError> {
        let cases: Vec<(String, u64)> = self.rows(
            "compare the cases of two runs",
            "WITH theirs AS (SELECT DISTINCT case_no FROM outcomes WHERE run = ?2 AND arm = 1)
             SELECT case_id, count(*) OVER () FROM cases
             WHERE id IN (SELECT case_no FROM outcomes WHERE run = ?1 AND arm = 1) AND id NOT IN theirs
               AND (case_id IN (SELECT case_id FROM cases WHERE id IN theirs)) = ?3
             ORDER BY case_id LIMIT ?4",
            params![run, other, differently, NAMED],
            |row| Ok((row.get(0)?, count(row, 1)?)),
        )?;
        Ok(CaseSample {
            count: cases.first().map_or(0, |(_, count)| *count),
            ids: cases.into_iter().map(|(id, _)| id).collect(),
        })
    }

    /// When the first and the last of the candidates' answers of two runs were asked for, in seconds since 1970; `None`
    /// without any answer.
    pub fn request_period(&self, first: i64, second: i64) -> Result<Option<(i64, i64)>, StoreError> {
        self.row(
            "look up when answers were asked for",
            "SELECT min(created_at), max(created_at) FROM answers
             WHERE id IN (SELECT answer FROM outcomes WHERE run IN (?1, ?2) AND arm = 1)",
            [first, second],
            |row| Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?)),
        )
    }

    /// Whether models judged answers of a run: it goes by replies that are no vectors.
    pub fn judged(&self, run: i64) -> Result<bool, StoreError> {
        self.row(
            "look up who judged a run",
            "SELECT EXISTS (SELECT 1 FROM replies LEFT JOIN answers ON answers.id = replies.answer
                            WHERE replies.run = ?1 AND answers.case_id IS NOT 'embedding')",
            [run],
            |row| row.get(0),
        )
    }

    /// Hands out the candidates' outcomes of two runs, case by case, in an order that depends on the store alone. A case
    /// that one of them lacks has no answers there.
    pub fn side_by_side(
        &self,
        first: i64,
        second: i64,
        each: &mut dyn FnMut(StoredCase, Vec<StoredAnswer>),
    ) -> Result<(), StoreError> {
        self.walk_outcomes([first, second], each).map_err(|error| self.failed("read outcomes", error))
    }

    fn walk_outcomes(
        &self,
        runs: [i64; 2],
        each: &mut dyn FnMut(StoredCase, Vec<StoredAnswer>),
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(
            "SELECT case_no, run = ?1, repeat, mark, score, answer, case_id, critical, tags, weight, cluster
             FROM outcomes JOIN cases ON cases.id = case_no WHERE run IN (?1, ?2) AND arm = 1
             ORDER BY case_no, run, repeat",
        )?;
        let mut rows = statement.query(runs)?;
        let mut pending: Option<(StoredCase, Vec<StoredAnswer>)> = None;
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            if let Some((case, other)) = pending.take_if(|(case, _)| case.number != number) {
                each(case, other);
            }
            let next = match pending.take() {
                Some(pending) => pending,
                None => (stored_case(row)?, Vec::new()),
            };
            let (case, other) = pending.insert(next);
            let of_first: bool = row.get(1)?;
            let answers = if of_first { &mut case.answers } else { other };
            answers.push(stored_outcome(row)?);
        }
        if let Some((case, other)) = pending {
            each(case, other);
        }
        Ok(())
    }

    /// The cases of a run that sometimes pass and sometimes not: in the run, or over the newest [`KIN`] runs up to it with the
    /// same prompt, model, target and judges in either arm. Each stored answer counts once, as it was judged last, in
    /// however many runs it was used, and answers beyond a plan don't count, because they were asked for after a failure.
    /// With `over_runs` off only the run's own answers count. The most flaky first, at most `most`.
    ///
    /// Needs memory for the numbers of all answers of those runs, about 20 bytes each.
    pub fn flaky(&self, run: i64, over_runs: bool, most: usize) -> Result<Flaky, StoreError> {
        let mut cases: HashMap<i64, [Reliability; 2]> = HashMap::new();
        for arm in [Arm::Baseline, Arm::Candidate] {
            self.reliabilities(run, arm, over_runs, &mut cases)?;
        }
        let mut flaky = Vec::new();
        for (number, arms) in cases {
            let own = arms.iter().any(|arm| arm.run.judged > 0);
            if own && arms.iter().any(|arm| arm.history.vary()) {
                let variance = arms.iter().map(|arm| arm.history.variance()).fold(0.0, f64::max);
                flaky.push((variance, self.case_id(number)?, arms));
            }
        }
        flaky.sort_by(|(one, id, _), (other, other_id, _)| other.total_cmp(one).then_with(|| id.cmp(other_id)));
        let all = flaky.len() as u64;
        let judged = |arm: Reliability| (arm.history.judged > 0).then_some(arm);
        let cases = flaky.into_iter().take(most).map(|(_, case, [baseline, candidate])| FlakyCase {
            case,
            baseline: judged(baseline),
            candidate: judged(candidate),
        });
        Ok(Flaky { flaky: all, cases: cases.collect() })
    }

    /// Adds the passes of what one arm of a run tested, by case.
    fn reliabilities(
        &self,
        run: i64,
        side: Arm,
        over_runs: bool,
        cases: &mut HashMap<i64, [Reliability; 2]>,
    ) -> Result<(), StoreError> {
        let doing = "look for flaky cases";
        let side = arm_number(side);
        // Newest first, so that the last judgement of an answer is met first.
        let kin: Vec<(i64, i64, u32)> = self.rows(
            doing,
            "WITH this AS (SELECT CASE ?4 WHEN 0 THEN baseline ELSE candidate END AS subject FROM facts WHERE run = ?1)
             SELECT run, 1 AS arm, repeats FROM facts
             WHERE candidate = (SELECT subject FROM this) AND run <= ?1 AND (?2 OR (run = ?1 AND ?4 = 1))
             UNION ALL
             SELECT run, 0, repeats FROM facts
             WHERE baseline = (SELECT subject FROM this) AND run <= ?1 AND (?2 OR (run = ?1 AND ?4 = 0))
             ORDER BY run DESC LIMIT ?3",
            params![run, over_runs, KIN, side],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let mut seen: HashSet<i64> = HashSet::new();
        for (of, arm, repeats) in kin {
            let own = (of, arm) == (run, side);
            self.each_pass(doing, (of, arm, repeats), u32::MAX, |pass| {
                if seen.insert(pass.answer) {
                    let arm = &mut cases.entry(pass.case).or_default()[usize::from(side == 1)];
                    arm.history.add(pass.passed);
                    if own {
                        arm.run.add(pass.passed);
                    }
                }
            })?;
        }
        Ok(())
    }

    /// Hands out the passes and failures of the planned answers of one arm of a run: its number, the arm's, and the repeats.
    fn each_pass(
        &self,
        doing: &str,
        (run, arm, repeats): (i64, i64, u32),
        most: u32,
        mut each: impl FnMut(Pass),
    ) -> Result<(), StoreError> {
        let sql = "SELECT case_no, mark, score, answer FROM outcomes
                   WHERE run = ?1 AND arm = ?2 AND mark <= 1 AND answer IS NOT NULL AND repeat <= ?3 LIMIT ?4";
        let read = |row: &Row<'_>| {
            each(Pass { case: row.get(0)?, passed: row.get(1)?, score: row.get(2)?, answer: row.get(3)? });
            Ok(())
        };
        self.rows(doing, sql, params![run, arm, repeats, most], read).map(|_| ())
    }

    /// How much the answers of what was tested vary, by the newest decided runs that tested it, at most `most` and at most
    /// [`KIN`]: their passes and failures, or with `own_scores` what checks scored. Each stored answer counts once, and of
    /// answers beyond a plan none does. `None` where fewer than [`VARIED`] cases have several answers.
    ///
    /// Looks at [`LOOKED_AT`] answers at most, and needs about 20 bytes for each.
    pub fn noise(&self, subject: Subject, most: u32, own_scores: bool) -> Result<Option<Noise>, StoreError> {
        let doing = "look how much answers vary";
        let kin: Vec<(i64, i64, u32)> = self.rows(
            doing,
            "SELECT run, 1 AS arm, repeats FROM facts WHERE candidate = ?1 AND concluded IS NOT NULL
             UNION ALL
             SELECT run, 0, repeats FROM facts WHERE baseline = ?1 AND concluded IS NOT NULL
             ORDER BY run DESC LIMIT ?2",
            params![subject.0, most.min(KIN)],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let mut seen: HashSet<i64> = HashSet::new();
        let mut cases: HashMap<i64, Scores> = HashMap::new();
        let mut runs: HashSet<i64> = HashSet::new();
        let mut left = LOOKED_AT;
        for arm in kin {
            self.each_pass(doing, arm, left, |pass| {
                left = left.saturating_sub(1);
                if !seen.insert(pass.answer) {
                    return;
                }
                let score = match pass.score {
                    Some(own) if own_scores => own.clamp(0.0, 1.0),
                    Some(_) | None => f64::from(u8::from(pass.passed)),
                };
                let scores = cases.entry(pass.case).or_default();
                scores.n += 1.0;
                scores.sum += score;
                scores.squares += score * score;
                runs.insert(arm.0);
            })?;
        }
        // In the order of their size, so that the sum is the same in every process.
        let mut variances: Vec<f64> = cases.into_values().filter_map(Scores::variance).collect();
        variances.sort_by(f64::total_cmp);
        Ok((variances.len() >= VARIED).then(|| Noise {
            runs: runs.len() as u32,
            variance: variances.iter().sum::<f64>() / variances.len() as f64,
        }))
    }

    fn case_id(&self, number: i64) -> Result<String, StoreError> {
        self.row("read a case", "SELECT case_id FROM cases WHERE id = ?1", [number], |row| row.get(0))
    }
}

impl Scores {
    fn variance(self) -> Option<f64> {
        let Scores { n, sum, squares } = self;
        (n >= 2.0).then(|| ((squares - sum * sum / n) / (n - 1.0)).max(0.0))
    }
}

fn stored_outcome(row: &Row<'_>) -> rusqlite::Result<StoredAnswer> {
    Ok(StoredAnswer { repeat: row.get(2)?, mark: row.get(3)?, score: row.get(4)?, answer: row.get(5)? })
}

fn stored_case(row: &Row<'_>) -> rusqlite::Result<StoredCase> {
    Ok(StoredCase {
        number: row.get(0)?,
        id: CaseId::new(row.get::<_, String>(6)?),
        critical: row.get(7)?,
        tags: row.get::<_, Json<_>>(8)?.0,
        weight: row.get(9)?,
        cluster: row.get(10)?,
        answers: Vec::new(),
    })
}

impl FromSql for OutcomeCode {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<OutcomeCode> {
        let number = value.as_i64()?;
        OutcomeCode::from_number(number).ok_or_else(|| FromSqlError::Other(format!("unknown outcome {number}").into()))
    }
}

fn arm_number(arm: Arm) -> i64 {
    match arm {
        Arm::Baseline => 0,
        Arm::Candidate => 1,
    }
}
