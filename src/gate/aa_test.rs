//! A prompt compared with itself: how much its answers vary on a dataset, and what the gate would make of that variation,
//! found by drawing from the answers again and again and deciding each time with the rule that decides.
//!
//! Both arms are one prompt, so all answers to a case are draws from one pool. A resample draws as many units as there are
//! (clusters of cases, or cases that stand alone) with replacement, and for each case its answers for both arms from the pool: without
//! replacement as long as the pool has enough, which keeps the variance of the answers what it was, else with replacement.
//! For the dataset as estimand the cases stay, and only answers are drawn.
//!
//! Resamples are independent streams of one seed and are only counted, so that the numbers are the same for any number of
//! threads.

use super::judge_error;
use super::simulate::count_decisions;
use crate::domain::{Comparison, DecidingJudges, Estimand, Policy, Unit, Units};
use crate::stats::normal::critical;
use crate::stats::planning::{POWER, TYPICAL, Variation, cases_to_show, fewest_cases};
use crate::stats::random::Random;
use crate::stats::repeats::SECOND_LOOK;
use crate::stats::rule::Rule;
use crate::stats::score_test::{Differences, UnitKind};
use std::collections::BTreeMap;

/// Resamples of one row; a share near 5% is then known within a point (two standard errors).
pub const RESAMPLES: u32 = 2_000;
/// Resamples of one row at least, where a dataset is so large that its rows are bounded by [`DRAWS`].
const FEWEST_RESAMPLES: u32 = 200;
/// Answers drawn for one row, about: some seconds.
const DRAWS: u64 = 2_000_000_000;
/// Repeats that are tried.
pub const REPEATS: [u32; 4] = [1, 3, 5, 10];
/// Repeats that a number of cases is told for.
pub const USUAL_REPEATS: u32 = 3;
/// A number of cases is looked for in so many steps of 5%, which is up to 18 times the first guess.
const STEPS: usize = 60;
const STEP: f64 = 1.05;

/// A case whose answers were all judged in both arms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AaCase {
    pub weight: u32,
    /// Its cluster, by any number.
    pub cluster: Option<u32>,
    pub critical: bool,
    /// Scores of the baseline's repeats, in ticks of which [`crate::domain::Metric::whole`] are 1.
    pub baseline: Vec<u32>,
    pub candidate: Vec<u32>,
    /// Repeats that pass, baseline and candidate.
    pub passed: (u32, u32),
}

impl AaCase {
    fn repeats(&self) -> f64 {
        self.baseline.len() as f64
    }

    fn pool(&self) -> impl Iterator<Item = u32> + '_ {
        self.baseline.iter().chain(&self.candidate).copied()
    }

    fn passes(&self) -> (f64, f64) {
        let share = |passed: u32| f64::from(passed) / self.repeats().max(1.0);
        (share(self.passed.0), share(self.passed.1))
    }

    fn is_flaky(&self) -> bool {
        let passed = (self.passed.0 + self.passed.1) as usize;
        passed > 0 && passed < self.baseline.len() + self.candidate.len()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noise {
    /// Pass rate in the baseline's arm, by weight.
    pub baseline_rate: f64,
    /// Pass rate in the candidate's arm, by weight.
    pub candidate_rate: f64,
    /// Share of all pairs of an answer of either arm to the same case of which one passes and the other fails.
    pub discordance: f64,
    /// sigma²: mean variance of a single answer's score within a case, both arms added up. With one repeat it is taken from
    /// the difference of the arms.
    pub within: f64,
    /// omega²: the variance of the cases' differences beyond what sigma² explains; about 0, and may be less. `None` with one
    /// repeat, where the two can't be told apart, and with fewer than two cases.
    pub between: Option<f64>,
    /// Cases of which some answers pass and some don't.
    pub flaky: u64,
    pub critical: u64,
    /// Must-pass cases of which an answer failed.
    pub critical_failed: u64,
    /// The chance that the must-pass rule blocks an equal candidate, if its answers fail as often as these did.
    pub critical_blocks: f64,
}

/// How often what was decided.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct DecisionShares {
    pub runs: u32,
    pub promote: f64,
    pub block: f64,
    pub inconclusive: f64,
}

/// All cases of a prompt that was compared with itself.
#[derive(Clone, Debug)]
pub struct AaTest {
    cases: Vec<AaCase>,
    /// Indexes of the cases that are drawn together.
    units: Vec<Vec<usize>>,
    kind: UnitKind,
    /// Ticks of a score of 1.
    whole: u32,
    estimand: Estimand,
    rule: Rule,
    seed: u64,
}

/// The rule that decides under a policy, on the scale of the judges that decide cases, if there are any.
///
/// # Errors
/// Why nothing is decided by these judges, in a sentence.
pub fn rule(policy: &Policy, comparison: &Comparison, deciding: &DecidingJudges) -> Result<Rule, String> {
    let looked = judge_error::assess(policy, comparison, Some(deciding));
    match looked.weak {
        Some(weak) => Err(weak.message),
        None => Ok(Rule::of(&looked.policy)),
    }
}

impl AaTest {
    /// Takes the cases in plan order; `whole` are the ticks of a score of 1.
    pub fn new(cases: Vec<AaCase>, whole: u32, estimand: Estimand, rule: Rule, seed: u64) -> AaTest {
        let mut clusters: BTreeMap<u32, usize> = BTreeMap::new();
        let mut units: Vec<Vec<usize>> = Vec::new();
        for (index, case) in cases.iter().enumerate() {
            let known = match case.cluster.filter(|_| estimand == Estimand::Population) {
                Some(cluster) => *clusters.entry(cluster).or_insert(units.len()),
                None => units.len(),
            };
            if known == units.len() {
                units.push(Vec::new());
            }
            units[known].push(index);
        }
        let kind = if clusters.is_empty() { UnitKind::Case } else { UnitKind::Cluster };
        AaTest { cases, units, kind, whole, estimand, rule, seed }
    }

    pub fn cases(&self) -> u64 {
        self.cases.len() as u64
    }

    pub fn noise(&self) -> Noise {
        let cases = self.cases.len() as f64;
        let weights: f64 = self.cases.iter().map(|case| f64::from(case.weight)).sum();
        if weights <= 0.0 {
            return Noise::default();
        }
        let rate = |of: fn(&AaCase) -> f64| {
            let sum: f64 = self.cases.iter().map(|case| f64::from(case.weight) * of(case)).sum();
            sum / weights
        };
        let whole = f64::from(self.whole);
        let mean = |scores: &[u32]| scores.iter().map(|s| f64::from(*s) / whole).sum::<f64>() / scores.len() as f64;
        let variance = |scores: &[u32]| {
            let mean = mean(scores);
            let squares: f64 = scores.iter().map(|s| (f64::from(*s) / whole - mean).powi(2)).sum();
            squares / (scores.len() as f64 - 1.0)
        };
        let differences: Vec<f64> =
            self.cases.iter().map(|case| mean(&case.candidate) - mean(&case.baseline)).collect();
        let repeats = self.cases.first().map_or(0.0, AaCase::repeats);
        let within = if repeats >= 2.0 {
            let both = |case: &AaCase| variance(&case.baseline) + variance(&case.candidate);
            self.cases.iter().map(both).sum::<f64>() / cases
        } else {
            differences.iter().map(|d| d * d).sum::<f64>() / cases
        };
        let between = (repeats >= 2.0 && cases >= 2.0).then(|| {
            let mean = differences.iter().sum::<f64>() / cases;
            let squares: f64 = differences.iter().map(|d| (d - mean).powi(2)).sum();
            squares / (cases - 1.0) - within / repeats
        });
        let discordance = self.cases.iter().map(|case| {
            let (baseline, candidate) = case.passes();
            baseline * (1.0 - candidate) + candidate * (1.0 - baseline)
        });
        let critical = || self.cases.iter().filter(|case| case.critical);
        let failing = |case: &AaCase| 1.0 - (case.passes().0 + case.passes().1) / 2.0;
        let spared: f64 = critical().map(|case| 1.0 - SECOND_LOOK.chance_to_block(failing(case))).product();
        Noise {
            baseline_rate: rate(|case| case.passes().0),
            candidate_rate: rate(|case| case.passes().1),
            discordance: discordance.sum::<f64>() / cases,
            within,
            between,
            flaky: self.cases.iter().filter(|case| case.is_flaky()).count() as u64,
            critical: critical().count() as u64,
            critical_failed: critical().filter(|case| failing(case) > 0.0).count() as u64,
            critical_blocks: 1.0 - spared,
        }
    }

    /// Decisions for an equal candidate with `repeats` answers a case and arm.
    pub fn equal(&self, repeats: u32) -> DecisionShares {
        self.shares(repeats, self.units.len(), 0.0, u64::from(repeats))
    }

    /// Decisions for a candidate that truly lost the margin, because as many of its cases as that takes are broken, at random:
    /// all their answers score 0. For the dataset as estimand answers are broken instead, in all cases alike. `None` if the
    /// baseline itself scores less than the margin.
    pub fn after_losing_the_margin(&self, repeats: u32) -> Option<DecisionShares> {
        let weights: f64 = self.cases.iter().map(|case| f64::from(case.weight)).sum();
        let sum: f64 = self
            .cases
            .iter()
            .map(|case| {
                let pool = (2.0 * case.repeats()).max(1.0) * f64::from(self.whole);
                f64::from(case.weight) * case.pool().map(f64::from).sum::<f64>() / pool
            })
            .sum();
        let chance = self.rule.margin * weights / sum;
        // Negated, so that what is no number breaks nothing.
        (chance <= 1.0).then(|| self.shares(repeats, self.units.len(), chance, (1 << 20) + u64::from(repeats)))
    }

    /// The number of cases with which an equal candidate is promoted with a chance of [`POWER`] at so many repeats, and how
    /// often resamples of that size promote it. The larger of what the planning formula says with [`TYPICAL`] differences between cases, which a prompt compared with itself has none of,, and what
    /// resamples need. `None` where the cases are given, and where no affordable number would do.
    pub fn enough_cases(&self, repeats: u32) -> Option<(u64, DecisionShares)> {
        if self.estimand == Estimand::Dataset || self.cases.is_empty() {
            return None;
        }
        let variation = Variation { between: TYPICAL.between, within: self.noise().within };
        let z = critical(self.rule.alpha) + critical(1.0 - POWER);
        let planned = cases_to_show(self.rule.margin, variation.of_case(f64::from(repeats)), z).ceil();
        let per_unit = self.cases.len() as f64 / self.units.len() as f64;
        let mut cases = planned.max(fewest_cases(self.rule.margin, self.rule.alpha) as f64);
        for step in 0..STEPS {
            let units = (cases / per_unit).ceil().max(1.0);
            let shares = self.shares(repeats, units as usize, 0.0, (2 << 20) + step as u64);
            if shares.promote >= POWER {
                return Some((cases as u64, shares));
            }
            cases = (cases * STEP).ceil();
        }
        None
    }

    /// Decides as many resamples of `units` units as the bounds allow, up to [`RESAMPLES`]. `broken` is the chance that a
    /// unit is broken; `row` keeps the random numbers of different rows apart.
    fn shares(&self, repeats: u32, units: usize, broken: f64, row: u64) -> DecisionShares {
        let per_unit = (self.cases.len() as u64).div_ceil(self.units.len().max(1) as u64);
        let draws = (units as u64).saturating_mul(per_unit).saturating_mul(2 * u64::from(repeats));
        let runs = (DRAWS / draws.max(1)).clamp(FEWEST_RESAMPLES.into(), RESAMPLES.into()) as u32;
        let decide = |random: &mut Random| {
            let (promotes, blocks) = self.rule.decide(&self.resample(repeats, units, broken, random));
            (promotes, blocks, 0)
        };
        let (promote, block, _) = count_decisions(self.seed, row, runs, decide);
        let share = |count: u32| f64::from(count) / f64::from(runs);
        DecisionShares {
            runs,
            promote: share(promote),
            block: share(block),
            inconclusive: share(runs - promote - block),
        }
    }

    fn resample(&self, repeats: u32, units: usize, broken: f64, random: &mut Random) -> Differences {
        let mut drawn = Units::default();
        let mut pool = Vec::new();
        if self.estimand == Estimand::Dataset {
            for case in &self.cases {
                let mut pair = Pool::of(case, repeats, &mut pool);
                for _ in 0..repeats {
                    let baseline = pair.draw(random);
                    let candidate = if random.chance(broken) { 0 } else { pair.draw(random) };
                    drawn.add(Unit::case(case.weight, candidate - baseline), 1);
                }
            }
            return Differences::of_units(&drawn, u64::from(self.whole), UnitKind::Case);
        }
        for _ in 0..units {
            let unit = &self.units[random.index(self.units.len() as u64) as usize];
            let lost = broken > 0.0 && random.chance(broken);
            let mut sum = Unit::default();
            for index in unit {
                let case = &self.cases[*index];
                let mut pair = Pool::of(case, repeats, &mut pool);
                let mut arm = || (0..repeats).map(|_| pair.draw(random)).sum::<i64>();
                let baseline = arm();
                let candidate = if lost { 0 } else { arm() };
                sum.add(Unit::case(case.weight, candidate - baseline));
            }
            drawn.add(sum, 1);
        }
        Differences::of_units(&drawn, u64::from(self.whole) * u64::from(repeats), self.kind)
    }
}

/// The answers to a case, to draw from.
struct Pool<'a> {
    scores: &'a mut Vec<u32>,
    /// Scores at the front that were drawn and don't come back.
    gone: usize,
    put_back: bool,
}

impl<'a> Pool<'a> {
    /// For both arms with so many repeats; `scores` is room to work in.
    fn of(case: &AaCase, repeats: u32, scores: &'a mut Vec<u32>) -> Pool<'a> {
        scores.clear();
        scores.extend(case.pool());
        Pool { gone: 0, put_back: 2 * repeats as usize > scores.len(), scores }
    }

    fn draw(&mut self, random: &mut Random) -> i64 {
        let left = self.scores.len() - self.gone;
        let at = self.gone + random.index(left as u64) as usize;
        let Some(score) = self.scores.get(at).copied() else {
            return 0;
        };
        if !self.put_back {
            self.scores.swap(self.gone, at);
            self.gone += 1;
        }
        i64::from(score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { margin: 0.05, tolerance: 0.01, alpha: 0.05, block_alpha: 0.015 };

    fn case(baseline: &[u32], candidate: &[u32]) -> AaCase {
        AaCase {
            weight: 1_000,
            cluster: None,
            critical: false,
            baseline: baseline.to_vec(),
            candidate: candidate.to_vec(),
            passed: (baseline.iter().sum(), candidate.iter().sum()),
        }
    }

    fn itself(cases: Vec<AaCase>) -> AaTest {
        AaTest::new(cases, 1, Estimand::Population, RULE, 1)
    }

    /// 200 cases, of which one in five passes two times of three in both arms.
    fn noisy() -> Vec<AaCase> {
        let one = |i: u32| match i % 5 {
            0 => case(&[1, 1, 0], &[0, 1, 1]),
            _ => case(&[1; 3], &[1; 3]),
        };
        (0..200).map(one).collect()
    }

    #[test]
    fn noise_is_what_the_formulas_say() {
        let noise = itself(noisy()).noise();
        // A flaky case: two of three pass in both arms, so 2·(2/3)(1/3) of the pairs differ; s² is 1/3 an arm.
        assert!((noise.discordance - 0.2 * 4.0 / 9.0).abs() < 1e-12, "{noise:?}");
        assert!((noise.within - 0.2 * 2.0 / 3.0).abs() < 1e-12, "{noise:?}");
        assert!((noise.between.unwrap() + noise.within / 3.0).abs() < 1e-12, "{noise:?}");
        assert_eq!(noise.flaky, 40);
        assert!((noise.baseline_rate - (0.8 + 0.2 * 2.0 / 3.0)).abs() < 1e-12, "{noise:?}");
        // One repeat: what varies between the arms is all within.
        let single = itself(vec![case(&[1], &[0]), case(&[1], &[1])]).noise();
        assert_eq!((single.within, single.between, single.discordance), (0.5, None, 0.5));
        assert_eq!(itself(Vec::new()).noise(), Noise::default());
    }

    #[test]
    fn must_pass_cases_block_as_the_second_look_says() {
        let mut cases = noisy();
        cases[0].critical = true;
        cases[1].critical = true;
        let noise = itself(cases).noise();
        assert_eq!((noise.critical, noise.critical_failed), (2, 1));
        assert!((noise.critical_blocks - SECOND_LOOK.chance_to_block(1.0 / 3.0)).abs() < 1e-12);
    }

    #[test]
    fn answers_that_do_not_vary_are_never_blocked_and_promoted_from_seventy_cases_on() {
        for (cases, promote) in [(69, 0.0), (70, 1.0)] {
            let same = itself(vec![case(&[1, 1], &[1, 1]); cases]);
            for k in [1, 3] {
                let shares = same.equal(k);
                assert_eq!((shares.promote, shares.block), (promote, 0.0), "{cases} {k}");
            }
        }
        // The plan allows for candidates that differ.
        let (cases, shares) = itself(vec![case(&[1], &[1]); 20]).enough_cases(3).unwrap();
        assert_eq!((cases, shares.promote), (70, 1.0));
    }

    #[test]
    fn the_rule_keeps_its_errors_on_resamples() {
        let noisy = itself(noisy());
        let equal: Vec<DecisionShares> = [1, 3, 5].iter().map(|k| noisy.equal(*k)).collect();
        assert!(equal.iter().all(|shares| shares.block <= 0.02), "{equal:?}");
        assert!(equal.windows(2).all(|pair| pair[0].promote < pair[1].promote + 0.02), "{equal:?}");
        let lost = noisy.after_losing_the_margin(3).unwrap();
        assert!(lost.promote <= 0.05 && lost.promote > 0.005, "{lost:?}");
        assert!((lost.promote + lost.block + lost.inconclusive - 1.0).abs() < 1e-12);
        let dataset = AaTest { estimand: Estimand::Dataset, ..noisy.clone() };
        let lost = dataset.after_losing_the_margin(3).unwrap();
        assert!(lost.promote <= 0.06 && lost.promote > 0.005, "{lost:?}");
        assert_eq!(dataset.enough_cases(3), None);
        // What never passes can't lose.
        assert_eq!(itself(vec![case(&[0], &[0]); 100]).after_losing_the_margin(3), None);
    }

    #[test]
    fn the_numbers_are_those_of_the_seed_on_any_number_of_threads() {
        let noisy = itself(noisy());
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(alone.install(|| noisy.equal(1)), noisy.equal(1));
        let other = AaTest { seed: 2, ..noisy.clone() };
        assert_ne!(other.equal(1), noisy.equal(1));
    }

    /// Four cases of a cluster that vary together vary more than four that don't.
    #[test]
    fn clusters_are_drawn_whole() {
        let cases = |clustered: bool| -> Vec<AaCase> {
            let one =
                |i: u32| AaCase { cluster: clustered.then_some(i / 4), ..case(&[1, 0], &[1, u32::from(i % 8 < 4)]) };
            (0..200).map(one).collect()
        };
        let (alone, clusters) = (itself(cases(false)), itself(cases(true)));
        assert_eq!((alone.units.len(), clusters.units.len()), (200, 50));
        assert!(clusters.equal(1).promote < alone.equal(1).promote);
    }
}
