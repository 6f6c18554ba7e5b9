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
    /// Points for each solved problem, which may fall with the number of teams that solve it.
    Ctf,
    /// Partial points by subtask.
    Ioi,
    /// One metric, measured on a public and a private split.
    Kaggle,
    /// Dimensions weighted by a rubric (hackathons, labs).
    Rubric,
}

/// Which of a team's submissions to a problem counts, where more than one could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The one with the highest score; of equal ones the earliest.
    #[default]
    Best,
    /// The last one that is judged.
    Last,
    /// The last one that the team chose; none chosen: none counts.
    Chosen,
}

/// How the subtasks of several submissions to a problem are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subtasks {
    /// The sum over subtasks of the most points that any submission got for it (IOI since 2017).
    #[default]
    Each,
    /// The most points that any one submission got in sum (IOI 2010 to 2016).
    Whole,
}

/// A span of the event that is taken out of its time, as if the clock had stood still: contest times before removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interval {
    /// From this contest time on.
    pub from_ms: i64,
    /// Until before this one.
    pub to_ms: i64,
}

/// How the boards of an event differ from what is usual for its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BoardRules {
    /// Rubric boards: the rubric that counts, in its highest version. Absent: the one that is published last by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rubric: Option<Id>,
    /// Rubric boards: which submissions count.
    #[serde(default)]
    pub selection: Selection,
    /// IOI boards: how subtasks are put together.
    #[serde(default)]
    pub subtasks: Subtasks,
    /// CTF boards: what a problem is worth which does not say it itself.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::objects::object_option")]
    pub value: Option<ValueFunction>,
    /// Kaggle boards: how many selected submissions count for the private split; 2 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_max: Option<u32>,
    /// Kaggle boards: the least score is the best one.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub lower_is_better: bool,
    /// Equal teams do not share a rank: the id of the deciding submission decides.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub strict: bool,
    /// CTF boards: teams without a solve are listed, too.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub list_all: bool,
    /// Spans of the event that do not count as time.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "super::objects::list")]
    pub removed_intervals: Vec<Interval>,
}

/// What a problem is worth after so many teams have solved it, in points.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "function", rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueFunction {
    /// Always the same.
    Static {
        /// The value.
        points: i64,
    },
    /// CTFd's "linear": falls by `decay` with every solve after the first, down to `minimum`.
    Linear {
        /// Before the second solve.
        initial: i64,
        /// Never less.
        minimum: i64,
        /// Points per solve.
        decay: i64,
    },
    /// CTFd's "logarithmic" (a parabola): `minimum` is reached after `decay` solves.
    Logarithmic {
        /// Before the second solve.
        initial: i64,
        /// Never less.
        minimum: i64,
        /// Solves until the minimum.
        decay: i64,
    },
    /// GZCTF's: `initial * (r + (1 - r) * e^((1 - n) / d))`.
    Exponential {
        /// Before the second solve.
        initial: i64,
        /// r, in basis points: the share that is left in the end.
        minimum_bp: u32,
        /// d, in thousandths: how many solves it takes.
        difficulty_milli: i64,
    },
    /// NIZKCTF's: 500, falling by 80 with every doubling of n + 3, down to 50.
    Nizkctf,
    /// DEF CON's qualifier's: 100 and 400 more, divided by 1 + 0.08 n ln n.
    Defcon,
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
    #[serde(default, with = "crate::time::rfc3339_option", skip_serializing_if = "Option::is_none")]
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
    /// What differs from what is usual for boards of this kind.
    #[serde(default, skip_serializing_if = "is_usual", deserialize_with = "super::objects::object")]
    pub rules: BoardRules,
    /// Awards besides those that follow from the board. One by the name of such takes its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "super::objects::list")]
    pub awards: Vec<CustomAward>,
}

fn is_usual(rules: &BoardRules) -> bool {
    *rules == BoardRules::default()
}

/// An award that somebody decided on. Told once the results are final and nothing is hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CustomAward {
    /// Its id, as in CLICS: `best-newcomer`, or `gold-medal` to give medals otherwise than by rank.
    pub award: Id,
    /// For people.
    pub citation: String,
    /// Who has it.
    #[serde(default)]
    pub teams: Vec<Id>,
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
