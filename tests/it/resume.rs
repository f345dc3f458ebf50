//! What survives: a kill at any point, an interruption, two runs at once.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{KEY, Project, Run};
use serde_json::Value;
use std::collections::HashMap;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

const CONCURRENCY: usize = 8;

/// A server that answers `tell` requests, then tells, and answers no more before it is set free: the run can't end before it
/// is stopped.
struct Held {
    fake: Fake,
    told: Receiver<()>,
    free: Arc<AtomicBool>,
}

fn server(tell: usize) -> Held {
    let (telling, told) = channel();
    let telling = Mutex::new(telling);
    let free = Arc::new(AtomicBool::new(false));
    let freed = Arc::clone(&free);
    let fake = Fake::start(move |request| {
        if request.number == tell {
            let _ = telling.lock().unwrap().send(());
        }
        let held = request.number >= tell && !freed.load(Ordering::SeqCst);
        if held { Reply::stall() } else { Reply::answer("nine") }
    });
    Held { fake, told, free }
}

fn command(url: &str, more: &str) -> String {
    format!(
        "eval --prompt v2 --baseline none --min-pass-rate 0.5 --repeat 1 --cache off --base-url {url} \
         --concurrency {CONCURRENCY} {more}"
    )
}

fn start(project: &Project, url: &str, more: &str) -> Child {
    let mut command = project.command(&command(url, more));
    command.env("GEMINI_API_KEY", KEY).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn run(project: &Project, url: &str, more: &str) -> Run {
    project.run_with_key(&command(url, more))
}

/// results.jsonl without what a clock put in.
fn timeless(project: &Project) -> Vec<Value> {
    let mut rows = project.results();
    for row in &mut rows {
        row["latency_ms"] = Value::Null;
        row["waited_ms"] = Value::Null;
    }
    rows
}

/// How often each question was asked.
fn asked(fake: &Fake) -> HashMap<String, usize> {
    let mut asked = HashMap::new();
    for request in fake.requests() {
        *asked.entry(request.asks()).or_default() += 1;
    }
    asked
}

#[test]
fn a_killed_run_resumes_and_ends_like_an_undisturbed_one() {
    const CASES: usize = 400;
    let Held { fake, told, free } = server(CASES / 2);
    let killed = Project::with_cases(CASES);
    let mut child = start(&killed, &fake.url, "");
    told.recv().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    free.store(true, Ordering::SeqCst);
    assert!(!killed.file("reports/verdict.json").exists());
    run(&killed, &fake.url, "--resume").assert_exit(0).assert_stderr("resuming");

    let asked = asked(&fake);
    assert_eq!(asked.len(), CASES);
    let twice = asked.values().filter(|times| **times > 1).count();
    assert!(twice <= CONCURRENCY, "{twice} requests were sent again, at most {CONCURRENCY} were in flight");
    assert!(asked.values().all(|times| *times <= 2));

    let undisturbed = Project::with_cases(CASES);
    let plain = Fake::answering("nine");
    run(&undisturbed, &plain.url, "").assert_exit(0);
    assert_eq!(timeless(&killed), timeless(&undisturbed));
}

#[test]
fn resuming_nothing_starts_anew_and_says_so() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(80);
    run(&project, &fake.url, "--resume").assert_exit(0).assert_stderr("starting anew");
    run(&project, &fake.url, "--resume").assert_stderr("starting anew");
    assert_eq!(fake.requests().len(), 160);
}

#[cfg(unix)]
#[test]
fn signals_keep_what_arrived_and_leave_partial_reports() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let Held { fake, told, free } = server(40);
        let project = Project::with_cases(200);
        let mut child = start(&project, &fake.url, "");
        told.recv().unwrap();
        let sent =
            std::process::Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        free.store(true, Ordering::SeqCst);
        let verdict = project.verdict();
        assert_eq!(verdict["decision"], "inconclusive");
        assert_eq!(verdict["counts"]["cases"], 200);
        let kept = verdict["counts"]["pass"].as_u64().unwrap();
        assert!((30..200).contains(&kept), "{kept} answers were kept");
        assert_eq!(verdict["counts"]["skipped"].as_u64().unwrap(), 200 - kept);
        run(&project, &fake.url, "--resume").assert_exit(0);
        assert!(asked(&fake).values().filter(|times| **times > 1).count() <= CONCURRENCY);
    }
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let fake = Arc::new(Fake::answering("nine"));
    let project = Project::with_cases(300);
    let mut first = start(&project, &fake.url, "--out one");
    let second = run(&project, &fake.url, "--out two");
    // Both ask for all answers, and the one that shows its own later is a second look.
    let mut codes = [first.wait().unwrap().code().unwrap(), second.code];
    codes.sort_unstable();
    assert_eq!(codes, [0, 11], "{}", second.transcript());
    let rows = |file: &str| project.read(file).lines().count();
    assert_eq!((rows("one/results.jsonl"), rows("two/results.jsonl")), (300, 300));
    assert_eq!(fake.requests().len(), 600);
}

#[test]
fn a_store_of_another_version_is_refused_and_kept() {
    let project = Project::with_cases(2);
    let fake = Fake::answering("nine");
    run(&project, &fake.url, "--no-gate").assert_exit(0);
    let path = project.file(".promptgate/store.sqlite");
    let store = rusqlite::Connection::open(&path).unwrap();
    store.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    run(&project, &fake.url, "--no-gate").assert_exit(2).assert_stderr("version 99");
    assert!(path.exists());
}

#[test]
fn a_store_that_fails_midway_is_inconclusive() {
    let project = Project::with_cases(400);
    let path = project.file(".promptgate/store.sqlite");
    let broken = path.clone();
    let fake = Fake::start(move |request| {
        if request.number == 100 {
            // Another program takes the tables away while the run goes on.
            let store = rusqlite::Connection::open(&broken).unwrap();
            store.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
            store.execute_batch("ALTER TABLE answers RENAME TO gone").unwrap();
        }
        Reply::answer("nine")
    });
    run(&project, &fake.url, "").assert_exit(11);
    assert_eq!(project.verdict()["reasons"][0]["code"], "store");
}

#[test]
fn a_prefix_of_any_length_resumes_to_the_same_results() {
    const CASES: usize = 120;
    let fake = Fake::start(|request| Reply::answer(&format!("nine, {}", request.asks())));
    let whole = Project::with_cases(CASES);
    run(&whole, &fake.url, "").assert_exit(0);
    for prefix in ["1", "7", "64", "119"] {
        let project = Project::with_cases(CASES);
        run(&project, &fake.url, &format!("--max-requests {prefix}")).assert_exit(11);
        run(&project, &fake.url, "--resume").assert_exit(0);
        assert_eq!(timeless(&project), timeless(&whole), "after {prefix} requests");
    }
}
