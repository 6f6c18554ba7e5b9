//! Backpressure: how many epochs and rows may be between the sequencer, the committer and the out topics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gravity_ingest::log::Bound;
use parking_lot::{Condvar, Mutex};

/// Epochs that may be between the sequencer and their frame.
const EPOCHS_IN_FLIGHT: u64 = 3;
/// Rows that wait for the out topics, in row caps; slow topics hold the pipeline back.
const CAPS_UNPUBLISHED: usize = 4;

/// What is between the sequencer, the committer and the out topics.
#[derive(Default)]
pub struct InFlight {
    state: Mutex<State>,
    freed: Condvar,
}

/// Which epoch the next one may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Records that it may have.
    pub rows: usize,
    /// Whether it may carry slices.
    pub slices: bool,
}

#[derive(Default)]
struct State {
    opened: u64,
    committed: u64,
    rows: BTreeMap<u64, usize>,
    bounds: BTreeMap<u64, Vec<Bound>>,
    /// Epochs with slices of changes that the committer has not got ready. There is one at most: whatever comes waits for
    /// those before it. While it is written the workers may be at the next one.
    sliced: BTreeSet<u64>,
    durable: Vec<Bound>,
    /// Rows of epochs that the out topics lack.
    unpublished: BTreeMap<u64, usize>,
    closed: bool,
}

impl InFlight {
    /// From the last committed epoch on, and what it was bound to.
    pub fn new(committed: u64, durable: Vec<Bound>) -> InFlight {
        let state = State { opened: committed, committed, durable, ..State::default() };
        InFlight { state: Mutex::new(state), freed: Condvar::new() }
    }

    /// Waits for a slot for an epoch; with `slices`, for one that may carry slices. None: closed.
    pub fn slot(&self, cap: usize, slices: bool) -> Option<Slot> {
        let mut s = self.state.lock();
        loop {
            if s.closed {
                return None;
            }
            let rows: usize = s.rows.values().sum();
            let unpublished: usize = s.unpublished.values().sum();
            let room = rows < 2 * cap && unpublished < CAPS_UNPUBLISHED * cap;
            let slot = Slot { rows: cap, slices: s.sliced.is_empty() };
            if s.opened - s.committed < EPOCHS_IN_FLIGHT && room && (slot.slices || !slices) {
                return Some(slot);
            }
            self.freed.wait(&mut s);
        }
    }

    /// The sequencer is about to send an epoch of so many rows.
    pub fn open(&self, epoch: u64, rows: usize, carries_slices: bool, bound: Vec<Bound>) {
        let mut s = self.state.lock();
        s.opened = epoch;
        s.rows.insert(epoch, rows);
        s.unpublished.insert(epoch, rows);
        s.bounds.insert(epoch, bound);
        if carries_slices {
            s.sliced.insert(epoch);
        }
    }

    /// What the last durable epoch was bound to (for a new pipeline: where it began).
    pub fn durable_bound(&self) -> Vec<Bound> {
        self.state.lock().durable.clone()
    }

    /// The committer has got an epoch ready to be written.
    pub fn prepared(&self, epoch: u64) {
        if self.state.lock().sliced.remove(&epoch) {
            self.freed.notify_all();
        }
    }

    /// The committer is done with an epoch.
    pub fn committed(&self, epoch: u64) {
        let mut s = self.state.lock();
        s.committed = epoch;
        s.opened = s.opened.max(epoch);
        s.rows.retain(|e, _| *e > epoch);
        s.sliced.retain(|e| *e > epoch);
        if let Some(bound) = s.bounds.remove(&epoch) {
            s.durable = bound;
        }
        s.bounds.retain(|e, _| *e > epoch);
        self.freed.notify_all();
    }

    /// The out topics have epochs up to this one.
    pub fn published(&self, epoch: u64) {
        self.state.lock().unpublished.retain(|e, _| *e > epoch);
        self.freed.notify_all();
    }

    /// Ends waiting for slots.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.freed.notify_all();
    }

    /// Whether the pipeline ends.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Waits a little for records; less when it is closed meanwhile.
    pub fn pause(&self, at_most: Duration) {
        let mut s = self.state.lock();
        if !s.closed {
            self.freed.wait_for(&mut s, at_most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_go_ahead_while_a_slice_is_under_way_and_the_next_slice_waits() {
        let flight = InFlight::new(7, Vec::new());
        let slot = |only_slices| flight.slot(100, only_slices).expect("it is open");
        assert_eq!(slot(true), Slot { rows: 100, slices: true });
        flight.open(8, 0, true, Vec::new());
        assert_eq!(slot(false), Slot { rows: 100, slices: false });
        flight.open(9, 3, false, Vec::new());
        flight.prepared(9);
        assert!(!slot(false).slices, "only epoch 8 counts");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| flight.slot(100, true));
            flight.prepared(8);
            assert!(waiting.join().expect("it does not panic").is_some_and(|slot| slot.slices));
        });
        // What was never prepared does not stay for ever.
        flight.open(10, 0, true, Vec::new());
        flight.committed(10);
        assert!(slot(true).slices);
        flight.close();
        assert_eq!(flight.slot(100, false), None);
    }
}
