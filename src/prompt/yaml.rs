//! YAML front matter as a tree that knows where each key and value stands.

use crate::domain::{Place, Problem, Spot, Step};
use diagnostics::yaml::{Node, Places, spot};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct Tree {
    file: Arc<str>,
    /// Lines of the file before the front matter's first.
    lines_before: u32,
    root: Node,
    start: Spot,
}

impl Tree {
    /// Reads one YAML document. Booleans and numbers are those of YAML 1.2, so that `NO`, `on` and `012` stay texts;
    /// a key that stands twice is a mistake.
    pub(super) fn parse(file: &Arc<str>, text: &str, lines_before: u32) -> Result<Tree, Problem> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
            with_snippet: false,
        };
        let blank = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        let (root, start) = if blank {
            let root = Node { value: Value::Object(Map::new()), places: Places::Map(Vec::new()) };
            (root, Spot::START)
        } else {
            let spanned: Spanned<Node> = serde_saphyr::from_str_with_options(text, options)
                .map_err(|error| yaml_problem(file, lines_before, &error))?;
            (spanned.value, spot(spanned.referenced))
        };
        Ok(Tree { file: Arc::clone(file), lines_before, root, start })
    }

    pub(super) fn to_json(&self) -> Value {
        self.root.value.clone()
    }

    /// Where the value at the end of `path` stands; of a key, where the key stands. Stops at the last step that exists.
    pub(super) fn place_of(&self, path: &[Step]) -> Place {
        place(&self.file, self.lines_before, self.root.places.find(self.start, path).0)
    }

    pub(super) fn has_key(&self, key: &str) -> bool {
        self.root.value.get(key).is_some()
    }
}

fn place(file: &Arc<str>, lines_before: u32, at: Spot) -> Place {
    Place::at(Arc::clone(file), at.line.saturating_add(lines_before), at.column)
}

fn yaml_problem(file: &Arc<str>, lines_before: u32, error: &serde_saphyr::Error) -> Problem {
    let place = match error.location() {
        Some(at) => place(file, lines_before, spot(at)),
        None => Place::at(Arc::clone(file), lines_before + 1, 0),
    };
    // The crate ends its sentences with the line inside the YAML, which is not the line in the file.
    let text = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let first = text.lines().next().unwrap_or_default();
    let message = match first.rfind(" at line ") {
        Some(at) => &first[..at],
        None => first,
    };
    let message: String = message.chars().take(300).collect();
    Problem::at(place, format!("the front matter is not valid yaml: {}", message.trim_end_matches('.')))
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
        assert_eq!(place(&[Step::key("b"), Step::key("c"), Step::Index(1), Step::key("d")]), "p.prompt:5:6");
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
