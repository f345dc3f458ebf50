//! What can be said about golden data without any answer: findings, and figures.
//!
//! ```text
//! cases ── each ──▶ checks: what contradicts, what says nothing     (claims: what checks say about each other)
//!             ├───▶ exposure: secrets, personal data, what the prompts give away
//!             ├───▶ duplicates: what is asked twice ── second pass ──▶ the exact comparison of the few that look alike
//!             ├───▶ weakening: what an older state of the data asked for
//!             └───▶ figures: how many of what
//! ```
//!
//! A stage of its own, not a part of `load`: it judges data that load well, and nothing that runs needs it. It sees one
//! case at a time and keeps about 700 bytes of each (see `duplicates`), at most [`MAX_CASES`] of them. What it must know of
//! matchers goes through [`Matchers`], which `eval` fills from `scoring`.

mod checks;
mod claims;
mod duplicates;
mod exposure;
mod figures;
mod finding;
mod weakening;
mod words;

pub use exposure::PromptText;
pub use figures::{FigureReport, Figures, Needs};
pub use finding::{Finding, Level};
pub use weakening::{Difference, RENAMED, Weakening};

use crate::domain::{Case, CheckSpec, Constraint, Logic, Place, Problems};
use duplicates::Duplicates;
use exposure::Exposure;
use finding::Findings;
use std::ops::Range;
use std::path::Path;

/// How many cases are compared with each other; of further ones only what stands in them is looked at.
pub const MAX_CASES: usize = 200_000;

/// What is to be known of matchers.
pub trait Matchers: Sync {
    /// Whether a complete answer of exactly this text passes the check; `None` where the text alone does not tell.
    fn passes(&self, check: &CheckSpec, text: &str) -> Option<bool>;

    /// How a check combines others on the same answer, if it does.
    fn logic(&self, check: &CheckSpec) -> Option<Logic>;

    /// What a check says of answers without looking at one.
    fn constraint(&self, check: &CheckSpec) -> Option<Constraint>;

    /// Keys in a text: their kinds and places.
    fn secrets(&self, text: &str) -> Vec<(&'static str, Range<usize>)>;

    /// Personal data in a text: their kinds and places.
    fn personal_data(&self, text: &str) -> Vec<(&'static str, Range<usize>)>;
}

/// The linter: fed with cases, in their order, then asked for its findings.
pub struct Linter<'a> {
    matchers: &'a dyn Matchers,
    exposure: Exposure,
    duplicates: Duplicates,
    /// The older state, and what it is called.
    weakening: Option<(String, Weakening)>,
    findings: Findings,
    cases: u64,
}

/// All findings, in order, and how many there were.
#[derive(Debug)]
pub struct LintReport {
    /// By place; at most 1,000 of each level.
    pub findings: Vec<Finding>,
    pub errors: u64,
    pub warnings: u64,
    pub notes: u64,
    pub cases: u64,
}

impl<'a> Linter<'a> {
    pub fn new(matchers: &'a dyn Matchers, prompts: &[PromptText]) -> Linter<'a> {
        Linter {
            matchers,
            exposure: Exposure::new(prompts),
            duplicates: Duplicates::default(),
            weakening: None,
            findings: Findings::default(),
            cases: 0,
        }
    }

    /// Adds a case of the older state `revision` that the new one is compared with. All of them come before the new ones.
    pub fn older(&mut self, revision: &str, case: &Case) {
        self.weakening.get_or_insert_with(|| (revision.to_owned(), Weakening::default())).1.older(case);
    }

    pub fn case(&mut self, case: &Case) {
        self.cases += 1;
        let claims = claims::claims(&case.checks, self.matchers);
        checks::check_case(case, &claims, self.matchers, &mut self.findings);
        self.exposure.check_case(case, &claims, self.matchers, &mut self.findings);
        self.duplicates.add(case);
        if let Some((revision, weakening)) = &mut self.weakening {
            let findings = &mut self.findings;
            weakening.newer(case, self.matchers, &mut |difference| {
                difference.finding(revision).into_iter().for_each(|finding| findings.push(finding));
            });
        }
    }

    /// Mistakes that kept something from being read are findings like any other.
    pub fn problems(&mut self, code: &'static str, problems: &Problems) {
        self.findings.problems(code, problems);
    }

    pub fn incomplete(&mut self, place: Option<Place>, message: String, help: &str) {
        self.findings.push(Finding::incomplete(place, message, help));
    }

    /// An approved answer, or a proposal, that no case asks for.
    pub fn unreferenced(&mut self, path: &Path) {
        let place = Place::file(path.display().to_string());
        let message = "no case asks for this approved answer".to_owned();
        let help = "delete it, or give its case a `snapshot` check";
        self.findings.push(Finding::at(&place, Level::Warning, "unreferenced-snapshot", message, help));
    }

    /// Whether any cases look alike, so that all of them have to come a [second time](Linter::second_pass).
    pub fn needs_second_pass(&mut self) -> bool {
        self.duplicates.select_pairs(&mut self.findings)
    }

    /// Looks at a case a second time, all of them in the same order as before.
    pub fn second_pass(&mut self, case: Case) {
        self.duplicates.add_detail(case);
    }

    pub fn finish(mut self) -> LintReport {
        self.duplicates.finish(self.matchers, &mut self.findings);
        if let Some((revision, weakening)) = self.weakening {
            let findings = &mut self.findings;
            let beyond = weakening.finish(self.matchers, &mut |difference| {
                difference.finding(&revision).into_iter().for_each(|finding| findings.push(finding));
            });
            if beyond > 0 {
                let message = format!("{beyond} cases beyond {MAX_CASES} were not compared with {revision}");
                findings.push(Finding::incomplete(None, message, "lint fewer files at a time"));
            }
        }
        let [errors, warnings, notes] = self.findings.counts();
        LintReport { findings: self.findings.sorted(), errors, warnings, notes, cases: self.cases }
    }
}

/// A check in a few words: `check 2 (contains: "30 days")`.
fn named(number: usize, check: &CheckSpec, matchers: &dyn Matchers) -> String {
    format!("check {} ({})", number + 1, shown(check, matchers))
}

/// A check without its number. Secrets and personal data in it are not told: findings are read by many.
fn shown(check: &CheckSpec, matchers: &dyn Matchers) -> String {
    let mut args = check.args.to_string();
    for find in [Matchers::secrets, Matchers::personal_data] {
        let mut found = find(matchers, &args);
        found.sort_by_key(|(_, at)| at.start);
        for (kind, at) in found.into_iter().rev() {
            // What overlaps one that is replaced already is no longer there.
            if args.get(at.clone()).is_some() {
                args.replace_range(at, &format!("[{kind}]"));
            }
        }
    }
    let short: String = args.chars().take(60).collect();
    let more = if short.len() < args.len() { "…" } else { "" };
    format!("`{}: {short}{more}`", check.matcher)
}
