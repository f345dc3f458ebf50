//! What a judge that errs does to rates and margins.
//!
//! W. J. Rogan, B. Gladen, "Estimating prevalence from the results of a screening test", American Journal of Epidemiology
//! 107 (1978), 71-76.

/// How often a judge is right: both in 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judge {
    /// Sensitivity: the chance to pass what is good.
    pub sensitivity: f64,
    /// Specificity: the chance to fail what is bad.
    pub specificity: f64,
}

/// A rate and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateEstimate {
    /// The true rate; outside 0..=1 where the judge's errors alone would give another apparent rate.
    pub rate: f64,
    /// Its standard error.
    pub standard_error: f64,
}

impl Judge {
    /// Sensitivity + specificity - 1 (W. J. Youden, 1950): the share of a true difference that the judge lets through,
    /// where it errs alike in both arms. 0 for a judge that tosses a coin.
    pub fn youden(&self) -> f64 {
        self.sensitivity + self.specificity - 1.0
    }

    /// The true pass rate behind an apparent one over `n` answers: `(a + Sp - 1) / (Se + Sp - 1)`. Its standard error counts
    /// the answers, and with `labelled`, the numbers of good and of bad answers on which the judge was measured, its own
    /// uncertainty too (delta method). `None` for a judge no better than a coin, and without answers.
    pub fn rogan_gladen(&self, apparent: f64, n: u64, labelled: Option<(u64, u64)>) -> Option<RateEstimate> {
        let youden = self.youden();
        if youden.is_nan() || youden <= 0.0 || n == 0 || labelled.is_some_and(|(good, bad)| good == 0 || bad == 0) {
            return None;
        }
        let rate = (apparent + self.specificity - 1.0) / youden;
        let of_judge = labelled.map_or(0.0, |(good, bad)| {
            rate * rate * self.sensitivity * (1.0 - self.sensitivity) / good as f64
                + (1.0 - rate).powi(2) * self.specificity * (1.0 - self.specificity) / bad as f64
        });
        let variance = apparent * (1.0 - apparent) / n as f64 + of_judge;
        Some(RateEstimate { rate, standard_error: variance.sqrt() / youden })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JUDGE: Judge = Judge { sensitivity: 0.95, specificity: 0.9 };

    #[test]
    fn the_true_rate_behind_an_apparent_one() {
        let known = JUDGE.rogan_gladen(0.8, 500, None).unwrap();
        assert!((known.rate - 0.823_529_411_764_706).abs() < 1e-12);
        assert!((known.standard_error - 0.021_045_345_670_586_253).abs() < 1e-12);
        let measured = JUDGE.rogan_gladen(0.8, 500, Some((100, 100))).unwrap();
        assert!((measured.standard_error - 0.030_456_117_626_395_433).abs() < 1e-12);
    }

    #[test]
    fn a_judge_that_guesses_tells_nothing() {
        let coin = Judge { sensitivity: 0.5, specificity: 0.5 };
        assert_eq!(coin.rogan_gladen(0.5, 100, None), None);
        let nonsense = Judge { sensitivity: f64::NAN, specificity: 0.9 };
        assert_eq!(nonsense.rogan_gladen(0.5, 100, None), None);
        assert_eq!(JUDGE.rogan_gladen(0.5, 0, None), None);
        assert_eq!(JUDGE.rogan_gladen(0.5, 9, Some((0, 5))), None);
    }
}
