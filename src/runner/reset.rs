//! When a quota per day comes back: at midnight in Los Angeles, where the service's days begin
//! (ai.google.dev/gemini-api/docs/rate-limits). The rule of daylight saving time stands here, so no time zone database is
//! needed: from the second Sunday of March, 2:00 PST, to the first Sunday of November, 2:00 PDT (15 U.S.C. 260a).

use std::time::Duration;
use time::macros::format_description;
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// Pacific standard and daylight saving time, in hours from UTC.
const PST: i64 = -8;
const PDT: i64 = -7;

/// The next midnight in Los Angeles after `now`, in UTC; `None` at the end of the calendar.
pub(super) fn next_pacific_midnight(now: OffsetDateTime) -> Option<OffsetDateTime> {
    let now = now.to_offset(UtcOffset::UTC);
    let local = now.checked_add(time::Duration::hours(offset_at(now)?))?;
    let midnight = local.date().next_day()?.with_time(Time::MIDNIGHT).assume_utc();
    // The change is at 2 o'clock, so midnight is on the side of the rule that the evening before was on, but for the day
    // of the change itself: try both, and take the one that the rule gives back.
    [PDT, PST]
        .into_iter()
        .filter_map(|offset| Some((offset, midnight.checked_sub(time::Duration::hours(offset))?)))
        .find(|(offset, utc)| offset_at(*utc) == Some(*offset))
        .map(|(_, utc)| utc)
}

/// What to say when the quota per day is spent at `now`; short, since messages are cut from the end.
pub(super) fn notice(now: OffsetDateTime) -> String {
    let at = next_pacific_midnight(now).and_then(|reset| {
        let text = reset.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC")).ok()?;
        Some(format!("{text} (midnight Pacific, in {})", span((reset - now).unsigned_abs())))
    });
    let until = at.unwrap_or_else(|| "midnight Pacific".to_owned());
    format!("the quota per day is spent until {until}; go on then with --resume")
}

/// `10 h 5 min`, rounded up to minutes.
fn span(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    format!("{} h {} min", minutes / 60, minutes % 60)
}

/// Hours from UTC in Los Angeles at an instant.
fn offset_at(utc: OffsetDateTime) -> Option<i64> {
    let year = utc.year();
    // 2:00 PST is 10:00 UTC, and 2:00 PDT is 9:00 UTC.
    let begins = sunday(year, Month::March, 2)?.with_hms(10, 0, 0).ok()?.assume_utc();
    let ends = sunday(year, Month::November, 1)?.with_hms(9, 0, 0).ok()?.assume_utc();
    Some(if (begins..ends).contains(&utc) { PDT } else { PST })
}

/// The n-th Sunday of a month, from 1.
fn sunday(year: i32, month: Month, n: u8) -> Option<Date> {
    let first = Date::from_calendar_date(year, month, 1).ok()?.weekday();
    let to_sunday = (7 - first.number_days_from_sunday()) % 7;
    Date::from_calendar_date(year, month, 1 + to_sunday + 7 * (n - 1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn midnight_is_found_on_both_sides_of_both_changes() {
        for (now, reset) in [
            // Winter and summer.
            (datetime!(2026-11-22 21:35 UTC), datetime!(2026-11-23 08:00 UTC)),
            (datetime!(2026-07-01 06:59:59 UTC), datetime!(2026-07-01 07:00 UTC)),
            (datetime!(2026-07-01 07:00 UTC), datetime!(2026-07-02 07:00 UTC)),
            // 2026-03-08: the day has 23 hours.
            (datetime!(2026-03-08 07:59 UTC), datetime!(2026-03-08 08:00 UTC)),
            (datetime!(2026-03-08 08:00 UTC), datetime!(2026-03-09 07:00 UTC)),
            (datetime!(2026-03-08 09:59:59 UTC), datetime!(2026-03-09 07:00 UTC)),
            (datetime!(2026-03-08 10:00 UTC), datetime!(2026-03-09 07:00 UTC)),
            // 2026-11-01: the day has 25 hours.
            (datetime!(2026-11-01 06:59 UTC), datetime!(2026-11-01 07:00 UTC)),
            (datetime!(2026-11-01 07:00 UTC), datetime!(2026-11-02 08:00 UTC)),
            (datetime!(2026-11-01 08:59:59 UTC), datetime!(2026-11-02 08:00 UTC)),
            (datetime!(2026-11-01 09:00 UTC), datetime!(2026-11-02 08:00 UTC)),
            (datetime!(2026-11-02 07:59 UTC), datetime!(2026-11-02 08:00 UTC)),
            // Other years, another zone, and the turn of the year.
            (datetime!(2027-03-14 09:00 UTC), datetime!(2027-03-15 07:00 UTC)),
            (datetime!(2028-11-05 08:30 UTC), datetime!(2028-11-06 08:00 UTC)),
            (datetime!(2026-12-31 23:00 -08:00), datetime!(2027-01-01 08:00 UTC)),
        ] {
            assert_eq!(next_pacific_midnight(now), Some(reset), "{now}");
        }
    }

    #[test]
    fn every_hour_of_two_years_waits_a_day_at_most() {
        let mut now = datetime!(2026-01-01 00:00 UTC);
        while now < datetime!(2028-01-01 00:00 UTC) {
            let reset = next_pacific_midnight(now).unwrap();
            let waits = reset - now;
            assert!(waits > time::Duration::ZERO && waits <= time::Duration::hours(25), "{now}");
            now += time::Duration::HOUR;
        }
    }

    #[test]
    fn the_notice_says_when_and_how_to_go_on() {
        assert_eq!(
            notice(datetime!(2026-11-22 21:35:30 UTC)),
            "the quota per day is spent until 2026-11-23 08:00 UTC (midnight Pacific, in 10 h 25 min); go on then with \
             --resume"
        );
    }
}
