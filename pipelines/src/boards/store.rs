//! The facts of every event at the last committed epoch, for questions that are answered by computing.
//!
//! A thread of its own follows the committer and keeps the latest fold rows by event, encoded: some 200 bytes for each
//! object, those that are gone included. Epochs never wait for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use foldhash::fast::RandomState;
use gravity_events::query::QueryError;
use gravity_events::{Id, Position};
use gravity_ingest::log::Bound;
use gravity_operators::boards::facts::EventKey;

use super::{Boards, Scope, facts};
use crate::runtime::Committed;
use crate::runtime::row::{Stored, Unpack};

/// A fold row: fold and key.
pub type RowKey = (u8, Arc<[u8]>);

/// The value of a fold row (none: gone), and the record that said so.
pub type RowValue = (Option<Arc<[u8]>>, Position);

/// Everything known of one event at one epoch.
#[derive(Clone, Debug)]
pub struct EventRows {
    /// Whose it is, and which.
    pub event: EventKey,
    /// The epoch.
    pub epoch: u64,
    /// Its clock.
    pub now_ms: i64,
    /// First offsets of the input partitions that are not in it.
    pub bound: Vec<Bound>,
    /// Versions of its boards.
    pub versions: Vec<(Scope, u64)>,
    /// Its fold rows, in no certain order.
    pub rows: Vec<(RowKey, RowValue)>,
}

impl EventRows {
    /// The rows that are not gone: fold, key, value, and the record that said so.
    pub fn live(&self) -> impl Iterator<Item = (u8, &Arc<[u8]>, &[u8], Position)> {
        self.rows.iter().filter_map(|((fold, key), (value, at))| Some((*fold, key, &**value.as_ref()?, *at)))
    }
}

enum Message {
    Epoch(Arc<Committed<Boards>>),
    Ask(Id, Sender<Option<EventRows>>),
}

/// The way to the thread that keeps the facts; it ends with the last one of these.
#[derive(Clone)]
pub struct FactStore {
    to_thread: Sender<Message>,
}

impl FactStore {
    /// Starts the thread.
    pub fn start() -> std::io::Result<FactStore> {
        let (to_thread, messages) = unbounded();
        std::thread::Builder::new().name("facts".into()).spawn(move || keep(&messages))?;
        Ok(FactStore { to_thread })
    }

    /// Takes in a committed epoch.
    pub fn publish(&self, epoch: Arc<Committed<Boards>>) {
        // Gone only when the process ends.
        let _ = self.to_thread.send(Message::Epoch(epoch));
    }

    /// Everything known of an event, by its id.
    pub fn event(&self, event: &Id) -> Result<EventRows, QueryError> {
        let (answer, answers) = bounded(1);
        let gone = |_| QueryError::Unavailable("the thread that keeps the facts has ended".into());
        self.to_thread.send(Message::Ask(event.clone(), answer)).map_err(|e| gone(e.to_string()))?;
        let rows = answers.recv().map_err(|e| gone(e.to_string()))?;
        rows.ok_or_else(|| QueryError::UnknownEvent(event.clone()))
    }
}

#[derive(Default)]
struct Kept {
    epoch: u64,
    now_ms: i64,
    bound: Vec<Bound>,
    events: BTreeMap<EventKey, HashMap<RowKey, RowValue, RandomState>>,
    versions: BTreeMap<Scope, u64>,
}

fn keep(messages: &Receiver<Message>) {
    let mut kept = Kept::default();
    for message in messages {
        match message {
            Message::Epoch(epoch) => kept.take(&epoch),
            Message::Ask(event, answer) => {
                // Whoever asked may have stopped waiting.
                let _ = answer.send(kept.event(&event));
            }
        }
    }
}

impl Kept {
    fn take(&mut self, epoch: &Committed<Boards>) {
        if epoch.snapshot {
            *self = Kept::default();
        }
        (self.epoch, self.now_ms) = (epoch.epoch, epoch.now_ms);
        self.bound.clone_from(&epoch.bound);
        self.versions.extend(epoch.versions.iter().cloned());
        for block in &epoch.blocks {
            for row in Unpack::new(&block.rows) {
                let Some((key, stored)) = row else {
                    tracing::error!(fold = block.fold, "fold rows cannot be unpacked: questions may get wrong answers");
                    break;
                };
                let Some(event) = facts::event_of(block.fold, key) else { continue };
                let rows = self.events.entry(event).or_default();
                if let Stored::Upsert { value, position, .. } = stored {
                    rows.insert((block.fold, key.into()), (value.map(Into::into), position));
                }
            }
        }
    }

    fn event(&self, event: &Id) -> Option<EventRows> {
        // Ids are unique over tenants once claimed; before that nothing is shown. The one that is configured is meant.
        let of_id = self.events.iter().filter(|(key, _)| key.event == *event);
        let (key, rows) = of_id.max_by_key(|(_, rows)| rows.keys().any(|(fold, key)| facts::is_config(*fold, key)))?;
        let of_event = |scope: &Scope| scope.event == *key;
        Some(EventRows {
            event: key.clone(),
            epoch: self.epoch,
            now_ms: self.now_ms,
            bound: self.bound.clone(),
            versions: self.versions.iter().filter(|(scope, _)| of_event(scope)).map(|(s, v)| (s.clone(), *v)).collect(),
            rows: rows.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        })
    }
}
