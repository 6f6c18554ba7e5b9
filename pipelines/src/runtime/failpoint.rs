//! The failpoints of a pipeline's commit, see [`gravity_ingest::failpoint`].

pub use gravity_ingest::failpoint::{Action, Failpoints, Hit, PIPELINES as ALL};

use super::PipelineError;

impl From<Hit> for PipelineError {
    fn from(Hit(name): Hit) -> PipelineError {
        PipelineError::Failpoint(name)
    }
}
