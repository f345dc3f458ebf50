//! Percentiles of latencies in bounded memory.

use crate::domain::Latency;
use std::collections::BTreeMap;

/// Latencies by value: exact below 2048 ms, then in buckets 1/1024 of their value wide. The number of buckets is bounded
/// by the longest latency (about 7000 for a minute), whatever the number of answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    /// Lower edge of a bucket, and the answers in it.
    buckets: BTreeMap<u64, u64>,
    answers: u64,
}

/// Leading binary digits of a latency that are kept.
const DIGITS: u32 = 11;

/// The lower edge of a latency's bucket.
pub(super) fn bucket(milliseconds: u64) -> u64 {
    let dropped = (u64::BITS - milliseconds.leading_zeros()).saturating_sub(DIGITS);
    milliseconds >> dropped << dropped
}

impl Latencies {
    pub(super) fn add(&mut self, milliseconds: u64) {
        *self.buckets.entry(bucket(milliseconds)).or_default() += 1;
        self.answers += 1;
    }

    pub(super) fn percentiles(&self) -> Latency {
        Latency { p50: self.percentile(50), p95: self.percentile(95), p99: self.percentile(99) }
    }

    /// The nearest-rank percentile: the smallest latency that at least `percent` of 100 answers do not exceed.
    pub(super) fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.answers * percent).div_ceil(100);
        let mut seen = 0;
        self.buckets
            .iter()
            .find_map(|(edge, answers)| {
                seen += answers;
                (seen >= rank).then_some(*edge)
            })
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        values.into_iter().for_each(|value| latencies.add(value));
        latencies
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let latency = |p50, p95, p99| Latency { p50, p95, p99 };
        assert_eq!(of([]).percentiles(), latency(0, 0, 0));
        assert_eq!(of([7]).percentiles(), latency(7, 7, 7));
        assert_eq!(of(1..=100).percentiles(), latency(50, 95, 99));
        assert_eq!(of([10, 20, 30, 2047]).percentiles(), latency(20, 2047, 2047));
    }

    #[test]
    fn long_latencies_are_close_and_buckets_few() {
        let latencies = of((0..200_000).map(|i| i * 7 % 60_000));
        assert!(latencies.buckets.len() < 8000);
        for value in [2048, 12_345, 60_000, u64::MAX] {
            let got = of([value]).percentile(50);
            assert!(got <= value && (value - got) as f64 <= value as f64 / 1024.0);
        }
    }
}
