//! What the errors of judges mean for a verdict.
//!
//! A judge that decides both arms blurs their difference: with sensitivity Se and specificity Sp it shows
//! J = Se + Sp - 1 of a true one (Youden's J). So a loss of the margin m looks like m J, and that is what has to be excluded;
//! likewise for the tolerance. Se and Sp come from labelled answers and are themselves uncertain. The margin is scaled by
//! the lower confidence bound of J, for a J that is taken too high would promote what is worse by more than the margin.
//! The tolerance is scaled by the estimate: a lower one would block what may be good, only for want of labels.
//!
//! The bound is the square-and-add ("MOVER") one of R. G. Newcombe, "Interval estimation for the difference between
//! independent proportions", Statistics in Medicine 17 (1998), 873-890, method 10: J is the difference Se - (1 - Sp).

use super::statistics::{mean_rate, share};
use super::{phrases, reason};
use crate::domain::{
    Agreement, Calibration, Comparison, CorrectedRate, CorrectedRates, DecidingJudge, DecidingJudges, JudgeEvidence,
    JudgeRecord, JudgeScale, Policy, RateSums, Reason, ReasonCode, Warning, WarningCode,
};
use crate::stats::judge_error::{Judge, RateEstimate};
use crate::stats::normal::critical;
use crate::stats::proportions::{conservative, wilson};

/// Below this J nothing is decided: more than half of a true difference would be lost.
pub const LEAST_YOUDEN: f64 = 0.5;

const MAX_NAMED: usize = 5;

/// The one-sided lower bound of Youden's J, at the critical value `z`; at most J itself, and at least -1.
pub fn youden_low(counts: &Agreement, z: f64) -> f64 {
    let below = |share: f64, n: u64| share - wilson(share, n, z).0;
    let sensitivity = below(counts.sensitivity(), counts.passing());
    let specificity = below(counts.specificity(), counts.failing());
    (counts.youden() - sensitivity.hypot(specificity)).max(-1.0)
}

pub(super) struct JudgeEffect {
    /// The rules, as they read on the judges' scale.
    pub(super) policy: Policy,
    /// Speaks against comparing: the judges err too often, or are known too little.
    pub(super) weak: Option<Reason>,
    pub(super) warnings: Vec<Warning>,
    pub(super) found: JudgeEvidence,
    /// The margins of the policy as it was written, for the sentence.
    written: (f64, f64),
    /// The one judge that alone decides every case, if its errors are known.
    alone: Option<Agreement>,
}

pub(super) fn assess(policy: &Policy, comparison: &Comparison, judges: Option<&DecidingJudges>) -> JudgeEffect {
    let mut effect = JudgeEffect {
        policy: policy.clone(),
        weak: None,
        warnings: Vec::new(),
        found: JudgeEvidence::default(),
        written: (policy.margin, policy.tolerance),
        alone: None,
    };
    let Some(deciding) = judges.filter(|deciding| !deciding.judges.is_empty()) else {
        return effect;
    };
    let z = critical(policy.alpha);
    effect.found.deciding = deciding.judges.iter().map(|judge| record(judge, z)).collect();
    effect.warnings = warnings(&deciding.judges);
    // Knowing a judge by what it was must not count for more than knowing that it errs.
    if let Some(stale) = effect.warnings.iter().find(|warning| warning.code == WarningCode::JudgeStale) {
        effect.weak = Some(reason(ReasonCode::JudgeStale, stale.message.clone()));
        return effect;
    }
    let Some((scale, weakest)) = scale(policy, deciding, z) else {
        return effect;
    };
    // Negated, so that what is no number is too small.
    if !(scale.youden >= LEAST_YOUDEN && scale.youden_low >= LEAST_YOUDEN) {
        effect.weak = Some(weak(deciding, weakest, &scale));
        return effect;
    }
    if let ([DecidingJudge { calibration: Calibration::Known(counts), .. }], true) =
        (deciding.judges.as_slice(), deciding.alone)
    {
        effect.alone = Some(*counts);
        effect.found.corrected = Some(CorrectedRates {
            baseline: corrected(comparison.baseline_rate, comparison.repeats, counts)
                .filter(|_| comparison.has_baseline),
            candidate: corrected(comparison.candidate_rate, comparison.repeats, counts),
        });
    }
    if comparison.has_baseline {
        effect.policy.margin = scale.margin_scaled;
        effect.policy.tolerance = scale.tolerance_scaled;
        // What holds for the whole holds for a tag: excluding a loss takes the bound, showing one the estimate.
        effect.policy.critical_margin = policy.critical_margin.map(|margin| margin * scale.youden_low);
        effect.policy.slice_margin = policy.slice_margin * scale.youden;
        effect.found.scale = Some(scale);
    }
    effect
}

impl JudgeEffect {
    /// Says on which scale a comparison was decided.
    pub(super) fn explain(&self, reason: &mut Reason) {
        let Some(scale) = &self.found.scale else { return };
        if !matches!(reason.code, ReasonCode::NotWorse | ReasonCode::Regression | ReasonCode::TooFew) {
            return;
        }
        let (margin, tolerance) = self.written;
        reason.message.push_str(&format!(
            "; the deciding judge shows {} of a true difference, at least {}, so a tolerance of {} counts as {} and a margin of {} \
             as {}",
            phrases::percent(scale.youden),
            phrases::percent(scale.youden_low),
            phrases::points(tolerance),
            phrases::points(scale.tolerance_scaled),
            phrases::points(margin),
            phrases::points(scale.margin_scaled)
        ));
    }

    /// Without a baseline: a judge that lets bad answers pass must not lift the rate above the required one. If the true rate
    /// were the required one, the judge would show at most `required Se + (1 - required)(1 - Sp)`, with the upper bound of Se
    /// and the lower one of Sp.
    pub(super) fn lenient(&self, comparison: &Comparison, decided: &Reason) -> Option<Reason> {
        let (counts, required) = (self.alone.as_ref()?, self.policy.min_pass_rate?);
        if decided.code != ReasonCode::PassRate {
            return None;
        }
        let z = critical(self.policy.alpha);
        let sensitivity = wilson(counts.sensitivity(), counts.passing(), z).1;
        let specificity = wilson(counts.specificity(), counts.failing(), z).0;
        let shown = required * sensitivity + (1.0 - required) * (1.0 - specificity);
        let (rate, cases) = mean_rate(&comparison.passes_missing_against, comparison.repeats);
        let low = conservative(rate, cases, self.policy.alpha).0;
        // What is no number does not reach it.
        let reached = low >= shown;
        (!reached).then(|| {
            reason(
                ReasonCode::JudgeLenient,
                format!(
                    "the pass rate is at least {}, but the judge passes bad answers: a candidate with exactly the required {} of \
                     good answers may show {}",
                    phrases::percent(low),
                    phrases::percent(required),
                    phrases::percent(shown)
                ),
            )
        })
    }
}

/// The smallest J of any kind of case, and the place of that kind; `None` if no judge's errors are known. Where several
/// judges decide a case, a difference must show through all of them, so their J are multiplied. One whose errors are not
/// known counts as without any, which the warnings say.
fn scale(policy: &Policy, deciding: &DecidingJudges, z: f64) -> Option<(JudgeScale, usize)> {
    let known = |place: &usize| match &deciding.judges.get(*place)?.calibration {
        Calibration::Known(counts) => Some(counts),
        Calibration::None | Calibration::Stale(_) => None,
    };
    let together = |of: &dyn Fn(&Agreement) -> f64| {
        deciding
            .together
            .iter()
            .enumerate()
            .filter(|(_, kind)| kind.iter().any(|place| known(place).is_some()))
            .map(|(at, kind)| {
                let product: f64 = kind.iter().filter_map(known).map(|counts| of(counts).max(0.0)).product();
                (at, product)
            })
            .min_by(|one, other| one.1.total_cmp(&other.1))
    };
    let (_, youden) = together(&Agreement::youden)?;
    let (weakest, low) = together(&|counts| youden_low(counts, z))?;
    let scale = JudgeScale {
        youden,
        youden_low: low,
        margin_scaled: policy.margin * low,
        tolerance_scaled: policy.tolerance * youden,
    };
    Some((scale, weakest))
}

fn weak(deciding: &DecidingJudges, weakest: usize, scale: &JudgeScale) -> Reason {
    let kind = deciding.together.get(weakest).map(Vec::as_slice).unwrap_or_default();
    let judges: Vec<&DecidingJudge> = kind.iter().filter_map(|place| deciding.judges.get(*place)).collect();
    let names = listed(&judges);
    let (several, errs, agrees) =
        if judges.len() == 1 { ("the judge", "errs", "agrees") } else { ("together the judges", "err", "agree") };
    let message = if scale.youden >= LEAST_YOUDEN {
        format!(
            "{several} {names} may show less than half of a true difference: Youden's J is {:.2} by the labels, but it may be \
             {:.2}; label more answers, of both kinds, and run `promptgate judge calibrate` again",
            scale.youden, scale.youden_low
        )
    } else {
        format!(
            "{several} {names} {errs} too often to decide by: Youden's J is {:.2} by the labels, at least {LEAST_YOUDEN} is \
             needed; mend rubric, prompt or model until {agrees} with people, then run `promptgate judge calibrate` again",
            scale.youden,
            agrees = if judges.len() == 1 { format!("it {agrees}") } else { format!("they {agrees}") },
        )
    };
    reason(ReasonCode::JudgeWeak, message)
}

fn record(judge: &DecidingJudge, z: f64) -> JudgeRecord {
    let counts = match &judge.calibration {
        Calibration::Known(counts) => Some(counts),
        Calibration::None | Calibration::Stale(_) => None,
    };
    JudgeRecord {
        name: judge.judge_use.judge.clone(),
        model: judge.model.clone(),
        prompt_sha256: judge.prompt_sha256.clone(),
        votes: judge.judge_use.votes,
        rule: judge.judge_use.rule.clone(),
        calibrated: counts.is_some(),
        labels: counts.map(Agreement::labels),
        sensitivity: counts.map(Agreement::sensitivity),
        specificity: counts.map(Agreement::specificity),
        youden: counts.map(Agreement::youden),
        youden_low: counts.map(|counts| youden_low(counts, z)),
    }
}

fn corrected(sums: RateSums, repeats: u32, counts: &Agreement) -> Option<CorrectedRate> {
    let (apparent, cases) = share(sums, repeats)?;
    let labels = Some((counts.passing(), counts.failing()));
    let judge = Judge { sensitivity: counts.sensitivity(), specificity: counts.specificity() };
    let RateEstimate { rate, standard_error } = judge.rogan_gladen(apparent, cases, labels)?;
    Some(CorrectedRate { pass: rate.clamp(0.0, 1.0), standard_error })
}

/// One warning of each kind, whatever the number of judges.
fn warnings(judges: &[DecidingJudge]) -> Vec<Warning> {
    let again = "run `promptgate judge calibrate`";
    let of = |wanted: &dyn Fn(&DecidingJudge) -> bool| -> Vec<&DecidingJudge> {
        judges.iter().filter(|judge| wanted(judge)).collect()
    };
    let mut warnings = Vec::new();
    let mut warn = |code, message| warnings.push(Warning { code, message });
    let unknown = of(&|judge| judge.calibration == Calibration::None);
    if !unknown.is_empty() {
        let message = format!(
            "judge not calibrated: {} was never held against people's judgement, so how often it errs is not known, and the \
             margins stand as they are; label some answers and {again}",
            listed(&unknown)
        );
        warn(WarningCode::JudgeUncalibrated, message);
    }
    let stale = of(&|judge| matches!(judge.calibration, Calibration::Stale(_)));
    if let Some(DecidingJudge { calibration: Calibration::Stale(why), .. }) = stale.first() {
        let message = format!(
            "judge not calibrated: the calibration of {} is of another judge ({}), so it is not used, and the margins stand as \
             they are; {again} again",
            listed(&stale),
            phrases::quoted(why)
        );
        warn(WarningCode::JudgeStale, message);
    }
    let other = of(&|judge| judge.other_labels && matches!(judge.calibration, Calibration::Known(_)));
    if !other.is_empty() {
        let message = format!(
            "the golden files hold other labels than those that {} was calibrated with; {again} again",
            listed(&other)
        );
        warn(WarningCode::JudgeLabels, message);
    }
    warnings
}

fn listed(judges: &[&DecidingJudge]) -> String {
    let mut names: Vec<String> = Vec::new();
    for judge in judges {
        let name = format!("`{}`", phrases::quoted(&judge.judge_use.to_string()));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let total = names.len() as u64;
    phrases::list(names, total, MAX_NAMED)
}

#[cfg(test)]
mod tests;
