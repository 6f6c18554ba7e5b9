//! The runtime: fold, view, commit.
//!
//! ```text
//! log -> sequencer -> workers: source -> dedupe -> folds -> views -> committer -> frame, fsync -> published
//! ```
//! A pipeline is a [`Definition`] (which topics, which folds, which views) run by [`Runtime`]. The sequencer cuts the log
//! into epochs; N timely workers compute them; the committer writes one frame per epoch into the journal and publishes
//! the epoch once the frame is on disk. After a crash the fold rows of base and frames are loaded and re-emitted once at
//! the last committed epoch, and reading goes on from its bound offsets. There is no replay and no second way to start.

pub mod accepted;
pub mod clock;
pub mod committer;
pub mod dedupe;
pub mod definition;
pub mod error;
pub mod failpoint;
pub mod folds;
pub mod in_flight;
pub mod journal;
pub mod memory;
pub mod metrics;
pub mod outputs;
pub mod recovery;
pub mod row;
pub mod sequencer;
pub mod supervisor;
pub mod versions;
pub mod watchdog;
pub mod worker;

pub use definition::{Change, Committed, Definition, Facts, Folds, Touch};
pub use error::PipelineError;
pub use row::written;
pub use supervisor::{Options, PipelineState, PipelineStatus, ROW_CAP, Runtime};
