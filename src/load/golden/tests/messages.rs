//! Every message, format by format.

use super::{Golden, RULES, messages};
use crate::load::golden::row::{Row, Rows, Spot};
use crate::load::golden::{csv, json, jsonl, survey, yaml};
use crate::model::Problem;
use std::io::{self, BufReader, Read};

/// One row for each mistake that a JSON object can hold.
const ROWS: &str = r#"{"id": true, "expect": ["b"]}
{"id": " ", "expect": ["b"]}
{"id": 1.5, "expect": ["b"]}
{"id": 99999999999999999999, "expect": ["b"]}
{"id": null, "expect": ["b"]}
{"id": "tags-1", "tags": "refunds", "expect": ["b"]}
{"id": "tags-2", "tags": ["a", 2024, "", null], "expect": ["b"]}
{"id": "critical-1", "critical": "yes", "expect": ["b"]}
{"id": "critical-2", "critical": null, "expect": ["b"]}
{"id": "vars-1", "vars": ["q"], "expect": ["b"]}
{"id": "history-1", "history": "Hi", "expect": ["b"]}
{"id": "history-2", "history": ["Hi", {"role": "assistant", "text": "x"}, {"role": "system", "text": "x"}, {"role": "human", "text": "x"}, {"role": "usr", "text": "x"}], "expect": ["b"]}
{"id": "history-3", "history": [{"role": 1, "text": "x"}, {"role": "user", "txt": "x"}, {"role": "user"}, {"text": "x"}, {"role": "user", "text": null}], "expect": ["b"]}
{"id": "notes-1", "notes": 5, "expect": ["b"]}
{"id": "keys-1", "expected": "b", "contains": "b", "question": "Why?", "expect": ["b"]}
{"id": "expect-1"}
{"id": "expect-2", "expect": []}
{"id": "expect-3", "expect": null}
{"id": "expect-4", "expect": {"contains": "b"}}
{"id": "expect-5", "expect": [{"contains": "b", "advisory": true}, {"contains": "b", "weight": 0}]}
{"id": "checks-1", "expect": [7, {"weight": 1}, {"contains": "b", "regex": "b"}, {"contians": "b"}]}
{"id": "checks-2", "expect": [{"contains": "b", "weight": -1}, {"contains": "b", "name": ""}, {"contains": "b", "advisory": "no"}]}
{"id": "checks-3", "expect": ["", {"contains": 5}, {"contains_any": ["a", 5]}, {"not": {"contains": ""}}]}
["not", "a", "map"]
"a text"
"#;

#[test]
fn mistakes_in_rows_of_jsonl() {
    insta::assert_snapshot!(messages("a.jsonl", ROWS), @r#"
    golden/a.jsonl:1:8: `id` is a boolean
      expected: a text or a whole number
    golden/a.jsonl:2:8: `id` is empty
      expected: a text or a whole number
      help: leave `id` out to have one made from `vars` and `history`
    golden/a.jsonl:3:8: `id` is not a whole number of at most 64 bits
      expected: a text or a whole number
      help: write it in quotes to keep it as it is
    golden/a.jsonl:4:8: `id` is not a whole number of at most 64 bits
      expected: a text or a whole number
      help: write it in quotes to keep it as it is
    golden/a.jsonl:5:8: `id` is null
      expected: a text or a whole number
    golden/a.jsonl:6:26: `tags` is a text
      expected: a list of texts like ["refunds", "policy"]
    golden/a.jsonl:7:32: a tag is a number
      expected: a list of texts like ["refunds", "policy"]
      help: write it in quotes
    golden/a.jsonl:7:38: a tag is empty
      expected: a list of texts like ["refunds", "policy"]
    golden/a.jsonl:7:42: a tag is null
      expected: a list of texts like ["refunds", "policy"]
    golden/a.jsonl:8:34: `critical` is a text
      expected: true or false
    golden/a.jsonl:9:34: `critical` is null
      expected: true or false
    golden/a.jsonl:10:26: `vars` is a list
      expected: a map from the names of the template's variables to their values
    golden/a.jsonl:11:32: `history` is a text
      expected: a list of turns like {role: user, text: "Hello"}
    golden/a.jsonl:12:33: a turn of `history` is a text
      expected: a list of turns like {role: user, text: "Hello"}
    golden/a.jsonl:12:48: unknown role `assistant`
      expected: user or model
      help: did you mean `model`?
    golden/a.jsonl:12:84: unknown role `system`
      expected: user or model
      help: a system instruction is part of the prompt
    golden/a.jsonl:12:117: unknown role `human`
      expected: user or model
      help: did you mean `user`?
    golden/a.jsonl:12:149: unknown role `usr`
      expected: user or model
      help: did you mean `user`?
    golden/a.jsonl:13:42: `role` is a number
      expected: a text
    golden/a.jsonl:13:76: unknown key `txt` in a turn
      expected: role and text
      help: did you mean `text`?
    golden/a.jsonl:13:89: a turn of `history` has no `text`
      expected: a list of turns like {role: user, text: "Hello"}
    golden/a.jsonl:13:107: a turn of `history` has no `role`
      expected: a list of turns like {role: user, text: "Hello"}
    golden/a.jsonl:13:147: `text` is null
      expected: a text
    golden/a.jsonl:14:28: `notes` is a number
      expected: a text
    golden/a.jsonl:15:18: unknown key `expected`
      expected: one of id, tags, critical, vars, history, expect, notes
      help: did you mean `expect`?
    golden/a.jsonl:15:35: unknown key `contains`
      expected: one of id, tags, critical, vars, history, expect, notes
      help: a check stands in the list `expect`: `expect: [{contains: ..}]`
    golden/a.jsonl:15:52: unknown key `question`
      expected: one of id, tags, critical, vars, history, expect, notes
      help: values for the prompt's template go into `vars`
    golden/a.jsonl:16:1: the case has no check
      expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`
    golden/a.jsonl:17:20: the case has no check
      expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`
    golden/a.jsonl:18:30: the case has no check
      expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`
    golden/a.jsonl:19:30: `expect` is a map
      expected: a list of checks
      help: put the check into a list: `expect: [{contains: "30 days"}]`
    golden/a.jsonl:20:20: no check of the case decides: each is advisory or has weight 0
      expected: at least one check that is not advisory and has a weight above 0
    golden/a.jsonl:21:31: a check is not a map
      expected: a one-key map like `contains: "text"`, or a plain string for `equals`
    golden/a.jsonl:21:34: a check names no matcher
      expected: a one-key map like `contains: "text"`
    golden/a.jsonl:21:67: a check names two matchers, `contains` and `regex`
      expected: one matcher a check; write two checks, or `all: [..]`
    golden/a.jsonl:21:83: unknown matcher `contians`
    golden/a.jsonl:22:49: `weight` is not a number of 0 or more
      expected: a number like 1 or 0.5
    golden/a.jsonl:22:82: `name` is not a text
      expected: a short text
    golden/a.jsonl:22:113: `advisory` is not true or false
      expected: true or false
    golden/a.jsonl:23:31: `equals` needs a text
      expected: a text that is not empty
    golden/a.jsonl:23:36: `contains` needs a text
      expected: a text that is not empty
    golden/a.jsonl:23:75: not a text
    golden/a.jsonl:23:89: `contains` needs a text
      expected: a text that is not empty
    golden/a.jsonl:24:1: a case is a list
      expected: a map with the keys of a case, such as `id`, `vars` and `expect`
    golden/a.jsonl:25:1: a case is a text
      expected: a map with the keys of a case, such as `id`, `vars` and `expect`
    "#);
}

#[test]
fn mistakes_in_rows_have_the_same_places_in_json_and_yaml() {
    let in_jsonl = messages("a.jsonl", ROWS);
    let rows: Vec<&str> = ROWS.lines().collect();
    let list = format!("[\n{}\n]", rows.join(",\n"));
    let json = messages("a.json", &list);
    let yaml = messages("a.yaml", &list);
    let moved: Vec<String> = in_jsonl
        .lines()
        .map(|line| match line.strip_prefix("golden/a.jsonl:") {
            None => line.to_owned(),
            Some(rest) => {
                let (number, rest) = rest.split_once(':').unwrap();
                format!("golden/a.json:{}:{rest}", number.parse::<u32>().unwrap() + 1)
            }
        })
        .collect();
    assert_eq!(json, moved.join("\n"));
    assert_eq!(yaml, json.replace("a.json:", "a.yaml:"));
}

#[test]
fn mistakes_in_rows_of_yaml_in_block_style() {
    let text = "\
- id: one
  tags: refunds
  history:
    - {role: assistant, text: Hi}
    - role: user
      text:
        - Hi
  expect:
    - contains: ''
    - contains_any:
        - a
        - 5
    - contians: b
- expect:
    contains: b
  critical: maybe

- id: three
  question: Why?
-
  id: four
- five
-
";
    insta::assert_snapshot!(messages("a.yaml", text), @r#"
    golden/a.yaml:2:9: `tags` is a text
      expected: a list of texts like ["refunds", "policy"]
    golden/a.yaml:4:14: unknown role `assistant`
      expected: user or model
      help: did you mean `model`?
    golden/a.yaml:7:9: `text` is a list
      expected: a text
    golden/a.yaml:9:7: `contains` needs a text
      expected: a text that is not empty
    golden/a.yaml:12:11: not a text
    golden/a.yaml:13:7: unknown matcher `contians`
    golden/a.yaml:15:5: `expect` is a map
      expected: a list of checks
      help: put the check into a list: `expect: [{contains: "30 days"}]`
    golden/a.yaml:16:13: `critical` is a text
      expected: true or false
    golden/a.yaml:19:3: unknown key `question`
      expected: one of id, tags, critical, vars, history, expect, notes
      help: values for the prompt's template go into `vars`
    golden/a.yaml:18:3: the case has no check
      expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`
    golden/a.yaml:21:3: the case has no check
      expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`
    golden/a.yaml:22:3: a case is a text
      expected: a map with the keys of a case, such as `id`, `vars` and `expect`
    golden/a.yaml:23:2: a case is null
      expected: a map with the keys of a case, such as `id`, `vars` and `expect`
    "#);
}

#[test]
fn places_behind_aliases_are_those_of_the_alias() {
    let text = "\
- id: one
  vars: &vars {q: x}
  expect: &checks [{contains: ''}]
- id: two
  tags: *vars
  expect: *checks
";
    insta::assert_snapshot!(messages("a.yaml", text), @r#"
    golden/a.yaml:3:21: `contains` needs a text
      expected: a text that is not empty
    golden/a.yaml:5:9: `tags` is a map
      expected: a list of texts like ["refunds", "policy"]
    golden/a.yaml:6:11: `contains` needs a text
      expected: a text that is not empty
    "#);
}

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
              expected: one of id, tags, critical, vars, history, expect, notes
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
      expected: the arguments of `number` as JSON
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
    golden/a.csv:14:5: the row has 2 cells, the header has 9
      expected: as many cells as the header has
      help: put a cell that holds a comma or a line break in quotes
    golden/a.csv:15:14: the row has 11 cells, the header has 9
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
    golden.write(
        "c.json",
        b"[{\"id\": 5, \"expect\": [\"b\"]},\n {\"id\": \"\xc3\xa4\xe4\"}, {\"id\": 6}]",
    );
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
    2:1: the row that begins here is longer than 32 MiB
    3:1: a row
    4:3: the quote that opens here is never closed
      expected: a closing `"` at the end of the cell
      help: write a quote inside a quoted cell twice: `""`
    1:1: the line is longer than 32 MiB
      expected: one JSON object a line
    2:1: a row
    1:2: the case that begins here is longer than 32 MiB
      help: look for a quote or bracket that is never closed
    2:1: a row
    1:1: the file is larger than 64 MiB, which YAML files may not be
      help: write large datasets as JSONL or CSV
    "#);
}

#[test]
fn ids_are_unique_over_all_files() {
    let golden = Golden::of(&[
        ("a.csv", "id,q,expected\nx,1,b\n7,1,b\n,same,b\n"),
        (
            "b.json",
            "[{\"id\": \"x\", \"expect\": []}, {\"expect\": [\"b\"], \"id\": 7}]",
        ),
        (
            "c.jsonl",
            "{\"vars\": {\"q\": \"same\"}, \"expect\": [\"c\"]}\n{\"id\": \"x\", \"expect\": [\"b\"]}\n",
        ),
        (
            "d.yaml",
            "- expect: [b]\n  vars: {q: other}\n- expect: [c]\n  vars: {q: other}\n- expect: [c]\n  id: '7'\n",
        ),
    ]);
    insta::assert_snapshot!(golden.messages(), @r#"
    golden/b.json:1:14: the case has no check
      expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`
    golden/b.json:1:9: duplicate id `x`: the first is at golden/a.csv:2:1
      expected: an id that is unique over all golden files
    golden/b.json:1:53: duplicate id `7`: the first is at golden/a.csv:3:1
      expected: an id that is unique over all golden files
    golden/c.jsonl:1:1: a case without `id` has the same vars and history as that at golden/a.csv:4:1
      expected: cases that differ in vars or history, or an `id` for each
      help: remove one of them, or give both an `id`
    golden/c.jsonl:2:8: duplicate id `x`: the first is at golden/a.csv:2:1
      expected: an id that is unique over all golden files
    golden/d.yaml:3:3: a case without `id` has the same vars and history as that at golden/d.yaml:1:3
      expected: cases that differ in vars or history, or an `id` for each
      help: remove one of them, or give both an `id`
    golden/d.yaml:6:7: duplicate id `7`: the first is at golden/a.csv:3:1
      expected: an id that is unique over all golden files
    "#);
}

#[test]
fn names_from_outside_are_shortened() {
    let long = "ä".repeat(1000);
    let text = format!(
        "{{\"id\": \"{long}\", \"{long}\": 1, \"expect\": [\"b\"]}}\n{{\"id\": \"{long}\", \"expect\": [\"b\"]}}\n"
    );
    insta::assert_snapshot!(messages("a.jsonl", &text), @"
    golden/a.jsonl:1:1012: unknown key `ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää…`
      expected: one of id, tags, critical, vars, history, expect, notes
      help: values for the prompt's template go into `vars`
    golden/a.jsonl:2:8: duplicate id `ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää…`: the first is at golden/a.jsonl:1:1
      expected: an id that is unique over all golden files
    ");
}

#[test]
fn the_visitor_sees_valid_cases_and_adds_its_own() {
    let golden = Golden::of(&[(
        "a.jsonl",
        "{\"id\": 1, \"expect\": [\"b\"]}\n{\"id\": 2}\n{\"id\": 3, \"expect\": [\"b\"]}\n",
    )]);
    let result = survey(&[golden.path("")], &RULES, &mut |case, problems| {
        problems.push(Problem::at(case.place.clone(), format!("case {} is seen", case.id)));
    });
    insta::assert_snapshot!(golden.relative(&result.unwrap_err().to_string()), @r#"
    golden/a.jsonl:1:1: case 1 is seen
    golden/a.jsonl:2:1: the case has no check
      expected: at least one check that decides, like `expect: [{contains: "30 days"}]`; in CSV a filled `expected` or `expect:MATCHER`
    golden/a.jsonl:3:1: case 3 is seen
    "#);
}

/// The messages of several files of one name, each under its text.
fn for_each(name: &str, texts: &[&str], check: impl Fn(String)) {
    let all: Vec<String> = texts
        .iter()
        .map(|text| format!("{text:.50?}\n{}\n", messages(name, text)))
        .collect();
    check(all.join("\n"));
}
