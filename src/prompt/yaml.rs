//! YAML front matter as a tree that knows where each key and value stands.

use crate::domain::{Place, Problem, Step};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use std::fmt;
use std::sync::Arc;

/// Line and column of a key or value, counted from 1 inside the front matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    line: u64,
    column: u64,
}

/// A value and its spot.
#[derive(Clone, Debug)]
pub(super) struct Node {
    kind: Kind,
    spot: Position,
}

/// What a node holds.
#[derive(Clone, Debug)]
enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Position, Node)>),
}

/// Front matter with its place in the file.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    file: Arc<str>,
    /// Lines of the file before the front matter's first.
    lines_before: u32,
    root: Node,
}

impl Tree {
    /// Reads one YAML document. Booleans and numbers are those of YAML 1.2, so that `NO`, `on` and `012` stay texts;
    /// a key that stands twice is a mistake.
    ///
    /// # Errors
    /// What YAML says is wrong, with its place in the file.
    pub(super) fn parse(file: &Arc<str>, text: &str, lines_before: u32) -> Result<Tree, Problem> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
            with_snippet: false,
        };
        let blank = text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        let root = if blank {
            Node {
                kind: Kind::Map(Vec::new()),
                spot: Position { line: 1, column: 1 },
            }
        } else {
            let spanned: Spanned<Kind> = serde_saphyr::from_str_with_options(text, options)
                .map_err(|error| yaml_problem(file, lines_before, &error))?;
            Node::from(spanned)
        };
        Ok(Tree {
            file: Arc::clone(file),
            lines_before,
            root,
        })
    }

    /// All of it as JSON.
    pub(super) fn to_json(&self) -> Value {
        self.root.to_json()
    }

    /// Where the value at the end of `path` stands; of a key, where the key stands. Stops at the last step that exists.
    pub(super) fn place_of(&self, path: &[Step]) -> Place {
        let mut node = &self.root;
        let mut spot = node.spot;
        for step in path {
            let next = match (step, &node.kind) {
                (Step::Key(key), Kind::Map(entries)) => entries
                    .iter()
                    .find(|(name, ..)| name == key)
                    .map(|(_, spot, node)| (*spot, node)),
                (Step::Index(index), Kind::List(items)) => items.get(*index).map(|item| (item.spot, item)),
                _ => None,
            };
            let Some((next_spot, next_node)) = next else { break };
            spot = next_spot;
            node = next_node;
        }
        self.place(spot)
    }

    /// The front matter has this key at its top.
    pub(super) fn has_key(&self, key: &str) -> bool {
        match &self.root.kind {
            Kind::Map(entries) => entries.iter().any(|(name, ..)| name == key),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) => false,
        }
    }

    fn place(&self, spot: Position) -> Place {
        place(&self.file, self.lines_before, spot)
    }
}

fn place(file: &Arc<str>, lines_before: u32, spot: Position) -> Place {
    let line = u32::try_from(spot.line)
        .unwrap_or(u32::MAX)
        .saturating_add(lines_before);
    Place::at(Arc::clone(file), line, u32::try_from(spot.column).unwrap_or(0))
}

fn yaml_problem(file: &Arc<str>, lines_before: u32, error: &serde_saphyr::Error) -> Problem {
    let place = error.location().map_or_else(
        || Place::at(Arc::clone(file), lines_before + 1, 0),
        |at| {
            place(
                file,
                lines_before,
                Position {
                    line: at.line(),
                    column: at.column(),
                },
            )
        },
    );
    // The crate ends its sentences with the line inside the YAML, which is not the line in the file.
    let text = error
        .without_snippet()
        .render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let first = text.lines().next().unwrap_or_default();
    let message = match first.rfind(" at line ") {
        Some(at) => &first[..at],
        None => first,
    };
    let message: String = message.chars().take(300).collect();
    Problem::at(
        place,
        format!("the front matter is not valid yaml: {}", message.trim_end_matches('.')),
    )
}

impl Node {
    fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(bool) => Value::Bool(*bool),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, _, node)| (key.clone(), node.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

impl From<Spanned<Kind>> for Node {
    fn from(spanned: Spanned<Kind>) -> Node {
        Node {
            kind: spanned.value,
            spot: spot_of(spanned.referenced),
        }
    }
}

fn spot_of(at: serde_saphyr::Location) -> Position {
    Position {
        line: at.line(),
        column: at.column(),
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a yaml value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Kind, E> {
        Number::from_f64(value)
            .map(Kind::Number)
            .ok_or_else(|| E::custom("a number that is not finite has no place in a prompt"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        Kind::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Spanned<Kind>>()? {
            items.push(Node::from(item));
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = map.next_value::<Spanned<Kind>>()?;
            entries.push((key.value, spot_of(key.referenced), Node::from(value)));
        }
        Ok(Kind::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(text: &str) -> Result<Tree, String> {
        Tree::parse(&Arc::from("p.prompt"), text, 1).map_err(|problem| problem.to_string())
    }

    #[test]
    fn words_that_look_like_booleans_and_numbers_stay_texts() {
        let tree = parse("a: NO\nb: on\nc: 012\nd: 1_000\ne: true\nf: 12\ng: 0.5\nh:\ni: [x, 2]\n").unwrap();
        assert_eq!(
            tree.to_json(),
            json!({"a": "NO", "b": "on", "c": "012", "d": "1_000", "e": true, "f": 12, "g": 0.5, "h": null, "i": ["x", 2]})
        );
    }

    #[test]
    fn places_count_from_the_top_of_the_file() {
        let tree = parse("a: 1\nb:\n  c: [x,\n    {d: 2}]\n").unwrap();
        let place = |path: &[Step]| tree.place_of(path).to_string();
        assert_eq!(place(&[Step::key("b")]), "p.prompt:3:1");
        assert_eq!(place(&[Step::key("b"), Step::key("c")]), "p.prompt:4:3");
        assert_eq!(
            place(&[Step::key("b"), Step::key("c"), Step::Index(1), Step::key("d")]),
            "p.prompt:5:6"
        );
        assert_eq!(place(&[Step::key("b"), Step::key("nothing")]), "p.prompt:3:1");
    }

    #[test]
    fn mistakes_have_the_place_in_the_file() {
        insta::assert_snapshot!(parse("a: 1\na: 2\n").unwrap_err(), @"p.prompt:3:1: the front matter is not valid yaml: duplicate mapping key `a` is not allowed here");
        insta::assert_snapshot!(parse("a: [1\nb: 2\n").unwrap_err(), @"p.prompt:3:2: the front matter is not valid yaml: illegal placement of ':' indicator");
        insta::assert_snapshot!(parse("a: .inf\n").unwrap_err(), @"p.prompt:2:4: the front matter is not valid yaml: value `.inf` is not a finite number");
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let list = vec![format!("*a{}", i - 1); 9].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{list}]\n"));
        }
        assert!(parse(&text).is_err());
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(parse(&format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000))).is_err());
    }
}
