//! What a planned run can decide, told before anything is spent on it.
//!
//! The chance to promote is that of the test itself: with u units, of which each varies by v, an equally good candidate shows a
//! difference that is normal around 0 with variance v/u, and is promoted where
//!
//! ```text
//! (difference + margin) u - 1/2 >= z √(u V)        V = the variance that the test takes at -margin
//! ```
//!
//! so with a chance of `Φ((margin - 1/(2u) - z √(V/u)) / √(v/u))`. The usual planning formula
//! ([`crate::stats::planning::chance_to_promote`]) takes v for V, and promises up to six points too much at 200 cases and
//! more below. V depends on more of the differences than their variance, so they are pictured: lasting differences as cases
//! that one arm alone passes, noise as single answers that came out otherwise. Against simulated runs ([`super::simulate`]) it is
//! off by less than five points from 50 cases on, and promises up to five too much at 20.
//!
//! The loss that would be blocked with a chance of 80% is found in the same way, where a loss breaks cases outright.

use super::judge_error;
use super::phrases;
use super::sample_size;
use crate::domain::{Comparison, DecidingJudges, Design, Estimand, Needed, Policy, Unit, Units};
use crate::stats::planning::{POWER, TYPICAL, Variation, fewest_cases};
use crate::stats::proportions;
use crate::stats::score_test::{CORRECTION, Differences, UnitKind};
use crate::stats::{beta, normal, student};

/// A plan below this chance is worth a warning.
const HARDLY: f64 = 0.5;
/// Beyond this many repeats more cases are the better buy.
const MAX_REPEATS: u32 = 100;
/// Beyond this many cases the advice would be none.
const MAX_FACTOR: f64 = 1e6;
/// Fewer clusters than this are compared with Student's t.
const FEW_CLUSTERS: u64 = 40;
/// Units of a model, and the parts of a whole score in it.
const MODEL_UNITS: f64 = 1e9;
const PARTS: u32 = 1_000_000;
/// The most that noise takes of a model; beyond it answers differ by less, not more of them.
const NOISY: f64 = 0.9;
/// Halvings of a search between 0 and 1.
const STEPS: usize = 40;

/// How much the planned cases can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sizes {
    /// Cases.
    pub cases: u64,
    /// Equally heavy cases that tell as much: (Σw)² / Σw², at most `cases`.
    pub weighed: f64,
    /// The same of what is drawn independently: clusters, and cases that are in none.
    pub units: f64,
    /// How many of these there are.
    pub groups: u64,
    /// Some cases are in clusters.
    pub clustered: bool,
}

/// Where the variation comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum VarianceSource {
    /// Earlier answers to the same prompts.
    Runs {
        /// How many runs they are of.
        runs: u32,
        /// Mean variance of a single answer's score within a case, both arms added up.
        within: f64,
    },
    /// No earlier answers: typical values.
    Typical,
}

/// What a plan can decide.
#[derive(Clone, Debug, PartialEq)]
pub enum PowerEstimate {
    /// Two arms.
    Compared {
        /// Chance that an equally good candidate is promoted, as far as the whole is concerned: tags, must-pass cases and
        /// guardrails can only lower it.
        promotes: f64,
        /// The true loss from which it is blocked with a chance of 80%; `None` if there is none.
        detectable: Option<f64>,
        /// What would promote an equally good candidate with a chance of 80%; `None` if this plan does, or nothing affordable.
        needed: Option<Needed>,
        /// Cases with which a candidate whose outcomes are all those of the baseline is promoted; `None` without a margin, and
        /// where this plan has as many.
        fewest: Option<u64>,
        /// Where the variation comes from.
        variance: VarianceSource,
        /// More cases help in more clusters only.
        clustered: bool,
    },
    /// The candidate alone, against a required pass rate.
    Alone {
        /// The required rate.
        required: f64,
        /// The true rate from which it is promoted with a chance of 80%; `None` if even passing everything is too little.
        promoted_from: Option<f64>,
        /// The true rate up to which it is blocked with a chance of 80%; `None` if nothing would be.
        blocked_to: Option<f64>,
        /// The fewest cases with which anything is promoted.
        fewest: Option<u64>,
    },
    /// The judges are known to err too often, or are not the ones that were calibrated: nothing would be compared.
    Weak(String),
    /// All planned attempts together.
    AllAttempts {
        /// How many there are.
        attempts: u32,
        /// What they can decide.
        estimate: Box<PowerEstimate>,
    },
}

/// What a plan can decide; `None` where there is nothing to decide: both arms ask the same, or neither a baseline nor a
/// required rate is there.
pub fn estimate_power(
    policy: &Policy,
    design: &Design,
    sizes: &Sizes,
    variance: VarianceSource,
    deciding: Option<&DecidingJudges>,
) -> Option<PowerEstimate> {
    if sizes.cases == 0 || design.repeats == 0 || (design.baseline && design.identical) {
        return None;
    }
    let nothing_yet = Comparison {
        repeats: design.repeats,
        has_baseline: design.baseline,
        ..Comparison::default()
    };
    let judged = judge_error::assess(policy, &nothing_yet, deciding);
    if let Some(weak) = judged.weak {
        return Some(PowerEstimate::Weak(weak.message));
    }
    if !design.baseline {
        return Some(alone(policy, policy.min_pass_rate?, sizes));
    }
    let plan = PlannedComparison::new(&judged.policy, design, sizes, variance);
    let fewest = plan.fewest();
    Some(PowerEstimate::Compared {
        promotes: plan.promotes(),
        detectable: plan.detectable(),
        needed: (plan.promotes() < POWER).then(|| plan.needed(sizes)).flatten(),
        fewest: fewest.filter(|fewest| *fewest > sizes.cases),
        variance,
        clustered: sizes.clustered && design.estimand == Estimand::Population,
    })
}

/// A comparison that is planned.
#[derive(Clone, Copy)]
struct PlannedComparison<'a> {
    policy: &'a Policy,
    estimand: Estimand,
    repeats: u32,
    /// Equally heavy cases, and what is drawn independently.
    weighed: f64,
    drawn: f64,
    groups: f64,
    /// Few clusters have a t distribution.
    clustered: bool,
    variation: Variation,
}

impl<'a> PlannedComparison<'a> {
    fn new(policy: &'a Policy, design: &Design, sizes: &Sizes, variance: VarianceSource) -> PlannedComparison<'a> {
        let variation = match variance {
            VarianceSource::Runs { within, .. } => Variation { within, ..TYPICAL },
            VarianceSource::Typical => TYPICAL,
        };
        PlannedComparison {
            policy,
            estimand: design.estimand,
            repeats: design.repeats,
            weighed: sizes.weighed,
            drawn: sizes.units,
            groups: sizes.groups as f64,
            clustered: sizes.clustered,
            variation,
        }
    }

    /// The units of the test.
    fn units(&self) -> f64 {
        match self.estimand {
            Estimand::Population => self.drawn,
            Estimand::Dataset => self.weighed * f64::from(self.repeats),
        }
    }

    fn critical(&self) -> f64 {
        match self.estimand {
            Estimand::Population if self.clustered && self.groups < FEW_CLUSTERS as f64 => {
                student::critical(self.policy.alpha, self.groups - 1.0)
            }
            Estimand::Population | Estimand::Dataset => normal::critical(self.policy.alpha),
        }
    }

    /// The differences of units as they may look where the candidate has lost `loss` of the cases.
    fn model(&self, loss: f64) -> Differences {
        let (between, within, repeats) = match self.estimand {
            // The noise of a cluster's cases averages out.
            Estimand::Population => (
                self.variation.between,
                self.variation.within * (self.drawn / self.weighed).min(1.0),
                f64::from(self.repeats),
            ),
            // The cases are given, and a unit is one answer in each arm.
            Estimand::Dataset => (0.0, self.variation.within, 1.0),
        };
        let kept = 1.0 - loss;
        let lasting = between.clamp(0.0, 1.0 - NOISY);
        let noise = within.max(0.0) / repeats;
        let noisy = (noise * repeats * repeats).min(NOISY);
        let step = if noisy > 0.0 {
            (noise / noisy).sqrt().min(1.0)
        } else {
            0.0
        };
        let mut units = Units::default();
        let mut add = |difference: f64, share: f64| {
            let unit = Unit {
                size: 1,
                sum: (difference * f64::from(PARTS)).round() as i128,
            };
            units.add(unit, (share * MODEL_UNITS).round() as u64);
        };
        add(-1.0, kept * lasting / 2.0 + loss);
        add(1.0, kept * lasting / 2.0);
        add(-step, kept * noisy / 2.0);
        add(step, kept * noisy / 2.0);
        add(0.0, kept * (1.0 - lasting - noisy));
        Differences::of_units(&units, u64::from(PARTS), UnitKind::Case)
    }

    /// The chance that the difference seen lies above (`sign` 1) or below (`sign` -1) `mu0` by what the test asks for.
    fn chance(&self, model: &Differences, mu0: f64, sign: f64) -> f64 {
        let (units, critical) = (self.units(), self.critical());
        let (Some(mean), Some(variance)) = (model.mean(), model.variance()) else {
            return 0.0;
        };
        if !(units > 0.0 && critical.is_finite()) {
            return 0.0;
        }
        let asked = CORRECTION / units + critical * (model.null_variance(mu0) / units).sqrt();
        let room = sign * (mean - mu0) - asked;
        let error = (variance / units).sqrt();
        if error > 0.0 {
            normal::below(room / error)
        } else if room >= 0.0 {
            1.0
        } else {
            0.0
        }
    }

    /// The chance that an equally good candidate is promoted.
    fn promotes(&self) -> f64 {
        self.chance(&self.model(0.0), -self.policy.margin, 1.0)
    }

    /// The loss from which the candidate is blocked with a chance of 80%.
    fn detectable(&self) -> Option<f64> {
        let blocked = |loss: f64| self.chance(&self.model(loss), -self.policy.tolerance, -1.0) >= POWER;
        blocked(1.0).then(|| bisect(0.0, 1.0, blocked))
    }

    fn times(&self, factor: f64) -> PlannedComparison<'a> {
        PlannedComparison {
            weighed: self.weighed * factor,
            drawn: self.drawn * factor,
            groups: self.groups * factor,
            ..*self
        }
    }

    /// What would promote an equally good candidate with a chance of 80%.
    fn needed(&self, sizes: &Sizes) -> Option<Needed> {
        let repeats = (self.repeats + 1..=MAX_REPEATS).find(|repeats| {
            PlannedComparison {
                repeats: *repeats,
                ..*self
            }
            .promotes()
                >= POWER
        });
        let enough = |factor: f64| self.times(factor).promotes() >= POWER;
        let (mut few, mut many) = (1.0, 2.0);
        while !enough(many) {
            (few, many) = (many, 2.0 * many);
            if many > MAX_FACTOR {
                return None;
            }
        }
        let many = bisect(few, many, enough);
        Some(Needed {
            cases: (sizes.cases as f64 * many).ceil() as u64,
            repeats,
        })
    }

    /// The fewest cases with which a candidate that differs nowhere is promoted.
    fn fewest(&self) -> Option<u64> {
        let units = self.units();
        (self.policy.margin > 0.0 && units > 0.0).then(|| {
            let of_case = units / self.weighed.max(1.0);
            (fewest_cases(self.policy.margin, self.policy.alpha) as f64 / of_case).ceil() as u64
        })
    }
}

/// The least number between `low` and `high` for which `holds` is true, as it is for `high`.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..STEPS {
        let middle = (low + high) / 2.0;
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// Without a baseline.
fn alone(policy: &Policy, required: f64, sizes: &Sizes) -> PowerEstimate {
    // Of the number of units the same is taken as in the verdict: whole ones.
    let n = sizes.units.floor();
    let bounds = |passes: f64| proportions::conservative(passes / n.max(1.0), n as u64, policy.alpha);
    // The fewest passes that promote, and the most that block; both bounds grow with the passes.
    let first = |holds: &dyn Fn(f64) -> bool| {
        let (mut below, mut at) = (-1.0, n + 1.0);
        while at - below > 1.0 {
            let middle = ((below + at) / 2.0).floor();
            if holds(middle) {
                at = middle;
            } else {
                below = middle;
            }
        }
        at
    };
    let promotes = first(&|passes| bounds(passes).0 >= required);
    let open = first(&|passes| bounds(passes).1 >= required);
    PowerEstimate::Alone {
        required,
        // P(X >= c) = I(p; c, n - c + 1) of a binomial variable.
        promoted_from: (n > 0.0 && promotes <= n).then(|| {
            if promotes > 0.0 {
                beta::quantile(promotes, n - promotes + 1.0, POWER)
            } else {
                0.0
            }
        }),
        // P(X < c) = 1 - I(p; c, n - c + 1).
        blocked_to: (n > 0.0 && open > 0.0).then(|| {
            if open > n {
                1.0
            } else {
                beta::quantile(open, n - open + 1.0, 1.0 - POWER)
            }
        }),
        fewest: sample_size::all_pass(required, policy.alpha)
            .filter(|_| n > 0.0)
            .map(|units| (units as f64 * sizes.cases as f64 / sizes.units).ceil() as u64),
    }
}

impl PowerEstimate {
    /// What a plan can decide, in a sentence.
    pub fn sentence(&self) -> String {
        match self {
            PowerEstimate::Compared {
                promotes,
                detectable,
                needed,
                fewest,
                variance,
                clustered,
            } => {
                let mut sentence = format!(
                    "an equally good candidate would be promoted with a chance of {}",
                    chance(*promotes)
                );
                if let Some(needed) = needed {
                    sentence.push_str(&format!(" (80% would take {})", either(needed, *clustered)));
                }
                match detectable {
                    Some(loss) => sentence.push_str(&format!(
                        "; a loss of {} or more would be blocked 4 times in 5",
                        phrases::points(*loss)
                    )),
                    None => sentence.push_str("; no loss would be blocked as often as 4 times in 5"),
                }
                if let Some(fewest) = fewest {
                    sentence.push_str(&format!(
                        "; with fewer than {} even one that differs nowhere is not promoted",
                        phrases::count(*fewest, "case")
                    ));
                }
                format!("{sentence}; {}", variance.describe())
            }
            PowerEstimate::Alone {
                required,
                promoted_from,
                blocked_to,
                fewest,
            } => {
                let mut parts = Vec::new();
                match (promoted_from, fewest) {
                    (Some(rate), _) => parts.push(format!(
                        "a candidate that passes {} or more would be promoted 4 times in 5",
                        phrases::percent(*rate)
                    )),
                    (None, Some(fewest)) => parts.push(format!(
                        "nothing would be promoted: {} are the fewest that can show a pass rate of {}",
                        phrases::count(*fewest, "case"),
                        phrases::percent(*required)
                    )),
                    (None, None) => parts.push("nothing would be promoted".to_owned()),
                }
                match blocked_to {
                    Some(rate) => parts.push(format!(
                        "one that passes {} or less would be blocked as often",
                        phrases::percent(*rate)
                    )),
                    None => parts.push("nothing would be blocked".to_owned()),
                }
                parts.join("; ")
            }
            PowerEstimate::Weak(why) => format!("nothing would be decided: {why}"),
            PowerEstimate::AllAttempts { attempts, estimate } => {
                format!("in all {attempts} planned attempts together, {}", estimate.sentence())
            }
        }
    }

    /// What is to be said before money is spent on a plan that can hardly decide.
    pub fn warning(&self) -> Option<String> {
        match self {
            PowerEstimate::Compared {
                promotes,
                needed,
                variance,
                clustered,
                ..
            } if *promotes < HARDLY => {
                let advice = match needed {
                    Some(needed) => format!("; 80% would take {}", either(needed, *clustered)),
                    None => String::new(),
                };
                Some(format!(
                    "this plan can hardly decide: an equally good candidate would be promoted with a chance of {} ({}){advice}",
                    chance(*promotes),
                    variance.describe()
                ))
            }
            PowerEstimate::Alone {
                promoted_from: None, ..
            }
            | PowerEstimate::Weak(_) => Some(format!("this plan can't promote: {}", self.sentence())),
            PowerEstimate::AllAttempts { estimate, .. } => estimate.warning(),
            PowerEstimate::Compared { .. } | PowerEstimate::Alone { .. } => None,
        }
    }
}

impl VarianceSource {
    fn describe(self) -> String {
        match self {
            VarianceSource::Runs { runs, .. } => {
                format!("by the noise of {}", phrases::count(runs.into(), "earlier run"))
            }
            VarianceSource::Typical => "by typical noise, there is no earlier run to go by".to_owned(),
        }
    }
}

/// A chance, as roughly as it is known.
fn chance(share: f64) -> String {
    match (share * 100.0).round() {
        percent if percent < 1.0 => "less than 1%".to_owned(),
        percent if percent > 99.0 => "more than 99%".to_owned(),
        percent => format!("about {percent}%"),
    }
}

/// `--repeat 5, or about 110 cases`.
fn either(needed: &Needed, clustered: bool) -> String {
    let clusters = if clustered { ", in as many more clusters" } else { "" };
    let cases = format!("about {}{clusters}", phrases::count(two_digits(needed.cases), "case"));
    match needed.repeats {
        Some(repeats) => format!("--repeat {repeats}, or {cases}"),
        None => cases,
    }
}

/// Rounded up to two leading digits: nobody knows it better.
fn two_digits(n: u64) -> u64 {
    let mut unit = 1u64;
    while n / unit >= 100 {
        unit = unit.saturating_mul(10);
    }
    n.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::policy;
    use super::*;
    use crate::domain::{Agreement, Calibration, DecidingJudge, JudgeUse};

    /// Variation of the scenario that the simulated tables are made of.
    const USUAL: VarianceSource = VarianceSource::Runs {
        runs: 1,
        within: 0.0815,
    };

    fn sizes(cases: u64) -> Sizes {
        Sizes {
            cases,
            weighed: cases as f64,
            units: cases as f64,
            groups: cases,
            clustered: false,
        }
    }

    fn design(repeats: u32, estimand: Estimand) -> Design {
        Design {
            repeats,
            baseline: true,
            estimand,
            ..Design::default()
        }
    }

    fn planned(policy: &Policy, cases: u64, repeats: u32, estimand: Estimand) -> PlannedComparison<'_> {
        PlannedComparison::new(policy, &design(repeats, estimand), &sizes(cases), USUAL)
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
            let blocked = |loss| plan.chance(&plan.model(loss), -policy.tolerance, -1.0);
            for (what, got, want) in [
                ("promoted", plan.promotes(), promote),
                ("blocked at 5", blocked(0.05), block),
                ("blocked at 10", blocked(0.10), block_more),
            ] {
                assert!(
                    (100.0 * got - want).abs() <= 4.5,
                    "{cases} x {repeats} {what}: {got}, {want}"
                );
            }
        }
        // Few cases promise too much, but never a decision.
        for (repeats, simulated) in [(1, 0.029), (5, 0.002)] {
            let got = planned(&policy, 20, repeats, population).promotes();
            assert!(got >= simulated && got <= simulated + 0.05, "{got}");
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
            assert!(plan.promotes() < published);
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
            let blocked = |loss| plan.chance(&plan.model(loss), -policy.tolerance, -1.0);
            assert!((blocked(loss) - 0.8).abs() < 1e-6, "{loss}");
        }
        // Simulated: 62% of 5 points and 98.5% of 10.
        let loss = planned(&policy, 200, 3, Estimand::Population).detectable().unwrap();
        assert!((0.055..0.075).contains(&loss), "{loss}");
    }

    #[test]
    fn what_is_advised_is_enough() {
        let policy = policy();
        for (cases, repeats, estimand) in [
            (20, 1, Estimand::Population),
            (100, 1, Estimand::Population),
            (20, 3, Estimand::Dataset),
        ] {
            let Some(PowerEstimate::Compared {
                promotes,
                needed: Some(needed),
                ..
            }) = estimate_power(&policy, &design(repeats, estimand), &sizes(cases), USUAL, None)
            else {
                panic!("nothing is advised for {cases}");
            };
            assert!(promotes < 0.8);
            assert!(planned(&policy, needed.cases, repeats, estimand).promotes() >= 0.8 - 1e-3);
            assert!(planned(&policy, needed.cases * 9 / 10, repeats, estimand).promotes() < 0.8);
            if let Some(more) = needed.repeats {
                assert!(planned(&policy, cases, more, estimand).promotes() >= 0.8);
                assert!(planned(&policy, cases, more - 1, estimand).promotes() < 0.8);
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
        an equally good candidate would be promoted with a chance of about 8% (80% would take about 300 cases); a loss of 38.1 points or more would be blocked 4 times in 5; with fewer than 70 cases even one that differs nowhere is not promoted; by typical noise, there is no earlier run to go by
        this plan can hardly decide: an equally good candidate would be promoted with a chance of about 8% (by typical noise, there is no earlier run to go by); 80% would take about 300 cases
        ");
        insta::assert_snapshot!(sentence(100, 1, VarianceSource::Typical), @"
        an equally good candidate would be promoted with a chance of about 36% (80% would take about 300 cases); a loss of 12.8 points or more would be blocked 4 times in 5; by typical noise, there is no earlier run to go by
        this plan can hardly decide: an equally good candidate would be promoted with a chance of about 36% (by typical noise, there is no earlier run to go by); 80% would take about 300 cases
        ");
        insta::assert_snapshot!(sentence(200, 3, VarianceSource::Runs { runs: 3, within: 0.05 }), @"an equally good candidate would be promoted with a chance of about 96%; a loss of 6.1 points or more would be blocked 4 times in 5; by the noise of 3 earlier runs");
        insta::assert_snapshot!(sentence(10_000, 1, VarianceSource::Runs { runs: 1, within: 0.0 }), @"an equally good candidate would be promoted with a chance of more than 99%; a loss of 1.4 points or more would be blocked 4 times in 5; by the noise of 1 earlier run");
    }

    #[test]
    fn sentences_without_a_baseline() {
        let sentence = |cases, required| {
            let policy = Policy {
                min_pass_rate: Some(required),
                ..policy()
            };
            let design = Design {
                repeats: 1,
                ..Design::default()
            };
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
        let PowerEstimate::Alone {
            promoted_from: Some(promoted),
            blocked_to: Some(blocked),
            ..
        } = alone(&policy(), 0.9, &sizes(200))
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
        assert!(
            (above - 0.8).abs() < 1e-6 && (below - 0.8).abs() < 1e-6,
            "{above} {below}"
        );
    }

    #[test]
    fn weights_and_clusters_tell_less() {
        let policy = policy();
        let chance = |sizes: Sizes| match estimate_power(&policy, &design(3, Estimand::Population), &sizes, USUAL, None)
            .unwrap()
        {
            PowerEstimate::Compared { promotes, .. } => promotes,
            other @ (PowerEstimate::Alone { .. } | PowerEstimate::Weak(_) | PowerEstimate::AllAttempts { .. }) => {
                panic!("{other:?}")
            }
        };
        let all = chance(sizes(200));
        let weighed = chance(Sizes {
            weighed: 120.0,
            units: 120.0,
            ..sizes(200)
        });
        assert!((weighed - chance(sizes(120))).abs() < 1e-12);
        let clusters = Sizes {
            units: 100.0,
            groups: 100,
            clustered: true,
            ..sizes(200)
        };
        assert!(chance(sizes(100)) < chance(clusters) && chance(clusters) < all);
        // Few clusters are compared with Student's t, and a single one decides nothing.
        let few = |groups: u64, clustered| Sizes {
            units: groups as f64,
            groups,
            clustered,
            ..sizes(200)
        };
        assert!(chance(few(30, true)) < chance(few(30, false)));
        assert_eq!(chance(few(1, true)), 0.0);
        let one = estimate_power(&policy, &design(3, Estimand::Population), &few(1, true), USUAL, None).unwrap();
        assert!(one.warning().is_some());
    }

    #[test]
    fn judges_that_err_take_their_share() {
        let judges = |pass: u64, fail: u64| DecidingJudges {
            judges: vec![DecidingJudge {
                asked: JudgeUse {
                    judge: "default".to_owned(),
                    votes: 1,
                    rule: "majority".to_owned(),
                },
                model: "m".to_owned(),
                prompt_sha256: String::new(),
                calibration: Calibration::Known(Agreement {
                    true_pass: pass,
                    true_fail: fail,
                    false_fail: 10,
                    false_pass: 10,
                    errors: 0,
                }),
                other_labels: false,
            }],
            together: vec![vec![0]],
            alone: true,
        };
        let look = |judges: &DecidingJudges| {
            estimate_power(
                &policy(),
                &design(3, Estimand::Population),
                &sizes(200),
                USUAL,
                Some(judges),
            )
            .unwrap()
        };
        let PowerEstimate::Compared { promotes, .. } = look(&judges(100, 100)) else {
            panic!("a good judge decides");
        };
        assert!(promotes < planned(&policy(), 200, 3, Estimand::Population).promotes() - 0.1);
        let PowerEstimate::Weak(_) = look(&judges(11, 11)) else {
            panic!("a bad judge decides nothing");
        };
    }

    #[test]
    fn where_nothing_is_decided_nothing_is_foretold() {
        let policy = policy();
        let look = |design: Design, cases| estimate_power(&policy, &design, &sizes(cases), USUAL, None);
        let paired = design(3, Estimand::Population);
        assert_eq!(
            look(
                Design {
                    identical: true,
                    ..paired
                },
                200
            ),
            None
        );
        assert_eq!(
            look(
                Design {
                    baseline: false,
                    ..paired
                },
                200
            ),
            None
        );
        assert_eq!(look(Design { repeats: 0, ..paired }, 200), None);
        assert_eq!(look(paired, 0), None);
        // Every rule that may be set, and every size, gives chances.
        for margin in [1e-6, 0.01, 0.5] {
            for tolerance in [0.0, margin] {
                for alpha in [1e-6, 0.2] {
                    for cases in [1, 2, 7, 1_000_000] {
                        let policy = Policy {
                            margin,
                            tolerance,
                            alpha,
                            ..policy.clone()
                        };
                        let estimate =
                            estimate_power(&policy, &paired, &sizes(cases), VarianceSource::Typical, None).unwrap();
                        let PowerEstimate::Compared { promotes, .. } = estimate else {
                            panic!("{estimate:?}")
                        };
                        assert!((0.0..=1.0).contains(&promotes));
                    }
                }
            }
        }
    }
}
