//! What a pipeline hands on once an epoch is durable, and to whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analytics::{MeterValue, MeterWindow, ViewKey, ViewRow};
use crate::board::{BoardKey, BoardValue, View};
use serde::{Deserialize, Serialize};

use crate::body::{BoardNoted, BudgetSet, MeterDefined, PricePublished, SimilarityChanged};
use crate::burn::{Account, Cell, Charged, Usage};
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
    /// Changes of events in which a change of rules is under way: to be got ready, not to be shown yet.
    pub staged: Vec<BoardChange>,
    /// Events in which a change of rules is under way from this epoch on (true), or is done: what was staged is shown.
    pub gates: Vec<(Id, bool)>,
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

/// One committed epoch of the labs pipeline.
#[derive(Clone, Debug, Default)]
pub struct LabsEpoch {
    /// The epoch.
    pub epoch: u64,
    /// Labs of which something is known, that changed; None: released.
    pub labs: Vec<(LabKey, Option<LabSeen>)>,
    /// Alerts that were raised or changed; None: cleared.
    pub alerts: Vec<(LabAlertKey, Option<LabAlert>)>,
    /// As in [`BoardsEpoch`].
    pub bound: Vec<(Topic, u32, u64)>,
    /// As in [`BoardsEpoch`].
    pub refused: Vec<Refused>,
    /// As in [`BoardsEpoch`].
    pub snapshot: bool,
}

/// A lab.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabKey {
    /// Whose.
    pub tenant: Id,
    /// Which.
    pub lab: Id,
}

/// Where a lab is in its life, by what was said of it last. One that was released is not known any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LabPhase {
    /// Only measurements came.
    #[default]
    Unknown,
    /// Somebody waits for it.
    Requested,
    /// A step of its provisioning was begun, or ended.
    Provisioning,
    /// It can be used.
    Ready,
    /// It will never be ready.
    Failed,
}

impl LabPhase {
    /// All of them.
    pub const ALL: [LabPhase; 5] =
        [LabPhase::Unknown, LabPhase::Requested, LabPhase::Provisioning, LabPhase::Ready, LabPhase::Failed];

    /// In the interface, in SQL and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            LabPhase::Unknown => "unknown",
            LabPhase::Requested => "requested",
            LabPhase::Provisioning => "provisioning",
            LabPhase::Ready => "ready",
            LabPhase::Failed => "failed",
        }
    }
}

/// What is known of a lab.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabSeen {
    /// Where it is in its life.
    pub phase: LabPhase,
    /// The minute of the newest point.
    pub seen_at_ms: Option<i64>,
    /// Points that came after a later one of their metric, or without a time: not judged.
    pub late: u64,
    /// Points of metrics beyond the number that is watched per lab.
    pub unwatched: u64,
}

/// An alert of a lab: the metric that was raised first speaks for all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabAlertKey {
    /// Which lab.
    pub lab: LabKey,
    /// The time of the point that raised it.
    pub since_ms: i64,
    /// The metric.
    pub metric: Id,
}

/// What is told of an alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabAlert {
    /// The greatest evidence since, in whole nats: e to that power to one, roughly.
    pub evidence_nats: u32,
    /// The lab's other metrics that are raised.
    pub others: Vec<Id>,
}

/// Takes committed epochs of labs, as [`BoardsSink`] those of boards.
pub trait LabsSink: Send + Sync {
    /// Applies one epoch.
    fn publish_labs(&self, epoch: Arc<LabsEpoch>);
}

/// One committed epoch of the similarity pipeline.
#[derive(Clone, Debug, Default)]
pub struct SimilarityEpoch {
    /// The epoch.
    pub epoch: u64,
    /// Pairs that came, changed or went (share 0), by tenant and event.
    pub pairs: Vec<(Id, Id, SimilarityChanged)>,
    /// As in [`BoardsEpoch`].
    pub bound: Vec<(Topic, u32, u64)>,
    /// As in [`BoardsEpoch`].
    pub refused: Vec<Refused>,
    /// As in [`BoardsEpoch`].
    pub snapshot: bool,
}

/// Takes committed epochs of similarity, as [`BoardsSink`] those of boards.
pub trait SimilaritySink: Send + Sync {
    /// Applies one epoch.
    fn publish_similarity(&self, epoch: Arc<SimilarityEpoch>);
}

/// One committed epoch of the burn pipeline.
#[derive(Clone, Debug, Default)]
pub struct BurnEpoch {
    /// The epoch.
    pub epoch: u64,
    /// The epoch's clock.
    pub now_ms: i64,
    /// Cells that changed; None: gone.
    pub cells: Vec<(Cell, Option<Charged>)>,
    /// Currencies of tenants that have prices; None: it has none any more.
    pub currencies: Vec<(Id, Option<Id>)>,
    /// What accounts spent without having reserved it, in micro-units; None: nothing.
    pub unreserved: Vec<(Account, Option<i64>)>,
    /// Budgets by tenant, event and name; None: it is not set any more.
    pub budgets: Vec<(BudgetKey, Option<BudgetSet>)>,
    /// New versions of tenants' burn.
    pub versions: Vec<(Id, u64)>,
    /// As in [`BoardsEpoch`].
    pub bound: Vec<(Topic, u32, u64)>,
    /// As in [`BoardsEpoch`].
    pub refused: Vec<Refused>,
    /// As in [`BoardsEpoch`].
    pub snapshot: bool,
}

/// Takes committed epochs of burn, as [`BoardsSink`] those of boards.
pub trait BurnSink: Send + Sync {
    /// Applies one epoch.
    fn publish_burn(&self, epoch: Arc<BurnEpoch>);
}

/// One committed epoch of the analytics pipeline.
#[derive(Clone, Debug, Default)]
pub struct AnalyticsEpoch {
    /// The epoch.
    pub epoch: u64,
    /// The epoch's clock.
    pub now_ms: i64,
    /// Rows of views that changed; None: gone.
    pub views: Vec<(ViewKey, Option<ViewRow>)>,
    /// Meters by tenant and name; None: taken away.
    pub meters: Vec<(Id, Id, Option<MeterDefined>)>,
    /// Windows that changed; None: gone.
    pub windows: Vec<(MeterWindow, Option<MeterValue>)>,
    /// As in [`BoardsEpoch`].
    pub bound: Vec<(Topic, u32, u64)>,
    /// As in [`BoardsEpoch`].
    pub snapshot: bool,
}

/// A window that changes so long after its end was over: until then usage is not late.
const GRACE_MS: i64 = 60_000;

impl AnalyticsEpoch {
    /// Whether this change of a window corrects what was told of it when it was over. A meter that is defined anew corrects
    /// nothing.
    pub fn is_correction(&self, window: &MeterWindow) -> bool {
        let is_new =
            |(tenant, meter, _): &(Id, Id, Option<MeterDefined>)| (tenant, meter) == (&window.tenant, &window.meter);
        self.now_ms >= window.end_ms.saturating_add(GRACE_MS) && !self.snapshot && !self.meters.iter().any(is_new)
    }
}

/// Takes committed epochs of analytics, as [`BoardsSink`] those of boards.
pub trait AnalyticsSink: Send + Sync {
    /// Applies one epoch.
    fn publish_analytics(&self, epoch: Arc<AnalyticsEpoch>);
}

/// Tenant, event and name of a budget.
pub type BudgetKey = (Id, Option<Id>, Id);

/// What usage costs by the price lists that are in force.
pub trait Pricing: Send + Sync {
    /// In which currency a tenant pays; None: it has no prices.
    fn currency(&self, tenant: &Id) -> Option<Id>;

    /// What usage in a cell costs when `before` was used of its item in the month.
    fn charge(&self, cell: &Cell, usage: &Usage, before: &Usage) -> Charged;

    /// The most that usage in a cell can cost.
    fn charge_at_most(&self, cell: &Cell, usage: &Usage) -> Charged;

    /// What a tenant's cells would cost if a list were published, of an event or of none; and in which currency.
    fn preview(
        &self,
        tenant: &Id,
        event: Option<&Id>,
        list: &PricePublished,
        cells: BTreeMap<Cell, Usage>,
    ) -> (Option<Id>, BTreeMap<Cell, Charged>);
}
