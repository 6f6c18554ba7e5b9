//! Mirrors holders' bounds to consumer groups, so that lag tools see them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use gravity_events::Topic;
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::super::Bound;
use super::KafkaOptions;
use super::link::{Context, Link};

/// Bounds are mirrored at most this often.
const MIRROR_EVERY: Duration = Duration::from_secs(1);

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

    /// After bounds were committed: a transaction may have committed newer ones meanwhile, which ours have then set back.
    /// They are committed once more.
    fn committed(&self, holder: &str, bounds: &Bounds) {
        if let Some(h) = self.holders.lock().get_mut(holder)
            && h.bounds != *bounds
        {
            h.dirty = true;
        }
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

/// The thread that commits the bounds. It waits for the broker's answer (librdkafka gives none to asynchronous commits
/// of a consumer without a subscription), which nobody else should.
pub(super) struct Mirror {
    pub(super) options: Arc<KafkaOptions>,
    pub(super) link: Arc<Link>,
    pub(super) holds: Arc<Holds>,
    /// A message: a holder has moved. Its end: the log closes.
    pub(super) moved: Receiver<()>,
}

impl Mirror {
    pub(super) fn run(self) {
        let mut groups = HashMap::new();
        while !self.link.is_closed() && (self.holds.is_dirty() || self.moved.recv().is_ok()) {
            let next = Instant::now() + MIRROR_EVERY;
            while !self.mirror(&mut groups) && !self.link.is_closed() {
                self.link.pause();
            }
            // What moves until then goes with the next one.
            self.link.rest_until(next);
        }
        if !self.link.is_lost() {
            self.mirror(&mut groups);
        }
    }

    /// Commits what has moved; false when some of it could not be.
    fn mirror(&self, groups: &mut HashMap<String, BaseConsumer<Context>>) -> bool {
        let mut all = true;
        for (holder, bounds) in self.holds.take_dirty() {
            if !groups.contains_key(&holder) {
                match self.options.committing(&holder).create_with_context(Context::new(&self.link)) {
                    Ok(consumer) => groups.insert(holder.clone(), consumer),
                    Err(e) => {
                        tracing::warn!(holder, "the bounds are not mirrored to a consumer group: {e}");
                        continue;
                    }
                };
            }
            let group = &groups[&holder];
            let list = bounds.iter().map(|(&(topic, partition), &offset)| Bound { topic, partition, offset });
            let answer = group.commit(&offsets(&self.options, list), CommitMode::Sync);
            group.poll(Duration::ZERO);
            match answer {
                Ok(()) => self.holds.committed(&holder, &bounds),
                Err(e) => {
                    tracing::debug!(holder, "the bounds were not mirrored and will be tried again: {e}");
                    self.holds.mark_dirty(&holder);
                    all = false;
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(offset: u64) -> [Bound; 1] {
        [Bound { topic: Topic::Submissions, partition: 0, offset }]
    }

    #[test]
    fn what_a_transaction_commits_meanwhile_is_not_set_back_for_good() {
        let holds = Holds::default();
        assert!(holds.note("boards", &bound(10), true));
        let taken = holds.take_dirty();
        assert!(!holds.is_dirty());
        // While ten is on its way to the broker, a transaction commits twenty, and the journal says so later.
        assert!(holds.note("boards", &bound(20), false));
        assert!(!holds.note("boards", &bound(20), true));
        holds.committed("boards", &taken[0].1);
        let again = holds.take_dirty();
        assert_eq!(again[0].1.values().collect::<Vec<_>>(), [&20]);
        holds.committed("boards", &again[0].1);
        assert!(!holds.is_dirty());
    }
}
