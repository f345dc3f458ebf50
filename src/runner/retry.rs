//! When a failed attempt is repeated: the policy is data, a delay is a pure function of it.

use std::time::Duration;

/// Exponential backoff with full jitter, and a limit on waiting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The longest a first repetition waits.
    pub base: Duration,
    /// What each further repetition multiplies that by; at least 1.
    pub factor: f64,
    /// The longest any repetition waits, unless the service asks for more.
    pub max: Duration,
    /// The longest one job waits for its repetitions, all together. A job whose next wait would exceed it fails at once.
    pub max_total: Duration,
}

impl Default for RetryPolicy {
    /// 1 s, doubled up to 60 s (the constants of the official SDKs), 10 minutes in all.
    fn default() -> RetryPolicy {
        RetryPolicy {
            base: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(60),
            max_total: Duration::from_secs(600),
        }
    }
}

impl RetryPolicy {
    /// How long to wait after the failure of attempt `attempt` (from 1) of the job with this key.
    ///
    /// Full jitter: uniform in 0..=`base` × `factor`^(`attempt` − 1), capped at `max`; drawn from the key and the
    /// attempt, so that a run repeats exactly. A delay `requested` by the service comes first and a jitter up to `base` on top of
    /// it: all jobs are told the same, and must not come back in the same instant. It does not grow with the attempts, for
    /// the service has said when it may work.
    pub fn delay(&self, key: &[u8; 32], attempt: u32, requested: Option<Duration>) -> Duration {
        let grown = if requested.is_some() { 0 } else { attempt.saturating_sub(1) };
        let exponent = i32::try_from(grown).unwrap_or(i32::MAX);
        // Infinity (a large attempt) is fine: `min` brings it back to the cap.
        let ceiling = (self.base.as_secs_f64() * self.factor.max(1.0).powi(exponent)).min(self.max.as_secs_f64());
        let jitter = Duration::from_secs_f64(ceiling * fastrand::Rng::with_seed(seed(key, attempt)).f64());
        requested.unwrap_or_default().saturating_add(jitter)
    }
}

/// A seed of its own for every attempt of every job.
fn seed(key: &[u8; 32], attempt: u32) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&key[..8]);
    // The multiplier is 2^64 divided by the golden ratio: consecutive attempts land far apart.
    u64::from_le_bytes(first) ^ u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> [u8; 32] {
        [n; 32]
    }

    #[test]
    fn delays_stay_below_a_doubling_ceiling_and_fill_it() {
        let policy = RetryPolicy::default();
        for attempt in 1..=12 {
            let ceiling = f64::from(2_u32.pow(attempt - 1)).min(60.0);
            let delays: Vec<f64> = (0..=255).map(|n| policy.delay(&key(n), attempt, None).as_secs_f64()).collect();
            assert!(delays.iter().all(|delay| (0.0..=ceiling).contains(delay)));
            let mean = delays.iter().sum::<f64>() / delays.len() as f64;
            assert!((0.4..0.6).contains(&(mean / ceiling)), "attempt {attempt}: mean {mean}");
        }
    }

    #[test]
    fn a_delay_depends_on_job_and_attempt_only() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay(&key(1), 3, None), policy.delay(&key(1), 3, None));
        assert_ne!(policy.delay(&key(1), 3, None), policy.delay(&key(2), 3, None));
        assert_ne!(policy.delay(&key(1), 7, None), policy.delay(&key(1), 8, None));
    }

    #[test]
    fn a_told_delay_is_a_minimum() {
        let policy = RetryPolicy::default();
        for (n, attempt) in (0..=255).zip((1..=9).cycle()) {
            let delay = policy.delay(&key(n), attempt, Some(Duration::from_secs(44)));
            assert!((44.0..=45.0).contains(&delay.as_secs_f64()), "{delay:?}");
        }
    }

    #[test]
    fn extreme_policies_do_not_overflow() {
        let policy = RetryPolicy { factor: f64::MAX, ..RetryPolicy::default() };
        assert!(policy.delay(&key(9), u32::MAX, None) <= Duration::from_secs(60));
        assert_eq!(policy.delay(&key(9), 1, Some(Duration::MAX)), Duration::MAX);
        let nowhere = RetryPolicy { factor: f64::NAN, base: Duration::ZERO, ..policy };
        assert_eq!(nowhere.delay(&key(9), 5, None), Duration::ZERO);
    }
}
