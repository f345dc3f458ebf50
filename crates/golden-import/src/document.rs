//! YAML, JSON and CSV as one tree that knows where everything stands.

mod csv;
mod json;

use diagnostics::yaml::{self, Places};
use diagnostics::{Place, Problem, Spot, Step};
use serde_json::Value;
use std::rc::Rc;
use std::sync::Arc;

/// A value with the places of what is inside, and where it begins.
type Tree = (Spot, yaml::Node);

/// A value of a document, and the way to it.
#[derive(Clone)]
pub(crate) struct Node {
    document: Rc<Document>,
    path: Vec<Step>,
}

struct Document {
    file: Arc<str>,
    start: Spot,
    value: Value,
    places: Places,
}

impl Node {
    fn root(file: &Arc<str>, (start, yaml::Node { value, places }): Tree) -> Node {
        Node { document: Rc::new(Document { file: file.clone(), start, value, places }), path: Vec::new() }
    }

    /// Reads a YAML or JSON document, by the extension of its file.
    pub(crate) fn read(file: &Arc<str>, text: &str, is_yaml: bool) -> Result<Node, Problem> {
        let tree = if is_yaml { yaml::read(text).and_then(unique_keys) } else { json::read(text, 1) };
        tree.map(|tree| Node::root(file, tree)).map_err(|error| placed(file, error))
    }

    /// Reads JSONL: a document for each line that is not blank.
    pub(crate) fn read_lines(file: &Arc<str>, text: &str) -> Result<Vec<Node>, Problem> {
        let lines = (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty());
        let trees = lines.map(|(line, text)| json::read(text, line).map(|tree| Node::root(file, tree)));
        trees.collect::<Result<_, _>>().map_err(|error| placed(file, error))
    }

    /// Reads CSV: the names of its columns, and each further row as a map from them to texts.
    ///
    /// # Errors
    /// The first mistake: in the quoting, a column without a name of its own, a row with more or fewer cells than the header.
    pub(crate) fn read_table(file: &Arc<str>, text: &str) -> Result<(Vec<String>, Vec<Node>), Problem> {
        let (columns, rows) = csv::read(text).map_err(|error| placed(file, error))?;
        Ok((columns, rows.into_iter().map(|row| Node::root(file, row)).collect()))
    }

    pub(crate) fn value(&self) -> &Value {
        let value = self.path.iter().try_fold(&self.document.value, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
        });
        value.unwrap_or(&Value::Null)
    }

    /// What stands under a key; `None` if there is nothing, or null.
    pub(crate) fn get(&self, key: &str) -> Option<Node> {
        let has_it = self.value().get(key).is_some_and(|value| !value.is_null());
        has_it.then(|| self.step(Step::key(key)))
    }

    /// The same, with another spelling of the key.
    pub(crate) fn either(&self, key: &str, other: &str) -> Option<Node> {
        self.get(key).or_else(|| self.get(other))
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.value().get(key)?.as_str()
    }

    /// The elements of a list; none if it is no list.
    pub(crate) fn items(&self) -> Vec<Node> {
        let count = self.value().as_array().map_or(0, Vec::len);
        (0..count).map(|index| self.step(Step::Index(index))).collect()
    }

    /// The entries of a map that are not null; none if it is no map.
    pub(crate) fn entries(&self) -> Vec<(String, Node)> {
        let entries = self.value().as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        entries.map(|(key, _)| (key.clone(), self.step(Step::key(key)))).collect()
    }

    fn step(&self, step: Step) -> Node {
        let path = self.path.iter().cloned().chain([step]).collect();
        Node { document: self.document.clone(), path }
    }

    /// Where its key stands, or for an element its value.
    pub(crate) fn place(&self) -> Place {
        let Document { file, start, places, .. } = &*self.document;
        Place::in_file(file.clone(), places.find(*start, &self.path).0)
    }

    pub(crate) fn file(&self) -> Place {
        Place::file(self.document.file.clone())
    }

    /// The way to it, like `tests[3].assert[0]`; empty for a whole document.
    pub(crate) fn path(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) => text.extend([if text.is_empty() { "" } else { "." }, key]),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

pub(crate) fn yaml_value(text: &str) -> Result<Value, Problem> {
    let tree = yaml::read(text).and_then(unique_keys);
    tree.map(|(_, node)| node.value).map_err(|(_, problem)| problem)
}

fn placed(file: &Arc<str>, (at, problem): (Spot, Problem)) -> Problem {
    Problem { place: Some(Place::in_file(file.clone(), at)), ..problem }
}

/// Refuses a key that its map already has.
fn unique_keys((start, node): Tree) -> Result<Tree, (Spot, Problem)> {
    match node.places.duplicates().first() {
        None => Ok((start, node)),
        Some((key, Spot { line, column }, at)) => {
            let key: String = key.chars().take(60).collect();
            let hint = format!("the first `{key}` is at line {line}, column {column}");
            let problem = Problem::new(format!("duplicate key `{key}`"));
            Err((*at, problem.expected("every key once").hint(hint)))
        }
    }
}

/// Walks a text and counts lines and columns.
struct Cursor<'a> {
    text: &'a str,
    offset: usize,
    at: Spot,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str, line: u32) -> Cursor<'a> {
        Cursor { text, offset: 0, at: Spot { line, column: 1 } }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.offset..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.offset += c.len_utf8();
        if c == '\n' {
            self.at.line = self.at.line.saturating_add(1);
            self.at.column = 1;
        } else {
            self.at.column = self.at.column.saturating_add(1);
        }
        Some(c)
    }

    fn skip(&mut self, is_skipped: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&is_skipped) {
            self.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn places(node: &Node) -> Vec<String> {
        let mut all = vec![format!("{} {}", node.place(), node.path())];
        let inside = node.items().into_iter().chain(node.entries().into_iter().map(|(_, node)| node));
        all.extend(inside.flat_map(|node| places(&node)));
        all
    }

    #[test]
    fn json_and_yaml_have_the_same_places() {
        let text = "{\"a\": [1, {\"é\\\"\": \"x\"}],\n \"b\": {\"c\": null, \"d\": 2}}";
        let expected = ["f:1:1 ", "f:1:2 a", "f:1:8 a[0]", "f:1:11 a[1]", "f:1:12 a[1].é\"", "f:2:2 b", "f:2:19 b.d"];
        for is_yaml in [false, true] {
            let node = Node::read(&"f".into(), text, is_yaml).unwrap();
            assert_eq!(places(&node), expected, "{is_yaml}");
            assert_eq!(node.value(), &json!({"a": [1, {"é\"": "x"}], "b": {"c": null, "d": 2}}));
        }
    }

    #[test]
    fn mistakes_have_places() {
        let refused = |name: &str, text: &str| {
            let file = name.into();
            let problem = match name {
                "jsonl" => Node::read_lines(&file, text).err(),
                "csv" => Node::read_table(&file, text).err(),
                name => Node::read(&file, text, name == "yaml").err(),
            };
            problem.unwrap().to_string().lines().next().unwrap().to_owned()
        };
        assert_eq!(refused("json", "{\"a\": 1,\n \"a\": 2}"), "json:2:2: duplicate key `a`");
        assert_eq!(refused("yaml", "a: 1\na: 2\n"), "yaml:2:1: duplicate key `a`");
        assert_eq!(refused("jsonl", "{}\n\n{\"é\" 1}"), "jsonl:3:6: not JSON: expected `:`");
        assert_eq!(refused("csv", "a,b\n1,\"x\n"), "csv:2:3: the quote that opens here is never closed");
        assert_eq!(refused("csv", "a,b\n1,\"x\"y\n"), "csv:2:6: text after the closing quote of a cell");
        assert_eq!(refused("csv", "a,b\n1, \"x\"\n"), "csv:2:4: a blank before the opening quote of a cell");
        assert_eq!(refused("csv", "a,b\n\n1,2,3\n"), "csv:3:5: the row has 3 cells, and the header 2");
        assert_eq!(refused("csv", "a,a\n"), "csv:1:3: a column's name is taken already");
        assert_eq!(refused("yaml", "a: [\n"), "yaml:1:4: not readable as YAML: unclosed bracket '['");
    }

    #[test]
    fn cells_are_texts_with_places() {
        let (columns, rows) = Node::read_table(&"f".into(), "id, q \r\n1,\"a \"\"b\"\",\nc\"\r\n\r\n2,\n").unwrap();
        assert_eq!(columns, ["id", "q"]);
        assert_eq!(rows[0].value(), &json!({"id": "1", "q": "a \"b\",\nc"}));
        assert_eq!(rows[0].get("q").unwrap().place().to_string(), "f:2:3");
        assert_eq!(rows[1].value(), &json!({"id": "2", "q": ""}));
        assert_eq!(rows[1].place().to_string(), "f:5:1");
    }
}
