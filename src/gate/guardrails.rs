//! Is the candidate worse beside its score: slower, dearer, longer, more often refusing or cut off?
//!
//! Each declared guardrail is a one-sided test of "worse by no more than is allowed". It blocks where that is rejected, with
//! all declared ones taken together (`multiplicity::believed`). It holds a promotion where being worse at all is shown, and the
//! worsening seen is beyond what is allowed; and where it can't be judged, for what was declared is not to be passed by
//! having no data. The tests, each with a case as its unit, so that repeats count for no more than they are:
//!
//! - **rates** (refusals, answers cut off): the score statistic of the gate itself (`score_test`) on the differences of a
//!   case's counts. Missing answers are counted in the candidate's favour where it would be blocked, and against it where a
//!   promotion would be held.
//! - **cost, tokens**: d = g - (1 + w) b for a case that took g in the candidate and b in the baseline, of which w more is
//!   allowed, has a mean of 0 where the ratio of means is just the allowed one. Student's t of d; and since what models
//!   write is skewed, a second time with t transformed for skewness (P. Hall, "On the removal of skewness by
//!   transformation", JRSS B 54 (1992), 221-228). The larger chance counts.
//! - **p95 of the latency**: if the candidate's 95th percentile is the allowed multiple of the baseline's, then both arms,
//!   the baseline's latencies multiplied, exceed a common threshold equally often. The threshold is the 95th percentile of
//!   both together, as in the median test of A. M. Mood, "Introduction to the theory of statistics" (1950), and W. J.
//!   Conover, "Practical nonparametric statistics" (1999), 3.5; the counts of a case are compared by the score statistic. It
//!   needs no bootstrap, and so neither random numbers nor all latencies in memory.

use super::{phrases, reason};
use crate::domain::{
    Comparison, GuardMetric, GuardRates, GuardStatus, Guardrail, LatencySums, PairSums, Policy, Reason, ReasonCode,
};
use crate::stats::multiplicity::reject_hypotheses;
use crate::stats::score_test::{CORRECTION, Differences};
use crate::stats::student;
use std::collections::BTreeMap;

/// Fewer cases say too little about a rate.
const FEWEST_FOR_RATES: u64 = 10;
/// Fewer cases say too little about a mean: their own scatter is not known.
const FEWEST_FOR_MEANS: u64 = 20;
/// Of fewer answers an arm hardly five are beyond the 95th percentile.
const FEWEST_LATENCIES: u64 = 100;
/// What is nearer to 0 than this share of the values is rounding.
const ROUNDING: f64 = 1e-9;
const NANO: f64 = 1e9;

pub(super) struct GuardrailFindings {
    pub(super) guardrails: Vec<Guardrail>,
    pub(super) reasons: Vec<Reason>,
}

struct Finding {
    n: u64,
    baseline: Option<f64>,
    candidate: Option<f64>,
    change: Option<f64>,
    /// Or why there is nothing.
    chances: Result<Chances, String>,
}

struct Chances {
    /// To see this if the worsening is just the allowed one.
    allowed: f64,
    /// To see this if there is none.
    any: f64,
    /// Beyond what is allowed as seen, and worse at all as shown.
    likely: bool,
}

/// The declared guardrails where nothing is compared: two equal requests can't differ, all else is not known.
pub(super) fn unanalyzed(policy: &Policy, comparison: &Comparison) -> Vec<Guardrail> {
    let equal = comparison.identical && comparison.has_baseline;
    let declared = policy.guardrails.declared().into_iter();
    declared
        .map(|(metric, allowed)| Guardrail {
            metric,
            n: 0,
            baseline: None,
            candidate: None,
            change: None,
            allowed,
            p: None,
            p_any: None,
            status: if equal { GuardStatus::Ok } else { GuardStatus::Unknown },
            why: (!equal).then(|| "the arms were not compared".to_owned()),
        })
        .collect()
}

pub(super) fn measure(policy: &Policy, comparison: &Comparison) -> GuardrailFindings {
    let mut guardrails = unanalyzed(policy, comparison);
    let mut likely = vec![false; guardrails.len()];
    for (guardrail, likely) in guardrails.iter_mut().zip(&mut likely) {
        let Finding { n, baseline, candidate, change, chances } =
            find(guardrail.metric, guardrail.allowed, policy.alpha, comparison);
        let (p, p_any, status, why) = match chances {
            Ok(chances) => {
                *likely = chances.likely;
                (Some(chances.allowed), Some(chances.any), GuardStatus::Ok, None)
            }
            Err(why) => (None, None, GuardStatus::Unknown, Some(why)),
        };
        *guardrail = Guardrail { n, baseline, candidate, change, p, p_any, status, why, ..guardrail.clone() };
    }
    let tested: Vec<usize> = (0..guardrails.len()).filter(|i| guardrails[*i].p.is_some()).collect();
    let chances: Vec<f64> = tested.iter().filter_map(|i| guardrails[*i].p).collect();
    for (i, believed) in tested.into_iter().zip(reject_hypotheses(&chances, policy.alpha)) {
        if believed {
            guardrails[i].status = GuardStatus::Block;
        } else if likely[i] {
            guardrails[i].status = GuardStatus::Hold;
        }
    }
    let reasons = guardrails.iter().filter_map(reason_against).collect();
    GuardrailFindings { guardrails, reasons }
}

fn find(metric: GuardMetric, allowed: f64, alpha: f64, comparison: &Comparison) -> Finding {
    let guards = &comparison.guards;
    let k = comparison.repeats;
    let finding = match metric {
        GuardMetric::RefusalRate => rate(&guards.refusals, k, allowed, alpha),
        GuardMetric::TruncationRate => rate(&guards.truncations, k, allowed, alpha),
        GuardMetric::OutputTokens => {
            let unknown = "the service does not count the tokens";
            mean(&guards.output_tokens, f64::from(k), allowed, alpha, unknown)
        }
        GuardMetric::Cost => {
            let unknown =
                "the price is not known (set it in promptgate.toml, under [prices]; a recorded answer has none)";
            mean(&guards.cost, f64::from(k) * NANO, allowed, alpha, unknown)
        }
        GuardMetric::LatencyP95 => latency(&guards.latency, k, allowed, alpha),
    };
    if comparison.has_baseline {
        finding
    } else {
        Finding { chances: Err("there is no baseline".to_owned()), ..finding }
    }
}

fn too_few(n: u64, fewest: u64) -> String {
    format!("{} to go by, at least {fewest} are needed", phrases::count(n, "case"))
}

/// Refusals and the like. The keys of the histograms are negative where the candidate is worse, like those of scores.
fn rate(sums: &GuardRates, repeats: u32, allowed: f64, alpha: f64) -> Finding {
    let (missing_for, missing_against) =
        (Differences::new(&sums.missing_for, repeats), Differences::new(&sums.missing_against, repeats));
    let answers = sums.cases as f64 * f64::from(repeats);
    let share = |happened: u64| (answers > 0.0).then(|| happened as f64 / answers);
    let (baseline, candidate) = (share(sums.happened.0), share(sums.happened.1));
    let n: u64 = sums.missing_for.values().sum();
    let below = |differences: &Differences, mu0: f64| differences.chance_below(mu0, CORRECTION);
    Finding {
        n,
        baseline,
        candidate,
        change: candidate.zip(baseline).map(|(candidate, baseline)| candidate - baseline),
        chances: if n < FEWEST_FOR_RATES {
            Err(too_few(n, FEWEST_FOR_RATES))
        } else {
            Ok(Chances {
                allowed: below(&missing_for, -allowed),
                any: below(&missing_for, 0.0),
                likely: missing_against.mean().is_some_and(|mean| -mean > allowed + ROUNDING)
                    && below(&missing_against, 0.0) <= alpha,
            })
        },
    }
}

/// Cost and tokens; `unit` makes a case's sum a mean over its repeats, in the unit of the report.
fn mean(sums: &PairSums, unit: f64, allowed: f64, alpha: f64, unknown: &str) -> Finding {
    let n = sums.cases;
    let [candidate, baseline] = sums.first.map(|sum| sum as f64);
    let per_case = |sum: f64| (n > 0 && !sums.overflow).then(|| sum / (n as f64 * unit));
    let change = (baseline > 0.0 && !sums.overflow).then(|| candidate / baseline - 1.0);
    let any = paired_chance(sums, 0.0);
    Finding {
        n,
        baseline: per_case(baseline),
        candidate: per_case(candidate),
        change,
        chances: match change {
            _ if sums.unknown > 0 => Err(format!("for {} {unknown}", phrases::count(sums.unknown, "case"))),
            _ if n < FEWEST_FOR_MEANS => Err(too_few(n, FEWEST_FOR_MEANS)),
            _ if sums.overflow => Err("the sums are beyond what can be computed".to_owned()),
            None => Err("the baseline has none, so no share of it can be told".to_owned()),
            Some(change) => Ok(Chances {
                allowed: paired_chance(sums, allowed),
                any,
                likely: change > allowed + ROUNDING && any <= alpha,
            }),
        },
    }
}

/// The chance to see such a mean of d = g - (1 + allowed) b, or a larger one, if its true mean is 0.
fn paired_chance(sums: &PairSums, allowed: f64) -> f64 {
    let n = sums.cases as f64;
    let a = 1.0 + allowed;
    let [g, b] = sums.first.map(|sum| sum as f64 / n);
    let [gg, gb, bb] = sums.second.map(|sum| sum as f64 / n);
    let [ggg, ggb, gbb, bbb] = sums.third.map(|sum| sum as f64 / n);
    // The moments of d about 0, then about its mean.
    let first = g - a * b;
    let second = gg - 2.0 * a * gb + a * a * bb;
    let third = ggg - 3.0 * a * ggb + 3.0 * a * a * gbb - a * a * a * bbb;
    let size = (gg + a * a * bb).sqrt();
    let variance = second - first * first;
    if variance.is_nan() || variance <= (ROUNDING * size).powi(2).max(f64::EPSILON * size * size) {
        // All cases differ by the same: then there is nothing but their number to go by.
        return if first > ROUNDING * size { 0.5f64.powf(n) } else { 1.0 };
    }
    let skewness = (third - 3.0 * first * second + 2.0 * first.powi(3)) / variance.powf(1.5);
    let t = first / (variance / (n - 1.0)).sqrt();
    let step = skewness / n.sqrt();
    let corrected = t + step * (t * t / 3.0 + 1.0 / 6.0) + step * step * t.powi(3) / 27.0;
    student::above(t, n - 1.0).max(student::above(corrected, n - 1.0))
}

fn latency(sums: &LatencySums, repeats: u32, allowed: f64, alpha: f64) -> Finding {
    let LatencySums { cases, cold, p95, beyond, beyond_any } = sums;
    let (n, answers) = (*cases, *cases * u64::from(repeats));
    let (baseline, candidate) = (p95.0 as f64, p95.1 as f64);
    let below = |histogram: &BTreeMap<i64, u64>| Differences::new(histogram, repeats).chance_below(0.0, CORRECTION);
    let change = (baseline > 0.0).then(|| candidate / baseline - 1.0);
    let any = below(beyond_any);
    Finding {
        n,
        baseline: (n > 0).then_some(baseline),
        candidate: (n > 0).then_some(candidate),
        change,
        chances: match change {
            _ if n < FEWEST_FOR_MEANS || answers < FEWEST_LATENCIES => {
                let mut why = format!(
                    "latencies of {} to go by, at least {FEWEST_FOR_MEANS} cases and {FEWEST_LATENCIES} answers an arm are needed",
                    phrases::count(n, "case")
                );
                if *cold > 0 {
                    why.push_str(&format!(
                        "; of {} this run did not ask for each answer one by one (--cache refresh does, --batch never)",
                        phrases::count(*cold, "case")
                    ));
                }
                Err(why)
            }
            None => Err("the baseline takes less than a millisecond, so no share of it can be told".to_owned()),
            Some(change) => {
                Ok(Chances { allowed: below(beyond), any, likely: change > allowed + ROUNDING && any <= alpha })
            }
        },
    }
}

fn reason_against(guardrail: &Guardrail) -> Option<Reason> {
    let name = name(guardrail.metric);
    let allowed = amount(guardrail.metric, guardrail.allowed);
    let values = || {
        let value = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |value| shown(guardrail.metric, value));
        let change =
            guardrail.change.map_or_else(String::new, |change| format!(", {} more", amount(guardrail.metric, change)));
        format!(
            "{} against {}{change}, {}",
            value(guardrail.candidate),
            value(guardrail.baseline),
            phrases::count(guardrail.n, "case")
        )
    };
    let chance = |p: Option<f64>| p.map_or_else(String::new, |p| format!(", {}", phrases::chance(p)));
    match guardrail.status {
        GuardStatus::Ok => None,
        GuardStatus::Block => Some(reason(
            ReasonCode::Guardrail,
            format!(
                "the candidate's {name} is worse by more than the allowed {allowed}: {}{}",
                values(),
                chance(guardrail.p)
            ),
        )),
        GuardStatus::Hold => Some(reason(
            ReasonCode::GuardrailOpen,
            format!(
                "the candidate's {name} is worse, and probably by more than the allowed {allowed}: {}{}; more cases would \
                 settle it",
                values(),
                chance(guardrail.p_any)
            ),
        )),
        GuardStatus::Unknown => Some(reason(
            ReasonCode::GuardrailOpen,
            format!(
                "whether the {name} is worse by more than the allowed {allowed} can't be judged: {}",
                guardrail.why.as_deref().unwrap_or("nothing is known")
            ),
        )),
    }
}

fn name(metric: GuardMetric) -> &'static str {
    match metric {
        GuardMetric::LatencyP95 => "95th percentile of the latency",
        GuardMetric::Cost => "cost of a case",
        GuardMetric::OutputTokens => "number of output tokens",
        GuardMetric::RefusalRate => "share of refusals",
        GuardMetric::TruncationRate => "share of answers that are cut off",
    }
}

/// `20%`, or `2 points`.
fn amount(metric: GuardMetric, share: f64) -> String {
    if metric.is_relative() { phrases::percent(share) } else { phrases::points(share) }
}

fn shown(metric: GuardMetric, value: f64) -> String {
    match metric {
        GuardMetric::LatencyP95 => format!("{value:.0} ms"),
        GuardMetric::Cost => format!("${value:.6}"),
        GuardMetric::OutputTokens => format!("{value:.1}"),
        GuardMetric::RefusalRate | GuardMetric::TruncationRate => phrases::percent(value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{compared, policy};
    use super::*;
    use crate::domain::{GuardSums, Guardrails};

    /// Sums of (candidate, baseline), a pair a case.
    fn pairs(cases: impl IntoIterator<Item = (i128, i128)>) -> PairSums {
        let mut sums = PairSums::default();
        for (g, b) in cases {
            sums.cases += 1;
            for (sum, term) in sums.first.iter_mut().zip([g, b]) {
                *sum += term;
            }
            for (sum, term) in sums.second.iter_mut().zip([g * g, g * b, b * b]) {
                *sum += term;
            }
            for (sum, term) in sums.third.iter_mut().zip([g * g * g, g * g * b, g * b * b, b * b * b]) {
                *sum += term;
            }
        }
        sums
    }

    fn measured(guardrails: Guardrails, guards: GuardSums) -> GuardrailFindings {
        let policy = Policy { guardrails, ..policy() };
        let comparison = Comparison { guards, ..compared(&[(0, 100)], 3) };
        measure(&policy, &comparison)
    }

    fn refusals(histogram: &[(i64, u64)]) -> GuardSums {
        let differences: BTreeMap<i64, u64> = histogram.iter().copied().collect();
        GuardSums {
            refusals: GuardRates {
                missing_against: differences.clone(),
                missing_for: differences,
                ..GuardRates::default()
            },
            ..GuardSums::default()
        }
    }

    fn tokens(sums: PairSums) -> GuardSums {
        GuardSums { output_tokens: sums, ..GuardSums::default() }
    }

    const REFUSALS: Guardrails = Guardrails {
        cost: None,
        latency_p95: None,
        output_tokens: None,
        refusal_rate: Some(0.02),
        truncation_rate: None,
    };
    const TOKENS: Guardrails = Guardrails { refusal_rate: None, output_tokens: Some(0.2), ..REFUSALS };

    #[test]
    fn a_rate_blocks_where_it_is_shown_and_holds_where_it_is_likely() {
        use GuardStatus::{Block, Hold, Ok, Unknown};
        for (histogram, status) in [
            (&[(0, 100)][..], Ok),
            (&[(3, 100)], Ok),
            (&[(-3, 9)], Unknown),
            (&[], Unknown),
            (&[(-3, 10), (0, 90)], Block),
            // Shown to be worse, not by more than 2 points.
            (&[(-3, 4), (0, 96)], Hold),
            // Worse by 2 points and no more, and not even that is shown.
            (&[(-3, 2), (0, 98)], Ok),
        ] {
            let measured = measured(REFUSALS, refusals(histogram));
            assert_eq!(measured.guardrails[0].status, status, "{histogram:?}");
            let codes: Vec<ReasonCode> = measured.reasons.iter().map(|reason| reason.code).collect();
            let expected: &[ReasonCode] = match status {
                Ok => &[],
                Block => &[ReasonCode::Guardrail],
                Hold | Unknown => &[ReasonCode::GuardrailOpen],
            };
            assert_eq!(codes, expected, "{histogram:?}");
        }
    }

    #[test]
    fn missing_answers_keep_a_rate_from_blocking_and_may_hold_it() {
        let mut guards = refusals(&[(-3, 10), (0, 90)]);
        guards.refusals.missing_for = BTreeMap::from([(0, 100)]);
        assert_eq!(measured(REFUSALS, guards).guardrails[0].status, GuardStatus::Hold);
    }

    #[test]
    fn a_mean_blocks_where_it_is_shown_and_holds_where_it_is_likely() {
        use GuardStatus::{Block, Hold, Ok, Unknown};
        // Ratios around 1.0, 1.5 and so on: every case its own number of tokens, and noise of a tenth.
        let noisy = |n: i128, percent: i128| {
            pairs((0..n).map(move |i| {
                let b = 1000 + i * 37 % 400;
                (b * (percent + i * 7 % 21 - 10) / 100, b)
            }))
        };
        for (sums, status) in [
            (noisy(100, 100), Ok),
            (noisy(100, 119), Ok),
            (noisy(100, 150), Block),
            (noisy(20, 125), Hold),
            (noisy(19, 150), Unknown),
            (pairs([]), Unknown),
            // Nothing to be more than.
            (pairs((0..50).map(|_| (10, 0))), Unknown),
            // Alike everywhere: only the number of cases speaks.
            (pairs((0..50).map(|_| (10, 5))), Block),
            // Just what is allowed is not beyond it.
            (pairs((0..50).map(|_| (6, 5))), Ok),
            (pairs((0..50).map(|_| (5, 5))), Ok),
            // In one case out of many.
            (pairs((0..50).map(|i| (if i == 0 { 3000 } else { 100 }, 100))), Ok),
            (PairSums { unknown: 1, ..noisy(100, 100) }, Unknown),
            (PairSums { overflow: true, ..noisy(100, 100) }, Unknown),
        ] {
            let measured = measured(TOKENS, tokens(sums));
            assert_eq!(measured.guardrails[0].status, status, "{sums:?} {:?}", measured.guardrails);
        }
    }

    /// Ten pairs (g, b) of which 1.1 times the second is allowed, by hand: d = 20, 18, 2, 36, 7, 23, -12, 16, 24, 11 has t
    /// 3.4427 and a chance of .003679 by Student; its skewness of -.4662 makes that 2.8685 and .009261.
    #[test]
    fn the_chance_is_that_of_students_t_and_not_smaller_for_skewness() {
        let cases = [
            (130, 100),
            (260, 220),
            (90, 80),
            (300, 240),
            (150, 130),
            (210, 170),
            (120, 120),
            (170, 140),
            (200, 160),
            (110, 90),
        ];
        let got = paired_chance(&pairs(cases), 0.1);
        assert!((got - 0.009_260_562_954_6).abs() < 1e-8, "{got}");
        // The same skewed to the other side: Student's chance stands.
        let mirrored = cases.map(|(g, b)| (29 - (g - 11 * b / 10) + b, b));
        let got = paired_chance(&pairs(mirrored), 0.0);
        assert!((got - 0.003_679_270_818_4).abs() < 1e-8, "{got}");
    }

    #[test]
    fn declared_guardrails_are_believed_together() {
        let mut guards = refusals(&[(-3, 7), (0, 93)]);
        guards.output_tokens = pairs((0..100).map(|i| (1000 + i, 1000 + i)));
        let alone = measured(REFUSALS, guards.clone()).guardrails[0].clone();
        assert_eq!(alone.status, GuardStatus::Block);
        let p = alone.p.unwrap();
        assert!(p > 0.0125 && p < 0.05, "{p}");
        let several = Guardrails { output_tokens: Some(0.2), truncation_rate: Some(0.02), ..REFUSALS };
        guards.truncations = refusals(&[(0, 100)]).refusals;
        let together = measured(several, guards);
        assert_eq!(together.guardrails[1].status, GuardStatus::Hold, "{:?}", together.guardrails);
    }

    #[test]
    fn without_a_baseline_or_latencies_nothing_is_known() {
        let policy = Policy { guardrails: Guardrails { latency_p95: Some(0.2), ..REFUSALS }, ..policy() };
        let alone = Comparison { guards: refusals(&[(0, 100)]), has_baseline: false, ..compared(&[(0, 100)], 3) };
        let found = measure(&policy, &alone);
        assert!(found.guardrails.iter().all(|guardrail| guardrail.status == GuardStatus::Unknown));
        let mut cached = Comparison { guards: refusals(&[(0, 100)]), ..compared(&[(0, 100)], 3) };
        cached.guards.latency.cold = 100;
        let found = measure(&policy, &cached);
        insta::assert_snapshot!(found.reasons[0].message, @"whether the 95th percentile of the latency is worse by more than the allowed 20% can't be judged: latencies of 0 cases to go by, at least 20 cases and 100 answers an arm are needed; of 100 cases this run did not ask for each answer one by one (--cache refresh does, --batch never)");
        assert_eq!(found.guardrails[1].status, GuardStatus::Ok);
        // Equal requests have equal costs and latencies.
        let identical = Comparison { identical: true, ..cached };
        assert!(unanalyzed(&policy, &identical).iter().all(|found| found.status == GuardStatus::Ok));
    }

    #[test]
    fn reasons_say_the_numbers() {
        let mut guards = refusals(&[(-3, 10), (0, 90)]);
        guards.refusals.cases = 100;
        guards.refusals.happened = (3, 33);
        guards.output_tokens = pairs((0..40).map(|i| (3000 + i * 150 % 400, 2500)));
        guards.cost.unknown = 4;
        let all = Guardrails { cost: Some(0.1), output_tokens: Some(0.25), ..REFUSALS };
        let messages: Vec<String> = measured(all, guards).reasons.into_iter().map(|reason| reason.message).collect();
        insta::assert_snapshot!(messages.join("\n"), @"
        whether the cost of a case is worse by more than the allowed 10% can't be judged: for 4 cases the price is not known (set it in promptgate.toml, under [prices]; a recorded answer has none)
        the candidate's number of output tokens is worse by more than the allowed 25%: 1058.3 against 833.3, 27% more, 40 cases, p 0.005
        the candidate's share of refusals is worse by more than the allowed 2 points: 11% against 1%, 10 points more, 100 cases, p 0.004
        ");
    }
}
