//! How often the gate promotes, blocks and waits, if one knew by how much the candidate differs: its operating
//! characteristics, simulated with the rule that decides.
//!
//! The baseline of the scenario [`Scenario::Std`] passes 84.75% of its answers: 75% of its cases with a chance of 0.99, 15%
//! with one of their own from Beta(4, 2), 10% with 0.05. The candidate is the same but for 6% of the cases, which are
//! drawn anew; and where it is to be worse, some cases break down to 0.02, where it is to be better, some rise to 0.99.
//! With one repeat 9.2% of all cases then differ between equal arms, and their scores correlate with 0.64, which is what
//! benchmarks of language models show.
//!
//! A forecast (`Forecast`) draws the planned units in the same way, with the noise that is known of their answers.
//!
//! Runs are independent streams of one seed and are only counted, so that the numbers are the same for any number of
//! threads.

use crate::domain::{Estimand, Problem, Problems, Sequential, Unit, Units, string_enum};
use crate::stats::normal::below;
use crate::stats::random::Random;
use crate::stats::rule::Rule;
use crate::stats::score_test::{Differences, UnitKind};
use crate::stats::sequential::lan_demets;
use rayon::prelude::*;

/// Cases of a simulated run; more would tell nothing that these don't.
pub const MAX_CASES: u32 = 1_000_000;
pub const MAX_REPEATS: u32 = 1_000;
pub const MAX_RUNS: u32 = 1_000_000;
/// Cases x repeats x runs of a row: some minutes.
pub const MAX_ANSWERS: u64 = 20_000_000_000;

/// Parts of a score in units of several cases.
const PARTS: f64 = 1e6;

/// Looks of a run that may end early, as many as a run takes (`plan::LOOKS`).
const LOOKS: u32 = 3;

string_enum! {
    /// What the cases are like, and how the candidate is worse.
    pub enum Scenario {
        /// As above: a loss breaks some cases outright.
        Std = "std",
        /// A loss makes every case a little worse.
        Diffuse = "diffuse",
        /// A baseline that passes 97%.
        High = "high",
        /// 40% of the cases pass sometimes.
        Flaky = "flaky",
        /// A deterministic model that only breaks cases: every answer of a case is the same.
        Lopsided = "lopsided",
        /// A loss breaks cases outright, and the more likely the heavier they are.
        Heavy = "heavy",
    }
}

impl Scenario {
    fn mixture(self) -> Mixture {
        match self {
            Scenario::Std | Scenario::Diffuse | Scenario::Lopsided | Scenario::Heavy => STD,
            Scenario::High => Mixture { solid: 0.93, flaky: 0.06, passing: 0.995, ..STD },
            Scenario::Flaky => Mixture { solid: 0.5, flaky: 0.4, ..STD },
        }
    }
}

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulation {
    pub cases: u32,
    /// Weighted cases or clusters that make up the cases; empty where a case is a unit of its own and all weigh the same.
    pub units: Vec<UnitGroup>,
    pub repeats: u32,
    pub rule: Rule,
    pub scenario: Scenario,
    /// Population: every run draws its cases, and a case is a unit. Dataset: they stay the same in all runs, and each pair of
    /// answers is a unit.
    pub estimand: Estimand,
    /// Whether the runs may end early, at looks of equal size.
    pub sequential: Sequential,
    /// Runs a row; 4,000 of them are within 0.8 points of the truth, and within 0.35 near 5%.
    pub runs: u32,
    /// The same seed gives the same table.
    pub seed: u64,
}

/// How often what was decided, for one true difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The true mean difference, candidate - baseline. For a dataset it is exact, and less than asked for where its cases
    /// can't gain or lose as much; for a population it is that of the scenario's cases, up to its churn.
    pub difference: f64,
    pub promote: u32,
    pub block: u32,
    pub inconclusive: u32,
    /// Mean share of the cases that were asked before it was decided.
    pub asked: f64,
}

impl Simulation {
    /// Simulates a row for each true difference (in -1..=1).
    ///
    /// # Errors
    /// Everything that is out of the bounds of this module, and a rule or difference that is none.
    pub fn table(&self, differences: &[f64]) -> Result<Vec<Row>, Problems> {
        self.check(differences)?;
        let rows = differences.iter().zip(0..);
        Ok(rows.map(|(difference, row)| self.row(*difference, row)).collect())
    }

    fn check(&self, differences: &[f64]) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for (name, value, most) in [
            ("number of cases", self.cases, MAX_CASES),
            ("number of repeats", self.repeats, MAX_REPEATS),
            ("number of runs", self.runs, MAX_RUNS),
        ] {
            if !(1..=most).contains(&value) {
                problems.push(Problem::new(format!("the {name} is {value}")).expected(format!("1 to {most}")));
            }
        }
        let answers = [self.cases, self.repeats, self.runs].into_iter().map(u64::from).fold(1, u64::saturating_mul);
        if problems.is_empty() && answers > MAX_ANSWERS {
            problems.push(
                Problem::new(format!("cases x repeats x runs are {answers}"))
                    .expected(format!("at most {MAX_ANSWERS}"))
                    .hint("1000 runs are enough to tell 94% from 97%"),
            );
        }
        if !self.rule.is_sound() {
            let Rule { margin, tolerance, alpha, .. } = self.rule;
            problems.push(
                Problem::new(format!("margin {margin}, tolerance {tolerance} and alpha {alpha} are no rule"))
                    .expected("0 < tolerance <= margin < 1 and 0 < alpha < 0.5"),
            );
        }
        if !self.units.is_empty() && (self.sequential != Sequential::Off || self.estimand == Estimand::Dataset) {
            problems.push(Problem::new(
                "weights and clusters are simulated for the estimand population, without looks on the way",
            ));
        }
        if self.sequential != Sequential::Off && self.estimand == Estimand::Dataset {
            problems.push(
                Problem::new("the whole dataset has to be asked where just its cases matter")
                    .expected("the estimand population with looks on the way"),
            );
        }
        for difference in differences {
            if !(-1.0..=1.0).contains(difference) {
                problems.push(
                    Problem::new(format!("the difference {difference} is no difference of pass rates"))
                        .expected("-1 to 1; -0.05 is a loss of 5 points"),
                );
            }
        }
        problems.or(())
    }

    fn row(&self, difference: f64, row: u64) -> Row {
        let dataset = match self.estimand {
            Estimand::Population => None,
            Estimand::Dataset => Some(self.scenario.dataset(self.cases, difference)),
        };
        let looks = self.looks();
        let clustered = self.units.iter().any(|group| group.cases > 1);
        let kind = if clustered { UnitKind::Cluster } else { UnitKind::Case };
        let decide = |random: &mut Random| {
            if !self.units.is_empty() {
                let shift = Shift::new(self.scenario, difference);
                let (promotes, blocks) = self.rule.decide(&shift.of_units(&self.units, self.repeats, kind, random));
                return (promotes, blocks, self.cases);
            }
            if let Some(cases) = &dataset {
                let differences = self.of_pairs(cases, random);
                let (promotes, blocks) = self.rule.decide(&differences);
                return (promotes, blocks, self.cases);
            }
            let shift = Shift::new(self.scenario, difference);
            let mut counts = vec![0u64; 2 * self.repeats as usize + 1];
            let mut asked = 0;
            for (cases, rule) in &looks {
                let differences = self.of_cases(&shift, *cases - asked, &mut counts, random);
                asked = *cases;
                let (promotes, blocks) = rule.decide(&differences);
                if promotes || blocks {
                    return (promotes, blocks, asked);
                }
            }
            (false, false, asked)
        };
        let (promote, block, asked) = count_decisions(self.seed, row, self.runs, decide);
        let truth = |cases: &Vec<Chances>| {
            cases.iter().map(|case| case.candidate - case.baseline).sum::<f64>() / cases.len().max(1) as f64
        };
        Row {
            difference: dataset.as_ref().map_or(difference, truth),
            promote,
            block,
            inconclusive: self.runs - promote - block,
            asked: asked as f64 / (f64::from(self.runs) * f64::from(self.cases)),
        }
    }

    /// The cases up to each look, and the rule with the errors there; none for a dataset that looks can't be spread over.
    fn looks(&self) -> Vec<(u32, Rule)> {
        let looks = match self.sequential {
            Sequential::Off => 1,
            Sequential::Looks => LOOKS.min(self.cases),
        };
        let upto: Vec<u32> =
            (1..=looks).map(|look| (u64::from(self.cases) * u64::from(look)).div_ceil(looks.into()) as u32).collect();
        let shares: Vec<f64> = upto.iter().map(|cases| f64::from(*cases) / f64::from(self.cases)).collect();
        let errors = |alpha: f64| match looks {
            1 => vec![alpha],
            _ => lan_demets(&shares, alpha).unwrap_or_default().into_iter().map(|bound| below(-bound)).collect(),
        };
        let errors = errors(self.rule.alpha).into_iter().zip(errors(self.rule.block_alpha));
        let rules = errors.map(|(alpha, block_alpha)| Rule { alpha, block_alpha, ..self.rule });
        upto.into_iter().zip(rules).collect()
    }

    /// Asks `cases` new cases, each a unit, and returns the differences of all cases so far.
    fn of_cases(&self, shift: &Shift, cases: u32, counts: &mut [u64], random: &mut Random) -> Differences {
        let k = i64::from(self.repeats);
        for _ in 0..cases {
            let chances = shift.case(random);
            let candidate = passes(chances.candidate, self.repeats, random);
            let baseline = passes(chances.baseline, self.repeats, random);
            counts[(i64::from(candidate) - i64::from(baseline) + k) as usize] += 1;
        }
        Differences::new(&(-k..=k).zip(counts.iter().copied()).collect(), self.repeats)
    }

    /// A run over the same cases as all others, a pair of answers a unit.
    fn of_pairs(&self, cases: &[Chances], random: &mut Random) -> Differences {
        let mut counts = [0u64; 3];
        for chances in cases {
            for _ in 0..self.repeats {
                let baseline = random.chance(chances.baseline);
                let candidate = random.chance(chances.candidate);
                counts[1 + usize::from(candidate) - usize::from(baseline)] += 1;
            }
        }
        Differences::new(&(-1..=1).zip(counts).collect(), 1)
    }
}

/// Decides so many runs, each with a stream of random numbers of its own: how many promote, how many block, and the sum of the
/// third number.
pub(super) fn count_decisions(
    seed: u64,
    row: u64,
    runs: u32,
    decide: impl Fn(&mut Random) -> (bool, bool, u32) + Sync,
) -> (u32, u32, u64) {
    (0..runs)
        .into_par_iter()
        .map(|run| {
            let (promotes, blocks, asked) = decide(&mut Random::new(seed, (row << 32) | u64::from(run)));
            (u32::from(promotes), u32::from(blocks), u64::from(asked))
        })
        .reduce(|| (0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2))
}

fn passes(chance: f64, repeats: u32, random: &mut Random) -> u32 {
    (0..repeats).map(|_| u32::from(random.chance(chance))).sum()
}

/// The chances of a case to pass.
#[derive(Clone, Copy, Debug)]
struct Chances {
    baseline: f64,
    candidate: f64,
}

/// Shares of cases: solid ones pass with `passing`, flaky ones sometimes, the rest with `failing`.
#[derive(Clone, Copy, Debug)]
struct Mixture {
    solid: f64,
    flaky: f64,
    passing: f64,
    failing: f64,
}

const STD: Mixture = Mixture { solid: 0.75, flaky: 0.15, passing: 0.99, failing: FAILING };
/// Mean variance of a single answer of a flaky case, both arms added up: 2 p (1 - p) over Beta(4, 2).
const FLAKY_NOISE: f64 = 8.0 / 21.0;

/// Mean chance of a flaky case, that of Beta(4, 2).
const SOMETIMES: f64 = 2.0 / 3.0;
/// Chance of a case that the baseline mostly fails.
const FAILING: f64 = 0.05;
/// Chance of a case that broke.
const BROKEN: f64 = 0.02;
/// Chance of a case that was mended.
const MENDED: f64 = 0.99;
/// Share of cases that the candidate answers anew, for better or worse.
const CHURN: f64 = 0.06;

impl Mixture {
    /// Cases whose answers vary as much as is known of them: in the flaky ones only.
    fn of_noise(within: f64) -> Mixture {
        let flaky = (within / FLAKY_NOISE).clamp(0.0, 1.0);
        Mixture { solid: (1.0 - flaky) * STD.solid / (1.0 - STD.flaky), flaky, passing: 1.0, failing: 0.0 }
    }

    fn mean(self) -> f64 {
        self.solid * self.passing + self.flaky * SOMETIMES + (1.0 - self.solid - self.flaky) * self.failing
    }

    fn draw(self, random: &mut Random) -> f64 {
        let kind = random.unit();
        if kind < self.solid {
            self.passing
        } else if kind < self.solid + self.flaky {
            beta_4_2(random)
        } else {
            self.failing
        }
    }
}

/// Beta(4, 2) is the distribution of the second largest of five uniform numbers.
fn beta_4_2(random: &mut Random) -> f64 {
    let (mut largest, mut second) = (0.0, 0.0);
    for _ in 0..5 {
        let drawn = random.unit();
        if drawn > largest {
            (largest, second) = (drawn, largest);
        } else if drawn > second {
            second = drawn;
        }
    }
    second
}

/// Alike units: clusters of so many cases, or cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitGroup {
    pub units: u64,
    pub size: u64,
    pub cases: u32,
}

/// A planned run with an equally good candidate.
pub(super) struct Forecast<'a> {
    /// What is drawn: cases or clusters, or for a dataset its cases.
    pub(super) groups: &'a [UnitGroup],
    pub(super) kind: UnitKind,
    pub(super) repeats: u32,
    pub(super) estimand: Estimand,
    pub(super) rule: Rule,
    /// Mean variance of a single answer within a case, both arms added up; `None` where it is not known.
    pub(super) within: Option<f64>,
}

impl Forecast<'_> {
    /// The chance to be promoted, over so many simulated runs.
    pub(super) fn promotes(&self, runs: u32) -> f64 {
        let mixture = self.within.map_or(STD, Mixture::of_noise);
        let mut shift = Shift { mixture, ..Shift::new(Scenario::Std, 0.0) };
        let mut groups = self.groups.to_vec();
        let mut repeats = self.repeats;
        if self.estimand == Estimand::Dataset {
            // The cases are given, and a unit is one answer in each arm.
            shift.churn = 0.0;
            groups.iter_mut().for_each(|group| group.units *= u64::from(repeats));
            repeats = 1;
        }
        let decide = |random: &mut Random| {
            let (promotes, blocks) = self.rule.decide(&shift.of_units(&groups, repeats, self.kind, random));
            (promotes, blocks, 0)
        };
        f64::from(count_decisions(0, 0, runs, decide).0) / f64::from(runs)
    }
}

/// How the candidate's cases come to differ in the mean.
#[derive(Clone, Copy)]
struct Shift {
    scenario: Scenario,
    mixture: Mixture,
    difference: f64,
    /// Chance of a case to break, or to be mended.
    moved: f64,
    /// Chance of a case to be answered anew.
    churn: f64,
}

impl Shift {
    fn new(scenario: Scenario, difference: f64) -> Shift {
        let mixture = scenario.mixture();
        let mean = mixture.mean();
        let moved = if scenario == Scenario::Lopsided {
            // Nine cases in ten pass, and only they can break.
            -difference / (mixture.solid + mixture.flaky)
        } else if difference < 0.0 {
            -difference / (mean - BROKEN)
        } else {
            difference / (MENDED - mean)
        };
        Shift { scenario, mixture, difference, moved, churn: CHURN }
    }

    /// Units of so many kinds, of which each has its cases drawn anew.
    fn of_units(&self, groups: &[UnitGroup], repeats: u32, kind: UnitKind, random: &mut Random) -> Differences {
        let (size, squares) = groups.iter().fold((0.0, 0.0), |(size, squares), group| {
            let (units, of_one) = (group.units as f64, group.size as f64);
            (size + units * of_one, squares + units * of_one * of_one)
        });
        let mut units = Units::default();
        for group in groups {
            let pull = if self.scenario == Scenario::Heavy { group.size as f64 * size / squares } else { 1.0 };
            let shift = Shift { moved: self.moved * pull, ..*self };
            let of_case = group.size as f64 * PARTS / f64::from(group.cases.max(1));
            for _ in 0..group.units {
                let lead: f64 = (0..group.cases).map(|_| shift.lead(repeats, random)).sum();
                units.add(Unit { size: group.size, sum: (lead * of_case).round() as i128 }, 1);
            }
        }
        Differences::of_units(&units, u64::from(repeats) * PARTS as u64, kind)
    }

    /// By how many passes the candidate leads in one case.
    fn lead(&self, repeats: u32, random: &mut Random) -> f64 {
        let chances = self.case(random);
        f64::from(passes(chances.candidate, repeats, random)) - f64::from(passes(chances.baseline, repeats, random))
    }

    fn case(&self, random: &mut Random) -> Chances {
        if self.scenario == Scenario::Lopsided {
            let baseline = f64::from(u8::from(random.chance(self.mixture.solid + self.mixture.flaky)));
            let breaks = baseline > 0.0 && random.chance(self.moved);
            let candidate = if breaks { 0.0 } else { baseline };
            return Chances { baseline, candidate };
        }
        let baseline = self.mixture.draw(random);
        let same = if random.chance(self.churn) { self.mixture.draw(random) } else { baseline };
        let candidate = if self.difference < 0.0 && self.scenario == Scenario::Diffuse {
            same * (1.0 + self.difference / self.mixture.mean())
        } else if self.difference != 0.0 && random.chance(self.moved) {
            if self.difference < 0.0 { BROKEN } else { MENDED }
        } else {
            same
        };
        Chances { baseline, candidate }
    }
}

impl Scenario {
    /// A dataset of the scenario's kinds of cases, in its proportions, whose candidate differs by just this much: the
    /// loss falls on as few solid cases as can bear it (all cases in proportion if it is diffuse), a gain on the worst.
    fn dataset(self, cases: u32, difference: f64) -> Vec<Chances> {
        let mixture = self.mixture();
        let n = f64::from(cases);
        let deterministic = self == Scenario::Lopsided;
        let solid = (mixture.solid * n).round();
        let flaky = (mixture.flaky * n).round();
        let mut all: Vec<Chances> = (0..cases)
            .map(|i| {
                let chance = if f64::from(i) < solid {
                    mixture.passing
                } else if f64::from(i) < solid + flaky {
                    SOMETIMES
                } else {
                    FAILING
                };
                let chance = if deterministic { chance.round() } else { chance };
                Chances { baseline: chance, candidate: chance }
            })
            .collect();
        let total = difference.abs() * n;
        if difference < 0.0 && self == Scenario::Diffuse {
            let sum: f64 = all.iter().map(|case| case.baseline).sum();
            let kept = (1.0 - total / sum).max(0.0);
            all.iter_mut().for_each(|case| case.candidate *= kept);
        } else if difference < 0.0 {
            let missing_for = all.first().map_or(0.0, |case| case.baseline);
            let bearing = (total / missing_for - 1e-9).ceil().max(0.0);
            let each = total / bearing;
            for case in all.iter_mut().take(bearing as usize) {
                case.candidate = (case.baseline - each).max(0.0);
            }
        } else {
            let mut left = total;
            for case in all.iter_mut().rev() {
                let gain = left.min(1.0 - case.baseline);
                case.candidate += gain;
                left -= gain;
            }
        }
        all
    }
}

#[cfg(test)]
mod other_rules_tests;

#[cfg(test)]
mod tests;
