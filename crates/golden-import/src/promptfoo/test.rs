//! One test: what it merges with, which cases it stands for, and what of it has no equivalent.

use super::super::document::Node;
use super::super::draft::Draft;
use super::super::files::extension;
use super::super::finding::Findings;
use super::super::{Import, kind, quoted, tags, template};
use super::assertion::{self, Assertion};
use super::{Suite, TestForm, TestSource, document};
use diagnostics::Problem;
use serde_json::{Map, Value};

/// How many cases a test may stand for, because of lists in its vars.
const MAX_CASES: usize = 10_000;

/// How many bytes the vars of these cases may have.
const MAX_BYTES: usize = 64 << 20;

/// A test, merged with what counts for every test.
struct Test {
    node: Node,
    description: Option<String>,
    vars: Vec<(String, Node)>,
    assertions: Vec<Assertion>,
    threshold: Option<(f64, Node)>,
    tags: Vec<String>,
    /// What is to be told whatever the vars.
    findings: Findings,
    unusable: bool,
    /// No assertion can be translated.
    lacks_checks: bool,
    /// Lists in vars stand for a case each.
    expands: bool,
}

/// Imports a test; with `data`, that of a scenario.
pub(crate) fn import(
    import: &mut Import<'_>,
    suite: &mut Suite,
    found: &TestSource,
    data: Option<&Node>,
) -> Result<(), Problem> {
    suite.count += 1;
    let test = Test::read(import, suite, found, data);
    let name = match &test.description {
        Some(description) if !description.trim().is_empty() => description.clone(),
        _ => format!("test-{}", suite.count),
    };
    for vars in test.combinations(import) {
        let mut draft = Draft::new(&test.node, name.clone());
        draft.findings.clone_from(&test.findings);
        draft.unusable = test.unusable;
        draft.tags.clone_from(&test.tags);
        match vars {
            Ok(vars) => {
                // A description may be a template too; where it is more than that, it stays as it is written.
                draft.name = template::render(&name, &vars).unwrap_or(draft.name);
                test.make(import, &mut draft, vars);
            }
            Err((node, why)) => draft.lose_input(&node, why),
        }
        import.add(draft)?;
    }
    Ok(())
}

impl Test {
    fn read(import: &mut Import<'_>, suite: &Suite, found: &TestSource, data: Option<&Node>) -> Test {
        let (form, node) = found;
        let mut test = Test {
            node: node.clone(),
            description: None,
            vars: Vec::new(),
            assertions: Vec::new(),
            threshold: None,
            tags: Vec::new(),
            findings: Findings::default(),
            unusable: false,
            lacks_checks: false,
            expands: true,
        };
        if let Some(defaults) = &suite.defaults {
            let heeds = !flag(node, "disableDefaultAsserts");
            test.layer(import, suite, defaults, heeds);
        }
        if let Some(data) = data {
            test.layer(import, suite, data, true);
        }
        match form {
            TestForm::Map => test.layer(import, suite, node, true),
            TestForm::Row => test.row(node),
        }
        test
    }

    /// Merges a map over what is there.
    fn layer(&mut self, import: &mut Import<'_>, suite: &Suite, node: &Node, asserts: bool) {
        if !node.value().is_object() {
            self.findings.lose(node, format!("a test is {}", kind(node.value())));
            self.unusable = true;
        }
        for (key, node) in node.entries() {
            match key.as_str() {
                "description" => match node.value().as_str() {
                    Some(text) => self.description = Some(text.to_owned()),
                    None => self.findings.lose(&node, format!("a description that is {}", kind(node.value()))),
                },
                "vars" => self.vars(import, &node),
                "assert" if !node.value().is_array() => {
                    let why = format!("the assertions are {}, not a list", kind(node.value()));
                    self.no_checks(&why, &node);
                }
                "metadata" | "options" if !node.value().is_object() => {
                    self.findings.lose(&node, format!("`{key}` is {}, not a map", kind(node.value())));
                }
                "assert" if asserts => {
                    self.assertions.extend(node.items().iter().map(|node| Assertion::read(suite.root.as_ref(), node)))
                }
                "assert" => {}
                "threshold" => self.set_threshold(&node),
                "metadata" => node.entries().iter().for_each(|(key, node)| self.tag(key, node)),
                "options" => node.entries().iter().for_each(|(key, node)| self.option(key, node)),
                "assertScoringFunction" => {
                    self.no_checks("a function of its own decides, and code is not run", &node);
                }
                "providerOutput" => {
                    self.findings.lose(&node, "recorded answers belong in a file for --target recorded")
                }
                "provider" | "providers" | "prompts" => {
                    self.findings
                        .lose(&node, format!("a case is asked of every prompt and target, so it has no `{key}`"));
                }
                _ => self.findings.lose(&node, format!("a case has no `{key}`")),
            }
        }
    }

    fn vars(&mut self, import: &mut Import<'_>, node: &Node) {
        let map = match node.value().as_str() {
            Some(name) => match document(import, name) {
                Ok(map) => map,
                Err(why) => {
                    self.unusable = true;
                    return self.findings.lose(node, format!("the vars of {}: {why}", quoted(name)));
                }
            },
            None => node.clone(),
        };
        if !map.value().is_object() {
            self.unusable = true;
            return self.findings.lose(node, format!("the vars are {}", kind(map.value())));
        }
        map.entries().into_iter().for_each(|(name, node)| self.var(name, node));
    }

    fn var(&mut self, name: String, node: Node) {
        match self.vars.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = node,
            None => self.vars.push((name, node)),
        }
    }

    fn option(&mut self, key: &str, node: &Node) {
        match key {
            "disableVarExpansion" => self.expands = node.value() != &Value::Bool(true),
            // Already looked at.
            "disableDefaultAsserts" => {}
            "transform" | "postprocess" => {
                self.no_checks("its assertions look at a transformed answer, and code is not run", node);
            }
            "transformVars" => {
                self.unusable = true;
                self.findings.lose(node, "its vars are transformed, and code is not run");
            }
            "prefix" | "suffix" => self.findings.lose(node, format!("a {key} of the prompt belongs in the template")),
            "storeOutputAs" => self.findings.lose(node, "an answer can't be the var of another case"),
            "repeat" => self.findings.lose(node, "how often is asked is said for all cases, with --repeat"),
            "runSerially" | "disableConversationVar" | "provider" | "rubricPrompt" => {
                self.findings.note(node, format!("`{key}` says how to run or grade, and is left out"));
            }
            _ => self.findings.lose(node, format!("a case has no option `{key}`")),
        }
    }

    fn row(&mut self, row: &Node) {
        let mut expected = Vec::new();
        let mut configured = Vec::new();
        let mut metric = None;
        for (column, node) in row.entries() {
            let cell = node.value().as_str().unwrap_or_default();
            let is_blank = cell.trim().is_empty();
            match column.as_str() {
                name if name.starts_with("__expected") => {
                    if !is_blank {
                        expected.push(Assertion::of_cell(&node, cell.trim()));
                    }
                }
                name if name.starts_with("__config:") => {
                    if !is_blank {
                        configured.push((name["__config:".len()..].to_owned(), node));
                    }
                }
                "__metadata" => self.findings.lose(&node, "metadata without a key"),
                name if name.starts_with("__metadata:") => {
                    if !is_blank {
                        self.cell_tag(&name["__metadata:".len()..], cell, &node);
                    }
                }
                "__description" => self.description = Some(cell.to_owned()).filter(|_| !is_blank),
                "__metric" => metric = Some(cell.to_owned()).filter(|_| !is_blank),
                "__threshold" if is_blank => {}
                "__threshold" => self.set_threshold(&node),
                "__prefix" | "__suffix" | "__providerOutput" if is_blank => {}
                "__prefix" => self.option("prefix", &node),
                "__suffix" => self.option("suffix", &node),
                "__providerOutput" => {
                    self.findings.lose(&node, "recorded answers belong in a file for --target recorded")
                }
                _ => self.var(column, node),
            }
        }
        for (what, node) in configured {
            self.configure(&mut expected, &what, &node);
        }
        for assertion in &mut expected {
            assertion.metric.clone_from(&metric);
        }
        self.assertions.extend(expected);
    }

    /// `__expectedN:threshold`, where N counts the cells that are not blank, from 1.
    fn configure(&mut self, expected: &mut [Assertion], what: &str, node: &Node) {
        let number = node.value().as_str().and_then(|cell| cell.trim().parse::<f64>().ok());
        let index = what
            .strip_prefix("__expected")
            .and_then(|rest| rest.strip_suffix(":threshold"))
            .and_then(|n| if n.is_empty() { Some(1) } else { n.parse::<usize>().ok() })
            .and_then(|n| n.checked_sub(1));
        match (number.filter(|number| number.is_finite()), index.and_then(|index| expected.get_mut(index))) {
            (Some(number), Some(assertion)) => assertion.threshold = Some(number),
            _ => self.findings.lose(node, "it configures no assertion of this row"),
        }
    }

    fn tag(&mut self, key: &str, node: &Node) {
        match tags(key, node.value()) {
            Some(tags) => {
                let prefix = format!("{key}:");
                self.tags.retain(|tag| !tag.starts_with(&prefix));
                self.tags.extend(tags);
            }
            None => self.findings.lose(node, format!("metadata that are {} are no tag", kind(node.value()))),
        }
    }

    /// `key`, or `key[]` for a list with commas, where `\,` is one inside an element.
    fn cell_tag(&mut self, key: &str, cell: &str, node: &Node) {
        let (key, elements) = match key.strip_suffix("[]") {
            Some(key) => {
                (key, cell.replace("\\,", "\u{0}").split(',').map(|item| item.replace('\u{0}', ",")).collect())
            }
            None => (key, vec![cell.to_owned()]),
        };
        if key.is_empty() {
            return self.findings.lose(node, "metadata without a key");
        }
        let elements = elements.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
        self.tags.extend(elements.map(|item| format!("{key}:{item}")));
    }

    fn set_threshold(&mut self, node: &Node) {
        let cell = node.value().as_str().map(str::trim);
        let number = cell.map_or_else(|| node.value().as_f64(), |cell| cell.parse().ok());
        match number.filter(|number: &f64| number.is_finite()) {
            Some(number) => self.threshold = Some((number, node.clone())),
            None => self.no_checks("its threshold is no number", node),
        }
    }

    fn no_checks(&mut self, why: &str, node: &Node) {
        self.findings.lose(node, why);
        self.lacks_checks = true;
    }

    /// The vars of each case that the test stands for: lists of texts stand for their elements, the last var varies
    /// fastest.
    fn combinations(&self, import: &mut Import<'_>) -> Vec<Result<Map<String, Value>, (Node, String)>> {
        let mut combinations: Vec<Map<String, Value>> = vec![Map::new()];
        let mut bytes = 0;
        for (name, node) in &self.vars {
            let list = node.value().as_array().filter(|_| self.expands);
            let list = list.filter(|list| list.first().is_some_and(Value::is_string));
            let values = list.cloned().unwrap_or_else(|| vec![node.value().clone()]);
            let mut read = Vec::with_capacity(values.len());
            for value in values {
                match inlined(import, value) {
                    Ok(value) => read.push(value),
                    Err(why) => return vec![Err((node.clone(), why))],
                }
            }
            // Each combination has all vars, and must not fill the memory.
            bytes += read.iter().map(|value| value.to_string().len()).max().unwrap_or_default();
            let count = combinations.len().saturating_mul(read.len());
            if count.saturating_mul(bytes) > MAX_BYTES {
                return vec![Err((node.clone(), "the lists of its vars make more than 64 MiB".to_owned()))];
            }
            if count > MAX_CASES {
                return vec![Err((
                    node.clone(),
                    format!("the lists of its vars stand for more than {MAX_CASES} cases"),
                ))];
            }
            combinations = combinations
                .iter()
                .flat_map(|known| {
                    read.iter().map(|value| {
                        let mut vars = known.clone();
                        vars.insert(name.clone(), value.clone());
                        vars
                    })
                })
                .collect();
        }
        combinations.into_iter().map(Ok).collect()
    }

    fn make(&self, import: &mut Import<'_>, draft: &mut Draft, raw: Map<String, Value>) {
        for (name, node) in &self.vars {
            let Some(value) = raw.get(name) else { continue };
            if name == "_conversation" {
                draft.lose_input(node, "an earlier answer can't be a var");
            }
            match template::render_all(value, &raw) {
                Ok(value) => drop(draft.vars.insert(name.clone(), value)),
                Err(why) => draft.lose_input(node, why),
            }
        }
        if self.lacks_checks {
            return;
        }
        let pieces = assertion::all(import, draft, &self.assertions);
        let (deciding, counted): (Vec<_>, Vec<_>) = pieces.made.into_iter().partition(|piece| piece.weight > 0.0);
        match &self.threshold {
            None => draft.checks.extend(deciding.into_iter().map(assertion::Piece::into_check)),
            Some((threshold, node)) => match assertion::group(deciding, pieces.lost, *threshold) {
                Ok(checks) => {
                    for check in checks {
                        draft.check(node, import.verified(check));
                    }
                }
                Err(why) => draft.lose(node, why),
            },
        }
        draft.checks.extend(counted.into_iter().map(assertion::Piece::into_check));
    }
}

fn flag(node: &Node, key: &str) -> bool {
    node.get("options").and_then(|options| options.get(key)).is_some_and(|flag| flag.value() == &Value::Bool(true))
}

/// A var, read from its text file if it names one.
fn inlined(import: &mut Import<'_>, value: Value) -> Result<Value, String> {
    let Some(name) = value.as_str().filter(|text| text.starts_with("file://")) else {
        return Ok(value);
    };
    match extension(name).as_str() {
        "txt" | "md" => match import.files.read(name) {
            Ok(text) => Ok(text.text.trim().into()),
            Err(why) => Err(format!("{} {why}", quoted(name))),
        },
        _ => Err(format!("of the files that vars name only .txt and .md are read, not {}", quoted(name))),
    }
}
