//! What an older state of the golden data asked for and the new one does not: the quiet way to a green gate.
//!
//! Cases are matched by id; one whose id is gone is looked for among those with new ids by its input. A deciding check of
//! the old case is still there if some deciding check of the new one implies it.

use super::claims::check_implies;
use super::duplicates::input;
use super::finding::{Finding, Level};
use super::{MAX_CASES, Matchers, shown};
use crate::domain::{Case, CaseId, CheckSpec, Metric, Place, WEIGHT, digest};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One thing that a newer state asks otherwise than an older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where the case stands now, or stood.
    pub place: Place,
    /// Its kind, for machines: never changes its meaning.
    pub code: &'static str,
    pub case: CaseId,
    /// What it asked for; `None` where it asked for nothing.
    pub before: Option<String>,
    /// What it asks for; `None` where it asks for nothing any more.
    pub after: Option<String>,
    /// It asks for less, or may do so.
    pub weaker: bool,
    /// Digest of the case in both states, which the texts only hint at.
    pub content: [u8; 32],
    /// What happened, in words, and how much it matters to a linter; `None` where that is none of its business.
    summary: Option<(Level, String)>,
}

impl Difference {
    pub(super) fn finding(self, revision: &str) -> Option<Finding> {
        let (level, message) = self.summary?;
        let message = match self.code {
            DELETED => format!("{message} since {revision}"),
            _ => format!("case `{}`: since {revision}, {message}", self.case),
        };
        let help = match (level, self.code) {
            (Level::Note, _) => "make sure that it asks for no less",
            (_, DELETED) => "say why in the change, or take it back in",
            (Level::Error | Level::Warning, _) => "say why in the change, or take it back",
        };
        Some(Finding::at(&self.place, level, self.code, message, help))
    }
}

const DELETED: &str = "case-deleted";
/// A case of the older state that has another id now: `before` and `after`.
pub const RENAMED: &str = "case-renamed";

/// The older cases that were not met again so far. All of them come before the newer ones.
#[derive(Default)]
pub struct Weakening {
    older: BTreeMap<CaseId, CaseDemands>,
    /// New ids, by input.
    added: HashMap<[u8; 16], CaseDemands>,
    /// Cases that were too many to be kept.
    beyond: u64,
    /// Tags whose cases don't decide.
    quarantine: BTreeSet<String>,
    metric: Metric,
    /// Of the older cases.
    heaviest: Option<u32>,
}

/// What a case asks for.
struct CaseDemands {
    id: CaseId,
    place: Place,
    input: [u8; 16],
    critical: bool,
    weight: u32,
    cluster: Option<std::sync::Arc<str>>,
    tags: BTreeSet<String>,
    checks: Vec<CheckSpec>,
    /// Its tags in quarantine; none for a must-pass case, which always decides.
    quarantined: BTreeSet<String>,
}

impl CaseDemands {
    fn by(case: &Case, quarantine: &BTreeSet<String>) -> CaseDemands {
        // Suites and notes are for people, labels for calibration, whose result is a file of its own.
        let Case {
            id,
            suite: _,
            place,
            tags,
            critical,
            weight,
            cluster,
            vars: _,
            history: _,
            checks,
            labels: _,
            notes: _,
        } = case;
        let quarantined = tags.iter().filter(|tag| !critical && quarantine.contains(*tag));
        CaseDemands {
            id: id.clone(),
            place: place.clone(),
            input: input(case),
            critical: *critical,
            weight: *weight,
            cluster: cluster.clone(),
            tags: tags.iter().cloned().collect(),
            checks: checks.clone(),
            quarantined: quarantined.cloned().collect(),
        }
    }

    fn content(&self) -> [u8; 32] {
        let CaseDemands { id, place: _, input, critical, weight, cluster, tags, checks, quarantined } = self;
        let counted = format!("{critical} {weight} {cluster:?} {tags:?} {quarantined:?} {checks:?}");
        digest([id.as_str().as_bytes(), input, counted.as_bytes()])
    }
}

impl Weakening {
    /// A case that newly has one of these tags decides no longer. With scores, every check of a case is part of its mean.
    #[must_use]
    pub fn with_rules(self, quarantine: BTreeSet<String>, metric: Metric) -> Weakening {
        Weakening { quarantine, metric, ..self }
    }

    pub fn older(&mut self, case: &Case) {
        self.heaviest = self.heaviest.max(Some(case.weight));
        if self.older.len() < MAX_CASES {
            let demands = CaseDemands::by(case, &self.quarantine);
            self.older.insert(case.id.clone(), demands);
        } else {
            self.beyond += 1;
        }
    }

    pub fn newer(&mut self, case: &Case, matchers: &dyn Matchers, report: &mut dyn FnMut(Difference)) {
        let demands = CaseDemands::by(case, &self.quarantine);
        if self.heaviest.is_some_and(|heaviest| case.weight > heaviest) && !self.older.contains_key(&case.id) {
            // It may outweigh those that were there.
            let (before, after) = (self.heaviest.map(shown_weight), Some(shown_weight(case.weight)));
            let (place, case) = (case.place.clone(), case.id.clone());
            let content = demands.content();
            report(Difference {
                place,
                code: "case-heavier",
                case,
                before,
                after,
                weaker: true,
                content,
                summary: None,
            });
        }
        match self.older.remove(&case.id) {
            Some(older) => compare(&older, &demands, self.metric, matchers, report),
            None if self.added.len() < MAX_CASES => {
                self.added.insert(demands.input, demands);
            }
            None => self.beyond += 1,
        }
    }

    /// Compares the cases whose ids are gone with those of new ids. Returns how many cases could not be compared, because
    /// they were more than [`MAX_CASES`].
    pub fn finish(mut self, matchers: &dyn Matchers, report: &mut dyn FnMut(Difference)) -> u64 {
        for older in std::mem::take(&mut self.older).into_values() {
            // Each new case stands for one older case only.
            match self.added.remove(&older.input) {
                Some(renamed) => compare(&older, &renamed, self.metric, matchers, report),
                None => {
                    let critical = if older.critical { "critical " } else { "" };
                    let message = format!("the {critical}case `{}` was deleted", older.id);
                    report(Difference {
                        content: older.content(),
                        place: older.place,
                        code: DELETED,
                        case: older.id,
                        before: Some(format!("a {critical}case with {} checks", older.checks.len())),
                        after: None,
                        weaker: true,
                        summary: Some((Level::Warning, message)),
                    });
                }
            }
        }
        self.beyond
    }
}

fn shown_weight(weight: u32) -> String {
    (f64::from(weight) / f64::from(WEIGHT)).to_string()
}

fn compare(
    older: &CaseDemands,
    newer: &CaseDemands,
    metric: Metric,
    matchers: &dyn Matchers,
    report: &mut dyn FnMut(Difference),
) {
    let mut report = |code, before: Option<String>, after: Option<String>, weaker, summary| {
        let content = digest([older.content(), newer.content()].iter().map(<[u8; 32]>::as_slice));
        let (place, case) = (newer.place.clone(), newer.id.clone());
        report(Difference { place, code, case, before, after, weaker, content, summary });
    };
    let warning = |message: String| Some((Level::Warning, message));
    if older.id != newer.id {
        report(RENAMED, Some(older.id.to_string()), Some(newer.id.to_string()), false, None);
    }
    let word = |critical| Some(if critical { "critical" } else { "not critical" }.to_owned());
    match (older.critical, newer.critical) {
        (true, false) => {
            report("critical-removed", word(true), word(false), true, warning("it is no longer critical".to_owned()))
        }
        (false, true) => report("critical-added", word(false), word(true), false, None),
        (true, true) | (false, false) => {}
    }
    // Whether that makes it easier depends on all the other cases, so it counts as if it did.
    if older.weight != newer.weight {
        report("weight-changed", Some(shown_weight(older.weight)), Some(shown_weight(newer.weight)), true, None);
    }
    if older.cluster != newer.cluster {
        let shown = |cluster: &Option<std::sync::Arc<str>>| cluster.as_deref().map(str::to_owned);
        report("cluster-changed", shown(&older.cluster), shown(&newer.cluster), true, None);
    }
    // A tag is a test of its own, but for cases that don't decide.
    for tag in older.tags.difference(&newer.tags).filter(|tag| !older.quarantined.contains(*tag)) {
        report("tag-removed", Some(tag.clone()), None, true, None);
    }
    for tag in newer.tags.difference(&older.tags).filter(|tag| !newer.quarantined.contains(*tag)) {
        report("tag-added", None, Some(tag.clone()), false, None);
    }
    // Each tag has a last day of its own, so one more may keep a case that has another already from deciding for longer.
    for tag in newer.quarantined.difference(&older.quarantined) {
        report("quarantine-tag-added", None, Some(tag.clone()), true, None);
    }
    if older.input != newer.input {
        // Another question under the same id is another case, and it may be an easier one.
        report("input-changed", None, None, true, None);
    }
    let same = |a: &CheckSpec, b: &CheckSpec| a.matcher == b.matcher && a.args == b.args;
    if metric == Metric::Score && older.checks != newer.checks {
        // The score is a mean over all checks, so one more may make it easier.
        report("checks-changed", None, None, true, None);
    }
    // Checks of the new case that no check of the old one is.
    let mut changed: Vec<&CheckSpec> =
        newer.checks.iter().filter(|check| !older.checks.iter().any(|old| same(old, check))).collect();
    for old in older.checks.iter().filter(|check| check.decides()) {
        let twins = || newer.checks.iter().filter(|check| same(check, old));
        let name = shown(old, matchers);
        let before = Some(name.clone());
        if let Some(twin) = twins().find(|twin| twin.decides()) {
            if twin.weight < old.weight {
                let message = format!("the weight of {name} fell from {} to {}", old.weight, twin.weight);
                let weight = |check: &CheckSpec| Some(format!("{name} with weight {}", check.weight));
                report("weight-lowered", weight(old), weight(twin), true, warning(message));
            }
            continue;
        }
        if twins().next().is_some() {
            let message = format!("{name} no longer decides");
            report("check-disarmed", before.clone(), before, true, warning(message));
            continue;
        }
        let mut deciding = newer.checks.iter().filter(|check| check.decides());
        if let Some(stronger) = deciding.find(|check| check_implies(check, old, matchers)) {
            report("check-strengthened", before, Some(shown(stronger, matchers)), false, None);
            continue;
        }
        let weaker =
            changed.iter().position(|check| check.matcher == old.matcher && check_implies(old, check, matchers));
        let alike = || changed.iter().position(|check| check.matcher == old.matcher);
        match (weaker, alike()) {
            (Some(at), _) => {
                let after = shown(changed.remove(at), matchers);
                let message = format!("{name} became {after}, which asks for less");
                report("check-weakened", before, Some(after), true, warning(message));
            }
            (None, Some(at)) => {
                let check = changed.remove(at);
                let after = shown(check, matchers);
                let (code, summary) = match check.decides() {
                    true => ("check-changed", Some((Level::Note, format!("{name} became {after}")))),
                    false => ("check-disarmed", warning(format!("{name} became {after}, which does not decide"))),
                };
                report(code, before, Some(after), true, summary);
            }
            (None, None) => report("check-removed", before, None, true, warning(format!("{name} was removed"))),
        }
    }
}
