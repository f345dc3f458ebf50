//! Texts as people compare them: words without letter case, punctuation and line breaks.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// The words of a text in lower case, in compatibility form (NFKC), with the byte of the text where each begins (which is
/// only near where the normal form has other lengths).
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    text.unicode_word_indices().map(|(at, word)| (at, word.nfkc().flat_map(char::to_lowercase).collect()))
}

/// The words alone, one blank between them.
pub(super) fn plain(text: &str) -> String {
    words(text).map(|(_, word)| word).collect::<Vec<_>>().join(" ")
}

/// FNV-1a over bytes, started anew or going on from an earlier hash. For tables of this process only: what it finds is
/// compared in full, or is an estimate.
pub(super) fn hash(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Where [`hash`] starts.
pub(super) const START: u64 = 0xcbf2_9ce4_8422_2325;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_overlook_is_overlooked() {
        assert_eq!(plain("  Can I —\n return  ＢＯＯＴＳ?"), "can i return boots");
        assert_eq!(plain("?!"), "");
        let places: Vec<usize> = words("ä b\nc").map(|(at, _)| at).collect();
        assert_eq!(places, [0, 3, 5]);
    }
}
