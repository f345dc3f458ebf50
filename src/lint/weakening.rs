//! What an older state of the golden data asked for and the new one does not: the quiet way to a green gate.
//!
//! Cases are matched by id; one whose id is gone is looked for among those with new ids by its input. A deciding check of
//! the old case is still there if some deciding check of the new one implies it.

use super::claims::check_implies;
use super::finding::{Finding, Findings, Level};
use super::likeness::input;
use super::{MAX_CASES, Matchers, shown};
use crate::model::{Case, CaseId, CheckSpec, Place};
use std::collections::{BTreeMap, HashMap};

/// The older cases that were not met again so far.
pub(super) struct Weakening {
    revision: String,
    older: BTreeMap<CaseId, Asked>,
    /// New ids, by input.
    added: HashMap<[u8; 16], Asked>,
    /// Cases that were too many to be kept.
    beyond: u64,
}

/// What a case asks for.
struct Asked {
    id: CaseId,
    place: Place,
    input: [u8; 16],
    critical: bool,
    checks: Vec<CheckSpec>,
}

impl Asked {
    fn by(case: &Case) -> Asked {
        Asked {
            id: case.id.clone(),
            place: case.place.clone(),
            input: input(case),
            critical: case.critical,
            checks: case.checks.clone(),
        }
    }
}

impl Weakening {
    pub(super) fn new(revision: &str) -> Weakening {
        Weakening {
            revision: revision.to_owned(),
            older: BTreeMap::new(),
            added: HashMap::new(),
            beyond: 0,
        }
    }

    pub(super) fn older(&mut self, case: &Case) {
        if self.older.len() < MAX_CASES {
            self.older.insert(case.id.clone(), Asked::by(case));
        } else {
            self.beyond += 1;
        }
    }

    pub(super) fn newer(&mut self, case: &Case, matchers: &dyn Matchers, findings: &mut Findings) {
        match self.older.remove(&case.id) {
            Some(older) => self.compare(&older, &Asked::by(case), matchers, findings),
            None if self.added.len() < MAX_CASES => {
                self.added.insert(input(case), Asked::by(case));
            }
            None => self.beyond += 1,
        }
    }

    pub(super) fn finish(mut self, matchers: &dyn Matchers, findings: &mut Findings) {
        if self.beyond > 0 {
            findings.push(Finding {
                place: None,
                level: Level::Warning,
                code: "incomplete",
                message: format!(
                    "{} cases beyond {MAX_CASES} were not compared with {}",
                    self.beyond, self.revision
                ),
                help: Some("lint fewer files at a time".to_owned()),
            });
        }
        for older in std::mem::take(&mut self.older).into_values() {
            match self.added.get(&older.input) {
                Some(renamed) => self.compare(&older, renamed, matchers, findings),
                None => {
                    let critical = if older.critical { "critical " } else { "" };
                    let message = format!("the {critical}case `{}` was deleted since {}", older.id, self.revision);
                    let help = "say why in the change, or take it back in";
                    findings.push(Finding::at(&older.place, Level::Warning, "case-deleted", message, help));
                }
            }
        }
    }

    fn compare(&self, older: &Asked, newer: &Asked, matchers: &dyn Matchers, findings: &mut Findings) {
        let mut tell = |level, code, message: String| {
            let message = format!("case `{}`: since {}, {message}", newer.id, self.revision);
            let help = match level {
                Level::Note => "make sure that it asks for no less",
                Level::Error | Level::Warning => "say why in the change, or take it back",
            };
            findings.push(Finding::at(&newer.place, level, code, message, help));
        };
        if older.critical && !newer.critical {
            tell(
                Level::Warning,
                "critical-removed",
                "it is no longer critical".to_owned(),
            );
        }
        let same = |a: &CheckSpec, b: &CheckSpec| a.matcher == b.matcher && a.args == b.args;
        // Checks of the new case that no check of the old one is.
        let mut changed: Vec<&CheckSpec> = newer
            .checks
            .iter()
            .filter(|check| !older.checks.iter().any(|old| same(old, check)))
            .collect();
        for old in older.checks.iter().filter(|check| check.decides()) {
            let twins = || newer.checks.iter().filter(|check| same(check, old));
            let name = shown(old, matchers);
            if let Some(twin) = twins().find(|twin| twin.decides()) {
                if twin.weight < old.weight {
                    let message = format!("the weight of {name} fell from {} to {}", old.weight, twin.weight);
                    tell(Level::Warning, "weight-lowered", message);
                }
                continue;
            }
            if twins().next().is_some() {
                tell(Level::Warning, "check-disarmed", format!("{name} no longer decides"));
                continue;
            }
            let mut deciding = newer.checks.iter().filter(|check| check.decides());
            if deciding.any(|check| check_implies(check, old, matchers)) {
                continue;
            }
            let weaker = changed
                .iter()
                .position(|check| check.matcher == old.matcher && check_implies(old, check, matchers));
            let alike = || changed.iter().position(|check| check.matcher == old.matcher);
            match (weaker, alike()) {
                (Some(at), _) => {
                    let message = format!(
                        "{name} became {}, which asks for less",
                        shown(changed.remove(at), matchers)
                    );
                    tell(Level::Warning, "check-weakened", message);
                }
                (None, Some(at)) => {
                    let check = changed.remove(at);
                    match check.decides() {
                        true => tell(
                            Level::Note,
                            "check-changed",
                            format!("{name} became {}", shown(check, matchers)),
                        ),
                        false => {
                            let message = format!("{name} became {}, which does not decide", shown(check, matchers));
                            tell(Level::Warning, "check-disarmed", message);
                        }
                    }
                }
                (None, None) => tell(Level::Warning, "check-removed", format!("{name} was removed")),
            }
        }
    }
}
