//! The selected cases of a run, handed out in plan order.
//!
//! A run reads the golden files three times: the survey, the first request phase, and the final scoring. What lies between
//! (confirmations, interim analyses, later request phases) goes by the cases that the first request phase kept in memory.
//! They are bounded by [`MOST_BYTES`]; a run that would need more reads the files again instead.

use super::context::EvalContext;
use crate::domain::{Case, Problem};
use std::ops::ControlFlow;

/// Bytes of text, vars and checks of the kept cases. In memory they take two to three times as many.
const MOST_BYTES: usize = 48 << 20;

/// Which cases are needed between the first request phase and the final scoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RetainedCases {
    /// Nothing happens in between.
    None,
    MustPass,
    /// Interim analyses score some, and later phases send the others.
    All,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum CaseSource<'a> {
    GoldenFiles,
    Kept(&'a KeptCases),
}

/// Cases with their indexes among the selected ones, in plan order.
#[derive(Debug)]
pub(crate) struct KeptCases {
    needed: RetainedCases,
    most_bytes: usize,
    bytes: usize,
    cases: Vec<(u64, Case)>,
}

impl KeptCases {
    /// Nothing yet, for a run that goes on after its first request phase as this one does.
    pub(crate) fn new(context: &EvalContext<'_>, confirms: bool) -> KeptCases {
        let needed = if context.survey.looks() > 1 {
            RetainedCases::All
        } else if confirms && context.survey.critical > 0 {
            RetainedCases::MustPass
        } else {
            RetainedCases::None
        };
        KeptCases::with_limit(needed, MOST_BYTES)
    }

    pub(crate) fn none() -> KeptCases {
        KeptCases::with_limit(RetainedCases::None, MOST_BYTES)
    }

    fn with_limit(needed: RetainedCases, most_bytes: usize) -> KeptCases {
        KeptCases { needed, most_bytes, bytes: 0, cases: Vec::new() }
    }

    /// Keeps the case if it will be needed again. Beyond the limit nothing is kept, since a part would be no use.
    pub(crate) fn offer(&mut self, index: u64, case: &Case) {
        let wanted = match self.needed {
            RetainedCases::None => false,
            RetainedCases::MustPass => case.critical,
            RetainedCases::All => true,
        };
        if !wanted || self.overflows() {
            return;
        }
        self.bytes += bytes_of(case);
        if self.overflows() {
            self.cases = Vec::new();
        } else {
            self.cases.push((index, case.clone()));
        }
    }

    fn overflows(&self) -> bool {
        self.bytes > self.most_bytes
    }

    /// Where to take the cases from that are needed between the first request phase and the final scoring.
    pub(crate) fn source(&self) -> CaseSource<'_> {
        if self.overflows() { CaseSource::GoldenFiles } else { CaseSource::Kept(self) }
    }
}

/// About the bytes that a case has as JSON.
fn bytes_of(case: &Case) -> usize {
    let text = |text: &str| text.len() + 32;
    let vars = serde_json::to_vec(&case.vars).map_or(0, |json| json.len());
    let history: usize = case.history.iter().map(|turn| text(&turn.text)).sum();
    let checks: usize = case.checks.iter().map(|check| text(&check.args.to_string())).sum();
    let labels: usize = case.labels.iter().map(|label| text(&label.answer)).sum();
    let tags: usize = case.tags.iter().map(|tag| text(tag)).sum();
    text(case.id.as_str()) + vars + history + checks + labels + tags + case.notes.as_deref().map_or(0, str::len)
}

impl EvalContext<'_> {
    /// Hands out selected cases with their indexes among the selected ones, until `visit` breaks. Kept cases are those that
    /// are needed again, golden files hand out all.
    pub(crate) fn each_case(
        &self,
        source: CaseSource<'_>,
        visit: &mut dyn FnMut(u64, Case) -> ControlFlow<()>,
    ) -> Result<(), Problem> {
        match source {
            CaseSource::Kept(kept) => {
                let _ = kept.cases.iter().try_for_each(|(index, case)| visit(*index, case.clone()));
                Ok(())
            }
            CaseSource::GoldenFiles => {
                let mut selected = self.selection.walk();
                let mut index = 0;
                self.survey.dataset.stream(&self.rules, &mut |case| {
                    if !selected.selects(&case) {
                        return ControlFlow::Continue(());
                    }
                    index += 1;
                    visit(index - 1, case)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::json;

    fn case(id: &str, critical: bool) -> Case {
        Case { critical, vars: json!({"q": "x".repeat(100)}).as_object().cloned().unwrap_or_default(), ..Case::new(id) }
    }

    fn kept(needed: RetainedCases, most_bytes: usize) -> KeptCases {
        let mut kept = KeptCases::with_limit(needed, most_bytes);
        for (index, critical) in [(0, false), (1, true), (2, false)] {
            kept.offer(index, &case(&index.to_string(), critical));
        }
        kept
    }

    #[test]
    fn keeps_what_is_needed_again() {
        for (needed, indexes) in
            [(RetainedCases::None, &[][..]), (RetainedCases::MustPass, &[1]), (RetainedCases::All, &[0, 1, 2])]
        {
            let kept = kept(needed, MOST_BYTES);
            let found: Vec<u64> = kept.cases.iter().map(|(index, _)| *index).collect();
            assert_eq!(found, indexes, "{needed:?}");
            assert!(matches!(kept.source(), CaseSource::Kept(_)));
        }
    }

    #[test]
    fn keeps_nothing_beyond_its_limit_and_falls_back_to_the_files() {
        let kept = kept(RetainedCases::All, 300);
        assert!(kept.cases.is_empty());
        assert!(matches!(kept.source(), CaseSource::GoldenFiles));
    }
}
