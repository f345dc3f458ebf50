//! Approved answers: where they are kept. Those who read them, write proposals beside them and look for forgotten ones
//! agree on names only here.

use super::case_id::CaseId;
use super::digest::hex;
use sha2::{Digest, Sha256};

/// The folder of approved answers, from the project root.
pub const SNAPSHOTS: &str = "golden/snapshots";

/// How the name of an approved answer ends; a proposal's ends with this and `.new`. Both are insta's.
pub const SNAPSHOT_ENDING: &str = ".snap";

/// The longest id that is a file name as it stands, in bytes, and the longest start of any other one.
const LONGEST: usize = 80;
const LONGEST_START: usize = 40;

/// Names that Windows gives to devices, with any ending.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// The file of a case's approved answer, without its folder.
///
/// A short id of small letters, digits, `-`, `_` and dots is its own name. Any other one gives its readable characters, cut
/// after 40, an `@`, and the first 32 hexadecimal digits of its SHA-256. So the name is never a path or hidden, no two ids
/// share one (but for a collision of 128 bits), also where a file system takes capitals for small letters or rewrites
/// Unicode, and it is short enough everywhere.
pub fn snapshot_file(case: &CaseId) -> String {
    format!("{}{SNAPSHOT_ENDING}", file_stem(case.as_str(), "case", true))
}

/// A name for a file or folder by the rule of [`snapshot_file`]; `instead` stands for a start without a readable character. A
/// name that may not be its own is never taken as it stands.
pub(super) fn file_stem(id: &str, instead: &str, own: bool) -> String {
    if own && is_plain(id) {
        return id.to_owned();
    }
    let mut start = String::with_capacity(LONGEST_START);
    for c in id.chars() {
        if start.len() == LONGEST_START {
            break;
        }
        let c = c.to_ascii_lowercase();
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            start.push(c);
        } else if !start.is_empty() && !start.ends_with('-') {
            start.push('-');
        }
    }
    let start = start.trim_end_matches('-');
    let start = if start.is_empty() { instead } else { start };
    let hash = Sha256::digest(id.as_bytes());
    format!("{start}@{}", hex(&hash[..16]))
}

/// The id is a good file name everywhere.
fn is_plain(id: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let stem = id.split('.').next().unwrap_or(id);
    let numbered = ["com", "lpt"].iter().any(|port| stem.strip_prefix(port).is_some_and(|rest| rest.len() == 1));
    id.len() <= LONGEST
        && id.bytes().all(known)
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !id.ends_with('.')
        && !DEVICES.contains(&stem)
        && !numbered
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn name(id: &str) -> String {
        snapshot_file(&CaseId::new(id))
    }

    #[test]
    fn names_are_readable_where_that_is_safe() {
        let ids = [
            "refund-after-41-days",
            "a.b_c",
            "GSM-001",
            "../../etc/passwd",
            "a/b",
            "a\\b",
            "a\0b",
            ".hidden",
            "..",
            "-rf",
            "con",
            "nul.txt",
            "com1",
            "command",
            "a.",
            "Straße 7",
            "質問",
            "a@b",
        ];
        let names: Vec<String> = ids.iter().map(|id| format!("{id:?}: {}", name(id))).collect();
        insta::assert_snapshot!(names.join("\n"));
    }

    #[test]
    fn no_two_ids_share_a_name_whatever_the_file_system_folds() {
        let ids = [
            "a", "A", "ä", "a\u{308}", "Ä", "a b", "a-b", "A B", "a/b", "a\\b", "a:b", "a\0b", "a?", "a*", "a.", "a ",
            " a", "con", "CON", "\u{212a}", "k", "K", "..", ".", "/", "é", "e\u{301}",
        ];
        let long: Vec<String> = ["", "x", "y", "X"].iter().map(|end| format!("{}{end}", "a".repeat(300))).collect();
        let all: Vec<&str> = ids.into_iter().chain(long.iter().map(String::as_str)).collect();
        let names: BTreeSet<String> = all.iter().map(|id| name(id).to_lowercase()).collect();
        assert_eq!(names.len(), all.len(), "{names:?}");
        for name in names {
            assert!(name.is_ascii() && name.len() <= 100, "{name}");
            assert!(!name.contains(['/', '\\', ':', '*', '?', '\0', ' ']) && !name.starts_with(['.', '-']), "{name}");
        }
    }

    #[test]
    fn the_name_of_a_hashed_id_can_not_be_that_of_a_plain_one() {
        let hashed = name("A");
        assert_ne!(name(hashed.strip_suffix(SNAPSHOT_ENDING).unwrap()), hashed);
    }
}
