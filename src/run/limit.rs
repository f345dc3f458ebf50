//! Pacing: the instant before which no request may leave, and evenly spaced slots.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Lets requests go one by one.
///
/// Waiting is an instant that only moves forward: a success never brings it back, so a delay that one request was told
/// holds for all of them.
#[derive(Debug)]
pub(super) struct Limiter {
    /// Time between two requests; `None` without a rate.
    interval: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// No request leaves earlier.
    not_before: Option<Instant>,
    /// The next free slot of the rate.
    next_slot: Option<Instant>,
}

impl Limiter {
    /// `rpm` requests a minute, evenly spaced and without bursts; `None` for as many as there are.
    pub(super) fn new(rpm: Option<NonZeroU32>) -> Limiter {
        Limiter {
            interval: rpm.map(|rpm| Duration::from_secs(60) / rpm.get()),
            state: Mutex::default(),
        }
    }

    /// Waits until one request may leave. Slots are given in the order of the calls.
    pub(super) async fn pass(&self) {
        loop {
            let slot = self.take_slot();
            if slot <= Instant::now() {
                return;
            }
            sleep_until(slot).await;
            // Someone may have been told to wait meanwhile; then this slot is void and a later one is taken.
            if self.state().not_before.is_none_or(|instant| instant <= Instant::now()) {
                return;
            }
        }
    }

    /// Moves the instant before which no request leaves to `delay` from now, unless it is later already.
    pub(super) fn hold(&self, delay: Duration) {
        let Some(until) = Instant::now().checked_add(delay) else {
            return;
        };
        let mut state = self.state();
        state.not_before = Some(state.not_before.map_or(until, |instant| instant.max(until)));
    }

    /// Takes the next slot out of the rate.
    fn take_slot(&self) -> Instant {
        let mut state = self.state();
        let earliest = [Some(Instant::now()), state.not_before, state.next_slot];
        let slot = earliest.into_iter().flatten().max().unwrap_or_else(Instant::now);
        state.next_slot = self.interval.map(|interval| slot + interval);
        slot
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One [`Limiter`] per model: base URL and key are the same for a whole run, and the service counts per model.
#[derive(Debug)]
pub(super) struct Limiters {
    rpm: Option<NonZeroU32>,
    by_model: Mutex<HashMap<String, Arc<Limiter>>>,
}

impl Limiters {
    /// Every model gets `rpm` requests a minute; 0 and `None` mean no rate.
    pub(super) fn new(rpm: Option<u32>) -> Limiters {
        Limiters {
            rpm: rpm.and_then(NonZeroU32::new),
            by_model: Mutex::default(),
        }
    }

    /// The limiter of a model.
    pub(super) fn of(&self, model: &str) -> Arc<Limiter> {
        let mut by_model = self.by_model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limiter) = by_model.get(model) {
            return Arc::clone(limiter);
        }
        let limiter = Arc::new(Limiter::new(self.rpm));
        by_model.insert(model.to_owned(), Arc::clone(&limiter));
        limiter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds since `start` at which `n` concurrent passes came through, sorted.
    async fn passes(limiter: &Arc<Limiter>, n: usize, start: Instant) -> Vec<u128> {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..n {
            let limiter = Arc::clone(limiter);
            tasks.spawn(async move {
                limiter.pass().await;
                start.elapsed().as_millis()
            });
        }
        let mut at = tasks.join_all().await;
        at.sort_unstable();
        at
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_spaces_requests_evenly_without_a_burst_after_a_pause() {
        let limiter = Arc::new(Limiter::new(NonZeroU32::new(120)));
        let start = Instant::now();
        assert_eq!(passes(&limiter, 4, start).await, [0, 500, 1000, 1500]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(passes(&limiter, 3, start).await, [61_500, 62_000, 62_500]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nothing_waits() {
        let limiter = Arc::new(Limiter::new(None));
        assert_eq!(passes(&limiter, 3, Instant::now()).await, [0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_only_moves_forward_and_survives_passes() {
        let limiter = Arc::new(Limiter::new(None));
        let start = Instant::now();
        limiter.hold(Duration::from_secs(40));
        limiter.hold(Duration::from_secs(2));
        assert_eq!(passes(&limiter, 2, start).await, [40_000, 40_000]);
        limiter.hold(Duration::from_secs(1));
        assert_eq!(passes(&limiter, 1, start).await, [41_000]);
        assert_eq!(passes(&limiter, 1, start).await, [41_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_reaches_those_who_wait_already() {
        let limiter = Arc::new(Limiter::new(NonZeroU32::new(60)));
        let start = Instant::now();
        let waiting = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { passes(&limiter, 3, start).await }
        });
        tokio::time::sleep(Duration::from_millis(1500)).await;
        limiter.hold(Duration::from_secs(10));
        assert_eq!(waiting.await.unwrap(), [0, 1000, 11_500]);
    }

    #[tokio::test(start_paused = true)]
    async fn models_do_not_wait_for_each_other() {
        let limiters = Limiters::new(Some(60));
        limiters.of("a").hold(Duration::from_secs(30));
        let start = Instant::now();
        limiters.of("b").pass().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        limiters.of("a").pass().await;
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }
}
