//! Whose data a file holds: by its extension how it is written, by its content whose it is.

use super::Options;
use super::document::Node;
use super::files::{Files, Text, extension};
use diagnostics::{Place, Problem};
use serde_json::Value;

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

/// How a source is written.
pub(crate) enum Layout {
    Table(Vec<String>, Vec<Node>),
    Rows(Vec<Node>),
    One(Node),
}

/// Reads a source and finds out whose it is, unless the options say so.
pub(crate) fn read(files: &mut Files, options: &Options) -> Result<(Tool, Layout), Problem> {
    let place = files.place();
    let layout = Layout::read(&files.read_source()?, &extension(&files.name()))?;
    let Some(tool) = options.tool.or_else(|| guess(&layout, options)) else {
        return Err(Problem::at(place, "nothing in it says whose golden data it is")
            .hint("name the tool with --from; for plain CSV, map its columns with --map"));
    };
    match (tool, options.map.is_empty()) {
        (Tool::Csv, true) => {
            return Err(Problem::at(place, "nothing says what its columns are")
                .expected("--map COLUMN=FIELD for each, like --map Question=question --map Answer=expect:contains"));
        }
        (Tool::Promptfoo | Tool::Adk | Tool::OpenAi | Tool::Inspect, false) => {
            return Err(Problem::new("--map is for plain CSV only").hint("name the tool with --from csv"));
        }
        (Tool::Csv, false) | (Tool::Promptfoo | Tool::Adk | Tool::OpenAi | Tool::Inspect, true) => {}
    }
    // A list is a row for each element, where rows may stand in a list.
    Ok(match layout {
        Layout::One(node) if node.value().is_array() && matches!(tool, Tool::Promptfoo | Tool::Inspect) => {
            (tool, Layout::Rows(node.items()))
        }
        layout @ (Layout::Table(..) | Layout::Rows(_) | Layout::One(_)) => (tool, layout),
    })
}

/// The tool has no files that are written like this one.
pub(crate) fn wrong_layout(tool: Tool, place: Place) -> Problem {
    let expected = match tool {
        Tool::Promptfoo => "a configuration or a list of tests",
        Tool::Adk => "a file .json",
        Tool::OpenAi => "a file .jsonl",
        Tool::Inspect => "a list of samples",
        Tool::Csv => "a file .csv",
    };
    Problem::at(place, format!("not {}", tool.title())).expected(expected)
}

impl Layout {
    /// Reads a file by its extension.
    pub(crate) fn read(Text { shown, text }: &Text, extension: &str) -> Result<Layout, Problem> {
        match extension {
            "csv" => Node::read_table(shown, text).map(|(columns, rows)| Layout::Table(columns, rows)),
            "jsonl" => Node::read_lines(shown, text).map(Layout::Rows),
            "json" | "yaml" | "yml" => Node::read(shown, text, extension != "json").map(Layout::One),
            _ => Err(Problem::at(Place::file(shown.clone()), "not a kind of file that can be imported")
                .expected("a name that ends in .yaml, .yml, .json, .jsonl or .csv")),
        }
    }
}

fn guess(layout: &Layout, options: &Options) -> Option<Tool> {
    match layout {
        Layout::Table(columns, _) => {
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
        Layout::Rows(rows) => row(rows.first()?.value()),
        Layout::One(node) => {
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
