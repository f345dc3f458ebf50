//! What the project asks for otherwise than at its policy base: golden data and checks by the comparison of `lint`, rules by
//! that of `settings`, and the prompt that everything is compared with.

use super::lock::Lock;
use crate::config::{FileSettings, PolicyBaseSettings, compare_files};
use crate::dataset::{self, GoldenRevision};
use crate::domain::{
    Changes, CheckSpec, Command, Constraint, Logic, PolicyBase, PolicyChange, Problem, Problems, PromptInfo,
};
use crate::error::Error;
use crate::git;
use crate::lint::{Matchers, Weakening};
use crate::scoring::{self, Commands, Rules};
use std::ops::Range;
use std::path::{Path, PathBuf};

const SHOWN: usize = 200;

/// What `score` knows of matchers, for `lint`.
pub(crate) struct MatcherFacts;

impl Matchers for MatcherFacts {
    fn passes(&self, check: &CheckSpec, text: &str) -> Option<bool> {
        scoring::passes_text(check, text)
    }

    fn logic(&self, check: &CheckSpec) -> Option<Logic> {
        scoring::logic_of(check)
    }

    fn constraint(&self, check: &CheckSpec) -> Option<Constraint> {
        scoring::constraint_of(check)
    }

    fn secrets(&self, text: &str) -> Vec<(&'static str, Range<usize>)> {
        scoring::secrets(text)
    }

    fn personal_data(&self, text: &str) -> Vec<(&'static str, Range<usize>)> {
        scoring::personal_data(text)
    }
}

pub(crate) fn rules(root: &Path, commands: &[Command]) -> Rules {
    Rules::new(root).with_commands(Commands::new(root, commands))
}

/// What is compared, as it is now.
pub(crate) struct CurrentState<'a> {
    pub(crate) root: &'a Path,
    pub(crate) golden: &'a [PathBuf],
    pub(crate) base: &'a PolicyBaseSettings,
    pub(crate) baseline: Option<&'a PromptInfo>,
    pub(crate) candidate: &'a PromptInfo,
    /// That of the commit.
    pub(crate) lock: &'a Lock,
}

/// Compares with the merge base of HEAD and the revision that was asked for; with nothing where none was.
pub(crate) fn changes(today: &CurrentState<'_>) -> Result<Changes, Error> {
    let Some(rev) = &today.base.rev else {
        return Ok(Changes::default());
    };
    let commit = git::merge_base(today.root, rev).map_err(|problem| today.base.unreadable(problem))?;
    let rows = since(today, &commit).map_err(|error| match error {
        DiffError::Base(problem) => today.base.unreadable(problem).into(),
        DiffError::CurrentState(problems) => Error::from(problems),
    })?;
    let base = PolicyBase { rev: rev.clone(), commit };
    let mut changes = Changes::of(base, rows, today.base.accepted.clone());
    // A reason for nothing would look as if there had been something.
    if changes.weaker().next().is_none() {
        changes.accepted = None;
    }
    Ok(changes)
}

/// Why two states can't be compared.
#[derive(Debug)]
pub(crate) enum DiffError {
    /// The older one can't be read.
    Base(Problem),
    /// The one of today has mistakes.
    CurrentState(Problems),
}

/// What changed since a commit. An older state that is not valid by today's rules can't be compared, which counts as weaker.
pub(crate) fn since(today: &CurrentState<'_>, commit: &str) -> Result<Vec<PolicyChange>, DiffError> {
    let mut rows = Vec::new();
    let before = settings_at(today, commit, &mut rows)?;
    rows.extend(compare_files(&before, &today.base.file));
    cases(today, commit, &before, &mut rows)?;
    rows.extend(baseline(today, commit));
    let lock = today.lock.change(today.candidate, today.baseline);
    let lock = lock.map_err(|problem| DiffError::CurrentState(problem.into()))?;
    if let Some(name) = today.base.file.baseline()
        && today.lock.serving().is_some()
        && lock.promoted.iter().any(|promoted| promoted == name)
    {
        // What is tested against what serves was promoted in the same change.
        rows.iter_mut().filter(|row| row.kind == "baseline").for_each(|row| row.weaker = false);
    }
    rows.extend(lock.row);
    Ok(rows)
}

/// The settings file of the older state; an empty one if there was none.
fn settings_at(
    today: &CurrentState<'_>,
    commit: &str,
    rows: &mut Vec<PolicyChange>,
) -> Result<FileSettings, DiffError> {
    let config = today.base.config.as_str();
    let Some(bytes) = git::file_at(today.root, commit, config).map_err(DiffError::Base)? else {
        return Ok(FileSettings::default());
    };
    match FileSettings::of_text(&String::from_utf8_lossy(&bytes), config) {
        Ok(layer) => Ok(layer),
        Err(problems) => {
            rows.push(unreadable(config, &problems));
            Ok(FileSettings::default())
        }
    }
}

fn unreadable(what: &str, problems: &Problems) -> PolicyChange {
    let first = problems.iter().next().map(|problem| problem.message.as_str());
    PolicyChange { before: Some(clip(first.unwrap_or("it can't be read"))), ..weaker("unreadable", what) }
}

/// A change that asks for less.
fn weaker(kind: &str, what: impl Into<String>) -> PolicyChange {
    PolicyChange { kind: kind.to_owned(), what: what.into(), before: None, after: None, weaker: true }
}

fn cases(
    today: &CurrentState<'_>,
    commit: &str,
    before: &FileSettings,
    rows: &mut Vec<PolicyChange>,
) -> Result<(), DiffError> {
    let paths: Vec<PathBuf> = match (&today.base.golden, before.golden_paths()) {
        (Some(given), _) => given.clone(),
        (None, Some(paths)) => paths.iter().map(|path| today.root.join(path)).collect(),
        (None, None) => vec![today.root.join("golden")],
    };
    let older = GoldenRevision::open(today.root, commit, &paths).map_err(DiffError::Base)?;
    let mut known = before.own_commands().to_vec();
    for command in today.base.file.own_commands() {
        if !known.iter().any(|other| other.name == command.name) {
            known.push(command.clone());
        }
    }
    let mut weakening = Weakening::default().with_quarantine(today.base.file.quarantined_tags());
    let mut cases_before = 0u64;
    if !older.paths().is_empty() {
        let surveyed = dataset::survey(older.paths(), &rules(older.root(), &known), &mut |case, _| {
            cases_before += 1;
            weakening.older(case);
        });
        if let Err(problems) = surveyed {
            rows.push(unreadable("golden data", &problems));
        }
    }
    let mut differences = Vec::new();
    let mut tell = |difference: crate::lint::Difference| {
        differences.push(PolicyChange {
            before: difference.before.as_deref().map(clip),
            after: difference.after.as_deref().map(clip),
            weaker: difference.weaker,
            ..weaker(difference.code, clip(difference.case.as_str()))
        });
    };
    let mut cases_after = 0u64;
    dataset::survey(today.golden, &rules(today.root, today.base.file.own_commands()), &mut |case, _| {
        cases_after += 1;
        weakening.newer(case, &MatcherFacts, &mut tell);
    })
    .map_err(DiffError::CurrentState)?;
    let beyond = weakening.finish(&MatcherFacts, &mut tell);
    rows.append(&mut differences);
    if beyond > 0 {
        rows.push(weaker("incomplete", format!("{beyond} cases are too many to be compared")));
    }
    if cases_before != cases_after {
        rows.push(PolicyChange {
            before: Some(cases_before.to_string()),
            after: Some(cases_after.to_string()),
            // Those that are gone have rows of their own.
            weaker: false,
            ..weaker("cases", "number of cases")
        });
    }
    Ok(())
}

/// A baseline that was edited is not what serves; compared with a worse one, every candidate looks good.
fn baseline(today: &CurrentState<'_>, commit: &str) -> Option<PolicyChange> {
    let PromptInfo { name, path, sha256, .. } = today.baseline?;
    // A revision, or what was promoted, can't be edited.
    if name.starts_with("git:") || today.lock.pin(name, Some(path)).is_some() {
        return None;
    }
    let then = today.lock.library().open(&format!("git:{commit}:{name}"), None).ok()?;
    (then.sha256 != *sha256).then(|| PolicyChange {
        before: Some(then.sha256),
        after: Some(sha256.clone()),
        ..weaker("baseline-edited", clip(name))
    })
}

fn clip(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
