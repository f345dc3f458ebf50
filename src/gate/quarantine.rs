//! What a reader has to know of quarantine: which cases decided nothing, and which do again.

use super::phrases;
use crate::domain::{Comparison, Warning, WarningCode};

const MAX_NAMED: usize = 5;

/// Whether no case is left that could decide.
pub(super) fn is_everything(comparison: &Comparison) -> bool {
    let apart = comparison.quarantine.found.counts.cases;
    apart > 0 && apart >= comparison.counts.cases
}

pub(super) fn warnings(comparison: &Comparison) -> Vec<Warning> {
    let quarantine = &comparison.quarantine;
    let mut warnings = Vec::new();
    let mut warn = |code, message| warnings.push(Warning { code, message });
    let counts = &quarantine.found.counts;
    if counts.cases > 0 {
        let tags = quarantine.found.tags.iter().filter(|tag| tag.cases > 0);
        let tags: Vec<String> = tags
            .map(|tag| {
                let cases = phrases::count(tag.cases, "case");
                format!("{} ({cases}, until {})", phrases::quoted(&tag.tag), tag.until)
            })
            .collect();
        warn(
            WarningCode::Quarantined,
            format!(
                "{}: {}; of them {} failed",
                match counts.cases {
                    1 => "1 case is in quarantine and decides nothing".to_owned(),
                    cases => format!("{cases} cases are in quarantine and decide nothing"),
                },
                phrases::list(tags.iter().cloned(), tags.len() as u64, MAX_NAMED),
                counts.fail
            ),
        );
    }
    if !quarantine.expired.is_empty() {
        let tags: Vec<String> =
            quarantine.expired.iter().map(|(tag, until)| format!("{} (until {until})", phrases::quoted(tag))).collect();
        warn(
            WarningCode::QuarantineExpired,
            format!(
                "the quarantine of {} is over, so the cases decide again: {}",
                phrases::count(tags.len() as u64, "tag"),
                phrases::list(tags.iter().cloned(), tags.len() as u64, MAX_NAMED)
            ),
        );
    }
    let (ids, cases) = &quarantine.critical;
    if *cases > 0 {
        let named = ids.iter().map(|id| phrases::quoted(id.as_str()));
        warn(
            WarningCode::QuarantineCritical,
            format!(
                "must-pass cases are never in quarantine, so {} all the same although a tag says otherwise: {}",
                match cases {
                    1 => "1 case decides".to_owned(),
                    cases => format!("{cases} cases decide"),
                },
                phrases::list(named, *cases, MAX_NAMED)
            ),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CaseId, Counts, QuarantineRecord, QuarantineSums, QuarantinedTag};

    fn comparison(cases: u64, tags: usize, expired: usize, critical: u64) -> Comparison {
        let name = |i: usize| format!("flaky-{i}");
        let counts = Counts { cases, pass: cases - cases / 2, fail: cases / 2, ..Counts::default() };
        let tags =
            (0..tags).map(|i| QuarantinedTag { tag: name(i), until: "2026-12-31".to_owned(), cases: cases.min(1) });
        Comparison {
            counts,
            quarantine: QuarantineSums {
                found: QuarantineRecord { counts, tags: tags.collect() },
                looked: counts.cases,
                answers: (0, 0),
                critical: ((0..critical.min(20)).map(|i| CaseId::new(format!("c-{i}"))).collect(), critical),
                expired: (0..expired).map(|i| (name(i), "2026-10-31".to_owned())).collect(),
            },
            ..Comparison::default()
        }
    }

    #[test]
    fn what_decides_nothing_is_named_with_its_last_day() {
        let told = |comparison: &Comparison| -> Vec<String> {
            let warnings = warnings(comparison);
            warnings.into_iter().map(|warning| warning.message).collect()
        };
        assert_eq!(told(&comparison(0, 0, 0, 0)), Vec::<String>::new());
        // A tag without cases is nothing to know.
        assert_eq!(told(&comparison(0, 3, 0, 0)), Vec::<String>::new());
        insta::assert_snapshot!(told(&comparison(1, 1, 0, 0)).join("\n"), @"1 case is in quarantine and decides nothing: flaky-0 (1 case, until 2026-12-31); of them 0 failed");
        insta::assert_snapshot!(told(&comparison(4, 7, 1, 30)).join("\n"), @"
        4 cases are in quarantine and decide nothing: flaky-0 (1 case, until 2026-12-31), flaky-1 (1 case, until 2026-12-31), flaky-2 (1 case, until 2026-12-31), flaky-3 (1 case, until 2026-12-31), flaky-4 (1 case, until 2026-12-31) and 2 more; of them 2 failed
        the quarantine of 1 tag is over, so the cases decide again: flaky-0 (until 2026-10-31)
        must-pass cases are never in quarantine, so 30 cases decide all the same although a tag says otherwise: c-0, c-1, c-2, c-3, c-4 and 25 more
        ");
        assert!(is_everything(&comparison(1, 1, 0, 0)) && !is_everything(&comparison(0, 1, 0, 0)));
    }
}
