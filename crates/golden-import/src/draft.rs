//! A case in the making.

use super::document::Node;
use super::finding::{Finding, Findings};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

/// Who says something in the history of a case.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    User,
    Model,
}

pub(crate) struct Draft {
    /// What its id is made of.
    pub(crate) name: String,
    pub(crate) tags: Vec<String>,
    pub(crate) critical: bool,
    pub(crate) vars: Map<String, Value>,
    pub(crate) history: Vec<(Role, String)>,
    pub(crate) checks: Vec<Value>,
    pub(crate) notes: Vec<String>,
    pub(crate) findings: Findings,
    /// Its input is not known, so that it can't be asked.
    pub(crate) unusable: bool,
    node: Node,
}

impl Draft {
    pub(crate) fn new(node: &Node, name: impl Into<String>) -> Draft {
        Draft {
            name: name.into(),
            tags: Vec::new(),
            critical: false,
            vars: Map::new(),
            history: Vec::new(),
            checks: Vec::new(),
            notes: Vec::new(),
            findings: Findings::default(),
            unusable: false,
            node: node.clone(),
        }
    }

    pub(crate) fn lose(&mut self, node: &Node, message: impl Into<String>) {
        self.findings.lose(node, message);
    }

    pub(crate) fn note(&mut self, node: &Node, message: impl Into<String>) {
        self.findings.note(node, message);
    }

    /// Something in the input has no equivalent, so that the case can't be asked.
    pub(crate) fn lose_input(&mut self, node: &Node, message: impl Into<String>) {
        self.lose(node, message);
        self.unusable = true;
    }

    /// Adds a check, or says why there is none; whether it was added.
    pub(crate) fn check(&mut self, node: &Node, check: Result<Value, String>) -> bool {
        match check {
            Ok(check) => self.checks.push(check),
            Err(why) => {
                self.lose(node, why);
                return false;
            }
        }
        true
    }

    /// The case, if it has an input and a check that decides.
    pub(crate) fn finish(mut self) -> Entry {
        let decides = |check: &Value| check.get("weight").and_then(Value::as_f64) != Some(0.0);
        if !self.unusable && self.checks.iter().any(decides) {
            return Entry::Case(Box::new(self));
        }
        let why = match (self.unusable, self.findings.has_losses()) {
            (true, _) => "the case is left out, because its input is not known",
            (false, true) => "the case is left out, because none of its checks that decide has an equivalent",
            (false, false) => {
                "the case is left out, because it has no check that decides: it passes whatever the answer"
            }
        };
        self.findings.lose(&self.node, why);
        Entry::LeftOut(self.findings.0)
    }
}

/// A case, or what is left of one.
pub(crate) enum Entry {
    Case(Box<Draft>),
    LeftOut(Vec<Finding>),
}

impl Entry {
    pub(crate) fn is_case(&self) -> bool {
        matches!(self, Entry::Case(_))
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        match self {
            Entry::Case(draft) => &draft.findings.0,
            Entry::LeftOut(findings) => findings,
        }
    }

    /// About how many bytes it will have in the file.
    pub(crate) fn bytes(&self) -> usize {
        let findings = self.findings().iter();
        let findings = findings.map(|finding| finding.message.len() + finding.path.len() + 40);
        findings.sum::<usize>() + self.row().map_or(0, |row| row.to_string().len())
    }

    /// The case as a golden file holds it.
    pub(crate) fn row(&self) -> Option<Value> {
        let Entry::Case(draft) = self else { return None };
        let turns = draft.history.iter().map(|(role, text)| {
            let role = match role {
                Role::User => "user",
                Role::Model => "model",
            };
            json!({"role": role, "text": text})
        });
        let fields = [
            ("id", !draft.name.is_empty(), Value::from(draft.name.as_str())),
            ("tags", !draft.tags.is_empty(), draft.tags.clone().into()),
            ("critical", draft.critical, true.into()),
            ("vars", !draft.vars.is_empty(), draft.vars.clone().into()),
            ("history", !draft.history.is_empty(), turns.collect()),
            ("expect", true, draft.checks.clone().into()),
            ("notes", !draft.notes.is_empty(), draft.notes.join("; ").into()),
        ];
        let fields = fields.into_iter().filter(|(_, has_it, _)| *has_it);
        Some(fields.map(|(key, _, value)| (key.to_owned(), value)).collect())
    }
}

/// Makes the names of the cases their ids: on one line, and each unique, with a number at the end where needed.
pub(crate) fn assign_ids(entries: &mut [Entry]) {
    const MAX_CHARS: usize = 120;
    let mut ids: HashSet<String> = HashSet::new();
    let mut next: HashMap<String, u64> = HashMap::new();
    for entry in entries {
        let Entry::Case(draft) = entry else { continue };
        let words: Vec<&str> = draft.name.split_whitespace().collect();
        let base: String = words.join(" ").chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect();
        let mut id = base.clone();
        while !ids.insert(id.clone()) {
            let number = next.entry(base.clone()).or_insert(1);
            *number += 1;
            id = format!("{base}-{number}");
        }
        if base != draft.name {
            draft.notes.insert(0, draft.name.clone());
        }
        draft.name = id;
    }
}
