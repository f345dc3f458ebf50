//! Ids: those made for cases without one, and the table that keeps them unique.

use super::row::Spot;
use crate::domain::{CaseId, Place, Turn, hex};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The row says it.
    Written,
    /// Made from the row's `vars` and `history`.
    Derived,
}

/// The id of a case without one: the first 16 hexadecimal digits of the SHA-256 over its history and vars as JSON
/// without white space, the keys of all maps sorted. It depends neither on where the case stands nor on the order in
/// which its vars are written.
pub(super) fn derive(vars: &Map<String, Value>, history: &[Turn]) -> CaseId {
    let canonical = sorted(&json!({"history": history, "vars": vars})).to_string();
    let digest = Sha256::digest(canonical.as_bytes());
    CaseId::new(hex(&digest[..8]))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by(|one, other| one.0.cmp(other.0));
            Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// All ids so far, as digests: about 40 bytes a case, however long the ids are.
#[derive(Default)]
pub(super) struct Ids(HashMap<[u8; 16], First>);

#[derive(Clone, Copy)]
pub(super) struct First {
    file: u32,
    at: Spot,
    pub(super) origin: Origin,
}

impl First {
    pub(super) fn place(self, files: &[std::sync::Arc<str>]) -> Place {
        match files.get(self.file as usize) {
            Some(file) => Place::in_file(file.clone(), self.at),
            None => Place::file(""),
        }
    }
}

impl Ids {
    /// Takes an id for the case at `at` of file number `file`.
    pub(super) fn take(&mut self, id: &CaseId, origin: Origin, file: u32, at: Spot) -> Result<(), First> {
        let digest = Sha256::digest(id.as_str().as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        match self.0.entry(key) {
            Entry::Occupied(first) => Err(*first.get()),
            Entry::Vacant(free) => {
                free.insert(First { file, at, origin });
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TurnRole;

    #[test]
    fn derived_ids_ignore_the_order_of_keys_but_nothing_else() {
        let id = |vars: &str, history: &[Turn]| derive(&serde_json::from_str(vars).unwrap(), history).to_string();
        let turn = Turn { role: TurnRole::User, text: "Hi".to_owned() };
        let first = id(r#"{"a": 1, "b": {"c": [1, 2], "d": null}}"#, &[]);
        // printf '{"history":[],"vars":{"a":1,"b":{"c":[1,2],"d":null}}}' | sha256sum
        insta::assert_snapshot!(first, @"78e2e01c91a4bbb9");
        assert_eq!(first, id(r#"{"b": {"d": null, "c": [1, 2]}, "a": 1}"#, &[]));
        assert_ne!(first, id(r#"{"a": 1, "b": {"c": [2, 1], "d": null}}"#, &[]));
        assert_ne!(first, id(r#"{"a": "1", "b": {"c": [1, 2], "d": null}}"#, &[]));
        assert_ne!(first, id(r#"{"a": 1, "b": {"c": [1, 2], "d": null}}"#, &[turn]));
    }
}
