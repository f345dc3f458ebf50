//! The options `ignore_case` and `normalize` of text matchers.

use super::arguments::{Fields, flag};
use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// What a text comparison overlooks. Applied to the expected text and to the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Folding {
    /// Compares lowercase letters: each character by its own Unicode lowercase mapping, without regard to its
    /// neighbours or to a language.
    pub(super) ignore_case: bool,
    /// Compares Unicode form NFC, with each run of white space as one space and none at the ends.
    pub(super) normalize: bool,
}

impl Folding {
    /// The keys it reads.
    pub(super) const KEYS: [&'static str; 2] = ["ignore_case", "normalize"];

    /// Reads its two options.
    pub(super) fn read(fields: &mut Fields<'_>) -> Folding {
        Folding {
            ignore_case: fields.optional("ignore_case", flag).unwrap_or(false),
            normalize: fields.optional("normalize", flag).unwrap_or(false),
        }
    }

    /// The text as it is compared.
    pub(super) fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        if self.normalize {
            text = Cow::Owned(normalized(&text));
        }
        if self.ignore_case {
            text = Cow::Owned(text.chars().flat_map(char::to_lowercase).collect());
        }
        text
    }
}

fn normalized(text: &str) -> String {
    let composed: Cow<'_, str> = if is_nfc(text) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    };
    let mut spaced = String::with_capacity(composed.len());
    for word in composed.split_whitespace() {
        if !spaced.is_empty() {
            spaced.push(' ');
        }
        spaced.push_str(word);
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_only_what_was_asked() {
        let fold = |ignore_case, normalize, text: &str| Folding { ignore_case, normalize }.apply(text).into_owned();
        assert_eq!(fold(false, false, " Ä\n"), " Ä\n");
        assert_eq!(fold(true, false, " ÄB\n"), " äb\n");
        assert_eq!(fold(false, true, "\u{a0} A\u{308} \n\t b "), "Ä b");
        assert_eq!(fold(true, true, " A\u{308}  B"), "ä b");
        assert_eq!(fold(true, false, "ΟΔΟΣ"), "οδοσ", "a final sigma is not special");
    }
}
