//! Following partitions, without polling.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gravity_events::Topic;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;

use super::super::{Bound, Entry, Limit, LogError, Tail};
use super::KafkaOptions;
use super::holds::offsets;
use super::link::{Context, Link, Patience, code, is_missing, is_passing};
use super::read::{Readers, beyond, entry, size};
use super::signal::Signal;

pub(super) struct KafkaTail {
    options: Arc<KafkaOptions>,
    link: Arc<Link>,
    readers: Arc<Readers>,
    consumer: BaseConsumer<Context>,
    signal: Arc<Signal>,
    order: HashMap<(Topic, u32), usize>,
    /// The next offset of each partition, in the order of assignment.
    next: Vec<Bound>,
    pending: Option<Entry>,
    /// Since when a partition has not been found.
    missing: Option<Patience>,
}

impl KafkaTail {
    pub(super) fn new(
        options: &Arc<KafkaOptions>,
        link: &Arc<Link>,
        readers: &Arc<Readers>,
        from: Vec<Bound>,
    ) -> Result<Self, LogError> {
        let signal = Arc::new(Signal::default());
        let mut consumer: BaseConsumer<Context> = options
            .reading(false)
            .create_with_context(Context::new(link))
            .map_err(|e| link.error("creating a consumer", &e))?;
        consumer.set_nonempty_callback({
            let signal = signal.clone();
            move || signal.fill()
        });
        link.wake_on_close(&signal);
        let tail = KafkaTail {
            options: options.clone(),
            link: link.clone(),
            readers: readers.clone(),
            consumer,
            signal,
            order: from.iter().enumerate().map(|(i, b)| ((b.topic, b.partition), i)).collect(),
            next: from,
            pending: None,
            missing: None,
        };
        tail.check_offsets()?;
        tail.assign()?;
        Ok(tail)
    }

    fn assign(&self) -> Result<(), LogError> {
        let all = offsets(&self.options, self.next.iter().copied());
        self.consumer.assign(&all).map_err(|e| self.link.error("assigning partitions", &e))
    }

    /// Every next offset must still be there. One that was dropped, or that the log has not reached, is never replaced.
    fn check_offsets(&self) -> Result<(), LogError> {
        for b in &self.next {
            let (first, end) = self.readers.range(b.topic, b.partition)?;
            if b.offset < first {
                return Err(LogError::Gone { topic: b.topic, partition: b.partition, wanted: b.offset, first });
            }
            if b.offset > end {
                return Err(beyond(b.topic, b.partition, b.offset, end));
            }
        }
        Ok(())
    }

    /// Takes what is in the queue, up to the limit.
    fn take(&mut self, limit: Limit, entries: &mut Vec<(usize, Entry)>) -> Result<(), LogError> {
        let mut bytes = 0;
        loop {
            let found = match self.pending.take() {
                Some(e) => e,
                None => match self.pull()? {
                    Some(e) => e,
                    None => return Ok(()),
                },
            };
            let Some(&index) = self.order.get(&(found.position.topic, found.position.partition)) else {
                continue;
            };
            if found.position.offset < self.next[index].offset {
                continue;
            }
            bytes += size(&found);
            if !entries.is_empty() && bytes > limit.bytes {
                self.pending = Some(found);
                return Ok(());
            }
            self.missing = None;
            self.next[index].offset = found.position.offset + 1;
            entries.push((index, found));
            if entries.len() >= limit.records {
                return Ok(());
            }
        }
    }

    /// The next message, if there is one now.
    fn pull(&mut self) -> Result<Option<Entry>, LogError> {
        loop {
            let eaten = self.consumer.context().eaten.load(Ordering::Relaxed);
            match self.consumer.poll(Duration::ZERO) {
                Some(Ok(m)) => {
                    if let Some(topic) = self.options.topic_of(m.topic()) {
                        return Ok(Some(entry(topic, &m)));
                    }
                }
                Some(Err(e)) => self.complain(&e)?,
                None if self.consumer.context().eaten.load(Ordering::Relaxed) == eaten => return Ok(None),
                None => {}
            }
        }
    }

    /// An error from the queue: passing ones are waited out (the watch speaks of them), others end the tail.
    fn complain(&mut self, error: &KafkaError) -> Result<(), LogError> {
        match code(error) {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                self.check_offsets()?;
                // All offsets are there again: a replica that lagged behind has taken over. Go on from where we were.
                self.assign()
            }
            Some(c) if is_missing(c) => {
                let patience = self.missing.take().unwrap_or_else(|| self.link.patience());
                patience.bear("following partitions", error)?;
                self.missing = Some(patience);
                Ok(())
            }
            Some(c) if is_passing(c) => {
                self.link.suspect();
                Ok(())
            }
            _ => Err(self.link.error("following partitions", error)),
        }
    }
}

impl Tail for KafkaTail {
    fn poll(&mut self, limit: Limit, wait: Duration) -> Result<Vec<Entry>, LogError> {
        let until = Instant::now() + wait;
        let mut entries = Vec::new();
        loop {
            self.link.check_open()?;
            let woken = self.signal.take_wake();
            self.signal.drain();
            self.take(limit, &mut entries)?;
            if !entries.is_empty() || woken || Instant::now() >= until {
                break;
            }
            self.signal.wait(until);
        }
        // Stable: within a partition the order is the log's.
        entries.sort_by_key(|(index, _)| *index);
        Ok(entries.into_iter().map(|(_, e)| e).collect())
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let signal = self.signal.clone();
        Arc::new(move || signal.wake())
    }
}
