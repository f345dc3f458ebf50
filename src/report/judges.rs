//! The judges that decide, on the summary: what is known of their errors.

use super::numbers::{UNKNOWN, percent};
use super::text::{md_inline, truncate};
use crate::domain::{CorrectedRate, CorrectedRates, JudgeEvidence, JudgeRecord};
use std::fmt::Write as _;

const LISTED: usize = 20;
/// Bytes of a name.
const NAME: usize = 120;

/// The section; empty where no judge decides.
pub(super) fn section(found: &JudgeEvidence) -> String {
    if found.deciding.is_empty() {
        return String::new();
    }
    let mut text = "\n### Judges that decide\n\n| judge | model | asked | labels | sensitivity | specificity | Youden's J (at least) |\n\
                    | --- | --- | --- | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for judge in found.deciding.iter().take(LISTED) {
        row(judge, &mut text);
    }
    if found.deciding.len() > LISTED {
        let _ = writeln!(text, "\n… and {} more, in verdict.json.", found.deciding.len() - LISTED);
    }
    if let Some(CorrectedRates { baseline, candidate }) = &found.corrected {
        let rate = |rate: &Option<CorrectedRate>| match rate {
            Some(rate) => format!("{} ± {}", percent(rate.pass), percent(rate.standard_error)),
            None => UNKNOWN.to_owned(),
        };
        let _ = writeln!(
            text,
            "\nPass rates without the judge's errors (± standard error): baseline {}, candidate {}.",
            rate(baseline),
            rate(candidate)
        );
    }
    text
}

fn row(judge: &JudgeRecord, text: &mut String) {
    let JudgeRecord {
        name,
        model,
        prompt_sha256: _,
        votes,
        rule,
        calibrated,
        labels,
        sensitivity,
        specificity,
        youden,
        youden_low,
    } = judge;
    let share = |share: &Option<f64>| share.map_or_else(|| UNKNOWN.to_owned(), percent);
    let labels = match (calibrated, labels) {
        (true, Some(labels)) => labels.to_string(),
        (_, _) => "not calibrated".to_owned(),
    };
    let youden = match (youden, youden_low) {
        (Some(youden), Some(low)) => format!("{youden:.2} ({low:.2})"),
        (_, _) => UNKNOWN.to_owned(),
    };
    let _ = writeln!(
        text,
        "| {} | {} | {votes} × {} | {labels} | {} | {} | {youden} |",
        md_inline(&truncate(name, NAME)),
        md_inline(&truncate(model, NAME)),
        md_inline(&truncate(rule, NAME)),
        share(sensitivity),
        share(specificity)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(name: &str, known: bool) -> JudgeRecord {
        let of = |value| known.then_some(value);
        JudgeRecord {
            name: name.to_owned(),
            model: "m|n".to_owned(),
            prompt_sha256: "aa".to_owned(),
            votes: 3,
            rule: "majority".to_owned(),
            calibrated: known,
            labels: known.then_some(80),
            sensitivity: of(0.95),
            specificity: of(0.9),
            youden: of(0.85),
            youden_low: of(0.721),
        }
    }

    #[test]
    fn what_is_known_and_what_is_not() {
        assert_eq!(section(&JudgeEvidence::default()), "");
        let found = JudgeEvidence {
            deciding: vec![judge("default", true), judge("new", false)],
            scale: None,
            corrected: Some(CorrectedRates {
                baseline: None,
                candidate: Some(CorrectedRate { pass: 0.823, standard_error: 0.03 }),
            }),
        };
        insta::assert_snapshot!(section(&found), @r"
        ### Judges that decide

        | judge | model | asked | labels | sensitivity | specificity | Youden's J (at least) |
        | --- | --- | --- | ---: | ---: | ---: | ---: |
        | default | m\|n | 3 × majority | 80 | 95.0% | 90.0% | 0.85 (0.72) |
        | new | m\|n | 3 × majority | not calibrated | – | – | – |

        Pass rates without the judge's errors (± standard error): baseline –, candidate 82.3% ± 3.0%.
        ");
        let many = JudgeEvidence { deciding: vec![judge("default", false); 25], ..JudgeEvidence::default() };
        assert!(section(&many).contains("… and 5 more, in verdict.json."));
    }
}
