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
//! takes v for V, and promises up to six points too much at 200 cases and
//! more below. V depends on more of the differences than their variance, so they are pictured: lasting differences as cases
//! that one arm alone passes, noise as single answers that came out otherwise. Against simulated runs ([`super::simulate`]) it is
//! off by less than five points from 60 equal cases on. Fewer units, and units of unequal size, are simulated instead, by the
//! same model ([`Forecast`]).
//!
//! The loss that would be blocked with a chance of 80% is found in the same way, where a loss breaks cases outright.

use super::judge_error;
use super::phrases;
use super::sample_size;
use super::simulate::{Forecast, UnitGroup};
use crate::domain::{Comparison, DecidingJudges, Design, Estimand, Policy, SampleSize, Unit, Units};
use crate::stats::planning::{POWER, TYPICAL, Variation, fewest};
use crate::stats::proportions;
use crate::stats::rule::Rule;
use crate::stats::score_test::{CORRECTION, Differences, UnitKind};
use crate::stats::{beta, bisect, normal, student};
use std::collections::BTreeMap;

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
/// Halvings of a search between 0 and 1, and of one among simulations.
const STEPS: u32 = 40;
const SIMULATED_STEPS: u32 = 7;
/// Below so many units the formula promises too much; up to so many they are simulated, so many times.
const FEW_UNITS: f64 = 60.0;
const MOST_UNITS: f64 = 5_000.0;
const RUNS: u32 = 2_000;
/// In a search, where most are far from what is looked for.
const SEARCH_RUNS: u32 = 400;

/// How much the planned cases can tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sizes {
    pub cases: u64,
    /// How many cases have which weight.
    pub weights: BTreeMap<u64, u64>,
    /// How many units have which size and number of cases: clusters, and cases that are in none.
    pub units: BTreeMap<(u64, u32), u64>,
    pub clustered: bool,
}

/// Units and how heavy they are, in all and squared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Heaviness {
    units: f64,
    size: f64,
    squares: f64,
    largest: f64,
}

impl Heaviness {
    fn of(groups: impl Iterator<Item = (u64, u64)>) -> Heaviness {
        groups.fold(Heaviness::default(), |sum, (size, units)| {
            let (size, units) = (size as f64, units as f64);
            Heaviness {
                units: sum.units + units,
                size: sum.size + units * size,
                squares: sum.squares + units * size * size,
                largest: sum.largest.max(size),
            }
        })
    }

    /// Equally heavy ones that tell as much: (Σs)² / Σs².
    fn effective(self) -> f64 {
        if self.squares > 0.0 { self.size * self.size / self.squares } else { 0.0 }
    }

    /// Mean of the squared relative sizes: 1 where all are equal.
    fn unevenness(self) -> f64 {
        (self.units / self.effective().max(1.0)).max(1.0)
    }
}

impl Sizes {
    fn of_cases(&self) -> Heaviness {
        Heaviness::of(self.weights.iter().map(|(weight, cases)| (*weight, *cases)))
    }

    fn of_units(&self) -> Heaviness {
        Heaviness::of(self.units.iter().map(|((size, _), units)| (*size, *units)))
    }

    /// The share of all weight that the largest unit has, if it is more than half the margin and the unit more than twice as
    /// heavy as they are on average: then a loss of the margin may be this unit's alone, and no number of cases tells.
    pub fn dominating(&self, margin: f64) -> Option<(u64, f64)> {
        let Heaviness { units, size, largest, .. } = self.of_units();
        let share = largest / size;
        (largest > 2.0 * size / units && share > margin / 2.0).then_some((largest as u64, share))
    }
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
        needed: Option<SampleSize>,
        /// Cases with which a candidate whose outcomes are all those of the baseline is promoted; `None` without a margin, and
        /// where this plan has as many.
        fewest: Option<u64>,
        variance: VarianceSource,
        /// More cases help in more clusters only.
        clustered: bool,
    },
    /// The candidate alone, against a required pass rate.
    Alone {
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
    AllAttempts { attempts: u32, estimate: Box<PowerEstimate> },
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
    let nothing_yet = Comparison { repeats: design.repeats, has_baseline: design.baseline, ..Comparison::default() };
    let judged = judge_error::assess(policy, &nothing_yet, deciding);
    if let Some(weak) = judged.weak {
        return Some(PowerEstimate::Weak(weak.message));
    }
    if !design.baseline {
        return Some(alone(policy, policy.min_pass_rate?, sizes));
    }
    let plan = PlannedComparison::new(&judged.policy, design, sizes, variance);
    let (fewest, promotes) = (plan.fewest(), plan.promotes(RUNS));
    Some(PowerEstimate::Compared {
        promotes,
        detectable: plan.detectable(),
        needed: (promotes < POWER).then(|| plan.needed()).flatten(),
        fewest: fewest.filter(|fewest| *fewest > sizes.cases),
        variance,
        clustered: sizes.clustered && design.estimand == Estimand::Population,
    })
}

#[derive(Clone, Copy)]
struct PlannedComparison<'a> {
    policy: &'a Policy,
    estimand: Estimand,
    repeats: u32,
    sizes: &'a Sizes,
    of_cases: Heaviness,
    of_units: Heaviness,
    /// So many times as many cases.
    factor: f64,
    variation: Variation,
    /// `None` where it is typical.
    within: Option<f64>,
}

impl<'a> PlannedComparison<'a> {
    fn new(policy: &'a Policy, design: &Design, sizes: &'a Sizes, variance: VarianceSource) -> PlannedComparison<'a> {
        let within = match variance {
            VarianceSource::Runs { within, .. } => Some(within),
            VarianceSource::Typical => None,
        };
        PlannedComparison {
            policy,
            estimand: design.estimand,
            repeats: design.repeats,
            sizes,
            of_cases: sizes.of_cases(),
            of_units: sizes.of_units(),
            factor: 1.0,
            variation: Variation { within: within.unwrap_or(TYPICAL.within), ..TYPICAL },
            within,
        }
    }

    /// What is drawn, and how heavy it is.
    fn drawn(&self) -> Heaviness {
        match self.estimand {
            Estimand::Population => self.of_units,
            Estimand::Dataset => self.of_cases,
        }
    }

    /// Equally heavy units.
    fn units(&self) -> f64 {
        let each = if self.estimand == Estimand::Dataset { f64::from(self.repeats) } else { 1.0 };
        self.drawn().effective() * self.factor * each
    }

    fn critical(&self, alpha: f64) -> f64 {
        let groups = self.of_units.units * self.factor;
        match self.estimand {
            Estimand::Population if self.sizes.clustered && groups < FEW_CLUSTERS as f64 => {
                student::critical(alpha, groups - 1.0)
            }
            Estimand::Population | Estimand::Dataset => normal::critical(alpha),
        }
    }

    /// The differences of units as they may look where the candidate has lost `loss` of the cases.
    fn model(&self, loss: f64) -> Differences {
        let (between, within, repeats) = match self.estimand {
            // The noise of a cluster's cases averages out.
            Estimand::Population => (
                self.variation.between,
                self.variation.within * (self.of_units.effective() / self.of_cases.effective()).min(1.0),
                f64::from(self.repeats),
            ),
            // The cases are given, and a unit is one answer in each arm.
            Estimand::Dataset => (0.0, self.variation.within, 1.0),
        };
        let kept = 1.0 - loss;
        let lasting = between.clamp(0.0, 1.0 - NOISY);
        let noise = within.max(0.0) / repeats;
        let noisy = (noise * repeats * repeats).min(NOISY);
        let step = if noisy > 0.0 { (noise / noisy).sqrt().min(1.0) } else { 0.0 };
        let mut units = Units::default();
        let mut add = |difference: f64, share: f64| {
            let unit = Unit { size: 1, sum: (difference * f64::from(PARTS)).round() as i128 };
            units.add(unit, (share * MODEL_UNITS).round() as u64);
        };
        add(-1.0, kept * lasting / 2.0 + loss);
        add(1.0, kept * lasting / 2.0);
        add(-step, kept * noisy / 2.0);
        add(step, kept * noisy / 2.0);
        add(0.0, kept * (1.0 - lasting - noisy));
        Differences::of_units(&units, u64::from(PARTS), UnitKind::Case)
    }

    /// The chance that the difference seen lies above (`sign` 1) or below (`sign` -1) `mu0` by what the test of error `alpha`
    /// asks for.
    fn chance(&self, model: &Differences, mu0: f64, sign: f64, alpha: f64) -> f64 {
        let (units, critical) = (self.units(), self.critical(alpha));
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

    fn is_simulated(&self) -> bool {
        let Heaviness { units, .. } = self.drawn();
        let uneven =
            self.drawn().unevenness() > 1.0 + 1e-9 || (self.sizes.clustered && self.estimand == Estimand::Population);
        let drawn = units.max(self.of_cases.units) * self.factor * f64::from(self.repeats);
        (uneven || self.units() < FEW_UNITS) && drawn <= MOST_UNITS
    }

    fn promotes(&self, runs: u32) -> f64 {
        if !self.is_simulated() {
            return self.chance(&self.model(0.0), -self.policy.margin, 1.0, self.policy.alpha);
        }
        let times = |units: u64| (units as f64 * self.factor).round() as u64;
        let groups: Vec<UnitGroup> = match self.estimand {
            Estimand::Population => {
                let units = self.sizes.units.iter();
                units
                    .map(|((size, cases), units)| UnitGroup { units: times(*units), size: *size, cases: *cases })
                    .collect()
            }
            Estimand::Dataset => {
                let weights = self.sizes.weights.iter();
                weights.map(|(size, cases)| UnitGroup { units: times(*cases), size: *size, cases: 1 }).collect()
            }
        };
        let clustered = self.sizes.clustered && self.estimand == Estimand::Population;
        let forecast = Forecast {
            groups: &groups,
            kind: if clustered { UnitKind::Cluster } else { UnitKind::Case },
            repeats: self.repeats,
            estimand: self.estimand,
            rule: Rule::of(self.policy),
            within: self.within,
        };
        forecast.promotes(runs)
    }

    fn detectable(&self) -> Option<f64> {
        let blocked =
            |loss: f64| self.chance(&self.model(loss), -self.policy.tolerance, -1.0, self.policy.block_alpha) >= POWER;
        blocked(1.0).then(|| bisect((0.0, 1.0), STEPS, |loss| !blocked(loss)))
    }

    /// What would promote an equally good candidate with a chance of 80%.
    fn needed(&self) -> Option<SampleSize> {
        let promotes = |repeats: u32| PlannedComparison { repeats, ..*self }.promotes(SEARCH_RUNS) >= POWER;
        let repeats = if self.is_simulated() {
            // More repeats never help where the cases are too few, so that few numbers are tried.
            [2, 3, 5, 10]
                .into_iter()
                .map(|times| self.repeats.saturating_mul(times))
                .find(|n| *n <= MAX_REPEATS && promotes(*n))
        } else {
            (self.repeats + 1..=MAX_REPEATS).find(|repeats| promotes(*repeats))
        };
        let enough = |factor: f64| PlannedComparison { factor, ..*self }.promotes(SEARCH_RUNS) >= POWER;
        let (mut few, mut many) = (1.0, 2.0);
        while !enough(many) {
            (few, many) = (many, 2.0 * many);
            if many > MAX_FACTOR {
                return None;
            }
        }
        let steps = if self.is_simulated() { SIMULATED_STEPS } else { STEPS };
        let many = bisect((few, many), steps, |factor| !enough(factor));
        Some(SampleSize { cases: (self.sizes.cases as f64 * many).ceil() as u64, repeats })
    }

    /// The fewest cases with which a candidate that differs nowhere is promoted.
    fn fewest(&self) -> Option<u64> {
        let (margin, drawn) = (self.policy.margin, self.drawn());
        let units_of_case = match self.estimand {
            Estimand::Population => drawn.units / self.sizes.cases as f64,
            Estimand::Dataset => f64::from(self.repeats),
        };
        (margin > 0.0 && units_of_case > 0.0).then(|| {
            let variance = drawn.unevenness() * margin * (1.0 - margin);
            (fewest(margin, variance, normal::critical(self.policy.alpha)) / units_of_case).ceil() as u64
        })
    }
}

fn alone(policy: &Policy, required: f64, sizes: &Sizes) -> PowerEstimate {
    // Of the number of units the same is taken as in the verdict: whole ones.
    let units = sizes.of_units().effective();
    let n = units.floor();
    let bounds = |passes: f64| proportions::conservative(passes / n.max(1.0), n as u64, policy.alpha);
    // The fewest passes that promote, and the most that block; both bounds grow with the passes.
    let promotes = sample_size::first_whole(-1.0, n + 1.0, &|passes| bounds(passes).0 >= required);
    let open = sample_size::first_whole(-1.0, n + 1.0, &|passes| bounds(passes).1 >= required);
    PowerEstimate::Alone {
        required,
        // P(X >= c) = I(p; c, n - c + 1) of a binomial variable.
        promoted_from: (n > 0.0 && promotes <= n)
            .then(|| if promotes > 0.0 { beta::quantile(promotes, n - promotes + 1.0, POWER) } else { 0.0 }),
        // P(X < c) = 1 - I(p; c, n - c + 1).
        blocked_to: (n > 0.0 && open > 0.0)
            .then(|| if open > n { 1.0 } else { beta::quantile(open, n - open + 1.0, 1.0 - POWER) }),
        fewest: sample_size::all_pass(required, policy.alpha)
            .filter(|_| n > 0.0)
            .map(|fewest| (fewest as f64 * sizes.cases as f64 / units).ceil() as u64),
    }
}

impl PowerEstimate {
    pub fn sentence(&self) -> String {
        match self {
            PowerEstimate::Compared { promotes, detectable, needed, fewest, variance, clustered } => {
                let mut sentence =
                    format!("an equally good candidate would be promoted with a chance of {}", chance(*promotes));
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
            PowerEstimate::Alone { required, promoted_from, blocked_to, fewest } => {
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
                    Some(rate) => parts
                        .push(format!("one that passes {} or less would be blocked as often", phrases::percent(*rate))),
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
            PowerEstimate::Compared { promotes, needed, variance, clustered, .. } if *promotes < HARDLY => {
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
            PowerEstimate::Alone { promoted_from: None, .. } | PowerEstimate::Weak(_) => {
                Some(format!("this plan can't promote: {}", self.sentence()))
            }
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
fn either(needed: &SampleSize, clustered: bool) -> String {
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
mod tests;
