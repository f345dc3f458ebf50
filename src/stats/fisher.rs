//! Fisher's exact test for two rates, one-sided.
//!
//! R. A. Fisher, "The design of experiments" (1935). Given the margins of the table, the first cell is hypergeometric:
//! `P(X = x) = C(r1, x) C(r2, c1 - x) / C(r1 + r2, c1)`.

use statrs::function::factorial::ln_binomial;

/// The probability of seeing `first_hits` or more of all hits in the first group if both groups have the same rate.
///
/// `*_hits` of `*_total` in each group; hits beyond the total are cut. An empty group, or no hit at all, tells nothing: 1.
pub fn one_sided(first_hits: u64, first_total: u64, second_hits: u64, second_total: u64) -> f64 {
    let first_hits = first_hits.min(first_total);
    let hits = first_hits.saturating_add(second_hits.min(second_total));
    let least = hits.saturating_sub(second_total);
    if first_hits <= least {
        return 1.0;
    }
    let table = Table { first: first_total, second: second_total, hits };
    let expected = first_total as f64 * hits as f64 / (first_total as f64 + second_total as f64);
    // Each sum starts at its largest term and goes away from the mode, so that it can neither underflow nor run long.
    let p = if first_hits as f64 > expected { table.sum_up(first_hits) } else { 1.0 - table.sum_down(first_hits - 1) };
    p.clamp(0.0, 1.0)
}

struct Table {
    first: u64,
    second: u64,
    hits: u64,
}

/// A term this much smaller than the sum no longer changes it.
const NEGLIGIBLE: f64 = 1e-18;

impl Table {
    fn probability(&self, x: u64) -> f64 {
        (ln_binomial(self.first, x) + ln_binomial(self.second, self.hits - x)
            - ln_binomial(self.first + self.second, self.hits))
        .exp()
    }

    /// P(X >= from).
    fn sum_up(&self, from: u64) -> f64 {
        let (mut sum, mut term, mut x) = (0.0, self.probability(from), from);
        while term > sum * NEGLIGIBLE {
            sum += term;
            if x == self.first || x == self.hits {
                break;
            }
            term *= (self.first - x) as f64 * (self.hits - x) as f64
                / ((x + 1) as f64 * (self.second + x + 1 - self.hits) as f64);
            x += 1;
        }
        sum
    }

    /// P(X <= from).
    fn sum_down(&self, from: u64) -> f64 {
        let (mut sum, mut term, mut x) = (0.0, self.probability(from), from);
        while term > sum * NEGLIGIBLE {
            sum += term;
            if x == 0 || self.second + x == self.hits {
                break;
            }
            term *= x as f64 * (self.second + x - self.hits) as f64
                / ((self.first + 1 - x) as f64 * (self.hits + 1 - x) as f64);
            x -= 1;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_known_values() {
        let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-10, "{got} {want}");
        close(one_sided(12, 600, 3, 600), 0.017_025_049_597_252_01);
        // The tea tasting: 3 of 4 guessed right is 17/70, 4 of 4 is 1/70.
        close(one_sided(3, 4, 1, 4), 17.0 / 70.0);
        close(one_sided(4, 4, 0, 4), 1.0 / 70.0);
        // The lower half: 1 - 1/70.
        close(one_sided(1, 4, 3, 4), 69.0 / 70.0);
    }

    #[test]
    fn tells_nothing_without_data_and_never_blames_the_better_group() {
        assert_eq!(one_sided(0, 0, 0, 0), 1.0);
        assert_eq!(one_sided(0, 600, 0, 600), 1.0);
        assert_eq!(one_sided(5, 5, 0, 0), 1.0);
        assert_eq!(one_sided(0, 600, 600, 600), 1.0);
        assert!(one_sided(10, 1_000_000, 500_000, 1_000_000) > 0.999_999);
    }

    /// Every split of the hits, summed the plain way.
    #[test]
    fn equals_the_plain_sum() {
        for (first, second, hits) in [(7u64, 5u64, 4u64), (6, 30, 9), (30, 6, 20), (12, 12, 12)] {
            let table = Table { first, second, hits };
            let (least, most) = (hits.saturating_sub(second), hits.min(first));
            for x in least..=most {
                let plain: f64 = (x..=most).map(|x| table.probability(x)).sum();
                assert!((one_sided(x, first, hits - x, second) - plain).abs() < 1e-12);
            }
        }
    }
}
