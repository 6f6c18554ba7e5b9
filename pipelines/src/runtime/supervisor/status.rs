//! What operators of the platform see of a pipeline, and what its threads know of each other's progress.

use std::time::{Duration, Instant};

use gravity_ingest::log::Bound;
use parking_lot::{Condvar, Mutex};

use super::super::definition::{Committed, Definition};
use super::speed::Speed;

/// What a pipeline is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipelineState {
    /// Reading its journal.
    Starting,
    /// Up to date with its journal, and following the log.
    Running,
    /// Waiting to be restarted after this error.
    Failed(String),
    /// Stopped on request.
    Stopped,
}

/// A pipeline at one moment.
#[derive(Clone, Debug)]
pub struct PipelineStatus {
    /// Its name.
    pub name: &'static str,
    /// What it is doing.
    pub state: PipelineState,
    /// The last committed epoch.
    pub epoch: u64,
    /// That epoch's clock.
    pub now_ms: i64,
    /// What it is bound to.
    pub bound: Vec<Bound>,
    /// Records taken in since the process began.
    pub records: u64,
    /// Of those, records that did not count.
    pub refused: u64,
    /// Restarts after errors.
    pub restarts: u64,
    /// Records per second while there is something to do, smoothed over some ten seconds.
    pub rate: f64,
    /// How long the last epoch took, from its cut to its publication.
    pub epoch_duration_ms: f64,
    /// Bytes of the frames.
    pub journal_bytes: u64,
    /// Size of the base.
    pub base_bytes: u64,
    /// Epoch of the base.
    pub base_epoch: Option<u64>,
}

/// The status, shared by the threads of a pipeline.
pub struct SharedStatus {
    inner: Mutex<Inner>,
    changed: Condvar,
}

struct Inner {
    status: PipelineStatus,
    speed: Speed,
    /// Bytes of frames since the base, and up to the end of the base to come.
    since_base: u64,
    in_next_base: u64,
}

impl SharedStatus {
    pub(super) fn new(name: &'static str) -> SharedStatus {
        let status = PipelineStatus {
            name,
            state: PipelineState::Starting,
            epoch: 0,
            now_ms: 0,
            bound: Vec::new(),
            records: 0,
            refused: 0,
            restarts: 0,
            rate: 0.0,
            epoch_duration_ms: 0.0,
            journal_bytes: 0,
            base_bytes: 0,
            base_epoch: None,
        };
        let inner = Inner { status, speed: Speed::new(Instant::now()), since_base: 0, in_next_base: 0 };
        SharedStatus { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut PipelineStatus)) {
        change(&mut self.inner.lock().status);
        self.changed.notify_all();
    }

    /// As it is now.
    pub(super) fn get(&self) -> PipelineStatus {
        let inner = self.inner.lock();
        PipelineStatus { rate: inner.speed.at(Instant::now()), ..inner.status.clone() }
    }

    /// Waits until the pipeline is running, or the time is over; says whether it is.
    pub(super) fn wait_running(&self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        let mut inner = self.inner.lock();
        while inner.status.state != PipelineState::Running {
            if self.changed.wait_until(&mut inner, until).timed_out() {
                return false;
            }
        }
        true
    }

    /// The journal was read.
    pub(super) fn recovered(&self, base: Option<(u64, u64)>, frame_bytes: u64, journal_bytes: u64) {
        let mut inner = self.inner.lock();
        (inner.since_base, inner.in_next_base) = (frame_bytes, 0);
        inner.speed.begin_again();
        let s = &mut inner.status;
        (s.base_epoch, s.base_bytes) = (base.map(|b| b.0), base.map_or(0, |b| b.1));
        s.journal_bytes = journal_bytes;
    }

    /// An epoch is under way.
    pub fn cut(&self, epoch: u64) {
        self.inner.lock().speed.cut(epoch, Instant::now());
    }

    /// An epoch is durable.
    pub fn committed<D: Definition>(&self, c: &Committed<D>, records: u64, refused: u64, took: Duration) {
        let mut inner = self.inner.lock();
        let Inner { status: s, speed, .. } = &mut *inner;
        speed.committed(c.epoch, records, took, Instant::now());
        (s.epoch, s.now_ms) = (c.epoch, c.now_ms);
        s.epoch_duration_ms = took.as_secs_f64() * 1e3;
        s.bound.clone_from(&c.bound);
        s.records += records;
        s.refused += refused;
    }

    /// A frame of this size was written; the journal has this size now.
    pub fn frame_written(&self, bytes: u64, journal_bytes: u64) {
        let mut inner = self.inner.lock();
        inner.since_base += bytes;
        inner.status.journal_bytes = journal_bytes;
    }

    /// The last frame is the last one of the base to come.
    pub fn base_ends(&self) {
        let mut inner = self.inner.lock();
        inner.in_next_base = inner.since_base;
    }

    /// A new base is in place, and the frames before it are dropped.
    pub fn merged(&self, epoch: u64, bytes: u64, journal_bytes: u64) {
        let mut inner = self.inner.lock();
        inner.since_base -= std::mem::take(&mut inner.in_next_base);
        let s = &mut inner.status;
        (s.base_epoch, s.base_bytes, s.journal_bytes) = (Some(epoch), bytes, journal_bytes);
    }

    /// The epoch of the base.
    pub fn base_epoch(&self) -> Option<u64> {
        self.inner.lock().status.base_epoch
    }

    /// Whether the frames after the base have outgrown it.
    pub fn wants_merge(&self, least: u64) -> bool {
        let inner = self.inner.lock();
        inner.since_base > least.max(inner.status.base_bytes / 2)
    }
}
