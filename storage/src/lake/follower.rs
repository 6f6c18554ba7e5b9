//! What the pipelines accepted, as far as it is told: bounds of partitions, and what did not count before them.

use std::collections::BTreeMap;
use std::ops::Range;

use gravity_events::body::EpochAccepted;
use gravity_events::{Body, Topic, codec};
use gravity_ingest::log::Entry;

/// Code and reason.
pub type Why = (String, Option<String>);

/// Runs of refused records by the first one's offset: how many, and why.
type Runs = BTreeMap<u64, (u64, Why)>;

/// The first epoch of a pipeline.
const FIRST_EPOCH: u64 = 1;

/// What the records on the topic say, taken in order.
#[derive(Debug, Default)]
pub struct Accepted {
    bounds: BTreeMap<(Topic, u32), u64>,
    /// Where what is told begins, of partitions whose first epochs are not told: what is before cannot be known.
    known_from: BTreeMap<(Topic, u32), u64>,
    refused: BTreeMap<(Topic, u32), Runs>,
}

impl Accepted {
    /// Takes an entry of the topic. Markers are passed over.
    pub fn take(&mut self, entry: &Entry) {
        if let Ok(record) = codec::decode(&entry.value)
            && let Body::EpochAccepted(told) = record.body
        {
            self.tell(told);
        }
    }

    fn tell(&mut self, told: EpochAccepted) {
        for run in told.refused {
            let Some(topic) = Topic::from_name(&run.topic) else { continue };
            let why = (run.code.to_string(), run.detail);
            self.refused.entry((topic, run.partition)).or_default().insert(run.offset, (run.records, why));
        }
        for of_topic in told.bounds {
            let Some(topic) = Topic::from_name(&of_topic.topic) else { continue };
            for (partition, offset) in of_topic.offsets {
                let at = (topic, partition);
                if !self.bounds.contains_key(&at) && told.epoch > FIRST_EPOCH {
                    self.known_from.insert(at, offset);
                }
                // Epochs that are told again say nothing new.
                let bound = self.bounds.entry(at).or_default();
                *bound = offset.max(*bound);
            }
        }
    }

    /// Everything before this offset is judged; 0: nothing is told yet.
    pub fn bound(&self, topic: Topic, partition: u32) -> u64 {
        self.bounds.get(&(topic, partition)).copied().unwrap_or(0)
    }

    /// From where on it is known what counted: a table that begins now begins there.
    pub fn known_from(&self, topic: Topic, partition: u32) -> u64 {
        self.known_from.get(&(topic, partition)).copied().unwrap_or(0)
    }

    /// Why a record did not count; None: it did.
    pub fn refused(&self, topic: Topic, partition: u32, offset: u64) -> Option<&Why> {
        let (first, (records, why)) = self.refused.get(&(topic, partition))?.range(..=offset).next_back()?;
        (offset - first < *records).then_some(why)
    }

    /// From the first to the last of the offsets from `from` on and before `to` that did not count; empty: there are none.
    pub fn refused_span(&self, topic: Topic, partition: u32, from: u64, to: u64) -> Range<u64> {
        let runs = self.refused.get(&(topic, partition)).into_iter().flat_map(|runs| runs.range(..to));
        let mut runs = runs.map(|(first, (records, _))| (*first).max(from)..(first + records).min(to));
        let mut span = to..to;
        if let Some(first) = runs.find(|run| !run.is_empty()) {
            span = first.start..runs.next_back().map_or(first.end, |last| last.end);
        }
        span
    }

    /// Forgets what was refused before an offset.
    pub fn forget(&mut self, topic: Topic, partition: u32, before: u64) {
        if let Some(runs) = self.refused.get_mut(&(topic, partition)) {
            while let Some(run) = runs.first_entry()
                && run.key() + run.get().0 <= before
            {
                run.remove();
            }
        }
    }

    /// Runs that are remembered.
    pub fn len(&self) -> usize {
        self.refused.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing refused is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gravity_events::body::{RefusedRun, TopicBounds};

    const T: Topic = Topic::Usage;

    fn run(offset: u64, records: u64, code: &str) -> RefusedRun {
        RefusedRun { topic: T.name().into(), partition: 0, offset, records, code: code.into(), detail: None }
    }

    #[test]
    fn what_was_judged_before_anything_is_told_is_not_known() {
        let mut accepted = Accepted::default();
        let mut tell = |epoch, offset| {
            let bounds = vec![TopicBounds { topic: T.name().into(), offsets: vec![(0, offset)] }];
            accepted.tell(EpochAccepted { pipeline: "burn".into(), epoch, bounds, refused: Vec::new() });
            (accepted.known_from(T, 0), accepted.bound(T, 0))
        };
        assert_eq!(tell(7, 30), (30, 30));
        assert_eq!(tell(8, 40), (30, 40));
        assert_eq!(accepted.known_from(T, 1), 0);
    }

    #[test]
    fn what_is_before_a_bound_and_not_refused_counted() {
        let mut accepted = Accepted::default();
        let bounds = vec![TopicBounds { topic: T.name().into(), offsets: vec![(0, 20), (1, 5)] }];
        let refused = vec![run(3, 2, "duplicate"), run(5, 1, "conflict")];
        accepted.tell(EpochAccepted { pipeline: "burn".into(), epoch: 1, bounds, refused });
        assert_eq!((accepted.bound(T, 0), accepted.bound(T, 1), accepted.bound(T, 2)), (20, 5, 0));
        let code = |offset| accepted.refused(T, 0, offset).map(|(code, _)| code.as_str());
        assert_eq!([2, 3, 4, 5, 6].map(code), [None, Some("duplicate"), Some("duplicate"), Some("conflict"), None]);
        assert_eq!(accepted.refused_span(T, 0, 4, 20), 4..6);
        assert_eq!(accepted.refused_span(T, 0, 0, 5), 3..5);
        assert!(accepted.refused_span(T, 0, 6, 20).is_empty() && accepted.refused_span(T, 1, 0, 5).is_empty());
        assert_eq!(accepted.refused(T, 1, 3), None);
        accepted.forget(T, 0, 4);
        assert_eq!(accepted.len(), 2, "a run that reaches beyond stays");
        accepted.forget(T, 0, 5);
        assert_eq!(accepted.len(), 1);
    }
}
