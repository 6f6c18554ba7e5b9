//! The log (embedded segments or Kafka) and the feeds that fill it.

pub mod client;
pub mod failpoint;
pub mod feeds;
pub mod log;
pub mod segment;
