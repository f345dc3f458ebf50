//! From a row to a case: known keys, right types, checks that decide. The same for every format; a format only says
//! where things stand.

use super::checks;
use super::digest::IncludedFiles;
use super::history;
use super::identity::{self, Origin};
use super::labels;
use super::mistake::{Mistake, Mistakes, kind};
use super::source::shorten;
use crate::domain::{CaseId, CheckRules, CheckSpec, Label, Problem, Step, Turn, WEIGHT, nearest};
use serde_json::{Map, Value};
use std::sync::Arc;

pub(super) const KEYS: [&str; 10] =
    ["id", "tags", "critical", "weight", "cluster", "vars", "history", "expect", "labels", "notes"];

/// The largest weight of a case. A case that weighs more than a thousand others is a mistake.
const MAX_WEIGHT: f64 = 1_000.0;
/// Bytes of a cluster's name.
const MAX_CLUSTER: usize = 200;

/// What a row says, as far as it could be understood, and all that is wrong with it.
#[derive(Default)]
pub(super) struct Draft {
    /// Missing only where it is itself a mistake, or would be made from something that is.
    pub(super) id: Option<(CaseId, Origin)>,
    pub(super) tags: Vec<String>,
    pub(super) critical: bool,
    /// In thousandths; `None` where nothing is said.
    pub(super) weight: Option<u32>,
    pub(super) cluster: Option<Arc<str>>,
    pub(super) vars: Map<String, Value>,
    pub(super) history: Vec<Turn>,
    pub(super) checks: Vec<CheckSpec>,
    pub(super) labels: Vec<Label>,
    pub(super) notes: Option<String>,
    pub(super) mistakes: Mistakes,
}

/// Reads a row. `flawed` rows have mistakes that are already reported: what they lack is no mistake.
pub(super) fn read(written: Value, flawed: bool, rules: &dyn CheckRules, included: &mut IncludedFiles) -> Draft {
    let mut draft = Draft::default();
    let Value::Object(row) = written else {
        let problem = Problem::new(format!("a case is {}", kind(&written)))
            .expected("a map with the keys of a case, such as `id`, `vars` and `expect`");
        draft.mistakes.push(Mistake::value(&[], problem));
        return draft;
    };
    let mut has_id = false;
    let mut inputs_are_known = !flawed;
    let mut has_expect = flawed;
    for (key, value) in row {
        let found_before = draft.mistakes.len();
        match key.as_str() {
            "id" => {
                has_id = true;
                draft.id = read_id(value, &mut draft.mistakes).map(|id| (id, Origin::Written));
            }
            "tags" => draft.tags = read_tags(value, &mut draft.mistakes),
            "critical" => draft.critical = read_critical(&value, &mut draft.mistakes),
            "weight" => draft.weight = read_weight(&value, &mut draft.mistakes),
            "cluster" => draft.cluster = read_cluster(&value, &mut draft.mistakes),
            "vars" => {
                draft.vars = read_vars(value, &mut draft.mistakes);
                inputs_are_known &= draft.mistakes.len() == found_before;
            }
            "history" => {
                draft.history = history::read(value, &mut draft.mistakes);
                inputs_are_known &= draft.mistakes.len() == found_before;
            }
            "expect" => {
                has_expect = true;
                draft.checks = checks::read(&value, flawed, rules, included, &mut draft.mistakes);
            }
            "labels" => draft.labels = labels::read(value, &mut draft.mistakes),
            "notes" => draft.notes = read_notes(value, &mut draft.mistakes),
            _ => {
                // It may be the slip of a key that would be missed otherwise.
                inputs_are_known = false;
                has_expect |= rules.takes_text(&key).is_some() || nearest(&key, KEYS) == Some("expect");
                draft.mistakes.push(unknown_key(&key, rules));
            }
        }
    }
    if !has_id && inputs_are_known {
        draft.id = Some((identity::derive(&draft.vars, &draft.history), Origin::Derived));
    }
    if !has_expect {
        draft.mistakes.push(Mistake::value(&[], checks::none()));
    }
    // Only here are both known, in whatever order they stand.
    if draft.mistakes.is_empty() && !flawed {
        labels::check_names(&draft.labels, &draft.checks, &mut draft.mistakes);
    }
    if let Some((id, _)) = &draft.id
        && draft.mistakes.is_empty()
    {
        checks::complete(&mut draft.checks, id, rules, included, &mut draft.mistakes);
    }
    draft
}

fn read_id(value: Value, mistakes: &mut Mistakes) -> Option<CaseId> {
    let problem = match value {
        Value::String(id) if !id.trim().is_empty() => return Some(CaseId::new(id)),
        Value::Number(number) if number.is_i64() || number.is_u64() => return Some(CaseId::new(number.to_string())),
        Value::String(_) => {
            Problem::new("`id` is empty").hint("leave `id` out to have one made from `vars` and `history`")
        }
        Value::Number(_) => {
            Problem::new("`id` is not a whole number of at most 64 bits").hint("write it in quotes to keep it as it is")
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Problem::new(format!("`id` is {}", kind(&value)))
        }
    };
    mistakes.push(Mistake::value(&[Step::key("id")], problem.expected("a text or a whole number")));
    None
}

fn read_tags(value: Value, mistakes: &mut Mistakes) -> Vec<String> {
    const EXPECTED: &str = "a list of texts like [\"refunds\", \"policy\"]";
    let written = match value {
        Value::Array(written) => written,
        Value::Null => return Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            mistakes.push_value("tags", format!("`tags` is {}", kind(&value)), EXPECTED);
            return Vec::new();
        }
    };
    let mut tags = Vec::with_capacity(written.len());
    for (index, tag) in written.into_iter().enumerate() {
        let problem = match tag {
            Value::String(tag) if !tag.trim().is_empty() => {
                let tag = tag.trim();
                if tags.iter().all(|known| known != tag) {
                    tags.push(tag.to_owned());
                }
                continue;
            }
            Value::String(_) => Problem::new("a tag is empty"),
            Value::Number(_) => Problem::new("a tag is a number").hint("write it in quotes"),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                Problem::new(format!("a tag is {}", kind(&tag)))
            }
        };
        let path = [Step::key("tags"), Step::Index(index)];
        mistakes.push(Mistake::value(&path, problem.expected(EXPECTED)));
    }
    tags
}

fn read_critical(value: &Value, mistakes: &mut Mistakes) -> bool {
    value.as_bool().unwrap_or_else(|| {
        mistakes.push_value("critical", format!("`critical` is {}", kind(value)), "true or false");
        false
    })
}

fn read_weight(value: &Value, mistakes: &mut Mistakes) -> Option<u32> {
    let thousandths = value.as_f64().map(|weight| weight * f64::from(WEIGHT));
    let whole = thousandths.filter(|weight| {
        (1.0..=MAX_WEIGHT * f64::from(WEIGHT)).contains(weight) && (weight - weight.round()).abs() < 1e-6
    });
    if whole.is_none() {
        let written = match value {
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                kind(value).to_owned()
            }
        };
        let problem = Problem::new(format!("`weight` is {written}"))
            .expected(format!("a number from 0.001 to {MAX_WEIGHT} with at most three decimals"))
            .hint("1 is what a case weighs that says nothing; to leave a case out, delete it or select by tag");
        mistakes.push(Mistake::value(&[Step::key("weight")], problem));
    }
    whole.map(|weight| weight.round() as u32)
}

fn read_cluster(value: &Value, mistakes: &mut Mistakes) -> Option<Arc<str>> {
    match value {
        Value::String(name) if !name.trim().is_empty() && name.len() <= MAX_CLUSTER => Some(Arc::from(name.trim())),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(Arc::from(number.to_string())),
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            let written = match value {
                Value::String(name) if name.trim().is_empty() => "empty".to_owned(),
                Value::String(_) => format!("longer than {MAX_CLUSTER} bytes"),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    kind(value).to_owned()
                }
            };
            let expected = "a text or a whole number, the same for all cases that stand or fall together";
            mistakes.push_value("cluster", format!("`cluster` is {written}"), expected);
            None
        }
    }
}

fn read_vars(value: Value, mistakes: &mut Mistakes) -> Map<String, Value> {
    match value {
        Value::Object(vars) => vars,
        Value::Null => Map::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            let expected = "a map from the names of the template's variables to their values";
            mistakes.push_value("vars", format!("`vars` is {}", kind(&value)), expected);
            Map::new()
        }
    }
}

fn read_notes(value: Value, mistakes: &mut Mistakes) -> Option<String> {
    match value {
        Value::String(notes) => Some(notes).filter(|notes| !notes.is_empty()),
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            mistakes.push_value("notes", format!("`notes` is {}", kind(&value)), "a text");
            None
        }
    }
}

fn unknown_key(key: &str, rules: &dyn CheckRules) -> Mistake {
    let problem =
        Problem::new(format!("unknown key `{}`", shorten(key))).expected(format!("one of {}", KEYS.join(", ")));
    let problem = if rules.takes_text(key).is_some() {
        problem.hint(format!("a check stands in the list `expect`: `expect: [{{{key}: ..}}]`"))
    } else {
        match nearest(key, KEYS) {
            Some(known) => problem.hint(format!("did you mean `{known}`?")),
            None => problem.hint("values for the prompt's template go into `vars`"),
        }
    };
    Mistake::key(&[Step::key(key)], problem)
}
