//! The gate's numbers against those of scipy, statsmodels, published tables and closed forms, and its properties from
//! judged answers to the decision.
//!
//! The oracles are read from `gate-oracles.json` in the folder that `PROMPTGATE_CONFORMANCE` names; without it that test
//! says so and ends.
use crate::compare::ComparisonBuilder;
use crate::compare::fixtures::{self, compare, design};
use crate::domain::{CaseRow, Clusters, Comparison, Policy, Unit, Units};
use crate::gate::decide;
use crate::gate::fixtures::{WHOLE, policy};
use crate::stats::exact_size_tests::worst_promotion;
use crate::stats::judge_error::Judge;
use crate::stats::normal::critical;
use crate::stats::planning::{Variation, cases_to_show, fewest_cases};
use crate::stats::score_test::{CORRECTION, Differences, UnitKind};
use crate::stats::sequential::obrien_fleming;
use crate::stats::{fisher, multiplicity, proportions, repeats};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a count: {value}"))
}

/// The oracles have one error for promoting and blocking.
fn one_error() -> Policy {
    Policy { block_alpha: 0.05, ..policy() }
}

fn numbers(value: &Value) -> Vec<f64> {
    match value.as_array() {
        Some(values) => values.iter().flat_map(numbers).collect(),
        None => vec![number(value)],
    }
}

fn pairs(losses: u64, wins: u64, n: u64) -> Differences {
    Differences::new(&BTreeMap::from([(-1, losses), (0, n - losses - wins), (1, wins)]), 1)
}

/// Differences that are thirds, as a histogram.
fn thirds_histogram(values: &Value) -> BTreeMap<i64, u64> {
    let mut histogram = BTreeMap::new();
    for d in numbers(values) {
        *histogram.entry((d * 3.0).round() as i64).or_default() += 1;
    }
    histogram
}

fn thirds(values: &Value) -> Differences {
    Differences::new(&thirds_histogram(values), 3)
}

fn judge(input: &Value) -> Judge {
    Judge { sensitivity: number(&input["sens"]), specificity: number(&input["spec"]) }
}

fn ends((low, high): (f64, f64)) -> Vec<f64> {
    vec![low, high]
}

/// Oracles of statistics that the product does not use.
const UNUSED: &str = "agresti_min_cavo bca bonett_price_cavo evalue_mix evalue_zero hodges_lehmann mannwhitney mcnemar_0_0 mcnemar_0_5 mcnemar_1_7 \
    mcnemar_3_12 mcnemar_5_5 mcnemar_asym_cavo mcnemar_cc_cavo mcnemar_exact_cavo mcnemar_midp_cavo miller_mde \
    miller_mde10 multi_bonferroni multi_fdr_by multi_holm multi_holm-sidak newcombe_1001 newcombe_cavo \
    ni_power_1000_1 ni_power_200_1 ni_power_200_3 ni_power_200_5 normal_mixture paired_t perm_exact ppi_mean \
    wald_cavo wilcoxon";

/// What the gate computes for an oracle's input, and its expected numbers in the same order; `None` where it has no such
/// statistic, or finds no answer.
fn ours(id: &str, input: &Value, expected: &Value) -> Option<(Vec<f64>, Vec<f64>)> {
    let z = |d: &Differences, mu0: f64| vec![d.z(mu0, 0.0), d.z(mu0, CORRECTION)];
    let interval = |d: &Differences, alpha: f64| ends(d.interval(critical(alpha), 0.0));
    let got = match id {
        "tango_cavo" | "tango_bentur" => {
            let d = pairs(count(&input["p21_count"]), count(&input["p12_count"]), count(&input["n"]));
            interval(&d, 0.025)
        }
        "tango_propcis" | "tango_3_0" | "tango_zero_60" => {
            let d = pairs(count(&input["losses"]), count(&input["wins"]), count(&input["n"]));
            interval(&d, if id == "tango_zero_60" { 0.05 } else { 0.025 })
        }
        _ if id.starts_with("tango_z_") => {
            let d = pairs(count(&input["losses"]), count(&input["wins"]), count(&input["n"]));
            z(&d, number(&input["delta0"]))
        }
        "gscore_repeats" => {
            let d = thirds(&input["d"]);
            [z(&d, -0.05), z(&d, -0.01)].concat()
        }
        "gscore_ci" => {
            let histogram = input["hist"].as_object()?.iter().map(|(d, n)| (d.parse().unwrap(), count(n))).collect();
            let decided = decide(&one_error(), &of_histogram(histogram, 3), &WHOLE);
            let (difference, z) = (decided.difference?, decided.z?);
            assert_eq!(decided.decision.as_str(), expected["verdict"]);
            return Some((
                vec![difference.estimate, z.promote, z.block, difference.low, difference.high],
                ["mean", "zP", "zB", "L", "U"].iter().map(|key| number(&expected[key])).collect(),
            ));
        }
        "verdict_vectors" => {
            let (mut got, mut want) = (Vec::new(), Vec::new());
            for row in expected.as_array()? {
                let (losses, wins, n) = (count(&row["losses"]), count(&row["wins"]), count(&row["n"]));
                let histogram = BTreeMap::from([(-1, losses), (0, n - losses - wins), (1, wins)]);
                let decided = decide(&one_error(), &of_histogram(histogram, 1), &WHOLE);
                assert_eq!(decided.decision.as_str(), row["verdict"], "{row}");
                let z = decided.z?;
                got.extend([z.promote, z.block]);
                want.extend([number(&row["zP"]), number(&row["zB"])]);
            }
            return Some((got, want));
        }
        _ if id.starts_with("exact_size_") => {
            vec![worst_promotion(count(&input["n"]) as u32, number(&input["margin"]), 0.05)]
        }
        "cluster_se" => {
            let mut clusters = Clusters::default();
            for (d, cluster) in numbers(&input["d"]).iter().zip(numbers(&input["cluster"])) {
                clusters.add(&cluster.to_string(), Unit::case(1, *d as i64));
            }
            let d = Differences::of_units(&clusters.units(), 1, UnitKind::Cluster);
            let with_factor = (d.variance()? / d.n()).sqrt();
            vec![with_factor * ((d.n() - 1.0) / d.n()).sqrt(), with_factor]
        }
        "multi_fdr_bh" => {
            let adjusted = multiplicity::adjust(&numbers(&input["p"]));
            let rejected: Vec<bool> = adjusted.iter().map(|p| *p <= 0.05).collect();
            assert_eq!(serde_json::json!(rejected), expected["reject"], "{id}");
            return Some((adjusted, numbers(&expected["adjusted"])));
        }
        "pass_at_k" => {
            let [n, c, k] = ["n", "c", "k"].map(|key| count(&input[key]) as u32);
            vec![repeats::pass_at(n, c, k)?, repeats::pass_all(n, c, k)?]
        }
        "must_pass" => {
            let failing = numbers(&input["f"]);
            failing.iter().map(|f| repeats::SECOND_LOOK.chance_to_block(*f)).collect()
        }
        "rogan_gladen" => {
            let corrected = judge(input).rogan_gladen(number(&input["apparent"]), count(&input["n"]), None)?;
            vec![corrected.rate, corrected.standard_error]
        }
        "rogan_gladen_full" => {
            let labelled = Some((count(&input["n_pos"]), count(&input["n_neg"])));
            let corrected = judge(input).rogan_gladen(number(&input["apparent"]), count(&input["n"]), labelled)?;
            vec![corrected.standard_error]
        }
        "gst_obf" | "gst_obf_05" => {
            let alpha = if id == "gst_obf" { 0.025 } else { 0.05 };
            let looks = numbers(&input["K"]);
            let constants = looks.iter().map(|k| obrien_fleming(*k as usize, alpha)?.last().copied());
            constants.collect::<Option<_>>()?
        }
        _ if id.starts_with("prop_") => {
            let (x, n) = (count(&input["x"]), count(&input["n"]));
            return Some((
                [
                    proportions::wilson(x as f64 / n as f64, n, critical(0.025)),
                    proportions::clopper_pearson(x as f64, (n - x) as f64, 0.025),
                ]
                .into_iter()
                .flat_map(ends)
                .collect(),
                ["wilson", "clopper_pearson"].iter().flat_map(|name| numbers(&expected[name])).collect(),
            ));
        }
        "fisher" => {
            let cells: Vec<u64> = numbers(&input["table"]).iter().map(|cell| *cell as u64).collect();
            vec![fisher::one_sided(cells[0], cells[0] + cells[1], cells[2], cells[2] + cells[3])]
        }
        "miller_power" => {
            let z = critical(0.025) + critical(0.2);
            vec![cases_to_show(number(&input["delta"]), number(&input["omega2"]), z)]
        }
        "variance_decomp" => {
            // The baseline passes always, so that differences vary as the candidate does.
            let rows: Vec<CaseRow> = input["scores"]
                .as_array()?
                .iter()
                .map(|scores| {
                    let candidate: Vec<char> =
                        numbers(scores).iter().map(|score| if *score == 1.0 { 'P' } else { 'F' }).collect();
                    row("case", &['P', 'P', 'P'], &candidate)
                })
                .collect();
            let comparison = compare(3, &rows);
            let variation = Variation::estimate(&comparison);
            let standard_error = (variation.of_case(3.0) / rows.len() as f64).sqrt();
            vec![variation.within, variation.between, standard_error]
        }
        "impute" => {
            let letters = |arm: &str| -> Vec<char> {
                let scores = input[arm].as_array().unwrap().iter();
                scores
                    .map(|score| match (score.is_null(), score == 1) {
                        (true, _) => 'T',
                        (false, true) => 'P',
                        (false, false) => 'F',
                    })
                    .collect()
            };
            let comparison = compare(3, &[row("case", &letters("blue"), &letters("green"))]);
            let only = |units: &Units| units.iter().next().unwrap().0.sum as f64 / 3.0;
            return Some((
                vec![only(&comparison.missing_against), only(&comparison.missing_for)],
                vec![number(&expected["d_promote"]), number(&expected["d_block"])],
            ));
        }
        _ => return None,
    };
    Some((got, numbers(expected)))
}

#[test]
fn every_statistic_equals_its_oracles() {
    let Some(folder) = std::env::var_os("PROMPTGATE_CONFORMANCE") else {
        println!("skipped: PROMPTGATE_CONFORMANCE is not set");
        return;
    };
    let text = std::fs::read_to_string(Path::new(&folder).join("gate-oracles.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let unused: Vec<&str> = UNUSED.split_whitespace().collect();
    let (mut checked, mut missing, mut numbers_checked) = (BTreeSet::new(), Vec::new(), 0);
    for oracle in file["oracles"].as_array().unwrap() {
        let id = oracle["id"].as_str().unwrap();
        if unused.contains(&id) {
            continue;
        }
        let Some((got, want)) = ours(id, &oracle["input"], &oracle["expected"]) else {
            missing.push(id);
            continue;
        };
        let tolerance = number(&oracle["tolerance"]);
        assert_eq!(got.len(), want.len(), "{id}");
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() <= tolerance, "{id}: got {got}, want {want} within {tolerance}");
            numbers_checked += 1;
        }
        checked.insert(id);
    }
    println!("{} oracles, {numbers_checked} numbers: {checked:?}", checked.len());
    assert!(missing.is_empty(), "without an answer: {missing:?}");
    assert!(checked.len() + unused.len() >= 71 && numbers_checked >= 142, "{} {numbers_checked}", checked.len());
}

#[test]
fn identical_output_needs_the_tabled_number_of_cases() {
    let cases: Vec<u64> = [0.01, 0.02, 0.03, 0.05, 0.10].map(|margin| fewest_cases(margin, 0.05)).into();
    assert_eq!(cases, [361, 180, 119, 70, 34]);
}

/// A complete comparison with the given differences, from answers: the better arm passes every repeat.
fn of_histogram(histogram: BTreeMap<i64, u64>, repeats: u32) -> Comparison {
    let mut comparing = ComparisonBuilder::new(design(repeats));
    for (d, cases) in histogram {
        let passing = |failed: i64| -> Vec<char> {
            (0..i64::from(repeats)).map(|repeat| if repeat < failed { 'F' } else { 'P' }).collect()
        };
        let row = row("case", &passing(d.max(0)), &passing((-d).max(0)));
        (0..cases).for_each(|_| comparing.add(&row));
    }
    comparing.finish()
}

fn row(id: &str, baseline: &[char], candidate: &[char]) -> CaseRow {
    fixtures::row(id, &String::from_iter(baseline), &String::from_iter(candidate))
}
