//! Why a pipeline stopped.

use gravity_events::Topic;
use gravity_ingest::log::LogError;

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
    /// A thread could not be started.
    #[error("cannot start the threads of {pipeline}: {what}")]
    Start {
        /// Which pipeline.
        pipeline: &'static str,
        /// Why.
        what: String,
    },
    /// A failpoint of a test.
    #[error("failpoint {0}")]
    Failpoint(&'static str),
}
