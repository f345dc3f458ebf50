//! The part of two answers that a diff looks at, and the two diffs themselves. Bounded by size and not by time, so that the
//! same answers always give the same bytes.

use similar::{ChangeTag, TextDiff};
use std::borrow::Cow;

/// Bytes of each answer that are compared. A diff of two texts of this size that have nothing in common takes some tens of
/// milliseconds.
const WINDOW: usize = 8 * 1024;
/// Bytes of what both have in common that stay in front of the first difference.
const LEAD: usize = 512;
/// Lines around a change in the unified diff.
const CONTEXT: usize = 3;

/// Both texts, cut to the first place where they differ if they are long.
pub(super) fn around_difference<'a>(old: &'a str, new: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
    if old.len() <= WINDOW && new.len() <= WINDOW {
        return (Cow::Borrowed(old), Cow::Borrowed(new));
    }
    let same = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let start = if same > LEAD {
        // What both have in common is cut at the same character in both.
        old.floor_char_boundary(same - LEAD)
    } else {
        0
    };
    (window(old, start), window(new, start))
}

fn window(text: &str, start: usize) -> Cow<'_, str> {
    let end = text.floor_char_boundary((start + WINDOW).min(text.len()));
    if start == 0 && end == text.len() {
        return Cow::Borrowed(text);
    }
    let mut cut = String::with_capacity(end - start + 64);
    if start > 0 {
        cut.push_str(&format!("… ({start} bytes before)\n"));
    }
    cut.push_str(&text[start..end]);
    if end < text.len() {
        cut.push_str(&format!("\n… ({} bytes after)", text.len() - end));
    }
    Cow::Owned(cut)
}

/// A unified diff of two answers by lines.
pub(super) fn unified(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    diff.unified_diff()
        .context_radius(CONTEXT)
        .header("baseline", "candidate")
        // Answers seldom end with a newline; it is worth a line only where it is the change.
        .missing_newline_hint(old.ends_with('\n') != new.ends_with('\n'))
        .to_string()
}

/// The hunks of a unified diff of two prompts' sources; empty if they are equal.
pub fn source_diff(old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(CONTEXT).to_string()
}

/// A diff by words: `[-removed-]{+added+}`, as `git diff --word-diff` writes it.
pub(super) fn words(old: &str, new: &str) -> String {
    let diff = TextDiff::from_unicode_words(old, new);
    let mut out = String::with_capacity(old.len().max(new.len()) + 64);
    let mut open = ChangeTag::Equal;
    for change in diff.iter_all_changes() {
        if change.tag() != open {
            out.push_str(closing(open));
            open = change.tag();
            out.push_str(match open {
                ChangeTag::Equal => "",
                ChangeTag::Delete => "[-",
                ChangeTag::Insert => "{+",
            });
        }
        out.push_str(change.value());
    }
    out.push_str(closing(open));
    out
}

fn closing(tag: ChangeTag) -> &'static str {
    match tag {
        ChangeTag::Equal => "",
        ChangeTag::Delete => "-]",
        ChangeTag::Insert => "+}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diffs_by_line_and_by_word() {
        insta::assert_snapshot!(unified("a\nb\nc\nd\ne\nf", "a\nb\nc\nD\ne\nf"), @r"
        --- baseline
        +++ candidate
        @@ -1,6 +1,6 @@
         a
         b
         c
        -d
        +D
         e
         f
        ");
        assert_eq!(
            words("within 30 days, free", "within 14 working days, free"),
            "within [-30-]{+14 working+} days, free"
        );
        assert!(unified("a\n", "a").contains("\\ No newline at end of file"));
    }

    #[test]
    fn long_texts_are_cut_around_their_first_difference() {
        let same = "ä".repeat(50_000);
        let (old, new) = around_difference(&same, &same);
        assert_eq!(old, new);
        let old = format!("{same}x{same}");
        let new = format!("{same}y");
        let (old, new) = around_difference(&old, &new);
        assert!(old.len() < WINDOW + 200 && new.len() < WINDOW + 200);
        assert!(old.starts_with("… (99488 bytes before)\n"), "{old}");
        assert!(old.contains('x') && new.contains('y'));
        assert!(old.ends_with("bytes after)"), "{old}");
        assert!(words(&old, &new).contains("[-"));
    }

    #[test]
    fn a_difference_inside_a_character_cuts_before_it() {
        let old = format!("{}ä", "a".repeat(20_000));
        let new = format!("{}ö", "a".repeat(20_000));
        let (old, new) = around_difference(&old, &new);
        assert!(old.ends_with('ä') && new.ends_with('ö'));
    }
}
