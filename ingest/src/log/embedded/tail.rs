//! Following partitions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Inner;
use super::partition::{Cursor, Partition, Room};
use super::signal::Waited;
use crate::log::{Bound, Entry, Limit, LogError, Tail};

pub(super) struct EmbeddedTail {
    inner: Arc<Inner>,
    assignments: Vec<(Arc<Partition>, Cursor)>,
    woken: Arc<AtomicBool>,
}

impl EmbeddedTail {
    pub fn new(inner: Arc<Inner>, from: &[Bound]) -> Result<EmbeddedTail, LogError> {
        let mut assignments = Vec::with_capacity(from.len());
        for bound in from {
            let partition = inner.partition(bound.topic, bound.partition)?.clone();
            partition.check_bound(bound.offset)?;
            let cursor = Cursor::new(&partition, bound.offset);
            assignments.push((partition, cursor));
        }
        Ok(EmbeddedTail {
            inner,
            assignments,
            woken: Arc::default(),
        })
    }

    fn collect(&mut self, limit: Limit) -> Result<Vec<Entry>, LogError> {
        let (mut entries, mut room) = (Vec::new(), Room::new(limit));
        for (partition, cursor) in &mut self.assignments {
            match cursor.read(partition, &mut room, &mut entries) {
                Ok(true) => break,
                Ok(false) => {}
                // What was read before goes out first; the error comes again next time.
                Err(_) if !entries.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }
}

impl Tail for EmbeddedTail {
    fn poll(&mut self, limit: Limit, wait: Duration) -> Result<Vec<Entry>, LogError> {
        let deadline = Instant::now().checked_add(wait);
        loop {
            let seen = self.inner.signal.count();
            let entries = self.collect(limit)?;
            let woken = self.woken.swap(false, Ordering::AcqRel);
            if woken || !entries.is_empty() {
                return Ok(entries);
            }
            match self.inner.signal.wait(seen, &self.woken, deadline) {
                Waited::Changed => {}
                Waited::TimedOut => return Ok(Vec::new()),
                Waited::Closed => return Err(LogError::Closed),
            }
        }
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (inner, woken) = (self.inner.clone(), self.woken.clone());
        Arc::new(move || inner.signal.wake(&woken))
    }
}
