//! Group commit: one thread takes all appends that wait, writes a frame per partition, syncs each partition once, and
//! answers. It waits for nothing but work, so batches are small when the log is idle and grow with the load.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gravity_events::Position;

use super::Inner;
use super::batch;
use super::options::is_full;
use super::partition::Partition;
use super::queue::{Queue, Request};
use crate::log::{LogError, Produce};
use crate::segment::{Segments, SyncMode};

/// A frame is written once it has this many bytes: large enough to cost nothing per record, small enough that reading
/// one record is cheap.
const FRAME_BYTES: usize = 256 << 10;

/// Threads that sync at once, this one included.
const SYNC_THREADS: usize = 8;

/// Milliseconds since 1970.
pub(super) fn wall_clock_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}

/// Commits until the queue is closed and empty.
pub(super) fn run(inner: &Inner, queue: &Arc<Queue>) {
    // Should this thread ever panic, appends must fail, not wait for ever.
    let _end = queue.end_on_drop();
    let mut parts: Vec<Part> = inner.partitions.iter().map(|_| Part::default()).collect();
    while let Some(requests) = queue.take() {
        commit(inner, &mut parts, requests);
        inner.signal.raise();
    }
}

/// What a commit does to one partition.
#[derive(Default)]
struct Part {
    touched: bool,
    /// Offset of the next record.
    next: u64,
    /// Records of the frame that is being put together.
    count: u32,
    payload: Vec<u8>,
    /// Offset up to which this commit's records are safe.
    safe: u64,
    synced: bool,
    error: Option<LogError>,
}

fn commit(inner: &Inner, parts: &mut [Part], requests: Vec<Request>) {
    let now_ms = wall_clock_ms();
    let bytes: usize = requests
        .iter()
        .flat_map(|r| &r.records)
        .map(|(_, r)| batch::record_bytes(r))
        .sum();
    match is_full(&inner.dir, inner.options.reserve, bytes as u64) {
        Ok(false) => {}
        Ok(true) => {
            return refuse(
                requests,
                &LogError::Full {
                    path: inner.dir.clone(),
                },
            );
        }
        Err(error) => return refuse(requests, &error),
    }
    let mut answers: Vec<Vec<Position>> = Vec::with_capacity(requests.len());
    for request in &requests {
        let one = |(at, record): &(usize, Produce)| {
            let partition = &inner.partitions[*at];
            let offset = parts[*at].push(partition, record, now_ms);
            Position {
                topic: partition.topic,
                offset,
                partition: partition.partition,
            }
        };
        answers.push(request.records.iter().map(one).collect());
    }
    for (part, partition) in parts.iter_mut().zip(&inner.partitions).filter(|(p, _)| p.touched) {
        part.write(partition);
    }
    let threads = if inner.options.sync == SyncMode::Fsync {
        SYNC_THREADS
    } else {
        1
    };
    sync_all(parts, &inner.partitions, threads);
    for (request, positions) in requests.into_iter().zip(answers) {
        let lost = request
            .records
            .iter()
            .zip(&positions)
            .find(|((at, _), p)| p.offset >= parts[*at].safe);
        let answer = match lost {
            None => Ok(positions),
            Some(((at, _), _)) => Err(parts[*at].error.as_ref().map_or(LogError::Closed, same_error)),
        };
        // Whoever no longer waits for the answer does not need it.
        let _ = request.answer.send(answer);
    }
    for part in parts.iter_mut().filter(|p| p.touched) {
        part.reset();
    }
}

/// Syncs every touched partition. Several at once: a journaling file system makes one commit of them, where one after the
/// other they would each wait for their own.
fn sync_all(parts: &mut [Part], partitions: &[Arc<Partition>], threads: usize) {
    let mut touched: Vec<_> = parts.iter_mut().zip(partitions).filter(|(p, _)| p.touched).collect();
    let others = touched.len().min(threads).saturating_sub(1);
    if others > 0 {
        let middle = touched.len() * others / (others + 1);
        let (theirs, own) = touched.split_at_mut(middle);
        std::thread::scope(|scope| {
            for share in theirs.chunks_mut(theirs.len().div_ceil(others)) {
                let work = || share.iter_mut().for_each(|(part, partition)| part.sync(partition));
                // When there is no thread to be had, this one does it below.
                let _ = std::thread::Builder::new()
                    .name("log-sync".into())
                    .spawn_scoped(scope, work);
            }
            own.iter_mut().for_each(|(part, partition)| part.sync(partition));
        });
    }
    touched
        .iter_mut()
        .filter(|(part, _)| !part.synced)
        .for_each(|(part, partition)| part.sync(partition));
}

impl Part {
    /// Adds a record, returns its offset. After an error the offset means nothing: it is not safe.
    fn push(&mut self, partition: &Partition, record: &Produce, now_ms: i64) -> u64 {
        if !self.touched {
            self.touched = true;
            self.next = partition.reader.durable_seq();
            self.safe = self.next;
        }
        if self.count > 0 && self.payload.len() + batch::record_bytes(record) > FRAME_BYTES {
            self.write(partition);
        }
        if self.error.is_some() {
            return u64::MAX;
        }
        if self.count == 0 {
            batch::begin(&mut self.payload, now_ms);
        }
        batch::push(&mut self.payload, record);
        self.count += 1;
        self.next += 1;
        self.next - 1
    }

    /// Appends the frame that has been put together.
    fn write(&mut self, partition: &Partition) {
        if self.count == 0 {
            return;
        }
        let first = self.next - u64::from(self.count);
        let result = with_segments(partition, |s| s.append(first, self.count, &self.payload));
        self.count = 0;
        if let Err(error) = result {
            self.error = Some(error);
        }
    }

    /// Makes what was appended safe, also when a later frame found no space.
    fn sync(&mut self, partition: &Partition) {
        self.synced = true;
        match with_segments(partition, |s| s.sync()) {
            Ok(()) => self.safe = partition.reader.durable_seq(),
            Err(error) => {
                // Beginning a new file may have synced a part.
                self.safe = partition.reader.durable_seq();
                self.error.get_or_insert(error);
            }
        }
    }

    fn reset(&mut self) {
        (self.touched, self.synced) = (false, false);
        self.count = 0;
        self.error = None;
        if self.payload.capacity() > 4 * FRAME_BYTES {
            self.payload = Vec::new();
        }
    }
}

fn with_segments(
    partition: &Partition,
    work: impl FnOnce(&mut Segments) -> Result<(), LogError>,
) -> Result<(), LogError> {
    partition.segments.lock().as_mut().map_or(Err(LogError::Closed), work)
}

fn refuse(requests: Vec<Request>, error: &LogError) {
    for request in requests {
        let _ = request.answer.send(Err(same_error(error)));
    }
}

/// One failure may end several appends.
fn same_error(error: &LogError) -> LogError {
    match error {
        LogError::Io { doing, path, source } => {
            let source = match source.raw_os_error() {
                Some(code) => std::io::Error::from_raw_os_error(code),
                None => std::io::Error::new(source.kind(), source.to_string()),
            };
            LogError::Io {
                doing,
                path: path.clone(),
                source,
            }
        }
        LogError::Full { path } => LogError::Full { path: path.clone() },
        LogError::Poisoned { path } => LogError::Poisoned { path: path.clone() },
        LogError::Damaged { path, at, what } => LogError::Damaged {
            path: path.clone(),
            at: *at,
            what: what.clone(),
        },
        _ => LogError::Closed,
    }
}
