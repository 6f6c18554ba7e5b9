//! Reads without waiting: a pool of consumers, each assigned one partition at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gravity_events::{Position, Topic};
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message};

use super::super::{Bound, Entry, Limit, LogError};
use super::KafkaOptions;
use super::holds::offsets;
use super::link::{Context, Link, code};

/// Consumers that are kept for the next read.
const KEPT: usize = 4;
/// One wait for messages; a closed log is noticed after it.
const SLICE: Duration = Duration::from_millis(200);

/// A consumer and where it stands.
struct Reader {
    consumer: BaseConsumer<Context>,
    /// The partition it is assigned and the next offset that it will return; `None` when it is not assigned.
    at: Option<(Topic, u32, u64)>,
    /// Taken from the queue, but past the limit of the read before.
    pending: Option<Entry>,
}

/// The reading side of the log.
pub(super) struct Readers {
    options: Arc<KafkaOptions>,
    link: Arc<Link>,
    idle: Mutex<Vec<Reader>>,
    asker: Arc<BaseConsumer<Context>>,
}

/// The entry of a message.
pub(super) fn entry(topic: Topic, message: &BorrowedMessage<'_>) -> Entry {
    let copy = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice).unwrap_or_default();
    Entry {
        position: Position { topic, offset: message.offset().max(0) as u64, partition: message.partition() as u32 },
        key: copy(message.key()),
        value: copy(message.payload()),
        appended_at_ms: message.timestamp().to_millis().unwrap_or(0),
    }
}

/// An offset that the partition has not reached: it was deleted or cut off.
pub(super) fn beyond(topic: Topic, partition: u32, wanted: u64, next: u64) -> LogError {
    LogError::Beyond {
        topic,
        partition,
        wanted,
        next,
    }
}

pub(super) fn size(entry: &Entry) -> usize {
    entry.key.len() + entry.value.len()
}

impl Readers {
    pub(super) fn new(options: &Arc<KafkaOptions>, link: &Arc<Link>, asker: Arc<BaseConsumer<Context>>) -> Self {
        Readers { options: options.clone(), link: link.clone(), idle: Mutex::default(), asker }
    }

    pub(super) fn check(&self, topic: Topic, partition: u32) -> Result<(), LogError> {
        self.link.check_open()?;
        let partitions = self.options.partitions(topic);
        if partition < partitions { Ok(()) } else { Err(LogError::NoPartition { topic, partition, partitions }) }
    }

    /// First offset kept and the last stable offset: what an open transaction holds back is not durable yet.
    pub(super) fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        self.check(topic, partition)?;
        watermarks(&self.options, &self.link, &self.asker, topic, partition)
    }

    pub(super) fn read(&self, topic: Topic, partition: u32, from: u64, limit: Limit) -> Result<Vec<Entry>, LogError> {
        let (first, end) = self.range(topic, partition)?;
        if from < first {
            return Err(LogError::Gone { topic, partition, wanted: from, first });
        }
        if from > end {
            return Err(beyond(topic, partition, from, end));
        }
        if from == end {
            return Ok(Vec::new());
        }
        let mut reader = self.take(topic, partition, from)?;
        let entries = self.fill(&mut reader, Bound { topic, partition, offset: from }, end, limit)?;
        self.put_back(reader);
        Ok(entries)
    }

    /// Every entry from an offset to another, whatever holes there are between.
    pub(super) fn between(&self, topic: Topic, partition: u32, from: u64, to: u64) -> Result<Vec<Entry>, LogError> {
        let limit = Limit { records: 10_000, bytes: 16 << 20 };
        let mut all = Vec::new();
        let mut next = from;
        while next < to {
            let part = self.read(topic, partition, next, limit)?;
            let Some(last) = part.last() else { break };
            next = last.position.offset + 1;
            all.extend(part.into_iter().filter(|e| e.position.offset < to));
        }
        Ok(all)
    }

    /// One that stands where the read begins, else any idle one, else a new one.
    fn take(&self, topic: Topic, partition: u32, from: u64) -> Result<Reader, LogError> {
        let mut idle = self.idle.lock();
        if let Some(i) = idle.iter().position(|r| r.at == Some((topic, partition, from))) {
            return Ok(idle.swap_remove(i));
        }
        if let Some(i) = idle.iter().position(|r| r.at.is_none()) {
            return Ok(idle.swap_remove(i));
        }
        if idle.len() >= KEPT {
            return Ok(idle.remove(0));
        }
        drop(idle);
        let consumer = self
            .options
            .reading(true)
            .create_with_context(Context::new(&self.link))
            .map_err(|e| self.link.error("creating a consumer", &e))?;
        Ok(Reader { consumer, at: None, pending: None })
    }

    fn put_back(&self, reader: Reader) {
        let mut idle = self.idle.lock();
        if idle.len() < KEPT {
            idle.push(reader);
        }
    }

    /// Reads up to the limit or the end. Offsets have holes (markers of transactions, aborted and compacted records), so
    /// that the end is where the broker says it is, not where the numbers are used up.
    fn fill(&self, reader: &mut Reader, from: Bound, end: u64, limit: Limit) -> Result<Vec<Entry>, LogError> {
        let (topic, partition) = (from.topic, from.partition);
        let mut next = from.offset;
        // A consumer that goes on may have an end of partition in its queue that is one no longer.
        let mut end_is_news = reader.at != Some((topic, partition, next));
        if end_is_news {
            self.assign(reader, from)?;
        }
        let patience = self.link.patience();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        loop {
            if next >= end {
                return self.at_end(reader, entries);
            }
            let found = match reader.pending.take() {
                Some(e) => Ok(Some(e)),
                None => match reader.consumer.poll(SLICE) {
                    Some(Ok(m)) if self.is_of(&m, topic, partition, next) => Ok(Some(entry(topic, &m))),
                    Some(Ok(_)) => continue,
                    Some(Err(e)) => Err(e),
                    None => Ok(None),
                },
            };
            match found {
                Ok(Some(e)) => {
                    bytes += size(&e);
                    if !entries.is_empty() && (entries.len() >= limit.records || bytes > limit.bytes) {
                        reader.at = Some((topic, partition, next));
                        reader.pending = Some(e);
                        return Ok(entries);
                    }
                    next = e.position.offset + 1;
                    entries.push(e);
                    if entries.len() >= limit.records {
                        reader.at = Some((topic, partition, next));
                        return Ok(entries);
                    }
                }
                Ok(None) => patience.check("reading")?,
                Err(KafkaError::PartitionEOF(_)) if end_is_news => return self.at_end(reader, entries),
                Err(KafkaError::PartitionEOF(_)) => {
                    self.assign(reader, Bound { offset: next, ..from })?;
                    end_is_news = true;
                }
                Err(e) if code(&e) == Some(Code::AutoOffsetReset) => {
                    let (first, _) = self.range(topic, partition)?;
                    if next < first {
                        return Err(LogError::Gone { topic, partition, wanted: next, first });
                    }
                    self.assign(reader, Bound { offset: next, ..from })?;
                    patience.bear("reading", &KafkaError::Global(Code::OffsetNotAvailable))?;
                }
                Err(e) => patience.bear("reading", &e)?,
            }
        }
    }

    fn is_of(&self, message: &BorrowedMessage<'_>, topic: Topic, partition: u32, next: u64) -> bool {
        message.partition() as u32 == partition
            && message.offset() >= next as i64
            && self.options.topic_of(message.topic()) == Some(topic)
    }

    fn assign(&self, reader: &mut Reader, at: Bound) -> Result<(), LogError> {
        reader.pending = None;
        reader
            .consumer
            .assign(&offsets(&self.options, std::iter::once(at)))
            .map_err(|e| self.link.error("assigning a partition", &e))
    }

    /// Ends the assignment, so that an idle consumer fetches nothing.
    fn at_end(&self, reader: &mut Reader, entries: Vec<Entry>) -> Result<Vec<Entry>, LogError> {
        reader.at = None;
        reader.pending = None;
        reader.consumer.unassign().map_err(|e| self.link.error("ending an assignment", &e))?;
        Ok(entries)
    }

    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }
}

/// First offset kept, and the end as the client's isolation level sees it.
pub(super) fn watermarks(
    options: &KafkaOptions,
    link: &Arc<Link>,
    asker: &BaseConsumer<Context>,
    topic: Topic,
    partition: u32,
) -> Result<(u64, u64), LogError> {
    let name = options.topic_name(topic);
    let (first, end) = link.ask("asking for the range of a partition", |slice| {
        let answer = asker.fetch_watermarks(&name, partition as i32, slice);
        asker.poll(Duration::ZERO);
        answer
    })?;
    Ok((first.max(0) as u64, end.max(0) as u64))
}
