//! Rows of analytics: meters by window and group, and views of events, as the pipeline hands them to serving.

use serde::{Deserialize, Serialize};

use crate::Id;

/// What a view of events is made of. A view is one list of rows per event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewSpec {
    /// Its name: of its live table and its route.
    pub name: &'static str,
    /// What it says, for people.
    pub about: &'static str,
    /// Whether rows are about minutes, and how they are counted.
    pub minutes: Minutes,
    /// What rows are about, where it is no minute: `problem`, `language`.
    pub by: Option<&'static str>,
    /// Whether a row names a team, and which.
    pub team: Option<&'static str>,
    /// Its numbers, in their order: name with its unit last, and meaning.
    pub numbers: &'static [(&'static str, &'static str)],
}

/// How a view counts minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minutes {
    /// Its rows are about no minutes.
    None,
    /// By the clock: milliseconds since 1970.
    Clock,
    /// By contest time: milliseconds since the event's start.
    Contest,
}

/// A row of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ViewKey {
    /// Whose event.
    pub tenant: Id,
    /// Which event.
    pub event: Id,
    /// Which view.
    pub view: Id,
    /// The minute's start, see [`Minutes`].
    pub minute_ms: Option<i64>,
    /// The problem or language; none also where a submission says no language.
    pub by: Option<Id>,
}

/// What a row says.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ViewRow {
    /// In the order of the view's numbers; None: not known.
    pub numbers: Vec<Option<i64>>,
    /// The team.
    pub team: Option<Id>,
}

/// A window of a meter.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MeterWindow {
    /// Whose.
    pub tenant: Id,
    /// Which meter.
    pub meter: Id,
    /// Its start, milliseconds since 1970.
    pub start_ms: i64,
    /// What the meter is grouped by, in its order, and of what this window is; None: the usage does not say.
    pub group: Vec<(Id, Option<Id>)>,
    /// The first millisecond after it.
    pub end_ms: i64,
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MeterValue {
    /// The number; of a mean the sum, to be divided by `records`.
    pub value: i64,
    /// Records in it.
    pub records: i64,
}
