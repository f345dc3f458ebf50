//! Mistakes in what the rows say: the messages are those of every format.

use super::{Golden, RULES, messages};
use crate::dataset::survey;
use crate::domain::Problem;

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
      expected: one of id, tags, critical, weight, cluster, vars, history, expect, labels, notes
      help: did you mean `expect`?
    golden/a.jsonl:15:35: unknown key `contains`
      expected: one of id, tags, critical, weight, cluster, vars, history, expect, labels, notes
      help: a check stands in the list `expect`: `expect: [{contains: ..}]`
    golden/a.jsonl:15:52: unknown key `question`
      expected: one of id, tags, critical, weight, cluster, vars, history, expect, labels, notes
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
      expected: one of id, tags, critical, weight, cluster, vars, history, expect, labels, notes
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
fn a_row_full_of_mistakes_is_counted_not_searched() {
    let count = |name: &str, text: &str| Golden::of(&[(name, text)]).survey().0.unwrap_err().count();
    let keys = "\"x\": 1, ".repeat(20_000);
    assert_eq!(
        count("a.jsonl", &format!("{{{keys}\"x\": 1, \"id\": 1, \"expect\": [\"b\"]}}")),
        // The duplicates, and the key that is unknown.
        20_000 + 1
    );
    // The first 200 of a row's own mistakes are kept, the others are not even counted.
    let checks = "7, ".repeat(20_000);
    assert_eq!(count("a.jsonl", &format!("{{\"id\": 1, \"expect\": [{checks}7]}}")), 200);
    let header = format!("id,expected{}", ",".repeat(9_000));
    assert_eq!(count("a.csv", &header), 9_000);
    insta::assert_snapshot!(messages("a.csv", &format!("id{}\n1\n", ",".repeat(10_000))), @"
    golden/a.csv:1:10003: too many columns
      expected: at most 10000
    golden/a.csv:2:2: the row's cells don't match the header's: 1 instead of 10001
      expected: as many cells as the header has
      help: put a cell that holds a comma or a line break in quotes
    ");
}

#[test]
fn ids_are_unique_over_all_files() {
    let golden = Golden::of(&[
        ("a.csv", "id,q,expected\nx,1,b\n7,1,b\n,same,b\n"),
        ("b.json", "[{\"id\": \"x\", \"expect\": []}, {\"expect\": [\"b\"], \"id\": 7}]"),
        ("c.jsonl", "{\"vars\": {\"q\": \"same\"}, \"expect\": [\"c\"]}\n{\"id\": \"x\", \"expect\": [\"b\"]}\n"),
        ("d.yaml", "- expect: [b]\n  vars: {q: other}\n- expect: [c]\n  vars: {q: other}\n- expect: [c]\n  id: '7'\n"),
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
      expected: one of id, tags, critical, weight, cluster, vars, history, expect, labels, notes
      help: values for the prompt's template go into `vars`
    golden/a.jsonl:2:8: duplicate id `ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää…`: the first is at golden/a.jsonl:1:1
      expected: an id that is unique over all golden files
    ");
}

#[test]
fn the_visitor_sees_valid_cases_and_adds_its_own() {
    let golden =
        Golden::of(&[("a.jsonl", "{\"id\": 1, \"expect\": [\"b\"]}\n{\"id\": 2}\n{\"id\": 3, \"expect\": [\"b\"]}\n")]);
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
