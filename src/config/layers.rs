//! Where settings are written: options, `PROMPTGATE_…` variables and promptgate.toml, all as texts with their origin.

use super::{commands, embeddings, gate, judges, prices, quarantine};
use crate::domain::{Command, Place, Problem, Problems, nearest};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use toml::{Spanned, Value};

/// Environment variables, injected so that tests need not change the process's own.
pub type Environment = BTreeMap<String, String>;

/// Every setting's name, as in promptgate.toml. The option is the same with `-`, the variable `PROMPTGATE_` and upper case.
pub(super) const KEYS: &[&str] = &[
    "prompt",
    "baseline",
    "golden",
    "case",
    "tag",
    "limit",
    "repeat",
    "target",
    "model",
    "base_url",
    "api_version",
    "stream",
    "batch",
    "batch_poll",
    "batch_wait",
    "project",
    "location",
    "answers",
    "concurrency",
    "rpm",
    "tpm",
    "timeout",
    "retries",
    "retry_base",
    "retry_max",
    "retry_total",
    "max_cost",
    "max_requests",
    "max_tokens",
    "cache",
    "resume",
    "failed",
    "shard",
    "out",
    "dry_run",
    "no_gate",
    "quiet",
    "color",
    "margin",
    "tolerance",
    "alpha",
    "min_pass_rate",
    "metric",
    "estimand",
    "attempts",
    "sequential",
    "extend",
    "fresh_key",
    "strict_model",
    "snapshots",
    "judge_calibration",
    "max_age",
    "policy_base",
    "accept_weaker",
];

/// Settings that a file can't hold: there they would make every later check meaningless.
pub(super) const ONE_CALL: &[&str] = &[
    "dry_run",
    "no_gate",
    "resume",
    "failed",
    "extend",
    "fresh_key",
    "accept_weaker",
];

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--name` on the command line.
    Option(&'static str),
    /// A variable.
    Variable(String),
    /// promptgate.toml.
    File(Place),
}

impl Origin {
    /// A problem with a setting from here.
    pub fn problem(&self, message: impl fmt::Display) -> Problem {
        match self {
            Origin::Option(name) => Problem::new(format!("--{}: {message}", name.replace('_', "-"))),
            Origin::Variable(name) => Problem::new(format!("{name}: {message}")),
            Origin::File(place) => Problem::at(place.clone(), message.to_string()),
        }
    }
}

/// One setting as it was written; flags are `true` or `false`, lists have many values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The texts.
    pub values: Vec<String>,
    /// Where.
    pub origin: Origin,
}

/// The settings of one place, and the tables that only a file can have.
#[derive(Clone, Debug, Default)]
pub struct Layer(
    BTreeMap<&'static str, Written>,
    prices::Own,
    judges::Judges,
    commands::Own,
    embeddings::Own,
    quarantine::Own,
);

impl Layer {
    /// Adds an option of the command line, unless it was not given.
    #[must_use]
    pub fn option(mut self, key: &'static str, values: Vec<String>) -> Layer {
        if !values.is_empty() {
            self.0.insert(
                key,
                Written {
                    values,
                    origin: Origin::Option(key),
                },
            );
        }
        self
    }

    /// Adds a flag of the command line, unless it was not given.
    #[must_use]
    pub fn flag(self, key: &'static str, given: bool) -> Layer {
        self.option(key, if given { vec!["true".to_owned()] } else { Vec::new() })
    }

    pub(super) fn get(&self, key: &str) -> Option<&Written> {
        self.0.get(key)
    }

    /// Forgets these settings.
    pub(super) fn forget(&mut self, keys: &[&str]) {
        self.0.retain(|key, _| !keys.contains(key));
    }

    pub(super) fn prices(&self) -> &prices::Own {
        &self.1
    }

    pub(super) fn embeddings(&self) -> &embeddings::Own {
        &self.4
    }

    pub(super) fn quarantine(&self) -> &quarantine::Own {
        &self.5
    }

    /// The judges of a file.
    pub(super) fn judges(&self) -> &judges::Judges {
        &self.2
    }

    pub(super) fn commands(&self) -> &[Command] {
        &self.3
    }

    /// Reads the `PROMPTGATE_…` variables; empty ones count as unset. Also returns warnings about unknown ones.
    pub(super) fn from_environment(environment: &Environment) -> (Layer, Vec<Problem>) {
        let mut layer = Layer::default();
        let mut unknown = Vec::new();
        for (name, value) in environment {
            let Some(key) = name.strip_prefix("PROMPTGATE_") else {
                continue;
            };
            let key = key.to_ascii_lowercase();
            let Some(key) = known(&key).or_else(|| gate::KEYS.iter().copied().find(|of_gate| *of_gate == key)) else {
                let names: Vec<String> = KEYS
                    .iter()
                    .chain(gate::KEYS)
                    .map(|key| format!("PROMPTGATE_{}", key.to_uppercase()))
                    .collect();
                let problem = Problem::new(format!("the variable {name} is not a setting, it is ignored"));
                unknown.push(match nearest(name, names.iter().map(String::as_str)) {
                    Some(near) => problem.hint(format!("did you mean {near}?")),
                    None => problem,
                });
                continue;
            };
            if value.is_empty() {
                continue;
            }
            let values = if is_list(key) {
                value
                    .split(',')
                    .map(|value| value.trim().to_owned())
                    .filter(|value| !value.is_empty())
                    .collect()
            } else {
                vec![value.clone()]
            };
            layer.0.insert(
                key,
                Written {
                    values,
                    origin: Origin::Variable(name.clone()),
                },
            );
        }
        (layer, unknown)
    }

    /// Reads promptgate.toml, as far as it can be read. A missing file is an empty layer unless it was asked for by name.
    pub(super) fn from_file(path: &Path, shown: &str, required: bool, problems: &mut Problems) -> Layer {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return Layer::default(),
            Err(error) => {
                problems.push(Problem::at(Place::file(shown), format!("can't be read: {error}")));
                return Layer::default();
            }
        };
        Layer::parse(&text, shown, problems)
    }

    /// Reads the text of a settings file, as far as it can be read.
    pub(super) fn parse(text: &str, shown: &str, problems: &mut Problems) -> Layer {
        let mut layer = Layer::default();
        let mut found = Vec::new();
        let table: BTreeMap<Spanned<String>, Spanned<Value>> = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let place = Place::of_offset(shown, text, at);
                problems.push(Problem::at(place, error.message().trim_end_matches('.').to_owned()));
                return layer;
            }
        };
        for (name, value) in table {
            if name.get_ref() == prices::TABLE {
                match prices::read(text, shown) {
                    Ok(own) => layer.1 = own,
                    Err(found) => problems.append(found),
                }
                continue;
            }
            if name.get_ref() == judges::TABLE {
                match judges::read(text, shown) {
                    Ok(own) => layer.2 = own,
                    Err(found) => problems.append(found),
                }
                continue;
            }
            if name.get_ref() == embeddings::TABLE {
                match embeddings::read(text, shown) {
                    Ok(own) => layer.4 = own,
                    Err(found) => problems.append(found),
                }
                continue;
            }
            if name.get_ref() == commands::TABLE {
                match commands::read(text, shown) {
                    Ok(own) => layer.3 = own,
                    Err(found) => problems.append(found),
                }
                continue;
            }
            if name.get_ref() == gate::TABLE {
                match gate::read(text, shown) {
                    Ok(own) => layer.0.extend(own),
                    Err(found) => problems.append(found),
                }
                match quarantine::read(text, shown) {
                    Ok(own) => layer.5 = own,
                    Err(found) => problems.append(found),
                }
                continue;
            }
            let place = |span: std::ops::Range<usize>| Place::of_offset(shown, text, span.start);
            let written = if name.get_ref() == "candidate" {
                "prompt"
            } else {
                name.get_ref().as_str()
            };
            let Some(key) = known(written) else {
                let problem = Problem::at(place(name.span()), format!("`{}` is not a setting", name.get_ref()));
                found.push(if gate::KEYS.contains(&written) {
                    problem.hint("it stands in the table [gate]")
                } else {
                    problem.did_you_mean(
                        name.get_ref(),
                        KEYS.iter().copied().chain([
                            "candidate",
                            prices::TABLE,
                            judges::TABLE,
                            embeddings::TABLE,
                            commands::TABLE,
                            gate::TABLE,
                        ]),
                    )
                });
                continue;
            };
            if ONE_CALL.contains(&key) {
                found.push(
                    Problem::at(
                        place(name.span()),
                        format!("`{key}` can't stand in a file, it holds for one call only"),
                    )
                    .hint(format!("give --{} on the command line", key.replace('_', "-"))),
                );
                continue;
            }
            let origin = Origin::File(place(value.span()));
            match texts(value.get_ref(), may_be_list(key)) {
                Ok(values) if values.is_empty() => found.push(origin.problem(format!("`{key}` is an empty list"))),
                Ok(values) => {
                    if layer.0.insert(key, Written { values, origin }).is_some() {
                        found.push(Problem::at(
                            place(name.span()),
                            "`candidate` and `prompt` are the same setting",
                        ));
                    }
                }
                Err(expected) => found.push(origin.problem(format!("`{key}` has the wrong type")).expected(expected)),
            }
        }
        found.sort_by(|a, b| a.place.cmp(&b.place));
        problems.extend(found);
        layer
    }
}

fn known(name: &str) -> Option<&'static str> {
    KEYS.iter().copied().find(|key| *key == name)
}

pub(super) fn is_list(key: &str) -> bool {
    matches!(key, "golden" | "case" | "tag" | "answers") || gate::is_list(key)
}

/// A file may hold a list of it. An option or variable separates several prompts by commas, and every piece of that counts, also
/// an empty one, so they are taken apart where prompts are read.
pub(super) fn may_be_list(key: &str) -> bool {
    key == "prompt" || is_list(key)
}

pub(super) fn texts(value: &Value, list: bool) -> Result<Vec<String>, &'static str> {
    match value {
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Integer(number) => Ok(vec![number.to_string()]),
        Value::Float(number) => Ok(vec![number.to_string()]),
        Value::Boolean(flag) => Ok(vec![flag.to_string()]),
        Value::Array(values) if list => values
            .iter()
            .map(|value| value.as_str().map(str::to_owned).ok_or("a text or a list of texts"))
            .collect(),
        Value::Array(_) | Value::Table(_) | Value::Datetime(_) => Err(if list {
            "a text or a list of texts"
        } else {
            "one text, number, or true/false"
        }),
    }
}
