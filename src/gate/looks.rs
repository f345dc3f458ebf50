//! Which share of the allowed error a look may use, and what earlier looks forbid.
//!
//! - **Attempts**: up to K looks, each with the repeats of those before and as many more. The bounds are those of O'Brien and
//!   Fleming ([`obrien_fleming`]), as if each attempt brought as much information as the first. In truth later ones bring less,
//!   because repeats do not shrink the variance between cases, so the looks are more alike and err less often together.
//! - **Looks within a run**: the spending function of Lan and DeMets ([`lan_demets`]) by the shares of the cases.
//! - **Several candidates**: the error of promoting is divided by their number (Bonferroni), so that the chance to promote any
//!   one that is worse by the margin is at most alpha, whichever is picked. That of blocking is not: each is blocked for itself.

use super::{meaning, phrases, reason};
use crate::domain::{
    Comparison, Decision, FirstRules, Look, LooksBefore, MOST_CANDIDATES, Policy, Reason, ReasonCode, Sequential,
};
use crate::stats::normal::below;
use crate::stats::sequential::{MAX_LOOKS, lan_demets, obrien_fleming};

/// The errors that one look may use, one-sided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels {
    pub(super) promote: f64,
    pub(super) block: f64,
    /// Of everything else; a loss shown with it holds a promotion.
    pub(super) alpha: f64,
    /// Share of wrongly blocked tags.
    slice_q: f64,
    /// Of promoting and of blocking, at the next look if there is one: what an advice goes by.
    pub(super) next: (f64, f64),
}

impl Levels {
    /// `None` if the look is none of its schedule.
    pub(super) fn of(policy: &Policy, look: &Look) -> Option<Levels> {
        let Look { attempt, attempts, candidates, ref shares } = *look;
        let sound = (1..=attempts).contains(&attempt) && (1..=MOST_CANDIDATES).contains(&(candidates as usize));
        let early = !shares.is_empty();
        if !sound || (early && (attempts > 1 || policy.sequential == Sequential::Off)) {
            return None;
        }
        let share = |alpha: f64, attempt: u32| match shares.as_slice() {
            [] => of_attempt(alpha, attempt, attempts),
            shares => within(alpha, shares),
        };
        let alpha = share(policy.alpha, attempt)?;
        let (candidates, next) = (f64::from(candidates), (attempt + 1).min(attempts));
        Some(Levels {
            promote: alpha / candidates,
            block: share(policy.block_alpha, attempt)?,
            alpha,
            slice_q: share(policy.slice_q, attempt)?,
            next: (share(policy.alpha, next)? / candidates, share(policy.block_alpha, next)?),
        })
    }

    pub(super) fn apply(&self, policy: &Policy) -> Policy {
        Policy { alpha: self.alpha, block_alpha: self.block, slice_q: self.slice_q, ..policy.clone() }
    }
}

/// The policy with the errors that a look may use, for what is foretold of it; `None` if the look is none.
pub fn policy_for_look(policy: &Policy, look: &Look) -> Option<Policy> {
    let levels = Levels::of(policy, look)?;
    Some(Policy { alpha: levels.promote, ..levels.apply(policy) })
}

/// Only at a look before the last one may cases be left out.
pub(super) fn allows_unanalyzed(look: &Look, comparison: &Comparison) -> bool {
    comparison.unlooked.cases == 0 || look.shares.last().is_some_and(|share| *share < 1.0)
}

/// What of `alpha` the look of an attempt may use.
fn of_attempt(alpha: f64, attempt: u32, attempts: u32) -> Option<f64> {
    if attempts == 1 {
        return Some(alpha);
    }
    let bounds = obrien_fleming(usize::try_from(attempts).ok()?, alpha)?;
    let bound = bounds.get(usize::try_from(attempt).ok()?.checked_sub(1)?)?;
    Some(below(-bound))
}

/// What of `alpha` the last of these looks may use.
fn within(alpha: f64, shares: &[f64]) -> Option<f64> {
    if let [only] = shares
        && *only == 1.0
    {
        return Some(alpha);
    }
    if shares.len() > MAX_LOOKS {
        return None;
    }
    let bound = *lan_demets(shares, alpha)?.last()?;
    Some(below(-bound))
}

/// Why earlier looks leave no room for a promotion.
pub(super) fn earlier_look(before: &LooksBefore) -> Option<Reason> {
    let message = match before {
        LooksBefore::Clear
        | LooksBefore::Final { decision: Decision::Promote | Decision::Unchanged, other_rules: false, .. } => {
            return None;
        }
        LooksBefore::Final { decision, run, attempts, other_rules } => {
            let rule = match attempts {
                _ if *other_rules && *decision == Decision::Promote => {
                    "by other rules than these, which nobody asked of those answers".to_owned()
                }
                1 => "with one attempt the first look is final".to_owned(),
                attempts => format!(
                    "it is one of {}, and they are made of the same answers",
                    phrases::count((*attempts).into(), "planned attempt")
                ),
            };
            format!(
                "run {run} looked at the same prompts and cases before, and was {}: {rule}, so other or further answers can't promote; \
                 without --cache refresh its answers are used again, and --fresh-key REASON starts anew for all to see",
                decision.as_str()
            )
        }
        LooksBefore::Shown { run } => format!(
            "run {run} showed answers to the same requests before: they can be completed with the repeats that were planned \
             then, and never replaced; without --cache refresh, and with its --repeat, they are used again, and --fresh-key \
             REASON starts anew for all to see"
        ),
        LooksBefore::Looser(FirstRules { run, decision, rules }) => {
            let came_to = decision.as_ref().map_or_else(String::new, |decision| format!(", and was {decision}"));
            format!(
                "run {run} looked at these answers by stricter rules ({}){came_to}: rules are chosen before a look, so looser ones \
                 can't promote; decide by those of run {run}, or start anew for all to see with --fresh-key REASON",
                rules.join("; ")
            )
        }
        LooksBefore::LeftBehind { reason: earlier } => format!(
            "earlier looks were left behind before ({}), which can be done once in a pull request, and else once in 30 days: \
             decide by the looks since then, with the same --fresh-key",
            phrases::quoted(earlier)
        ),
        LooksBefore::Lost { attempt, known } => {
            let known = if *known == 0 { "no earlier one".to_owned() } else { format!("{known} only") };
            format!(
                "this is attempt {attempt} by the count of the CI system, and the store has the answers of {known}: what they came to is \
                 not known, so nothing is promoted; keep .promptgate between attempts, or start anew for all to see with --fresh-key REASON"
            )
        }
    };
    let lost = matches!(before, LooksBefore::Lost { .. });
    Some(reason(if lost { ReasonCode::AttemptsLost } else { ReasonCode::EarlierLook }, message))
}

/// What a look came to; `None` where the run is not whole, or how the prompts differ was not looked at.
pub(super) fn decision_of_look(decision: Decision, reasons: &[Reason]) -> Option<Decision> {
    reasons.iter().all(|reason| meaning(reason.code).1).then_some(decision)
}

/// What comes after an open look that is not the last.
pub(super) fn next_attempt(look: &Look) -> String {
    match look {
        Look { attempt, attempts, .. } if attempt < attempts => {
            format!("; this was attempt {attempt} of {attempts}: run again to add the repeats of the next one")
        }
        Look { .. } => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::policy;
    use super::*;
    use crate::domain::EarlyStop;
    use crate::stats::normal::critical;

    fn levels(look: &Look) -> Option<Levels> {
        Levels::of(&policy(), look)
    }

    fn attempt(attempt: u32, attempts: u32) -> Look {
        Look { attempt, attempts, ..Look::ONLY }
    }

    #[test]
    fn one_look_uses_all_of_it_to_the_last_digit() {
        let only = levels(&Look::ONLY).unwrap();
        assert_eq!((only.promote, only.block, only.next), (0.05, 0.015, (0.05, 0.015)));
        assert_eq!(only.apply(&policy()), policy());
        let whole = Look { shares: vec![1.0], ..Look::ONLY };
        let planned = Policy { sequential: Sequential::Looks, ..policy() };
        assert_eq!(Levels::of(&planned, &whole), Some(only));
    }

    #[test]
    fn attempts_share_it_as_obrien_and_fleming_say() {
        for (number, bound) in [(1, 2.961), (2, 2.094), (3, 1.710)] {
            let levels = levels(&attempt(number, 3)).unwrap();
            assert!((critical(levels.promote) - bound).abs() < 1e-3, "{levels:?}");
            assert!(levels.promote == levels.alpha && levels.block < levels.alpha, "{levels:?}");
        }
        let first = levels(&attempt(1, 3)).unwrap();
        assert_eq!(first.next.0, levels(&attempt(2, 3)).unwrap().promote);
    }

    #[test]
    fn looks_within_a_run_share_it_by_their_cases() {
        let at = |shares: &[f64]| {
            let look = Look { shares: shares.to_vec(), ..Look::ONLY };
            let policy = Policy { sequential: Sequential::Looks, ..policy() };
            // It had to be planned.
            assert_eq!(levels(&look), None);
            Levels::of(&policy, &look).map(|levels| levels.alpha)
        };
        let (first, last) = (at(&[0.5]).unwrap(), at(&[0.5, 1.0]).unwrap());
        assert!(first < 0.01 && last < 0.05 && last > 0.04, "{first} {last}");
        for none in [&[0.0][..], &[0.5, 0.5], &[0.5, 0.4], &[1.1], &[f64::NAN], &[-1.0]] {
            assert_eq!(at(none), None, "{none:?}");
        }
    }

    #[test]
    fn cases_are_left_out_only_before_the_last_look() {
        let comparison = |cases| Comparison { unlooked: EarlyStop { cases, answers: 0 }, ..Comparison::default() };
        for (shares, left, allowed) in
            [(&[][..], 0, true), (&[], 1, false), (&[0.5], 1, true), (&[0.5, 1.0], 1, false), (&[0.5, 1.0], 0, true)]
        {
            let look = Look { shares: shares.to_vec(), ..Look::ONLY };
            assert_eq!(allows_unanalyzed(&look, &comparison(left)), allowed, "{shares:?} {left}");
        }
    }

    #[test]
    fn candidates_share_the_error_of_promoting_alone() {
        let four = Look { candidates: 4, ..Look::ONLY };
        let four = levels(&four).unwrap();
        assert_eq!((four.promote, four.block), (0.0125, 0.015));
    }

    #[test]
    fn what_is_no_look_of_its_schedule_has_no_levels() {
        for look in [
            attempt(0, 1),
            attempt(2, 1),
            attempt(1, 0),
            attempt(1, 1000),
            Look { candidates: 0, ..Look::ONLY },
            Look { candidates: 101, ..Look::ONLY },
            Look { shares: vec![0.5], ..attempt(1, 2) },
        ] {
            assert_eq!(levels(&look), None, "{look:?}");
        }
    }
}
