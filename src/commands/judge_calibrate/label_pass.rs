//! The pass over labelled cases: judges score the labelled answers, and their word is counted against people's.

use super::result::Disagreement;
use crate::domain::{Agreement, Answer, Case, CheckSpec, JudgeUse, Label};
use crate::error::Error;
use crate::eval::calibration::labelled;
use crate::eval::judge_client::JudgeClient;
use crate::scoring::{self, CaseAnswers, Commands};
use std::collections::BTreeMap;

/// Labels judged at a time; bounds the memory of the walk.
const BATCH: usize = 2_048;

/// Disagreements, and errors, that are listed of each judge; the others are counted.
const LISTED: usize = 20;

#[derive(Default)]
pub(super) struct Tally {
    pub(super) counts: Agreement,
    pub(super) listed: Vec<Disagreement>,
    pub(super) more: u64,
}

/// Batches of labelled answers, and the tallies so far.
pub(super) struct LabelPass<'a> {
    pub(super) client: JudgeClient<'a>,
    pub(super) commands: &'a Commands,
    /// Cases with one check each, and the labels of it.
    pub(super) batch: Vec<(JudgeUse, Case, Vec<Label>)>,
    pub(super) waiting: usize,
    pub(super) tallies: BTreeMap<JudgeUse, Tally>,
}

impl LabelPass<'_> {
    pub(super) fn case(&mut self, case: &Case, only: Option<&str>) -> Result<(), Error> {
        let mut by_check: BTreeMap<usize, Vec<Label>> = BTreeMap::new();
        for (check, label) in labelled(case)? {
            by_check.entry(check).or_default().push(label.clone());
        }
        for (check, labels) in by_check {
            let Some(spec) = case.checks.get(check) else { continue };
            let Some(judge_use) =
                scoring::use_of(spec).filter(|judge_use| only.is_none_or(|only| only == judge_use.judge))
            else {
                continue;
            };
            let alone = Case {
                // An advisory check is calibrated before it may decide.
                checks: vec![CheckSpec { advisory: false, weight: 1.0, ..spec.clone() }],
                labels: Vec::new(),
                ..case.clone()
            };
            self.waiting += labels.len();
            self.batch.push((judge_use, alone, labels));
        }
        if self.waiting >= BATCH { self.judge() } else { Ok(()) }
    }

    pub(super) fn judge(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch);
        self.waiting = 0;
        let answers: Vec<Vec<Answer>> =
            batch.iter().map(|(_, _, labels)| labels.iter().map(|label| answer(&label.answer)).collect()).collect();
        let unscored: Vec<CaseAnswers<'_>> = batch
            .iter()
            .zip(&answers)
            .map(|((_, case, _), answers)| CaseAnswers {
                case,
                answers: answers.iter().map(Some).collect(),
                systems: Vec::new(),
                costs: Vec::new(),
            })
            .collect();
        let judgements = self.client.score(&unscored, self.commands)?;
        for ((judge_use, case, labels), judgements) in batch.iter().zip(judgements) {
            let tally = self.tallies.entry(judge_use.clone()).or_default();
            for (label, judgement) in labels.iter().zip(judgements) {
                let check = judgement.as_ref().and_then(|judgement| judgement.checks.first());
                let judgement = check.and_then(|check| check.pass);
                tally.counts.note(label.pass, judgement);
                if judgement == Some(label.pass) {
                    continue;
                }
                if tally.listed.len() == LISTED {
                    tally.more += 1;
                    continue;
                }
                tally.listed.push(Disagreement {
                    case: case.id.to_string(),
                    place: case.place.clone(),
                    answer: label.answer.clone(),
                    people: label.pass,
                    judge: judgement,
                    reason: check.map_or_else(String::new, |check| check.reason.clone()),
                });
            }
        }
        Ok(())
    }
}

/// An answer of this text, complete.
fn answer(text: &str) -> Answer {
    Answer { text: text.to_owned(), finish_reason: Some("STOP".to_owned()), ..Answer::default() }
}
