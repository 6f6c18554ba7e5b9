//! Metrics that nothing else would bring up to date: how far behind each topic is, and how full the disk is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use prometheus::{GaugeVec, IntGauge, IntGaugeVec, register_gauge_vec, register_int_gauge, register_int_gauge_vec};
use tokio_util::sync::CancellationToken;

use crate::operations::NodeOperations;

const EVERY: Duration = Duration::from_secs(2);

static LAG: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!(
        "gravity_consumer_lag_records",
        "Durable records that no epoch has yet.",
        &["topic", "partition"]
    )
    .expect("metrics are registered once")
});
static DRAIN: LazyLock<GaugeVec> = LazyLock::new(|| {
    register_gauge_vec!("gravity_time_to_drain_seconds", "Lag over the present rate.", &["topic"])
        .expect("metrics are registered once")
});
static DISK_FREE: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("gravity_disk_free_bytes", "What is free on the disk of the data folder.")
        .expect("metrics are registered once")
});
static DISK_SIZE: LazyLock<IntGauge> = LazyLock::new(|| {
    register_int_gauge!("gravity_disk_size_bytes", "The disk of the data folder: used and free.")
        .expect("metrics are registered once")
});

/// Keeps them fresh; ends with the node.
pub async fn observe(operations: Arc<NodeOperations>, dir: PathBuf, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let (operations, dir) = (operations.clone(), dir.clone());
        // On Kafka this asks the broker, and a disk may let one wait.
        let _ = tokio::task::spawn_blocking(move || {
            lag(&operations);
            disk(&dir);
        })
        .await;
    }
}

/// Two pipelines may read one topic: the one that is further behind counts.
fn lag(operations: &NodeOperations) {
    let mut by_topic: BTreeMap<String, f64> = BTreeMap::new();
    let mut by_partition: BTreeMap<(String, u32), u64> = BTreeMap::new();
    for pipeline in operations.told() {
        let mut behind: BTreeMap<&str, u64> = BTreeMap::new();
        for l in &pipeline.lag {
            let most = by_partition.entry((l.topic.clone(), l.partition)).or_default();
            *most = l.lag.max(*most);
            *behind.entry(&l.topic).or_default() += l.lag;
        }
        for (topic, lag) in behind {
            let drain_s = if lag == 0 { 0.0 } else { pipeline.time_to_drain_s.unwrap_or(f64::INFINITY) };
            let longest = by_topic.entry(topic.to_owned()).or_default();
            *longest = drain_s.max(*longest);
        }
    }
    for ((topic, partition), lag) in by_partition {
        LAG.with_label_values(&[&topic, &partition.to_string()]).set(i64::try_from(lag).unwrap_or(i64::MAX));
    }
    for (topic, drain_s) in by_topic {
        DRAIN.with_label_values(&[topic]).set(drain_s);
    }
}

fn disk(dir: &Path) {
    if let Ok(s) = rustix::fs::statvfs(dir) {
        let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(s.f_frsize)).unwrap_or(i64::MAX);
        DISK_FREE.set(bytes(s.f_bavail));
        DISK_SIZE.set(bytes(s.f_blocks.saturating_sub(s.f_bfree).saturating_add(s.f_bavail)));
    }
}
