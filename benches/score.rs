//! How long judging takes, each figure in checks a second on all cores.
//!
//! - `mix`: 1,000 answers of 500 characters with `contains`, `regex`, `number`, `json_schema` and `similarity` each, and each of
//!   these kinds alone, so that one sees what costs. The arguments are the same for all cases, as they mostly are.
//! - `judge`: 1,000 answers with `contains`, `regex` and `length`, with one pattern for all cases, and with one for each.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use promptgate::domain::{Answer, Case, CheckRules, CheckSpec};
use promptgate::internals::scoring::{CaseAnswers, Commands, ReplyCache, Rules, score};
use serde_json::{Value, json};
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

const CASES: usize = 1_000;

fn case(i: usize, checks: &[Value]) -> Case {
    let rules = Rules::new(Path::new("."));
    let verified = |written: &Value| {
        let spec = CheckSpec::parse(written).map_err(|problem| vec![problem]);
        spec.and_then(|spec| rules.verify(spec)).unwrap_or_else(|problems| unreachable!("{problems:?}"))
    };
    Case { suite: "bench".into(), checks: checks.iter().map(verified).collect(), ..Case::new(format!("case-{i}")) }
}

fn answer(text: String) -> Answer {
    Answer { text, finish_reason: Some("STOP".to_owned()), ..Answer::default() }
}

/// A paragraph of some 600 characters.
fn paragraph(i: usize) -> Answer {
    let sentence = format!("You may return the shoes of order {i} within 30 days of delivery. ");
    answer(format!("{}Refund: {i}\n", sentence.repeat(9)))
}

/// A JSON object of 500 characters; each sixth sentence is another one than in the reference.
fn object(i: usize) -> Answer {
    let says = |n: usize| match (i + n) % 6 {
        0 => "It was never worn outside. ",
        _ => "You may return it to us. ",
    };
    let start = format!(
        "{{\"order\": {}, \"status\": \"delivered\", \"items\": [\"boots\", \"laces\"], \"advice\": \"",
        10_000 + i
    );
    let end = "\", \"total\": 49.95}";
    let advice: String = (0..20).map(says).collect();
    let room = 500 - start.len() - end.len();
    let text = format!("{start}{}{end}", &advice[..room]);
    assert_eq!(text.chars().count(), 500);
    answer(text)
}

/// Judges the answers, each with a case of its own, and reports `checks` for each of them.
fn measure(c: &mut Criterion, group: &str, name: &str, cases: &[Case], answers: &[Answer]) {
    let batch = || -> Vec<CaseAnswers<'_>> {
        let pairs = cases.iter().zip(answers);
        pairs
            .map(|(case, answer)| CaseAnswers {
                case,
                answers: vec![Some(answer)],
                systems: Vec::new(),
                costs: Vec::new(),
            })
            .collect()
    };
    let checks: usize = cases.iter().map(|case| case.checks.len()).sum();
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Elements(checks as u64));
    group.measurement_time(Duration::from_secs(3));
    group.warm_up_time(Duration::from_secs(1));
    group.bench_function(name, |b| {
        b.iter_batched(
            batch,
            |batch| score(black_box(&batch), &Commands::default(), &ReplyCache::default()),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn mix(c: &mut Criterion) {
    let answers: Vec<Answer> = (0..CASES).map(object).collect();
    let reference = object(0).text;
    let schema = json!({
        "type": "object",
        "required": ["order", "status", "items", "advice", "total"],
        "properties": {
            "order": {"type": "integer", "minimum": 1},
            "status": {"enum": ["open", "shipped", "delivered"]},
            "items": {"type": "array", "items": {"type": "string", "minLength": 2}, "minItems": 1},
            "advice": {"type": "string", "maxLength": 1000},
            "total": {"type": "number", "exclusiveMinimum": 0},
        },
        "additionalProperties": false,
    });
    let kinds = [
        ("contains", json!({"contains": "laces"})),
        ("regex", json!({"regex": r#""order": [0-9]{5}, "status": "(open|shipped|delivered)""#})),
        ("number", json!({"number": {"value": 49.95, "tolerance": 0.01, "after": "total"}})),
        ("json_schema", json!({"json_schema": schema})),
        ("similarity", json!({"similarity": {"to": reference, "min": 0.7}})),
    ];
    let cases = |checks: &[Value]| -> Vec<Case> { (0..CASES).map(|i| case(i, checks)).collect() };
    let all: Vec<Value> = kinds.iter().map(|(_, check)| check.clone()).collect();
    measure(c, "mix", "all five", &cases(&all), &answers);
    for (name, check) in kinds {
        measure(c, "mix", name, &cases(&[check]), &answers);
    }
}

fn patterns(c: &mut Criterion) {
    let answers: Vec<Answer> = (0..CASES).map(paragraph).collect();
    let checks = |pattern: String| {
        [json!({"contains": "30 days"}), json!({"regex": pattern}), json!({"length": {"max": 200, "unit": "words"}})]
    };
    let cases =
        |pattern: &dyn Fn(usize) -> String| -> Vec<Case> { (0..CASES).map(|i| case(i, &checks(pattern(i)))).collect() };
    let shared = cases(&|_| "(?m)^.*Refund: [0-9]+$".to_owned());
    let own = cases(&|i| format!("(?m)Refund: *{i}$"));
    measure(c, "judge", "one pattern for all cases", &shared, &answers);
    measure(c, "judge", "a pattern for each case", &own, &answers);
}

criterion_group!(benches, mix, patterns);
criterion_main!(benches);
