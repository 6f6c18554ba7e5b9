//! The outputs of one pipeline: each epoch's records, markers and binding in one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gravity_events::Topic;
use parking_lot::{Condvar, Mutex};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::super::marker::marker;
use super::super::partitioner::partition_of;
use super::super::{Bound, LogError, OutputEpoch, Outputs, Produce};
use super::KafkaOptions;
use super::binding::{self, Binding};
use super::holds::{Holds, offsets};
use super::link::{Context, Link, code, is_passing};
use super::read::{Readers, watermarks};

/// Epochs go into one transaction up to this many bytes of records (one epoch is never split).
const TRANSACTION_BYTES: usize = 16 << 20;
/// One call of librdkafka waits this long, so that a closed log is noticed.
const SLICE: Duration = Duration::from_secs(1);
/// Offsets that are read at first when looking for the last binding.
const FIRST_WINDOW: u64 = 256;

/// Records of the open transaction that the broker has not answered yet.
#[derive(Default)]
struct UnderWay {
    state: Mutex<UnderWayState>,
    settled: Condvar,
}

#[derive(Default)]
struct UnderWayState {
    records: usize,
    failed: Option<KafkaError>,
}

impl UnderWay {
    fn clear(&self) {
        *self.state.lock() = UnderWayState::default();
    }

    fn add(&self) {
        self.state.lock().records += 1;
    }

    fn settle(&self, failed: Option<KafkaError>) {
        let mut state = self.state.lock();
        // Records that an abort purged are answered late, and not counted any more.
        state.records = state.records.saturating_sub(1);
        state.failed = state.failed.take().or(failed);
        if state.records == 0 {
            self.settled.notify_all();
        }
    }

    /// Waits until all are answered; false when some are not yet.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        let until = Instant::now() + SLICE;
        while state.records > 0 && !self.settled.wait_until(&mut state, until).timed_out() {}
        state.records == 0
    }

    fn take_failed(&self) -> Option<KafkaError> {
        self.state.lock().failed.take()
    }
}

struct Sent {
    context: Context,
    under_way: Arc<UnderWay>,
}

impl ClientContext for Sent {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.context.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Sent {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.under_way.settle(result.as_ref().err().map(|(e, _)| e.clone()));
    }
}

/// Why a transaction did not come about.
enum Failure {
    /// Aborted; it may be tried again.
    Aborted(KafkaError),
    /// This producer is of no use any more.
    Over(LogError),
}

pub(super) struct KafkaOutputs {
    options: Arc<KafkaOptions>,
    link: Arc<Link>,
    readers: Arc<Readers>,
    holds: Arc<Holds>,
    pipeline: String,
    partition: u32,
    producer: ThreadedProducer<Sent>,
    under_way: Arc<UnderWay>,
    group: BaseConsumer<Context>,
    /// End of the epochs partition when we took over, uncommitted records of other pipelines included.
    taken_over_at: u64,
    last: Option<Option<u64>>,
    over: bool,
}

impl KafkaOutputs {
    /// Takes over: fences an older producer of this pipeline and ends what it left open.
    pub(super) fn new(
        options: &Arc<KafkaOptions>,
        link: &Arc<Link>,
        readers: &Arc<Readers>,
        holds: &Arc<Holds>,
        pipeline: &str,
    ) -> Result<Self, LogError> {
        let under_way = Arc::<UnderWay>::default();
        let sent = Sent { context: Context::new(link), under_way: under_way.clone() };
        let producer: ThreadedProducer<Sent> = options
            .transacting(pipeline)
            .create_with_context(sent)
            .map_err(|e| link.error("creating the producer of outputs", &e))?;
        // Asked without a connection, librdkafka looks for the coordinator again only after half a second.
        let epochs = options.topic_name(Topic::Epochs);
        link.ask("connecting the producer of outputs", |slice| producer.client().fetch_metadata(Some(&epochs), slice))?;
        let patience = link.patience();
        while let Err(e) = producer.init_transactions(SLICE) {
            if !can_retry(&e) {
                return Err(link.error("taking over the outputs", &e));
            }
            patience.bear("taking over the outputs", &KafkaError::Global(Code::OperationTimedOut))?;
        }
        let group = options
            .committing(pipeline)
            .create_with_context(Context::new(link))
            .map_err(|e| link.error("creating a consumer", &e))?;
        // Another pipeline's open transaction hides what we committed after its first record, so the last binding is
        // only known once the stable end has passed today's end.
        let unstable: BaseConsumer<Context> = options
            .asking("read_uncommitted")
            .create_with_context(Context::new(link))
            .map_err(|e| link.error("creating a client", &e))?;
        let partition = partition_of(pipeline.as_bytes(), options.partitions(Topic::Epochs));
        let (_, taken_over_at) = watermarks(options, link, &unstable, Topic::Epochs, partition)?;
        Ok(KafkaOutputs {
            options: options.clone(),
            link: link.clone(),
            readers: readers.clone(),
            holds: holds.clone(),
            pipeline: pipeline.to_owned(),
            partition,
            producer,
            under_way,
            group,
            taken_over_at,
            last: None,
            over: false,
        })
    }

    /// Bindings of this pipeline, newest first, in windows from the end backwards, until `enough` says so.
    fn newest_bindings(&self, enough: impl Fn(&Binding) -> bool) -> Result<Vec<Binding>, LogError> {
        let patience = self.link.patience();
        let (first, mut end) = loop {
            let (first, end) = self.readers.range(Topic::Epochs, self.partition)?;
            if end >= self.taken_over_at {
                break (first, end);
            }
            patience.bear(
                "waiting for another pipeline's transaction",
                &KafkaError::Global(Code::ConcurrentTransactions),
            )?;
        };
        let mut window = FIRST_WINDOW;
        let mut found = Vec::new();
        while end > first {
            let start = end.saturating_sub(window).max(first);
            for e in self.readers.between(Topic::Epochs, self.partition, start, end)?.into_iter().rev() {
                if e.key != self.pipeline.as_bytes() {
                    continue;
                }
                let binding = binding::decode(&e.value).map_err(|problem| {
                    let at = format!("{}/{} offset {}", Topic::Epochs, self.partition, e.position.offset);
                    self.link.fault(
                        format!("{at} is not a binding ({problem}): nothing but pipelines may write there"),
                        false,
                    )
                })?;
                let done = enough(&binding);
                found.push(binding);
                if done {
                    return Ok(found);
                }
            }
            end = start;
            window = window.saturating_mul(4);
        }
        Ok(found)
    }

    fn check(&self) -> Result<(), LogError> {
        self.link.check_open()?;
        if self.over {
            return Err(self.link.fault("the producer of outputs cannot go on: open the outputs again", true));
        }
        Ok(())
    }

    /// Writes epochs in one transaction, as often as it takes.
    fn transact(&mut self, epochs: &[&OutputEpoch]) -> Result<(), LogError> {
        let patience = self.link.patience();
        loop {
            match self.attempt(epochs) {
                Ok(()) => return Ok(()),
                Err(Failure::Over(e)) => {
                    self.over = true;
                    return Err(e);
                }
                Err(Failure::Aborted(e)) => {
                    tracing::debug!(pipeline = self.pipeline, "the transaction was aborted and is tried again: {e}");
                    self.link.suspect();
                    patience.check("writing outputs")?;
                    self.link.pause();
                }
            }
        }
    }

    fn attempt(&mut self, epochs: &[&OutputEpoch]) -> Result<(), Failure> {
        self.under_way.clear();
        self.step("beginning a transaction", || self.producer.begin_transaction())?;
        for epoch in epochs {
            let mut written: BTreeMap<(Topic, u32), u64> = BTreeMap::new();
            for record in &epoch.records {
                let partition = self.partition_of(record);
                *written.entry((record.topic, partition)).or_default() += 1;
                self.send(record.topic, partition, &record.key, &record.value)?;
            }
            for ((topic, partition), records) in written {
                let closed = marker(&self.pipeline, epoch, (topic, partition), records);
                self.send(topic, partition, &closed.key, &closed.value)?;
            }
            let value = binding::encode(&self.pipeline, epoch);
            self.send(Topic::Epochs, self.partition, self.pipeline.as_bytes(), &value)?;
        }
        let bound: &[Bound] = epochs.last().map_or(&[], |e| &e.bound);
        if !bound.is_empty() {
            let group = self.group()?;
            let list = offsets(&self.options, bound.iter().copied());
            self.step("sending offsets", || self.producer.send_offsets_to_transaction(&list, &group, SLICE))?;
        }
        self.settle()?;
        self.step("committing outputs", || self.producer.commit_transaction(SLICE))?;
        self.holds.note(&self.pipeline, bound, false);
        Ok(())
    }

    fn partition_of(&self, record: &Produce) -> u32 {
        let partitions = self.options.partitions(record.topic);
        record.partition.unwrap_or_else(|| partition_of(&record.key, partitions))
    }

    fn group(&self) -> Result<ConsumerGroupMetadata, Failure> {
        self.group.group_metadata().ok_or_else(|| {
            Failure::Over(self.link.fault("the consumer group has no metadata: open the outputs again", true))
        })
    }

    fn send(&self, topic: Topic, partition: u32, key: &[u8], value: &Bytes) -> Result<(), Failure> {
        let name = self.options.topic_name(topic);
        let mut message = BaseRecord::to(&name).partition(partition as i32).payload(&value[..]);
        if !key.is_empty() {
            message = message.key(key);
        }
        self.under_way.add();
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((e, back)) if code(&e) == Some(Code::QueueFull) && !self.link.is_closed() => {
                    message = back;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((e, _)) => {
                    self.under_way.settle(None);
                    return Err(self.fail("writing an output", e));
                }
            }
        }
    }

    /// One call of the transaction, repeated while librdkafka says that it may be.
    fn step(&self, doing: &str, mut call: impl FnMut() -> Result<(), KafkaError>) -> Result<(), Failure> {
        let patience = self.link.patience();
        loop {
            let Err(e) = call() else { return Ok(()) };
            if !can_retry(&e) {
                return Err(self.fail(doing, e));
            }
            self.link.suspect();
            // Whether it was committed is not known then: who opens the outputs again learns it from the topic.
            patience.check(doing).map_err(Failure::Over)?;
            self.link.pause();
        }
    }

    /// Waits until the broker has all records. The binding's commit would do so too, in steps of 100 ms.
    fn settle(&self) -> Result<(), Failure> {
        while !self.under_way.wait() {
            self.link.check_open().map_err(Failure::Over)?;
        }
        if let Some(e) = self.under_way.take_failed() {
            return Err(self.fail("writing an output", e));
        }
        // librdkafka lets go of a record a moment after it has told of it.
        while self.producer.in_flight_count() > 0 && !self.link.is_closed() {
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Aborts where that helps, and says what became of the producer.
    fn fail(&self, doing: &str, error: KafkaError) -> Failure {
        if let Some(e) = self.fenced(&error) {
            return Failure::Over(e);
        }
        let patience = self.link.patience();
        loop {
            match self.producer.abort_transaction(SLICE) {
                Ok(()) => break,
                Err(e) if can_retry(&e) => {
                    self.link.suspect();
                    if let Err(e) = patience.check(doing) {
                        return Failure::Over(e);
                    }
                    self.link.pause();
                }
                Err(e) => {
                    return Failure::Over(self.fenced(&e).unwrap_or_else(|| {
                        self.link.fault(format!("{doing}: {error}, then {e}: open the outputs again"), true)
                    }));
                }
            }
        }
        // What the broker said of a record tells more than the transaction's own error.
        let cause = self.under_way.take_failed().unwrap_or(error);
        let aborted_by_us = |c| matches!(c, Code::PurgeQueue | Code::PurgeInflight | Code::State);
        match code(&cause) {
            Some(c) if is_passing(c) || aborted_by_us(c) => Failure::Aborted(cause),
            // The broker ended the transaction for its age, or lost track of the producer: a new try is a new transaction.
            Some(Code::InvalidProducerEpoch | Code::UnknownProducerId | Code::InvalidTransactionalState) => {
                Failure::Aborted(cause)
            }
            _ => Failure::Over(self.link.error(doing, &cause)),
        }
    }

    fn fenced(&self, error: &KafkaError) -> Option<LogError> {
        let fatal = self.producer.client().fatal_error().map(|(c, _)| c);
        let codes = [code(error), fatal];
        let fencing = |c: &Option<Code>| matches!(c, Some(Code::Fenced | Code::ProducerFenced));
        let epoch_too_old = fatal == Some(Code::InvalidProducerEpoch);
        (codes.iter().any(fencing) || epoch_too_old).then(|| LogError::Fenced { pipeline: self.pipeline.clone() })
    }
}

/// Whether the same call may be made again.
fn can_retry(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(e) => e.is_retriable() && !e.txn_requires_abort() && !e.is_fatal(),
        KafkaError::Flush(Code::OperationTimedOut) => true,
        _ => false,
    }
}

impl Outputs for KafkaOutputs {
    fn gates_visibility(&self) -> bool {
        true
    }

    fn last_epoch(&mut self) -> Result<Option<u64>, LogError> {
        self.check()?;
        if let Some(known) = self.last {
            return Ok(known);
        }
        let last = self.newest_bindings(|_| true)?.first().map(|b| b.epoch);
        self.last = Some(last);
        Ok(last)
    }

    fn publish(&mut self, epochs: &[OutputEpoch]) -> Result<(), LogError> {
        let last = self.last_epoch()?;
        let todo: Vec<&OutputEpoch> = epochs.iter().filter(|e| Some(e.epoch) > last).collect();
        for epoch in &todo {
            for record in &epoch.records {
                self.readers.check(record.topic, self.partition_of(record))?;
            }
        }
        let mut rest = &todo[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|e| {
                bytes += e.records.iter().map(|r| r.key.len() + r.value.len()).sum::<usize>();
                bytes <= TRANSACTION_BYTES
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            self.transact(now)?;
            self.last = Some(now.last().map(|e| e.epoch));
            rest = later;
        }
        Ok(())
    }

    /// Those that the topic still has: the first one's epoch is above `epoch + 1` when compaction has dropped older ones.
    fn bindings_after(&mut self, epoch: u64) -> Result<Vec<(u64, i64, Vec<Bound>)>, LogError> {
        self.check()?;
        let mut found = self.newest_bindings(|b| b.epoch <= epoch)?;
        found.retain(|b| b.epoch > epoch);
        Ok(found.into_iter().rev().map(|b| (b.epoch, b.now_ms, b.bound)).collect())
    }
}
