//! `csv`: the answer is a table in CSV of the expected shape.

use crate::domain::{ArgProblem, Score};
use crate::scoring::arguments::{Bounds, Fields, Read, bounds, count, each, flag, not_a, refuse, text, wrong};
use crate::scoring::code_fence::one_marked;
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use crate::scoring::quote::{counted, quote};
use serde_json::Value;

pub(super) const CSV: MatcherDef = MatcherDef {
    name: "csv",
    summary: "the answer is CSV (RFC 4180), all of whose rows have as many columns as expected",
    arguments: "{columns: 3 or header: [names], rows: 10 or {min, max}, delimiter: \",\", fenced: true}; columns: 2 or \
                more; header: the names in the first row, in order; rows counts without the header; the delimiter is one \
                ASCII character, like \";\" or a tab; empty lines are passed over; fenced: from the one Markdown code \
                block marked `csv` or `tsv` (or the one unmarked block), if there is one",
    schema: r##"{"type": "object", "properties": {"columns": {"type": "integer", "minimum": 2}, "header": {"type":
        "array", "items": {"type": "string"}, "minItems": 1}, "rows": {"$ref": "#/$defs/bounds"},
        "delimiter": {"type": "string", "minLength": 1, "maxLength": 1}, "fenced": {"type": "boolean"}},
        "additionalProperties": false, "oneOf": [{"required": ["columns"]}, {"required": ["header"]}]}"##,
    example: r#"{"csv": {"header": ["name", "price"], "rows": {"min": 1}, "delimiter": ";"}}"#,
    passes: Sample::Text("name;price\n\"Boots; black\";70\n"),
    fails: Sample::Text("name;price\nBoots; black;70\n"),
    refused: r#"{"csv": {"rows": {"min": 1}}}"#,
    compile,
    ..MatcherDef::DEFAULT
};

/// How many columns may be expected.
const MAX_COLUMNS: usize = 1_000;

struct Csv {
    columns: usize,
    header: Option<Vec<String>>,
    rows: Option<Bounds>,
    delimiter: u8,
    fenced: bool,
}

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of(
        args,
        &["columns", "header", "rows", "delimiter", "fenced"],
        "a map {columns or header, rows, delimiter, fenced}",
    )?;
    let columns = fields.optional("columns", columns);
    let header = fields.optional("header", header);
    let rows = fields.optional("rows", bounds);
    let delimiter = fields.optional("delimiter", delimiter).unwrap_or(b',');
    let fenced = fields.optional("fenced", flag).unwrap_or(true);
    match (fields.has("columns"), fields.has("header")) {
        (true, true) => fields.refuse(
            ArgProblem::new("`columns` and `header` are both given").expected("one of them: a header has its columns"),
        ),
        (false, false) => fields.refuse(
            ArgProblem::new("neither `columns` nor `header` is given, and every text is CSV of some shape")
                .expected("`columns: 3`, or `header: [name, price]`"),
        ),
        (true, false) | (false, true) => {}
    }
    let columns = columns.or(header.as_ref().map(Vec::len));
    let columns = fields.finish(columns)?;
    let csv = Csv { columns, header, rows, delimiter, fenced };
    Ok(Matcher::new(move |input| {
        Ok(match csv.read(&input.answer.text) {
            Ok(reason) => Score::binary(true, reason),
            Err(reason) => Score::binary(false, reason),
        })
    }))
}

fn columns(value: &Value) -> Read<usize> {
    let columns = usize::try_from(count(value)?).unwrap_or(usize::MAX);
    if !(2..=MAX_COLUMNS).contains(&columns) {
        let problem =
            ArgProblem::new(format!("{} can't tell CSV from other text", counted(columns as u64, "column", "columns")));
        return wrong(
            problem.expected(format!("2 to {MAX_COLUMNS} columns")).hint("for a single column, write its `header`"),
        );
    }
    Ok(columns)
}

fn header(value: &Value) -> Read<Vec<String>> {
    let Some(list) = value.as_array() else {
        return wrong(not_a("a list of names", value));
    };
    if list.is_empty() || list.len() > MAX_COLUMNS {
        let message = format!("the list has {}", counted(list.len() as u64, "name", "names"));
        return refuse(message, format!("1 to {MAX_COLUMNS} names"));
    }
    each(list, |name| text(name).map(str::to_owned))
}

fn delimiter(value: &Value) -> Read<u8> {
    match *text(value)?.as_bytes() {
        [c] if c.is_ascii_punctuation() && c != b'"' || c == b'\t' || c == b' ' => Ok(c),
        _ => refuse("not a delimiter", "one ASCII sign but a quote, or a tab, like \";\" or \"\\t\""),
    }
}

impl Csv {
    /// What is right, or what is wrong.
    fn read(&self, answer: &str) -> Result<String, String> {
        let block = if self.fenced { one_marked(answer, &["csv", "tsv"])? } else { None };
        let text = block.as_deref().unwrap_or(answer);
        // Quotes come in pairs, also doubled ones; the reader would take the rest of the text for a cell.
        if text.matches('"').count() % 2 == 1 {
            return Err("has a quote that is never closed".to_owned());
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .from_reader(text.as_bytes());
        let columns = |n: usize| counted(n as u64, "column", "columns");
        let mut row = csv::StringRecord::new();
        let mut rows = 0_u64;
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut row) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(format!("is not readable as CSV: {error}")),
            }
            let line = row.position().map_or(line, csv::Position::line);
            if row.len() != self.columns {
                return Err(format!("has {} in line {line}, not {}", columns(row.len()), self.columns));
            }
            if rows == 0
                && let Some(header) = &self.header
                && let Some((found, name)) = row.iter().zip(header).find(|(found, name)| found != name)
            {
                return Err(format!("has the header {} instead of {}", quote(found), quote(name)));
            }
            rows += 1;
        }
        if rows == 0 {
            return Err("has no row".to_owned());
        }
        let rows = rows - u64::from(self.header.is_some());
        match self.rows {
            Some(wanted) if !wanted.hold(rows) => {
                Err(format!("has {}, not {}", counted(rows, "row", "rows"), wanted.describe()))
            }
            Some(_) | None => Ok(format!("is CSV of {} and {}", columns(self.columns), counted(rows, "row", "rows"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, verdicts};
    use serde_json::json;

    #[test]
    fn every_row_has_the_same_columns() {
        verdicts(
            json!({"csv": {"columns": 2, "rows": {"min": 2, "max": 3}}}),
            &[
                ("a,b\nc,d", true),
                ("a,b\r\n\r\n\"c,\n\"\"x\"\"\",d\r\n", true),
                ("Here:\n```csv\na,b\nc,d\n```\nBye", true),
                ("```\na,b\nc,d\n```", true),
                ("a,b", false),
                ("a,b\nc,d\ne,f\ng,h", false),
                ("a,b\nc", false),
                ("a,b\nc,d,e", false),
                ("a,b\n\"c,d", false),
                ("Here are a, b, and c.\nx,y", false),
                ("", false),
                ("```csv\na,b\nc,d\n```\n```csv\na,b\nc,d\n```", false),
            ],
        );
        verdicts(
            json!({"csv": {"header": ["name", "price"], "rows": 1, "delimiter": "\t", "fenced": false}}),
            &[
                ("name\tprice\nBoots\t70", true),
                ("price\tname\nBoots\t70", false),
                ("name\tprice", false),
                ("name,price\nBoots,70", false),
                ("```tsv\nname\tprice\nBoots\t70\n```", false),
            ],
        );
        verdicts(json!({"csv": {"header": ["name"]}}), &[("name\nBoots", true), ("Boots", false)]);
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(json!({"csv": {"header": ["a", "b"], "rows": {"max": 1}}}), &[
            "a,b\n1,2", "a,b", "a,c", "a,b\n1", "a,b\n1,2\n3,4", "a,\"b", "",
        ]), @r#"
        is CSV of 2 columns and 1 row
        is CSV of 2 columns and 0 rows
        has the header "c" instead of "b"
        has 1 column in line 2, not 2
        has 2 rows, not at most 1
        has a quote that is never closed
        has no row
        "#);
        insta::assert_snapshot!(problems(&[
            json!({"csv": true}),
            json!({"csv": {}}),
            json!({"csv": {"columns": 1}}),
            json!({"csv": {"columns": 2, "header": ["a", "b"]}}),
            json!({"csv": {"header": []}}),
            json!({"csv": {"header": ["a", 1], "delimiter": "ab", "rows": -1}}),
        ]));
    }
}
