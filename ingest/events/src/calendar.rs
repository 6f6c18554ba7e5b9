//! Windows of time: half-open, and in a time zone as its people count them.

use crate::body::Span;
use crate::burn::MINUTE_MS;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;

/// Start of the window that a minute is in; both in minutes since 1970.
pub fn window_start(minute: i64, span: Span, zone: Tz) -> i64 {
    let Some(at) = DateTime::from_timestamp_millis(minute.saturating_mul(MINUTE_MS)) else { return minute };
    let local = at.with_timezone(&zone);
    match span {
        Span::Minute => minute,
        // Counted back, so that of an hour that comes twice each is its own. Zones are whole minutes off since 1972.
        Span::Hour => minute - i64::from(local.minute()),
        Span::Day => start_of(local.date_naive(), zone).unwrap_or(minute),
        Span::Month => local.date_naive().with_day(1).and_then(|first| start_of(first, zone)).unwrap_or(minute),
    }
}

/// The first minute after the window that begins at a minute.
pub fn window_end(start: i64, span: Span, zone: Tz) -> i64 {
    let after = |minutes: i64| start.saturating_add(minutes);
    let first_of_next = || {
        let local = DateTime::from_timestamp_millis(start.saturating_mul(MINUTE_MS))?.with_timezone(&zone).date_naive();
        let next = match span {
            Span::Day => local.checked_add_days(Days::new(1))?,
            _ => local.with_day(1)?.checked_add_months(Months::new(1))?,
        };
        start_of(next, zone)
    };
    match span {
        Span::Minute => after(1),
        Span::Hour => after(60),
        // A day or month at the end of what a calendar holds is taken to be a usual one.
        Span::Day => first_of_next().unwrap_or(after(1_440)),
        Span::Month => first_of_next().unwrap_or(after(31 * 1_440)),
    }
}

/// The first minute of a day. Some days begin after midnight, and one in history is not there at all.
fn start_of(day: NaiveDate, zone: Tz) -> Option<i64> {
    let midnight = day.and_time(NaiveTime::MIN);
    let end = day.checked_add_days(Days::new(2))?.and_time(NaiveTime::MIN);
    let mut at = midnight;
    while at < end {
        if let Some(start) = zone.from_local_datetime(&at).earliest() {
            return Some(start.timestamp().div_euclid(60));
        }
        at += TimeDelta::minutes(15);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp().div_euclid(60)
    }

    fn start(at: &str, span: Span, zone: &str) -> String {
        let start = window_start(minute(at), span, zone.parse().unwrap());
        DateTime::from_timestamp(start * 60, 0).unwrap().format("%Y-%m-%dT%H:%MZ").to_string()
    }

    #[test]
    fn days_and_months_begin_at_local_midnight() {
        let berlin = "Europe/Berlin";
        assert_eq!(
            start("2026-03-29T12:34:00Z", Span::Day, berlin),
            "2026-03-28T23:00Z",
            "the day the clock goes forward"
        );
        assert_eq!(start("2026-03-29T22:00:00Z", Span::Day, berlin), "2026-03-29T22:00Z", "it had 23 hours");
        assert_eq!(start("2026-11-28T00:00:00Z", Span::Month, berlin), "2026-10-31T23:00Z");
        assert_eq!(start("2026-10-31T23:00:00Z", Span::Month, berlin), "2026-10-31T23:00Z", "half-open");
        assert_eq!(start("2026-10-31T22:59:00Z", Span::Month, berlin), "2026-09-30T22:00Z");
        assert_eq!(start("2026-11-28T05:00:00Z", Span::Month, "UTC"), "2026-11-01T00:00Z");
    }

    #[test]
    fn windows_end_where_the_next_one_begins() {
        for zone in ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia"] {
            let zone: Tz = zone.parse().unwrap();
            for span in [Span::Minute, Span::Hour, Span::Day, Span::Month] {
                // The years in which Samoa left out a day and Brazil's clock moved at midnight.
                let mut at = window_start(minute("2011-12-01T00:00:00Z"), span, zone);
                for _ in 0..90 {
                    let end = window_end(at, span, zone);
                    assert!(end > at, "{zone} {span:?}");
                    assert_eq!(window_start(end, span, zone), end, "{zone} {span:?}");
                    assert_eq!(window_start(end - 1, span, zone), at, "{zone} {span:?}");
                    at = end;
                }
            }
        }
    }

    #[test]
    fn hours_are_those_of_the_zone_and_each_is_its_own_when_the_clock_goes_back() {
        assert_eq!(start("2026-01-01T10:29:00Z", Span::Hour, "Asia/Kolkata"), "2026-01-01T09:30Z");
        assert_eq!(start("2026-10-25T00:30:00Z", Span::Hour, "Europe/Berlin"), "2026-10-25T00:00Z");
        assert_eq!(start("2026-10-25T01:30:00Z", Span::Hour, "Europe/Berlin"), "2026-10-25T01:00Z");
        assert_eq!(start("2026-10-25T01:30:00Z", Span::Minute, "Europe/Berlin"), "2026-10-25T01:30Z");
    }

    #[test]
    fn days_without_a_midnight_begin_later() {
        assert_eq!(start("2018-11-04T12:00:00Z", Span::Day, "America/Sao_Paulo"), "2018-11-04T03:00Z");
        assert_eq!(start("2011-12-31T00:00:00Z", Span::Day, "Pacific/Apia"), "2011-12-30T10:00Z");
    }
}
