//! The embedded log (first version).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use gravity_events::{Body, Position, Record, Topic};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{Appended, Bound, Entry, Limit, Log, LogError, OutputEpoch, Outputs, Produce, Tail};
use crate::segment::{SegmentOptions, Segments, SegmentsReader, SyncMode};

/// Options.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Partitions.
    pub partitions: BTreeMap<Topic, u32>,
    /// Sync.
    pub sync: SyncMode,
}
impl Default for EmbeddedOptions {
    fn default() -> Self {
        let partitions = Topic::ALL.iter().map(|t| (*t, if *t == Topic::Reference { 1 } else { 2 })).collect();
        EmbeddedOptions { partitions, sync: SyncMode::Fsync }
    }
}
impl EmbeddedOptions {
    /// Retention.
    pub fn retain(&mut self, _: Topic, _: Option<Duration>, _: Option<u64>) {}
}

struct Partition {
    reader: SegmentsReader,
}
struct Inner {
    parts: BTreeMap<(Topic, u32), Partition>,
    options: EmbeddedOptions,
    signal: Mutex<u64>,
    more: Condvar,
}
struct Request {
    records: Vec<Produce>,
    reply: oneshot::Sender<Result<Vec<Position>, LogError>>,
}
/// The log.
pub struct EmbeddedLog {
    inner: Arc<Inner>,
    requests: Mutex<Option<Sender<Request>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
impl EmbeddedLog {
    /// Opens.
    pub fn open(dir: &Path, options: EmbeddedOptions) -> Result<EmbeddedLog, LogError> {
        let mut writers = BTreeMap::new();
        let mut parts = BTreeMap::new();
        for (topic, n) in &options.partitions {
            for p in 0..*n {
                let d: PathBuf = dir.join(topic.name()).join(p.to_string());
                let so = SegmentOptions { segment_bytes: 64 << 20, sync: options.sync };
                let segments = if d.exists() {
                    Segments::open(&d, so)?.0
                } else {
                    std::fs::create_dir_all(d.parent().unwrap_or(dir)).map_err(|source| LogError::Io {
                        doing: "create",
                        path: d.clone(),
                        source,
                    })?;
                    Segments::create_at(&d, 0, so)?
                };
                parts.insert((*topic, p), Partition { reader: segments.reader() });
                writers.insert((*topic, p), segments);
            }
        }
        let inner = Arc::new(Inner { parts, options, signal: Mutex::new(0), more: Condvar::new() });
        let (tx, rx) = bounded(4096);
        let i = inner.clone();
        let thread = std::thread::spawn(move || commit(&i, writers, &rx));
        Ok(EmbeddedLog { inner, requests: Mutex::new(Some(tx)), thread: Mutex::new(Some(thread)) })
    }
}
fn commit(inner: &Inner, mut writers: BTreeMap<(Topic, u32), Segments>, rx: &Receiver<Request>) {
    while let Ok(first) = rx.recv() {
        let mut batch = vec![first];
        let mut n = batch[0].records.len();
        while n < 20_000
            && let Ok(r) = rx.try_recv()
        {
            n += r.records.len();
            batch.push(r);
        }
        let at = now_ms();
        let mut payloads: BTreeMap<(Topic, u32), (Vec<u8>, u32)> = BTreeMap::new();
        let mut all = Vec::new();
        for r in &batch {
            let mut positions = Vec::new();
            for p in &r.records {
                let partition = p.partition.unwrap_or_else(|| {
                    super::kafka::partitioner::partition(&p.key, inner.options.partitions[&p.topic])
                });
                let key = (p.topic, partition);
                let e = payloads.entry(key).or_default();
                let offset = writers[&key].next_seq() + u64::from(e.1);
                e.0.extend_from_slice(&(p.key.len() as u32).to_le_bytes());
                e.0.extend_from_slice(&p.key);
                e.0.extend_from_slice(&(p.value.len() as u32).to_le_bytes());
                e.0.extend_from_slice(&p.value);
                e.0.extend_from_slice(&at.to_le_bytes());
                e.1 += 1;
                positions.push(Position { topic: p.topic, offset, partition });
            }
            all.push(positions);
        }
        let mut result = Ok(());
        for (key, (payload, count)) in &payloads {
            let w = writers.get_mut(key).expect("partition");
            result = result.and_then(|()| w.append(w.next_seq(), *count, payload)).and_then(|()| w.sync());
        }
        *inner.signal.lock() += 1;
        inner.more.notify_all();
        let failed = result.err().map(|e| e.to_string());
        for (r, p) in batch.into_iter().zip(all) {
            let _ = r.reply.send(match &failed {
                None => Ok(p),
                Some(_) => Err(LogError::Closed),
            });
        }
    }
}
fn read(inner: &Inner, topic: Topic, partition: u32, from: u64, limit: Limit) -> Result<Vec<Entry>, LogError> {
    let Some(part) = inner.parts.get(&(topic, partition)) else {
        return Err(LogError::NoPartition { topic, partition, partitions: 0 });
    };
    if from >= part.reader.durable_seq() {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for f in part.reader.read_from(from, limit)? {
        let mut b: Bytes = f.payload;
        for n in 0..u64::from(f.count) {
            let mut take = || {
                let n = u32::from_le_bytes(b.split_to(4)[..].try_into().expect("4")) as usize;
                b.split_to(n)
            };
            let key = take();
            let value = take();
            let appended_at_ms = i64::from_le_bytes(b.split_to(8)[..].try_into().expect("8"));
            if f.first + n >= from && out.len() < limit.records {
                out.push(Entry {
                    position: Position { topic, offset: f.first + n, partition },
                    key,
                    value,
                    appended_at_ms,
                });
            }
        }
    }
    Ok(out)
}
impl Log for EmbeddedLog {
    fn partitions(&self, topic: Topic) -> u32 {
        self.inner.options.partitions[&topic]
    }
    fn append(&self, records: Vec<Produce>) -> Appended {
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.lock().as_ref().map(|s| s.send(Request { records, reply }));
        Box::pin(async move {
            if sent.is_none() {
                return Err(LogError::Closed);
            }
            answer.await.unwrap_or(Err(LogError::Closed))
        })
    }
    fn read(&self, topic: Topic, partition: u32, from: u64, limit: Limit) -> Result<Vec<Entry>, LogError> {
        read(&self.inner, topic, partition, from, limit)
    }
    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        let r = &self.inner.parts[&(topic, partition)].reader;
        Ok((r.first_seq(), r.durable_seq()))
    }
    fn tail(&self, from: Vec<Bound>) -> Result<Box<dyn Tail>, LogError> {
        Ok(Box::new(EmbeddedTail { inner: self.inner.clone(), at: from, woken: Arc::default(), seen: 0 }))
    }
    fn hold(&self, _: &str, _: &[Bound]) {}
    fn outputs(&self, pipeline: &str) -> Result<Box<dyn Outputs>, LogError> {
        let tx = self.requests.lock().clone().ok_or(LogError::Closed)?;
        let mut done = None;
        let mut partial = BTreeMap::new();
        for ((topic, p), part) in &self.inner.parts {
            if topic.is_input() || *topic == Topic::DeadLetter {
                continue;
            }
            let end = part.reader.durable_seq();
            let mut at = end;
            let mut n = 0u64;
            while at > 0 {
                at -= 1;
                let e = read(&self.inner, *topic, *p, at, Limit { records: 1, bytes: 1 << 20 })?;
                if let Some(e) = e.first()
                    && let Ok(Record { body: Body::EpochClosed(c), .. }) = gravity_events::codec::decode(&e.value)
                {
                    done = done.max(Some(c.epoch));
                    break;
                }
                n += 1;
            }
            partial.insert((*topic, *p), n);
        }
        let _ = partial;
        Ok(Box::new(EmbeddedOutputs { tx, done, pipeline: pipeline.to_owned() }))
    }
    fn close(&self) {
        self.requests.lock().take();
        if let Some(t) = self.thread.lock().take() {
            let _ = t.join();
        }
    }
}
struct EmbeddedTail {
    inner: Arc<Inner>,
    at: Vec<Bound>,
    woken: Arc<std::sync::atomic::AtomicBool>,
    seen: u64,
}
impl Tail for EmbeddedTail {
    fn poll(&mut self, limit: Limit, wait: Duration) -> Result<Vec<Entry>, LogError> {
        let until = Instant::now() + wait;
        loop {
            self.seen = *self.inner.signal.lock();
            let mut out = Vec::new();
            for b in &mut self.at {
                let room = Limit { records: limit.records - out.len(), bytes: limit.bytes };
                if room.records == 0 {
                    break;
                }
                let new = read(&self.inner, b.topic, b.partition, b.offset, room)?;
                if let Some(l) = new.last() {
                    b.offset = l.position.offset + 1;
                }
                out.extend(new);
            }
            if !out.is_empty() || self.woken.swap(false, std::sync::atomic::Ordering::AcqRel) {
                return Ok(out);
            }
            let mut s = self.inner.signal.lock();
            while *s == self.seen && !self.woken.load(std::sync::atomic::Ordering::Acquire) {
                if self.inner.more.wait_until(&mut s, until).timed_out() {
                    return Ok(out);
                }
            }
        }
    }
    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (i, w) = (self.inner.clone(), self.woken.clone());
        Arc::new(move || {
            w.store(true, std::sync::atomic::Ordering::Release);
            let _g = i.signal.lock();
            i.more.notify_all();
        })
    }
}
struct EmbeddedOutputs {
    tx: Sender<Request>,
    done: Option<u64>,
    pipeline: String,
}
impl Outputs for EmbeddedOutputs {
    fn last_epoch(&mut self) -> Result<Option<u64>, LogError> {
        Ok(self.done)
    }
    fn publish(&mut self, epochs: &[OutputEpoch]) -> Result<(), LogError> {
        for e in epochs {
            if self.done.is_some_and(|d| d >= e.epoch) {
                continue;
            }
            let mut records = e.records.clone();
            let body = Body::EpochClosed(gravity_events::body::EpochClosed {
                pipeline: self.pipeline.as_str().into(),
                epoch: e.epoch,
                records: records.len() as u64,
            });
            let r = Record {
                id: format!("{}", e.epoch).into(),
                source: "pipeline".into(),
                tenant: "-".into(),
                event: None,
                subject: None,
                time_ms: None,
                backfill: false,
                body,
            };
            records.push(Produce {
                topic: Topic::BoardsPublic,
                key: Bytes::new(),
                partition: Some(0),
                value: gravity_events::codec::encode(&r).into(),
            });
            let (reply, answer) = oneshot::channel();
            self.tx.send(Request { records, reply }).map_err(|_| LogError::Closed)?;
            answer.blocking_recv().unwrap_or(Err(LogError::Closed))?;
            self.done = Some(e.epoch);
        }
        Ok(())
    }
    fn bindings_after(&mut self, _: u64) -> Result<Vec<(u64, i64, Vec<Bound>)>, LogError> {
        Ok(Vec::new())
    }
}
