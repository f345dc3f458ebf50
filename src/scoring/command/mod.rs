//! Commands of the user's own as checks: the one place of this stage that is not pure.
//!
//! ```text
//! check ─▶ Commands ─▶ Pool (one a command) ─▶ Process (one a worker) ─▶ JSON lines: request out, reply in
//! ```
//!
//! A command is whatever the user declares in promptgate.toml. It runs outside this process, takes time, and may break, so
//! what the other matchers promise can't hold here by construction. This room restores as much of it as can be had:
//!
//! - `resolve.rs` finds the program before anything is sent, and digests what is run, so that a changed command is a
//!   changed dataset;
//! - `process.rs` keeps one process with its streams, bounds what it may say and how long it may take, and ends it with
//!   all that it started;
//! - `protocol.rs` says what a request and a reply are; anything else is no judgement, never a pass or a fail;
//! - this file hands processes to workers, and gives up on a command that keeps breaking.
//!
//! A request has all that a reply may depend on. Which process answers it, and after which others, is left to chance: a
//! command that remembers earlier requests would judge differently from run to run.

mod process;
mod protocol;
mod resolve;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use super::matcher::{MatchError, MatchInput};
use super::quote::bounded;
use crate::domain::{ArgProblem, Command, Score, digest};
use process::{Breakage, Process};
use protocol::Interpretation;
#[cfg(feature = "cel")]
pub(super) use protocol::{AnswerView, CaseView};
use resolve::Program;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How often a command may break in one run: crash, hang, or say what is no reply. A process is started again after each
/// but the last; then its further checks are errors without being asked.
const MOST_BREAKS: u32 = 10;

/// The commands of one run, and their processes. Clones share both; the processes end with the last clone.
#[derive(Clone, Default)]
pub struct Commands(Arc<Inner>);

#[derive(Default)]
struct Inner {
    pools: BTreeMap<String, Arc<Pool>>,
    interrupted: Arc<OnceLock<InterruptCheck>>,
}

/// Whether a person asked the run to end.
type InterruptCheck = Box<dyn Fn() -> bool + Send + Sync>;

impl Commands {
    /// The declared commands of the project under `root`. Starts nothing.
    pub fn new(root: &Path, declared: &[Command]) -> Commands {
        let interrupted = Arc::new(OnceLock::new());
        let pool = |command: &Command| {
            let pool = Pool {
                command: command.clone(),
                root: root.to_owned(),
                program: OnceLock::new(),
                interrupted: Arc::clone(&interrupted),
                state: Mutex::default(),
            };
            (command.name.clone(), Arc::new(pool))
        };
        Commands(Arc::new(Inner { pools: declared.iter().map(pool).collect(), interrupted: Arc::clone(&interrupted) }))
    }

    /// From here on, checks are errors instead of being asked once `interrupted` says so. Only the first call counts.
    pub fn end_when(&self, interrupted: impl Fn() -> bool + Send + Sync + 'static) {
        // A second one would be of the same run.
        let _ = self.0.interrupted.set(Box::new(interrupted));
    }

    /// Forgets what commands said: the next checks are asked anew.
    pub fn forget(&self) {
        for pool in self.0.pools.values() {
            pool.lock().scores.clear();
        }
    }

    pub(super) fn find(&self, name: &str) -> Result<Arc<Pool>, ArgProblem> {
        let Some(pool) = self.0.pools.get(name) else {
            let names = || self.0.pools.keys().map(String::as_str);
            let shown = bounded(name, 64);
            let problem = ArgProblem::new(format!("no command `{shown}` is declared"));
            let problem = match names().next() {
                None => problem.expected("a command that promptgate.toml declares; it declares none"),
                Some(_) => problem.expected(format!("one of {}", names().collect::<Vec<_>>().join(", "))),
            };
            let hint = "declare it in promptgate.toml: [commands.NAME] with argv = [\"program\", \"argument\"]";
            return Err(problem.hint(hint).did_you_mean(name, names()));
        };
        match pool.program() {
            Ok(_) => Ok(Arc::clone(pool)),
            Err(message) => Err(ArgProblem::new(format!("the command `{name}` can't be started: {message}"))
                .expected(format!("a program that is there and may be run; declared at {}", pool.command.place))),
        }
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Commands").field(&self.0.pools).finish()
    }
}

/// One command, and the processes that no worker holds at the moment.
pub(super) struct Pool {
    command: Command,
    root: PathBuf,
    program: OnceLock<Result<Program, String>>,
    interrupted: Arc<OnceLock<InterruptCheck>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Process>,
    breaks: u32,
    /// What it said to requests, by their digest, since [`Commands::forget`]. As large as the checks of one batch.
    scores: HashMap<[u8; 32], Result<Score, MatchError>>,
    /// Why it broke for the last time.
    last: String,
}

impl Pool {
    /// What identifies the command: its settings, and the project's files that they name.
    pub(super) fn digest(&self) -> Option<&str> {
        self.program().ok().map(|program| program.digest.as_str())
    }

    fn program(&self) -> Result<&Program, &str> {
        let found = self.program.get_or_init(|| resolve::program(&self.command, &self.root));
        found.as_ref().map_err(String::as_str)
    }

    /// Has the command judge an answer, or repeats what it said of it: a batch that asks judges is judged several times.
    pub(super) fn score(&self, input: &MatchInput<'_>, args: &Value) -> Result<Score, MatchError> {
        let request = protocol::request("", input, args);
        let digest = request.map(|request| digest([request.as_slice()]));
        let digest = digest.map_err(|error| MatchError::new(format!("the request can't be written: {error}")))?;
        if let Some(score) = self.lock().scores.get(&digest) {
            return score.clone();
        }
        let score = self.ask(input, args);
        self.lock().scores.insert(digest, score.clone());
        score
    }

    fn ask(&self, input: &MatchInput<'_>, args: &Value) -> Result<Score, MatchError> {
        let name = &self.command.name;
        if self.interrupted.get().is_some_and(|interrupted| interrupted()) {
            return Err(MatchError::new(format!("the run was interrupted before the command `{name}` judged")));
        }
        let mut process = self.take()?;
        match process.ask(|id| protocol::request(id, input, args), self.command.timeout) {
            Ok(reply) => {
                self.lock().idle.push(process);
                match protocol::interpret(reply) {
                    Interpretation::Score(score) => Ok(score),
                    Interpretation::Error(message) => {
                        Err(MatchError::new(format!("the command `{name}` can't judge: {message}")))
                    }
                    Interpretation::Wrong(message) => Err(MatchError::new(format!("the command `{name}` {message}"))),
                }
            }
            Err(breakage) => Err(MatchError::new(self.note_breakage(process.end(), &breakage))),
        }
    }

    /// A process that waits for a request.
    fn take(&self) -> Result<Process, MatchError> {
        let name = &self.command.name;
        let mut state = self.lock();
        if state.breaks > MOST_BREAKS {
            return Err(MatchError::new(format!(
                "the command `{name}` broke {} times, so it is not started again; the last time: {}",
                state.breaks, state.last
            )));
        }
        if let Some(process) = state.idle.pop() {
            return Ok(process);
        }
        drop(state);
        let program = self
            .program()
            .map_err(|message| MatchError::new(format!("the command `{name}` can't be started: {message}")))?;
        Process::start(program, &self.command).map_err(|error| {
            let message = format!("the command `{name}` can't be started: {error}");
            self.note(&message);
            MatchError::new(message)
        })
    }

    /// A process broke, and ended like this.
    fn note_breakage(&self, end: process::End, breakage: &Breakage) -> String {
        let mut message =
            format!("the command `{}` {}", self.command.name, breakage.message(&end, self.command.timeout));
        if !end.stderr.is_empty() {
            message = format!("{message}; it wrote \"{}\"", end.stderr);
        }
        self.note(&message);
        message
    }

    fn note(&self, message: &str) {
        let mut state = self.lock();
        state.breaks += 1;
        state.last = message.to_owned();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("command", &self.command.name).finish_non_exhaustive()
    }
}
