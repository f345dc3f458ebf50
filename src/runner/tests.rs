//! The loop against a scripted target, in virtual time: delays are asserted to the millisecond and nothing sleeps.

use super::*;
use crate::domain::{Answer, Event, FailureKind, JobResult, JobTurn, Source, fixtures};
use crate::provider::{ProviderError, Reach, Retry};
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// What one attempt does.
#[derive(Clone)]
enum Step {
    /// Answers after so many milliseconds.
    Answer(u64),
    Fail(Retry),
    /// Fails after so many milliseconds.
    FailLate(u64, Retry),
    /// Is told after 5 ms to wait so many seconds, and whom that concerns.
    Wait(u64, Reach),
    /// Fails as transport does; for the outage breaker.
    Down,
    Panic,
}

/// Answers attempt `n` of a case with step `n` of its script; the last step repeats.
struct Scripted {
    scripts: HashMap<String, Vec<Step>>,
    otherwise: Vec<Step>,
    start: Instant,
    asked: Mutex<Vec<(String, u128)>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    source: Source,
}

impl Scripted {
    fn new<const N: usize>(otherwise: Vec<Step>, scripts: [(&str, Vec<Step>); N]) -> Scripted {
        Scripted {
            scripts: scripts.map(|(case, script)| (case.to_owned(), script)).into(),
            otherwise,
            start: Instant::now(),
            asked: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            source: Source::Live,
        }
    }

    fn asked(&self) -> Vec<(String, u128)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Provider for Scripted {
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async {
            let case = job.case.to_string();
            let step = {
                let mut asked = self.asked.lock().unwrap();
                let attempt = asked.iter().filter(|(asked, _)| *asked == case).count();
                asked.push((case.clone(), self.start.elapsed().as_millis()));
                let script = self.scripts.get(&case).unwrap_or(&self.otherwise);
                script[attempt.min(script.len() - 1)].clone()
            };
            let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_in_flight.fetch_max(now, Ordering::SeqCst);
            let failed = |kind, retry| Err(ProviderError::new(kind, "scripted", "as scripted", retry));
            let result = match step {
                Step::Answer(millis) => {
                    sleep(Duration::from_millis(millis)).await;
                    Ok(Answer { text: case, ..Answer::default() })
                }
                Step::Fail(retry) => failed(FailureKind::Request, retry),
                Step::FailLate(millis, retry) => {
                    sleep(Duration::from_millis(millis)).await;
                    failed(FailureKind::Request, retry)
                }
                Step::Wait(seconds, reach) => {
                    sleep(Duration::from_millis(5)).await;
                    let after = Retry::After(Duration::from_secs(seconds));
                    failed(FailureKind::RateLimit, after).map_err(|error: ProviderError| error.reaching(reach))
                }
                Step::Down => failed(FailureKind::Transport, Retry::Backoff),
                Step::Panic => panic!("a bug in the target"),
            };
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            result
        })
    }

    fn source(&self) -> Source {
        self.source
    }
}

/// Keeps arrivals in memory; can be slow, or fail from the n-th on.
#[derive(Default)]
struct Memory {
    arrivals: Mutex<Vec<JobResult>>,
    slow: Option<Duration>,
    full_at: Option<usize>,
    first: Notify,
}

impl AnswerSink for Memory {
    async fn keep(&self, arrival: JobResult) -> Result<(), String> {
        if let Some(slow) = self.slow {
            sleep(slow).await;
        }
        let mut arrivals = self.arrivals.lock().unwrap();
        if self.full_at.is_some_and(|full| arrivals.len() >= full) {
            return Err("the disk is full".to_owned());
        }
        arrivals.push(arrival);
        self.first.notify_one();
        Ok(())
    }
}

#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl Progress for Events {
    fn on(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// A run, its parts, and how it ended.
struct Ran {
    end: RunSummary,
    target: Arc<Scripted>,
    keep: Arc<Memory>,
    events: Arc<Events>,
    millis: u128,
}

impl Ran {
    /// (case, ok, attempts) in the order of cases.
    fn arrivals(&self) -> Vec<(String, bool, u32)> {
        let arrivals = self.keep.arrivals.lock().unwrap();
        let mut seen: Vec<_> = arrivals
            .iter()
            .map(|arrival| (arrival.meta.case.to_string(), arrival.result.is_ok(), arrival.attempts))
            .collect();
        seen.sort();
        seen
    }

    /// Milliseconds waited, in the order of arrival.
    fn waited(&self) -> Vec<Option<u64>> {
        let arrivals = self.keep.arrivals.lock().unwrap();
        arrivals.iter().map(|arrival| arrival.waited_ms).collect()
    }

    fn failure(&self, case: &str) -> Failure {
        let arrivals = self.keep.arrivals.lock().unwrap();
        let of_case = arrivals.iter().find(|arrival| arrival.meta.case.as_str() == case).unwrap();
        of_case.result.clone().unwrap_err()
    }

    /// The waits that were announced, in milliseconds.
    fn waits(&self) -> Vec<u128> {
        let events = self.events.0.lock().unwrap();
        let wait = |event: &Event| if let Event::Retrying { wait, .. } = event { Some(wait.as_millis()) } else { None };
        events.iter().filter_map(wait).collect()
    }
}

fn job(seq: u64) -> Job {
    Job { seq, key: [seq as u8; 32], ..fixtures::job(&format!("c{seq}")) }
}

/// Echoes the body of each turn; the second turn fails the first time.
#[derive(Default)]
struct Echo {
    bodies: Mutex<Vec<String>>,
}

impl Provider for Echo {
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async {
            let body = String::from_utf8(job.body.to_vec()).unwrap();
            let mut bodies = self.bodies.lock().unwrap();
            bodies.push(body.clone());
            if bodies.len() == 2 {
                return Err(ProviderError::new(FailureKind::Transport, "reset", "as scripted", Retry::Backoff));
            }
            let usage = Usage { prompt: 10, ..Default::default() };
            Ok(Answer { text: body, latency_ms: 3, usage, ..Answer::default() })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_asked_turn_by_turn_and_repeated_as_a_whole() {
    let turn = |body: &'static [u8]| JobTurn { request: job(0).request, body: Arc::from(body) };
    let (first, second) = (turn(b"hello"), turn(b"and then?"));
    let conversation = Job { body: first.body, later: vec![second], ..job(0) };
    let (sending, queue) = mpsc::channel(1);
    sending.send(conversation).await.unwrap();
    drop(sending);
    let (echo, keep) = (Arc::new(Echo::default()), Arc::new(Memory::default()));
    let live = LiveRun {
        target: echo.clone(),
        limits: Limits::default(),
        price: Arc::new(|_: &str, _: &Usage| Some(0.0)),
        keep: Arc::clone(&keep),
        progress: Arc::new(Events::default()),
        cancel: CancellationToken::new(),
    };
    let end = live.run(queue).await;
    assert_eq!(end.ended, StopReason::Complete);
    assert_eq!(*echo.bodies.lock().unwrap(), ["hello", "and then?", "hello", "and then?"]);
    let arrivals = keep.arrivals.lock().unwrap();
    assert_eq!((arrivals.len(), arrivals[0].attempts), (1, 2));
    let answer = arrivals[0].result.as_ref().unwrap();
    assert_eq!((answer.text.as_str(), answer.usage.prompt, answer.latency_ms), ("and then?", 20, 6));
}

/// Feeds `n` jobs, and stops feeding when nobody listens any more.
fn jobs(n: u64) -> mpsc::Receiver<Job> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for seq in 0..n {
            if sender.send(job(seq)).await.is_err() {
                return;
            }
        }
    });
    receiver
}

fn one_at_a_time() -> Limits {
    at_once(1)
}

fn at_once(concurrency: usize) -> Limits {
    Limits { concurrency, ..Limits::default() }
}

/// Repeats without a pause of its own choice.
fn without_backoff(limits: Limits) -> Limits {
    Limits { retry: RetryPolicy { base: Duration::ZERO, ..RetryPolicy::default() }, ..limits }
}

async fn ran(n: u64, target: Scripted, limits: Limits) -> Ran {
    ran_with(n, target, limits, Memory::default(), CancellationToken::new()).await
}

async fn ran_with(n: u64, target: Scripted, limits: Limits, keep: Memory, cancel: CancellationToken) -> Ran {
    let start = Instant::now();
    let (target, keep, events) = (Arc::new(target), Arc::new(keep), Arc::new(Events::default()));
    let price: Arc<Price<'static>> = Arc::new(|model: &str, _: &Usage| (model == "m").then_some(0.25));
    let live = LiveRun {
        target: target.clone(),
        limits,
        price,
        keep: Arc::clone(&keep),
        progress: Arc::clone(&events) as Arc<dyn Progress>,
        cancel,
    };
    Ran { end: live.run(jobs(n)).await, target, keep, events, millis: start.elapsed().as_millis() }
}

#[tokio::test(start_paused = true)]
async fn every_job_arrives_once_and_no_more_than_the_permits_are_in_flight() {
    let ran = ran(10, Scripted::new(vec![Step::Answer(100)], []), at_once(4)).await;
    assert_eq!(ran.end.ended, StopReason::Complete);
    assert_eq!((ran.end.requests, ran.end.retries, ran.end.cost_usd), (10, 0, Some(2.5)));
    assert_eq!(ran.arrivals().len(), 10);
    assert!(ran.arrivals().iter().all(|(_, ok, attempts)| *ok && *attempts == 1));
    assert_eq!(ran.target.most_in_flight.load(Ordering::SeqCst), 4);
    assert_eq!(ran.millis, 300);
}

#[tokio::test(start_paused = true)]
async fn no_jobs_and_no_concurrency_still_end() {
    let ran = ran(0, Scripted::new(vec![Step::Answer(0)], []), at_once(0)).await;
    assert_eq!((ran.end.ended, ran.end.cost_usd), (StopReason::Complete, Some(0.0)));
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_free_only_when_the_answer_is_kept() {
    let keep = Memory { slow: Some(Duration::from_secs(1)), ..Memory::default() };
    let target = Scripted::new(vec![Step::Answer(0)], []);
    let ran = ran_with(3, target, one_at_a_time(), keep, CancellationToken::new()).await;
    let asked: Vec<u128> = ran.target.asked().into_iter().map(|(_, at)| at).collect();
    assert_eq!(asked, [0, 1000, 2000]);
}

#[tokio::test(start_paused = true)]
async fn retries_wait_as_the_policy_says() {
    let target = Scripted::new(vec![Step::Fail(Retry::Backoff), Step::Fail(Retry::Backoff), Step::Answer(0)], []);
    let ran = ran(1, target, one_at_a_time()).await;
    let policy = RetryPolicy::default();
    let waits = [policy.delay(&[0; 32], 1, None), policy.delay(&[0; 32], 2, None)];
    assert_eq!(ran.waits(), waits.map(|wait| wait.as_millis()));
    assert_eq!(ran.arrivals(), [("c0".to_owned(), true, 3)]);
    assert_eq!((ran.end.requests, ran.end.retries), (3, 2));
    // Timers have a resolution of a millisecond and never fire early.
    let total = (waits[0] + waits[1]).as_millis();
    assert!((total..=total + 2).contains(&ran.millis), "{} after {total}", ran.millis);
    // The answer came at once, so all of it was waiting.
    assert_eq!(ran.waited(), [Some(ran.millis as u64)]);
}

#[tokio::test(start_paused = true)]
async fn waiting_is_no_part_of_the_last_attempt() {
    let late = vec![Step::FailLate(700, Retry::KeyChanged), Step::Answer(5_000)];
    let late = ran(1, Scripted::new(late, []), one_at_a_time()).await;
    assert_eq!(late.waited(), [Some(700)]);
    let never = Scripted::new(vec![Step::FailLate(700, Retry::Never)], []);
    let failed = ran(1, never, one_at_a_time()).await;
    assert_eq!(failed.waited(), [Some(0)]);
    // One attempt a minute: the second job waits for its turn.
    let limits = Limits { rpm: Some(1), ..one_at_a_time() };
    let paced = ran(2, Scripted::new(vec![Step::Answer(10)], []), limits).await;
    let waited = paced.waited();
    assert_eq!(waited[0], Some(0));
    assert!(waited[1].is_some_and(|waited| (59_900..=60_000).contains(&waited)), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_told_delay_holds_everyone_and_a_success_does_not_erase_it() {
    let limits = without_backoff(at_once(2));
    let slow_down = Step::FailLate(5, Retry::After(Duration::from_secs(44)));
    // c1 is in flight when c0 is told to wait, and succeeds; c2 and c3 must wait nevertheless.
    let target = Scripted::new(vec![Step::Answer(10)], [("c0", vec![slow_down, Step::Answer(10)])]);
    let ran = ran(4, target, limits).await;
    let mut asked = ran.target.asked();
    asked.sort();
    let at: Vec<u128> = asked.iter().map(|(_, at)| *at).collect();
    assert_eq!(at, [0, 44_005, 0, 44_005, 44_015], "{asked:?}");
    assert_eq!(ran.waits(), [44_000]);
}

/// The decisions of the loop: what fails, what becomes of its job and of the run, after how many requests and how long.
#[tokio::test(start_paused = true)]
async fn every_consequence_leads_to_its_decision() {
    let after = |seconds| Retry::After(Duration::from_secs(seconds));
    for (retry, ok, requests, complete, millis) in [
        (Retry::Never, false, 1, true, 0),
        (Retry::Backoff, true, 2, true, 0),
        (after(7), true, 2, true, 7000),
        (after(601), false, 1, true, 0),
        (Retry::KeyChanged, true, 2, true, 0),
        (Retry::KeyRefused, false, 1, false, 0),
        (Retry::QuotaSpent, false, 1, false, 0),
    ] {
        let script = vec![Step::Fail(retry), Step::Answer(0)];
        let ran = ran(1, Scripted::new(script, []), without_backoff(one_at_a_time())).await;
        assert_eq!(ran.arrivals(), [("c0".to_owned(), ok, requests)], "{retry:?}");
        assert_eq!(ran.end.ended == StopReason::Complete, complete, "{retry:?}");
        assert_eq!(ran.millis, millis, "{retry:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_key_costs_no_repetition() {
    let limits = Limits { retries: 0, ..one_at_a_time() };
    let script = vec![Step::Fail(Retry::KeyChanged), Step::Answer(0)];
    let ran = ran(1, Scripted::new(script, []), limits).await;
    assert_eq!(ran.arrivals(), [("c0".to_owned(), true, 2)]);
    assert_eq!(ran.waits(), [0_u128; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_delay_holds_those_whom_it_concerns() {
    for (reach, at, held) in [
        (Reach::Request, [0, 0, 10, 9000], 0),
        (Reach::Everyone, [0, 0, 9000, 9000], 1),
        (Reach::Requests, [0, 0, 9000, 9000], 1),
        (Reach::Tokens, [0, 0, 9000, 9000], 1),
    ] {
        let limits = without_backoff(at_once(2));
        let wait = vec![Step::Wait(9, reach), Step::Answer(10)];
        let ran = ran(3, Scripted::new(vec![Step::Answer(10)], [("c0", wait)]), limits).await;
        let mut asked: Vec<u128> = ran.target.asked().into_iter().map(|(_, at)| at).collect();
        asked.sort_unstable();
        assert!(asked.iter().zip(at).all(|(asked, at)| (at..at + 20).contains(asked)), "{reach:?}: {asked:?}");
        let events = ran.events.0.lock().unwrap();
        let holds = events.iter().filter(|event| matches!(event, Event::Held { .. })).count();
        assert_eq!(holds, held, "{reach:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lowered_pace_is_told_and_recovers() {
    let wait = || vec![Step::Wait(2, Reach::Requests), Step::Answer(10)];
    let target =
        Scripted::new(vec![Step::Answer(10)], [("c0", wait()), ("c1", wait()), ("c2", wait()), ("c3", wait())]);
    let ran = ran(200, target, at_once(8)).await;
    assert_eq!(ran.arrivals().len(), 200);
    let events = ran.events.0.lock().unwrap();
    let pace = |event: &Event| if let Event::Paced { at_once, .. } = event { Some(*at_once) } else { None };
    let paces: Vec<Option<usize>> = events.iter().filter_map(pace).collect();
    // Four of eight were refused: a quarter less, then one by one up to all again.
    assert_eq!(paces, [Some(6), Some(7), None]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_spaces_attempts_of_all_workers() {
    let limits = Limits { concurrency: 8, rpm: Some(60), ..Limits::default() };
    let ran = ran(5, Scripted::new(vec![Step::Answer(5)], []), limits).await;
    let at: Vec<u128> = ran.target.asked().into_iter().map(|(_, at)| at).collect();
    assert_eq!(at, [0, 1000, 2000, 3000, 4000]);
}

#[tokio::test(start_paused = true)]
async fn attempts_end_at_retries_plus_one() {
    let limits = Limits { retries: 2, ..one_at_a_time() };
    let ran = ran(1, Scripted::new(vec![Step::Fail(Retry::Backoff)], []), limits).await;
    assert_eq!(ran.arrivals(), [("c0".to_owned(), false, 3)]);
    assert_eq!(ran.failure("c0").message, "as scripted (gave up after 3 attempts)");
    assert_eq!(ran.end.ended, StopReason::Complete);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_at_its_total() {
    let target = Scripted::new(vec![Step::Fail(Retry::After(Duration::from_secs(250)))], []);
    let ran = ran(1, target, one_at_a_time()).await;
    // Two waits of 250 s and a bit fit into 600 s, a third does not.
    assert_eq!(ran.arrivals(), [("c0".to_owned(), false, 3)]);
    assert!((500_000..504_000).contains(&ran.millis), "{}", ran.millis);
}

#[tokio::test(start_paused = true)]
async fn a_silent_target_times_out_each_attempt() {
    let limits = Limits { retries: 1, timeout: Duration::from_millis(500), ..one_at_a_time() };
    let ran = ran(1, Scripted::new(vec![Step::Answer(u64::MAX)], []), limits).await;
    let failure = ran.failure("c0");
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Transport, "timeout"));
    assert_eq!(failure.message, "no complete answer within 0.5 s (gave up after 2 attempts)");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_help_is_not_repeated_and_does_not_stop_the_others() {
    let target = Scripted::new(vec![Step::Answer(0)], [("c1", vec![Step::Fail(Retry::Never)])]);
    let ran = ran(3, target, one_at_a_time()).await;
    assert_eq!(ran.end.ended, StopReason::Complete);
    let seen: Vec<bool> = ran.arrivals().into_iter().map(|(_, ok, _)| ok).collect();
    assert_eq!(seen, [true, false, true]);
    assert_eq!(ran.end.requests, 3);
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_and_a_spent_quota_stop_the_run() {
    for retry in [Retry::KeyRefused, Retry::QuotaSpent] {
        // c0 is in flight when c1 is refused: it finishes.
        let target = Scripted::new(vec![Step::Fail(retry)], [("c0", vec![Step::Answer(1000)])]);
        let ran = ran(100, target, at_once(2)).await;
        assert!(matches!(&ran.end.ended, StopReason::Stopped(failure) if failure.code == "scripted"), "{:?}", ran.end);
        assert_eq!(ran.arrivals(), [("c0".to_owned(), true, 1), ("c1".to_owned(), false, 1)]);
        assert_eq!(ran.end.requests, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_those_who_wait_with_what_they_know() {
    let wait = vec![Step::Fail(Retry::After(Duration::from_secs(200)))];
    let target = Scripted::new(vec![Step::Fail(Retry::KeyRefused)], [("c0", wait), ("c1", vec![Step::Answer(50)])]);
    let ran = ran(9, target, at_once(2)).await;
    // c2 waits for the limiter, so the refusal comes after 200 s; c0 was due then too, plus its jitter.
    assert!((200_000..202_000).contains(&ran.millis), "{}", ran.millis);
    assert!(matches!(ran.end.ended, StopReason::Stopped(_)));
    assert!(ran.arrivals().contains(&("c0".to_owned(), false, 1)), "{:?}", ran.arrivals());
}

#[tokio::test(start_paused = true)]
async fn the_budget_of_requests_counts_retries_and_is_never_exceeded() {
    let limits = Limits { concurrency: 3, max_requests: Some(5), ..Limits::default() };
    let ran = ran(10, Scripted::new(vec![Step::Fail(Retry::Backoff), Step::Answer(0)], []), limits).await;
    assert_eq!(ran.end.ended, StopReason::Budget("the limit of 5 requests is reached".to_owned()));
    assert_eq!((ran.end.requests, ran.target.asked().len()), (5, 5));
    // Whoever was asked and could not be asked again has failed; nobody else has an arrival.
    let attempts: u32 = ran.arrivals().iter().map(|(_, _, attempts)| attempts).sum();
    assert_eq!(attempts, 5);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_just_enough_is_no_stop() {
    let limits = Limits { max_requests: Some(3), max_cost_usd: Some(0.75), ..one_at_a_time() };
    let ran = ran(3, Scripted::new(vec![Step::Answer(0)], []), limits).await;
    assert_eq!((ran.end.ended, ran.end.cost_usd), (StopReason::Complete, Some(0.75)));
}

#[tokio::test(start_paused = true)]
async fn the_budget_of_dollars_stops_before_the_next_request() {
    let limits = Limits { max_cost_usd: Some(0.6), ..one_at_a_time() };
    let ran = ran(9, Scripted::new(vec![Step::Answer(0)], []), limits).await;
    assert_eq!(ran.end.ended, StopReason::Budget("$0.7500 of at most $0.6 are spent".to_owned()));
    assert_eq!(ran.arrivals().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_price_can_not_keep_a_budget() {
    for (max_cost_usd, arrived) in [(None, 2), (Some(100.0), 1)] {
        let limits = Limits { max_cost_usd, ..one_at_a_time() };
        let keep = Arc::new(Memory::default());
        let live = LiveRun {
            target: Arc::new(Scripted::new(vec![Step::Answer(0)], [])),
            limits,
            price: Arc::new(|_: &str, _: &Usage| None),
            keep: Arc::clone(&keep),
            progress: Arc::new(Events::default()),
            cancel: CancellationToken::new(),
        };
        let end = live.run(jobs(2)).await;
        assert_eq!(end.cost_usd, None);
        assert_eq!(keep.arrivals.lock().unwrap().len(), arrived);
        assert_eq!(matches!(end.ended, StopReason::Budget(reason) if reason.contains("`m`")), arrived == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_ends_at_once_and_keeps_what_it_has() {
    let cancel = CancellationToken::new();
    let target = Scripted::new(vec![Step::Answer(3_600_000)], [("c0", vec![Step::Answer(10)])]);
    let keep = Arc::new(Memory::default());
    let limits = Limits { concurrency: 3, timeout: Duration::from_secs(7200), ..Limits::default() };
    let start = Instant::now();
    tokio::spawn({
        let (keep, cancel) = (Arc::clone(&keep), cancel.clone());
        async move {
            keep.first.notified().await;
            cancel.cancel();
        }
    });
    let live = LiveRun {
        target: Arc::new(target),
        limits,
        price: Arc::new(|_: &str, _: &Usage| Some(0.0)),
        keep: Arc::clone(&keep),
        progress: Arc::new(Events::default()),
        cancel,
    };
    let end = live.run(jobs(50)).await;
    assert_eq!(end.ended, StopReason::Interrupted);
    assert_eq!(keep.arrivals.lock().unwrap().len(), 1);
    assert_eq!(start.elapsed().as_millis(), 10);
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_every_kind_of_wait() {
    let hours = Duration::from_secs(300);
    for (script, rpm) in [
        (vec![Step::Fail(Retry::After(hours))], None),
        (vec![Step::Fail(Retry::Backoff)], None),
        (vec![Step::Answer(0)], Some(1)),
    ] {
        let cancel = CancellationToken::new();
        tokio::spawn({
            let cancel = cancel.clone();
            async move {
                sleep(Duration::from_millis(5)).await;
                cancel.cancel();
            }
        });
        let limits = Limits { concurrency: 2, rpm, ..Limits::default() };
        let ran = ran_with(9, Scripted::new(script, []), limits, Memory::default(), cancel).await;
        assert_eq!((ran.end.ended, ran.millis), (StopReason::Interrupted, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_ends_the_run() {
    let keep = Memory { full_at: Some(2), ..Memory::default() };
    let target = Scripted::new(vec![Step::Answer(10)], [("c1", vec![Step::Answer(3_600_000)])]);
    let ran = ran_with(50, target, at_once(2), keep, CancellationToken::new()).await;
    assert_eq!(ran.end.ended, StopReason::StoreFailed("the disk is full".to_owned()));
    assert_eq!(ran.arrivals().len(), 2);
    assert_eq!(ran.millis, 30);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_down_ends_the_run() {
    let limits = Limits { retries: 1, give_up_after: Some(5), ..one_at_a_time() };
    // An answer in between begins the count anew.
    let target = Scripted::new(vec![Step::Down], [("c3", vec![Step::Answer(0)])]);
    let ran = ran(1000, target, limits).await;
    let StopReason::Stopped(failure) = &ran.end.ended else {
        panic!("{:?}", ran.end);
    };
    assert!(failure.message.starts_with("5 requests in a row got no answer; the last: as scripted"));
    assert_eq!(ran.arrivals().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn recorded_answers_are_neither_paced_nor_counted() {
    let mut target = Scripted::new(vec![Step::Answer(0)], [("c1", vec![Step::Fail(Retry::Never)])]);
    target.source = Source::Recorded;
    let limits = Limits { rpm: Some(1), max_requests: Some(0), max_cost_usd: Some(0.0), ..one_at_a_time() };
    let ran = ran(3, target, limits).await;
    assert_eq!(ran.end.ended, StopReason::Complete);
    assert_eq!((ran.end.requests, ran.end.cost_usd, ran.millis), (0, Some(0.0), 0));
    assert_eq!(ran.arrivals()[1], ("c1".to_owned(), false, 0));
    let arrivals = ran.keep.arrivals.lock().unwrap();
    assert!(arrivals.iter().all(|arrival| arrival.source == Source::Recorded && arrival.waited_ms.is_none()));
}

#[tokio::test(start_paused = true)]
async fn events_tell_the_story_in_order() {
    let target = Scripted::new(
        vec![Step::Answer(0)],
        [("c0", vec![Step::Fail(Retry::Backoff), Step::Answer(0)]), ("c1", vec![Step::Fail(Retry::KeyRefused)])],
    );
    let ran = ran(3, target, one_at_a_time()).await;
    let events = ran.events.0.lock().unwrap();
    assert!(matches!(&events[0], Event::Retrying { code, .. } if code == "scripted"));
    assert_eq!(events[1], Event::Answered { cost_usd: Some(0.25) });
    assert!(matches!(&events[2], Event::Stopping { reason } if reason == "as scripted"));
    assert!(matches!(&events[3], Event::Failed { code, .. } if code == "scripted"));
    assert_eq!(events.len(), 4);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a bug in the target")]
async fn a_panic_is_passed_on() {
    ran(3, Scripted::new(vec![Step::Panic], []), one_at_a_time()).await;
}
