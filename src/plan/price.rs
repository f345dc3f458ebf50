//! What tokens cost, in US dollars per million.
//!
//! List prices of the Gemini API's paid tier as published by Google and as of [`AS_OF`]; introductory prices end on the
//! dates given. A model that is not listed has no price: its cost is reported as unknown, never as zero.

use crate::domain::{PriceList, Usage};
use std::collections::BTreeMap;
use std::fmt;
use time::{Date, Month};

/// The day on which the table was checked.
pub const AS_OF: &str = "2026-11-22";

/// Dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Input tokens that are not cached.
    pub input: f64,
    /// Output tokens, thinking included.
    pub output: f64,
    /// Input tokens read from a cache.
    pub cached: f64,
}

/// What a model costs from one day on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The first day; `None` = it holds for every day.
    pub from: Option<Date>,
    pub rates: Rates,
    /// The rates for a prompt of more than [`LONG`] tokens, where they differ.
    pub long: Option<Rates>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { from, rates, long } = self;
        let mut write = |name, Rates { input, output, cached }: &Rates| {
            write!(f, "{name}input {input}, output {output}, cached {cached}")
        };
        write("", rates)?;
        long.iter().try_for_each(|rates| write(", long: ", rates))?;
        from.map_or(Ok(()), |day| write!(f, ", from {day}"))
    }
}

/// How a request is served, which decides the share of the list price that it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    #[default]
    Standard,
    /// Half the list price, answered within a day.
    Batch,
    /// Half the list price, shed first under load.
    Flex,
    /// 1.8 times the list price, shed last.
    Priority,
}

impl Tier {
    /// The tier of a request with this `serviceTier`; what is not known counts as standard, as the service does.
    pub fn of(service_tier: &str) -> Tier {
        match service_tier.trim_start_matches("SERVICE_TIER_").to_ascii_lowercase().as_str() {
            "flex" => Tier::Flex,
            "priority" => Tier::Priority,
            "batch" => Tier::Batch,
            _ => Tier::Standard,
        }
    }

    pub fn factor(self) -> f64 {
        match self {
            Tier::Standard => 1.0,
            Tier::Batch | Tier::Flex => 0.5,
            Tier::Priority => 1.8,
        }
    }

    /// The one that costs more.
    #[must_use]
    pub fn dearer(self, other: Tier) -> Tier {
        if other.factor() > self.factor() { other } else { self }
    }
}

/// The table, with a user's own prices before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    own: BTreeMap<String, Vec<Entry>>,
}

impl Prices {
    /// Prices that win over the table. An entry holds from its day on, so the table still knows the days before it.
    pub fn with_own(own: BTreeMap<String, Vec<Entry>>) -> Prices {
        Prices { own }
    }

    /// Where the prices come from, for reports.
    pub fn list(&self) -> PriceList {
        PriceList { as_of: AS_OF.to_owned(), own: self.own.len() }
    }

    /// What an answer costs when it is asked for on a day, or `None` for a model without a known price. A `models/`
    /// prefix is ignored.
    ///
    /// input = (prompt - cached) x input rate + cached x cached rate; output = (output + thinking) x output rate; the
    /// long rates are chosen by the length of the prompt.
    pub fn cost_usd(&self, model: &str, usage: &Usage, tier: Tier, day: Date) -> Option<f64> {
        let Entry { rates, long, .. } = self.entry(model, day)?;
        let Rates { input, output, cached } = match long {
            Some(long) if usage.prompt > LONG => long,
            Some(_) | None => rates,
        };
        let fresh = usage.prompt.saturating_sub(usage.cached);
        let answered = usage.output.saturating_add(usage.thinking);
        let dollars = fresh as f64 * input + usage.cached as f64 * cached + answered as f64 * output;
        Some(dollars * tier.factor() / 1e6)
    }

    /// The same for an answer whose served model may be known: that one counts, since the service may route a retired
    /// model to another at that one's price; the one asked for is the fallback for versions that the table does not know.
    pub fn served_cost_usd(
        &self,
        served: Option<&str>,
        requested: &str,
        usage: &Usage,
        tier: Tier,
        day: Date,
    ) -> Option<f64> {
        served
            .and_then(|served| self.cost_usd(served, usage, tier, day))
            .or_else(|| self.cost_usd(requested, usage, tier, day))
    }

    fn entry(&self, model: &str, day: Date) -> Option<Entry> {
        let model = bare(model);
        let own = self.own.iter().find(|(name, _)| bare(name) == model);
        own.and_then(|(_, entries)| {
            let valid = entries.iter().filter(|entry| entry.from.is_none_or(|from| from <= day));
            valid.max_by_key(|entry| entry.from).copied()
        })
        .or_else(|| {
            let row = TABLE.iter().rfind(|row| row.model == model && from(row) <= Some(day))?;
            Some(Entry { from: from(row), rates: row.rates, long: row.long })
        })
    }
}

fn bare(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

/// Prices of one model from one day on.
#[derive(Clone, Copy, Debug)]
struct Row {
    model: &'static str,
    /// Year, month, day from which the row holds.
    from: (i32, u8, u8),
    rates: Rates,
    long: Option<Rates>,
}

const fn row(model: &'static str, from: (i32, u8, u8), input: f64, output: f64, cached: f64) -> Row {
    Row { model, from, rates: Rates { input, output, cached }, long: None }
}

const fn long(base: Row, input: f64, output: f64, cached: f64) -> Row {
    Row { long: Some(Rates { input, output, cached }), ..base }
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
    long(row("gemini-3.1-pro-preview", EVER, 2.00, 12.00, 0.20), 4.00, 18.00, 0.40),
    long(row("gemini-pro-latest", EVER, 2.00, 12.00, 0.20), 4.00, 18.00, 0.40),
    row("gemini-3.1-flash-lite", EVER, 0.25, 1.50, 0.025),
    row("gemini-3-flash-preview", EVER, 0.50, 3.00, 0.05),
    long(row("gemini-2.5-pro", EVER, 1.25, 10.00, 0.125), 2.50, 15.00, 0.25),
    row("gemini-2.5-flash", EVER, 0.30, 2.50, 0.03),
    row("gemini-2.5-flash-lite", EVER, 0.10, 0.40, 0.01),
    row("gemini-embedding-001", EVER, 0.15, 0.00, 0.15),
    row("gemini-embedding-2", EVER, 0.20, 0.00, 0.20),
];

/// The prompt length above which the long rates hold, in tokens.
pub const LONG: u64 = 200_000;

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

    fn usage(prompt: u64, cached: u64, output: u64, thinking: u64) -> Usage {
        Usage { prompt, cached, output, thinking, total: 0 }
    }

    const NOW: Date = date!(2026 - 11 - 22);

    fn standard(model: &str, usage: &Usage, day: Date) -> Option<f64> {
        Prices::default().cost_usd(model, usage, Tier::Standard, day)
    }

    #[test]
    fn prices_follow_day_length_and_cache() {
        let million = usage(1_000_000, 0, 0, 0);
        for (model, usage, day, dollars) in [
            ("gemini-3.8-flash", million, NOW, Some(0.75)),
            ("gemini-3.8-flash", million, date!(2026 - 12 - 31), Some(0.75)),
            ("models/gemini-3.8-flash", million, date!(2027 - 01 - 01), Some(1.50)),
            ("gemini-4-argon", million, date!(2026 - 11 - 30), Some(2.0)),
            ("gemini-4-argon", million, date!(2026 - 12 - 01), Some(4.0)),
            ("gemini-2.5-pro", million, NOW, Some(2.50)),
            ("gemini-2.5-pro", usage(200_000, 0, 0, 0), NOW, Some(0.25)),
            ("gemini-2.5-pro", usage(200_001, 200_001, 0, 0), NOW, Some(200_001.0 * 0.25 / 1e6)),
            ("gemini-3.1-pro-preview", usage(300_000, 0, 1_000_000, 0), NOW, Some(1.2 + 18.0)),
            ("gemini-2.5-flash", usage(1000, 1000, 1000, 1000), NOW, Some((30.0 + 5000.0) / 1e6)),
            ("gemini-unheard-of", million, NOW, None),
            ("gemini-3.8-flash", million, date!(2024 - 01 - 01), None),
        ] {
            let found = standard(model, &usage, day);
            let same = match (found, dollars) {
                (Some(found), Some(dollars)) => (found - dollars).abs() < 1e-9,
                (found, dollars) => found == dollars,
            };
            assert!(same, "{model} {usage:?} {day}: {found:?}, not {dollars:?}");
        }
    }

    #[test]
    fn tiers_cost_their_share() {
        let million = usage(1_000_000, 0, 0, 0);
        let cost = |tier| Prices::default().cost_usd("gemini-3.5-flash", &million, tier, NOW);
        assert_eq!(cost(Tier::of("")), Some(1.5));
        assert_eq!(cost(Tier::of("standard")), Some(1.5));
        assert_eq!(cost(Tier::of("flex")), Some(0.75));
        assert_eq!(cost(Tier::of("SERVICE_TIER_FLEX")), Some(0.75));
        assert_eq!(cost(Tier::Batch), Some(0.75));
        assert_eq!(cost(Tier::of("PRIORITY")), Some(2.7));
        assert_eq!(Tier::Flex.dearer(Tier::Priority), Tier::Priority);
        assert_eq!(Tier::Standard.dearer(Tier::Flex), Tier::Standard);
    }

    #[test]
    fn own_prices_win_from_their_day_on() {
        let entry = |from, input| Entry { from, rates: Rates { input, output: 0.0, cached: input }, long: None };
        let prices = Prices::with_own(
            [
                ("gemini-3.8-flash".to_owned(), vec![entry(Some(date!(2026 - 06 - 01)), 9.0)]),
                ("mine".to_owned(), vec![entry(Some(date!(2027 - 01 - 01)), 2.0), entry(None, 1.0)]),
            ]
            .into(),
        );
        let million = usage(1_000_000, 0, 0, 0);
        let cost = |model, day| prices.cost_usd(model, &million, Tier::Standard, day);
        assert_eq!(cost("gemini-3.8-flash", date!(2026 - 05 - 31)), Some(0.75));
        assert_eq!(cost("models/gemini-3.8-flash", date!(2026 - 06 - 01)), Some(9.0));
        assert_eq!(cost("mine", NOW), Some(1.0));
        assert_eq!(cost("mine", date!(2027 - 01 - 01)), Some(2.0));
        let served = |served| prices.served_cost_usd(served, "mine", &million, Tier::Standard, NOW);
        assert_eq!(served(Some("gemini-2.5-flash")), Some(0.30));
        assert_eq!(served(Some("mine-001")), Some(1.0));
        assert_eq!(served(None), Some(1.0));
        assert_eq!(prices.list().to_string(), "prices as of 2026-11-22, 2 models as set in promptgate.toml");
    }
}
