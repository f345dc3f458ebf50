//! One process of a command: its streams, its time, its end.

use super::protocol::{self, Reply};
use super::resolve::Program;
use crate::domain::Command;
use crate::scoring::quote::bounded;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{self, Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The longest reply, in bytes.
const LONGEST_REPLY: usize = 64 << 10;

/// How many bytes of what a process last wrote to its standard error are kept, and how many characters are shown.
const KEPT_STDERR: usize = 4 << 10;
const SHOWN_STDERR: usize = 300;

/// How long the rest of standard error is waited for after a process has been killed. Only a process that fled from its
/// group can still hold it open.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(super) struct Process {
    running: Running,
    requests: SyncSender<Vec<u8>>,
    replies: Receiver<Line>,
    stderr: Arc<Mutex<VecDeque<u8>>>,
    stderr_ended: Receiver<()>,
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// Why a process is of no use any more. What it may still say would answer a request of the past.
#[derive(Debug)]
pub(super) enum Breakage {
    /// It ended, or closed its output.
    Ended,
    Late,
    /// It wrote a line that nobody had asked for.
    Unasked,
    TooLong,
    NoReply(String),
    /// It answered no request, or another one.
    OtherId,
    NoId(getrandom::Error),
    Request(serde_json::Error),
}

pub(super) struct End {
    status: Option<ExitStatus>,
    /// The last that it wrote to its standard error, short and on one line.
    pub(super) stderr: String,
}

impl Breakage {
    /// What happened, to follow the command's name.
    pub(super) fn message(&self, end: &End, timeout: Duration) -> String {
        match (self, end.status) {
            (Breakage::Ended, Some(status)) if status.code().is_some() => format!("ended without a reply ({status})"),
            (Breakage::Ended, _) => "closed its output without a reply".to_owned(),
            (Breakage::Late, _) => format!("did not reply within {timeout:?}"),
            (Breakage::Unasked, _) => "wrote a line that answers no request".to_owned(),
            (Breakage::TooLong, _) => format!("replied with more than {} KiB in a line", LONGEST_REPLY >> 10),
            (Breakage::NoReply(line), _) => format!("wrote a line that is not a reply: \"{line}\""),
            (Breakage::OtherId, _) => "replied with an id that is not the one of the request".to_owned(),
            (Breakage::NoId(error), _) => {
                format!("can't be sent a request: the system gives no random bytes for an id: {error}")
            }
            (Breakage::Request(error), _) => format!("can't be sent a request: {error}"),
        }
    }
}

impl Process {
    /// Starts a command in the project root, in a process group of its own, with PATH and its own variables alone.
    pub(super) fn start(program: &Program, command: &Command) -> io::Result<Process> {
        let mut starting = process::Command::new(&program.path);
        starting
            .args(&command.argv[1..])
            .current_dir(&program.root)
            .env_clear()
            .envs(program.search.iter().map(|search| ("PATH", search)))
            .envs(system_variables())
            .envs(&command.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        in_group(&mut starting);
        let mut child = starting.spawn()?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // From here on it ends with whatever goes wrong.
        let running = Running(Some(child));
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(io::Error::other("its streams are not there"));
        };
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let (requests, to_write) = sync_channel(1);
        let (read, replies) = sync_channel(1);
        let (ending, stderr_ended) = sync_channel(1);
        thread("command-in", move || write_requests(stdin, &to_write))?;
        thread("command-out", move || read_replies(stdout, &read))?;
        let kept = Arc::clone(&tail);
        thread("command-err", move || {
            keep_tail(stderr, &kept);
            // Nobody may wait for it.
            let _ = ending.send(());
        })?;
        Ok(Process { running, requests, replies, stderr: tail, stderr_ended })
    }

    /// Sends a request and waits for its reply. After an error the process is of no use.
    pub(super) fn ask(
        &mut self,
        request: impl FnOnce(&str) -> Result<Vec<u8>, serde_json::Error>,
        timeout: Duration,
    ) -> Result<Reply, Breakage> {
        match self.replies.try_recv() {
            Ok(Line::Whole(_) | Line::TooLong) => return Err(Breakage::Unasked),
            Err(TryRecvError::Disconnected) => return Err(Breakage::Ended),
            Err(TryRecvError::Empty) => {}
        }
        let id = unforeseeable().map_err(Breakage::NoId)?;
        let line = request(&id).map_err(Breakage::Request)?;
        // The writer takes it at once, or has ended with the process; how long it then writes counts below.
        self.requests.send(line).map_err(|_| Breakage::Ended)?;
        let line = match self.replies.recv_timeout(timeout) {
            Ok(Line::Whole(line)) => line,
            Ok(Line::TooLong) => return Err(Breakage::TooLong),
            Err(RecvTimeoutError::Timeout) => return Err(Breakage::Late),
            Err(RecvTimeoutError::Disconnected) => return Err(Breakage::Ended),
        };
        // Without the id, which would make a report differ from run to run.
        let shown = || bounded(&String::from_utf8_lossy(&line).replace(&id, "…"), 80);
        let reply = protocol::reply(&line).map_err(|_| Breakage::NoReply(shown()))?;
        if reply.id != id {
            return Err(Breakage::OtherId);
        }
        Ok(reply)
    }

    /// Ends the process with all that it started.
    pub(super) fn end(mut self) -> End {
        let status = self.running.end();
        // Ended with or without last words.
        let _ = self.stderr_ended.recv_timeout(LAST_WORDS);
        let tail: Vec<u8> = self.stderr.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let text = String::from_utf8_lossy(&tail);
        let text = text.trim();
        let first = text.chars().count().saturating_sub(SHOWN_STDERR);
        let cut = if first > 0 { "…" } else { "" };
        let last: String = text.chars().skip(first).collect();
        End { status, stderr: format!("{cut}{}", bounded(&last, SHOWN_STDERR)) }
    }
}

/// An id that no answer can hold: 128 random bits. A command may well print the answer that it judges, or an earlier
/// line late; with an id that could be foreseen, an answer could so bring its own reply.
fn unforeseeable() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Writes requests until the process or its pool ends.
fn write_requests(mut stdin: ChildStdin, requests: &Receiver<Vec<u8>>) {
    while let Ok(line) = requests.recv() {
        if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

/// Reads lines until the process ends or says too much. Holds one line at a time, and one more in the channel.
fn read_replies(stdout: ChildStdout, replies: &SyncSender<Line>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        // A byte more than allowed tells that there is more; the line break is one, too.
        let most = LONGEST_REPLY as u64 + 2;
        match (&mut stdout).take(most).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let ended = line.pop_if(|last| *last == b'\n').is_some();
        let reply = if line.len() > LONGEST_REPLY {
            Line::TooLong
        } else if ended {
            Line::Whole(line)
        } else {
            // The process ended within a line, which may have lost its end.
            return;
        };
        let last = matches!(reply, Line::TooLong);
        if replies.send(reply).is_err() || last {
            return;
        }
    }
}

/// Keeps the last bytes of a stream until it ends.
fn keep_tail(mut stderr: ChildStderr, tail: &Mutex<VecDeque<u8>>) {
    let mut bytes = [0; 1024];
    loop {
        match stderr.read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => {
                let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                tail.extend(&bytes[..read]);
                let surplus = tail.len().saturating_sub(KEPT_STDERR);
                tail.drain(..surplus);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Gives a process a group of its own, so that what it starts ends with it, and Ctrl-C in a terminal reaches promptgate
/// alone, which then ends it.
#[cfg(unix)]
fn in_group(starting: &mut process::Command) {
    use std::os::unix::process::CommandExt as _;
    starting.process_group(0);
}

#[cfg(not(unix))]
fn in_group(_: &mut process::Command) {}

/// A process that is ended when nobody holds it any more.
struct Running(Option<Child>);

impl Running {
    /// Kills the process and its group, and waits for it.
    fn end(&mut self) -> Option<ExitStatus> {
        let mut child = self.0.take()?;
        // Before waiting: until then nobody else can get its number.
        #[cfg(unix)]
        if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // It may have left no one.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Variables without which nothing starts on Windows.
fn system_variables() -> Vec<(&'static str, std::ffi::OsString)> {
    let names: &[&str] = if cfg!(windows) { &["SystemRoot", "PATHEXT"] } else { &[] };
    names.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect()
}
