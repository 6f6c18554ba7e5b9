//! Logs on disk, filled before the measuring and read by peers.

use std::path::{Path, PathBuf};

use gravity_events::{Record, Topic};
use gravity_ingest::log::embedded::{EmbeddedLog, EmbeddedOptions};
use gravity_ingest::log::{Entry, Log, Produce, scan};
use serde::{Deserialize, Serialize};

use crate::contest::Contest;
use crate::say;

/// Input topics of boards, in the order of reading.
pub const TOPICS: [Topic; 3] = [Topic::Reference, Topic::Submissions, Topic::Judgements];

/// What a log is to be filled with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fill {
    /// Its folder.
    pub dir: PathBuf,
    /// The contest.
    pub contest: Contest,
    /// Whether its reference data goes first.
    pub reference: bool,
    /// Submissions, judgements and rejudges.
    pub records: u64,
    /// Of those, rejudges.
    pub rejudges: u64,
}

/// Opens the log in a folder.
pub fn open(dir: &Path) -> anyhow::Result<EmbeddedLog> {
    Ok(EmbeddedLog::open(dir, EmbeddedOptions::default())?)
}

/// Fills a log. Returns how many records it got.
pub fn fill(task: &Fill) -> anyhow::Result<u64> {
    let reference = task.reference.then(|| task.contest.reference()).into_iter().flatten();
    fill_with(&task.dir, reference.chain(task.contest.played(task.records, task.rejudges)))
}

/// Fills a log with these. Not for a thread of a runtime: it waits for the log.
pub fn fill_with(dir: &Path, records: impl Iterator<Item = Record>) -> anyhow::Result<u64> {
    let log = open(dir)?;
    let filled = append_all(&log, records);
    log.close();
    filled
}

/// Appends records as producers do.
pub fn append_all(log: &dyn Log, records: impl Iterator<Item = Record>) -> anyhow::Result<u64> {
    let mut batch = Vec::new();
    let mut n = 0;
    let mut before: Option<gravity_ingest::log::Appended> = None;
    for record in records {
        let value = gravity_events::codec::encode(&record).into();
        batch.push(Produce { topic: record.body.topic(), key: record.key().into(), partition: None, value });
        n += 1;
        if batch.len() == 4_000 {
            if let Some(before) = before.replace(log.append(std::mem::take(&mut batch))) {
                futures::executor::block_on(before)?;
            }
            if n % 1_000_000 == 0 {
                say(format!("{n} records"));
            }
        }
    }
    if let Some(before) = before {
        futures::executor::block_on(before)?;
    }
    futures::executor::block_on(log.append(batch))?;
    Ok(n)
}

/// Reads all records, topic by topic.
pub fn for_each(
    log: &dyn Log,
    topics: &[Topic],
    mut each: impl FnMut(&Entry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for &topic in topics {
        for partition in 0..log.partitions(topic) {
            for entry in scan(log, topic, partition, 0, u64::MAX) {
                each(&entry?)?;
            }
        }
    }
    Ok(())
}
