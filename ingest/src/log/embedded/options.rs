//! How an embedded log is set up, and the file that fixes its partitions.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gravity_events::Topic;
use serde::{Deserialize, Serialize};

use crate::log::LogError;
use crate::log::partitioner::default_partitions;
use crate::segment::{SyncMode, disk};

/// What to keep of each partition of a topic. Without a bound that is crossed, all is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// A file goes once all its records are this old.
    pub age: Option<Duration>,
    /// The oldest file goes while the others have this many bytes or more.
    pub bytes: Option<u64>,
}

/// When the disk counts as full, so that what else lives on it, and this log's own repair, keeps room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// Least share of the disk that stays free, in percent.
    pub percent: u64,
    /// Least bytes that stay free.
    pub bytes: u64,
}

impl Reserve {
    /// Uses the disk to its end.
    pub const NONE: Reserve = Reserve { percent: 0, bytes: 0 };
}

/// Options of an embedded log.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Partitions per topic. Those not named have what the log was created with, or 1 for reference topics and 2 for
    /// others. A number that differs from the log's is refused.
    pub partitions: BTreeMap<Topic, u32>,
    /// A new file is begun once one has this many bytes.
    pub segment_bytes: u64,
    /// Which topics drop old records, and when.
    pub retention: BTreeMap<Topic, Retention>,
    /// How often retention runs by itself.
    pub retention_every: Duration,
    /// Appends are refused beyond this.
    pub reserve: Reserve,
    /// Whether appends are durable.
    pub sync: SyncMode,
    /// Bytes of records that may wait to be written; further appends wait for room.
    pub queue_bytes: usize,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        // The epochs topic only serves restarts; its newest markers are held.
        let epochs = Retention {
            age: None,
            bytes: Some(16 << 20),
        };
        EmbeddedOptions {
            partitions: BTreeMap::new(),
            segment_bytes: 64 << 20,
            retention: BTreeMap::from([(Topic::Epochs, epochs)]),
            retention_every: Duration::from_secs(60),
            reserve: Reserve {
                percent: 5,
                bytes: 256 << 20,
            },
            sync: SyncMode::Fsync,
            queue_bytes: 32 << 20,
        }
    }
}

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct TopicsFile {
    format: u32,
    partitions: BTreeMap<String, u32>,
}

/// Partitions of each topic, and whether the log has had the topic before.
pub(super) fn partitions_of(dir: &Path, options: &EmbeddedOptions) -> Result<Vec<(Topic, u32, bool)>, LogError> {
    let path = dir.join("topics.json");
    let stored = match std::fs::read(&path) {
        Ok(bytes) => {
            let damaged = |e: serde_json::Error| LogError::Damaged {
                path: path.clone(),
                at: 0,
                what: e.to_string(),
            };
            let file: TopicsFile = serde_json::from_slice(&bytes).map_err(damaged)?;
            if file.format > FORMAT {
                return Err(LogError::TooNew {
                    path,
                    found: file.format,
                    known: FORMAT,
                });
            }
            file.partitions
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
        Err(e) => return Err(disk::failed("read", &path, e)),
    };
    let one = |topic: Topic| match (
        stored.get(topic.name()).copied(),
        options.partitions.get(&topic).copied(),
    ) {
        (Some(stored), Some(configured)) if stored != configured => Err(LogError::Partitions {
            topic,
            stored,
            configured,
        }),
        (Some(stored), _) => Ok((topic, stored, true)),
        (None, configured) => Ok((topic, configured.unwrap_or_else(|| default_partitions(topic)), false)),
    };
    let all: Vec<_> = Topic::ALL.into_iter().map(one).collect::<Result<_, _>>()?;
    if let Some((topic, ..)) = all.iter().find(|(_, n, _)| *n == 0) {
        return Err(LogError::NoPartition {
            topic: *topic,
            partition: 0,
            partitions: 0,
        });
    }
    Ok(all)
}

/// Fixes the partitions, once all their folders are there.
pub(super) fn fix_partitions(dir: &Path, sync: SyncMode, all: &[(Topic, u32, bool)]) -> Result<(), LogError> {
    if all.iter().all(|(.., stored)| *stored) {
        return Ok(());
    }
    let partitions = all.iter().map(|(topic, n, _)| (topic.name().to_string(), *n)).collect();
    let bytes = serde_json::to_vec_pretty(&TopicsFile {
        format: FORMAT,
        partitions,
    })
    .expect("plain data");
    disk::replace_file(&dir.join("topics.json"), &bytes, sync == SyncMode::Fsync)
}

/// Whether writing `more` bytes would eat into the reserve of the disk that holds `dir`.
pub(super) fn is_full(dir: &Path, reserve: Reserve, more: u64) -> Result<bool, LogError> {
    if reserve == Reserve::NONE {
        return Ok(false);
    }
    let (free, all) = free_and_all(dir)?;
    let free = free.saturating_sub(more);
    // Some file systems do not say how large they are.
    Ok(all > 0 && (free < reserve.bytes || free * 100 < all * reserve.percent))
}

/// Bytes of the disk that are free and that can be used at all, as `df` counts them.
fn free_and_all(dir: &Path) -> Result<(u64, u64), LogError> {
    #[cfg(test)]
    if let Some(answer) = disk::faults::free(dir) {
        return Ok(answer);
    }
    let s = rustix::fs::statvfs(dir).map_err(|e| disk::failed("look at the free space of", dir, e.into()))?;
    let free = s.f_bavail.saturating_mul(s.f_frsize);
    let used = s.f_blocks.saturating_sub(s.f_bfree).saturating_mul(s.f_frsize);
    Ok((free, free.saturating_add(used)))
}
