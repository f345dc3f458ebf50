//! How often the rule to promote is wrong at worst, counted and not simulated.

use super::normal::critical;
use super::score_test::{CORRECTION, Differences};
use statrs::function::factorial::ln_factorial;
use std::collections::BTreeMap;

/// Rates of wins at which the worst is looked for.
pub const WIN_RATES: [f64; 13] = [
    0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4,
];

/// The largest chance, over [`WIN_RATES`], to promote a candidate that is worse by just the margin, when each of `n` cases
/// is asked once. All splits of n into losses, ties and wins are enumerated, some n²/2 of them: meant for n up to a few
/// hundred.
pub fn worst_promotion(n: u32, margin: f64, alpha: f64) -> f64 {
    let z = critical(alpha);
    let mut promoting = Vec::new();
    for losses in 0..=n {
        for wins in 0..=n - losses {
            let ties = n - losses - wins;
            let split = BTreeMap::from([(-1, u64::from(losses)), (0, u64::from(ties)), (1, u64::from(wins))]);
            if Differences::new(&split, 1).z(-margin, CORRECTION) >= z {
                promoting.push((losses, ties, wins));
            }
        }
    }
    let factorial = |count: u32| ln_factorial(u64::from(count));
    let power = |p: f64, count: u32| if count == 0 { 0.0 } else { f64::from(count) * p.ln() };
    let chance = |win: f64| -> f64 {
        let (loss, tie) = (win + margin, 1.0 - 2.0 * win - margin);
        if tie < 0.0 {
            return 0.0;
        }
        promoting
            .iter()
            .map(|&(losses, ties, wins)| {
                let ways = factorial(n) - factorial(losses) - factorial(ties) - factorial(wins);
                (ways + power(loss, losses) + power(tie, ties) + power(win, wins)).exp()
            })
            .sum()
    };
    WIN_RATES.into_iter().map(chance).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_cases_promote_a_loss_of_five_points_in_less_than_four_percent() {
        assert!((worst_promotion(20, 0.05, 0.05) - 0.036_478_844_132_956_47).abs() < 1e-6);
        assert_eq!(worst_promotion(0, 0.05, 0.05), 0.0);
    }
}
