//! Windows of time: half-open, and in a time zone as its people count them.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;
use gravity_events::burn::MINUTE_MS;
use serde::Deserialize;
use utoipa::ToSchema;

/// How long windows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A minute.
    Minute,
    /// An hour of the time zone.
    #[default]
    Hour,
    /// A calendar day of the time zone: 23 to 25 hours.
    Day,
    /// A calendar month of the time zone.
    Month,
}

/// Start of the window that a minute is in; both in minutes since 1970.
pub fn window_start(minute: i64, by: By, zone: Tz) -> i64 {
    let Some(at) = DateTime::from_timestamp_millis(minute.saturating_mul(MINUTE_MS)) else { return minute };
    let local = at.with_timezone(&zone);
    match by {
        By::Minute => minute,
        // Counted back, so that of an hour that comes twice each is its own. Zones are whole minutes off since 1972.
        By::Hour => minute - i64::from(local.minute()),
        By::Day => start_of(local.date_naive(), zone).unwrap_or(minute),
        By::Month => local.date_naive().with_day(1).and_then(|first| start_of(first, zone)).unwrap_or(minute),
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

    fn start(at: &str, by: By, zone: &str) -> String {
        let start = window_start(minute(at), by, zone.parse().unwrap());
        DateTime::from_timestamp(start * 60, 0).unwrap().format("%Y-%m-%dT%H:%MZ").to_string()
    }

    #[test]
    fn days_and_months_begin_at_local_midnight() {
        let berlin = "Europe/Berlin";
        assert_eq!(
            start("2026-03-29T12:34:00Z", By::Day, berlin),
            "2026-03-28T23:00Z",
            "the day the clock goes forward"
        );
        assert_eq!(start("2026-03-29T22:00:00Z", By::Day, berlin), "2026-03-29T22:00Z", "it had 23 hours");
        assert_eq!(start("2026-11-28T00:00:00Z", By::Month, berlin), "2026-10-31T23:00Z");
        assert_eq!(start("2026-10-31T23:00:00Z", By::Month, berlin), "2026-10-31T23:00Z", "half-open");
        assert_eq!(start("2026-10-31T22:59:00Z", By::Month, berlin), "2026-09-30T22:00Z");
        assert_eq!(start("2026-11-28T05:00:00Z", By::Month, "UTC"), "2026-11-01T00:00Z");
    }

    #[test]
    fn hours_are_those_of_the_zone_and_each_is_its_own_when_the_clock_goes_back() {
        assert_eq!(start("2026-01-01T10:29:00Z", By::Hour, "Asia/Kolkata"), "2026-01-01T09:30Z");
        assert_eq!(start("2026-10-25T00:30:00Z", By::Hour, "Europe/Berlin"), "2026-10-25T00:00Z");
        assert_eq!(start("2026-10-25T01:30:00Z", By::Hour, "Europe/Berlin"), "2026-10-25T01:00Z");
        assert_eq!(start("2026-10-25T01:30:00Z", By::Minute, "Europe/Berlin"), "2026-10-25T01:30Z");
    }

    #[test]
    fn days_without_a_midnight_begin_later() {
        assert_eq!(start("2018-11-04T12:00:00Z", By::Day, "America/Sao_Paulo"), "2018-11-04T03:00Z");
        assert_eq!(start("2011-12-31T00:00:00Z", By::Day, "Pacific/Apia"), "2011-12-30T10:00Z");
    }
}
