//! Failures on demand, drawn per request, sample and attempt: the same request fails the same way in every run, and its
//! retries draw anew.

use super::noise::Key;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This HTTP status with a google.rpc.Status body.
    Status(u16),
    /// The connection is dropped without an answer.
    Reset,
    /// No answer until the client hangs up.
    Stall,
    /// The answer's body ends midway.
    Truncate,
    /// A gateway's 502 with an HTML body.
    Html502,
}

/// Statuses that can be asked for.
const STATUSES: [u16; 9] = [400, 401, 403, 404, 429, 499, 500, 503, 504];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Status(code) => write!(f, "{code}"),
            Fault::Reset => f.write_str("reset"),
            Fault::Stall => f.write_str("stall"),
            Fault::Truncate => f.write_str("truncate"),
            Fault::Html502 => f.write_str("html502"),
        }
    }
}

/// Which failures, how often. The default is none.
///
/// Written as `429:0.1,503:0.05,reset:0.01`: an HTTP status (400, 401, 403, 404, 429, 499, 500, 503, 504), `reset`,
/// `stall`, `truncate` or `html502`, each with its chance in 0..=1; the chances sum to at most 1. `429@1s:0.1` says how long
/// its `RetryInfo` asks to wait, in seconds; 0.2 s unless said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    chances: Vec<(Fault, f64)>,
    /// What a 429 asks to wait.
    delay: Option<Duration>,
}

/// What a 429 asks to wait, unless said otherwise.
const DELAY: Duration = Duration::from_millis(200);

/// Why a list of faults can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FaultsError(String);

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(written: &str) -> Result<Faults, FaultsError> {
        let mut faults: Vec<(Fault, f64)> = Vec::new();
        let mut delay = None;
        for piece in written.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
            let Some((name, chance)) = piece.split_once(':') else {
                return Err(FaultsError(format!(
                    "`{piece}` has no chance; expected `NAME:CHANCE` like `429:0.1`"
                )));
            };
            let (name, told) = match name.split_once('@') {
                Some((name, told)) => (name, Some(parse_delay(told.trim())?)),
                None => (name, None),
            };
            let fault = parse_fault(name.trim())?;
            if told.is_some() && fault != Fault::Status(429) {
                return Err(FaultsError(format!("`{fault}` asks for no delay; only 429 does")));
            }
            delay = delay.or(told);
            let chance = match chance.trim().parse::<f64>() {
                Ok(chance) if (0.0..=1.0).contains(&chance) => chance,
                _ => {
                    return Err(FaultsError(format!(
                        "the chance `{}` of `{fault}` is not a number from 0 to 1",
                        chance.trim()
                    )));
                }
            };
            if faults.iter().any(|(known, _)| *known == fault) {
                return Err(FaultsError(format!(
                    "`{fault}` is given twice; write it once with the sum"
                )));
            }
            faults.push((fault, chance));
        }
        let sum: f64 = faults.iter().map(|(_, chance)| chance).sum();
        if sum > 1.0 + 1e-9 {
            return Err(FaultsError(format!(
                "the chances sum to {sum:.3}; at most 1 is possible"
            )));
        }
        Ok(Faults { chances: faults, delay })
    }
}

fn parse_delay(text: &str) -> Result<Duration, FaultsError> {
    text.strip_suffix('s')
        .and_then(|seconds| seconds.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| {
            FaultsError(format!(
                "the delay `{text}` is not a number of seconds like `1s` or `0.5s`"
            ))
        })
}

fn parse_fault(name: &str) -> Result<Fault, FaultsError> {
    match name {
        "reset" => Ok(Fault::Reset),
        "stall" => Ok(Fault::Stall),
        "truncate" => Ok(Fault::Truncate),
        "html502" => Ok(Fault::Html502),
        _ => match name.parse::<u16>() {
            Ok(code) if STATUSES.contains(&code) => Ok(Fault::Status(code)),
            _ => Err(FaultsError(format!(
                "unknown fault `{name}`; expected reset, stall, truncate, html502 or one of the statuses {}",
                STATUSES.map(|code| code.to_string()).join(", ")
            ))),
        },
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (fault, chance)) in self.chances.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{fault}")?;
            if let (Fault::Status(429), Some(delay)) = (fault, self.delay) {
                write!(f, "@{}s", delay.as_secs_f64())?;
            }
            write!(f, ":{chance}")?;
        }
        Ok(())
    }
}

/// Purpose of draws for faults; the attempt is added.
const FAULT: u64 = 3 << 40;

impl Faults {
    fn draw(&self, key: Key, attempt: u32) -> Option<Fault> {
        let mut left = key.draw(FAULT + u64::from(attempt));
        for (fault, chance) in &self.chances {
            if left < *chance {
                return Some(*fault);
            }
            left -= chance;
        }
        None
    }
}

/// Draws faults and remembers the attempts of requests that failed so far, and only of these.
#[derive(Debug)]
pub(super) struct Injector {
    faults: Faults,
    failed: Mutex<Failed>,
    announced: Mutex<Announced>,
}

/// The union of the times in which clients were asked to wait.
#[derive(Debug, Default)]
struct Announced {
    until: Option<Instant>,
    total: Duration,
}

impl Announced {
    fn add(&mut self, now: Instant, delay: Duration) {
        let until = now + delay;
        let from = self.until.map_or(now, |until| until.max(now));
        self.total += until.saturating_duration_since(from);
        self.until = self.until.max(Some(until));
    }
}

#[derive(Debug, Default)]
struct Failed {
    attempts: HashMap<Key, u32>,
    /// In the order of the first failure, so that given-up requests can be forgotten.
    order: VecDeque<Key>,
}

impl Injector {
    /// Failing requests remembered.
    const KEPT: usize = 100_000;

    pub(super) fn new(faults: Faults) -> Injector {
        Injector {
            faults,
            failed: Mutex::default(),
            announced: Mutex::default(),
        }
    }

    /// What a 429 asks to wait. Counts as announced from now on.
    pub(super) fn announce(&self) -> Duration {
        let delay = self.faults.delay.unwrap_or(DELAY);
        if let Ok(mut announced) = self.announced.lock() {
            announced.add(Instant::now(), delay);
        }
        delay
    }

    /// How long clients were asked to wait, all together; times that overlap count once.
    pub(super) fn announced(&self) -> Duration {
        self.announced
            .lock()
            .map(|announced| announced.total)
            .unwrap_or_default()
    }

    /// The fault of the next attempt of this request. After a success the attempts count from the start again.
    pub(super) fn next(&self, key: Key) -> Option<Fault> {
        if self.faults.chances.is_empty() {
            return None;
        }
        let Ok(mut failed) = self.failed.lock() else {
            return None;
        };
        let attempt = failed.attempts.get(&key).copied().unwrap_or(0);
        let fault = self.faults.draw(key, attempt);
        match fault {
            Some(_) => {
                if attempt == 0 {
                    if failed.order.len() >= Injector::KEPT
                        && let Some(oldest) = failed.order.pop_front()
                    {
                        failed.attempts.remove(&oldest);
                    }
                    failed.order.push_back(key);
                }
                failed.attempts.insert(key, attempt + 1);
            }
            None => {
                failed.attempts.remove(&key);
            }
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_written() {
        let faults: Faults = "429:0.1, 503:0.05,reset:0,stall:0.2,truncate:0.1,html502:0.1"
            .parse()
            .unwrap();
        assert_eq!(
            faults.to_string(),
            "429:0.1,503:0.05,reset:0,stall:0.2,truncate:0.1,html502:0.1"
        );
        assert_eq!("".parse::<Faults>().unwrap(), Faults::default());
        let delayed: Faults = "503:0.1,429@1.5s:0.2".parse().unwrap();
        assert_eq!(delayed.to_string(), "503:0.1,429@1.5s:0.2");
        assert_eq!(Injector::new(delayed).announce(), Duration::from_millis(1500));
    }

    #[test]
    fn announced_times_that_overlap_count_once() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut announced = Announced::default();
        for (millis, delay) in [(0, 1000), (400, 1000), (500, 100), (2000, 1000)] {
            announced.add(at(millis), Duration::from_millis(delay));
        }
        assert_eq!(announced.total, Duration::from_millis(2400));
    }

    #[test]
    fn bad_faults_are_named() {
        for (written, message) in [
            ("429", "`429` has no chance; expected `NAME:CHANCE` like `429:0.1`"),
            ("429:2", "the chance `2` of `429` is not a number from 0 to 1"),
            ("429:NaN", "the chance `NaN` of `429` is not a number from 0 to 1"),
            ("429:-0.1", "the chance `-0.1` of `429` is not a number from 0 to 1"),
            (
                "fire:0.1",
                "unknown fault `fire`; expected reset, stall, truncate, html502 or one of the statuses 400, 401, 403, 404, 429, 499, 500, 503, 504",
            ),
            ("429:0.1,429:0.2", "`429` is given twice; write it once with the sum"),
            ("503@1s:0.1", "`503` asks for no delay; only 429 does"),
            (
                "429@-1s:0.1",
                "the delay `-1s` is not a number of seconds like `1s` or `0.5s`",
            ),
            ("429:0.7,503:0.4", "the chances sum to 1.100; at most 1 is possible"),
        ] {
            assert_eq!(written.parse::<Faults>().unwrap_err().to_string(), message);
        }
    }

    fn key(i: u32) -> Key {
        Key::new(5, "/p", &i.to_le_bytes(), b"")
    }

    #[test]
    fn the_order_of_requests_does_not_matter() {
        let faults: Faults = "429:0.3,reset:0.2".parse().unwrap();
        let history = |order: &mut dyn Iterator<Item = u32>| {
            let injector = Injector::new(faults.clone());
            let mut seen: Vec<_> = order.map(|i| (i, injector.next(key(i)))).collect();
            seen.sort_by_key(|(i, _)| *i);
            seen
        };
        let forwards = history(&mut (0..300));
        assert_eq!(forwards, history(&mut (0..300).rev()));
        assert!(forwards.iter().any(|(_, fault)| *fault == Some(Fault::Reset)));
    }

    #[test]
    fn retries_draw_anew_and_success_starts_over() {
        let injector = Injector::new("503:0.5".parse().unwrap());
        for i in 0..50 {
            let until_success = || {
                let mut failures = 0;
                while injector.next(key(i)).is_some() {
                    failures += 1;
                    assert!(failures < 64, "retries must get through");
                }
                failures
            };
            assert_eq!(until_success(), until_success());
        }
        assert!(injector.failed.lock().unwrap().attempts.is_empty());
    }
}
