//! How long judging takes: 1,000 answers with `contains`, `regex` and `length`, as most golden cases have them.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use promptgate::model::{Answer, Case, CaseId, CheckRules, CheckSpec, Place};
use promptgate::score::{Asking, Commands, Rules, Unjudged, judge};
use serde_json::{Map, Value, json};
use std::hint::black_box;
use std::path::Path;

const CASES: usize = 1_000;

fn case(i: usize, checks: &[Value]) -> Case {
    let rules = Rules::new(Path::new("."));
    let verified = |written: &Value| {
        let spec = CheckSpec::parse(written).map_err(|problem| vec![problem]);
        spec.and_then(|spec| rules.verify(spec))
            .unwrap_or_else(|problems| unreachable!("{problems:?}"))
    };
    Case {
        id: CaseId::new(format!("case-{i}")),
        suite: "bench".into(),
        place: Place::file("bench.yaml"),
        tags: Vec::new(),
        critical: false,
        vars: Map::new(),
        history: Vec::new(),
        checks: checks.iter().map(verified).collect(),
        labels: Vec::new(),
        notes: None,
    }
}

/// A paragraph of some 600 characters.
fn answer(i: usize) -> Answer {
    let sentence = format!("You may return the shoes of order {i} within 30 days of delivery. ");
    Answer {
        text: format!("{}Refund: {i}\n", sentence.repeat(9)),
        finish_reason: Some("STOP".to_owned()),
        ..Answer::default()
    }
}

fn judging(c: &mut Criterion) {
    let answers: Vec<Answer> = (0..CASES).map(answer).collect();
    let checks = |pattern: String| {
        [
            json!({"contains": "30 days"}),
            json!({"regex": pattern}),
            json!({"length": {"max": 200, "unit": "words"}}),
        ]
    };
    let shared: Vec<Case> = (0..CASES)
        .map(|i| case(i, &checks("(?m)^.*Refund: [0-9]+$".to_owned())))
        .collect();
    let own: Vec<Case> = (0..CASES)
        .map(|i| case(i, &checks(format!("(?m)Refund: *{i}$"))))
        .collect();

    let mut group = c.benchmark_group("judge");
    group.throughput(Throughput::Elements(CASES as u64));
    for (name, cases) in [
        ("one pattern for all cases", &shared),
        ("a pattern for each case", &own),
    ] {
        let batch = || -> Vec<Unjudged<'_>> {
            let pairs = cases.iter().zip(&answers);
            pairs
                .map(|(case, answer)| Unjudged {
                    case,
                    answers: vec![Some(answer)],
                    systems: Vec::new(),
                    costs: Vec::new(),
                })
                .collect()
        };
        group.bench_function(name, |b| {
            b.iter_batched(
                batch,
                |batch| judge(black_box(&batch), &Commands::default(), &Asking::default()),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, judging);
criterion_main!(benches);
