//! A place in a document, with the value that stands there.

use crate::dataset::document::Document;
use crate::domain::{Place, Step};
use serde_json::Value;
use std::rc::Rc;

/// A value of a document of another tool, and the way to it.
#[derive(Clone)]
pub(super) struct Node {
    document: Rc<Document>,
    path: Vec<Step>,
}

impl Node {
    /// The whole document.
    pub(super) fn root(document: Document) -> Node {
        Node {
            document: Rc::new(document),
            path: Vec::new(),
        }
    }

    /// What stands here.
    pub(super) fn value(&self) -> &Value {
        self.path.iter().fold(&self.document.value, |value, step| {
            match step {
                Step::Key(key) => value.get(key),
                Step::Index(index) => value.get(index),
            }
            .unwrap_or(&Value::Null)
        })
    }

    /// What stands under a key; `None` if there is nothing, or null.
    pub(super) fn get(&self, key: &str) -> Option<Node> {
        self.value()
            .get(key)
            .filter(|value| !value.is_null())
            .map(|_| self.step(Step::key(key)))
    }

    /// The same, with another spelling of the key.
    pub(super) fn either(&self, key: &str, other: &str) -> Option<Node> {
        self.get(key).or_else(|| self.get(other))
    }

    /// The text under a key.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.value().get(key)?.as_str()
    }

    /// The elements of a list; none if it is no list.
    pub(super) fn items(&self) -> Vec<Node> {
        let count = self.value().as_array().map_or(0, Vec::len);
        (0..count).map(|index| self.step(Step::Index(index))).collect()
    }

    /// The entries of a map that are not null; none if it is no map.
    pub(super) fn entries(&self) -> Vec<(String, Node)> {
        let map = self.value().as_object().into_iter().flatten();
        map.filter(|(_, value)| !value.is_null())
            .map(|(key, _)| (key.clone(), self.step(Step::key(key))))
            .collect()
    }

    fn step(&self, step: Step) -> Node {
        let mut path = self.path.clone();
        path.push(step);
        Node {
            document: self.document.clone(),
            path,
        }
    }

    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        self.document.place(&self.path)
    }

    /// The way to it, like `tests[3].assert[0]`; empty for a whole document.
    pub(super) fn path(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => text.extend([".", key]),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}
