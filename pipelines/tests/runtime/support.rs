//! What the tests of the runtime share: a log in memory, records, and a sink that keeps what it was told.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gravity_events::board::{BoardKey, BoardValue, View};
use gravity_events::body::*;
use gravity_events::publish::{BoardsEpoch, BoardsSink};
use gravity_events::{Body, Id, Position, Record, Topic};
use gravity_ingest::log::{Appended, Bound, Entry, Limit, Log, LogError, OutputEpoch, Outputs, Produce, Tail};
use gravity_pipelines::boards::Boards;
use gravity_pipelines::runtime::{Options, Runtime};
use parking_lot::{Condvar, Mutex};

/// A log of one partition per topic, in memory, that outlives a pipeline's restart.
#[derive(Default)]
pub struct MemoryLog {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<Topic, Vec<Entry>>,
    /// By pipeline, as the writers.
    published: BTreeMap<String, u64>,
    epochs: Vec<OutputEpoch>,
    woken: bool,
    /// How many publications of outputs fail from here on.
    failing_outputs: u32,
    /// Publications of outputs wait while this is set.
    outputs_blocked: bool,
    writers: BTreeMap<String, u64>,
    /// Whether the out topics know what their epochs were bound to.
    bindings: bool,
    /// The first offset that retention has left.
    first: BTreeMap<Topic, u64>,
}

impl MemoryLog {
    pub fn put(&self, records: &[Record]) -> Vec<Position> {
        self.put_bytes(records.iter().map(|r| (r.body.topic(), gravity_events::codec::encode(r))))
    }

    pub fn put_bytes(&self, records: impl IntoIterator<Item = (Topic, Vec<u8>)>) -> Vec<Position> {
        let mut s = self.state.lock();
        let positions = records.into_iter().map(|(topic, value)| {
            let entries = s.topics.entry(topic).or_default();
            let position = Position { topic, offset: entries.len() as u64, partition: 0 };
            entries.push(Entry { position, key: "k".into(), value: value.into(), appended_at_ms: 0 });
            position
        });
        let positions = positions.collect();
        self.more.notify_all();
        positions
    }

    pub fn epochs(&self) -> Vec<OutputEpoch> {
        self.state.lock().epochs.clone()
    }

    /// The next publications of outputs fail.
    pub fn fail_outputs(&self, times: u32) {
        self.state.lock().failing_outputs = times;
    }

    /// Publications of outputs wait, or no longer.
    pub fn block_outputs(&self, blocked: bool) {
        self.state.lock().outputs_blocked = blocked;
        self.more.notify_all();
    }

    /// The out topics know what their epochs were bound to, as on Kafka.
    pub fn keep_bindings(&self) {
        self.state.lock().bindings = true;
    }

    /// The out topics hold a pipeline's epochs up to this one.
    pub fn set_published(&self, pipeline: &str, epoch: u64) {
        self.state.lock().published.insert(pipeline.to_owned(), epoch);
    }

    /// Retention drops the records of a topic before an offset.
    pub fn retain_from(&self, topic: Topic, offset: u64) {
        self.state.lock().first.insert(topic, offset);
    }

    /// The out topics lose everything after an epoch.
    pub fn lose_outputs(&self, after: u64) {
        let mut s = self.state.lock();
        s.epochs.retain(|e| e.epoch <= after);
        s.published.values_mut().for_each(|p| *p = after);
    }
}

impl Log for MemoryLog {
    fn partitions(&self, _: Topic) -> u32 {
        1
    }
    fn append(&self, records: Vec<Produce>) -> Appended {
        let positions = self.put_bytes(records.into_iter().map(|p| (p.topic, p.value.to_vec())));
        Box::pin(async move { Ok(positions) })
    }
    fn read(&self, topic: Topic, _: u32, from: u64, limit: Limit) -> Result<Vec<Entry>, LogError> {
        let s = self.state.lock();
        let entries = s.topics.get(&topic).map(Vec::as_slice).unwrap_or_default();
        Ok(entries.iter().skip(from as usize).take(limit.records).cloned().collect())
    }
    fn range(&self, topic: Topic, _: u32) -> Result<(u64, u64), LogError> {
        let s = self.state.lock();
        let first = s.first.get(&topic).copied().unwrap_or(0);
        Ok((first, s.topics.get(&topic).map_or(0, |t| t.len() as u64)))
    }
    fn tail(&self, _: Vec<Bound>) -> Result<Box<dyn Tail>, LogError> {
        panic!("take the tail from `Shared`")
    }
    fn hold(&self, _: &str, _: &[Bound]) {}
    fn outputs(&self, _: &str) -> Result<Box<dyn Outputs>, LogError> {
        panic!("take the outputs from `Shared`")
    }
    fn close(&self) {}
}

/// A [`MemoryLog`] that can be followed.
#[derive(Clone, Default)]
pub struct Shared(pub Arc<MemoryLog>);

impl Log for Shared {
    fn partitions(&self, topic: Topic) -> u32 {
        self.0.partitions(topic)
    }
    fn append(&self, records: Vec<Produce>) -> Appended {
        self.0.append(records)
    }
    fn read(&self, topic: Topic, partition: u32, from: u64, limit: Limit) -> Result<Vec<Entry>, LogError> {
        self.0.read(topic, partition, from, limit)
    }
    fn range(&self, topic: Topic, partition: u32) -> Result<(u64, u64), LogError> {
        self.0.range(topic, partition)
    }
    fn tail(&self, from: Vec<Bound>) -> Result<Box<dyn Tail>, LogError> {
        Ok(Box::new(MemoryTail { log: self.0.clone(), at: from }))
    }
    fn hold(&self, _: &str, _: &[Bound]) {}
    fn outputs(&self, pipeline: &str) -> Result<Box<dyn Outputs>, LogError> {
        let mut s = self.0.state.lock();
        let newest = s.writers.entry(pipeline.to_owned()).or_default();
        *newest += 1;
        Ok(Box::new(MemoryOutputs(self.0.clone(), pipeline.to_owned(), *newest)))
    }
    fn close(&self) {}
}

struct MemoryTail {
    log: Arc<MemoryLog>,
    at: Vec<Bound>,
}

impl Tail for MemoryTail {
    fn poll(&mut self, limit: Limit, wait: Duration) -> Result<Vec<Entry>, LogError> {
        let until = Instant::now() + wait;
        let mut s = self.log.state.lock();
        loop {
            let mut entries = Vec::new();
            for b in &mut self.at {
                let room = limit.records - entries.len();
                let new: Vec<Entry> = s
                    .topics
                    .get(&b.topic)
                    .map(Vec::as_slice)
                    .unwrap_or_default()
                    .iter()
                    .skip(b.offset as usize)
                    .take(room)
                    .cloned()
                    .collect();
                b.offset += new.len() as u64;
                entries.extend(new);
            }
            if !entries.is_empty()
                || std::mem::take(&mut s.woken)
                || self.log.more.wait_until(&mut s, until).timed_out()
            {
                return Ok(entries);
            }
        }
    }
    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let log = self.log.clone();
        Arc::new(move || {
            log.state.lock().woken = true;
            log.more.notify_all();
        })
    }
}

/// The newest writer writes; older ones are fenced.
struct MemoryOutputs(Arc<MemoryLog>, String, u64);

impl Outputs for MemoryOutputs {
    fn last_epoch(&mut self) -> Result<Option<u64>, LogError> {
        Ok(self.0.state.lock().published.get(&self.1).copied())
    }
    fn publish(&mut self, epochs: &[OutputEpoch]) -> Result<(), LogError> {
        {
            let mut s = self.0.state.lock();
            while s.outputs_blocked {
                self.0.more.wait(&mut s);
            }
            if s.writers[&self.1] != self.2 {
                return Err(LogError::Fenced { pipeline: self.1.clone() });
            }
            if s.failing_outputs > 0 {
                s.failing_outputs -= 1;
                return Err(LogError::Closed);
            }
        }
        for e in epochs {
            if self.0.state.lock().published.get(&self.1).is_some_and(|p| *p >= e.epoch) {
                continue;
            }
            self.0.put_bytes(e.records.iter().map(|r| (r.topic, r.value.to_vec())));
            let mut s = self.0.state.lock();
            s.published.insert(self.1.clone(), e.epoch);
            s.epochs.push(e.clone());
        }
        Ok(())
    }
    fn bindings_after(&mut self, after: u64) -> Result<Vec<(u64, i64, Vec<Bound>)>, LogError> {
        let s = self.0.state.lock();
        let after = s.epochs.iter().filter(|e| s.bindings && e.epoch > after);
        Ok(after.map(|e| (e.epoch, e.now_ms, e.bound.clone())).collect())
    }
}

/// Keeps the state that the epochs it was told add up to.
#[derive(Default)]
pub struct Seen {
    inner: Mutex<SeenState>,
    told: Condvar,
    /// Versions may begin anywhere: the journal was made anew.
    rebuilt: bool,
}

#[derive(Clone, Default)]
pub struct SeenState {
    pub rows: BTreeMap<(View, BoardKey), BoardValue>,
    pub versions: BTreeMap<(Id, View, Id), u64>,
    pub orphans: BTreeMap<Id, i64>,
    pub bound: BTreeMap<Topic, u64>,
    pub refused: Vec<(Position, &'static str)>,
    pub epochs: Vec<u64>,
    pub all: Vec<Arc<BoardsEpoch>>,
    /// Behind gates, by event.
    pub staged: BTreeMap<Id, BTreeMap<(View, BoardKey), Option<BoardValue>>>,
    /// How many gates have closed.
    pub closed: usize,
}

impl BoardsSink for Seen {
    fn publish(&self, e: Arc<BoardsEpoch>) {
        let mut s = self.inner.lock();
        if e.snapshot {
            s.rows.clear();
            s.orphans.clear();
            s.staged.clear();
        }
        for (event, is_open) in &e.gates {
            if *is_open {
                assert_eq!(s.staged.insert(event.clone(), BTreeMap::new()), None, "{event} was open");
            }
        }
        for c in &e.staged {
            let behind = s.staged.get_mut(c.key.event().1).expect("only what is behind an open gate is staged");
            behind.insert((c.view, c.key.clone()), c.value.clone());
        }
        for c in &e.changes {
            assert!(!s.staged.contains_key(c.key.event().1), "{:?} is shown behind its gate", c.key);
        }
        for (event, _) in e.gates.iter().filter(|(_, is_open)| !is_open) {
            s.closed += 1;
            for (key, value) in s.staged.remove(event).expect("it was open") {
                match value {
                    Some(v) => s.rows.insert(key, v),
                    None => s.rows.remove(&key),
                };
            }
        }
        for c in &e.changes {
            match &c.value {
                Some(v) => s.rows.insert((c.view, c.key.clone()), v.clone()),
                None => s.rows.remove(&(c.view, c.key.clone())),
            };
        }
        for v in &e.versions {
            let key = (v.event.clone(), v.view, v.division.clone());
            let old = s.versions.insert(key.clone(), v.version);
            let begins = e.snapshot || (self.rebuilt && old.is_none());
            if !begins {
                assert_eq!(v.version, old.unwrap_or(0) + 1, "versions are dense: {key:?}");
            } else if let Some(old) = old {
                assert!(v.version == old || v.version == old + 1, "{key:?} went from {old} to {}", v.version);
            }
        }
        for (_, event, n) in &e.orphans {
            s.orphans.insert(event.clone(), *n);
        }
        s.bound.extend(e.bound.iter().map(|(t, _, o)| (*t, *o)));
        s.refused.extend(e.refused.iter().map(|r| (r.position, r.code)));
        s.epochs.push(e.epoch);
        s.all.push(e);
        self.told.notify_all();
    }
}

impl Seen {
    /// For a pipeline whose journal was made anew.
    pub fn rebuilt() -> Seen {
        Seen { rebuilt: true, ..Seen::default() }
    }

    /// Waits until everything that the log holds is bound.
    pub fn wait(&self, log: &Shared) -> SeenState {
        let until = Instant::now() + Duration::from_secs(60);
        let mut s = self.inner.lock();
        loop {
            let behind = |t: Topic| log.range(t, 0).unwrap().1 > s.bound.get(&t).copied().unwrap_or(0);
            if ![Topic::Reference, Topic::Submissions, Topic::Judgements].into_iter().any(behind) {
                return s.clone();
            }
            assert!(!self.told.wait_until(&mut s, until).timed_out(), "not visible after 60 s: {:?}", s.bound);
        }
    }

    /// Waits until everything that the log holds is shown, too.
    pub fn settle(&self, log: &Shared) -> SeenState {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let state = self.wait(log);
            if state.staged.is_empty() {
                return state;
            }
            let mut s = self.inner.lock();
            if s.epochs.len() == state.epochs.len() {
                assert!(!self.told.wait_until(&mut s, until).timed_out(), "a gate is open: {:?}", s.staged.keys());
            }
        }
    }

    pub fn state(&self) -> SeenState {
        self.inner.lock().clone()
    }
}

/// Starts the boards pipeline.
pub fn start(log: &Shared, seen: &Arc<Seen>, dir: &Path, change: impl FnOnce(&mut Options)) -> Runtime {
    start_boards(Boards::new(seen.clone()), log, dir, change)
}

/// The same with boards that do something else.
pub fn start_boards(boards: Boards, log: &Shared, dir: &Path, change: impl FnOnce(&mut Options)) -> Runtime {
    let mut options = Options::new(dir.to_owned(), 2);
    change(&mut options);
    Runtime::start(Arc::new(boards), Arc::new(log.clone()), options).unwrap()
}

pub fn record(id: &str, body: Body) -> Record {
    Record {
        id: id.into(),
        source: "test".into(),
        tenant: "t".into(),
        event: Some("e".into()),
        subject: None,
        time_ms: None,
        backfill: true,
        body,
    }
}

/// An event with this many teams and problems, started, frozen for its last hour of five.
pub fn reference(teams: u32, problems: u32) -> Vec<Record> {
    let config = EventConfigured {
        name: "E".into(),
        duration_ms: Some(18_000_000),
        freeze_duration_ms: Some(3_600_000),
        ..Default::default()
    };
    let mut records = vec![
        record("configured", Body::EventConfigured(config)),
        record("started", Body::EventStarted(Moment { at: Some(1_000_000), contest_time_ms: None })),
        record(
            "g",
            Body::GroupRegistered(GroupRegistered { group: "g".into(), name: "G".into(), ..Default::default() }),
        ),
    ];
    for t in 0..teams {
        let groups = if t % 2 == 0 { vec!["g".into()] } else { vec![] };
        records.push(record(
            &format!("team{t}"),
            Body::TeamRegistered(TeamRegistered {
                team: format!("t{t}").into(),
                name: format!("Team {t}"),
                groups,
                ..Default::default()
            }),
        ));
    }
    for p in 0..problems {
        records.push(record(
            &format!("problem{p}"),
            Body::ProblemPublished(ProblemPublished {
                problem: format!("p{p}").into(),
                label: format!("P{p}"),
                ordinal: p.into(),
                ..Default::default()
            }),
        ));
    }
    records
}

/// Submission number `n` and its judgement.
pub fn attempt(n: u32, team: u32, problem: u32, minute: i64, verdict: &str) -> [Record; 2] {
    let submission: Id = format!("s{n}").into();
    [
        record(
            &format!("s{n}"),
            Body::SubmissionReceived(SubmissionReceived {
                submission: submission.clone(),
                team: format!("t{team}").into(),
                problem: format!("p{problem}").into(),
                contest_time_ms: Some(minute * 60_000),
                ..Default::default()
            }),
        ),
        record(
            &format!("j{n}"),
            Body::JudgementRecorded(JudgementRecorded {
                judgement: format!("j{n}").into(),
                submission,
                judgement_type: Some(verdict.into()),
                start_contest_time_ms: Some(minute * 60_000),
                end_contest_time_ms: Some(minute * 60_000),
                ..Default::default()
            }),
        ),
    ]
}

/// Waits until a condition holds.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "not after 60 s: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Stops a pipeline, which must not take long.
pub fn stop_soon(pipeline: Runtime) {
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        pipeline.stop();
        let _ = ended.send(());
    });
    end.recv_timeout(Duration::from_secs(20)).expect("a pipeline that is told to stop does so");
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
