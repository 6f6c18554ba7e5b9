//! Backpressure: how many epochs and rows may be between the sequencer, the committer and the out topics.

use std::collections::BTreeMap;
use std::time::Duration;

use gravity_ingest::log::Bound;
use parking_lot::{Condvar, Mutex};

/// Epochs that may be between the sequencer and their frame.
const EPOCHS_IN_FLIGHT: u64 = 3;
/// The same while epochs are made for their own sake: whatever comes waits for those before it.
const SLICES_IN_FLIGHT: u64 = 2;
/// Rows that wait for the out topics, in row caps; slow topics hold the pipeline back.
const CAPS_UNPUBLISHED: usize = 4;

/// What is between the sequencer, the committer and the out topics.
#[derive(Default)]
pub struct InFlight {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    opened: u64,
    committed: u64,
    rows: BTreeMap<u64, usize>,
    bounds: BTreeMap<u64, Vec<Bound>>,
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

    /// Waits for a slot and says how many rows the next epoch may have. None: closed. `sliced`: the next epochs are
    /// wanted also without records.
    pub fn slot(&self, cap: usize, sliced: bool) -> Option<usize> {
        let epochs = if sliced { SLICES_IN_FLIGHT } else { EPOCHS_IN_FLIGHT };
        let mut s = self.state.lock();
        loop {
            if s.closed {
                return None;
            }
            let rows: usize = s.rows.values().sum();
            let unpublished: usize = s.unpublished.values().sum();
            let room = rows < 2 * cap && unpublished < CAPS_UNPUBLISHED * cap;
            if s.opened - s.committed < epochs && room {
                return Some(cap);
            }
            self.freed.wait(&mut s);
        }
    }

    /// The sequencer is about to send an epoch of so many rows.
    pub fn open(&self, epoch: u64, rows: usize, bound: Vec<Bound>) {
        let mut s = self.state.lock();
        s.opened = epoch;
        s.rows.insert(epoch, rows);
        s.unpublished.insert(epoch, rows);
        s.bounds.insert(epoch, bound);
    }

    /// What the last durable epoch was bound to (for a new pipeline: where it began).
    pub fn durable_bound(&self) -> Vec<Bound> {
        self.state.lock().durable.clone()
    }

    /// The committer is done with an epoch.
    pub fn committed(&self, epoch: u64) {
        let mut s = self.state.lock();
        s.committed = epoch;
        s.opened = s.opened.max(epoch);
        s.rows.retain(|e, _| *e > epoch);
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
