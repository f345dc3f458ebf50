//! The options of text matchers: `ignore_case`, `white_space`, `unicode`, and `normalize`, which is two of them at once.

use super::arguments::{Fields, choice, flag};
use crate::domain::{ArgProblem, Step};
use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization, is_nfc, is_nfkc};

/// What a text comparison overlooks. Applied to the expected text and to the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Folding {
    /// Compares lowercase letters: each character by its own Unicode lowercase mapping, without regard to its
    /// neighbours or to a language; a final sigma is a sigma.
    pub(super) ignore_case: bool,
    pub(super) white_space: WhiteSpace,
    pub(super) form: Form,
}

/// What happens to white space, as Unicode has it, before a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum WhiteSpace {
    #[default]
    Keep,
    Trim,
    /// None at the ends, and each run of it is one space.
    Collapse,
    Remove,
}

/// A Unicode normalization form (UAX #15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    #[default]
    AsIs,
    /// Composed: é is one character.
    Nfc,
    /// Composed, and compatibility characters replaced: ﬁ is fi, ² is 2, Ａ is A.
    Nfkc,
}

impl Folding {
    /// `normalize`: both what differs without being seen.
    pub(super) const NORMALIZED: Folding =
        Folding { ignore_case: false, white_space: WhiteSpace::Collapse, form: Form::Nfc };

    pub(super) fn read(fields: &mut Fields<'_>) -> Folding {
        let white_spaces = [
            ("keep", WhiteSpace::Keep),
            ("trim", WhiteSpace::Trim),
            ("collapse", WhiteSpace::Collapse),
            ("remove", WhiteSpace::Remove),
        ];
        let forms = [("as_is", Form::AsIs), ("nfc", Form::Nfc), ("nfkc", Form::Nfkc)];
        let ignore_case = fields.optional("ignore_case", flag).unwrap_or(false);
        let normalize = fields.optional("normalize", flag).unwrap_or(false);
        let white_space = fields.optional("white_space", |value| choice(value, &white_spaces));
        let form = fields.optional("unicode", |value| choice(value, &forms));
        if normalize && (fields.has("white_space") || fields.has("unicode")) {
            fields.refuse(
                ArgProblem::new("`normalize: true` already says what happens to white space and Unicode form")
                    .inside(Step::key("normalize"))
                    .expected("`normalize` alone, or `white_space` and `unicode` without it")
                    .hint("`normalize: true` is the same as `white_space: collapse` and `unicode: nfc`"),
            );
        }
        let base = if normalize { Self::NORMALIZED } else { Folding::default() };
        Folding { ignore_case, white_space: white_space.unwrap_or(base.white_space), form: form.unwrap_or(base.form) }
    }

    pub(super) fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        match self.form {
            Form::Nfc if !is_nfc(&text) => text = Cow::Owned(text.nfc().collect()),
            Form::Nfkc if !is_nfkc(&text) => text = Cow::Owned(text.nfkc().collect()),
            Form::AsIs | Form::Nfc | Form::Nfkc => {}
        }
        match self.white_space {
            WhiteSpace::Keep => {}
            WhiteSpace::Trim => text = Cow::Owned(text.trim().to_owned()),
            WhiteSpace::Collapse => text = Cow::Owned(joined(&text, " ")),
            WhiteSpace::Remove => text = Cow::Owned(joined(&text, "")),
        }
        if self.ignore_case {
            let lowercase = text.chars().flat_map(char::to_lowercase);
            text = Cow::Owned(lowercase.map(|c| if c == 'ς' { 'σ' } else { c }).collect());
        }
        text
    }
}

/// The text without what typography, and not an author, decides: compatibility characters replaced (NFKC, which turns a
/// non-breaking space into a space), one apostrophe for all apostrophes and single quotes, one hyphen for all hyphens and
/// dashes, one double quote for all others, and nothing in place of what can't be seen within a word: soft hyphens,
/// joiners, zero-width and direction characters, variation selectors.
pub(super) fn without_typography(text: &str) -> String {
    // An acute accent alone, which many write for an apostrophe, would become a space with an accent.
    let text = text.chars().map(|c| if c == '\u{b4}' { '\'' } else { c });
    text.nfkc()
        .filter(|c| !is_invisible(*c))
        .map(|c| match c {
            '\u{2018}'..='\u{201b}'
            | '\u{2b9}'
            | '\u{2bb}'..='\u{2bd}'
            | '\u{2032}'
            | '\u{2035}'
            | '\u{2039}'
            | '\u{203a}'
            | '`' => '\'',
            '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2033}' | '\u{2036}' | '\u{301d}'..='\u{301f}' => '"',
            '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{58a}' => '-',
            other => other,
        })
        .collect()
}

/// Characters that show nothing and separate nothing (the default ignorable code points of Unicode that occur in texts).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// The words of a text with this between them.
fn joined(text: &str, between: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_only_what_was_asked() {
        let fold = |ignore_case, normalize, text: &str| {
            let base = if normalize { Folding::NORMALIZED } else { Folding::default() };
            Folding { ignore_case, ..base }.apply(text).into_owned()
        };
        assert_eq!(fold(false, false, " Ä\n"), " Ä\n");
        assert_eq!(fold(true, false, " ÄB\n"), " äb\n");
        assert_eq!(fold(false, true, "\u{a0} A\u{308} \n\t b "), "Ä b");
        assert_eq!(fold(true, true, " A\u{308}  B"), "ä b");
        for text in ["ΟΔΟΣ", "οδος", "οδοσ"] {
            assert_eq!(fold(true, false, text), "οδοσ", "a final sigma is not special");
        }
    }

    #[test]
    fn typography_says_nothing() {
        let table = [
            ("don\u{2019}t don\u{2bc}t don\u{ff07}t don\u{b4}t", "don't don't don't don't"),
            ("\u{201c}a\u{201d} \u{201e}b\u{201c} \u{ab}c\u{bb} \u{2018}d\u{2019}", "\"a\" \"b\" \"c\" 'd'"),
            ("a\u{2011}b\u{2013}c\u{2014}d\u{2212}e", "a-b-c-d-e"),
            ("a\u{a0}b\u{202f}c\u{2009}d", "a b c d"),
            ("se\u{200b}c\u{ad}r\u{200d}e\u{2060}t\u{feff}\u{fe0f}\u{e0041}", "secret"),
            ("ﬁne Ａ１", "fine A1"),
            ("plain - \"it's\"", "plain - \"it's\""),
        ];
        for (text, expected) in table {
            assert_eq!(without_typography(text), expected, "{text:?}");
        }
    }

    #[test]
    fn white_space_and_unicode_form_can_be_asked_for_alone() {
        let white_space = |white_space, text: &str| {
            let folding = Folding { white_space, ..Folding::default() };
            folding.apply(text).into_owned()
        };
        assert_eq!(white_space(WhiteSpace::Keep, " a  b\n"), " a  b\n");
        assert_eq!(white_space(WhiteSpace::Trim, " a  b\n"), "a  b");
        assert_eq!(white_space(WhiteSpace::Collapse, " a \u{a0} A\u{308}\n"), "a A\u{308}");
        assert_eq!(white_space(WhiteSpace::Remove, " a  b\n"), "ab");
        let form = |form, text: &str| {
            let folding = Folding { form, ..Folding::default() };
            folding.apply(text).into_owned()
        };
        assert_eq!(form(Form::AsIs, "ﬁ A\u{308} "), "ﬁ A\u{308} ");
        assert_eq!(form(Form::Nfc, "ﬁ A\u{308} "), "ﬁ Ä ");
        assert_eq!(form(Form::Nfkc, "ﬁ² A\u{308} Ａ"), "fi2 Ä A");
    }
}
