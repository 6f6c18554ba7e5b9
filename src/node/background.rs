//! Work that nobody waits for, on threads of its own: what encodes files and plans queries must not hold up the threads that
//! answer requests.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// How much the work yields to others where there are too few cores (nice(2)).
const NICE: i32 = 5;

/// A runtime of one thread, and those on which it waits for disks.
pub(super) struct Background(Option<Runtime>);

impl Background {
    /// Its threads have this name.
    pub(super) fn new(name: &'static str) -> std::io::Result<Background> {
        let yields = || {
            // Only so that others are quicker.
            let _ = rustix::process::nice(NICE);
        };
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(1).thread_name(name).on_thread_start(yields).enable_all();
        Ok(Background(Some(runtime.build()?)))
    }

    /// Begins the work; its end can be awaited anywhere.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.0.as_ref().expect("it is there until it is dropped").spawn(work)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // May be on a thread that must not wait.
            runtime.shutdown_background();
        }
    }
}
