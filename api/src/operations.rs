//! What the process that hosts the API knows of itself: roles, pipelines, lag, dead letters, verification.
//!
//! The API crate may not depend on pipelines, so it asks through [`Operations`], which the binary implements.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A future of the trait's methods.
pub type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the operator's routes and the probes ask.
pub trait Operations: Send + Sync + 'static {
    /// How everything is now. Must not block for long: it is polled.
    fn status(&self) -> Work<Status>;

    /// Ok once every role has started and serving has reached the bound epoch; otherwise what is awaited, for people.
    fn ready(&self) -> Result<(), String>;

    /// Recomputes boards (of one event, or all) from the log by the second implementation and compares.
    fn verify(&self, event: Option<String>) -> Work<Result<serde_json::Value, OperationError>>;

    /// Dead letters in the order of their ids, after the given one; at most `limit`.
    fn dead_letters(&self, limit: usize, after: Option<String>) -> Work<Result<Vec<DeadLetter>, OperationError>>;

    /// One dead letter with its bytes.
    fn dead_letter(&self, id: String) -> Work<Result<Option<DeadLetter>, OperationError>>;

    /// Appends the bytes of these dead letters again.
    fn retry(&self, ids: Vec<String>) -> Work<Result<Vec<Retried>, OperationError>>;
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The event is not known.
    #[error("there is no event `{0}`")]
    UnknownEvent(String),
    /// An id, cursor or other input does not fit.
    #[error("`{field}` {problem}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// It cannot be done now; trying again may help.
    #[error("{0}")]
    Unavailable(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

/// How the process is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Version of the build.
    pub version: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Roles that run in it.
    pub roles: Vec<String>,
    /// Its pipelines.
    pub pipelines: Vec<PipelineStatus>,
}

/// How a pipeline is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PipelineStatus {
    /// Its name.
    pub name: String,
    /// `starting`, `running`, `restarting`, `stopped`.
    pub state: String,
    /// Why, where it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last committed epoch.
    pub epoch: u64,
    /// How long the last epoch took from its binding to its publication, in milliseconds.
    pub epoch_duration_ms: f64,
    /// Records that are not read yet, by partition.
    pub lag: Vec<PartitionLag>,
    /// Seconds until everything is read at the present rate; absent while nothing is consumed but something waits.
    pub time_to_drain_s: Option<f64>,
}

/// How far a partition is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionLag {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// The first offset that no epoch has.
    pub bound: u64,
    /// The first offset that is not durable.
    pub end: u64,
    /// `end` less `bound`.
    pub lag: u64,
}

/// A record that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// Its id: topic, partition and offset.
    pub id: String,
    /// Topic it came on.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: u64,
    /// Why, as a code.
    pub code: String,
    /// Why, for people.
    pub detail: String,
    /// When it was refused (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Length of the record in bytes.
    pub bytes: u64,
    /// SHA-256 of the record in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The record, or its first 512 KiB; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
}

/// What became of a dead letter that was to be appended again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Retried {
    /// Its id.
    pub id: String,
    /// `appended`, `unknown` or `incomplete` (only its first bytes were kept).
    pub status: String,
    /// Where its record stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}
