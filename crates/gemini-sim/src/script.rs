//! Faults by script: what happens to a request, attempt by attempt.
//!
//! A script has one JSON object a line, a rule; empty lines and lines that begin with `#` are left out.
//!
//! ```text
//! # The refund question is asked into a storm, and answered at the third attempt.
//! {"match": "refund", "outcomes": ["429:1s", 503, "ok"]}
//! # The hundred-and-first call spends the day's quota.
//! {"count": "all", "after": 100, "outcomes": ["429-day"], "then": "last"}
//! # The first look at a batch fails.
//! {"path": "/batches/", "outcomes": ["reset"]}
//! ```
//!
//! - `outcomes` (required): what happens, in this order: `"ok"`, or a fault as `--fault` names it ([`Fault`]). An HTTP status
//!   may be a number.
//! - `match`: only requests with a text (any string in the body) that contains this. Without it: all.
//! - `path`: only requests whose path contains this. Without it: the calls of a model for answers, counts and embeddings,
//!   and the requests inside a batch.
//! - `count`: `"request"` (the usual): every request walks through the outcomes by itself; the same request is the same
//!   path, body and `x-promptgate-sample` header. `"all"`: all requests that match walk through them together, in the order
//!   in which they arrive.
//! - `after`: this many matching requests (or attempts, when each request is counted by itself) pass before the outcomes
//!   begin. Usually 0.
//! - `then`: what follows the outcomes. `"pass"` (the usual): the rule is used up. `"last"`: the last outcome stays.
//!   `"again"`: from the start.
//!
//! The first rule that matches and is not used up decides, `"ok"` included; without one, `--fault` does.

use super::body::same_name;
use super::faults::Fault;
use super::noise::Key;
use super::recent::Recent;
use serde::Deserialize;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// Rules of a script at most.
const RULES: usize = 1_000;
/// Outcomes of a rule at most.
const OUTCOMES: usize = 10_000;

/// A script of outcomes. The default has no rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    rules: Vec<Rule>,
}

/// A line of a script that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    text: Option<String>,
    path: Option<String>,
    count: Count,
    after: u64,
    /// `None` is a good answer.
    outcomes: Vec<Option<Fault>>,
    then: AfterLast,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Count {
    #[default]
    Request,
    All,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum AfterLast {
    #[default]
    Pass,
    Last,
    Again,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(rename = "match")]
    text: Option<String>,
    path: Option<String>,
    #[serde(default)]
    count: Count,
    #[serde(default)]
    after: u64,
    outcomes: Vec<Value>,
    #[serde(default)]
    then: AfterLast,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// All lines that can't be read.
    pub fn parse(text: &str) -> Result<Script, Vec<ScriptError>> {
        let mut script = Script::default();
        let mut errors = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let read = match script.rules.len() {
                RULES.. => Err(format!("a script has at most {RULES} rules")),
                _ => rule(line),
            };
            match read {
                Ok(rule) => script.rules.push(rule),
                Err(message) => errors.push(ScriptError { line: at + 1, message }),
            }
        }
        if errors.is_empty() { Ok(script) } else { Err(errors) }
    }
}

fn rule(line: &str) -> Result<Rule, String> {
    let written: RawRule = serde_json::from_str(line).map_err(|error| {
        // The place of the error is in the line, which the caller names.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        format!("not a rule: {message}; expected something like {{\"match\": \"refund\", \"outcomes\": [\"429:1s\", \"ok\"]}}")
    })?;
    if written.outcomes.is_empty() || written.outcomes.len() > OUTCOMES {
        return Err(format!("`outcomes` needs 1 to {OUTCOMES} outcomes"));
    }
    for (name, needle) in [("match", &written.text), ("path", &written.path)] {
        if needle.as_deref() == Some("") {
            return Err(format!("`{name}` is empty; leave it out to match all"));
        }
    }
    Ok(Rule {
        text: written.text,
        path: written.path,
        count: written.count,
        after: written.after,
        outcomes: written.outcomes.iter().map(outcome).collect::<Result<_, _>>()?,
        then: written.then,
    })
}

fn outcome(written: &Value) -> Result<Option<Fault>, String> {
    let name = match written {
        Value::String(name) => name.clone(),
        Value::Number(code) => code.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(format!("the outcome {written} is neither a name nor a status; expected \"ok\" or a fault"));
        }
    };
    if name == "ok" {
        return Ok(None);
    }
    name.parse().map(Some).map_err(|error: super::FaultsError| error.to_string())
}

/// What a request is to the rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub(super) key: Key,
    pub(super) path: &'a str,
    /// A call for answers, counts or embeddings, or a request inside a batch.
    pub(super) is_call: bool,
    /// The body, if it is JSON.
    pub(super) body: Option<&'a Value>,
}

/// A script while it is played: how far each request came.
#[derive(Debug)]
pub(super) struct Player {
    script: Script,
    counts: Mutex<RuleCounts>,
}

#[derive(Debug, Default)]
struct RuleCounts {
    by_rule: Vec<u64>,
    by_request: Recent<(usize, Key), u64>,
}

impl Player {
    pub(super) fn new(script: Script) -> Player {
        let counts = RuleCounts { by_rule: vec![0; script.rules.len()], ..RuleCounts::default() };
        Player { script, counts: Mutex::new(counts) }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.script.rules.is_empty()
    }

    /// The scripted outcome of a request; `None` when no rule decides.
    pub(super) fn next(&self, scene: Scene<'_>) -> Option<Option<Fault>> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        self.script
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.matches(scene))
            .find_map(|(at, rule)| rule.outcome(counts.step(at, rule.count, scene.key)))
    }
}

impl RuleCounts {
    /// How often the rule was asked before, for this request or for all.
    fn step(&mut self, rule: usize, count: Count, key: Key) -> u64 {
        let steps = match count {
            Count::All => &mut self.by_rule[rule],
            Count::Request => self.by_request.get_or_insert_with((rule, key), || 0),
        };
        *steps += 1;
        *steps - 1
    }
}

impl Rule {
    fn matches(&self, scene: Scene<'_>) -> bool {
        let placed = match &self.path {
            Some(path) => scene.path.contains(path.as_str()),
            None => scene.is_call,
        };
        placed && self.text.as_ref().is_none_or(|text| scene.body.is_some_and(|body| says(body, text)))
    }

    /// The outcome at a step; `None` when the rule has not begun, or is used up.
    fn outcome(&self, step: u64) -> Option<Option<Fault>> {
        let at = usize::try_from(step.checked_sub(self.after)?).ok()?;
        let count = self.outcomes.len();
        let at = match self.then {
            AfterLast::Pass => at,
            AfterLast::Last => at.min(count - 1),
            AfterLast::Again => at % count,
        };
        self.outcomes.get(at).copied()
    }
}

/// A string of the body contains the text. Names of resources are no text.
fn says(body: &Value, text: &str) -> bool {
    match body {
        Value::String(said) => said.contains(text),
        Value::Array(items) => items.iter().any(|item| says(item, text)),
        Value::Object(map) => {
            map.iter().any(|(key, item)| !same_name("cachedContent", key) && key != "model" && says(item, text))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn player(script: &str) -> Player {
        Player::new(Script::parse(script).unwrap())
    }

    fn next(player: &Player, text: &str) -> String {
        let body = json!({"contents": [{"parts": [{"text": text}]}]});
        named(player.next(Scene {
            key: Key::new(0, "/p", text.as_bytes(), b""),
            path: "/v1/models/gemini-x:generateContent",
            is_call: true,
            body: Some(&body),
        }))
    }

    fn named(outcome: Option<Option<Fault>>) -> String {
        match outcome {
            None => "-".to_owned(),
            Some(None) => "ok".to_owned(),
            Some(Some(fault)) => fault.to_string(),
        }
    }

    #[test]
    fn each_request_walks_by_itself() {
        let player = player(r#"{"match": "refund", "outcomes": ["429:1s", 503, "ok"]}"#);
        let walk: Vec<String> = (0..4).map(|_| next(&player, "a refund")).collect();
        assert_eq!(walk, ["429:1s", "503", "ok", "-"]);
        assert_eq!(next(&player, "another refund"), "429:1s");
        assert_eq!(next(&player, "a return"), "-");
    }

    #[test]
    fn all_requests_walk_together() {
        let player = player(r#"{"count": "all", "after": 2, "outcomes": ["429-day"], "then": "last"}"#);
        let walk: Vec<String> = ["a", "b", "c", "a", "d"].map(|text| next(&player, text)).into();
        assert_eq!(walk, ["-", "-", "429-day", "429-day", "429-day"]);
    }

    #[test]
    fn rules_take_turns() {
        let player = player(
            "# the first is used up at once\n\n{\"outcomes\": [\"reset\"]}\n{\"outcomes\": [\"ok\", \"503\"], \"then\": \"again\"}",
        );
        let walk: Vec<String> = (0..5).map(|_| next(&player, "a")).collect();
        assert_eq!(walk, ["reset", "ok", "503", "ok", "503"]);
    }

    #[test]
    fn a_path_reaches_what_is_no_call() {
        let player = player(r#"{"path": "/batches/", "outcomes": ["stall"]}"#);
        let poll =
            |path| named(player.next(Scene { key: Key::new(0, path, b"", b""), path, is_call: false, body: None }));
        assert_eq!(poll("/v1/batches/a"), "stall");
        assert_eq!(poll("/v1/files/a"), "-");
        assert_eq!(next(&player, "a"), "-");
    }

    #[test]
    fn all_bad_lines_are_named() {
        let script = "{\"outcomes\": []}\n\n{\"outcome\": [1]}\n{\"outcomes\": [\"fire\"]}\n{\"outcomes\": [{}]}\nx\n{\"match\": \"\", \"outcomes\": [\"ok\"]}";
        let errors: Vec<String> =
            Script::parse(script).unwrap_err().iter().map(|error| format!("{}: {error}", error.line)).collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        1: `outcomes` needs 1 to 10000 outcomes
        3: not a rule: unknown field `outcome`, expected one of `match`, `path`, `count`, `after`, `outcomes`, `then`; expected something like {"match": "refund", "outcomes": ["429:1s", "ok"]}
        4: unknown fault `fire`; expected slow:TIME, 429-bare, 400-key, 503-demand, reset, stall, hang, truncate, html502, no-finish, error-event, error-tail, 429, 429-tokens, 429-day, 429-zero, 429-retry or one of the statuses 400, 401, 403, 404, 499, 500, 503, 504
        5: the outcome {} is neither a name nor a status; expected "ok" or a fault
        6: not a rule: expected value; expected something like {"match": "refund", "outcomes": ["429:1s", "ok"]}
        7: `match` is empty; leave it out to match all
        "#);
    }
}
