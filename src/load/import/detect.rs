//! Whose data a file holds: by its extension how it is written, by its content whose it is.

use super::files::{Files, extension};
use super::node::Node;
use super::{Options, promptfoo};
use crate::dataset::document::{Document, Table};
use crate::domain::{Place, Problem};
use serde_json::Value;

/// A tool with golden data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// promptfoo: a configuration, or a file of tests.
    Promptfoo,
    /// Google's Agent Development Kit: an evalset of any generation.
    Adk,
    /// OpenAI evals: JSONL rows of input and ideal.
    OpenAi,
    /// Inspect: a dataset of samples.
    Inspect,
    /// A table whose columns the user maps.
    Csv,
}

impl Tool {
    /// Every tool with its name on the command line.
    pub const ALL: [(&'static str, Tool); 5] = [
        ("promptfoo", Tool::Promptfoo),
        ("adk", Tool::Adk),
        ("openai", Tool::OpenAi),
        ("inspect", Tool::Inspect),
        ("csv", Tool::Csv),
    ];

    /// Its name, for people.
    pub fn title(self) -> &'static str {
        match self {
            Tool::Promptfoo => "golden data of promptfoo",
            Tool::Adk => "an evalset of the Agent Development Kit",
            Tool::OpenAi => "a dataset of OpenAI evals",
            Tool::Inspect => "a dataset of Inspect",
            Tool::Csv => "a table",
        }
    }
}

/// A source, read.
pub(super) enum Found {
    Promptfoo(promptfoo::Data),
    Adk(Node),
    OpenAi(Vec<Node>),
    Inspect(Vec<Node>),
    Csv(Vec<String>, Vec<Node>),
}

impl Found {
    pub(super) fn tool(&self) -> Tool {
        match self {
            Found::Promptfoo(_) => Tool::Promptfoo,
            Found::Adk(_) => Tool::Adk,
            Found::OpenAi(_) => Tool::OpenAi,
            Found::Inspect(_) => Tool::Inspect,
            Found::Csv(..) => Tool::Csv,
        }
    }
}

/// How a source is written.
enum Written {
    Table(Vec<String>, Vec<Node>),
    Rows(Vec<Node>),
    One(Node),
}

/// Reads a source and finds out whose it is, unless the options say so.
///
/// # Errors
/// It can't be read, or nothing says whose it is.
pub(super) fn read(files: &mut Files, options: &Options) -> Result<Found, Problem> {
    let name = files.name();
    let text = files.read_source()?;
    let written = match extension(&name).as_str() {
        "csv" => {
            let table = Table::csv(&text.shown, &text.text)?;
            Written::Table(table.columns, table.rows.into_iter().map(Node::root).collect())
        }
        "jsonl" => Written::Rows(
            Document::json_lines(&text.shown, &text.text)?
                .into_iter()
                .map(Node::root)
                .collect(),
        ),
        "json" => Written::One(Node::root(Document::json(&text.shown, &text.text)?)),
        "yaml" | "yml" => Written::One(Node::root(Document::yaml(&text.shown, &text.text)?)),
        _ => {
            return Err(
                Problem::at(Place::file(text.shown), "not a kind of file that can be imported")
                    .expected("a name that ends in .yaml, .yml, .json, .jsonl or .csv"),
            );
        }
    };
    let place = Place::file(text.shown);
    let Some(tool) = options.tool.or_else(|| guess(&written, options)) else {
        return Err(Problem::at(place, "nothing in it says whose golden data it is")
            .hint("name the tool with --from; for plain CSV, map its columns with --map"));
    };
    if tool == Tool::Csv && options.map.is_empty() {
        return Err(Problem::at(place, "nothing says what its columns are")
            .expected("--map COLUMN=FIELD for each, like --map Question=question --map Answer=expect:contains"));
    }
    if tool != Tool::Csv && !options.map.is_empty() {
        return Err(Problem::new("--map is for plain CSV only").hint("name the tool with --from csv"));
    }
    let unfit = |expected: &str| Err(Problem::at(place.clone(), format!("not {}", tool.title())).expected(expected));
    Ok(match (tool, written) {
        (Tool::Promptfoo, Written::Table(_, rows)) => Found::Promptfoo(promptfoo::Data::Table(rows)),
        (Tool::Promptfoo, Written::Rows(rows)) => Found::Promptfoo(promptfoo::Data::Tests(rows)),
        (Tool::Promptfoo, Written::One(node)) if node.value().is_array() => {
            Found::Promptfoo(promptfoo::Data::Tests(node.items()))
        }
        (Tool::Promptfoo, Written::One(node)) if node.value().is_object() => {
            Found::Promptfoo(promptfoo::Data::Configuration(node))
        }
        (Tool::Promptfoo, Written::One(_)) => return unfit("a configuration or a list of tests"),
        (Tool::Adk, Written::One(node)) => Found::Adk(node),
        (Tool::Adk, Written::Rows(_) | Written::Table(..)) => return unfit("a file .json"),
        (Tool::OpenAi, Written::Rows(rows)) => Found::OpenAi(rows),
        (Tool::OpenAi, Written::One(_) | Written::Table(..)) => return unfit("a file .jsonl"),
        (Tool::Inspect, Written::Rows(rows) | Written::Table(_, rows)) => Found::Inspect(rows),
        (Tool::Inspect, Written::One(node)) if node.value().is_array() => Found::Inspect(node.items()),
        (Tool::Inspect, Written::One(_)) => return unfit("a list of samples"),
        (Tool::Csv, Written::Table(columns, rows)) => Found::Csv(columns, rows),
        (Tool::Csv, Written::One(_) | Written::Rows(_)) => return unfit("a file .csv"),
    })
}

fn guess(written: &Written, options: &Options) -> Option<Tool> {
    match written {
        Written::Table(columns, _) => {
            let has = |name: &str| columns.iter().any(|column| column == name);
            if !options.map.is_empty() {
                Some(Tool::Csv)
            } else if columns.iter().any(|column| column.starts_with("__")) {
                Some(Tool::Promptfoo)
            } else if has("input") && has("target") {
                Some(Tool::Inspect)
            } else {
                None
            }
        }
        Written::Rows(rows) => row(rows.first()?.value()),
        Written::One(node) => {
            const PROMPTFOO: [&str; 6] = ["tests", "defaultTest", "scenarios", "prompts", "providers", "targets"];
            let value = node.value();
            if value.get("eval_cases").is_some() || value.get("evalCases").is_some() {
                Some(Tool::Adk)
            } else if PROMPTFOO.iter().any(|key| value.get(key).is_some()) {
                Some(Tool::Promptfoo)
            } else {
                row(value.as_array()?.first()?)
            }
        }
    }
}

/// Whose list an element is of.
fn row(value: &Value) -> Option<Tool> {
    let has = |key: &str| value.get(key).is_some();
    if has("vars") || has("assert") {
        Some(Tool::Promptfoo)
    } else if has("query") || (has("name") && has("data")) {
        Some(Tool::Adk)
    } else if has("input") && has("ideal") {
        Some(Tool::OpenAi)
    } else if has("input") && has("target") {
        Some(Tool::Inspect)
    } else {
        None
    }
}
