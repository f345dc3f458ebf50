//! What guardrails are judged by: refusals, answers cut off, tokens, cost and latency, paired by case.
//!
//! Everything is kept as integer sums and histograms: their size does not grow with the number of cases, and their order
//! does not matter. Only the planned repeats are looked at, and only cases of which none was left out as identical.

use super::latency::{Latencies, bucket};
use crate::domain::{
    Answer, ArmRow, GuardRates, GuardSums, LatencySums, Outcome, PairSums, ScoredSample, Skip, Source,
};
use std::collections::BTreeMap;

/// Billionths of a US dollar in a dollar.
const NANO: f64 = 1e9;

#[derive(Clone, Debug, Default)]
pub(super) struct Guards {
    sums: GuardSums,
    /// Where latencies matter: with the allowed share, and without.
    latency: Option<(PairedLatencies, PairedLatencies)>,
    warm: (Latencies, Latencies),
}

impl Guards {
    /// Latencies, too, of which the candidate's may be longer by this share.
    pub(super) fn with_latency(&mut self, allowed: f64) {
        self.latency = Some((PairedLatencies::new(allowed), PairedLatencies::new(0.0)));
    }

    pub(super) fn add(&mut self, baseline: &ArmRow, candidate: &ArmRow, repeats: u32) {
        let (baseline, candidate) = (planned(baseline, repeats), planned(candidate, repeats));
        let both = || baseline.iter().chain(candidate);
        let identical = |judged: &ScoredSample| judged.outcome == Outcome::Skipped(Skip::Identical);
        if repeats == 0 || both().any(identical) {
            return;
        }
        let GuardSums { refusals, truncations, output_tokens, cost, latency } = &mut self.sums;
        let told = |judged: &ScoredSample| judged.answer.is_none() || judged.refused.is_some();
        if both().all(told) {
            add_rate(refusals, (baseline, candidate), repeats, |judged| judged.refused == Some(true));
        }
        add_rate(truncations, (baseline, candidate), repeats, |judged| {
            judged.answer.as_ref().is_some_and(Answer::is_cut_off)
        });
        let complete =
            |arm: &[ScoredSample]| arm.len() == repeats as usize && arm.iter().all(|judged| judged.answer.is_some());
        if !(complete(baseline) && complete(candidate)) {
            return;
        }
        add_pair(output_tokens, sum(baseline, tokens), sum(candidate, tokens));
        add_pair(cost, sum(baseline, nano_dollars), sum(candidate, nano_dollars));
        if let Some((allowed, any)) = &mut self.latency {
            if !both().all(is_warm) {
                latency.cold += 1;
                return;
            }
            latency.cases += 1;
            let (baseline, candidate) = (milliseconds(baseline), milliseconds(candidate));
            baseline.iter().for_each(|value| self.warm.0.add(*value));
            candidate.iter().for_each(|value| self.warm.1.add(*value));
            allowed.add(&baseline, &candidate);
            any.add(&baseline, &candidate);
        }
    }

    pub(super) fn finish(mut self) -> GuardSums {
        if let Some((allowed, any)) = self.latency {
            let LatencySums { cases, cold: _, p95, beyond, beyond_any } = &mut self.sums.latency;
            *beyond = allowed.beyond(*cases);
            *beyond_any = any.beyond(*cases);
            *p95 = (self.warm.0.percentile(95), self.warm.1.percentile(95));
        }
        self.sums
    }
}

fn planned(arm: &ArmRow, repeats: u32) -> &[ScoredSample] {
    &arm.repeats[..arm.repeats.len().min(repeats as usize)]
}

/// Counts how often something happens; answers that are not there may have it or not.
fn add_rate(
    sums: &mut GuardRates,
    arms: (&[ScoredSample], &[ScoredSample]),
    repeats: u32,
    happens: impl Fn(&ScoredSample) -> bool,
) {
    let count = |arm: &[ScoredSample]| {
        let there = arm.iter().filter(|judged| judged.answer.is_some()).count() as i64;
        let happened = arm.iter().filter(|judged| happens(judged)).count() as i64;
        (happened, i64::from(repeats) - there)
    };
    let ((baseline, baseline_missing), (candidate, candidate_missing)) = (count(arms.0), count(arms.1));
    *sums.missing_against.entry(baseline - (candidate + candidate_missing)).or_default() += 1;
    *sums.missing_for.entry((baseline + baseline_missing) - candidate).or_default() += 1;
    if baseline_missing == 0 && candidate_missing == 0 {
        sums.cases += 1;
        sums.happened.0 += baseline.unsigned_abs();
        sums.happened.1 += candidate.unsigned_abs();
    }
}

fn add_pair(sums: &mut PairSums, baseline: Option<i128>, candidate: Option<i128>) {
    let (Some(b), Some(g)) = (baseline, candidate) else {
        sums.unknown += 1;
        return;
    };
    sums.cases += 1;
    let power = |factors: &[i128]| factors.iter().try_fold(1i128, |product, factor| product.checked_mul(*factor));
    let mut add = |sum: &mut i128, factors: &[i128]| match power(factors).and_then(|term| sum.checked_add(term)) {
        Some(total) => *sum = total,
        None => sums.overflow = true,
    };
    let ([first_g, first_b], [gg, gb, bb], [ggg, ggb, gbb, bbb]) = (&mut sums.first, &mut sums.second, &mut sums.third);
    for (sum, factors) in [
        (first_g, &[g][..]),
        (first_b, &[b]),
        (gg, &[g, g]),
        (gb, &[g, b]),
        (bb, &[b, b]),
        (ggg, &[g, g, g]),
        (ggb, &[g, g, b]),
        (gbb, &[g, b, b]),
        (bbb, &[b, b, b]),
    ] {
        add(sum, factors);
    }
}

/// The sum over the repeats; `None` if one of them is not known.
fn sum(arm: &[ScoredSample], value: impl Fn(&ScoredSample) -> Option<i128>) -> Option<i128> {
    arm.iter().map(value).sum()
}

/// Output tokens, thinking included, as the service bills them. One that counts no tokens at all does not count.
fn tokens(judged: &ScoredSample) -> Option<i128> {
    let usage = &judged.answer.as_ref()?.usage;
    let output = usage.output.saturating_add(usage.thinking);
    (output > 0 || usage.prompt > 0).then_some(output.into())
}

fn nano_dollars(judged: &ScoredSample) -> Option<i128> {
    let usd = judged.cost_usd.filter(|usd| usd.is_finite() && *usd >= 0.0)?;
    Some((usd * NANO).round() as i128)
}

/// Asked by this run, one by one: only such latencies of both arms were measured under the same load.
fn is_warm(judged: &ScoredSample) -> bool {
    judged.source == Some(Source::Live) && judged.answer.as_ref().is_some_and(|answer| !answer.batched)
}

fn milliseconds(arm: &[ScoredSample]) -> Vec<u64> {
    arm.iter().filter_map(|judged| Some(judged.answer.as_ref()?.latency_ms)).collect()
}

/// Pairs of latencies against every threshold at once. A case's difference (answers of the baseline beyond a threshold,
/// less those of the candidate) is 0 below and above all its answers, and changes only where one of them lies; so each
/// case leaves a few marks, and the histogram at any threshold is a sum over the marks up to it.
#[derive(Clone, Debug)]
struct PairedLatencies {
    /// What the baseline's latencies are multiplied with.
    factor: f64,
    /// By difference and threshold: cases that begin to have it there, less those that cease to.
    marks: BTreeMap<i64, BTreeMap<u64, i64>>,
    all: Latencies,
}

impl PairedLatencies {
    fn new(allowed: f64) -> PairedLatencies {
        PairedLatencies { factor: 1.0 + allowed, marks: BTreeMap::new(), all: Latencies::default() }
    }

    fn add(&mut self, baseline: &[u64], candidate: &[u64]) {
        // At a threshold t an answer of v is beyond it while t < v: it leaves the count at t = v.
        let mut leaving: BTreeMap<u64, i64> = BTreeMap::new();
        for value in baseline {
            let longer = bucket((*value as f64 * self.factor).ceil() as u64);
            *leaving.entry(longer).or_default() -= 1;
            self.all.add(longer);
        }
        for value in candidate {
            *leaving.entry(bucket(*value)).or_default() += 1;
            self.all.add(*value);
        }
        let mut difference = 0i64;
        for (threshold, change) in leaving {
            if change == 0 {
                continue;
            }
            if difference != 0 {
                *self.marks.entry(difference).or_default().entry(threshold).or_default() -= 1;
            }
            difference += change;
            if difference != 0 {
                *self.marks.entry(difference).or_default().entry(threshold).or_default() += 1;
            }
        }
    }

    /// Cases by difference at the 95th percentile of all answers.
    fn beyond(&self, cases: u64) -> BTreeMap<i64, u64> {
        let threshold = self.all.percentile(95);
        let mut histogram: BTreeMap<i64, u64> = self
            .marks
            .iter()
            .map(|(difference, marks)| {
                let have: i64 = marks.range(..=threshold).map(|(_, change)| change).sum();
                (*difference, have.unsigned_abs())
            })
            .filter(|(_, cases)| *cases > 0)
            .collect();
        let unlike: u64 = histogram.values().sum();
        if cases > unlike {
            histogram.insert(0, cases - unlike);
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Score, Usage};
    use proptest::prelude::*;

    fn answered(answer: Answer) -> ScoredSample {
        ScoredSample {
            answer: Some(answer),
            refused: Some(false),
            cost_usd: Some(0.001),
            attempts: 1,
            source: Some(Source::Live),
            ..ScoredSample::new(1, Outcome::Scored(Score::binary(true, "")))
        }
    }

    fn took(latency_ms: u64) -> ScoredSample {
        answered(Answer { latency_ms, ..Answer::default() })
    }

    fn used(output: u64, thinking: u64) -> ScoredSample {
        answered(Answer { usage: Usage { prompt: 10, output, thinking, ..Usage::default() }, ..Answer::default() })
    }

    /// Refused, Plain, or missing (-).
    fn said(letters: &str) -> ArmRow {
        ArmRow {
            repeats: letters
                .chars()
                .map(|letter| ScoredSample {
                    refused: Some(letter == 'R'),
                    answer: (letter != '-').then(Answer::default),
                    ..answered(Answer::default())
                })
                .collect(),
        }
    }

    fn arm(repeats: Vec<ScoredSample>) -> ArmRow {
        ArmRow { repeats }
    }

    fn sums(cases: &[(ArmRow, ArmRow)], repeats: u32, latency: Option<f64>) -> GuardSums {
        let mut guards = Guards::default();
        if let Some(allowed) = latency {
            guards.with_latency(allowed);
        }
        cases.iter().for_each(|(baseline, candidate)| guards.add(baseline, candidate, repeats));
        guards.finish()
    }

    #[test]
    fn rates_count_missing_answers_both_ways() {
        for (baseline, candidate, missing_against, missing_for, happened) in [
            ("PPP", "PPP", 0, 0, Some((0, 0))),
            ("PPP", "RRP", -2, -2, Some((0, 2))),
            ("RRR", "RPP", 2, 2, Some((3, 1))),
            ("PP-", "RP-", -2, 0, None),
            ("PP", "R", -3, 0, None),
        ] {
            let GuardRates { missing_against: got_worst, missing_for: got_best, cases, happened: got } =
                sums(&[(said(baseline), said(candidate))], 3, None).refusals;
            assert_eq!(got_worst, BTreeMap::from([(missing_against, 1)]), "{baseline} {candidate}");
            assert_eq!(got_best, BTreeMap::from([(missing_for, 1)]), "{baseline} {candidate}");
            assert_eq!((cases, got), (u64::from(happened.is_some()), happened.unwrap_or_default()));
        }
    }

    #[test]
    fn a_case_that_judges_refusals_itself_is_left_out_of_their_rate_only() {
        let mut own = said("R");
        own.repeats[0].refused = None;
        let sums = sums(&[(said("P"), own)], 1, None);
        assert_eq!((sums.refusals, sums.truncations.cases), (GuardRates::default(), 1));
    }

    #[test]
    fn answers_that_are_cut_off_are_counted_by_their_finish_reason() {
        let ended = |reason: Option<&str>| {
            arm(vec![answered(Answer { finish_reason: reason.map(str::to_owned), ..Answer::default() })])
        };
        let cases = [
            (ended(Some("STOP")), ended(Some("MAX_TOKENS"))),
            (ended(Some("CONTINUATION")), ended(Some("SAFETY"))),
            (ended(None), ended(Some("STOP"))),
        ];
        assert_eq!(sums(&cases, 1, None).truncations.happened, (1, 1));
    }

    #[test]
    fn tokens_and_cost_are_summed_over_repeats() {
        let cases = [
            (arm(vec![used(1, 1), used(1, 0)]), arm(vec![used(2, 0), used(3, 0)])),
            (arm(vec![used(1, 0), used(0, 0)]), arm(vec![used(1, 0), took(1)])),
            (arm(vec![used(1, 0)]), arm(vec![used(1, 0), used(1, 0)])),
        ];
        let GuardSums { output_tokens, cost, .. } = sums(&cases, 2, None);
        assert_eq!(
            output_tokens,
            PairSums {
                cases: 1,
                unknown: 1,
                first: [5, 3],
                second: [25, 15, 9],
                third: [125, 75, 45, 27],
                overflow: false,
            }
        );
        assert_eq!((cost.cases, cost.unknown, cost.first), (2, 0, [4_000_000, 4_000_000]));
    }

    #[test]
    fn what_is_not_known_or_does_not_fit_is_no_number() {
        let priced = |usd: Option<f64>| arm(vec![ScoredSample { cost_usd: usd, ..took(1) }]);
        let known = || priced(Some(0.001));
        for unknown in [None, Some(f64::NAN), Some(-1.0), Some(f64::INFINITY)] {
            let cost = sums(&[(known(), priced(unknown)), (priced(unknown), known())], 1, None).cost;
            assert_eq!((cost.cases, cost.unknown), (0, 2));
        }
        assert!(sums(&[(known(), priced(Some(1e6)))], 1, None).cost.overflow);
    }

    #[test]
    fn only_answers_that_this_run_asked_for_one_by_one_are_warm() {
        let of = |source, batched| {
            arm(vec![ScoredSample { source, ..answered(Answer { batched, latency_ms: 5, ..Answer::default() }) }])
        };
        let live = || of(Some(Source::Live), false);
        let cases = [
            (live(), live()),
            (of(Some(Source::Cache), false), live()),
            (live(), of(Some(Source::Recorded), false)),
            (live(), of(Some(Source::Live), true)),
        ];
        let latency = sums(&cases, 1, Some(0.2)).latency;
        assert_eq!((latency.cases, latency.cold, latency.p95), (1, 3, (5, 5)));
        assert_eq!(sums(&cases, 1, None).latency, LatencySums::default());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// The marks give what counting at the threshold gives, in any order of cases.
        #[test]
        fn marks_are_counts(
            cases in prop::collection::vec((prop::collection::vec(1u64..40, 2), prop::collection::vec(1u64..40, 2)), 1..40),
            allowed in prop::sample::select(vec![0.0, 0.2, 1.0]),
        ) {
            let rows: Vec<(ArmRow, ArmRow)> = cases
                .iter()
                .map(|(baseline, candidate)| {
                    let row = |values: &[u64]| arm(values.iter().map(|value| took(*value)).collect());
                    (row(baseline), row(candidate))
                })
                .collect();
            let got = sums(&rows, 2, Some(allowed));
            let mut reversed = rows.clone();
            reversed.reverse();
            prop_assert_eq!(&got, &sums(&reversed, 2, Some(allowed)));

            let longer = |value: u64| (value as f64 * (1.0 + allowed)).ceil() as u64;
            let mut all: Vec<u64> = cases
                .iter()
                .flat_map(|(baseline, candidate)| baseline.iter().map(|v| longer(*v)).chain(candidate.iter().copied()))
                .collect();
            all.sort_unstable();
            let threshold = all
                .iter()
                .copied()
                .find(|t| all.iter().filter(|v| *v > t).count() * 20 <= all.len())
                .unwrap();
            let mut expected = BTreeMap::new();
            for (baseline, candidate) in &cases {
                let baseline = baseline.iter().filter(|v| longer(**v) > threshold).count() as i64;
                let candidate = candidate.iter().filter(|v| **v > threshold).count() as i64;
                *expected.entry(baseline - candidate).or_default() += 1;
            }
            prop_assert_eq!(got.latency.beyond, expected);
        }
    }
}
