//! The log: topics of ordered partitions, durable on return. Two implementations, one conformance suite.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gravity_events::{Position, Record, Topic};

pub mod embedded;
mod error;
pub mod kafka;
mod marker;
pub mod partitioner;
mod scan;

pub use error::LogError;
pub use scan::{read_on, scan};

/// A record to append.
#[derive(Clone, Debug)]
pub struct Produce {
    /// Topic.
    pub topic: Topic,
    /// Key; the partition is murmur2 of it, as Kafka's default partitioner does (contracts.md).
    pub key: Bytes,
    /// The partition, where it must not follow from the key (markers).
    pub partition: Option<u32>,
    /// The record.
    pub value: Bytes,
}

/// Where a record belongs, under its own key.
impl From<&Record> for Produce {
    fn from(record: &Record) -> Produce {
        let value = gravity_events::codec::encode(record).into();
        Produce { topic: record.body.topic(), key: record.key().into(), partition: None, value }
    }
}

/// A record that was read: durable, in its final place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// Its key.
    pub key: Bytes,
    /// Its bytes, as produced.
    pub value: Bytes,
    /// When the log took it, milliseconds since 1970.
    pub appended_at_ms: i64,
}

/// The first offset of a partition that is not meant: everything before it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound {
    /// Topic.
    pub topic: Topic,
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: u64,
}

/// How much one read may return. At least one record comes, however large.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Records at most.
    pub records: usize,
    /// Bytes of keys and values at most.
    pub bytes: usize,
}

/// The future of an append.
pub type Appended = Pin<Box<dyn Future<Output = Result<Vec<Position>, LogError>> + Send>>;

/// Topics of ordered partitions.
///
/// Durable: what an append's future returned is still there after a power loss. Ordered: records of one key keep the
/// order in which they were appended by one caller that awaited each append. Read: only durable records.
pub trait Log: Send + Sync + 'static {
    /// Number of partitions of a topic; fixed by configuration.
    fn partitions(&self, topic: Topic) -> u32;

    /// Appends records, in order; resolves once all are durable, with their positions in the order given. When a
    /// batch fails, a prefix of it may have been written: the caller retries and identities take care of the rest.
    /// A lost broker is waited for, as long as configured.
    fn append(&self, records: Vec<Produce>) -> Appended;

    /// Reads durable records of one partition from an offset on, without waiting. An offset that retention has
    /// dropped is [`LogError::Gone`]; damage is [`LogError::Damaged`] with file and offset, never a silent end.
    fn read(&self, topic: Topic, partition: u32, from: u64, limit: Limit) -> Result<Vec<Entry>, LogError>;

    /// First offset that is still there, and the first that is not durable yet.
    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError>;

    /// Follows partitions from the given offsets on. Within one poll, records of earlier assignments come first.
    fn tail(&self, from: Vec<Bound>) -> Result<Box<dyn Tail>, LogError>;

    /// Says up to where `holder` has read: retention never drops a record at or past a holder's bound.
    fn hold(&self, holder: &str, bounds: &[Bound]);

    /// The writer of one pipeline's output topics.
    fn outputs(&self, pipeline: &str) -> Result<Box<dyn Outputs>, LogError>;

    /// An error while the log knows that its broker is lost, so that calls would wait for it. Does not wait.
    fn health(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// Stops background work and waits for it. Appends fail from here on.
    fn close(&self);
}

/// A follower of partitions. Belongs to one thread.
pub trait Tail: Send {
    /// Waits, without polling, until records are there, the waker was used, or the time is over; then returns what
    /// there is within the limit (possibly nothing). Records of a partition come in order, each once.
    fn poll(&mut self, limit: Limit, wait: Duration) -> Result<Vec<Entry>, LogError>;

    /// Ends a waiting poll from any thread (or the next one, if none is waiting).
    fn waker(&self) -> Arc<dyn Fn() + Send + Sync>;
}

/// One epoch's output.
#[derive(Clone, Debug)]
pub struct OutputEpoch {
    /// The epoch.
    pub epoch: u64,
    /// Its clock.
    pub now_ms: i64,
    /// What it was bound to.
    pub bound: Vec<Bound>,
    /// Its records, in a deterministic order.
    pub records: Vec<Produce>,
}

/// Writes whole epochs to the output topics of one pipeline, each exactly once, whatever was interrupted.
///
/// Embedded: records are appended, then an `epoch.closed` marker in every partition that the epoch wrote; a partly
/// written epoch is completed, not repeated. Kafka: one transaction of one or more epochs with the binding in
/// `gravity.epochs.v1`, by a producer whose `transactional.id` is the pipeline's name (with the configured prefix), so
/// that a newer one fences an older one.
pub trait Outputs: Send {
    /// The last epoch that the topics hold whole, as the topics themselves say.
    fn last_epoch(&mut self) -> Result<Option<u64>, LogError>;

    /// Writes epochs, in order. Those up to `last_epoch` are skipped. Durable (and visible) on return.
    fn publish(&mut self, epochs: &[OutputEpoch]) -> Result<(), LogError>;

    /// Whether an epoch may be shown only after `publish` has returned (Kafka: its transaction is part of being durable).
    fn gates_visibility(&self) -> bool {
        false
    }

    /// The bindings that the topics hold after `epoch`, in order (Kafka; empty on the embedded log).
    fn bindings_after(&mut self, epoch: u64) -> Result<Vec<(u64, i64, Vec<Bound>)>, LogError>;
}
