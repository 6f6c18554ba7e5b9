//! The promise of one batch of appends: settled record by record, kept when the last one is.

use std::sync::Arc;

use gravity_events::{Position, Topic};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::{Entry, LogError, Produce};
use super::link::Link;
use super::read::Readers;

/// Offsets that are searched, from the end of a partition backwards, for a record whose place is not known.
const SEARCHED: u64 = 200_000;
/// Offsets read at once in that search.
const WINDOW: u64 = 1_000;

/// Where a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Exactly.
    At(Position),
    /// In a partition. The broker had the record from an earlier try (its answer was lost, or the partition's leader
    /// changed) and no longer knows where it put it.
    Within(u32),
}

pub(super) struct Batch {
    records: Vec<Produce>,
    link: Arc<Link>,
    readers: Arc<Readers>,
    state: Mutex<State>,
}

struct State {
    places: Vec<Option<Place>>,
    left: usize,
    failed: Option<LogError>,
    done: Option<oneshot::Sender<Answer>>,
}

pub(super) type Answer = Result<Vec<Position>, LogError>;

impl Batch {
    /// A promise for records that are about to be sent, at least one.
    pub(super) fn new(
        records: Vec<Produce>,
        link: &Arc<Link>,
        readers: &Arc<Readers>,
    ) -> (Arc<Batch>, oneshot::Receiver<Answer>) {
        let (done, waiting) = oneshot::channel();
        let left = records.len();
        let state = State {
            places: vec![None; left],
            left,
            failed: None,
            done: Some(done),
        };
        let batch = Batch {
            records,
            link: link.clone(),
            readers: readers.clone(),
            state: Mutex::new(state),
        };
        (Arc::new(batch), waiting)
    }

    pub(super) fn records(&self) -> &[Produce] {
        &self.records
    }

    /// Says what became of one record. The last one settles the batch.
    pub(super) fn settle(self: &Arc<Self>, slot: usize, result: Result<Place, LogError>) {
        let mut state = self.state.lock();
        match result {
            Ok(place) => state.places[slot] = Some(place),
            Err(e) => state.failed = state.failed.take().or(Some(e)),
        }
        state.left -= 1;
        if state.left > 0 {
            return;
        }
        let Some(done) = state.done.take() else { return };
        if let Some(e) = state.failed.take() {
            // The caller may have stopped waiting, here and below.
            let _ = done.send(Err(e));
            return;
        }
        let places: Vec<Place> = state
            .places
            .drain(..)
            .map(|p| p.expect("each record was settled once"))
            .collect();
        drop(state);
        if places.iter().all(|p| matches!(p, Place::At(_))) {
            let _ = done.send(Ok(positions(&places)));
            return;
        }
        // It asks the broker, so not on the thread that serves all deliveries.
        let batch = self.clone();
        let search = move || drop(done.send(batch.search(places)));
        if let Err(e) = std::thread::Builder::new().name("kafka-search".into()).spawn(search) {
            tracing::error!("starting a thread: {e}");
        }
    }

    /// Finds the records whose place is not known by reading backwards.
    fn search(&self, mut places: Vec<Place>) -> Answer {
        while let Some(i) = places.iter().position(|p| matches!(p, Place::Within(_))) {
            let topic = self.records[i].topic;
            let Place::Within(partition) = places[i] else { continue };
            let (first, mut end) = self.readers.range(topic, partition)?;
            let stop = end.saturating_sub(SEARCHED).max(first);
            let open = |places: &[Place]| {
                let here = |(r, p): (&Produce, &Place)| r.topic == topic && *p == Place::Within(partition);
                self.records.iter().zip(places).any(here)
            };
            while open(&places) {
                if end <= stop {
                    let what = format!(
                        "a record was written to {topic}/{partition}, but not where: append it again, its identity makes the copy a \
                         duplicate"
                    );
                    return Err(self.link.fault(what, true));
                }
                let start = end.saturating_sub(WINDOW).max(stop);
                let entries = self.readers.between(topic, partition, start, end)?;
                recognise(&self.records, &mut places, topic, partition, &entries);
                end = start;
            }
        }
        Ok(positions(&places))
    }
}

fn positions(places: &[Place]) -> Vec<Position> {
    places
        .iter()
        .filter_map(|p| {
            if let Place::At(position) = p {
                Some(*position)
            } else {
                None
            }
        })
        .collect()
}

/// Gives records of a partition without a place that of the newest entry with their bytes, the last record first, since
/// a batch is written in order. An entry stands for one record only.
fn recognise(records: &[Produce], places: &mut [Place], topic: Topic, partition: u32, entries: &[Entry]) {
    for entry in entries.iter().rev() {
        if places.contains(&Place::At(entry.position)) {
            continue;
        }
        let is_it = |i: &usize| {
            let (record, place) = (&records[*i], places[*i]);
            place == Place::Within(partition)
                && (record.topic, &record.key, &record.value) == (topic, &entry.key, &entry.value)
        };
        if let Some(i) = (0..records.len()).rev().find(is_it) {
            places[i] = Place::At(entry.position);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn records_are_recognised_newest_first_and_each_entry_once() {
        let bytes = |s: &str| Bytes::copy_from_slice(s.as_bytes());
        let record = |key: &str, value: &str| Produce {
            topic: Topic::Usage,
            key: bytes(key),
            partition: None,
            value: bytes(value),
        };
        let at = |offset| Position {
            topic: Topic::Usage,
            offset,
            partition: 1,
        };
        let entry = |offset, key: &str, value: &str| Entry {
            position: at(offset),
            key: bytes(key),
            value: bytes(value),
            appended_at_ms: 0,
        };
        let records = [
            record("k", "same"),
            record("k", "same"),
            record("k", "known"),
            record("k", "same"),
            record("j", "same"),
        ];
        let mut places = [
            Place::Within(1),
            Place::Within(1),
            Place::At(at(7)),
            Place::Within(1),
            Place::Within(2),
        ];
        let late = [
            entry(5, "k", "same"),
            entry(6, "k", "other"),
            entry(7, "k", "same"),
            entry(8, "k", "same"),
        ];
        recognise(&records, &mut places, Topic::Usage, 1, &late);
        let expected = [
            Place::Within(1),
            Place::At(at(5)),
            Place::At(at(7)),
            Place::At(at(8)),
            Place::Within(2),
        ];
        assert_eq!(places, expected, "7 is another record's place");
        recognise(
            &records,
            &mut places,
            Topic::Usage,
            1,
            &[entry(2, "k", "same"), entry(3, "j", "same")],
        );
        assert_eq!(places[0], Place::At(at(2)));
        assert_eq!(places[4], Place::Within(2), "another partition's record is not taken");
    }
}
