//! Why the lake cannot go on.

use deltalake::DeltaTableError;
use gravity_ingest::failpoint::Hit;
use gravity_ingest::log::LogError;

/// What went wrong; the writer tries again by itself.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The table.
    #[error("lake table {table}: {source}")]
    Table {
        /// Which.
        table: &'static str,
        /// What.
        source: Box<DeltaTableError>,
    },
    /// Rows could not be made.
    #[error("lake table {table}: {source}")]
    Rows {
        /// Which.
        table: &'static str,
        /// What.
        source: arrow::error::ArrowError,
    },
    /// The log.
    #[error("the lake reads the log: {0}")]
    Log(#[from] LogError),
    /// A test.
    #[error(transparent)]
    Failpoint(#[from] Hit),
    /// Work was interrupted.
    #[error("the lake's work ended early: {0}")]
    Interrupted(String),
}
