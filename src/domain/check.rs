//! A check: a matcher with its arguments on a case, as written in the golden data.

use super::case_id::CaseId;
use diagnostics::{Step, nearest};
use serde_json::Value;
use std::fmt;

/// One check as it was written: a one-key map `matcher: arguments`, plus `weight`, `name` and `advisory`.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckSpec {
    pub matcher: String,
    /// The matcher's arguments, files already read into them.
    pub args: Value,
    /// Share in the case's score; finite, 0 or more.
    pub weight: f64,
    /// What people call it in reports.
    pub name: Option<String>,
    /// Reported and scored, but without a say in pass or fail.
    pub advisory: bool,
}

/// The keys that may stand beside the matcher's.
const MODIFIERS: [&str; 3] = ["weight", "name", "advisory"];

impl CheckSpec {
    /// Reads a check from its written form. A plain string is `equals`. Does not know matchers: see
    /// [`CheckRules::verify`].
    ///
    /// # Errors
    /// What is wrong with the form, with its place inside the check.
    pub fn parse(written: &Value) -> Result<CheckSpec, ArgProblem> {
        let map = match written {
            Value::String(_) => {
                return Ok(CheckSpec::plain("equals", written.clone()));
            }
            Value::Object(map) => map,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                return Err(ArgProblem::new("a check is not a map")
                    .expected("a one-key map like `contains: \"text\"`, or a plain string for `equals`"));
            }
        };
        let mut matchers = map.iter().filter(|(key, _)| !MODIFIERS.contains(&key.as_str()));
        let Some((matcher, args)) = matchers.next() else {
            return Err(ArgProblem::new("a check names no matcher").expected("a one-key map like `contains: \"text\"`"));
        };
        if let Some((second, _)) = matchers.next() {
            return Err(ArgProblem::new(format!("a check names two matchers, `{matcher}` and `{second}`"))
                .inside(Step::key(second))
                .expected("one matcher a check; write two checks, or `all: [..]`"));
        }
        let mut spec = CheckSpec::plain(matcher, args.clone());
        let refuse = |key: &str, message: &str, expected: &str| {
            Err(ArgProblem::new(format!("`{key}` is not {message}")).inside(Step::key(key)).expected(expected))
        };
        if let Some(weight) = map.get("weight") {
            match weight.as_f64() {
                Some(weight) if weight.is_finite() && weight >= 0.0 => spec.weight = weight,
                _ => return refuse("weight", "a number of 0 or more", "a number like 1 or 0.5"),
            }
        }
        if let Some(name) = map.get("name") {
            match name.as_str() {
                Some(name) if !name.trim().is_empty() => spec.name = Some(name.to_owned()),
                _ => return refuse("name", "a text", "a short text"),
            }
        }
        if let Some(advisory) = map.get("advisory") {
            match advisory.as_bool() {
                Some(advisory) => spec.advisory = advisory,
                None => return refuse("advisory", "true or false", "true or false"),
            }
        }
        Ok(spec)
    }

    /// A check with weight 1, no name, and a say in the outcome.
    pub fn plain(matcher: impl Into<String>, args: Value) -> CheckSpec {
        CheckSpec { matcher: matcher.into(), args, weight: 1.0, name: None, advisory: false }
    }

    /// May decide whether the case passes.
    pub fn decides(&self) -> bool {
        !self.advisory && self.weight > 0.0
    }
}

/// A mistake in a check; `path` leads from the check to the culprit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgProblem {
    pub path: Vec<Step>,
    /// What is wrong; lowercase, no full stop.
    pub message: String,
    pub expected: Option<String>,
    pub hint: Option<String>,
}

impl ArgProblem {
    pub fn new(message: impl Into<String>) -> ArgProblem {
        ArgProblem { path: Vec::new(), message: message.into(), expected: None, hint: None }
    }

    /// Puts the mistake one step deeper: `step` leads from the outer value to this one.
    #[must_use]
    pub fn inside(mut self, step: Step) -> ArgProblem {
        self.path.insert(0, step);
        self
    }

    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> ArgProblem {
        self.expected = Some(expected.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> ArgProblem {
        self.hint = Some(hint.into());
        self
    }

    /// Adds "did you mean" when a known name is near.
    #[must_use]
    pub fn did_you_mean<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> ArgProblem {
        match nearest(name, known) {
            Some(known) => self.hint(format!("did you mean `{known}`?")),
            None => self,
        }
    }
}

impl fmt::Display for ArgProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What `load` must know of matchers. `score` implements it; a stage never imports another.
pub trait CheckRules: Sync {
    /// Verifies a check completely, so that nothing can go wrong with it after loading. Returns it with the files it
    /// names read into its arguments.
    ///
    /// # Errors
    /// Every mistake, paths starting at the check's own map (for a plain string or a CSV cell: at the value).
    fn verify(&self, check: CheckSpec) -> Result<CheckSpec, Vec<ArgProblem>>;

    /// Adds to a verified check what depends on the case it stands on, such as the approved answer.
    fn complete(&self, check: CheckSpec, case: &CaseId) -> Result<CheckSpec, Vec<ArgProblem>>;

    /// The matcher's short form is a text, so a CSV cell is that text; otherwise a cell is read as JSON. `None` for an
    /// unknown matcher.
    fn takes_text(&self, matcher: &str) -> Option<bool>;

    /// All matcher names, for "did you mean".
    fn names(&self) -> Vec<&'static str>;
}
