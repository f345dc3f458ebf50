//! What the project asks for otherwise than at its policy base: golden data and checks by the comparison of `lint`, rules by
//! that of `settings`, and the prompt that everything is compared with.

use super::lock::{Lock, library};
use crate::config::{FileRole, FileSettings, PolicyBaseSettings, Settings, compare_files};
use crate::dataset::{self, GoldenRevision};
use crate::domain::{
    BaseCase, CaseId, Changes, CheckSpec, Command, Consent, Constraint, Logic, PolicyBase, PolicyChange, Problem,
    Problems, PromptInfo, StateDiff, unhex,
};
use crate::error::Error;
use crate::git;
use crate::lint::{Difference, MAX_CASES, Matchers, RENAMED, Weakening};
use crate::scoring::{self, Commands, Rules};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Component, MAIN_SEPARATOR, Path, PathBuf};

const SHOWN: usize = 200;
const POLICY_BASE: &str = "policy_base";
const CONFIG: &str = "promptgate.toml";

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
    rules_at(root, root, commands)
}

/// Rules for an older state whose files are those below `older`. Its commands are started from the files of today: those are
/// compared by themselves.
pub(crate) fn rules_at(older: &Path, root: &Path, commands: &[Command]) -> Rules {
    Rules::new(older).with_commands(Commands::new(root, commands))
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
///
/// # Errors
/// The base can't be read, or something that leaks or runs by itself is not as it was there and no one accepted it.
pub(crate) fn changes(today: &CurrentState<'_>) -> Result<Changes, Error> {
    changes_by(today.root, today.base, |commit| since(today, commit))
}

/// The same for what decides nothing, but sends requests and runs commands: compares where they go and which they are.
pub(crate) fn check_service(settings: &Settings) -> Result<Changes, Error> {
    let (root, base) = (&settings.root, &settings.gate.policy_base);
    changes_by(root, base, |commit| {
        let mut diff = StateDiff::default();
        let before = settings_at(root, base, commit, &mut diff)?.unwrap_or_default();
        diff.rows.extend(compare_files(&before, &base.effective));
        diff.rows.extend(files(root, commit, &base.effective)?);
        Ok(diff)
    })?;
    Ok(Changes::default())
}

fn changes_by(
    root: &Path,
    base: &PolicyBaseSettings,
    compare: impl FnOnce(&str) -> Result<StateDiff, DiffError>,
) -> Result<Changes, Error> {
    let Some(rev) = &base.rev else {
        return Ok(Changes::default());
    };
    let unreadable = |problem| Error::from(base.unreadable(problem));
    let commit = git::merge_base(root, rev).map_err(unreadable)?;
    let diff = compare(&commit).map_err(|error| match error {
        DiffError::Base(problem) => unreadable(problem),
        DiffError::CurrentState(problems) => problems.into(),
    })?;
    let mut changes = Changes::of(PolicyBase { rev: rev.clone(), commit: commit.clone() }, diff);
    take_consents(root, base, &commit, &mut changes).map_err(unreadable)?;
    refuse_early(&changes, rev)?;
    Ok(changes)
}

/// Refuses what leaks or runs before anyone sees a verdict.
fn refuse_early(changes: &Changes, rev: &str) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for row in changes.unaccepted().iter().filter(|row| row.acts_before_verdict()) {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
        let what = if row.kind == row.what { row.what.clone() } else { format!("{} {}", row.kind, row.what) };
        let message = format!("`{what}` is not that of the policy base ({rev}), so nothing is sent or run");
        problems.push(
            Problem::new(message)
                .expected(format!("{}, not {}", text(&row.before), text(&row.after)))
                .hint(format!("take it back, or let a maintainer accept it: {}", changes.way_to_accept())),
        );
    }
    problems.or(())
}

/// Takes the consents of the call, and those that stand in commits of the change. A signer that the change names itself accepts
/// nothing.
fn take_consents(root: &Path, base: &PolicyBaseSettings, commit: &str, changes: &mut Changes) -> Result<(), Problem> {
    const TRAILER: &str = "Promptgate-Accept";
    const MOST: usize = 100;
    base.consents.iter().for_each(|consent| changes.accept(consent));
    let Some(digest) = changes.digest.clone().filter(|_| changes.accepted.is_none()) else {
        return Ok(());
    };
    let settings = settings_at(root, base, commit, &mut StateDiff::default())?.unwrap_or_default();
    let file = settings.accept_signers();
    let signers = file.map_or(Ok(None), |file| git::file_at(root, commit, file))?;
    for (commit, value) in git::trailers(root, commit, TRAILER)?.into_iter().take(MOST) {
        let by = format!("{TRAILER} of commit {commit:.12}");
        let consent = value.split_once(' ').and_then(|(digest, reason)| Consent::new(digest, reason));
        let Some(consent) = consent else {
            changes.refused.push(format!("{by} is not `{TRAILER}: DIGEST reason`"));
            continue;
        };
        let signed = match &signers {
            Some(signers) if consent.digest == digest => git::is_signed(root, &commit, signers)?,
            Some(_) | None => false,
        };
        if signed || consent.digest != digest {
            changes.accept(&Consent { reason: format!("{} ({by}, signed)", consent.reason), ..consent });
        } else {
            changes.refused.push(format!("{by} has no signature of one of `[policy] accept_signers` at the base"));
        }
    }
    Ok(())
}

/// Why two states can't be compared.
#[derive(Debug)]
pub(crate) enum DiffError {
    /// The older one can't be read.
    Base(Problem),
    /// The one of today has mistakes.
    CurrentState(Problems),
}

impl From<Problem> for DiffError {
    fn from(problem: Problem) -> DiffError {
        DiffError::Base(problem)
    }
}

/// What changed since a commit. An older state that is not valid by today's rules can't be compared, which counts as weaker.
pub(crate) fn since(today: &CurrentState<'_>, commit: &str) -> Result<StateDiff, DiffError> {
    let CurrentState { root, golden, base, .. } = today;
    let mut diff = StateDiff::default();
    let settings = settings_at(root, base, commit, &mut diff)?;
    let had_settings = settings.is_some();
    let before = settings.unwrap_or_default();
    diff.rows.extend(compare_files(&before, &base.effective));
    let had_cases = cases(today, commit, &before, &mut diff)?;
    if !had_settings
        && !had_cases
        && GoldenRevision::open(root, commit, golden)
            .is_ok_and(|older| older.paths().is_empty() && older.left_out().is_none())
    {
        // The change that adds promptgate: nothing was asked for that could be weaker.
        diff.rows.iter_mut().for_each(|row| row.weaker = false);
        return Ok(diff);
    }
    diff.rows.extend(files(root, commit, &base.effective)?);
    diff.rows.extend(baseline(today, commit));
    if let Some(other) = &base.instead
        && (other == "none" || git::merge_base(root, other)? != commit)
    {
        let row = PolicyChange::weaker(POLICY_BASE, POLICY_BASE);
        diff.rows.push(PolicyChange { before: base.rev.clone(), after: Some(clip(other)), ..row });
    }
    let lock = today.lock.change(today.candidate, today.baseline);
    let lock = lock.map_err(|problem| DiffError::CurrentState(problem.into()))?;
    if let Some(name) = base.effective.baseline()
        && today.lock.serving().is_some()
        && lock.promoted.iter().any(|promoted| promoted == name)
    {
        // What is tested against what serves was promoted in the same change.
        diff.rows.iter_mut().filter(|row| row.kind == "baseline").for_each(|row| row.weaker = false);
    }
    diff.rows.extend(lock.row);
    Ok(diff)
}

/// The settings file of the older state, if there was one: that of the call, else the usual one.
fn settings_at(
    root: &Path,
    base: &PolicyBaseSettings,
    commit: &str,
    diff: &mut StateDiff,
) -> Result<Option<FileSettings>, Problem> {
    for config in [base.config.as_str(), CONFIG] {
        if let Some(bytes) = git::file_at(root, commit, config)? {
            let settings = FileSettings::of_text(&String::from_utf8_lossy(&bytes), config);
            return Ok(Some(settings.unwrap_or_else(|problems| {
                diff.rows.push(unreadable(config, &problems));
                FileSettings::default()
            })));
        }
    }
    Ok(None)
}

/// The files that a run reads beside settings, golden data and the prompts of both arms, where their bytes are not those of the
/// older state. What lies outside of the work tree is no part of a change.
fn files(root: &Path, commit: &str, settings: &FileSettings) -> Result<Vec<PolicyChange>, Problem> {
    let resolve = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (top, root) = (resolve(&git::toplevel(root)?), resolve(root));
    let mut read: BTreeSet<(&str, String)> = BTreeSet::new();
    for (role, path) in settings.files() {
        if role == FileRole::JudgePrompt
            && let Ok(prompt) = library(&root).open(&path, None)
        {
            // Without the revision, which may be one of today.
            let files = prompt.files().filter_map(|(file, _)| file.rsplit(':').next());
            read.extend(files.map(|file| (role.as_str(), file.to_owned())));
        }
        read.insert((role.as_str(), path));
    }
    let mut rows = Vec::new();
    for (role, path) in read {
        let absolute = Path::new(&path).is_absolute();
        let whole = plain(&if absolute { resolve(Path::new(&path)) } else { root.join(&path) });
        let states = match whole.strip_prefix(&top).map(Path::to_str) {
            Err(_) => continue,
            Ok(Some(below)) if !root.starts_with(&whole) => {
                let below = below.replace(MAIN_SEPARATOR, "/");
                (git::fingerprint(&top, Some(commit), &below)?, git::fingerprint(&top, None, &below)?)
            }
            // The project as a whole is never as it was.
            Ok(_) => (None, Some(path.clone())),
        };
        if states.0 != states.1 {
            rows.push(PolicyChange { before: states.0, after: states.1, ..PolicyChange::weaker(role, clip(&path)) });
        }
    }
    Ok(rows)
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => plain.push(part),
        }
    }
    plain
}

fn unreadable(what: &str, problems: &Problems) -> PolicyChange {
    let first = problems.iter().next().map(|problem| problem.message.as_str());
    PolicyChange { before: Some(clip(first.unwrap_or("it can't be read"))), ..PolicyChange::weaker("unreadable", what) }
}

/// Compares the cases with those in the golden files that the older settings name. Returns whether there were any files.
fn cases(
    today: &CurrentState<'_>,
    commit: &str,
    before: &FileSettings,
    StateDiff { rows, contents, cases }: &mut StateDiff,
) -> Result<bool, DiffError> {
    let paths: Vec<PathBuf> = before.golden_paths().iter().map(|path| today.root.join(path)).collect();
    let older = GoldenRevision::open(today.root, commit, &paths)?;
    if let Some(path) = older.left_out() {
        rows.push(PolicyChange {
            before: Some("a link or submodule".to_owned()),
            ..PolicyChange::weaker("unreadable", clip(path))
        });
    }
    let mut known = before.own_commands().to_vec();
    for command in today.base.effective.own_commands() {
        if !known.iter().any(|other| other.name == command.name) {
            known.push(command.clone());
        }
    }
    let mut weakening =
        Weakening::default().with_rules(today.base.effective.quarantined_tags(), today.base.effective.metric());
    let mut cases_before = 0u64;
    if !older.paths().is_empty() {
        let rules = rules_at(older.root(), today.root, &known);
        let surveyed = dataset::survey(older.paths(), &rules, &mut |case, _| {
            cases_before += 1;
            if cases.len() < MAX_CASES {
                cases.insert(case.id.clone(), BaseCase::of(case));
            }
            weakening.older(case);
        });
        if let Err(problems) = surveyed {
            rows.push(unreadable("golden data", &problems));
        }
    }
    let mut tell = |difference: Difference| {
        if difference.weaker {
            contents.push(difference.content);
        }
        if let (RENAMED, Some(old)) = (difference.code, &difference.before)
            && let Some(case) = cases.remove(&CaseId::new(old.as_str()))
        {
            cases.insert(difference.case.clone(), case);
        }
        rows.push(PolicyChange {
            before: difference.before.as_deref().map(clip),
            after: difference.after.as_deref().map(clip),
            weaker: difference.weaker,
            ..PolicyChange::weaker(difference.code, clip(difference.case.as_str()))
        });
    };
    let mut cases_after = 0u64;
    let golden =
        dataset::survey(today.golden, &rules(today.root, today.base.effective.own_commands()), &mut |case, _| {
            cases_after += 1;
            weakening.newer(case, &MatcherFacts, &mut tell);
        })
        .map_err(DiffError::CurrentState)?;
    let beyond = weakening.finish(&MatcherFacts, &mut tell);
    if beyond > 0 {
        rows.push(PolicyChange::weaker("incomplete", format!("{beyond} cases are too many to be compared")));
    }
    // Who accepts what can't be compared accepts the golden data as they are.
    if rows.iter().any(|row| ["unreadable", "incomplete"].contains(&row.kind.as_str())) {
        contents.extend(unhex(&golden.sha256));
    }
    if cases_before != cases_after {
        rows.push(PolicyChange {
            before: Some(cases_before.to_string()),
            after: Some(cases_after.to_string()),
            // Those that are gone have rows of their own.
            weaker: false,
            ..PolicyChange::weaker("cases", "number of cases")
        });
    }
    Ok(!older.paths().is_empty() || older.left_out().is_some())
}

/// A baseline that was edited or added is not what serves; compared with a worse one, every candidate looks good. What was
/// promoted is compared as it was, but its file serves next, so an edit of it has to be the candidate.
fn baseline(today: &CurrentState<'_>, commit: &str) -> Option<PolicyChange> {
    let PromptInfo { name, path, sha256, .. } = today.baseline?;
    // A revision can't be edited.
    if name.starts_with("git:") {
        return None;
    }
    let library = today.lock.library();
    let digest = |reference: &str| library.open(reference, None).ok().map(|prompt| prompt.sha256);
    let at_base = |name: &str| digest(&format!("git:{commit}:{name}"));
    let (before, after) = match today.lock.pin(name, Some(path)) {
        None => (at_base(name), Some(sha256.clone())),
        Some(pin) => {
            let file = digest(&pin.name);
            let is_gone = file.is_none() && !today.root.join(&pin.path).exists();
            let is_tested = file.as_ref() == Some(&today.candidate.sha256);
            if is_gone || is_tested || file == at_base(&pin.name) {
                return None;
            }
            (Some(pin.sha256.clone()), file)
        }
    };
    (before != after).then(|| PolicyChange { before, after, ..PolicyChange::weaker("baseline-edited", clip(name)) })
}

fn clip(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
