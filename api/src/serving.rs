//! The serving index: every board in memory, ranked, versioned and streamed.
//!
//! [`Boards`] takes committed epochs ([`BoardsSink`]) and answers pages, teams, whole boards and live streams. Rows come
//! without ranks; here they are kept in rank order, once per (event, view), in persistent sequences, so that each of the
//! last versions of a board is a cheap, immutable snapshot. A reader takes one and never waits for an epoch's work, nor
//! the other way round: the index lock is held only to swap the finished events in, or to take one out.
//!
//! Public and jury boards are two separate sides of the index, each with its own cache: nothing that is public is
//! computed from, or bounded by, what only the jury has. Versions are the pipeline's; none is made up here.

pub mod adjustments;
pub mod analytics;
mod apply;
mod bulk;
pub mod burn;
mod cache;
mod changes;
pub mod computed;
mod cursor;
mod delta;
mod error;
pub mod flags;
pub mod handlers;
pub mod history;
mod json;
mod options;
mod query;
mod row;
mod snapshot;
mod sorted;
mod state;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use gravity_events::board::{FirstSolve, OVERALL, View};
use gravity_events::publish::{BoardsEpoch, BoardsSink};
use gravity_events::{Id, Topic};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use cache::{Cache, Key, What};
use state::{EventBoards, Shown};

pub use error::ServeError;
pub use options::BoardsOptions;
pub use query::{EventSummary, LIMIT_DEFAULT, LIMIT_MAX, NAMES_MAX, Page, PageQuery, TeamAnswer, Window};
pub(crate) use row::name_key;
pub use row::{RankedRow, TeamRow};
pub use snapshot::{BoardsSnapshot, EventSnapshot};
pub use state::HeaderState;
pub use stream::{SseFrame, StreamQuery};

/// The serving index of all events. Shared as `Arc<Boards>`; every method may be called from any thread.
pub struct Boards {
    options: BoardsOptions,
    index: RwLock<Index>,
    /// Held while an epoch is applied: epochs come one at a time. Holds the next identity of a row or a state.
    writer: Mutex<apply::Writer>,
    public_side: SideShared,
    jury_side: SideShared,
    epochs: watch::Sender<u64>,
    subscribers: Arc<AtomicUsize>,
    closed: AtomicBool,
    computed: computed::Computed,
    changes: changes::ChangeLog,
    history: history::History,
}

/// What all readers of a view share, and no reader of the other: so nothing of the jury's bounds or moves the public's.
struct SideShared {
    cache: Cache,
    opened: AtomicU64,
}

impl SideShared {
    fn new(options: &BoardsOptions) -> SideShared {
        SideShared { cache: Cache::new(options.cache_bytes), opened: AtomicU64::new(0) }
    }
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
    /// Events in which a change of rules is under way.
    changing: BTreeSet<Id>,
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

    /// An event's boards, to be changed.
    fn boards_of(&self, view: View, event: &Id, tenant: &Id) -> EventBoards {
        match self.side(view).get(event) {
            Some(boards) => EventBoards::clone(boards),
            None => EventBoards::new(tenant.clone(), event.clone(), view),
        }
    }
}

impl Boards {
    /// An empty index.
    pub fn new(options: BoardsOptions) -> Arc<Boards> {
        Arc::new(Boards {
            public_side: SideShared::new(&options),
            jury_side: SideShared::new(&options),
            options,
            index: RwLock::default(),
            writer: Mutex::default(),
            epochs: watch::Sender::new(0),
            subscribers: Arc::default(),
            closed: AtomicBool::new(false),
            computed: computed::Computed::default(),
            changes: changes::ChangeLog::default(),
            history: history::History::default(),
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

    /// An answer that is made of one whole board, encoded once per version for all who ask, and the entity tag of its
    /// content. `name` tells such answers apart.
    pub fn whole(
        &self,
        event: &str,
        view: View,
        division: &str,
        name: &'static str,
        encode: impl FnOnce(&HeaderState, &[RankedRow]) -> Vec<u8>,
    ) -> Result<(Bytes, String), ServeError> {
        let shown = self.shown(event, view, division)?;
        let state = shown.newest();
        let key = Key { state: state.id, what: What::Whole(name) };
        Ok(self.cache(view).get_tagged(key, || encode(&state.head, &state.window(0, usize::MAX))))
    }

    /// Answers of a view that were encoded so far; what others share is not counted again.
    pub fn encoded(&self, view: View) -> u64 {
        self.cache(view).encoded()
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

    fn side(&self, view: View) -> &SideShared {
        match view {
            View::Public => &self.public_side,
            View::Jury => &self.jury_side,
        }
    }

    fn cache(&self, view: View) -> &Cache {
        &self.side(view).cache
    }

    /// Streams of a view that were opened so far.
    fn opened(&self, view: View) -> &AtomicU64 {
        &self.side(view).opened
    }
}

impl BoardsSink for Boards {
    fn publish(&self, epoch: Arc<BoardsEpoch>) {
        self.apply(&epoch);
    }
}
