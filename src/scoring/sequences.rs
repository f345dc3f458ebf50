//! What two sequences have in common: runs, and the longest common subsequence; and by how much they differ.

use std::collections::HashMap;
use std::hash::Hash;

/// How often each run of a length stands in a sequence.
pub(super) type Runs<'a, T> = HashMap<&'a [T], usize>;

/// Counts the runs of `length` items, which is 1 or more. Linear in the items, times `length`.
pub(super) fn runs<T: Eq + Hash>(items: &[T], length: usize) -> Runs<'_, T> {
    let mut runs = HashMap::new();
    for run in items.windows(length) {
        *runs.entry(run).or_default() += 1;
    }
    runs
}

/// How many runs both have; a run counts as often as it stands in both. Linear in the runs of `b`.
pub(super) fn common_runs<T: Eq + Hash>(a: &Runs<'_, T>, b: &Runs<'_, T>) -> usize {
    let common = |(run, count): (&&[T], &usize)| a.get(*run).map_or(0, |other| *other.min(count));
    b.iter().map(common).sum()
}

/// The length of the longest common subsequence, in time of the product of both lengths divided by 64, and in as many bits of
/// memory as `a` has items, for each different one. Bit-parallel:
/// H. Hyyrö, "Bit-parallel LCS-length computation revisited" (2004).
pub(super) fn common_subsequence<T: Eq + Hash>(a: &[T], b: &[T]) -> usize {
    let words = a.len().div_ceil(64);
    let mut places: HashMap<&T, Vec<u64>> = HashMap::new();
    for (i, item) in a.iter().enumerate() {
        places.entry(item).or_insert_with(|| vec![0; words])[i / 64] |= 1 << (i % 64);
    }
    // A bit that is 0 stands for one more item in common. The bits past the end have no place, so they stay 1.
    let mut row = vec![u64::MAX; words];
    for item in b {
        let Some(places) = places.get(item) else {
            continue;
        };
        let mut carry = false;
        for (word, places) in row.iter_mut().zip(places) {
            let (sum, over) = word.overflowing_add(*word & places);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            carry = over || over_again;
            *word = sum | (*word & !places);
        }
    }
    row.iter().map(|word| word.count_zeros() as usize).sum()
}

/// How many characters have to be added, removed or replaced to get from one text to the other (Levenshtein), in time of the
/// product of both lengths divided by 64. Bit-parallel: G. Myers, "A fast bit-vector algorithm for approximate string
/// matching" (1999), in the form of H. Hyyrö, "A bit-vector algorithm for computing Levenshtein and Damerau edit
/// distances" (2003), over several words.
pub(super) fn edit_distance(a: &[char], b: &[char]) -> usize {
    // What both begin and end with costs nothing.
    let alike = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[alike..], &b[alike..]);
    let alike = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - alike], &b[..b.len() - alike]);
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    if short.is_empty() {
        return long.len();
    }
    let places = Places::of(short);
    // A column of the textbook's table, as differences between its cells: bits of those that are one more, and one less,
    // than the cell above.
    let mut column = vec![(u64::MAX, 0_u64); places.words];
    let mut distance = short.len();
    let last = 1_u64 << ((short.len() - 1) % 64);
    for c in long {
        // The cell above the column is one more than the one left of it.
        let (mut more_above, mut less_above) = (1, 0);
        let (mut more, mut less) = (0, 0);
        for ((up, down), places) in column.iter_mut().zip(places.row(*c)) {
            let x = places | less_above;
            let diagonal = ((x & *up).wrapping_add(*up) ^ *up) | x | *down;
            (more, less) = (*down | !(diagonal | *up), diagonal & *up);
            let (more_below, less_below) = ((more << 1) | more_above, (less << 1) | less_above);
            (more_above, less_above) = (more >> 63, less >> 63);
            *up = less_below | !(diagonal | more_below);
            *down = more_below & diagonal;
        }
        distance += usize::from(more & last != 0);
        distance -= usize::from(less & last != 0);
    }
    distance
}

/// Where each character stands in a text, a bit for each place.
struct Places {
    /// Words of a row.
    words: usize,
    /// A row for each different character, after one for those that don't stand there.
    bits: Vec<u64>,
    /// The rows of ASCII characters, which most texts consist of.
    ascii: [usize; 128],
    others: HashMap<char, usize>,
}

impl Places {
    fn of(text: &[char]) -> Places {
        let words = text.len().div_ceil(64);
        let mut places = Places { words, bits: vec![0; words], ascii: [0; 128], others: HashMap::new() };
        for (i, c) in text.iter().enumerate() {
            let next = places.bits.len() / words;
            let row = match places.ascii.get_mut(*c as usize) {
                Some(row) => row,
                None => places.others.entry(*c).or_default(),
            };
            if *row == 0 {
                *row = next;
                places.bits.resize(places.bits.len() + words, 0);
            }
            places.bits[*row * words + i / 64] |= 1 << (i % 64);
        }
        places
    }

    fn row(&self, c: char) -> &[u64] {
        let row = match self.ascii.get(c as usize) {
            Some(row) => *row,
            None => self.others.get(&c).copied().unwrap_or(0),
        };
        &self.bits[row * self.words..(row + 1) * self.words]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The textbook's table.
    fn table(a: &[u8], b: &[u8]) -> usize {
        let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                rows[i + 1][j + 1] = if x == y { rows[i][j] + 1 } else { rows[i][j + 1].max(rows[i + 1][j]) };
            }
        }
        rows[a.len()][b.len()]
    }

    proptest! {
        #[test]
        fn the_common_subsequence_is_that_of_the_table(
            a in prop::collection::vec(0..4_u8, 0..200),
            b in prop::collection::vec(0..4_u8, 0..200),
        ) {
            prop_assert_eq!(common_subsequence(&a, &b), table(&a, &b));
        }

        #[test]
        fn the_edit_distance_is_that_of_the_table(a in "[abä東]{0,200}|[a-c]{60,70}", b in "[abä東]{0,200}|[a-c]{120,140}") {
            let chars = |text: &str| text.chars().collect::<Vec<char>>();
            prop_assert_eq!(edit_distance(&chars(&a), &chars(&b)), strsim::levenshtein(&a, &b));
        }
    }

    #[test]
    fn a_run_counts_as_often_as_it_stands_in_both() {
        let common = |a: &[u8], b: &[u8], length| common_runs(&runs(a, length), &runs(b, length));
        assert_eq!(common(b"aaab", b"aac", 1), 2);
        assert_eq!(common(b"aaab", b"aab", 2), 2);
        assert_eq!(common(b"a", b"aab", 2), 0);
        assert_eq!(common(b"", b"", 1), 0);
    }
}
