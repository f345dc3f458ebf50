//! What a run learns about a limit that nobody told it: how many requests at once, and how many requests and input tokens
//! a minute, the service lets through.
//!
//! Additive increase, multiplicative decrease. A refusal for a quota per minute opens an *episode* that lasts as long as the
//! service asks to wait; when it closes, what was too much is lowered once, in proportion to the share of requests that the
//! episode refused (as DCTCP, RFC 8257, does with marked packets): a quota that is really spent refuses them all and halves
//! the pace, while a few refusals among many answers cost next to nothing. Everything here is a function of the instants it
//! is given.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The time a quota counts over.
const MINUTE: Duration = Duration::from_secs(60);
/// A window's worth of answers raises the requests at once by this share of their most.
const STEP_AT_ONCE: f64 = 1.0 / 20.0;
/// A minute raises a learnt quota by this share of its first value.
const STEP_A_MINUTE: f64 = 1.0 / 50.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuotaUnit {
    /// Requests.
    Requests,
    /// Input tokens.
    Tokens,
}

/// Requests at once, and what went out in the last minute, against what is let through.
#[derive(Debug)]
pub(super) struct Pace {
    /// The most requests at once.
    most: f64,
    /// The requests at once that are allowed now; 1 to `most`.
    at_once: f64,
    episode: Option<Episode>,
    /// When the last episode closed: a refusal of a request that left earlier says nothing about the pace since.
    closed: Option<Instant>,
    minute: LastMinute,
    requests: Quota,
    tokens: Quota,
}

/// The time from a refusal to the instant that the service named.
#[derive(Debug)]
struct Episode {
    counted: QuotaUnit,
    until: Instant,
    refused: u32,
    answered: u32,
    /// What had gone out in the minute before it opened.
    sent: u64,
}

/// A quota per minute, learnt or not.
#[derive(Debug)]
struct Quota {
    /// It is given by the user, so nothing is learnt.
    given: bool,
    learnt: Option<Estimate>,
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    /// Per minute, at `since`.
    base: f64,
    /// More per minute and minute.
    step: f64,
    since: Instant,
}

impl Estimate {
    fn now(&self, now: Instant) -> f64 {
        let minutes = now.saturating_duration_since(self.since).as_secs_f64() / MINUTE.as_secs_f64();
        self.base + self.step * minutes
    }
}

impl Pace {
    /// At first `most` requests at once; a quota that is given is not learnt.
    pub(super) fn new(most: usize, requests_given: bool, tokens_given: bool) -> Pace {
        let quota = |given| Quota { given, learnt: None };
        let most = most.max(1) as f64;
        Pace {
            most,
            at_once: most,
            episode: None,
            closed: None,
            minute: LastMinute::default(),
            requests: quota(requests_given),
            tokens: quota(tokens_given),
        }
    }

    /// The requests at once that are allowed now; at least 1.
    pub(super) fn at_once(&self) -> usize {
        self.at_once as usize
    }

    /// They are fewer than the user allows.
    pub(super) fn is_lowered(&self) -> bool {
        self.at_once < self.most
    }

    /// The learnt quotas per minute: requests, input tokens.
    pub(super) fn quotas_per_minute(&self, now: Instant) -> (Option<u64>, Option<u64>) {
        let value = |quota: &Quota| quota.learnt.map(|learnt| learnt.now(now) as u64);
        (value(&self.requests), value(&self.tokens))
    }

    /// The earliest instant at which another request fits into what is learnt; `None` for now.
    pub(super) fn fits_at(&mut self, now: Instant) -> Option<Instant> {
        let (requests, tokens) = self.quotas_per_minute(now);
        self.minute.forget(now);
        let requests = requests.and_then(|quota| self.minute.below(QuotaUnit::Requests, quota.max(1)));
        let tokens = tokens.and_then(|quota| self.minute.below(QuotaUnit::Tokens, quota.max(1)));
        requests.max(tokens)
    }

    /// A request with so many estimated input tokens leaves.
    pub(super) fn sent(&mut self, now: Instant, tokens: u64) {
        self.minute.add(now, 1, tokens);
    }

    /// A request was answered, and had `more` input tokens than estimated (fewer, if negative).
    pub(super) fn answered(&mut self, now: Instant, more: i64) {
        self.minute.correct(now, more);
        if let Some(episode) = &mut self.episode {
            episode.answered += 1;
        }
        if self.is_lowered() {
            let step = (self.most * STEP_AT_ONCE).max(1.0);
            self.at_once = (self.at_once + step / self.at_once).min(self.most);
        }
    }

    /// A request that left at `sent` was refused for a quota per minute until `until`.
    pub(super) fn refused(&mut self, now: Instant, sent: Instant, counted: QuotaUnit, until: Instant) {
        if self.closed.is_some_and(|closed| sent < closed) {
            return;
        }
        match &mut self.episode {
            Some(episode) => {
                episode.refused += 1;
                episode.until = episode.until.max(until);
            }
            None => {
                self.minute.forget(now);
                self.episode =
                    Some(Episode { counted, until, refused: 1, answered: 0, sent: self.minute.total(counted) });
            }
        }
    }

    /// Closes an episode whose time is over, and lowers the pace, once.
    pub(super) fn close(&mut self, now: Instant) {
        let Some(episode) = self.episode.take_if(|episode| episode.until <= now) else {
            return;
        };
        self.closed = Some(now);
        let refused = f64::from(episode.refused);
        let factor = 1.0 - refused / (refused + f64::from(episode.answered)) / 2.0;
        self.at_once = (self.at_once * factor).max(1.0);
        self.learn(now, &episode, factor);
    }

    /// Lowers what the episode's quota is thought to be, at most once a minute: only a whole minute shows what fits into one.
    fn learn(&mut self, now: Instant, episode: &Episode, factor: f64) {
        let quota = match episode.counted {
            QuotaUnit::Requests => &mut self.requests,
            QuotaUnit::Tokens => &mut self.tokens,
        };
        let since = quota.learnt.map(|learnt| learnt.since).or(self.minute.first);
        if quota.given || since.is_none_or(|since| now.saturating_duration_since(since) < MINUTE) {
            return;
        }
        let known = quota.learnt.map_or(f64::INFINITY, |learnt| learnt.now(now));
        let base = (known.min(episode.sent as f64) * factor).max(1.0);
        let step = quota.learnt.map_or((base * STEP_A_MINUTE).max(1.0), |learnt| learnt.step);
        quota.learnt = Some(Estimate { base, step, since: now });
    }
}

/// What went out in the last minute, in steps of a second.
#[derive(Debug, Default)]
struct LastMinute {
    /// When the first request left; seconds count from here.
    first: Option<Instant>,
    /// Second, requests, input tokens; at most 61.
    seconds: VecDeque<(u64, u64, u64)>,
    requests: u64,
    tokens: u64,
}

impl LastMinute {
    fn total(&self, counted: QuotaUnit) -> u64 {
        match counted {
            QuotaUnit::Requests => self.requests,
            QuotaUnit::Tokens => self.tokens,
        }
    }

    fn add(&mut self, now: Instant, requests: u64, tokens: u64) {
        let first = *self.first.get_or_insert(now);
        self.forget(now);
        let second = now.saturating_duration_since(first).as_secs();
        match self.seconds.back_mut() {
            Some(last) if last.0 == second => {
                last.1 += requests;
                last.2 = last.2.saturating_add(tokens);
            }
            Some(_) | None => self.seconds.push_back((second, requests, tokens)),
        }
        self.requests += requests;
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// Settles an estimate; what is too much is taken from the newest seconds.
    fn correct(&mut self, now: Instant, more: i64) {
        if more >= 0 {
            self.add(now, 0, more.unsigned_abs());
            return;
        }
        let mut less = more.unsigned_abs();
        for (_, _, tokens) in self.seconds.iter_mut().rev() {
            let taken = less.min(*tokens);
            *tokens -= taken;
            self.tokens -= taken;
            less -= taken;
        }
    }

    /// Forgets what is older than a minute.
    fn forget(&mut self, now: Instant) {
        let Some(first) = self.first else { return };
        let second = now.saturating_duration_since(first).as_secs();
        while let Some((oldest, requests, tokens)) = self.seconds.front().copied()
            && oldest + MINUTE.as_secs() < second
        {
            self.seconds.pop_front();
            self.requests -= requests;
            self.tokens = self.tokens.saturating_sub(tokens);
        }
    }

    /// When so much has gone that the total is below `quota`; `None` if it is already.
    fn below(&self, counted: QuotaUnit, quota: u64) -> Option<Instant> {
        let mut left = self.total(counted);
        let mut gone = None;
        for (second, requests, tokens) in &self.seconds {
            if left < quota {
                break;
            }
            left -= match counted {
                QuotaUnit::Requests => *requests,
                QuotaUnit::Tokens => (*tokens).min(left),
            };
            gone = Some(*second);
        }
        // A second is forgotten when the one that is a minute and one later begins.
        let after = Duration::from_secs(gone? + MINUTE.as_secs() + 1);
        self.first?.checked_add(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Opens an episode at `now` with so many refusals and answers, and closes it.
    fn episode(pace: &mut Pace, now: Instant, refused: u32, answered: u32) {
        for _ in 0..refused {
            pace.refused(now, now, QuotaUnit::Requests, now + seconds(1));
        }
        for _ in 0..answered {
            pace.answered(now, 0);
        }
        pace.close(now + seconds(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_quota_halves_once_a_window_and_a_stray_refusal_hardly_counts() {
        let start = Instant::now();
        let mut pace = Pace::new(200, false, false);
        pace.refused(start, start, QuotaUnit::Requests, start + seconds(2));
        for _ in 0..199 {
            pace.refused(start, start, QuotaUnit::Requests, start + seconds(2));
        }
        pace.close(start + seconds(1));
        assert_eq!(pace.at_once(), 200, "the window is still open");
        pace.close(start + seconds(2));
        pace.close(start + seconds(3));
        assert_eq!(pace.at_once(), 100);
        // A straggler that left before the window closed lowers nothing again.
        pace.refused(start + seconds(4), start, QuotaUnit::Requests, start + seconds(5));
        pace.close(start + seconds(9));
        assert_eq!(pace.at_once(), 100);

        let mut pace = Pace::new(200, false, false);
        episode(&mut pace, start, 10, 90);
        assert_eq!(pace.at_once(), 190, "a tenth refused costs a twentieth");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_raise_it_again_step_by_step_to_the_most() {
        let start = Instant::now();
        let mut pace = Pace::new(100, false, false);
        episode(&mut pace, start, 1, 0);
        assert_eq!(pace.at_once(), 50);
        for _ in 0..50 {
            pace.answered(start, 0);
        }
        assert_eq!(pace.at_once(), 54, "a window of answers raises it by nearly a twentieth of the most");
        for _ in 0..2000 {
            pace.answered(start, 0);
        }
        assert_eq!((pace.at_once(), pace.is_lowered()), (100, false));
        for at in 0..20 {
            episode(&mut pace, start + seconds(10 * at), 5, 0);
        }
        assert_eq!(pace.at_once(), 1, "but never below one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_is_learnt_from_a_whole_minute_and_grows() {
        let start = Instant::now();
        let mut pace = Pace::new(4, false, false);
        for at in 0..70 {
            pace.sent(start + seconds(at), 10);
        }
        let mut early = Pace::new(4, false, false);
        early.sent(start, 10);
        episode(&mut early, start + seconds(30), 1, 0);
        assert_eq!(early.quotas_per_minute(start + seconds(31)), (None, None));

        episode(&mut pace, start + seconds(69), 1, 1);
        // 61 seconds are kept, so that no second counts too early as gone; a refusal for every answer costs a quarter.
        assert_eq!(pace.quotas_per_minute(start + seconds(70)), (Some(45), None));
        assert_eq!(pace.quotas_per_minute(start + seconds(130)), (Some(46), None));
        assert!(pace.fits_at(start + seconds(70)).is_some_and(|at| at > start + seconds(70)));
        assert_eq!(pace.fits_at(start + seconds(200)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_learnt_apart_and_a_given_quota_is_not() {
        let start = Instant::now();
        for (requests_given, tokens_given, counted, learnt) in [
            (false, false, QuotaUnit::Tokens, (None, Some(500))),
            (false, true, QuotaUnit::Tokens, (None, None)),
            (true, false, QuotaUnit::Requests, (None, None)),
            (false, false, QuotaUnit::Requests, (Some(1), None)),
        ] {
            let mut pace = Pace::new(4, requests_given, tokens_given);
            pace.sent(start, 1);
            let now = start + seconds(80);
            pace.sent(now, 300);
            pace.answered(now, 700);
            pace.refused(now, now, counted, now + seconds(1));
            pace.close(now + seconds(1));
            assert_eq!(pace.quotas_per_minute(now + seconds(1)), learnt, "{counted:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_fits_waits_for_the_oldest_seconds_to_leave() {
        let start = Instant::now();
        let mut minute = LastMinute::default();
        for at in [0, 0, 5, 20] {
            minute.add(start + seconds(at), 1, 100);
        }
        assert_eq!(minute.below(QuotaUnit::Requests, 5), None);
        assert_eq!(minute.below(QuotaUnit::Requests, 4), Some(start + seconds(61)));
        assert_eq!(minute.below(QuotaUnit::Requests, 2), Some(start + seconds(66)));
        assert_eq!(minute.below(QuotaUnit::Tokens, 1), Some(start + seconds(81)));
        minute.correct(start + seconds(21), -150);
        assert_eq!(minute.total(QuotaUnit::Tokens), 250);
        minute.correct(start + seconds(21), -1000);
        assert_eq!(minute.total(QuotaUnit::Tokens), 0);
        minute.forget(start + seconds(66));
        assert_eq!(minute.total(QuotaUnit::Requests), 1);
    }
}
