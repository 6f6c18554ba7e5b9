//! Appends: one idempotent producer, a bounded queue, and a future per batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gravity_events::Position;
use parking_lot::RwLock;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, PurgeConfig, ThreadedProducer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::{Appended, LogError, Produce};
use super::KafkaOptions;
use super::batch::{Batch, Place};
use super::link::{Context, Link, code, is_missing};
use super::options::MAX_MESSAGE_BYTES;
use super::read::Readers;

/// Bound of the queue, in KiB of keys and values, each record counting for at least one. An append past it waits.
const QUEUE_KIB: usize = 64 << 10;
/// How long a close waits for records under way.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// What travels with a record and comes back with its delivery. Dropping it makes room in the queue.
struct Delivery {
    batch: Arc<Batch>,
    slot: usize,
    _room: OwnedSemaphorePermit,
}

struct Deliveries {
    context: Context,
    broken: Arc<AtomicBool>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.context.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if matches!(code(&error), Some(Code::Fatal)) {
            self.broken.store(true, Ordering::Release);
            tracing::warn!("the producer of appends cannot go on and is made anew: {reason}");
        }
        self.context.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let link = &self.context.link;
        let settled = match result {
            Ok(m) => {
                let (topic, partition) = (delivery.batch.records()[delivery.slot].topic, m.partition() as u32);
                Ok(match u64::try_from(m.offset()) {
                    Ok(offset) => Place::At(Position {
                        topic,
                        offset,
                        partition,
                    }),
                    Err(_) => Place::Within(partition),
                })
            }
            Err((e, _)) => Err(match code(e) {
                Some(Code::PurgeQueue | Code::PurgeInflight) if link.is_closed() => LogError::Closed,
                Some(Code::PurgeQueue | Code::PurgeInflight | Code::Fatal) => {
                    self.broken.store(true, Ordering::Release);
                    link.fault("the producer was made anew while a record was under way: append it again", true)
                }
                Some(Code::MessageTimedOut) => link.fault(
                    "the record was not written in the time that is waited for a lost broker: append it again",
                    true,
                ),
                Some(c) if is_missing(c) => link.fault(format!("appending a record: {e}: append it again"), true),
                _ => link.error("appending a record", e),
            }),
        };
        delivery.batch.settle(delivery.slot, settled);
    }
}

/// The append side of the log.
pub(super) struct Appender {
    options: Arc<KafkaOptions>,
    link: Arc<Link>,
    readers: Arc<Readers>,
    producer: RwLock<ThreadedProducer<Deliveries>>,
    broken: Arc<AtomicBool>,
    room: Arc<Semaphore>,
}

impl Appender {
    pub(super) fn new(
        options: &Arc<KafkaOptions>,
        link: &Arc<Link>,
        readers: &Arc<Readers>,
    ) -> Result<Arc<Self>, LogError> {
        let broken = Arc::new(AtomicBool::new(false));
        Ok(Arc::new(Appender {
            options: options.clone(),
            link: link.clone(),
            readers: readers.clone(),
            producer: RwLock::new(producer(options, link, &broken)?),
            broken,
            room: Arc::new(Semaphore::new(QUEUE_KIB)),
        }))
    }

    /// What there is room for is on its way when this returns; the rest goes as the future is awaited.
    pub(super) fn append(self: &Arc<Self>, records: Vec<Produce>) -> Appended {
        if let Err(e) = self.check(&records) {
            return Box::pin(std::future::ready(Err(e)));
        }
        if records.is_empty() {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        let (batch, waiting) = Batch::new(records, &self.link, &self.readers);
        let mut slot = 0;
        while slot < batch.records().len() {
            let Ok(room) = self.room.clone().try_acquire_many_owned(cost(&batch.records()[slot])) else {
                break;
            };
            self.send(Delivery {
                batch: batch.clone(),
                slot,
                _room: room,
            });
            slot += 1;
        }
        let this = self.clone();
        Box::pin(async move {
            while slot < batch.records().len() {
                let cost = cost(&batch.records()[slot]);
                let room = this
                    .room
                    .clone()
                    .acquire_many_owned(cost)
                    .await
                    .map_err(|_| LogError::Closed)?;
                this.send(Delivery {
                    batch: batch.clone(),
                    slot,
                    _room: room,
                });
                slot += 1;
            }
            drop(batch);
            waiting.await.unwrap_or(Err(LogError::Closed))
        })
    }

    /// Refuses a batch that cannot be written whole, before any of it is.
    fn check(&self, records: &[Produce]) -> Result<(), LogError> {
        self.link.check_open()?;
        for r in records {
            let partitions = self.options.partitions(r.topic);
            if let Some(partition) = r.partition.filter(|p| *p >= partitions) {
                return Err(LogError::NoPartition { topic: r.topic, partition, partitions });
            }
            let bytes = r.key.len() + r.value.len();
            if bytes > MAX_MESSAGE_BYTES - 1024 {
                let most = MAX_MESSAGE_BYTES - 1024;
                return Err(self.link.fault(
                    format!(
                        "a record of {bytes} bytes for {} is over the limit of {most}: send smaller records",
                        r.topic
                    ),
                    false,
                ));
            }
        }
        Ok(())
    }

    fn send(&self, delivery: Delivery) {
        let (batch, slot) = (delivery.batch.clone(), delivery.slot);
        let record = &batch.records()[slot];
        if self.link.is_closed() {
            return batch.settle(slot, Err(LogError::Closed));
        }
        if self.broken.load(Ordering::Acquire)
            && let Err(e) = self.renew()
        {
            return batch.settle(slot, Err(e));
        }
        let topic = self.options.topic_name(record.topic);
        let mut message = BaseRecord::with_opaque_to(&topic, Box::new(delivery)).payload(&record.value[..]);
        // Without a key, the partitioner spreads records.
        if !record.key.is_empty() {
            message = message.key(&record.key[..]);
        }
        message.partition = record.partition.map(|p| p as i32);
        let sent = self.producer.read().send(message);
        if let Err((e, _)) = sent {
            if matches!(code(&e), Some(Code::Fatal)) {
                self.broken.store(true, Ordering::Release);
            }
            batch.settle(slot, Err(self.link.error("appending a record", &e)));
        }
    }

    fn renew(&self) -> Result<(), LogError> {
        let mut current = self.producer.write();
        if self.broken.swap(false, Ordering::AcqRel) {
            current.purge(PurgeConfig::default().queue().inflight());
            *current = producer(&self.options, &self.link, &self.broken)?;
        }
        Ok(())
    }

    /// Waits for what is under way, then fails the rest.
    pub(super) fn close(&self) {
        self.room.close();
        let producer = self.producer.read();
        if producer.flush(CLOSE_WAIT).is_err() {
            producer.purge(PurgeConfig::default().queue().inflight());
            let _ = producer.flush(Duration::from_secs(1));
        }
    }
}

fn cost(record: &Produce) -> u32 {
    (1 + (record.key.len() + record.value.len()) / 1024) as u32
}

fn producer(
    options: &Arc<KafkaOptions>,
    link: &Arc<Link>,
    broken: &Arc<AtomicBool>,
) -> Result<ThreadedProducer<Deliveries>, LogError> {
    let deliveries = Deliveries {
        context: Context::new(link),
        broken: broken.clone(),
    };
    options
        .appending()
        .create_with_context(deliveries)
        .map_err(|e| link.error("creating the producer", &e))
}
