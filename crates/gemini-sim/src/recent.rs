//! A map that forgets its oldest keys.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Keys kept.
pub(super) const KEPT: usize = 100_000;

/// Values by key; beyond [`KEPT`] keys, the one that came first is forgotten.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    values: HashMap<K, V>,
    /// In the order of arrival. May hold keys that were removed.
    order: VecDeque<K>,
    forgotten: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Recent<K, V> {
        Recent { values: HashMap::new(), order: VecDeque::new(), forgotten: 0 }
    }
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.values.get(&key)
    }

    pub(super) fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        if !self.values.contains_key(&key) {
            if self.order.len() >= KEPT
                && let Some(oldest) = self.order.pop_front()
            {
                self.values.remove(&oldest);
                self.forgotten += 1;
            }
            self.order.push_back(key);
        }
        self.values.entry(key).or_insert_with(value)
    }

    pub(super) fn remove(&mut self, key: K) {
        self.values.remove(&key);
    }

    /// In the order of arrival.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.order.iter().filter_map(|key| Some((*key, self.values.get(key)?)))
    }

    /// How many keys were forgotten.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut recent = Recent::default();
        for key in 0..KEPT + 10 {
            *recent.get_or_insert_with(key, || 0) += 1;
        }
        assert_eq!((recent.values.len(), recent.order.len(), recent.forgotten()), (KEPT, KEPT, 10));
        assert_eq!((recent.get(9), recent.get(10)), (None, Some(&1)));
    }
}
