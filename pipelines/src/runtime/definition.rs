//! What makes a pipeline: topics, folds, views, and what its outputs mean.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use differential_dataflow::{ExchangeData, VecCollection};
use gravity_events::publish::Refused;
use gravity_events::{Position, Record, Topic};
use gravity_ingest::log::{Bound, Produce};
use gravity_operators::boards::gate::Pace;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

/// From one epoch to the next, where participants wait for it.
pub const FLOOR: Duration = Duration::from_millis(5);

pub use super::folds::{Block, Folds};
use super::row::{FoldOp, FoldRow, shard_of};
use super::watchdog::Overrun;

/// What outputs are made of.
pub trait OutData: ExchangeData + Debug + Serialize + DeserializeOwned + Sync {}
impl<T: ExchangeData + Debug + Serialize + DeserializeOwned + Sync> OutData for T {}

/// One pipeline. Everything in it is a pure function of its arguments.
pub trait Definition: Send + Sync + Sized + 'static {
    /// Key of an output row; at most one value per key.
    type Key: OutData;
    /// Value of an output row.
    type Value: OutData;
    /// A versioned part of the output, such as a board.
    type Scope: Ord + Clone + Debug + Send + Sync + Serialize + DeserializeOwned + 'static;

    /// Its name: of its journal folder, its metrics and its outputs.
    fn name(&self) -> &'static str;

    /// Under load, the least time from one epoch to the next. An epoch has a fixed price, in CPU and on the disk: who is not
    /// waited for at the instant takes more records at once. A record that comes after a pause does not wait.
    fn floor(&self) -> Duration {
        FLOOR
    }

    /// Topics that it reads, in the order in which an epoch reads them.
    fn inputs(&self) -> &'static [Topic];

    /// Whether it is this pipeline that refuses the bad records of one of its topics: keeps and counts them. Of the pipelines
    /// that read a topic one does; the others leave out what does not count.
    fn refuses(&self, _topic: Topic) -> bool {
        true
    }

    /// How many folds it has; they are numbered from 0 and the numbers are in the journal.
    fn folds(&self) -> u8;

    /// What a record changes. Called once per counted record.
    fn facts(&self, record: &Record, facts: &mut Facts);

    /// Wires the views on the folds.
    fn views<'s>(&self, folds: &mut Folds<'s>) -> VecCollection<'s, u64, (Self::Key, Self::Value), i64>;

    /// Which versioned parts an output row belongs to.
    fn touches(&self, key: &Self::Key, value: &Self::Value, touches: &mut Vec<Touch<Self::Scope>>);

    /// Whether a change that touches all that is related to `scope` touches `other`, too. Related scopes are adjacent
    /// in their order, `scope` first.
    fn related(&self, scope: &Self::Scope, other: &Self::Scope) -> bool;

    /// The group whose gate is open as long as an output row is there. While a gate is open, the rows behind it are worked on
    /// over several epochs: they are kept back, and shown all at once in the epoch in which it closes.
    fn opens(&self, _key: &Self::Key) -> Option<u128> {
        None
    }

    /// The group behind whose gate an output row is.
    fn behind(&self, _key: &Self::Key) -> Option<u128> {
        None
    }

    /// What the views' gates say of the epochs that they need.
    fn pace(&self) -> Arc<Pace> {
        Arc::default()
    }

    /// The author's function is not to be called again for that event: by the views that are wired from now on, and, by the
    /// records that are given, for good. None: whoever it was, there is nothing to be done.
    fn quarantine(&self, _overrun: &Overrun) -> Vec<Produce> {
        Vec::new()
    }

    /// The records of an epoch's out topics, in a deterministic order.
    fn output_records(&self, epoch: &Committed<Self>) -> Vec<Produce>;

    /// Hands a committed epoch to serving.
    fn publish(&self, epoch: Arc<Committed<Self>>);
}

/// How an output row touches a versioned part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touch<S> {
    /// This part.
    One(S),
    /// This part and all that is related to it.
    Related(S),
}

/// What a gate lets out when it closes.
#[derive(Debug)]
pub struct Released<D: Definition> {
    /// The group whose gate it was.
    pub group: u128,
    /// Rows that changed while it was open, each once, in any order.
    pub changes: Vec<Change<D::Key, D::Value>>,
    /// Fold rows that changed meanwhile, of those that explain.
    pub blocks: Vec<Block>,
}

/// One output row that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<K, V> {
    /// Which.
    pub key: K,
    /// Its value now; None: gone.
    pub value: Option<V>,
}

/// A durable epoch.
#[derive(Debug)]
pub struct Committed<D: Definition> {
    /// The epoch.
    pub epoch: u64,
    /// Its clock.
    pub now_ms: i64,
    /// What it is bound to.
    pub bound: Vec<Bound>,
    /// Output rows that changed, by key; but for those behind gates.
    pub changes: Vec<Change<D::Key, D::Value>>,
    /// Output rows that changed behind open gates: not to be shown, but to be got ready.
    pub staged: Vec<Change<D::Key, D::Value>>,
    /// Of the gates that closed.
    pub released: Vec<Released<D>>,
    /// New versions of the parts that changed.
    pub versions: Vec<(D::Scope, u64)>,
    /// Records that did not count.
    pub refused: Vec<Refused>,
    /// Fold rows that changed, packed; after a start all of them, later ones overriding earlier ones.
    pub blocks: Vec<Block>,
    /// The whole output, after a start.
    pub snapshot: bool,
}

impl<D: Definition> Committed<D> {
    /// All output rows that are shown otherwise from this epoch on.
    pub fn shown_changes(&self) -> impl Iterator<Item = &Change<D::Key, D::Value>> {
        self.changes.iter().chain(self.released.iter().flat_map(|released| &released.changes))
    }

    /// The same, by key: those behind no gate, then those of each gate.
    pub fn shown_in_order(&self) -> Vec<&Change<D::Key, D::Value>> {
        let mut shown: Vec<_> = self.changes.iter().collect();
        for released in &self.released {
            let from = shown.len();
            shown.extend(&released.changes);
            shown[from..].sort_by(|a, b| a.key.cmp(&b.key));
        }
        shown
    }
}

/// Collects what a record changes.
#[derive(Debug, Default)]
pub struct Facts {
    pub(super) rows: SmallVec<[(u8, FoldRow); 1]>,
    pub(super) position: Option<Position>,
}

impl Facts {
    /// For a record that is not in the log: as if it came after all that is.
    pub fn supposed() -> Facts {
        let position = Position { topic: Topic::Reference, offset: u64::MAX, partition: u32::MAX };
        Facts { position: Some(position), ..Facts::default() }
    }

    /// The changes: fold, key, and the new value of an upsert.
    pub fn upserts(&self) -> impl Iterator<Item = (u8, &[u8], Option<&[u8]>)> {
        self.rows.iter().filter_map(|(fold, row)| match &row.op {
            FoldOp::Upsert { value, .. } => Some((*fold, &*row.key, value.as_deref())),
            FoldOp::Sum(_) | FoldOp::Scan(_) => None,
        })
    }

    /// The value at `key` of an upsert fold is now `value` (None: gone), unless a higher revision was seen; of equal
    /// revisions the later place in the log wins.
    pub fn upsert(&mut self, fold: u8, key: Vec<u8>, revision: u64, value: Option<Vec<u8>>) {
        let position = self.position.expect("a position is set before facts are collected");
        let op = FoldOp::Upsert { revision, position, value: value.map(Into::into) };
        self.rows.push((fold, FoldRow { shard: shard_of(&key), key: key.into(), op }));
    }

    /// The state at `key` of a scan fold takes `input`. Inputs of a key are taken in the order of their places in the log, so
    /// all of them must come from one partition.
    pub fn scan(&mut self, fold: u8, key: Vec<u8>, input: Vec<u8>) {
        let position = self.position.expect("a position is set before facts are collected");
        let op = FoldOp::Scan(smallvec::smallvec![(position, input.into())]);
        self.rows.push((fold, FoldRow { shard: shard_of(&key), key: key.into(), op }));
    }

    /// Adds numbers to those at `key` of a sum fold.
    pub fn sum(&mut self, fold: u8, key: Vec<u8>, numbers: &[i64]) {
        self.rows.push((fold, FoldRow { shard: shard_of(&key), key: key.into(), op: FoldOp::Sum(numbers.into()) }));
    }
}
