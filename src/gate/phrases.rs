//! The sentences of a verdict: first what it means, then the numbers. They may quote ids and messages from outside, so a
//! reporter makes them safe.

use crate::domain::{ArmRate, Comparison, Difference, Look, Policy, Problems, SampleSize};

/// Characters of a quoted id or message.
const QUOTED: usize = 100;

/// `5 points`, `0.5 points`, `1 point`: a difference of pass rates.
pub(super) fn points(share: f64) -> String {
    let number = tenth(share * 100.0);
    let unit = if number == "1" { "point" } else { "points" };
    format!("{number} {unit}")
}

/// `84.2%`.
pub(super) fn percent(share: f64) -> String {
    format!("{}%", tenth(share * 100.0))
}

/// `p 0.034`, `p below 0.001`.
pub(super) fn chance(p: f64) -> String {
    if p < 0.001 { "p below 0.001".to_owned() } else { format!("p {p:.3}") }
}

/// `1 case`, `20 cases`.
pub(super) fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// The first `most` of `total` names: `a, b and 3 more`.
pub(super) fn list(names: impl IntoIterator<Item = String>, total: u64, most: usize) -> String {
    let named: Vec<String> = names.into_iter().take(most).collect();
    let joined = named.join(", ");
    match total.saturating_sub(named.len() as u64) {
        more if more > 0 && !named.is_empty() => format!("{joined} and {more} more"),
        _ => joined,
    }
}

/// With one decimal where it is not 0, and never `-0`.
fn tenth(number: f64) -> String {
    let text = format!("{number:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// `77.0%`: a measured rate.
pub(super) fn rate(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// `+17.2`, `0.0`: a measured difference in points.
fn signed(share: f64) -> String {
    match format!("{:+.1}", share * 100.0).as_str() {
        "+0.0" | "-0.0" => "0.0".to_owned(),
        text => text.to_owned(),
    }
}

/// A text from outside, shortened.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    quoted
}

/// The cases that decide, and of how many, if others don't: `200 cases`, `68 of 204 cases`.
pub(super) fn cases(comparison: &Comparison) -> String {
    let all = comparison.counts.cases;
    let apart = comparison.unlooked.cases + comparison.quarantine.looked;
    match apart {
        0 => count(all, "case"),
        apart => format!("{} of {}", all.saturating_sub(apart), count(all, "case")),
    }
}

/// What the run is made of: `200 cases × 3`, the repeats.
pub(super) fn size(comparison: &Comparison) -> String {
    let early = if comparison.unlooked.cases > 0 { "decided after " } else { "" };
    format!("{early}{} × {}", cases(comparison), comparison.repeats)
}

/// Rates, difference, interval and size, as far as they are known: `77.0% → 94.1%, +17.2 points (90% CI +12.1 to +22.7; 204
/// cases × 3)`.
pub(super) fn numbers(
    comparison: &Comparison,
    difference: Option<&Difference>,
    baseline: Option<&ArmRate>,
    candidate: Option<&ArmRate>,
) -> String {
    let size = size(comparison);
    let rates = baseline.zip(candidate);
    let rates = rates.map(|(baseline, candidate)| format!("{} → {}", rate(baseline.pass), rate(candidate.pass)));
    let (difference, interval) = match difference {
        Some(difference) => (
            Some(format!("{} points", signed(difference.estimate))),
            format!(
                "{} CI {} to {}; ",
                percent(difference.confidence),
                signed(difference.low),
                signed(difference.high)
            ),
        ),
        None => (None, String::new()),
    };
    let known: Vec<String> = rates.into_iter().chain(difference).collect();
    match known.is_empty() {
        true => size,
        false => format!("{} ({interval}{size})", known.join(", ")),
    }
}

/// Why an answer may be missing: the most frequent error.
pub(super) fn most_frequent_error(comparison: &Comparison) -> String {
    match comparison.errors.first() {
        Some((code, message, times)) => {
            format!("; most frequent error: {} ({}), {}", quoted(code), quoted(message), count(*times, "time"))
        }
        None => String::new(),
    }
}

/// How many cases or repeats would probably settle it (four chances in five, if the truth is what the data show).
pub(super) fn advice(needed: Option<&SampleSize>) -> String {
    match needed {
        Some(SampleSize { cases, repeats: Some(repeats) }) => {
            format!("; about {cases} cases, or {repeats} repeats of these, would probably settle it")
        }
        Some(SampleSize { cases, repeats: None }) => {
            format!("; about {cases} cases would probably settle it; more repeats would not")
        }
        None => "; no affordable number of cases would settle it under this policy".to_owned(),
    }
}

/// What is wrong with the policy, on one line.
pub(super) fn invalid_policy(problems: &Problems) -> String {
    let all: Vec<String> = problems
        .iter()
        .map(|problem| match &problem.expected {
            Some(expected) => format!("{} (expected: {expected})", problem.message),
            None => problem.message.clone(),
        })
        .collect();
    format!("nothing was decided: the policy is invalid: {}", all.join(", "))
}

/// A look that is none.
pub(super) fn no_such_look(look: &Look) -> String {
    format!(
        "nothing was decided: there is no such look at the answers: attempt {} of {}, {}",
        look.attempt,
        look.attempts,
        count(look.candidates.into(), "candidate")
    )
}

/// The required loss bounds, for the open verdict.
pub(super) fn still_open(policy: &Policy, excluded: bool) -> String {
    let (margin, tolerance) = (points(policy.margin), points(policy.tolerance));
    match excluded {
        true => format!("a loss of {margin} is excluded, but one of more than {tolerance} is likely"),
        false => format!("a loss of {margin} is not excluded, and a loss of more than {tolerance} is not shown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(points(0.05), "5 points");
        assert_eq!(points(0.01), "1 point");
        assert_eq!(points(0.005), "0.5 points");
        assert_eq!(percent(0.8425), "84.2%");
        assert_eq!(signed(-0.0001), "0.0");
        assert_eq!(signed(0.012), "+1.2");
        assert_eq!(signed(-1.0), "-100.0");
        assert_eq!(rate(0.77), "77.0%");
        assert_eq!((count(1, "case"), count(0, "case")), ("1 case".to_owned(), "0 cases".to_owned()));
        assert_eq!(quoted(&"ä".repeat(200)).chars().count(), QUOTED + 1);
    }
}
