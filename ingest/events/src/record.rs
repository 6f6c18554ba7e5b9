//! A decoded record, its identity and its place in the log.

use serde::{Deserialize, Serialize};

use crate::{Body, Id, Topic};

/// One record: the CloudEvents attributes and a typed body.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// CloudEvents `id`, unique within (tenant, source).
    pub id: Id,
    /// CloudEvents `source`: who says so (a feed, a judge, a route).
    pub source: Id,
    /// Extension `tenant`: who pays for it.
    pub tenant: Id,
    /// Extension `event`: the hackathon or contest it belongs to; required for the types of an event.
    pub event: Option<Id>,
    /// CloudEvents `subject`, as given.
    pub subject: Option<Id>,
    /// CloudEvents `time`, milliseconds since 1970.
    pub time_ms: Option<i64>,
    /// Extension `backfill`: an import of what happened before; any time is accepted.
    pub backfill: bool,
    /// What it says.
    pub body: Body,
}

/// Where a record stands in the log. Ordered by topic, offset, partition: for records of one key that is log order,
/// since a key always goes to the same partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Topic.
    pub topic: Topic,
    /// Offset within the partition.
    pub offset: u64,
    /// Partition of the topic.
    pub partition: u32,
}

/// What makes a record the same record: 128 bits of BLAKE3 of the length-prefixed (tenant, source, id), and 64 bits of
/// BLAKE3 of the canonical JSON of (type, subject, event, time, data). Same `id` and same `data`: a duplicate. Same
/// `id`, other `data`: a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Hash of who and which.
    pub id: u128,
    /// Hash of what.
    pub data: u64,
}

impl Identity {
    /// The `id` half for these parts.
    pub fn hash_id(tenant: &str, source: &str, id: &str) -> u128 {
        stable_hash128(&[tenant.as_bytes(), source.as_bytes(), id.as_bytes()])
    }
}

/// 128 bits of BLAKE3 over the parts, each prefixed by its length (u32, little endian): stable over builds, machines
/// and versions, so it may be stored.
pub fn stable_hash128(parts: &[&[u8]]) -> u128 {
    let mut buffer: smallvec::SmallVec<[u8; 256]> = smallvec::SmallVec::new();
    for part in parts {
        buffer.extend_from_slice(&(part.len() as u32).to_le_bytes());
        buffer.extend_from_slice(part);
    }
    let hash = blake3::hash(&buffer);
    u128::from_le_bytes(hash.as_bytes()[..16].try_into().expect("a BLAKE3 hash has 32 bytes"))
}
