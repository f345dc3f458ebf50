//! Proposals for approved answers: `golden/snapshots/NAME.snap.new`, in the form that `cargo insta review` reads.
//!
//! insta has no public way to write such a file, so it is written here: a YAML header between two lines of `---`, every text
//! in it quoted as JSON (which YAML reads), then the answer. The header has no `source`: insta deletes approved files that
//! begin with one when `cargo insta test` is told to delete what no Rust test refers to.

use super::excerpt::{around_difference, source_diff};
use super::output::temp_file;
use super::text::{one_line, truncate};
use crate::domain::{Case, CaseId, SNAPSHOTS, snapshot_file};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Bytes of a text in the header.
const TEXT: usize = 500;
/// Lines of the diff in the header, and other checks named there.
const DIFF_LINES: usize = 40;
const CHECKS: usize = 10;

/// An answer that may become the approved one. Everything in it is masked already.
#[derive(Debug)]
pub struct Proposal<'a> {
    pub case: &'a Case,
    pub prompt: &'a str,
    pub target: &'a str,
    /// Which repeat, from 1.
    pub repeat: u32,
    pub reason: &'a str,
    /// What other checks of the case say against it.
    pub against: Vec<String>,
    /// What is approved now, if anything is.
    pub approved: Option<&'a str>,
    /// The answer, in the form in which it is compared.
    pub text: &'a str,
}

/// Writes a proposal beside the approved answer, in place of an earlier one; the file appears whole or not at all.
pub fn propose(root: &Path, proposal: &Proposal<'_>) -> io::Result<()> {
    let folder = folder(root, true)?.ok_or(io::ErrorKind::NotFound)?;
    let mut file = temp_file(&folder)?;
    file.write_all(file_text(proposal).as_bytes())?;
    // A link of this name is replaced, not followed.
    file.persist(folder.join(pending(&proposal.case.id)))?;
    Ok(())
}

/// Removes the proposal for a case, if there is one.
pub fn withdraw(root: &Path, case: &CaseId) -> io::Result<()> {
    let Some(folder) = folder(root, false)? else {
        return Ok(());
    };
    match fs::remove_file(folder.join(pending(case))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn pending(case: &CaseId) -> String {
    format!("{}.new", snapshot_file(case))
}

/// The folder of approved answers, links resolved, made if asked for; `None` if it is not there.
fn folder(root: &Path, make: bool) -> io::Result<Option<PathBuf>> {
    let root = fs::canonicalize(root)?;
    let mut folder = root.clone();
    for step in SNAPSHOTS.split('/') {
        folder.push(step);
        if make
            && let Err(error) = fs::create_dir(&folder)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        folder = match fs::canonicalize(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            resolved => resolved?,
        };
        if !folder.starts_with(&root) {
            return Err(io::Error::other(format!("{SNAPSHOTS} lies outside the project root")));
        }
    }
    Ok(Some(folder))
}

fn file_text(proposal: &Proposal<'_>) -> String {
    let Proposal { case, prompt, target, repeat, reason, against, approved, text } = proposal;
    let mut out = String::from("---\n");
    let mut line = |key: &str, value: String| out.push_str(&format!("{key}: {}\n", quoted(&value)));
    line("description", format!("case {}, prompt {prompt}: {reason}", case.id));
    line("expression", format!("{prompt} / {}", case.id));
    out.push_str("info:\n");
    let mut line = |key: &str, value: &str| out.push_str(&format!("  {key}: {}\n", quoted(value)));
    line("case", case.id.as_str());
    line("golden", &case.place.to_string());
    line("prompt", prompt);
    line("target", target);
    // As a text: insta writes numbers of its own accord.
    line("repeat", &repeat.to_string());
    line("reason", reason);
    let mut list = |key: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            out.push_str(&format!("  {key}:\n"));
            lines.iter().for_each(|line| out.push_str(&format!("    - {line}\n")));
        }
    };
    list("against", against.iter().take(CHECKS).map(|said| quoted(said)).collect());
    if let Some(approved) = approved {
        list("diff", diff(approved, text));
    }
    out.push_str("---\n");
    out.push_str(text);
    out.push('\n');
    out
}

fn diff(approved: &str, text: &str) -> Vec<String> {
    let (old, new) = around_difference(approved, text);
    let diff = source_diff(&format!("{old}\n"), &format!("{new}\n"));
    let mut lines: Vec<String> = diff.lines().map(quoted).collect();
    let more = lines.len().saturating_sub(DIFF_LINES);
    if more > 0 {
        lines.truncate(DIFF_LINES);
        lines.push(quoted(&format!("… ({more} more lines)")));
    }
    lines
}

/// One line of text as a JSON string.
fn quoted(text: &str) -> String {
    // Blanks at the start mean something in a diff.
    let blanks = text.len() - text.trim_start_matches(' ').len();
    let line = format!("{}{}", " ".repeat(blanks.min(TEXT)), one_line(text));
    serde_json::Value::from(truncate(&line, TEXT)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Place;

    fn case(id: &str) -> Case {
        Case { suite: "returns".into(), place: Place::at("golden/returns.yaml", 3, 3), ..Case::new(id) }
    }

    fn proposal<'a>(case: &'a Case, approved: Option<&'a str>, text: &'a str) -> Proposal<'a> {
        Proposal {
            case,
            prompt: "v2",
            target: "gemini",
            repeat: 2,
            reason: "is not the approved answer: line 2 is \"b\u{1b}[31m\"",
            against: vec!["length: has 3 words".to_owned()],
            approved,
            text,
        }
    }

    #[test]
    fn the_file_is_what_insta_reads() {
        let case = case("a: \"b\"\n---\n\u{202e}");
        let root = tempfile::tempdir().unwrap();
        propose(root.path(), &proposal(&case, Some("a\nb\nc"), "a\nB\nc")).unwrap();
        let path = root.path().join(SNAPSHOTS).join(pending(&case.id));
        insta::assert_snapshot!(fs::read_to_string(&path).unwrap());
        let read = insta::Snapshot::from_file(&path).unwrap();
        assert_eq!(read.as_text().unwrap().to_string(), "a\nB\nc");
        assert_eq!(read.metadata().expression(), Some("v2 / a: \"b\" ⏎ --- ⏎ \\u{202e}"));
        assert!(read.metadata().source().is_none());
    }

    #[test]
    fn the_header_is_bounded() {
        let case = case(&"x".repeat(100_000));
        let many: String = (0..5_000).map(|n| format!("{n}\n")).collect();
        let mut long = proposal(&case, Some("none"), &many);
        long.against = vec!["y".repeat(100_000); 100];
        let text = file_text(&long);
        assert!(text.len() - many.len() < 20_000, "{}", text.len() - many.len());
    }

    #[test]
    fn a_proposal_is_replaced_and_withdrawn() {
        let root = tempfile::tempdir().unwrap();
        let case = case("a");
        withdraw(root.path(), &case.id).unwrap();
        assert!(!root.path().join("golden").exists(), "nothing is made to remove something");
        propose(root.path(), &proposal(&case, None, "one")).unwrap();
        propose(root.path(), &proposal(&case, None, "two")).unwrap();
        let folder = root.path().join(SNAPSHOTS);
        let names = || {
            let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(), ["a.snap.new"]);
        assert!(fs::read_to_string(folder.join("a.snap.new")).unwrap().ends_with("---\ntwo\n"));
        withdraw(root.path(), &case.id).unwrap();
        withdraw(root.path(), &case.id).unwrap();
        assert!(names().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed_out_of_the_project() {
        use std::os::unix::fs::symlink;
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("project");
        let away = outer.path().join("away");
        fs::create_dir_all(&away).unwrap();
        fs::create_dir_all(root.join(SNAPSHOTS)).unwrap();
        fs::write(away.join("file"), "mine").unwrap();
        let case = case("a");
        symlink(away.join("file"), root.join(SNAPSHOTS).join("a.snap.new")).unwrap();
        propose(&root, &proposal(&case, None, "text")).unwrap();
        assert_eq!(fs::read_to_string(away.join("file")).unwrap(), "mine");
        assert!(!root.join(SNAPSHOTS).join("a.snap.new").is_symlink());
        fs::remove_dir_all(root.join("golden")).unwrap();
        symlink(&away, root.join("golden")).unwrap();
        let error = propose(&root, &proposal(&case, None, "text")).unwrap_err();
        assert_eq!(error.to_string(), "golden/snapshots lies outside the project root");
        assert!(!away.join("snapshots").exists());
    }
}
