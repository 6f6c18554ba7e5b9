//! A log in memory, for tests of the HTTP side.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gravity_events::{Position, Topic};
use gravity_ingest::log::{Appended, Bound, Entry, Limit, Log, LogError, Outputs, Produce, Tail};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Partitions of every topic.
pub const PARTITIONS: u32 = 3;

type Entries = BTreeMap<(Topic, u32), Vec<Entry>>;

/// Keeps what is appended. `fail` makes the next append an error; `gate` holds appends back while it has no permit; `lost`
/// is a broker that is away.
pub struct MemoryLog {
    pub lost: AtomicBool,
    pub entries: Arc<Mutex<Entries>>,
    pub fail: Mutex<Option<LogError>>,
    pub gate: Arc<Semaphore>,
}

impl MemoryLog {
    pub fn new() -> Arc<MemoryLog> {
        Arc::new(MemoryLog {
            lost: AtomicBool::new(false),
            entries: Arc::default(),
            fail: Mutex::default(),
            gate: Arc::new(Semaphore::new(1)),
        })
    }

    pub fn all(&self) -> Vec<Entry> {
        self.entries.lock().values().flatten().cloned().collect()
    }

    pub fn ends(&self) -> Vec<(Topic, u32, u64)> {
        self.entries.lock().iter().map(|((topic, partition), e)| (*topic, *partition, e.len() as u64)).collect()
    }
}

impl Log for MemoryLog {
    fn partitions(&self, _: Topic) -> u32 {
        PARTITIONS
    }

    fn append(&self, records: Vec<Produce>) -> Appended {
        if let Some(error) = self.fail.lock().take() {
            return Box::pin(async move { Err(error) });
        }
        let (entries, gate) = (self.entries.clone(), self.gate.clone());
        Box::pin(async move {
            let _open = gate.acquire().await.map_err(|_| LogError::Closed)?;
            let mut entries = entries.lock();
            let place = |r: Produce| {
                let partition =
                    r.key.iter().fold(0u32, |n, b| n.wrapping_mul(31).wrapping_add(u32::from(*b))) % PARTITIONS;
                let partition = r.partition.unwrap_or(partition);
                let of = entries.entry((r.topic, partition)).or_default();
                let position = Position { topic: r.topic, partition, offset: of.len() as u64 };
                of.push(Entry { position, key: r.key, value: r.value, appended_at_ms: 0 });
                position
            };
            Ok(records.into_iter().map(place).collect())
        })
    }

    fn read(&self, topic: Topic, partition: u32, from: u64, limit: Limit) -> Result<Vec<Entry>, LogError> {
        let entries = self.entries.lock();
        let of = entries.get(&(topic, partition)).map(Vec::as_slice).unwrap_or_default();
        Ok(of.iter().skip(from as usize).take(limit.records).cloned().collect())
    }

    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        Ok((0, self.entries.lock().get(&(topic, partition)).map_or(0, |e| e.len() as u64)))
    }

    fn tail(&self, _: Vec<Bound>) -> Result<Box<dyn Tail>, LogError> {
        Err(LogError::Closed)
    }

    fn hold(&self, _: &str, _: &[Bound]) {}

    fn outputs(&self, _: &str) -> Result<Box<dyn Outputs>, LogError> {
        Err(LogError::Closed)
    }

    fn health(&self) -> Result<(), LogError> {
        if !self.lost.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(LogError::Kafka { brokers: "secret:9092".into(), what: "the broker is lost".into(), retriable: true })
    }

    fn close(&self) {
        self.gate.close();
    }
}
