//! Chances in the tail of a distribution, and how many of several may be believed at once.

use statrs::function::beta::beta_reg;
use statrs::function::erf;
use std::f64::consts::SQRT_2;

/// The chance that a standard normal variable is at most `z`. 1 for a `z` that is no number, so that nothing is shown by it.
pub(super) fn normal_below(z: f64) -> f64 {
    if z.is_nan() { 1.0 } else { 0.5 * erf::erfc(-z / SQRT_2) }
}

/// The chance that Student's t with this many degrees of freedom is at least `t`. 1 where it is not defined.
pub(super) fn student_above(t: f64, freedom: f64) -> f64 {
    if t.is_nan() || freedom.is_nan() || freedom <= 0.0 {
        return 1.0;
    }
    if t.is_infinite() {
        return if t > 0.0 { 0.0 } else { 1.0 };
    }
    let both = beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t));
    if t >= 0.0 { both / 2.0 } else { 1.0 - both / 2.0 }
}

/// Which of these hypotheses are rejected, if among the rejected ones a share of `q` may be rejected wrongly on average:
/// Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", JRSS B 57 (1995), 289-300. It holds for independent
/// tests and for positively dependent ones, like those of tags that share cases. Where all hypotheses are true, the chance
/// of any rejection is at most `q`.
pub(super) fn believed(chances: &[f64], q: f64) -> Vec<bool> {
    let mut sorted = chances.to_vec();
    sorted.sort_by(f64::total_cmp);
    let steps = sorted.len() as f64;
    let cut = sorted
        .iter()
        .zip(1u32..)
        .filter(|(p, rank)| **p <= q * f64::from(*rank) / steps)
        .map(|(p, _)| *p)
        .last();
    chances.iter().map(|p| cut.is_some_and(|cut| *p <= cut)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As scipy 1.17 prints them: norm.cdf, t.sf.
    #[test]
    fn tails_are_those_of_the_tables() {
        for (z, p) in [
            (0.0, 0.5),
            (-1.644_853_626_951_472_2, 0.05),
            (1.959_963_984_540_054, 0.975),
            (-6.0, 9.865_876_450_376_98e-10),
        ] {
            assert!((normal_below(z) / p - 1.0).abs() < 1e-10, "{z}");
        }
        for (t, freedom, p) in [
            (0.0, 5.0, 0.5),
            (1.729_132_811_521_367, 19.0, 0.05),
            (-1.729_132_811_521_367, 19.0, 0.95),
            (12.706_204_736_432_095, 1.0, 0.025),
            (2.364_624_251_592_784_4, 7.0, 0.025),
        ] {
            assert!((student_above(t, freedom) / p - 1.0).abs() < 1e-9, "{t}");
        }
    }

    #[test]
    fn what_is_not_defined_shows_nothing() {
        assert_eq!((normal_below(f64::NAN), student_above(f64::NAN, 3.0)), (1.0, 1.0));
        assert_eq!((student_above(2.0, 0.0), student_above(2.0, f64::NAN)), (1.0, 1.0));
        assert_eq!(student_above(f64::INFINITY, 3.0), 0.0);
        assert_eq!(student_above(f64::NEG_INFINITY, 3.0), 1.0);
        assert_eq!(
            (normal_below(f64::NEG_INFINITY), normal_below(f64::INFINITY)),
            (0.0, 1.0)
        );
    }

    /// The example of the paper has 15 tests, of which four are rejected at 5%.
    #[test]
    fn several_tests_are_believed_together() {
        let paper = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
            0.7590, 1.0000,
        ];
        let rejected = believed(&paper, 0.05);
        assert_eq!(rejected.iter().filter(|rejected| **rejected).count(), 4);
        assert!(rejected[..4].iter().all(|rejected| *rejected));
        let mut shuffled = paper;
        shuffled.reverse();
        assert!(believed(&shuffled, 0.05)[11..].iter().all(|rejected| *rejected));
        // A step that fails is passed over where a later one holds.
        assert_eq!(believed(&[0.03, 0.04], 0.05), [true, true]);
        assert_eq!(believed(&[0.03, 0.06], 0.05), [false, false]);
        assert_eq!(believed(&[0.05], 0.05), [true]);
        assert_eq!(believed(&[f64::NAN], 0.05), [false]);
        assert!(believed(&[], 0.05).is_empty());
    }
}
