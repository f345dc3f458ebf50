//! The stem of an English word, by Porter's algorithm with the extensions of NLTK.
//!
//! M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980; the steps bear its numbers. NLTK's
//! `PorterStemmer` differs from the paper in its default mode, and the Python package rouge-score stems with that: a list
//! of irregular words, words of two letters, `-ies` and `-ied`, `-y`, `-alli`, `-bli`, `-fulli`, `-logi`, and where `e` is
//! put back. Each place says so. `tests/oracles/adk.py` compares.

/// Words that no rule fits, with their stems.
const IRREGULAR: [(&str, &str); 12] = [
    ("skies", "sky"),
    ("sky", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
];

/// Words that are their own stems.
const REGULAR: [&str; 4] = ["howe", "proceed", "exceed", "succeed"];

/// When a rule may replace a suffix, by what stands before it.
type Condition = fn(&[u8]) -> bool;

/// A suffix, and what replaces it.
type Rule = (&'static str, &'static str);

const STEP_2: [Rule; 21] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    // The paper has `abli`.
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    // Not in the paper.
    ("fulli", "ful"),
];

const STEP_3: [Rule; 7] =
    [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

/// `ion` is a rule of its own among them: it falls only after s or t.
const STEP_4: [&str; 19] = [
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

/// The stem of a word of lower case ASCII letters and digits. Linear in its length.
pub(super) fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == word) {
        return (*stem).to_owned();
    }
    if REGULAR.contains(&word) || word.len() <= 2 {
        return word.to_owned();
    }
    let mut word = word.as_bytes().to_vec();
    plural(&mut word);
    past_and_participle(&mut word);
    // Step 1c. The paper asks for a vowel; NLTK for a consonant, and more than it.
    if let Some(before) = word.strip_suffix(b"y")
        && before.len() > 1
        && !is_vowel(before, before.len() - 1)
    {
        replace(&mut word, 1, "i");
    }
    step_2(&mut word);
    first_fitting(&mut word, &STEP_3, |before| measure(before) > 0);
    step_4(&mut word);
    step_5(&mut word);
    word.into_iter().map(char::from).collect()
}

/// Step 1a.
fn plural(word: &mut Vec<u8>) {
    if word.ends_with(b"ies") {
        // NLTK: a single letter keeps the `e` (ties).
        let kept = if word.len() == 4 { 1 } else { 2 };
        word.truncate(word.len() - kept);
    } else if word.ends_with(b"sses") {
        word.truncate(word.len() - 2);
    } else if word.ends_with(b"s") && !word.ends_with(b"ss") {
        word.pop();
    }
}

/// Step 1b.
fn past_and_participle(word: &mut Vec<u8>) {
    // NLTK: not in the paper.
    if word.ends_with(b"ied") {
        let kept = if word.len() == 4 { 1 } else { 2 };
        return word.truncate(word.len() - kept);
    }
    if let Some(before) = word.strip_suffix(b"eed") {
        if measure(before) > 0 {
            word.pop();
        }
        return;
    }
    let has_vowel = |before: &[u8]| (0..before.len()).any(|at| is_vowel(before, at));
    let ending = ["ed", "ing"].into_iter().find(|ending| word.strip_suffix(ending.as_bytes()).is_some_and(has_vowel));
    let Some(ending) = ending else { return };
    replace(word, ending.len(), "");
    if [&b"at"[..], b"bl", b"iz"].iter().any(|end| word.ends_with(end)) {
        word.push(b'e');
    } else if ends_with_double_consonant(word) {
        if !matches!(word.last(), Some(b'l' | b's' | b'z')) {
            word.pop();
        }
    } else if measure(word) == 1 && ends_like_hop(word) {
        word.push(b'e');
    }
}

fn step_2(word: &mut Vec<u8>) {
    // NLTK goes on with what is left: `-ationalli` is `-ational` first.
    while let Some(before) = word.strip_suffix(b"alli")
        && measure(before) > 0
    {
        replace(word, 4, "al");
    }
    // NLTK: here the `l` counts as part of what stands before the suffix.
    if let Some(before) = word.strip_suffix(b"ogi").filter(|before| before.ends_with(b"l")) {
        if measure(before) > 0 {
            word.pop();
        }
        return;
    }
    first_fitting(word, &STEP_2, |before| measure(before) > 0);
}

fn step_4(word: &mut Vec<u8>) {
    let Some(suffix) = STEP_4.iter().find(|suffix| word.ends_with(suffix.as_bytes())) else {
        return;
    };
    let before = &word[..word.len() - suffix.len()];
    if measure(before) > 1 && (*suffix != "ion" || matches!(before.last(), Some(b's' | b't'))) {
        replace(word, suffix.len(), "");
    }
}

fn step_5(word: &mut Vec<u8>) {
    if let Some(before) = word.strip_suffix(b"e") {
        let measure = measure(before);
        if measure > 1 || (measure == 1 && !ends_like_hop(before)) {
            word.pop();
        }
    }
    if word.ends_with(b"ll") && measure(&word[..word.len() - 1]) > 1 {
        word.pop();
    }
}

/// The first rule whose suffix the word has decides, whether or not its condition holds.
fn first_fitting(word: &mut Vec<u8>, rules: &[Rule], holds: Condition) {
    if let Some((suffix, instead)) = rules.iter().find(|(suffix, _)| word.ends_with(suffix.as_bytes()))
        && holds(&word[..word.len() - suffix.len()])
    {
        replace(word, suffix.len(), instead);
    }
}

fn replace(word: &mut Vec<u8>, length: usize, instead: &str) {
    word.truncate(word.len() - length);
    word.extend_from_slice(instead.as_bytes());
}

/// A vowel is a, e, i, o, u, and a `y` after a consonant.
fn is_vowel(word: &[u8], at: usize) -> bool {
    match word[at] {
        b'a' | b'e' | b'i' | b'o' | b'u' => true,
        b'y' => {
            // Each `y` of a run turns around what the one before it is.
            let run = word[..at].iter().rev().take_while(|letter| **letter == b'y').count();
            let starts_as_vowel = run < at && !matches!(word[at - run - 1], b'a' | b'e' | b'i' | b'o' | b'u');
            starts_as_vowel ^ (run % 2 == 1)
        }
        _ => false,
    }
}

/// How often a consonant follows a vowel: the paper's m.
fn measure(word: &[u8]) -> usize {
    let (mut count, mut vowel_before) = (0, false);
    for (at, letter) in word.iter().enumerate() {
        let vowel = match letter {
            b'a' | b'e' | b'i' | b'o' | b'u' => true,
            b'y' => at > 0 && !vowel_before,
            _ => false,
        };
        count += usize::from(vowel_before && !vowel);
        vowel_before = vowel;
    }
    count
}

/// The paper's *d.
fn ends_with_double_consonant(word: &[u8]) -> bool {
    matches!(word, [.., a, b] if a == b) && !is_vowel(word, word.len() - 1)
}

/// The paper's *o: a consonant, a vowel, and a consonant other than w, x and y. NLTK: a vowel and a consonant alone, too.
fn ends_like_hop(word: &[u8]) -> bool {
    let vowel = |at| is_vowel(word, at);
    match word.len() {
        0 | 1 => false,
        2 => vowel(0) && !vowel(1),
        n => !vowel(n - 3) && vowel(n - 2) && !vowel(n - 1) && !matches!(word[n - 1], b'w' | b'x' | b'y'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn words_have_the_stems_that_nltk_gives_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/adk.json");
        let file = std::fs::read_to_string(path).unwrap();
        let head: Value = serde_json::from_str(file.lines().next().unwrap()).unwrap();
        let pairs = head["stems"].as_array().unwrap();
        assert!(pairs.len() > 2000, "{} words", pairs.len());
        for pair in pairs {
            let word = pair[0].as_str().unwrap();
            assert_eq!(stem(word), pair[1], "{word}");
        }
    }

    proptest! {
        #[test]
        fn the_measure_counts_by_the_same_vowels(word in "[aeyxbl]{0,12}") {
            let letters: Vec<bool> = (0..word.len()).map(|at| is_vowel(word.as_bytes(), at)).collect();
            let count = letters.windows(2).filter(|pair| pair[0] && !pair[1]).count();
            prop_assert_eq!(measure(word.as_bytes()), count);
        }

        #[test]
        fn any_word_has_a_stem(word in "[a-z0-9]{1,20}") {
            let stem = stem(&word);
            prop_assert!(!stem.is_empty() && stem.len() <= word.len() + 1);
        }
    }
}
