//! What can go wrong with the log.

use std::path::PathBuf;

use gravity_events::Topic;

/// An error of the log. Each says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system said no.
    #[error("{doing} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// A frame's bytes are not those that were written.
    #[error("{path}: damaged at byte {at}: {what}. Nothing after it is read; restore the file from a backup or another replica", path = .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Byte offset of the frame in it.
        at: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Written by a newer version.
    #[error("{path}: format {found}, this build reads up to {known}: use the newer build, or restore a backup made by this one", path = .path.display())]
    TooNew {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// The offset was dropped by retention.
    #[error(
        "{topic}/{partition}: offset {wanted} is gone, the first kept is {first}: raise the retention, or restore from a backup"
    )]
    Gone {
        /// Topic.
        topic: Topic,
        /// Partition.
        partition: u32,
        /// What was asked for.
        wanted: u64,
        /// What is there.
        first: u64,
    },
    /// Nothing that old is kept in a folder of segments.
    #[error("{path}: {wanted} is gone, the first kept is {first}", path = .path.display())]
    Dropped {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        wanted: u64,
        /// What is there.
        first: u64,
    },
    /// An offset after the end: the log has lost its end, or is another one.
    #[error(
        "{topic}/{partition}: offset {wanted} is past the end, {next}: the log was replaced or cut; restore it from a backup as new as its readers"
    )]
    Beyond {
        /// Topic.
        topic: Topic,
        /// Partition.
        partition: u32,
        /// What was asked for.
        wanted: u64,
        /// The next offset to be written.
        next: u64,
    },
    /// An fsync failed: what the disk holds is not known until the file is opened anew.
    #[error("{path}: an earlier fsync failed, so nothing more is written to it: check the disk, then restart", path = .path.display())]
    Poisoned {
        /// Which file.
        path: PathBuf,
    },
    /// The number of partitions of a topic cannot change.
    #[error(
        "{topic} has {stored} partitions, {configured} are configured: set {stored}, or copy the records into a new log"
    )]
    Partitions {
        /// Topic.
        topic: Topic,
        /// As the log was created.
        stored: u32,
        /// As is configured now.
        configured: u32,
    },
    /// The topic has no such partition.
    #[error("{topic} has {partitions} partitions, not partition {partition}")]
    NoPartition {
        /// Topic.
        topic: Topic,
        /// Asked for.
        partition: u32,
        /// Configured.
        partitions: u32,
    },
    /// No space is left, or nearly: nothing is appended until there is.
    #[error("the disk of {path} is full: free space or lower the retention; appends are refused until then", path = .path.display())]
    Full {
        /// The folder.
        path: PathBuf,
    },
    /// The broker cannot be reached, or refused.
    #[error("Kafka at {brokers}: {what}")]
    Kafka {
        /// Configured brokers.
        brokers: String,
        /// What happened and what to do.
        what: String,
        /// Whether trying again may help.
        retriable: bool,
    },
    /// A newer process has taken over this pipeline's outputs.
    #[error("a newer process writes the outputs of pipeline {pipeline}: stop one of the two")]
    Fenced {
        /// Which pipeline.
        pipeline: String,
    },
    /// The log is being closed.
    #[error("the log is closed")]
    Closed,
}
