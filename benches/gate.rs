//! How long the gate's statistics take: a decision with its interval over a million cases, and a row of the
//! simulation.

use criterion::{Criterion, criterion_group, criterion_main};
use promptgate::domain::{Clusters, Estimand, SCORE_TICKS, Sequential, Unit, Units, score_ticks};
use promptgate::internals::gate::simulate::{Scenario, Simulation};
use promptgate::internals::stats::Rule;
use promptgate::internals::stats::{CORRECTION, Differences, UnitKind};
use std::hint::black_box;

const RULE: Rule = Rule { margin: 0.05, tolerance: 0.01, alpha: 0.05, block_alpha: 0.015 };

/// What the gate asks of the worst, the best and the seen differences.
fn decide(units: &Units, parts: u64, kind: UnitKind) -> (bool, bool, (f64, f64)) {
    let [worst, best, _seen] = [(); 3].map(|()| Differences::of_units(units, parts, kind));
    let critical = worst.critical(RULE.alpha);
    let low = worst.interval(critical, CORRECTION).0;
    let high = best.interval(critical, CORRECTION).1;
    (RULE.blocks(&best), RULE.promotes(&worst), (low, high))
}

fn million() -> impl Iterator<Item = (u64, fastrand::Rng)> {
    (0..1_000_000).map(|i| (i, fastrand::Rng::with_seed(i)))
}

/// Three passes or failures an arm.
fn passes(random: &mut fastrand::Rng) -> i64 {
    (0..3).map(|_| i64::from(random.f64() < 0.9) - i64::from(random.f64() < 0.9)).sum()
}

/// Scores anywhere in 0..=1.
fn scores(random: &mut fastrand::Rng) -> i64 {
    let mut score = || score_ticks(random.f64().sqrt()).unwrap_or_default();
    score() - score()
}

fn decisions(c: &mut Criterion) {
    let (mut passed, mut scored, mut clusters) = (Units::default(), Units::default(), Clusters::default());
    for (i, mut random) in million() {
        passed.add(Unit::case(1, passes(&mut random)), 1);
        scored.add(Unit::case(1, scores(&mut random)), 1);
        let weight = random.u32(1..4);
        clusters.add(&format!("{}", i % 50_000 / (i % 3 + 1)), Unit::case(weight, passes(&mut random)));
    }
    let clustered = clusters.units();
    let ticks = u64::from(SCORE_TICKS);
    let mut group = c.benchmark_group("decide a million cases");
    group.sample_size(10);
    for (name, units, parts, kind) in [
        ("pass or fail, 3 repeats", &passed, 3, UnitKind::Case),
        ("scores of their own", &scored, ticks, UnitKind::Case),
        ("weighted, in 50,000 clusters", &clustered, 3, UnitKind::Cluster),
    ] {
        group.bench_function(name, |b| b.iter(|| decide(black_box(units), parts, kind)));
    }
    group.finish();
}

fn simulating(c: &mut Criterion) {
    let simulation = Simulation {
        cases: 200,
        units: Vec::new(),
        repeats: 3,
        rule: RULE,
        scenario: Scenario::Std,
        estimand: Estimand::Population,
        sequential: Sequential::Off,
        runs: 4_000,
        seed: 1,
    };
    let mut group = c.benchmark_group("simulate");
    group.sample_size(10);
    group.bench_function("200 cases, 3 repeats, 4,000 runs", |b| {
        b.iter(|| black_box(&simulation).table(&[0.0]));
    });
    group.finish();
}

criterion_group!(benches, decisions, simulating);
criterion_main!(benches);
