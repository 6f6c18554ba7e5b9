//! The supervisor: starts a pipeline's threads in order, restarts it from its journal when it fails, stops it cleanly.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, unbounded};
use gravity_ingest::log::{Bound, Log, LogError, Outputs};
use gravity_ingest::segment::SyncMode;
use parking_lot::Mutex;
use timely::communication::WorkerGuards;
use timely::scheduling::SyncActivator;

use super::clock::{Clock, WallClock};
use super::committer::{self, Committer, Restored};
use super::dedupe::PACKED_BYTES;
use super::dedupe::runs::Runs;
use super::definition::Definition;
use super::error::guarded;
use super::failpoint::Failpoints;
use super::journal::Journal;
use super::journal::merge::{MERGE_BYTES, Merger};
use super::outputs::Behind;
use super::recovery::Recovered;
use super::sequencer::{InFlight, Script, Sequencer, Waker};
use super::watchdog::{self, WatchedThread};
use super::worker::{self, Message, Seed, Shared, ToCommitter};
use super::{PipelineError, metrics, outputs};
use begin::{Begun, begin};
use deal::{Commands, deal};
pub use status::{PipelineState, PipelineStatus, SharedStatus};

mod begin;
mod deal;
mod speed;
mod status;

/// Records at most in one epoch, unless set otherwise. Reached only when the log is far ahead, where large epochs drain
/// it fastest: a row that changes many times leaves the epoch once. Twice as many may be under way.
pub const ROW_CAP: usize = 262_144;

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
    /// What tells the time.
    pub wall: WallClock,
    /// For tests.
    pub failpoints: Failpoints,
    /// CPU time that one call of an author's function may take.
    pub operator_budget: Duration,
}

impl Options {
    /// The usual ones.
    pub fn new(dir: PathBuf, workers: usize) -> Options {
        Options {
            dir,
            workers,
            row_cap: ROW_CAP,
            merge_bytes: MERGE_BYTES,
            sync: SyncMode::Fsync,
            script: Script::default(),
            wall: WallClock::default(),
            failpoints: Failpoints::of_process(),
            operator_budget: watchdog::BUDGET,
        }
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
    waker: Mutex<Option<Waker>>,
}

impl Runtime {
    /// Starts a pipeline. Errors do not come back from here: they are in the status, and tried again.
    pub fn start<D: Definition>(definition: Arc<D>, log: Arc<dyn Log>, options: Options) -> std::io::Result<Runtime> {
        // What has not happened yet is 0, not absent.
        metrics::RESTARTS.with_label_values(&[definition.name()]);
        metrics::OVERRUNS.with_label_values(&[definition.name()]);
        metrics::BROKEN.with_label_values(&["one_row_per_key"]);
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
        self.status.get()
    }

    /// Waits until it is running, or the time is over; says whether it is.
    pub fn wait_running(&self, at_most: Duration) -> bool {
        self.status.wait_running(at_most)
    }

    /// Drains what was begun, commits it, and ends.
    pub fn stop(mut self) {
        self.ask_to_stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn ask_to_stop(&self) {
        self.stop.asked.store(true, Ordering::Release);
        if let Some(wake) = self.stop.waker.lock().as_ref() {
            wake();
        }
    }
}

/// Ends as by [`Runtime::stop`], without waiting for it.
impl Drop for Runtime {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

/// Workers that do not end by then are in a function that does not come back.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(3);
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
        let result = guarded(name, "supervisor", || run_once(definition, log, options, status, stop));
        if stop.asked.load(Ordering::Acquire) {
            if let Err(error) = result {
                tracing::error!(pipeline = name, %error, "the pipeline failed while it was stopping");
            }
            status.set(|s| s.state = PipelineState::Stopped);
            return;
        }
        if matches!(result, Ok(Ended::Rebuilt)) {
            continue;
        }
        if let Err(PipelineError::Overrun { overrun, .. }) = &result {
            metrics::OVERRUNS.with_label_values(&[name]).inc();
            quarantine(definition, &**log, overrun);
        }
        let fenced = matches!(result, Err(PipelineError::Log(LogError::Fenced { .. })));
        let error = result.err().map_or_else(|| "it ended without being asked to".to_owned(), |e| e.to_string());
        if began.elapsed() > LAST_BACK_OFF {
            back_off = FIRST_BACK_OFF;
        }
        if fenced {
            // Starting takes the outputs back from the newer process: give it time to be seen and one of the two to be stopped.
            back_off = LAST_BACK_OFF;
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

/// Sees to it that a function that did not come back is not called again.
fn quarantine<D: Definition>(definition: &Arc<D>, log: &dyn Log, overrun: &watchdog::Overrun) {
    let records = definition.quarantine(overrun);
    // Where they cannot be appended now, the next start of the process finds it out anew.
    if !records.is_empty()
        && let Err(error) = futures::executor::block_on(log.append(records))
    {
        tracing::error!(pipeline = definition.name(), %overrun, %error, "the quarantine could not be recorded");
    }
}

/// How a run of a pipeline ended without an error.
enum Ended {
    /// On request.
    Stopped,
    /// Its journal has all that the out topics hold; the pipeline can start from it.
    Rebuilt,
}

/// The threads of a running pipeline beside the workers, and how to end them.
struct Threads {
    sequencer: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    watchdog: Option<JoinHandle<()>>,
    in_flight: Arc<InFlight>,
    aborted: Arc<AtomicBool>,
    ending: Arc<AtomicBool>,
}

fn run_once<D: Definition>(
    definition: &Arc<D>,
    log: &Arc<dyn Log>,
    options: &Options,
    status: &Arc<SharedStatus>,
    stop: &Arc<Stop>,
) -> Result<Ended, PipelineError> {
    let name = definition.name();
    let workers = options.workers.max(1);
    status.set(|s| s.state = PipelineState::Starting);
    let began = Instant::now();
    let Begun { recovered, outputs, redo } = begin(definition, &**log, options)?;
    let rebuilds = !redo.is_empty();
    let Recovered { mut journal, restored, identities, runs, claims, base, frame_bytes } = recovered;
    tracing::info!(
        pipeline = name,
        epoch = restored.epoch,
        row_bytes = restored.blocks.iter().map(|b| b.rows.len()).sum::<usize>(),
        identities = runs.len() + identities.iter().map(|i| i.1.len() / PACKED_BYTES).sum::<usize>() as u64,
        ms = began.elapsed().as_millis() as u64,
        "journal read"
    );
    if let Some((epoch, _)) = base {
        // A crash may have come between the rename of the base and this.
        journal.drop_before(epoch + 1)?;
    }
    status.recovered(base, frame_bytes, journal.bytes());
    let runs = Arc::new(Runs::new(runs));
    let (to_committer, from_all) = unbounded();
    let mut threads = Threads {
        sequencer: None,
        writer: None,
        watchdog: None,
        in_flight: Arc::new(InFlight::new(restored.epoch, restored.bound.clone())),
        aborted: Arc::default(),
        ending: Arc::default(),
    };
    let (commands, seeds) = deal(workers, definition.folds(), restored.blocks.clone(), identities);
    let (activators, from_workers) = unbounded();
    let watched: Vec<_> = (0..workers).map(|_| Arc::<WatchedThread>::default()).collect();
    let shared = Shared {
        definition: definition.clone(),
        seeds: std::sync::Mutex::new(seeds),
        out: ToCommitter(to_committer.clone()),
        activators,
        start: restored.epoch,
        claims: Arc::new(claims),
        runs: runs.clone(),
        aborted: threads.aborted.clone(),
        watched: watched.clone(),
    };
    let cannot_start = |what: String| PipelineError::Start { pipeline: name, what };
    definition.pace().reset();
    let guards = timely::execute(worker::config(workers), move |w| worker::run(w, &shared)).map_err(cannot_start)?;
    let ended = guarded(name, "committer", || {
        let started = Started {
            definition,
            log,
            options,
            status,
            stop,
            journal,
            outputs,
            redo,
            runs,
            commands,
            from_workers,
            from_all,
            to_committer,
            watched,
            began,
        };
        started.run(restored, &mut threads)
    });
    // However it ended, every thread ends: the sequencer may be waiting for a slot or for records, the writer for epochs.
    threads.ending.store(true, Ordering::Release);
    threads.aborted.store(ended.is_err(), Ordering::Release);
    threads.in_flight.close();
    if let Some(wake) = stop.waker.lock().take() {
        wake();
    }
    for thread in [threads.sequencer, threads.writer, threads.watchdog].into_iter().flatten() {
        // The watchdog sleeps between two looks.
        thread.thread().unpark();
        let _ = thread.join();
    }
    // Workers end once closed or aborted; they may be asleep.
    for guard in guards.guards() {
        guard.thread().unpark();
    }
    let left = if matches!(ended, Err(PipelineError::Overrun { .. })) { left_behind(&guards) } else { 0 };
    if left > 0 {
        tracing::error!(
            pipeline = name,
            left,
            "threads are left behind in a function that does not come back: each keeps a core busy until the process is restarted"
        );
        // To drop them would be to wait for them.
        std::mem::forget(guards);
    } else {
        for guard in guards.join() {
            let _ = guard;
        }
    }
    ended.map(|()| if rebuilds { Ended::Rebuilt } else { Ended::Stopped })
}

/// How many workers have not ended after a while.
fn left_behind(guards: &WorkerGuards<()>) -> usize {
    let until = Instant::now() + LEFT_BEHIND_AFTER;
    loop {
        let left = guards.guards().iter().filter(|guard| !guard.is_finished()).count();
        if left == 0 || Instant::now() >= until {
            return left;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A pipeline whose workers run, on the thread that commits.
struct Started<'a, D: Definition> {
    definition: &'a Arc<D>,
    log: &'a Arc<dyn Log>,
    options: &'a Options,
    status: &'a Arc<SharedStatus>,
    stop: &'a Arc<Stop>,
    journal: Journal,
    outputs: Box<dyn Outputs>,
    redo: Vec<(u64, i64, Vec<Bound>)>,
    runs: Arc<Runs>,
    commands: Commands,
    from_workers: Receiver<(usize, SyncActivator)>,
    from_all: Receiver<Message>,
    to_committer: crossbeam_channel::Sender<Message>,
    watched: Vec<Arc<WatchedThread>>,
    began: Instant,
}

impl<D: Definition> Started<'_, D> {
    /// Hydrates the views, starts the other threads and commits until the pipeline ends.
    fn run(mut self, restored: Restored<D::Scope>, threads: &mut Threads) -> Result<(), PipelineError> {
        let (definition, options, status) = (self.definition, self.options, self.status);
        let name = definition.name();
        let (watched, budget) = (std::mem::take(&mut self.watched), options.operator_budget);
        let (ending, out) = (threads.ending.clone(), self.to_committer.clone());
        // Hydrating calls authors' functions, too.
        let watch = move || watchdog::run(name, &watched, budget, &ending, &out);
        threads.watchdog = Some(spawn(name, "watchdog", watch)?);
        // What is run again was shown before, up to its end: none of it is shown until that end is reached.
        let rebuilds = !self.redo.is_empty();
        let (gated, frames) = (self.outputs.gates_visibility(), self.journal.reader());
        let (now_ms, trusted_ms, bound) = (restored.now_ms, restored.trusted_ms, restored.bound.clone());
        // What waits there is bounded by its rows; a bound on epochs would stop everybody while one large epoch is written.
        let (to_outputs, from_committer) = bounded(4_096);
        let waker = self.stop.clone();
        let wake = move || waker.waker.lock().iter().for_each(|wake| wake());
        let mut committer = Committer::new(committer::Parts {
            definition: definition.clone(),
            journal: self.journal,
            from_all: self.from_all,
            to_outputs,
            in_flight: threads.in_flight.clone(),
            status: status.clone(),
            gated: gated || rebuilds,
            workers: self.commands.len(),
            genesis: restored.genesis,
            wake: Box::new(wake),
            failpoints: options.failpoints.clone(),
        });
        let hydrated = committer.hydrate(restored, !self.redo.is_empty())?;
        let last = hydrated.last;
        if let Some(frame) = hydrated.changed {
            outputs::publish_frame(&**definition, &mut *self.outputs, frame, &mut Behind::default())?;
        }
        status.committed(&hydrated.snapshot, 0, 0, Duration::ZERO);
        if !rebuilds {
            definition.publish(hydrated.snapshot);
        }
        threads.in_flight.committed(last);
        let merge_wanted = Arc::<AtomicBool>::default();
        let writer = outputs::Writer {
            definition: definition.clone(),
            outputs: self.outputs,
            from_committer,
            to_committer: self.to_committer.clone(),
            gated: gated && !rebuilds,
            merger: Merger {
                dir: options.dir.clone(),
                pipeline: name,
                frames,
                runs: self.runs,
                sync: options.sync,
                ending: threads.ending.clone(),
                failpoints: options.failpoints.clone(),
            },
            merge_bytes: options.merge_bytes,
            merge_wanted: merge_wanted.clone(),
            in_flight: threads.in_flight.clone(),
            status: status.clone(),
            aborted: threads.aborted.clone(),
            failpoints: options.failpoints.clone(),
        };
        threads.writer = Some(spawn(name, "outputs", move || writer.run())?);
        // Hydrated: every worker has registered.
        let mut wake: Vec<_> = self.from_workers.try_iter().take(self.commands.len()).collect();
        wake.sort_by_key(|w| w.0);
        let tail = self.log.tail(bound.clone())?;
        *self.stop.waker.lock() = Some(tail.waker());
        let stop = self.stop.clone();
        let sequencer = Sequencer {
            pipeline: name,
            log: self.log.clone(),
            tail,
            bound,
            epoch: last,
            row_cap: options.row_cap,
            floor: definition.floor(),
            workers: self.commands.into_iter().zip(wake).map(|(c, (_, a))| (c, a)).collect(),
            committer: self.to_committer,
            in_flight: threads.in_flight.clone(),
            status: status.clone(),
            clock: Clock::new(now_ms, options.wall.clone()),
            trusted_ms,
            merge_wanted,
            pace: definition.pace(),
            stop: stop.asked.clone(),
            script: if rebuilds { Script::from(self.redo) } else { options.script.clone() },
            script_only: rebuilds,
            holder: format!("pipeline-{name}"),
            register_waker: Box::new(move |waker| *stop.waker.lock() = Some(waker)),
            failpoints: options.failpoints.clone(),
        };
        threads.sequencer = Some(spawn(name, "sequencer", move || sequencer.run())?);
        let ms = self.began.elapsed().as_millis() as u64;
        if rebuilds {
            tracing::warn!(
                pipeline = name,
                epoch = last,
                ms,
                "the journal lacks epochs that were shown; running them again"
            );
        } else {
            status.set(|s| s.state = PipelineState::Running);
            tracing::info!(pipeline = name, epoch = last, ms, "running");
        }
        committer.run()
    }
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
