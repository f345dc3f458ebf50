//! Numbers as people read them. Never `NaN`: what is not a number is a dash.

pub(super) use crate::domain::count;
use crate::domain::{ArmRate, Arms, Difference, EarlyStop, Latency, PairCounts, PromotionTotal, Verdict, WaitTimes};

/// What stands for a number that is not known.
pub(super) const UNKNOWN: &str = "–";

/// A share of 0..=1 as `92.5%`.
pub(super) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1}%", positive_zero(share * 100.0, 1)) } else { UNKNOWN.to_owned() }
}

/// A difference of shares in percentage points, signed: `-4.2`.
pub(super) fn points(share: f64) -> String {
    if share.is_finite() { format!("{:+.1}", positive_zero(share * 100.0, 1)) } else { UNKNOWN.to_owned() }
}

/// An arm's pass rate with its interval: `92.5% (88.1% to 95.4%)`.
pub(super) fn rate(rate: Option<&ArmRate>) -> String {
    rate.map_or_else(
        || UNKNOWN.to_owned(),
        |ArmRate { pass, low, high }| format!("{} ({} to {})", percent(*pass), percent(*low), percent(*high)),
    )
}

/// Candidate minus baseline with its interval: `-4.2 points (-8.0 to -0.5, 90% confidence)`.
pub(super) fn difference(difference: &Difference) -> String {
    let Difference { estimate, low, high, confidence, method: _ } = difference;
    format!(
        "{} points ({} to {}, {} confidence)",
        points(*estimate),
        points(*low),
        points(*high),
        // 90%, not 90.0%.
        percent(*confidence).replace(".0%", "%")
    )
}

/// What the promotions that led to the baseline came to, and whether a loss of the margin is possible by now:
/// `12 promotions since 2026-09-03: -4.1 points (-7.9 to -0.3) in total, estimated`.
pub(super) fn promotions(verdict: &Verdict) -> Option<(String, bool)> {
    let total = verdict.promotion.as_ref()?.total.as_ref()?;
    let PromotionTotal { promotions, since, estimate, low, high } = total;
    let doubtful = *low <= -verdict.policy.margin;
    let doubt = format!("; a loss of {:.1} points since then can't be ruled out", 100.0 * verdict.policy.margin);
    let text = format!(
        "{} since {since}: {} points ({} to {}) in total, estimated{}",
        count(*promotions, "promotion", "promotions"),
        points(*estimate),
        points(*low),
        points(*high),
        if doubtful { &doubt } else { "" }
    );
    Some((text, doubtful))
}

pub(super) fn comparison_lines(
    paired: &PairCounts,
    baseline: Option<&ArmRate>,
    candidate: Option<&ArmRate>,
    found: Option<&Difference>,
) -> Vec<(&'static str, String)> {
    let PairCounts { n, both_pass, regressed, improved, both_fail } = paired;
    let mut lines = vec![
        (
            "compared",
            format!(
                "{n} cases: {regressed} regressed, {improved} improved, {both_pass} both pass, {both_fail} both fail"
            ),
        ),
        ("baseline", format!("pass rate {}", rate(baseline))),
        ("candidate", format!("pass rate {}", rate(candidate))),
    ];
    lines.extend(found.map(|found| ("difference", difference(found))));
    lines
}

/// What an early decision left out; `None` where all cases were looked at.
pub(super) fn early(verdict: &Verdict) -> Option<String> {
    let EarlyStop { cases, answers } = verdict.unlooked?;
    Some(format!(
        "after {} of {}; {} saved",
        verdict.counts.cases.saturating_sub(cases),
        count(verdict.counts.cases, "case", "cases"),
        count(answers, "request was", "requests were")
    ))
}

/// A test statistic: `-1.83`.
pub(super) fn z(value: f64) -> String {
    if value.is_finite() { format!("{:.2}", positive_zero(value, 2)) } else { UNKNOWN.to_owned() }
}

/// US dollars: `$0.0123`, `$12.30`.
pub(super) fn usd(cost: Option<f64>) -> String {
    match cost {
        Some(cost) if cost.is_finite() && cost.abs() >= 1.0 => format!("${cost:.2}"),
        Some(cost) if cost.is_finite() => format!("${cost:.4}"),
        Some(_) | None => "unknown".to_owned(),
    }
}

/// Percentiles of one arm: `412 / 1730 / 2210 ms`; with how many of its answers come from the store and took this long
/// when they were asked for.
pub(super) fn latency(latency: &Latency, stored: u64) -> String {
    let Latency { p50, p95, p99 } = latency;
    // Nothing was asked, or through batch jobs, whose answers have no latency.
    if *latency == Latency::default() {
        return UNKNOWN.to_owned();
    }
    match stored {
        0 => format!("{p50} / {p95} / {p99} ms"),
        stored => format!("{p50} / {p95} / {p99} ms ({stored} from the store)"),
    }
}

/// What this run spent, and what its answers cost when they were asked for where that is something else.
pub(super) fn cost(verdict: &Verdict) -> String {
    let spent = usd(verdict.cost_usd);
    if verdict.cached == Arms::default() {
        return spent;
    }
    format!("{spent} (all answers, when they were requested: {})", usd(verdict.answers_cost_usd))
}

/// Milliseconds of one answer's waiting that are the machine's own, and not worth telling.
const UNNOTICED: u64 = 1_000;

/// Attempts beyond the first, and the waiting: `3 retries, waited 12.4 s in all`; the waiting where there is some to tell.
pub(super) fn retries(verdict: &Verdict) -> String {
    let retries = count(verdict.retries, "retry", "retries");
    let WaitTimes { max, total, .. } = verdict.waited_ms;
    if verdict.retries == 0 && max < UNNOTICED {
        return retries;
    }
    format!("{retries}, waited {:.1} s in all", total as f64 / 1_000.0)
}

/// Drops the sign of what rounds to zero.
fn positive_zero(value: f64, digits: i32) -> f64 {
    if value.abs() < 0.5 / 10f64.powi(digits) { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_nan() {
        assert_eq!(percent(0.925), "92.5%");
        assert_eq!(percent(1.0), "100.0%");
        assert_eq!(percent(f64::NAN), "–");
        assert_eq!(points(-0.0421), "-4.2");
        assert_eq!(points(-0.000_01), "+0.0");
        assert_eq!(z(f64::INFINITY), "–");
        assert_eq!(z(-0.001), "0.00");
        assert_eq!(usd(Some(0.0123)), "$0.0123");
        assert_eq!(usd(Some(12.3)), "$12.30");
        assert_eq!(usd(None), "unknown");
        assert_eq!(count(1, "case", "cases"), "1 case");
        assert_eq!(count(0, "case", "cases"), "0 cases");
    }
}
