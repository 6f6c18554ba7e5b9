//! Drops old records: whole files, of topics that have a policy, never at or past a holder's bound, never one with
//! records of an event that is not sealed.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Inner;
use super::batch::Records;
use super::committer::wall_clock_ms;
use super::options::Retention;
use super::partition::Partition;
use crate::log::{Limit, LogError};

/// Runs retention from time to time, until stopped.
#[derive(Debug, Default)]
pub(super) struct Timer {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Timer {
    pub fn run(&self, inner: &Inner, every: Duration) {
        let mut stopped = self.stopped.lock();
        while !*stopped {
            // The first run comes late on purpose: holders that start with the process say what they need before.
            if self.changed.wait_for(&mut stopped, every).timed_out()
                && let Err(error) = apply(inner)
            {
                tracing::warn!(%error, "retention did not run");
            }
        }
    }

    pub fn stop(&self) {
        *self.stopped.lock() = true;
        self.changed.notify_all();
    }
}

/// Applies every policy now. Returns the bytes freed.
pub(super) fn apply(inner: &Inner) -> Result<u64, LogError> {
    inner.holds.save()?;
    let now_ms = wall_clock_ms();
    let mut freed = 0;
    for partition in &inner.partitions {
        let Some(policy) = inner.options.retention.get(&partition.topic) else {
            continue;
        };
        let mut before = droppable(partition, policy, now_ms)?;
        if let Some(bound) = inner.holds.lowest(partition.topic, partition.partition) {
            before = before.min(bound);
        }
        before = inner.sealing.droppable(inner, partition, before)?;
        if let Some(segments) = partition.segments.lock().as_mut() {
            freed += segments.drop_before(before)?;
        }
    }
    Ok(freed)
}

/// Offset before which the policy keeps nothing.
fn droppable(partition: &Partition, policy: &Retention, now_ms: i64) -> Result<u64, LogError> {
    let files = partition.reader.files();
    let mut bytes: u64 = files.iter().map(|f| f.1).sum();
    let mut before = files[0].0;
    for pair in files.windows(2) {
        let [(_, len), (next_first, _)] = [pair[0], pair[1]];
        let too_many = policy.bytes.is_some_and(|limit| bytes - len >= limit);
        let too_old = match policy.age {
            None => false,
            Some(age) => appended_at_ms(partition, next_first)?
                .is_some_and(|at| at.saturating_add(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)) <= now_ms),
        };
        if !too_many && !too_old {
            break;
        }
        bytes -= len;
        before = next_first;
    }
    Ok(before)
}

/// When the record at `offset` came: at or after all records before it.
fn appended_at_ms(partition: &Partition, offset: u64) -> Result<Option<i64>, LogError> {
    let frames = partition.reader.read_from(offset, Limit { records: 1, bytes: 1 })?;
    Ok(frames.first().and_then(|f| Records::new(f).ok()).map(|r| r.appended_at_ms))
}
