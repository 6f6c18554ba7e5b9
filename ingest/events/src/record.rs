//! A decoded record, its identity and its place in the log.

use serde::{Deserialize, Serialize};

use crate::codec::limits;
use crate::{Body, DecodeError, Id, Topic};

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

/// What makes a record the same record. Same `id` and same `data`: a duplicate. Same `id`, other `data`: a conflict.
///
/// `id` is 128 bits of BLAKE3 of (tenant, source, id), see [`stable_hash128`]. `data` is the first 64 bits (little
/// endian) of BLAKE3 of: the length of the canonical (RFC 8785) text of `data` as u32, that text, then for each of
/// type, subject, event and time a byte 0 if it is absent, else a byte 1, its length as u32 and its bytes; the time as
/// i64 milliseconds; all integers little endian. So key order, white space and the spelling of numbers and times do not
/// matter. Both are stored: the layout never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Hash of who and which.
    pub id: u128,
    /// Hash of what.
    pub data: u64,
}

impl Record {
    /// Checks what decoding checks, for a record that was built rather than decoded: what this finds good can be
    /// encoded and decoded again.
    pub fn validate(&self) -> Result<(), DecodeError> {
        let check = |field: &str, id: &Id| limits::id(id).map_err(|fault| fault.at(field).into_error());
        check("id", &self.id)?;
        check("source", &self.source)?;
        check("tenant", &self.tenant)?;
        for (field, value) in [("event", &self.event), ("subject", &self.subject)] {
            value.as_ref().map_or(Ok(()), |id| check(field, id))?;
        }
        limits::time_option(&self.time_ms).map_err(|fault| fault.at("time").into_error())?;
        if self.body.needs_event() && self.event.is_none() {
            return Err(DecodeError::Missing { field: "event".into() });
        }
        if self.body.needs_time() && self.time_ms.is_none() {
            return Err(DecodeError::Missing { field: "time".into() });
        }
        self.body.validate()
    }
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
