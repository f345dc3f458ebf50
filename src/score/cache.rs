//! Keeps what was expensive to compile, because the same arguments recur over many cases.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A bounded map from a text to what it compiles to. It is emptied when it is full: a dataset uses a few compilations
/// many times, or many once, and neither profits from a cleverer choice of what to drop.
#[derive(Debug)]
pub(super) struct Cache<T> {
    entries: Mutex<Option<HashMap<String, T>>>,
    capacity: usize,
}

impl<T: Clone> Cache<T> {
    /// An empty cache of at most `capacity` entries.
    pub(super) const fn new(capacity: usize) -> Cache<T> {
        Cache {
            entries: Mutex::new(None),
            capacity,
        }
    }

    /// The value for `key`, made with `make` if it is not there. Errors are not kept.
    ///
    /// # Errors
    /// What `make` returns.
    pub(super) fn get_or_try<E>(&self, key: &str, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Some(found) = self.lock().as_ref().and_then(|entries| entries.get(key)) {
            return Ok(found.clone());
        }
        // Made without the lock: two threads may make the same value once each, but none waits for another.
        let made = make()?;
        let mut entries = self.lock();
        let entries = entries.get_or_insert_default();
        if entries.len() >= self.capacity {
            entries.clear();
        }
        entries.insert(key.to_owned(), made.clone());
        Ok(made)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<HashMap<String, T>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_once_and_stays_bounded() {
        let cache = Cache::new(2);
        let made = std::cell::Cell::new(0);
        let get = |key: &str| {
            cache.get_or_try(key, || {
                made.set(made.get() + 1);
                Ok::<_, ()>(key.len())
            })
        };
        assert_eq!((get("a"), get("a"), get("bb")), (Ok(1), Ok(1), Ok(2)));
        assert_eq!(made.get(), 2);
        assert_eq!(get("ccc"), Ok(3));
        assert_eq!(cache.lock().as_ref().map(HashMap::len), Some(1));
        assert_eq!(cache.get_or_try("d", || Err("no")), Err("no"));
        assert_eq!(cache.get_or_try("d", || Ok::<_, ()>(9)), Ok(9), "an error is not kept");
    }
}
