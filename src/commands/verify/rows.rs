//! The rows of a verdict, folded into comparisons as `eval` folds them.

use super::ROWS;
use crate::compare::ComparisonBuilder;
use crate::dataset::Dataset;
use crate::domain::{Case, CaseRow, Changes, Comparison, Design, Outcome, Problem, Quarantine, Skip, Verdict};
use crate::plan::Schedule;
use crate::report::ResultsReader;
use crate::scoring::Rules;
use std::ops::ControlFlow;

pub(super) struct Rows {
    pub(super) comparison: Comparison,
    /// What stood at the looks before that of the verdict.
    pub(super) earlier: Vec<Comparison>,
}

/// Folds the rows into a comparison as `eval` does. If the golden data are those of the verdict, there have to be rows for
/// each of their cases, and what is to be known of a case comes from them; cases of later looks than that of the verdict
/// must not have been asked.
pub(super) fn fold(
    (recorded, changes): (&Verdict, &Changes),
    rows: &mut ResultsReader,
    (dataset, rules): (Option<&Dataset>, &Rules),
    schedule: Option<(&Schedule, usize)>,
) -> Result<Rows, Problem> {
    let comparing = || {
        ComparisonBuilder::new(Design {
            repeats: recorded.repeats,
            baseline: recorded.baseline.is_some(),
            identical: recorded.tested.identical,
            metric: recorded.policy.metric,
            estimand: recorded.policy.estimand,
        })
        .with_policy(&recorded.policy)
        .with_quarantine(Quarantine::of_run(&recorded.policy, &recorded.started_at))
        .with_base_cases(changes)
    };
    // One for each look up to that of the verdict, which is the last of them.
    let mut all: Vec<ComparisonBuilder> = (0..schedule.map_or(1, |(_, looks)| looks)).map(|_| comparing()).collect();
    let looks = all.len();
    let mut index = 0;
    let mut add = |row: &CaseRow| -> Result<(), Problem> {
        let look = schedule.map_or(0, |(schedule, _)| schedule.look(index));
        index += 1;
        if look >= looks && !row.case.critical && was_requested(row) {
            return Err(Problem::at(
                row.case.place.clone(),
                format!("`{}` was run, though the run was decided before its look", row.case.id),
            )
            .expected("skipped answers (`decided`)"));
        }
        for (at, comparing) in all.iter_mut().enumerate() {
            if look <= at {
                comparing.add(row);
            } else {
                comparing.add_unanalyzed(row);
            }
        }
        Ok(())
    };
    if let Some(dataset) = dataset {
        let mut wrong = None;
        dataset.stream(rules, &mut |case| {
            let expected = || format!("the rows of `{}` ({})", case.id, case.place);
            match rows.next_case() {
                Ok(Some(row)) if row.case.id != case.id => {
                    let found = format!("there stand the rows of `{}`", row.case.id);
                    wrong = Some(Problem::at(row.case.place, found).expected(expected()));
                }
                Ok(Some(row)) if !counts_alike(&row.case, &case) => {
                    let found = format!(
                        "`{}` has another `critical`, `weight` or `cluster`, or other tags than in the golden data",
                        case.id
                    );
                    wrong = Some(Problem::at(row.case.place, found).expected(expected()));
                }
                Ok(Some(row)) => match add(&CaseRow { case, ..row }) {
                    Ok(()) => return ControlFlow::Continue(()),
                    Err(problem) => wrong = Some(problem),
                },
                Ok(None) => wrong = Some(Problem::new(format!("{ROWS} ends too early")).expected(expected())),
                Err(problem) => wrong = Some(problem),
            }
            ControlFlow::Break(())
        })?;
        if let Some(problem) = wrong {
            return Err(problem);
        }
        if let Some(row) = rows.next_case()? {
            let found = format!("there stand rows of `{}` behind the last case", row.case.id);
            return Err(Problem::at(row.case.place, found).expected("one row for each planned answer"));
        }
    } else {
        while let Some(row) = rows.next_case()? {
            add(&row)?;
        }
    }
    let mut all: Vec<Comparison> = all.into_iter().map(ComparisonBuilder::finish).collect();
    let comparison = all.pop().unwrap_or_default();
    Ok(Rows { comparison, earlier: all })
}

/// An answer of the row was not left out by an early decision.
fn was_requested(row: &CaseRow) -> bool {
    let mut answers = row.baseline.iter().chain([&row.candidate]).flat_map(|arm| &arm.repeats);
    answers.any(|judged| judged.outcome != Outcome::Skipped(Skip::Decided))
}

/// What of a case plays a part in a comparison is the same.
fn counts_alike(one: &Case, other: &Case) -> bool {
    (one.critical, &one.tags, one.weight, &one.cluster) == (other.critical, &other.tags, other.weight, &other.cluster)
}
