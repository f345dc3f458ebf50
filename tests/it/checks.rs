//! Checks that need more than the answer's text, from golden file to result.

use crate::support::project::Project;
use serde_json::{Value, json};

/// The project's outcome of each case: baseline, candidate.
fn outcomes(project: &Project, cases: &[Value], answers: &[Value]) -> Vec<String> {
    project.write_cases(cases);
    project.write_rows("answers.jsonl", answers);
    let ran = project.eval_recorded("");
    assert_ne!(ran.code, 2, "{}", ran.transcript());
    let results = project.results();
    let of = |case: &str, arm: &str| {
        let row = results.iter().find(|row| row["case"] == case && row["arm"] == arm);
        row.map_or("none", |row| row["outcome"].as_str().unwrap()).to_owned()
    };
    cases
        .iter()
        .map(|case| {
            let id = case["id"].as_str().unwrap();
            format!("{id}: {}, {}", of(id, "baseline"), of(id, "candidate"))
        })
        .collect()
}

fn case(id: &str, expect: Value) -> Value {
    json!({"id": id, "vars": {"question": "When do you open?"}, "expect": expect})
}

fn answer(case: &str, prompt: &str, fields: Value) -> Value {
    let mut row = json!({"case": case, "prompt": prompt, "text": "", "finish_reason": "STOP"});
    row.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    row
}

#[test]
fn a_quote_is_one_of_the_version_that_was_asked() {
    let project = Project::with_cases(0);
    // Only v2 says so.
    let quote = json!({"text": "I was told: the shop opens at nine in the morning."});
    let cases = [
        case("leak", json!([{"prompt_leak": {"words": 6}}])),
        case("inside", json!([{"any": [{"not": {"prompt_leak": {"words": 6}}}, "no"]}])),
    ];
    let answers = ["leak", "inside"].map(|id| ["v1", "v2"].map(|prompt| answer(id, prompt, quote.clone())));
    assert_eq!(outcomes(&project, &cases, &answers.concat()), ["leak: pass, fail", "inside: fail, pass"]);
}

#[test]
fn an_answer_that_is_not_usable_passes_only_where_its_end_is_expected() {
    let project = Project::with_cases(0);
    let cases = [
        case("refusal", json!([{"refusal": true}])),
        case("no-refusal", json!([{"refusal": false}])),
        case("absent", json!([{"refusal": true}, {"not": {"contains": "recipe"}}])),
        case("either", json!([{"any": [{"refusal": true}, {"contains": "a doctor"}]}])),
        case("other", json!([{"not": {"contains": "recipe"}}])),
    ];
    let blocked = json!({"finish_reason": "SAFETY"});
    let said = json!({"text": "I'm sorry, but I can't help with that. Ask a doctor."});
    let answers: Vec<Value> = cases
        .iter()
        .map(|case| case["id"].as_str().unwrap())
        .flat_map(|id| [answer(id, "v1", blocked.clone()), answer(id, "v2", said.clone())])
        .collect();
    assert_eq!(
        outcomes(&project, &cases, &answers),
        [
            "refusal: pass, pass",
            "no-refusal: fail, fail",
            "absent: fail, pass",
            "either: pass, pass",
            "other: fail, pass",
        ]
    );
}

#[test]
fn calls_are_compared_with_those_expected() {
    let project = Project::with_cases(0);
    let call = |id: u32| json!({"tool_calls": [{"name": "find_order", "args": {"id": id}}]});
    let cases = [
        case("call", json!([{"tool_calls": {"calls": [{"name": "find_order", "args": {"id": 7}}]}}])),
        case("none", json!([{"tool_calls": {"mode": "none"}}])),
    ];
    let answers = [
        answer("call", "v1", call(7)),
        answer("call", "v2", call(8)),
        answer("none", "v1", call(7)),
        answer("none", "v2", json!({"text": "At nine."})),
    ];
    assert_eq!(outcomes(&project, &cases, &answers), ["call: pass, fail", "none: fail, pass"]);
}
