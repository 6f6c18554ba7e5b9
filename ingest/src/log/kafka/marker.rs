//! The `epoch.closed` record that ends an epoch in every partition that it wrote, as on the embedded log.

use bytes::Bytes;
use gravity_events::body::EpochClosed;
use gravity_events::{Body, Record, Topic, codec};

use super::super::OutputEpoch;

/// Key and value of the marker.
pub(super) fn closed(
    pipeline: &str,
    epoch: &OutputEpoch,
    topic: Topic,
    partition: u32,
    records: u64,
) -> (Bytes, Bytes) {
    let record = Record {
        id: format!("{}/{}/{partition}", epoch.epoch, topic.code()).into(),
        source: format!("pipeline:{pipeline}").into(),
        tenant: "-".into(),
        event: None,
        subject: None,
        time_ms: Some(epoch.now_ms),
        backfill: false,
        body: Body::EpochClosed(EpochClosed {
            pipeline: pipeline.into(),
            epoch: epoch.epoch,
            records,
        }),
    };
    (format!("-/{pipeline}").into(), codec::encode(&record).into())
}
