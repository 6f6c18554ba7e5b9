//! What the chain is compared with: the loop that one would write by hand.

mod keyed;
mod plain;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::log;
use crate::usage::{Meter, Used};
use keyed::Rows;
use plain::Loop;

/// Python with the peers that come as its packages, installed by `scripts/setup readers`.
pub fn python() -> anyhow::Result<PathBuf> {
    let script = "scripts/setup readers && . scripts/parts.sh && readers_home";
    let made = std::process::Command::new("bash").args(["-c", script]).output()?;
    anyhow::ensure!(made.status.success(), "scripts/setup readers failed: {}", String::from_utf8_lossy(&made.stderr));
    Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()).join("bin/python"))
}

/// Which log to work through.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The log's folder.
    pub log: PathBuf,
    /// A folder for what is kept.
    pub dir: PathBuf,
}

/// What came out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What it took.
    pub used: Used,
    /// Records.
    pub records: u64,
    /// Digest of the standings.
    pub digest: String,
}

/// Peer A: nothing is kept.
pub fn plain(task: Task) -> anyhow::Result<Answer> {
    let log = log::open(&task.log)?;
    let meter = Meter::start();
    let mut state = Loop::default();
    log::for_each(&log, &log::TOPICS, |entry| {
        state.take(entry);
        Ok(())
    })?;
    Ok(Answer { used: meter.used(), records: state.records, digest: state.digest() })
}

/// Peer B: the same, and a row per record in a key-value store, fsynced every 1,000.
pub fn keyed(task: Task) -> anyhow::Result<Answer> {
    let log = log::open(&task.log)?;
    let meter = Meter::start();
    let mut state = Loop::default();
    let path = task.dir.join("peer.redb");
    // Each run has a store of its own.
    let _ = std::fs::remove_file(&path);
    let mut rows = Rows::create(&path)?;
    log::for_each(&log, &log::TOPICS, |entry| {
        if state.take(entry) {
            rows.put(entry)?;
        }
        Ok(())
    })?;
    rows.commit()?;
    Ok(Answer { used: meter.used(), records: state.records, digest: state.digest() })
}

/// The floor of both: reading and decoding alone.
pub fn decode(task: Task) -> anyhow::Result<Answer> {
    let log = log::open(&task.log)?;
    let meter = Meter::start();
    let mut records = 0;
    log::for_each(&log, &log::TOPICS, |entry| {
        records += u64::from(gravity_events::codec::decode_full(&entry.value).is_ok());
        Ok(())
    })?;
    Ok(Answer { used: meter.used(), records, digest: String::new() })
}
