//! What a judge that errs does to rates and margins.
//!
//! - W. J. Rogan, B. Gladen, "Estimating prevalence from the results of a screening test", American Journal of Epidemiology
//!   107 (1978), 71-76.
//! - A. N. Angelopoulos et al., "Prediction-powered inference", Science 382 (2023), 669-674: the mean of a judge's scores,
//!   corrected by how far people who looked at some of them differ.

use super::normal;

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
pub struct Corrected {
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

    /// A margin as this judge sees it: scores seen by it differ by that much where true ones differ by `margin`. `None`
    /// where it lets through less than half, so that little of what it sees is the truth.
    pub fn scaled(&self, margin: f64) -> Option<f64> {
        (self.youden() >= 0.5).then(|| margin * self.youden())
    }

    /// The true pass rate behind an apparent one over `n` answers: `(a + Sp - 1) / (Se + Sp - 1)`. Its standard error counts
    /// the answers, and with `labelled`, the numbers of good and of bad answers on which the judge was measured, its own
    /// uncertainty too (delta method). `None` for a judge no better than a coin, and without answers.
    pub fn rogan_gladen(&self, apparent: f64, n: u64, labelled: Option<(u64, u64)>) -> Option<Corrected> {
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
        Some(Corrected {
            rate,
            standard_error: variance.sqrt() / youden,
        })
    }
}

/// A mean and its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Powered {
    /// The corrected mean.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The prediction-powered mean: that of the judge over what nobody labelled, plus the mean of label - judge over what
/// people labelled, a random part. `labelled` are pairs (label, judge). Corrects also a judge that errs differently in the
/// two arms, when its scores are differences of arms. Each end is wrong with chance `alpha`.
///
/// `None` below two labelled or two unlabelled ones.
pub fn prediction_powered(labelled: &[(f64, f64)], unlabelled: &[f64], alpha: f64) -> Option<Powered> {
    if labelled.len() < 2 || unlabelled.len() < 2 {
        return None;
    }
    let corrections: Vec<f64> = labelled.iter().map(|(label, judge)| label - judge).collect();
    let (judged, judged_variance) = mean_and_variance(unlabelled);
    let (correction, correction_variance) = mean_and_variance(&corrections);
    let mean = judged + correction;
    let standard_error =
        (judged_variance / unlabelled.len() as f64 + correction_variance / labelled.len() as f64).sqrt();
    let half = normal::critical(alpha) * standard_error;
    Some(Powered {
        mean,
        standard_error,
        low: mean - half,
        high: mean + half,
    })
}

/// Variance with divisor n, as in the paper.
fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JUDGE: Judge = Judge {
        sensitivity: 0.95,
        specificity: 0.9,
    };

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
        let coin = Judge {
            sensitivity: 0.5,
            specificity: 0.5,
        };
        assert_eq!((coin.rogan_gladen(0.5, 100, None), coin.scaled(0.05)), (None, None));
        let nonsense = Judge {
            sensitivity: f64::NAN,
            specificity: 0.9,
        };
        assert_eq!(
            (nonsense.rogan_gladen(0.5, 100, None), nonsense.scaled(0.05)),
            (None, None)
        );
        assert_eq!(JUDGE.rogan_gladen(0.5, 0, None), None);
        assert_eq!(JUDGE.rogan_gladen(0.5, 9, Some((0, 5))), None);
        assert!((JUDGE.scaled(0.05).unwrap() - 0.0425).abs() < 1e-15);
    }

    #[test]
    fn labels_correct_the_judge() {
        // The judge passes everything, people half of what they saw.
        let labelled = [(1.0, 1.0), (0.0, 1.0), (1.0, 1.0), (0.0, 1.0)];
        let powered = prediction_powered(&labelled, &[1.0, 1.0, 1.0], 0.05).unwrap();
        assert_eq!((powered.mean, powered.standard_error), (0.5, 0.25));
        assert!((powered.high - powered.low - 2.0 * 0.25 * normal::critical(0.05)).abs() < 1e-12);
        assert_eq!(prediction_powered(&labelled[..1], &[1.0, 1.0], 0.05), None);
        assert_eq!(prediction_powered(&labelled, &[1.0], 0.05), None);
    }
}
