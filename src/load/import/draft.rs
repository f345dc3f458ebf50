//! A case in the making, and what is to be told about it.

use super::node::Node;
use crate::domain::{Place, TurnRole};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

/// What is to be told about something in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it stands.
    pub place: Place,
    /// The way to it inside its file, like `tests[3].assert[0]`; may be empty.
    pub path: String,
    /// How grave it is.
    pub kind: Kind,
    /// What it is; may quote the source.
    pub message: String,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has no equivalent: the golden file does not say it.
    Lost,
    /// The golden file says it, but not in quite the same meaning; or it is no golden data.
    Note,
}

impl Finding {
    /// The message with the way to its object.
    pub fn text(&self) -> String {
        let message = match self.kind {
            Kind::Lost => format!("no equivalent: {}", self.message),
            Kind::Note => self.message.clone(),
        };
        match self.path.as_str() {
            "" => message,
            path => format!("{path}: {message}"),
        }
    }

    /// About something at a node.
    pub(super) fn at(node: &Node, kind: Kind, message: impl Into<String>) -> Finding {
        Finding {
            place: node.place(),
            path: node.path(),
            kind,
            message: message.into(),
        }
    }
}

/// A case in the making.
pub(super) struct Draft {
    /// What its id is made of.
    pub(super) name: String,
    pub(super) tags: Vec<String>,
    pub(super) critical: bool,
    pub(super) vars: Map<String, Value>,
    pub(super) history: Vec<(TurnRole, String)>,
    pub(super) checks: Vec<Value>,
    pub(super) notes: Vec<String>,
    pub(super) findings: Vec<Finding>,
    /// Its input is not known, so that it can't be asked.
    pub(super) unusable: bool,
    node: Node,
}

impl Draft {
    /// An empty one, made of what stands at `node`.
    pub(super) fn new(node: &Node, name: impl Into<String>) -> Draft {
        Draft {
            name: name.into(),
            tags: Vec::new(),
            critical: false,
            vars: Map::new(),
            history: Vec::new(),
            checks: Vec::new(),
            notes: Vec::new(),
            findings: Vec::new(),
            unusable: false,
            node: node.clone(),
        }
    }

    /// Something has no equivalent.
    pub(super) fn lose(&mut self, node: &Node, message: impl Into<String>) {
        self.findings.push(Finding::at(node, Kind::Lost, message));
    }

    /// Something does not mean quite the same, or is worth knowing.
    pub(super) fn note(&mut self, node: &Node, message: impl Into<String>) {
        self.findings.push(Finding::at(node, Kind::Note, message));
    }

    /// Something in the input has no equivalent, so that the case can't be asked.
    pub(super) fn lose_input(&mut self, node: &Node, message: impl Into<String>) {
        self.lose(node, message);
        self.unusable = true;
    }

    /// The case, if it has an input and a check that decides.
    pub(super) fn finish(mut self) -> Entry {
        let decides = |check: &Value| check.get("weight").and_then(Value::as_f64) != Some(0.0);
        if !self.unusable && self.checks.iter().any(decides) {
            return Entry::Case(Box::new(self));
        }
        let why = match (
            self.unusable,
            self.findings.iter().any(|finding| finding.kind == Kind::Lost),
        ) {
            (true, _) => "the case is left out, because its input is not known",
            (false, true) => "the case is left out, because none of its checks that decide has an equivalent",
            (false, false) => {
                "the case is left out, because it has no check that decides: it passes whatever the answer"
            }
        };
        let node = self.node.clone();
        self.lose(&node, why);
        Entry::LeftOut(self.findings)
    }
}

/// A case, or what is left of one.
pub(super) enum Entry {
    Case(Box<Draft>),
    LeftOut(Vec<Finding>),
}

impl Entry {
    pub(super) fn is_case(&self) -> bool {
        matches!(self, Entry::Case(_))
    }

    pub(super) fn findings(&self) -> &[Finding] {
        match self {
            Entry::Case(draft) => &draft.findings,
            Entry::LeftOut(findings) => findings,
        }
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        match self {
            Entry::Case(draft) => draft.findings,
            Entry::LeftOut(findings) => findings,
        }
    }

    /// About how many bytes it will have in the file.
    pub(super) fn bytes(&self) -> usize {
        let findings: usize = self
            .findings()
            .iter()
            .map(|finding| finding.message.len() + finding.path.len() + 40)
            .sum();
        findings + self.row().map_or(0, |row| row.to_string().len())
    }

    /// The case as a golden file holds it.
    pub(super) fn row(&self) -> Option<Value> {
        let Entry::Case(draft) = self else { return None };
        let mut row = Map::new();
        row.insert("id".to_owned(), draft.name.clone().into());
        if !draft.tags.is_empty() {
            row.insert("tags".to_owned(), draft.tags.clone().into());
        }
        if draft.critical {
            row.insert("critical".to_owned(), true.into());
        }
        if !draft.vars.is_empty() {
            row.insert("vars".to_owned(), draft.vars.clone().into());
        }
        if !draft.history.is_empty() {
            let turns: Vec<Value> = draft
                .history
                .iter()
                .map(|(role, text)| json!({"role": role, "text": text}))
                .collect();
            row.insert("history".to_owned(), turns.into());
        }
        row.insert("expect".to_owned(), draft.checks.clone().into());
        if !draft.notes.is_empty() {
            row.insert("notes".to_owned(), draft.notes.join("; ").into());
        }
        Some(Value::Object(row))
    }
}

/// Makes the names of the cases their ids: on one line, and each unique, with a number at the end where needed.
pub(super) fn name(entries: &mut [Entry]) {
    let mut taken: HashSet<String> = HashSet::new();
    let mut next: HashMap<String, u64> = HashMap::new();
    for entry in entries {
        let Entry::Case(draft) = entry else { continue };
        let base = one_line(&draft.name);
        let mut id = base.clone();
        while !taken.insert(id.clone()) {
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

fn one_line(name: &str) -> String {
    const KEPT: usize = 120;
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(KEPT).collect()
}
