//! The `epoch.closed` record that ends an epoch in every partition that it wrote, the same on every log.

use bytes::Bytes;
use gravity_events::body::EpochClosed;
use gravity_events::{Body, Record, Topic, codec};

use super::{OutputEpoch, Produce};

/// The key of a pipeline's markers.
pub(super) fn marker_key(pipeline: &str) -> Bytes {
    format!("-/{pipeline}").into()
}

/// The marker of an epoch that wrote so many records in this partition.
pub(super) fn marker(pipeline: &str, epoch: &OutputEpoch, at: (Topic, u32), records: u64) -> Produce {
    let record = Record {
        id: format!("{}/{}/{}", epoch.epoch, at.0.code(), at.1).into(),
        source: format!("pipeline:{pipeline}").into(),
        tenant: "-".into(),
        event: None,
        subject: None,
        time_ms: Some(epoch.now_ms),
        backfill: false,
        body: Body::EpochClosed(EpochClosed { pipeline: pipeline.into(), epoch: epoch.epoch, records }),
    };
    Produce { topic: at.0, key: marker_key(pipeline), partition: Some(at.1), value: codec::encode(&record).into() }
}
