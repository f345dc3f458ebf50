//! Stopping a run from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// A person's or a machine's wish to stop, as the exit code that it leads to.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    pub(crate) token: CancellationToken,
    clean: Arc<AtomicBool>,
    raised: Arc<(Mutex<Option<u8>>, Condvar)>,
}

impl Interrupt {
    /// Asks the run to end: nothing more is sent, what has arrived is kept and reported.
    pub fn raise(&self, code: u8) {
        let (raised, waiters) = &*self.raised;
        *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
        waiters.notify_all();
        self.token.cancel();
    }

    /// From here on there is something to end cleanly; before, the process may end at once.
    pub fn end_cleanly(&self) {
        self.clean.store(true, Ordering::SeqCst);
    }

    pub fn ends_cleanly(&self) -> bool {
        self.clean.load(Ordering::SeqCst)
    }

    /// Waits for a signal and returns its exit code.
    pub fn wait(&self) -> u8 {
        let (raised, waiters) = &*self.raised;
        let mut code = raised.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *code {
                Some(code) => return code,
                None => code = waiters.wait(code).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    pub fn code(&self) -> Option<u8> {
        *self.raised.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
