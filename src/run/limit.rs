//! Pacing: the instant before which no request may leave, and slots spaced by requests and tokens a minute.

use crate::model::{Content, Part, Request};
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
    rate: Rate,
    state: Mutex<State>,
}

/// How much may leave in a minute; `None` for as much as there is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    rpm: Option<NonZeroU32>,
    tpm: Option<NonZeroU32>,
}

impl Rate {
    /// `rpm` requests and `tpm` input tokens a minute; 0 and `None` mean no rate.
    pub(super) fn new(rpm: Option<u32>, tpm: Option<u32>) -> Rate {
        Rate {
            rpm: rpm.and_then(NonZeroU32::new),
            tpm: tpm.and_then(NonZeroU32::new),
        }
    }

    /// How long the next request waits after one with so many tokens.
    fn space(self, tokens: u64) -> Duration {
        const MINUTE: Duration = Duration::from_secs(60);
        let by_requests = self.rpm.map(|rpm| MINUTE / rpm.get());
        let by_tokens = self.tpm.map(|tpm| MINUTE.mul_f64(tokens as f64 / f64::from(tpm.get())));
        by_requests.max(by_tokens).unwrap_or_default()
    }
}

/// The input tokens of a request, roughly: a token is about four bytes of text, and media count 258 (what the Gemini API
/// charges for a small image). Good enough to spread load; the service counts for itself.
pub(super) fn estimated_tokens(request: &Request) -> u64 {
    let turns = request.contents.iter().map(|Content { parts, .. }| parts);
    let parts = turns.flatten().chain(&request.system);
    parts
        .map(|part| match part {
            Part::Text(text) => text.len() as u64 / 4 + 1,
            Part::Media { .. } => 258,
        })
        .sum()
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// No request leaves earlier.
    not_before: Option<Instant>,
    /// The next free slot of the rate.
    next_slot: Option<Instant>,
}

impl Limiter {
    /// Requests are spaced as the rate says, without bursts after a pause.
    pub(super) fn new(rate: Rate) -> Limiter {
        Limiter {
            rate,
            state: Mutex::default(),
        }
    }

    /// Waits until one request with so many input tokens may leave. Slots are given in the order of the calls.
    pub(super) async fn pass(&self, tokens: u64) {
        loop {
            let slot = self.take_slot(tokens);
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
    fn take_slot(&self, tokens: u64) -> Instant {
        let mut state = self.state();
        let earliest = [Some(Instant::now()), state.not_before, state.next_slot];
        let slot = earliest.into_iter().flatten().max().unwrap_or_else(Instant::now);
        state.next_slot = slot.checked_add(self.rate.space(tokens));
        slot
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One [`Limiter`] per model: base URL and key are the same for a whole run, and the service counts per model.
#[derive(Debug)]
pub(super) struct Limiters {
    rate: Rate,
    by_model: Mutex<HashMap<String, Arc<Limiter>>>,
}

impl Limiters {
    /// Every model gets the whole rate.
    pub(super) fn new(rate: Rate) -> Limiters {
        Limiters {
            rate,
            by_model: Mutex::default(),
        }
    }

    /// The limiter of a model.
    pub(super) fn of(&self, model: &str) -> Arc<Limiter> {
        let mut by_model = self.by_model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limiter) = by_model.get(model) {
            return Arc::clone(limiter);
        }
        let limiter = Arc::new(Limiter::new(self.rate));
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
                limiter.pass(100).await;
                start.elapsed().as_millis()
            });
        }
        let mut at = tasks.join_all().await;
        at.sort_unstable();
        at
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_spaces_requests_evenly_without_a_burst_after_a_pause() {
        let limiter = Arc::new(Limiter::new(Rate::new(Some(120), None)));
        let start = Instant::now();
        assert_eq!(passes(&limiter, 4, start).await, [0, 500, 1000, 1500]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(passes(&limiter, 3, start).await, [61_500, 62_000, 62_500]);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_space_requests_where_they_are_scarcer() {
        // A hundred tokens each: 2000 a minute are 3 s each, whatever the requests allow.
        for (rpm, tpm, space) in [(None, 2000, 3000), (Some(60), 2000, 3000), (Some(10), 2000, 6000)] {
            let limiter = Arc::new(Limiter::new(Rate::new(rpm, Some(tpm))));
            assert_eq!(passes(&limiter, 3, Instant::now()).await, [0, space, 2 * space]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nothing_waits() {
        let limiter = Arc::new(Limiter::new(Rate::new(Some(0), None)));
        assert_eq!(passes(&limiter, 3, Instant::now()).await, [0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_only_moves_forward_and_survives_passes() {
        let limiter = Arc::new(Limiter::new(Rate::new(Some(0), None)));
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
        let limiter = Arc::new(Limiter::new(Rate::new(Some(60), None)));
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
        let limiters = Limiters::new(Rate::new(Some(60), None));
        limiters.of("a").hold(Duration::from_secs(30));
        let start = Instant::now();
        limiters.of("b").pass(1).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        limiters.of("a").pass(1).await;
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }

    #[test]
    fn tokens_are_estimated_from_text_and_media() {
        let text = |bytes: usize| Part::Text("x".repeat(bytes));
        let media = Part::Media {
            url: format!("data:image/png;base64,{}", "A".repeat(1_000_000)),
            content_type: None,
        };
        let request = Request {
            model: "m".to_owned(),
            system: vec![text(400)],
            contents: vec![Content {
                role: crate::model::Role::User,
                parts: vec![text(40), media],
            }],
            config: serde_json::Map::new(),
            json_output: false,
            output_schema: None,
            tools: Vec::new(),
        };
        assert_eq!(estimated_tokens(&request), 101 + 11 + 258);
    }
}
