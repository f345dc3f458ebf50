//! What was asked of the simulator: counters for tests outside, and a log with one line a request.
//!
//! A log line: `{"n", "at_ms", "method", "path", "status", "fault", "sample", "request", "attempt"}`. `n` counts requests from 1,
//! `at_ms` is the time since the simulator began, `status` is null where no status was sent, `request` is the same for the
//! same path, body and sample header, and `attempt` counts from 1 since this request was last answered. Neither queries nor
//! other headers are in it, because keys travel there; nor are bodies.
//!
//! The counters are the JSON object at `GET /_promptgate/counters`: `requests`, `answered` (whole, with status 200), how many
//! `by_method`, `by_status` and `by_fault`, batch `items`, and for calls of models: how many `distinct` requests were made,
//! and how many of them were seen (`seen_times`) and answered (`answered_times`) how often: `{"1": 95, "2": 5}`. With
//! `?each=true` also `each`: the requests themselves, in the order of their first arrival.

use super::faults::Fault;
use super::noise::Key;
use super::recent::Recent;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Characters of a path or a header that are kept.
const LONGEST: usize = 200;

/// A request and how it was treated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: Key,
    pub(super) verb: &'a str,
    pub(super) path: &'a str,
    pub(super) sample: &'a [u8],
    /// What is asked, as a short name.
    pub(super) method: &'static str,
    /// A call of a model.
    pub(super) is_call: bool,
    /// `None`: the client gets no status.
    pub(super) status: Option<u16>,
    pub(super) fault: Option<Fault>,
}

impl Entry<'_> {
    fn is_answered(&self) -> bool {
        self.status == Some(200) && self.fault.is_none_or(|fault| matches!(fault, Fault::Slow(_)))
    }
}

#[derive(Debug)]
pub(super) struct Ledger {
    began: Instant,
    book: Mutex<LedgerState>,
}

#[derive(Debug, Default)]
struct LedgerState {
    log: Option<File>,
    lost_lines: u64,
    requests: u64,
    answered: u64,
    by_method: BTreeMap<&'static str, u64>,
    by_status: BTreeMap<u16, u64>,
    by_fault: BTreeMap<String, u64>,
    items: [u64; 2],
    /// Distinct requests.
    distinct: Recent<Key, RequestCount>,
}

#[derive(Debug)]
struct RequestCount {
    path: Box<str>,
    sample: Box<str>,
    is_call: bool,
    seen: u64,
    answered: u64,
    /// Failures since the last answer.
    failures: u64,
}

impl Ledger {
    /// Begins a ledger, and its log if there is to be one; an older file is overwritten.
    pub(super) fn new(log: Option<&Path>) -> io::Result<Ledger> {
        let book = LedgerState { log: log.map(File::create).transpose()?, ..LedgerState::default() };
        Ok(Ledger { began: Instant::now(), book: Mutex::new(book) })
    }

    pub(super) fn record(&self, entry: Entry<'_>) {
        let at = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = book.count(entry);
        let number = book.requests;
        let Some(log) = &mut book.log else { return };
        let line = json!({
            "n": number,
            "at_ms": at,
            "method": entry.verb,
            "path": shortened(entry.path.as_bytes()),
            "status": entry.status,
            "fault": entry.fault.map(|fault| fault.to_string()),
            "sample": (!entry.sample.is_empty()).then(|| shortened(entry.sample)),
            "request": entry.key.hex(),
            "attempt": attempt,
        });
        if log.write_all(format!("{line}\n").as_bytes()).is_err() {
            book.lost_lines += 1;
        }
    }

    #[cfg(feature = "emulator")]
    pub(super) fn record_item(&self, answered: bool) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.items[usize::from(!answered)] += 1;
    }

    /// The counters, with each request if asked for.
    pub(super) fn counters(&self, each: bool) -> Value {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).counters(each)
    }
}

impl LedgerState {
    /// Counts a request; returns which attempt it is.
    fn count(&mut self, entry: Entry<'_>) -> u64 {
        self.requests += 1;
        self.answered += u64::from(entry.is_answered());
        *self.by_method.entry(entry.method).or_default() += 1;
        // A request without a status counts as status 0.
        *self.by_status.entry(entry.status.unwrap_or(0)).or_default() += 1;
        if let Some(fault) = entry.fault {
            *self.by_fault.entry(fault.to_string()).or_default() += 1;
        }
        let request = self.distinct.get_or_insert_with(entry.key, || RequestCount {
            path: shortened(entry.path.as_bytes()).into(),
            sample: shortened(entry.sample).into(),
            is_call: entry.is_call,
            seen: 0,
            answered: 0,
            failures: 0,
        });
        request.seen += 1;
        let attempt = request.failures + 1;
        if entry.is_answered() {
            request.answered += 1;
            request.failures = 0;
        } else {
            request.failures += 1;
        }
        attempt
    }

    fn counters(&self, each: bool) -> Value {
        let calls = || self.distinct.iter().filter(|(_, request)| request.is_call);
        let times = |count: fn(&RequestCount) -> u64| {
            let mut times: BTreeMap<u64, u64> = BTreeMap::new();
            for (_, request) in calls() {
                *times.entry(count(request)).or_default() += 1;
            }
            object(times.iter().map(|(times, requests)| (times.to_string(), *requests)))
        };
        let by_status = self.by_status.iter().map(|(status, count)| match status {
            0 => ("none".to_owned(), *count),
            status => (status.to_string(), *count),
        });
        let mut body = json!({
            "requests": self.requests,
            "answered": self.answered,
            "by_method": object(self.by_method.iter().map(|(name, count)| ((*name).to_owned(), *count))),
            "by_status": object(by_status),
            "by_fault": object(self.by_fault.iter().map(|(name, count)| (name.clone(), *count))),
            "items": {"answered": self.items[0], "failed": self.items[1]},
            "distinct": calls().count(),
            "seen_times": times(|request| request.seen),
            "answered_times": times(|request| request.answered),
            "forgotten": self.distinct.forgotten(),
            "lost_log_lines": self.lost_lines,
        });
        if each {
            let shown = calls().map(|(key, request)| {
                json!({
                    "request": key.hex(),
                    "path": request.path,
                    "sample": request.sample,
                    "seen": request.seen,
                    "answered": request.answered,
                })
            });
            body["each"] = shown.collect();
        }
        body
    }
}

fn object(counts: impl Iterator<Item = (String, u64)>) -> Map<String, Value> {
    counts.map(|(name, count)| (name, json!(count))).collect()
}

fn shortened(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: u64, status: Option<u16>, fault: Option<&str>) -> Entry<'static> {
        Entry {
            key: Key::new(key, "/p", b"", b""),
            verb: "POST",
            path: "/v1/models/m:generateContent",
            sample: b"1",
            method: "generateContent",
            is_call: true,
            status,
            fault: fault.map(|fault| fault.parse().unwrap()),
        }
    }

    #[test]
    fn attempts_count_since_the_last_answer() {
        let mut book = LedgerState::default();
        let attempts: Vec<u64> = [
            entry(1, Some(429), Some("429")),
            entry(2, Some(200), None),
            entry(1, None, Some("reset")),
            entry(1, Some(200), Some("truncate")),
            entry(1, Some(200), Some("slow:1s")),
            entry(1, Some(503), Some("503")),
        ]
        .map(|entry| book.count(entry))
        .into();
        assert_eq!(attempts, [1, 1, 2, 3, 4, 1]);
        let mut counters = book.counters(true);
        for each in counters["each"].as_array_mut().unwrap() {
            each["request"] = json!("…");
        }
        insta::assert_snapshot!(counters, @r#"
        {"requests":6,"answered":2,"by_method":{"generateContent":6},"by_status":{"none":1,"200":3,"429":1,"503":1},"by_fault":{"429":1,"503":1,"reset":1,"slow:1s":1,"truncate":1},"items":{"answered":0,"failed":0},"distinct":2,"seen_times":{"1":1,"5":1},"answered_times":{"1":2},"forgotten":0,"lost_log_lines":0,"each":[{"request":"…","path":"/v1/models/m:generateContent","sample":"1","seen":5,"answered":1},{"request":"…","path":"/v1/models/m:generateContent","sample":"1","seen":1,"answered":1}]}
        "#);
    }

    #[test]
    fn the_log_has_a_line_a_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let ledger = Ledger::new(Some(&path)).unwrap();
        ledger.record(entry(1, None, Some("reset")));
        ledger.record(entry(1, Some(200), None));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["status"], &lines[0]["fault"]), (&Value::Null, &json!("reset")));
        assert_eq!((&lines[1]["n"], &lines[1]["attempt"]), (&json!(2), &json!(2)));
        assert_eq!(lines[0]["request"], lines[1]["request"]);
        assert!(Ledger::new(Some(folder.path())).is_err(), "a folder is no file");
    }
}
