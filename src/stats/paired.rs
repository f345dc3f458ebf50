//! Two arms with pass/fail answers asked once: the paired 2x2 table.
//!
//! - McNemar: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
//!   Psychometrika 12 (1947), 153-157: given l + w cases that differ, w is binomial with 1/2. The mid-p variant counts the
//!   seen table half (M. W. Fagerland, S. Lydersen, P. Laake, BMC Medical Research Methodology 13 (2013), 91).
//! - Intervals of the difference: Wald; A. Agresti, Y. Min, Statistics in Medicine 24 (2005), 729-740; D. G. Bonett,
//!   R. M. Price, Journal of Educational and Behavioral Statistics 37 (2012), 479-488; R. G. Newcombe, Statistics in Medicine
//!   17 (1998), 2635-2650, method 10 ("square and add").
//!
//! For the record: McNemar's tests ask only whether there is any difference, and "not significantly worse" would promote a
//! loss of 5 points in 38% of runs with 200 cases. The gate decides by [`super::score_test`].

use super::{beta, normal, proportions};
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
    /// All cases.
    pub fn n(&self) -> u64 {
        [self.both_pass, self.wins, self.losses, self.both_fail]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

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

    /// Newcombe's interval of pass rate(candidate) - pass rate(baseline), with `z = critical(alpha)` of confidence
    /// 1 - 2 alpha: the ends of both arms' Wilson intervals, put together by their correlation. -1..1 without cases.
    pub fn newcombe(&self, z: f64) -> (f64, f64) {
        let n = self.n();
        if n == 0 || !z.is_finite() {
            return (-1.0, 1.0);
        }
        let size = n as f64;
        let [both, wins, losses, neither] =
            [self.both_pass, self.wins, self.losses, self.both_fail].map(|cases| cases as f64);
        let (candidate, baseline) = ((both + wins) / size, (both + losses) / size);
        let theta = (wins - losses) / size;
        let of_candidate = proportions::wilson(candidate, n, z);
        let of_baseline = proportions::wilson(baseline, n, z);
        let margins = (both + wins) * (losses + neither) * (both + losses) * (wins + neither);
        let cross = both * neither - wins * losses;
        // A positive correlation is taken half a case smaller per case, but not below none.
        let cross = if cross > 0.0 {
            (cross - size / 2.0).max(0.0)
        } else {
            cross
        };
        let phi = if margins > 0.0 { cross / margins.sqrt() } else { 0.0 };
        let add = |a: f64, b: f64| (a * a - 2.0 * phi * a * b + b * b).max(0.0).sqrt();
        (
            theta - add(candidate - of_candidate.0, of_baseline.1 - baseline),
            theta + add(baseline - of_baseline.0, of_candidate.1 - candidate),
        )
    }

    /// The plain interval `d ± z √((w + l - (w - l)²/n)) / n`; empty where no case differs. Cut to -1..=1, which it is
    /// without cases.
    pub fn wald(&self, z: f64) -> (f64, f64) {
        around(self.wins as f64, self.losses as f64, self.n() as f64, z)
    }

    /// Wald's after half a case more in every cell.
    pub fn agresti_min(&self, z: f64) -> (f64, f64) {
        let n = self.n() as f64 + 2.0;
        around(self.wins as f64 + 0.5, self.losses as f64 + 0.5, n, z)
    }

    /// Wald's after a win and a loss more.
    pub fn bonett_price(&self, z: f64) -> (f64, f64) {
        let n = self.n() as f64 + 2.0;
        around(self.wins as f64 + 1.0, self.losses as f64 + 1.0, n, z)
    }
}

fn around(wins: f64, losses: f64, n: f64, z: f64) -> (f64, f64) {
    if n <= 0.0 || !z.is_finite() {
        return (-1.0, 1.0);
    }
    let difference = (wins - losses) / n;
    let half = z * (wins + losses - (wins - losses).powi(2) / n).max(0.0).sqrt() / n;
    ((difference - half).max(-1.0), (difference + half).min(1.0))
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
    use super::normal::critical;
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
    fn intervals_are_the_published_ones() {
        let z = critical(0.025);
        for ((low, high), want) in [
            (
                CAVO.newcombe(z),
                (-0.118_621_195_638_709_92, -0.004_625_113_933_050_047),
            ),
            (CAVO.wald(z), (-0.118_399_657_661_579_87, -0.005_823_944_822_892_189_5)),
            (
                CAVO.agresti_min(z),
                (-0.118_242_009_578_826_68, -0.004_457_376_924_240_808),
            ),
            (
                CAVO.bonett_price(z),
                (-0.119_498_811_066_511_9, -0.003_200_575_436_555_566_6),
            ),
        ] {
            close(low, want.0, 1e-9);
            close(high, want.1, 1e-9);
        }
    }

    #[test]
    fn nothing_known_rejects_and_excludes_nothing() {
        let none = Table::default();
        assert_eq!((none.mcnemar().exact, none.mcnemar().mid_p_regression), (1.0, 1.0));
        assert_eq!((none.newcombe(1.6), none.wald(1.6)), ((-1.0, 1.0), (-1.0, 1.0)));
        assert_eq!(CAVO.newcombe(f64::NAN), (-1.0, 1.0));
        // All the same: the plain interval is empty, which is why nothing is decided by it.
        let same = Table { both_pass: 50, ..none };
        assert_eq!(same.wald(1.6), (0.0, 0.0));
        assert!(same.newcombe(1.6).0 < -0.02);
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
