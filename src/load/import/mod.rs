//! Golden data of other tools, translated into golden files.
//!
//! ```text
//! promptfoo | ADK | OpenAI evals | Inspect | CSV ─ files, node ─▶ one room each ─▶ Draft ─ yaml_text ─▶ golden file
//!                                                                      │
//!                                        equivalents: one table         └─▶ Finding: what has no equivalent
//! ```
//!
//! This room belongs to `load`: it reads what a user has, and what it makes is read by `golden`. It knows matchers only
//! through [`CheckRules`], like `golden` does: every translated check is verified by the same rules as one that a person
//! wrote, so a translation that the rules refuse, or whose matcher does not exist, is no translation.
//!
//! Nothing is left out silently. What can't be said in a golden file is a [`Finding`] that is [`Kind::Lost`]; what is
//! said but does not mean quite the same is a [`Kind::Note`]. Where there is a choice, a translation is rather stricter
//! than its source, never laxer. No code of the source is run, no file outside its folder is read, nothing is sent.

mod adk;
mod datasets;
mod detect;
mod draft;
mod equivalents;
mod files;
mod js_regex;
mod node;
mod promptfoo;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod turns;
mod yaml_text;

pub use detect::Tool;
pub use draft::{Finding, Kind};

use crate::domain::{CheckRules, CheckSpec, Place, Problem};
use draft::{Draft, Entry};
use files::Files;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::path::Path;

/// The most bytes of a golden file that is written: what a YAML golden file may have.
const MAX_WRITTEN: usize = 64 << 20;

/// What can be asked of an import.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose data it is; found from the data otherwise.
    pub tool: Option<Tool>,
    /// For plain CSV: which column is what.
    pub map: Vec<(String, String)>,
    /// How answers are compared with the target of a dataset that does not say it.
    pub check: Option<Comparison>,
    /// The comparison overlooks case.
    pub ignore_case: bool,
    /// The template's variable for the user's message, where the source has messages and no variables; `input` otherwise.
    pub var: Option<String>,
}

impl Options {
    fn var(&self) -> &str {
        self.var.as_deref().unwrap_or("input")
    }

    /// Every option must have an effect.
    fn fit(&self, tool: Tool) -> Result<(), Problem> {
        let has_vars = matches!(tool, Tool::Promptfoo | Tool::Csv);
        let problem = if has_vars && self.check.is_some() {
            "--check says nothing here: the source says itself how answers are judged"
        } else if has_vars && self.var.is_some() {
            "--var says nothing here: the source has vars of its own"
        } else if self.ignore_case && self.check.is_none() {
            "--ignore-case says nothing without --check"
        } else {
            return Ok(());
        };
        Err(Problem::new(problem).hint("leave it out"))
    }
}

/// How an answer is compared with an expected text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is this text.
    Equals,
    /// It holds this text.
    Contains,
    /// It begins with this text.
    StartsWith,
    /// It ends with this text.
    EndsWith,
}

impl Comparison {
    /// Every comparison with its name, that of its matcher.
    pub const ALL: [(&'static str, Comparison); 4] = [
        ("equals", Comparison::Equals),
        ("contains", Comparison::Contains),
        ("starts_with", Comparison::StartsWith),
        ("ends_with", Comparison::EndsWith),
    ];

    fn name(self) -> &'static str {
        Comparison::ALL
            .iter()
            .find(|(_, comparison)| *comparison == self)
            .map_or("equals", |(name, _)| name)
    }

    /// The check that an answer compares like this with any of the texts.
    fn check(self, texts: &[&str], ignore_case: bool) -> Value {
        let one = |text: &str| match ignore_case {
            true => json!({ self.name(): {"value": text, "ignore_case": true} }),
            false => json!({ self.name(): text }),
        };
        match (texts, self) {
            ([only], _) => one(only),
            (_, Comparison::Equals) if !ignore_case => json!({ "one_of": texts }),
            (_, Comparison::Equals) => json!({ "one_of": {"values": texts, "ignore_case": true} }),
            (_, Comparison::Contains) if !ignore_case => json!({ "contains_any": texts }),
            (_, Comparison::Contains) => json!({ "contains_any": {"values": texts, "ignore_case": true} }),
            (_, Comparison::StartsWith | Comparison::EndsWith) => {
                json!({ "any": texts.iter().map(|text| one(text)).collect::<Vec<_>>() })
            }
        }
    }
}

/// What an import made.
#[derive(Debug)]
pub struct Imported {
    /// The golden file.
    pub text: String,
    /// How many cases it has.
    pub cases: usize,
    /// How many cases of the source it has not.
    pub left_out: usize,
    /// What has no equivalent, and what does not mean quite the same, in the order of the source.
    pub findings: Vec<Finding>,
}

impl Imported {
    /// How much has no equivalent.
    pub fn lost(&self) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.kind == Kind::Lost)
            .count()
    }
}

/// Translates the data that `source` begins with.
///
/// # Errors
/// The source can't be read or understood, it is too large, or what it becomes would be.
pub fn import(source: &Path, options: &Options, rules: &dyn CheckRules) -> Result<Imported, Problem> {
    let files = Files::beside(source)?;
    let mut import = Import {
        files,
        options,
        rules,
        names: rules.names(),
        entries: Vec::new(),
        general: Vec::new(),
        bytes: 0,
    };
    let found = detect::read(&mut import.files, options)?;
    let tool = found.tool();
    options.fit(tool)?;
    match found {
        detect::Found::Promptfoo(data) => promptfoo::import(&mut import, data)?,
        detect::Found::Adk(root) => adk::import(&mut import, &root)?,
        detect::Found::OpenAi(rows) => datasets::openai(&mut import, &rows)?,
        detect::Found::Inspect(rows) => datasets::inspect(&mut import, &rows)?,
        detect::Found::Csv(columns, rows) => table::import(&mut import, &columns, &rows)?,
    }
    draft::name(&mut import.entries);
    let text = yaml_text::file(tool, import.files.name(), &import.general, &import.entries);
    if text.len() > MAX_WRITTEN {
        return Err(too_much(source));
    }
    verify_text(source, &text, &import.entries)?;
    let cases = import.entries.iter().filter(|entry| entry.is_case()).count();
    Ok(Imported {
        text,
        cases,
        left_out: import.entries.len() - cases,
        findings: listed(import.general, import.entries),
    })
}

/// Every finding once: what counts for all tests is found at each of them.
fn listed(general: Vec<Finding>, entries: Vec<Entry>) -> Vec<Finding> {
    let mut seen = HashSet::new();
    let mut findings = general;
    findings.extend(entries.into_iter().flat_map(Entry::into_findings));
    findings.retain(|finding| seen.insert((finding.place.clone(), finding.text())));
    findings
}

/// What is written must be read as what was meant, to the last character.
fn verify_text(source: &Path, text: &str, entries: &[Entry]) -> Result<(), Problem> {
    let meant: Vec<Value> = entries.iter().filter_map(Entry::row).collect();
    let shown = source.to_string_lossy().into();
    let read = crate::dataset::document::Document::yaml(&shown, text)
        .map_err(|problem| Problem::new(format!("what was made of it can't be read: {}", problem.message)))?;
    if read.value == Value::Array(meant) || (read.value.is_null() && entries.iter().all(|entry| !entry.is_case())) {
        return Ok(());
    }
    Err(Problem::at(
        Place::file(shown),
        "it holds a text or number that can't be written to a golden file unchanged",
    ))
}

fn too_much(source: &Path) -> Problem {
    let shown = source.to_string_lossy().into_owned();
    Problem::at(Place::file(shown), "it would become a golden file of more than 64 MiB")
        .hint("import parts of it into several files")
}

/// An import in progress.
struct Import<'a> {
    files: Files,
    options: &'a Options,
    rules: &'a dyn CheckRules,
    /// The matchers that exist.
    names: Vec<&'static str>,
    /// In the order of the source.
    entries: Vec<Entry>,
    /// Findings that concern no case in particular.
    general: Vec<Finding>,
    /// About how many bytes the entries will have.
    bytes: usize,
}

impl Import<'_> {
    /// Adds a case, or what is left of it.
    ///
    /// # Errors
    /// The golden file would be too large.
    fn add(&mut self, draft: Draft) -> Result<(), Problem> {
        let entry = draft.finish();
        self.bytes = self.bytes.saturating_add(entry.bytes());
        if self.bytes > MAX_WRITTEN {
            return Err(too_much(self.files.source()));
        }
        self.entries.push(entry);
        Ok(())
    }

    /// A check that exists and that the rules accept.
    ///
    /// # Errors
    /// Why there is no such check, for a sentence.
    fn verified(&self, check: Value) -> Result<Value, String> {
        if let Some(name) = self.unknown_matcher(&check, 0) {
            return Err(format!("it would be `{name}`, and there is no such matcher"));
        }
        let spec = CheckSpec::parse(&check).map_err(|problem| problem.message)?;
        match self.rules.verify(spec) {
            Ok(_) => Ok(check),
            Err(problems) => Err(problems.first().map_or_else(String::new, |problem| {
                format!("the check it would be is refused: {}", problem.message)
            })),
        }
    }

    /// The first matcher in a check that does not exist.
    fn unknown_matcher(&self, check: &Value, depth: usize) -> Option<String> {
        let spec = CheckSpec::parse(check).ok().filter(|_| depth < 32)?;
        if !self.names.contains(&spec.matcher.as_str()) {
            return Some(spec.matcher);
        }
        let inner = match spec.matcher.as_str() {
            "all" | "any" | "not" => &spec.args,
            "at_least" => spec.args.get("of")?,
            _ => return None,
        };
        match inner.as_array() {
            Some(list) => list.iter().find_map(|inner| self.unknown_matcher(inner, depth + 1)),
            None => self.unknown_matcher(inner, depth + 1),
        }
    }
}

/// A text as JSON writes it, shortened, for a message.
fn quoted(text: &str) -> String {
    const KEPT: usize = 60;
    match text.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", Value::from(&text[..end])),
        None => Value::from(text).to_string(),
    }
}

/// What a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// A number as JavaScript makes a text of it; `None` where that has an exponent.
fn number_text(number: &serde_json::Number) -> Option<String> {
    if number.is_i64() || number.is_u64() {
        return Some(number.to_string());
    }
    let value = number.as_f64().filter(|value| value.is_finite())?;
    let size = value.abs();
    (value == 0.0 || (1e-6..1e21).contains(&size)).then(|| format!("{}", value + 0.0))
}

/// Tags `key:value` for what is a text, a number or true and false, or a list of those.
fn tags(key: &str, value: &Value) -> Option<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) if !text.trim().is_empty() => Some(format!("{key}:{}", text.trim())),
        Value::Number(number) => Some(format!("{key}:{number}")),
        Value::Bool(flag) => Some(format!("{key}:{flag}")),
        Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            one(value).map(|tag| vec![tag])
        }
    }
}

/// A map with one key.
fn single(key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}
