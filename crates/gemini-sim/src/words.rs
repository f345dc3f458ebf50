//! Words of a text: split, folded to their stems, stop words left out. English only, and light on purpose: an idea of
//! what a text is about in a few microseconds.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// A word's stem, as a hash.
pub(super) type Term = u64;

/// Words longer than this are cut.
const LONGEST: usize = 32;

/// Words that say nothing about a topic: grammar, and the courtesies around a question.
static STOP: LazyLock<HashSet<&str>> = LazyLock::new(|| STOP_WORDS.split(' ').collect());
const STOP_WORDS: &str = "\
    a able about again all also am an and another answer any anything are as ask at be because been before being but \
    by can cannot cant could did do does doesnt doing dont each else ever every exactly find for from get give go goes \
    going got had happen happens has have having hello help here hey hi how i id if ill im in into is isnt it its ive \
    json just know let lets like long made make many may me might mine much must my myself need no not now of ok okay \
    on one only or our please possible question quick really reply respond right say sentence shall should so some \
    someone something still such sure take takes tell than thank thanks that thats the their them then there theres \
    these they theyre thing things think this those to too us use very want was wasnt way we well were what whats when \
    where whether which who whose why will with wonder wondering wont word words would yes yet you your youre yours";

/// Irregular forms of common verbs, with the form that they are read as.
static IRREGULAR: LazyLock<HashMap<&str, &str>> =
    LazyLock::new(|| IRREGULAR_VERBS.split(", ").filter_map(|pair| pair.split_once(' ')).collect());
const IRREGULAR_VERBS: &str = "\
    bought buy, broke break, broken break, brought bring, came come, chose choose, chosen choose, forgot forget, \
    forgotten forget, found find, gave give, given give, gone go, held hold, kept keep, left leave, lost lose, paid \
    pay, said say, sent send, sold sell, spent spend, stole steal, stolen steal, taken take, took take, went go, worn \
    wear, wrote write, written write";

#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    /// Byte offset in the text.
    pub(super) start: usize,
    pub(super) term: Term,
    pub(super) stop: bool,
}

/// The words of a text, in order. A number keeps its decimal point; an apostrophe belongs to its word.
pub(super) fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..)?;
        let start = at + rest.find(char::is_alphanumeric)?;
        let end = start + word_length(&text[start..]);
        at = end;
        let text = &text[start..end];
        let (term, stop) = term_of(text);
        Some(Word { text, start, term, stop })
    })
}

/// The terms of a text without stop words and single letters.
pub(super) fn terms(text: &str) -> impl Iterator<Item = Term> {
    words(text).filter(|word| !word.stop).map(|word| word.term)
}

/// The term of a lone word.
pub(super) fn term(word: &str) -> Term {
    term_of(word).0
}

/// Terms of a key like `max_days` or `maxDays`.
pub(super) fn key_terms(key: &str) -> Vec<Term> {
    let mut spaced = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_uppercase() {
            spaced.push(' ');
        }
        spaced.push(if matches!(c, '_' | '-' | '.') { ' ' } else { c });
    }
    words(&spaced).map(|word| term(word.text)).collect()
}

fn word_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let next = bytes.get(at + c.len_utf8());
        let before = at.checked_sub(1).and_then(|i| bytes.get(i));
        let inside = match c {
            '\'' | '’' => next.is_some_and(u8::is_ascii_alphabetic),
            '.' | ',' => next.is_some_and(u8::is_ascii_digit) && before.is_some_and(u8::is_ascii_digit),
            _ => c.is_alphanumeric(),
        };
        if !inside {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

fn term_of(word: &str) -> (Term, bool) {
    let mut folded = FoldedWord::default();
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '’' if matches!(chars.as_str(), "s" | "S") => break,
            '\'' | '’' | ',' => {}
            c if c.is_ascii() => folded.push(c.to_ascii_lowercase()),
            c => c.to_lowercase().for_each(|c| folded.push(c)),
        }
    }
    let plain = folded.as_str();
    let lone_letter = plain.len() == 1 && !plain.as_bytes()[0].is_ascii_digit();
    let stop = lone_letter || STOP.contains(plain);
    if !stop {
        folded.stem();
    }
    (hash(folded.as_str().as_bytes()), stop)
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A short lower-case word without an allocation.
struct FoldedWord {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Default for FoldedWord {
    fn default() -> FoldedWord {
        FoldedWord { bytes: [0; LONGEST], length: 0 }
    }
}

impl FoldedWord {
    fn push(&mut self, c: char) {
        let end = self.length + c.len_utf8();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            c.encode_utf8(place);
            self.length = end;
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    fn ends(&self, suffix: &str) -> bool {
        self.bytes[..self.length].ends_with(suffix.as_bytes())
    }

    /// Drops a suffix if at least `keep` bytes are left.
    fn drop(&mut self, suffix: &str, keep: usize) -> bool {
        let fits = self.ends(suffix) && self.length - suffix.len() >= keep;
        if fits {
            self.length -= suffix.len();
        }
        fits
    }

    fn set(&mut self, word: &str) {
        self.length = 0;
        word.chars().for_each(|c| self.push(c));
    }

    /// Folds plural, tense and a few endings, so that forms of one word meet; the stem need not be a word.
    fn stem(&mut self) {
        if !self.as_str().is_ascii() || self.bytes[0].is_ascii_digit() {
            return;
        }
        if let Some(base) = IRREGULAR.get(self.as_str()) {
            self.set(base);
        }
        if self.drop("ies", 2) {
            self.push('y');
        } else if self.ends("xes") || self.ends("ches") || self.ends("shes") || self.ends("sses") || self.ends("zes") {
            self.length -= 2;
        } else if !(self.ends("ss") || self.ends("us") || self.ends("is")) {
            self.drop("s", 3);
        }
        let _ = self.drop("ment", 3)
            || self.drop("ation", 3)
            || self.drop("ing", 3)
            || (!self.ends("eed") && self.drop("ed", 3))
            || self.drop("able", 3)
            || self.drop("ly", 4);
        self.drop("y", 4);
        self.drop("e", 3);
        if let [.., a, b] = self.bytes[..self.length]
            && a == b
            && self.length > 3
            && !matches!(b, b'a' | b'e' | b'i' | b'o' | b'u')
        {
            self.length -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_meet() {
        for group in [
            &["plan", "plans", "planned", "planning"][..],
            &["discover", "discovered", "discovery", "discoveries"],
            &["equip", "equipped", "equipment"],
            &["travel", "travelled", "travels", "travelling"],
            &["adapt", "adaptation"],
            &["box", "boxes"],
            &["pay", "paid", "payment", "payable"],
            &["arrange", "arranged", "arranging", "arrangement"],
            &["zoo's", "zoos", "zoo"],
        ] {
            for word in group {
                assert_eq!(term(word), term(group[0]), "{word}");
            }
        }
        assert_ne!(term("port"), term("post"));
    }

    #[test]
    fn numbers_and_apostrophes_stay_whole() {
        let found: Vec<&str> = words("Don't pay £4.90, or 1,000.").map(|w| w.text).collect();
        assert_eq!(found, ["Don't", "pay", "4.90", "or", "1,000"]);
        assert_eq!(term("1,000"), term("1000"));
        assert_eq!(terms("Do you have the money?").count(), 1);
    }

    #[test]
    fn any_text_is_taken() {
        let long = "x".repeat(500);
        for text in ["", "'", "é’s ÀÉ", "日本 語", "...", "5.", long.as_str()] {
            assert!(words(text).all(|word| !word.text.is_empty()));
        }
    }
}
