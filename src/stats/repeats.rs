//! A case asked several times: how reliable it is, and what a rule for must-pass cases does to it.

use super::beta;

/// pass@k: the chance that at least one of `k` answers passes, estimated without bias from `passes` of `n`:
/// `1 - C(n - c, k) / C(n, k)` (M. Chen et al., arXiv:2107.03374, 2021). `None` where k is 0 or more than n.
pub fn pass_at(n: u32, passes: u32, k: u32) -> Option<f64> {
    all_of(n, n.saturating_sub(passes), k).map(|none| 1.0 - none)
}

/// pass^k: the chance that all of `k` answers pass, estimated without bias from `passes` of `n`: `C(c, k) / C(n, k)`
/// (S. Yao et al., "τ-bench", arXiv:2406.12045, 2024). `None` where k is 0 or more than n.
pub fn pass_all(n: u32, passes: u32, k: u32) -> Option<f64> {
    all_of(n, passes, k)
}

/// The chance that k drawn of n without replacement are all among `marked`.
fn all_of(n: u32, marked: u32, k: u32) -> Option<f64> {
    (1..=n).contains(&k).then(|| (0..k).map(|i| f64::from(marked.saturating_sub(i)) / f64::from(n - i)).product())
}

/// A must-pass rule with a second look: `first` answers; where one of them fails, `more`; blocked at `failures` in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondLook {
    /// Answers in any case.
    pub first: u32,
    /// Answers after a failure among the first.
    pub more: u32,
    /// So many failures of all answers block; at least 1.
    pub failures: u32,
}

/// Three answers; after any failure seven more, and two failures of the ten block. A case that fails once in a thousand
/// times blocks twice in 100,000 runs, one that fails half the time in 87 of 100.
pub const SECOND_LOOK: SecondLook = SecondLook { first: 3, more: 7, failures: 2 };

impl SecondLook {
    /// The chance that a case blocks whose answers fail with chance `failing`, independently of each other:
    /// `Σ_{i >= 1} P(i of the first fail) P(failures - i or more of the others fail)`.
    pub fn chance_to_block(&self, failing: f64) -> f64 {
        if failing.is_nan() {
            return 1.0;
        }
        let f = failing.clamp(0.0, 1.0);
        (1..=self.first)
            .map(|i| exactly(i, self.first, f) * at_least(self.failures.saturating_sub(i), self.more, f))
            .sum::<f64>()
            .min(1.0)
    }
}

fn exactly(x: u32, n: u32, p: f64) -> f64 {
    at_least(x, n, p) - at_least(x + 1, n, p)
}

/// P(X >= x) for a binomial X.
fn at_least(x: u32, n: u32, p: f64) -> f64 {
    if x == 0 {
        1.0
    } else if x > n {
        0.0
    } else {
        beta::below(f64::from(x), f64::from(n - x) + 1.0, p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reliability_of_k_answers() {
        assert!((pass_at(10, 7, 3).unwrap() - 0.991_666_666_666_666_7).abs() < 1e-15);
        assert!((pass_all(10, 7, 3).unwrap() - 0.291_666_666_666_666_7).abs() < 1e-15);
        assert_eq!((pass_at(10, 7, 8), pass_all(10, 7, 8)), (Some(1.0), Some(0.0)));
        for (n, k) in [(5, 0), (5, 6), (0, 1)] {
            assert_eq!((pass_at(n, 3, k), pass_all(n, 3, k)), (None, None));
        }
    }

    #[test]
    fn a_second_look_forgives_one_failure_and_not_two() {
        for (f, want) in [
            (0.001, 2.389_325_162_237_775_3e-5),
            (0.05, 0.048_087_588_541_308_596),
            (0.5, 0.872_070_312_500_000_2),
            (0.0, 0.0),
            (1.0, 1.0),
            (f64::NAN, 1.0),
        ] {
            assert!((SECOND_LOOK.chance_to_block(f) - want).abs() < 1e-12, "{f}");
        }
        // Any failure of three.
        let strict = SecondLook { first: 3, more: 0, failures: 1 };
        assert!((strict.chance_to_block(0.05) - 0.142_625).abs() < 1e-12);
    }
}
