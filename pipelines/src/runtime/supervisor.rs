//! The supervisor: starts a pipeline's threads in order, restarts it from its journal when it fails, stops it cleanly.

mod run;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gravity_ingest::log::Log;
use gravity_ingest::segment::SyncMode;
use parking_lot::Mutex;

use super::clock::WallClock;
use super::definition::Definition;
use super::error::guarded;
use super::failpoint::Failpoints;
use super::journal::merge::MERGE_BYTES;
use super::metrics;
use super::sequencer::{Script, Waker};
use run::run_once;
pub use status::{PipelineState, PipelineStatus, SharedStatus};

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
            wall: WallClock::default(),
            failpoints: Failpoints::of_process(),
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
