//! Which judges decide the cases of a run, what is known of their errors, and which labels there are to know more.

use super::judges::{JudgeIdentity, Judges};
use crate::config::JudgeCalibration;
use crate::dataset::calibration;
use crate::domain::{
    Calibration, CalibrationEntry, Case, DecidingJudge, DecidingJudges, JudgeUse, Label, Problem, Problems, digest,
    hex, same_model,
};
use crate::scoring;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds of cases by how judges decide them, and ways of asking judges: bounds what is remembered of a dataset.
pub(crate) const KINDS: usize = 1_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct JudgeRoles {
    /// The judges that decide a selected case together, for each kind of case.
    together: BTreeSet<Vec<JudgeUse>>,
    /// Something else than one check of a judge decides a selected case.
    others: bool,
    /// The labels of all cases, by what they are about.
    labels: BTreeMap<JudgeUse, Labels>,
}

/// The labels for one way of asking a judge.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    hash: Sha256,
    pub(crate) passing: u64,
    pub(crate) failing: u64,
}

impl Labels {
    /// What makes two sets of labels the same: cases, checks, answers and judgements, in the order of the dataset.
    pub(crate) fn sha256(&self) -> String {
        hex(self.hash.clone().finalize())
    }

    /// Takes one label, of check number `check` of the case.
    pub(crate) fn note(&mut self, case: &Case, check: usize, label: &Label) {
        let args = case.checks.get(check).map_or(&Value::Null, |spec| &spec.args).to_string();
        let history: Vec<Value> =
            case.history.iter().map(|turn| Value::from(vec![format!("{:?}", turn.role), turn.text.clone()])).collect();
        self.hash.update(digest([
            case.id.as_str().as_bytes(),
            Value::Object(case.vars.clone()).to_string().as_bytes(),
            Value::from(history).to_string().as_bytes(),
            args.as_bytes(),
            label.answer.as_bytes(),
            &[u8::from(label.pass)],
        ]));
        let count = if label.pass { &mut self.passing } else { &mut self.failing };
        *count += 1;
    }
}

/// Returns model, digest of the prompt and calibration of a judge; the entry is that of the same use, if there is one.
type Lookup<'l> = dyn Fn(&JudgeUse, Option<&CalibrationEntry>) -> Option<(String, String, Calibration)> + 'l;

impl JudgeRoles {
    pub(crate) fn note(&mut self, case: &Case, selected: bool) -> Option<Problem> {
        if selected {
            let deciding = scoring::deciding_judges(case);
            let mut checks = case.checks.iter().filter(|spec| spec.decides());
            let alone = checks.next().is_some_and(|spec| scoring::use_of(spec).is_some()) && checks.next().is_none();
            self.others |= !alone;
            if !deciding.is_empty() {
                self.together.insert(deciding);
            }
        }
        // What is wrong with labels is for `judge calibrate` to say.
        for (check, label) in labelled(case).unwrap_or_default() {
            if let Some(judge_use) = case.checks.get(check).and_then(scoring::use_of) {
                self.labels.entry(judge_use).or_default().note(case, check, label);
            }
        }
        (self.together.len() > KINDS || self.labels.len() > KINDS).then(|| too_many(case))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.together.is_empty()
    }

    /// What is known of the judges that decide. `served` has the models that served, by the judge's name.
    pub(crate) fn deciding(
        &self,
        judges: &Judges,
        entries: &[CalibrationEntry],
        served: &BTreeMap<String, BTreeSet<String>>,
    ) -> DecidingJudges {
        self.deciding_judges(entries, &|judge_use, entry| {
            let identity = judges.identity(&judge_use.judge)?;
            let calibration = match_calibration(&identity, entry, entries, judge_use, served.get(&judge_use.judge));
            Some((identity.model, identity.prompt_sha256, calibration))
        })
    }

    /// What is known of the judges of an earlier run, which nobody asks again: `judges` tells model and prompt of each name.
    /// Which service answered is not looked at, nor which models served; a calibration that fits the rest is used, which makes
    /// the margins smaller, never larger.
    pub(crate) fn recorded(
        &self,
        judges: &BTreeMap<&str, (&str, &str)>,
        entries: &[CalibrationEntry],
    ) -> DecidingJudges {
        self.deciding_judges(entries, &|judge_use, entry| {
            let (model, prompt_sha256) = *judges.get(judge_use.judge.as_str())?;
            let calibration = match entry {
                Some(entry) if (entry.model.as_str(), entry.prompt_sha256.as_str()) == (model, prompt_sha256) => {
                    Calibration::Known(entry.counts)
                }
                Some(_) => Calibration::Stale("its model or prompt was another one".to_owned()),
                None if entries.iter().any(|entry| entry.judge == judge_use.judge) => {
                    Calibration::Stale("it was asked in another way".to_owned())
                }
                None => Calibration::None,
            };
            Some((model.to_owned(), prompt_sha256.to_owned(), calibration))
        })
    }

    /// The judges that decide, each with its model, the digest of its prompt, and what is known of it.
    fn deciding_judges(&self, entries: &[CalibrationEntry], lookup: &Lookup<'_>) -> DecidingJudges {
        let uses: BTreeSet<&JudgeUse> = self.together.iter().flatten().collect();
        let places: BTreeMap<&JudgeUse, usize> =
            uses.iter().enumerate().map(|(at, judge_use)| (*judge_use, at)).collect();
        let judges_found = uses.iter().filter_map(|judge_use| {
            let entry = entries.iter().find(|entry| entry.judge_use() == **judge_use);
            let labels = self.labels.get(*judge_use).map(Labels::sha256);
            let other_labels = entry.zip(labels).is_some_and(|(entry, labels)| entry.labels_sha256 != labels);
            let (model, prompt_sha256, calibration) = lookup(judge_use, entry)?;
            Some(DecidingJudge { judge_use: (*judge_use).clone(), calibration, model, prompt_sha256, other_labels })
        });
        DecidingJudges {
            judges: judges_found.collect(),
            together: self
                .together
                .iter()
                .map(|kind| kind.iter().filter_map(|judge_use| places.get(judge_use).copied()).collect())
                .collect(),
            alone: !self.others && self.together.len() == 1,
        }
    }
}

/// Whether an entry says something of the judge as it is now.
fn match_calibration(
    identity: &JudgeIdentity,
    entry: Option<&CalibrationEntry>,
    entries: &[CalibrationEntry],
    judge_use: &JudgeUse,
    served: Option<&BTreeSet<String>>,
) -> Calibration {
    let Some(entry) = entry else {
        // The same judge, asked in another way, errs in another way.
        return match entries.iter().find(|entry| entry.judge == judge_use.judge) {
            Some(other) => Calibration::Stale(format!("it was calibrated as {}", other.judge_use())),
            None => Calibration::None,
        };
    };
    let stale = |why: String| Calibration::Stale(why);
    if entry.model != identity.model {
        return stale(format!("its model was {}", entry.model));
    }
    if entry.prompt_sha256 != identity.prompt_sha256 {
        return stale("its prompt was another one".to_owned());
    }
    if entry.judge_sha256 != identity.sha256 {
        return stale("another service answered for it".to_owned());
    }
    // A service may serve another model under the same name. One that does not tell its model is no evidence of that.
    let other = served
        .into_iter()
        .flatten()
        .find(|model| !entry.served.is_empty() && !entry.served.iter().any(|known| same_model(known, model)));
    match other {
        Some(model) => stale(format!("{model} serves it now")),
        None => Calibration::Known(entry.counts),
    }
}

/// The labels of a case, each with the number of the check that it is about.
///
/// # Errors
/// A label is about no check of a judge, or it is not known about which.
pub(crate) fn labelled(case: &Case) -> Result<Vec<(usize, &Label)>, Problem> {
    let judged = || case.checks.iter().enumerate().filter(|(_, spec)| scoring::use_of(spec).is_some());
    let only = || {
        let mut judged = judged();
        match (judged.next(), judged.next()) {
            (Some((at, _)), None) => Ok(at),
            (None, _) => Err(Problem::at(
                case.place.clone(),
                format!("the case `{}` has labels, but no check `judge` that they could be about", case.id),
            )
            .expected(
                "a check `judge` of its own in `expect`; inside `not`, `all` or `any` it is part of another check",
            )),
            (Some(_), Some(_)) => Err(Problem::at(
                case.place.clone(),
                format!(
                    "the case `{}` has several checks `judge`, and a label does not say which it is about",
                    case.id
                ),
            )
            .expected("a `name` for the check, and the same under `check` of the label")),
        }
    };
    let named = |name: &str| {
        judged().find(|(_, spec)| spec.name.as_deref() == Some(name)).map(|(at, _)| at).ok_or_else(|| {
            Problem::at(
                case.place.clone(),
                format!("a label of the case `{}` is about the check `{name}`, which no judge decides", case.id),
            )
            .expected("the name of a check `judge`")
        })
    };
    case.labels
        .iter()
        .map(|label| {
            let at = match label.check.as_deref() {
                Some(name) => named(name)?,
                None => only()?,
            };
            Ok((at, label))
        })
        .collect()
}

pub(crate) fn too_many(case: &Case) -> Problem {
    Problem::at(case.place.clone(), format!("judges are asked in more than {KINDS} ways"))
        .expected("few judges, with the same votes and the same `min` in most checks")
}

/// The calibrations that the settings name.
///
/// # Errors
/// The file can't be read, is none, or is not there although it was named.
pub(crate) fn entries(calibration: &JudgeCalibration) -> Result<Vec<CalibrationEntry>, Problems> {
    let JudgeCalibration { path, named } = calibration;
    let shown = path.display().to_string();
    match calibration::read(path, &shown)? {
        Some(entries) => Ok(entries),
        None if *named => Err(Problem::new(format!("there is no calibration of judges at {shown}"))
            .hint("run `promptgate judge calibrate`, or leave judge_calibration out")
            .into()),
        None => Ok(Vec::new()),
    }
}
