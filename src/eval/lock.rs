//! promptgate.lock: what was promoted. A baseline that it knows is compared as it was promoted, whatever its file says today;
//! the content is taken from the copy that `promote` keeps.

use crate::config::{FileSettings, PolicyBaseSettings};
use crate::domain::{
    Place, PolicyChange, Problem, Problems, Promotion, PromotionTotal, PromptInfo, digest, hex, unhex,
};
use crate::error::Error;
use crate::git;
use crate::prompt::{Library, Prompt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, iter};

pub(crate) const LOCK: &str = "promptgate.lock";

const SCHEMA: &str = "promptgate.lock/1";

/// Promotions that are kept.
const KEPT: usize = 20;

/// The prompts of a project.
pub fn library(root: &Path) -> Library {
    Library::new(root, &root.join("prompts"))
}

/// The promotions that are known, at the policy base where there is one.
#[derive(Clone, Debug)]
pub(crate) struct Lock {
    root: PathBuf,
    /// Oldest first.
    promotions: Vec<Promotion>,
    /// The commit that lock and copies are read at; `None` for the working tree.
    commit: Option<String>,
    /// The baseline that the settings file names at that commit.
    serving: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    schema: String,
    promotions: Vec<Promotion>,
}

impl Lock {
    /// Knows of no promotion.
    pub(crate) fn none(root: &Path) -> Lock {
        Lock { root: root.to_owned(), promotions: Vec::new(), commit: None, serving: None }
    }

    /// The lock that a run goes by: with a policy base that of the merge base, since a change could edit its own.
    pub(crate) fn of_run(root: &Path, base: &PolicyBaseSettings) -> Result<Lock, Problem> {
        let merge_base = |rev: &String| git::merge_base(root, rev).map_err(|problem| base.unreadable(problem));
        let commit = base.rev.as_ref().map(merge_base).transpose()?;
        Lock::at(root, base, commit.as_deref())
    }

    /// Reads what serves at a commit, where there is one.
    pub(crate) fn at(root: &Path, base: &PolicyBaseSettings, commit: Option<&str>) -> Result<Lock, Problem> {
        let mut lock = Lock::read(root, commit)?;
        if let Some(commit) = commit.filter(|_| base.baseline_in_file)
            && let Some(bytes) = git::file_at(root, commit, &base.config)?
        {
            // That they can't be read is told by the comparison of the settings.
            let settings = FileSettings::of_text(&String::from_utf8_lossy(&bytes), &base.config).ok();
            lock.serving = settings.and_then(|settings| settings.baseline().map(str::to_owned));
        }
        Ok(lock)
    }

    /// Reads the lock of the working tree, or of a commit. One that is not there is empty.
    pub(crate) fn read(root: &Path, commit: Option<&str>) -> Result<Lock, Problem> {
        let promotions = match text(root, commit)? {
            Some(text) => parse(&text)?,
            None => Vec::new(),
        };
        Ok(Lock { promotions, commit: commit.map(str::to_owned), ..Lock::none(root) })
    }

    pub(crate) fn library(&self) -> Library {
        library(&self.root)
    }

    /// The newest promotion of a prompt, by its name or by the path of its file or copy.
    pub(crate) fn pin(&self, name: &str, path: Option<&str>) -> Option<&Promotion> {
        let newest = |wanted: &dyn Fn(&Promotion) -> bool| self.promotions.iter().rev().find(|entry| wanted(entry));
        let path = path.map(|path| path.trim_start_matches("./"));
        newest(&|entry| entry.copy() == name)
            .or_else(|| newest(&|entry| entry.name == name || Some(entry.path.as_str()) == path))
    }

    /// What serves by settings file and lock of the policy base.
    pub(crate) fn serving(&self) -> Option<&Promotion> {
        let name = self.serving.as_deref()?;
        self.pin(name, Some(name))
    }

    /// The content that was promoted under this name before this one was.
    pub(crate) fn before(&self, pin: &Promotion) -> Option<&Promotion> {
        let first = self.promotions.iter().position(|entry| entry.name == pin.name && entry.sha256 == pin.sha256)?;
        self.promotions[..first].iter().rev().find(|entry| entry.name == pin.name)
    }

    pub(crate) fn of_content(&self, sha256: &str) -> Option<&Promotion> {
        self.promotions.iter().rev().find(|entry| entry.sha256 == sha256)
    }

    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.promotions.iter().map(|entry| entry.name.as_str()).collect()
    }

    /// Opens the promoted content: the copy at the commit, or that of the working tree, which may be about to restore it. By the
    /// lock's digest it is the same wherever it comes from.
    ///
    /// # Errors
    /// The copy is missing, or is not what was promoted.
    pub(crate) fn open(&self, promotion: &Promotion) -> Result<Prompt, Problems> {
        let copy = promotion.copy();
        let wrong = |what: &str| {
            Problem::at(Place::file(copy.as_str()), format!("the copy of the promoted `{}` {what}", promotion.name))
                .hint(format!("restore prompts/.promoted as it was committed with {LOCK}"))
        };
        let open = |reference: &str| match self.library().open(reference, None) {
            Ok(prompt) if prompt.sha256 == promotion.sha256 => Ok(prompt),
            Ok(_) => Err(wrong("was changed")),
            Err(problems) => {
                let why = problems.iter().next().map_or_else(String::new, |problem| problem.message.clone());
                Err(wrong(&format!("can't be read: {why}")))
            }
        };
        let opened = match &self.commit {
            Some(commit) => open(&format!("git:{commit}:{copy}")).or_else(|problem| open(&copy).map_err(|_| problem)),
            None => open(&copy),
        };
        opened.map_err(Problems::from)
    }

    /// What the promotions that led to this one came to.
    pub(crate) fn total(&self, pin: &Promotion) -> Option<PromotionTotal> {
        let mut older = self.promotions.iter().rev();
        let before = |newer: &&Promotion| {
            let sha256 = newer.replaced.as_deref()?;
            older.find(|entry| entry.sha256 == sha256)
        };
        PromotionTotal::of(iter::successors(Some(pin), before))
    }

    /// Something was promoted in its place; what nothing replaced may still serve.
    fn is_superseded(&self, at: usize) -> bool {
        let Promotion { name, sha256, .. } = &self.promotions[at];
        let newer = &self.promotions[at + 1..];
        newer.iter().any(|entry| entry.name == *name || entry.replaced.as_ref() == Some(sha256))
    }

    /// Copies the files of a promoted prompt, and adds its promotion.
    ///
    /// # Errors
    /// A file can't be read or written, or changed meanwhile.
    pub(crate) fn add(&mut self, added: Promotion, prompt: &Prompt) -> Result<Promotion, Error> {
        let folder = self.root.join(added.copy()).parent().map(Path::to_owned).unwrap_or_default();
        let failed =
            |path: &Path, error: std::io::Error| Problem::new(format!("{} can't be written: {error}", path.display()));
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
        for (shown, _) in prompt.files() {
            let from = self.root.join(shown.as_ref());
            let to = folder.join(from.file_name().unwrap_or_default());
            if from != to {
                fs::copy(&from, &to).map_err(|error| failed(&to, error))?;
            }
        }
        self.open(&added)?;
        self.promotions.push(added.clone());
        while self.promotions.len() > KEPT
            && let Some(oldest) = (0..self.promotions.len()).find(|at| self.is_superseded(*at))
        {
            self.promotions.remove(oldest);
        }
        Ok(added)
    }

    pub(crate) fn text(&self) -> Result<String, Problem> {
        let file = LockFile { schema: SCHEMA.to_owned(), promotions: self.promotions.clone() };
        let text = toml::to_string(&file).map_err(|error| Problem::new(format!("{LOCK} can't be written: {error}")))?;
        Ok(format!("# What was promoted, by `promptgate promote`. Commit it together with prompts/.promoted.\n{text}"))
    }

    /// What lock and copies of the working tree say otherwise than this one, that of the policy base. Later comparisons go by
    /// them, so only promotions of what this comparison tests may be new, and in a first lock what served at the base.
    pub(crate) fn change(&self, candidate: &PromptInfo, baseline: Option<&PromptInfo>) -> Result<LockChange, Problem> {
        let commit = self.commit.as_deref();
        let (then, now) = (text(&self.root, commit)?, text(&self.root, None)?);
        let today = Lock::read(&self.root, None)?;
        let is_tested =
            |entry: &Promotion| entry.sha256 == candidate.sha256 && entry.model.as_ref() == Some(&candidate.model);
        let served = |entry: &Promotion| {
            let at_base = format!("git:{}:", commit.unwrap_or("HEAD"));
            let prompt = self.library().open(&format!("{at_base}{}", entry.name), None);
            baseline.is_some_and(|baseline| entry.model.as_ref() == Some(&baseline.model))
                && prompt.is_ok_and(|it| it.sha256 == entry.sha256 && it.path == format!("{at_base}{}", entry.path))
        };
        let known = |entry: &&Promotion| self.promotions.contains(*entry);
        let (old, new) = today.promotions.split_at(today.promotions.iter().take_while(known).count());
        let mut rest = self.promotions.iter();
        let keeps = old.iter().all(|entry| rest.any(|then| then == entry))
            && (old.len() == self.promotions.len() || today.promotions.len() >= KEPT);
        let opens = today.promotions.iter().all(|entry| today.open(entry).is_ok());
        let holds = keeps && opens && new.iter().all(|entry| is_tested(entry) || (then.is_none() && served(entry)));
        let digest = |text: &Option<String>| text.as_ref().map(|text| hex(digest([text.as_bytes()])));
        let row = PolicyChange {
            before: digest(&then),
            after: digest(&now),
            weaker: !holds,
            ..PolicyChange::weaker("lock", LOCK)
        };
        let promoted = new.iter().rev().filter(|entry| holds && is_tested(entry)).map(|entry| entry.name.clone());
        Ok(LockChange { row: (then != now || !opens).then_some(row), promoted: promoted.collect() })
    }
}

/// How the lock changed since the policy base.
pub(crate) struct LockChange {
    pub(crate) row: Option<PolicyChange>,
    /// The names under which what is tested was promoted.
    pub(crate) promoted: Vec<String>,
}

fn text(root: &Path, commit: Option<&str>) -> Result<Option<String>, Problem> {
    let bytes = match commit {
        Some(commit) => git::file_at(root, commit, LOCK)?,
        None => match fs::read(root.join(LOCK)) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Problem::at(Place::file(LOCK), format!("can't be read: {error}"))),
        },
    };
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn parse(text: &str) -> Result<Vec<Promotion>, Problem> {
    let restore = "take it as it was committed; only `promptgate promote` writes it";
    let LockFile { schema, promotions } = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Problem::at(Place::of_offset(LOCK, text, at), error.message().trim_end_matches('.').to_owned()).hint(restore)
    })?;
    if schema != SCHEMA {
        let problem = Problem::at(Place::file(LOCK), format!("its schema is `{schema}`"));
        return Err(problem.expected(format!("`{SCHEMA}`")));
    }
    match promotions.iter().find(|entry| unhex(&entry.sha256).is_none()) {
        Some(entry) => Err(Problem::at(Place::file(LOCK), format!("`{}` has no digest", entry.name)).hint(restore)),
        None => Ok(promotions),
    }
}
