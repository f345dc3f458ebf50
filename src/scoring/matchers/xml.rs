//! `xml`: the answer is well-formed XML, and its elements are as expected.

use crate::domain::{ArgProblem, Score};
use crate::scoring::arguments::{Bounds, Fields, Read, bounds, flag, needle, refuse};
use crate::scoring::code_fence::one_marked;
use crate::scoring::definition::{Children, Compile, MatcherDef, Sample};
use crate::scoring::inner_check::PartCheck;
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::quote::{bounded, quote};
use roxmltree::{Document, Node, ParsingOptions};
use serde_json::Value;

pub(super) const XML: MatcherDef = MatcherDef {
    name: "xml",
    summary: "the answer is well-formed XML 1.0 with namespaces, and the elements at a path are there, so many, or hold a \
              check",
    arguments: "true, or {root: name, path: order/item/name, count: 3 or {min, max}, check: any check, fenced: true}; root: \
                the name of the outermost element; path: names from the outermost element on, `*` for any, at the end \
                perhaps @attribute; names are without their namespace; without `count` at least one must be there; \
                check: on the text of each selected element or attribute, white space around it left out; a document \
                type declaration is refused, and with it entities; fenced: also the one Markdown code block marked \
                `xml` (or the one unmarked block)",
    schema: r##"{"anyOf": [{"const": true}, {"type": "object", "properties": {"root": {"$ref": "#/$defs/text"},
        "path": {"$ref": "#/$defs/text"}, "count": {"$ref": "#/$defs/bounds"}, "check": {"$ref":
        "#/$defs/check"}, "fenced": {"type": "boolean"}}, "additionalProperties": false,
        "dependentRequired": {"count": ["path"], "check": ["path"]}}]}"##,
    example: r#"{"xml": {"root": "order", "path": "order/item/@id", "count": {"min": 1}, "check": {"regex": "^[0-9]+$"}}}"#,
    passes: Sample::Text("```xml\n<order><item id=\"7\">Boots</item></order>\n```"),
    fails: Sample::Text("<order><item id=\"7\">Boots</order>"),
    refused: r#"{"xml": {"count": 1}}"#,
    cost: "linear in the answer, and the check for each of at most 1000 elements; it can't judge more than 1 MiB, 10000 \
           attributes, 1000 namespaces or 200000 nodes",
    compile,
    children: Children::Key("check"),
    ..MatcherDef::DEFAULT
};

/// The longest text that is parsed, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// How many `=` may stand in the text: the parser compares each attribute of an element with each other.
const MAX_EQUALS: usize = 10_000;

/// How many elements and texts are parsed.
const MAX_NODES: u32 = 200_000;

/// How many declarations of namespaces may stand in the text: the parser keeps for each element that has one those of
/// all elements around it.
const MAX_NAMESPACES: usize = 1_000;

/// How many names a path may have.
const MAX_STEPS: usize = 50;

struct Xml {
    fenced: bool,
    root: Option<String>,
    path: Option<Path>,
    count: Option<Bounds>,
    check: Option<PartCheck>,
}

/// `order/item/@id`.
struct Path {
    written: String,
    elements: Vec<String>,
    attribute: Option<String>,
}

fn compile(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of_map_or_true(
        args,
        &["root", "path", "count", "check", "fenced"],
        "xml",
        "a map {root, path, count, check, fenced}",
    )?;
    let fenced = fields.optional("fenced", flag).unwrap_or(true);
    let root = fields.optional("root", name);
    let path = fields.optional("path", path);
    let count = fields.optional("count", bounds);
    let check = fields.optional("check", |written| PartCheck::read(written, ctx));
    for key in ["count", "check"] {
        if fields.has(key) && !fields.has("path") {
            fields.refuse(
                ArgProblem::new(format!("`{key}` says nothing without `path`")).expected("a path like order/item"),
            );
        }
    }
    let xml = fields.finish(Some(Xml { fenced, root, path, count, check }))?;
    Ok(Matcher::new(move |input| xml.check(input)))
}

fn name(value: &Value) -> Read<String> {
    let name = needle(value)?;
    if name.contains(|c: char| c.is_whitespace() || "/<>&\"'=@*:".contains(c)) {
        let message = format!("{} is not the name of an element", quote(name));
        return refuse(message, "a name without its namespace, like item");
    }
    Ok(name.to_owned())
}

fn path(value: &Value) -> Read<Path> {
    let written = needle(value)?;
    let mut steps: Vec<&str> = written.trim_start_matches('/').split('/').collect();
    let attribute = match steps.last().and_then(|last| last.strip_prefix('@')) {
        Some(attribute) => {
            steps.pop();
            Some(name(&Value::from(attribute))?)
        }
        None => None,
    };
    if steps.is_empty() || steps.len() > MAX_STEPS {
        let message = format!("the path has {} names of elements", steps.len());
        return refuse(message, format!("1 to {MAX_STEPS} names, like order/item/@id"));
    }
    for step in &steps {
        if *step != "*" {
            name(&Value::from(*step))?;
        }
    }
    Ok(Path { written: written.to_owned(), elements: steps.into_iter().map(str::to_owned).collect(), attribute })
}

/// The XML of an answer: its whole text, or else, with `fenced`, its one block.
fn find(text: &str, fenced: bool) -> Result<String, String> {
    let block = if fenced && !text.trim_start().starts_with('<') { one_marked(text, &["xml"])? } else { None };
    Ok(block.unwrap_or_else(|| text.to_owned()).trim().to_owned())
}

impl Path {
    /// The texts of what it selects, with their places.
    fn select(&self, document: &Document<'_>) -> Vec<String> {
        let fits = |node: &Node<'_, '_>, step: &String| step == "*" || node.tag_name().name() == step;
        let mut steps = self.elements.iter();
        let mut nodes = vec![document.root_element()];
        if let Some(first) = steps.next() {
            nodes.retain(|node| fits(node, first));
        }
        for step in steps {
            nodes =
                nodes.iter().flat_map(Node::children).filter(|node| node.is_element() && fits(node, step)).collect();
        }
        let text = |node: &Node<'_, '_>| {
            let texts = node.descendants().filter(Node::is_text).filter_map(|text| text.text());
            texts.collect::<String>().trim().to_owned()
        };
        match &self.attribute {
            None => nodes.iter().map(text).collect(),
            Some(name) => nodes
                .iter()
                .filter_map(|node| node.attributes().find(|attribute| attribute.name() == name))
                .map(|attribute| attribute.value().trim().to_owned())
                .collect(),
        }
    }
}

impl Xml {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        let text = match find(&input.answer.text, self.fenced) {
            Ok(text) => text,
            Err(reason) => return Ok(Score::binary(false, reason)),
        };
        let many = |what: &str, most: usize| text.matches(what).count() > most;
        if text.len() > MAX_BYTES || many("=", MAX_EQUALS) || many("xmlns", MAX_NAMESPACES) {
            return Err(MatchError::new(format!(
                "the XML has more than {MAX_BYTES} bytes, {MAX_EQUALS} attributes or {MAX_NAMESPACES} namespaces"
            )));
        }
        let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        let document = match Document::parse_with_options(&text, options) {
            Ok(document) => document,
            Err(roxmltree::Error::NodesLimitReached) => {
                return Err(MatchError::new(format!("the XML has more than {MAX_NODES} nodes")));
            }
            Err(error) => {
                let reason =
                    format!("is not well-formed XML: {}, in {}", bounded(&error.to_string(), 160), quote(&text));
                return Ok(Score::binary(false, reason));
            }
        };
        let root = document.root_element().tag_name().name();
        if let Some(expected) = &self.root
            && expected != root
        {
            let reason = format!("its outermost element is {}, not {expected}", quote(root));
            return Ok(Score::binary(false, reason));
        }
        match &self.path {
            None => Ok(Score::binary(true, "is well-formed XML")),
            Some(path) => self.selected(input, path, path.select(&document)),
        }
    }

    fn selected(&self, input: &MatchInput<'_>, path: &Path, texts: Vec<String>) -> Result<Score, MatchError> {
        let (found, path) = (texts.len(), bounded(&path.written, 80));
        let wanted = self.count.unwrap_or(Bounds { min: 1, max: None });
        if !wanted.hold(found as u64) {
            let reason = format!("{path} occurs {found} times, not {}", wanted.describe());
            return Ok(Score::binary(false, reason));
        }
        let Some(check) = self.check.as_ref().filter(|_| found > 0) else {
            return Ok(Score::binary(true, format!("is well-formed XML with {path} {found} times")));
        };
        check.check_each(input, texts, &format!("{path} number"), &format!("{path} occurs {found} times"))
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{answer_text, compiled, problems, reasons, verdicts};
    use serde_json::json;

    #[test]
    fn well_formed_means_well_formed() {
        let table = [
            ("<a/>", true),
            (" <?xml version=\"1.0\"?>\n<a>x &amp; y &#65;</a>\n", true),
            ("<n:a xmlns:n=\"urn:n\"/>", true),
            ("```xml\n<a/>\n```", true),
            ("Here:\n```\n<a></a>\n```\nBye", true),
            ("<a><b></a></b>", false),
            ("<a/><b/>", false),
            ("<a/> and more", false),
            ("<a x=1/>", false),
            ("<a x=\"1\" x=\"2\"/>", false),
            ("<a>&nbsp;</a>", false),
            ("<a>1 < 2</a>", false),
            ("<n:a/>", false),
            ("<a", false),
            ("plain", false),
            ("", false),
            ("<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>", false),
            ("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", false),
        ];
        for (text, pass) in table {
            verdicts(json!({"xml": true}), &[(text, pass)]);
        }
        verdicts(json!({"xml": {"fenced": false}}), &[("```xml\n<a/>\n```", false), ("<a/>", true)]);
    }

    #[test]
    fn elements_are_found_by_their_path() {
        let order = "<order><item id=\"1\"><name>Boot</name></item><item><name> Sock </name></item></order>";
        let table = [
            (json!({"root": "order"}), true),
            (json!({"root": "item"}), false),
            (json!({"path": "order/item"}), true),
            (json!({"path": "/order/item", "count": 2}), true),
            (json!({"path": "order/*/name", "count": 2}), true),
            (json!({"path": "order/item/@id", "count": 1}), true),
            (json!({"path": "order/price"}), false),
            (json!({"path": "order/price", "count": {"max": 0}}), true),
            (json!({"path": "order/price", "count": {"max": 1}, "check": "x"}), true),
            (json!({"path": "item/name"}), false),
            (json!({"path": "order/item/name", "check": {"one_of": ["Boot", "Sock"]}}), true),
            (json!({"path": "order/item", "check": {"one_of": ["Boot", "Sock"]}}), true),
            (json!({"path": "order/item/name", "check": "Boot"}), false),
            (json!({"path": "order/item/@id", "check": {"number": 1}}), true),
        ];
        for (args, pass) in table {
            verdicts(json!({"xml": args}), &[(order, pass)]);
        }
    }

    #[test]
    fn hostile_text_is_bounded() {
        let said = |text: &str| compiled(json!({"xml": true})).check(&answer_text(text).input());
        assert!(said(&"<a>".repeat(300_000)).is_err());
        let nested = |open: &str, levels| format!("{}{}", open.repeat(levels), "</a>".repeat(levels));
        assert!(said(&nested("<a>", 100_000)).is_ok_and(|score| score.pass));
        assert!(said(&nested("<a>", 200_001)).is_err());
        assert!(said(&nested("<a xmlns='urn:a'>", 1_000)).is_ok_and(|score| score.pass));
        assert!(said(&nested("<a xmlns='urn:a'>", 1_001)).is_err());
        let attributes: String = (0..9_999).map(|i| format!(" a{i}=\"\"")).collect();
        assert!(said(&format!("<a{attributes}/>")).is_ok_and(|score| score.pass));
        assert!(said(&format!("<a{}/>", attributes.repeat(2))).is_err());
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(json!({"xml": {"path": "a/b", "count": {"min": 1}, "check": "x"}}), &[
            "<a><b>x</b></a>", "<a><b>x</b><b>y</b></a>", "<a/>", "<a>", "<!DOCTYPE a><a/>", "```xml\n```\n```xml\n```",
        ]), @r#"
        a/b number 1: equals: is "x"
        a/b number 2: equals: is "y", not "x"
        a/b occurs 0 times, not at least 1
        is not well-formed XML: the root node was opened but never closed, in "<a>"
        is not well-formed XML: XML with DTD detected, in "<!DOCTYPE a><a/>"
        has 2 blocks marked xml, so it is not clear which one is meant
        "#);
        insta::assert_snapshot!(problems(&[
            json!({"xml": false}),
            json!({"xml": "order"}),
            json!({"xml": {"root": "a b"}}),
            json!({"xml": {"path": "a//b"}}),
            json!({"xml": {"path": "@id"}}),
            json!({"xml": {"path": "a/@id/b"}}),
            json!({"xml": {"check": "x", "count": 1}}),
        ]));
    }
}
