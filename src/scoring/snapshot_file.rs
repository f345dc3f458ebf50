//! Reads the approved answer of a case: a snapshot as insta writes it, a header between two lines of `---` and then the
//! text.

use super::project_file::ProjectFiles;
use super::quote::quote;
use crate::domain::{ArgProblem, CaseId, SNAPSHOTS, snapshot_file};

/// The approved answer of a case; `None` while there is none.
///
/// # Errors
/// The file can't be read, lies outside the project root, or is no snapshot.
pub(super) fn approved(files: &ProjectFiles, case: &CaseId) -> Result<Option<String>, ArgProblem> {
    let name = format!("{SNAPSHOTS}/{}", snapshot_file(case));
    let Some(file) = files.text_if_there(&name)? else {
        return Ok(None);
    };
    let Some(text) = body(&file) else {
        return Err(ArgProblem::new(format!("{} has no header", quote(&name)))
            .expected("a snapshot as insta writes it: a line `---`, its metadata, a line `---`, and the approved text")
            .hint("remove it, and approve what the next run proposes"));
    };
    if text.trim().is_empty() {
        return Err(ArgProblem::new(format!("{} is empty, so no answer could pass", quote(&name)))
            .expected("an approved text")
            .hint("remove it, and approve what the next run proposes"));
    }
    Ok(Some(text.to_owned()))
}

/// The text behind the header. What stands in the header is not looked at: its keys have changed from version to version
/// of insta, and nothing here depends on them.
fn body(file: &str) -> Option<&str> {
    let mut lines = file.split_inclusive('\n');
    let mut at = lines.next().filter(|line| line.trim_end() == "---")?.len();
    for line in lines {
        at += line.len();
        if line.trim_end() == "---" {
            return Some(&file[at..]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_kind_are_skipped() {
        let table = [
            ("---\nsource: a.rs\nexpression: x\n---\ntext\n", Some("text\n")),
            ("---\nsource: a.rs\nassertion_line: 3\nsnapshot_kind: text\n---\ntext", Some("text")),
            ("--- \r\ncreated: \"2020-01-01\"\r\ncreator: insta@0.1\r\n---\r\na\r\nb", Some("a\r\nb")),
            ("---\ninfo:\n  a:\n    - \"---\"\n  b: 1\n---\n\n---\nx\n---\n", Some("\n---\nx\n---\n")),
            ("---\nnot: [yaml\n---\nx", Some("x")),
            ("---\n---\n", Some("")),
            ("---\nx", None),
            ("---", None),
            ("text", None),
            ("", None),
            ("----\na\n---\nb", None),
        ];
        for (file, expected) in table {
            assert_eq!(body(file), expected, "{file:?}");
        }
    }
}
