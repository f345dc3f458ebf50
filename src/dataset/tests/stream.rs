//! The second pass, and digests.

use super::{FakeRules, Golden, RULES};
use crate::dataset::survey;
use crate::domain::Case;
use serde_json::json;
use std::ops::ControlFlow;

const FILES: [(&str, &str); 4] = [
    ("a.csv", "id,q,expected\na1,x,b\na2,y,b\n"),
    ("b.json", r#"[{"id": "b1", "expect": ["b"]}, {"id": "b2", "expect": ["b"]}]"#),
    ("c.jsonl", "{\"id\": \"c1\", \"expect\": [\"b\"]}\n{\"vars\": {\"q\": 1}, \"expect\": [\"b\"]}\n"),
    ("d/e.yaml", "- id: d1\n  expect: [b]\n- id: d2\n  expect: [b]\n"),
];

#[test]
fn the_second_pass_sees_what_the_first_saw() {
    let golden = Golden::of(&FILES);
    let (dataset, visited) = golden.survey();
    let mut streamed: Vec<Case> = Vec::new();
    let result = dataset.unwrap().stream(&RULES, &mut |case| {
        streamed.push(case);
        ControlFlow::Continue(())
    });
    assert_eq!(result, Ok(()));
    assert_eq!(streamed, visited);
    assert_eq!(streamed.len(), 8);
}

#[test]
fn a_break_stops_the_stream() {
    let golden = Golden::of(&FILES);
    let dataset = golden.survey().0.unwrap();
    for limit in 1..=8 {
        let mut ids = Vec::new();
        let result = dataset.stream(&RULES, &mut |case| {
            ids.push(case.id.to_string());
            if ids.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((result, ids.len()), (Ok(()), limit));
    }
}

#[test]
fn changed_bytes_are_an_error_even_where_the_case_stays_the_same() {
    let changes = [
        ("a.csv", "id,q,expected\na1,x,b\na2,z,b\n"),
        ("b.json", r#"[{"id": "b1", "expect": ["b"]}, {"id": "b2","expect": ["b"] }]"#),
        ("c.jsonl", "{\"id\": \"c1\", \"expect\": [\"b\"]}\n"),
        ("d/e.yaml", "- id: d1\n  expect: [b]\n- id: d2\n  expect: [}\n"),
    ];
    for (name, changed) in changes {
        let golden = Golden::of(&FILES);
        let dataset = golden.survey().0.unwrap();
        golden.write(name, changed.as_bytes());
        let result = dataset.stream(&RULES, &mut |_| ControlFlow::Continue(()));
        let message = golden.relative(&result.unwrap_err().to_string());
        assert_eq!(
            message,
            format!(
                "golden/{name}: the file, or one that its checks name, changed while it was in use\n  help: run again"
            )
        );
    }
}

#[test]
fn a_change_behind_the_break_is_seen_in_the_same_file_only() {
    let golden = Golden::of(&FILES);
    let dataset = golden.survey().0.unwrap();
    let stop_at_once = || dataset.stream(&RULES, &mut |_| ControlFlow::Break(()));
    golden.write("b.json", FILES[1].1.replace("b2", "b3").as_bytes());
    assert_eq!(stop_at_once(), Ok(()));
    golden.write("a.csv", FILES[0].1.replace("a2", "a3").as_bytes());
    assert!(stop_at_once().is_err());
}

#[test]
fn a_removed_file_is_an_error() {
    let golden = Golden::of(&FILES);
    let dataset = golden.survey().0.unwrap();
    std::fs::remove_file(golden.path("c.jsonl")).unwrap();
    let result = dataset.stream(&RULES, &mut |_| ControlFlow::Continue(()));
    insta::assert_snapshot!(golden.relative(&result.unwrap_err().to_string()), @"golden/c.jsonl: can't be read any more: No such file or directory (os error 2)");
}

#[test]
fn the_digest_is_over_the_bytes_of_the_files_in_order() {
    let golden = Golden::of(&[("a.jsonl", "{\"id\": 1, \"expect\": [\"b\"]}"), ("b.yaml", "")]);
    let dataset = golden.survey().0.unwrap();
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // printf '{"id": 1, "expect": ["b"]}' | sha256sum
    insta::assert_snapshot!(hex(&dataset.files[0].sha256), @"52139b6c63d712accbb7dfe4b0ce34969ca3d0d68dfefce2584d122e4b7c6b5f");
    // sha256sum < /dev/null
    insta::assert_snapshot!(hex(&dataset.files[1].sha256), @"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    // The SHA-256 of those 64 bytes.
    insta::assert_snapshot!(dataset.sha256, @"fe509cedda710dc8fa14245f7d75c005d905f637d2edd3b4811309fc961b464c");
    assert_eq!(dataset.files[0].bytes, 26);
    assert_eq!(dataset.total, 1);
    let renamed = Golden::of(&[("c.jsonl", "{\"id\": 1, \"expect\": [\"b\"]}"), ("d.yaml", "")]);
    assert_eq!(renamed.survey().0.unwrap().sha256, dataset.sha256);
    let other = Golden::of(&[("a.jsonl", "{\"id\": 1, \"expect\": [\"c\"]}"), ("b.yaml", "")]);
    assert_ne!(other.survey().0.unwrap().sha256, dataset.sha256);
}

#[test]
fn what_checks_take_in_is_part_of_the_dataset() {
    let golden = Golden::of(&[("a.yaml", "- id: a\n  expect: [{json_schema: {file: s.json}}]\n")]);
    let digest = |kind: &str| {
        let rules = FakeRules { schema: json!({"type": kind}), approved: None };
        survey(&[golden.path("")], &rules, &mut |_, _| {}).unwrap()
    };
    let dataset = digest("object");
    assert_eq!(dataset, digest("object"));
    assert_eq!(dataset.files, digest("array").files);
    assert_ne!(dataset.sha256, digest("array").sha256);

    let replay = |kind: &str| {
        let rules = FakeRules { schema: json!({"type": kind}), approved: None };
        let mut seen = Vec::new();
        let result = dataset.stream(&rules, &mut |case| {
            seen.push(case.checks[0].args.clone());
            ControlFlow::Continue(())
        });
        (result.is_ok(), seen)
    };
    assert_eq!(replay("object"), (true, vec![json!({"type": "object"})]));
    assert!(!replay("array").0);
}

#[test]
fn what_depends_on_the_case_is_part_of_the_dataset() {
    // The id stands behind the check, or is made from the vars.
    let golden = Golden::of(&[(
        "a.yaml",
        "- expect: [{json: true}]\n  id: a\n- {vars: {x: 1}, expect: [{json: true}]}\n- {id: b, expect: [x]}\n",
    )]);
    let rules = |approved| FakeRules { schema: json!(null), approved: Some(approved) };
    let mut seen = Vec::new();
    let one = survey(&[golden.path("")], &rules("one"), &mut |case, _| {
        seen.push(case.checks[0].args.to_string());
    })
    .unwrap();
    insta::assert_snapshot!(seen.join("\n"), @r#"
    {"case":"a","approved":"one"}
    {"case":"9c9d19c711cfccd9","approved":"one"}
    "x"
    "#);
    let two = survey(&[golden.path("")], &rules("two"), &mut |_, _| {}).unwrap();
    assert_eq!(one.files, two.files);
    assert_ne!(one.sha256, two.sha256);
    assert!(one.stream(&rules("one"), &mut |_| ControlFlow::Continue(())).is_ok());
    assert!(one.stream(&rules("two"), &mut |_| ControlFlow::Continue(())).is_err());
}
