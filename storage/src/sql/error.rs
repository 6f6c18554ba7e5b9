//! Why a question was not answered.

use std::time::Duration;

use datafusion::error::DataFusionError;

/// What is wrong with a query, or became of it.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// It cannot be planned: a syntax error, an unknown table, a statement that changes something.
    #[error("{0}")]
    Query(String),
    /// It needs more than it may have.
    #[error("the query needs more memory than a query may have ({limit_mb} MB), on disk included: {detail}")]
    Memory {
        /// How much it may have.
        limit_mb: usize,
        /// What the engine says.
        detail: String,
    },
    /// It took too long.
    #[error("the query took longer than {} s", limit.as_secs())]
    Time {
        /// How long it may take.
        limit: Duration,
    },
    /// Its answer is too long.
    #[error("the answer has more than {limit} rows")]
    Rows {
        /// How long it may be.
        limit: usize,
    },
    /// Others are being answered.
    #[error("{limit} queries are being answered")]
    Busy {
        /// How many at once.
        limit: usize,
    },
    /// Reading failed.
    #[error("the query failed: {0}")]
    Failed(String),
}

impl SqlError {
    /// What the engine says while it plans: the query's fault.
    pub(super) fn planning(error: DataFusionError) -> SqlError {
        match error.find_root() {
            DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) | DataFusionError::External(_) => {
                SqlError::Failed(error.strip_backtrace())
            }
            _ => SqlError::Query(error.strip_backtrace()),
        }
    }

    /// What the engine says while it answers.
    pub(super) fn running(error: DataFusionError, limit_mb: usize) -> SqlError {
        let text = error.strip_backtrace();
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => SqlError::Memory { limit_mb, detail: text },
            // Full disk space comes as an error of its own kind, of which only the words tell.
            _ if text.contains("spilling process has exceeded") => SqlError::Memory { limit_mb, detail: text },
            // Such as a division by zero, or text that is no number.
            DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => SqlError::Query(text),
            _ => SqlError::Failed(text),
        }
    }
}
