//! What the tests share.

use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use gravity_events::{Position, Topic};
use gravity_ingest::log::{Bound, Entry, Limit, Log, Produce, Tail};

pub const LIMIT: Limit = Limit { records: 1000, bytes: 1 << 20 };
/// Long enough that a test which has to wait for it has failed.
pub const LONG: Duration = Duration::from_secs(30);

pub fn record(topic: Topic, key: &str, value: &str) -> Produce {
    Produce {
        topic,
        key: Bytes::copy_from_slice(key.as_bytes()),
        partition: None,
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}

pub fn at(topic: Topic, partition: u32, value: &str) -> Produce {
    Produce { partition: Some(partition), ..record(topic, "k", value) }
}

pub fn bound(topic: Topic, partition: u32, offset: u64) -> Bound {
    Bound { topic, partition, offset }
}

pub fn append(log: &dyn Log, records: Vec<Produce>) -> Vec<Position> {
    block_on(log.append(records)).unwrap()
}

pub fn texts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|e| std::str::from_utf8(&e.value).unwrap()).collect()
}

/// All of a partition, by reads.
pub fn read_all(log: &dyn Log, topic: Topic, partition: u32) -> Vec<Entry> {
    let mut next = log.range(topic, partition).unwrap().0;
    let mut all = Vec::new();
    loop {
        let part = log.read(topic, partition, next, LIMIT).unwrap();
        let Some(last) = part.last() else { return all };
        next = last.position.offset + 1;
        all.extend(part);
    }
}

/// Polls until that many entries have come.
pub fn poll_until(tail: &mut dyn Tail, count: usize) -> Vec<Entry> {
    let mut all = Vec::new();
    while all.len() < count {
        let part = tail.poll(LIMIT, LONG).unwrap();
        assert!(!part.is_empty(), "only {} of {count} came", all.len());
        all.extend(part);
    }
    all
}
