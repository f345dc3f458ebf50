//! Keeps what was expensive to compile, because the same arguments recur over many cases.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A bounded map from a text to what it compiles to, which is made once, however many threads ask for it at the same time.
/// It is emptied when it is full: a dataset uses a few compilations many times, or many once, and neither profits from a
/// cleverer choice of what to drop.
#[derive(Debug)]
pub(super) struct Cache<T> {
    entries: Mutex<Option<HashMap<String, Arc<Slot<T>>>>>,
    capacity: usize,
    #[cfg(test)]
    log: Mutex<Log>,
}

/// What is made of one text, or will be.
#[derive(Debug)]
struct Slot<T> {
    made: OnceLock<T>,
    /// Held by the one who makes it.
    making: Mutex<()>,
}

#[cfg(test)]
#[derive(Debug)]
struct Log {
    made: std::collections::BTreeMap<String, usize>,
    emptied: usize,
}

impl<T: Clone> Cache<T> {
    pub(super) const fn new(capacity: usize) -> Cache<T> {
        Cache {
            entries: Mutex::new(None),
            capacity,
            #[cfg(test)]
            log: Mutex::new(Log { made: std::collections::BTreeMap::new(), emptied: 0 }),
        }
    }

    /// The value for `key`, made with `make` if it is not there. Who asks for the same value meanwhile waits for it; who asks
    /// for another one does not. Errors are not kept.
    ///
    /// # Errors
    /// What `make` returns.
    pub(super) fn get_or_try<E>(&self, key: &str, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let slot = self.slot(key);
        if let Some(made) = slot.made.get() {
            return Ok(made.clone());
        }
        let _making = locked(&slot.making);
        if let Some(made) = slot.made.get() {
            return Ok(made.clone());
        }
        let made = make()?;
        #[cfg(test)]
        {
            *locked(&self.log).made.entry(key.to_owned()).or_default() += 1;
        }
        Ok(slot.made.get_or_init(|| made).clone())
    }

    /// The slot of a key; an empty one if it is new.
    fn slot(&self, key: &str) -> Arc<Slot<T>> {
        let mut entries = locked(&self.entries);
        let entries = entries.get_or_insert_default();
        if let Some(slot) = entries.get(key) {
            return slot.clone();
        }
        if entries.len() >= self.capacity {
            entries.clear();
            #[cfg(test)]
            {
                locked(&self.log).emptied += 1;
            }
        }
        let slot = Arc::new(Slot { made: OnceLock::new(), making: Mutex::new(()) });
        entries.insert(key.to_owned(), slot.clone());
        slot
    }
}

/// Nothing is half done when a thread panics with one of these locks: a slot is empty or complete.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl<T: Clone> Cache<T> {
    /// Asserts that `work`, which needs the value for a key, has it made once at most, however often it needs it. Others may
    /// use the cache at the same time; each time that they fill it, it may have to be made again.
    pub(super) fn assert_made_once(&self, key: &str, work: impl FnOnce()) {
        let emptied = || locked(&self.log).emptied;
        let made = || locked(&self.log).made.get(key).copied().unwrap_or(0);
        let (emptied_before, made_before) = (emptied(), made());
        work();
        let (times, often) = (made() - made_before, 1 + emptied() - emptied_before);
        assert!(times <= often, "{key} was made {times} times");
        assert!(made() > 0, "{key} was never made");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

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
        assert_eq!(locked(&cache.entries).as_ref().map(HashMap::len), Some(1));
        assert_eq!(cache.get_or_try("d", || Err("no")), Err("no"));
        assert_eq!(cache.get_or_try("d", || Ok::<_, ()>(9)), Ok(9), "an error is not kept");
    }

    #[test]
    fn many_threads_at_once_make_it_once() {
        let cache = Cache::new(2);
        let yielding = || {
            std::thread::yield_now();
            Ok::<_, ()>(())
        };
        let ask = |_| cache.get_or_try("a", yielding).unwrap();
        cache.assert_made_once("a", || (0..1000).into_par_iter().for_each(ask));
    }
}
