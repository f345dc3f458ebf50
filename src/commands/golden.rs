//! What can be said about golden data without any answer: `golden lint` and `golden stats`.

use crate::dataset::{self, Dataset, GoldenRevision};
use crate::domain::{Case, Command, Comparison, Policy, Problem, Problems};
use crate::error::Error;
use crate::eval::approvals::unreferenced;
use crate::eval::library;
use crate::eval::policy_diff::{MatcherFacts, rules, rules_at};
use crate::gate::sample_size;
use crate::lint::{FigureReport, Figures, LintReport, Linter, Needs, PromptText};
use crate::prompt::Prompt;
use crate::scoring::Rules;
use crate::stats::planning::fewest_cases;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct LintRequest<'a> {
    pub root: &'a Path,
    pub golden: &'a [PathBuf],
    /// Prompts to search for answers; empty: all in prompts/.
    pub prompts: &'a [String],
    /// The git revision whose golden files must not have asked for more.
    pub against: Option<&'a str>,
    /// Commands that checks may name. None is run.
    pub commands: &'a [Command],
}

/// Lints golden data. What does not load is a finding like any other.
pub fn lint(request: &LintRequest<'_>) -> Result<LintReport, Error> {
    let rules = rules(request.root, request.commands);
    let mut unread = Problems::default();
    let prompts = prompt_texts(request, &mut unread)?;
    let mut linter = Linter::new(&MatcherFacts, &prompts);
    linter.problems("prompt", &unread);
    if let Some(rev) = request.against {
        take_older(request, rev, &mut linter)?;
    }
    let surveyed = dataset::survey(request.golden, &rules, &mut |case, _| linter.case(case));
    match surveyed {
        Ok(dataset) if dataset.total == 0 => {
            return Err(Error::Nothing(Problem::new("the golden files have no case")));
        }
        Ok(dataset) => {
            if linter.needs_second_pass() {
                again(&dataset, &rules, &mut linter)?;
            }
            // Where only some files were named, the others' answers would look forgotten.
            if request.golden == [Path::new("golden")] || request.golden == [request.root.join("golden")] {
                for path in unreferenced(request.root, &dataset, &rules)? {
                    linter.unreferenced(&path);
                }
            }
        }
        Err(problems) => {
            linter.problems("load", &problems);
            linter.incomplete(
                None,
                "repeated questions were only partly compared, because not all cases load".to_owned(),
                "correct the errors of code `load`, and lint again",
            );
            linter.needs_second_pass();
        }
    }
    Ok(linter.finish())
}

fn again(dataset: &Dataset, rules: &Rules, linter: &mut Linter<'_>) -> Result<(), Problem> {
    dataset.stream(rules, &mut |case| {
        linter.second_pass(case);
        ControlFlow::Continue(())
    })
}

/// The texts of the prompts and of their partials, each file once. Without names a project needs no prompts.
fn prompt_texts(request: &LintRequest<'_>, unread: &mut Problems) -> Result<Vec<PromptText>, Error> {
    let library = library(request.root);
    let names = match request.prompts {
        [] if request.root.join("prompts").is_dir() => library.names()?,
        names => names.to_vec(),
    };
    let mut texts = BTreeMap::new();
    let mut missing = Problems::default();
    for name in names {
        match library.open(&name, None) {
            Ok(prompt) => take_texts(&prompt, &mut texts),
            Err(problems) if request.prompts.is_empty() => unread.append(problems),
            Err(problems) => missing.append(problems),
        }
    }
    Ok(missing.or(texts.into_iter().map(|(file, text)| PromptText { file, text }).collect())?)
}

fn take_texts(prompt: &Prompt, texts: &mut BTreeMap<Arc<str>, Arc<str>>) {
    for (file, text) in prompt.files() {
        texts.insert(Arc::clone(file), Arc::clone(text));
    }
}

/// Hands the cases of a revision to the linter. Those that don't load can't be compared, which is an error: a check that
/// is not made must not look like one that found nothing.
fn take_older(request: &LintRequest<'_>, rev: &str, linter: &mut Linter<'_>) -> Result<(), Error> {
    let older = GoldenRevision::open(request.root, rev, request.golden)?;
    // Schemas and approved answers are those of the revision.
    let rules = rules_at(older.root(), request.root, request.commands);
    if older.paths().is_empty() {
        linter.incomplete(
            None,
            format!("there are no golden files at {rev}, so there is nothing to compare with"),
            "name another revision, or leave --against out",
        );
        return Ok(());
    }
    let surveyed = dataset::survey(older.paths(), &rules, &mut |case, _| {
        let case = Case { place: older.shown(&case.place), ..case.clone() };
        linter.older(rev, &case);
    });
    if let Err(problems) = surveyed {
        let mut shown = Problems::default();
        shown.extend(
            problems
                .iter()
                .cloned()
                .map(|problem| Problem { place: problem.place.as_ref().map(|place| older.shown(place)), ..problem }),
        );
        linter.problems("against", &shown);
    }
    Ok(())
}

/// Counts golden data; with tags, only cases that have any of them.
pub fn stats(root: &Path, golden: &[PathBuf], tags: &[String], commands: &[Command]) -> Result<FigureReport, Error> {
    let mut figures = Figures::default();
    let mut counted = 0u64;
    dataset::survey(golden, &rules(root, commands), &mut |case, _| {
        if tags.is_empty() || case.tags.iter().any(|tag| tags.contains(tag)) {
            figures.case(case, &MatcherFacts);
            counted += 1;
        }
    })?;
    if counted == 0 {
        let message = match tags {
            [] => "the golden files have no case".to_owned(),
            tags => format!("no case has any of the tags {}", tags.join(", ")),
        };
        return Err(Error::Nothing(Problem::new(message)));
    }
    Ok(figures.report(needs()))
}

/// What the default policy needs with the default repeats, before anything is known.
fn needs() -> Needs {
    let policy = Policy::default();
    let unknown = Comparison { repeats: crate::config::REPEATS, has_baseline: true, ..Comparison::default() };
    let alike = fewest_cases(policy.margin, policy.alpha);
    Needs {
        alike,
        typical: sample_size::to_compare(&policy, (policy.alpha, policy.block_alpha), &unknown)
            .map_or(alike, |needed| needed.cases),
        repeats: unknown.repeats,
    }
}
