//! Failures on demand, drawn per request, sample and attempt: the same request fails the same way in every run, and its
//! retries draw anew.

use super::noise::Key;
use super::recent::Recent;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This HTTP status with a google.rpc.Status body.
    Status(u16),
    /// 429 because a quota is spent, with the waiting time that the client is told.
    Quota(Quota, Duration),
    /// 429 without details, as for spending and capacity limits.
    Exhausted,
    /// 400 because the key is not valid.
    BadKey,
    /// 503 in the words that the service uses in a storm.
    HighDemand,
    /// The connection is dropped without an answer.
    Reset,
    /// No answer until the client hangs up.
    Stall,
    /// The answer's first half, then nothing until the client hangs up.
    Hang,
    /// The answer's body ends midway.
    Truncate,
    /// A gateway's 502 with an HTML body.
    Html502,
    /// The answer has no finish reason.
    NoFinish,
    /// A stream that begins well and ends with an error event; a lone answer is a 503.
    ErrorEvent,
    /// A stream that begins well and ends with a bare JSON error; a lone answer is a 503.
    ErrorTail,
    /// The answer, but its first byte comes this much later.
    Slow(Duration),
}

/// Which quota is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    Minute,
    Tokens,
    Day,
    /// There is none: `limit: 0`.
    Zero,
    /// It is not said which: the waiting time is all there is.
    Unnamed,
}

/// Statuses that can be asked for.
const STATUSES: [u16; 8] = [400, 401, 403, 404, 499, 500, 503, 504];

/// Faults with a quota: name, and the waiting time that is told unless one is given.
const QUOTAS: [(&str, Quota, Duration); 5] = [
    ("429", Quota::Minute, Duration::from_millis(200)),
    ("429-tokens", Quota::Tokens, Duration::from_millis(200)),
    ("429-day", Quota::Day, Duration::from_secs(31)),
    ("429-zero", Quota::Zero, Duration::from_secs(10)),
    ("429-retry", Quota::Unnamed, Duration::from_millis(200)),
];

/// Faults that are only a name.
const NAMED: [(&str, Fault); 11] = [
    ("429-bare", Fault::Exhausted),
    ("400-key", Fault::BadKey),
    ("503-demand", Fault::HighDemand),
    ("reset", Fault::Reset),
    ("stall", Fault::Stall),
    ("hang", Fault::Hang),
    ("truncate", Fault::Truncate),
    ("html502", Fault::Html502),
    ("no-finish", Fault::NoFinish),
    ("error-event", Fault::ErrorEvent),
    ("error-tail", Fault::ErrorTail),
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Status(code) => write!(f, "{code}"),
            Fault::Slow(delay) => write!(f, "slow:{}", seconds(*delay)),
            Fault::Quota(quota, delay) => {
                let Some((name, _, usual)) = QUOTAS.iter().find(|(_, known, _)| known == quota) else {
                    return f.write_str("429");
                };
                f.write_str(name)?;
                if delay == usual {
                    return Ok(());
                }
                write!(f, ":{}", seconds(*delay))
            }
            Fault::Exhausted
            | Fault::BadKey
            | Fault::HighDemand
            | Fault::Reset
            | Fault::Stall
            | Fault::Hang
            | Fault::Truncate
            | Fault::Html502
            | Fault::NoFinish
            | Fault::ErrorEvent
            | Fault::ErrorTail => {
                let named = NAMED.iter().find(|(_, fault)| fault == self);
                f.write_str(named.map_or("", |(name, _)| name))
            }
        }
    }
}

impl FromStr for Fault {
    type Err = FaultsError;

    /// Reads `429`, `429:1s`, `429-day`, `slow:2s`, `reset` and so on.
    fn from_str(written: &str) -> Result<Fault, FaultsError> {
        let (name, delay) = match written.split_once(':') {
            Some((name, delay)) => (name, Some(parse_delay(delay)?)),
            None => (written, None),
        };
        if let Some((_, quota, usual)) = QUOTAS.iter().find(|(known, ..)| *known == name) {
            return Ok(Fault::Quota(*quota, delay.unwrap_or(*usual)));
        }
        if name == "slow" {
            return delay
                .map(Fault::Slow)
                .ok_or_else(|| FaultsError("`slow` needs a time; expected something like `slow:2s`".to_owned()));
        }
        let named = NAMED.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault);
        let status = || name.parse().ok().filter(|code| STATUSES.contains(code)).map(Fault::Status);
        match (named.or_else(status), delay) {
            (Some(fault), None) => Ok(fault),
            (Some(fault), Some(_)) => Err(FaultsError(format!(
                "`{fault}` takes no time; only slow and the quotas {} do",
                QUOTAS.map(|(name, ..)| name).join(", ")
            ))),
            (None, _) => Err(FaultsError(format!(
                "unknown fault `{name}`; expected slow:TIME, {}, {} or one of the statuses {}",
                NAMED.map(|(name, _)| name).join(", "),
                QUOTAS.map(|(name, ..)| name).join(", "),
                STATUSES.map(|code| code.to_string()).join(", ")
            ))),
        }
    }
}

/// A duration as protocol buffers write it: `3.5s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

/// `200ms` or `1.5s`, at most an hour.
fn parse_delay(written: &str) -> Result<Duration, FaultsError> {
    let (number, unit) = match written.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (written.strip_suffix('s').unwrap_or(""), 1.0),
    };
    match number.parse::<f64>() {
        Ok(number) if (0.0..=3600.0).contains(&(number * unit)) => {
            // Whole microseconds, so that what is written is what is read.
            Ok(Duration::from_micros((number * unit * 1e6).round() as u64))
        }
        _ => Err(FaultsError(format!(
            "`{written}` is not a time; expected something like `200ms` or `1.5s`, up to `3600s`"
        ))),
    }
}

/// Which failures, how often. The default is none.
///
/// Written as `429:0.1,429:1s:0.05,reset:0.01`: a fault by its name, and its chance in 0..=1; the chances sum to at
/// most 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults(Vec<(Fault, f64)>);

/// Why a list of faults can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FaultsError(String);

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(written: &str) -> Result<Faults, FaultsError> {
        let mut faults: Vec<(Fault, f64)> = Vec::new();
        for piece in written.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
            let Some((name, chance)) = piece.rsplit_once(':') else {
                return Err(FaultsError(format!("`{piece}` has no chance; expected `NAME:CHANCE` like `429:0.1`")));
            };
            let fault: Fault = name.trim().parse()?;
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
                return Err(FaultsError(format!("`{fault}` is given twice; write it once with the sum")));
            }
            faults.push((fault, chance));
        }
        let sum: f64 = faults.iter().map(|(_, chance)| chance).sum();
        if sum > 1.0 + 1e-9 {
            return Err(FaultsError(format!("the chances sum to {sum:.3}; at most 1 is possible")));
        }
        Ok(Faults(faults))
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (fault, chance)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{fault}:{chance}")?;
        }
        Ok(())
    }
}

/// Purpose of draws for faults; the attempt is added.
const FAULT: u64 = 3 << 40;

impl Faults {
    fn draw(&self, key: Key, attempt: u32) -> Option<Fault> {
        let mut left = key.draw(FAULT + u64::from(attempt));
        for (fault, chance) in &self.0 {
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
    failures: Mutex<Recent<Key, u32>>,
}

impl Injector {
    pub(super) fn new(faults: Faults) -> Injector {
        Injector { faults, failures: Mutex::default() }
    }

    /// The fault of the next attempt of this request. After a success the attempts count from the start again.
    pub(super) fn next(&self, key: Key) -> Option<Fault> {
        if self.faults.0.is_empty() {
            return None;
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = failures.get(key).copied().unwrap_or(0);
        let fault = self.faults.draw(key, attempt);
        match fault {
            Some(_) => *failures.get_or_insert_with(key, || 0) = attempt + 1,
            None => failures.remove(key),
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_written() {
        let faults: Faults = "429:0.1, 503:0.05,reset:0,stall:0.2,truncate:0.1,html502:0.1".parse().unwrap();
        assert_eq!(faults.to_string(), "429:0.1,503:0.05,reset:0,stall:0.2,truncate:0.1,html502:0.1");
        assert_eq!("".parse::<Faults>().unwrap(), Faults::default());
        for written in ["429", "429:1.5s", "429-day", "429-zero:2s", "429-tokens:0.001s", "503", "slow:2s"] {
            assert_eq!(written.parse::<Fault>().unwrap().to_string(), written);
        }
        for (name, fault) in NAMED {
            assert_eq!(name.parse::<Fault>().unwrap(), fault);
            assert_eq!(fault.to_string(), name);
        }
        assert_eq!("slow:1500ms".parse::<Fault>().unwrap().to_string(), "slow:1.5s");
        assert_eq!(seconds(Duration::from_secs(1)), "1s");
        assert_eq!("429:1s:0.1".parse::<Faults>().unwrap().to_string(), "429:1s:0.1");
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
                "unknown fault `fire`; expected slow:TIME, 429-bare, 400-key, 503-demand, reset, stall, hang, truncate, \
                 html502, no-finish, error-event, error-tail, 429, 429-tokens, 429-day, 429-zero, 429-retry or one of \
                 the statuses 400, 401, 403, 404, 499, 500, 503, 504",
            ),
            ("slow:0.1", "`slow` needs a time; expected something like `slow:2s`"),
            ("slow:2:0.1", "`2` is not a time; expected something like `200ms` or `1.5s`, up to `3600s`"),
            ("slow:9999s:0.1", "`9999s` is not a time; expected something like `200ms` or `1.5s`, up to `3600s`"),
            (
                "reset:1s:0.1",
                "`reset` takes no time; only slow and the quotas 429, 429-tokens, 429-day, 429-zero, 429-retry do",
            ),
            ("429:0.1,429:0.2", "`429` is given twice; write it once with the sum"),
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
        assert_eq!(injector.failures.lock().unwrap().iter().count(), 0);
    }
}
