//! Where the key comes from, and whether the simulator may stand in for a missing one.

use super::layers::Environment;
use crate::domain::Problem;
use crate::provider::{ApiKey, KeySource, TargetKind, read_key_file};
use std::path::{Path, PathBuf};

/// Variables of the key, by precedence.
const KEY_VARIABLES: [&str; 2] = ["GOOGLE_API_KEY", "GEMINI_API_KEY"];

const KEY_FILE: &str = "GEMINI_API_KEY_FILE";

/// Any of these means an unattended machine, where a missing secret must never turn a check green.
const UNATTENDED: [&str; 7] =
    ["CI", "GITHUB_ACTIONS", "TF_BUILD", "BUILD_ID", "JENKINS_URL", "KUBERNETES_SERVICE_HOST", "CLOUD_RUN_JOB"];

pub(super) enum KeyState {
    /// No key variable is present at all.
    Absent,
    /// A variable is present, but holds no key.
    Unusable(Problem),
    /// A key, and the file it came from, if it came from one.
    Present(String, Option<PathBuf>),
}

/// A key that stands in one variable only.
pub(super) fn in_variable(name: &str, environment: &Environment) -> KeyState {
    match environment.get(name).map(|key| key.trim()) {
        None => KeyState::Absent,
        Some("") => KeyState::Unusable(empty(name)),
        Some(key) => KeyState::Present(key.to_owned(), None),
    }
}

/// The key, from `GOOGLE_API_KEY`, else `GEMINI_API_KEY`, else the file named by `GEMINI_API_KEY_FILE`.
pub(super) fn find(environment: &Environment) -> KeyState {
    for name in KEY_VARIABLES {
        if let Some(key) = environment.get(name).map(|key| key.trim()).filter(|key| !key.is_empty()) {
            return KeyState::Present(key.to_owned(), None);
        }
    }
    if let Some(path) = environment.get(KEY_FILE) {
        return from_file(path);
    }
    match KEY_VARIABLES.iter().find(|name| environment.contains_key(**name)) {
        Some(name) => KeyState::Unusable(empty(name)),
        None => KeyState::Absent,
    }
}

fn empty(name: &str) -> Problem {
    Problem::new(format!("{name} is set, but empty")).hint(
        "an empty secret often means a fork's pull request or a misspelt secret name; set it, or unset the variable",
    )
}

fn from_file(path: &str) -> KeyState {
    let unusable = |what: String| {
        KeyState::Unusable(
            Problem::new(format!("{KEY_FILE}: {what}")).hint("name a file that holds the key and nothing else"),
        )
    };
    if path.trim().is_empty() {
        return unusable("is set, but empty".to_owned());
    }
    let path = Path::new(path);
    match read_key_file(path) {
        Ok(text) => KeyState::Present(text, Some(path.to_owned())),
        Err(what) => unusable(what),
    }
}

/// Every key of the environment, whether this call needs it or not, also those in the key file: what must not be written.
/// Those too short to be a key are left out: they would hit innocent text.
pub fn secrets(environment: &Environment) -> Vec<ApiKey> {
    let own = TargetKind::ALL.iter().filter_map(|kind| match kind.def().key {
        KeySource::Variable(name) => Some(name),
        KeySource::None | KeySource::Google | KeySource::GoogleOrCredentials => None,
    });
    let named = KEY_VARIABLES.into_iter().chain(own);
    let named = named.filter_map(|name| environment.get(name).cloned());
    let in_file = environment.get(KEY_FILE).and_then(|path| read_key_file(Path::new(path)).ok());
    named.chain(in_file).filter_map(|text| ApiKey::new(&text).ok()).collect()
}

/// The variable that shows that no person sits here.
pub(super) fn unattended(environment: &Environment) -> Option<&'static str> {
    UNATTENDED.into_iter().find(|name| environment.contains_key(*name))
}
