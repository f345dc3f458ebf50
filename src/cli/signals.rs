//! Ctrl-C and SIGTERM: the first asks the run to end cleanly, the second ends the process at once; so does the first while
//! nothing has been sent.

use super::terminal::print_problems;
use crate::domain::Problem;
use crate::error::Error;
use crate::eval::Interrupt;
use crate::exit;
use std::io;

/// Runs what signals may end. A signal wins over everything, also over what went wrong meanwhile.
pub(super) fn interruptible(run: impl FnOnce(&Interrupt) -> Result<u8, Error>) -> Result<u8, Error> {
    let interrupt = watch()?;
    let result = run(&interrupt);
    let Some(code) = interrupt.code() else { return result };
    if let Err(error) = &result {
        print_problems(error);
    }
    Ok(code)
}

/// Watches for signals on a thread of its own until the process ends.
pub(super) fn watch() -> Result<Interrupt, Problem> {
    start().map_err(|error| Problem::new(format!("signals can't be watched: {error}")))
}

fn start() -> io::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let watcher = interrupt.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _context = runtime.enter();
        Signals::new()?
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            while let Some(code) = signals.next().await {
                if watcher.code().is_some() || !watcher.ends_cleanly() {
                    #[expect(
                        clippy::exit,
                        reason = "nothing is under way yet, or the person asked twice; answers that arrived are committed"
                    )]
                    std::process::exit(i32::from(code));
                }
                watcher.raise(code);
            }
        });
    })?;
    Ok(interrupt)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Option<u8> {
        tokio::select! {
            received = self.interrupt.recv() => received.map(|()| exit::INTERRUPTED),
            received = self.terminate.recv() => received.map(|()| exit::TERMINATED),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) -> Option<u8> {
        tokio::signal::ctrl_c().await.ok().map(|()| exit::INTERRUPTED)
    }
}
