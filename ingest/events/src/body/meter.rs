//! Meters: what is measured of usage, defined while the platform runs; and what the analytics pipeline says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Id;

/// A meter of a tenant: one number of usage, by windows of time and by groups. Reference data: the newest definition of a
/// name holds, for all usage that there is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MeterDefined {
    /// Its name.
    pub meter: Id,
    /// Of which records: `usage.tokens`, `usage.vm` or `usage.hint`.
    pub of: Id,
    /// What becomes of their numbers.
    pub aggregation: Aggregation,
    /// A number of the record (`input_tokens`, `output_tokens`, `total_tokens`, `cached_tokens`, `duration_ms`); for
    /// `unique_count` what is counted (`event`, `team`, `participant`, `model`, `lab`); none for `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Id>,
    /// How long its windows are.
    #[serde(default)]
    pub window: Span,
    /// Whose hours, days and months: a name of the time zone database; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Id>,
    /// Windows of their own for each of these: `event`, `team`, `participant`, `model`, `lab`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<Id>,
    /// Taken away.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub deleted: bool,
    /// The highest revision is the current state; equal ones go by place in the log.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub revision: u64,
}

/// What becomes of the numbers of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Their sum.
    Sum,
    /// How many records there are.
    Count,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// Their mean.
    Avg,
    /// How many different ones there are.
    UniqueCount,
    /// That of the record with the latest time.
    Latest,
}

/// How long a window is: half-open, and as the people of a time zone count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// A minute.
    Minute,
    /// An hour.
    #[default]
    Hour,
    /// A calendar day: 23 to 25 hours.
    Day,
    /// A calendar month.
    Month,
}

/// Numbers that a meter may aggregate, in the order in which they are kept.
pub const METER_NUMBERS: [&str; 5] = ["input_tokens", "output_tokens", "cached_tokens", "total_tokens", "duration_ms"];

/// What a meter may be grouped by, and what `unique_count` may count.
pub const METER_DIMENSIONS: [&str; 5] = ["event", "team", "participant", "model", "lab"];

/// A window of a meter is now this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterChanged {
    /// Which meter.
    pub meter: Id,
    /// The window's start.
    #[serde(with = "crate::time::rfc3339")]
    pub window_start: i64,
    /// The first moment after it.
    #[serde(with = "crate::time::rfc3339")]
    pub window_end: i64,
    /// What the meter is grouped by, and of what this window is; what is unknown is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub group: BTreeMap<Id, Id>,
    /// The number; of a mean the sum, to be divided by `records`. None: the window is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    /// Records in it.
    pub records: i64,
    /// The window was over: usage came late.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub correction: bool,
}

/// A row of one of the views of an event is now this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyticsChanged {
    /// Which view.
    pub view: Id,
    /// The minute that it is about, of views by minutes of the clock.
    #[serde(default, with = "crate::time::rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub window_start: Option<i64>,
    /// The start of the minute that it is about, of views by minutes of contest time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contest_minute_ms: Option<i64>,
    /// The problem or language that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Id>,
    /// The team that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Id>,
    /// Its numbers by name; those that are not known are left out. Empty: the row is no more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<Id, i64>,
}
