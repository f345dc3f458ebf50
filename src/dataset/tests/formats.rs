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
    insta::assert_snapshot!(messages("a.jsonl", text));
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
    let texts = [
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
    ];
    insta::assert_snapshot!(messages_of_each("a.json", &texts));
}

#[test]
fn mistakes_in_yaml() {
    let texts = [
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
    ];
    insta::assert_snapshot!(messages_of_each("a.yaml", &texts));
}

#[test]
fn mistakes_in_csv_headers() {
    let texts = [
        "id;question;expected\n1;Why?;b\n",
        "id\tquestion\texpected\n1\tWhy?\tb\n",
        "id,q, q ,expected,\n1,a,b,c,d\n",
        "id,matcher,expect:contains\n1,contains,b\n",
        "id,expect:contians,expect:,expect:banana\n1,b,b,b\n",
        "id,vars,expect\n1,{},b\n",
        "ID,Tags,Critical ,critcal,expectd,Matcher,Expect:contains,expected:regex,expect_contains,tag\n1,,,,,,,,,\n",
        "id,\"expected\n1,b\n",
        "id,\"ex\"pected\n1,b\n",
    ];
    insta::assert_snapshot!(messages_of_each("a.csv", &texts));
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
    insta::assert_snapshot!(messages("a.csv", text));
}

#[test]
fn bytes_that_are_not_utf8() {
    let golden = Golden::of(&[]);
    golden.write("a.csv", b"id,expected\n1,\xe4\n2,b\n3,\"x\n\xc3\xa4\xff\"\n");
    golden.write("b.jsonl", b"{\"id\": \"\xc3\xa4\xe4\"}\n{\"id\": 4}\n");
    golden.write("c.json", b"[{\"id\": 5, \"expect\": [\"b\"]},\n {\"id\": \"\xc3\xa4\xe4\"}, {\"id\": 6}]");
    golden.write("d.yaml", b"- id: 7\n  expect: [\xc3\xa4\xe4]\n");
    golden.write("e.csv", b"\xff\xfei\0d\0");
    insta::assert_snapshot!(golden.messages());
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
    insta::assert_snapshot!(listing.0.join("\n"));
}

/// The messages of several files of one name, each under its text.
fn messages_of_each(name: &str, texts: &[&str]) -> String {
    let all = texts.iter().map(|text| format!("{text:.50?}\n{}\n", messages(name, text)));
    all.collect::<Vec<_>>().join("\n")
}
