//! The change log of boards: why rows moved other than by submissions and their verdicts.

use std::collections::{BTreeMap, VecDeque};

use gravity_events::board::View;
use gravity_events::body::{BoardNoted, Cause};
use gravity_events::time::format_rfc3339_ms;
use gravity_events::{Body, Id, Record, Topic, codec};
use gravity_ingest::log::{Log, LogError, read_on};
use parking_lot::RwLock;
use serde::Serialize;

use super::{Boards, ServeError};

/// Notes of one event and view that are kept.
const KEPT: usize = 1_000;

/// By event, for one view; the newest last.
type Notes = BTreeMap<Id, VecDeque<BoardNoted>>;

/// What is known of why boards moved.
#[derive(Default)]
pub(super) struct ChangeLog {
    public: RwLock<Notes>,
    jury: RwLock<Notes>,
}

impl ChangeLog {
    fn side(&self, view: View) -> &RwLock<Notes> {
        match view {
            View::Public => &self.public,
            View::Jury => &self.jury,
        }
    }

    pub(super) fn take(&self, event: &Id, note: &BoardNoted) {
        let mut side = self.side(note.view).write();
        let notes = side.entry(event.clone()).or_default();
        // Notes that were read back and those of epochs that went on meanwhile may be the same.
        match notes.binary_search_by_key(&note.version, |n| n.version) {
            Ok(at) => notes[at] = note.clone(),
            Err(at) => notes.insert(at, note.clone()),
        }
        if notes.len() > KEPT {
            notes.pop_front();
        }
    }
}

/// The change log of a board, the newest change first.
#[derive(Debug, Serialize)]
pub struct Changes {
    event: Id,
    view: &'static str,
    changes: Vec<Change>,
}

#[derive(Debug, Serialize)]
struct Change {
    version: u64,
    at: String,
    causes: Vec<Cause>,
    rows: u64,
}

impl Boards {
    /// Reads the notes of earlier runs back from the log.
    pub fn load_changes(&self, log: &dyn Log) -> Result<(), LogError> {
        read_on(log, Topic::Changes, &mut BTreeMap::new(), |entry| {
            if let Ok(Record { body: Body::BoardNoted(note), event: Some(event), .. }) = codec::decode(&entry.value) {
                self.changes.take(&event, &note);
            }
        })
    }

    /// Why an event's boards moved, for those who may see this view of it.
    pub fn changes(&self, event: &str, view: View, limit: usize) -> Result<Changes, ServeError> {
        let event = self.event(event, view)?.event.clone();
        let side = self.changes.side(view).read();
        let notes = side.get(&event).into_iter().flatten().rev().take(limit);
        let changes = notes.map(|n| Change {
            version: n.version,
            at: format_rfc3339_ms(n.at),
            causes: n.causes.clone(),
            rows: n.rows,
        });
        Ok(Changes { event, view: view.name(), changes: changes.collect() })
    }
}
