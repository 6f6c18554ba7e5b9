//! What the tests share.

use bytes::Bytes;
use gravity_events::Topic;
use gravity_ingest::log::{Entry, Limit, Produce};

pub use crate::conformance::{LONG, all as read_all, append, bound, poll_until};

pub const LIMIT: Limit = Limit { records: 1000, bytes: 1 << 20 };

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

pub fn texts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|e| std::str::from_utf8(&e.value).unwrap()).collect()
}
