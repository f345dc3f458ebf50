//! `markdown`: the answer is laid out with these elements of Markdown, and not with those.

use crate::domain::{ArgProblem, Score};
use crate::scoring::arguments::{Bounds, Fields, Read, bounds, count, list, refuse};
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::{MatchError, Matcher};
use crate::scoring::matchers::no_secrets::listed;
use crate::scoring::quote::counted;
use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::Value;

pub(super) const MARKDOWN: MatcherDef = MatcherDef {
    name: "markdown",
    summary: "the answer has these elements of Markdown, and none of those",
    arguments: "{has: [kinds], none: [kinds], heading_levels: [2, 3], list_items: 3 or {min, max}, table: {columns: 2 or \
                {min, max}, rows: 5 or {min, max}}}; kinds: heading, list, table, code (a block), inline_code, link, \
                image, quote, bold, rule; heading_levels: there are headings, and all of them have one of these levels; \
                list_items: of all lists, nested ones included; table: there is one with so many columns and so many \
                rows, its header not counted; CommonMark with the tables of GitHub",
    schema: r##"{"type": "object", "properties": {"has": {"type": "array", "items": {"enum": ["heading", "list",
        "table", "code", "inline_code", "link", "image", "quote", "bold", "rule"]}, "minItems": 1}, "none":
        {"type": "array", "items": {"enum": ["heading", "list", "table", "code", "inline_code", "link",
        "image", "quote", "bold", "rule"]}, "minItems": 1}, "heading_levels": {"type": "array", "items":
        {"type": "integer", "minimum": 1, "maximum": 6}, "minItems": 1}, "list_items": {"$ref":
        "#/$defs/bounds"}, "table": {"type": "object", "properties": {"columns": {"$ref": "#/$defs/bounds"},
        "rows": {"$ref": "#/$defs/bounds"}}, "additionalProperties": false}}, "additionalProperties": false,
        "minProperties": 1}"##,
    example: r#"{"markdown": {"has": ["list"], "none": ["table", "heading"], "list_items": {"max": 3}}}"#,
    passes: Sample::Text("You need:\n\n- boots\n- socks"),
    fails: Sample::Text("# You need\n\n- boots"),
    refused: r#"{"markdown": {"has": ["tables"]}}"#,
    cost: "linear in the answer; it can't judge more than 256 KiB",
    compile,
    ..MatcherDef::DEFAULT
};

/// The longest answer that is parsed, in bytes.
const MAX_BYTES: usize = 256 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Heading,
    List,
    Table,
    Code,
    InlineCode,
    Link,
    Image,
    Quote,
    Bold,
    Rule,
}

const KINDS: [(&str, Kind); 10] = [
    ("heading", Kind::Heading),
    ("list", Kind::List),
    ("table", Kind::Table),
    ("code", Kind::Code),
    ("inline_code", Kind::InlineCode),
    ("link", Kind::Link),
    ("image", Kind::Image),
    ("quote", Kind::Quote),
    ("bold", Kind::Bold),
    ("rule", Kind::Rule),
];

struct Markdown {
    has: Vec<Kind>,
    none: Vec<Kind>,
    heading_levels: Option<Vec<u64>>,
    list_items: Option<Bounds>,
    table: Option<TableShape>,
}

struct TableShape {
    columns: Option<Bounds>,
    rows: Option<Bounds>,
}

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let keys = ["has", "none", "heading_levels", "list_items", "table"];
    let mut fields = Fields::of(args, &keys, "a map {has, none, heading_levels, list_items, table}")?;
    let has = fields.optional("has", |value| listed(value, &KINDS)).unwrap_or_default();
    let none = fields.optional("none", |value| listed(value, &KINDS)).unwrap_or_default();
    let heading_levels = fields.optional("heading_levels", levels);
    let list_items = fields.optional("list_items", bounds);
    let table = fields.optional("table", table);
    if fields.is_empty() {
        fields.refuse(ArgProblem::new("the map is empty").expected(format!("at least one of {}", keys.join(", "))));
    }
    let mut wanted = has.clone();
    wanted.extend(heading_levels.as_ref().map(|_| Kind::Heading));
    wanted.extend(table.as_ref().map(|_| Kind::Table));
    wanted.extend(list_items.filter(|items| !items.hold(0)).map(|_| Kind::List));
    if let Some((name, _)) = KINDS.iter().find(|(_, kind)| wanted.contains(kind) && none.contains(kind)) {
        let message = format!("{name} is wanted and forbidden, so no answer can pass");
        fields.refuse_key("none", message, "kinds that nothing else requires");
    }
    let markdown = fields.finish(Some(Markdown { has, none, heading_levels, list_items, table }))?;
    Ok(Matcher::new(move |input| {
        let text = &input.answer.text;
        if text.len() > MAX_BYTES {
            return Err(MatchError::new(format!("has {} bytes, and at most {MAX_BYTES} are parsed", text.len())));
        }
        Ok(match markdown.misfit(&Elements::of(text)) {
            None => Score::binary(true, "is laid out as expected"),
            Some(why) => Score::binary(false, why),
        })
    }))
}

fn levels(value: &Value) -> Read<Vec<u64>> {
    list(value, "a list of levels, like [2, 3]", "level", |level| match count(level)? {
        level @ 1..=6 => Ok(level),
        level => refuse(format!("there are no headings of level {level}"), "1 to 6"),
    })
}

fn table(value: &Value) -> Read<TableShape> {
    let mut fields = Fields::of(value, &["columns", "rows"], "a map {columns, rows}")?;
    let columns = fields.optional("columns", bounds);
    let rows = fields.optional("rows", bounds);
    if fields.is_empty() {
        fields.refuse(
            ArgProblem::new("the map is empty")
                .expected("columns, rows or both")
                .hint("for any table, write `has: [table]`"),
        );
    }
    fields.finish(Some(TableShape { columns, rows }))
}

#[derive(Default)]
struct Elements {
    kinds: Vec<Kind>,
    heading_levels: Vec<u64>,
    list_items: u64,
    /// Columns and rows of each table.
    tables: Vec<(u64, u64)>,
}

impl Elements {
    fn of(text: &str) -> Elements {
        let mut elements = Elements::default();
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            elements.add(&event);
        }
        elements
    }

    fn add(&mut self, event: &Event<'_>) {
        let kind = if let Event::Start(tag) = event {
            self.start(tag)
        } else if let Event::Code(_) = event {
            Some(Kind::InlineCode)
        } else if let Event::Rule = event {
            Some(Kind::Rule)
        } else {
            None
        };
        if let Some(kind) = kind
            && !self.kinds.contains(&kind)
        {
            self.kinds.push(kind);
        }
    }

    fn start(&mut self, tag: &Tag<'_>) -> Option<Kind> {
        if let Tag::Heading { level, .. } = tag {
            self.heading_levels.push(*level as u64);
            Some(Kind::Heading)
        } else if let Tag::List(_) = tag {
            Some(Kind::List)
        } else if let Tag::Item = tag {
            self.list_items += 1;
            None
        } else if let Tag::Table(columns) = tag {
            self.tables.push((columns.len() as u64, 0));
            Some(Kind::Table)
        } else if let Tag::TableRow = tag {
            if let Some((_, rows)) = self.tables.last_mut() {
                *rows += 1;
            }
            None
        } else if let Tag::CodeBlock(_) = tag {
            Some(Kind::Code)
        } else if let Tag::Link { .. } = tag {
            Some(Kind::Link)
        } else if let Tag::Image { .. } = tag {
            Some(Kind::Image)
        } else if let Tag::BlockQuote(_) = tag {
            Some(Kind::Quote)
        } else if let Tag::Strong = tag {
            Some(Kind::Bold)
        } else {
            None
        }
    }
}

fn name(kind: Kind) -> &'static str {
    KINDS.iter().find(|(_, other)| *other == kind).map_or("", |(name, _)| name)
}

impl Markdown {
    /// The first thing that is wrong.
    fn misfit(&self, found: &Elements) -> Option<String> {
        if let Some(kind) = self.has.iter().find(|kind| !found.kinds.contains(kind)) {
            return Some(format!("has no {}", name(*kind)));
        }
        if let Some(kind) = self.none.iter().find(|kind| found.kinds.contains(kind)) {
            return Some(format!("has a {}", name(*kind)));
        }
        if let Some(levels) = &self.heading_levels {
            if found.heading_levels.is_empty() {
                return Some("has no heading".to_owned());
            }
            if let Some(level) = found.heading_levels.iter().find(|level| !levels.contains(level)) {
                return Some(format!("has a heading of level {level}"));
            }
        }
        if let Some(wanted) = self.list_items
            && !wanted.hold(found.list_items)
        {
            let items = counted(found.list_items, "list item", "list items");
            return Some(format!("has {items}, not {}", wanted.describe()));
        }
        let shape = self.table.as_ref()?;
        let fits = |bounds: Option<Bounds>, count: u64| bounds.is_none_or(|bounds| bounds.hold(count));
        if found.tables.iter().any(|(columns, rows)| fits(shape.columns, *columns) && fits(shape.rows, *rows)) {
            return None;
        }
        Some(match found.tables.first() {
            None => "has no table".to_owned(),
            Some((columns, rows)) => format!(
                "has no table of this shape; the first has {} and {}",
                counted(*columns, "column", "columns"),
                counted(*rows, "row", "rows")
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Elements, KINDS};
    use crate::scoring::rules::testing::{problems, reasons, verdicts};
    use serde_json::json;

    #[test]
    fn every_kind_is_seen_and_only_it() {
        let table = [
            ("heading", "# A"),
            ("heading", "A\n==="),
            ("list", "1. a\n2. b"),
            ("table", "a | b\n--|--\n1 | 2"),
            ("code", "```\na\n```"),
            ("code", "    indented"),
            ("inline_code", "`a`"),
            ("link", "[a](https://example.com)"),
            ("link", "<https://example.com>"),
            ("image", "![a](b.png)"),
            ("quote", "> a"),
            ("bold", "**a**"),
            ("rule", "a\n\n---"),
        ];
        for (kind, text) in table {
            for (name, _) in KINDS {
                verdicts(json!({"markdown": {"has": [name]}}), &[(text, name == kind)]);
                verdicts(json!({"markdown": {"none": [name]}}), &[(text, name != kind)]);
            }
        }
        assert!(Elements::of("1 * 2 * 3 = 6, a|b, # no").kinds.is_empty());
    }

    #[test]
    fn shapes_are_counted() {
        verdicts(
            json!({"markdown": {"heading_levels": [2, 3]}}),
            &[("## a\n### b", true), ("# a\n## b", false), ("a", false)],
        );
        verdicts(
            json!({"markdown": {"list_items": {"min": 2, "max": 3}}}),
            &[("- a\n  - b\n- c", true), ("- a", false), ("1. a\n2. b\n\n- c\n- d", false), ("a", false)],
        );
        verdicts(
            json!({"markdown": {"table": {"columns": 2, "rows": {"min": 2}}}}),
            &[
                ("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |", true),
                ("| a | b |\n|---|---|\n| 1 | 2 |", false),
                ("| a |\n|---|\n| 1 |\n| 2 |", false),
                ("|a|\n|-|\n|1|\n\ntext\n\n|a|b|\n|-|-|\n|1|2|\n|3|4|", true),
                ("a", false),
            ],
        );
    }

    #[test]
    fn hostile_text_is_bounded() {
        for part in [">", "- ", "[", "![](", "*a_ ", "`", "|a", "<a "] {
            let text: String = part.repeat((256 << 10) / part.len());
            Elements::of(&text);
        }
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(
            json!({"markdown": {"has": ["table"], "none": ["link"], "heading_levels": [1], "list_items": 0, "table": {"rows": 1}}}),
            &[
                "# a\n\n|a|\n|-|\n|1|",
                "a",
                "[a](b)\n\n|a|\n|-|\n|1|",
                "|a|\n|-|\n|1|",
                "## a\n\n|a|\n|-|\n|1|",
                "# a\n- b\n\n|a|\n|-|\n|1|",
                "# a\n\n|a|\n|-|\n|1|\n|2|",
            ],
        ), @"
        is laid out as expected
        has no table
        has a link
        has no heading
        has a heading of level 2
        has 1 list item, not exactly 0
        has no table of this shape; the first has 1 column and 2 rows
        ");
        insta::assert_snapshot!(problems(&[
            json!({"markdown": true}),
            json!({"markdown": {}}),
            json!({"markdown": {"has": [], "none": ["linkk"]}}),
            json!({"markdown": {"has": ["table"], "none": ["table"]}}),
            json!({"markdown": {"list_items": 2, "none": ["list"]}}),
            json!({"markdown": {"heading_levels": [0, 7]}}),
            json!({"markdown": {"table": {}}}),
        ]));
    }
}
