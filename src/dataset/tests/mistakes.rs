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
    insta::assert_snapshot!(messages("a.jsonl", ROWS));
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
    insta::assert_snapshot!(messages("a.yaml", text));
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
    insta::assert_snapshot!(golden.messages());
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
