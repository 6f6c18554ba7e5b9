//! The log's one background thread: watches a lost broker, and mirrors holders' bounds to consumer groups.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use gravity_events::Topic;
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::super::Bound;
use super::KafkaOptions;
use super::link::{Context, Link};

/// Bounds are mirrored at most this often.
const MIRROR_EVERY: Duration = Duration::from_secs(1);
/// How long the last mirroring at close may take.
const LAST_MIRROR: Duration = Duration::from_secs(2);

/// What the keeper is woken for.
pub(super) enum Call {
    /// A client lost its connection.
    Suspect,
    /// A holder has moved.
    Held,
    /// The end.
    Close,
}

/// The bound of each partition.
type Bounds = BTreeMap<(Topic, u32), u64>;

/// Bounds per holder, each the highest so far. Shown to lag tools as the offsets of consumer groups; Kafka's own retention
/// does not look at them.
#[derive(Default)]
pub(super) struct Holds {
    holders: Mutex<BTreeMap<String, Holder>>,
}

#[derive(Default)]
struct Holder {
    bounds: Bounds,
    dirty: bool,
}

impl Holds {
    /// Notes bounds; true when one has moved. A bound never goes back: a holder's journal may lag behind its outputs,
    /// which commit to the same group.
    pub(super) fn note(&self, holder: &str, bounds: &[Bound], dirty: bool) -> bool {
        let mut holders = self.holders.lock();
        let entry = holders.entry(holder.to_owned()).or_default();
        let mut moved = false;
        for b in bounds {
            let at = entry.bounds.entry((b.topic, b.partition)).or_insert(u64::MAX);
            if *at == u64::MAX || b.offset > *at {
                *at = b.offset;
                moved = true;
            }
        }
        entry.dirty |= moved && dirty;
        moved
    }

    fn take_dirty(&self) -> Vec<(String, Bounds)> {
        let mut holders = self.holders.lock();
        let dirty = holders.iter_mut().filter_map(|(name, h)| {
            let moved = std::mem::take(&mut h.dirty);
            moved.then(|| (name.clone(), h.bounds.clone()))
        });
        dirty.collect()
    }

    fn mark_dirty(&self, holder: &str) {
        if let Some(h) = self.holders.lock().get_mut(holder) {
            h.dirty = true;
        }
    }

    fn is_dirty(&self) -> bool {
        self.holders.lock().values().any(|h| h.dirty)
    }
}

/// The list of offsets that librdkafka takes.
pub(super) fn offsets(options: &KafkaOptions, bounds: impl Iterator<Item = Bound>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for b in bounds {
        let offset = Offset::Offset(b.offset.min(i64::MAX as u64) as i64);
        list.add_partition_offset(&options.topic_name(b.topic), b.partition as i32, offset)
            .expect("the partition was added just now, and the offset is in range");
    }
    list
}

pub(super) struct Keeper {
    pub(super) options: Arc<KafkaOptions>,
    pub(super) link: Arc<Link>,
    pub(super) holds: Arc<Holds>,
    pub(super) calls: Receiver<Call>,
    pub(super) asker: Arc<BaseConsumer<Context>>,
}

impl Keeper {
    pub(super) fn run(self) {
        let mut groups: HashMap<String, BaseConsumer<Context>> = HashMap::new();
        let mut mirror_at: Option<Instant> = None;
        let mut last = Instant::now() - MIRROR_EVERY;
        loop {
            let call = match mirror_at {
                None => self.calls.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.calls.recv_deadline(at),
            };
            match call {
                Ok(Call::Suspect) => {
                    if !self.watch() {
                        break;
                    }
                }
                Ok(Call::Held) => mirror_at = mirror_at.or(Some((last + MIRROR_EVERY).max(Instant::now()))),
                Ok(Call::Close) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    last = Instant::now();
                    let waiting = self.mirror(&mut groups);
                    mirror_at = (waiting || self.holds.is_dirty()).then(|| last + MIRROR_EVERY);
                }
            }
        }
        let end = Instant::now() + LAST_MIRROR;
        while self.mirror(&mut groups) && Instant::now() < end {
            for group in groups.values() {
                group.poll(Duration::from_millis(20));
            }
        }
    }

    /// Sees whether the broker answers; if not, says so once, waits until it does, and says that. False: the log closes.
    fn watch(&self) -> bool {
        let topic = self.options.topic_name(Topic::Reference);
        let lost_at = Instant::now();
        let mut said = false;
        loop {
            let answer = self.asker.fetch_metadata(Some(&topic), Duration::from_millis(1000));
            self.asker.poll(Duration::ZERO);
            let usable = answer.is_ok_and(|m| !m.brokers().is_empty());
            if usable {
                if said {
                    let seconds = lost_at.elapsed().as_secs_f64();
                    tracing::warn!(brokers = %self.options.brokers, "Kafka is back after {seconds:.1} s");
                }
                return true;
            }
            if !said {
                let reason = self.link.reason();
                tracing::warn!(brokers = %self.options.brokers, reason, "Kafka is lost: waiting for it; what was accepted is kept");
                said = true;
            }
            let pause = Instant::now() + Duration::from_millis(100);
            loop {
                match self.calls.recv_deadline(pause) {
                    Ok(Call::Close) | Err(RecvTimeoutError::Disconnected) => return false,
                    Err(RecvTimeoutError::Timeout) => break,
                    Ok(Call::Suspect | Call::Held) => {}
                }
            }
        }
    }

    /// Commits what has moved, and serves the answers. True while something is unanswered.
    fn mirror(&self, groups: &mut HashMap<String, BaseConsumer<Context>>) -> bool {
        for (holder, group) in groups.iter() {
            group.poll(Duration::ZERO);
            if group.context().commit_failed.swap(false, Ordering::AcqRel) {
                self.holds.mark_dirty(holder);
            }
        }
        for (holder, bounds) in self.holds.take_dirty() {
            if !groups.contains_key(&holder) {
                match self
                    .options
                    .committing(&holder)
                    .create_with_context(Context::new(&self.link))
                {
                    Ok(consumer) => groups.insert(holder.clone(), consumer),
                    Err(e) => {
                        tracing::warn!(holder, "the bounds are not mirrored to a consumer group: {e}");
                        continue;
                    }
                };
            }
            let group = &groups[&holder];
            if group.context().committing.swap(true, Ordering::AcqRel) {
                self.holds.mark_dirty(&holder);
                continue;
            }
            let bounds = bounds.into_iter().map(|((topic, partition), offset)| Bound {
                topic,
                partition,
                offset,
            });
            if let Err(e) = group.commit(&offsets(&self.options, bounds), CommitMode::Async) {
                group.context().committing.store(false, Ordering::Release);
                tracing::debug!(holder, "the bounds are not mirrored: {e}");
                self.holds.mark_dirty(&holder);
            }
        }
        groups.values().any(|g| g.context().committing.load(Ordering::Acquire))
    }
}
