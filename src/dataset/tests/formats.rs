//! Mistakes in the formats: files that are not quite CSV, JSONL, JSON or YAML.

use super::{Golden, RULES, messages};
use crate::dataset::row::{Row, Rows, Spot};
use crate::dataset::{csv, json, jsonl, yaml};
use crate::domain::Problem;
use std::io::{self, BufReader, Read};

#[test]
fn mistakes_in_jsonl() {
    let text = "\
{\"id\": 1, \"expect\": [\"b\"], \"id\": 2, \"vars\": {\"ä\": 1, \"q\": {\"x\": 1, \"x\": 2}, \"ä\": 2}}
{\"id\": 3, \"expect\": [\"b\"]} {\"id\": 4, \"expect\": [\"b\"]}
{\"id\": 5, 'expect': [\"b\"]}
{\"id\": 6, \"expect\": [\"b\"]
{\"id\": 7, \"expect\": [\"ä\\x\"]}
{\"id\": \"\\ud800\", \"expect\": [\"b\"]}
{\"id\": 1e999, \"expect\": [\"b\"]}
nonsense
{\"id\": 8, \"expect\": [\"b\"], \"expect\": [\"c\"]}
";
    insta::assert_snapshot!(messages("a.jsonl", text), @"
    golden/a.jsonl:1:28: duplicate key `id`
      expected: every key once
      help: the first `id` is at line 1, column 2
    golden/a.jsonl:1:68: duplicate key `x`
      expected: every key once
      help: the first `x` is at line 1, column 60
    golden/a.jsonl:1:77: duplicate key `ä`
      expected: every key once
      help: the first `ä` is at line 1, column 46
    golden/a.jsonl:2:28: not JSON: trailing characters
      expected: one JSON object for each case
    golden/a.jsonl:3:11: not JSON: key must be a string
      expected: one JSON object for each case
    golden/a.jsonl:4:1: the case that begins here never ends: EOF while parsing an object
      help: close its last quote, bracket or brace
    golden/a.jsonl:5:25: not JSON: invalid escape
      expected: one JSON object for each case
    golden/a.jsonl:6:15: not JSON: unexpected end of hex escape
      expected: one JSON object for each case
    golden/a.jsonl:7:12: not JSON: number out of range
      expected: one JSON object for each case
    golden/a.jsonl:8:2: not JSON: expected a value
      expected: one JSON object for each case
    golden/a.jsonl:9:28: duplicate key `expect`
      expected: every key once
      help: the first `expect` is at line 9, column 11
    ");
    insta::assert_snapshot!(messages("a.jsonl", "[\n  {\"id\": 1, \"expect\": [\"b\"]}\n]\n"), @"
    golden/a.jsonl:1:1: the first line is not a whole JSON object
      expected: one JSON object a line
      help: name the file .json, if it is one JSON list of cases
    ");
    insta::assert_snapshot!(messages("a.jsonl", &format!("{}1{}", "[".repeat(200), "]".repeat(200))), @"
    golden/a.jsonl:1:128: not JSON: recursion limit exceeded
      expected: one JSON object for each case
    ");
}

#[test]
fn mistakes_in_json() {
    for_each(
        "a.json",
        &[
            "7",
            "[{\"id\": 1, \"expect\": [\"b\"]}",
            "[{\"id\": 1, \"expect\": [\"b\"]},\n]",
            "[,]",
            "[{\"id\": 1, \"expect\": [\"b\"]}\n {\"id\": 2, \"expect\": [\"b\"]}, {\"id\": 2, \"expect\": [\"b\"]}]",
            "[{\"id\": 1, \"expect\": [\"b\"]}] []",
            "{\"id\": 1, \"expect\": [\"b\"]}\n{\"id\": 2, \"expect\": [\"b\"]}\n",
            "{\"cases\": [{\"id\": 1, \"expect\": [\"b\"]}]}",
            "[{\"id\": 1, \"expect\": [\"b\"},\n {\"id\": 2}]",
            "[\n {\"id\": 1, \"expect\": [\"b]},\n {\"id\": 2}]",
            "[\n {\"id\": 1, \"expect\": [\"b\"],\n  \"id\": 2}, nonsense, {\"id\": 2}]",
        ],
        |all| {
            insta::assert_snapshot!(all, @r#"
            "7"
            golden/a.json:1:1: the file does not begin with a list
              expected: a list of cases: [{..}, {..}]

            "[{\"id\": 1, \"expect\": [\"b\"]}"
            golden/a.json:1:1: the list that begins here never ends
              expected: `]` at the end of the file

            "[{\"id\": 1, \"expect\": [\"b\"]},\n]"
            golden/a.json:2:1: a case is missing before this
              expected: a list of cases: [{..}, {..}]
              help: remove the comma that is too many

            "[,]"
            golden/a.json:1:2: a case is missing before this
              expected: a list of cases: [{..}, {..}]
              help: remove the comma that is too many

            "[{\"id\": 1, \"expect\": [\"b\"]}\n {\"id\": 2, \"expect\": [\"b\"]}, {\"id\": 2, \"expect\": [\"b\"]}]"
            golden/a.json:2:2: no comma between two cases
              expected: `,` or `]` after a case
            golden/a.json:2:37: duplicate id `2`: the first is at golden/a.json:2:2
              expected: an id that is unique over all golden files

            "[{\"id\": 1, \"expect\": [\"b\"]}] []"
            golden/a.json:1:30: text after the end of the JSON value
              expected: one list of cases: [{..}, {..}]
              help: name the file .jsonl, if each line is a case

            "{\"id\": 1, \"expect\": [\"b\"]}\n{\"id\": 2, \"expect\": [\"b\"]}\n"
            golden/a.json:2:1: text after the end of the JSON value
              expected: one list of cases: [{..}, {..}]
              help: name the file .jsonl, if each line is a case

            "{\"cases\": [{\"id\": 1, \"expect\": [\"b\"]}]}"
            golden/a.json:1:2: unknown key `cases`
              expected: one of id, tags, critical, weight, cluster, vars, history, expect, labels, notes
              help: values for the prompt's template go into `vars`
            golden/a.json:1:1: the case has no check
              expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`

            "[{\"id\": 1, \"expect\": [\"b\"},\n {\"id\": 2}]"
            golden/a.json:1:26: not JSON: expected `,` or `]`
              expected: one JSON object for each case

            "[\n {\"id\": 1, \"expect\": [\"b]},\n {\"id\": 2}]"
            golden/a.json:3:1: not JSON: control character (\u0000-\u001F) found while parsing a string
              expected: one JSON object for each case
              help: close the quote before it, or write a line break in a text as `\n`

            "[\n {\"id\": 1, \"expect\": [\"b\"],\n  \"id\": 2}, nonsense, {\"id\": 2}]"
            golden/a.json:3:3: duplicate key `id`
              expected: every key once
              help: the first `id` is at line 2, column 3
            golden/a.json:3:14: not JSON: expected a value
              expected: one JSON object for each case
            golden/a.json:3:23: the case has no check
              expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`
            "#)
        },
    );
}

#[test]
fn mistakes_in_yaml() {
    for_each(
        "a.yaml",
        &[
            "id: 1\nexpect: [b]\n",
            "just text",
            "7",
            "- id: 1\n  expect: [b]\n  id: 2\n  vars: {ä: 1, q: [{x: 1, x: 2}], ä: 2}\n",
            "- id: 1\n  expect: [b\n- id: 2\n",
            "- id: 1\n  expect: [b]\n bad: x\n",
            "- id: 1\n\texpect: [b]\n",
            "- id: 1\n  expect: [b]\n---\n- id: 2\n  expect: [b]\n",
            "- id: 1\n  expect: *nowhere\n",
            "- id: !custom 1\n  expect: [b]\n",
            "- id: 1\n  vars: {q: .inf}\n  expect: [b]\n",
            "- id: 1\n  vars: {? [a] : b}\n  expect: [b]\n",
            "- id: 1\n  vars: {~: b}\n  expect: [b]\n",
            "- id: 1\n  vars: &a {q: *a}\n  expect: [b]\n",
            "- &a [x, x, x, x, x, x, x, x, x, x]\n- &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n\
             - &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n- &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n\
             - &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\n- &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n\
             - [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]\n",
            &format!("- {}1{}", "[".repeat(100), "]".repeat(100)),
        ],
        |all| {
            insta::assert_snapshot!(all, @r#"
            "id: 1\nexpect: [b]\n"
            golden/a.yaml:1:1: the file is not a list of cases
              expected: a list: every case begins with `- `

            "just text"
            golden/a.yaml:1:1: the file is not a list of cases
              expected: a list: every case begins with `- `

            "7"
            golden/a.yaml:1:1: the file is not a list of cases
              expected: a list: every case begins with `- `

            "- id: 1\n  expect: [b]\n  id: 2\n  vars: {ä: 1, q: [{x: 1, x: 2}], ä: 2}\n"
            golden/a.yaml:3:3: duplicate key `id`
              expected: every key once
              help: the first `id` is at line 1, column 3
            golden/a.yaml:4:27: duplicate key `x`
              expected: every key once
              help: the first `x` is at line 4, column 21
            golden/a.yaml:4:35: duplicate key `ä`
              expected: every key once
              help: the first `ä` is at line 4, column 10

            "- id: 1\n  expect: [b\n- id: 2\n"
            golden/a.yaml:3:5: not readable as YAML: illegal placement of ':' indicator
              help: what follows in this file is not checked yet

            "- id: 1\n  expect: [b]\n bad: x\n"
            golden/a.yaml:3:2: not readable as YAML: while parsing a block collection, did not find expected '-' indicator
              help: what follows in this file is not checked yet

            "- id: 1\n\texpect: [b]\n"
            golden/a.yaml:1:7: not readable as YAML: while scanning a plain scalar, found a tab
              help: what follows in this file is not checked yet

            "- id: 1\n  expect: [b]\n---\n- id: 2\n  expect: [b]\n"
            golden/a.yaml:4:1: a second YAML document
              expected: one list of cases, in one document
              help: what follows in this file is not checked yet

            "- id: 1\n  expect: *nowhere\n"
            golden/a.yaml:2:11: an alias to an anchor that is not above it
              help: put a text that begins with `*` in quotes

            "- id: !custom 1\n  expect: [b]\n"
            golden/a.yaml:1:15: not readable as YAML: unsupported tag `!custom`
              help: what follows in this file is not checked yet

            "- id: 1\n  vars: {q: .inf}\n  expect: [b]\n"
            golden/a.yaml:2:13: not readable as YAML: value `.inf` is not a finite number
              help: what follows in this file is not checked yet

            "- id: 1\n  vars: {? [a] : b}\n  expect: [b]\n"
            golden/a.yaml:2:12: not readable as YAML: expected string scalar
              help: what follows in this file is not checked yet

            "- id: 1\n  vars: {~: b}\n  expect: [b]\n"
            golden/a.yaml:2:10: not readable as YAML: null is not allowed here
              help: what follows in this file is not checked yet

            "- id: 1\n  vars: &a {q: *a}\n  expect: [b]\n"
            golden/a.yaml:2:16: not readable as YAML: Recursive reference not allowed here
              help: what follows in this file is not checked yet

            "- &a [x, x, x, x, x, x, x, x, x, x]\n- &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n- &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n- &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n- &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\n- &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n- [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]\n"
            golden/a.yaml:1:6: a case is a list
              expected: a map with the keys of a case, such as `id`, `vars` and `expect`
            golden/a.yaml:2:6: a case is a list
              expected: a map with the keys of a case, such as `id`, `vars` and `expect`
            golden/a.yaml:3:6: a case is a list
              expected: a map with the keys of a case, such as `id`, `vars` and `expect`
            golden/a.yaml:4:6: a case is a list
              expected: a map with the keys of a case, such as `id`, `vars` and `expect`
            golden/a.yaml:5:6: a case is a list
              expected: a map with the keys of a case, such as `id`, `vars` and `expect`
            golden/a.yaml:6:35: not readable as YAML: YAML document too large or too complex: limits breached: RecordedAnchorEvents { recorded_anchor_events: 1000001 }
              help: what follows in this file is not checked yet

            "- [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
            golden/a.yaml:1:34: nested too deeply for a YAML file: more than 32 lists and maps
              help: what follows in this file is not checked yet
            "#)
        },
    );
}

#[test]
fn mistakes_in_csv_headers() {
    for_each(
        "a.csv",
        &[
            "id;question;expected\n1;Why?;b\n",
            "id\tquestion\texpected\n1\tWhy?\tb\n",
            "id,q, q ,expected,\n1,a,b,c,d\n",
            "id,matcher,expect:contains\n1,contains,b\n",
            "id,expect:contians,expect:,expect:banana\n1,b,b,b\n",
            "id,vars,expect\n1,{},b\n",
            "ID,Tags,Critical ,critcal,expectd,Matcher,Expect:contains,expected:regex,expect_contains,tag\n1,,,,,,,,,\n",
            "id,\"expected\n1,b\n",
            "id,\"ex\"pected\n1,b\n",
        ],
        |all| {
            insta::assert_snapshot!(all, @r#"
        "id;question;expected\n1;Why?;b\n"
        golden/a.csv:1:1: the header has a single column
          expected: columns separated by commas
          help: save the file as comma-separated values, not with semicolons or tabs

        "id\tquestion\texpected\n1\tWhy?\tb\n"
        golden/a.csv:1:1: the header has a single column
          expected: columns separated by commas
          help: save the file as comma-separated values, not with semicolons or tabs

        "id,q, q ,expected,\n1,a,b,c,d\n"
        golden/a.csv:1:6: duplicate column `q`
          expected: every column once
          help: it is also column number 2
        golden/a.csv:1:19: a column has no name
          expected: a name for every column

        "id,matcher,expect:contains\n1,contains,b\n"
        golden/a.csv:1:4: a column `matcher` without a column `expected`
          expected: both, or a column `expect:MATCHER` for each matcher

        "id,expect:contians,expect:,expect:banana\n1,b,b,b\n"
        golden/a.csv:1:4: unknown matcher `contians`
          expected: one of equals, contains, regex, contains_any, number, json, json_schema, not
          help: did you mean `contains`?
        golden/a.csv:1:20: unknown matcher ``
          expected: one of equals, contains, regex, contains_any, number, json, json_schema, not
        golden/a.csv:1:28: unknown matcher `banana`
          expected: one of equals, contains, regex, contains_any, number, json, json_schema, not

        "id,vars,expect\n1,{},b\n"
        golden/a.csv:1:4: a column can't be called `vars`
          expected: a column for each var, named like the variable in the template
        golden/a.csv:1:9: a column can't be called `expect`
          expected: `expected`, or `expect:MATCHER` like `expect:contains`

        "ID,Tags,Critical ,critcal,expectd,Matcher,Expect:contains,expected:regex,expect_contains,tag\n1,,,,,,,,,\n"
        golden/a.csv:1:1: unknown column `ID`
          expected: a known column, or a var whose name can't be taken for one
          help: did you mean `id`?
        golden/a.csv:1:4: unknown column `Tags`
          expected: a known column, or a var whose name can't be taken for one
          help: did you mean `tags`?
        golden/a.csv:1:9: unknown column `Critical`
          expected: a known column, or a var whose name can't be taken for one
          help: did you mean `critical`?
        golden/a.csv:1:19: unknown column `critcal`
          expected: a known column, or a var whose name can't be taken for one
          help: did you mean `critical`?
        golden/a.csv:1:27: unknown column `expectd`
          expected: a known column, or a var whose name can't be taken for one
          help: did you mean `expected`?
        golden/a.csv:1:35: unknown column `Matcher`
          expected: a known column, or a var whose name can't be taken for one
          help: did you mean `matcher`?
        golden/a.csv:1:43: unknown column `Expect:contains`
          expected: a known column, or a var whose name can't be taken for one
          help: did you mean `expect:contains`?
        golden/a.csv:1:59: unknown column `expected:regex`
          expected: a known column, or a var whose name can't be taken for one
          help: did you mean `expect:regex`?

        "id,\"expected\n1,b\n"
        golden/a.csv:1:4: the quote that opens here is never closed
          expected: a closing `"` at the end of the cell
          help: write a quote inside a quoted cell twice: `""`

        "id,\"ex\"pected\n1,b\n"
        golden/a.csv:1:8: text after the closing quote of a cell
          expected: a comma or the end of the line
          help: write a quote inside a quoted cell twice: `""`
        "#)
        },
    );
}

#[test]
fn mistakes_in_csv_records() {
    let text = "\
id,tags,critical,q,history,expected,matcher,expect:contains_any,expect:contains
1,,maybe,x,,b,,,
2,,,x,,b,contians,,
3,,,x,,,number,,b
4,,,x,,b,number,,
5,,,x,,,,a,
6,,,x,,,,\"[\"\"a\"\", 5]\",
7,,,x,,,,,
8,,,x,nonsense,b,,,
9,,,x,{},b,,,
10,,,x,\"[{\"\"role\"\":\"\"user\"\",\"\"role\"\":\"\"user\"\",\"\"text\"\":\"\"x\"\"}]\",b,,,
11,,,\"x
ä\",\"[{\"\"role\"\":\"\"bot\"\",\"\"text\"\":\"\"x\"\"}]\",b,,,
12,x
13,,,x,,b,,,,,
14,,,\"x\"y,,b,,,
15,,,x, \"b,c\",,,,
\" \",,,x,,b,,,
1,,,x,,b,,,
16,,,x,,b,,,\"never
closed,,
";
    insta::assert_snapshot!(messages("a.csv", text), @r#"
    golden/a.csv:2:4: `critical` is `maybe`
      expected: true, false, yes, no, 1, 0, or an empty cell
    golden/a.csv:3:10: unknown matcher `contians`
      expected: one of equals, contains, regex, contains_any, number, json, json_schema, not
      help: did you mean `contains`?
    golden/a.csv:4:8: the matcher `number` is named, but `expected` is empty
      expected: its arguments as JSON, or nothing in `matcher` either
    golden/a.csv:5:8: the cell of `number` is not JSON: expected value at character 1
      expected: JSON, like 18, true or ["a", "b"]
      help: in CSV a quote inside a quoted cell is written twice: `""`
    golden/a.csv:6:10: the cell of `contains_any` is not JSON: expected value at character 1
      expected: JSON, like 18, true or ["a", "b"]
      help: in CSV a quote inside a quoted cell is written twice: `""`
    golden/a.csv:7:10: not a text
    golden/a.csv:8:1: the case has no check
      expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`
    golden/a.csv:9:7: the cell of `history` is not JSON: expected a value at character 2
      expected: JSON, like 18, true or ["a", "b"]
      help: in CSV a quote inside a quoted cell is written twice: `""`
    golden/a.csv:10:7: `history` is a map
      expected: a list of turns like {role: user, text: "Hello"}
    golden/a.csv:11:8: the JSON in the cell of `history` has a key twice
      expected: every key once
    golden/a.csv:13:4: unknown role `bot`
      expected: user or model
      help: did you mean `model`?
    golden/a.csv:14:5: the row's cells don't match the header's: 2 instead of 9
      expected: as many cells as the header has
      help: put a cell that holds a comma or a line break in quotes
    golden/a.csv:15:14: the row's cells don't match the header's: 11 instead of 9
      expected: as many cells as the header has
      help: put a cell that holds a comma or a line break in quotes
    golden/a.csv:16:9: text after the closing quote of a cell
      expected: a comma or the end of the line
      help: write a quote inside a quoted cell twice: `""`
    golden/a.csv:17:9: a blank before the opening quote of a cell
      expected: the quote right after the comma
    golden/a.csv:18:1: `id` is empty
      expected: a text or a whole number
      help: leave `id` out to have one made from `vars` and `history`
    golden/a.csv:19:1: duplicate id `1`: the first is at golden/a.csv:2:1
      expected: an id that is unique over all golden files
    golden/a.csv:20:13: the quote that opens here is never closed
      expected: a closing `"` at the end of the cell
      help: write a quote inside a quoted cell twice: `""`
    "#);
}

#[test]
fn bytes_that_are_not_utf8() {
    let golden = Golden::of(&[]);
    golden.write("a.csv", b"id,expected\n1,\xe4\n2,b\n3,\"x\n\xc3\xa4\xff\"\n");
    golden.write("b.jsonl", b"{\"id\": \"\xc3\xa4\xe4\"}\n{\"id\": 4}\n");
    golden.write("c.json", b"[{\"id\": 5, \"expect\": [\"b\"]},\n {\"id\": \"\xc3\xa4\xe4\"}, {\"id\": 6}]");
    golden.write("d.yaml", b"- id: 7\n  expect: [\xc3\xa4\xe4]\n");
    golden.write("e.csv", b"\xff\xfei\0d\0");
    insta::assert_snapshot!(golden.messages(), @r#"
    golden/a.csv:2:3: byte 0xE4 is not UTF-8
      expected: UTF-8 text
      help: save the file with the encoding UTF-8
    golden/a.csv:5:2: byte 0xFF is not UTF-8
      expected: UTF-8 text
      help: save the file with the encoding UTF-8
    golden/b.jsonl:1:10: byte 0xE4 is not UTF-8
      expected: UTF-8 text
      help: save the file with the encoding UTF-8
    golden/b.jsonl:2:1: the case has no check
      expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`
    golden/c.json:2:11: byte 0xE4 is not UTF-8
      expected: UTF-8 text
      help: save the file with the encoding UTF-8
    golden/c.json:2:16: the case has no check
      expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`
    golden/d.yaml:2:13: byte 0xE4 is not UTF-8
      expected: UTF-8 text
      help: save the file with the encoding UTF-8
    golden/e.csv:1:1: byte 0xFF is not UTF-8
      expected: UTF-8 text
      help: save the file with the encoding UTF-8
    "#);
}

/// Keeps what a reader says, without a file around it.
#[derive(Default)]
struct Listing(Vec<String>);

impl Rows for Listing {
    fn row(&mut self, row: Row<'_>) {
        let Spot { line, column } = row.at.start();
        self.0.push(format!("{line}:{column}: a row"));
    }

    fn problem(&mut self, at: Spot, problem: Problem) {
        self.0.push(format!("{}:{}: {problem}", at.line, at.column));
    }

    fn is_full(&self) -> bool {
        false
    }
}

#[test]
fn rows_and_files_that_are_too_long() {
    let long = || io::repeat(b'x').take(33 * 1024 * 1024);
    let mut listing = Listing::default();
    let rows = &mut listing;
    let mut text = BufReader::new(b"id,q\n1,".chain(long()).chain(&b",b\n2,x\n3,\""[..]).chain(long()));
    csv::read(&mut text, &RULES, rows).unwrap();
    let mut text = BufReader::new(b"{\"id\": \"".chain(long()).chain(&b"\"}\n{\"id\": 2}\n"[..]));
    jsonl::read(&mut text, rows).unwrap();
    let mut text = BufReader::new(b"[{\"id\": \"".chain(long()).chain(&b"\"},\n{\"id\": 2}]"[..]));
    json::read(&mut text, rows).unwrap();
    let mut text = BufReader::new(b"- ".chain(long()).chain(long()));
    yaml::read(&mut text, rows).unwrap();
    insta::assert_snapshot!(listing.0.join("\n"), @r#"
    2:1: the row that begins here is longer than 8 MiB
    3:1: a row
    4:3: the quote that opens here is never closed
      expected: a closing `"` at the end of the cell
      help: write a quote inside a quoted cell twice: `""`
    1:1: the line is longer than 8 MiB
      expected: one JSON object a line
    2:1: a row
    1:2: the case that begins here is longer than 8 MiB
      help: look for a quote or bracket that is never closed
    2:1: a row
    1:1: the file is larger than 64 MiB, which YAML files may not be
      help: write large datasets as JSONL or CSV
    "#);
}

/// The messages of several files of one name, each under its text.
fn for_each(name: &str, texts: &[&str], check: impl Fn(String)) {
    let all: Vec<String> = texts.iter().map(|text| format!("{text:.50?}\n{}\n", messages(name, text))).collect();
    check(all.join("\n"));
}
