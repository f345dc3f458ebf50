//! Many tests at once: p-values adjusted so that they can be compared with one alpha.
//!
//! Y. Benjamini, Y. Hochberg, Journal of the Royal Statistical Society B 57 (1995), 289-300: the expected share of wrong
//! rejections stays at alpha, for independent or positively dependent tests, as those of overlapping tags are.

/// Benjamini and Hochberg's adjusted p-values, in the order of `p`, each in 0..=1. A test is rejected where its own is at
/// most alpha. NaN and numbers outside 0..=1 count as 1, which rejects nothing.
pub fn adjust(p: &[f64]) -> Vec<f64> {
    let n = p.len() as f64;
    let mut order: Vec<(f64, usize)> =
        p.iter().map(|p| if (0.0..=1.0).contains(p) { *p } else { 1.0 }).zip(0..).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut adjusted = vec![1.0; p.len()];
    // Step up: a p-value takes the smallest adjusted one of those that are larger.
    let mut least = 1.0f64;
    for (rank, (p, place)) in order.iter().enumerate().rev() {
        least = least.min(p * n / (rank + 1) as f64);
        adjusted[*place] = least;
    }
    adjusted
}

/// Which of these hypotheses are rejected, if among the rejected ones a share of `q` may be rejected wrongly on average.
/// Where all hypotheses are true, the chance of any rejection is at most `q`.
pub fn reject_hypotheses(chances: &[f64], q: f64) -> Vec<bool> {
    adjust(chances).into_iter().map(|p| p <= q).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn adjusted_values_are_those_of_statsmodels() {
        let got = adjust(&[0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216]);
        for (i, want) in [(0, 0.01), (1, 0.04), (2, 0.084), (9, 0.216)] {
            assert!((got[i] - want).abs() < 1e-12, "{i}: {}", got[i]);
        }
    }

    #[test]
    fn what_is_no_probability_rejects_nothing() {
        assert_eq!(adjust(&[]), Vec::<f64>::new());
        assert_eq!(adjust(&[f64::NAN, -1.0, 2.0]), [1.0; 3]);
        assert_eq!(adjust(&[0.03]), [0.03]);
    }

    proptest! {
        #[test]
        fn adjusting_never_helps_and_needs_no_order(p in prop::collection::vec(0.0f64..=1.0, 1..20), at in 0usize..20) {
            let adjusted = adjust(&p);
            prop_assert!(adjusted.iter().zip(&p).all(|(adjusted, p)| adjusted >= &(p - 1e-15) && *adjusted <= 1.0));
            let at = at % p.len();
            let turned: Vec<f64> = [&p[at..], &p[..at]].concat();
            prop_assert_eq!([&adjusted[at..], &adjusted[..at]].concat(), adjust(&turned));
        }
    }

    /// The example of the paper has 15 tests, of which four are rejected at 5%.
    #[test]
    fn several_tests_are_believed_together() {
        let paper = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
            0.7590, 1.0000,
        ];
        let rejected = reject_hypotheses(&paper, 0.05);
        assert_eq!(rejected.iter().filter(|rejected| **rejected).count(), 4);
        assert!(rejected[..4].iter().all(|rejected| *rejected));
        let mut shuffled = paper;
        shuffled.reverse();
        assert!(reject_hypotheses(&shuffled, 0.05)[11..].iter().all(|rejected| *rejected));
        // A step that fails is passed over where a later one holds.
        assert_eq!(reject_hypotheses(&[0.03, 0.04], 0.05), [true, true]);
        assert_eq!(reject_hypotheses(&[0.03, 0.06], 0.05), [false, false]);
        assert_eq!(reject_hypotheses(&[0.05], 0.05), [true]);
        assert_eq!(reject_hypotheses(&[f64::NAN], 0.05), [false]);
        assert!(reject_hypotheses(&[], 0.05).is_empty());
    }
}
