//! Good rows, format by format.

use super::{Golden, cases, plain};
use serde_json::{Value, json};

/// The one case of a file, as JSON, without what it leaves at its default.
fn only(name: &str, text: &str) -> Value {
    let cases = cases(name, text);
    assert_eq!(cases.len(), 1, "{text}");
    let mut case = plain(&cases[0]);
    let map = case.as_object_mut().unwrap();
    map.retain(|_, value| {
        !matches!(value, Value::Null | Value::Bool(false)) && *value != json!([]) && *value != json!({})
    });
    for check in map["checks"].as_array_mut().unwrap() {
        check.as_object_mut().unwrap().retain(|key, value| match key.as_str() {
            "weight" => *value != json!(1.0),
            _ => !matches!(value, Value::Null | Value::Bool(false)),
        });
    }
    case
}

#[test]
fn json_rows() {
    let check = json!([{"matcher": "contains", "args": "b"}]);
    for (row, expected) in [
        (r#"{"id": "a", "expect": [{"contains": "b"}]}"#, json!({"id": "a", "checks": check})),
        (r#"{"id": 7, "expect": ["b"]}"#, json!({"id": "7", "checks": [{"matcher": "equals", "args": "b"}]})),
        (
            r#"{"id": -18446744073709551, "tags": [" x ", "y", "x"], "critical": true, "expect": [{"contains": "b"}]}"#,
            json!({"id": "-18446744073709551", "tags": ["x", "y"], "critical": true, "checks": check}),
        ),
        (
            r#"{"id": "a", "vars": {"q": "\u0000\n", "n": {"k": [1, 2.5, null]}}, "notes": "n", "expect": [{"contains": "b"}]}"#,
            json!({"id": "a", "vars": {"q": "\u{0}\n", "n": {"k": [1, 2.5, null]}}, "notes": "n", "checks": check}),
        ),
        (
            r#"{"id": "a", "history": [{"role": "user", "text": "Hi"}, {"text": "Yes?", "role": "model"}], "expect": [{"contains": "b"}]}"#,
            json!({"id": "a", "history": [{"role": "user", "text": "Hi"}, {"role": "model", "text": "Yes?"}], "checks": check}),
        ),
        (
            r#"{"id": "a", "tags": null, "vars": null, "history": null, "notes": null, "expect": [{"contains": "b"}]}"#,
            json!({"id": "a", "checks": check}),
        ),
        (
            r#"{"id": "a", "expect": [{"contains": "b", "weight": 2, "name": "n"}, {"json": true, "advisory": true}]}"#,
            json!({"id": "a", "checks": [
                {"matcher": "contains", "args": "b", "weight": 2.0, "name": "n"},
                {"matcher": "json", "args": true, "advisory": true},
            ]}),
        ),
        (
            r#"{"vars": {"q": "x"}, "expect": [{"contains": "b"}]}"#,
            json!({"id": "4cec9122d1f8e827", "vars": {"q": "x"}, "checks": check}),
        ),
    ] {
        assert_eq!(only("a.jsonl", row), expected, "{row}");
        assert_eq!(only("a.json", row), expected, "{row}");
        assert_eq!(only("a.json", &format!(" [\n{row}\n]\n")), expected, "{row}");
        assert_eq!(only("a.yaml", &format!("- {row}\n")), expected, "{row}");
    }
}

#[test]
fn yaml_scalars_are_those_of_the_core_schema() {
    for (written, expected) in [
        ("no", json!("no")),
        ("on", json!("on")),
        ("012", json!("012")),
        ("1_000", json!("1_000")),
        ("12:30:45", json!("12:30:45")),
        ("2024-01-31", json!("2024-01-31")),
        ("true", json!(true)),
        ("~", json!(null)),
        ("", json!(null)),
        ("1.10", json!(1.1)),
        ("'1.10'", json!("1.10")),
        ("-3", json!(-3)),
        ("18446744073709551615", json!(u64::MAX)),
        ("|\n      two\n      lines", json!("two\nlines\n")),
        (">-\n      one\n      line", json!("one line")),
        ("{a: [1, b]}", json!({"a": [1, "b"]})),
    ] {
        let text = format!("- id: a\n  vars:\n    q: {written}\n  expect: [b]\n");
        let cases = cases("a.yml", &text);
        assert_eq!(cases[0].vars["q"], expected, "{written}");
    }
}

#[test]
fn yaml_aliases_and_merge_keys_work() {
    let text = "\
- id: a
  vars: &base {q: one, r: two}
  expect: &checks [{contains: b}]
- id: b
  vars:
    <<: *base
    r: three
  expect: *checks
- {id: c, vars: *base, expect: *checks}
";
    let cases = cases("a.yaml", text);
    assert_eq!(json!(cases[1].vars), json!({"q": "one", "r": "three"}));
    assert_eq!(json!(cases[2].vars), json!({"q": "one", "r": "two"}));
    assert_eq!(cases[2].checks, cases[0].checks);
}

#[test]
fn csv_cells() {
    for (text, expected) in [
        (
            "id,question,expected\na,Why?,Because\n",
            json!({"id": "a", "vars": {"question": "Why?"}, "checks": [{"matcher": "equals", "args": "Because"}]}),
        ),
        ("id,expected,matcher\na,b,contains\n", json!({"id": "a", "checks": [{"matcher": "contains", "args": "b"}]})),
        ("id,expected,matcher\na,b,\n", json!({"id": "a", "checks": [{"matcher": "equals", "args": "b"}]})),
        ("matcher,id,expected\nnumber,a,18\n", json!({"id": "a", "checks": [{"matcher": "number", "args": 18}]})),
        (
            "id,expect:contains,expect: json ,expect:contains_any,expect:regex\na,[b],true,\"[\"\"x\"\",\"\"y\"\"]\",\n",
            json!({"id": "a", "checks": [
                {"matcher": "contains", "args": "[b]"},
                {"matcher": "json", "args": true},
                {"matcher": "contains_any", "args": ["x", "y"]},
            ]}),
        ),
        (
            "id,tags,critical,notes,expected\na, x ;;y; ,TRUE,\"n, m\",b\n",
            json!({"id": "a", "tags": ["x", "y"], "critical": true, "notes": "n, m",
                   "checks": [{"matcher": "equals", "args": "b"}]}),
        ),
        (
            "id,history,expected\na,\"[{\"\"role\"\":\"\"user\"\",\"\"text\"\":\"\"Hi\"\"}]\",b\n",
            json!({"id": "a", "history": [{"role": "user", "text": "Hi"}],
                   "checks": [{"matcher": "equals", "args": "b"}]}),
        ),
        (
            "\u{feff} id , q ,expected\r\n\r\n\"a\",\"line\r\n\"\"two\"\"\",5\" pipe\r\n",
            json!({"id": "a", "vars": {"q": "line\r\n\"two\""}, "checks": [{"matcher": "equals", "args": "5\" pipe"}]}),
        ),
        (
            "id,q,expected\n,,b",
            json!({"id": "a4ae8ec621569f1d", "vars": {"q": ""}, "checks": [{"matcher": "equals", "args": "b"}]}),
        ),
    ] {
        assert_eq!(only("a.csv", text), expected, "{text}");
    }
}

#[test]
fn critical_cells() {
    for (cell, expected) in [
        ("true", true),
        ("1", true),
        ("Yes", true),
        ("false", false),
        ("0", false),
        ("no", false),
        ("", false),
        (" ", false),
    ] {
        let cases = cases("a.csv", &format!("id,critical,expected\na,{cell},b\n"));
        assert_eq!(cases[0].critical, expected, "{cell:?}");
    }
}

#[test]
fn equal_cases_are_equal_in_every_format() {
    let json = r#"{"id": "a-1", "tags": ["x", "y"], "critical": true, "vars": {"q": "What, \"now\"?\nSay.", "r": ""},
        "history": [{"role": "model", "text": "Hi"}],
        "expect": [{"contains": "b"}, {"contains_any": ["c", "d"]}], "notes": "n"}"#;
    let jsonl = json.replace('\n', " ");
    let yaml = "
- notes: n
  expect:
    - contains: b
    - contains_any: [c, d]
  history: [{role: model, text: Hi}]
  vars:
    q: |-
      What, \"now\"?
      Say.
    r: ''
  critical: true
  tags: [x, y]
  id: a-1
";
    let csv = "id,tags,critical,q,r,history,expect:contains,expect:contains_any,notes\n\
        a-1,x; y,yes,\"What, \"\"now\"\"?\nSay.\",,\"[{\"\"role\"\":\"\"model\"\",\"\"text\"\":\"\"Hi\"\"}]\",b,\
        \"[\"\"c\"\",\"\"d\"\"]\",n\n";
    let written = |name, text| plain(&cases(name, text)[0]);
    let expected = written("a.json", json);
    assert_eq!(written("a.jsonl", &jsonl), expected);
    assert_eq!(written("a.yaml", yaml), expected);
    assert_eq!(written("a.csv", csv), expected);
}

#[test]
fn derived_ids_are_equal_in_every_format() {
    let id = |name, text| cases(name, text)[0].id.to_string();
    let expected = id("a.jsonl", r#"{"vars": {"q": "x", "r": "y"}, "expect": ["b"]}"#);
    assert_eq!(expected.len(), 16);
    assert_eq!(id("a.yaml", "- {expect: [c], vars: {r: y, q: x}, tags: [t]}"), expected);
    assert_eq!(id("a.csv", "r,expected,q\ny,b,x\n"), expected);
    assert_ne!(id("a.csv", "r,expected,q\nx,b,y\n"), expected);
}

#[test]
fn every_case_knows_where_it_stands() {
    let golden = Golden::of(&[
        ("a.csv", "id,q,expected\na1,\"two\nlines\",b\n\na2,,b\n"),
        (
            "b.json",
            "[{\"id\": \"b1\", \"expect\": [\"b\"]}, {\"id\": \"b2\", \"expect\": [\"b\"]},\n  {\"id\": \"ä\",\n \"expect\": [\"b\"]} , {\"id\": \"b4\", \"expect\": [\"b\"]}]",
        ),
        ("c.jsonl", "\n {\"id\": \"c1\", \"expect\": [\"b\"]}\r\n\r\n{\"id\": \"c2\", \"expect\": [\"b\"]}"),
        ("d.yaml", "# cases\n---\n- id: d1\n  expect: [b]\n\n-\n  expect: [b]\n  id: d2\n- {id: d3, expect: [b]}\n"),
    ]);
    let places: Vec<String> = golden
        .cases()
        .iter()
        .map(|case| format!("{} {} {}", case.id, case.suite, golden.relative(&case.place.to_string())))
        .collect();
    insta::assert_snapshot!(places.join("\n"));
}

#[test]
fn a_large_value_is_data_and_a_gigantic_one_a_mistake() {
    let text = "x".repeat(7 * 1024 * 1024);
    let csv = cases("a.csv", &format!("id,q,expected\na,\"{text}\",b\n"));
    assert_eq!(csv[0].vars["q"].as_str().map(str::len), Some(text.len()));
    let jsonl = cases("a.jsonl", &format!("{{\"id\": \"a\", \"vars\": {{\"q\": \"{text}\"}}, \"expect\": [\"b\"]}}"));
    assert_eq!(jsonl[0].vars, csv[0].vars);
}

#[test]
fn deep_values_are_data_within_the_limits() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let row = |depth| format!("{{\"vars\": {{\"q\": {}}}, \"expect\": [\"b\"]}}", nested(depth));
    assert_eq!(cases("a.jsonl", &row(125)).len(), 1);
    assert_eq!(cases("a.json", &format!("[{}]", row(125))).len(), 1);
    assert_eq!(cases("a.yaml", &format!("- {}", row(29))).len(), 1);
}

#[test]
fn csv_round_trips_what_the_csv_crate_writes() {
    let values =
        ["", "a", "a,b", "\"", "\"\"", "a\"b", "two\nlines", "\r\n", " x ", "ä€😀", ";", "'", "\u{feff}", "\t"];
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(["id", "first", "second", "expected"]).unwrap();
    for (number, value) in values.iter().enumerate() {
        writer.write_record([&number.to_string(), *value, "plain", "b"]).unwrap();
    }
    let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
    let read: Vec<Value> = cases("a.csv", &text).iter().map(|case| case.vars["first"].clone()).collect();
    assert_eq!(read, values);
}
