//! How far a judge agrees with people: what people said of answers, and what came of asking the judge about the same ones.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a person said of an answer to a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The answer; never empty.
    pub answer: String,
    pub pass: bool,
    /// The name of the check; `None` for the only check `judge` of the case.
    pub check: Option<String>,
}

/// A judge, and the way in which a check has it decide. How often a judge errs depends on both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JudgeUse {
    pub judge: String,
    pub votes: u32,
    /// What the votes must come to: `majority`, `mean of at least 0.7`, `preference of at least 0.5`.
    pub rule: String,
}

impl fmt::Display for JudgeUse {
    /// `default`, or `default (3 votes, mean of at least 0.7)` where it is not asked in the usual way.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JudgeUse { judge, votes, rule } = self;
        match (votes, rule.as_str()) {
            (1, "majority") => f.write_str(judge),
            (1, rule) => write!(f, "{judge} (1 vote, {rule})"),
            (votes, rule) => write!(f, "{judge} ({votes} votes, {rule})"),
        }
    }
}

/// A judge's word against people's, over labelled answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// People and the judge let the answer pass.
    pub true_pass: u64,
    /// People let it pass, the judge does not.
    pub false_fail: u64,
    /// Neither does.
    pub true_fail: u64,
    pub false_pass: u64,
    /// The judge said nothing that counts.
    pub errors: u64,
}

impl Agreement {
    /// Labels that the judge was asked about.
    pub fn labels(&self) -> u64 {
        let Agreement { true_pass, false_fail, true_fail, false_pass, errors } = *self;
        [true_pass, false_fail, true_fail, false_pass, errors].into_iter().fold(0, u64::saturating_add)
    }

    /// Judged answers that people let pass.
    pub fn passing(&self) -> u64 {
        self.true_pass.saturating_add(self.false_fail)
    }

    /// Judged answers that people do not let pass.
    pub fn failing(&self) -> u64 {
        self.true_fail.saturating_add(self.false_pass)
    }

    /// Share of what people let pass that the judge lets pass, too; 0..=1, 0 where there is none.
    pub fn sensitivity(&self) -> f64 {
        share(self.true_pass, self.passing())
    }

    /// Share of what people do not let pass that the judge does not, either; 0..=1, 0 where there is none.
    pub fn specificity(&self) -> f64 {
        share(self.true_fail, self.failing())
    }

    /// Youden's J, sensitivity + specificity - 1: how much of a true difference the judge shows. -1..=1.
    ///
    /// W. J. Youden, "Index for rating diagnostic tests", Cancer 3 (1950), 32-35.
    pub fn youden(&self) -> f64 {
        self.sensitivity() + self.specificity() - 1.0
    }

    /// Counts one answer: what people say, what the judge says.
    pub fn note(&mut self, people: bool, judge: Option<bool>) {
        let count = match (people, judge) {
            (_, None) => &mut self.errors,
            (true, Some(true)) => &mut self.true_pass,
            (true, Some(false)) => &mut self.false_fail,
            (false, Some(false)) => &mut self.true_fail,
            (false, Some(true)) => &mut self.false_pass,
        };
        *count += 1;
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// One judge's entry in a calibration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationEntry {
    pub judge: String,
    pub votes: u32,
    pub rule: String,
    pub model: String,
    /// The models that served, sorted; empty where the service does not tell.
    pub served: Vec<String>,
    pub prompt_sha256: String,
    /// Digest of all that makes it this judge: service, model and prompt.
    pub judge_sha256: String,
    /// Digest of the labels, and of the cases and checks that they belong to.
    pub labels_sha256: String,
    pub counts: Agreement,
}

impl CalibrationEntry {
    pub fn judge_use(&self) -> JudgeUse {
        JudgeUse { judge: self.judge.clone(), votes: self.votes, rule: self.rule.clone() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Calibration {
    /// It was asked about labelled answers.
    Known(Agreement),
    /// It never was.
    None,
    /// It was another one then: why that calibration says nothing of this one.
    Stale(String),
}

/// A judge that decides cases of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct DecidingJudge {
    pub judge_use: JudgeUse,
    pub model: String,
    pub prompt_sha256: String,
    pub calibration: Calibration,
    /// The golden files hold other labels for it than those of its calibration.
    pub other_labels: bool,
}

/// The judges that decide the cases of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecidingJudges {
    pub judges: Vec<DecidingJudge>,
    /// For each kind of case, the judges that decide it, as places in `judges`; one that decides by two checks is there twice.
    pub together: Vec<Vec<usize>>,
    /// One check of one judge decides each case, and nothing else does.
    pub alone: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_counted_and_errors_stand_apart() {
        let mut counts = Agreement::default();
        assert_eq!((counts.sensitivity(), counts.specificity(), counts.labels()), (0.0, 0.0, 0));
        for (people, judge, times) in [
            (true, Some(true), 9),
            (true, Some(false), 1),
            (false, Some(false), 6),
            (false, Some(true), 2),
            (true, None, 3),
        ] {
            for _ in 0..times {
                counts.note(people, judge);
            }
        }
        assert_eq!((counts.passing(), counts.failing(), counts.errors, counts.labels()), (10, 8, 3, 21));
        assert_eq!((counts.sensitivity(), counts.specificity()), (0.9, 0.75));
        assert!((counts.youden() - 0.65).abs() < 1e-15);
    }

    #[test]
    fn the_usual_way_of_asking_needs_no_words() {
        let shown =
            |votes, rule: &str| JudgeUse { judge: "strict".to_owned(), votes, rule: rule.to_owned() }.to_string();
        assert_eq!(shown(1, "majority"), "strict");
        assert_eq!(shown(3, "majority"), "strict (3 votes, majority)");
        assert_eq!(shown(1, "mean of at least 0.7"), "strict (1 vote, mean of at least 0.7)");
    }
}
