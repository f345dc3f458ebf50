//! `[commands.NAME]` in promptgate.toml: commands of the user's own that judge answers.
//!
//! ```toml
//! [commands.polite]
//! argv = ["python3", "checks/polite.py"]   # the program and its arguments; no shell
//! timeout = "10s"                          # for one answer, the start of the program included
//! env = {LANG = "C.UTF-8"}                 # its environment, besides PATH; default: nothing
//! ```
//!
//! Which command runs is said here and nowhere else: golden data only names it (see [`Command`]).

use super::read::duration;
use crate::domain::{Command, Place, Problem, Problems};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use toml::{Spanned, Value};

/// The table's name in the file.
pub(super) const TABLE: &str = "commands";

/// How long a command may take for one answer, where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest name of a command, in characters.
const LONGEST_NAME: usize = 64;

const KEYS: [&str; 3] = ["argv", "timeout", "env"];

/// Commands in the order of their names.
pub(super) type Own = Vec<Command>;

/// The part of promptgate.toml that matters here.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    commands: BTreeMap<Spanned<String>, Spanned<Value>>,
}

/// The same with the places of all keys.
#[derive(Deserialize)]
struct Tables {
    #[serde(default)]
    commands: BTreeMap<String, BTreeMap<Spanned<String>, Spanned<Value>>>,
}

/// Reads the commands of a file that is known to be TOML.
pub(super) fn read(text: &str, shown: &str) -> Result<Own, Problems> {
    let place = |span: Range<usize>| Place::of_offset(shown, text, span.start);
    let broken = |error: toml::de::Error| {
        let at = place(error.span().unwrap_or_default());
        Problem::at(at, error.message().to_owned()).expected(
            "a table for each command, like [commands.polite] with argv = [\"python3\", \"checks/polite.py\"]",
        )
    };
    let File { commands } = toml::from_str(text).map_err(broken)?;
    let mut problems = Problems::default();
    for (name, value) in &commands {
        if !value.get_ref().is_table() {
            let problem = Problem::at(
                place(name.span()),
                format!("`commands.{}` is not a table", name.get_ref()),
            );
            problems.push(problem.expected("argv, and perhaps timeout and env"));
        }
    }
    problems.or(())?;
    let Tables { commands: mut tables } = toml::from_str(text).map_err(broken)?;
    let mut found = Vec::new();
    let mut own = Own::new();
    for name in commands.into_keys() {
        let at = place(name.span());
        let name = name.into_inner();
        let keys = tables.remove(&name).unwrap_or_default();
        let mut reading = Reading {
            name: &name,
            place: &place,
            problems: &mut found,
        };
        if let Some(command) = reading.command(at, keys) {
            own.push(command);
        }
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    let mut problems = Problems::default();
    problems.extend(found);
    problems.or(own)
}

/// Reads one command and collects what is wrong with it.
struct Reading<'a> {
    name: &'a str,
    place: &'a dyn Fn(Range<usize>) -> Place,
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    fn command(&mut self, at: Place, keys: BTreeMap<Spanned<String>, Spanned<Value>>) -> Option<Command> {
        let named = !self.name.is_empty()
            && self.name.chars().count() <= LONGEST_NAME
            && self
                .name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if !named {
            self.refuse(
                at.clone(),
                "the name can't be used",
                "1 to 64 letters, digits, `-` and `_`",
            );
        }
        let (mut argv, mut timeout, mut env) = (None, Some(TIMEOUT), Some(BTreeMap::new()));
        for (key, value) in keys {
            let of_value = (self.place)(value.span());
            match key.get_ref().as_str() {
                "argv" => argv = Some(self.argv(of_value, value.get_ref())),
                "timeout" => timeout = self.timeout(of_value, value.get_ref()),
                "env" => env = self.env(of_value, value.get_ref()),
                other => {
                    let message = format!("the command `{}`: `{other}` is not known", self.name);
                    let problem =
                        Problem::at((self.place)(key.span()), message).expected("argv, and perhaps timeout and env");
                    self.problems.push(problem.did_you_mean(other, KEYS));
                }
            }
        }
        if argv.is_none() {
            self.refuse(
                at.clone(),
                "`argv` is missing",
                "argv = [\"python3\", \"checks/polite.py\"]",
            );
        }
        Some(Command {
            name: self.name.to_owned(),
            argv: argv??,
            timeout: timeout?,
            env: env?,
            place: at,
        })
    }

    fn argv(&mut self, at: Place, value: &Value) -> Option<Vec<String>> {
        let texts = |list: &Vec<Value>| -> Option<Vec<String>> {
            let texts: Option<Vec<String>> = list.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            texts.filter(|texts| texts.first().is_some_and(|program| !program.trim().is_empty()))
        };
        let argv = value.as_array().and_then(texts);
        let argv = argv.filter(|argv| !argv.iter().any(|text| text.contains('\0')));
        if argv.is_none() {
            let expected = "a list of texts, the program and its arguments: [\"python3\", \"checks/polite.py\"]";
            self.refuse(at, "`argv` is not a program and its arguments", expected);
        }
        argv
    }

    fn timeout(&mut self, at: Place, value: &Value) -> Option<Duration> {
        let read = match value {
            Value::String(text) => duration(text.trim()),
            Value::Integer(seconds) => duration(&seconds.to_string()),
            Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                Err("not a duration".to_owned())
            }
        };
        if read.is_err() {
            self.refuse(
                at,
                "`timeout` is not a duration",
                "something like 500ms, 10s or 2m, up to 60m",
            );
        }
        read.ok()
    }

    fn env(&mut self, at: Place, value: &Value) -> Option<BTreeMap<String, String>> {
        let usable = |name: &str, value: &str| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
        let variables: Option<BTreeMap<String, String>> = value.as_table().and_then(|table| {
            table
                .iter()
                .map(|(name, value)| {
                    let value = value.as_str().filter(|value| usable(name, value))?;
                    Some((name.clone(), value.to_owned()))
                })
                .collect()
        });
        if variables.is_none() {
            self.refuse(at, "`env` is not a table of texts", "env = {LANG = \"C.UTF-8\"}");
        }
        variables
    }

    fn refuse(&mut self, at: Place, message: &str, expected: &str) {
        let message = format!("the command `{}`: {message}", self.name);
        self.problems.push(Problem::at(at, message).expected(expected));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_program_with_its_time_and_environment() {
        let text = "margin = 0.1\n[commands.polite]\nargv = [\"python3\", \"checks/polite.py\"]\ntimeout = \"500ms\"\n\
                    env = {LANG = \"C\"}\n[commands.b-2]\nargv = [\"./b\"]\n";
        let own = read(text, "f.toml").unwrap();
        assert_eq!(
            own,
            [
                Command {
                    name: "b-2".to_owned(),
                    argv: vec!["./b".to_owned()],
                    timeout: Duration::from_secs(10),
                    env: BTreeMap::new(),
                    place: Place::at("f.toml", 6, 11),
                },
                Command {
                    name: "polite".to_owned(),
                    argv: vec!["python3".to_owned(), "checks/polite.py".to_owned()],
                    timeout: Duration::from_millis(500),
                    env: BTreeMap::from([("LANG".to_owned(), "C".to_owned())]),
                    place: Place::at("f.toml", 2, 11),
                },
            ]
        );
        assert!(read("margin = 0.1", "f.toml").unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_listed_together_at_their_places() {
        let text = "[commands.a]\nargv = \"python3 a.py\"\ntimeout = \"soon\"\nenv = {A = 1}\n\
                    [commands.b]\nargs = [\"b\"]\n[commands.\"c d\"]\nargv = [\"\"]\n[commands.e]\nargv = [\"e\", 1]\n\
                    timeout = 0\n[commands.f]\nargv = []\nenv = {\"A=B\" = \"c\"}\ntimeout = [1]\n";
        insta::assert_snapshot!(read(text, "f.toml").unwrap_err(), @r#"
        f.toml:2:8: the command `a`: `argv` is not a program and its arguments
          expected: a list of texts, the program and its arguments: ["python3", "checks/polite.py"]
        f.toml:3:11: the command `a`: `timeout` is not a duration
          expected: something like 500ms, 10s or 2m, up to 60m
        f.toml:4:7: the command `a`: `env` is not a table of texts
          expected: env = {LANG = "C.UTF-8"}
        f.toml:5:11: the command `b`: `argv` is missing
          expected: argv = ["python3", "checks/polite.py"]
        f.toml:6:1: the command `b`: `args` is not known
          expected: argv, and perhaps timeout and env
          help: did you mean `argv`?
        f.toml:7:11: the command `c d`: the name can't be used
          expected: 1 to 64 letters, digits, `-` and `_`
        f.toml:8:8: the command `c d`: `argv` is not a program and its arguments
          expected: a list of texts, the program and its arguments: ["python3", "checks/polite.py"]
        f.toml:10:8: the command `e`: `argv` is not a program and its arguments
          expected: a list of texts, the program and its arguments: ["python3", "checks/polite.py"]
        f.toml:11:11: the command `e`: `timeout` is not a duration
          expected: something like 500ms, 10s or 2m, up to 60m
        f.toml:13:8: the command `f`: `argv` is not a program and its arguments
          expected: a list of texts, the program and its arguments: ["python3", "checks/polite.py"]
        f.toml:14:7: the command `f`: `env` is not a table of texts
          expected: env = {LANG = "C.UTF-8"}
        f.toml:15:11: the command `f`: `timeout` is not a duration
          expected: something like 500ms, 10s or 2m, up to 60m
        "#);
        insta::assert_snapshot!(read("commands = 3", "f.toml").unwrap_err(), @r#"
        f.toml:1:12: invalid type: integer `3`, expected a map
          expected: a table for each command, like [commands.polite] with argv = ["python3", "checks/polite.py"]
        "#);
        insta::assert_snapshot!(read("[commands]\nargv = [\"x\"]", "f.toml").unwrap_err(), @"
        f.toml:2:1: `commands.argv` is not a table
          expected: argv, and perhaps timeout and env
        ");
    }
}
