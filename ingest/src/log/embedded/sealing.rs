//! Retention keeps the records of an event until it is sealed: boards are verified, rejudged and rehearsed from them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use gravity_events::{Body, Topic, codec};
use parking_lot::Mutex;

use super::Inner;
use super::partition::{Cursor, Partition, Room};
use crate::log::{Entry, Limit, LogError};

/// A page of a file that is looked through.
const PAGE: Limit = Limit { records: 10_000, bytes: 4 << 20 };

/// Tenant and event, as keys begin with them.
type Event = Bytes;

/// What retention knows of events.
#[derive(Debug, Default)]
pub(super) struct Sealing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Events that were sealed or reopened, with what was said last.
    said: BTreeMap<Event, Said>,
    /// How far each partition of the reference topic was read.
    read: BTreeMap<u32, u64>,
    /// The file that each partition waits at, by its first offset, with its events. Files do not change.
    waits: BTreeMap<(Topic, u32), (u64, BTreeSet<Event>)>,
}

/// Offsets of the newest records that stand.
#[derive(Debug, Default)]
struct Said {
    sealed: Option<u64>,
    reopened: Option<u64>,
}

impl Sealing {
    /// The first offset, up to `before`, of a file that holds records of an event that is not sealed.
    pub fn droppable(&self, inner: &Inner, partition: &Partition, before: u64) -> Result<u64, LogError> {
        if !is_by_event(partition.topic) {
            return Ok(before);
        }
        let mut state = self.0.lock();
        let reference = inner.partitions.iter().filter(|p| p.topic == Topic::Reference);
        for partition in reference {
            let from = state.read.get(&partition.partition).copied().unwrap_or_else(|| partition.range().0);
            let next = each(partition, from, u64::MAX, |offset, key, value| state.hear(offset, key, value))?;
            state.read.insert(partition.partition, next);
        }
        let at = (partition.topic, partition.partition);
        let files = partition.reader.files();
        for pair in files.windows(2) {
            let (first, end) = (pair[0].0, pair[1].0);
            if end > before {
                return Ok(first);
            }
            if state.waits.get(&at).is_none_or(|(waits_at, _)| *waits_at != first) {
                let mut events = BTreeSet::new();
                each(partition, first, end, |_, key, _| events.extend(event(key)))?;
                state.waits.insert(at, (first, events));
            }
            let events = &state.waits[&at].1;
            if let Some(event) = events.iter().find(|event| !state.is_sealed(event)) {
                let (topic, event) = (partition.topic.name(), String::from_utf8_lossy(event));
                tracing::debug!(topic, %event, "retention waits until the event is sealed");
                return Ok(first);
            }
        }
        Ok(before)
    }
}

impl State {
    fn hear(&mut self, offset: u64, key: &Bytes, value: &Bytes) {
        // Few records are of these kinds; the others are not decoded.
        let Some(event) =
            event(key).filter(|_| [&b"/event.sealed/"[..], b"/event.reopened/"].iter().any(|k| has(key, k)))
        else {
            return;
        };
        let Ok(record) = codec::decode(value) else { return };
        let said = self.said.entry(event).or_default();
        // One without a moment takes back what was said.
        match record.body {
            Body::EventSealed(moment) => said.sealed = moment.at.map(|_| offset),
            Body::EventReopened(moment) => said.reopened = moment.at.map(|_| offset),
            _ => {}
        }
    }

    fn is_sealed(&self, event: &Event) -> bool {
        self.said.get(event).is_some_and(|said| said.sealed.is_some() && said.sealed > said.reopened)
    }
}

/// Topics whose keys begin with tenant and event.
fn is_by_event(topic: Topic) -> bool {
    matches!(topic, Topic::Submissions | Topic::Judgements | Topic::Sources)
}

fn has(key: &[u8], part: &[u8]) -> bool {
    key.windows(part.len()).any(|window| window == part)
}

/// `tenant/event` of a key; none where it has no such parts.
fn event(key: &Bytes) -> Option<Event> {
    let mut slashes = key.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
    let (_, end) = (slashes.next()?, slashes.next()?);
    // A copy: a slice would keep its whole frame.
    Some(Bytes::copy_from_slice(&key[..end]))
}

/// Shows the records from `from` to before `end`. Returns the offset after the last one.
fn each(
    partition: &Partition,
    from: u64,
    end: u64,
    mut show: impl FnMut(u64, &Bytes, &Bytes),
) -> Result<u64, LogError> {
    let (mut cursor, mut entries) = (Cursor::new(partition, from), Vec::new());
    loop {
        let is_more = cursor.read(partition, &mut Room::new(PAGE), &mut entries)?;
        for Entry { position, key, value, .. } in entries.drain(..) {
            if position.offset >= end {
                return Ok(end);
            }
            show(position.offset, &key, &value);
        }
        if !is_more {
            return Ok(cursor.next.min(end));
        }
    }
}
