//! Splits a prompt file into YAML front matter and template, as dotprompt does, but strictly: front matter that is opened
//! and never closed, or that is not a map, is a mistake and not a template.

use super::yaml::Tree;
use crate::domain::{Place, Problem};
use serde_json::{Map, Value};
use std::ops::Range;
use std::sync::Arc;

/// The top-level keys of dotprompt's metadata.
pub const KNOWN_KEYS: [&str; 11] = [
    "config",
    "description",
    "input",
    "metadata",
    "model",
    "name",
    "output",
    "toolDefs",
    "tools",
    "variant",
    "version",
];

#[derive(Clone, Debug)]
pub struct Document {
    /// Front matter as it was written; empty without any.
    pub raw: Map<String, Value>,
    /// Keys in a namespace, one level deep: `a.b.c: v` is `{"a.b": {"c": v}}`.
    pub ext: Map<String, Value>,
    /// The template's bytes in the source. Below front matter without the white space around it, else the whole file.
    pub body: Range<usize>,
    /// Front matter with places; `None` without any.
    pub(super) tree: Option<Tree>,
}

impl Document {
    /// Splits `source`, the content of `file`. Comment lines (`#`) and blank lines may stand before the front matter.
    pub fn parse(file: &Arc<str>, source: &str) -> Result<Document, Problem> {
        let Some(fences) = Fences::find(file, source)? else {
            return Ok(Document::without_front_matter(source));
        };
        let lines_before = source[..fences.yaml.start].matches('\n').count() as u32;
        let tree = Tree::parse(file, &source[fences.yaml.clone()], lines_before)?;
        let Value::Object(raw) = tree.to_json() else {
            return Err(
                Problem::at(tree.place_of(&[]), "the front matter is not a map").expected("keys like `model: NAME`")
            );
        };
        let ext = namespaces(&raw);
        Ok(Document { raw, ext, body: trimmed(source, fences.body), tree: Some(tree) })
    }

    /// A file that is a template from its first byte to its last.
    pub fn without_front_matter(source: &str) -> Document {
        Document { raw: Map::new(), ext: Map::new(), body: 0..source.len(), tree: None }
    }
}

/// Where front matter and body are.
struct Fences {
    yaml: Range<usize>,
    body: Range<usize>,
}

impl Fences {
    fn find(file: &Arc<str>, source: &str) -> Result<Option<Fences>, Problem> {
        let mut lines = Lines { source, at: 0 };
        let open = loop {
            let Some(line) = lines.next() else { return Ok(None) };
            let text = &source[line.clone()];
            if is_fence(text) {
                break line;
            }
            if !text.trim().is_empty() && !text.starts_with('#') {
                return Ok(None);
            }
        };
        let start = lines.at;
        for line in lines.by_ref() {
            if is_fence(&source[line.clone()]) {
                return Ok(Some(Fences { yaml: start..line.start, body: line.end..source.len() }));
            }
        }
        Err(Problem::at(Place::of_offset(Arc::clone(file), source, open.start), "the front matter is never closed")
            .expected("a second line `---` between front matter and template"))
    }
}

fn is_fence(line: &str) -> bool {
    line.trim_end() == "---"
}

/// Byte ranges of lines, ends of lines included.
struct Lines<'a> {
    source: &'a str,
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        if self.at == self.source.len() {
            return None;
        }
        let start = self.at;
        self.at = self.source[start..].find('\n').map_or(self.source.len(), |end| start + end + 1);
        Some(start..self.at)
    }
}

fn trimmed(source: &str, range: Range<usize>) -> Range<usize> {
    let text = &source[range.clone()];
    let start = range.start + (text.len() - text.trim_start().len());
    start..start + text.trim().len()
}

fn namespaces(raw: &Map<String, Value>) -> Map<String, Value> {
    let mut ext = Map::new();
    for (key, value) in raw {
        let Some((namespace, field)) = key.rsplit_once('.') else {
            continue;
        };
        let fields = ext.entry(namespace).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(fields) = fields {
            fields.insert(field.to_owned(), value.clone());
        }
    }
    ext
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(source: &str) -> Result<(Value, &str), String> {
        let document = Document::parse(&Arc::from("p.prompt"), source).map_err(|problem| problem.to_string())?;
        Ok((Value::Object(document.raw), &source[document.body]))
    }

    #[test]
    fn front_matter_is_found_as_dotprompt_finds_it() {
        let cases = [
            ("Hello\n", "{}", "Hello\n"),
            ("", "{}", ""),
            ("---\na: 1\n---\n\nHello\n", r#"{"a":1}"#, "Hello"),
            ("---\r\na: 1\r\n---\r\nHello\r\n", r#"{"a":1}"#, "Hello"),
            ("---\na: 1\n---", r#"{"a":1}"#, ""),
            ("---\n---\nHello", "{}", "Hello"),
            ("---\n# nothing\n---\nHello", "{}", "Hello"),
            ("# Copyright\n#\n\n---  \na: 1\n---\t\nHello", r#"{"a":1}"#, "Hello"),
            ("# A heading\n\nNo front matter\n", "{}", "# A heading\n\nNo front matter\n"),
            ("Text\n---\na: 1\n---\n", "{}", "Text\n---\na: 1\n---\n"),
            ("---\na: 1\n---\nA\n---\nB\n", r#"{"a":1}"#, "A\n---\nB"),
        ];
        for (source, raw, body) in cases {
            let (got_raw, got_body) = split(source).unwrap();
            assert_eq!((got_raw.to_string().as_str(), got_body), (raw, body), "{source:?}");
        }
    }

    #[test]
    fn broken_front_matter_is_refused() {
        insta::assert_snapshot!(split("# c\n---\na: 1\nHello").unwrap_err(), @r"
        p.prompt:2:1: the front matter is never closed
          expected: a second line `---` between front matter and template
        ");
        insta::assert_snapshot!(split("---\n- a\n---\nHello").unwrap_err(), @r"
        p.prompt:2:1: the front matter is not a map
          expected: keys like `model: NAME`
        ");
    }
}
