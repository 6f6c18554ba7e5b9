//! The `epoch.closed` record that ends an epoch in every partition that it wrote.

use bytes::Bytes;
use gravity_events::body::EpochClosed;
use gravity_events::{Body, Id, Record, Topic, codec};

/// Key and value of the marker.
pub(super) fn closed(pipeline: &str, epoch: u64, topic: Topic, partition: u32, records: u64) -> (Bytes, Bytes) {
    let record = Record {
        id: Id::from(format!("{pipeline}/{epoch}/{topic}/{partition}")),
        source: Id::from(format!("gravity/{pipeline}")),
        tenant: Id::from("gravity"),
        event: None,
        subject: None,
        time_ms: None,
        backfill: false,
        body: Body::EpochClosed(EpochClosed { pipeline: Id::from(pipeline), epoch, records }),
    };
    (Bytes::copy_from_slice(pipeline.as_bytes()), Bytes::from(codec::encode(&record)))
}
