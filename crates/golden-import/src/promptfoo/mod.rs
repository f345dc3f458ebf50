//! promptfoo: a configuration with its tests, or a file of tests, as version 0.123 reads them.
//!
//! `test` reads one test, from a map or from a row of CSV, and makes its cases; `assertion` translates what it asserts;
//! this file finds the tests.

mod assertion;
mod test;

use super::detect::Layout;
use super::document::Node;
use super::files::extension;
use super::{Import, kind};
use diagnostics::Problem;

/// Where a test comes from, and what else counts for it.
pub(crate) struct Suite {
    /// The configuration, for references into it.
    root: Option<Node>,
    defaults: Option<Node>,
    /// How many tests there were.
    count: usize,
}

/// How a test is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TestForm {
    Map,
    /// A row of CSV.
    Row,
}

type TestSource = (TestForm, Node);

/// Keys of a configuration that say how to run, not what to expect.
const NOT_GOLDEN: &str = "$schema commandLineOptions description env evaluateOptions metadata outputPath prompts providers \
                          sharing tags targets version writeLatestResults";

pub(crate) fn import_tests(import: &mut Import<'_>, nodes: &[Node], form: TestForm) -> Result<(), Problem> {
    let mut suite = Suite { root: None, defaults: None, count: 0 };
    nodes.iter().try_for_each(|node| test::import(import, &mut suite, &(form, node.clone()), None))
}

/// Imports a configuration.
pub(crate) fn import(import: &mut Import<'_>, root: &Node) -> Result<(), Problem> {
    let mut left: Vec<&str> = Vec::new();
    let entries = root.entries();
    for (key, node) in &entries {
        match key.as_str() {
            "tests" | "scenarios" | "defaultTest" | "assertionTemplates" => {}
            key if NOT_GOLDEN.split(' ').any(|known| known == key) => left.push(key),
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
    let mut suite = Suite { root: Some(root.clone()), defaults: defaults(import, root), count: 0 };
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
            None => found.push((TestForm::Map, item)),
        }
    }
    found
}

fn named(import: &mut Import<'_>, node: &Node, name: &str) -> Vec<TestSource> {
    let (form, read) = match extension(name).as_str() {
        "csv" => (TestForm::Row, read_named(import, name)),
        "jsonl" | "json" | "yaml" | "yml" => (TestForm::Map, read_named(import, name)),
        _ => {
            let why = "only .csv, .json, .jsonl, .yaml and .yml files are read, no patterns, no code and no services";
            (TestForm::Map, Err(why.to_owned()))
        }
    };
    let nodes = read.unwrap_or_else(|why| {
        import.findings.lose(node, format!("the tests of {}: {why}", super::quoted(name)));
        Vec::new()
    });
    nodes.into_iter().map(|node| (form, node)).collect()
}

fn read_named(import: &mut Import<'_>, name: &str) -> Result<Vec<Node>, String> {
    let text = import.files.read(name)?;
    Ok(match Layout::read(&text, &extension(name)).map_err(|problem| problem.to_string())? {
        Layout::Table(_, nodes) | Layout::Rows(nodes) => nodes,
        Layout::One(node) if node.value().is_array() => node.items(),
        Layout::One(node) => vec![node],
    })
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
