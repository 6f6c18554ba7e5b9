//! The serving index: every board in memory, ranked, versioned and streamed.
//!
//! [`Boards`] takes committed epochs ([`BoardsSink`]) and answers pages, teams, whole boards and live streams. Rows come
//! without ranks; here they are kept in rank order, once per (event, view), in persistent sequences, so that each of the
//! last versions of a board is a cheap, immutable snapshot. A reader takes one and never waits for an epoch's work, nor
//! the other way round: the index lock is held only to swap the finished events in, or to take one out.
//!
//! Public and jury boards are two separate sides of the index, each with its own cache: nothing that is public is
//! computed from, or bounded by, what only the jury has. Versions are the pipeline's; none is made up here.

mod apply;
mod cache;
mod cursor;
mod delta;
mod error;
pub mod handlers;
mod json;
mod options;
mod query;
mod row;
mod snapshot;
mod sorted;
mod state;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gravity_events::board::{FirstSolve, OVERALL, View};
use gravity_events::publish::{BoardsEpoch, BoardsSink};
use gravity_events::{Id, Topic};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use cache::Cache;
use state::{EventBoards, Shown};

pub use error::ServeError;
pub use options::BoardsOptions;
pub use query::{EventSummary, LIMIT_DEFAULT, LIMIT_MAX, Page, PageQuery, TeamAnswer, Window};
pub use row::{RankedRow, TeamRow};
pub use snapshot::{BoardsSnapshot, EventSnapshot};
pub use state::HeaderState;
pub use stream::{SseFrame, StreamQuery};

/// The serving index of all events. Shared as `Arc<Boards>`; every method may be called from any thread.
pub struct Boards {
    options: BoardsOptions,
    index: RwLock<Index>,
    /// Held while an epoch is applied: epochs come one at a time. Holds the next identity of a row or a state.
    writer: Mutex<u64>,
    public_cache: Cache,
    jury_cache: Cache,
    epochs: watch::Sender<u64>,
    subscribers: Arc<AtomicUsize>,
    closed: AtomicBool,
}

/// All that readers see, at one epoch.
#[derive(Clone, Default)]
struct Index {
    epoch: u64,
    now_ms: i64,
    /// Whether any epoch was applied.
    started: bool,
    bound: BTreeMap<(Topic, u32), u64>,
    /// By (event, tenant).
    orphans: BTreeMap<(Id, Id), i64>,
    public: BTreeMap<Id, Arc<EventBoards>>,
    jury: BTreeMap<Id, Arc<EventBoards>>,
}

impl Index {
    fn side(&self, view: View) -> &BTreeMap<Id, Arc<EventBoards>> {
        match view {
            View::Public => &self.public,
            View::Jury => &self.jury,
        }
    }

    fn side_mut(&mut self, view: View) -> &mut BTreeMap<Id, Arc<EventBoards>> {
        match view {
            View::Public => &mut self.public,
            View::Jury => &mut self.jury,
        }
    }
}

impl Boards {
    /// An empty index.
    pub fn new(options: BoardsOptions) -> Arc<Boards> {
        Arc::new(Boards {
            public_cache: Cache::new(options.cache_bytes),
            jury_cache: Cache::new(options.cache_bytes),
            options,
            index: RwLock::default(),
            writer: Mutex::new(1),
            epochs: watch::Sender::new(0),
            subscribers: Arc::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// The events that have a public board, by event id.
    pub fn events(&self) -> Vec<EventSummary> {
        let events: Vec<Arc<EventBoards>> = self.index.read().public.values().cloned().collect();
        events.iter().filter_map(|event| EventSummary::of(event)).collect()
    }

    /// What an event's boards of this view say besides rows; `None` for an unknown event.
    pub fn header(&self, event: &str, view: View) -> Option<Arc<HeaderState>> {
        self.event(event, view).ok()?.head.clone()
    }

    /// One whole board in order, with its version: for CLICS, awards, csv, verify.
    pub fn rows(
        &self,
        event: &str,
        view: View,
        division: &str,
    ) -> Result<(u64, Arc<HeaderState>, Vec<RankedRow>), ServeError> {
        let state = self.shown(event, view, division)?.newest().clone();
        Ok((state.version, state.head.clone(), state.window(0, usize::MAX)))
    }

    /// Who solved each problem first, by problem id; empty for an unknown event.
    pub fn first_solves(&self, event: &str, view: View) -> Vec<(Id, FirstSolve)> {
        let Some(head) = self.header(event, view) else {
            return Vec::new();
        };
        head.firsts.iter().map(|(problem, first)| (problem.clone(), first.clone())).collect()
    }

    /// A consistent copy of everything at one epoch. Cheap: rows are shared, not copied.
    pub fn snapshot(&self) -> BoardsSnapshot {
        BoardsSnapshot::of(self.index.read().clone())
    }

    /// Judgements of an event without their submission.
    pub fn orphans(&self, event: &str) -> i64 {
        let from = (Id::from(event), Id::default());
        self.index.read().orphans.range(from..).take_while(|((e, _), _)| e == event).map(|(_, n)| n).sum()
    }

    /// The newest epoch that readers see; 0 before the first.
    pub fn epoch(&self) -> u64 {
        self.index.read().epoch
    }

    /// Wakes with every epoch that became visible; holds the newest.
    pub fn epochs(&self) -> watch::Receiver<u64> {
        self.epochs.subscribe()
    }

    /// The first offset of a partition that is not visible yet.
    pub fn bound(&self, topic: Topic, partition: u32) -> u64 {
        self.index.read().bound.get(&(topic, partition)).copied().unwrap_or(0)
    }

    /// Streams that are open.
    pub fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::Relaxed)
    }

    /// Ends every stream, and those opened from now on, for a shutdown; pages are still answered.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let index = self.index.read();
        for event in index.public.values().chain(index.jury.values()) {
            for board in event.boards.values() {
                // The same value again: a stream wakes, and sees that it is over.
                board.channel.send_modify(|_| {});
            }
        }
    }

    fn event(&self, event: &str, view: View) -> Result<Arc<EventBoards>, ServeError> {
        let found = self.index.read().side(view).get(event).filter(|event| event.head.is_some()).cloned();
        found.ok_or_else(|| ServeError::UnknownEvent { event: event.into() })
    }

    fn shown(&self, event: &str, view: View, division: &str) -> Result<Arc<Shown>, ServeError> {
        let found = self.event(event, view)?;
        let shown = found.boards.get(division).and_then(|board| board.shown.clone());
        shown.ok_or_else(|| match division {
            OVERALL => ServeError::UnknownEvent { event: event.into() },
            _ => ServeError::UnknownDivision { event: event.into(), division: division.into() },
        })
    }

    fn cache(&self, view: View) -> &Cache {
        match view {
            View::Public => &self.public_cache,
            View::Jury => &self.jury_cache,
        }
    }
}

impl BoardsSink for Boards {
    fn publish(&self, epoch: Arc<BoardsEpoch>) {
        self.apply(&epoch);
    }
}
