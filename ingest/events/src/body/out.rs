//! What pipelines say.

use serde::{Deserialize, Serialize};

use crate::Id;

/// A submission has its score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreReady {
    /// Which.
    pub submission: Id,
    /// Whose.
    pub team: Id,
    /// In the board's unit.
    pub score: i64,
}

/// One row, header or first solve of a board is now this (or gone, when `value` is null).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoardChanged {
    /// `public` or `jury`.
    pub view: crate::board::View,
    /// What changed: see [`crate::board::BoardKey`].
    pub key: crate::board::BoardKey,
    /// What it is now.
    #[serde(deserialize_with = "super::objects::given")]
    pub value: Option<crate::board::BoardValue>,
    /// The versions that the boards it is on have with this change: (division, version).
    pub versions: Vec<(Id, u64)>,
}

/// Why rows of a board moved other than by submissions and their verdicts: its change log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardNoted {
    /// Whose view moved.
    pub view: crate::board::View,
    /// The version of the overall board with these changes.
    pub version: u64,
    /// When they came in force.
    #[serde(with = "crate::time::rfc3339")]
    pub at: i64,
    /// What they were.
    #[serde(deserialize_with = "super::objects::list")]
    pub causes: Vec<Cause>,
    /// Rows that changed with them, those of submissions that came at the same moment included.
    pub rows: u64,
}

/// One cause of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// `rejudged`, `rescored`, `adjusted`, `hint`, `configured`, `extended`, `frozen`, `thawed`, ...
    pub kind: Id,
    /// What it was about: a rejudging, a rubric, a team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<Id>,
    /// Why, in the words of whoever did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Id>,
}

/// All records of this epoch in this partition have been written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochClosed {
    /// Which pipeline.
    pub pipeline: Id,
    /// Which epoch.
    pub epoch: u64,
    /// How many records of it the partition holds, without this one.
    pub records: u64,
}

/// What an epoch took of the topics whose records its pipeline judges: all before `bounds` that no record like this one names
/// as refused has counted. For those who keep what counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochAccepted {
    /// Which pipeline.
    pub pipeline: Id,
    /// Which epoch.
    pub epoch: u64,
    /// Up to where each partition is read; empty while more that was refused follows.
    #[serde(deserialize_with = "super::objects::list")]
    pub bounds: Vec<TopicBounds>,
    /// What did not count.
    #[serde(deserialize_with = "super::objects::list")]
    pub refused: Vec<RefusedRun>,
}

/// How far a topic is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicBounds {
    /// Which topic.
    pub topic: Id,
    /// Partitions, each with the first offset that is not read.
    pub offsets: Vec<(u32, u64)>,
}

/// Records side by side that did not count, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRun {
    /// Their topic.
    pub topic: Id,
    /// Their partition.
    pub partition: u32,
    /// The first one's offset.
    pub offset: u64,
    /// How many.
    pub records: u64,
    /// `duplicate`, `conflict`, ...
    pub code: Id,
    /// What is wrong, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A burn table's cell is now this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurnChanged {
    /// Which meter.
    pub meter: Id,
    /// Start of the minute.
    #[serde(with = "crate::time::rfc3339")]
    pub window_start: i64,
    /// Records counted.
    pub records: i64,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// Tokens read from a cache.
    pub cached_tokens: i64,
    /// Charge in micro-units.
    pub cost_micro: i64,
}

/// Other prices came for usage that had been charged: what they made of one item's month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurnAdjusted {
    /// The clock of the epoch in which they came.
    #[serde(with = "crate::time::rfc3339")]
    pub at: i64,
    /// Start of the month (UTC).
    #[serde(with = "crate::time::rfc3339")]
    pub month: i64,
    /// `model`, `machine` or `hint`.
    pub kind: Id,
    /// Which.
    pub item: Id,
    /// The lists that came or changed.
    pub prices: Vec<PriceVersion>,
    /// Records whose minute costs otherwise.
    pub records: i64,
    /// What those minutes cost, in micro-units.
    pub before_micro: i64,
    /// What they cost since.
    pub after_micro: i64,
}

/// A version of a price list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceVersion {
    /// The list.
    pub price_list: Id,
    /// Its version.
    pub version: u64,
    /// The event that it is for, where it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Id>,
}

/// Something needs a person's eye, or no longer does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Same for the raising and the clearing.
    pub alert: Id,
    /// Which rule.
    pub rule: Id,
    /// For people.
    pub summary: String,
}

/// It came.
pub type AlertRaised = Alert;
/// It went.
pub type AlertCleared = Alert;

/// A budget passed one of its marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetAlert {
    /// Which budget.
    pub budget: Id,
    /// The mark, in basis points of the limit.
    pub mark_bp: u32,
    /// Spent so far, in micro-units.
    pub spent_micro: i64,
    /// The limit, in micro-units.
    pub limit_micro: i64,
}

/// A record that did not count, as it stands on the dead-letter topic: nothing that was sent is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRefused {
    /// Its bytes, up to 512 KiB, in base64.
    pub data_base64: String,
    /// Its full length in bytes.
    pub length: u64,
    /// SHA-256 of all its bytes, in hex.
    pub sha256: String,
    /// The topic that it stands on.
    pub topic: Id,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Why, for machines: `syntax`, `missing`, `conflict`, `wrong_tenant`, ...
    pub code: Id,
    /// Why, for people.
    pub detail: String,
}
