//! What is remembered of traced requests until the next thing happens to what they brought.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use gravity_events::Position;
use opentelemetry::Context;

use crate::places::{Place, take_before};

/// Of each kind, so many at most: further ones are traced no longer.
const MOST: usize = 1_000;
/// What has waited for so long waits in vain: no pipeline reads its topic, or nobody looks at its board.
const LONGEST: Duration = Duration::from_secs(30);

type Entry = (Context, SystemTime);

/// Traces that wait, each since when.
#[derive(Debug, Default)]
pub struct Waiting {
    by_position: BTreeMap<Place, Vec<Entry>>,
    by_epoch: BTreeMap<u64, Vec<Entry>>,
}

fn put<K: Ord>(map: &mut BTreeMap<K, Vec<Entry>>, key: K, entry: Entry) {
    if map.len() >= MOST {
        let now = entry.1;
        let is_new = |(_, since): &Entry| now.duration_since(*since).is_ok_and(|waited| waited < LONGEST);
        map.retain(|_, entries| entries.iter().any(is_new));
    }
    if map.len() < MOST {
        map.entry(key).or_default().push(entry);
    }
}

impl Waiting {
    /// For the epoch that takes this position in.
    pub fn for_an_epoch(&mut self, at: Position, context: Context, now: SystemTime) {
        put(&mut self.by_position, (at.topic, at.partition, at.offset), (context, now));
    }

    /// For a stream that tells of this epoch.
    pub fn for_a_stream(&mut self, epoch: u64, context: Context, now: SystemTime) {
        put(&mut self.by_epoch, epoch, (context, now));
    }

    /// Those whose positions are before the bound.
    pub fn take_bound(&mut self, bound: &[Place]) -> Vec<Entry> {
        take_before(&mut self.by_position, bound).into_iter().flatten().collect()
    }

    /// Those that wait for this epoch.
    pub fn take_epoch(&mut self, epoch: u64) -> Vec<Entry> {
        self.by_epoch.remove(&epoch).unwrap_or_default()
    }

    /// Whether any wait for a stream.
    pub fn any_for_streams(&self) -> bool {
        !self.by_epoch.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use gravity_events::Topic;

    use super::*;

    fn at(partition: u32, offset: u64) -> Position {
        Position { topic: Topic::Submissions, partition, offset }
    }

    #[test]
    fn it_is_bounded_and_what_waits_in_vain_makes_room() {
        let (mut waiting, now) = (Waiting::default(), SystemTime::now());
        for offset in 0..5_000 {
            waiting.for_an_epoch(at(0, offset), Context::new(), now);
        }
        assert_eq!(waiting.by_position.len(), MOST);
        waiting.for_an_epoch(at(0, 9_000), Context::new(), now + LONGEST);
        assert_eq!(waiting.by_position.len(), 1);
        waiting.for_a_stream(7, Context::new(), now);
        waiting.for_a_stream(7, Context::new(), now);
        assert!(waiting.any_for_streams());
        assert_eq!((waiting.take_epoch(6).len(), waiting.take_epoch(7).len()), (0, 2));
        assert!(!waiting.any_for_streams());
    }
}
