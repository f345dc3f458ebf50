//! The checks of one case: what contradicts, and what says nothing.

use super::claims::{self, Claim, MAX_CLAIMS};
use super::finding::{Finding, Findings, Level};
use super::{Matchers, named};
use crate::domain::{Case, CheckSpec, Logic};
use std::collections::BTreeSet;

/// Looks at the claims of a case in pairs, and at its checks of kind `any`.
pub(super) fn check_case(case: &Case, claims: &[Claim], matchers: &dyn Matchers, findings: &mut Findings) {
    let name = |claim: &Claim| {
        case.checks.get(claim.from).map_or_else(String::new, |check| named(claim.from, check, matchers))
    };
    if let Some((a, b)) = first_contradiction(claims, claims, matchers) {
        let message = match a.from == b.from {
            true => format!("no answer can pass: {} contradicts itself", name(a)),
            false => format!("no answer can pass: {} and {} exclude each other", name(a), name(b)),
        };
        let help = "correct one of them, or make it advisory";
        findings.push(Finding::at(&case.place, Level::Error, "contradiction", message, help));
        // Whatever else follows from what can't be is no news.
        return;
    }
    for (number, by) in superfluous(claims, matchers) {
        let (Some(check), Some(of)) = (case.checks.get(number), case.checks.get(by)) else {
            continue;
        };
        let message = format!(
            "{} says nothing: it holds wherever {} does",
            named(number, check, matchers),
            named(by, of, matchers)
        );
        let help = "leave it out, or make it stricter";
        findings.push(Finding::at(&case.place, Level::Note, "redundant-check", message, help));
    }
    for (number, check) in case.checks.iter().enumerate().take(MAX_CLAIMS) {
        if matchers.logic(check) == Some(Logic::Any) {
            check_any(case, number, check, matchers, findings);
        }
    }
}

/// The first pair of claims that can't both hold.
pub(super) fn first_contradiction<'a>(
    some: &'a [Claim],
    others: &'a [Claim],
    matchers: &dyn Matchers,
) -> Option<(&'a Claim, &'a Claim)> {
    some.iter()
        .flat_map(|a| others.iter().map(move |b| (a, b)))
        .filter(|(a, b)| !std::ptr::eq(*a, *b))
        .find(|(a, b)| claims::contradict(a, b, matchers))
        .map(|(a, b)| if a.from <= b.from { (a, b) } else { (b, a) })
}

/// Checks of which every claim follows from claims of one other check, and that check. Of two that say the same the
/// first one stays.
fn superfluous(claims: &[Claim], matchers: &dyn Matchers) -> Vec<(usize, usize)> {
    let numbers: BTreeSet<usize> = claims.iter().map(|claim| claim.from).collect();
    let of = |number: usize| claims.iter().filter(move |claim| claim.from == number);
    let follows = |number: usize, from: usize| {
        of(number).all(|claim| of(from).any(|other| claims::follows(other, claim, matchers)))
    };
    let mut found = Vec::new();
    for number in numbers.iter().copied() {
        let by = numbers
            .iter()
            .copied()
            .find(|other| *other != number && follows(number, *other) && (*other < number || !follows(*other, number)));
        found.extend(by.map(|by| (number, by)));
    }
    found
}

/// An `any` that always holds, and alternatives of it that never matter.
fn check_any(case: &Case, number: usize, check: &CheckSpec, matchers: &dyn Matchers, findings: &mut Findings) {
    let alternatives = claims::alternatives(check);
    let single = |check: &CheckSpec| {
        let claims = claims::claims(std::slice::from_ref(check), matchers);
        match <[Claim; 1]>::try_from(claims) {
            Ok([claim]) => Some(claim),
            Err(_) => None,
        }
    };
    let name = named(number, check, matchers);
    for (i, one) in alternatives.iter().enumerate() {
        for (j, other) in alternatives.iter().enumerate().skip(i + 1) {
            if let (Some(a), Some(b)) = (single(one), single(other))
                && claims::exhaust(&a, &b, matchers)
            {
                let message =
                    format!("{name} always holds: of its alternatives {} and {} one is always true", i + 1, j + 1);
                let help = "correct the alternatives; as it is, no answer can fail it";
                findings.push(Finding::at(&case.place, Level::Warning, "always-holds", message, help));
                return;
            }
        }
    }
    for (i, one) in alternatives.iter().enumerate() {
        let wider = alternatives.iter().enumerate().find(|(j, other)| {
            *j != i
                && claims::check_implies(one, other, matchers)
                && (*j < i || !claims::check_implies(other, one, matchers))
        });
        if let Some((j, _)) = wider {
            let message =
                format!("in {name} alternative {} never matters: alternative {} holds wherever it does", i + 1, j + 1);
            let help = "leave it out, or make the wider one stricter";
            findings.push(Finding::at(&case.place, Level::Note, "unreachable-alternative", message, help));
        }
    }
}
