//! Erasing a person from a log that nobody uses.

use std::path::Path;

use bytes::Bytes;
use gravity_events::Topic;
use gravity_events::erasure::Erasure;

use super::batch::{self, NotABatch, Records};
use super::options::{EmbeddedOptions, partitions_of};
use crate::log::{LogError, Produce};
use crate::segment::{Frame, SegmentOptions, Segments, SyncMode};

/// Erases a person from the log in `dir`. How many records changed. Stopped in between, it may be done again.
///
/// # Errors
/// Another process uses the log, a record is damaged, or a file cannot be written.
pub fn erase(dir: &Path, erasure: &Erasure) -> Result<u64, LogError> {
    let options = EmbeddedOptions::default();
    let segments = SegmentOptions { segment_bytes: options.segment_bytes, sync: SyncMode::Fsync };
    let mut records = 0;
    for (topic, partitions, stored) in partitions_of(dir, &options)? {
        for partition in 0..if stored { partitions } else { 0 } {
            let dir = dir.join(topic.name()).join(partition.to_string());
            let (opened, _) = Segments::open(&dir, segments)?;
            let mut failed = None;
            opened.rewrite(|frame| match erased(topic, frame, erasure) {
                Ok((0, _)) => None,
                Ok((changed, payload)) => {
                    records += changed;
                    Some(payload)
                }
                Err(NotABatch) => {
                    failed.get_or_insert(frame.first);
                    None
                }
            })?;
            if let Some(first) = failed {
                let what = format!("the frame of offset {first} does not hold records");
                return Err(LogError::Damaged { path: dir, at: 0, what });
            }
        }
    }
    Ok(records)
}

/// How many records of a frame change, and its payload then.
fn erased(topic: Topic, frame: &Frame, erasure: &Erasure) -> Result<(u64, Vec<u8>), NotABatch> {
    let mut records = Records::new(frame)?;
    let (mut payload, mut changed) = (Vec::with_capacity(frame.payload.len()), 0);
    batch::begin(&mut payload, records.appended_at_ms);
    while let Some((_, key, value)) = records.pop()? {
        let (key, value) = match erasure.record(topic, &key, &value) {
            Some((key, value)) => {
                changed += 1;
                (Bytes::from(key), Bytes::from(value))
            }
            None => (key, value),
        };
        batch::push(&mut payload, &Produce { topic, key, partition: None, value });
    }
    Ok((changed, payload))
}
