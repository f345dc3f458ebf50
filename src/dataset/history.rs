//! The list `history` of a case.

use super::mistake::{Mistake, Mistakes, kind};
use super::source::shorten;
use crate::domain::{Problem, Step, Turn, TurnRole};
use serde_json::Value;

const EXPECTED: &str = "a list of turns like {role: user, text: \"Hello\"}";
const KEYS: [&str; 2] = ["role", "text"];

pub(super) fn read(written: Value, mistakes: &mut Mistakes) -> Vec<Turn> {
    match written {
        Value::Array(turns) => {
            turns.into_iter().enumerate().filter_map(|(index, turn)| read_turn(turn, index, mistakes)).collect()
        }
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            mistakes.push_value("history", format!("`history` is {}", kind(&written)), EXPECTED);
            Vec::new()
        }
    }
}

fn read_turn(written: Value, index: usize, mistakes: &mut Mistakes) -> Option<Turn> {
    let here = [Step::key("history"), Step::Index(index)];
    let inside = |key: &str| [here[0].clone(), here[1].clone(), Step::key(key)];
    let Value::Object(turn) = written else {
        let problem = Problem::new(format!("a turn of `history` is {}", kind(&written))).expected(EXPECTED);
        mistakes.push(Mistake::value(&here, problem));
        return None;
    };
    let found_before = mistakes.len();
    let (mut role, mut text) = (None, None);
    for (key, value) in turn {
        match (key.as_str(), value) {
            ("role", Value::String(name)) => match name.as_str() {
                "user" => role = Some(TurnRole::User),
                "model" => role = Some(TurnRole::Model),
                _ => mistakes.push(Mistake::value(&inside("role"), unknown_role(&name))),
            },
            ("text", Value::String(content)) => text = Some(content),
            ("role" | "text", other) => {
                let problem = Problem::new(format!("`{key}` is {}", kind(&other))).expected("a text");
                mistakes.push(Mistake::value(&inside(&key), problem));
            }
            (unknown, _) => {
                let problem = Problem::new(format!("unknown key `{}` in a turn", shorten(unknown)))
                    .expected("role and text")
                    .did_you_mean(unknown, KEYS);
                mistakes.push(Mistake::key(&inside(unknown), problem));
            }
        }
    }
    match (role, text) {
        (Some(role), Some(text)) if mistakes.len() == found_before => return Some(Turn { role, text }),
        // What is missing may be what was misspelt.
        (role, _) if mistakes.len() == found_before => {
            let missing = if role.is_none() { "role" } else { "text" };
            let problem = Problem::new(format!("a turn of `history` has no `{missing}`")).expected(EXPECTED);
            mistakes.push(Mistake::value(&here, problem));
        }
        (_, _) => {}
    }
    None
}

fn unknown_role(name: &str) -> Problem {
    let problem = Problem::new(format!("unknown role `{}`", shorten(name))).expected("user or model");
    match name.to_ascii_lowercase().as_str() {
        "assistant" | "ai" | "bot" => problem.hint("did you mean `model`?"),
        "human" => problem.hint("did you mean `user`?"),
        "system" | "developer" => problem.hint("a system instruction is part of the prompt"),
        other => problem.did_you_mean(other, ["user", "model"]),
    }
}
