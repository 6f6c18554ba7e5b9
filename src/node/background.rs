//! Work that nobody waits for, on threads of its own: what encodes files and plans queries must not hold up the threads that
//! answer requests.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// How much the work yields to others where there are too few cores (nice(2)).
const NICE: i32 = 5;

/// A runtime of few threads, and those on which it waits for disks.
pub(super) struct Background(Option<Runtime>);

impl Background {
    /// So many threads of this name.
    pub(super) fn new(name: &'static str, threads: usize) -> std::io::Result<Background> {
        let yields = || {
            // Only so that others are quicker.
            let _ = rustix::process::nice(NICE);
        };
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(threads).thread_name(name).on_thread_start(yields).enable_all();
        Ok(Background(Some(runtime.build()?)))
    }

    /// Begins the work; its end can be awaited anywhere.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.handle().spawn(work)
    }

    /// For others that begin work here.
    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().expect("it is there until it is dropped").handle().clone()
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
