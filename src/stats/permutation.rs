//! The sign-flip test of paired differences: R. A. Fisher, "The design of experiments" (1935), section 21.
//!
//! If both arms are exchangeable each difference could as well have had the other sign. It tests that there is no
//! difference, exactly and with any scores; it can't test a margin, so the gate uses it only where no margin is asked for.

use std::collections::BTreeMap;

/// p-values of the sum of differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignFlip {
    /// P(sum <= seen): small for a regression.
    pub regression: f64,
    /// P(|sum| >= |seen|).
    pub two_sided: f64,
}

/// Steps (differences times possible sums) that are affordable: about a second.
const MAX_STEPS: u128 = 500_000_000;

/// Over all signs, by adding up distributions: the cost grows with the sum of sizes, not with the number of sign patterns.
/// Takes how many cases have which difference, in whole parts, as [`super::score_test::Differences::new`] does.
///
/// `None` where the exact distribution would take more than some 5 x 10⁸ steps.
pub fn sign_flip(histogram: &BTreeMap<i64, u64>) -> Option<SignFlip> {
    let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
    for (difference, cases) in histogram.iter().filter(|(difference, _)| **difference != 0) {
        *sizes.entry(difference.unsigned_abs()).or_default() += cases;
    }
    // A common factor changes nothing but the cost.
    let factor = sizes.keys().fold(0, |a, b| gcd(a, *b)).max(1);
    let steps: u128 = sizes.values().map(|cases| u128::from(*cases)).sum();
    let reach: u128 = sizes
        .iter()
        .map(|(size, cases)| u128::from(size / factor) * u128::from(*cases))
        .sum();
    if steps.saturating_mul(reach) > MAX_STEPS {
        return None;
    }
    let reach = usize::try_from(reach).ok()?;

    // chances[i] is that of the positive differences adding up to i; the sum is then 2 i - reach.
    let mut chances = vec![0.0; reach + 1];
    chances[0] = 1.0;
    let mut so_far = 0;
    for (size, cases) in &sizes {
        let size = usize::try_from(size / factor).ok()?;
        for _ in 0..*cases {
            so_far += size;
            for at in (0..=so_far).rev() {
                let without = if at + size <= so_far { chances[at] } else { 0.0 };
                let with = if at >= size { chances[at - size] } else { 0.0 };
                chances[at] = (without + with) / 2.0;
            }
        }
    }
    let seen: i128 = histogram
        .iter()
        .filter(|(difference, _)| **difference > 0)
        .map(|(difference, cases)| i128::from(*difference) / i128::from(factor) * i128::from(*cases))
        .sum();
    let positive = usize::try_from(seen).ok()?;
    let at_most = |end: usize| chances.iter().take(end + 1).sum::<f64>().min(1.0);
    // The distribution is symmetric.
    let nearer_end = positive.min(reach - positive);
    Some(SignFlip {
        regression: at_most(positive),
        two_sided: if 2 * nearer_end == reach {
            1.0
        } else {
            (2.0 * at_most(nearer_end)).min(1.0)
        },
    })
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn eight_differences() {
        let flipped = sign_flip(&BTreeMap::from([(-3, 2), (-2, 1), (-1, 2), (0, 12), (1, 2), (3, 1)])).unwrap();
        assert_eq!((flipped.regression, flipped.two_sided), (0.261_718_75, 0.523_437_5));
    }

    #[test]
    fn nothing_to_flip_and_too_much() {
        let none = SignFlip {
            regression: 1.0,
            two_sided: 1.0,
        };
        assert_eq!(sign_flip(&BTreeMap::new()), Some(none));
        assert_eq!(sign_flip(&BTreeMap::from([(0, 9)])), Some(none));
        assert_eq!(sign_flip(&BTreeMap::from([(7, 1_000_000), (5, 1)])), None);
        // Ten thousand losses of ticks are ten thousand losses.
        let lost = sign_flip(&BTreeMap::from([(-1_000_000, 1_000)])).unwrap();
        assert!(lost.regression < 1e-300);
    }

    proptest! {
        #[test]
        fn every_pattern_of_signs_counts_once(differences in prop::collection::vec(-4i64..=4, 0..10)) {
            let seen: i64 = differences.iter().sum();
            let (mut below, mut far, all) = (0u32, 0u32, 1u32 << differences.len());
            for signs in 0..all {
                let sum: i64 = differences.iter().enumerate().map(|(i, d)| if signs >> i & 1 == 1 { -d } else { *d }).sum();
                below += u32::from(sum <= seen);
                far += u32::from(sum.abs() >= seen.abs());
            }
            let mut histogram = BTreeMap::new();
            differences.iter().for_each(|d| *histogram.entry(*d).or_default() += 1);
            let flipped = sign_flip(&histogram).unwrap();
            prop_assert!((flipped.regression - f64::from(below) / f64::from(all)).abs() < 1e-12);
            prop_assert!((flipped.two_sided - f64::from(far) / f64::from(all)).abs() < 1e-12);
        }
    }
}
