//! Evaluation data of other tools, translated into golden cases.
//!
//! ```text
//! promptfoo | ADK | OpenAI evals | Inspect | CSV ─ files, document ─▶ one module each ─▶ Draft ─ yaml_text ─▶ golden file
//!                                                                           │
//!                                             equivalents: one table        └─▶ Finding: what has no equivalent
//! ```
//!
//! Matchers are known only through [`Matchers`]: every translated check is verified as one that a person wrote, so a translation
//! that is refused is no translation.
//!
//! Nothing is left out silently. What can't be said in a golden file is a [`Finding`] that is [`FindingKind::Lost`]; what is
//! said but does not mean quite the same is a [`FindingKind::Note`]. Where there is a choice, a translation is rather stricter
//! than its source, never laxer. No code of the source is run, no file outside its folder is read, nothing is sent.

mod adk;
mod datasets;
mod detect;
mod document;
mod draft;
mod equivalents;
mod files;
mod finding;
mod js_regex;
mod promptfoo;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod turns;
mod yaml_text;

pub use detect::Tool;
pub use diagnostics::{Place, Problem};
pub use finding::{Finding, FindingKind};

use detect::Layout;
use draft::{Draft, Entry};
use files::Files;
use finding::Findings;
use promptfoo::TestForm;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;

/// What an import must know of matchers.
pub trait Matchers {
    fn names(&self) -> Vec<&'static str>;

    /// The matcher's short form is a text; `None` for an unknown matcher.
    fn takes_text(&self, matcher: &str) -> Option<bool>;

    /// Verifies a check, like `{"contains": "a"}`, with all checks inside it.
    ///
    /// # Errors
    /// Why it is refused, for a sentence.
    fn verify(&self, check: &Value) -> Result<(), String>;
}

/// The most bytes of a golden file that is written: what a YAML golden file may have.
const MAX_OUTPUT: usize = 64 << 20;

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose data it is; found from the data otherwise.
    pub tool: Option<Tool>,
    /// For plain CSV: which column is what.
    pub map: Vec<(String, String)>,
    /// How answers are compared with the target of a dataset that does not say it.
    pub check: Option<Comparison>,
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
    Equals,
    Contains,
    StartsWith,
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

    /// The check that an answer compares like this with any of the texts.
    fn check(self, texts: &[&str], ignore_case: bool) -> Value {
        let check = |matcher: &str, key: &str, texts: Value| match ignore_case {
            true => json!({ matcher: {key: texts, "ignore_case": true} }),
            false => json!({ matcher: texts }),
        };
        let names = Comparison::ALL.iter().find(|(_, comparison)| *comparison == self);
        let name = names.map_or("equals", |(name, _)| name);
        match (texts, self) {
            ([only], _) => check(name, "value", (*only).into()),
            (_, Comparison::Equals) => check("one_of", "values", json!(texts)),
            (_, Comparison::Contains) => check("contains_any", "values", json!(texts)),
            (_, Comparison::StartsWith | Comparison::EndsWith) => {
                let each = texts.iter().map(|text| check(name, "value", (*text).into()));
                json!({ "any": each.collect::<Vec<_>>() })
            }
        }
    }
}

/// The golden file that an import proposes.
#[derive(Debug)]
pub struct Proposal {
    pub text: String,
    pub cases: usize,
    pub left_out: usize,
    /// What has no equivalent, and what does not mean quite the same, in the order of the source.
    pub findings: Vec<Finding>,
}

impl Proposal {
    pub fn lost(&self) -> usize {
        let lost = self.findings.iter().filter(|finding| finding.kind == FindingKind::Lost);
        lost.count()
    }
}

/// Translates the data that `source` begins with.
///
/// # Errors
/// The source can't be read or understood, it is too large, or what it becomes would be.
pub fn import(source: &Path, options: &Options, matchers: &dyn Matchers) -> Result<Proposal, Problem> {
    let mut import = Import {
        files: Files::around(source)?,
        options,
        matchers,
        entries: Vec::new(),
        findings: Findings::default(),
        bytes: 0,
    };
    let (tool, layout) = detect::read(&mut import.files, options)?;
    options.fit(tool)?;
    match (tool, layout) {
        (Tool::Promptfoo, Layout::Table(_, rows)) => promptfoo::import_tests(&mut import, &rows, TestForm::Row)?,
        (Tool::Promptfoo, Layout::Rows(rows)) => promptfoo::import_tests(&mut import, &rows, TestForm::Map)?,
        (Tool::Promptfoo, Layout::One(root)) if root.value().is_object() => promptfoo::import(&mut import, &root)?,
        (Tool::Adk, Layout::One(root)) => adk::import(&mut import, &root)?,
        (Tool::OpenAi, Layout::Rows(rows)) => datasets::openai(&mut import, &rows)?,
        (Tool::Inspect, Layout::Rows(rows) | Layout::Table(_, rows)) => datasets::inspect(&mut import, &rows)?,
        (Tool::Csv, Layout::Table(columns, rows)) => table::import(&mut import, &columns, &rows)?,
        (tool, Layout::One(_) | Layout::Rows(_) | Layout::Table(..)) => {
            return Err(detect::wrong_layout(tool, import.files.place()));
        }
    }
    let Import { files, mut entries, findings: Findings(general), .. } = import;
    draft::assign_ids(&mut entries);
    let text = yaml_text::file(tool, &files.name(), &general, &entries);
    if text.len() > MAX_OUTPUT {
        return Err(too_large(&files));
    }
    if !is_faithful(&text, &entries)? {
        let message = "it holds a text or number that can't be written to a golden file unchanged";
        return Err(Problem::at(files.place(), message));
    }
    let cases = entries.iter().filter(|entry| entry.is_case()).count();
    // What counts for all tests is found at each of them.
    let mut seen = HashSet::new();
    let each = entries.iter().flat_map(|entry| entry.findings().iter().cloned());
    let findings = general.into_iter().chain(each);
    let findings = findings.filter(|finding| seen.insert((finding.place.clone(), finding.text())));
    Ok(Proposal { text, cases, left_out: entries.len() - cases, findings: findings.collect() })
}

/// Whether the file reads as what was meant, to the last character.
fn is_faithful(text: &str, entries: &[Entry]) -> Result<bool, Problem> {
    let expected: Vec<Value> = entries.iter().filter_map(Entry::row).collect();
    let read = document::yaml_value(text)
        .map_err(|problem| Problem::new(format!("what was made of it can't be read: {}", problem.message)))?;
    Ok(match read.is_null() {
        true => expected.is_empty(),
        false => read == Value::Array(expected),
    })
}

fn too_large(files: &Files) -> Problem {
    Problem::at(files.place(), "it would become a golden file of more than 64 MiB")
        .hint("import parts of it into several files")
}

/// An import in progress.
struct Import<'a> {
    files: Files,
    options: &'a Options,
    matchers: &'a dyn Matchers,
    entries: Vec<Entry>,
    findings: Findings,
    /// About how many bytes the entries will have.
    bytes: usize,
}

impl Import<'_> {
    /// Adds a case, or what is left of it.
    fn add(&mut self, draft: Draft) -> Result<(), Problem> {
        let entry = draft.finish();
        self.bytes = self.bytes.saturating_add(entry.bytes());
        if self.bytes > MAX_OUTPUT {
            return Err(too_large(&self.files));
        }
        self.entries.push(entry);
        Ok(())
    }

    /// The check, if it is accepted.
    fn verified(&self, check: Value) -> Result<Value, String> {
        match self.matchers.verify(&check) {
            Ok(()) => Ok(check),
            Err(why) => Err(format!("the check it would be is refused: {why}")),
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

/// Tags `key:value` for a text, a number, true or false, or a list of those.
fn tags(key: &str, value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(list) => list.iter().map(|value| tags(key, value).filter(|_| !value.is_array())?.pop()).collect(),
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(vec![format!("{key}:{}", text.trim())]),
        Value::Number(_) | Value::Bool(_) => Some(vec![format!("{key}:{value}")]),
        Value::Null | Value::Object(_) => None,
    }
}

/// The least number of `count` checks whose share reaches a threshold.
fn least_count(count: usize, threshold: f64) -> usize {
    (1..=count).find(|n| *n as f64 / count as f64 >= threshold).unwrap_or(count)
}
