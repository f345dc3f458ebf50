//! The few cases and errors that a short report names, picked while the rows stream by. Bounded, whatever the run.

use super::numbers::count;
use super::redactor::Redactor;
use super::text::truncate;
use super::why::{Why, why};
use crate::domain::{
    Arm, ArmRow, CaseRow, Change, Failure, Outcome, OutcomeKind, Passes, Quarantine, ScoredSample, Skip,
};
use std::collections::BTreeMap;

/// Cases named of each kind.
const NAMED: usize = 20;
/// Different errors told apart.
const ERRORS: usize = 20;
/// Bytes of a reason or message.
const REASON: usize = 300;
/// Bytes of an id, place or label.
const NAME: usize = 200;

/// One case in a line or two. The texts are as they came, but short: whoever writes them makes them safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Headline {
    pub(super) id: String,
    pub(super) place: String,
    pub(super) label: String,
    pub(super) reason: String,
}

/// The first cases of a kind, and how many more there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CaseList<T> {
    pub(super) named: Vec<T>,
    pub(super) more: u64,
}

impl<T> Default for CaseList<T> {
    fn default() -> CaseList<T> {
        CaseList { named: Vec::new(), more: 0 }
    }
}

impl<T> CaseList<T> {
    pub(super) fn count(&self) -> u64 {
        self.named.len() as u64 + self.more
    }

    /// Inserts a case, if there is room or it comes before others.
    fn insert(&mut self, at: usize, case: impl FnOnce() -> T) {
        if at < NAMED {
            self.named.insert(at, case());
        }
        if at >= NAMED || self.named.len() > NAMED {
            self.named.truncate(NAMED);
            self.more += 1;
        }
    }
}

impl CaseList<Headline> {
    fn add(&mut self, headline: impl FnOnce() -> Headline) {
        self.insert(self.named.len(), headline);
    }
}

/// A case of which some answers pass and some don't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FlakyHeadline {
    pub(super) id: String,
    pub(super) place: String,
    /// `None` without a baseline.
    pub(super) baseline: Option<Passes>,
    /// Of the judged repeats.
    pub(super) candidate: Passes,
}

impl FlakyHeadline {
    fn variance(&self) -> f64 {
        let baseline = self.baseline.map_or(0.0, |passes| passes.variance());
        self.candidate.variance().max(baseline)
    }
}

impl CaseList<FlakyHeadline> {
    /// Adds a case: the largest variance first, equal ones in plan order.
    fn add(&mut self, case: FlakyHeadline) {
        let variance = case.variance();
        self.insert(self.named.partition_point(|other| other.variance() >= variance), || case);
    }
}

/// One kind of error in one arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ErrorGroup {
    /// Answers it cost.
    pub(super) count: u64,
    pub(super) message: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Highlights {
    pub(super) regressed: CaseList<Headline>,
    /// Must-pass cases of the candidate that fail or could not be judged.
    pub(super) critical: CaseList<Headline>,
    pub(super) failing: CaseList<Headline>,
    /// Cases in quarantine of the candidate that fail or could not be judged; they stand in none of the lists above.
    pub(super) quarantined: CaseList<Headline>,
    /// Cases of which some answers pass and some don't, in either arm.
    pub(super) flaky: CaseList<FlakyHeadline>,
    /// By arm and code.
    pub(super) errors: BTreeMap<(Arm, String), ErrorGroup>,
    /// Errors of kinds beyond [`ERRORS`].
    pub(super) other_errors: u64,
    /// Answers that were not requested, by reason.
    pub(super) skipped: BTreeMap<&'static str, u64>,
    redactor: Redactor,
    quarantine: Quarantine,
}

impl Highlights {
    /// Nothing yet; what is picked is masked before it is cut.
    pub(super) fn new(redactor: Redactor) -> Highlights {
        Highlights { redactor, ..Highlights::default() }
    }

    pub(super) fn set_quarantine(&mut self, quarantine: Quarantine) {
        self.quarantine = quarantine;
    }

    pub(super) fn note(&mut self, row: &CaseRow) {
        let redactor = &self.redactor;
        let outcome = row.candidate.outcome();
        let shown = || row.candidate.repeats.get(shown_repeat(row));
        let quarantined = self.quarantine.of(&row.case).is_some();
        if row.change() == Change::Regressed && !quarantined {
            self.regressed.add(|| headline(redactor, row, shown()));
        }
        let deciding = || headline(redactor, row, row.candidate.deciding().or_else(shown));
        if row.case.critical && matches!(outcome, OutcomeKind::Fail | OutcomeKind::Error) {
            self.critical.add(deciding);
        }
        match outcome {
            OutcomeKind::Fail | OutcomeKind::Error if quarantined => self.quarantined.add(deciding),
            OutcomeKind::Fail => self.failing.add(deciding),
            OutcomeKind::Error | OutcomeKind::Skipped | OutcomeKind::Pass => {}
        }
        let (baseline, candidate) = (row.baseline.as_ref().map(passes), passes(&row.candidate));
        if candidate.vary() || baseline.is_some_and(|passes| passes.vary()) {
            self.flaky.add(FlakyHeadline {
                id: short(redactor, row.case.id.as_str(), NAME),
                place: short(redactor, &row.case.place.to_string(), NAME),
                baseline,
                candidate,
            });
        }
        for arm in [Arm::Baseline, Arm::Candidate] {
            for judged in row.repeats(arm) {
                self.note_error(arm, &judged.outcome);
            }
        }
    }

    fn note_error(&mut self, arm: Arm, outcome: &Outcome) {
        match outcome {
            // An early end is told by itself.
            Outcome::Scored(_) | Outcome::Skipped(Skip::Decided) => {}
            Outcome::Skipped(skip) => *self.skipped.entry(skip.as_str()).or_default() += 1,
            Outcome::Errored(Failure { kind: _, code, message }) => {
                let key = (arm, short(&self.redactor, code, NAME));
                if let Some(group) = self.errors.get_mut(&key) {
                    group.count += 1;
                } else if self.errors.len() < ERRORS {
                    let message = short(&self.redactor, message, REASON);
                    self.errors.insert(key, ErrorGroup { count: 1, message });
                } else {
                    self.other_errors += 1;
                }
            }
        }
    }

    /// The answers without a judgement, in lines; `code` and `text` make what comes from outside safe.
    pub(super) fn unjudged(&self, code: fn(&str) -> String, text: fn(&str) -> String) -> Vec<String> {
        let errors = self.errors.iter();
        let mut lines: Vec<String> = errors
            .map(|((arm, kind), group)| format!("{arm}: {} × {}: {}", group.count, code(kind), text(&group.message)))
            .collect();
        if self.other_errors > 0 {
            lines.push(format!("{} of other kinds", count(self.other_errors, "error", "errors")));
        }
        let skipped = self.skipped.iter();
        lines.extend(skipped.map(|(word, n)| format!("{} not requested: {word}", count(*n, "answer", "answers"))));
        lines
    }
}

fn passes(arm: &ArmRow) -> Passes {
    let mut passes = Passes::default();
    for score in arm.repeats.iter().filter_map(|judged| judged.outcome.score()) {
        passes.add(score.pass);
    }
    passes
}

/// The repeat (its index) that shows best how the case changed: the first whose outcomes differ in the direction in which
/// the case moved, so that a regression is never explained by a repeat that improved.
pub(super) fn shown_repeat(row: &CaseRow) -> usize {
    let wanted = match row.change() {
        Change::Regressed => (OutcomeKind::Pass, OutcomeKind::Fail),
        Change::Improved => (OutcomeKind::Fail, OutcomeKind::Pass),
        Change::BothPass | Change::BothFail | Change::Unpaired => return row.telling_repeat(),
    };
    let Some(baseline) = &row.baseline else { return 0 };
    baseline
        .repeats
        .iter()
        .zip(&row.candidate.repeats)
        .position(|(baseline, candidate)| (baseline.outcome.kind(), candidate.outcome.kind()) == wanted)
        .unwrap_or_else(|| row.telling_repeat())
}

fn headline(redactor: &Redactor, row: &CaseRow, judged: Option<&ScoredSample>) -> Headline {
    let (label, reason) = match judged.map(why).as_deref() {
        Some([Why { kind: _, label, reason }, ..]) => (*label, *reason),
        Some([]) => ("pass", ""),
        None => ("not requested", "no answer was planned"),
    };
    Headline {
        id: short(redactor, row.case.id.as_str(), NAME),
        place: short(redactor, &row.case.place.to_string(), NAME),
        label: short(redactor, label, NAME),
        reason: short(redactor, reason, REASON),
    }
}

/// Masked before it is cut: half a secret would not be found.
fn short(redactor: &Redactor, text: &str, max: usize) -> String {
    truncate(&redactor.text(text), max).into_owned()
}
