//! promptfoo: a configuration with its tests, or a file of tests, as version 0.123 reads them.
//!
//! `test` reads one test, from a map or from a row of CSV, and makes its cases; `assertion` translates what it asserts;
//! this file finds the tests.

mod assertion;
mod test;

use super::document::Node;
use super::files::extension;
use super::{Import, kind};
use diagnostics::Problem;

pub(crate) enum Data {
    Configuration(Node),
    /// Tests, a map each.
    Tests(Vec<Node>),
    /// Tests, a row of CSV each.
    Table(Vec<Node>),
}

/// Where a test comes from, and what else counts for it.
pub(crate) struct Suite {
    /// The configuration, for references into it.
    root: Option<Node>,
    defaults: Option<Node>,
    /// How many tests there were.
    count: usize,
}

#[derive(Clone)]
enum TestSource {
    Map(Node),
    Row(Node),
}

/// Keys of a configuration that say how to run, not what to expect.
const NOT_GOLDEN: [&str; 14] = [
    "$schema",
    "commandLineOptions",
    "description",
    "env",
    "evaluateOptions",
    "metadata",
    "outputPath",
    "prompts",
    "providers",
    "sharing",
    "tags",
    "targets",
    "version",
    "writeLatestResults",
];

pub(crate) fn import(import: &mut Import<'_>, data: Data) -> Result<(), Problem> {
    let mut suite = Suite { root: None, defaults: None, count: 0 };
    match data {
        Data::Configuration(root) => configuration(import, &root, suite),
        Data::Tests(nodes) => {
            nodes.into_iter().try_for_each(|node| test::import(import, &mut suite, &TestSource::Map(node), None))
        }
        Data::Table(rows) => {
            rows.into_iter().try_for_each(|row| test::import(import, &mut suite, &TestSource::Row(row), None))
        }
    }
}

fn configuration(import: &mut Import<'_>, root: &Node, mut suite: Suite) -> Result<(), Problem> {
    let mut left: Vec<&str> = Vec::new();
    let entries = root.entries();
    for (key, node) in &entries {
        match key.as_str() {
            "tests" | "scenarios" | "defaultTest" | "assertionTemplates" => {}
            key if NOT_GOLDEN.contains(&key) => left.push(key),
            _ => import.findings.lose(node, format!("golden files have no `{key}`")),
        }
    }
    if !left.is_empty() {
        let message = format!("not golden data, left out: {}", left.join(", "));
        import.findings.note(root, message);
    }
    let providers = ["providers", "targets"].iter().filter_map(|key| root.get(key));
    for provider in providers.flat_map(|list| [vec![list.clone()], list.items()].concat()) {
        let transform = provider
            .get("transform")
            .or_else(|| provider.get("config").and_then(|config| config.either("transform", "transformResponse")));
        if let Some(transform) = transform {
            let message = "its assertions look at transformed answers, and here answers are judged as they are";
            import.findings.lose(&transform, message);
        }
    }
    suite.defaults = defaults(import, root);
    suite.root = Some(root.clone());
    if let Some(node) = root.get("tests") {
        for found in tests(import, &node) {
            test::import(import, &mut suite, &found, None)?;
        }
    }
    let scenarios = root.get("scenarios");
    if let Some(node) = scenarios.as_ref().filter(|node| !node.value().is_array()) {
        let message = format!("the scenarios are {}, not a list", kind(node.value()));
        import.findings.lose(node, message);
    }
    for scenario in scenarios.map(|node| node.items()).unwrap_or_default() {
        let config = scenario.get("config").filter(|config| config.value().is_array());
        let (Some(config), Some(node)) = (config, scenario.get("tests")) else {
            import.findings.lose(&scenario, "a scenario without a list `config` and `tests`");
            continue;
        };
        for (key, node) in scenario.entries() {
            match key.as_str() {
                "config" | "tests" => {}
                "description" => {
                    let message = "the description of a scenario is left out";
                    import.findings.note(&node, message);
                }
                _ => import.findings.lose(&node, format!("golden files have no `{key}`")),
            }
        }
        let found = tests(import, &node);
        for data in config.items() {
            for found in &found {
                test::import(import, &mut suite, found, Some(&data))?;
            }
        }
    }
    Ok(())
}

/// What counts for every test: a map, or a file that holds it.
fn defaults(import: &mut Import<'_>, root: &Node) -> Option<Node> {
    let node = root.get("defaultTest")?;
    let Some(name) = node.value().as_str() else {
        return Some(node);
    };
    let name = name.to_owned();
    match document(import, &name) {
        Ok(node) => Some(node),
        Err(why) => {
            import.findings.lose(&node, format!("{why}, and it counts for every test"));
            None
        }
    }
}

/// The tests of a list, of a file, or of a list with files in it.
fn tests(import: &mut Import<'_>, node: &Node) -> Vec<TestSource> {
    if let Some(name) = node.value().as_str() {
        return named(import, node, name);
    }
    if !node.value().is_array() {
        let message = format!("the tests are {}, and generators are not run", kind(node.value()));
        import.findings.lose(node, message);
    }
    let mut found = Vec::new();
    for item in node.items() {
        match item.value().as_str() {
            Some(name) => found.extend(named(import, &item, name)),
            None if item.get("path").is_some() => import.findings.lose(&item, "generators of tests are not run"),
            None => found.push(TestSource::Map(item)),
        }
    }
    found
}

fn named(import: &mut Import<'_>, node: &Node, name: &str) -> Vec<TestSource> {
    let read =
        match extension(name).as_str() {
            "csv" => import.files.read(name).and_then(|text| {
                let (_, rows) = Node::read_table(&text.shown, &text.text).map_err(|problem| problem.to_string())?;
                Ok(rows.into_iter().map(TestSource::Row).collect())
            }),
            "jsonl" => import.files.read(name).and_then(|text| {
                let rows = Node::read_lines(&text.shown, &text.text).map_err(|problem| problem.to_string())?;
                Ok(rows.into_iter().map(TestSource::Map).collect())
            }),
            "json" | "yaml" | "yml" => document(import, name).map(|node| match node.value().is_array() {
                true => node.items().into_iter().map(TestSource::Map).collect(),
                false => vec![TestSource::Map(node)],
            }),
            _ => Err("only .csv, .json, .jsonl, .yaml and .yml files are read, no patterns, no code and no services"
                .to_owned()),
        };
    match read {
        Ok(found) => found,
        Err(why) => {
            import.findings.lose(node, format!("the tests of {}: {why}", super::quoted(name)));
            Vec::new()
        }
    }
}

fn document(import: &mut Import<'_>, name: &str) -> Result<Node, String> {
    let text = import.files.read(name)?;
    let is_yaml = match extension(name).as_str() {
        "json" => false,
        "yaml" | "yml" => true,
        _ => return Err("not a .json, .yaml or .yml file".to_owned()),
    };
    Node::read(&text.shown, &text.text, is_yaml).map_err(|problem| problem.to_string())
}
