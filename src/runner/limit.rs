//! When a request may leave: not before the instant that the service named, not more at once or a minute than is allowed.

use super::pace::{Pace, QuotaUnit};
use crate::provider::{Lane, Reach};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Rate limiter shared by all workers of one service and model.
///
/// Waiting is an instant that only moves forward: a success never brings it back, so a delay that concerns all requests
/// holds for all of them. What is not given is learnt, see [`Pace`].
#[derive(Debug)]
pub(super) struct Limiter {
    rate: Rate,
    state: Mutex<State>,
    /// A request has come back.
    freed: Notify,
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
        Rate { rpm: rpm.and_then(NonZeroU32::new), tpm: tpm.and_then(NonZeroU32::new) }
    }

    /// How long the next request waits after one with so many tokens.
    fn space(self, tokens: u64) -> Duration {
        const MINUTE: Duration = Duration::from_secs(60);
        let by_requests = self.rpm.map(|rpm| MINUTE / rpm.get());
        let by_tokens = self.tpm.map(|tpm| Rate::of_tokens(tpm, tokens));
        by_requests.max(by_tokens).unwrap_or_default()
    }

    /// Delay that spends `tokens` at this rate.
    fn of_tokens(tpm: NonZeroU32, tokens: u64) -> Duration {
        // An absurd count of tokens must not overflow; a day is long enough for any.
        let seconds = (60.0 * tokens as f64 / f64::from(tpm.get())).min(86_400.0);
        Duration::from_secs_f64(seconds)
    }
}

#[derive(Debug)]
struct State {
    /// No request leaves earlier.
    not_before: Option<Instant>,
    /// The next free slot of the rate.
    next_slot: Option<Instant>,
    /// Requests that have passed and not come back.
    in_flight: usize,
    pace: Pace,
    /// What [`Limiter::update`] reported last.
    reported: PaceUpdate,
}

impl State {
    /// The delay that holds everyone, while it lasts.
    fn held_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|instant| *instant > now)
    }
}

/// What a limiter has learnt; nothing, where the user's own limits hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PaceUpdate {
    /// Requests at once, if fewer than the user allows.
    pub(super) at_once: Option<usize>,
    /// Requests a minute.
    pub(super) rpm: Option<u64>,
    /// Input tokens a minute.
    pub(super) tpm: Option<u64>,
}

/// What to do before a request may leave.
enum Admission {
    /// It has a slot, which may lie ahead.
    Slot(Instant),
    /// Retry at this instant.
    At(Instant),
    /// Retry when a request has come back.
    WhenFreed,
}

/// A request that may leave. It counts as in flight until this is dropped.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    limiter: &'a Limiter,
    /// Estimated input tokens.
    tokens: u64,
    /// When it left.
    at: Instant,
}

impl Pass<'_> {
    /// The service answered, and counted so many input tokens: what was estimated is settled.
    pub(super) fn answered(&self, tokens: u64) {
        let now = Instant::now();
        let mut state = self.limiter.state();
        let more = i64::try_from(i128::from(tokens) - i128::from(self.tokens)).unwrap_or(i64::MAX);
        let before = state.pace.at_once();
        state.pace.answered(now, more);
        if let (Some(slot), Some(tpm)) = (state.next_slot, self.limiter.rate.tpm) {
            let shift = Rate::of_tokens(tpm, more.unsigned_abs());
            // Earlier than now is as good as now: what was not used does not pile up to a burst.
            let settled = if more < 0 { slot.checked_sub(shift) } else { slot.checked_add(shift) };
            state.next_slot = settled.or(Some(slot));
        }
        let places = state.pace.at_once().saturating_sub(before);
        drop(state);
        for _ in 0..places {
            self.limiter.freed.notify_one();
        }
    }

    /// The service asked to wait. Returns how long everyone waits, where no one had to before.
    pub(super) fn hold(&self, delay: Duration, reach: Reach) -> Option<Duration> {
        let counted = match reach {
            Reach::Request => return None,
            Reach::Everyone => None,
            Reach::Requests => Some(QuotaUnit::Requests),
            Reach::Tokens => Some(QuotaUnit::Tokens),
        };
        let now = Instant::now();
        let until = now.checked_add(delay)?;
        let mut state = self.limiter.state();
        if let Some(counted) = counted {
            state.pace.refused(now, self.at, counted, until);
        }
        let free = state.held_until(now).is_none();
        state.not_before = state.not_before.max(Some(until));
        (free && until > now).then_some(delay)
    }
}

impl Drop for Pass<'_> {
    /// Gives the place back. Whoever waits for one hears of it, also when the pace has risen to the most meanwhile.
    fn drop(&mut self) {
        self.limiter.state().in_flight -= 1;
        self.limiter.freed.notify_one();
    }
}

impl Limiter {
    /// At most `concurrency` at once; requests are spaced as the rate says, without bursts after a pause.
    pub(super) fn new(rate: Rate, concurrency: usize) -> Limiter {
        Limiter {
            rate,
            state: Mutex::new(State {
                not_before: None,
                next_slot: None,
                in_flight: 0,
                pace: Pace::new(concurrency, rate.rpm.is_some(), rate.tpm.is_some()),
                reported: PaceUpdate::default(),
            }),
            freed: Notify::new(),
        }
    }

    /// Waits until one request with so many input tokens may leave.
    pub(super) async fn pass(&self, tokens: u64) -> Pass<'_> {
        loop {
            // Listens before it looks, so that no return is missed.
            let freed = self.freed.notified();
            match self.admit(tokens) {
                Admission::WhenFreed => freed.await,
                Admission::At(instant) => sleep_until(instant).await,
                Admission::Slot(slot) => {
                    // From here on, giving up gives the place back.
                    let mut pass = Pass { limiter: self, tokens, at: slot };
                    if slot > Instant::now() {
                        sleep_until(slot).await;
                    }
                    let now = Instant::now();
                    let mut state = self.state();
                    // Someone may have been told to wait meanwhile; then this slot is void and a later one is taken.
                    if state.held_until(now).is_none() {
                        state.pace.sent(now, tokens);
                        drop(state);
                        pass.at = now;
                        return pass;
                    }
                }
            }
        }
    }

    /// What has been learnt, if that is other than what this reported last.
    pub(super) fn update(&self) -> Option<PaceUpdate> {
        let mut state = self.state();
        let (rpm, tpm) = state.pace.quotas_per_minute(Instant::now());
        let learnt = PaceUpdate { at_once: state.pace.is_lowered().then(|| state.pace.at_once()), rpm, tpm };
        (learnt != std::mem::replace(&mut state.reported, learnt)).then_some(learnt)
    }

    /// Takes a place among those in flight and the next slot out of the rate, if both are there.
    fn admit(&self, tokens: u64) -> Admission {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(instant) = state.held_until(now) {
            return Admission::At(instant);
        }
        state.pace.close(now);
        if state.in_flight >= state.pace.at_once() {
            return Admission::WhenFreed;
        }
        if let Some(instant) = state.pace.fits_at(now) {
            return Admission::At(instant);
        }
        state.in_flight += 1;
        let slot = state.next_slot.map_or(now, |slot| slot.max(now));
        state.next_slot = slot.checked_add(self.rate.space(tokens));
        Admission::Slot(slot)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One [`Limiter`] per service and model. A service is one base URL and one key (a key that replaces a refused one takes its
/// place, as quotas belong to the project, not to the key).
#[derive(Debug)]
pub(super) struct Limiters {
    rate: Rate,
    concurrency: usize,
    by_model: Mutex<HashMap<(Lane, String), Arc<Limiter>>>,
}

impl Limiters {
    /// Every model gets the whole rate and concurrency.
    pub(super) fn new(rate: Rate, concurrency: usize) -> Limiters {
        Limiters { rate, concurrency, by_model: Mutex::default() }
    }

    /// The limiter of a model at a service.
    pub(super) fn of(&self, lane: Lane, model: &str) -> Arc<Limiter> {
        let mut by_model = self.by_model.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter = by_model.entry((lane, model.to_owned()));
        Arc::clone(limiter.or_insert_with(|| Arc::new(Limiter::new(self.rate, self.concurrency))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A request in flight is told that everyone waits.
    fn hold(limiter: &Limiter, seconds: u64) {
        refuse(limiter, seconds, Reach::Everyone);
    }

    fn refuse(limiter: &Limiter, seconds: u64, reach: Reach) -> Option<Duration> {
        limiter.state().in_flight += 1;
        let pass = Pass { limiter, tokens: 0, at: Instant::now() };
        pass.hold(Duration::from_secs(seconds), reach)
    }

    /// Milliseconds since `start` at which `n` concurrent passes came through, sorted.
    async fn passes(limiter: &Arc<Limiter>, n: usize, start: Instant) -> Vec<u128> {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..n {
            let limiter = Arc::clone(limiter);
            tasks.spawn(async move {
                drop(limiter.pass(100).await);
                start.elapsed().as_millis()
            });
        }
        let mut at = tasks.join_all().await;
        at.sort_unstable();
        at
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_spaces_requests_evenly_without_a_burst_after_a_pause() {
        let limiter = Arc::new(Limiter::new(Rate::new(Some(120), None), 16));
        let start = Instant::now();
        assert_eq!(passes(&limiter, 4, start).await, [0, 500, 1000, 1500]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(passes(&limiter, 3, start).await, [61_500, 62_000, 62_500]);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_space_requests_where_they_are_scarcer() {
        // A hundred tokens each: 2000 a minute are 3 s each, whatever the requests allow.
        for (rpm, tpm, space) in [(None, 2000, 3000), (Some(60), 2000, 3000), (Some(10), 2000, 6000)] {
            let limiter = Arc::new(Limiter::new(Rate::new(rpm, Some(tpm)), 16));
            assert_eq!(passes(&limiter, 3, Instant::now()).await, [0, space, 2 * space]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nothing_waits() {
        let limiter = Arc::new(Limiter::new(Rate::new(Some(0), None), 16));
        assert_eq!(passes(&limiter, 3, Instant::now()).await, [0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_only_moves_forward_and_survives_passes() {
        let limiter = Arc::new(Limiter::new(Rate::new(Some(0), None), 16));
        let start = Instant::now();
        hold(&limiter, 40);
        hold(&limiter, 2);
        assert_eq!(passes(&limiter, 2, start).await, [40_000, 40_000]);
        hold(&limiter, 1);
        assert_eq!(passes(&limiter, 1, start).await, [41_000]);
        assert_eq!(passes(&limiter, 1, start).await, [41_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_reaches_those_who_wait_already() {
        let limiter = Arc::new(Limiter::new(Rate::new(Some(60), None), 16));
        let start = Instant::now();
        let waiting = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { passes(&limiter, 3, start).await }
        });
        tokio::time::sleep(Duration::from_millis(1500)).await;
        hold(&limiter, 10);
        assert_eq!(waiting.await.unwrap(), [0, 1000, 11_500]);
    }

    #[tokio::test(start_paused = true)]
    async fn models_do_not_wait_for_each_other() {
        let limiters = Limiters::new(Rate::new(Some(60), None), 16);
        hold(&limiters.of(Lane::default(), "a"), 30);
        let start = Instant::now();
        drop(limiters.of(Lane::default(), "b").pass(1).await);
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(limiters.of(Lane::default(), "a").pass(1).await);
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_of_one_request_holds_no_other() {
        let limiter = Arc::new(Limiter::new(Rate::default(), 4));
        let start = Instant::now();
        assert_eq!(refuse(&limiter, 30, Reach::Request), None);
        assert_eq!(passes(&limiter, 2, start).await, [0, 0]);
        assert_eq!(refuse(&limiter, 30, Reach::Requests), Some(Duration::from_secs(30)));
        assert_eq!(refuse(&limiter, 30, Reach::Tokens), None, "held already");
        assert_eq!(passes(&limiter, 2, start).await, [30_000, 30_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_settled_by_what_the_service_counted() {
        for (counted, next) in [(100, 6000), (300, 12_000), (10, 3300), (0, 3000)] {
            let limiter = Arc::new(Limiter::new(Rate::new(None, Some(2000)), 4));
            let start = Instant::now();
            limiter.pass(100).await.answered(counted);
            assert_eq!(passes(&limiter, 2, start).await, [next - 3000, next], "{counted} tokens instead of 100");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lowered_pace_lets_fewer_go_at_once_and_says_so_once() {
        let limiter = Arc::new(Limiter::new(Rate::default(), 8));
        assert_eq!(limiter.update(), None);
        refuse(&limiter, 1, Reach::Requests);
        let held: Vec<Pass<'_>> = vec![limiter.pass(1).await, limiter.pass(1).await, limiter.pass(1).await];
        assert_eq!(limiter.update(), Some(PaceUpdate { at_once: Some(4), ..PaceUpdate::default() }));
        assert_eq!(limiter.update(), None);
        let last = limiter.pass(1).await;
        let start = Instant::now();
        let fifth = tokio::time::timeout(Duration::from_secs(5), limiter.pass(1)).await;
        assert!(fifth.is_err(), "four are in flight");
        drop(last);
        drop(limiter.pass(1).await);
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_gives_the_place_back() {
        let limiter = Arc::new(Limiter::new(Rate::new(Some(1), None), 1));
        drop(limiter.pass(1).await);
        let given_up = tokio::time::timeout(Duration::from_secs(5), limiter.pass(1)).await;
        assert!(given_up.is_err());
        assert_eq!(limiter.state().in_flight, 0);
    }

    /// One request of a schedule: when it asks, how long it takes, and how long it is told that everyone waits.
    type Scheduled = (u64, u64, Option<u64>);

    /// Runs a schedule in virtual time; panics where a request leaves within a delay, or one too many is in flight.
    async fn follow(schedule: Vec<Scheduled>, concurrency: usize) {
        let limiter = Arc::new(Limiter::new(Rate::default(), concurrency));
        let in_flight = Arc::new(AtomicUsize::new(0));
        let not_before = Arc::new(Mutex::new(Instant::now()));
        let mut tasks = tokio::task::JoinSet::new();
        for (asks, takes, delay) in schedule {
            let (limiter, in_flight, not_before) =
                (Arc::clone(&limiter), Arc::clone(&in_flight), Arc::clone(&not_before));
            tasks.spawn(async move {
                tokio::time::sleep(Duration::from_millis(asks)).await;
                let pass = limiter.pass(1).await;
                assert!(Instant::now() >= *not_before.lock().unwrap(), "a delay was erased");
                assert!(in_flight.fetch_add(1, Ordering::SeqCst) < concurrency, "one too many");
                tokio::time::sleep(Duration::from_millis(takes)).await;
                in_flight.fetch_sub(1, Ordering::SeqCst);
                match delay {
                    Some(delay) => {
                        let delay = Duration::from_millis(delay);
                        let mut not_before = not_before.lock().unwrap();
                        *not_before = (*not_before).max(Instant::now() + delay);
                        let reach = if delay.as_millis().is_multiple_of(2) { Reach::Requests } else { Reach::Everyone };
                        pass.hold(delay, reach);
                    }
                    None => pass.answered(1),
                }
            });
        }
        // Every task ends: a request that is never let go would be a lost answer.
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        assert_eq!(limiter.state().in_flight, 0);
    }

    proptest! {
        #[test]
        fn no_schedule_of_successes_erases_a_delay_or_exceeds_the_concurrency(
            schedule in prop::collection::vec(
                (0_u64..5000, 0_u64..800, prop::option::weighted(0.3, 0_u64..3000)),
                1..60,
            ),
            concurrency in 1_usize..9,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(follow(schedule, concurrency));
        }
    }
}
