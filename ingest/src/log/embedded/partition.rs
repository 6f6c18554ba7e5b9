//! One partition: a folder of segments.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use gravity_events::{Position, Topic};
use parking_lot::Mutex;

use super::batch::{NotABatch, Records};
use crate::log::{Entry, Limit, LogError};
use crate::segment::{Frame, Repair, SegmentOptions, Segments, SegmentsReader};

#[derive(Debug)]
pub(super) struct Partition {
    pub topic: Topic,
    pub partition: u32,
    pub dir: PathBuf,
    pub reader: SegmentsReader,
    /// `None` once the log is closed. Only the committer appends.
    pub segments: Mutex<Option<Segments>>,
}

impl Partition {
    pub fn open(
        root: &Path,
        topic: Topic,
        partition: u32,
        must_exist: bool,
        options: SegmentOptions,
    ) -> Result<(Partition, Option<Repair>), LogError> {
        let dir = root.join(topic.name()).join(partition.to_string());
        if must_exist && !dir.is_dir() {
            let what = "the folder of a partition is missing".into();
            return Err(LogError::Damaged { path: dir, at: 0, what });
        }
        let (segments, repair) = Segments::open(&dir, options)?;
        let reader = segments.reader();
        Ok((Partition { topic, partition, dir, reader, segments: Mutex::new(Some(segments)) }, repair))
    }

    /// First offset that is kept, and the first that is not durable.
    pub fn range(&self) -> (u64, u64) {
        (self.reader.first_seq(), self.reader.durable_seq())
    }

    /// Refuses an offset after the end: someone has read what this log never had.
    pub fn check_bound(&self, offset: u64) -> Result<(), LogError> {
        let (first, next) = self.range();
        let (topic, partition, wanted) = (self.topic, self.partition, offset);
        if offset < first {
            return Err(LogError::Gone { topic, partition, wanted, first });
        }
        if offset > next {
            return Err(LogError::Beyond { topic, partition, wanted, next });
        }
        Ok(())
    }

    fn not_a_batch(&self, first: u64) -> LogError {
        let what = format!("the frame of offset {first} does not hold records");
        LogError::Damaged { path: self.dir.clone(), at: 0, what }
    }
}

/// What a read may still take.
pub(super) struct Room {
    records: usize,
    bytes: usize,
    /// The first record always fits.
    empty: bool,
}

impl Room {
    pub fn new(limit: Limit) -> Room {
        Room { records: limit.records.max(1), bytes: limit.bytes, empty: true }
    }

    pub fn is_over(&self) -> bool {
        self.records == 0 || (self.bytes == 0 && !self.empty)
    }

    fn take(&mut self, bytes: usize) -> bool {
        if self.records == 0 || (bytes > self.bytes && !self.empty) {
            return false;
        }
        self.empty = false;
        self.records -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }

    fn limit(&self) -> Limit {
        Limit { records: self.records, bytes: self.bytes }
    }
}

/// Reads a partition from an offset on, again and again. Keeps what a read fetched and the caller had no room for.
#[derive(Debug)]
pub(super) struct Cursor {
    reader: SegmentsReader,
    pub next: u64,
    frames: VecDeque<Frame>,
    current: Option<Records>,
}

impl Cursor {
    pub fn new(partition: &Partition, from: u64) -> Cursor {
        Cursor { reader: partition.reader.clone(), next: from, frames: VecDeque::new(), current: None }
    }

    /// Adds records to `entries` while there is room. Returns whether it ended for want of room.
    pub fn read(&mut self, partition: &Partition, room: &mut Room, entries: &mut Vec<Entry>) -> Result<bool, LogError> {
        let (topic, number) = (partition.topic, partition.partition);
        loop {
            if let Some(records) = &mut self.current {
                let next = records.next;
                let bad = |NotABatch| partition.not_a_batch(next);
                while let Some(bytes) = records.peek_bytes().map_err(bad)? {
                    if !room.take(bytes) {
                        return Ok(true);
                    }
                    let Some((offset, key, value)) = records.pop().map_err(bad)? else {
                        break;
                    };
                    let position = Position { topic, offset, partition: number };
                    entries.push(Entry { position, key, value, appended_at_ms: records.appended_at_ms });
                    self.next = offset + 1;
                }
                self.current = None;
            }
            if room.is_over() {
                return Ok(true);
            }
            if self.frames.is_empty() {
                if self.next == self.reader.durable_seq() {
                    return Ok(false);
                }
                self.frames = self.fetch(partition, room.limit())?.into();
            }
            let Some(frame) = self.frames.pop_front() else {
                return Ok(false);
            };
            let bad = |NotABatch| partition.not_a_batch(frame.first);
            let mut records = Records::new(&frame).map_err(bad)?;
            records.skip_to(self.next).map_err(bad)?;
            self.current = Some(records);
        }
    }

    fn fetch(&self, partition: &Partition, limit: Limit) -> Result<Vec<Frame>, LogError> {
        partition.check_bound(self.next)?;
        let (topic, number) = (partition.topic, partition.partition);
        self.reader.read_from(self.next, limit).map_err(|e| match e {
            LogError::Dropped { wanted, first, .. } => LogError::Gone { topic, partition: number, wanted, first },
            other => other,
        })
    }
}
