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
//! off by less than five points from 50 cases on, and promises up to five too much at 20.
//!
//! The loss that would be blocked with a chance of 80% is found in the same way, where a loss breaks cases outright.

use super::judge_error;
use super::phrases;
use super::sample_size;
use crate::domain::{Comparison, DecidingJudges, Design, Estimand, Policy, SampleSize, Unit, Units};
use crate::stats::planning::{POWER, TYPICAL, Variation, fewest_cases};
use crate::stats::proportions;
use crate::stats::score_test::{CORRECTION, Differences, UnitKind};
use crate::stats::{beta, bisect, normal, student};

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
const STEPS: u32 = 40;

/// How much the planned cases can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sizes {
    pub cases: u64,
    /// Equally heavy cases that tell as much: (Σw)² / Σw², at most `cases`.
    pub weighed: f64,
    /// The same of what is drawn independently: clusters, and cases that are in none.
    pub units: f64,
    /// How many of these there are.
    pub groups: u64,
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

    fn promotes(&self) -> f64 {
        self.chance(&self.model(0.0), -self.policy.margin, 1.0)
    }

    fn detectable(&self) -> Option<f64> {
        let blocked = |loss: f64| self.chance(&self.model(loss), -self.policy.tolerance, -1.0) >= POWER;
        blocked(1.0).then(|| bisect((0.0, 1.0), STEPS, |loss| !blocked(loss)))
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
    fn needed(&self, sizes: &Sizes) -> Option<SampleSize> {
        let repeats = (self.repeats + 1..=MAX_REPEATS)
            .find(|repeats| PlannedComparison { repeats: *repeats, ..*self }.promotes() >= POWER);
        let enough = |factor: f64| self.times(factor).promotes() >= POWER;
        let (mut few, mut many) = (1.0, 2.0);
        while !enough(many) {
            (few, many) = (many, 2.0 * many);
            if many > MAX_FACTOR {
                return None;
            }
        }
        let many = bisect((few, many), STEPS, |factor| !enough(factor));
        Some(SampleSize { cases: (sizes.cases as f64 * many).ceil() as u64, repeats })
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

fn alone(policy: &Policy, required: f64, sizes: &Sizes) -> PowerEstimate {
    // Of the number of units the same is taken as in the verdict: whole ones.
    let n = sizes.units.floor();
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
            .map(|units| (units as f64 * sizes.cases as f64 / sizes.units).ceil() as u64),
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
