//! Tests of location by ranks. They ask whether values tend to be larger, not by how much a mean differs, so the gate does
//! not decide by them; they are here to compare with tools that do.
//!
//! - F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1 (1945), 80-83.
//! - H. B. Mann, D. R. Whitney, Annals of Mathematical Statistics 18 (1947), 50-60.
//! - J. L. Hodges, E. L. Lehmann, Annals of Mathematical Statistics 34 (1963), 598-611.

use super::normal;

/// A statistic and its two-sided p-value, by the normal distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankTest {
    /// The statistic.
    pub statistic: f64,
    /// Two-sided p-value.
    pub p: f64,
}

/// Wilcoxon's signed-rank test of paired differences: zeros are left out, ties share their mean rank. The statistic is
/// the smaller of both rank sums. `None` where every difference is 0, or one is no number.
pub fn wilcoxon(differences: &[f64]) -> Option<RankTest> {
    let differing: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let n = differing.len() as f64;
    if n == 0.0 || differing.iter().any(|d| d.is_nan()) {
        return None;
    }
    let sizes: Vec<f64> = differing.iter().map(|d| d.abs()).collect();
    let ranked = Ranked::of(&sizes);
    let positive: f64 = ranked
        .ranks
        .iter()
        .zip(&differing)
        .filter(|(_, d)| **d > 0.0)
        .map(|(rank, _)| rank)
        .sum();
    let mean = n * (n + 1.0) / 4.0;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ranked.ties / 48.0;
    Some(RankTest {
        statistic: positive.min(2.0 * mean - positive),
        p: normal::two_sided((positive - mean) / variance.sqrt()),
    })
}

/// Mann and Whitney's test of two samples, with continuity correction; ties share their mean rank. The statistic is U of
/// the first: the number of pairs in which it is larger, ties counted half. `None` without values in both, where all are
/// equal, or where one is no number.
pub fn mann_whitney(first: &[f64], second: &[f64]) -> Option<RankTest> {
    let (a, b) = (first.len() as f64, second.len() as f64);
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    if a == 0.0 || b == 0.0 || all.iter().any(|value| value.is_nan()) {
        return None;
    }
    let ranked = Ranked::of(&all);
    let sum: f64 = ranked.ranks.iter().take(first.len()).sum();
    let u = sum - a * (a + 1.0) / 2.0;
    let n = a + b;
    let variance = a * b / 12.0 * (n + 1.0 - ranked.ties / (n * (n - 1.0)));
    let distance = ((u - a * b / 2.0).abs() - 0.5).max(0.0);
    (variance > 0.0).then(|| RankTest {
        statistic: u,
        p: normal::two_sided(distance / variance.sqrt()),
    })
}

/// The shift between two samples: the median of all differences `first - second`, of which there are as many as pairs.
/// `None` without values in both, or where one is no number.
pub fn hodges_lehmann(first: &[f64], second: &[f64]) -> Option<f64> {
    let mut shifts: Vec<f64> = first.iter().flat_map(|a| second.iter().map(move |b| a - b)).collect();
    if shifts.iter().any(|shift| shift.is_nan()) {
        return None;
    }
    shifts.sort_by(f64::total_cmp);
    let upper = shifts.get(shifts.len() / 2)?;
    let lower = shifts.get((shifts.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

struct Ranked {
    /// In the order of the values; ties have their mean rank.
    ranks: Vec<f64>,
    /// Sum over groups of t ties of t³ - t.
    ties: f64,
}

impl Ranked {
    fn of(values: &[f64]) -> Ranked {
        let mut order: Vec<(f64, usize)> = values.iter().copied().zip(0..).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut ranks, mut ties, mut before) = (vec![0.0; values.len()], 0.0, 0.0);
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let t = group.len() as f64;
            for (_, place) in group {
                if let Some(rank) = ranks.get_mut(*place) {
                    *rank = before + (t + 1.0) / 2.0;
                }
            }
            ties += t * t * t - t;
            before += t;
        }
        Ranked { ranks, ties }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_ties_are_their_mean() {
        let ranked = Ranked::of(&[3.0, 1.0, 3.0, 2.0, 3.0]);
        assert_eq!((ranked.ranks, ranked.ties), (vec![4.0, 1.0, 4.0, 2.0, 4.0], 24.0));
    }

    /// As scipy has them: `wilcoxon(method="asymptotic", correction=False)`, `mannwhitneyu(method="asymptotic")`.
    #[test]
    fn tests_are_those_of_scipy() {
        let (x, y) = (
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0],
            [2.5, 3.5, 4.5, 6.5, 8.5, 9.5, 11.0, 12.0, 13.0, 14.0],
        );
        let test = mann_whitney(&x, &y).unwrap();
        assert_eq!(test.statistic, 28.0);
        assert!((test.p - 0.104_109_889_660_226_81).abs() < 1e-10);
        assert_eq!(hodges_lehmann(&x, &y), Some(-3.0));
        let third = 1.0 / 3.0;
        let test = wilcoxon(&[0.0, -1.0, third, -third, -2.0 * third, third, -third, 1.0, -1.0]).unwrap();
        assert_eq!(test.statistic, 12.0);
        assert!((test.p - 0.392_570_745_742_799_6).abs() < 1e-9);
    }

    #[test]
    fn nothing_to_rank_is_no_test() {
        assert_eq!(
            (wilcoxon(&[]), wilcoxon(&[0.0, 0.0]), wilcoxon(&[f64::NAN])),
            (None, None, None)
        );
        assert_eq!((mann_whitney(&[], &[1.0]), mann_whitney(&[1.0], &[1.0])), (None, None));
        assert_eq!(
            (hodges_lehmann(&[], &[1.0]), hodges_lehmann(&[f64::NAN], &[1.0])),
            (None, None)
        );
    }
}
