//! The supervisor: starts a pipeline's threads in order, restarts it from its journal when it fails, stops it cleanly.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{bounded, unbounded};
use gravity_ingest::log::{Bound, Log};
use gravity_ingest::segment::SyncMode;
use parking_lot::{Condvar, Mutex};

use super::clock::Clock;
use super::committer::{self, Committer};
use super::definition::{Committed, Definition};
use super::journal::merge::MERGE_BYTES;
use super::sequencer::{InFlight, Script, Sequencer};
use super::worker::{self, Seed, Shared, ToCommitter};
use super::{PipelineError, metrics, outputs, recovery};

/// How a pipeline runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its folder.
    pub dir: PathBuf,
    /// Worker threads; may differ from run to run.
    pub workers: usize,
    /// Records at most in one epoch.
    pub row_cap: usize,
    /// Frames are merged into a new base once they have more bytes than this, and than half the base.
    pub merge_bytes: u64,
    /// Whether frames are fsynced. `None` only where nothing is to survive.
    pub sync: SyncMode,
    /// Epochs to cut exactly so before cutting freely, for tests.
    pub script: Script,
}

impl Options {
    /// The usual ones.
    pub fn new(dir: PathBuf, workers: usize) -> Options {
        Options {
            dir,
            workers,
            row_cap: 65_536,
            merge_bytes: MERGE_BYTES,
            sync: SyncMode::Fsync,
            script: Script::default(),
        }
    }
}

/// What a pipeline is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipelineState {
    /// Reading its journal.
    Starting,
    /// Up to date with its journal, and following the log.
    Running,
    /// Waiting to be restarted after this error.
    Failed(String),
    /// Stopped on request.
    Stopped,
}

/// A pipeline at one moment.
#[derive(Clone, Debug)]
pub struct PipelineStatus {
    /// Its name.
    pub name: &'static str,
    /// What it is doing.
    pub state: PipelineState,
    /// The last committed epoch.
    pub epoch: u64,
    /// That epoch's clock.
    pub now_ms: i64,
    /// What it is bound to.
    pub bound: Vec<Bound>,
    /// Records taken in since the process began.
    pub records: u64,
    /// Of those, records that did not count.
    pub refused: u64,
    /// Restarts after errors.
    pub restarts: u64,
    /// Records per second, smoothed over some ten seconds.
    pub rate: f64,
    /// How long the last epoch took, from its cut to its publication.
    pub epoch_duration_ms: f64,
    /// Bytes of the frames.
    pub journal_bytes: u64,
    /// Size of the base.
    pub base_bytes: u64,
    /// Epoch of the base.
    pub base_epoch: Option<u64>,
}

/// The status, shared by the threads of a pipeline.
pub struct SharedStatus {
    inner: Mutex<(PipelineStatus, Instant)>,
    changed: Condvar,
}

impl SharedStatus {
    fn new(name: &'static str) -> SharedStatus {
        let status = PipelineStatus {
            name,
            state: PipelineState::Starting,
            epoch: 0,
            now_ms: 0,
            bound: Vec::new(),
            records: 0,
            refused: 0,
            restarts: 0,
            rate: 0.0,
            epoch_duration_ms: 0.0,
            journal_bytes: 0,
            base_bytes: 0,
            base_epoch: None,
        };
        SharedStatus { inner: Mutex::new((status, Instant::now())), changed: Condvar::new() }
    }

    fn set(&self, change: impl FnOnce(&mut PipelineStatus)) {
        change(&mut self.inner.lock().0);
        self.changed.notify_all();
    }

    /// An epoch is durable.
    pub fn committed<D: Definition>(&self, c: &Committed<D>, records: u64, refused: u64, took: Duration) {
        let mut inner = self.inner.lock();
        let (s, last) = &mut *inner;
        let passed = last.elapsed().as_secs_f64().max(1e-3);
        *last = Instant::now();
        let weight = (passed / 10.0).min(1.0);
        s.rate += weight * (records as f64 / passed - s.rate);
        (s.epoch, s.now_ms) = (c.epoch, c.now_ms);
        s.epoch_duration_ms = took.as_secs_f64() * 1e3;
        s.bound.clone_from(&c.bound);
        s.records += records;
        s.refused += refused;
    }

    /// The journal has this size now.
    pub fn journal_bytes(&self, bytes: u64) {
        self.inner.lock().0.journal_bytes = bytes;
    }

    /// A new base is in place.
    pub fn merged(&self, epoch: u64, bytes: u64) {
        self.set(|s| (s.base_epoch, s.base_bytes) = (Some(epoch), bytes));
    }

    /// Whether the frames have outgrown the base.
    pub fn wants_merge(&self, least: u64) -> bool {
        let s = &self.inner.lock().0;
        s.journal_bytes > least.max(s.base_bytes / 2)
    }
}

/// A running pipeline.
pub struct Runtime {
    status: Arc<SharedStatus>,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    asked: Arc<AtomicBool>,
    waker: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

impl Runtime {
    /// Starts a pipeline. Errors do not come back from here: they are in the status, and tried again.
    pub fn start<D: Definition>(definition: Arc<D>, log: Arc<dyn Log>, options: Options) -> std::io::Result<Runtime> {
        let status = Arc::new(SharedStatus::new(definition.name()));
        let stop = Arc::new(Stop::default());
        let supervise = {
            let (status, stop) = (status.clone(), stop.clone());
            move || supervise(&definition, &log, &options, &status, &stop)
        };
        let thread = std::thread::Builder::new().name("supervisor".into()).spawn(supervise)?;
        Ok(Runtime { status, stop, thread: Some(thread) })
    }

    /// What it is doing.
    pub fn status(&self) -> PipelineStatus {
        self.status.inner.lock().0.clone()
    }

    /// Waits until it is running, or the time is over; says whether it is.
    pub fn wait_running(&self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        let mut s = self.status.inner.lock();
        while s.0.state != PipelineState::Running {
            if self.status.changed.wait_until(&mut s, until).timed_out() {
                return false;
            }
        }
        true
    }

    /// Drains what was begun, commits it, and ends.
    pub fn stop(mut self) {
        self.stop.asked.store(true, Ordering::Release);
        if let Some(wake) = self.stop.waker.lock().as_ref() {
            wake();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const LAST_BACK_OFF: Duration = Duration::from_secs(10);

fn supervise<D: Definition>(
    definition: &Arc<D>,
    log: &Arc<dyn Log>,
    options: &Options,
    status: &Arc<SharedStatus>,
    stop: &Arc<Stop>,
) {
    let name = definition.name();
    let mut back_off = FIRST_BACK_OFF;
    loop {
        let began = Instant::now();
        let result = run_once(definition, log, options, status, stop);
        if stop.asked.load(Ordering::Acquire) {
            if let Err(error) = result {
                tracing::error!(pipeline = name, %error, "the pipeline failed while it was stopping");
            }
            status.set(|s| s.state = PipelineState::Stopped);
            return;
        }
        let error = result.err().map_or_else(|| "it ended without being asked to".to_owned(), |e| e.to_string());
        if began.elapsed() > LAST_BACK_OFF {
            back_off = FIRST_BACK_OFF;
        }
        metrics::RESTARTS.with_label_values(&[name]).inc();
        tracing::error!(pipeline = name, %error, back_off_ms = back_off.as_millis() as u64, "the pipeline failed; it restarts from its journal");
        status.set(|s| {
            s.state = PipelineState::Failed(error);
            s.restarts += 1;
        });
        let until = Instant::now() + back_off;
        while Instant::now() < until && !stop.asked.load(Ordering::Acquire) {
            std::thread::park_timeout(Duration::from_millis(50).min(back_off));
        }
        back_off = (back_off * 2).min(LAST_BACK_OFF);
    }
}

fn run_once<D: Definition>(
    definition: &Arc<D>,
    log: &Arc<dyn Log>,
    options: &Options,
    status: &Arc<SharedStatus>,
    stop: &Arc<Stop>,
) -> Result<(), PipelineError> {
    let name = definition.name();
    let workers = options.workers.max(1);
    status.set(|s| s.state = PipelineState::Starting);
    let began = Instant::now();
    let recovered = recovery::recover(&**definition, &options.dir, &**log, options.sync)?;
    let recovery::Recovered { journal, restored, blocks, identities, claims, base } = recovered;
    let rows: usize = blocks.iter().map(|b| b.rows.len()).sum();
    tracing::info!(
        pipeline = name,
        epoch = restored.epoch,
        row_bytes = rows,
        identity_bytes = identities.iter().map(|i| i.1.len()).sum::<usize>(),
        ms = began.elapsed().as_millis() as u64,
        "journal read"
    );
    status.set(|s| (s.base_epoch, s.journal_bytes) = (base, journal.bytes()));
    let mut outputs = log.outputs(name)?;
    outputs::catch_up(&**definition, &mut *outputs, &journal.reader())?;
    let redo = outputs.bindings_after(restored.epoch)?;
    let gated = outputs.gates_visibility();

    let (to_committer, from_all) = unbounded();
    let (to_outputs, from_committer) = bounded(64);
    let in_flight = Arc::new(InFlight::new(restored.epoch, restored.bound.clone()));
    let (frames, start, now_ms, bound) = (journal.reader(), restored.epoch, restored.now_ms, restored.bound.clone());
    let mut committer = Committer::new(committer::Parts {
        definition: definition.clone(),
        journal,
        from_all,
        to_outputs,
        in_flight: in_flight.clone(),
        status: status.clone(),
        gated,
        workers,
    });
    let (commands, seeds) = deal(workers, definition.folds(), blocks, identities);
    let (activators, from_workers) = unbounded();
    let aborted = Arc::new(AtomicBool::new(false));
    let shared = Shared {
        definition: definition.clone(),
        seeds: std::sync::Mutex::new(seeds),
        out: ToCommitter(to_committer.clone()),
        activators,
        start,
        claims: Arc::new(claims.clone()),
        aborted: aborted.clone(),
    };
    let cannot_start = |what: String| PipelineError::Start { pipeline: name, what };
    let guards = timely::execute(worker::config(workers), move |w| worker::run(w, &shared)).map_err(cannot_start)?;
    let ended = (|| {
        let mut wake: Vec<_> = from_workers.iter().take(workers).collect();
        wake.sort_by_key(|w| w.0);
        let last = committer.hydrate(restored)?;
        in_flight.committed(last);
        let writer = outputs::Writer {
            definition: definition.clone(),
            outputs,
            from_committer,
            to_committer: to_committer.clone(),
            gated,
            frames,
            dir: options.dir.clone(),
            sync: options.sync,
            merge_bytes: options.merge_bytes,
            status: status.clone(),
        };
        let writer = spawn(name, "outputs", move || writer.run())?;
        let tail = log.tail(bound.clone())?;
        *stop.waker.lock() = Some(tail.waker());
        let sequencer = Sequencer {
            log: log.clone(),
            tail,
            bound,
            epoch: last,
            row_cap: options.row_cap,
            owners: claims,
            workers: commands.into_iter().zip(wake).map(|(c, (_, a))| (c, a)).collect(),
            committer: to_committer.clone(),
            in_flight: in_flight.clone(),
            clock: Clock::new(now_ms),
            stop: stop.asked.clone(),
            script: if redo.is_empty() { options.script.clone() } else { Script::from(redo) },
            holder: format!("pipeline-{name}"),
        };
        let sequencer = spawn(name, "sequencer", move || sequencer.run())?;
        status.set(|s| s.state = PipelineState::Running);
        tracing::info!(pipeline = name, epoch = last, ms = began.elapsed().as_millis() as u64, "running");
        let ended = committer.run();
        // The sequencer may be waiting for a slot or for records.
        in_flight.close();
        if let Some(wake) = stop.waker.lock().take() {
            wake();
        }
        let _ = sequencer.join();
        drop(committer);
        let _ = writer.join();
        ended
    })();
    if ended.is_err() {
        aborted.store(true, Ordering::Release);
    }
    drop(to_committer);
    // Workers end by themselves once closed or aborted; they look at least once a second.
    for guard in guards.join() {
        let _ = guard;
    }
    ended
}

fn spawn(
    pipeline: &'static str,
    what: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, PipelineError> {
    std::thread::Builder::new()
        .name(format!("{pipeline}-{what}"))
        .spawn(work)
        .map_err(|e| PipelineError::Start { pipeline, what: e.to_string() })
}

type Commands = Vec<crossbeam_channel::Sender<worker::Command>>;

/// Deals shards to workers.
fn deal(
    workers: usize,
    folds: u8,
    blocks: Vec<super::folds::Block>,
    identities: Vec<(u8, bytes::Bytes)>,
) -> (Commands, Vec<Option<Seed>>) {
    let (commands, mut seeds): (Vec<_>, Vec<_>) = (0..workers)
        .map(|_| {
            let (send, receive) = unbounded();
            (send, Seed { commands: receive, blocks: vec![Vec::new(); usize::from(folds)], identities: Vec::new() })
        })
        .unzip();
    for block in blocks {
        // Timely routes by `key % peers` (or a mask of it, when that is a power of two): the same worker as here.
        let worker = usize::from(block.shard) % workers;
        if let Some(fold) = seeds[worker].blocks.get_mut(usize::from(block.fold)) {
            fold.push(block);
        }
    }
    for (shard, packed) in identities {
        seeds[usize::from(shard) % workers].identities.push(packed);
    }
    (commands, seeds.into_iter().map(Some).collect())
}
