//! The log on local files: a folder of segments per partition, `<dir>/<topic>/<partition>`.
//!
//! - **Durable on return.** One thread commits what waits as a group (see [`committer`](self::committer)); there is no
//!   timer and nothing to set.
//! - **Bounded.** Appends wait while `queue_bytes` are waiting to be written; reads return what their limit says.
//! - **Full disk.** Appends are refused while the disk has less free space than the reserve, or none; reads go on.
//! - **Failed fsync.** The partition takes no more appends until the process starts again: what the disk holds is not
//!   known before.
//!
//! Besides the partitions the folder holds `topics.json` (how many partitions each topic has) and `holds.json` (who still
//! needs what). One process uses it at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use gravity_events::{Position, Topic};
use parking_lot::Mutex;

use super::partitioner::partition_of;
use super::{Appended, Bound, Entry, Limit, Log, LogError, Outputs, Produce, Tail};
use crate::segment::{Repair, SegmentOptions, SyncMode, disk};

mod batch;
mod committer;
mod erase;
mod holds;
mod options;
mod outputs;
mod partition;
mod queue;
mod retention;
mod sealing;
mod signal;
mod tail;
#[cfg(test)]
mod tests;
mod wait;

pub use erase::erase;
pub use options::{EmbeddedOptions, Reserve, Retention};

use holds::Holds;
use partition::{Cursor, Partition, Room};
use queue::Queue;
use signal::Signal;

/// The log on local files. See the [module](self).
pub struct EmbeddedLog {
    inner: Arc<Inner>,
    timer: Arc<retention::Timer>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    repairs: Vec<Repair>,
}

/// What the log, its threads, its tails and its writers share.
struct Inner {
    dir: PathBuf,
    options: EmbeddedOptions,
    /// By topic, then partition.
    partitions: Vec<Arc<Partition>>,
    /// Where a topic's partitions begin in the list; by code.
    starts: Vec<usize>,
    queue: Arc<Queue>,
    signal: Signal,
    holds: Holds,
    sealing: sealing::Sealing,
    writers: Mutex<BTreeMap<String, Arc<outputs::Writers>>>,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, or creates it. Torn tails are cut off (see [`repairs`](Self::repairs)); damage, a missing
    /// partition, another number of partitions or a newer format is an error.
    pub fn open(dir: &Path, options: EmbeddedOptions) -> Result<EmbeddedLog, LogError> {
        let sync = options.sync == SyncMode::Fsync;
        disk::create_folder(dir, sync)?;
        let topics = options::partitions_of(dir, &options)?;
        let segments = SegmentOptions { segment_bytes: options.segment_bytes, sync: options.sync };
        let (mut partitions, mut starts, mut repairs) = (Vec::new(), Vec::new(), Vec::new());
        for (topic, count, stored) in &topics {
            starts.push(partitions.len());
            for number in 0..*count {
                let (partition, repair) = Partition::open(dir, *topic, number, *stored, segments)?;
                partitions.push(Arc::new(partition));
                repairs.extend(repair);
            }
        }
        starts.push(partitions.len());
        let is_new = topics.iter().all(|(.., stored)| !stored);
        options::fix_partitions(dir, options.sync, &topics)?;
        let (holds, found) = Holds::open(dir, sync)?;
        let inner = Arc::new(Inner {
            dir: dir.into(),
            queue: Arc::new(Queue::new(options.queue_bytes)),
            options,
            partitions,
            starts,
            signal: Signal::default(),
            holds,
            sealing: sealing::Sealing::default(),
            writers: Mutex::default(),
        });
        if !found && !is_new {
            outputs::hold_anew(&inner)?;
        }
        inner.holds.save()?;
        let timer = Arc::new(retention::Timer::default());
        let threads = Mutex::new(Vec::new());
        let log = EmbeddedLog { inner, timer, threads, repairs };
        log.start()?;
        Ok(log)
    }

    fn start(&self) -> Result<(), LogError> {
        let (inner, queue) = (self.inner.clone(), self.inner.queue.clone());
        let committer = move || committer::run(&inner, &queue);
        let (inner, timer) = (self.inner.clone(), self.timer.clone());
        let retention = move || timer.run(&inner, inner.options.retention_every);
        let mut threads = self.threads.lock();
        let failed = |e| disk::failed("start a thread for", &self.inner.dir, e);
        threads.push(std::thread::Builder::new().name("log-commit".into()).spawn(committer).map_err(failed)?);
        threads.push(std::thread::Builder::new().name("log-retention".into()).spawn(retention).map_err(failed)?);
        Ok(())
    }

    /// What opening cut off: unfinished writes of a crash, none of them ever acknowledged.
    pub fn repairs(&self) -> &[Repair] {
        &self.repairs
    }

    /// Drops what the retention policies and the holders allow, now. Returns the bytes freed. Also runs by itself.
    pub fn apply_retention(&self) -> Result<u64, LogError> {
        retention::apply(&self.inner)
    }

    /// Bytes on disk of one topic.
    pub fn bytes(&self, topic: Topic) -> u64 {
        let of_topic = self.inner.partitions.iter().filter(|p| p.topic == topic);
        of_topic.flat_map(|p| p.reader.files()).map(|(_, bytes)| bytes).sum()
    }
}

impl Inner {
    fn count(&self, topic: Topic) -> u32 {
        let code = usize::from(topic.code());
        (self.starts[code + 1] - self.starts[code]) as u32
    }

    fn place(&self, topic: Topic, partition: u32) -> Result<usize, LogError> {
        let partitions = self.count(topic);
        if partition >= partitions {
            return Err(LogError::NoPartition { topic, partition, partitions });
        }
        Ok(self.starts[usize::from(topic.code())] + partition as usize)
    }

    fn partition(&self, topic: Topic, partition: u32) -> Result<&Arc<Partition>, LogError> {
        Ok(&self.partitions[self.place(topic, partition)?])
    }

    /// Where a record goes: place in the list, partition.
    fn route(&self, record: &Produce) -> Result<(usize, u32), LogError> {
        let number = match record.partition {
            Some(number) => number,
            None => partition_of(&record.key, self.count(record.topic)),
        };
        Ok((self.place(record.topic, number)?, number))
    }

    fn append(&self, records: Vec<Produce>) -> Appended {
        let routed: Result<Vec<_>, _> = records.into_iter().map(|r| Ok((self.route(&r)?.0, r))).collect();
        match routed {
            Ok(routed) => Box::pin(self.queue.push(routed)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn append_and_wait(&self, records: Vec<Produce>) -> Result<Vec<Position>, LogError> {
        wait::block_on(self.append(records))
    }
}

impl Log for EmbeddedLog {
    fn partitions(&self, topic: Topic) -> u32 {
        self.inner.count(topic)
    }

    fn append(&self, records: Vec<Produce>) -> Appended {
        self.inner.append(records)
    }

    fn read(&self, topic: Topic, partition: u32, from: u64, limit: Limit) -> Result<Vec<Entry>, LogError> {
        let partition = self.inner.partition(topic, partition)?;
        partition.check_bound(from)?;
        let mut entries = Vec::new();
        match Cursor::new(partition, from).read(partition, &mut Room::new(limit), &mut entries) {
            Err(error) if entries.is_empty() => Err(error),
            _ => Ok(entries),
        }
    }

    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        Ok(self.inner.partition(topic, partition)?.range())
    }

    fn tail(&self, from: Vec<Bound>) -> Result<Box<dyn Tail>, LogError> {
        Ok(Box::new(tail::EmbeddedTail::new(self.inner.clone(), &from)?))
    }

    fn hold(&self, holder: &str, bounds: &[Bound]) {
        if let Err(error) = self.inner.holds.set(holder, bounds) {
            // It counts all the same in this process, and retention does not run before it is saved.
            tracing::warn!(holder, %error, "what a reader still needs could not be saved");
        }
    }

    fn outputs(&self, pipeline: &str) -> Result<Box<dyn Outputs>, LogError> {
        Ok(Box::new(outputs::EmbeddedOutputs::new(self.inner.clone(), pipeline)))
    }

    fn close(&self) {
        self.inner.queue.close();
        self.timer.stop();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
        for partition in &self.inner.partitions {
            *partition.segments.lock() = None;
        }
        if let Err(error) = self.inner.holds.save() {
            tracing::warn!(%error, "what readers still need could not be saved");
        }
        self.inner.signal.close();
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.close();
    }
}
