//! What a minute's usage is kept as, for meters: enough for every aggregation, whatever the meters are.

use gravity_events::Id;
use gravity_events::body::{METER_DIMENSIONS, METER_NUMBERS};
use gravity_events::burn::Item;
use serde::{Deserialize, Serialize};

/// How many numbers a record has, see [`METER_NUMBERS`].
pub const NUMBERS: usize = METER_NUMBERS.len();

/// All usage of a minute that no meter tells apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UsageCell {
    /// Who pays.
    pub tenant: Id,
    /// When: the half-open minute, in minutes since 1970.
    pub minute: i64,
    /// What was used.
    pub item: Item,
    /// For which event.
    pub event: Option<Id>,
    /// By which team.
    pub team: Option<Id>,
    /// In which lab.
    pub lab: Option<Id>,
    /// By whom: the record's subject.
    pub participant: Option<Id>,
}

impl UsageCell {
    /// What it says of a dimension; see [`METER_DIMENSIONS`].
    pub fn dimension(&self, name: &str) -> Option<&Id> {
        debug_assert!(METER_DIMENSIONS.contains(&name), "{name} is no dimension");
        match name {
            "event" => self.event.as_ref(),
            "team" => self.team.as_ref(),
            "participant" => self.participant.as_ref(),
            "model" => Some(self.item.name()),
            "lab" => self.lab.as_ref(),
            _ => None,
        }
    }
}

/// What the records of a cell come to. The order in which records are taken does not matter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Counted {
    /// How many.
    pub records: i64,
    /// Sums; too large ones stay at the largest.
    pub sums: [i64; NUMBERS],
    /// The least.
    pub least: [i64; NUMBERS],
    /// The greatest.
    pub greatest: [i64; NUMBERS],
    /// Time of the latest record, and a hash of which it is.
    pub latest_at: (i64, u64),
    /// Its numbers.
    pub latest: [i64; NUMBERS],
}

impl Counted {
    /// Of one record.
    pub fn one(numbers: [i64; NUMBERS], at_ms: i64, hash: u64) -> Counted {
        let n = numbers;
        Counted { records: 1, sums: n, least: n, greatest: n, latest_at: (at_ms, hash), latest: n }
    }

    /// Both together.
    #[must_use]
    pub fn with(mut self, other: &Counted) -> Counted {
        self.records = self.records.saturating_add(other.records);
        for n in 0..NUMBERS {
            self.sums[n] = self.sums[n].saturating_add(other.sums[n]);
            self.least[n] = self.least[n].min(other.least[n]);
            self.greatest[n] = self.greatest[n].max(other.greatest[n]);
        }
        if other.latest_at > self.latest_at {
            (self.latest_at, self.latest) = (other.latest_at, other.latest);
        }
        self
    }
}
