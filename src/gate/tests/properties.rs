//! Properties of the way from judged answers to the decision, with everything that may play a part: tags and critical ones,
//! must-pass cases, weights, clusters, scores in between, both estimands, and policies of all kinds.

use crate::compare::{ComparisonBuilder, fixtures};
use crate::domain::{ArmRow, Case, CaseRow, Comparison, Decision, Design, Estimand, Metric, Policy, Units};
use crate::gate::fixtures::{WHOLE, policy};
use crate::gate::{GateDecision, RunContext, decide};
use crate::stats::score_test::{CORRECTION, Differences, UnitKind};
use proptest::prelude::*;

/// Cases that are alike.
#[derive(Clone, Debug)]
struct Group {
    cases: u32,
    /// A letter an answer: Pass, half right (H), Fail, Transport error, Refused.
    baseline: Vec<char>,
    candidate: Vec<char>,
    critical: bool,
    tag: Option<&'static str>,
    weight: u32,
}

#[derive(Clone, Debug)]
struct Run {
    repeats: u32,
    policy: Policy,
    confirms: bool,
    /// Cases are dealt to so many clusters; 0 for none.
    clusters: u32,
    groups: Vec<Group>,
}

impl Run {
    fn rows(&self) -> Vec<CaseRow> {
        let all = self.groups.iter().flat_map(|group| std::iter::repeat_n(group, group.cases as usize));
        (0..).zip(all).map(|(number, group)| self.row(number, group)).collect()
    }

    fn row(&self, number: u32, group: &Group) -> CaseRow {
        CaseRow {
            case: Case {
                tags: group.tag.iter().map(|tag| (*tag).to_owned()).collect(),
                critical: group.critical,
                weight: group.weight,
                cluster: (self.clusters > 0).then(|| (number % self.clusters).to_string().into()),
                ..Case::new(format!("case-{number}"))
            },
            baseline: Some(arm(&group.baseline)),
            candidate: arm(&group.candidate),
        }
    }

    fn comparison(&self, rows: &[CaseRow]) -> Comparison {
        let mut comparing = ComparisonBuilder::new(Design {
            repeats: self.repeats,
            baseline: true,
            metric: self.policy.metric,
            estimand: self.policy.estimand,
            ..Design::default()
        })
        .with_policy(&self.policy);
        rows.iter().for_each(|row| comparing.add(row));
        comparing.finish()
    }

    fn decided_of(&self, rows: &[CaseRow]) -> GateDecision {
        let facts = RunContext { confirms: self.confirms, ..WHOLE };
        decide(&self.policy, &self.comparison(rows), &facts)
    }

    fn decided(&self) -> GateDecision {
        self.decided_of(&self.rows())
    }

    /// The same without tags, weights, clusters and scores in between, under the default policy.
    fn plain(&self) -> Run {
        let plain =
            |letters: &[char]| letters.iter().map(|letter| if *letter == 'H' { 'P' } else { *letter }).collect();
        let groups = self.groups.iter().map(|group| Group {
            baseline: plain(&group.baseline),
            candidate: plain(&group.candidate),
            tag: None,
            weight: 1_000,
            ..group.clone()
        });
        Run { repeats: self.repeats, policy: policy(), confirms: false, clusters: 0, groups: groups.collect() }
    }

    /// Another answer to a single case, in place, so that no case moves to another cluster; `None` if the answer is none of
    /// `from`.
    fn with_answer(&self, at: Spot, from: &[char], to: char) -> Option<Run> {
        let mut run = self.clone();
        let at_group = at.group % run.groups.len();
        let group = &mut run.groups[at_group];
        let letters = if at.baseline { &mut group.baseline } else { &mut group.candidate };
        let repeat = at.repeat % letters.len();
        if group.cases == 0 || !from.contains(&letters[repeat]) {
            return None;
        }
        let mut changed = group.clone();
        let letters = if at.baseline { &mut changed.baseline } else { &mut changed.candidate };
        letters[repeat] = to;
        changed.cases = 1;
        group.cases -= 1;
        run.groups.insert(at_group, changed);
        Some(run)
    }
}

/// Which answer.
#[derive(Clone, Copy, Debug)]
struct Spot {
    group: usize,
    baseline: bool,
    repeat: usize,
}

fn arm(letters: &[char]) -> ArmRow {
    fixtures::arm(&String::from_iter(letters))
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let of = prop::sample::select::<f64>;
    (
        of(vec![0.05, 0.1, 0.2, 0.3]),
        of(vec![0.01, 0.05]),
        of(vec![0.05, 0.05, 0.01, 0.2]),
        of(vec![0.05, 0.2]),
        of(vec![0.1, 0.02]),
        any::<[bool; 3]>(),
    )
        .prop_map(|(margin, tolerance, alpha, slice_q, slice_margin, [dataset, score, critical])| Policy {
            margin,
            tolerance,
            alpha,
            slice_q,
            slice_margin,
            max_missing: 0.1,
            estimand: if dataset { Estimand::Dataset } else { Estimand::Population },
            metric: if score { Metric::Score } else { Metric::Pass },
            critical_tags: if critical { vec!["a".to_owned()] } else { Vec::new() },
            critical_margin: critical.then_some(0.5),
            ..Policy::default()
        })
}

/// Mostly alike and mostly good, with a few of everything: near enough to the borders that a single answer may matter.
fn any_run() -> impl Strategy<Value = Run> {
    let shape = (1u32..=3, any_policy(), any::<bool>(), prop::sample::select(vec![0u32, 0, 25, 60]));
    shape.prop_flat_map(|(repeats, policy, confirms, clusters)| {
        let letters = move || {
            prop::collection::vec(
                prop::sample::select(vec!['P', 'P', 'P', 'P', 'H', 'F', 'F', 'T', 'R']),
                repeats as usize,
            )
        };
        let tag = || prop::sample::select(vec![None, Some("a"), Some("b")]);
        let weight = || prop::sample::select(vec![1_000u32, 1_000, 1_000, 500, 3_000]);
        let group = (letters(), letters(), 0u32..12, prop::bool::weighted(0.05), tag(), weight()).prop_map(
            |(baseline, candidate, cases, critical, tag, weight)| Group {
                cases,
                baseline,
                candidate,
                critical,
                tag,
                weight,
            },
        );
        let good = (0u32..200, tag()).prop_map(move |(cases, tag)| Group {
            cases,
            baseline: vec!['P'; repeats as usize],
            candidate: vec!['P'; repeats as usize],
            critical: false,
            tag,
            weight: 1_000,
        });
        (prop::collection::vec(group, 0..5), prop::collection::vec(good, 1..3)).prop_map(move |(mut groups, good)| {
            groups.extend(good);
            Run { repeats, policy: policy.clone(), confirms, clusters, groups }
        })
    })
}

fn any_place() -> impl Strategy<Value = Spot> {
    (any::<usize>(), any::<bool>(), any::<usize>()).prop_map(|(group, baseline, repeat)| Spot {
        group,
        baseline,
        repeat,
    })
}

fn statistic(comparison: &Comparison, units: &Units, mu0: f64) -> f64 {
    let kind = if comparison.clustered { UnitKind::Cluster } else { UnitKind::Case };
    Differences::of_units(units, comparison.parts, kind).z(mu0, CORRECTION)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// From block or inconclusive no worse answer of the candidate leads to a promotion.
    #[test]
    fn a_worse_answer_never_promotes(run in any_run(), at in any_place(), half: bool) {
        let (from, to) = if half { (&['P'][..], 'H') } else { (&['P', 'H'][..], 'F') };
        for run in [run.plain(), run] {
            if let Some(worse) = run.with_answer(Spot { baseline: false, ..at }, from, to) {
                prop_assert!(worse.decided().decision != Decision::Promote || run.decided().decision == Decision::Promote);
            }
        }
    }

    /// Nor does an error, in either arm, whatever the answer was.
    #[test]
    fn an_error_never_promotes(run in any_run(), at in any_place(), refused: bool) {
        let error = if refused { 'R' } else { 'T' };
        for run in [run.plain(), run] {
            if let Some(worse) = run.with_answer(at, &['P', 'H', 'F'], error) {
                prop_assert!(worse.decided().decision != Decision::Promote || run.decided().decision == Decision::Promote);
            }
        }
    }

    /// Imputing the worst never raises the statistic that promotes, above any answers that might have come.
    #[test]
    fn missing_answers_never_raise_the_promoting_statistic(run in any_run(), at in any_place()) {
        let run = run.plain();
        if let Some(worse) = run.with_answer(at, &['P', 'F'], 'T')
            && let (Some(before), Some(after)) = (run.decided().z, worse.decided().z)
        {
            prop_assert!(after.promote <= before.promote + 1e-9);
            prop_assert!(after.block >= before.block - 1e-9);
        }
    }

    /// The order of cases changes neither the decision nor a number of it.
    #[test]
    fn the_order_of_cases_decides_nothing(run in any_run(), seed: u64) {
        let rows = run.rows();
        let mut shuffled = rows.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        let numbers = |rows: &[CaseRow]| {
            let GateDecision { decision, reasons, difference, z, baseline_rate, candidate_rate, needed, slices, .. } = run.decided_of(rows);
            let codes: Vec<_> = reasons.into_iter().map(|reason| reason.code).collect();
            (decision, codes, difference, z, baseline_rate, candidate_rate, needed, slices)
        };
        prop_assert_eq!(numbers(&rows), numbers(&shuffled));
    }

    /// With the arms swapped every statistic against "no difference" has the other sign, and missing answers the other side.
    #[test]
    fn swapped_arms_negate_the_statistic(run in any_run()) {
        let mut swapped = run.clone();
        for group in &mut swapped.groups {
            std::mem::swap(&mut group.baseline, &mut group.candidate);
        }
        let (one, other) = (run.comparison(&run.rows()), swapped.comparison(&swapped.rows()));
        for (one_units, other_units) in
            [(&one.observed, &other.observed), (&one.missing_against, &other.missing_for), (&one.missing_for, &other.missing_against)]
        {
            let (z, negated) = (statistic(&one, one_units, 0.0), statistic(&other, other_units, 0.0));
            prop_assert!((z + negated).abs() < 1e-9, "{} {}", z, negated);
        }
    }

    /// A case that is there twice, as one cluster, is no more evidence than once.
    #[test]
    fn copies_in_a_cluster_are_no_further_evidence(run in any_run(), copies in 2usize..4) {
        let mut once = run.rows();
        for row in &mut once {
            row.case.cluster = Some(row.case.id.as_str().into());
        }
        let twice: Vec<CaseRow> = once.iter().flat_map(|row| std::iter::repeat_n(row.clone(), copies)).collect();
        let population = Run {
            policy: Policy { estimand: Estimand::Population, ..run.policy.clone() },
            ..run
        };
        let (once, twice) = (population.comparison(&once), population.comparison(&twice));
        for mu0 in [-population.policy.margin, -population.policy.tolerance, 0.0] {
            let (z, same) = (statistic(&once, &once.missing_against, mu0), statistic(&twice, &twice.missing_against, mu0));
            prop_assert!((z - same).abs() < 1e-9, "{} {}", z, same);
        }
    }

    /// Without a judged answer in one of the arms nothing is promoted.
    #[test]
    fn all_missing_never_promotes(run in any_run(), arms in prop::sample::select(vec![(true, false), (false, true), (true, true)])) {
        let mut lost = run;
        for group in &mut lost.groups {
            if arms.0 {
                group.baseline.fill('T');
            }
            if arms.1 {
                group.candidate.fill('T');
            }
        }
        prop_assert_ne!(lost.decided().decision, Decision::Promote);
    }
}
