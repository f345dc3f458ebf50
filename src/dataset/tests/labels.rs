//! The list `labels`: what loads, and what does not.

use super::{cases, messages};
use crate::domain::Label;

fn label(answer: &str, pass: bool, check: Option<&str>) -> Label {
    Label { answer: answer.to_owned(), pass, check: check.map(str::to_owned) }
}

#[test]
fn labels_are_the_same_in_every_format() {
    let expected = [label("You have 30 days.", true, None), label("Sure, \"refund\".", false, None)];
    let list = r#"[{"answer": "You have 30 days.", "pass": true}, {"pass": false, "answer": "Sure, \"refund\"."}]"#;
    let row = format!("{{\"id\": \"a\", \"labels\": {list}, \"expect\": [{{\"contains\": \"b\"}}]}}");
    let yaml = "- labels:\n  - {answer: You have 30 days., pass: true}\n  - answer: 'Sure, \"refund\".'\n    pass: false\n  \
                expect: [{contains: b}]\n  id: a\n";
    let csv = format!("id,labels,expect:contains\na,\"{}\",b\nb,,b\n", list.replace('"', "\"\""));
    for (name, text) in [("a.jsonl", row.as_str()), ("a.json", &row), ("a.yaml", yaml), ("a.csv", &csv)] {
        assert_eq!(cases(name, text)[0].labels, expected, "{name}");
    }
    assert_eq!(cases("a.csv", &csv)[1].labels, []);
}

#[test]
fn one_answer_may_be_judged_by_several_checks() {
    let text = r#"{"id": "a", "labels": [{"answer": "x", "pass": true, "check": "one"}, {"answer": "x", "pass": false, "check": "two"}],
        "expect": [{"contains": "b", "name": "one"}, {"contains": "c", "name": "two"}]}"#
        .replace('\n', " ");
    assert_eq!(cases("a.jsonl", &text)[0].labels, [label("x", true, Some("one")), label("x", false, Some("two"))]);
}

#[test]
fn mistakes_in_labels_are_told_at_their_places() {
    let lists = [
        "[]",
        "null",
        "{}",
        "\"x\"",
        "[\"x\"]",
        r#"[{"answer": "x"}]"#,
        r#"[{"pass": true}]"#,
        r#"[{"answer": " ", "pass": true}]"#,
        r#"[{"answer": 7, "pass": "yes", "check": ""}]"#,
        r#"[{"answer": "x", "pass": true, "passes": true}]"#,
        r#"[{"answer": "x", "pass": true}, {"answer": "y", "pass": true}, {"answer": "x", "pass": true}]"#,
        r#"[{"answer": "x", "pass": true}, {"answer": "x", "pass": false}]"#,
        r#"[{"answer": "x", "pass": true, "check": "tone"}, {"answer": "x", "pass": false}]"#,
        r#"[{"answer": "x", "pass": true, "check": "tonne"}]"#,
        r#"[{"answer": "x", "pass": true, "check": "two"}]"#,
    ];
    let rows: String = lists
        .iter()
        .enumerate()
        .map(|(number, list)| {
            format!(
                "{{\"id\": {number}, \"labels\": {list}, \"expect\": [{{\"contains\": \"b\", \"name\": \"tone\"}}, \
                 {{\"contains\": \"c\", \"name\": \"two\"}}, {{\"contains\": \"d\", \"name\": \"two\"}}]}}\n"
            )
        })
        .collect();
    insta::assert_snapshot!("labels_mistakes", messages("a.jsonl", &rows));
    insta::assert_snapshot!(
        "labels_mistakes_csv",
        messages("a.csv", "id,labels,expected\na,good,b\nb,[],b\nc,\"[{\"\"answer\"\": \"\"x\"\"}]\",b\n")
    );
    insta::assert_snapshot!("labels_column_csv", messages("a.csv", "id,Labels,expected\na,,b\n"));
}
