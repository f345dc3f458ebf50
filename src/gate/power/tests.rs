use super::super::fixtures::{one_judge, policy};
use super::super::simulate::{Scenario, Simulation};
use super::*;
use crate::domain::{Agreement, Calibration, Sequential};

/// Variation of the scenario that the simulated tables are made of.
const USUAL: VarianceSource = VarianceSource::Runs { runs: 1, within: 0.0815 };

/// Units of a size and a number of cases, and how many.
fn groups(cases: u64, units: &[(u64, u32, u64)]) -> Sizes {
    Sizes {
        cases,
        weights: units
            .iter()
            .map(|(size, cases, units)| (size / u64::from(*cases), units * u64::from(*cases)))
            .collect(),
        units: units.iter().map(|(size, cases, units)| ((*size, *cases), *units)).collect(),
        clustered: units.iter().any(|(_, cases, _)| *cases > 1),
    }
}

fn sizes(cases: u64) -> Sizes {
    groups(cases, &[(1, 1, cases)])
}

fn design(repeats: u32, estimand: Estimand) -> Design {
    Design { repeats, baseline: true, estimand, ..Design::default() }
}

/// With sizes that live as long as the test.
fn planned(policy: &Policy, cases: u64, repeats: u32, estimand: Estimand) -> PlannedComparison<'_> {
    PlannedComparison::new(policy, &design(repeats, estimand), Box::leak(Box::new(sizes(cases))), USUAL)
}

/// Percent promoted without a loss, and blocked with losses of 5 and 10 points; simulated, 4000 runs a cell.
#[test]
fn chances_are_near_the_simulated_ones() {
    let policy = policy();
    let (population, dataset) = (Estimand::Population, Estimand::Dataset);
    for (cases, repeats, estimand, promote, block, block_more) in [
        (50, 1, population, 20.0, 13.0, 37.0),
        (50, 3, population, 25.0, 17.0, 55.0),
        (200, 1, population, 66.0, 42.0, 92.0),
        (200, 3, population, 94.0, 62.0, 98.5),
        (200, 5, population, 97.7, 68.0, 99.3),
        (1000, 1, population, 99.8, 96.9, 100.0),
        (20, 5, dataset, 40.0, 24.0, 68.0),
        (20, 10, dataset, 68.0, 43.0, 94.0),
        (20, 20, dataset, 93.0, 68.0, 99.9),
        (50, 3, dataset, 53.0, 32.0, 86.0),
        (50, 5, dataset, 77.0, 50.0, 98.0),
        (50, 10, dataset, 97.0, 79.0, 100.0),
    ] {
        let plan = planned(&policy, cases, repeats, estimand);
        let blocked = |loss| plan.chance(&plan.model(loss), -policy.tolerance, -1.0, 0.05);
        for (what, got, want) in [
            ("promoted", plan.promotes(RUNS), promote),
            ("blocked at 5", blocked(0.05), block),
            ("blocked at 10", blocked(0.10), block_more),
        ] {
            assert!((100.0 * got - want).abs() <= 4.5, "{cases} x {repeats} {what}: {got}, {want}");
        }
    }
    for (repeats, simulated) in [(1, 0.029), (5, 0.002)] {
        let got = planned(&policy, 20, repeats, population).promotes(RUNS);
        assert!((got - simulated).abs() < 0.02, "{got}");
    }
}

/// The model has the variance that it stands for; the published figures leave out the variance of the test itself.
#[test]
fn the_picture_varies_as_it_should() {
    let policy = policy();
    for (repeats, published) in [(1u32, 0.716), (3, 0.966), (5, 0.993)] {
        let mut plan = planned(&policy, 200, repeats, Estimand::Population);
        plan.variation.between = 0.0104;
        let variance = plan.model(0.0).variance().unwrap();
        let want = 0.0104 + 0.0815 / f64::from(repeats);
        assert!((variance - want).abs() < 1e-6, "{variance} {want}");
        assert!(plan.promotes(RUNS) < published);
    }
    // So does one of very noisy cases, and of many repeats.
    for (within, repeats) in [(0.5, 1u32), (0.5, 10), (0.0815, 40), (0.0, 3)] {
        let plan = PlannedComparison {
            variation: Variation { between: 0.01, within },
            repeats,
            ..planned(&policy, 200, 1, Estimand::Population)
        };
        let variance = plan.model(0.0).variance().unwrap();
        let want = 0.01 + within / f64::from(repeats);
        assert!((variance - want).abs() < 1e-5, "{variance} {want}");
    }
}

#[test]
fn the_loss_that_shows_is_blocked_four_times_in_five() {
    let policy = policy();
    for (cases, repeats) in [(20, 1), (200, 3), (1000, 1)] {
        let plan = planned(&policy, cases, repeats, Estimand::Population);
        let loss = plan.detectable().unwrap();
        let blocked = |loss| plan.chance(&plan.model(loss), -policy.tolerance, -1.0, policy.block_alpha);
        assert!((blocked(loss) - 0.8).abs() < 1e-6, "{loss}");
    }
    // Simulated: 43% of 5 points and 96% of 10.
    let loss = planned(&policy, 200, 3, Estimand::Population).detectable().unwrap();
    assert!((0.065..0.085).contains(&loss), "{loss}");
}

#[test]
fn what_is_advised_is_enough() {
    let policy = policy();
    for (cases, repeats, estimand) in
        [(20, 1, Estimand::Population), (100, 1, Estimand::Population), (20, 3, Estimand::Dataset)]
    {
        let Some(PowerEstimate::Compared { promotes, needed: Some(needed), .. }) =
            estimate_power(&policy, &design(repeats, estimand), &sizes(cases), USUAL, None)
        else {
            panic!("nothing is advised for {cases}");
        };
        assert!(promotes < 0.8);
        assert!(planned(&policy, needed.cases, repeats, estimand).promotes(RUNS) >= 0.8 - 0.05);
        assert!(planned(&policy, needed.cases * 7 / 10, repeats, estimand).promotes(RUNS) < 0.8);
        if let Some(more) = needed.repeats {
            assert!(planned(&policy, cases, more, estimand).promotes(RUNS) >= 0.75);
        }
    }
}

#[test]
fn sentences_of_a_comparison() {
    let sentence = |cases, repeats, variance| {
        let design = design(repeats, Estimand::Population);
        let estimate = estimate_power(&policy(), &design, &sizes(cases), variance, None).unwrap();
        let said = [Some(estimate.sentence()), estimate.warning()];
        said.into_iter().flatten().collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(sentence(20, 1, VarianceSource::Typical), @"
    an equally good candidate would be promoted with a chance of about 3% (80% would take about 300 cases); a loss of 49.5 points or more would be blocked 4 times in 5; with fewer than 70 cases even one that differs nowhere is not promoted; by typical noise, there is no earlier run to go by
    this plan can hardly decide: an equally good candidate would be promoted with a chance of about 3% (by typical noise, there is no earlier run to go by); 80% would take about 300 cases
    ");
    insta::assert_snapshot!(sentence(100, 1, VarianceSource::Typical), @"
    an equally good candidate would be promoted with a chance of about 36% (80% would take about 300 cases); a loss of 16.1 points or more would be blocked 4 times in 5; by typical noise, there is no earlier run to go by
    this plan can hardly decide: an equally good candidate would be promoted with a chance of about 36% (by typical noise, there is no earlier run to go by); 80% would take about 300 cases
    ");
    insta::assert_snapshot!(sentence(200, 3, VarianceSource::Runs { runs: 3, within: 0.05 }), @"an equally good candidate would be promoted with a chance of about 96%; a loss of 7.5 points or more would be blocked 4 times in 5; by the noise of 3 earlier runs");
    insta::assert_snapshot!(sentence(10_000, 1, VarianceSource::Runs { runs: 1, within: 0.0 }), @"an equally good candidate would be promoted with a chance of more than 99%; a loss of 1.5 points or more would be blocked 4 times in 5; by the noise of 1 earlier run");
}

#[test]
fn sentences_without_a_baseline() {
    let sentence = |cases, required| {
        let policy = Policy { min_pass_rate: Some(required), ..policy() };
        let design = Design { repeats: 1, ..Design::default() };
        let estimate = estimate_power(&policy, &design, &sizes(cases), VarianceSource::Typical, None).unwrap();
        let said = [Some(estimate.sentence()), estimate.warning()];
        said.into_iter().flatten().collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(sentence(3, 0.5), @"
    nothing would be promoted: 5 cases are the fewest that can show a pass rate of 50%; nothing would be blocked
    this plan can't promote: nothing would be promoted: 5 cases are the fewest that can show a pass rate of 50%; nothing would be blocked
    ");
    insta::assert_snapshot!(sentence(29, 0.9), @"a candidate that passes 99.2% or more would be promoted 4 times in 5; one that passes 70.4% or less would be blocked as often");
    insta::assert_snapshot!(sentence(200, 0.9), @"a candidate that passes 95% or more would be promoted 4 times in 5; one that passes 84.1% or less would be blocked as often");
}

/// With 200 cases and a required 90% the rates that the sentence names are decided four times in five.
#[test]
fn rates_without_a_baseline_are_decided_four_times_in_five() {
    let PowerEstimate::Alone { promoted_from: Some(promoted), blocked_to: Some(blocked), .. } =
        alone(&policy(), 0.9, &sizes(200))
    else {
        panic!("200 cases decide");
    };
    let chance = |rate: f64, counts: &dyn Fn(f64) -> bool| -> f64 {
        let mut logarithm = 200.0 * (1.0 - rate).ln();
        let mut sum = 0.0;
        for passes in 0..=200u32 {
            if counts(f64::from(passes) / 200.0) {
                sum += logarithm.exp();
            }
            logarithm += (f64::from(200 - passes) / f64::from(passes + 1)).ln() + (rate / (1.0 - rate)).ln();
        }
        sum
    };
    let above = chance(promoted, &|rate| proportions::conservative(rate, 200, 0.05).0 >= 0.9);
    let below = chance(blocked, &|rate| proportions::conservative(rate, 200, 0.05).1 < 0.9);
    assert!((above - 0.8).abs() < 1e-6 && (below - 0.8).abs() < 1e-6, "{above} {below}");
}

#[test]
fn weights_and_clusters_tell_less() {
    let policy = policy();
    let chance =
        |sizes: Sizes| match estimate_power(&policy, &design(3, Estimand::Population), &sizes, USUAL, None).unwrap() {
            PowerEstimate::Compared { promotes, .. } => promotes,
            other @ (PowerEstimate::Alone { .. } | PowerEstimate::Weak(_) | PowerEstimate::AllAttempts { .. }) => {
                panic!("{other:?}")
            }
        };
    let all = chance(sizes(200));
    let weighed = chance(groups(200, &[(1, 1, 180), (5, 1, 20)]));
    assert!(weighed < all - 0.1 && weighed > 0.5, "{weighed} {all}");
    // Only proportions count.
    assert_eq!(weighed, chance(groups(200, &[(2, 1, 180), (10, 1, 20)])));
    let clusters = chance(groups(200, &[(2, 2, 100)]));
    assert!(chance(sizes(100)) < clusters && clusters < all);
    // Few clusters are compared with Student's t, and a single one decides nothing.
    assert!(chance(groups(210, &[(7, 7, 30)])) < chance(groups(210, &[(7, 1, 30)])) + 0.05);
    let one = groups(200, &[(200, 200, 1)]);
    assert_eq!(chance(one.clone()), 0.0);
    let one = estimate_power(&policy, &design(3, Estimand::Population), &one, USUAL, None).unwrap();
    assert!(one.warning().is_some());
}

/// 108 clusters of 405 cases, with sizes as a geometric distribution has them: up to the heaviest that is not refused.
const GEOMETRIC: [(u64, u32, u64); 10] = [
    (1, 1, 25),
    (2, 2, 19),
    (3, 3, 16),
    (4, 4, 13),
    (5, 5, 10),
    (6, 6, 7),
    (7, 7, 6),
    (8, 8, 4),
    (9, 9, 4),
    (10, 10, 4),
];

/// Weights, clusters and few cases as `gate simulate` has them, within five points; 1,000 runs.
#[test]
fn forecasts_are_those_of_the_simulation() {
    let policy = policy();
    let typical = |repeats, sizes: &Sizes| {
        PlannedComparison::new(&policy, &design(repeats, Estimand::Population), sizes, VarianceSource::Typical)
            .promotes(RUNS)
    };
    let simulated = |cases, units: &[(u64, u32, u64)], repeats| {
        let units = units.iter().map(|(size, cases, units)| UnitGroup { units: *units, size: *size, cases: *cases });
        let simulation = Simulation {
            cases,
            units: units.collect(),
            repeats,
            rule: Rule::of(&policy),
            scenario: Scenario::Std,
            estimand: Estimand::Population,
            sequential: Sequential::Off,
            runs: 1_000,
            seed: 3,
        };
        f64::from(simulation.table(&[0.0]).unwrap()[0].promote) / 1_000.0
    };
    for (cases, repeats) in
        [(20, 1), (20, 3), (30, 3), (35, 3), (40, 5), (45, 5), (50, 5), (59, 3), (60, 3), (70, 3), (100, 1)]
    {
        let (got, want) = (typical(repeats, &sizes(cases.into())), simulated(cases, &[], repeats));
        assert!((got - want).abs() < 0.05, "{cases} x {repeats}: {got} {want}");
    }
    for weight in [3, 5, 10, 20] {
        let sizes = groups(200, &[(1, 1, 199), (weight, 1, 1)]);
        let (got, want) = (typical(3, &sizes), simulated(200, &[(1, 1, 199), (weight, 1, 1)], 3));
        assert!((got - want).abs() < 0.05, "one of {weight}: {got} {want}");
    }
    let clusters = groups(405, &GEOMETRIC);
    assert_eq!((clusters.of_units().units, clusters.of_units().size), (108.0, 405.0));
    assert_eq!(clusters.dominating(policy.margin), None);
    let (got, want) = (typical(3, &clusters), simulated(405, &GEOMETRIC, 3));
    assert!((got - want).abs() < 0.05 && want > 0.5, "geometric clusters: {got} {want}");
    let mut alike = Units::default();
    GEOMETRIC.iter().for_each(|(size, _, units)| alike.add(Unit { size: *size, sum: 0 }, *units));
    let alike = Differences::of_units(&alike, 3, UnitKind::Cluster);
    assert!(Rule::of(&policy).promotes(&alike), "108 clusters that all come out alike");
    // The noise that is known of earlier answers tells as much as those of the scenario.
    for (cases, repeats) in [(45, 5), (50, 1), (50, 3)] {
        let got = planned(&policy, cases.into(), repeats, Estimand::Population).promotes(RUNS);
        let want = simulated(cases, &[], repeats);
        assert!((got - want).abs() < 0.05, "{cases} x {repeats}: {got} {want}");
    }
}

#[test]
fn judges_that_err_take_their_share() {
    let judges = |pass: u64, fail: u64| {
        let counts = Agreement { true_pass: pass, true_fail: fail, false_fail: 10, false_pass: 10, errors: 0 };
        one_judge(Calibration::Known(counts))
    };
    let look = |judges: &DecidingJudges| {
        estimate_power(&policy(), &design(3, Estimand::Population), &sizes(200), USUAL, Some(judges)).unwrap()
    };
    let PowerEstimate::Compared { promotes, .. } = look(&judges(100, 100)) else {
        panic!("a good judge decides");
    };
    assert!(promotes < planned(&policy(), 200, 3, Estimand::Population).promotes(RUNS) - 0.1);
    let PowerEstimate::Weak(_) = look(&judges(11, 11)) else {
        panic!("a bad judge decides nothing");
    };
}

#[test]
fn where_nothing_is_decided_nothing_is_foretold() {
    let policy = policy();
    let look = |design: Design, cases| estimate_power(&policy, &design, &sizes(cases), USUAL, None);
    let paired = design(3, Estimand::Population);
    assert_eq!(look(Design { identical: true, ..paired }, 200), None);
    assert_eq!(look(Design { baseline: false, ..paired }, 200), None);
    assert_eq!(look(Design { repeats: 0, ..paired }, 200), None);
    assert_eq!(look(paired, 0), None);
    // Every rule that may be set, and every size, gives chances.
    for margin in [1e-6, 0.01, 0.5] {
        for tolerance in [0.0, margin] {
            for alpha in [1e-6, 0.2] {
                for cases in [1, 2, 7, 1_000_000] {
                    let policy = Policy { margin, tolerance, alpha, ..policy.clone() };
                    let estimate =
                        estimate_power(&policy, &paired, &sizes(cases), VarianceSource::Typical, None).unwrap();
                    let PowerEstimate::Compared { promotes, .. } = estimate else { panic!("{estimate:?}") };
                    assert!((0.0..=1.0).contains(&promotes));
                }
            }
        }
    }
}
