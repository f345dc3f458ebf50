//! Candidates from which one call picks the best: how each is called, and what it came to.

use super::comparison::ArmRate;
use super::decision::Decision;
use super::difference::Difference;
use super::snapshot::file_stem;
use serde::{Deserialize, Serialize};

/// Candidates of one call, at most.
pub const MOST_CANDIDATES: usize = 100;

/// One of several candidates of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub name: String,
    /// Its folder in the output folder; see [`candidate_folder`].
    pub folder: String,
}

/// What one of several candidates came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateLine {
    pub name: String,
    /// `None` if it was not run, because the call had ended before.
    pub decision: Option<Decision>,
    pub promotable: bool,
    /// Candidate minus baseline; `None` without a case scored in both arms.
    pub difference: Option<Difference>,
    /// The verdict of the call is this one's.
    pub chosen: bool,
    /// Its own verdict, below the output folder; `None` if it was not run, or that could not be written.
    pub path: Option<String>,
    pub rate: Option<ArmRate>,
    /// Cost of its own run in US dollars; `None` when a price is unknown, or it was not run.
    pub cost_usd: Option<f64>,
}

/// The name in a reference: `v2` of `git:REV:v2`.
pub fn bare_name(reference: &str) -> &str {
    match reference.strip_prefix("git:") {
        Some(rest) => rest.split_once(':').map_or(rest, |(_, name)| name),
        None => reference,
    }
}

/// The folder of a candidate's reports: the name of its prompt, without revision, folders and the ending of its file. A name
/// that is no good folder everywhere, or could be taken for a report, is written as the file of an approved answer would be:
/// readable characters, `@`, and hexadecimal digits of its SHA-256. So it is never a path or hidden.
pub fn candidate_folder(reference: &str) -> String {
    let name = bare_name(reference);
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = [".prompt", ".md", ".txt"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    let report = [".json", ".jsonl", ".xml", ".md"].iter().any(|ending| stem.ends_with(ending));
    file_stem(stem, "candidate", !report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_after_the_prompt_and_never_leave_the_output_folder() {
        for (reference, folder) in [
            ("v2", "v2"),
            ("v1.2", "v1.2"),
            ("git:main:v2", "v2"),
            ("prompts/v2.prompt", "v2"),
            ("git:HEAD~1:prompts/support/v2.md", "v2"),
            ("new_one-3", "new_one-3"),
        ] {
            assert_eq!(candidate_folder(reference), folder, "{reference}");
        }
        for odd in ["V2", "..", "../..", ".hidden", "verdict.json", "junit.xml", "con", "", "ä", "a\0b", "git:main:"] {
            let folder = candidate_folder(odd);
            assert!(folder.contains('@') && !folder.starts_with('.'), "{odd:?}: {folder}");
            assert!(folder.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-@".contains(&byte)), "{folder}");
        }
        assert_ne!(candidate_folder("V2"), candidate_folder("v2"));
    }
}
