//! What a pipeline hands on once an epoch is durable, and to whom.

use std::sync::Arc;

use crate::board::{BoardKey, BoardValue, View};
use crate::body::BoardNoted;
use crate::{Id, Position, Topic};

/// One committed epoch of the boards pipeline. Nothing in it was visible to anyone before its frame was fsynced.
#[derive(Clone, Debug, Default)]
pub struct BoardsEpoch {
    /// The epoch.
    pub epoch: u64,
    /// The epoch's clock.
    pub now_ms: i64,
    /// What changed. After a restart the first one holds everything.
    pub changes: Vec<BoardChange>,
    /// New versions of the boards that changed.
    pub versions: Vec<BoardVersion>,
    /// Judgements without their submission, per (tenant, event), where that number changed.
    pub orphans: Vec<(Id, Id, i64)>,
    /// The first offset of each partition that is not in this or an earlier epoch.
    pub bound: Vec<(Topic, u32, u64)>,
    /// Records of this epoch that did not count.
    pub refused: Vec<Refused>,
    /// Why boards moved other than by submissions: (event, note).
    pub notes: Vec<(Id, BoardNoted)>,
    /// True for the state after a restart: it replaces whatever was there.
    pub snapshot: bool,
}

/// One change of a board's content.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardChange {
    /// Public or jury.
    pub view: View,
    /// What.
    pub key: BoardKey,
    /// Its value now; None: gone.
    pub value: Option<BoardValue>,
}

/// The version that a board has from this epoch on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardVersion {
    /// Whose event.
    pub tenant: Id,
    /// Which event.
    pub event: Id,
    /// Public or jury.
    pub view: View,
    /// Division ([`crate::board::OVERALL`] for all).
    pub division: Id,
    /// Dense: one more than before.
    pub version: u64,
}

/// A record that did not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where it stands.
    pub position: Position,
    /// `duplicate`, `conflict`, `wrong_tenant`, `too_late`, a decode error's code, ...
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// Takes committed epochs, in order, one at a time. Must not block for long: the committer waits for it.
pub trait BoardsSink: Send + Sync {
    /// Applies one epoch.
    fn publish(&self, epoch: Arc<BoardsEpoch>);
}
