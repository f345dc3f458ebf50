//! The run while it goes on: a bar on a terminal, a few plain lines elsewhere. Both go to standard error, and neither
//! waits for anything.

use super::numbers::{count, usd};
use super::redactor::Redactor;
use super::text::{log_line, truncate};
use crate::domain::{Event, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines are printed at every tenth of the way.
const STEPS: u64 = 10;
/// Kinds of errors that get a line of their own while the run goes on.
const FIRST_ERRORS: usize = 5;
/// Pauses of all requests that get a line of their own.
const FIRST_PAUSES: usize = 3;
/// Shorter pauses get no line.
const LONG_PAUSE: Duration = Duration::from_secs(5);
/// Bytes of a message.
const MESSAGE: usize = 300;

/// Progress for a person or a log: a bar if `interactive` and standard error is a terminal, else lines.
pub fn to_stderr(redactor: Redactor, interactive: bool) -> Box<dyn Progress> {
    if interactive && io::stderr().is_terminal() {
        Box::new(Bar::new(ProgressDrawTarget::stderr(), redactor))
    } else {
        Box::new(Lines::new(io::stderr(), redactor))
    }
}

/// Shows nothing, for `--quiet`.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn on(&self, _: &Event) {}
}

#[derive(Debug, Default)]
struct Tally {
    planned: u64,
    reused: u64,
    answered: u64,
    errors: u64,
    retries: u64,
    cost_usd: f64,
    unpriced: bool,
    reported: Vec<String>,
    pauses: usize,
    /// What was learnt about limits, in words; empty for nothing.
    pace: String,
    stopping: bool,
    /// The last look at batch jobs: jobs, requests answered, requests.
    batches: (usize, u64, u64),
}

impl Tally {
    /// Takes note of an event. Returns a message worth a line of its own.
    fn note(&mut self, event: &Event, redactor: &Redactor) -> Option<String> {
        let safe = |text: &str| log_line(&truncate(&redactor.text(text), MESSAGE));
        match event {
            Event::Planned { answers } => self.planned = *answers,
            Event::Reused => self.reused += 1,
            Event::Answered { cost_usd } => {
                self.answered += 1;
                match cost_usd {
                    Some(cost) => self.cost_usd += cost,
                    None => self.unpriced = true,
                }
            }
            Event::Retrying { code: _, wait: _ } => self.retries += 1,
            Event::Held { wait } => {
                if *wait >= LONG_PAUSE && self.pauses < FIRST_PAUSES {
                    self.pauses += 1;
                    let last = if self.pauses == FIRST_PAUSES { "; further pauses are not told" } else { "" };
                    return Some(format!(
                        "the service asks for a pause: nothing is sent for {} s{last}",
                        wait.as_secs_f64().ceil()
                    ));
                }
            }
            Event::Paced { at_once, rpm, tpm } => {
                let learnt = [
                    at_once.map(|most| format!("{most} at once")),
                    rpm.map(|most| format!("{most} requests/min")),
                    tpm.map(|most| format!("{most} tokens/min")),
                ];
                self.pace = learnt.into_iter().flatten().collect::<Vec<_>>().join(", ");
            }
            Event::Batched { jobs, answered, requests } => return self.batches(*jobs, *answered, *requests),
            Event::Failed { code, message } => {
                self.errors += 1;
                if self.reported.len() < FIRST_ERRORS && !self.reported.contains(code) {
                    self.reported.push(code.clone());
                    return Some(format!("error {}: {}", safe(code), safe(message)));
                }
            }
            Event::Note { message } => return Some(safe(message)),
            Event::Stopping { reason } => {
                if !std::mem::replace(&mut self.stopping, true) {
                    return Some(format!("stopping: {}", safe(reason)));
                }
            }
            Event::Done => {}
        }
        None
    }

    /// A line when the jobs have got on, not for every look.
    fn batches(&mut self, jobs: usize, answered: u64, requests: u64) -> Option<String> {
        let now = (jobs, answered, requests);
        if jobs == 0 || std::mem::replace(&mut self.batches, now) == now {
            return None;
        }
        let jobs = count(jobs as u64, "batch job", "batch jobs");
        Some(format!("waiting for {jobs}: {answered} of {requests} requests answered"))
    }

    fn arrived(&self) -> u64 {
        self.reused + self.answered + self.errors
    }

    /// Cost, errors, retries, and the pace if the service forced one.
    fn figures(&self) -> String {
        let cost = if self.unpriced { None } else { Some(self.cost_usd) };
        let pace = if self.pace.is_empty() { String::new() } else { format!(", {}", self.pace) };
        format!(
            "cost {}, {}, {}{pace}",
            usd(cost),
            count(self.errors, "error", "errors"),
            count(self.retries, "retry", "retries")
        )
    }
}

/// Nothing here panics while it holds the lock, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    tally: Mutex<Tally>,
    redactor: Redactor,
}

impl Bar {
    pub fn new(target: ProgressDrawTarget, redactor: Redactor) -> Bar {
        let bar = ProgressBar::with_draw_target(None, target);
        // Narrow enough for 80 columns: a wrapped bar leaves its lines behind.
        let template = "{bar:12} {pos}/{len}, {rate}, {msg}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
                // A bar that can't be drawn is no reason to stop.
                let _ = write!(out, "{:.0}/s", state.per_sec());
            }));
        }
        Bar { bar, tally: Mutex::default(), redactor }
    }
}

impl Progress for Bar {
    fn on(&self, event: &Event) {
        let mut tally = lock(&self.tally);
        let line = tally.note(event, &self.redactor);
        if let Event::Planned { answers } = event {
            self.bar.set_length(*answers);
        }
        self.bar.set_position(tally.arrived());
        self.bar.set_message(tally.figures());
        if let Some(line) = line {
            self.bar.println(line);
        }
        if *event == Event::Done {
            self.bar.finish_and_clear();
        }
    }
}

/// Plain lines, about one for every tenth of the way.
#[derive(Debug)]
pub struct Lines<W> {
    state: Mutex<(Tally, u64, W)>,
    redactor: Redactor,
}

impl<W: Write + Send> Lines<W> {
    pub fn new(out: W, redactor: Redactor) -> Lines<W> {
        Lines { state: Mutex::new((Tally::default(), 0, out)), redactor }
    }
}

impl<W: Write + Send> Progress for Lines<W> {
    fn on(&self, event: &Event) {
        let mut state = lock(&self.state);
        let (tally, step, out) = &mut *state;
        // A log that can't be written is no reason to stop the run.
        if let Some(line) = tally.note(event, &self.redactor) {
            let _ = writeln!(out, "{line}");
        }
        let reached = (tally.arrived() * STEPS).checked_div(tally.planned).unwrap_or(0).min(STEPS);
        if reached > *step {
            *step = reached;
            let _ = writeln!(out, "{} of {} answers, {}", tally.arrived(), tally.planned, tally.figures());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(events: impl IntoIterator<Item = Event>) -> String {
        let lines = Lines::new(Vec::new(), Redactor::new(["sk-secret-1"]));
        for event in events {
            lines.on(&event);
        }
        String::from_utf8(lock(&lines.state).2.clone()).unwrap()
    }

    #[test]
    fn a_long_run_prints_a_line_for_every_tenth() {
        let answered = std::iter::repeat_n(Event::Answered { cost_usd: Some(0.001) }, 1_000);
        let text = lines(std::iter::once(Event::Planned { answers: 1_000 }).chain(answered).chain([Event::Done]));
        assert_eq!(text.lines().count(), 10);
        assert!(text.starts_with("100 of 1000 answers, cost $0.1000, 0 errors, 0 retries\n"), "{text}");
        assert!(text.ends_with("1000 of 1000 answers, cost $1.00, 0 errors, 0 retries\n"), "{text}");
    }

    #[test]
    fn errors_are_printed_once_and_safely() {
        let failed =
            || Event::Failed { code: "http_401".into(), message: "key sk-secret-1 \x1b[31m\n::error::x".into() };
        let text = lines([
            Event::Planned { answers: 100 },
            Event::Reused,
            Event::Retrying { code: "http_429".into(), wait: Duration::from_secs(1) },
            Event::Answered { cost_usd: None },
            failed(),
            failed(),
            Event::Stopping { reason: "the key was refused".into() },
        ]);
        insta::assert_snapshot!(text, @r"
        error http_401: key *** ␛[31m ⏎ ::error::x
        stopping: the key was refused
        ");
    }

    #[test]
    fn long_pauses_and_the_learnt_pace_are_shown() {
        let held = |seconds| Event::Held { wait: Duration::from_secs_f64(seconds) };
        let paced = |at_once, rpm, tpm| Event::Paced { at_once, rpm, tpm };
        let text = lines([
            Event::Planned { answers: 2 },
            held(1.0),
            held(44.1),
            held(9.0),
            held(9.0),
            held(9.0),
            paced(Some(8), Some(58), Some(90_000)),
            Event::Answered { cost_usd: Some(0.5) },
            paced(None, None, None),
            Event::Answered { cost_usd: Some(0.5) },
        ]);
        insta::assert_snapshot!(text, @r"
        the service asks for a pause: nothing is sent for 45 s
        the service asks for a pause: nothing is sent for 9 s
        the service asks for a pause: nothing is sent for 9 s; further pauses are not told
        1 of 2 answers, cost $0.5000, 0 errors, 0 retries, 8 at once, 58 requests/min, 90000 tokens/min
        2 of 2 answers, cost $1.00, 0 errors, 0 retries
        ");
    }

    #[test]
    fn nothing_planned_divides_nothing() {
        assert_eq!(lines([Event::Planned { answers: 0 }, Event::Done]), "");
    }

    #[test]
    fn the_bar_follows_the_run() {
        let bar = Bar::new(ProgressDrawTarget::hidden(), Redactor::default());
        bar.on(&Event::Planned { answers: 4 });
        bar.on(&Event::Reused);
        bar.on(&Event::Answered { cost_usd: Some(0.5) });
        bar.on(&Event::Failed { code: "timeout".into(), message: "60s".into() });
        assert_eq!((bar.bar.position(), bar.bar.length()), (3, Some(4)));
        assert_eq!(bar.bar.message(), "cost $0.5000, 1 error, 0 retries");
        bar.on(&Event::Done);
        assert!(bar.bar.is_finished());
    }
}
