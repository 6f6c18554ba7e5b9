//! Windows of time, as requests say them.

use chrono_tz::Tz;
use gravity_events::body::Span;
use gravity_events::burn::MINUTE_MS;
use gravity_events::time::{format_rfc3339_ms, parse_rfc3339_ms};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::Problem;

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

impl From<By> for Span {
    fn from(by: By) -> Span {
        match by {
            By::Minute => Span::Minute,
            By::Hour => Span::Hour,
            By::Day => Span::Day,
            By::Month => Span::Month,
        }
    }
}

/// The time zone of a name; UTC where none is given.
pub fn zone_of(name: Option<&str>) -> Result<Tz, Problem> {
    name.map_or(Ok(Tz::UTC), |name| {
        name.parse().map_err(|_| {
            Problem::invalid("time_zone", format!("is `{name}`, expected a name such as Europe/Berlin or UTC"))
        })
    })
}

/// Whole minutes only: usage is known by the minute.
pub fn minute_of(field: &'static str, at: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(at) = at else { return Ok(None) };
    let at_ms = parse_rfc3339_ms(at)
        .map_err(|_| Problem::invalid(field, format!("is `{at}`, expected a time such as 2026-11-28T12:00:00Z")))?;
    if at_ms % MINUTE_MS != 0 {
        return Err(Problem::invalid(
            field,
            format!("is `{at}`, expected a whole minute: usage is known by the minute"),
        ));
    }
    Ok(Some(at_ms / MINUTE_MS))
}

/// A minute as people of the zone write it.
pub fn at(minute: i64, zone: Tz) -> String {
    match chrono::DateTime::from_timestamp(minute.saturating_mul(60), 0) {
        Some(at) if zone != Tz::UTC => at.with_timezone(&zone).to_rfc3339(),
        _ => format_rfc3339_ms(minute.saturating_mul(MINUTE_MS)),
    }
}
