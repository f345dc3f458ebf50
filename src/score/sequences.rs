//! What two sequences have in common: runs, and the longest common subsequence.

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The textbook's table.
    fn table(a: &[u8], b: &[u8]) -> usize {
        let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                rows[i + 1][j + 1] = if x == y {
                    rows[i][j] + 1
                } else {
                    rows[i][j + 1].max(rows[i + 1][j])
                };
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
