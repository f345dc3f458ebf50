//! Must-pass cases are judged by themselves: the baseline's result excuses nothing.
//!
//! They are for what must never happen, so a single failure is looked into. But a failure of one answer in three hundred is
//! not what blocks a prompt: the case is asked again, up to ten answers in all, and fails if two of ten fail. A case that
//! fails one time in a hundred then blocks with a chance of 0.2% instead of 3%, one that fails half of the time still with
//! 87%. The further answers confirm, and enter nothing else.
//!
//! Where nobody can ask again, as with recorded answers, every failure counts.

use super::phrases::{self, count, quoted};
use crate::domain::{Attempts, CaseId, Comparison, MustPassGroup, Reason, ReasonCode, Warning, WarningCode};

/// A must-pass case is judged by so many answers of the candidate at least, where more can be asked for.
pub const LEAST: u32 = 3;
/// A case of which an answer failed is judged by so many.
pub const CONFIRMED: u32 = 10;
/// Of so many, this many failures block.
const FAILURES: u32 = 2;
const MAX_NAMED: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MustPassStatus {
    /// Every answer passes.
    Passes,
    /// Too few of its answers fail to count as a failure.
    Flaky,
    /// More answers are needed to tell.
    Open,
    /// It fails, whatever further answers would be.
    Fails,
}

pub fn must_pass_status(attempts: Attempts, confirms: bool) -> MustPassStatus {
    let Attempts { planned, scored, failed } = attempts;
    let missing = planned.saturating_sub(scored);
    if !confirms {
        return match (failed, missing) {
            (1.., _) => MustPassStatus::Fails,
            (0, 0) if planned > 0 => MustPassStatus::Passes,
            (0, _) => MustPassStatus::Open,
        };
    }
    let all = planned.max(CONFIRMED);
    let blocks = |failed: u32| failed * CONFIRMED >= FAILURES * all;
    match failed {
        0 if missing == 0 && planned >= LEAST => MustPassStatus::Passes,
        0 => MustPassStatus::Open,
        _ if blocks(failed) => MustPassStatus::Fails,
        // What is not judged may have failed.
        _ if blocks(failed + all.saturating_sub(scored)) => MustPassStatus::Open,
        _ => MustPassStatus::Flaky,
    }
}

/// Whether [`CONFIRMED`] answers must be asked for, because some failed and the case is still open.
pub fn wants_confirmation(attempts: Attempts) -> bool {
    attempts.failed > 0 && attempts.planned < CONFIRMED && must_pass_status(attempts, true) == MustPassStatus::Open
}

/// Reasons of the must-pass cases, blocking ones first.
pub(super) fn reasons(comparison: &Comparison, confirms: bool) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let failed = all(comparison, confirms, MustPassStatus::Fails);
    if !failed.is_empty() {
        reasons.push(Reason {
            code: ReasonCode::Critical,
            message: format!("{} failed: {}", must_pass(&failed), named(&failed, failures)),
            cases: ids(&failed),
        });
    }
    let open = all(comparison, confirms, MustPassStatus::Open);
    if !open.is_empty() {
        let judged = |attempts: &Attempts| {
            let planned = count(attempts.planned.into(), "answer");
            format!("{} of {planned} scored, {} failed", attempts.scored, attempts.failed)
        };
        reasons.push(Reason {
            code: ReasonCode::CriticalUnscored,
            message: format!(
                "{} could not be fully scored: {}; rerun with --resume",
                must_pass(&open),
                named(&open, judged)
            ),
            cases: ids(&open),
        });
    }
    reasons
}

/// Must-pass cases that pass although an answer failed.
pub(super) fn flaky(comparison: &Comparison, confirms: bool) -> Option<Warning> {
    let flaky = all(comparison, confirms, MustPassStatus::Flaky);
    (!flaky.is_empty()).then(|| Warning {
        code: WarningCode::FlakyCritical,
        message: format!(
            "{} {} sometimes: {}",
            must_pass(&flaky),
            if total(&flaky) == 1 { "fails" } else { "fail" },
            named(&flaky, failures)
        ),
    })
}

/// Cases with the same tally of answers.
type Group<'a> = (&'a Attempts, &'a MustPassGroup);

fn total(groups: &[Group<'_>]) -> u64 {
    groups.iter().map(|(_, alike)| alike.cases).sum()
}

fn must_pass(groups: &[Group<'_>]) -> String {
    count(total(groups), "must-pass case")
}

fn failures(attempts: &Attempts) -> String {
    let answers = count(attempts.scored.into(), "answer");
    format!("{} of {answers} failed", attempts.failed)
}

fn named(groups: &[Group<'_>], describe: impl Fn(&Attempts) -> String) -> String {
    let ids = groups.iter().flat_map(|(attempts, alike)| alike.ids.iter().map(move |id| (*attempts, id)));
    let named = ids.map(|(attempts, id)| format!("{} ({})", quoted(id.as_str()), describe(attempts)));
    phrases::list(named, total(groups), MAX_NAMED)
}

/// Those that stand as wanted, the most failures first.
fn all(comparison: &Comparison, confirms: bool, wanted: MustPassStatus) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = comparison
        .must_pass
        .iter()
        .filter(|(attempts, alike)| alike.cases > 0 && must_pass_status(**attempts, confirms) == wanted)
        .collect();
    groups.sort_by_key(|(attempts, _)| (std::cmp::Reverse(attempts.failed), attempts.scored));
    groups
}

pub(super) fn cases(comparison: &Comparison, confirms: bool, wanted: MustPassStatus) -> u64 {
    total(&all(comparison, confirms, wanted))
}

fn ids(groups: &[Group<'_>]) -> Vec<CaseId> {
    let ids = groups.iter().flat_map(|(_, alike)| &alike.ids);
    ids.take(super::IDS).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(planned: u32, scored: u32, failed: u32) -> Attempts {
        Attempts { planned, scored, failed }
    }

    #[test]
    fn two_of_ten_fail() {
        let table = [
            (of(3, 3, 0), MustPassStatus::Passes),
            (of(5, 5, 0), MustPassStatus::Passes),
            (of(2, 2, 0), MustPassStatus::Open),
            (of(0, 0, 0), MustPassStatus::Open),
            (of(5, 4, 0), MustPassStatus::Open),
            (of(3, 3, 1), MustPassStatus::Open),
            // No further answer could save it.
            (of(3, 3, 2), MustPassStatus::Fails),
            (of(3, 2, 2), MustPassStatus::Fails),
            (of(10, 10, 1), MustPassStatus::Flaky),
            (of(10, 9, 1), MustPassStatus::Open),
            (of(10, 10, 2), MustPassStatus::Fails),
            (of(20, 20, 3), MustPassStatus::Flaky),
            (of(20, 20, 4), MustPassStatus::Fails),
            (of(20, 19, 3), MustPassStatus::Open),
            (of(20, 19, 2), MustPassStatus::Flaky),
        ];
        for (attempts, expected) in table {
            assert_eq!(must_pass_status(attempts, true), expected, "{attempts:?}");
        }
        assert!(wants_confirmation(of(3, 3, 1)));
        assert!(wants_confirmation(of(1, 1, 1)));
        for settled in [of(3, 3, 0), of(3, 3, 2), of(10, 9, 1), of(3, 0, 0)] {
            assert!(!wants_confirmation(settled), "{settled:?}");
        }
    }

    #[test]
    fn where_nothing_can_be_asked_again_every_failure_counts() {
        let table = [
            (of(1, 1, 0), MustPassStatus::Passes),
            (of(3, 3, 1), MustPassStatus::Fails),
            (of(3, 2, 0), MustPassStatus::Open),
            (of(3, 2, 1), MustPassStatus::Fails),
            (of(0, 0, 0), MustPassStatus::Open),
        ];
        for (attempts, expected) in table {
            assert_eq!(must_pass_status(attempts, false), expected, "{attempts:?}");
        }
    }

    /// The chances that the rule promises: three answers, and seven more after a failure.
    #[test]
    fn the_chances_of_blocking() {
        let chance = |p: f64| -> f64 {
            let choose = |n: u32, r: u32| (0..r).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
            let binomial = |n: u32, r: u32| choose(n, r) * p.powi(r as i32) * (1.0 - p).powi((n - r) as i32);
            let mut blocked = 0.0;
            for first in 0..=3 {
                for further in 0..=7 {
                    let asked = wants_confirmation(of(3, 3, first));
                    let end = if asked { of(10, 10, first + further) } else { of(3, 3, first) };
                    let weight =
                        binomial(3, first) * if asked { binomial(7, further) } else { f64::from(further == 0) };
                    blocked += if must_pass_status(end, true) == MustPassStatus::Fails { weight } else { 0.0 };
                }
            }
            blocked
        };
        for (p, expected) in [(0.01, 0.0023), (0.02, 0.0088), (0.05, 0.048), (0.2, 0.41), (0.5, 0.87), (0.9, 0.999)] {
            assert!((chance(p) - expected).abs() < 0.01 * expected.max(0.5), "{p}: {}", chance(p));
        }
    }

    proptest! {
        #[test]
        fn one_more_failure_never_helps(planned in 0u32..25, missing in 0u32..25, failed in 0u32..25, confirms: bool) {
            let scored = planned.saturating_sub(missing);
            let failed = failed.min(scored);
            let rank = |standing| match standing {
                MustPassStatus::Passes => 0,
                MustPassStatus::Flaky => 1,
                MustPassStatus::Open => 2,
                MustPassStatus::Fails => 3,
            };
            if failed < scored {
                let (now, worse) = (of(planned, scored, failed), of(planned, scored, failed + 1));
                prop_assert!(rank(must_pass_status(worse, confirms)) >= rank(must_pass_status(now, confirms)) || must_pass_status(now, confirms) == MustPassStatus::Open);
                prop_assert!(must_pass_status(worse, confirms) != MustPassStatus::Passes);
            }
            if scored > failed {
                // A pass that is missing instead is never better.
                let lost = of(planned, scored - 1, failed);
                prop_assert!(rank(must_pass_status(lost, confirms)) >= rank(must_pass_status(of(planned, scored, failed), confirms)));
            }
        }
    }
}
