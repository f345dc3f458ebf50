//! The list `labels` of a case: answers, and what people said of them.

use super::mistake::{Mistake, Mistakes, kind};
use super::source::shorten;
use crate::domain::{CheckSpec, Label, Problem, Step, nearest};
use serde_json::Value;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

const EXPECTED: &str = "a list of answers that people judged, like {answer: \"You have 30 days.\", pass: true}";
const KEYS: [&str; 3] = ["answer", "pass", "check"];

/// Reads labels. The names of checks are not looked up yet: see [`check_names`].
pub(super) fn read(written: Value, mistakes: &mut Mistakes) -> Vec<Label> {
    let here = [Step::key("labels")];
    let list = match written {
        Value::Array(list) => list,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            let problem = Problem::new(format!("`labels` is {}", kind(&written))).expected(EXPECTED);
            mistakes.push(Mistake::value(&here, problem));
            return Vec::new();
        }
    };
    if list.is_empty() {
        let problem = Problem::new("`labels` is an empty list").expected(EXPECTED);
        mistakes.push(Mistake::value(&here, problem.hint("leave `labels` out where nobody judged an answer")));
    }
    let mut labels: Vec<Label> = Vec::with_capacity(list.len());
    // Of each answer, the labels that it has: their places in the file, and in `labels`.
    let mut seen: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
    for (index, written) in list.into_iter().enumerate() {
        let Some(label) = read_label(written, index, mistakes) else {
            continue;
        };
        match seen.entry(label.answer.clone()) {
            Entry::Vacant(free) => {
                free.insert(vec![(index, labels.len())]);
            }
            Entry::Occupied(mut same) => {
                let first = same.get().iter().find(|(_, at)| same_check(&labels[*at], &label));
                if let Some((first, at)) = first {
                    mistakes.push(repeated(*first, &labels[*at], index, &label));
                    continue;
                }
                same.get_mut().push((index, labels.len()));
            }
        }
        labels.push(label);
    }
    labels
}

/// A label without a name is about the only check that a judge decides, whatever that is called.
fn same_check(one: &Label, other: &Label) -> bool {
    match (&one.check, &other.check) {
        (Some(one), Some(other)) => one == other,
        (None, _) | (_, None) => true,
    }
}

fn repeated(first: usize, one: &Label, index: usize, other: &Label) -> Mistake {
    let here = [Step::key("labels"), Step::Index(index)];
    let number = first + 1;
    let problem = if one.pass == other.pass {
        Problem::new(format!("a label says the same of the same answer as label {number}"))
            .expected("every answer once")
    } else {
        let hint = "decide which of the two holds, or give each the name of its `check`";
        Problem::new(format!("a label contradicts label {number}: the same answer passes in one and not in the other"))
            .expected("one judgement of an answer")
            .hint(hint)
    };
    Mistake::value(&here, problem)
}

fn read_label(written: Value, index: usize, mistakes: &mut Mistakes) -> Option<Label> {
    let here = [Step::key("labels"), Step::Index(index)];
    let inside = |key: &str| [here[0].clone(), here[1].clone(), Step::key(key)];
    let Value::Object(map) = written else {
        let problem = Problem::new(format!("a label is {}", kind(&written))).expected(EXPECTED);
        mistakes.push(Mistake::value(&here, problem));
        return None;
    };
    let found_before = mistakes.len();
    let (mut answer, mut pass, mut check) = (None, None, None);
    for (key, value) in map {
        match (key.as_str(), value) {
            ("answer", Value::String(text)) if !text.trim().is_empty() => answer = Some(text),
            ("answer", Value::String(_)) => {
                let problem = Problem::new("`answer` is empty").expected("the text of an answer");
                let hint = "an answer without text fails before any judge reads it";
                mistakes.push(Mistake::value(&inside("answer"), problem.hint(hint)));
            }
            ("pass", Value::Bool(said)) => pass = Some(said),
            ("check", Value::String(name)) if !name.trim().is_empty() => check = Some(name),
            ("answer" | "pass" | "check", other) => {
                let expected = match key.as_str() {
                    "pass" => "true or false",
                    "check" => "the `name` of a check of this case",
                    _ => "the text of an answer",
                };
                let is = if other.is_string() && key == "check" { "empty" } else { kind(&other) };
                let problem = Problem::new(format!("`{key}` is {is}")).expected(expected);
                mistakes.push(Mistake::value(&inside(&key), problem));
            }
            (unknown, _) => {
                let problem = Problem::new(format!("unknown key `{}` in a label", shorten(unknown)))
                    .expected("answer, pass and perhaps check")
                    .did_you_mean(unknown, KEYS);
                mistakes.push(Mistake::key(&inside(unknown), problem));
            }
        }
    }
    if mistakes.len() > found_before {
        return None;
    }
    match (answer, pass) {
        (Some(answer), Some(pass)) => Some(Label { answer, pass, check }),
        (answer, _) => {
            let missing = if answer.is_none() { "answer" } else { "pass" };
            let problem = Problem::new(format!("a label has no `{missing}`")).expected(EXPECTED);
            mistakes.push(Mistake::value(&here, problem));
            None
        }
    }
}

/// The checks that labels name must be there, each once. `labels` is what [`read`] gave for a list without mistakes, so that
/// places agree.
pub(super) fn check_names(labels: &[Label], checks: &[CheckSpec], mistakes: &mut Mistakes) {
    for (index, label) in labels.iter().enumerate() {
        let Some(name) = &label.check else { continue };
        let names = || checks.iter().filter_map(|check| check.name.as_deref());
        let problem = match names().filter(|known| known == name).count() {
            1 => continue,
            0 => {
                let problem = Problem::new(format!("no check of the case is called `{}`", shorten(name)))
                    .expected("the `name` of a check in `expect`");
                match nearest(name, names()) {
                    Some(known) => problem.hint(format!("did you mean `{}`?", shorten(known))),
                    None => problem,
                }
            }
            times => Problem::new(format!("{times} checks of the case are called `{}`", shorten(name)))
                .expected("a name that one check has"),
        };
        let path = [Step::key("labels"), Step::Index(index), Step::key("check")];
        mistakes.push(Mistake::value(&path, problem));
    }
}
