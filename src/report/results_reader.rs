//! results.jsonl, read back. Anyone may have written or edited it, so nothing in it is believed here: whoever reads it
//! computes everything again.

use super::results::{AnswerRecord, ErrorRecord, ResultRow};
use crate::domain::{
    Answer, Arm, ArmRow, Case, CaseRow, Failure, Outcome, OutcomeKind, Place, Problem, Score, ScoredSample, WEIGHT,
    digest_reader, hex,
};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// Bytes of the longest row.
const MAX_ROW: u64 = 256 << 20;

/// Answers to a must-pass case, those that confirm a failure included.
const MOST_REPEATS: u32 = 1_000;

pub struct ResultsReader {
    lines: BufReader<File>,
    /// A row that was read to see whether it still belongs to the case before it.
    ahead: Option<ResultRow<'static>>,
    shown: Arc<str>,
    line: u32,
    repeats: u32,
    arms: &'static [Arm],
    /// SHA-256 of the bytes, in hex.
    pub sha256: String,
    /// Rows read so far.
    pub rows: u64,
}

impl ResultsReader {
    /// Opens the file and digests it. There are `repeats` rows per case and arm.
    pub fn open(path: &Path, repeats: u32, has_baseline: bool) -> Result<ResultsReader, Problem> {
        let shown = path.to_string_lossy().into_owned();
        let unreadable = |error: io::Error| {
            Problem::at(Place::file(shown.as_str()), format!("the rows of the verdict can't be read: {error}"))
                .expected("results.jsonl beside verdict.json, as `promptgate eval` writes both")
                .hint("keep the whole output folder together")
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let sha256 = hex(digest_reader(&file).map_err(unreadable)?);
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        Ok(ResultsReader {
            lines: BufReader::new(file),
            ahead: None,
            line: 0,
            repeats,
            arms: if has_baseline { &[Arm::Baseline, Arm::Candidate] } else { &[Arm::Candidate] },
            sha256,
            rows: 0,
            shown: shown.into(),
        })
    }

    /// The next case with all its repeats; `None` at the end.
    pub fn next_case(&mut self) -> Result<Option<CaseRow>, Problem> {
        let mut case: Option<Case> = None;
        let mut baseline = ArmRow { repeats: Vec::new() };
        let mut candidate = ArmRow { repeats: Vec::new() };
        for repeat in 1..=self.repeats {
            for arm in self.arms {
                let Some(row) = self.next_row()? else {
                    return match &case {
                        None => Ok(None),
                        Some(case) => Err(self.wrong("the file ends", case.id.as_str(), *arm, repeat)),
                    };
                };
                let id = case.as_ref().map_or(&*row.case, |case| case.id.as_str());
                if row.case != id || row.arm != *arm || row.repeat != repeat {
                    let found = format!(
                        "there stands repeat {} of the {} of `{}`",
                        row.repeat,
                        row.arm.as_str(),
                        shorten(&row.case)
                    );
                    return Err(self.wrong(&found, id, *arm, repeat));
                }
                if case.is_none() {
                    case = Some(case_of(&row, self.place()));
                }
                let judged = judged(row).map_err(|message| Problem::at(self.place(), message))?;
                match arm {
                    Arm::Baseline => baseline.repeats.push(judged),
                    Arm::Candidate => candidate.repeats.push(judged),
                }
            }
        }
        if let Some(case) = case.as_ref().filter(|case| case.critical) {
            self.beyond(case.id.as_str(), &mut candidate)?;
        }
        Ok(case.map(|case| CaseRow { case, baseline: (self.arms.len() > 1).then_some(baseline), candidate }))
    }

    /// Further answers of the candidate to a must-pass case, which confirm a failure.
    fn beyond(&mut self, case: &str, candidate: &mut ArmRow) -> Result<(), Problem> {
        for repeat in self.repeats.saturating_add(1)..=MOST_REPEATS.max(self.repeats) {
            let Some(row) = self.next_row()? else { break };
            if (&*row.case, row.arm, row.repeat) != (case, Arm::Candidate, repeat) {
                self.ahead = Some(row);
                break;
            }
            let judged = judged(row).map_err(|message| Problem::at(self.place(), message))?;
            candidate.repeats.push(judged);
        }
        Ok(())
    }

    fn place(&self) -> Place {
        Place::at(Arc::clone(&self.shown), self.line, 0)
    }

    fn wrong(&self, found: &str, case: &str, arm: Arm, repeat: u32) -> Problem {
        Problem::at(self.place(), found).expected(format!(
            "repeat {repeat} of the {} of `{}`, one row for each, in the order of the plan",
            arm.as_str(),
            shorten(case)
        ))
    }

    fn next_row(&mut self) -> Result<Option<ResultRow<'static>>, Problem> {
        if let Some(row) = self.ahead.take() {
            return Ok(Some(row));
        }
        let mut line = Vec::new();
        let read = self.lines.by_ref().take(MAX_ROW + 1).read_until(b'\n', &mut line);
        self.line = self.line.saturating_add(1);
        self.rows += u64::from(matches!(read, Ok(1..)));
        match read {
            Ok(0) => Ok(None),
            Ok(read) if read as u64 > MAX_ROW => {
                let message = format!("the row is longer than {} MiB", MAX_ROW >> 20);
                Err(Problem::at(self.place(), message))
            }
            Ok(_) => serde_json::from_slice(&line)
                .map(Some)
                .map_err(|error| Problem::at(self.place(), format!("this is not a row of results: {error}"))),
            Err(error) => Err(Problem::at(self.place(), format!("can't be read: {error}"))),
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The case, as far as a row describes it.
fn case_of(row: &ResultRow<'_>, place: Place) -> Case {
    Case {
        suite: Arc::from(""),
        place,
        tags: row.tags.to_vec(),
        critical: row.critical,
        weight: row.weight.unwrap_or(WEIGHT),
        cluster: row.cluster.as_deref().map(Arc::from),
        ..Case::new(&*row.case)
    }
}

fn judged(row: ResultRow<'_>) -> Result<ScoredSample, String> {
    let outcome = match (row.outcome, row.score, row.error, row.skip) {
        (OutcomeKind::Pass | OutcomeKind::Fail, Some(score), None, None) => {
            Outcome::Scored(Score::new(score, row.outcome == OutcomeKind::Pass, ""))
        }
        (OutcomeKind::Error, None, Some(ErrorRecord { code, message, kind }), None) => {
            Outcome::Errored(Failure { kind, code: code.into_owned(), message: message.into_owned() })
        }
        (OutcomeKind::Skipped, None, None, Some(skip)) => Outcome::Skipped(skip),
        (outcome, ..) => {
            return Err(format!("the outcome `{}` does not fit the row's score, error and skip", outcome.as_str()));
        }
    };
    let shown = row.answer.unwrap_or_else(|| AnswerRecord {
        text: Cow::Borrowed(""),
        tool_calls: Cow::Borrowed(&[]),
        finish_reason: row.ended,
        block_reason: None,
        model_version: row.served,
        details: None,
    });
    let AnswerRecord { text, tool_calls, finish_reason, block_reason, model_version, details } = shown;
    let answer = row.usage.map(|usage| Answer {
        text: text.into_owned(),
        tool_calls: tool_calls.into_owned(),
        finish_reason: finish_reason.map(Cow::into_owned),
        finish: None,
        block_reason: block_reason.map(Cow::into_owned),
        model_version: model_version.map(Cow::into_owned),
        usage,
        latency_ms: row.latency_ms.unwrap_or(0),
        first_token_ms: row.first_token_ms,
        details: details.map(|details| Box::new(details.into_owned())),
        batched: row.batched,
        simulated: row.simulated,
    });
    Ok(ScoredSample {
        repeat: row.repeat,
        outcome,
        answer,
        checks: row.checks.into_owned(),
        refused: row.refused,
        cost_usd: row.cost_usd,
        attempts: row.attempts,
        waited_ms: row.waited_ms,
        source: row.source,
    })
}
