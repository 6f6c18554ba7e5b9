//! Many who watch a board: a process of its own, which notes when each of them was told of each version.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::ensure;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::generator::quantile;
use crate::http::Client;
use crate::usage::{Meter, monotonic_ns, open_all_files};

/// Connections that are being opened at once.
const OPENING: usize = 64;
/// Connections of one address.
const OF_ADDRESS: u32 = 5_000;

/// Who watches what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The server.
    pub address: String,
    /// The event.
    pub event: String,
    /// Rows that each follows.
    pub limit: usize,
    /// How many watch.
    pub watchers: u32,
    /// They come from this address of the machine and the next ones: 127.0.0.N.
    pub from: u8,
    /// Versions that each is told of before it goes, beside the one that it finds.
    pub versions: usize,
}

/// What they saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// When they were told of each version, sorted, monotonic nanoseconds.
    pub told_ns: BTreeMap<u64, Vec<u64>>,
    /// Bytes that came.
    pub bytes: u64,
    /// CPU seconds of this process.
    pub cpu_s: f64,
}

impl Seen {
    /// What several crowds saw.
    pub fn of_all(crowds: impl IntoIterator<Item = Seen>) -> Seen {
        let mut all = Seen::default();
        for crowd in crowds {
            for (version, told_ns) in crowd.told_ns {
                all.told_ns.entry(version).or_default().extend(told_ns);
            }
            all.bytes += crowd.bytes;
            all.cpu_s += crowd.cpu_s;
        }
        all.told_ns.values_mut().for_each(|told_ns| told_ns.sort_unstable());
        all
    }

    /// How long after a moment this share of them had been told of a version, milliseconds.
    pub fn after_ms(&self, version: u64, from_ns: u64, share: f64) -> f64 {
        let told_ns = self.told_ns.get(&version).map_or(&[][..], Vec::as_slice);
        quantile(told_ns, share).saturating_sub(from_ns) as f64 / 1e6
    }
}

/// Watches. In a process of its own.
pub fn run(task: Task) -> anyhow::Result<Seen> {
    open_all_files()?;
    let meter = Meter::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut seen = runtime.block_on(watch(Arc::new(task)))?;
    seen.cpu_s = meter.used().cpu_s;
    Ok(seen)
}

async fn watch(task: Arc<Task>) -> anyhow::Result<Seen> {
    let (opening, seen) = (Arc::new(Semaphore::new(OPENING)), Arc::new(Mutex::new(Seen::default())));
    let mut watchers = Vec::new();
    for n in 0..task.watchers {
        let (task, opening, seen) = (task.clone(), opening.clone(), seen.clone());
        watchers.push(tokio::spawn(async move { one(&task, n, &opening, &seen).await }));
    }
    for watcher in watchers {
        watcher.await??;
    }
    let seen = std::mem::take(&mut *seen.lock());
    Ok(Seen::of_all([seen]))
}

async fn one(task: &Task, n: u32, opening: &Semaphore, seen: &Mutex<Seen>) -> anyhow::Result<()> {
    let permit = opening.acquire().await?;
    let from = Ipv4Addr::new(127, 0, 0, task.from + u8::try_from(n / OF_ADDRESS)?);
    let mut client = Client::connect_from(from, &task.address).await?;
    client.ask(&format!("/api/v1/events/{}/board/stream?limit={}", task.event, task.limit)).await?;
    let (status, _) = client.headers().await?;
    ensure!(status == 200, "the stream answers {status}");
    let (mut text, mut told, mut permit) = (Vec::new(), 0, Some(permit));
    while told <= task.versions {
        let Some(chunk) = client.chunk().await? else { anyhow::bail!("the stream ended early") };
        let at_ns = monotonic_ns();
        text.extend_from_slice(&chunk);
        while let Some(end) = text.windows(2).position(|w| w == b"\n\n") {
            let frame: Vec<u8> = text.drain(..end + 2).collect();
            let mut seen = seen.lock();
            seen.bytes += frame.len() as u64;
            let Some(version) = version(&frame) else { continue };
            told += 1;
            // Found, and not told.
            if permit.take().is_none() {
                seen.told_ns.entry(version).or_default().push(at_ns);
            }
        }
    }
    Ok(())
}

fn version(frame: &[u8]) -> Option<u64> {
    let head = std::str::from_utf8(&frame[..frame.len().min(40)]).ok()?;
    head.strip_prefix("id:")?.lines().next()?.trim().parse().ok()
}
