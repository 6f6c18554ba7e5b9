//! Why a pipeline stopped.

use gravity_events::Topic;
use gravity_ingest::log::LogError;

use super::watchdog::Overrun;

/// A pipeline's error. The supervisor restarts the pipeline from its journal, with back-off; the process goes on.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The log, or a journal file.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The journal knows more of a partition than the log holds.
    #[error(
        "{topic}/{partition}: the journal is bound to offset {bound}, but the log ends at {end}: records were lost. \
         Restore the log from a backup, or, to accept the loss, move the pipeline's journal away and let it start again"
    )]
    BoundAhead {
        /// Topic.
        topic: Topic,
        /// Partition.
        partition: u32,
        /// Where the journal is.
        bound: u64,
        /// Where the log ends.
        end: u64,
    },
    /// A frame or base cannot be understood although its checksum is right.
    #[error(
        "journal of {pipeline}: {what}. Restore the journal from a backup, or move it away to rebuild it from the log"
    )]
    Journal {
        /// Which pipeline.
        pipeline: &'static str,
        /// What is wrong.
        what: String,
    },
    /// Written by a newer version.
    #[error(
        "journal of {pipeline}: format {found}, this build reads up to {known}: use the newer build, or restore a backup made by this one"
    )]
    TooNew {
        /// Which pipeline.
        pipeline: &'static str,
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// A worker thread ended.
    #[error("worker {worker} of {pipeline} failed: {what}")]
    Worker {
        /// Which pipeline.
        pipeline: &'static str,
        /// Which thread.
        worker: usize,
        /// Its panic message.
        what: String,
    },
    /// Another thread panicked.
    #[error("the {thread} of {pipeline} panicked: {what}. Please report this")]
    Panic {
        /// Which pipeline.
        pipeline: &'static str,
        /// Which thread.
        thread: &'static str,
        /// Its panic message.
        what: String,
    },
    /// The out topics know epochs that the journal does not, and cannot be asked for what they were bound to.
    #[error(
        "{pipeline}: the out topics hold epochs up to {published}, the journal only up to {epoch}: it was replaced by an \
         older one. Restore the newest journal, or move it away to rebuild it from the log under new epochs"
    )]
    Behind {
        /// Which pipeline.
        pipeline: &'static str,
        /// Last epoch of the out topics.
        published: u64,
        /// Last epoch of the journal.
        epoch: u64,
    },
    /// The out topics lack epochs that the journal has dropped.
    #[error(
        "{pipeline}: the out topics hold epochs up to {published}, and the journal begins with {first}: the log was \
         replaced by an older one. Restore the newest log"
    )]
    OutputsLost {
        /// Which pipeline.
        pipeline: &'static str,
        /// Last epoch of the out topics.
        published: u64,
        /// First epoch of the journal.
        first: u64,
    },
    /// Epochs are to be run again exactly, and this build computes other views.
    #[error(
        "{pipeline}: the journal lacks epochs that the out topics hold, and this build computes other views than the one \
         that wrote them: start that build once, then this one"
    )]
    OtherBuild {
        /// Which pipeline.
        pipeline: &'static str,
    },
    /// A thread could not be started.
    #[error("cannot start the threads of {pipeline}: {what}")]
    Start {
        /// Which pipeline.
        pipeline: &'static str,
        /// Why.
        what: String,
    },
    /// A thread ended without a word.
    #[error("a thread of {pipeline} ended")]
    Gone {
        /// Which pipeline.
        pipeline: &'static str,
    },
    /// An author's function did not come back.
    #[error("{overrun}")]
    Overrun {
        /// Which pipeline.
        pipeline: &'static str,
        /// Which function.
        overrun: Box<Overrun>,
    },
    /// A failpoint of a test.
    #[error("failpoint {0}")]
    Failpoint(&'static str),
}

/// Runs what a thread of a pipeline does; a panic becomes an error, so that the supervisor hears of it.
pub fn guarded<T>(
    pipeline: &'static str,
    thread: &'static str,
    work: impl FnOnce() -> Result<T, PipelineError>,
) -> Result<T, PipelineError> {
    // What a panic leaves half done is dropped with the thread; the pipeline starts anew from its journal.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(PipelineError::Panic { pipeline, thread, what: panic_message(&*panic) }))
}

/// What a panic said.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}
