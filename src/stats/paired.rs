//! Two arms with pass/fail answers asked once: the paired 2x2 table.
//!
//! - McNemar: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
//!   Psychometrika 12 (1947), 153-157: given l + w cases that differ, w is binomial with 1/2. The mid-p variant counts the
//!   seen table half (M. W. Fagerland, S. Lydersen, P. Laake, BMC Medical Research Methodology 13 (2013), 91).
//!
//! For the record: McNemar's tests ask only whether there is any difference, and "not significantly worse" would promote a
//! loss of 5 points in 38% of runs with 200 cases. The gate decides by [`super::score_test`].

use super::{beta, normal};
use statrs::function::factorial::ln_binomial;
use std::f64::consts::LN_2;

/// Cases by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Both arms pass.
    pub both_pass: u64,
    /// Only the candidate passes.
    pub wins: u64,
    /// Only the baseline passes.
    pub losses: u64,
    /// Neither passes.
    pub both_fail: u64,
}

/// McNemar's tests of no difference: p-values, each 1 where no case differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct McNemar {
    /// Exact, two-sided: never rejects more often than it says.
    pub exact: f64,
    /// Mid-p, two-sided.
    pub mid_p: f64,
    /// Mid-p for a regression: small where there are few wins among the cases that differ.
    pub mid_p_regression: f64,
    /// `(w - l)² / (w + l)`, of a chi-squared distribution with one degree of freedom; 0 where no case differs.
    pub chi_squared: f64,
    /// Its p-value.
    pub asymptotic: f64,
    /// `(|w - l| - 1)² / (w + l)`: with the correction of A. L. Edwards.
    pub chi_squared_corrected: f64,
    /// Its p-value.
    pub asymptotic_corrected: f64,
}

impl Table {
    /// All of McNemar's tests.
    pub fn mcnemar(&self) -> McNemar {
        let (wins, losses) = (self.wins as f64, self.losses as f64);
        let differing = self.wins.saturating_add(self.losses);
        if differing == 0 {
            return McNemar {
                exact: 1.0,
                mid_p: 1.0,
                mid_p_regression: 1.0,
                chi_squared: 0.0,
                asymptotic: 1.0,
                chi_squared_corrected: 0.0,
                asymptotic_corrected: 1.0,
            };
        }
        let fewer = self.wins.min(self.losses);
        let (tail, at) = (fair_at_most(fewer, differing), fair(fewer, differing));
        let gap = (wins - losses).abs();
        let (plain, corrected) = (gap, (gap - 1.0).max(0.0));
        let z = |gap: f64| gap / (wins + losses).sqrt();
        McNemar {
            exact: (2.0 * tail).min(1.0),
            mid_p: if wins == losses {
                1.0 - at / 2.0
            } else {
                2.0 * tail - at
            },
            mid_p_regression: fair_at_most(self.wins, differing) - fair(self.wins, differing) / 2.0,
            chi_squared: z(plain).powi(2),
            asymptotic: normal::two_sided(z(plain)),
            chi_squared_corrected: z(corrected).powi(2),
            asymptotic_corrected: normal::two_sided(z(corrected)),
        }
    }
}

/// The probability of `x` heads of `n` coins, and of at most `x`.
fn fair(x: u64, n: u64) -> f64 {
    (ln_binomial(n, x) - n as f64 * LN_2).exp()
}

fn fair_at_most(x: u64, n: u64) -> f64 {
    if x >= n {
        return 1.0;
    }
    beta::below((n - x) as f64, x as f64 + 1.0, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() <= tolerance, "got {got}, want {want}");
    }

    /// The data of Cavo et al. as in Fagerland et al. 2014.
    const CAVO: Table = Table {
        both_pass: 59,
        wins: 6,
        losses: 16,
        both_fail: 80,
    };

    #[test]
    fn tests_are_the_published_ones() {
        let tests = CAVO.mcnemar();
        close(tests.exact, 0.052_478_790_283_203_125, 1e-12);
        close(tests.mid_p, 0.034_689_664_840_698_24, 1e-12);
        close(tests.mid_p_regression, tests.mid_p / 2.0, 1e-15);
        close(tests.asymptotic, 0.033_006_257_661_232_5, 1e-9);
        close(tests.asymptotic_corrected, 0.055_008_833_629_265_896, 1e-9);
    }

    #[test]
    fn nothing_known_rejects_and_excludes_nothing() {
        let none = Table::default();
        assert_eq!((none.mcnemar().exact, none.mcnemar().mid_p_regression), (1.0, 1.0));
    }

    #[test]
    fn a_million_differing_cases_have_p_values() {
        let tests = Table {
            wins: 500_000,
            losses: 502_000,
            ..Table::default()
        }
        .mcnemar();
        close(tests.exact, tests.asymptotic_corrected, 1e-6);
        close(tests.mid_p, tests.asymptotic, 1e-6);
    }
}
