//! What tokens cost, in US dollars per million.
//!
//! List prices of the Gemini API's paid tier as published by Google and as of [`AS_OF`]; introductory prices end on the
//! dates given. A model that is not listed has no price: its cost is reported as unknown, never as zero.

use crate::model::Usage;
use time::{Date, Month};

/// The day on which the table was checked.
pub const AS_OF: &str = "2026-11-22";

/// Prices of one model from one day on.
#[derive(Clone, Copy, Debug)]
struct Row {
    model: &'static str,
    /// Year, month, day from which the row holds.
    from: (i32, u8, u8),
    /// Input tokens that are not cached.
    input: f64,
    /// Output tokens, thinking included.
    output: f64,
    /// Input tokens read from a cache.
    cached: f64,
    /// The three prices for a prompt of more than 200,000 tokens, where they differ.
    long: Option<(f64, f64, f64)>,
}

const fn row(model: &'static str, from: (i32, u8, u8), input: f64, output: f64, cached: f64) -> Row {
    Row {
        model,
        from,
        input,
        output,
        cached,
        long: None,
    }
}

const fn long(base: Row, input: f64, output: f64, cached: f64) -> Row {
    Row {
        long: Some((input, output, cached)),
        ..base
    }
}

const EVER: (i32, u8, u8) = (2025, 1, 1);

/// Later rows of a model replace earlier ones from their day on.
const TABLE: &[Row] = &[
    row("gemini-4-argon", EVER, 2.00, 10.00, 0.10),
    row("gemini-4-argon", (2026, 12, 1), 4.00, 20.00, 0.20),
    row("gemini-3.8-flash", EVER, 0.75, 3.75, 0.075),
    row("gemini-3.8-flash", (2027, 1, 1), 1.50, 7.50, 0.15),
    row("gemini-3.7-flash", EVER, 0.75, 3.75, 0.075),
    row("gemini-3.7-flash", (2027, 1, 1), 1.50, 7.50, 0.15),
    row("gemini-3.6-flash", EVER, 0.75, 3.75, 0.075),
    row("gemini-3.6-flash", (2027, 1, 1), 1.50, 7.50, 0.15),
    row("gemini-flash-latest", EVER, 0.75, 3.75, 0.075),
    row("gemini-flash-latest", (2027, 1, 1), 1.50, 7.50, 0.15),
    row("gemini-3.5-flash", EVER, 1.50, 9.00, 0.15),
    row("gemini-3.5-flash-lite", EVER, 0.30, 2.50, 0.03),
    row("gemini-flash-lite-latest", EVER, 0.30, 2.50, 0.03),
    long(
        row("gemini-3.1-pro-preview", EVER, 2.00, 12.00, 0.20),
        4.00,
        18.00,
        0.40,
    ),
    long(row("gemini-pro-latest", EVER, 2.00, 12.00, 0.20), 4.00, 18.00, 0.40),
    row("gemini-3.1-flash-lite", EVER, 0.25, 1.50, 0.025),
    row("gemini-3-flash-preview", EVER, 0.50, 3.00, 0.05),
    long(row("gemini-2.5-pro", EVER, 1.25, 10.00, 0.125), 2.50, 15.00, 0.25),
    row("gemini-2.5-flash", EVER, 0.30, 2.50, 0.03),
    row("gemini-2.5-flash-lite", EVER, 0.10, 0.40, 0.01),
];

/// The prompt length above which the long prices hold, in tokens.
const LONG: u64 = 200_000;

/// What an answer costs on a day, or `None` for a model without a known price. `model` is the served one where it is
/// known; a `models/` prefix is ignored.
pub fn cost_usd(model: &str, usage: &Usage, day: Date) -> Option<f64> {
    let model = model.strip_prefix("models/").unwrap_or(model);
    let row = TABLE.iter().rfind(|row| row.model == model && from(row) <= Some(day))?;
    let (input, output, cached) = match row.long {
        Some(long) if usage.prompt > LONG => long,
        _ => (row.input, row.output, row.cached),
    };
    let fresh = usage.prompt.saturating_sub(usage.cached);
    let dollars = fresh as f64 * input
        + usage.cached as f64 * cached
        + usage.output.saturating_add(usage.thinking) as f64 * output;
    Some(dollars / 1e6)
}

fn from(row: &Row) -> Option<Date> {
    let (year, month, day) = row.from;
    Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn every_row_has_a_real_date() {
        assert!(TABLE.iter().all(|row| from(row).is_some()));
    }

    #[test]
    fn prices_follow_day_length_and_cache() {
        let usage = |prompt, cached, output, thinking| Usage {
            prompt,
            cached,
            output,
            thinking,
            total: 0,
        };
        let million = usage(1_000_000, 0, 0, 0);
        let day = date!(2026 - 11 - 22);
        assert_eq!(cost_usd("gemini-3.8-flash", &million, day), Some(0.75));
        assert_eq!(
            cost_usd("models/gemini-3.8-flash", &million, date!(2027 - 01 - 01)),
            Some(1.50)
        );
        assert_eq!(cost_usd("gemini-2.5-pro", &million, day), Some(2.50));
        assert_eq!(
            cost_usd("gemini-2.5-flash", &usage(1000, 1000, 1000, 1000), day),
            Some((30.0 + 5000.0) / 1e6)
        );
        assert_eq!(cost_usd("gemini-unheard-of", &million, day), None);
    }
}
