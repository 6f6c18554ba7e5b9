//! The life of an event. Keys: tenant/event/<type>/<event>.

use serde::{Deserialize, Serialize};

use crate::Id;

/// How an event is ranked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// Solved problems, then penalty (CLICS 2026-01, "Scoring Data Generation").
    #[default]
    Icpc,
}

/// What an event is. The first one claims the event's id for its tenant; a later one replaces it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventConfigured {
    /// Name that people read.
    pub name: String,
    /// Long official name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formal_name: Option<String>,
    /// How it is ranked.
    #[serde(default)]
    pub scoring: Scoring,
    /// Planned start.
    #[serde(
        default,
        with = "crate::time::rfc3339_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub start_at: Option<i64>,
    /// Length; submissions at or after it do not count. None: no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// How long before its end the public board stops telling verdicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_duration_ms: Option<i64>,
    /// Penalty per rejected submission before the accepted one; 20 minutes when absent. Whole minutes count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty_ms: Option<i64>,
    /// Only teams of this group are on the boards, where set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main_group: Option<Id>,
}

/// One moment of an event's life: when it came, or null when it is taken back. A later record replaces an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment {
    /// When; null takes the moment back.
    #[serde(with = "crate::time::rfc3339_option")]
    pub at: Option<i64>,
    /// `event.frozen` only: freeze from this contest time on, whatever was configured (a manual freeze).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contest_time_ms: Option<i64>,
}

/// The event began: contest time counts from here.
pub type EventStarted = Moment;
/// The public board is frozen.
pub type EventFrozen = Moment;
/// The freeze is lifted: everything is shown.
pub type EventThawed = Moment;
/// The event is over; later submissions do not count.
pub type EventEnded = Moment;
/// The results are final.
pub type EventFinalized = Moment;
/// The event's facts are written away; further records for it are refused.
pub type EventSealed = Moment;
/// A sealed event is opened again.
pub type EventReopened = Moment;

/// The event lasts longer (or shorter) than configured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventExtended {
    /// Its whole length from now on; null goes back to what is configured. Must be given, so that a slip resets nothing.
    #[serde(deserialize_with = "super::objects::given")]
    pub duration_ms: Option<i64>,
    /// Why, for the change log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
