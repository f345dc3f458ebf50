//! Many tests at once: p-values adjusted so that they can be compared with one alpha.
//!
//! - Bonferroni, and S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
//!   (1979), 65-70; with Z. Šidák's step for independent tests: the chance of any wrong rejection stays at alpha.
//! - Y. Benjamini, Y. Hochberg, Journal of the Royal Statistical Society B 57 (1995), 289-300: the expected share of wrong
//!   rejections stays at alpha, for independent or positively dependent tests, as those of overlapping tags are.
//! - Y. Benjamini, D. Yekutieli, Annals of Statistics 29 (2001), 1165-1188: the same under any dependence.

/// How p-values are adjusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// Times the number of tests.
    Bonferroni,
    /// Holm's steps, each Bonferroni's of the rest.
    Holm,
    /// Holm's steps, each Šidák's of the rest.
    HolmSidak,
    /// Benjamini and Hochberg.
    BenjaminiHochberg,
    /// Benjamini and Yekutieli.
    BenjaminiYekutieli,
}

impl Adjustment {
    /// The adjusted p-values, in the order of `p`, each in 0..=1. A test is rejected where its own is at most alpha. What
    /// is no probability counts as 1, which rejects nothing.
    pub fn adjust(self, p: &[f64]) -> Vec<f64> {
        let n = p.len() as f64;
        let mut order: Vec<(f64, usize)> = p
            .iter()
            .map(|p| if (0.0..=1.0).contains(p) { *p } else { 1.0 })
            .zip(0..)
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let harmonic: f64 = (1..=p.len()).map(|i| 1.0 / i as f64).sum();
        let stepped = order.iter().zip(0..).map(|((p, place), before)| {
            let (rest, rank) = (n - f64::from(before), f64::from(before) + 1.0);
            let adjusted = match self {
                Adjustment::Bonferroni => p * n,
                Adjustment::Holm => p * rest,
                // 1 - (1 - p)^rest, without losing the digits of a small p.
                Adjustment::HolmSidak => -((-p).ln_1p() * rest).exp_m1(),
                Adjustment::BenjaminiHochberg => p * n / rank,
                Adjustment::BenjaminiYekutieli => p * n * harmonic / rank,
            };
            (adjusted.min(1.0), *place)
        });
        let mut stepped: Vec<(f64, usize)> = stepped.collect();
        // Adjusted values keep the order of the plain ones: upwards for steps that stop at the first that is not
        // rejected, downwards for those that start at the last that is.
        match self {
            Adjustment::Bonferroni => {}
            Adjustment::Holm | Adjustment::HolmSidak => in_order(stepped.iter_mut(), f64::max),
            Adjustment::BenjaminiHochberg | Adjustment::BenjaminiYekutieli => {
                in_order(stepped.iter_mut().rev(), f64::min);
            }
        }
        stepped.sort_by_key(|(_, place)| *place);
        stepped.into_iter().map(|(adjusted, _)| adjusted).collect()
    }
}

/// Which of these hypotheses are rejected, if among the rejected ones a share of `q` may be rejected wrongly on average
/// (Benjamini and Hochberg). Where all hypotheses are true, the chance of any rejection is at most `q`.
pub fn believed(chances: &[f64], q: f64) -> Vec<bool> {
    let adjusted = Adjustment::BenjaminiHochberg.adjust(chances);
    adjusted.into_iter().map(|p| p <= q).collect()
}

fn in_order<'a>(values: impl Iterator<Item = &'a mut (f64, usize)>, keep: fn(f64, f64) -> f64) {
    let mut last = None;
    for (value, _) in values {
        *value = last.map_or(*value, |last| keep(*value, last));
        last = Some(*value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const P: [f64; 10] = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216];

    /// The first three and the last of each, as statsmodels has them.
    #[test]
    fn adjusted_values_are_those_of_statsmodels() {
        for (adjustment, want) in [
            (Adjustment::Bonferroni, [0.01, 0.08, 0.39, 1.0]),
            (Adjustment::Holm, [0.01, 0.072, 0.312, 0.615]),
            (
                Adjustment::HolmSidak,
                [
                    0.009_955_119_790_251_791,
                    0.069_738_496_010_823_26,
                    0.272_576_878_252_814_74,
                    0.497_540_125,
                ],
            ),
            (Adjustment::BenjaminiHochberg, [0.01, 0.04, 0.084, 0.216]),
            (
                Adjustment::BenjaminiYekutieli,
                [
                    0.029_289_682_539_682_536,
                    0.117_158_730_158_730_14,
                    0.246_033_333_333_333_33,
                    0.632_657_142_857_142_8,
                ],
            ),
        ] {
            let got = adjustment.adjust(&P);
            for (i, want) in [0, 1, 2, 9].into_iter().zip(want) {
                assert!((got[i] - want).abs() < 1e-12, "{adjustment:?} {i}: {}", got[i]);
            }
        }
    }

    #[test]
    fn what_is_no_probability_rejects_nothing() {
        let all = [
            Adjustment::Bonferroni,
            Adjustment::Holm,
            Adjustment::HolmSidak,
            Adjustment::BenjaminiHochberg,
            Adjustment::BenjaminiYekutieli,
        ];
        for adjustment in all {
            assert_eq!(adjustment.adjust(&[]), Vec::<f64>::new());
            assert_eq!(adjustment.adjust(&[f64::NAN, -1.0, 2.0]), [1.0; 3]);
            assert_eq!(adjustment.adjust(&[0.03]), [0.03]);
        }
    }

    proptest! {
        #[test]
        fn adjusting_never_helps_and_needs_no_order(p in prop::collection::vec(0.0f64..=1.0, 1..20), at in 0usize..20) {
            for adjustment in [Adjustment::Holm, Adjustment::HolmSidak, Adjustment::BenjaminiHochberg, Adjustment::BenjaminiYekutieli] {
                let adjusted = adjustment.adjust(&p);
                prop_assert!(adjusted.iter().zip(&p).all(|(adjusted, p)| adjusted >= &(p - 1e-15) && *adjusted <= 1.0));
                let at = at % p.len();
                let turned: Vec<f64> = [&p[at..], &p[..at]].concat();
                let back = adjustment.adjust(&turned);
                prop_assert_eq!([&adjusted[at..], &adjusted[..at]].concat(), back);
            }
        }
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
