//! Quarantine: cases of a tag that waver are asked, judged and reported, and decide nothing, until a day that is written
//! down. After it they count again by themselves, so that nobody has to remember them.

use super::case::Case;
use super::case_id::CaseId;
use super::outcome::Counts;
use super::policy::Policy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, UtcOffset};

/// A quarantine ends at most so many days ahead: one for ever would be an exclusion that nobody sees.
pub const LONGEST_QUARANTINE: i64 = 90;

/// A day as it is written in settings and verdict.json: `2026-12-31`, and in no other way.
pub fn day(text: &str) -> Option<Date> {
    let digits = |range: std::ops::Range<usize>| {
        let part = text.get(range)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u16>().ok()).flatten()
    };
    if text.len() != 10 || text.get(4..5) != Some("-") || text.get(7..8) != Some("-") {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(year.into(), month, u8::try_from(day).ok()?).ok()
}

/// The day of a time in RFC 3339, in UTC. `None` if it is no such time.
pub fn day_of(time: &str) -> Option<Date> {
    let time = OffsetDateTime::parse(time, &Rfc3339).ok()?;
    Some(time.checked_to_offset(UtcOffset::UTC)?.date())
}

/// The tags in quarantine, as they stand on a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quarantine {
    active: BTreeMap<String, String>,
    expired: BTreeMap<String, String>,
}

impl Quarantine {
    /// Those of a policy on this day. The day that is written is the last on which the cases of a tag don't decide. Where the
    /// day of today, or the one that is written, is not known, nothing is in quarantine.
    pub fn on(policy: &Policy, today: Option<Date>) -> Quarantine {
        let mut quarantine = Quarantine::default();
        for (tag, until) in &policy.quarantine {
            let list = match (today, day(until)) {
                (Some(today), Some(until)) if until >= today => &mut quarantine.active,
                (Some(_), Some(_)) => &mut quarantine.expired,
                (None, _) | (_, None) => continue,
            };
            list.insert(tag.clone(), until.clone());
        }
        quarantine
    }

    /// Those of a run's policy on the day on which it started, in UTC.
    pub fn of_run(policy: &Policy, started_at: &str) -> Quarantine {
        Quarantine::on(policy, day_of(started_at))
    }

    /// The tag, and its last day, by which a case does not decide: the one that lasts longest. A must-pass case always
    /// decides.
    pub fn of(&self, case: &Case) -> Option<(&str, &str)> {
        if case.critical {
            return None;
        }
        self.tags_of(case).max_by_key(|(_, until)| *until)
    }

    /// The tags in quarantine that a case has, and their last days.
    pub fn tags_of<'q>(&'q self, case: &Case) -> impl Iterator<Item = (&'q str, &'q str)> {
        let has = |tag: &String| case.tags.contains(tag);
        let active = self.active.iter().filter(move |(tag, _)| has(tag));
        active.map(|(tag, until)| (tag.as_str(), until.as_str()))
    }

    /// The tags whose cases don't decide, and their last days.
    pub fn active(&self) -> &BTreeMap<String, String> {
        &self.active
    }

    /// The tags whose cases decide again, and the last days on which they did not.
    pub fn expired(&self) -> &BTreeMap<String, String> {
        &self.expired
    }
}

/// What is in quarantine, in verdict.json.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRecord {
    /// The candidate's outcomes of the cases in quarantine, which the counts of the run have, too.
    #[serde(flatten)]
    pub counts: Counts,
    /// The tags, by name.
    pub tags: Vec<QuarantinedTag>,
}

/// A tag in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedTag {
    pub tag: String,
    /// The last day on which its cases don't decide, in UTC.
    pub until: String,
    /// Its cases that don't decide; a case of two such tags counts in each.
    pub cases: u64,
}

/// What a comparison knows of quarantine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuarantineSums {
    /// For verdict.json.
    pub found: QuarantineRecord,
    /// Cases of them that the run came to; those behind an early end are not among them.
    pub looked: u64,
    /// Their answers in both arms: planned, judged.
    pub answers: (u64, u64),
    /// Must-pass cases that have such a tag, and decide all the same; some of them, and how many there are.
    pub critical: (Vec<CaseId>, u64),
    /// Tags whose quarantine is over, and its last day.
    pub expired: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    use time::macros::date;

    fn policy(tags: &[(&str, &str)]) -> Policy {
        let quarantine = tags.iter().map(|(tag, until)| ((*tag).to_owned(), (*until).to_owned()));
        Policy { quarantine: quarantine.collect(), ..Policy::default() }
    }

    fn case(tags: &[&str], critical: bool) -> Case {
        Case { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), critical, ..Case::new("c") }
    }

    #[test]
    fn a_day_is_written_in_one_way() {
        assert_eq!(day("2026-12-31"), Some(date!(2026 - 12 - 31)));
        assert_eq!(day("2028-02-29"), Some(date!(2028 - 02 - 29)));
        for wrong in [
            "",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-1-31",
            "26-12-31",
            "2026-12-31 ",
            "2026/12/31",
            "+026-12-31",
            "2026-12-+1",
            "2026-12-3é",
            "2026-12-31T00:00:00Z",
            "tomorrow",
        ] {
            assert_eq!(day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_day_of_a_run_is_that_of_utc() {
        assert_eq!(day_of("2026-11-22T23:59:59Z"), Some(date!(2026 - 11 - 22)));
        assert_eq!(day_of("2026-11-23T00:30:00+01:00"), Some(date!(2026 - 11 - 22)));
        for wrong in ["", "2026-11-22", "yesterday"] {
            assert_eq!(day_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_last_day_is_the_one_that_is_written() {
        let policy = policy(&[("flaky", "2026-12-31")]);
        for (today, active) in [
            (Some(date!(2026 - 12 - 30)), true),
            (Some(date!(2026 - 12 - 31)), true),
            (Some(date!(2027 - 01 - 01)), false),
            // What day it is must be known.
            (None, false),
        ] {
            let quarantine = Quarantine::on(&policy, today);
            assert_eq!(quarantine.of(&case(&["flaky"], false)).is_some(), active, "{today:?}");
            assert_eq!(quarantine.expired().is_empty(), active || today.is_none(), "{today:?}");
        }
    }

    #[test]
    fn a_case_stays_as_long_as_any_of_its_tags_and_a_must_pass_case_never() {
        let policy = policy(&[("a", "2026-12-02"), ("b", "2026-12-05"), ("over", "2026-11-30"), ("odd", "some day")]);
        let quarantine = Quarantine::on(&policy, Some(date!(2026 - 12 - 01)));
        for (tags, critical, expected) in [
            (&["a"][..], false, Some(("a", "2026-12-02"))),
            (&["a", "b", "x"], false, Some(("b", "2026-12-05"))),
            (&["over"], false, None),
            (&["odd"], false, None),
            (&["x"], false, None),
            (&[], false, None),
            (&["a"], true, None),
        ] {
            assert_eq!(quarantine.of(&case(tags, critical)), expected, "{tags:?}");
        }
        assert_eq!(quarantine.tags_of(&case(&["a"], true)).count(), 1);
    }
}
